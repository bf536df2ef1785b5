//! Single cases under gungraun: for profiles, flame graphs, simulated caches, and differences between two runs.
//!
//! `cargo bench -p generic-pt-benches --features gungraun --bench instructions` needs `gungraun-runner` of the same version as the
//! `gungraun` in `Cargo.lock` (`cargo install gungraun-runner --version VERSION`). The variable `GENERIC_PT_CASES` limits it to the
//! cases whose format and name contain it; `-- --nocapture` shows their names. The counts are those of a whole run: `budgets`
//! counts the same, divides, and compares. What gungraun compares with is the last run with the same value of the variable.

#![allow(missing_docs, reason = "gungraun's macros make public items")]

use generic_pt_benches::cases::Case;
use generic_pt_benches::formats::FORMATS;
use generic_pt_benches::rows::ROWS;
use generic_pt_benches::{Purpose, domain};
use gungraun::prelude::*;
use std::hint::black_box;

const VARIABLE: &str = "GENERIC_PT_CASES";

/// A format and a row, as indices, that are wanted.
fn wanted() -> impl Iterator<Item = (usize, usize)> {
    let text = std::env::var(VARIABLE).unwrap_or_default();
    let all = (0..FORMATS.len()).flat_map(|format| (0..ROWS.len()).map(move |row| (format, row)));
    all.filter(move |(format, row)| format!("{} {}", FORMATS[*format].name, ROWS[*row].name).contains(&text))
}

/// The case, ready to run; `None` if the format cannot do that.
fn prepared((format, row): (usize, usize)) -> Option<Box<dyn Case>> {
    let domain = domain();
    let mut case = (FORMATS[format].case)(domain, &ROWS[row], Purpose::Count)?;
    case.prepare();
    domain.memory.clean();
    eprintln!("{} {}: a run of {}", FORMATS[format].name, ROWS[row].name, case.units());
    Some(case)
}

#[library_benchmark(config = LibraryBenchmarkConfig::default().pass_through_env(VARIABLE))]
#[benches::wanted(iter = wanted(), setup = prepared)]
fn case(mut case: Option<Box<dyn Case>>) -> Option<Box<dyn Case>> {
    if let Some(case) = &mut case {
        case.run();
    }
    black_box(case)
}

library_benchmark_group!(name = cases, benchmarks = case);
main!(library_benchmark_groups = cases);
