//! `genpt diff`: what changed, and what could not be compared.

mod common;

use common::genpt;
use common::images::{Bench, SPEC, on};
use serde_json::Value;

#[test]
fn what_changed_is_told() {
    let before = Bench::new(SPEC, &[]);
    let changed =
        SPEC.replace("pa = \"0x2000\"\nlen = \"4K\"\nprot = \"r\"", "pa = \"0x2000\"\nlen = \"8K\"\nprot = \"rw\"");
    let after = Bench::new(&changed.replace("0x402000", "0x401000"), &[]);
    let (a, b) = (before.text("image"), after.text("image"));
    let output = genpt(&["diff", &a, &b]);
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "- 000000600000..=000000600fff       4 KiB  disappeared  0000000c00000 rwx RW U A D",
            "~ 000010000000..=000010000fff       4 KiB  permission   0000000002000 r-x U A  ->  0000000002000 rwx RW U A D",
            "+ 000010001000..=000010001fff       4 KiB  appeared     0000000003000 rwx RW U A D",
            "3 changes",
        ]
    );
    assert_eq!(genpt(&["diff", &a, &a]).status.code(), Some(0));
    let changes: Value = serde_json::from_slice(&genpt(&["diff", &a, &b, "-o", "json"]).stdout).unwrap();
    assert_eq!((&changes[1]["kind"], &changes[1]["after"]["access"]), (&"permission".into(), &"rwx".into()));
}

/// `walk` and `diff` had them as one string, `dump` as a list.
#[test]
fn attributes_are_a_list_in_the_json_of_every_command() {
    let changed = SPEC.replace("prot = \"r\"", "prot = \"rw\"");
    let (before, after) = (Bench::new(SPEC, &[]), Bench::new(&changed, &[]));
    let (a, b) = (before.text("image"), after.text("image"));
    let value = |arguments: &[&str]| -> Value { serde_json::from_slice(&genpt(arguments).stdout).unwrap() };
    let dump = value(&["dump", &a, "--va", "0x10000000..=0x10000fff", "--json"]);
    let walk = value(&["walk", &a, "0x10000000", "--json"]);
    let diff = value(&["diff", &a, &b, "--json"]);
    let expected = serde_json::json!(["U", "A"]);
    assert_eq!(dump["runs"][0]["attributes"], expected, "{dump}");
    assert_eq!(walk[0]["page"]["attributes"], expected, "{walk}");
    assert_eq!(diff[0]["before"]["attributes"], expected, "{diff}");
    assert_eq!(diff[0]["after"]["attributes"], serde_json::json!(["RW", "U", "A", "D"]), "{diff}");
}

/// `diff` said nothing where it had stopped.
#[test]
fn a_diff_that_stops_says_so() {
    let bench = Bench::new(SPEC, &[]);
    let (text, code) = on("diff", &bench.path("image"), &[&bench.text("image"), "--limit", "1"]);
    assert!(code == 5 && text.contains("the second image: stopped"), "{text}");
}

/// `diff` said that images map the same whose tables are out of reach.
#[test]
fn what_diff_cannot_look_at() {
    let bench = Bench::new(SPEC, &[]);
    bench.poke(0, 0xf_0000_0000_0003);
    let image = bench.path("image");
    let (text, code) = on("diff", &image, &[&bench.text("image")]);
    assert_eq!(code, 5, "{text}");
    for side in ["first", "second"] {
        assert!(text.contains(&format!("\nthe {side} image: 1 item that points to a table outside")), "{text}");
    }
    for output in ["json", "csv"] {
        let output = genpt(&["diff", &bench.text("image"), &bench.text("image"), "--output", output]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("warning: the second image: 1 item that points to a table outside"), "{text}");
    }
}

/// Pages below what one side does not understand had disappeared, or appeared.
#[test]
fn bug_what_one_side_does_not_tell_had_changed() {
    let (before, after) = (Bench::new(SPEC, &[]), Bench::new(SPEC, &[]));
    // The pointer to all that is mapped leads out of the image.
    after.poke(0, 0xf_0000_0000_0003);
    for (first, second, side) in [(&before, &after, "second"), (&after, &before, "first")] {
        let (text, code) = on("diff", &first.path("image"), &[&second.text("image")]);
        let what = "1 item that points to a table outside of the image (`genpt check` tells which)";
        assert_eq!((text, code), (format!("0 changes\nthe {side} image: {what}\n"), 5));
    }
}

/// Behind where one side was not looked at any more, all of the other side had appeared.
#[test]
fn bug_what_is_behind_the_limit_of_one_side_had_changed() {
    let map = |va: u64| format!("[[map]]\nva = \"{va:#x}\"\npa = \"16M\"\nlen = \"4K\"\n");
    let spec = |vas: &[u64]| {
        let maps: String = vas.iter().map(|va| map(*va)).collect();
        format!("format = \"x86_64\"\nbase = \"1M\"\n{maps}")
    };
    let (low, middle, high) = (0, 1 << 30, 2 << 30);
    let before = Bench::new(&spec(&[low, high]), &[]);
    let after = Bench::new(&spec(&[low, middle, high]), &[]);
    // A top, one table of level 2, and two of the lower levels for each page: enough for the first image.
    let (text, code) = on("diff", &before.path("image"), &[&after.text("image"), "--limit", &(6 * 512).to_string()]);
    assert_eq!(code, 5, "{text}");
    assert!(text.starts_with("+ 000040000000..=000040000fff"), "{text}");
    assert!(text.contains("\n1 change\nthe second image: stopped"), "{text}");
    assert!(text.ends_with("the second image: from VA 0x80000000 on nothing is compared\n"), "{text}");
    let json =
        genpt(&["diff", &before.text("image"), &after.text("image"), "--json", "--limit", &(6 * 512).to_string()]);
    let changes: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(changes.as_array().unwrap().len(), 1);
    let text = String::from_utf8(json.stderr).unwrap();
    assert!(text.contains("warning: the second image: from VA 0x80000000 on nothing is compared"), "{text}");
}

/// A change of a pointer that says nothing of what is below is one if it is asked for.
#[test]
fn fields_of_pointers_are_compared() {
    let (before, after) = (Bench::new(SPEC, &[]), Bench::new(SPEC, &[]));
    after.poke(0, after.peek(0) | 1 << 9);
    let after = after.text("image");
    let (text, code) = on("diff", &before.path("image"), &[&after]);
    assert_eq!((text.as_str(), code), ("0 changes\n", 0));
    let (text, code) = on("diff", &before.path("image"), &[&after, "--pointers"]);
    assert!(code == 3 && text.contains("level3[RW U A]") && text.contains("level3[RW U A AVL=0x1]"), "{text}");
    let (text, code) = on("diff", &before.path("image"), &[&after, "--pointers", "--ignore", "AVL"]);
    assert_eq!(code, 0, "{text}");
    let (text, _) = on("dump", &before.path("image"), &["--pointers"]);
    // One run has pages of two levels: below different pointers they are runs of their own.
    assert!(text.contains("4 runs"), "{text}");
}

/// Images of two formats were compared without a word of that.
#[test]
fn two_formats_are_both_named() {
    let (before, after) = (Bench::of_format("x86_64"), Bench::of_format("amdv1"));
    let output = genpt(&["diff", &before.text("image"), &after.text("image")]);
    let text = String::from_utf8(output.stderr).unwrap();
    let [first, second] = [&before, &after].map(|bench| bench.text("image"));
    assert!(text.starts_with(&format!("warning: {first} is x86_64, {second} is amdv1: ")), "{text}");
    assert_eq!((output.status.code(), text.lines().count()), (Some(3), 1), "{text}");
}
