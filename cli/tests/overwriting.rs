//! No result is written over what it is made of, under whatever name.

mod common;

use common::images::{Bench, SPEC};
use common::{data, failure, genpt};
use std::path::{Path, PathBuf};

/// Other names of a file, in a directory.
fn names_of(file: &Path, directory: &Path) -> Vec<PathBuf> {
    let other = directory.join("other");
    std::fs::create_dir_all(&other).unwrap();
    let hard = other.join("hard");
    std::fs::hard_link(file, &hard).unwrap();
    let mut names = vec![file.to_owned(), hard, other.join("..").join(file.file_name().unwrap())];
    #[cfg(unix)]
    {
        let link = other.join("link");
        std::os::unix::fs::symlink(file, &link).unwrap();
        names.push(link);
    }
    names
}

/// That a command which would write over a file is refused, with these words, and the file is as before.
fn is_kept(file: &Path, directory: &Path, words: &str, command: impl Fn(&str) -> Vec<String>) {
    let before = std::fs::read(file).unwrap();
    for name in names_of(file, directory) {
        let arguments = command(&name.display().to_string());
        let (code, text) = failure(&genpt(&arguments.iter().map(String::as_str).collect::<Vec<_>>()));
        assert!(code == 2 && text.contains(words), "{arguments:?}: {text}");
        assert!(std::fs::read(file).unwrap() == before, "{arguments:?}");
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Of an image only the path was compared: a hard link to it was overwritten.
#[test]
fn an_image_is_not_drawn_over() {
    for file in ["image", "image.json"] {
        let bench = Bench::new(SPEC, &[]);
        let image = bench.text("image");
        is_kept(&bench.path(file), &bench.path(""), "is what is to be drawn", |name| {
            words(&["draw", &image, "-o", name])
        });
    }
}

/// `genpt build boot.json -o boot` wrote the manifest over the specification.
#[test]
fn a_specification_is_not_built_over() {
    let bench = Bench::new(SPEC, &[]);
    let spec = bench.path("spec.toml");
    is_kept(&spec, &bench.path(""), "is the specification", |name| {
        words(&["build", &spec.display().to_string(), "-o", name])
    });
    let text = r#"{"format": "vtdss", "map": [{"va": "0", "pa": "0", "len": "4K", "prot": "rw"}]}"#;
    let bench = Bench::of(b"");
    std::fs::write(bench.path("boot.json"), text).unwrap();
    let (code, message) = failure(&genpt(&["build", &bench.text("boot.json"), "-o", &bench.text("boot")]));
    assert!(code == 2 && message.contains("boot.json is the specification"), "{message}");
    assert_eq!(std::fs::read_to_string(bench.path("boot.json")).unwrap(), text);
}

/// The manifest was written over the image.
#[test]
fn an_image_is_not_its_manifest() {
    let bench = Bench::new(SPEC, &[]);
    std::fs::remove_file(bench.path("image.json")).unwrap();
    std::fs::hard_link(bench.path("image"), bench.path("image.json")).unwrap();
    let before = bench.image();
    let (code, text) = failure(&genpt(&["build", &bench.text("spec.toml"), "-o", &bench.text("image")]));
    assert!(code == 2 && text.contains("image.json is the image") && bench.image() == before, "{text}");
}

/// The page of a replay was written over the trace.
#[test]
fn a_trace_is_not_reported_over() {
    let bench = Bench::of(b"");
    let trace = bench.path("trace.txt");
    std::fs::copy(data("three-domains.trace.txt"), &trace).unwrap();
    is_kept(&trace, &bench.path(""), "is a trace to be replayed", |name| {
        words(&["replay", "-f", "vtdss", &trace.display().to_string(), "--html", name])
    });
}

/// `genpt build -o boot` wrote its manifest over whatever `boot.json` was.
#[test]
fn a_file_that_is_no_manifest_is_kept() {
    let bench = Bench::new(SPEC, &[]);
    for text in ["{\"settings\": 1}", "not JSON"] {
        std::fs::write(bench.path("boot.json"), text).unwrap();
        let (code, message) = failure(&genpt(&["build", &bench.text("spec.toml"), "-o", &bench.text("boot")]));
        assert!(code == 2 && message.contains("boot.json is no manifest of `genpt build`"), "{message}");
        assert_eq!(std::fs::read_to_string(bench.path("boot.json")).unwrap(), text);
        assert!(!bench.path("boot").exists());
    }
    // Its own is replaced.
    let again = genpt(&["build", &bench.text("spec.toml"), "-o", &bench.text("image")]);
    assert!(again.status.success(), "{again:?}");
}

/// Before it was known that the image can be written, the old manifest was gone.
#[cfg(unix)]
#[test]
fn a_build_that_fails_leaves_all_as_it_was() {
    let bench = Bench::new(SPEC, &[]);
    let build = |name: &str| genpt(&["build", &bench.text("spec.toml"), "-o", &bench.text(name), "--format", "vtdss"]);
    let files = || std::fs::read_dir(bench.path("")).unwrap().count();
    let manifest = std::fs::read(bench.path("image.json")).unwrap();
    std::fs::rename(bench.path("image"), bench.path("kept")).unwrap();
    std::fs::create_dir(bench.path("image")).unwrap();
    let count = files();
    let (code, text) = failure(&build("image"));
    assert!(code == 1 && text.contains("cannot write ") && text.contains("image: it is a directory"), "{text}");
    assert_eq!((std::fs::read(bench.path("image.json")).unwrap(), files()), (manifest, count));
    // The same for a manifest that cannot be written: it is to be in a directory that there is not.
    std::os::unix::fs::symlink(bench.path("nowhere/kept.json"), bench.path("kept.json")).unwrap();
    let before = std::fs::read(bench.path("kept")).unwrap();
    let (code, text) = failure(&build("kept"));
    assert!(code == 1 && text.contains("kept.json: its directory takes no other file"), "{text}");
    assert_eq!((std::fs::read(bench.path("kept")).unwrap(), files()), (before, count + 1));
}

/// The manifest of another image was replaced without a word.
#[test]
fn a_manifest_is_no_place_for_an_image() {
    let bench = Bench::new(SPEC, &[]);
    let before = std::fs::read(bench.path("image.json")).unwrap();
    let (code, text) = failure(&genpt(&["build", &bench.text("spec.toml"), "-o", &bench.text("image.json")]));
    assert!(code == 2 && text.contains("image.json is the manifest of another image"), "{text}");
    assert_eq!(std::fs::read(bench.path("image.json")).unwrap(), before);
}

/// What was built has the permissions of any new file, or those of the file that was there; a link stays one.
#[cfg(unix)]
#[test]
fn files_in_the_place_of_others() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new(SPEC, &[]);
    let mode = |name: &str| std::fs::metadata(bench.path(name)).unwrap().permissions().mode() & 0o777;
    std::fs::write(bench.path("other"), "").unwrap();
    assert_eq!([mode("image"), mode("image.json")], [mode("other"); 2]);
    std::fs::set_permissions(bench.path("other"), std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink(bench.path("other"), bench.path("link")).unwrap();
    let again = genpt(&["build", &bench.text("spec.toml"), "-o", &bench.text("link"), "--format", "riscv_64"]);
    assert!(again.status.success(), "{again:?}");
    assert!(std::fs::symlink_metadata(bench.path("link")).unwrap().is_symlink());
    assert_eq!(mode("other"), 0o640);
    assert!(!std::fs::read(bench.path("other")).unwrap().is_empty());
}
