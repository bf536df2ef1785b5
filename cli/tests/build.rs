//! `genpt build`: what it writes, and what it refuses.

mod common;

use common::images::{Bench, SPEC, format_names, on};
use common::{failure, genpt, stdout};
use object::{Object, ObjectSection};
use rstest::rstest;
use serde_json::Value;

#[test]
fn sources_for_c_and_assembler() {
    let bench = Bench::new(SPEC, &["--emit", "c"]);
    let (code, text) = failure(&genpt(&["dump", &bench.text("image")]));
    assert!(code == 1 && text.contains("C for a compiler") && text.contains("--emit raw"), "{text}");
    let bench = Bench::new(SPEC, &[]);
    let build = |name: &str, options: &[&str]| {
        let (spec, output) = (bench.text("spec.toml"), bench.text(name));
        stdout(&genpt(&[&["build", &spec, "-o", &output], options].concat()));
        std::fs::read_to_string(bench.path(name)).unwrap()
    };
    let top = format!("{:#x}", bench.peek(0));
    let c = build("tables.c", &["--symbol", "boot"]);
    assert!(
        c.contains("__attribute__((aligned(4096)))\nuint64_t boot[") && c.contains(&format!("    {top}, 0x0,")),
        "{c}"
    );
    let assembler = build("tables.S", &[]);
    assert!(assembler.contains(&format!("page_tables:\n    .quad {top}, 0x0, 0x0, 0x0\n")), "{assembler}");
    let big_endian = build("big.S", &["--format", "s390"]);
    assert!(big_endian.contains("    .byte 0x"), "{big_endian}");
}

/// The alignment was that of the top, also if the base does not have it (a linker moves the tables then), and if tables below need more.
#[rstest]
#[case::as_needed("armv7s", "0x4000", 0x4000)]
#[case::of_the_base("armv7s", "0x1000", 0x1000)]
#[case::of_the_least_base("x86_64", "0x1008", 8)]
#[case::no_base("riscv_64_g", "0", 0x4000)]
#[case::tables_below_the_top("x86_pae", "0x100000", 0x1000)]
#[case::base_below_the_tables("x86_pae", "0x100020", 0x20)]
fn the_alignment_is_that_of_the_base(#[case] format: &str, #[case] base: &str, #[case] align: u64) {
    let bench = Bench::of_format_at(format, base);
    let build = |name: &str| {
        let (spec, output) = (bench.text("spec.toml"), bench.text(name));
        stdout(&genpt(&["build", &spec, "-o", &output, "--format", format, "--base", base]));
        std::fs::read(bench.path(name)).unwrap()
    };
    let text = |name: &str| String::from_utf8(build(name)).unwrap();
    let (c, assembler, elf) = (text("tables.c"), text("tables.S"), build("tables.o"));
    assert!(c.contains(&format!("__attribute__((aligned({align})))\n")), "{c}");
    assert!(assembler.contains(&format!("    .balign {align}\n")), "{assembler}");
    let elf = object::File::parse(&*elf).unwrap();
    assert_eq!(elf.section_by_name(".page_tables").unwrap().align(), align);
}

#[test]
fn the_manifest_has_the_registers() {
    let bench = Bench::new(SPEC, &["--format", "amdv1", "-s", "starting_level=1", "--base", "0x8000000"]);
    let manifest: Value = serde_json::from_slice(&std::fs::read(bench.path("image.json")).unwrap()).unwrap();
    assert_eq!((&manifest["format"], &manifest["root"]), (&"amdv1".into(), &"0x8000000".into()));
    assert_eq!(manifest["config"]["starting_level"], serde_json::json!(["0x1"]));
    let register = &manifest["registers"][1];
    assert_eq!((&register["name"], &register["values"][0]), (&"mode".into(), &"0x2".into()));
    let (text, code) = on("dump", &bench.path("image"), &[]);
    assert!(code == 0 && text.contains("4.01 MiB"), "{text}");
}

#[test]
fn wrong_options_say_what_is_valid() {
    let bench = Bench::new(SPEC, &[]);
    let (spec, output) = (bench.text("spec.toml"), bench.text("other"));
    let build = |options: &[&str]| failure(&genpt(&[&["build", &spec, "-o", &output], options].concat()));
    let (code, text) = build(&["-s", "levels=4"]);
    assert!(code == 2 && text.contains("no setting `levels`\nhint: it has top_level, encryption_mask"), "{text}");
    let (code, text) = build(&["--features", "FAST"]);
    assert!(code == 2 && text.contains("no feature `FAST`\nhint: it has") && text.contains("SIGN_EXTEND"), "{text}");
    let (code, text) = build(&["-s", "top_level=0x100000000"]);
    assert!(code == 2 && text.contains("does not fit"), "{text}");
    std::fs::write(bench.path("spec.toml"), SPEC.replace("0x10000000", "0x200000")).unwrap();
    let (code, text) = build(&[]);
    assert!(code == 2 && text.contains("mapping 2 (VA 0x200000, PA 0x2000, 0x1000 bytes)"), "{text}");
}

/// Every format builds, is checked without a finding, and is dumped as it was mapped.
#[test]
fn every_format() {
    for name in format_names() {
        let bench = Bench::of_format(&name);
        let (text, code) = on("dump", &bench.path("image"), &["-o", "csv"]);
        assert_eq!(code, 0, "{name}: {text}");
        let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split(',').collect()).collect();
        let columns: Vec<(&str, &str, &str)> = rows.iter().map(|row| (row[0], row[2], row[3])).collect();
        assert_eq!(columns, [("0x1000000", "0x2000000", "0x100000"), ("0x4000000", "0x3000000", "0x10000")], "{name}");
        let may_write: Vec<bool> = rows.iter().map(|row| row[5].contains('w')).collect();
        assert_eq!(may_write, [true, false], "{name}: {text}");
        let (text, code) = on("check", &bench.path("image"), &[]);
        assert!(code == 0 && text.contains("0 findings"), "{name}: {text}");
        let (text, code) = on("walk", &bench.path("image"), &["0x1012345"]);
        assert!(code == 0 && text.contains("PA 0x2012345"), "{name}: {text}");
    }
}

/// What lies between tables was what the memory of the tables keeps in free pages: addresses of the process among it.
#[rstest]
fn bug_images_had_memory_of_the_process_between_tables(
    #[values("0", "8", "0x400", "0x800", "0x4000", "1M")] base: &str,
) {
    for name in format_names() {
        let build = || Bench::of_format_at(&name, base);
        let (first, second) = (build(), build());
        assert_eq!(first.image(), second.image(), "{name} at {base}");
        let (text, code) = on("check", &first.path("image"), &[]);
        assert!(code == 0 && text.contains("0 findings"), "{name} at {base}: {text}");
    }
}

/// The largest numbers there are overflowed.
#[test]
fn the_largest_numbers() {
    let spec = "format = \"x86_64\"\n[[map]]\nva = \"2M\"\npa = \"2M\"\nlen = \"2M\"\nprot = \"rw\"\npages = \"0xffffffffffffffff\"\n";
    let bench = Bench::new(spec, &[]);
    let (text, _) = on("dump", &bench.path("image"), &[]);
    assert!(text.contains("2 MiB"), "{text}");
    Bench::new(&spec.replace("0xffffffffffffffff", "0xc000000000000000"), &[]);
    let manifest = std::fs::read_to_string(bench.path("image.json")).unwrap();
    let mut manifest: Value = serde_json::from_str(&manifest).unwrap();
    for key in ["base", "root"] {
        manifest[key] = "0xfffffffffffff000".into();
    }
    manifest["bytes"] = "0x1000".into();
    std::fs::write(bench.path("image.json"), manifest.to_string()).unwrap();
    std::fs::write(bench.path("image"), [0; 0x1000]).unwrap();
    let check = genpt(&["check", &bench.text("image")]);
    assert!(!String::from_utf8_lossy(&check.stderr).contains("panicked"), "{check:?}");
}

/// Without a header the first mapping was taken for one, and nothing was mapped.
#[test]
fn csv_needs_a_header() {
    let bench = Bench::new(SPEC, &[]);
    let output = bench.text("other");
    let build = |text: &str| {
        std::fs::write(bench.path("maps.csv"), text).unwrap();
        failure(&genpt(&["build", &bench.text("maps.csv"), "-o", &output, "-f", "x86_64"]))
    };
    for text in ["0,0,1G,rw\n", "", "# nothing\n", "va,pa,length\n0,0,4K\n"] {
        let (code, message) = build(text);
        assert!(code == 2 && message.contains("hint: the first line has to be va,pa,len,prot"), "{text:?}: {message}");
    }
    let (_, message) = build("va,pa,len,prot\n0,0,4K\n");
    assert!(message.contains("line 2: it has 3 columns, the first line 4") && !message.contains("CSV"), "{message}");
    let (_, message) = build("va,pa,len,prot\n0,0,4Q,r\n");
    assert!(message.contains("line 2: `4Q` is no number") && !message.contains("deserialize"), "{message}");
}

/// The attempts went on until an allocation ended the program.
#[test]
fn more_memory_than_there_is() {
    let bench = Bench::new(SPEC, &[]);
    let build = |options: &[&str]| {
        let (spec, output) = (bench.text("spec.toml"), bench.text("other"));
        failure(&genpt(&[&["build", &spec, "-o", &output], options].concat()))
    };
    // No top fits below 4 GiB there.
    let (code, message) = build(&["-f", "rockchip_v2", "--base", "0x100000000000", "--memory", "8E"]);
    assert!(code == 2 && message.starts_with("error: "), "{message}");
    let (code, message) = build(&["--va-bits", "70"]);
    assert!(code == 2 && message.contains("`--va-bits` is 70") && !message.contains("hw_max"), "{message}");
    let (code, message) = build(&["--base", "0x1001"]);
    assert!(
        code == 2 && message.contains("cannot be at 0x1001: it is no multiple of 8\nhint: `--base` has to be"),
        "{message}"
    );
}

/// An object is for the CPU that walks such tables, and asks for no executable stack.
#[test]
fn objects_are_for_the_cpu_of_the_format() {
    let bench = Bench::new(SPEC, &[]);
    let build = |format: &str, options: &[&str]| {
        let (spec, output) = (bench.text("spec.toml"), bench.text("tables.o"));
        stdout(&genpt(&[&["build", &spec, "-o", &output, "-f", format], options].concat()));
        std::fs::read(bench.path("tables.o")).unwrap()
    };
    let machine = |bytes: &[u8]| u16::from_le_bytes([bytes[18], bytes[19]]);
    for (format, number) in
        [("x86_64", 62), ("x86_pae", 3), ("ept", 62), ("armv8_4k", 183), ("armv7s", 40), ("riscv_64", 243)]
    {
        let object = build(format, &[]);
        assert_eq!(machine(&object), number, "{format}");
        assert!(object.windows(15).any(|name| name == b".note.GNU-stack"), "{format}");
    }
    // Big endian.
    assert_eq!(build("s390", &[])[18..20], [0, 22]);
    assert_eq!(machine(&build("armv8_4k", &["--arch", "x86_64"])), 62);
    let (spec, output) = (bench.text("spec.toml"), bench.text("tables.S"));
    stdout(&genpt(&["build", &spec, "-o", &output]));
    assert!(std::fs::read_to_string(output).unwrap().ends_with(".section .note.GNU-stack, \"\", %progbits\n"));
}

/// `w` alone can be read in most formats, and nothing said so: a warning comes exactly where `walk` says that it can be.
#[test]
fn written_and_read_without_being_asked() {
    let mut warned = 0;
    for name in common::images::format_names() {
        let bench = Bench::of_format(&name);
        let spec = "base = \"64K\"\n[[map]]\nva = \"16M\"\npa = \"32M\"\nlen = \"1M\"\nprot = \"w\"\n";
        std::fs::write(bench.path("spec.toml"), spec).unwrap();
        let output = bench.text("other");
        let built = genpt(&["build", &bench.text("spec.toml"), "-o", &output, "--format", &name]);
        let text = String::from_utf8(built.stderr).unwrap();
        assert!(built.status.success(), "{name}: {text}");
        let walk = genpt(&["walk", &output, "16M", "--json"]);
        let walk: Value = serde_json::from_slice(&walk.stdout).unwrap();
        let is_readable = walk[0]["page"]["access"].as_str().unwrap().starts_with('r');
        let says = format!("warning: without `r` they can be read all the same: pages of {name} that can be written");
        assert_eq!(text.contains(&says), is_readable, "{name}: {text}");
        warned += usize::from(is_readable);
    }
    assert!(warned > 0);
}

/// The hint was of the first VA alone, which the table has: `with  the table has it`.
#[test]
fn bug_a_mapping_that_ends_outside_had_an_empty_hint() {
    let bench = Bench::of(b"");
    let hint = |format: &str, more: &[&str]| {
        std::fs::write(bench.path("spec.csv"), "va,pa,len\n0,0x1000,64G\n").unwrap();
        let (spec, image) = (bench.text("spec.csv"), bench.text("new"));
        let (code, text) = failure(&genpt(&[&["build", &spec, "-f", format, "-o", &image], more].concat()));
        assert_eq!(code, 2, "{text}");
        text.lines().nth(1).unwrap().to_owned()
    };
    let most =
        "hint: no table of rockchip_v2 has all of this VA: 32 bits of it are the most (`genpt formats rockchip_v2`)";
    assert_eq!(hint("rockchip_v2", &[]), most);
    assert_eq!(hint("vtdss", &["--va-bits", "33"]), "hint: with `--va-bits 48` the table has it");
}

/// By a link an image came beside the manifest of other tables, and an image over the manifest of another.
#[cfg(unix)]
#[test]
fn bug_links_led_around_manifests() {
    let bench = Bench::new(SPEC, &[]);
    for (link, file, what) in [
        ("l.img", "image", "is a link to an image with a manifest of its own"),
        ("m", "image.json", "is the manifest of another image"),
    ] {
        std::os::unix::fs::symlink(file, bench.path(link)).unwrap();
        let before = std::fs::read(bench.path(file)).unwrap();
        let (code, text) = failure(&genpt(&["build", &bench.text("spec.toml"), "-o", &bench.text(link)]));
        assert!(code == 2 && text.contains(what), "{text}");
        assert!(std::fs::read(bench.path(file)).unwrap() == before);
    }
}

/// A link to a file that is not there yet was replaced by a file.
#[cfg(unix)]
#[test]
fn bug_a_link_to_no_file_was_replaced() {
    let bench = Bench::new(SPEC, &[]);
    std::os::unix::fs::symlink("behind", bench.path("link")).unwrap();
    std::os::unix::fs::symlink("link", bench.path("link to link")).unwrap();
    let built = genpt(&["build", &bench.text("spec.toml"), "-o", &bench.text("link to link")]);
    assert!(built.status.success());
    assert!(bench.path("link").is_symlink() && bench.path("link to link").is_symlink());
    assert_eq!(std::fs::read(bench.path("behind")).unwrap(), std::fs::read(bench.path("image")).unwrap());
}

#[test]
fn the_upper_half_and_the_base_have_hints() {
    let bench = Bench::new(&SPEC.replace("0x10000000", "0x20000000"), &[]);
    std::fs::write(bench.path("spec.toml"), SPEC.replace("0x10000000", "0xffff800000000000")).unwrap();
    let (code, text) = failure(&genpt(&["build", &bench.text("spec.toml"), "-o", &bench.text("other")]));
    assert!(code == 2 && text.contains("\nhint: with `--features SIGN_EXTEND` the table has it"), "{text}");
    std::fs::remove_file(bench.path("image.json")).unwrap();
    let (code, text) = failure(&genpt(&["dump", &bench.text("image"), "-f", "x86_64", "--root", "1M"]));
    assert!(code == 2 && text.contains("\nhint: raw memory begins at 0 unless `--base` says where"), "{text}");
}

/// Letters that a format ignores were ignored without a word.
#[rstest]
#[case::nothing("x86_64", "rw", &[])]
#[case::execute("x86_64", "rx", &["x"])]
#[case::uncached("vtdss", "ru", &["u"])]
#[case::all_but_access("amdv1", "rwxum", &["x", "u", "m"])]
#[case::stored("riscv_64", "rwx", &[])]
#[case::memory_types("riscv_64", "rwm", &["m"])]
#[case::memory_types_of_a_feature("riscv_64 --features SVPBMT", "rwm", &[])]
#[case::supervisor("x86_64", "rs", &[])]
#[case::supervisor_of_armv7("armv7s", "rwxs", &[])]
#[case::no_supervisor("vtdss", "rs", &["s"])]
#[case::supervisor_of_the_g_stage("riscv_64_g", "rs", &["s"])]
#[case::device("armv8_4k", "rwxm", &[])]
#[case::never_executed("x86_64", "rwn", &[])]
#[case::never_executed_without_a_bit("vtdss", "rn", &["n"])]
#[case::never_executed_already("riscv_64", "rwn", &["n"])]
#[case::never_executed_without_the_feature("x86_pae", "rwsn", &["n"])]
fn letters_without_effect(#[case] format: &str, #[case] prot: &str, #[case] ignored: &[&str]) {
    let bench = Bench::new(SPEC, &[]);
    std::fs::write(bench.path("spec.toml"), SPEC.replace("\"r\"", &format!("\"{prot}\""))).unwrap();
    let (spec, output) = (bench.text("spec.toml"), bench.text("other"));
    let options: Vec<&str> = format.split(' ').collect();
    let built = genpt(&[&["build", &spec, "-o", &output, "--format"], &options[..]].concat());
    let text = String::from_utf8(built.stderr).unwrap();
    assert!(built.status.success(), "{text}");
    let expected: Vec<String> = ignored
        .iter()
        .map(|letter| {
            format!("warning: `{letter}` has no effect: pages of {} are the same without it (mapping 2)", options[0])
        })
        .collect();
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

/// Pages were always for users, so a kernel with SMEP or SMAP could not use them.
#[rstest]
#[case::x86_64("x86_64", "U", "rw")]
#[case::x86_64_read_only("x86_64", "U", "r")]
#[case::x86_pae("x86_pae", "U", "rw")]
#[case::armv8("armv8_4k", "AP_EL0", "rw")]
// Users execute what they may not read: UXN, too.
#[case::armv8_executable("armv8_4k", "AP_EL0,UXN", "rwx")]
#[case::armv8_read_only("armv8_4k", "AP_EL0", "r")]
#[case::riscv("riscv_64", "U", "rw")]
#[case::riscv_executable("riscv_64", "U", "rx")]
#[case::riscv_32("riscv_32", "U", "rwx")]
fn pages_of_the_supervisor(#[case] format: &str, #[case] field: &str, #[case] prot: &str) {
    let runs = |spec: &str, options: &[&str]| {
        let bench = Bench::new(spec, &["--format", format]);
        let (text, code) = on("check", &bench.path("image"), &[]);
        assert_eq!(code, 0, "{text}");
        let (text, code) = on("dump", &bench.path("image"), &[&["--output", "csv"], options].concat());
        assert_eq!(code, 0, "{text}");
        text
    };
    let spec = |letters: &str| SPEC.replace("\"rw\"", &format!("\"{letters}\""));
    let (all, supervisor) = (spec(prot), spec(&format!("{prot}s")));
    assert_ne!(runs(&all, &[]), runs(&supervisor, &[]));
    // The field is all that differs: in the pages of the one mapping, small and large.
    assert_eq!(runs(&all, &["--ignore", field]), runs(&supervisor, &["--ignore", field]));
    let users = runs(&supervisor, &["--has", field.split(',').next().unwrap()]);
    assert!(users.lines().count() == 2 && users.contains("0x10000000,"), "{users}");
}

/// AP of ARMv7 has the access flag, too: it went together with the users' permission.
#[rstest]
#[case::pages("64K")]
#[case::sections("1M")]
fn supervisor_pages_of_armv7_keep_the_access_flag(#[case] bytes: &str) {
    let spec = format!(
        "format = \"armv7s\"\nbase = \"1M\"\n[[map]]\nva = \"16M\"\npa = \"16M\"\nlen = \"{bytes}\"\nprot = \"rwxs\"\n"
    );
    let bench = Bench::new(&spec, &[]);
    let walk = |access: &str| on("walk", &bench.path("image"), &["0x1000000", "--access", access]);
    let (text, code) = walk("rwx");
    assert!(code == 0 && !text.contains("not-accessed"), "{text}");
    let (text, code) = walk("ru");
    assert!(code == 4 && text.contains("ru is not permitted"), "{text}");
}

/// `rw` was executable in x86_64, and there was no way to say otherwise.
#[rstest]
#[case::as_the_library("rw", "rwx RW U A D")]
#[case::never("rwn", "rw- RW U A D XD")]
#[case::never_by_the_supervisor("rwsn", "rw- RW A D XD")]
fn pages_that_are_never_executed(#[case] prot: &str, #[case] expected: &str) {
    let bench = Bench::new(&SPEC.replace("\"rw\"", &format!("\"{prot}\"")), &[]);
    let (text, code) = on("check", &bench.path("image"), &[]);
    assert_eq!(code, 0, "{text}");
    let (text, _) = on("dump", &bench.path("image"), &[]);
    assert!(text.lines().any(|line| line.trim_end().ends_with(expected)), "{text}");
}

/// Sizes of pages were hexadecimal numbers of bytes.
#[test]
fn page_sizes_are_told_as_sizes() {
    let bench = Bench::new(SPEC, &[]);
    std::fs::write(bench.path("spec.toml"), SPEC.replace("prot = \"r\"", "pages = \"1K\"")).unwrap();
    let (code, text) = failure(&genpt(&["build", &bench.text("spec.toml"), "-o", &bench.text("other")]));
    assert!(
        code == 2 && text.contains("mapping 2: no page is of 1 KiB or less\nhint: the smallest page is of 4 KiB"),
        "{text}"
    );
}

/// `--features ''` was refused: there was no way to say on the command line what `features = []` says in a specification.
#[test]
fn no_features_are_said_on_the_command_line() {
    let in_spec = Bench::new(&format!("features = []\n{SPEC}"), &["--format", "riscv_64"]);
    let as_option = Bench::new(SPEC, &["--format", "riscv_64", "--features", ""]);
    let manifest = |bench: &Bench| std::fs::read_to_string(bench.path("image.json")).unwrap();
    assert_eq!(manifest(&as_option), manifest(&in_spec));
    let (text, code) = on("dump", &as_option.path("image"), &["--features", ""]);
    assert!(code == 0 && text.contains("2 runs, 4.01 MiB"), "{text}");
}
