//! Every format on every walker that is there: `cargo test --release -p conformance -- --nocapture`.
//!
//! A walker that cannot run is skipped with the reason; with `GENERIC_PT_REQUIRE_QEMU=1` that is a failure, unless
//! the installed version of QEMU has no such model yet.

mod cpus;
mod iommus;
mod rows;

use clap::Parser;
use conformance::arguments::Arguments;
use conformance::expected;
use conformance::matrix::Matrix;
use conformance::processor_time;
use rows::Jobs;
use std::io;
use std::num::NonZero;
use std::process::{self, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

/// Exit status of arguments that are none, as clap has it.
const USAGE: u8 = 2;
/// What a whole run compares at least.
const LEAST_TRANSLATIONS: u64 = 100_000;
const LEAST_ACCESSES: u64 = 5_000;
/// How long it is to take on two processors that have nothing else to do; how much of both, also on a machine that is busy; and how
/// long on any machine.
const TIME: Duration = Duration::from_mins(5);
const MOST_PROCESSOR_TIME: Duration = Duration::from_mins(2 * 5);
const MOST_TIME: Duration = Duration::from_mins(15);

fn main() -> ExitCode {
    let mut jobs = Jobs::default();
    cpus::all(&mut jobs);
    iommus::all(&mut jobs);
    let arguments = Arguments::parse();
    if let Some(error) = arguments.unmatched(jobs.names()) {
        eprintln!("error: {error}");
        return ExitCode::from(USAGE);
    }
    jobs.select(&arguments);
    if arguments.list {
        jobs.names().for_each(|(format, config)| println!("{format} {config}"));
        return ExitCode::SUCCESS;
    }
    let start = Instant::now();
    thread::spawn(end_in_time);
    let matrix = jobs.run(arguments.threads());
    let time = start.elapsed();
    // Machines are waited for, so theirs is in it.
    let processor_time = processor_time::of_all();
    let required = std::env::var_os("GENERIC_PT_REQUIRE_QEMU").is_some_and(|value| value == "1");
    // So that nothing is lost unseen.
    let is_whole = required && !cfg!(debug_assertions) && arguments.is_whole();
    let mut faults = Vec::new();
    if required && matrix.missing() != 0 {
        let missing = matrix.missing();
        faults.push(format!("GENERIC_PT_REQUIRE_QEMU=1, and rows that did not run, with the reason above: {missing}"));
    }
    if is_whole {
        faults.extend(faults_of_whole(&matrix, time, &processor_time));
    }
    println!("\n{}", matrix.summary());
    for sentence in &faults {
        println!("FAILS: {sentence}");
    }
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let of_processors = processor_time.map_or_else(|error| error.to_string(), |time| format!("{} s", time.as_secs()));
    println!("{} s on {processors} processors (processor time: {of_processors})\n{matrix}", time.as_secs());
    if matrix.disagreements() != 0 || !faults.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Ends this program when its time is over. (QEMU is given up when it does not answer; nobody waits for a virtual CPU of KVM.)
fn end_in_time() {
    thread::sleep(MOST_TIME);
    println!("FAILS: it did not end within {} s: rows that are not printed hang, or are slow", MOST_TIME.as_secs());
    process::exit(1);
}

/// What is not as it has to be of all rows, each as a sentence.
fn faults_of_whole(matrix: &Matrix, time: Duration, processor_time: &io::Result<Duration>) -> Vec<String> {
    let mut faults = expected::differences(matrix, expected::ROWS);
    faults.extend(matrix.false_faults());
    let total = matrix.total();
    if total.translations < LEAST_TRANSLATIONS || total.accesses < LEAST_ACCESSES {
        faults
            .push(format!("a whole run has at least {LEAST_TRANSLATIONS} translations and {LEAST_ACCESSES} accesses"));
    }
    faults.extend(processor_time::fault(processor_time, MOST_PROCESSOR_TIME));
    if time > MOST_TIME {
        let [time, most, bar] = [time, MOST_TIME, TIME].map(|time| time.as_secs());
        faults.push(format!(
            "it took {time} s, and may take {most} s: {bar} s on two idle processors, and as much again twice"
        ));
    }
    faults
}
