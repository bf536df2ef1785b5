//! Runs the tool.

#![allow(dead_code, reason = "every test file is a program of its own and uses a part")]

pub mod browser;
pub mod drawing;
pub mod images;

use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A file of `tests/data`.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The built-in trace as a file.
pub fn built_in() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("traces/intel61-nvme-strict.trace.txt.gz")
}

/// `genpt` with arguments.
pub fn genpt(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_genpt")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Compares a text with `tests/golden/NAME`. With `GENPT_BLESS=1` in the environment the file is written, to be looked at.
pub fn assert_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("GENPT_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(golden == text, "{name} is not as before; GENPT_BLESS=1 writes it anew. Now it is:\n{text}");
}

/// `genpt replay` with arguments and standard input.
pub fn replay_with_input(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_genpt"));
    command.arg("replay").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // It may stop reading early, at an error.
    let writer = std::thread::spawn(move || stdin.write_all(&input).is_ok());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// `genpt replay` with arguments.
pub fn replay(arguments: &[&str]) -> Output {
    replay_with_input(arguments, b"")
}

/// Standard output of a run that succeeded.
pub fn stdout(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {error}", output.status);
    assert_eq!(error, "");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Exit status and standard error of a run that failed, without a panic.
pub fn failure(output: &Output) -> (i32, String) {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code().unwrap();
    assert!(code != 0 && code != 101, "{code}: {error}");
    assert_eq!(output.stdout, b"");
    (code, error)
}

/// The JSON of a run.
pub fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&stdout(&replay(&[&["--json"], arguments].concat()))).unwrap()
}

/// The JSON of a run with standard input, compared after every event.
pub fn json_of(text: &str, arguments: &[&str]) -> Value {
    let output = replay_with_input(&[&["--json", "--check", "-"], arguments].concat(), text.as_bytes());
    serde_json::from_str(&stdout(&output)).unwrap()
}

/// Without what differs from run to run.
pub fn timeless(mut report: Value) -> Value {
    for format in report["formats"].as_object_mut().unwrap().values_mut() {
        format.as_object_mut().unwrap().remove("time_ns").unwrap();
    }
    report["trace"].as_object_mut().unwrap().remove("name").unwrap();
    report
}

/// A map event as a line of ftrace.
pub fn map(iova: u64, paddr: u64, size: u64) -> String {
    let end = iova.wrapping_add(size);
    format!("  t-1 [000] ..... 1.0: map: IOMMU: iova={iova:#018x} - {end:#018x} paddr={paddr:#018x} size={size}\n")
}

/// An unmap event as a line of ftrace.
pub fn unmap(iova: u64, size: u64, removed: u64) -> String {
    let end = iova.wrapping_add(size);
    format!(
        "  t-1 [000] ..... 1.0: unmap: IOMMU: iova={iova:#018x} - {end:#018x} size={size} unmapped_size={removed}\n"
    )
}
