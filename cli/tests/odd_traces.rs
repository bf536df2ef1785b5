//! Traces that are damaged, or describe what no table would do.

mod common;

use common::{data, failure, json_of, map, replay_with_input, stdout, unmap};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The anomalies of a format, as kind and line.
fn anomalies(report: &Value, format: &str) -> Vec<(String, u64)> {
    let list = report["formats"][format]["anomalies"].as_array().unwrap();
    list.iter().map(|one| (one["kind"].as_str().unwrap().to_owned(), one["line"].as_u64().unwrap())).collect()
}

#[test]
fn a_malformed_line_is_shown_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bad.txt");
    let bad = "  t-1 [000] ..... 1.0: map: IOMMU: iova=0x1000 - 0x2000 paddr=zz size=4096";
    std::fs::write(&path, format!("# tracer: nop\n{}{bad}\n{}", map(0, 0, 4096), unmap(0, 4096, 4096))).unwrap();
    let path = path.to_str().unwrap();
    let (code, error) = failure(&common::replay(&[path]));
    assert_eq!(code, 1);
    assert!(error.contains(&format!("{path}:3: `paddr=zz`")), "{error}");
    assert!(error.contains(bad.trim()), "{error}");
    assert!(error.contains("expected: `map: IOMMU: iova=0xSTART - 0xEND paddr=0xADDRESS size=BYTES`"), "{error}");
    assert!(error.contains("--lenient"), "{error}");
    let report = common::json(&["--lenient", path]);
    assert_eq!(report["trace"]["malformed_lines"], 1);
    assert_eq!(report["formats"]["vtdss"]["events"], 2);
    let text = stdout(&common::replay(&["--lenient", path]));
    assert!(text.contains("malformed lines, skipped: 1"), "{text}");
}

#[test]
fn nothing_to_replay() {
    for input in ["", "# tracer: nop\n", "  t-1 [000] ..... 1.0: tracing_mark_write: map\n"] {
        let (code, error) = failure(&replay_with_input(&["-"], input.as_bytes()));
        assert_eq!(code, 1);
        assert!(error.contains("no `map:` or `unmap:` event"), "{error}");
    }
    let (code, error) = failure(&common::replay(&["no/such/file"]));
    assert_eq!(code, 1);
    assert!(error.contains("cannot open the trace no/such/file"), "{error}");
    failure(&common::replay(&[data("").to_str().unwrap()]));
}

#[test]
fn double_map_and_unmap_of_nothing() {
    let text = [
        map(0x1000, 0x1000, 0x2000),
        map(0x0, 0x9000, 0x2000), // its second page is taken
        unmap(0x1000, 0x2000, 0x2000),
        unmap(0x0, 0x1000, 0x1000), // the double map was not applied
        unmap(0x5000, 0x1000, 0x1000),
    ];
    let report = json_of(&text.concat(), &[]);
    let expected =
        [("double_map".to_owned(), 2), ("unmap_of_nothing".to_owned(), 4), ("unmap_of_nothing".to_owned(), 5)];
    for format in ["amdv1", "amdv1_mock", "x86_64", "vtdss", "riscv_64"] {
        assert_eq!(anomalies(&report, format), expected);
        assert_eq!(report["formats"][format]["end_live_bytes"], 0);
        assert_eq!(report["formats"][format]["peak_live_bytes"], 0x2000);
    }
    let report = json_of(&text.concat(), &["--start", "middle"]);
    assert_eq!(anomalies(&report, "vtdss"), [("double_map".to_owned(), 2)]);
    assert_eq!(report["formats"]["vtdss"]["unmaps_before_trace"], 2);
}

#[test]
fn a_part_of_a_large_leaf() {
    let text = [
        map(0x20_0000, 0x4000_0000, 0x20_0000),
        unmap(0x20_1000, 0x1000, 0x1000), // inside: no table of this crate splits a leaf
        unmap(0x20_0000, 0x1000, 0x1000), // an end of what is left
        unmap(0x20_2000, 0x1f_e000, 0x1f_e000),
    ];
    let report = json_of(&text.concat(), &["-f", "x86_64,amdv1"]);
    let expected = [("unmap_size_in_table".to_owned(), 2)];
    for format in ["x86_64", "amdv1"] {
        assert_eq!(anomalies(&report, format), expected);
        assert_eq!(report["formats"][format]["end_live_bytes"], 0);
        // Putting the table right is not the trace's work.
        assert_eq!(report["formats"][format]["time_ns"]["map"]["operations"], 1);
        assert_eq!(report["formats"][format]["time_ns"]["unmap"]["operations"], 3);
    }
    let text = [map(0x20_0000, 0x4000_0000, 0x20_0000), unmap(0x20_0000, 0x1000, 0x1000)].concat();
    let report = json_of(&text, &["-f", "x86_64"]);
    let anomaly = report["formats"]["x86_64"]["anomalies"][0]["text"].as_str().unwrap();
    assert_eq!(anomaly, "IOVA 0x0000000000200000: 2097152 bytes removed where the traced table removed 4096");
    assert_eq!(report["formats"]["x86_64"]["end_live_bytes"], 0x1f_f000);
    assert_eq!(report["formats"]["x86_64"]["end_leaves"], json!({ "4096": 511 }));
}

#[test]
fn the_traced_table_removed_something_else() {
    let text = [map(0, 0, 0x2000), unmap(0, 0x3000, 0x2000), unmap(0, 0x1000, 0)];
    let report = json_of(&text.concat(), &["-f", "vtdss"]);
    let kinds: Vec<String> = anomalies(&report, "vtdss").into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["unmap_size_in_trace", "unmap_size_in_trace", "unmap_of_nothing"]);
}

#[test]
fn what_a_format_refuses_is_left_out_with_its_unmap() {
    let last = u64::MAX - 0xfff;
    let text = [
        map(0x1000, 0x1000, 0x1000),
        map(last, 0x2000, 0x1000),    // the last page of the address space: an end of 0
        map(0x4000, 1 << 60, 0x1000), // no such physical address
        unmap(0x1000, 0x1000, 0x1000),
        unmap(last, 0x1000, 0x1000),
        unmap(0x4000, 0x1000, 0x1000),
        map(0x8000, 0x10_0000_0800, 0x800), // only the mock has such pages
        unmap(0x8000, 0x800, 0x800),
    ];
    let report = json_of(&text.concat(), &[]);
    let refused = |lines: &[u64]| lines.iter().map(|line| ("refused".to_owned(), *line)).collect::<Vec<_>>();
    assert_eq!(anomalies(&report, "amdv1"), refused(&[3, 7]));
    assert_eq!(anomalies(&report, "amdv1_mock"), refused(&[2, 3]));
    assert_eq!(anomalies(&report, "riscv_64"), refused(&[2, 3, 7]));
    assert_eq!(report["formats"]["riscv_64"]["va_bits"], 57);
    assert_eq!(report["formats"]["riscv_64"]["refused_bytes"], 0x2800);
    let output = replay_with_input(&["-f", "x86_64", "-"], text.concat().as_bytes());
    let text = stdout(&output);
    assert!(text.contains("refused maps, x86_64:\n  (standard input):2: VA 0xfffffffffffff000"), "{text}");
    assert!(text.contains("10 KiB left out, with their unmaps"), "{text}");
}

#[test]
fn unmaps_that_are_missing() {
    let text = [
        map(0x1000, 0x1000, 0x3000),
        "CPU:0 [LOST 3 EVENTS]\n".to_owned(),
        map(0x2000, 0x8000, 0x1000), // so the map of line 1 is gone
        unmap(0x2000, 0x1000, 0x1000),
    ];
    let report = json_of(&text.concat(), &["-f", "x86_64,riscv_64"]);
    assert_eq!(report["trace"]["lost_events"], 3);
    let format = &report["formats"]["x86_64"];
    assert_eq!((&format["maps_over_lost_unmaps"], &format["end_live_bytes"]), (&json!(1), &json!(0)));
    assert_eq!(format["anomalies"], json!([]));
}

#[test]
fn more_memory_than_there_is() {
    // 32 TiB in 4 KiB pages would need 64 GiB of tables.
    let text = map(0x1000, 0, 1 << 45);
    let report = json_of(&text, &["-f", "amdv1", "--table-memory", "4"]);
    assert_eq!(anomalies(&report, "amdv1"), [("refused".to_owned(), 1)]);
    assert!(report["formats"]["amdv1"]["anomalies"][0]["text"].as_str().unwrap().contains("no memory"));
}

/// A page number near others, so that operations meet.
fn page() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0u64..24, 2 => (0u64..4).prop_map(|n| n * 512), 1 => (0u64..4).prop_map(|n| n << 36 | 0x1ff)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_sequence_keeps_table_and_model_equal(
        operations in prop::collection::vec((any::<bool>(), page(), page(), prop_oneof![3 => 1u64..20, 1 => 500u64..600]), 1..40),
        middle in any::<bool>(),
    ) {
        let text: String = operations
            .iter()
            .map(|(is_map, iova, paddr, pages)| match is_map {
                true => map(iova << 12, paddr << 12, pages << 12),
                false => unmap(iova << 12, pages << 12, pages << 12),
            })
            .collect();
        json_of(&text, if middle { &["--start", "middle"] } else { &[] });
    }

    #[test]
    fn random_bytes_give_an_error_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (code, _) = failure(&replay_with_input(&["--lenient", "-"], &bytes));
        prop_assert_eq!(code, 1);
    }

    #[test]
    fn mutated_traces_give_no_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20), lenient in any::<bool>()) {
        let mut bytes = std::fs::read(data("three-domains.trace.txt")).unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let output = replay_with_input(if lenient { &["--lenient", "--json", "-"] } else { &["--json", "-"] }, &bytes);
        let code = output.status.code().unwrap();
        prop_assert!(code == 0 || code == 1, "{}", String::from_utf8_lossy(&output.stderr));
    }
}
