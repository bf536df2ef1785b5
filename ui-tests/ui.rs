//! Descriptions of formats that must compile, and mistakes in them that must not: `docs/compile-errors.md`.
//!
//! `TRYBUILD=overwrite cargo test --test ui` writes the `.stderr` files again, after which the differences are to be read.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn descriptions() {
    let cases = trybuild::TestCases::new();
    cases.pass("pass/*.rs");
    cases.compile_fail("fail/*.rs");
}

/// The files of mistakes with this extension.
fn mistakes(extension: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fail");
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|it| it == extension)).collect()
}

#[test]
fn one_mistake_is_one_error() {
    let messages = mistakes("stderr");
    assert_eq!(messages.len(), mistakes("rs").len(), "every mistake has its message");
    for path in messages {
        let text = fs::read_to_string(&path).unwrap();
        let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error")).collect();
        assert_eq!(errors.len(), 1, "{}: {errors:#?}", path.display());
        let notes = text.lines().filter(|line| line.contains("erroneous constant")).count();
        assert_eq!(notes, 0, "{}: only the cause is told", path.display());
    }
}

#[test]
fn every_mistake_is_documented() {
    let document = include_str!("../docs/compile-errors.md");
    for path in mistakes("rs") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(document.contains(&format!("`{name}`")), "docs/compile-errors.md tells of `{name}`");
    }
}
