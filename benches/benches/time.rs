//! Times of every case, of the peers, and of the replays of the traces, by criterion: for each operation, leaf or event.
//!
//! `cargo bench -p generic-pt-benches --bench time -- WORD` times those whose name contains the word.

use criterion::{BenchmarkId, Criterion};
use generic_pt_benches::cases::Case;
use generic_pt_benches::formats::{Column, FORMATS};
use generic_pt_benches::peers::PEERS;
use generic_pt_benches::rows::ROWS;
use generic_pt_benches::time::{clock_ns, run_ns};
use generic_pt_benches::traces::Trace;
use generic_pt_benches::{Purpose, domain};
use std::time::Duration;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(20)
        .configure_from_args();
    let domain = domain();
    let columns = || FORMATS.iter().chain(PEERS);
    for row in ROWS {
        let case = |column: &Column| {
            domain.memory.reset();
            (column.case)(domain, row, Purpose::Time)
        };
        group(&mut criterion, row.name, columns().map(|column| (column.name, case(column))));
    }
    match Trace::all() {
        Ok(traces) => traces.iter().for_each(|trace| {
            let case = |column: &Column| {
                domain.memory.reset();
                (column.replay)(domain, trace)
            };
            let name = format!("replay {}", trace.name);
            group(&mut criterion, &name, columns().map(|column| (column.name, case(column))));
        }),
        Err(problem) => eprintln!("no traces: {problem}"),
    }
    criterion.final_summary();
}

/// Times one row, column by column; a column's case is made when it is its turn.
fn group(criterion: &mut Criterion, name: &str, cases: impl Iterator<Item = (&'static str, Option<Box<dyn Case>>)>) {
    let mut group = criterion.benchmark_group(name);
    let clock_ns = clock_ns();
    for (column, case) in cases {
        let Some(mut case) = case else { continue };
        group.bench_function(BenchmarkId::from_parameter(column), |bencher| {
            bencher.iter_custom(|units| {
                // Whole runs, and their share of so many units.
                let units_of_run = case.units() as f64;
                let runs = (units as f64 / units_of_run).ceil().max(1.0);
                let total_ns: f64 = (0..runs as u64).map(|_| run_ns(&mut *case, clock_ns)).sum();
                Duration::from_nanos((total_ns * units as f64 / (runs * units_of_run)).ceil() as u64)
            });
        });
    }
    group.finish();
}
