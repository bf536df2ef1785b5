//! Drawings in a real browser: these tests are skipped where there is no Chromium, and with `GENERIC_PT_REQUIRE_BROWSER=1` fail.
//!
//! `GENPT_SCREENSHOTS=dir` keeps pictures of what the browser shows.

mod common;

use common::browser::Browser;
use common::drawing::{ITEM_OF_0, at_random};
use common::images::{Bench, SPEC};
use serde_json::Value;
use std::path::Path;

/// A kernel's address space in small, with something broken in each half.
fn broken_kernel() -> Bench {
    let mut spec = String::from("format = \"x86_64\"\nbase = \"0x38000000\"\nfeatures = [\"SIGN_EXTEND\"]\n");
    let mut map = |va: u64, pa: u64, len: u64, prot: &str| {
        spec += &format!("[[map]]\nva = \"{va:#x}\"\npa = \"{pa:#x}\"\nlen = \"{len:#x}\"\nprot = \"{prot}\"\n");
    };
    map(0x5555_5555_4000, 0x123_4000, 0x5000, "r");
    map(0x7fff_ffe0_0000, 0x200_0000, 0x8000, "rw");
    map(0xffff_8880_0000_0000, 0, 0x4000_0000, "rw");
    map(0xffff_8880_4000_0000, 0x4000_0000, 0x20_0000, "rw");
    for n in 0..400 {
        map(0xffff_c900_0000_0000 + n * 0x5000, 0x300_0000 + (n * 7919 % 400) * 0x4000, 0x4000, "rw");
    }
    map(0xffff_ffff_8100_0000, 0x100_0000, 0x60_0000, "r");
    let bench = Bench::new(&spec, &[]);
    let at = |table: u64, index: usize| ((table & 0xf_ffff_f000) - 0x3800_0000) as usize + 8 * index;
    let user = bench.peek(8 * 255);
    bench.poke(at(user, 511), 0x7_0000_0027);
    let kernel = bench.peek(8 * 511);
    let text = bench.peek(at(kernel, 510));
    bench.poke(at(text, 9), bench.peek(at(text, 9)) | 1 << 14);
    bench.poke(8 * 300, bench.peek(8 * 402));
    bench
}

/// The frame of the first block of a table began outside of the drawing, and that of the last ended there.
#[test]
fn frames_are_in_the_drawing() {
    let Some(browser) = Browser::here() else { return };
    let bench = Bench::new(SPEC, &[]);
    for item in [0, 511] {
        bench.poke(8 * item, bench.peek(0) | 1 << 63 | 1 << 7);
    }
    bench.draw("x.html", &[]);
    browser.open(&bench.path("x.html"));
    let script = "return [...document.querySelectorAll('#tree .mark-error')].map((frame) => {
        const [box, all] = [frame.getBBox(), frame.ownerSVGElement.getBoundingClientRect()];
        return box.x >= 1 && box.x + box.width <= all.width - 1 && box.width > 10;
    })";
    assert_eq!(browser.run(script), serde_json::json!([true, true]));
    browser.screenshot("frames");
}

#[test]
fn a_page_is_looked_around_in() {
    let Some(browser) = Browser::here() else { return };
    let bench = Bench::new(SPEC, &[]);
    bench.draw("x.html", &[]);
    browser.open(&bench.path("x.html"));
    let text = |id: &str| {
        browser.run(&format!("return document.getElementById('{id}').innerText")).as_str().unwrap().to_owned()
    };
    let is_hidden = |id: &str| browser.run(&format!("return document.getElementById('{id}').hidden"));
    browser.run("[...document.querySelectorAll('#tree .cell')].find(({ cell }) => cell.k === 'leaf' && cell.table.level === 1).id = 'large'");
    browser.hover("#large");
    let tip = text("tip");
    assert!(
        tip.contains("level 1, items 1 to 2: 2 × 2 MiB") && tip.contains("PA 0x0000000800000 to 0x0000000bfffff"),
        "{tip}"
    );
    assert_eq!(browser.run("return getComputedStyle(document.getElementById('tip')).display"), "block");
    let on = |map: &str| browser.run(&format!("return document.querySelectorAll('#{map} .on').length"));
    assert_eq!((on("va-map"), on("pa-map")), (1.into(), 1.into()));
    assert_eq!(is_hidden("details"), true);
    // A page: its fields by name.
    browser.click("#large");
    let details = text("details");
    for part in [
        "2 × 2 MiB",
        "level\n1",
        "items\n1 to 2",
        "0x00000000008000e7",
        "0x000000200000 to 0x0000005fffff",
        "PS\n0x1",
        "rwx RW U A D",
    ] {
        assert!(details.contains(part), "{part}: {details}");
    }
    browser.screenshot("draw-pinned");
    // Into the table of the page that may not be written, and up again.
    let blocks = || browser.run("return document.querySelectorAll('#tree .cell').length").as_u64().unwrap();
    let all = blocks();
    browser.run("[...document.querySelectorAll('#tree .cell')].findLast(({ cell }) => cell.k === 'table' && cell.table.level === 1).id = 'last'");
    browser.click("#last");
    let path = text("path");
    assert!(path.contains("top") && path.contains("level 0"), "{path}");
    assert!(blocks() < all, "{} {all}", blocks());
    browser.click("#all");
    assert_eq!((blocks(), text("path")), (all, "top".to_owned()));
    // To an address, and to one that the top does not decode.
    let go_to = |va: &str| {
        browser.run(&format!("document.getElementById('address').value = '{va}'"));
        browser.click("#find button");
    };
    go_to("0x10000abc");
    assert!(text("details").contains("4 KiB\n") && text("details").contains("r-x U A"), "{}", text("details"));
    assert_eq!(browser.run("return document.getElementById('address').className"), "");
    browser.run("document.getElementById('space').value = 'PA'");
    go_to("0x812345");
    assert!(text("details").contains("VA 0x000000212345"), "{}", text("details"));
    browser.run("document.getElementById('space').value = 'VA'");
    go_to("0xffff000000000000");
    assert_eq!(browser.run("return document.getElementById('address').className"), "wrong");
    // By keys: the last cell of the table, the item above, out again.
    browser.run("document.getElementById('tree').focus()");
    browser.press("\u{e010}");
    assert!(text("details").contains("1 to 511"), "{}", text("details"));
    browser.press("\u{e013}");
    assert!(text("details").contains("leads to"), "{}", text("details"));
    browser.press("\u{e00c}");
    assert_eq!(is_hidden("details"), true);
    // Memory that is in use: from where it is mapped.
    browser.click("#pa-map .cell.a5");
    assert!(text("details").contains("VA 0x000010000000"), "{}", text("details"));
    browser.click("#all");
    browser.run("document.getElementById('colours').value = 'sizes'; document.getElementById('colours').dispatchEvent(new Event('change'))");
    assert_ne!(browser.run("return document.querySelectorAll('#tree .cell.s6').length"), 0);
    assert_eq!(browser.console(), Vec::<Value>::new());
}

/// The maps could be used with a pointer only.
#[test]
fn maps_are_used_by_keys() {
    let Some(browser) = Browser::here() else { return };
    let bench = Bench::new(SPEC, &[]);
    bench.draw("x.html", &[]);
    browser.open(&bench.path("x.html"));
    let text = |id: &str| {
        browser.run(&format!("return document.getElementById('{id}').innerText")).as_str().unwrap().to_owned()
    };
    let [tab, enter, escape, left, right] = ["\u{e004}", "\u{e007}", "\u{e00c}", "\u{e012}", "\u{e014}"];
    let focus = || browser.run("return document.activeElement.id").as_str().unwrap().to_owned();
    // From the last button to the first map, past the tables with their path, to the last one.
    browser.run("document.getElementById('all').focus()");
    browser.press(tab);
    assert_eq!(focus(), "va-map");
    let outline = browser.run("return getComputedStyle(document.activeElement).outlineStyle");
    assert_eq!(outline, "solid");
    browser.press(right);
    assert!(text("details").contains("0x0000001ff000 to 0x000000600fff"), "{}", text("details"));
    browser.press(right);
    browser.press(right);
    assert!(text("details").contains("0x000010000000 to 0x000010000fff"), "{}", text("details"));
    let marked = |map: &str, class: &str| {
        browser.run(&format!("return document.querySelectorAll('#{map} .cell.{class}').length"))
    };
    assert_eq!((marked("va-map", "pinned"), marked("pa-map", "on")), (1.into(), 1.into()));
    browser.screenshot("draw-map-keys");
    browser.press(enter);
    assert!(text("path").contains("level 0") && text("details").contains("r-x U A"), "{}", text("details"));
    assert_eq!((focus(), marked("va-map", "pinned")), ("va-map".to_owned(), 0.into()));
    for _ in 0..20 {
        browser.press(tab);
        if focus() == "pa-map" {
            break;
        }
    }
    assert_eq!(focus(), "pa-map");
    browser.press(left);
    assert!(text("details").contains("Physical memory in use"), "{}", text("details"));
    browser.press(enter);
    assert!(text("details").contains("rwx RW U A D"), "{}", text("details"));
    browser.press(escape);
    assert_eq!(browser.run("return document.getElementById('details').hidden"), true);
    assert_eq!(browser.console(), Vec::<Value>::new());
}

#[test]
fn a_finding_leads_to_what_is_broken() {
    let Some(browser) = Browser::here() else { return };
    let bench = broken_kernel();
    bench.draw("x.html", &[]);
    browser.open(&bench.path("x.html"));
    browser.screenshot("draw-broken");
    let findings = browser.run("return [...document.querySelectorAll('#findings b')].map((b) => b.textContent)");
    let rules: Vec<&str> = findings.as_array().unwrap().iter().map(|rule| rule.as_str().unwrap()).collect();
    for (rule, word) in
        [("outside", "outside of the image"), ("page-misaligned", "2 MiB"), ("shared-table", "several pointers")]
    {
        let n = rules.iter().position(|found| *found == rule).unwrap_or_else(|| panic!("{rule}: {rules:?}"));
        browser.click(&format!("#findings li:nth-child({}) button", n + 1));
        let details = browser.run("return document.getElementById('details').innerText");
        let details = details.as_str().unwrap();
        assert!(details.contains(&format!(": {rule}")) && details.contains(word), "{details}");
    }
    browser.screenshot("draw-finding");
    assert_eq!(browser.console(), Vec::<Value>::new());
}

#[test]
fn light_dark_and_narrow() {
    let Some(browser) = Browser::here() else { return };
    let bench = broken_kernel();
    bench.draw("x.html", &[]);
    bench.draw("x.svg", &[]);
    let papers = |page: &Path, script: &str, name: &str| {
        browser.open(page);
        ["light", "dark"].map(|scheme| {
            browser.prefer(scheme);
            browser.screenshot(&format!("{name}-{scheme}"));
            browser.run(script)
        })
    };
    let expected = ["rgb(255, 255, 255)", "rgb(20, 23, 27)"];
    assert_eq!(
        papers(&bench.path("x.svg"), "return getComputedStyle(document.querySelector('.paper')).fill", "draw-svg"),
        expected
    );
    assert_eq!(browser.run("return document.querySelectorAll('title').length > 20"), true);
    assert_eq!(
        papers(&bench.path("x.html"), "return getComputedStyle(document.body).backgroundColor", "draw-page"),
        expected
    );
    browser.become_phone();
    browser.open(&bench.path("x.html"));
    browser.screenshot("draw-narrow");
    let width = browser.run("return document.documentElement.scrollWidth");
    assert!(width.as_u64().unwrap() <= 390, "{width}");
    // A finger is a click.
    browser.click("#findings button");
    browser.screenshot("draw-narrow-pinned");
    let [left, right] = ["left", "right"].map(|side| {
        browser
            .run(&format!("return document.getElementById('details').getBoundingClientRect().{side}"))
            .as_f64()
            .unwrap()
    });
    assert!(left >= 0.0 && right <= 390.0, "{left} {right}");
    assert_eq!(browser.console(), Vec::<Value>::new());
}

/// The flags of what is marked lay on the titles of the rows, and of tables that are too narrow nothing was said.
#[test]
fn titles_of_rows_on_a_phone() {
    let Some(browser) = Browser::here() else { return };
    browser.become_phone();
    let bench = broken_kernel();
    bench.draw("x.html", &[]);
    browser.open(&bench.path("x.html"));
    let script = "const boxes = (selector) => [...document.querySelectorAll(selector)].map((shape) => shape.getBoundingClientRect());
        const lie = (flag, title) => flag.bottom > title.top && flag.top < title.bottom;
        const [flags, titles] = [boxes('#tree [class^=flag]'), boxes('#tree .soft')];
        return [flags.length, flags.filter((flag) => titles.some((title) => lie(flag, title))).length]";
    let flags = browser.run(script);
    assert!(flags[0].as_u64().unwrap() >= 5 && flags[1] == 0, "{flags}");
    browser.screenshot("draw-narrow-flags");
    let (pointers, _) = at_random();
    let at_random = Bench::of(&pointers);
    at_random.draw("x.html", &["--format", "x86_64", "--root", "0", "--limit", "4M"]);
    browser.open(&at_random.path("x.html"));
    let script = "return [...document.querySelectorAll('#tree .soft')].map((title) => {
        const [y, cells] = [title.getBBox().y, [...document.querySelectorAll('#tree .cell')]];
        return [title.textContent.includes('too narrow here'), cells.some((cell) => Math.abs(cell.getBBox().y - y) < 20)];
    })";
    let rows = browser.run(script);
    for row in rows.as_array().unwrap() {
        assert_ne!(row[0], row[1], "{rows}");
    }
    assert_eq!(rows[0][0], true, "{rows}");
    browser.screenshot("draw-narrow-hostile");
}

/// A note had the colour of a warning.
#[test]
fn a_note_is_no_warning() {
    let Some(browser) = Browser::here() else { return };
    let bench = Bench::new(SPEC, &[]);
    // The tables below are there, and nothing leads to their pages.
    let at = |table: u64, index: usize| ((table & 0xf_ffff_f000) - 0x10_0000) as usize + 8 * index;
    let table = bench.peek(at(bench.peek(at(bench.peek(0), 0)), 128));
    bench.poke(at(table, 0), 0);
    bench.draw("x.html", &[]);
    browser.open(&bench.path("x.html"));
    let script = "const [rule, text] = [document.querySelector('#findings b'), document.querySelector('.soft-text')];
        return [rule.textContent, getComputedStyle(rule).color === getComputedStyle(text).color]";
    assert_eq!(browser.run(script), serde_json::json!(["empty-table", true]));
    browser.screenshot("draw-note");
}

/// Of an image that is all tables a page shows a part, soon.
#[test]
fn a_page_of_too_much() {
    let Some(browser) = Browser::here() else { return };
    let (pointers, _) = at_random();
    let at_random = Bench::of(&pointers);
    at_random.draw("x.html", &["--format", "x86_64", "--root", "0", "--limit", "4M"]);
    browser.open(&at_random.path("x.html"));
    let elements = browser.run("return document.querySelectorAll('svg *').length").as_u64().unwrap();
    assert!((500..20_000).contains(&elements), "{elements}");
    browser.screenshot("draw-hostile");
    assert_eq!(browser.console(), Vec::<Value>::new());
}

/// Over a page whose item is 0 the script ended with an error.
#[test]
fn a_page_whose_item_is_0_is_hovered_over() {
    let Some(browser) = Browser::here() else { return };
    let bench = Bench::new(ITEM_OF_0, &[]);
    bench.draw("x.html", &[]);
    browser.open(&bench.path("x.html"));
    browser.run("[...document.querySelectorAll('#tree .cell')].find(({ cell }) => cell.k === 'leaf').id = 'leaf'");
    browser.hover("#leaf");
    let tip = browser.run("return document.getElementById('tip').innerText");
    assert!(tip.as_str().unwrap().contains("PA 0x0000000000000000 to 0x00000000000fffff"), "{tip}");
    browser.click("#leaf");
    let details = browser.run("return document.getElementById('details').innerText");
    let details = details.as_str().unwrap();
    for part in ["first item\n0x0000000000000000", "0x0000000000000000 to 0x00000000000fffff", "PROTECT\n0x0"] {
        assert!(details.contains(part), "{part}: {details}");
    }
    browser.screenshot("draw-item-of-0");
    assert_eq!(browser.console(), Vec::<Value>::new());
}

/// Of a table that two pointers lead to the page told one way to a physical address, as if there were no other; and what was known
/// of the last address stayed there when the next one was none.
#[test]
fn bug_the_page_did_not_say_what_it_does_not_know() {
    let Some(browser) = Browser::here() else { return };
    let bench = broken_kernel();
    bench.draw("x.html", &[]);
    browser.open(&bench.path("x.html"));
    let find = |space: &str, address: &str| {
        browser.run(&format!(
            "document.getElementById('space').value = '{space}';
             document.getElementById('address').value = '{address}';
             document.getElementById('find').requestSubmit();"
        ));
        browser.run("const box = document.getElementById('details'); return [box.hidden, box.innerText]")
    };
    let found = find("PA", "0x3000000");
    let text = found[1].as_str().unwrap();
    assert!(text.contains("mapped from") && text.contains("`genpt dump --pa` tells all"), "{found}");
    assert_eq!(find("VA", "0x900000000000")[0], true);
    assert_eq!(find("PA", "0x3000000")[0], false);
    let whole = Bench::new(SPEC, &[]);
    whole.draw("x.html", &[]);
    browser.open(&whole.path("x.html"));
    let found = find("PA", "0x812345");
    let text = found[1].as_str().unwrap();
    assert!(text.contains("mapped from") && !text.contains("genpt dump"), "{found}");
}
