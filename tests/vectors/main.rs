//! Golden vectors: operation sequences recorded on the reference, with every result and complete dumps of the tables.
//!
//! `cargo test --release --test vectors -- --nocapture` runs the project's own; `GENERIC_PT_VECTORS=dir[:dir…]` others of
//! the same form (see README.md beside the files). Every recorded value is compared; the only allowances are the two about
//! flushes in the README. A scenario stops at its first difference. The last line is `N files, M steps, K differences`.

mod flushes;
mod formats;
mod host;
mod scenario;
mod tables;

use formats::VectorFormat;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What was checked.
#[derive(Default)]
pub struct Report {
    scenarios: u64,
    steps: u64,
    init_cases: u64,
    differences: Vec<String>,
}

fn main() -> ExitCode {
    // Test runners ask what there is.
    if std::env::args().any(|argument| argument == "--list") {
        println!("golden_vectors: test");
        return ExitCode::SUCCESS;
    }
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let directories = match std::env::var_os("GENERIC_PT_VECTORS") {
        Some(list) => std::env::split_paths(&list).collect(),
        None => vec![own],
    };
    let files = match list_files(&directories) {
        Ok(files) => files,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let (mut steps, mut differences) = (0, 0);
    for path in &files {
        let mut report = Report::default();
        if let Err(error) = run_path(path, &mut report) {
            report.differences.push(error);
        }
        let Report { scenarios, steps: file_steps, init_cases, .. } = report;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let bad = report.differences.len();
        println!("{name}: {scenarios} scenarios, {file_steps} steps, {init_cases} init cases, {bad} differences");
        for difference in report.differences.iter().take(5) {
            println!("  {}: {difference}", path.display());
        }
        steps += file_steps;
        differences += bad;
    }
    println!("{} files, {steps} steps, {differences} differences", files.len());
    if differences == 0 && !files.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn list_files(directories: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for directory in directories {
        let entries = std::fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let before = files.len();
        for entry in entries {
            let path = entry.map_err(|error| format!("{}: {error}", directory.display()))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                files.push(path);
            }
        }
        if files.len() == before {
            return Err(format!("{}: no *.json file", directory.display()));
        }
    }
    files.sort();
    Ok(files)
}

fn run_path(path: &Path, report: &mut Report) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let file: Map<String, Value> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    if file.get("schema").and_then(Value::as_u64) != Some(1) {
        return Err(format!("schema is {:?}, expected 1", file.get("schema")));
    }
    formats::run_file(&file, report)
}

/// Runs all scenarios and init cases of a file for its format.
pub fn run<F: VectorFormat>(file: &Map<String, Value>, report: &mut Report) -> Result<(), String> {
    let list = |key: &str| file.get(key).and_then(Value::as_array).into_iter().flatten();
    if file.contains_key("config")
        && let Err(difference) = scenario::run_init::<F>(file)
    {
        report.differences.push(format!("init: {difference}"));
    }
    for case in list("init_cases").filter_map(Value::as_object) {
        report.init_cases += 1;
        if let Err(difference) = scenario::run_init::<F>(case) {
            report.differences.push(format!("init case {}: {difference}", Value::Object(case.clone())));
        }
    }
    for case in list("scenarios") {
        report.scenarios += 1;
        let name = case["name"].as_str().unwrap_or("?");
        let (steps, result) = scenario::run_scenario::<F>(file, case);
        report.steps += steps;
        if let Err(difference) = result {
            report.differences.push(format!("scenario {name}, step {steps}: {difference}"));
        }
    }
    Ok(())
}

/// A number, written as a string of hexadecimal digits with `0x`.
pub fn hex(value: &Value) -> u64 {
    let text = value.as_str().unwrap_or_else(|| panic!("expected a hex string, found {value}"));
    let digits = text.strip_prefix("0x").unwrap_or_else(|| panic!("expected 0x, found {text}"));
    u64::from_str_radix(digits, 16).unwrap_or_else(|error| panic!("{text}: {error}"))
}
