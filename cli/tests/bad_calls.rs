//! Every kind of bad call: the exit status that is documented, one line for the error, and one for what to do about it.

mod common;

use common::genpt;
use common::images::{Bench, SPEC};
use rstest::rstest;
use std::io::Write;

/// What is in the directory of a bad call: IMAGE with its manifest, RAW without, JUNK with one that is none,
/// WORDS that are no trace, BINARY of other bytes, PACKED and ZIPPED core files, CUT of the first half of PACKED, what begins as
/// XZ, BZIP2 and LZ4 do, MAGIC and SHORT of the first bytes of an ELF file alone, and SPEC.
struct Place(Bench);

impl Place {
    fn new() -> Self {
        let bench = Bench::new(SPEC, &[]);
        std::fs::write(bench.path("raw"), bench.image()).unwrap();
        std::fs::write(bench.path("junk.json"), "{").unwrap();
        std::fs::write(bench.path("junk"), bench.image()).unwrap();
        std::fs::write(bench.path("binary"), [0x7f, 0, 1, 0xfe].repeat(3000)).unwrap();
        std::fs::write(bench.path("words"), "hello\n").unwrap();
        let core = common::images::core_file(&[(0x10_0000, &bench.image())], Some(0x10_0000));
        let packed = ruzstd::encoding::compress_to_vec(core.as_slice(), ruzstd::encoding::CompressionLevel::Fastest);
        std::fs::write(bench.path("cut"), &packed[..packed.len() / 2]).unwrap();
        std::fs::write(bench.path("packed"), packed).unwrap();
        for (name, magic) in [("xz", &b"\xfd7zXZ\0"[..]), ("bzip2", b"BZh91AY&SY"), ("lz4", b"\x04\x22\x4d\x18")] {
            std::fs::write(bench.path(name), [magic, &[0xa5; 64]].concat()).unwrap();
        }
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&core).unwrap();
        std::fs::write(bench.path("zipped"), gzip.finish().unwrap()).unwrap();
        for (name, magic) in [("kdump", "KDUMP   "), ("flat", "makedumpfile\0\0\0\0"), ("windows", "PAGEDU64")] {
            std::fs::write(bench.path(name), magic.repeat(4096)).unwrap();
        }
        std::fs::write(bench.path("magic"), b"\x7fELF").unwrap();
        std::fs::write(bench.path("short"), b"\x7fELF\x02\x01\x01\0\0\0\0\0").unwrap();
        std::fs::write(bench.path("avml"), b"AVML\x02\0\0\0".repeat(512)).unwrap();
        Self(bench)
    }

    /// A call in which names in capitals are files there.
    fn call(&self, words: &str) -> (i32, Vec<String>) {
        let files = [
            "IMAGE", "RAW", "JUNK", "WORDS", "BINARY", "PACKED", "ZIPPED", "CUT", "XZ", "BZIP2", "LZ4", "SPEC", "OUT",
            "NOFILE", "KDUMP", "FLAT", "AVML", "WINDOWS", "MAGIC", "SHORT",
        ];
        let word = |word: &str| match files.iter().find(|file| word.starts_with(**file)) {
            Some(file) if *file == "SPEC" => self.0.text("spec.toml"),
            Some(file) => self.0.text(&word.replace(file, &file.to_ascii_lowercase())),
            None => word.to_owned(),
        };
        let words: Vec<String> = words.split_whitespace().map(word).collect();
        let output = genpt(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let text = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), text.lines().map(str::to_owned).collect())
    }
}

/// That a call is refused in two lines which have these words.
#[track_caller]
fn refused((code, lines): (i32, Vec<String>), expected: i32, error: &str, hint: &str) {
    assert_eq!((code, lines.len()), (expected, 2), "{lines:?}");
    // No more than can be read at once.
    assert!(lines.iter().all(|line| line.len() < 1000), "{lines:?}");
    assert!(lines[0].starts_with("error: ") && lines[0].contains(error), "{lines:?}");
    assert!(lines[1].starts_with("hint: ") && lines[1].contains(hint), "{lines:?}");
}

#[rstest]
#[case::no_specification("build NOFILE.toml -o OUT", 1, "cannot read", "the first argument is the specification")]
#[case::no_image("dump NOFILE", 1, "cannot open the image", "an image is a file: raw memory")]
#[case::zstd("dump PACKED -f x86_64", 1, "it is compressed (zstd)", "`zstd -d /")]
#[case::gzip("walk ZIPPED 0 -f x86_64", 1, "it is compressed (gzip)", "`gzip -d -k /")]
// They were taken for raw memory.
#[case::kdump("dump KDUMP -f x86_64 -r 0", 1, "it is a kdump file, which is not read", "record an ELF core file")]
#[case::flattened("dump FLAT -f x86_64 -r 0", 1, "a flattened file of makedumpfile", "`makedumpfile -E`")]
#[case::windows("check WINDOWS -f x86_64 -r 0", 1, "a crash dump of 64-bit Windows", "or raw memory")]
#[case::avml("dump AVML -f x86_64 -r 0", 1, "it is compressed, by AVML, which is not read", "`avml-convert /")]
#[case::no_memory("build SPEC -o OUT --memory 0", 2, "more than the 0 B of `--memory`", "give `--memory` more")]
#[case::little_memory("build SPEC -o OUT --memory 7", 2, "more than the 7 B of `--memory`", "give `--memory` more")]
#[case::no_trace("replay NOFILE", 1, "cannot open the trace", "without a file replays the built-in trace")]
#[case::xz("replay XZ", 1, "xz: it is compressed (xz), and can be replayed only", "`xz -dc FILE | genpt replay -`")]
#[case::bzip2("replay BZIP2", 1, "it is compressed (bzip2)", "`bzip2 -dc FILE | genpt replay -`")]
#[case::lz4("replay LZ4", 1, "it is compressed (lz4)", "`lz4 -dc FILE | genpt replay -`")]
#[case::cut_zstd(
    "replay CUT",
    1,
    "cut: cannot read its first line: the compressed data is cut off",
    "copy the trace anew"
)]
#[case::no_events("replay WORDS", 1, "in the line `hello`", "`--lenient` counts such lines and skips them")]
#[case::binary("replay BINARY", 1, "`\\u{7f}\\u{0}\\u{1}", "it looks like a binary file: expected is text")]
#[case::no_format("walk RAW 0", 2, "nothing tells the format", "say `--format NAME`")]
#[case::no_root("walk RAW 0 -f x86_64", 2, "neither a manifest nor a note", "say `--root PA`")]
#[case::bad_manifest("walk JUNK 0", 1, "no manifest of `genpt build`", "build the image anew")]
#[case::root_misaligned("dump IMAGE --root 1", 2, "is not aligned", "a multiple of 0x1000")]
#[case::root_outside("dump IMAGE --root 0x900000000", 2, "is not in the image", "`--root` is a physical address")]
#[case::field("dump IMAGE --has FOO", 2, "x86_64 has no field `FOO`", "it has P, RW, U,")]
#[case::field_of_diff("diff IMAGE IMAGE --ignore FOO", 2, "has no field `FOO`", "it has P, RW, U,")]
#[case::setting("dump IMAGE --set foo=1", 2, "has no setting `foo`", "it has top_level")]
#[case::setting_without_number(
    "dump IMAGE --set foo",
    2,
    "expected KEY=NUMBER",
    "--set <KEY=NUMBER> is: A number of the"
)]
#[case::setting_too_large("dump IMAGE --set top_level=0x1000000000", 2, "does not fit", "`genpt formats x86_64`")]
#[case::feature("check IMAGE --features FOO", 2, "has no feature `FOO`", "SIGN_EXTEND")]
#[case::va_bits("dump RAW -f x86_64 --root 1M --base 1M --va-bits 13", 2, "13", "`genpt formats x86_64`")]
#[case::va_bits_no_number(
    "dump IMAGE --va-bits many",
    2,
    "invalid value 'many'",
    "--va-bits <N> is: VA bits of the tables"
)]
#[case::va_bits_of_bench("bench --va-bits 65", 2, "65 is not in 1..=64", "`genpt bench --help`")]
#[case::backwards(
    "dump IMAGE --va 5..=3",
    2,
    "ends before it begins",
    "--va <RANGE> is: Only what is mapped in this range: A..=B"
)]
#[case::two_dots("dump IMAGE --va 3..5", 2, "ranges are A..=B or A+LENGTH", "--va <RANGE> is: Only what is mapped in")]
#[case::two_dots_backwards(
    "dump IMAGE --va 5..3",
    2,
    "`5..3` ends before it begins; ranges are A..=B",
    "--va <RANGE> is: Only what is mapped in"
)]
#[case::unit("dump IMAGE --min 5Q", 2, "K, M, G, T, P or E (or KiB and so on)", "--min <SIZE> is: Only runs of at")]
#[case::negative(
    "check IMAGE --most -1",
    2,
    "unexpected argument '-1'",
    "0 or more is valid; --most <N> is: Most findings of"
)]
#[case::negative_short("build SPEC -o OUT -b -12", 2, "unexpected argument '-1'", "is valid; --base <PA> is: Physical")]
#[case::negative_operand("walk IMAGE -4096", 2, "unexpected argument '-4'", "is valid; `genpt walk --help` tells more")]
// So was this.
#[case::name_like_a_number("replay -1.txt", 2, "unexpected argument '-1'", "a file of this name is `./-1.txt`")]
// This was said to be a negative number because of the file's name.
#[case::option_before_a_name_like_a_number(
    "dump IMAGE --nosuch -- -1.txt",
    2,
    "unexpected argument '--nosuch'",
    "used as `genpt dump"
)]
#[case::top_level(
    "dump IMAGE --top-level 77",
    2,
    "this x86_64 table has no top of level 77",
    "does not grow, and is of level 3: leave out `--top-level`"
)]
#[case::top_level_that_grows(
    "dump RAW -f amdv1 -b 1M -r 1M --top-level 77",
    2,
    "this amdv1 table has no top of level 77",
    "valid for `--top-level` is 1 to 5"
)]
#[case::address("walk IMAGE 0xg", 2, "`0xg` is no number", "<VA>... is: Addresses to translate; `genpt walk --help`")]
#[case::option("dump IMAGE --frmat x86_64", 2, "unexpected argument '--frmat'", "'--format'")]
#[case::no_option_like_it("dump IMAGE --zzz", 2, "unexpected argument '--zzz'", "used as `genpt dump")]
#[case::no_argument("walk", 2, "were not provided: <IMAGE> <VA>...", "used as `genpt walk ")]
#[case::no_command("frobnicate", 2, "unrecognized subcommand", "`genpt --help`")]
#[case::output_format(
    "dump IMAGE -o yaml",
    2,
    "possible values: text, json, csv",
    "--output <OUTPUT> is: How to print them"
)]
#[case::format_name("dump IMAGE -f x86", 2, "possible values: amdv1", "x86_")]
#[case::memory("build SPEC -o OUT --memory 4K", 2, "more than the 4 KiB of `--memory`", "give `--memory` more")]
#[case::base("build SPEC -o OUT --base 3", 2, "no multiple of 8", "`--base` has to be a multiple of 8")]
#[case::symbol("build SPEC -o OUT --symbol 1a", 2, "no digit first", "--symbol <NAME> is: Name of the array")]
#[case::over_itself("build SPEC -o SPEC", 2, "is the specification", "write somewhere else with `-o`")]
#[case::nowhere("build SPEC -o OUT/x", 1, "cannot write", "in a directory that there is")]
#[case::drawing_over("draw IMAGE -o IMAGE", 2, "is what is to be drawn", "write somewhere else with `-o`")]
#[case::drawing_ending("draw IMAGE -o OUT.png", 2, "no drawing has such an ending", ".html is a page, .svg a picture")]
#[case::drawing_limit("draw IMAGE -o OUT.svg --limit 1", 2, "--limit is less than", "at least 512")]
#[case::drawing_nowhere("draw IMAGE -o OUT/x.svg", 1, "cannot write the drawing", "in a directory that there is")]
#[case::replay_va_bits(
    "replay -f riscv_64 --va-bits 40",
    2,
    "no table can be made with 40 VA bits",
    "`genpt formats riscv_64`"
)]
#[case::bench_va_bits(
    "bench -f riscv_64 --va-bits 40",
    2,
    "no table can be made with 40 VA bits",
    "`genpt formats riscv_64`"
)]
#[case::base_out_of_reach(
    "build SPEC -o OUT -f armv7s --base 4G",
    2,
    "be at 0x100000000: no item or register can point to 0x100000000 or above",
    "a smaller `--base` is valid"
)]
// It was said to go on to an address below the base.
#[case::base_far_above_all(
    "build SPEC -o OUT -f amdv1 --base 0x8000000000000000",
    2,
    "the tables cannot be at 0x8000000000000000: no item or register can point to 0x10000000000000 or above",
    "a smaller `--base` is valid"
)]
// That it is a directory was not said, nor what is wrong with a file of nothing but the magic bytes.
#[case::directory("walk . 0", 1, "it is a directory", "")]
#[case::directory_as_trace("replay .", 1, "cannot open the trace .: it is a directory", "")]
#[case::directory_as_list("build . -o OUT", 1, "cannot read .: it is a directory", "")]
#[case::only_magic_bytes("walk MAGIC 0", 1, "it ends within its header, after 4 bytes", "")]
#[case::half_a_header("walk SHORT 0", 1, "it ends within its header, after 12 bytes", "")]
#[case::base_near_the_end(
    "build SPEC -o OUT --base 0xffffffffff000",
    2,
    "the tables cannot be at 0xffffffffff000: they would go on to 0x10000000000000,",
    "a smaller `--base` is valid"
)]
#[case::help_of_nothing("help frob", 2, "unrecognized subcommand 'frob'", "commands: replay, formats, build, walk")]
#[case::replay_none("replay --va-bits 12", 2, "no format can be set up as asked", "leave out `--va-bits`")]
#[case::page_nowhere("replay -f vtdss --html OUT/x.html", 1, "cannot write the page", "in a directory that there is")]
#[case::manual_nowhere("man --output-dir /dev/null/x", 1, "cannot write manual pages", "name a directory")]
#[case::manual_without_parent(
    "man --output-dir OUT/x",
    1,
    "cannot write manual pages",
    "it is made in one that there is"
)]
#[case::shell("completions tcsh", 2, "possible values: bash", "a similar value exists: 'zsh'")]
fn a_bad_call_has_a_hint(#[case] words: &str, #[case] code: i32, #[case] error: &str, #[case] hint: &str) {
    refused(Place::new().call(words), code, error, hint);
}

/// The text of clap was split at blank lines, though it has the user's argument in it: that could be the hint.
#[rstest]
#[case::option(&["dump", "--zzz\n\ntip: x\n\nUsage: y"], "tip: x")]
#[case::command(&["frob\n\ntip: x\n\nUsage: y"], "tip: x")]
#[case::value(&["dump", "image", "--va-bits", "1\n\ntip: x\n\nUsage: y"], "--va-bits <N> is: VA bits of the tables")]
#[case::own_value(&["walk", "image", "0\n\ntip: x\n\nUsage: y"], "<VA>... is: Addresses to translate")]
#[case::choice(&["dump", "image", "-f", "\n\ntip: x"], "is: ")]
fn an_argument_is_no_hint(#[case] words: &[&str], #[case] hint: &str) {
    let output = genpt(words);
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    assert!(lines.last().is_some_and(|line| !line.starts_with("hint: x")), "{text}");
    let hint = if hint.starts_with("tip") { "" } else { hint };
    refused((output.status.code().unwrap(), lines), 2, "\\n\\ntip: x", hint);
}

/// Hints named `--va-bits`, `--oa-bits`, SIGN_EXTEND and UPPER_HALF where formats have no such thing. Whatever is proposed has to be
/// accepted, and nothing is proposed where no table of the format can do it.
#[rstest]
#[case::upper_half("0xffffffffff000000", "0", "", "outside of the VA of the table")]
#[case::lower_half("0x00ffffffff000000", "0", "", "outside of the VA of the table")]
#[case::beyond_32_bits("0x100000000", "0", "", "outside of the VA of the table")]
#[case::beyond_48_bits("0x1000000000000", "0", "", "outside of the VA of the table")]
#[case::oa_of_fewer_bits("16M", "1G", "--oa-bits 30", "is not below 2^30")]
#[case::oa_of_49_bits("16M", "0x1000000000000", "", "is not below 2^")]
#[case::oa_of_64_bits("16M", "0x8000000000000000", "", "is not below 2^")]
fn hints_about_addresses_are_accepted(#[case] va: &str, #[case] pa: &str, #[case] options: &str, #[case] error: &str) {
    let mut refusals = 0;
    for name in common::images::format_names() {
        let place = Place::new();
        let spec = format!("[[map]]\nva = '{va}'\npa = '{pa}'\nlen = '16M'\n");
        std::fs::write(place.0.path("spec.toml"), spec).unwrap();
        let build = |more: &str| place.call(&format!("build SPEC -o OUT -f {name} {more}"));
        let (code, lines) = build(options);
        // Some formats have no table of these options at all.
        if code == 0 || lines[0].contains(&format!("no {name} table can be made")) {
            continue;
        }
        refusals += 1;
        refused((code, lines.clone()), 2, error, "");
        let mut quoted = lines[1].split('`').skip(1).step_by(2);
        if lines[1].contains("no table of") {
            assert!(quoted.all(|word| word == format!("genpt formats {name}")), "{lines:?}");
        } else {
            let (code, refusal) = build(&quoted.collect::<Vec<_>>().join(" "));
            assert_eq!(code, 0, "{lines:?}: {refusal:?}");
        }
    }
    assert!(refusals > 0);
}

/// Specifications that are wrong, and the same for mappings; the first mapping is 2 MiB from 2 MiB to 4 MiB on.
#[rstest]
#[case::key("foo = 1", "unknown field `foo`", "a specification has `format`")]
#[case::no_length("[[map]]\nva = 0\npa = 0", "missing field `len`", "a specification has `format`")]
#[case::letter(
    "[[map]]\nva = 0\npa = 0\nlen = 4096\nprot = 'rq'",
    "`rq`: a protection has the letters r, w, x",
    "hint: `genpt build --help` has an example of a specification"
)]
#[case::number(
    "[[map]]\nva = 'ffff'\npa = 0\nlen = 4096",
    "`ffff` is no number (hexadecimal is 0xffff)",
    "hint: `genpt build --help` has an example of a specification"
)]
#[case::no_toml(
    "[[map]\nva = 0",
    "unclosed array table",
    "hint: `genpt build --help` has an example of a specification"
)]
#[case::execute_only(
    "[[map]]\nva = 0\npa = 0\nlen = 4096\nprot = 'x'",
    "`x` permits to execute only",
    "here: r, w, rw, rx, wx, rwx"
)]
#[case::nothing(
    "[[map]]\nva = 0\npa = 0\nlen = 4096\nprot = 'u'",
    "`u` permits nothing",
    "here: ru, wu, rwu, rxu, wxu, rwxu"
)]
#[case::nothing_and_never_executed(
    "[[map]]\nva = 0\npa = 0\nlen = 4096\nprot = 'n'",
    "`n` permits nothing",
    "here: rn, wn, rwn"
)]
#[case::overlap(
    "[[map]]\nva = '3M'\npa = 0\nlen = 4096",
    "VA 0x300000 is mapped already by mapping 1",
    "must not overlap"
)]
#[case::into(
    "[[map]]\nva = '1M'\npa = 0\nlen = '2M'",
    "VA 0x200000 is mapped already by mapping 1",
    "must not overlap"
)]
#[case::misaligned(
    "[[map]]\nva = 1\npa = 0\nlen = 4096",
    "are not multiples of the size of a page",
    "multiples of 4 KiB"
)]
#[case::no_bytes("[[map]]\nva = 0\npa = 0\nlen = 0", "its length is 0", "1 byte or more")]
#[case::upper_half(
    "[[map]]\nva = '0xffff800000000000'\npa = 0\nlen = 4096",
    "outside of the VA",
    "--features SIGN_EXTEND"
)]
#[case::physical(
    "[[map]]\nva = 0\npa = '0x8000000000000000'\nlen = 4096",
    "not below 2^52",
    "no table of x86_64 holds an address of 64 bits"
)]
#[case::past_the_end("[[map]]\nva = '0xfffffffffffff000'\npa = 0\nlen = 8192", "runs past", "a smaller `len`")]
#[case::pages(
    "[[map]]\nva = 0\npa = 0\nlen = 4096\npages = 64",
    "no page is of 64 B or less",
    "the smallest page is of 4 KiB"
)]
fn a_bad_specification_has_a_hint(#[case] more: &str, #[case] error: &str, #[case] hint: &str) {
    let place = Place::new();
    let first = "[[map]]\nva = '2M'\npa = '4M'\nlen = '2M'\n";
    let (head, maps) = if more.starts_with('[') { ("", more) } else { (more, "") };
    std::fs::write(place.0.path("spec.toml"), format!("format = 'x86_64'\n{head}\n{first}{maps}\n")).unwrap();
    let (code, lines) = place.call("build SPEC -o OUT");
    refused((code, lines.clone()), 2, error, hint);
    // Nothing of the library's own types.
    assert!(["Prot(", "bitmap", "NOEXEC", "CACHE"].iter().all(|word| !lines.concat().contains(word)), "{lines:?}");
}
