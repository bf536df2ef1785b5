//! `genpt build`, `walk`, `dump`, `check` and `diff` on images that `build` made, in every container, and on hostile ones.

mod common;

use common::{failure, genpt, stdout};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Two mappings of x86_64: 2 MiB pages between small ones, and one page that may not be written.
const SPEC: &str = r#"
format = "x86_64"
base = "1M"
[[map]]
va = "0x1ff000"
pa = "0x7ff000"
len = "0x402000"
prot = "rw"
[[map]]
va = "0x10000000"
pa = "0x2000"
len = "4K"
prot = "r"
"#;

/// A directory with a specification and the image built of it.
struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new(spec: &str, options: &[&str]) -> Self {
        let bench = Self { dir: TempDir::new().unwrap() };
        std::fs::write(bench.path("spec.toml"), spec).unwrap();
        let mut arguments = vec!["build".to_owned(), bench.text("spec.toml"), "-o".to_owned(), bench.text("image")];
        arguments.extend(options.iter().map(|option| (*option).to_owned()));
        stdout(&run(&arguments));
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn image(&self) -> Vec<u8> {
        std::fs::read(self.path("image")).unwrap()
    }

    /// Changes one 64-bit item at an offset of the image.
    fn poke(&self, offset: usize, value: u64) {
        let mut bytes = self.image();
        bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
        std::fs::write(self.path("image"), bytes).unwrap();
    }

    fn peek(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.image()[offset..offset + 8].try_into().unwrap())
    }
}

fn run(arguments: &[String]) -> std::process::Output {
    genpt(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Standard output and exit status of a command on an image.
fn on(command: &str, image: &Path, options: &[&str]) -> (String, i32) {
    let image = image.display().to_string();
    let output = genpt(&[&[command, &image], options].concat());
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap())
}

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

#[test]
fn a_walk_tells_every_step() {
    let bench = Bench::new(SPEC, &[]);
    let (text, code) = on("walk", &bench.path("image"), &["0x10000123"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("VA 0x10000123: x86_64, 4 levels, top at 0x100000"), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains("  level ")).count(), 4);
    assert!(text.contains("level 0  item    0") && text.contains("P 1  RW 0  U 1  PCD_PWT 0  A 1"), "{text}");
    assert!(text.contains("PA 0x2123, in a page of 4 KiB, r-x, U A"), "{text}");
    let (text, code) = on("walk", &bench.path("image"), &["0x20000000", "--json"]);
    let walk: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &walk[0]["stop"]["rule"], &walk[0]["stop"]["level"]), (4, &"not-present".into(), &1.into()));
    let (text, code) = on("walk", &bench.path("image"), &["0xffff800000000000"]);
    assert!(code == 5 && text.contains("non-canonical") && text.contains("--features SIGN_EXTEND"), "{text}");
    assert!(text.contains("See: x86_64 page tables: Intel SDM vol. 3 chapter 5"), "{text}");
}

/// A walk names the rule that an item breaks; a check finds the same, and says by its status how bad it is.
#[test]
fn broken_items_are_named() {
    let broken = |format: &str, change: &dyn Fn(&Bench), va: &str, rule: &str, status: (i32, i32)| {
        let bench = Bench::new(SPEC, &["--format", format]);
        change(&bench);
        let (walk, walked) = on("walk", &bench.path("image"), &[va]);
        let (check, checked) = on("check", &bench.path("image"), &[]);
        assert!(walk.contains(rule), "{rule}: {walk}");
        assert!(check.contains(rule), "{rule}: {check}");
        assert_eq!((walked, checked), status, "{rule}: {walk}{check}");
    };
    // The tables of VA 0 follow each other: item 1 of level 1 is a page of 2 MiB, the last one of level 0 a page of 4 KiB.
    let (large, small) = (0x2008, 0x3ff8);
    let set = |bench: &Bench, at: usize, bit: u32| bench.poke(at, bench.peek(at) | 1 << bit);
    broken("x86_64", &|bench| set(bench, 0, 7), "0", "foreign", (5, 5));
    broken("x86_64", &|bench| bench.poke(0, 0x7_0000_0007), "0", "outside", (5, 5));
    broken("x86_64", &|bench| set(bench, large, 14), "0x200000", "page-misaligned", (5, 5));
    broken("riscv_64", &|bench| set(bench, small, 55), "0x1ff000", "reserved-bits", (4, 4));
}

/// Findings that only a look at whole tables gives.
#[test]
fn whole_tables_are_checked() {
    let found = |format: &str, options: &[&str], change: &dyn Fn(&Bench), rule: &str, status: i32| {
        let bench = Bench::new(SPEC, &[&["--format", format], options].concat());
        change(&bench);
        let (text, code) = on("check", &bench.path("image"), &[]);
        assert!(text.contains(rule) && code == status, "{rule}, {code}: {text}");
    };
    // A table that two pointers lead to, and one that no pointer leads to any more.
    found("x86_64", &[], &|bench| bench.poke(8, bench.peek(0)), "shared-table", 4);
    found("x86_64", &[], &|bench| bench.poke(0x2000 + 128 * 8, 0), "unreachable", 4);
    found("x86_64", &[], &|bench| bench.poke(0x3ff8, 0), "empty-table", 0);
    found("x86_64", &[], &|bench| bench.poke(0x3000, 0x1234_0000), "not-clear", 0);
    // 64 KiB are 16 items of AMDv1, of which one is cleared.
    let spec = SPEC.replace("0x1ff000", "0x10000").replace("0x7ff000", "0x20000").replace("0x402000", "0x10000");
    let bench = Bench::new(&spec, &["--format", "amdv1"]);
    let leaf = (0..bench.image().len()).step_by(8).find(|at| bench.peek(*at) & 0xe00 == 0xe00).unwrap();
    bench.poke(leaf + 8, 0);
    let (text, code) = on("check", &bench.path("image"), &[]);
    assert!(text.contains("an entry of 16 items is not whole: 15 of them agree") && code == 5, "{text}");
    // D without W, in the page at 0x2000.
    let dirty = |bench: &Bench| {
        let at =
            (0..bench.image().len()).step_by(8).find(|at| bench.peek(*at) >> 10 == 2 && bench.peek(*at) & 0xf != 1);
        bench.poke(at.unwrap(), bench.peek(at.unwrap()) | 1 << 7);
    };
    found("riscv_64", &["--features", "SVADU"], &dirty, "dirty-read-only", 4);
}

#[test]
fn what_would_make_a_foreign_item_known() {
    let bench = Bench::new(SPEC, &[]);
    bench.poke(0, bench.peek(0) | 1 << 7);
    let (text, _) = on("walk", &bench.path("image"), &["0"]);
    assert!(text.contains("with PS = 0x0 instead of 0x1 it is a pointer to a table"), "{text}");
}

/// Four kibibytes that point to themselves from every item claim 2^36 pages.
#[test]
fn a_hostile_image_ends() {
    let dir = TempDir::new().unwrap();
    let image = dir.path().join("image");
    std::fs::write(&image, 0x27u64.to_le_bytes().repeat(512)).unwrap();
    let options = ["--format", "x86_64", "--root", "0"];
    let (text, code) = on("check", &image, &options);
    assert!(code == 5 && text.contains("cycle"), "{text}");
    let (text, code) = on("dump", &image, &[&options[..], &["--limit", "100K", "--min", "2E"]].concat());
    assert!(code == 5 && text.contains("--limit"), "{text}");
    let (text, code) = on("walk", &image, &[&options[..], &["0x1234"]].concat());
    assert!(code == 0 && text.contains("PA 0x234"), "{text}");
}

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

/// The same tables as raw memory, in an ELF object, in an ELF core file and in a LiME dump.
#[test]
fn containers() {
    let bench = Bench::new(SPEC, &[]);
    let runs = |name: &str, options: &[&str]| {
        let (text, code) = on("dump", &bench.path(name), &[&["-o", "csv"], options].concat());
        assert_eq!(code, 0);
        text
    };
    let expected = runs("image", &[]);
    stdout(&genpt(&["build", &bench.text("spec.toml"), "-o", &bench.text("tables.o")]));
    assert_eq!(runs("tables.o", &[]), expected);
    let tables = bench.image();
    let options = ["--format", "x86_64", "--root", "0x100000"];
    std::fs::write(bench.path("core"), core_file(&[(0x10_0000, &tables), (0x4000_0000, &[1; 16])], None)).unwrap();
    assert_eq!(runs("core", &options), expected);
    // CR3 as the notes of QEMU have it, with bits beside the address.
    std::fs::write(bench.path("noted"), core_file(&[(0x10_0000, &tables)], Some(0x10_0018))).unwrap();
    assert_eq!(runs("noted", &options[..2]), expected);
    let mut lime = Vec::new();
    // The first table lies in two ranges.
    for (pa, bytes) in [(0x1000u64, &[0u8; 0x100][..]), (0x10_0000, &tables[..0x804]), (0x10_0804, &tables[0x804..])] {
        lime.extend(0x4c69_4d45u32.to_le_bytes());
        lime.extend(1u32.to_le_bytes());
        lime.extend(pa.to_le_bytes());
        lime.extend((pa + bytes.len() as u64 - 1).to_le_bytes());
        lime.extend([0; 8]);
        lime.extend(bytes);
    }
    std::fs::write(bench.path("lime"), lime).unwrap();
    assert_eq!(runs("lime", &options), expected);
    let (code, text) = failure(&genpt(&["dump", &bench.text("core"), "--format", "x86_64"]));
    assert!(code == 2 && text.contains("--root"), "{text}");
    let (code, text) = failure(&genpt(&["dump", &bench.text("core"), "--format", "x86_64", "--root", "0x200000"]));
    assert!(code == 2 && text.contains("is not in the image, which has 0x100000..=0x10"), "{text}");
}

/// An ELF core file with segments of memory, and with the note of one CPU whose CR3 is this.
fn core_file(segments: &[(u64, &[u8])], cr3: Option<u64>) -> Vec<u8> {
    let mut note = Vec::new();
    if let Some(cr3) = cr3 {
        let mut state = vec![0u8; 440];
        state[416..424].copy_from_slice(&cr3.to_le_bytes());
        for number in [5u32, state.len() as u32, 0] {
            note.extend(number.to_le_bytes());
        }
        note.extend(b"QEMU\0\0\0\0");
        note.extend(state);
    }
    let count = segments.len() + 1;
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    for half in [4u16, 62] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1u32.to_le_bytes());
    for long in [0u64, 64, 0] {
        file.extend(long.to_le_bytes());
    }
    file.extend(0u32.to_le_bytes());
    for half in [64u16, 56, count as u16, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    let mut offset = (64 + 56 * count) as u64;
    let all = std::iter::once((4u32, 0, &note[..])).chain(segments.iter().map(|(pa, bytes)| (1, *pa, *bytes)));
    for (kind, pa, bytes) in all.clone() {
        file.extend(kind.to_le_bytes());
        file.extend(4u32.to_le_bytes());
        for long in [offset, 0, pa, bytes.len() as u64, bytes.len() as u64, 0] {
            file.extend(long.to_le_bytes());
        }
        offset += bytes.len() as u64;
    }
    all.for_each(|(_, _, bytes)| file.extend(bytes));
    file
}

/// 64 GiB that are mostly a hole open at once.
#[test]
fn a_large_image_opens_at_once() {
    let bench = Bench::new(SPEC, &[]);
    let file = std::fs::OpenOptions::new().write(true).open(bench.path("image")).unwrap();
    file.set_len(64 << 30).unwrap();
    let start = std::time::Instant::now();
    let (text, code) = on("walk", &bench.path("image"), &["0x1ff000"]);
    assert!(code == 0 && text.contains("PA 0x7ff000"), "{text}");
    assert!(start.elapsed().as_secs() < 2, "{:?}", start.elapsed());
}

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
    assert!(code == 2 && text.contains("no setting `levels`; it has top_level, encryption_mask"), "{text}");
    let (code, text) = build(&["--features", "FAST"]);
    assert!(code == 2 && text.contains("no feature `FAST`; it has") && text.contains("SIGN_EXTEND"), "{text}");
    let (code, text) = build(&["-s", "top_level=0x100000000"]);
    assert!(code == 2 && text.contains("does not fit"), "{text}");
    std::fs::write(bench.path("spec.toml"), SPEC.replace("0x10000000", "0x200000")).unwrap();
    let (code, text) = build(&[]);
    assert!(code == 2 && text.contains("mapping 2 (VA 0x200000, PA 0x2000, 0x1000 bytes)"), "{text}");
}

/// Every format builds, is checked without a finding, and is dumped as it was mapped.
#[test]
fn every_format() {
    let formats: Value = serde_json::from_str(&stdout(&genpt(&["formats", "--json"]))).unwrap();
    for format in formats.as_array().unwrap() {
        let name = format["name"].as_str().unwrap();
        let spec = "[[map]]\nva = \"16M\"\npa = \"32M\"\nlen = \"1M\"\nprot = \"rw\"\n\
                    [[map]]\nva = \"64M\"\npa = \"48M\"\nlen = \"64K\"\nprot = \"r\"\n";
        let bench = Bench::new(spec, &["--format", name, "--base", "64K"]);
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

/// `genpt build boot.json -o boot` wrote the manifest over the specification.
#[test]
fn a_specification_is_not_overwritten() {
    let dir = TempDir::new().unwrap();
    let spec = dir.path().join("boot.json");
    let text = r#"{"format": "vtdss", "map": [{"va": "0", "pa": "0", "len": "4K", "prot": "rw"}]}"#;
    std::fs::write(&spec, text).unwrap();
    for output in ["boot", "boot.json"] {
        let output = dir.path().join(output).display().to_string();
        let (code, message) = failure(&genpt(&["build", &spec.display().to_string(), "-o", &output]));
        assert_eq!(code, 2, "{message}");
        assert!(message.contains("boot.json is the specification"), "{message}");
    }
    assert_eq!(std::fs::read_to_string(&spec).unwrap(), text);
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

/// A run whose items say different addresses, or whose first item is a page of its own, was taken for a whole one.
#[test]
fn runs_that_are_not_whole() {
    let spec =
        "format = \"armv8_4k\"\nbase = \"1M\"\n[[map]]\nva = \"64K\"\npa = \"128K\"\nlen = \"64K\"\nprot = \"rw\"\n";
    for (item, change) in [(5, 0xc000), (0, 1 << 52)] {
        let bench = Bench::new(spec, &[]);
        let is_first = |at: &usize| bench.peek(*at) & (1 << 52) != 0;
        let first = (0..bench.image().len()).step_by(8).find(is_first).expect("a run");
        assert_eq!(on("check", &bench.path("image"), &[]).1, 0);
        bench.poke(first + 8 * item, bench.peek(first + 8 * item) ^ change);
        let (text, code) = on("check", &bench.path("image"), &[]);
        assert_eq!(code, 5, "{text}");
        assert!(text.contains("an entry of 16 items is not whole: "), "{text}");
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

/// `check` looked at the addresses of pages only.
#[test]
fn pointers_beyond_the_address_bits() {
    let bench = Bench::new(SPEC, &[]);
    let image = bench.path("image");
    let (text, code) = on("check", &image, &["--oa-bits", "20"]);
    assert!(code == 5 && text.contains("level 3 at 0x100000"), "{text}");
    assert!(text.contains("(address-too-wide)"), "{text}");
}

/// `diff` said nothing where it had stopped.
#[test]
fn a_diff_that_stops_says_so() {
    let bench = Bench::new(SPEC, &[]);
    let (text, code) = on("diff", &bench.path("image"), &[&bench.text("image"), "--limit", "1"]);
    assert!(code == 5 && text.contains("the second image: stopped"), "{text}");
}

/// Notes were read before their size was looked at, and again for each header.
#[test]
fn notes_that_are_too_large() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("core");
    let mut core = core_file(&[(0, &[0; 16])], Some(0));
    core.resize(0x1000, 0);
    // The size in the file that the header of the notes says.
    let header = 0x40 + core[0x40..].chunks(0x38).position(|program| program[..4] == [4, 0, 0, 0]).unwrap() * 0x38;
    core[header + 0x20..header + 0x28].copy_from_slice(&(1u64 << 40).to_le_bytes());
    std::fs::write(&path, core).unwrap();
    let (code, text) = failure(&genpt(&["dump", path.to_str().unwrap(), "--format", "x86_64"]));
    assert!(code == 1 && text.contains("notes"), "{text}");
}

/// `diff` said that images map the same whose tables are out of reach.
#[test]
fn what_diff_cannot_look_at() {
    let bench = Bench::new(SPEC, &[]);
    bench.poke(0, 0xf_0000_0000_0003);
    let image = bench.path("image");
    let (text, code) = on("diff", &image, &[&bench.text("image")]);
    assert_eq!(code, 5, "{text}");
    assert!(text.contains("not looked at in the first image: 1 item"), "{text}");
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
    assert!(runs(&before)[0].contains(" rw- ATTR_INDX AP_EL0 SH=0x3 AF NG PXN UXN"), "{before}");
    // APTable: read-only, and none for EL0.
    bench.poke(0, bench.peek(0) | 0b11 << 61);
    let (after, code) = on("dump", &bench.path("image"), &[]);
    assert_eq!((code, runs(&after).len()), (0, runs(&before).len()), "{after}");
    assert!(runs(&after)[0].contains(" r-- ATTR_INDX AP_RO SH=0x3 AF NG PXN UXN"), "{after}");
    let (report, code) = on("check", &bench.path("image"), &[]);
    assert_eq!(code, 0, "{report}");
    // Still foreign: what no field of a pointer has.
    bench.poke(0, bench.peek(0) | 1 << 50);
    assert_eq!(on("check", &bench.path("image"), &[]).1, 5);
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
    assert!(code == 3 && text.contains("level3[RW U A]") && text.contains("level3[RW U A AVL]"), "{text}");
    let (text, code) = on("diff", &before.path("image"), &[&after, "--pointers", "--ignore", "AVL"]);
    assert_eq!(code, 0, "{text}");
    let (text, _) = on("dump", &before.path("image"), &["--pointers"]);
    // One run has pages of two levels: below different pointers they are runs of their own.
    assert!(text.contains("4 runs"), "{text}");
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
