//! Whole outputs, as they were looked at.

mod common;

use common::{assert_golden, data, genpt, json, map, replay_with_input, stdout, timeless, unmap};

/// Without what differs from run to run: the times.
fn without_times(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let is_times = line.contains(" / ") && line.trim_start().starts_with(['m', 'u', 'a']);
        let words: Vec<&str> = line.split(" / ").collect();
        out += &if is_times {
            format!("{} TIMES", words[0].trim_end_matches(char::is_numeric).trim_end())
        } else {
            line.to_owned()
        };
        out += "\n";
    }
    out
}

/// `replay` of a text.
fn replayed(text: &str, arguments: &[&str]) -> String {
    without_times(&stdout(&replay_with_input(&[arguments, &["-"]].concat(), text.as_bytes())))
}

#[test]
fn three_domains() {
    let text = std::fs::read_to_string(data("three-domains.trace.txt")).unwrap();
    assert_golden("three-domains.txt", &replayed(&text, &["-f", "vtdss,amdv1,riscv_64,rockchip_v2"]));
}

#[test]
fn from_the_middle_in_colour() {
    let text = std::fs::read_to_string(data("from-the-middle.trace.txt")).unwrap();
    assert_golden("from-the-middle.ansi", &replayed(&text, &["-f", "vtdss,amdv1", "--color", "always"]));
}

#[test]
fn anomalies() {
    let lines = [
        map(0x20_0000, 0x4000_0000, 0x20_0000),
        map(0x20_1000, 0x9000, 0x1000),   // taken
        unmap(0x20_1000, 0x1000, 0x1000), // inside a large leaf
        unmap(0x80_0000, 0x1000, 0x1000), // never mapped
        map(1 << 40, 0, 0x1000),          // too high for 32 bits
    ];
    assert_golden("anomalies.txt", &replayed(&lines.concat(), &["-f", "vtdss,amdv1,rockchip_v2"]));
}

#[test]
fn json_of_a_small_trace() {
    let lines = [map(0x20_0000, 0x4000_0000, 0x20_1000), unmap(0x20_0000, 0x20_1000, 0x20_1000)];
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(path.path(), lines.concat()).unwrap();
    let report = timeless(json(&["-f", "vtdss", path.path().to_str().unwrap()]));
    assert_golden("small.json", &(serde_json::to_string_pretty(&report).unwrap() + "\n"));
}

#[test]
fn help_of_replay() {
    assert_golden("replay-help.txt", &stdout(&genpt(&["replay", "--help"])));
}
