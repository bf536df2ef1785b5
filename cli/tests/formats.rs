//! `genpt formats`: the list, one format in full, and JSON.

mod common;

use common::{failure, genpt, stdout};
use rstest::rstest;
use serde_json::Value;

#[test]
fn the_list_has_every_format() {
    let text = stdout(&genpt(&["formats"]));
    let row =
        |name: &str| text.lines().find(|line| line.split_whitespace().next() == Some(name)).expect(name).to_owned();
    assert!(row("amdv1").contains("4 KiB to 256 GiB, 1 TiB to 2 PiB"), "{text}");
    assert!(row("rockchip_v2").contains("32 / 40"), "{text}");
    assert!(text.lines().all(|line| line.len() <= 160), "{text}");
}

#[test]
fn a_format_in_full() {
    let text = stdout(&genpt(&["formats", "rockchip_v2", "armv8_4k"]));
    // An address in pieces, a field of some items, and a feature with what it is.
    assert!(text.contains("31:12, 11:8, 7:4 OA  = address 31:12, 35:32, 39:36"), "{text}");
    assert!(text.contains("AP_RO  [leaves, without STAGE_2]\n            AP[2]: read-only"), "{text}");
    assert!(text.contains("  STAGE_2\n    A stage 2 table"), "{text}");
    assert!(text.contains("For the hardware\n  dte_addr\n    The address of the top"), "{text}");
    let text = stdout(&genpt(&["formats", "amdv1", "riscv_64_g"]));
    assert!(text.contains("Configuration\n  starting_level\n"), "{text}");
    assert!(text.contains("Sections of the specification\n  RISC-V privileged architecture, "), "{text}");
    assert!(text.contains("\n    the field PBMT\n"), "{text}");
    assert!(!text.contains("crate::"), "no target of a link: {text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}

#[test]
fn json_of_all() {
    let formats: Value = serde_json::from_str(&stdout(&genpt(&["formats", "--json"]))).expect("JSON");
    let formats = formats.as_array().expect("a list");
    let vtdss = formats.iter().find(|format| format["name"] == "vtdss").expect("there");
    assert_eq!(vtdss["page_sizes"], serde_json::json!([0x1000, 0x20_0000, 0x4000_0000]));
    assert_eq!((&vtdss["va_bits"], &vtdss["oa_bits"], &vtdss["item_bits"]), (&57.into(), &52.into(), &64.into()));
    for format in formats {
        let name = &format["name"];
        assert!(!format["documentation"].as_str().expect("text").is_empty(), "{name}");
        for field in format["fields"].as_array().expect("a list") {
            assert!(!field["documentation"].as_str().expect("text").is_empty(), "{name}: {field}");
        }
    }
}

#[test]
fn an_unknown_format_is_named_with_the_valid_ones() {
    let (code, text) = failure(&genpt(&["formats", "amdv9"]));
    assert_eq!(code, 2);
    assert!(text.contains("amdv9") && text.contains("possible values: amdv1, amdv1_mock"), "{text}");
}

/// Errors of the arguments took several paragraphs, and had no hint.
#[rstest]
#[case::value(&["formats", "amdv9"], "invalid value 'amdv9' for '[NAME]...' [possible values: amdv1", "a similar value exists: 'amdv1'")]
#[case::option(&["dump", "image", "--frmat", "x86_64"], "unexpected argument '--frmat' found", "a similar argument exists: '--format'")]
#[case::missing(&["walk"], "the following required arguments were not provided: <IMAGE> <VA>...", "used as `genpt walk ")]
#[case::number(&["walk", "image", "0xg"], "invalid value '0xg' for '<VA>...': ", "`genpt walk --help`")]
#[case::escapes(&["formats", "a\u{202e}b"], "invalid value 'a\\u{202e}b' for", "")]
fn errors_of_the_arguments(#[case] arguments: &[&str], #[case] error: &str, #[case] hint: &str) {
    let (code, text) = failure(&genpt(arguments));
    let lines: Vec<&str> = text.lines().collect();
    assert!(code == 2 && lines.len() == 2, "{text}");
    assert!(lines[0].starts_with(&format!("error: {error}")), "{text}");
    assert!(lines[1].starts_with("hint: ") && lines[1].contains(hint), "{text}");
}
