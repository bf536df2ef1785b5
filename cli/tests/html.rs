//! The page of `replay --html` in a real browser: it is skipped where there is no Chromium.
//!
//! `GENPT_SCREENSHOTS=dir` keeps pictures of what the browser shows.

mod common;

use common::browser::Browser;
use common::{data, failure, replay, stdout};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A page about the built-in trace and one of three domains.
fn page(directory: &Path) -> PathBuf {
    let page = directory.join("page.html");
    let trace = data("three-domains.trace.txt");
    let built_in = common::built_in();
    let arguments = ["--html", page.to_str().unwrap(), "-f", "vtdss,amdv1,riscv_64,x86_64"];
    let traces = [built_in.to_str().unwrap(), trace.to_str().unwrap()];
    stdout(&replay(&[&arguments[..], &traces].concat()));
    page
}

#[test]
fn values_are_shown_and_nothing_goes_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let page = page(directory.path());
    let Some(browser) = Browser::here() else { return };
    browser.open(&page);
    let tip = || browser.run("return document.getElementById('tip').innerText");
    assert_eq!(browser.run("return document.getElementById('tip').hidden"), true);
    browser.hover("section:nth-of-type(1) .card svg");
    let text = tip();
    let text = text.as_str().unwrap();
    assert!(text.starts_with("up to line ") && text.contains("tables") && text.contains("KiB"), "{text}");
    browser.screenshot("hover");
    // By keys: the end of the trace.
    browser.run("document.querySelector('figure.wide svg').focus()");
    browser.press("\u{e010}");
    let text = tip();
    let text = text.as_str().unwrap();
    assert!(text.starts_with("up to line 7,824") && text.contains("mapped") && text.contains("20 KiB"), "{text}");
    browser.press("\u{e00c}");
    assert_eq!(browser.run("return document.getElementById('tip').hidden"), true);
    assert_eq!(browser.console(), Vec::<Value>::new());
}

#[test]
fn light_dark_and_narrow() {
    let directory = tempfile::tempdir().unwrap();
    let page = page(directory.path());
    let Some(browser) = Browser::here() else { return };
    browser.open(&page);
    let paper = |scheme: &str| {
        browser.prefer(scheme);
        browser.screenshot(scheme);
        browser.run("return getComputedStyle(document.body).backgroundColor")
    };
    assert_eq!((paper("light"), paper("dark")), ("rgb(255, 255, 255)".into(), "rgb(20, 23, 27)".into()));
    browser.become_phone();
    browser.screenshot("narrow");
    let width = browser.run("return document.documentElement.scrollWidth");
    assert!(width.as_u64().unwrap() <= 390, "{width}");
    // What is wider than a phone scrolls where it is, to its last column.
    let script = "return [...document.querySelectorAll('.scroll')].map((box) => {
        box.scrollLeft = 1e6;
        const [last] = [...box.querySelectorAll('thead th')].slice(-1);
        return [box.scrollWidth > box.clientWidth, last.getBoundingClientRect().right <= 390];
    })";
    assert_eq!(browser.run(script), serde_json::json!([[true, true], [true, true], [true, true]]));
    browser.screenshot("narrow-scrolled");
    assert_eq!(browser.console(), Vec::<Value>::new());
}

#[test]
fn everything_is_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(page(directory.path())).unwrap();
    for outside in ["http:", "https:", "src=", "@import", "url("] {
        assert!(!text.contains(outside), "{outside}");
    }
    assert_eq!(text.matches("<section>").count(), 2);
    assert_eq!(text.matches("<article").count(), 8);
}

/// Only the text and the JSON had them.
#[test]
fn domains_are_side_by_side() {
    let directory = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(page(directory.path())).unwrap();
    // The built-in trace has one.
    let (_, domains) = text.split_once("<h2>Domains</h2>").unwrap();
    assert_eq!(text.matches("<h2>Domains</h2>").count(), 1);
    let (domains, _) = domains.split_once("</table>").unwrap();
    let report =
        common::json(&["-f", "vtdss,amdv1,riscv_64,x86_64", data("three-domains.trace.txt").to_str().unwrap()]);
    let of = |format: &str| report["formats"][format]["domains"].as_array().unwrap();
    assert_eq!(domains.matches("<tr><th>").count() - 1, of("vtdss").len());
    for (domain, row) in of("vtdss").iter().zip(domains.split("<tr><th>").skip(2)) {
        let begins = format!(
            "{}</th><td>{}</td><td>{}</td>",
            domain["name"].as_str().unwrap(),
            domain["maps"],
            domain["unmaps"]
        );
        assert!(row.starts_with(&begins), "{row}");
    }
    for (n, domain) in of("riscv_64").iter().enumerate() {
        let row = domains.split("<tr><th>").nth(n + 2).unwrap();
        let pages = format!("<small>{} pages</small>", domain["peak_table_pages"]);
        assert!(row.contains(&pages), "{row}");
    }
}

#[test]
fn names_of_files_are_no_markup() {
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("<b>&.txt");
    std::fs::write(&trace, common::map(0, 0x1000, 0x1000)).unwrap();
    let page = directory.path().join("page.html");
    stdout(&replay(&["-f", "vtdss", "--html", page.to_str().unwrap(), trace.to_str().unwrap()]));
    let text = std::fs::read_to_string(page).unwrap();
    assert!(text.contains("&lt;b&gt;&amp;.txt") && !text.contains("<b>&"), "{text}");
}

#[test]
fn a_page_that_cannot_be_written_is_an_error() {
    let output = replay(&["-f", "vtdss", "--html", "/no/such/directory/page.html", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("cannot write the page /no/such/directory/page.html"), "{error}");
    failure(&replay(&["--html"]));
}
