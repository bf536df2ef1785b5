//! `genpt walk`: every step, and the rule that an item breaks.

mod common;

use common::images::{Bench, SPEC, format_names, on};
use common::{genpt, stdout};
use serde_json::Value;

#[test]
fn a_walk_tells_every_step() {
    let bench = Bench::new(SPEC, &[]);
    let (text, code) = on("walk", &bench.path("image"), &["0x10000123"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("VA 0x10000123: x86_64, 4 levels, top at 0x100000"), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains("  level ")).count(), 4);
    assert!(text.contains("level 0  item    0") && text.contains("P 1  RW 0  U 1  PCD_PWT 0  A 1"), "{text}");
    assert!(text.contains("PA 0x2123, in a page of 4 KiB, r-x, U A"), "{text}");
    let (text, code) = on("walk", &bench.path("image"), &["0x20000000", "--json"]);
    let walk: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &walk[0]["stop"]["rule"], &walk[0]["stop"]["level"]), (4, &"not-present".into(), &1.into()));
    let (text, code) = on("walk", &bench.path("image"), &["0xffff800000000000"]);
    assert!(code == 5 && text.contains("non-canonical") && text.contains("--features SIGN_EXTEND"), "{text}");
    assert!(text.contains("See: x86_64 page tables: Intel SDM vol. 3 chapter 5"), "{text}");
}

/// Bit 7 of a page of 4 KiB, which EPT ignores, was told as reserved.
#[test]
fn ept_ignores_bit_7_of_small_pages() {
    let bench = Bench::new(SPEC, &["--format", "ept"]);
    bench.poke(0x3ff8, bench.peek(0x3ff8) | 1 << 7);
    for (command, options) in [("walk", &["0x1ff000"][..]), ("check", &[])] {
        let (text, code) = on(command, &bench.path("image"), options);
        assert!(code == 0 && !text.contains("reserved"), "{command}: {text}");
    }
}

/// A walk names the rule that an item breaks; a check finds the same, and says by its status how bad it is.
#[test]
fn broken_items_are_named() {
    let broken = |format: &str, change: &dyn Fn(&Bench), va: &str, rule: &str, status: (i32, i32)| {
        let bench = Bench::new(SPEC, &["--format", format]);
        change(&bench);
        let (walk, walked) = on("walk", &bench.path("image"), &[va]);
        let (check, checked) = on("check", &bench.path("image"), &[]);
        assert!(walk.contains(rule), "{rule}: {walk}");
        assert!(check.contains(rule), "{rule}: {check}");
        assert_eq!((walked, checked), status, "{rule}: {walk}{check}");
    };
    // The tables of VA 0 follow each other: item 1 of level 1 is a page of 2 MiB, the last one of level 0 a page of 4 KiB.
    let (large, small) = (0x2008, 0x3ff8);
    let set = |bench: &Bench, at: usize, bit: u32| bench.poke(at, bench.peek(at) | 1 << bit);
    // A page of 512 GiB: reserved, not unknown.
    broken("x86_64", &|bench| set(bench, 0, 7), "0", "reserved-value", (5, 5));
    broken("ept", &|bench| set(bench, 0, 7), "0", "reserved-value", (5, 5));
    broken("ept", &|bench| set(bench, 0x2000, 3), "0", "reserved-value", (5, 5));
    broken("riscv_64", &|bench| set(bench, 0, 6), "0", "foreign", (5, 5));
    broken("x86_64", &|bench| bench.poke(0, 0x7_0000_0007), "0", "outside", (5, 5));
    broken("x86_64", &|bench| set(bench, large, 14), "0x200000", "page-misaligned", (5, 5));
    broken("vtdss", &|bench| set(bench, small, 61), "0x1ff000", "reserved-bits", (4, 4));
    broken("riscv_64", &|bench| set(bench, small, 55), "0x1ff000", "reserved-value", (5, 5));
    // Big endian: bit 10, where a region-table item has none. Its invalid bit is clear, so it is not empty.
    broken("s390", &|bench| set(bench, 0, 50), "0x1ff000", "foreign", (5, 5));
    // What hardware ignores in pointers breaks no rule.
    broken("vtdss", &|bench| bench.poke(0, bench.peek(0) & !0b10), "0x1ff000", "", (0, 0));
    broken("x86_pae", &|bench| bench.poke(0x1000, bench.peek(0x1000) | 0x140), "0x1ff000", "", (0, 0));
    broken("ept", &|bench| bench.poke(0, bench.peek(0) | 1 << 63 | 1 << 9), "0x1ff000", "", (0, 0));
    broken("armv8_4k", &|bench| bench.poke(0, bench.peek(0) | 1 << 51 | 1 << 2), "0x1ff000", "", (0, 0));
    broken("amdv1", &|bench| bench.poke(0, bench.peek(0) | 0x20), "0x1ff000", "", (0, 0));
}

/// The section is that of the rule, or of the field, that is broken; without one it is the format's own.
#[test]
fn the_section_of_the_rule_that_is_broken() {
    type Change<'a> = &'a dyn Fn(&Bench);
    let set = |at: usize, bit: u32| move |bench: &Bench| bench.poke(at, bench.peek(at) | 1 << bit);
    let broken: [(&str, Change<'_>, &str, &str, &str); 8] = [
        ("x86_64", &set(0, 7), "0x1ff000", "reserved-value", "Intel SDM vol. 3 chapter 5, \"Page-fault"),
        ("ept", &set(0, 7), "0x1ff000", "reserved-value", "Intel SDM vol. 3C, \"EPT-ind"),
        ("x86_64", &set(0x2008, 14), "0x200000", "page-misaligned", "Intel SDM vol. 3 chapter 5, \"Linear-address"),
        (
            "riscv_64",
            &set(0x3ff8, 55),
            "0x1ff000",
            "reserved-value",
            "RISC-V privileged architecture, \"Virtual address",
        ),
        ("riscv_64", &set(0x3ff8, 61), "0x1ff000", "reserved-value", "RISC-V privileged architecture, \"Svpbmt\""),
        ("ept", &set(0x3ff8, 3), "0x1ff000", "reserved-value", "Intel SDM vol. 3C, \"EPT-ind"),
        ("vtdss", &set(0x3ff8, 61), "0x1ff000", "reserved-bits", "Intel VT-d specification, 9.8 "),
        (
            "mali_lpae",
            &|bench| bench.poke(0, bench.peek(0) ^ 1),
            "0x1ff000",
            "foreign",
            "Page tables of ARM Mali GPUs in the mode",
        ),
    ];
    for (format, change, va, rule, section) in broken {
        let bench = Bench::new(SPEC, &["--format", format]);
        change(&bench);
        let json = |command: &str, options: &[&str]| {
            let (text, _) = on(command, &bench.path("image"), options);
            serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{command}: {error}: {text}"))
        };
        let walk = json("walk", &[va, "--json"]);
        let check = json("check", &["--json"]);
        let told = walk[0]["oddities"].as_array().unwrap().iter().chain([&walk[0]["stop"]]);
        for (by, findings) in [("walk", told.collect::<Vec<_>>()), ("check", check_findings(&check))] {
            let finding = findings.iter().find(|finding| finding["rule"] == rule);
            let found =
                finding.unwrap_or_else(|| panic!("{format}, {by}: no {rule}: {findings:?}"))["section"].as_str();
            assert!(found.unwrap().starts_with(section), "{format}, {by}, {rule}: {found:?}");
        }
        // As text each section is told once, with its rules.
        for (text, _) in [on("walk", &bench.path("image"), &[va]), on("check", &bench.path("image"), &[])] {
            let lines = text.lines().filter(|line| line.starts_with("See") && line.contains(section));
            assert_eq!(lines.count(), 1, "{format}: {text}");
        }
    }
}

/// What only this tool takes for odd is in no section.
#[test]
fn rules_of_the_tool_have_no_section() {
    let bench = Bench::new(SPEC, &[]);
    bench.poke(0, 0);
    let (text, _) = on("check", &bench.path("image"), &["--json"]);
    let check: Value = serde_json::from_str(&text).unwrap();
    let unreachable = check_findings(&check).into_iter().find(|finding| finding["rule"] == "unreachable");
    assert_eq!(unreachable.expect("tables without a pointer")["section"], Value::Null, "{text}");
    // Nor is it in any that a table is not in the file.
    bench.poke(0, 0x7_0000_0007);
    let json = |command: &str, more: &[&str]| -> Value {
        serde_json::from_str(&on(command, &bench.path("image"), &[more, &["--json"]].concat()).0).unwrap()
    };
    let (walk, check) = (json("walk", &["0"]), json("check", &[]));
    let outside = check_findings(&check).into_iter().find(|finding| finding["rule"] == "outside").unwrap();
    for told in [outside, &walk[0]["stop"]] {
        assert_eq!((&told["rule"], &told["section"]), (&"outside".into(), &Value::Null));
    }
    assert!(!on("walk", &bench.path("image"), &["0"]).0.contains("See for outside"));
}

/// The findings of a check.
fn check_findings(check: &Value) -> Vec<&Value> {
    check["findings"].as_array().unwrap().iter().collect()
}

#[test]
fn what_would_make_a_foreign_item_known() {
    let bench = Bench::new(SPEC, &["--format", "riscv_64"]);
    bench.poke(0, bench.peek(0) | 1 << 6);
    let (text, _) = on("walk", &bench.path("image"), &["0"]);
    assert!(text.contains("without the bits 0x40, which no pointer to a table has, it is one (foreign)"), "{text}");
}

/// A reserved bit of a pointer was told as an item that the format does not know.
#[test]
fn a_reserved_bit_of_a_pointer() {
    let bench = Bench::new(SPEC, &[]);
    bench.poke(0, bench.peek(0) | 1 << 7);
    for (command, options) in [("walk", &["0"][..]), ("check", &[])] {
        let (text, code) = on(command, &bench.path("image"), options);
        assert!(
            code == 5 && text.contains("hardware faults on this value: PS = 0x1 (Leaf, at levels 1 and 2; "),
            "{text}"
        );
    }
}

/// An empty item of s390 is not zero: it was said to hold something of software.
#[test]
fn empty_items_that_are_not_zero() {
    for name in format_names() {
        let bench = Bench::of_format(&name);
        // In a table of pages, and above.
        let (text, code) = on("walk", &bench.path("image"), &["0x1100000", "0x3000000"]);
        assert!(code == 4 && text.contains("nothing is mapped: the item is empty (not-present)"), "{name}: {text}");
    }
}

/// A pointer that leads past a level was told as any other reserved encoding.
#[test]
fn levels_that_are_skipped() {
    let broken = |format: &str, at: usize, change: &dyn Fn(u64) -> u64, says: &str| {
        let bench = Bench::new(SPEC, &["--format", format, "--va-bits", "39"]);
        bench.poke(at, change(bench.peek(at)));
        for (command, words) in [("walk", &["0x1ff000"][..]), ("check", &[])] {
            let (text, code) = on(command, &bench.path("image"), words);
            assert!(code == 5 && text.contains("(level-skip)"), "{format}: {text}");
            assert!(text.contains(&format!("level skip: {says}")), "{format}: {text}");
        }
    };
    let next_level = |value: u64| move |item: u64| item & !(7 << 9) | value << 9;
    // The tables of VA 0 follow each other.
    let (top, lowest) = (0, 0x2ff8);
    broken(
        "amdv1",
        top,
        &next_level(4),
        "NL is 0x4, as in pointers of level 4; a pointer of level 2 has 0x2 (NL: Next level:",
    );
    broken("amdv1", top, &next_level(7), "NL is 0x7, as in no pointer, and the item is no page of this level;");
    broken("amdv1", lowest, &next_level(3), "NL is 0x3, as in pointers of level 3; there are no pointers at level 0");
    broken("s390", top, &|item| item ^ 3 << 58, "TYPE is 0x2, as in pointers of level 3; a pointer of level 2 has 0x1");
}

/// AMD's hardware follows pointers that skip levels; the VA bits of those have to be zero.
#[test]
fn pointers_that_skip_levels() {
    let mut tables = vec![0u8; 0x2000];
    let mut put = |at: usize, item: u64| tables[at..at + 8].copy_from_slice(&item.to_le_bytes());
    // From level 2 to level 0, where item 5 is a page that may be read; IW is in the pointer only.
    put(0, 3 << 61 | 0x1000 | 1 << 9 | 1);
    put(0x1000 + 5 * 8, 1 << 61 | 0x1234_5000 | 1);
    let bench = Bench::of(&tables);
    let options = ["--format", "amdv1", "--root", "0"];
    let on_image = |command: &str, more: &[&str]| on(command, &bench.path("image"), &[&options[..], more].concat());
    let (text, code) = on_image("walk", &["0x5678"]);
    assert!(code == 0 && text.contains("PA 0x12345678, in a page of 4 KiB, r-"), "{text}");
    let (text, code) = on_image("walk", &["0x205678"]);
    assert!(code == 5 && text.contains("the VA bits 21 to 29") && text.contains("(level-skip)"), "{text}");
    let (text, code) = on_image("check", &[]);
    assert_eq!(code, 0, "{text}");
    let (text, code) = on_image("dump", &["--pointers"]);
    assert!(code == 0 && text.contains("0000005000..=0000005fff"), "{text}");
    assert!(text.contains("level2[") && !text.contains("level1["), "{text}");
}

/// A page at the top, where none can be: its next level is 0.
#[test]
fn a_page_at_the_top() {
    let spec =
        "format = \"amdv1\"\nbase = \"1M\"\n[config]\nstarting_level = 5\n[[map]]\nva = 0\npa = 0\nlen = \"4K\"\n";
    let bench = Bench::new(spec, &[]);
    bench.poke(0, bench.peek(0) & !(7 << 9));
    let (text, code) = on("walk", &bench.path("image"), &["0"]);
    assert!(
        code == 5 && text.contains("NL is 0x0, as in no pointer, and the item is no page of this level;"),
        "{text}"
    );
    assert!(text.contains("a pointer of level 5 has 0x5"), "{text}");
    assert!(
        text.contains("See: AMDv1 page tables: AMD I/O Virtualization Technology (IOMMU) Specification, 2.2.3"),
        "{text}"
    );
}

/// A table that points to itself was walked without a word, and a dump that it made endless did not say why.
#[test]
fn a_cycle_is_told() {
    let bench = Bench::new(SPEC, &[]);
    // The top points to itself in item 1.
    bench.poke(8, bench.peek(0) & 0xfff | 0x10_0000);
    let (text, code) = on("walk", &bench.path("image"), &["0x8000000000"]);
    let line = "level 3: the table at 0x100000 is also one of level 3 on the way to itself: a cycle (cycle)";
    assert!(code == 0 && text.contains(line), "{text}");
    // It is a rule of the tool alone: no section states it, and the whole specification was named.
    let (text, _) = on("walk", &bench.path("image"), &["0x8000000000", "--json"]);
    let walks: Value = serde_json::from_str(&text).unwrap();
    let cycle = &walks[0]["oddities"][0];
    assert_eq!((&cycle["rule"], &cycle["section"]), (&Value::from("cycle"), &Value::Null), "{text}");
    // What follows from it is no finding of its own.
    let (text, code) = on("check", &bench.path("image"), &[]);
    assert!(code == 5 && text.contains(": 1 finding\n") && text.contains("a cycle (cycle)"), "{text}");
    let (text, code) = on("dump", &bench.path("image"), &["--limit", "4096"]);
    assert!(code == 5 && text.contains("to itself, a cycle (see `genpt check`)"), "{text}");
    let (text, code) = on("walk", &bench.path("image"), &["0x1ff000"]);
    assert!(code == 0 && !text.contains("cycle"), "{text}");
}

/// Changes were proposed after which the item broke another rule: of RISC-V W without R.
#[test]
fn what_is_proposed_breaks_no_rule() {
    let mut proposed = 0;
    for name in ["riscv_64", "vtdss", "ept", "x86_64"] {
        let bench = Bench::new(SPEC, &["--format", name]);
        let about: Value = serde_json::from_str(&stdout(&genpt(&["formats", name, "--json"]))).unwrap();
        let walk = |raw: u64| -> Value {
            // The lowest item of VA 0x1ff000.
            bench.poke(0x3ff8, raw);
            let (text, _) = on("walk", &bench.path("image"), &["0x1ff000", "--json"]);
            serde_json::from_str(&text).unwrap()
        };
        for raw in 0..256 {
            let before = walk(raw);
            let stop = &before[0]["stop"];
            if stop["rule"] != "foreign" {
                continue;
            }
            // `with NAME = VALUE instead of OLD it is ...`
            for change in stop["text"].as_str().unwrap().split("; ").filter_map(|part| part.strip_prefix("with ")) {
                let words: Vec<&str> = change.split(' ').collect();
                let value = u64::from_str_radix(words[2].strip_prefix("0x").unwrap(), 16).unwrap();
                let fields = about[0]["fields"].as_array().unwrap().iter().filter(|field| field["name"] == words[0]);
                let masks = fields.map(|field| field["mask"].as_str().unwrap().strip_prefix("0x").unwrap());
                let is_kept = masks.map(|mask| u64::from_str_radix(mask, 16).unwrap()).any(|mask| {
                    let after = walk(raw & !mask | value << mask.trailing_zeros());
                    let odd = after[0]["oddities"].as_array().unwrap();
                    after[0]["stop"].is_null() && odd.iter().all(|broken| broken["severity"] == "note")
                });
                assert!(is_kept, "{name}, {raw:#x}: {change}");
                proposed += 1;
            }
        }
    }
    assert!(proposed > 0);
}

/// A table of one level had `1 levels`.
#[test]
fn a_table_of_one_level() {
    let spec = "format = \"armv8_64k\"\nva_bits = 25\n[[map]]\nva = 0\npa = 0\nlen = \"64K\"\n";
    let (text, code) = on("walk", &Bench::new(spec, &[]).path("image"), &["0x1234"]);
    assert!(code == 0 && text.starts_with("VA 0x1234: armv8_64k, 1 level, top at "), "{text}");
}
