//! Page tables of real kernels, recorded under QEMU (`real/record.py`): what `genpt dump` says of every page is what QEMU says.

mod common;

use common::{genpt, stdout};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const PAGE: u64 = 0x1000;

/// What a page of 4 KiB, or a part of a larger one, is mapped to.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Mapped {
    pa: u64,
    says: String,
}

/// Every page of 4 KiB that is mapped.
type Pages = BTreeMap<u64, Mapped>;

/// A recorded machine.
struct Machine {
    dir: TempDir,
    options: Vec<String>,
    tables: u64,
    /// What QEMU's monitor said, by command.
    qemu: BTreeMap<String, String>,
}

fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real").join(name)
}

fn unpacked(name: &str) -> Vec<u8> {
    let file = std::fs::File::open(recorded(name)).unwrap();
    let mut bytes = Vec::new();
    ruzstd::decoding::StreamingDecoder::new(file).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

impl Machine {
    fn new(name: &str) -> Self {
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("core"), unpacked(&format!("{name}.elf.zst"))).unwrap();
        let about: Value = serde_json::from_slice(&std::fs::read(recorded(&format!("{name}.json"))).unwrap()).unwrap();
        let options = about["options"].as_array().unwrap().iter().map(|option| option.as_str().unwrap().to_owned());
        let said = String::from_utf8(unpacked(&format!("{name}.qemu.zst"))).unwrap();
        let commands = said.split("(qemu) ").skip(1).map(|part| part.split_once('\n').unwrap());
        Self {
            dir,
            options: options.collect(),
            tables: about["tables"].as_u64().unwrap(),
            qemu: commands.map(|(command, text)| (command.to_owned(), text.to_owned())).collect(),
        }
    }

    fn run(&self, command: &str, more: &[&str]) -> std::process::Output {
        let core = self.dir.path().join("core").display().to_string();
        let options = self.options.iter().map(String::as_str);
        genpt(&[command, &core].into_iter().chain(options).chain(more.iter().copied()).collect::<Vec<_>>())
    }

    fn dump(&self) -> Value {
        serde_json::from_str(&stdout(&self.run("dump", &["-o", "json"]))).unwrap()
    }
}

fn hex(text: &str) -> u64 {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or_else(|_| panic!("{text} is no number"))
}

/// Adds the pages of a range.
fn add(pages: &mut Pages, va: u64, bytes: u64, pa: u64, says: &str) {
    for offset in (0..bytes).step_by(PAGE as usize) {
        let before = pages.insert(va + offset, Mapped { pa: pa + offset, says: says.to_owned() });
        assert_eq!(before, None, "{va:#x} is told twice");
    }
}

/// The pages of a dump; `says` makes what is compared of access and fields.
fn pages_of(dump: &Value, says: impl Fn(&str, &[&str]) -> String) -> Pages {
    let mut pages = Pages::new();
    for run in dump["runs"].as_array().unwrap() {
        let text = |key: &str| run[key].as_str().unwrap();
        let fields: Vec<&str> =
            run["attributes"].as_array().unwrap().iter().map(|field| field.as_str().unwrap()).collect();
        add(&mut pages, hex(text("va")), hex(text("bytes")), hex(text("pa")), &says(text("access"), &fields));
    }
    pages
}

/// Pages of a dump, by size.
fn counts_of(dump: &Value) -> BTreeMap<u64, u64> {
    let counts = dump["statistics"]["pages"].as_array().unwrap();
    counts.iter().map(|count| (count["of"].as_u64().unwrap(), count["count"].as_u64().unwrap())).collect()
}

fn same(ours: &Pages, theirs: &Pages) {
    assert!(theirs.len() > 10_000, "QEMU told of {} pages", theirs.len());
    let wrong = theirs.iter().find(|(va, mapped)| ours.get(*va) != Some(mapped));
    if let Some((va, mapped)) = wrong {
        panic!("{va:#x}: QEMU says {mapped:x?}, genpt {:x?}", ours.get(va));
    }
    assert_eq!(ours.len(), theirs.len(), "genpt has pages that QEMU does not have");
}

/// `info tlb`: a line for each page, `VA: PA XGPDACTUW`; P is a page of 2 MiB.
fn x86_info_tlb(machine: &Machine, dump: &Value) {
    let fields = [('X', "XD"), ('G', "G"), ('D', "D"), ('A', "A"), ('U', "U"), ('W', "RW")];
    let cache = |flags: &str| 2 * u8::from(flags.contains('C')) + u8::from(flags.contains('T'));
    let (mut theirs, mut small, mut large) = (Pages::new(), 0, 0);
    for line in machine.qemu["info tlb"].lines() {
        let [va, pa, flags] = line.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{line}") };
        let is_large = flags.contains('P');
        if is_large {
            large += 1
        } else {
            small += 1
        }
        let names: Vec<&str> = fields.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| *name).collect();
        let says = format!("{names:?} {}", cache(flags));
        add(&mut theirs, hex(va.trim_end_matches(':')), if is_large { 0x20_0000 } else { PAGE }, hex(pa), &says);
    }
    let ours = pages_of(dump, |_, attributes| {
        let names: Vec<&str> =
            fields.iter().filter(|(_, name)| attributes.contains(name)).map(|(_, name)| *name).collect();
        let cache = attributes.iter().find_map(|field| match field.strip_prefix("PCD_PWT") {
            Some("") => Some(1),
            Some(value) => Some(hex(value.trim_start_matches('='))),
            None => None,
        });
        format!("{names:?} {}", cache.unwrap_or(0))
    });
    same(&ours, &theirs);
    assert_eq!(counts_of(dump), BTreeMap::from([(PAGE, small), (0x20_0000, large)]));
}

/// `info mem`: ranges `FIRST-END LENGTH urw`, what all levels permit together.
fn x86_info_mem(machine: &Machine, dump: &Value) {
    let pages = pages_of(dump, |access, attributes| {
        let user = if attributes.contains(&"U") { 'u' } else { '-' };
        format!("{user}{}", &access[..2])
    });
    let mut ranges: Vec<(u64, u64, String)> = Vec::new();
    for (va, Mapped { says, .. }) in &pages {
        match ranges.last_mut() {
            Some((_, end, before)) if *end == *va && before == says => *end += PAGE,
            _ => ranges.push((*va, va + PAGE, says.clone())),
        }
    }
    let ours: Vec<String> = ranges
        .iter()
        .map(|(first, end, says)| format!("{first:016x}-{end:016x} {:016x} {says}", end - first))
        .collect();
    let theirs: Vec<&str> = machine.qemu["info mem"].lines().collect();
    assert_eq!(ours, theirs);
}

/// A healthy kernel: all of its tables were found, and nothing is wrong with them; of what is mapped nothing is missing.
fn healthy(machine: &Machine, dump: &Value) {
    let tables = dump["statistics"]["tables"].as_array().unwrap();
    assert_eq!(tables.iter().map(|count| count["count"].as_u64().unwrap()).sum::<u64>(), machine.tables);
    for unread in ["foreign_items", "pointers_outside", "pointers_misaligned"] {
        assert_eq!(dump["statistics"][unread], 0, "{unread}");
    }
    let report = stdout(&machine.run("check", &["--json"]));
    let report: Value = serde_json::from_str(&report).unwrap();
    assert!(matches!(report["worst"].as_str(), None | Some("note")), "{report:#}");
    assert_eq!(machine.run("diff", &[&machine.dir.path().join("core").display().to_string()]).status.code(), Some(0));
}

#[test]
fn x86_64_with_four_levels_and_random_addresses() {
    let machine = Machine::new("linux-x86_64-kaslr");
    let dump = machine.dump();
    healthy(&machine, &dump);
    x86_info_tlb(&machine, &dump);
    x86_info_mem(&machine, &dump);
}

/// QEMU's `info mem` says nothing of five levels.
#[test]
fn x86_64_with_five_levels() {
    let machine = Machine::new("linux-x86_64-la57");
    let dump = machine.dump();
    healthy(&machine, &dump);
    x86_info_tlb(&machine, &dump);
}

/// `info mem`: ranges `VA PA LENGTH rwxugad`.
#[test]
fn riscv64() {
    let machine = Machine::new("linux-riscv64");
    let dump = machine.dump();
    healthy(&machine, &dump);
    let mut theirs = Pages::new();
    for line in machine.qemu["info mem"].lines().skip(2) {
        let [va, pa, bytes, says] = line.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{line}") };
        add(&mut theirs, hex(va), hex(bytes), hex(pa), says);
    }
    let ours = pages_of(&dump, |access, attributes| {
        let flags = [("U", 'u'), ("G", 'g'), ("A", 'a'), ("D", 'd')];
        let flags = flags.map(|(name, letter)| if attributes.contains(&name) { letter } else { '-' });
        access.chars().chain(flags).collect()
    });
    same(&ours, &theirs);
}

/// `gva2gpa` of the first byte of each item. The pointers of this kernel have UXNTable set.
#[test]
fn aarch64() {
    let machine = Machine::new("linux-arm64");
    let dump = machine.dump();
    healthy(&machine, &dump);
    let ours = pages_of(&dump, |_, _| String::new());
    let mut items = 0;
    for line in machine.qemu["gva2gpa"].lines() {
        let (va, pa) = line.split_once(" gpa: ").unwrap_or_else(|| panic!("{line}"));
        assert_eq!(ours.get(&hex(va)).map(|mapped| mapped.pa), Some(hex(pa)), "{va}");
        items += 1;
    }
    // A page of 64 KiB is 16 items.
    let counts = counts_of(&dump);
    let count = |bytes: u64| counts.get(&bytes).copied().unwrap_or(0);
    assert_eq!(count(PAGE) + 16 * count(0x1_0000) + count(0x20_0000), items);
    assert_eq!(counts.keys().copied().collect::<Vec<_>>(), [PAGE, 0x1_0000, 0x20_0000]);
    let code = "0xffff800008010000";
    let walk: Value = serde_json::from_str(&stdout(&machine.run("walk", &[code, "--json"]))).unwrap();
    let page = &walk[0]["page"];
    assert_eq!(page["access"], "r-x");
    let pointer = &walk[0]["steps"][0]["fields"];
    assert!(pointer.as_array().unwrap().iter().any(|field| field["name"] == "UXN_TABLE" && field["value"] == "0x1"));
}
