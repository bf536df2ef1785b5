//! Every format on every walker that is there: `cargo test --release -p conformance -- --nocapture`.
//!
//! A walker that cannot run is skipped with the reason; with `GENERIC_PT_REQUIRE_QEMU=1` that is a failure, unless
//! the installed version of QEMU has no such model yet.

mod cpus;
mod iommus;
mod rows;

use rows::Jobs;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut jobs = Jobs::default();
    cpus::all(&mut jobs);
    iommus::all(&mut jobs);
    let matrix = jobs.run();
    println!("{matrix}");
    let required = std::env::var_os("GENERIC_PT_REQUIRE_QEMU").is_some_and(|value| value == "1");
    // A format that is not there would be no row, and no disagreement.
    let is_empty = matrix.rows.is_empty();
    if is_empty || matrix.disagreements() != 0 || (required && matrix.missing() != 0) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
