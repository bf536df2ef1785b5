//! `genpt draw`: what is in the drawing, and that it stays bounded.

mod common;

use common::drawing::{ITEM_OF_0, at_random, cells, items, number};
use common::images::{Bench, SPEC, format_names};
use common::{assert_golden, failure, genpt, stdout};
use serde_json::Value;
use std::time::{Duration, Instant};

#[test]
fn a_small_picture() {
    let bench = Bench::new(SPEC, &[]);
    let (said, picture, code) = bench.draw("x.svg", &["--title", "Two mappings"]);
    assert_eq!(
        (said.as_str(), code),
        ("x86_64, 4 levels, top at 0x100000: 6 tables, 4.01 MiB mapped; 0 findings\n", 0)
    );
    assert_golden("draw-small.svg", &picture);
}

/// Every format is drawn: all items of all tables, and as many bytes as are mapped.
#[test]
fn every_format() {
    for name in format_names() {
        let bench = Bench::of_format(&name);
        let data = bench.data(&[]);
        let mut mapped = 0;
        for table in data["tables"].as_array().unwrap() {
            let level = &data["levels"][table["level"].as_u64().unwrap() as usize];
            let mut next = 0;
            for cell in table["cells"].as_array().unwrap() {
                assert_eq!(cell["i"].as_u64(), Some(next), "{name}");
                next += items(cell);
                if cell["k"] == "leaf" {
                    mapped += items(cell) << level["item_lg2"].as_u64().unwrap();
                }
            }
            assert_eq!(next, 1 << level["items_lg2"].as_u64().unwrap(), "{name}");
        }
        assert_eq!(mapped, (1 << 20) + (64 << 10), "{name}");
        // What fields are for is told without marks of Markdown.
        let about: Vec<&str> = data["fields"].as_object().unwrap().values().filter_map(Value::as_str).collect();
        assert!(!about.is_empty() && about.iter().all(|text| !text.contains('\\')), "{name}: {about:?}");
        let extents = |kind: &str| {
            let all = data[kind].as_array().unwrap().iter().filter(|extent| extent["uses"] != 0);
            all.map(|extent| (number(&extent["first"]), number(&extent["last"]))).collect::<Vec<_>>()
        };
        assert_eq!(extents("va"), [(0x100_0000, 0x10f_ffff), (0x400_0000, 0x400_ffff)], "{name}");
        assert_eq!(extents("pa"), [(0x200_0000, 0x20f_ffff), (0x300_0000, 0x300_ffff)], "{name}");
        let (_, picture, code) = bench.draw("x.svg", &[]);
        assert!(code == 0 && picture.contains(&format!(">{name}, ")), "{name}: {picture}");
    }
}

/// What goes where is as `dump` says, with the same runs.
#[test]
fn runs_are_those_of_dump() {
    let maps = [
        (0x1f_f000, 0x7f_f000, 0x40_2000, "rw"),
        (0x60_2000, 0xc0_2000, 0x1000, "rw"),
        (0x60_3000, 0xc0_3000, 0x1000, "r"),
        (0x1000_0000, 0x2000_0000, 0x12_3000, "rw"),
        (0x2000_0000, 0x2000_0000, 0x4_0000, "r"),
        (0x2004_0000, 0x2100_0000, 0x8_0000, "r"),
    ];
    let map = |(va, pa, len, prot)| format!("[[map]]\nva = {va}\npa = {pa}\nlen = {len}\nprot = \"{prot}\"\n");
    let spec = maps.map(map).concat();
    for format in ["x86_64", "riscv_64", "amdv1", "armv8_4k", "armv7s", "s390"] {
        let bench = Bench::new(&spec, &["--format", format, "--base", "64K"]);
        for options in [&[][..], &["--va", "0x200800..=0x20007fff"]] {
            let dump = stdout(&genpt(&[&["dump", &bench.text("image"), "-o", "json"], options].concat()));
            let dump: Value = serde_json::from_str(&dump).unwrap();
            let runs = dump["runs"].as_array().unwrap().iter();
            let mut runs: Vec<[u64; 3]> = runs.map(|run| ["va", "pa", "bytes"].map(|key| number(&run[key]))).collect();
            let data = bench.data(options);
            let links = data["links"].as_array().unwrap().iter();
            let mut links: Vec<[u64; 3]> =
                links.map(|link| [number(&link[0]), number(&link[1]), number(&link[2]) + 1]).collect();
            if !options.is_empty() {
                // `dump` cuts the pages at the ends of the range.
                assert!(links[0][0] < 0x20_0800 && runs[0][0] == 0x20_0800, "{format}");
                assert_eq!(links[0][0] + links[0][2], runs[0][0] + runs[0][2], "{format}");
                for all in [&mut links, &mut runs] {
                    all.remove(0);
                    all.pop();
                }
            }
            assert_eq!(links, runs, "{format}");
        }
    }
}

/// What `check` finds is at the cell or the table that it is about, and the way there from the top is marked.
#[test]
fn what_is_broken_is_marked() {
    let found = |change: &dyn Fn(&Bench), rule: &str, kind: Option<&str>| {
        let bench = Bench::new(SPEC, &[]);
        change(&bench);
        let data = bench.data(&[]);
        let findings = data["findings"].as_array().unwrap();
        let number = findings.iter().position(|finding| finding["rule"] == rule).unwrap_or_else(|| panic!("{rule}"));
        let has = |thing: &&Value| thing["findings"].as_array().is_some_and(|all| all.contains(&number.into()));
        let marked = match kind {
            Some(kind) => cells(&data).find(|cell| has(cell) && cell["k"] == kind),
            None => data["tables"].as_array().unwrap().iter().find(has),
        };
        let mark = marked.unwrap_or_else(|| panic!("{rule}: {data}"))["mark"].as_u64().unwrap();
        assert_eq!(data["tables"][0]["mark"].as_u64(), Some(mark), "{rule}");
        let (_, picture, _) = bench.draw("x.svg", &[]);
        let severity = if mark == 3 { "error" } else { "warning" };
        assert!(picture.contains(&format!("class=\"mark-{severity}\"")), "{rule}");
        assert!(picture.contains(&format!(">{rule}: level ")), "{rule}");
    };
    let set = |bench: &Bench, at: usize, bit: u32| bench.poke(at, bench.peek(at) | 1 << bit);
    found(&|bench| set(bench, 0, 7), "reserved-value", Some("blocked"));
    found(&|bench| bench.poke(0, 0x7_0000_0007), "outside", Some("blocked"));
    found(&|bench| set(bench, 0x2008, 14), "page-misaligned", Some("blocked"));
    found(&|bench| bench.poke(8, bench.peek(0)), "shared-table", None);
    found(&|bench| bench.poke(8, 0x10_0027), "cycle", None);
    found(&|bench| bench.poke(8, bench.peek(0x2000)), "level-mix", None);
}

/// Pages that look the same are one block, wherever they go; those that look otherwise, or have another size, are not.
#[test]
fn blocks_are_runs_of_what_looks_the_same() {
    let map = |va: u64, pa: u64, len: u64, prot: &str| {
        format!("[[map]]\nva = {va}\npa = {pa}\nlen = {len}\nprot = \"{prot}\"\n")
    };
    let spec = [map(0, 0x3000, 0x1000, "rw"), map(0x1000, 0x9000, 0x2000, "rw"), map(0x3000, 0xb000, 0x1000, "r")];
    let bench = Bench::new(&spec.concat(), &["--format", "x86_64", "--base", "1M"]);
    let data = bench.data(&[]);
    let leaves: Vec<(u64, u64, Option<u64>)> = cells(&data)
        .filter(|cell| cell["k"] == "leaf")
        .map(|cell| (cell["i"].as_u64().unwrap(), items(cell), cell["runs"].as_u64()))
        .collect();
    assert_eq!(leaves, [(0, 3, Some(2)), (3, 1, None)]);
    // Without D and RW in the way only permissions differ.
    let looks = |options: &[&str]| {
        let data = bench.data(options);
        cells(&data)
            .filter(|cell| cell["k"] == "leaf")
            .map(|cell| data["looks"][cell["look"].as_u64().unwrap() as usize]["words"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(looks(&["--ignore", "RW,D,U"]), ["rwx A", "r-x A"]);
    let links = data["links"].as_array().unwrap().len();
    assert_eq!(links, 3);
}

#[test]
fn only_a_part() {
    let bench = Bench::new(SPEC, &[]);
    let data = bench.data(&["--va", "0x10000000"]);
    let kinds: Vec<&str> = cells(&data).map(|cell| cell["k"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["table", "unseen", "table", "unseen", "unseen", "table", "unseen", "leaf", "unseen"]);
    assert_eq!(data["va"].as_array().unwrap().len(), 1);
    let (said, page, code) = bench.draw("x.html", &["--limit", "1100"]);
    assert!(code == 5 && said.contains("--limit") && page.contains("as many items as --limit allows"), "{said}");
    let output = genpt(&["draw", &bench.text("image"), "-o", &bench.text("x.html"), "--limit", "1"]);
    let (code, text) = failure(&output);
    assert!(code == 2 && text.contains("512 items of the top"), "{text}");
}

/// Titles and names of files end nothing and are no markup.
#[test]
fn names_are_no_markup() {
    let bench = Bench::new(SPEC, &[]);
    let title = "</script></title><b>&\u{1}\"'";
    for name in ["x.svg", "x.html"] {
        let (_, text, _) = bench.draw(name, &["--title", title]);
        assert!(text.contains("&lt;/script&gt;&lt;/title&gt;&lt;b&gt;&amp;\u{fffd}&quot;&#39;"), "{text}");
        assert!(!text.contains("<b>&") && !text.contains('\u{1}'), "{text}");
    }
    std::fs::rename(bench.path("image"), bench.path("<i>.img")).unwrap();
    std::fs::rename(bench.path("image.json"), bench.path("<i>.img.json")).unwrap();
    stdout(&genpt(&["draw", &bench.text("<i>.img"), "-o", &bench.text("y.html")]));
    let page = std::fs::read_to_string(bench.path("y.html")).unwrap();
    assert!(page.contains("&lt;i&gt;.img") && !page.contains("<i>.img"), "{page}");
}

#[test]
fn everything_is_in_the_file() {
    let bench = Bench::new(SPEC, &[]);
    for name in ["x.svg", "x.html"] {
        let (_, text, _) = bench.draw(name, &[]);
        let text =
            text.replace("xmlns=\"http://www.w3.org/2000/svg\"", "").replace("\"http://www.w3.org/2000/svg\"", "");
        for outside in ["http:", "https:", "src=", "@import", "url("] {
            assert!(!text.contains(outside), "{name}: {outside}");
        }
    }
}

#[test]
fn what_is_written_and_where() {
    let bench = Bench::new(SPEC, &[]);
    let begins = |name: &str, options: &[&str]| bench.draw(name, options).1.chars().take(5).collect::<String>();
    assert_eq!(
        (begins("a.SVG", &[]), begins("a.html", &[]), begins("a", &[])),
        ("<svg ".into(), "<!DOC".into(), "<!DOC".into())
    );
    assert_eq!(
        (begins("a.html", &["--emit", "svg"]), begins("a.svg", &["-e", "html"])),
        ("<svg ".into(), "<!DOC".into())
    );
    let (code, text) = failure(&genpt(&["draw", &bench.text("image"), "-o", "/no/such/directory/x.svg"]));
    assert!(code == 1 && text.contains("cannot write the drawing /no/such/directory/x.svg"), "{text}");
    for name in ["image", "image.json"] {
        let before = std::fs::read(bench.path(name)).unwrap();
        let (code, text) = failure(&genpt(&["draw", &bench.text("image"), "-o", &bench.text(name)]));
        assert!(code == 2 && text.contains("is what is to be drawn"), "{text}");
        assert_eq!(std::fs::read(bench.path(name)).unwrap(), before);
    }
    let (code, text) = failure(&genpt(&["draw", &bench.text("image"), "-o", &bench.text("x"), "--ignore", "XYZ"]));
    assert!(code == 2 && text.contains("no field `XYZ`"), "{text}");
}

/// An image that claims 2^36 pages in 4 KiB, thousands of tables that point to each other at random, and the same with random
/// attributes, reserved bits and permissions.
#[test]
fn hostile_images_are_drawn_soon_and_small() {
    let to_itself = Bench::of(&0x27u64.to_le_bytes().repeat(512));
    let (pointers, noise) = at_random();
    let (at_random, noise) = (Bench::of(&pointers), Bench::of(&noise));
    for bench in [&to_itself, &at_random, &noise] {
        for name in ["x.html", "x.svg"] {
            let start = Instant::now();
            let (said, text, code) = bench.draw(name, &["--format", "x86_64", "--root", "0", "--limit", "4M"]);
            assert!(said.contains("findings") && said.contains("--limit") == (code == 5), "{said}");
            assert!(start.elapsed() < Duration::from_secs(20), "{name}: {:?}", start.elapsed());
            assert!(text.len() < 4 << 20, "{name}: {} bytes", text.len());
        }
    }
    let (said, _, _) = at_random.draw("x.html", &["--format", "x86_64", "--root", "0", "--limit", "4M"]);
    assert!(said.contains(" more tables that are not drawn: too many"), "{said}");
}

/// Pages that `--pa` and `--has` leave out are blocks, but nothing that is mapped; what is left is what `dump` says.
#[test]
fn pages_that_are_left_out() {
    let bench = Bench::new(SPEC, &[]);
    let pages = |options: &[&str]| {
        let data = bench.data(options);
        let of = |kind: &str| cells(&data).filter(|cell| cell["k"] == kind).map(items).sum::<u64>();
        let va = data["va"].as_array().unwrap().iter().map(|extent| number(&extent["first"])).collect::<Vec<_>>();
        (of("leaf"), of("other"), va)
    };
    assert_eq!(pages(&[]), (5, 0, vec![0x1f_f000, 0x1000_0000]));
    assert_eq!(pages(&["--has", "RW"]), (4, 1, vec![0x1f_f000]));
    assert_eq!(pages(&["--pa", "0x2abc"]), (1, 4, vec![0x1000_0000]));
    assert_eq!(pages(&["--pa", "0xa00000+1", "--has", "rw,d"]), (1, 4, vec![0x40_0000]));
    let (said, picture, code) = bench.draw("x.svg", &["--has", "RW"]);
    assert!(code == 0 && said.contains("6 tables, 4.01 MiB mapped"), "{said}");
    assert!(picture.contains("class=\"cell other\"") && picture.contains("page that is left out"), "{picture}");
    let (code, text) = failure(&genpt(&["draw", &bench.text("image"), "-o", &bench.text("y.svg"), "--has", "XYZ"]));
    assert!(code == 2 && text.contains("no field `XYZ`"), "{text}");
}

/// A page was written under the name of a picture of another kind.
#[test]
fn an_ending_of_something_else_is_refused() {
    let bench = Bench::new(SPEC, &[]);
    let output = bench.text("x.png");
    let (code, text) = failure(&genpt(&["draw", &bench.text("image"), "-o", &output]));
    assert!(code == 2 && text.contains("hint: .html is a page, .svg a picture"), "{text}");
    assert!(!bench.path("x.png").exists());
    assert!(genpt(&["draw", &bench.text("image"), "-o", &output, "--emit", "svg"]).status.success());
}

/// A hole of the top had bytes on both sides of what is no VA: one of 16 EiB was drawn.
#[test]
fn no_cell_is_in_both_halves() {
    let bench = Bench::new(SPEC, &["--features", "SIGN_EXTEND"]);
    let (_, picture, _) = bench.draw("x.svg", &[]);
    assert!(picture.contains("level 3, items 1..=255: hole of 127.50 TiB"), "{picture}");
    assert!(picture.contains("level 3, items 256..=511: hole of 128 TiB"), "{picture}");
}

/// A page whose item is 0, as that of s390 at physical address 0, had neither address nor value nor fields.
#[test]
fn an_item_that_is_0() {
    let bench = Bench::new(ITEM_OF_0, &[]);
    let data = bench.data(&[]);
    let leaf = cells(&data).find(|cell| cell["k"] == "leaf").unwrap();
    assert_eq!((number(&leaf["raw"]), number(&leaf["pa"]), items(leaf)), (0, 0, 256));
    let form = &data["forms"][leaf["form"].as_u64().unwrap() as usize];
    assert_eq!(form, &serde_json::json!([["PROTECT", "0x0"], ["I_PAGE", "0x0"]]));
    // A hole has no item.
    assert!(cells(&data).all(|cell| cell["k"] != "empty" || cell.get("raw").is_none()));
}
