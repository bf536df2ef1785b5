//! How long `genpt dump` and `genpt check` take for 1 GiB in pages of 4 KiB, with the start of the program and its output, which
//! nobody reads: the least of several runs, which other work on the machine disturbs least.

mod common;

use common::{genpt, stdout};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const FORMATS: [&str; 6] = ["x86_64", "vtdss", "amdv1", "armv8_4k", "riscv_64", "ppc64_radix"];
const PAGES: u64 = 1 << 18;
const RUNS: u32 = 20;
/// For tables whose pages continue each other.
const BAR: Duration = Duration::from_millis(20);

/// One mapping: pages of 4 KiB only, since VA and physical address differ within every larger page.
fn continued() -> String {
    "va,pa,len,prot\n0x40001000,0x80002000,1G,rw\n".to_owned()
}

/// A mapping for each page, none of which continues another.
fn scattered() -> String {
    let page = |n: u64| {
        format!("{:#x},{:#x},4K,rw\n", 0x4000_0000 + n * 0x1000, 0x1_0000_0000 + (n * 0x9e37 % PAGES) * 0x2000)
    };
    "va,pa,len,prot\n".chars().chain((0..PAGES).map(page).collect::<String>().chars()).collect()
}

fn least(command: &[&str]) -> Duration {
    let text = stdout(&genpt(command));
    // All pages were looked at.
    let says = match command {
        ["check", ..] => " 0 findings".to_owned(),
        [.., "csv", _] => format!("0x{:x},", 0x4000_0000 + (PAGES - 1) * 0x1000),
        _ => PAGES.to_string(),
    };
    assert!(text.contains(&says), "{command:?}: {}", &text[text.len().saturating_sub(300)..]);
    let run = |_| {
        let begin = Instant::now();
        let status = Command::new(env!("CARGO_BIN_EXE_genpt")).args(command).stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "{command:?}: {status}");
        begin.elapsed()
    };
    (0..RUNS).map(run).min().unwrap()
}

fn measure(directory: &Path, what: &str, spec: &str, options: &[&[&str]]) -> Vec<(String, Duration)> {
    let name = |name: &str| directory.join(name).display().to_string();
    std::fs::write(directory.join("spec.csv"), spec).unwrap();
    let mut times = Vec::new();
    for format in FORMATS {
        let (spec, image) = (name("spec.csv"), name("image"));
        stdout(&genpt(&["build", &spec, "-f", format, "-o", &image, "--base", "1M"]));
        for options in options {
            let command = [options, &[image.as_str()][..]].concat();
            let time = least(&command);
            println!("{format:12} {what:10} {:16} {:6.1} ms", options.join(" "), time.as_secs_f64() * 1e3);
            times.push((format!("{format} {what} {options:?}"), time));
        }
    }
    times
}

#[test]
#[ignore = "a measurement: cargo test --release -p genpt --test speed -- --ignored --nocapture"]
fn one_gib_in_small_pages() {
    let directory = TempDir::new().unwrap();
    let dump: &[&str] = &["dump"];
    let check: &[&str] = &["check"];
    let times = measure(directory.path(), "continued", &continued(), &[dump, check]);
    // There is no bar for as many runs as pages: the lines cost more than the tables.
    measure(
        directory.path(),
        "scattered",
        &scattered(),
        &[dump, &["dump", "-o", "csv"], &["dump", "-o", "json"], check],
    );
    for (what, time) in times {
        assert!(time < BAR, "{what}: {time:?}");
    }
}
