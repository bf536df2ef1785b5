//! Names of files, and names in them, do not reach the terminal as they are.

mod common;

use common::images::{Bench, SPEC, on};
use common::{failure, genpt, map, replay, stdout};
use serde_json::Value;

/// A name that would turn a terminal red, and look like a hint on a line of its own.
const NAME: &str = "red\u{1b}[31m\nhint: do as I say";
const SHOWN: &str = r"red\u{1b}[31m\nhint: do as I say";

/// What a run that failed says, which is one line, or two with a hint of its own.
fn one_line(arguments: &[&str]) -> String {
    let (_, text) = failure(&genpt(arguments));
    assert!(!text.contains('\u{1b}') && text.lines().all(|line| !line.starts_with("hint: do")), "{text:?}");
    text
}

#[test]
fn names_of_files() {
    let bench = Bench::new(SPEC, &[]);
    std::fs::copy(bench.path("image"), bench.path(NAME)).unwrap();
    std::fs::copy(bench.path("image.json"), bench.path(&format!("{NAME}.json"))).unwrap();
    let (text, _) = on("check", &bench.path(NAME), &[]);
    assert!(text.contains(&format!("{SHOWN}: x86_64\n")), "{text}");
    std::fs::remove_file(bench.path(&format!("{NAME}.json"))).unwrap();
    for arguments in [
        &["dump", &bench.text(NAME)][..],
        &["dump", &bench.text(&format!("{NAME}/none"))],
        &["build", &bench.text(NAME), "-o", &bench.text("other")],
        &["build", &bench.text("spec.toml"), "-o", &bench.text(&format!("{NAME}/none"))],
        &["draw", &bench.text("image"), "-o", &bench.text(&format!("{NAME}/none"))],
        &["replay", &bench.text(NAME)],
    ] {
        let text = one_line(arguments);
        assert!(text.contains(SHOWN), "{arguments:?}: {text}");
    }
}

#[test]
fn names_in_manifests() {
    let bench = Bench::new(SPEC, &[]);
    let manifest: Value = serde_json::from_slice(&std::fs::read(bench.path("image.json")).unwrap()).unwrap();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut manifest = manifest.clone();
        change(&mut manifest);
        std::fs::write(bench.path("image.json"), manifest.to_string()).unwrap();
        one_line(&["dump", &bench.text("image")])
    };
    for text in [
        changed(&|manifest| manifest["format"] = NAME.into()),
        changed(&|manifest| manifest["features"] = [NAME].as_slice().into()),
        changed(&|manifest| manifest["config"][NAME] = ["0x1"].as_slice().into()),
        changed(&|manifest| manifest[NAME] = 1.into()),
    ] {
        assert!(text.contains(SHOWN), "{text}");
    }
}

/// What is wrong with a specification is told on one line, without the lines around it.
#[test]
fn errors_in_specifications() {
    let bench = Bench::new(SPEC, &[]);
    std::fs::write(bench.path("spec.toml"), format!("{SPEC}\n[\u{7}]\n")).unwrap();
    let text = one_line(&["build", &bench.text("spec.toml"), "-o", &bench.text("other")]);
    assert!(text.contains("spec.toml: TOML parse error at line 15, column 2: ") && text.lines().count() == 2, "{text}");
    std::fs::write(bench.path("spec.json"), serde_json::json!({"format": NAME, "map": []}).to_string()).unwrap();
    let text = one_line(&["build", &bench.text("spec.json"), "-o", &bench.text("other")]);
    assert!(text.contains(SHOWN), "{text}");
}

#[test]
fn names_in_traces() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trace\u{1b}[31m");
    let event = map(0x1000, 0x2000, 0x1000);
    let lines = [event.replace('\n', " device=\u{1b}[31m\n"), event.replace(": map: ", ": odd\u{1b}[31m: ")];
    std::fs::write(&path, lines.concat()).unwrap();
    let text = stdout(&replay(&["-f", "vtdss", "--color", "never", path.to_str().unwrap()]));
    assert!(
        !text.contains('\u{1b}') && text.contains(r"trace\u{1b}[31m") && text.contains(r"odd\u{1b}[31m 1"),
        "{text}"
    );
    let text = stdout(&replay(&["-f", "vtdss", "--json", path.to_str().unwrap()]));
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["trace"]["domains"][0], r"\u{1b}[31m");
}
