//! Every format on every walker that is there: `cargo test --release -p conformance -- --nocapture`.
//!
//! A walker that cannot run is skipped with the reason; with `GENERIC_PT_REQUIRE_QEMU=1` that is a failure, unless
//! the installed version of QEMU has no such model yet.

mod cpus;
mod iommus;
mod rows;

use rows::Jobs;
use std::process::ExitCode;

/// What a whole run compares at least.
const LEAST_TRANSLATIONS: u64 = 100_000;
const LEAST_ACCESSES: u64 = 5_000;

fn main() -> ExitCode {
    let mut jobs = Jobs::default();
    cpus::all(&mut jobs);
    iommus::all(&mut jobs);
    let matrix = jobs.run();
    println!("\n{}\n{matrix}", matrix.summary());
    let required = std::env::var_os("GENERIC_PT_REQUIRE_QEMU").is_some_and(|value| value == "1");
    // Of a whole run, so that nothing is lost unseen.
    let is_whole = required && !cfg!(debug_assertions) && std::env::var_os("GENERIC_PT_CONFORMANCE").is_none();
    let total = matrix.total();
    let is_enough = total.translations >= LEAST_TRANSLATIONS && total.accesses >= LEAST_ACCESSES;
    if is_whole && !is_enough {
        println!("a whole run has at least {LEAST_TRANSLATIONS} translations and {LEAST_ACCESSES} accesses");
    }
    let false_faults = if is_whole { matrix.false_faults() } else { Vec::new() };
    for sentence in &false_faults {
        println!("{sentence}");
    }
    // A format that is not there would be no row, and no disagreement.
    let is_empty = matrix.rows.is_empty();
    if is_empty
        || matrix.disagreements() != 0
        || (required && matrix.missing() != 0)
        || (is_whole && !is_enough)
        || !false_faults.is_empty()
    {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
