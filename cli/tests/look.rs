//! How the tool looks: colours, help, errors, completions, manual pages, exit statuses.

mod common;

use common::images::{Bench, SPEC};
use common::{data, failure, genpt, replay, stdout};
use rstest::rstest;
use std::process::{Command, Output};

const SUBCOMMANDS: [&str; 6] = ["replay", "formats", "draw", "bench", "completions", "man"];

/// `genpt` with an environment of its own as far as colours go.
fn with_environment(variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_genpt"));
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied()).args(arguments).output().unwrap()
}

#[test]
fn colours_are_where_they_are_wanted() {
    let trace = data("three-domains.trace.txt");
    let coloured = |variables: &[(&str, &str)], when: Option<&str>| {
        let mut arguments = vec!["replay", "-f", "vtdss", trace.to_str().unwrap()];
        arguments.extend(when.iter().flat_map(|when| ["--color", when]));
        stdout(&with_environment(variables, &arguments)).contains('\u{1b}')
    };
    // The output is no terminal.
    assert!(!coloured(&[], None));
    assert!(!coloured(&[], Some("auto")));
    assert!(coloured(&[], Some("always")));
    assert!(!coloured(&[], Some("never")));
    assert!(coloured(&[("CLICOLOR_FORCE", "1")], None));
    assert!(!coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], None));
    assert!(!coloured(&[("CLICOLOR_FORCE", "1")], Some("never")));
}

/// Errors of arguments had colours as if the option was not there.
#[test]
fn colours_of_errors_in_arguments_are_as_asked_for() {
    for (words, is_coloured) in [
        (&["--color", "always", "walk"][..], true),
        (&["walk", "--color=always"], true),
        (&["--color", "never", "walk"], false),
        (&["walk"], false),
    ] {
        let text = String::from_utf8(common::genpt(words).stderr).unwrap();
        assert_eq!(text.contains('\u{1b}'), is_coloured, "{words:?}: {text}");
    }
}

#[test]
fn without_colours_the_text_is_the_same() {
    let trace = data("three-domains.trace.txt");
    let text = |when| {
        let text = stdout(&replay(&["--color", when, "-f", "vtdss,amdv1", trace.to_str().unwrap()]));
        // Times differ.
        text.lines().filter(|line| !line.contains(" / ")).fold(String::new(), |text, line| text + line + "\n")
    };
    assert_eq!(anstream::adapter::strip_str(&text("always")).to_string(), text("never"));
}

#[test]
fn every_help_has_an_example_and_the_exit_statuses() {
    for subcommand in SUBCOMMANDS {
        let text = stdout(&genpt(&[subcommand, "--help"]));
        assert!(text.contains(&format!("  genpt {subcommand}")), "{text}");
        assert!(text.contains("Exit status: 0 done"), "{text}");
        assert!(text.contains("--color <WHEN>"), "{text}");
    }
    assert!(stdout(&genpt(&["--help"])).contains("Exit status: 0 done"));
}

#[test]
fn completions_know_the_subcommands_and_formats() {
    for (shell, knows_values) in
        [("bash", true), ("zsh", true), ("fish", true), ("elvish", false), ("powershell", false)]
    {
        let script = stdout(&genpt(&["completions", shell]));
        for word in SUBCOMMANDS.iter().chain(&["html"]) {
            assert!(script.contains(word), "{shell}: {word}");
        }
        assert_eq!(script.contains("armv8_4k"), knows_values, "{shell}");
    }
    let (code, _) = failure(&genpt(&["completions", "tcsh"]));
    assert_eq!(code, 2);
}

#[test]
fn bash_understands_its_completions() {
    let script = stdout(&genpt(&["completions", "bash"]));
    let check = "COMP_WORDS=(genpt replay --h); COMP_CWORD=2; _genpt genpt --h replay; echo \"${COMPREPLY[@]}\"";
    let Ok(output) = Command::new("bash").args(["-c", &format!("{script}\n{check}")]).output() else {
        return;
    };
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "--html --help");
}

#[test]
fn manual_pages() {
    let page = stdout(&genpt(&["man"]));
    assert!(page.contains(".TH genpt 1") && page.contains("Exit status"), "{page}");
    let directory = tempfile::tempdir().unwrap();
    // The directory is made, one above it is not.
    failure(&genpt(&["man", "--output-dir", directory.path().join("no/man1").to_str().unwrap()]));
    assert!(!directory.path().join("no").exists());
    let pages = directory.path().join("man1");
    assert_eq!(stdout(&genpt(&["man", "--output-dir", pages.to_str().unwrap()])), "");
    for subcommand in SUBCOMMANDS {
        let page = std::fs::read_to_string(pages.join(format!("genpt-{subcommand}.1"))).unwrap();
        assert!(page.contains("Example"), "{page}");
    }
    assert!(pages.join("genpt.1").exists());
    // There were some of `help`, too.
    let names: Vec<_> = std::fs::read_dir(pages).unwrap().map(|page| page.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().starts_with("genpt-help")), "{names:?}");
}

/// The synopsis of `walk` had one address.
#[test]
fn manual_pages_say_where_several_are_taken() {
    let directory = tempfile::tempdir().unwrap();
    stdout(&genpt(&["man", "--output-dir", directory.path().to_str().unwrap()]));
    for (name, several, one) in
        [("walk", "<\\fIVA...\\fR>", "<\\fIIMAGE\\fR>"), ("replay", "[\\fIFILE...\\fR]", "\\-\\-json")]
    {
        let page = std::fs::read_to_string(directory.path().join(format!("genpt-{name}.1"))).unwrap();
        let synopsis = page.lines().find(|line| line.starts_with(&format!("\\fBgenpt {name}\\fR"))).unwrap();
        assert!(synopsis.contains(several) && synopsis.contains(one), "{synopsis}");
    }
}

/// Where what clap prints itself could not be written, the exit status said that all is well.
#[rstest]
#[case::help(&["--help"])]
#[case::help_of_a_command(&["dump", "--help"])]
#[case::version(&["--version"])]
#[cfg(target_os = "linux")]
fn help_that_cannot_be_written(#[case] arguments: &[&str]) {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_genpt")).args(arguments).stdout(full).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && error.starts_with("error: cannot write the results"), "{error}");
}

/// What can be written and executed stands out in `dump`; CSV has no colours.
#[test]
fn a_dump_has_colours() {
    let image = Bench::new(SPEC, &[]);
    let dump = |options: &[&str]| {
        let output = with_environment(&[], &[&["dump", &image.text("image")], options].concat());
        String::from_utf8(output.stdout).unwrap()
    };
    let (plain, coloured) = (dump(&[]), dump(&["--color", "always"]));
    assert!(plain.contains("  rwx RW") && !plain.contains('\u{1b}'), "{plain}");
    assert!(coloured.contains("  \u{1b}[1m\u{1b}[33mrwx\u{1b}[0m RW"), "{coloured:?}");
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
    assert!(!dump(&["--color", "always", "--output", "csv"]).contains('\u{1b}'));
}

/// Severities of `check` have colours where they are wanted, and never in JSON.
#[test]
fn a_check_has_colours() {
    let bench = Bench::new(SPEC, &[]);
    bench.poke(8, 1 << 7 | 1);
    let image = bench.text("image");
    let check = |variables: &[(&str, &str)], options: &[&str]| {
        let output = with_environment(variables, &[&["check", &image], options].concat());
        String::from_utf8(output.stdout).unwrap()
    };
    let (plain, coloured) = (check(&[], &[]), check(&[], &["--color", "always"]));
    assert!(plain.contains("\nerror: level 3") && !plain.contains('\u{1b}'), "{plain}");
    assert!(coloured.contains("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m level 3"), "{coloured:?}");
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
    assert!(!check(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], &[]).contains('\u{1b}'));
    assert!(!check(&[], &["--color", "always", "--json"]).contains('\u{1b}'));
}

/// The other commands in text: the same with and without colours.
#[test]
fn other_commands_have_colours() {
    let (before, after) = (Bench::new(SPEC, &[]), Bench::new(&SPEC.replace("0x10000000", "0x20000000"), &[]));
    let (before, after) = (before.text("image"), after.text("image"));
    let commands: [(&[&str], &str); 4] = [
        (&["diff", &before, &after], "\u{1b}[31m-\u{1b}[0m "),
        (&["walk", &before, "0x30000000"], "(not-present)\u{1b}[0m"),
        (&["formats"], "\u{1b}[1mvtdss"),
        (&["formats", "vtdss"], "Bits of an item\u{1b}[0m"),
    ];
    for (command, mark) in commands {
        let text =
            |options: &[&str]| String::from_utf8(with_environment(&[], &[command, options].concat()).stdout).unwrap();
        let (plain, coloured) = (text(&[]), text(&["--color", "always"]));
        assert!(coloured.contains(mark) && !plain.contains('\u{1b}'), "{coloured:?}");
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
    }
}
