//! Images in every container: raw memory, ELF files, LiME dumps.

mod common;

use common::images::{Bench, SPEC, core_file, core_file_32, on};
use common::{failure, genpt, stdout};
use rstest::rstest;
use tempfile::TempDir;

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
    // The first table lies in two ranges.
    let ranges = [(0x1000u64, &[0u8; 0x100][..]), (0x10_0000, &tables[..0x804]), (0x10_0804, &tables[0x804..])];
    let lime: Vec<u8> = ranges.into_iter().flat_map(|(pa, bytes)| lime_range(pa, bytes, 0)).collect();
    std::fs::write(bench.path("lime"), lime).unwrap();
    assert_eq!(runs("lime", &options), expected);
    let (code, text) = failure(&genpt(&["dump", &bench.text("core"), "--format", "x86_64"]));
    assert!(code == 2 && text.contains("--root"), "{text}");
    let (code, text) = failure(&genpt(&["dump", &bench.text("core"), "--format", "x86_64", "--root", "0x200000"]));
    assert!(code == 2 && text.contains("is not in the image, which has 0x100000..=0x10"), "{text}");
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

/// All headers that an ELF file claims were read at once, 240 GiB of them.
#[test]
fn headers_that_are_too_many() {
    let bench = Bench::of(&core_file(&[(0, &[0; 16])], Some(0)));
    let claim = |program_headers: [u8; 2], field: usize| {
        let mut file = bench.image();
        file.resize(0x2000, 0);
        // The first section header, at 0x1000, has the counts that do not fit.
        file[40..48].copy_from_slice(&0x1000u64.to_le_bytes());
        file[56..58].copy_from_slice(&program_headers);
        file[0x1000 + field..0x1000 + field + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        std::fs::write(bench.path("image"), file).unwrap();
        std::fs::OpenOptions::new().write(true).open(bench.path("image")).unwrap().set_len(1 << 40).unwrap();
        failure(&genpt(&["dump", &bench.text("image"), "--format", "x86_64"]))
    };
    let (code, text) = claim([0xff; 2], 44);
    assert!(code == 1 && text.contains("it has 4294967295 program headers; at most 1048576 are read"), "{text}");
    std::fs::OpenOptions::new().write(true).open(bench.path("image")).unwrap().set_len(0x2000).unwrap();
    let (code, text) = claim([0; 2], 32);
    assert!(code == 1 && text.contains("it has 4294967295 sections; at most 1048576 are read"), "{text}");
}

/// CR3 was taken for the root of any format.
#[test]
fn cr3_is_the_root_of_some_formats_only() {
    for format in ["x86_64", "x86_pae"] {
        let bench = Bench::new(SPEC, &["--format", format]);
        std::fs::write(bench.path("noted"), core_file(&[(0x10_0000, &bench.image())], Some(0x10_0000))).unwrap();
        let (text, code) = on("dump", &bench.path("noted"), &["--format", format]);
        assert!(code == 0 && text.contains("2 runs, 4.01 MiB"), "{text}");
        for other in ["ept", "vtdss", "armv8_4k"] {
            let (code, text) = failure(&genpt(&["dump", &bench.text("noted"), "--format", other]));
            let says = format!("CR3 in its notes is no root of {other} tables\nhint: say `--root PA`");
            assert!(code == 2 && text.contains(&says), "{text}");
        }
        // The same note in a file of another machine is no state of an x86 CPU.
        let mut core = std::fs::read(bench.path("noted")).unwrap();
        core[18..20].copy_from_slice(&183u16.to_le_bytes());
        std::fs::write(bench.path("noted"), core).unwrap();
        let (code, text) = failure(&genpt(&["dump", &bench.text("noted"), "--format", format]));
        assert!(code == 2 && text.contains("neither a manifest nor a note"), "{text}");
    }
}

/// Whatever lay in `image.json` made an image unusable, also with all options.
#[test]
fn what_is_no_manifest_is_passed_over() {
    let bench = Bench::new(SPEC, &[]);
    let image = bench.text("image");
    let options = ["-f", "x86_64", "--base", "1M", "--root", "1M"];
    let large = " ".repeat(2 << 20);
    for text in ["{\"name\": 1}", "[]", large.as_str()] {
        std::fs::write(bench.path("image.json"), text).unwrap();
        let output = genpt(&[&["dump", &image], &options[..]].concat());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && error.contains("warning: ") && error.contains("no manifest"), "{error}");
        assert!(!error.contains("struct"), "{error}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("4.01 MiB"));
        let (code, error) = failure(&genpt(&["dump", &image]));
        assert!(code == 1 && error.contains("no manifest of `genpt build`"), "{error}");
    }
}

#[test]
fn a_manifest_of_another_format_is_said_to_be() {
    let bench = Bench::new(SPEC, &[]);
    let (code, error) = failure(&genpt(&["dump", &bench.text("image"), "-f", "vtdss"]));
    assert!(code == 2 && error.contains("its manifest is about x86_64, not vtdss\nhint: say `--root PA`"), "{error}");
}

/// The tables that are missing were said to be outside of the image, not why.
#[test]
fn a_core_file_that_is_cut_off_is_said_to_be() {
    let bench = Bench::new(SPEC, &[]);
    let core = core_file(&[(0x1000, &[0; 0x1000]), (0x10_0000, &bench.image())], Some(0x10_0000));
    let cut = Bench::of(&core[..core.len() - bench.image().len()]);
    let (code, error) = failure(&genpt(&["dump", &cut.text("image"), "-f", "x86_64"]));
    assert!(code == 2 && error.contains("\nhint: the file is cut off"), "{error}");
}

/// Some memory behind a header of LiME, whose range has so many bytes more.
fn lime_range(pa: u64, bytes: &[u8], more: u64) -> Vec<u8> {
    let mut range = 0x4c69_4d45u32.to_le_bytes().to_vec();
    range.extend(1u32.to_le_bytes());
    range.extend(pa.to_le_bytes());
    range.extend((pa + bytes.len() as u64 + more - 1).to_le_bytes());
    range.extend([0; 8]);
    range.extend(bytes);
    range
}

/// A container of the tables of `SPEC`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Raw,
    Core,
    Lime,
}

/// Tables of `SPEC` of which the file lacks the last bytes, and how it is known.
fn cut(container: Container, lacking: usize) -> (Bench, &'static str) {
    let bench = Bench::new(SPEC, &[]);
    let image = bench.image();
    let (bytes, teller) = match container {
        Container::Raw => (image, "manifest"),
        Container::Core => (core_file(&[(0x10_0000, &image)], Some(0x10_0000)), "headers"),
        Container::Lime => (lime_range(0x10_0000, &image, 0), "headers"),
    };
    std::fs::write(bench.path("image"), &bytes[..bytes.len() - lacking]).unwrap();
    if container != Container::Raw {
        std::fs::remove_file(bench.path("image.json")).unwrap();
    }
    (bench, teller)
}

/// Only for the top table a file that is cut off was said to be, and of raw memory with a manifest nothing was said.
#[rstest]
fn a_table_behind_the_cut(#[values(Container::Raw, Container::Core, Container::Lime)] container: Container) {
    let (bench, teller) = cut(container, 0x1000);
    let options = ["-f", "x86_64", "-r", "0x100000"];
    let run = |command: &str, more: &[&str]| {
        let output = genpt(&[&[command, &bench.text("image")], &options[..], more].concat());
        let warning = format!("image: the file is cut off: its {teller} tell");
        assert!(String::from_utf8_lossy(&output.stderr).contains(&warning), "{output:?}");
        (String::from_utf8(output.stdout).unwrap(), output.status.code())
    };
    for (command, va) in [("walk", &["0x10000000"][..]), ("check", &[])] {
        let (text, code) = run(command, va);
        let says = format!("is not in the image; the file is cut off: its {teller} tell");
        assert!(code == Some(5) && text.contains(&says), "{text}");
    }
    // It said that tables are missing, and not why.
    let (text, code) = run("dump", &[]);
    let says =
        "\n  1 item that points to a table outside of the image (`genpt check` tells which)\n  the file is cut off: ";
    assert!(code == Some(5) && text.contains(says), "{text}");
    // `is_cut` meant the limit.
    let (text, _) = run("dump", &["--json"]);
    let statistics = &serde_json::from_str::<serde_json::Value>(&text).unwrap()["statistics"];
    assert_eq!([&statistics["file_is_cut"], &statistics["limit_reached"]], [true, false], "{statistics}");
}

/// A file that lacks memory, but no table, was taken for whole: of a LiME dump whose last range ends behind it nothing was said.
#[test]
fn a_range_longer_than_the_file() {
    let whole = Bench::new(SPEC, &[]);
    for (more, is_cut) in [(0, false), (1, true), (1 << 30, true)] {
        let bench = Bench::of(&lime_range(0x10_0000, &whole.image(), more));
        let image = bench.text("image");
        for command in [&["dump", &image][..], &["check", &image], &["walk", &image, "0x10000000"]] {
            let output = genpt(&[command, &["-f", "x86_64", "-r", "1M"]].concat());
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success() && error.contains("the file is cut off: its headers tell") == is_cut,
                "{error}"
            );
        }
    }
}

/// `--base` was proposed to those who had said it, and for files that have headers.
#[test]
fn no_hint_for_what_was_said() {
    let bench = Bench::new(SPEC, &[]);
    std::fs::remove_file(bench.path("image.json")).unwrap();
    std::fs::write(bench.path("core"), core_file(&[(0, &bench.image())], None)).unwrap();
    for (image, base) in [("image", &["--base", "0"][..]), ("core", &[])] {
        let (code, text) = failure(&genpt(&[&["dump", &bench.text(image), "-f", "x86_64", "-r", "1M"], base].concat()));
        assert!(code == 2 && text.ends_with("hint: `--root` is a physical address\n"), "{text}");
    }
}

/// A table in 4096 segments that points to itself took an hour: each of them was read by itself, and none counted.
#[test]
fn a_table_in_thousands_of_pieces_ends_soon() {
    let table = 0x67u64.to_le_bytes().repeat(512);
    // The last byte comes first in the file, so that no two segments are one.
    let segments: Vec<(u64, &[u8])> = table.chunks(1).enumerate().rev().map(|(n, byte)| (n as u64, byte)).collect();
    let bench = Bench::of(&core_file(&segments, None));
    let run = |command, options: &[&str]| {
        on(command, &bench.path("image"), &[&["-f", "x86_64", "--root", "0"], options].concat())
    };
    let start = std::time::Instant::now();
    let (text, code) = run("dump", &["--has", "!RW"]);
    assert!(code == 5 && text.contains("as many items as --limit allows"), "{text}");
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    // One table is what 4096 are that lie in one piece.
    let (text, _) = run("check", &["--limit", "2M"]);
    assert!(text.contains("1 table, 512 items"), "{text}");
    let (text, code) = run("check", &["--limit", "2097151"]);
    assert!(code == 5 && text.contains("0 tables, 0 items"), "{text}");
}

/// Memory that a core file tells at two places of the file, as /proc/kcore does, was refused unread.
#[test]
fn memory_that_is_told_twice() {
    let bench = Bench::new(SPEC, &[]);
    let (expected, _) = on("dump", &bench.path("image"), &["-o", "csv"]);
    let tables = bench.image();
    let (all, text) = ((0x10_0000, &tables[..]), (0x10_2000, &tables[0x2000..0x4000]));
    for segments in [[text, all], [all, text], [all, all]] {
        std::fs::write(bench.path("core"), core_file(&segments, Some(0x10_0000))).unwrap();
        let (runs, code) = on("dump", &bench.path("core"), &["-f", "x86_64", "-o", "csv"]);
        assert_eq!((runs.as_str(), code), (expected.as_str(), 0));
    }
}

/// Where a file tells memory twice the second was passed over without a word, also if it is another one.
#[test]
fn bug_memory_that_is_told_differently_was_no_finding() {
    let bench = Bench::new(SPEC, &[]);
    let (expected, _) = on("dump", &bench.path("image"), &["-o", "csv"]);
    let tables = bench.image();
    let mut text = tables[0x2000..0x4000].to_vec();
    text[0x7f8] ^= 1;
    let segments = [(0x10_0000, &tables[..]), (0x10_2000, &text[..])];
    std::fs::write(bench.path("core"), core_file(&segments, Some(0x10_0000))).unwrap();
    let words = "the file tells the memory at 0x1027f8 twice, and differently: the segment that begins first counts";
    let dump = genpt(&["dump", &bench.text("core"), "-f", "x86_64", "-o", "csv"]);
    assert_eq!((String::from_utf8(dump.stdout).unwrap(), dump.status.code()), (expected, Some(0)));
    let warning = String::from_utf8(dump.stderr).unwrap();
    assert!(warning.starts_with("warning: ") && warning.contains(words), "{warning}");
    let (found, code) = on("check", &bench.path("core"), &["-f", "x86_64"]);
    assert!(code == 4 && found.contains(&format!("memory at 0x1027f8: {words} (told-twice)")), "{found}");
}

/// The core file of a process, whose memory has no physical addresses, was one of memory at 0.
#[test]
fn bug_the_core_file_of_a_process_was_taken_for_an_image() {
    let bench = Bench::of(&core_file(&[(0, &[0; 0x2000]), (0, &[1; 0x1000])], None));
    let (code, text) = failure(&genpt(&["check", &bench.text("image"), "-f", "x86_64", "--root", "0"]));
    assert!(code == 1 && text.contains("(2 with memory) have the physical address 0"), "{text}");
}

/// Of 32-bit core files the memory without a physical address was taken for memory at 0xffffffff.
#[test]
fn memory_without_a_physical_address() {
    let bench = Bench::new(SPEC, &["--format", "x86_pae"]);
    let (expected, _) = on("dump", &bench.path("image"), &["-o", "csv"]);
    let tables = bench.image();
    let nowhere = [0u8; 0x1000];
    for none in [u64::MAX, u32::MAX.into()] {
        let core = |segments: &[(u64, &[u8])]| {
            if none == u64::MAX { core_file(segments, None) } else { core_file_32(segments) }
        };
        let dump = |segments: &[(u64, &[u8])]| {
            std::fs::write(bench.path("core"), core(segments)).unwrap();
            genpt(&["dump", &bench.text("core"), "-f", "x86_pae", "--root", "1M", "-o", "csv"])
        };
        assert_eq!(stdout(&dump(&[(none, &nowhere), (0x10_0000, &tables), (none, &nowhere)])), expected);
        let (code, text) = failure(&dump(&[(none, &nowhere)]));
        assert!(code == 1 && text.contains("none of its program headers (1 with memory) has a physical"), "{text}");
    }
}

/// A message had the roots of all CPUs, however many the notes tell.
#[test]
fn roots_of_very_many_cpus() {
    let bench = Bench::new(SPEC, &[]);
    let roots = |count: u64| {
        let core = core_file(&[(0x10_0000, &bench.image())], (1..=count).map(|n| n << 20));
        std::fs::write(bench.path("core"), core).unwrap();
        failure(&genpt(&["dump", &bench.text("core"), "-f", "x86_64"])).1
    };
    let few = roots(8);
    assert!(few.contains("its CPUs use several tables") && few.ends_with(", 0x700000, 0x800000\n"), "{few}");
    let many = roots(2000);
    assert!(many.ends_with(", 0x700000, 0x800000 and 1992 more\n"), "{many}");
}
