//! Traces as they come: packed, from trace-cmd, with domains and devices.

mod common;

use common::{built_in, data, failure, json, replay_with_input, stdout, timeless};
use flate2::read::GzDecoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Read;

/// The text of the built-in trace.
fn built_in_text() -> String {
    let mut text = String::new();
    GzDecoder::new(File::open(built_in()).unwrap()).read_to_string(&mut text).unwrap();
    text
}

fn report_of(input: &[u8], arguments: &[&str]) -> Value {
    let output = replay_with_input(&[&["--json", "-"], arguments].concat(), input);
    timeless(serde_json::from_str(&stdout(&output)).unwrap())
}

#[test]
fn zstd_is_unpacked_whatever_its_name_is() {
    let plain = timeless(json(&["-f", "vtdss", data("three-domains.trace.txt").to_str().unwrap()]));
    let packed = data("three-domains.trace.txt.zst");
    assert_eq!(timeless(json(&["-f", "vtdss", packed.to_str().unwrap()])), plain);
    assert_eq!(report_of(&fs::read(packed).unwrap(), &["-f", "vtdss"]), plain);
    let text = built_in_text();
    let packed = compress_to_vec(text.as_bytes(), CompressionLevel::Fastest);
    assert_eq!(report_of(&packed, &["-f", "vtdss"]), report_of(text.as_bytes(), &["-f", "vtdss"]));
}

#[test]
fn a_cut_off_or_damaged_zstd_is_an_error() {
    let mut packed = fs::read(data("three-domains.trace.txt.zst")).unwrap();
    let (code, error) = failure(&replay_with_input(&["-"], &packed[..packed.len() / 2]));
    assert_eq!(code, 1);
    assert!(error.contains("the compressed data is cut off"), "{error}");
    *packed.last_mut().unwrap() ^= 1;
    let (code, error) = failure(&replay_with_input(&["-"], &packed));
    assert_eq!(code, 1);
    assert!(error.contains("the compressed data is damaged (a checksum is wrong)"), "{error}");
}

/// Damage shows as other text at first: that was told as a line that is no trace's, with a hint to skip it.
#[test]
fn a_compressed_trace_that_is_damaged_is_no_malformed_line() {
    let mut packed = fs::read(built_in()).unwrap();
    for at in (5000..packed.len() - 5000).step_by(10_000) {
        packed[at] ^= 1;
        let (code, error) = failure(&replay_with_input(&["-", "-f", "vtdss"], &packed));
        packed[at] ^= 1;
        assert!(code == 1 && error.contains("the compressed data is damaged"), "byte {at}: {error}");
    }
    packed.extend(b"more");
    let (code, error) = failure(&replay_with_input(&["-", "-f", "vtdss"], &packed));
    assert!(code == 1 && error.contains("what follows the data is no gzip"), "{error}");
}

/// An ftrace text as `trace-cmd report` prints it.
fn as_trace_cmd(text: &str) -> String {
    let mut report = "cpus=2\n".to_owned();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (front, rest) = line.split_once("] ").unwrap();
        let (_, rest) = rest.split_once(' ').unwrap();
        let (time, rest) = rest.trim().split_once(": ").unwrap();
        let (name, arguments) = rest.split_once(": ").unwrap();
        report.push_str(&format!("{front}] {time:>14}: {:<21} {arguments}\n", format!("{name}:")));
    }
    report
}

#[test]
fn trace_cmd_gives_the_same() {
    let without_lines = |mut report: Value| {
        for key in ["lines", "samples"] {
            report["trace"].as_object_mut().unwrap().remove(key).unwrap();
        }
        for format in report["formats"].as_object_mut().unwrap().values_mut() {
            format.as_object_mut().unwrap().remove("peak_line").unwrap();
            for domain in format["domains"].as_array_mut().unwrap() {
                domain.as_object_mut().unwrap().remove("peak_line").unwrap();
            }
        }
        report
    };
    for text in [built_in_text(), fs::read_to_string(data("three-domains.trace.txt")).unwrap()] {
        let report = as_trace_cmd(&text);
        assert!(report.lines().nth(1).unwrap().contains("]  "), "{report}");
        let arguments = ["-f", "vtdss,amdv1"];
        assert_eq!(
            without_lines(report_of(report.as_bytes(), &arguments)),
            without_lines(report_of(text.as_bytes(), &arguments))
        );
    }
}

#[test]
fn what_trace_cmd_dropped_is_a_trace_from_the_middle() {
    let text = ["cpus=2\n", "CPU:1 [12 EVENTS DROPPED]\n", &common::map(0, 0, 4096), &common::unmap(4096, 4096, 4096)];
    let report = report_of(text.concat().as_bytes(), &["-f", "vtdss"]);
    assert_eq!((&report["trace"]["lost_events"], &report["trace"]["complete_from_line"]), (&json!(12), &json!(3)));
    assert_eq!(report["formats"]["vtdss"]["unmaps_before_trace"], 1);
}

#[test]
fn each_device_has_tables_of_its_own() {
    let on = |line: String, device: &str| line.replace('\n', &format!(" device={device}\n"));
    let lines = [
        on(common::map(0x1000, 0x8000, 0x1000), "0000:00:03.0"),
        on(common::map(0x1000, 0x9000, 0x1000), "0000:00:04.0"), // the same IOVA
        on(common::unmap(0x1000, 0x1000, 0x1000), "0000:00:03.0"),
    ];
    let report = report_of(lines.concat().as_bytes(), &["-f", "vtdss", "--check"]);
    assert_eq!(report["trace"]["domains"], json!(["0000:00:03.0", "0000:00:04.0"]));
    let format = &report["formats"]["vtdss"];
    assert_eq!(format["anomalies"], json!([]));
    assert_eq!(
        (&format["domains"][0]["end_live_bytes"], &format["domains"][1]["end_live_bytes"]),
        (&json!(0), &json!(4096))
    );
}
