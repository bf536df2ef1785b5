//! `genpt dump`: runs, filters, permissions, and what is counted.

mod common;

use common::images::{Bench, SPEC, on};
use common::{failure, genpt};
use serde_json::Value;

#[test]
fn what_was_built_is_dumped() {
    let bench = Bench::new(SPEC, &[]);
    let (text, code) = on("dump", &bench.path("image"), &[]);
    assert_eq!(code, 0, "{text}");
    let runs: Vec<&str> = text.lines().filter(|line| line.contains("..=")).collect();
    assert_eq!(
        runs,
        [
            "0000001ff000..=000000600fff  00000007ff000    4.01 MiB     4 KiB + 2 MiB  rwx RW U A D",
            "000010000000..=000010000fff  0000000002000       4 KiB             4 KiB  r-x U A",
        ]
    );
    assert!(text.contains("2 runs, 4.01 MiB\n  3 pages of 4 KiB\n  2 pages of 2 MiB\n"), "{text}");
    assert_eq!(on("check", &bench.path("image"), &[]).1, 0);
}

/// JSON was `--json` of some commands and `--output json` of others.
#[test]
fn json_has_one_name() {
    let bench = Bench::new(SPEC, &[]);
    let image = bench.text("image");
    let on = |command: &[&str], how: &[&str]| genpt(&[command, how].concat()).stdout;
    for command in [&["dump", &image][..], &["diff", &image, &image], &["check", &image], &["walk", &image, "0x200000"]]
    {
        let json = on(command, &["--json"]);
        assert!(serde_json::from_slice::<Value>(&json).is_ok());
        assert_eq!(json, on(command, &["--output", "json"]));
        let (code, error) = failure(&genpt(&[command, &["--json", "-o", "text"]].concat()));
        assert!(code == 2 && error.contains("cannot be used with"), "{error}");
    }
}

#[test]
fn filters_and_reverse_lookup() {
    let bench = Bench::new(SPEC, &[]);
    let rows = |options: &[&str]| {
        let (text, code) = on("dump", &bench.path("image"), &[&["-o", "json"], options].concat());
        assert_eq!(code, 0);
        let dump: Value = serde_json::from_str(&text).unwrap();
        let runs = dump["runs"].as_array().unwrap().clone();
        runs.iter()
            .map(|run| (run["va"].as_str().unwrap().to_owned(), run["bytes"].as_str().unwrap().to_owned()))
            .collect::<Vec<_>>()
    };
    let row = |va: &str, bytes: &str| (va.to_owned(), bytes.to_owned());
    assert_eq!(rows(&["--pa", "0x812345"]), [row("0x212345", "0x1")]);
    assert_eq!(rows(&["--va", "0x200800..=0x2017ff"]), [row("0x200800", "0x1000")]);
    assert_eq!(rows(&["--has", "rw"]), [row("0x1ff000", "0x402000")]);
    assert_eq!(rows(&["--min", "1M"]), [row("0x1ff000", "0x402000")]);
    assert_eq!(rows(&["--pa", "0x9000000"]), []);
    let image = bench.text("image");
    let (code, text) = failure(&genpt(&["dump", &image, "--has", "XYZ"]));
    assert!(code == 2 && text.contains("no field `XYZ`") && text.contains("RW"), "{text}");
    let (csv, _) = on("dump", &bench.path("image"), &["-o", "csv"]);
    assert_eq!(csv.lines().nth(2), Some("0x10000000,0x10000fff,0x2000,0x1000,0x1000,r-x,U A"));
}

/// In a page of several items other bits decide what is permitted than in one of one item.
#[test]
fn permissions_of_leaves_of_several_items() {
    let map = |prot: &str| {
        format!(
            "format = \"armv7s\"\nbase = \"1M\"\n[[map]]\nva = \"16M\"\npa = \"32M\"\nlen = \"64K\"\nprot = \"{prot}\"\n"
        )
    };
    for (prot, shown) in [("rwx", "rwx"), ("rx", "r-x"), ("rw", "rw-")] {
        let bench = Bench::new(&map(prot), &[]);
        let (text, code) = on("dump", &bench.path("image"), &[]);
        assert_eq!(code, 0);
        assert!(text.contains(&format!(" {shown} ")), "{prot}: {text}");
    }
}

/// What pointers say about all below is put into the leaves: a permission that one of them lacks, a prohibition that one has.
#[test]
fn pointers_and_leaves_combine() {
    let bench = Bench::new(SPEC, &[]);
    let first_run = || {
        let (text, code) = on("dump", &bench.path("image"), &["--ignore", "A,D"]);
        assert_eq!(code, 0);
        let line = text.lines().find(|line| line.contains("..=")).unwrap().to_owned();
        line.split("MiB").last().unwrap().trim().to_owned()
    };
    assert_eq!(first_run(), "rwx RW U");
    let top = bench.peek(0);
    bench.poke(0, top & !0b100);
    assert_eq!(first_run(), "rwx RW");
    bench.poke(0, top & !0b10 | 1 << 63);
    assert_eq!(first_run(), "r-- U XD");
    let (walk, code) = on("walk", &bench.path("image"), &["0x1ff000"]);
    assert!(code == 0 && walk.contains("4 KiB, r--, U A D XD"), "{walk}");
}

/// Pointers that the library does not follow, because they take permissions from all below, are followed; so are they in check.
#[test]
fn hierarchical_permissions_of_arm() {
    let bench = Bench::new(SPEC, &["--format", "armv8_4k"]);
    let runs = |text: &str| text.lines().filter(|line| line.contains("..=")).map(str::to_owned).collect::<Vec<_>>();
    let (before, _) = on("dump", &bench.path("image"), &[]);
    assert!(runs(&before)[0].contains(" rw- ATTR_INDX=0x1 AP_EL0 SH=0x3 AF NG PXN UXN"), "{before}");
    // APTable: read-only, and none for EL0.
    bench.poke(0, bench.peek(0) | 0b11 << 61);
    let (after, code) = on("dump", &bench.path("image"), &[]);
    assert_eq!((code, runs(&after).len()), (0, runs(&before).len()), "{after}");
    assert!(runs(&after)[0].contains(" r-- ATTR_INDX=0x1 AP_RO SH=0x3 AF NG PXN UXN"), "{after}");
    let (report, code) = on("check", &bench.path("image"), &[]);
    assert_eq!(code, 0, "{report}");
    // Still foreign: what no field of a pointer has.
    bench.poke(0, bench.peek(0) | 1 << 50);
    assert_eq!(on("check", &bench.path("image"), &[]).1, 5);
}

/// A page is counted once, whichever part of it a filter leaves.
#[test]
fn pages_that_a_filter_cuts_are_counted() {
    let spec = "format = \"armv8_4k\"\n[[map]]\nva = 0\npa = 0\nlen = \"192K\"\n";
    let bench = Bench::new(spec, &[]);
    let pages = |options: &[&str]| {
        let (text, _) = on("dump", &bench.path("image"), options);
        text.lines().find(|line| line.contains(" of 64 KiB")).map(|line| line.trim().to_owned())
    };
    assert_eq!(pages(&[]).as_deref(), Some("3 pages of 64 KiB"));
    assert_eq!(pages(&["--va", "0x1f000+0x2000"]).as_deref(), Some("2 pages of 64 KiB"));
    assert_eq!(pages(&["--pa", "0x12345"]).as_deref(), Some("1 page of 64 KiB"));
}

/// What says that an item is a small page is no attribute of it.
#[test]
fn structure_is_no_attribute() {
    let bench = Bench::new(SPEC, &["--format", "armv7s"]);
    let (text, _) = on("dump", &bench.path("image"), &[]);
    assert!(text.contains("XN_SMALL") && !text.contains(" SMALL"), "{text}");
}

/// JSON and CSV were silent about what is missing in them, and the exit status said that all is there.
#[test]
fn programs_are_told_what_is_missing() {
    let dump = |bench: &Bench, options: &[&str]| {
        let output = genpt(&[&["dump", &bench.text("image")], options].concat());
        (String::from_utf8(output.stderr).unwrap(), output.status.code().unwrap())
    };
    let bench = Bench::new(SPEC, &[]);
    for format in ["json", "csv"] {
        assert_eq!(dump(&bench, &["-o", format]), (String::new(), 0));
        let (text, code) = dump(&bench, &["-o", format, "--limit", "1024"]);
        assert!(code == 5 && text.starts_with("warning: stopped: as many items as --limit allows"), "{text}");
    }
    let output = genpt(&["dump", &bench.text("image"), "--json", "--limit", "1024"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\"limit_reached\":true,\"file_is_cut\":false"), "{text}");
    let foreign = bench.peek(0) | 1 << 7;
    for (item, what) in [(foreign, "that the format does not know"), (0x7_0000_0007, "that points to a table outside")]
    {
        let bench = Bench::new(SPEC, &[]);
        bench.poke(8, item);
        for format in ["json", "csv"] {
            let (text, code) = dump(&bench, &["-o", format]);
            assert!(code == 5 && text.starts_with(&format!("warning: 1 item {what}")), "{text}");
        }
        let (text, code) = on("dump", &bench.path("image"), &[]);
        assert!(code == 5 && text.contains(&format!("  1 item {what}")), "{text}");
    }
}

/// With `--min` the sums were those of what is listed, and the pages those of all, without a word about it.
#[test]
fn statistics_say_what_they_count() {
    let bench = Bench::new(SPEC, &[]);
    let (text, _) = on("dump", &bench.path("image"), &["--min", "1M"]);
    let statistics = text.split_once("\n\n").unwrap().1;
    let expected = "1 run, 4.01 MiB\n  not listed: 1 run, 4 KiB, shorter than --min; the pages are those of all\n  \
                    3 pages of 4 KiB\n  2 pages of 2 MiB\n  3 tables of level 0 looked at\n";
    assert!(statistics.starts_with(expected), "{statistics}");
    let (text, _) = on("dump", &bench.path("image"), &[]);
    assert!(text.contains("  3 tables of level 0\n") && !text.contains("not listed"), "{text}");
    let (text, _) = on("dump", &bench.path("image"), &["--min", "1M", "-o", "json"]);
    let dump: Value = serde_json::from_str(&text).unwrap();
    let of = |key: &str| dump["statistics"][key].as_u64().unwrap();
    assert_eq!((of("runs"), of("bytes"), of("short_runs"), of("short_bytes")), (1, 0x40_2000, 1, 0x1000));
}

/// The first page decided for all whether they have an address.
#[test]
fn bug_pages_were_chosen_by_their_address() {
    let bench = Bench::new(SPEC, &[]);
    let image = bench.text("image");
    for option in [["--has", "OA"], ["--has", "!oa"], ["--ignore", "OA"]] {
        for command in [&["dump", &image][..], &["diff", &image, &image], &["draw", &image, "-o", "x.svg"]] {
            let (code, text) = failure(&genpt(&[command, &option].concat()));
            assert_eq!(code, 2, "{text}");
            let expected = "pages cannot be chosen by `OA`: it is their address\nhint: `--pa` chooses by address";
            assert!(text.contains(expected), "{text}");
        }
    }
}

/// `--has` denied fields of pointers that the same dump shows.
#[test]
fn bug_what_pointers_say_of_pages_could_not_be_asked_for() {
    let bench = Bench::of_format("armv7s");
    let image = bench.path("image");
    let rows = |options: &[&str]| {
        let (text, code) = on("dump", &image, &[&["-o", "csv"], options].concat());
        assert_eq!(code, 0, "{text}");
        text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let all = rows(&[]);
    assert!(!all.is_empty() && rows(&["--has", "DOMAIN_TABLE"]).is_empty());
    // All pointers are of domain 3 now.
    let mut bytes = std::fs::read(&image).unwrap();
    for item in bytes.chunks_exact_mut(4) {
        if item[0] & 3 == 1 {
            item[0] |= 3 << 5;
        }
    }
    std::fs::write(&image, bytes).unwrap();
    let shown: Vec<String> = rows(&[]).into_iter().filter(|row| row.contains("DOMAIN_TABLE=0x3")).collect();
    assert!(!shown.is_empty());
    assert_eq!(rows(&["--has", "DOMAIN_TABLE"]), shown);
    assert_eq!(rows(&["--has", "!DOMAIN_TABLE"]).len() + shown.len(), rows(&[]).len());
}

/// Fields that no page can have chose none, or all, without a word.
#[test]
fn bug_fields_of_pointers_alone_chose_no_page() {
    let bench = Bench::of_format("armv8_4k");
    let (code, text) = failure(&genpt(&["dump", &bench.text("image"), "--has", "NS_TABLE"]));
    assert!(code == 2 && text.contains("by `NS_TABLE`: only pointers to tables have it"), "{text}");
}

/// What does not have a field could not be asked for.
#[test]
fn what_has_not_a_field() {
    let bench = Bench::new(SPEC, &[]);
    let runs = |fields: &str| {
        let (text, code) = on("dump", &bench.path("image"), &["-o", "csv", "--has", fields]);
        assert_eq!(code, 0, "{text}");
        text.lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(runs("U"), ["0x1ff000", "0x10000000"]);
    assert_eq!(runs("U,RW"), ["0x1ff000"]);
    assert_eq!(runs("U,!RW"), ["0x10000000"]);
    assert_eq!(runs("!U"), Vec::<String>::new());
    let (code, text) = failure(&genpt(&["dump", &bench.text("image"), "--has", "!QX"]));
    assert!(code == 2 && text.contains("no field `QX`"), "{text}");
}
