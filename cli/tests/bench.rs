//! `genpt bench`: the rows, and what they are made of.

mod common;

use common::{failure, genpt, stdout};
use serde_json::Value;

#[test]
fn rows_are_as_in_the_benchmark_of_linux() {
    let text = stdout(&genpt(&["bench", "-f", "vtdss", "--time", "1"]));
    let rows = |operation: &str| -> Vec<String> {
        let lines = text.lines().skip_while(|line| *line != operation).skip(1);
        lines.take_while(|line| line.contains(',')).map(|line| line.replace(' ', "")).collect()
    };
    for (operation, sizes) in [
        ("map_range", &["2^12", "2^21", "2^30", "256*2^12", "256*2^21", "256*2^30"][..]),
        ("unmap_range", &["2^12", "2^21", "2^30", "256*2^12", "256*2^21", "256*2^30"]),
        ("iova_to_phys", &["2^12", "2^21", "2^30"]),
    ] {
        let rows = rows(operation);
        assert_eq!(rows[0], "pgsz,avg,min", "{text}");
        for (row, size) in rows[1..].iter().zip(sizes) {
            let columns: Vec<&str> = row.split(',').collect();
            let numbers: Vec<f64> = columns[1..].iter().map(|number| number.parse().unwrap()).collect();
            assert!(columns[0] == *size && numbers.len() == 2 && numbers[1] <= numbers[0], "{text}");
        }
        assert_eq!(rows.len(), sizes.len() + 1, "{text}");
    }
    assert!(text.lines().next().unwrap().contains(std::env::consts::ARCH), "{text}");
}

#[test]
fn json_has_every_format_that_was_asked_for() {
    let text = stdout(&genpt(&["bench", "--json", "--time", "1"]));
    let report: Value = serde_json::from_str(&text).unwrap();
    assert!(!report["machine"]["cpu"].as_str().unwrap().is_empty());
    let formats = report["formats"].as_array().unwrap();
    for name in ["amdv1", "x86_64", "rockchip_v2", "armv8_64k", "dart"] {
        let format = formats.iter().find(|format| format["format"] == name).expect(name);
        for operation in ["map", "unmap", "translate"] {
            let rows = format[operation].as_array().unwrap();
            assert!(!rows.is_empty(), "{name} {operation}");
            for row in rows {
                let (avg, min) = (row["avg"].as_f64().unwrap(), row["min"].as_f64().unwrap());
                assert!(avg >= min && min >= 0.0 && avg > 0.0, "{name} {operation}: {row}");
            }
        }
    }
}

#[test]
fn contiguous_pages_if_asked_for() {
    let sizes = |arguments: &[&str]| -> Vec<u64> {
        let arguments = [&["bench", "-f", "riscv_64", "--json", "--time", "1"], arguments].concat();
        let report: Value = serde_json::from_str(&stdout(&genpt(&arguments))).unwrap();
        let rows = report["formats"][0]["translate"].as_array().unwrap();
        rows.iter().map(|row| row["pgsz_lg2"].as_u64().unwrap()).collect()
    };
    assert_eq!(sizes(&[]), [12, 21, 30, 39]);
    assert_eq!(sizes(&["--all-sizes"]), [12, 16, 21, 30, 39]);
    assert_eq!(sizes(&["--va-bits", "39"]), [12, 21, 30]);
}

#[test]
fn wrong_arguments() {
    let (code, error) = failure(&genpt(&["bench", "-f", "vtdss", "--va-bits", "12"]));
    assert_eq!(code, 2);
    assert!(error.contains("vtdss") && error.contains("12"), "{error}");
    assert_eq!(failure(&genpt(&["bench", "--va-bits", "12"])).0, 2);
    assert_eq!(failure(&genpt(&["bench", "--time", "0"])).0, 2);
}
