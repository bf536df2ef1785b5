//! Figures over time: bounded, complete, and right at their ends.

mod common;

use common::{data, json, map, replay_with_input, stdout, unmap};
use serde_json::Value;

fn numbers(list: &Value) -> Vec<u64> {
    list.as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect()
}

/// The most of a list.
fn most(list: &Value) -> u64 {
    numbers(list).into_iter().max().unwrap()
}

#[test]
fn peaks_and_ends_are_those_of_the_report() {
    for trace in [None, Some(data("three-domains.trace.txt")), Some(data("from-the-middle.trace.txt"))] {
        let report = json(trace.iter().map(|path| path.to_str().unwrap()).collect::<Vec<_>>().as_slice());
        let samples = &report["trace"]["samples"];
        let count = numbers(&samples["lines"]).len();
        let events = report["formats"]["vtdss"]["events"].as_u64().unwrap();
        assert_eq!(count as u64, events.div_ceil(samples["every_events"].as_u64().unwrap()));
        assert!(count <= 512, "{count}");
        for (name, format) in report["formats"].as_object().unwrap() {
            assert_eq!(most(&samples["live_bytes"]), format["peak_live_bytes"].as_u64().unwrap(), "{name}");
            let tables = &format["samples"];
            assert_eq!(most(&tables["table_pages"]), format["peak_table_pages"].as_u64().unwrap(), "{name}");
            assert_eq!(most(&tables["table_bytes"]), format["peak_table_bytes"].as_u64().unwrap(), "{name}");
            let mut mapped = vec![0; count];
            for (size, column) in tables["leaves"].as_object().unwrap() {
                let column = numbers(column);
                assert_eq!(column.len(), count, "{name} {size}");
                let size: u64 = size.parse().unwrap();
                mapped.iter_mut().zip(column).for_each(|(sum, leaves)| *sum += leaves * size);
            }
            assert_eq!(mapped, numbers(&samples["live_bytes"]), "{name}");
        }
    }
}

#[test]
fn a_long_trace_has_no_more_samples() {
    let text: String = (0..1000u64).map(|page| map(page << 12, page << 12, 4096)).collect();
    let text = text + &unmap(0, 1000 << 12, 1000 << 12);
    let output = replay_with_input(&["--json", "-f", "vtdss", "-"], text.as_bytes());
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let samples = &report["trace"]["samples"];
    assert_eq!((samples["every_events"].as_u64(), numbers(&samples["lines"]).len()), (Some(2), 501));
    // The number of pages after two events, four, six; and nothing after the last.
    let leaves = numbers(&report["formats"]["vtdss"]["samples"]["leaves"]["4096"]);
    let expected: Vec<u64> = (1..=500).map(|sample| 2 * sample).chain([0]).collect();
    assert_eq!(leaves, expected);
}

/// The leaves of every sample against those of the table: the trace cut off at each event.
#[test]
fn every_sample_is_what_the_table_has() {
    let events = [
        map(0x20_0000, 0x4000_0000, 0x40_0000),
        map(0x10_0000, 0x4003_0000, 0x1_2000),
        unmap(0x20_1000, 0x1000, 0x1000), // a part of a large leaf, where there is one
        map(0x20_1000, 0x1000, 0x1000),
        unmap(0x10_0000, 0x8000, 0x8000),
        unmap(0x20_0000, 0x40_0000, 0x40_0000),
        map(0x20_0000, 0x4000_0000, 0x20_0000),
    ];
    let run = |text: &str| -> Value {
        let output = replay_with_input(&["--json", "--va-bits", "48", "-"], text.as_bytes());
        serde_json::from_str(&stdout(&output)).unwrap()
    };
    let whole = run(&events.concat());
    for (last, _) in events.iter().enumerate() {
        let part = run(&events[..=last].concat());
        for (name, format) in part["formats"].as_object().unwrap() {
            for (size, column) in whole["formats"][name]["samples"]["leaves"].as_object().unwrap() {
                let found = format["end_leaves"][size].as_u64().unwrap_or(0);
                assert_eq!(column[last].as_u64(), Some(found), "{name}, {size}, event {last}");
            }
        }
    }
}

#[test]
fn curves_are_in_the_text() {
    let text = stdout(&common::replay(&["-f", "amdv1,vtdss"]));
    let line = |label: &str| text.lines().find(|line| line.trim_start().starts_with(label)).expect(label).to_owned();
    assert!(text.contains("over time (488 samples of 16 events each"), "{text}");
    for label in ["live bytes", "amdv1 tables", "leaves of 512 KiB", "vtdss tables"] {
        assert!(line(label).contains(['▁', '▄', '█']), "{text}");
    }
    assert!(line("live bytes").ends_with("4.18 MiB"), "{text}");
}
