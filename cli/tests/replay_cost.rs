//! What a replay adds to the library's own work, in instructions: the strict pass, with all that it counts, samples and
//! compares, beside a pass with nothing but the operations.

mod common;

use common::{genpt, stdout};
use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Most instructions of a strict pass for each of a bare one. In time a pass may cost twice as much: a strict one
/// has more data to load, too. (The most are the 1.47 of `riscv_64`.)
const MOST: f64 = 1.6;

/// Inclusive cost and number of calls of a function in a profile of callgrind, all instances together.
fn cost(profile: &str, function: &str) -> (u64, u64) {
    // A name is written once; later there is only its number.
    let mut names: HashMap<&str, &str> = HashMap::new();
    let (mut cost, mut calls) = (0, 0);
    let mut lines = profile.lines();
    let mut is_called = false;
    while let Some(line) = lines.next() {
        if let Some(callee) = line.strip_prefix("cfn=").or_else(|| line.strip_prefix("fn=")) {
            let (number, name) = callee.split_once(' ').unwrap_or((callee, ""));
            if !name.is_empty() {
                names.insert(number, name);
            }
            is_called = names[number] == function;
        } else if let Some(rest) = line.strip_prefix("calls=") {
            let costs = lines.next().unwrap();
            if is_called {
                calls += rest.split(' ').next().unwrap().parse::<u64>().unwrap();
                cost += costs.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
            }
        }
    }
    assert!(calls > 0, "{function} is not in the profile");
    (cost, calls)
}

fn per_call((cost, calls): (u64, u64)) -> f64 {
    cost as f64 / calls as f64
}

/// Instructions of a bare and of a strict pass over the built-in trace.
fn passes(directory: &Path, format: &str) -> (f64, f64) {
    let profile = directory.join(format);
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--dump-line=no"]).arg(format!("--callgrind-out-file={}", profile.display()));
    valgrind.arg(env!("CARGO_BIN_EXE_genpt")).args(["replay", "--format", format]);
    // The same environment everywhere.
    valgrind.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let output = valgrind.stdin(Stdio::null()).output().expect("valgrind is needed to count instructions");
    assert!(output.status.success(), "{format}: {}", String::from_utf8_lossy(&output.stderr));
    let profile = std::fs::read_to_string(profile).unwrap();
    (per_call(cost(&profile, "genpt::timing::bare_pass")), per_call(cost(&profile, "genpt::replay::strict_pass")))
}

/// Every format that takes the built-in trace. One had 1.63: `ppc64_radix`, whose tables of 64 KiB are mostly empty when they are
/// compared. (That the system cleared them for each pass, too, is in no count of instructions.)
#[test]
#[ignore = "counts instructions: cargo test --release -p genpt --test replay_cost -- --ignored --nocapture"]
fn a_replay_adds_little_to_the_library() {
    let directory = TempDir::new().unwrap();
    let report: serde_json::Value = serde_json::from_str(&stdout(&genpt(&["replay", "--json"]))).unwrap();
    let events = report["trace"]["lines"].as_f64().unwrap();
    let mut too_much = Vec::new();
    for format in report["formats"].as_object().unwrap().keys() {
        let (bare, strict) = passes(directory.path(), format);
        let ratio = strict / bare;
        println!(
            "{format:12} {:6.1} instructions for each line, {:6.1} with all that is counted: x{ratio:.2}",
            bare / events,
            strict / events
        );
        if ratio > MOST {
            too_much.push(format!("{format}: x{ratio:.2}"));
        }
    }
    assert!(too_much.is_empty(), "more than x{MOST}: {}", too_much.join(", "));
}
