//! `genpt check`: findings, and hostile tables.

mod common;

use common::genpt;
use common::images::{Bench, SPEC, on};
use tempfile::TempDir;

/// Findings that only a look at whole tables gives.
#[test]
fn whole_tables_are_checked() {
    let found = |format: &str, options: &[&str], change: &dyn Fn(&Bench), rule: &str, status: i32| {
        let bench = Bench::new(SPEC, &[&["--format", format], options].concat());
        change(&bench);
        let (text, code) = on("check", &bench.path("image"), &[]);
        assert!(text.contains(rule) && code == status, "{rule}, {code}: {text}");
    };
    // A table that two pointers lead to, and one that no pointer leads to any more.
    found("x86_64", &[], &|bench| bench.poke(8, bench.peek(0)), "shared-table", 4);
    found("x86_64", &[], &|bench| bench.poke(0x2000 + 128 * 8, 0), "unreachable", 4);
    found("x86_64", &[], &|bench| bench.poke(0x3ff8, 0), "empty-table", 0);
    found("x86_64", &[], &|bench| bench.poke(0x3000, 0x1234_0000), "not-clear", 0);
    // 64 KiB are 16 items of AMDv1, of which one is cleared.
    let spec = SPEC.replace("0x1ff000", "0x10000").replace("0x7ff000", "0x20000").replace("0x402000", "0x10000");
    let bench = Bench::new(&spec, &["--format", "amdv1"]);
    let leaf = (0..bench.image().len()).step_by(8).find(|at| bench.peek(*at) & 0xe00 == 0xe00).unwrap();
    bench.poke(leaf + 8, 0);
    let (text, code) = on("check", &bench.path("image"), &[]);
    assert!(text.contains("an entry of 16 items is not whole: 15 of them agree") && code == 5, "{text}");
    // D without W, in the page at 0x2000.
    let dirty = |bench: &Bench| {
        let at =
            (0..bench.image().len()).step_by(8).find(|at| bench.peek(*at) >> 10 == 2 && bench.peek(*at) & 0xf != 1);
        bench.poke(at.unwrap(), bench.peek(at.unwrap()) | 1 << 7);
    };
    found("riscv_64", &["--features", "SVADU"], &dirty, "dirty-read-only", 4);
}

/// Four kibibytes that point to themselves from every item claim 2^36 pages.
#[test]
fn a_hostile_image_ends() {
    let dir = TempDir::new().unwrap();
    let image = dir.path().join("image");
    std::fs::write(&image, 0x27u64.to_le_bytes().repeat(512)).unwrap();
    let options = ["--format", "x86_64", "--root", "0"];
    let (text, code) = on("check", &image, &options);
    assert!(code == 5 && text.contains("cycle"), "{text}");
    let (text, code) = on("dump", &image, &[&options[..], &["--limit", "100K", "--min", "2E"]].concat());
    assert!(code == 5 && text.contains("--limit"), "{text}");
    let (text, code) = on("walk", &image, &[&options[..], &["0x1234"]].concat());
    assert!(code == 0 && text.contains("PA 0x234"), "{text}");
}

/// A run whose items say different addresses, or whose first item is a page of its own, was taken for a whole one.
#[test]
fn runs_that_are_not_whole() {
    for (item, change) in [(5, 0xc000), (0, 1 << 52)] {
        let (bench, first) = armv8_run();
        bench.poke(first + 8 * item, bench.peek(first + 8 * item) ^ change);
        let (text, code) = on("check", &bench.path("image"), &[]);
        assert_eq!(code, 5, "{text}");
        assert!(text.contains("an entry of 16 items is not whole: "), "{text}");
    }
}

/// A run of 16 pages of armv8_4k, and where its first item is in the image.
fn armv8_run() -> (Bench, usize) {
    let spec =
        "format = \"armv8_4k\"\nbase = \"1M\"\n[[map]]\nva = \"64K\"\npa = \"128K\"\nlen = \"64K\"\nprot = \"rw\"\n";
    let bench = Bench::new(spec, &[]);
    let is_first = |at: &usize| bench.peek(*at) & (1 << 52) != 0;
    let first = (0..bench.image().len()).step_by(8).find(is_first).expect("a run");
    assert_eq!(on("check", &bench.path("image"), &[]).1, 0);
    (bench, first)
}

/// A run whose items differ in bits for software was said not to be whole.
#[test]
fn bits_for_software_are_no_attributes_of_a_run() {
    for bit in 55..=58 {
        let (bench, first) = armv8_run();
        bench.poke(first + 8 * 8, bench.peek(first + 8 * 8) | 1 << bit);
        let (text, code) = on("check", &bench.path("image"), &[]);
        assert!(code == 0 && !text.contains("contiguous"), "{text}");
    }
}

/// A run with a page of its own in the middle was told twice, before that page and behind it.
#[test]
fn a_run_that_is_not_whole_is_told_once() {
    let (bench, first) = armv8_run();
    bench.poke(first + 8 * 8, bench.peek(first + 8 * 8) & !(1 << 52));
    let (text, code) = on("check", &bench.path("image"), &[]);
    assert!(code == 5 && text.contains("an entry of 16 items is not whole: 15 of them agree"), "{text}");
    assert_eq!(text.matches("(contiguous)").count(), 1, "{text}");
}

/// `check` looked at the addresses of pages only.
#[test]
fn pointers_beyond_the_address_bits() {
    let bench = Bench::new(SPEC, &[]);
    let image = bench.path("image");
    let (text, code) = on("check", &image, &["--oa-bits", "20"]);
    assert!(code == 5 && text.contains("level 3, item at 0x100000"), "{text}");
    assert!(text.contains("(address-too-wide)"), "{text}");
}

/// Tables were decoded again for each pointer to them, before it was asked whether they were met before: `check` stopped early.
#[test]
fn tables_that_were_met_count_once() {
    let bench = Bench::of(&shared_tables());
    let check = |limit: &str| {
        let (text, code) = on("check", &bench.path("image"), &["--format", "x86_64", "--root", "0", "--limit", limit]);
        (text.contains("(limit)"), text.contains("\n4 tables, 2048 items"), code)
    };
    assert_eq!(check("2048"), (false, true, 4));
    assert_eq!(check("2047"), (true, false, 5));
}

/// A table of each level, all of whose items lead to the one below: four tables that map all there is.
fn shared_tables() -> Vec<u8> {
    let table = |item: u64| item.to_le_bytes().repeat(512);
    [0x1027, 0x2027, 0x3027, 0x27].map(table).concat()
}

/// The search for memory that no pointer leads to went through all that a manifest claims.
#[test]
fn the_search_for_unreachable_memory_ends() {
    let bench = Bench::new(SPEC, &[]);
    let text = std::fs::read_to_string(bench.path("image.json")).unwrap();
    let mut manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    manifest["bytes"] = "0x4000000000000".into();
    std::fs::write(bench.path("image.json"), manifest.to_string()).unwrap();
    std::fs::OpenOptions::new().write(true).open(bench.path("image")).unwrap().set_len(1 << 40).unwrap();
    let begin = std::time::Instant::now();
    let output = genpt(&["check", &bench.text("image"), "--limit", "4M"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(5) && text.contains("there was no search (limit)"), "{text}");
    // The file has less than that.
    let warning = String::from_utf8(output.stderr).unwrap();
    assert!(warning.starts_with("warning: ") && warning.contains("its manifest tells of memory behind"), "{warning}");
    assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
}

/// Only tables that begin at the same address were compared.
#[test]
fn tables_that_overlap() {
    // The top has four pages: a pointer leads to the second one.
    let bench = Bench::new(SPEC, &["--format", "riscv_64_g"]);
    bench.poke(8, 0x10_1000 >> 2 | 1);
    let (text, code) = on("check", &bench.path("image"), &[]);
    let found =
        "level 2, table at 0x101000, VA 0x8000000000: the table begins inside of that of level 3 at 0x100000, 16 KiB";
    assert!(code == 5 && text.contains(&format!("{found} (overlapping-tables)")), "{text}");
    // Level 1 has 16 KiB, level 0 one: it lies between items of the top.
    let bench = Bench::new(SPEC, &["--format", "armv7s"]);
    let first = bench.image().chunks(4).position(|item| item != [0; 4]).unwrap();
    let mut image = bench.image();
    image[4 * first..4 * first + 4].copy_from_slice(&0x10_2401u32.to_le_bytes());
    std::fs::write(bench.path("image"), image).unwrap();
    let (text, code) = on("check", &bench.path("image"), &[]);
    assert!(code == 5 && text.contains("level 0, table at 0x102400"), "{text}");
    assert!(
        text.contains("the table begins inside of that of level 1 at 0x100000, 16 KiB (overlapping-tables)"),
        "{text}"
    );
}

/// Whether a finding was about a table or about an item was to be known from its rule.
#[test]
fn findings_say_what_they_are_about() {
    let bench = Bench::new(SPEC, &[]);
    // The second mapping is gone, and its tables with it; the top points to one table twice.
    bench.poke(0x1000, bench.peek(0x1000) | 1 << 51);
    bench.poke(8, bench.peek(0));
    bench.poke(16, 0x7_0000_0007);
    let (text, _) = on("check", &bench.path("image"), &["--json"]);
    let check: serde_json::Value = serde_json::from_str(&text).unwrap();
    let about = |rule: &str| {
        let finding = check["findings"].as_array().unwrap().iter().find(|finding| finding["rule"] == rule);
        finding.unwrap_or_else(|| panic!("{rule}: {text}"))["about"].as_str().unwrap().to_owned()
    };
    let found = ["shared-table", "outside", "unreachable"].map(about);
    assert_eq!(found, ["table", "item", "memory"]);
    let (text, _) = on("check", &bench.path("image"), &[]);
    for says in ["level 2, table at 0x101000, VA", "level 3, item at 0x100010, VA", "memory at 0x10"] {
        assert!(text.contains(says), "{says}: {text}");
    }
}
