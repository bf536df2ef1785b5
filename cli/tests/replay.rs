//! The main job: real traces in all formats.

mod common;

use common::{built_in, data, failure, json, map, replay, replay_with_input, stdout, timeless, unmap};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::fs;
use std::io::Read;

const FORMATS: &[&str] = &[
    "amdv1",
    "amdv1_mock",
    "x86_64",
    "vtdss",
    "ept",
    "x86_pae",
    "ppc64_radix",
    "s390",
    "rockchip_v2",
    "riscv_64",
    "riscv_64_g",
    "armv8_4k",
    "armv7s",
    "mali_lpae",
    "dart",
    "riscv_32",
    "riscv_32_g",
];

#[test]
fn without_arguments_it_shows_all_formats_side_by_side() {
    let text = stdout(&replay(&[]));
    for format in FORMATS {
        let is_header = |line: &&str| line.split_whitespace().all(|word| FORMATS.contains(&word));
        assert!(
            text.lines().filter(is_header).any(|line| line.split_whitespace().any(|word| word == *format)),
            "{text}"
        );
    }
    assert!(text.contains("7798 events: 5054 maps, 2744 unmaps; 1 domain"), "{text}");
    assert!(text.contains("live at the peak: 4.18 MiB, 1071 pages"), "{text}");
    assert!(text.contains("most map events at once: 294"), "{text}");
    assert!(text.contains("live at the end:  0 B, 0 pages, 0 map events"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}

#[test]
fn the_built_in_trace_in_numbers() {
    let report = json(&["--check"]);
    assert_eq!(report["trace"]["begins"], "empty");
    assert_eq!(report["trace"]["other_events"], json!({ "tracing_mark_write": 14 }));
    for name in FORMATS {
        let format = &report["formats"][name];
        assert_eq!(format["format"], *name);
        for (key, value) in [
            ("events", 7798),
            ("maps", 5054),
            ("unmaps", 2744),
            ("peak_live_bytes", 4_386_816),
            ("peak_live_pages", 1071),
            ("peak_live_maps", 294),
            ("end_live_bytes", 0),
            ("end_live_pages", 0),
            ("end_live_maps", 0),
            ("unmaps_before_trace", 0),
            ("refused_bytes", 0),
        ] {
            assert_eq!(format[key], value, "{name} {key}");
        }
        assert_eq!(format["anomalies"], json!([]), "{name}");
        assert_eq!(format["end_leaves"], json!({}), "{name}");
        assert_eq!(format["invalidations"]["strict"]["ranges"], 2744, "{name}");
        assert_eq!(format["invalidations"]["queued"]["full_flushes"], 11, "{name}");
        assert!(format["time_ns"]["map"]["median"].is_number(), "{name}");
        assert_eq!(format["time_ns"]["unmap"]["operations"], 2744, "{name}");
        let leaf_bytes = format["leaves"].as_object().unwrap().iter();
        let leaf_bytes: u64 =
            leaf_bytes.map(|(size, count)| size.parse::<u64>().unwrap() * count.as_u64().unwrap()).sum();
        assert_eq!(leaf_bytes, 4_386_816, "{name}");
    }
    let formats = &report["formats"];
    assert_eq!(formats["x86_64"]["leaves"], json!({ "4096": 1071 }));
    assert_eq!(formats["amdv1"]["leaves"], json!({ "4096": 47, "524288": 8 }));
    assert_eq!(formats["riscv_64"]["leaves"], json!({ "4096": 47, "65536": 64 }));
    assert_eq!(formats["amdv1"]["peak_table_pages"], 5);
    assert_eq!(formats["x86_64"]["peak_table_pages"], 6);
    assert_eq!(formats["x86_64"]["peak_table_bytes"], 6 * 4096);
}

#[test]
fn policies_differ_where_gaps_matter() {
    let formats = json(&["-f", "x86_64,vtdss,amdv1_mock"])["formats"].take();
    let x86 = &formats["x86_64"]["invalidations"];
    let number = |policy: &str, key: &str| x86[policy][key].as_u64().unwrap();
    assert_eq!(number("batched_no_gaps", "bytes"), number("strict", "bytes"));
    assert!(number("batched_flush_range", "bytes") > number("strict", "bytes"));
    assert!(number("batched_flush_range", "ranges") < number("batched_no_gaps", "ranges"));
    assert!(number("batched_no_gaps", "ranges") < number("strict", "ranges"));
    assert_eq!(formats["vtdss"]["invalidations"]["batched_no_gaps"], Value::Null);
    assert_eq!(formats["amdv1_mock"]["invalidations"]["batched_flush_range"], Value::Null);
    let queued = json(&["-f", "vtdss", "--queue", "1"]);
    assert_eq!(queued["formats"]["vtdss"]["invalidations"]["queued"]["full_flushes"], 2744);
}

#[test]
fn plain_gzip_and_standard_input_are_equal() {
    let packed = fs::read(built_in()).unwrap();
    let mut plain = Vec::new();
    GzDecoder::new(&packed[..]).read_to_end(&mut plain).unwrap();
    let directory = tempfile::tempdir().unwrap();
    // The names say the wrong thing: the content counts.
    let (plain_path, packed_path) = (directory.path().join("plain.gz"), directory.path().join("packed.txt"));
    fs::write(&plain_path, &plain).unwrap();
    fs::write(&packed_path, &packed).unwrap();
    let expected = timeless(json(&["-f", "vtdss"]));
    for path in [plain_path, packed_path, built_in()] {
        assert_eq!(timeless(json(&["-f", "vtdss", path.to_str().unwrap()])), expected);
    }
    for input in [&plain, &packed] {
        let text = stdout(&replay_with_input(&["--json", "-f", "vtdss", "-"], input));
        assert_eq!(timeless(serde_json::from_str(&text).unwrap()), expected);
    }
}

#[test]
fn a_cut_off_gzip_is_an_error() {
    let packed = fs::read(built_in()).unwrap();
    let (code, error) = failure(&replay_with_input(&["-"], &packed[..packed.len() / 2]));
    assert_eq!(code, 1);
    assert!(error.contains("(standard input):") && error.contains("the compressed data is cut off"), "{error}");
    let (_, error) = failure(&replay_with_input(&["-"], &packed[..5]));
    assert!(error.contains("the compressed data is cut off"), "{error}");
}

#[test]
fn domains_are_split() {
    let path = data("three-domains.trace.txt");
    let report = json(&["--check", path.to_str().unwrap()]);
    assert_eq!(report["trace"]["unpaired_domain_lines"], 0);
    assert_eq!(report["trace"]["events_without_domain"], 0);
    for name in FORMATS {
        let format = &report["formats"][name];
        assert_eq!((&format["maps"], &format["unmaps"]), (&json!(50), &json!(18)));
        assert_eq!(format["anomalies"], json!([]));
        let domains = format["domains"].as_array().unwrap();
        let facts: Vec<(&str, u64, u64, u64)> = domains
            .iter()
            .map(|domain| {
                let number = |key: &str| domain[key].as_u64().unwrap();
                (domain["name"].as_str().unwrap(), number("maps"), number("unmaps"), number("end_live_bytes"))
            })
            .collect();
        let expected =
            [("0xffff88afc2086a00", 11, 11, 0), ("0xffff88afc2087400", 35, 3, 0), ("0xffff88afc2087c00", 4, 4, 0)];
        assert_eq!(facts, expected);
        assert!(domains.iter().all(|domain| domain["peak_table_pages"].as_u64().unwrap() >= 2));
    }
    let text = stdout(&replay(&[path.to_str().unwrap()]));
    assert!(text.contains("  domain 0xffff88afc2087400: 35 maps, 3 unmaps\n"), "{text}");
}

#[test]
fn one_table_for_three_domains_shows_a_double_map() {
    let text = fs::read_to_string(data("three-domains.trace.txt")).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("d_map:") && !line.contains("d_unmap:")).collect();
    let report = common::json_of(&lines.join("\n"), &["-f", "amdv1"]);
    let counts = &report["formats"]["amdv1"]["anomaly_counts"];
    assert_eq!((&counts["double_map"], &counts["unmap_of_nothing"]), (&json!(1), &json!(1)));
    assert_eq!(report["formats"]["amdv1"]["anomalies"][0]["line"], 74);
}

#[test]
fn a_trace_from_the_middle() {
    let path = data("from-the-middle.trace.txt");
    let path = path.to_str().unwrap();
    let report = json(&["--check", path]);
    assert_eq!(report["trace"]["begins"], "middle");
    assert_eq!(report["trace"]["complete_from_line"], 106);
    for name in FORMATS {
        let format = &report["formats"][name];
        assert_eq!(format["unmaps_before_trace"], 28);
        assert_eq!(format["bytes_before_trace"], 245_760);
        assert_eq!(format["end_live_bytes"], 143_360);
        assert_eq!(format["peak_live_bytes"], 221_184);
        assert_eq!(format["anomalies"], json!([]));
        // What was mapped before is not in the table, so nothing is invalidated for it.
        assert_eq!(format["invalidations"]["strict"]["ranges"], 75 - 28);
    }
    let text = stdout(&replay(&[path]));
    assert!(text.contains("begins in the middle; complete from line 106"), "{text}");
    assert!(text.contains("unmaps of what was mapped before the trace: 28 (240 KiB)"), "{text}");
    let strict = json(&["-f", "vtdss", "--start", "empty", path]);
    assert_eq!(strict["formats"]["vtdss"]["anomaly_counts"]["unmap_of_nothing"], 28);
    assert_eq!(
        (&strict["trace"]["complete_from_line"], &strict["trace"]["events_missing_before_line"]),
        (&Value::Null, &json!(106))
    );
}

/// With `--start empty` it said that there is no sign of missing events, whatever the trace shows.
#[test]
fn a_trace_that_is_said_to_begin_empty() {
    let path = data("from-the-middle.trace.txt");
    let text = stdout(&replay(&["-f", "vtdss", "--start", "empty", path.to_str().unwrap()]));
    let says = "  taken to begin with nothing mapped, but:\n    events before line 106 are missing, as the text shows\n    \
                27 unmaps of what was never mapped in the trace\n";
    assert!(text.contains(says) && text.contains("Without `--start empty` they are taken for"), "{text}");
    // The same where nothing was said, and only the unmaps show it.
    let late = [unmap(0x1000, 0x1000, 0x1000), map(0x2000, 0x9000, 0x1000)].concat();
    let output = replay_with_input(&["-f", "vtdss", "-"], late.as_bytes());
    let text = stdout(&output);
    let says = "nothing mapped, but:\n    1 unmap of what was never mapped in the trace\n";
    assert!(text.contains(says) && text.contains("say `--start middle`"), "{text}");
    // An unmap of what was unmapped already is odd, and no sign of that.
    let twice = [map(0x1000, 0x9000, 0x1000), unmap(0x1000, 0x1000, 0x1000), unmap(0x1000, 0x1000, 0x1000)].concat();
    let text = stdout(&replay_with_input(&["-f", "vtdss", "--start", "empty", "-"], twice.as_bytes()));
    assert!(text.contains("begins with nothing mapped (no sign of missing events)"), "{text}");
}

#[test]
fn formats_are_chosen_by_name() {
    let report = json(&["--format", "vtdss,amdv1", "-f", "vtdss"]);
    let names: Vec<&String> = report["formats"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["amdv1", "vtdss"]);
    let text = stdout(&replay(&["-f", "vtdss,amdv1"]));
    assert!(text.lines().any(|line| line.split_whitespace().eq(["vtdss", "amdv1"])), "{text}");
    let (code, error) = failure(&replay(&["-f", "foo"]));
    assert_eq!(code, 2);
    for name in FORMATS {
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn several_traces_one_after_the_other() {
    let (one, two) = (data("three-domains.trace.txt"), data("from-the-middle.trace.txt"));
    let text = stdout(&replay(&["--json", "-f", "vtdss", one.to_str().unwrap(), two.to_str().unwrap()]));
    let reports: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(reports.len(), 2);
    assert_eq!(reports[1]["trace"]["begins"], "middle");
}

#[test]
fn nothing_replayed_is_a_failure() {
    let output = replay(&["--va-bits", "12"]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("no format can be set up as asked"), "{error}");
}

#[test]
fn va_bits() {
    let report = json(&["-f", "x86_64", "--va-bits", "57"]);
    assert_eq!(
        (&report["formats"]["x86_64"]["va_bits"], &report["formats"]["x86_64"]["levels"]),
        (&json!(57), &json!(5))
    );
    let report = json(&["--va-bits", "39"]);
    assert_eq!(report["formats"]["riscv_64"]["levels"], 3);
    let (code, error) = failure(&replay(&["-f", "riscv_64", "--va-bits", "40"]));
    assert_eq!(code, 2);
    assert!(error.contains("riscv_64") && error.contains("40"), "{error}");
    let report = json(&["--va-bits", "40"]);
    assert!(report["not_replayed"]["riscv_64"].as_str().unwrap().contains("40"));
}

/// Formats with pages of more than 4 KiB are left out unless they are asked for: then they map what fits.
#[test]
fn larger_granules() {
    let report = json(&[]);
    assert!(report["formats"]["armv8_16k"].is_null());
    assert!(report["not_replayed"]["armv8_16k"].as_str().unwrap().contains("16 KiB"), "{report}");
    let report = json(&["-f", "armv8_16k", "--check"]);
    let format = &report["formats"]["armv8_16k"];
    assert!(format["refused_bytes"].as_u64().unwrap() > 0);
    assert!(format["peak_table_pages"].as_u64().unwrap() > 0);
}

/// Formats whose tables lie low had 256 MiB of addresses for each domain, and names of domains were compared one by one.
#[test]
fn tens_of_thousands_of_domains() {
    let line = |n: u64| map(0x1000, n << 12, 4096).replace('\n', &format!(" device={n:05}\n"));
    let text: String = (0..30_000).map(line).collect();
    let arguments = ["--json", "--table-memory", "600", "-f", "rockchip_v2", "-"];
    let report: Value = serde_json::from_str(&stdout(&replay_with_input(&arguments, text.as_bytes()))).unwrap();
    let format = &report["formats"]["rockchip_v2"];
    assert_eq!(format["domains"].as_array().unwrap().len(), 30_000);
    assert_eq!(format["peak_table_bytes"], 30_000 * 8192);
    // What is more than is allowed is no table, and says so.
    let arguments = ["--table-memory", "100", "-f", "rockchip_v2", "-"];
    let (code, text) = failure(&replay_with_input(&arguments, text.as_bytes()));
    assert!(code == 2 && text.contains("--table-memory"), "{text}");
}

/// Who read only the first line got no page, and was told nothing.
#[test]
fn a_page_is_written_though_nobody_reads_the_text() {
    let page = tempfile::tempdir().unwrap();
    let page = page.path().join("page.html");
    let trace = data("three-domains.trace.txt");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_genpt"));
    command.args(["replay", "-f", "vtdss", trace.to_str().unwrap(), "--html", page.to_str().unwrap()]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert!(command.stdout(writer).status().unwrap().success());
    assert!(std::fs::read_to_string(&page).unwrap().contains("</html>"));
}

/// All anomalies were kept with their texts, once for each format: a trace that was switched on late took gigabytes.
#[test]
fn of_very_many_anomalies_the_first_are_told() {
    let unmap = |n: u64| {
        let (first, behind) = (n << 12, (n + 1) << 12);
        format!(
            "  t-1 [000] ..... {n}.000001: unmap: IOMMU: iova={first:#x} - {behind:#x} size=4096 unmapped_size=4096\n"
        )
    };
    let trace: String = std::iter::once("# tracer: nop\n".to_owned()).chain((0..5000).map(unmap)).collect();
    let of = |options: &[&str]| {
        stdout(&replay_with_input(&[&["-f", "vtdss,amdv1", "-"], options].concat(), trace.as_bytes()))
    };
    let report: Value = serde_json::from_str(&of(&["--json"])).unwrap();
    for format in ["vtdss", "amdv1"] {
        let format = &report["formats"][format];
        let anomalies = format["anomalies"].as_array().unwrap();
        assert_eq!(format["anomaly_counts"]["unmap_of_nothing"], 5000);
        assert_eq!((anomalies.len(), &anomalies[999]["line"]), (1000, &json!(1001)));
    }
    let text = of(&[]);
    assert!(text.contains("\n  ... and 4995 more; `--json` has the first 1000\n"), "{text}");
    assert!(text.contains("say `--start middle`"), "{text}");
}

/// Zeros behind a gzip file, which gzip(1) passes over, were an error.
#[test]
fn zeros_behind_a_gzip() {
    let padded = [fs::read(built_in()).unwrap(), vec![0; 5000]].concat();
    let text = stdout(&replay_with_input(&["--json", "-f", "vtdss", "-"], &padded));
    assert_eq!(timeless(serde_json::from_str(&text).unwrap()), timeless(json(&["-f", "vtdss"])));
}
