//! What leaves and the pointers to them permit, and values that hardware does not take, in tables that others wrote.

mod common;

use common::images::Bench;
use common::{failure, genpt};
use rstest::rstest;
use serde_json::Value;
use std::process::Output;

/// One page at VA 0, and the items on the way there: offset in the image and value, from the top.
struct Page {
    bench: Bench,
    options: Vec<&'static str>,
    items: Vec<(usize, u64)>,
}

const BASE: u64 = 1 << 20;

impl Page {
    fn new(format: &str, options: &[&'static str], prot: &str) -> Self {
        let spec = format!(
            "format = \"{format}\"\nbase = {BASE}\n[[map]]\nva = 0\npa = 0\nlen = \"64K\"\npages = \"64K\"\nprot = \"{prot}\"\n"
        );
        let spec = if options.contains(&"64K") { spec } else { spec.replace("64K", "4K") };
        let options: Vec<&str> = options.iter().copied().filter(|option| *option != "64K").collect();
        let bench = Bench::new(&spec, &options);
        let mut page = Self { bench, options, items: Vec::new() };
        let walk = page.json("walk", &["0", "--json"]);
        let number = |value: &Value| u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
        let item = |step: &Value| ((number(&step["at"]) - BASE) as usize, number(&step["raw"]));
        page.items = walk[0]["steps"].as_array().unwrap().iter().map(item).collect();
        page
    }

    fn json(&self, command: &str, options: &[&str]) -> Value {
        let output = genpt(&[&[command, &self.bench.text("image")], options].concat());
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn text(&self, command: &str, options: &[&str]) -> (String, i32) {
        let features: Vec<&str> = self.options.iter().skip_while(|option| **option != "--features").copied().collect();
        let output = genpt(&[&[command, &self.bench.text("image")], options, &features].concat());
        (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap())
    }

    /// Clears and sets bits of an item on the way, counted from the page.
    fn change(&self, from_page: usize, set: u64, clear: u64) {
        let (at, raw) = self.items[self.items.len() - 1 - from_page];
        let changed = raw & !clear | set;
        // Some formats have the highest byte first.
        self.bench.poke(at, if self.bench.peek(at) == raw { changed } else { changed.swap_bytes() });
    }

    fn access(&self) -> String {
        self.json("walk", &["0", "--json"])[0]["page"]["access"].as_str().unwrap_or("nothing").to_owned()
    }
}

const TRACKS: &[&str] = &["--features", "DIRTY_TRACKING"];
const STAGE_2: &[&str] = &["--features", "STAGE_2"];
const XNX: u64 = 1 << 53;

#[rstest]
#[case::x86_64("x86_64", &[], "rw", (0, 0, 0), "rwx")]
#[case::xd_of_a_page("x86_64", &[], "rw", (0, 1 << 63, 0), "rw-")]
#[case::xd_of_a_pointer("x86_64", &[], "rw", (2, 1 << 63, 0), "rw-")]
#[case::rw_of_a_pointer("x86_64", &[], "rw", (1, 0, 1 << 1), "r-x")]
#[case::pae_xd("x86_pae", &["--features", "EXECUTE_DISABLE"], "rwx", (1, 1 << 63, 0), "rw-")]
#[case::ept_execute_only("ept", &[], "rwx", (0, 0, 0b11), "--x")]
#[case::ept_pointer_to_execute_only("ept", &[], "rwx", (2, 0, 0b11), "--x")]
#[case::riscv("riscv_64", &[], "rwx", (0, 0, 1 << 3), "rw-")]
// Written or not, DBM lets hardware permit a write; APTable forbids it all the same.
#[case::dbm_clean("armv8_4k", TRACKS, "rw", (0, 1 << 7, 0), "rw-")]
#[case::dbm_dirty_below_aptable("armv8_4k", TRACKS, "rw", (1, 1 << 62, 0), "r--")]
#[case::dbm_means_nothing_without_tracking("armv8_4k", &[], "r", (0, 1 << 51, 0), "r--")]
// EL1 executes nothing that EL0 may write, so UXN is enough; of a page that only EL1 may write PXN counts.
#[case::user_writable_uxn("armv8_4k", &[], "rwx", (0, 1 << 54, 0), "rw-")]
#[case::user_writable_pxn("armv8_4k", &[], "rwx", (0, 1 << 53, 0), "rwx")]
#[case::privileged_uxn("armv8_4k", &[], "rwx", (0, 1 << 54, 1 << 6), "rwx")]
#[case::privileged_both("armv8_4k", &[], "rwx", (0, 3 << 53, 1 << 6), "rw-")]
#[case::uxntable("armv8_4k", &[], "rwx", (1, 1 << 60, 0), "rw-")]
#[case::ept_mode_based("ept", &["--features", "MODE_BASED_EXECUTE"], "rwx", (0, 0, 0), "rwx")]
#[case::ept_mode_based_user_only("ept", &["--features", "MODE_BASED_EXECUTE"], "rwx", (0, 0, 1 << 2), "rwx")]
#[case::ept_mode_based_neither("ept", &["--features", "MODE_BASED_EXECUTE"], "rw", (0, 0, 0), "rw-")]
#[case::vtdss_pointer_without_write("vtdss", &[], "rw", (2, 0, 1 << 1), "r-")]
#[case::amdv1_pointer_without_read("amdv1", &[], "rw", (1, 0, 1 << 61), "-w")]
#[case::g_stage_without_user("riscv_64_g", &[], "rwx", (0, 0, 1 << 4), "---")]
#[case::s390_protected_segment("s390", &[], "rw", (1, 1 << 9, 0), "r-")]
#[case::power_tolerant_io("ppc64_radix", &[], "rwx", (0, 3 << 4, 0), "rwx")]
#[case::power_guarded_io("ppc64_radix", &[], "rwx", (0, 2 << 4, 1 << 4), "rw-")]
#[case::mali_xn_of_one("mali_lpae", &[], "rwx", (0, 1 << 54, 0), "rw-")]
#[case::dart_no_read("dart", &[], "rw", (0, 1 << 8, 0), "-w")]
// Stage 2: 2 is never; 3 lets EL1, 1 lets EL0.
#[case::stage_2_xn_2("armv8_4k", STAGE_2, "rw", (0, 0, 0), "rw-")]
#[case::stage_2_xn_3("armv8_4k", STAGE_2, "rw", (0, XNX, 0), "rwx")]
#[case::stage_2_xn_1("armv8_4k", STAGE_2, "rw", (0, XNX, 1 << 54), "rwx")]
#[case::stage_2_nothing_read("armv8_4k", STAGE_2, "rw", (0, 0, 1 << 6), "-w-")]
fn what_a_page_permits(
    #[case] format: &str,
    #[case] options: &[&'static str],
    #[case] prot: &str,
    #[case] (from_page, set, clear): (usize, u64, u64),
    #[case] expected: &str,
) {
    let page = Page::new(format, options, prot);
    page.change(from_page, set, clear);
    assert_eq!(page.access(), expected);
}

/// Values that the fields' own documents call reserved were shown as mapped.
#[rstest]
#[case::write_without_read("riscv_64", &[], (0, 0, 1 << 1), "W = 0x1")]
#[case::write_without_read_32("riscv_32", &[], (0, 0, 1 << 1), "W = 0x1")]
#[case::memory_type_3("riscv_64", &[], (0, 3 << 61, 0), "PBMT = 0x3")]
#[case::memory_type_without_svpbmt("riscv_64", &["--features", "SVNAPOT_64K"], (0, 1 << 61, 0), "PBMT = 0x1")]
#[case::svrsw60t59b("riscv_64", &["--features", "SVNAPOT_64K"], (0, 1 << 59, 0), "RSW60T59B = 0x1")]
#[case::svrsw60t59b_of_a_pointer("riscv_64", &["--features", "SVNAPOT_64K"], (1, 1 << 60, 0), "RSW60T59B = 0x2")]
#[case::napot_of_another_size("riscv_64", &["64K"], (0, 1 << 10, 0), "N = 0x1")]
#[case::napot_without_svnapot("riscv_64", &["--features", "SVPBMT"], (0, 1 << 63, 0), "N = 0x1")]
#[case::ept_memory_type("ept", &[], (0, 2 << 3, 7 << 3), "MT = 0x2")]
#[case::xd_without_nxe("x86_pae", &["--features", "FLUSH_RANGE"], (0, 1 << 63, 0), "XD = 0x1")]
fn values_that_hardware_does_not_take(
    #[case] format: &str,
    #[case] options: &[&'static str],
    #[case] (from_page, set, clear): (usize, u64, u64),
    #[case] expected: &str,
) {
    let page = Page::new(format, options, "rw");
    page.change(from_page, set, clear);
    let (walk, code) = page.text("walk", &["0"]);
    assert!(code == 5 && walk.contains(expected) && walk.contains("(reserved-value)"), "{walk}");
    let (check, code) = page.text("check", &[]);
    assert!(code == 5 && check.contains(expected) && check.contains("(reserved-value)"), "{check}");
}

/// A feature that would make a value valid is named.
#[test]
fn features_that_hardware_may_have() {
    let page = Page::new("riscv_64", &["--features", "SVNAPOT_64K"], "rw");
    page.change(0, 1 << 61, 0);
    let (text, _) = page.text("walk", &["0"]);
    assert!(text.contains("it is valid with `--features SVPBMT`"), "{text}");
}

/// Who says nothing of features was told that hardware faults on what only some of it does not have: NX of each PAE kernel.
#[rstest]
#[case::nx_of_pae("x86_pae", 1 << 63, "rw-")]
#[case::svpbmt("riscv_64", 1 << 61, "rw-")]
fn features_that_nobody_asked_for(#[case] format: &str, #[case] bit: u64, #[case] access: &str) {
    let page = Page::new(format, &[], "rw");
    page.change(0, bit, if format == "riscv_64" { 1 << 3 } else { 0 });
    std::fs::remove_file(page.bench.path("image.json")).unwrap();
    let (text, code) = page.text("dump", &["--format", format, "--base", "1M", "--root", "1M"]);
    assert!(code == 0 && text.contains(&format!(" {access} ")), "{text}");
}

/// What is mapped, but is a fault until software marks it as used, was told as any other page.
#[rstest]
#[case::armv8("armv8_4k", &[], 1 << 10, "AF = 0x0")]
#[case::riscv("riscv_64", &[], 1 << 6, "A = 0x0")]
// Without Svadu a write of a page that is not dirty faults: it was told as one that may be written, and nothing more.
#[case::riscv_not_dirty("riscv_64", &[], 1 << 7, "then: D = 0x0")]
#[case::riscv_32_not_dirty("riscv_32", &[], 1 << 7, "then: D = 0x0")]
#[case::power_not_changed("ppc64_radix", &[], 1 << 7, "then: C = 0x0")]
#[case::g_stage_neither("riscv_64_g", &[], 3 << 6, "; D = 0x0")]
fn pages_that_are_not_accessed(
    #[case] format: &str,
    #[case] options: &[&'static str],
    #[case] flag: u64,
    #[case] says: &str,
) {
    let page = Page::new(format, options, "rw");
    assert!(!page.text("walk", &["0"]).0.contains("not-accessed"));
    page.change(0, 0, flag);
    let (text, code) = page.text("walk", &["0"]);
    assert!(code == 0 && text.contains("not-accessed") && text.contains(says), "{text}");
}

/// D of what cannot be written, and of what hardware writes, faults never.
#[rstest]
#[case::read_only("riscv_64", &[], "r")]
#[case::svadu("riscv_64", &["--features", "SVADU"], "rw")]
fn pages_that_need_not_be_dirty(#[case] format: &str, #[case] options: &[&'static str], #[case] prot: &str) {
    let page = Page::new(format, options, prot);
    page.change(0, 0, 1 << 7);
    let (text, _) = page.text("walk", &["0"]);
    assert!(!text.contains("not-accessed"), "{text}");
}

/// Domains, which are in pointers alone, were no change.
#[test]
fn what_only_pointers_say_is_compared() {
    let [before, after] = [(); 2].map(|()| Page::new("armv7s", &[], "rw"));
    let first = before.bench.image().iter().position(|byte| *byte != 0).unwrap() & !7;
    after.bench.poke(first, after.bench.peek(first) | 3 << 5);
    let (text, code) = before.text("diff", &[&after.bench.text("image")]);
    assert!(code == 3 && text.contains("DOMAIN_TABLE=0x3"), "{text}");
}

/// A gigapage below the middle of a sign-extended top and one above it were one run.
#[test]
fn runs_end_at_the_hole() {
    let items: Vec<u8> = (0..512u64).flat_map(|n| (n << 28 | 0xcf).to_le_bytes()).collect();
    let bench = Bench::of(&items);
    let options = ["--format", "riscv_64", "--va-bits", "39", "--root", "0", "--features", "SIGN_EXTEND"];
    let output = genpt(&[&["dump", &bench.text("image")], &options[..]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let runs: Vec<&str> = text.lines().filter(|line| line.contains("..=")).map(|line| &line[..35]).collect();
    assert_eq!(runs, ["0000000000000000..=0000003fffffffff", "ffffffc000000000..=ffffffffffffffff"], "{text}");
}

/// Items of one page that differ in more than what hardware notes, and runs that are not aligned, were taken for whole.
#[test]
fn entries_that_are_not_whole() {
    let page = Page::new("amdv1", &["64K"], "rw");
    let (at, raw) = *page.items.last().unwrap();
    page.bench.poke(at, raw & !(1 << 60) | 1 << 6);
    let (text, code) = page.text("check", &[]);
    assert!(code == 5 && text.contains("is not whole"), "{text}");
    let page = Page::new("armv8_4k", &["64K"], "rw");
    let (at, raw) = *page.items.last().unwrap();
    for n in 0..16 {
        page.bench.poke(at + 8 * n, raw + (n as u64 + 1) * 0x1000);
    }
    let (text, code) = page.text("check", &[]);
    assert!(code == 5 && text.contains("is not whole"), "{text}");
}

/// Hardware notes in one item of several that they were used, and that they were written.
#[rstest]
#[case::accessed("armv8_4k", &["64K"], 1 << 10, 0)]
#[case::accessed_and_written("riscv_64", &["64K", "--features", "SVNAPOT_64K,SVADU"], 0b11 << 6, 0)]
#[case::another_permission("riscv_64", &["64K"], 1 << 3, 5)]
fn items_of_a_page_that_differ(
    #[case] format: &str,
    #[case] options: &[&'static str],
    #[case] bits: u64,
    #[case] status: i32,
) {
    let page = Page::new(format, options, "rw");
    page.change(0, bits, 0);
    let (at, raw) = *page.items.last().unwrap();
    page.bench.poke(at, raw ^ bits);
    let (text, code) = page.text("check", &[]);
    assert_eq!(code, status, "{text}");
}

/// Changes of XD and of U were told as changes of attributes.
#[rstest]
#[case::xd(1 << 63)]
#[case::user(1 << 2)]
fn who_may_do_what_is_a_permission(#[case] bit: u64) {
    let [before, after] = [(); 2].map(|()| Page::new("x86_64", &[], "rw"));
    let (at, raw) = *after.items.last().unwrap();
    after.bench.poke(at, raw ^ bit);
    let (text, code) = before.text("diff", &[&after.bench.text("image")]);
    assert!(code == 3 && text.contains("permission"), "{text}");
}

/// A page that was written below a pointer that forbids it.
#[test]
fn dirty_below_a_pointer_that_forbids_writing() {
    let page = Page::new("ept", &["--features", "ACCESSED_DIRTY"], "rw");
    page.change(0, 1 << 9, 0);
    assert_eq!(page.text("check", &[]).1, 0);
    page.change(1, 0, 1 << 1);
    let (text, code) = page.text("check", &[]);
    assert!(code == 4 && text.contains("dirty-read-only"), "{text}");
}

/// Of two pointers to a table, one forbids writing: pages that were written by the other were told, if it came second.
#[rstest]
#[case::the_first_forbids(0)]
#[case::the_second_forbids(8)]
fn dirty_below_one_of_two_pointers_that_forbids_writing(#[case] forbids: usize) {
    let page = Page::new("ept", &["--features", "ACCESSED_DIRTY"], "rw");
    page.change(0, 1 << 9, 0);
    let (top, pointer) = page.items[0];
    page.bench.poke(top + 8, pointer);
    page.bench.poke(top + forbids, pointer & !(1 << 1));
    let (text, code) = page.text("check", &[]);
    assert!(code == 4 && text.contains("shared-table") && !text.contains("dirty-read-only"), "{text}");
}

/// Which item refuses an access, by which of its bits: level and fields of each, from the top.
#[rstest]
#[case::permitted("x86_64", &[], "rw", (0, 0, 0), "r", "[]")]
#[case::page_alone("x86_64", &[], "r", (0, 0, 0), "w", "0 any RW=0x0")]
#[case::pointer_alone("x86_64", &[], "rw", (2, 0, 1 << 1), "w", "2 any RW=0x0")]
#[case::both("x86_64", &[], "r", (3, 0, 1 << 1), "w", "3 any RW=0x0, 0 any RW=0x0")]
#[case::execution_of_a_pointer("x86_64", &[], "rw", (1, 1 << 63, 0), "x", "1 any XD=0x1")]
#[case::user("x86_64", &[], "rw", (1, 0, 1 << 2), "ru", "1 any U=0x0")]
#[case::not_only_for_users("x86_64", &[], "rw", (1, 0, 1 << 2), "r", "[]")]
// Without R there is no W, which makes a reserved value.
#[case::two_bits("riscv_64", &[], "rx", (0, 0, 1 << 1), "w", "0 all R=0x0 W=0x0")]
// It was told to be refused "by more than two fields".
#[case::three_bits("riscv_64", &[], "rx", (0, 0, 1 << 1 | 1 << 4), "wu", "0 all R=0x0 W=0x0 U=0x0")]
#[case::one_pair_of_two("armv8_4k", &[], "rw", (0, 0, 0), "x", "0 all AP_EL0=0x1 PXN=0x1")]
#[case::and_in_pointers("vtdss", &[], "rw", (2, 0, 1 << 1), "w", "2 any W=0x0")]
#[case::aptable("armv8_4k", &[], "rw", (1, 1 << 62, 0), "w", "1 any AP_TABLE_RO=0x1")]
#[case::big_endian("s390", &[], "rw", (1, 1 << 9, 0), "w", "1 any PROTECT=0x1")]
// Users of Arm execute by UXN alone, others by PXN and what users may write: it was one answer for all.
#[case::xu_by_uxn("armv8_4k", &[], "rwx", (0, 1 << 54, 0), "xu", "0 any UXN=0x1")]
#[case::xu_in_spite_of_pxn("armv8_4k", &[], "rwx", (0, 1 << 53, 0), "xu", "[]")]
#[case::xu_unreadable("armv8_4k", &[], "rwx", (0, 0, 1 << 6), "xu", "[]")]
#[case::xu_by_uxntable("armv8_4k", &[], "rwx", (2, 1 << 60, 0), "xu", "2 any UXN_TABLE=0x1")]
#[case::x_of_what_users_write("armv8_4k", &[], "rwx", (0, 0, 0), "x", "0 any AP_EL0=0x1 AP_RO=0x0")]
#[case::x_by_pxn("armv8_4k", &[], "rwx", (0, 1 << 53, 1 << 6), "x", "0 any PXN=0x1")]
#[case::stage_2_of_el0("armv8_4k", STAGE_2, "rwx", (0, 1 << 53, 0), "x", "0 any XN=0x1")]
#[case::stage_2_of_el0_xu("armv8_4k", STAGE_2, "rwx", (0, 1 << 53, 0), "xu", "[]")]
#[case::stage_2_of_el1("armv8_4k", STAGE_2, "rwx", (0, 3 << 53, 0), "x", "[]")]
#[case::stage_2_of_el1_xu("armv8_4k", STAGE_2, "rwx", (0, 3 << 53, 0), "xu", "0 any XN=0x3")]
// PXNTable, which no page has a field for, was shown and not counted.
#[case::armv7_x_by_pxntable("armv7s", &[], "rwx", (1, 1 << 2, 0), "x", "1 any PXN_TABLE=0x1")]
#[case::armv7_x_by_both("armv7s", &[], "rw", (1, 1 << 2, 0), "x", "1 any PXN_TABLE=0x1, 0 any XN_SMALL=0x1")]
#[case::armv8_x_by_pxntable("armv8_4k", &[], "rx", (1, 1 << 59, 0), "x", "1 any PXN_TABLE=0x1")]
#[case::armv8_ru_by_aptable("armv8_4k", &[], "rw", (2, 1 << 61, 0), "ru", "2 any AP_TABLE_PRIVILEGED=0x1")]
#[case::armv7_xu("armv7s", &[], "rwx", (1, 1 << 2, 0), "xu", "[]")]
#[case::armv7_xu_unreadable("armv7s", &[], "rwx", (0, 0, 1 << 5), "xu", "0 any AP=0x1")]
// Supervisors of RISC-V never execute what is for users, but read it with SUM.
#[case::riscv_x_of_users("riscv_64", &[], "rwx", (0, 0, 0), "x", "0 any U=0x1")]
#[case::riscv_r_of_users("riscv_64", &[], "rwx", (0, 0, 0), "r", "[]")]
#[case::riscv_xu("riscv_32", &[], "rwx", (0, 0, 1 << 4), "xu", "0 any U=0x0")]
#[case::ept_mode_based("ept", &["--features", "MODE_BASED_EXECUTE"], "rwx", (0, 0, 1 << 10), "xu", "0 any XU=0x0")]
#[case::power("ppc64_radix", &[], "rwx", (0, 1 << 3, 0), "xu", "0 any PRIV=0x1")]
fn what_refuses_an_access(
    #[case] format: &str,
    #[case] options: &[&'static str],
    #[case] prot: &str,
    #[case] (from_page, set, clear): (usize, u64, u64),
    #[case] access: &str,
    #[case] expected: &str,
) {
    let page = Page::new(format, options, prot);
    page.change(from_page, set, clear);
    let walk = page.json("walk", &["0", "--json", "--access", access]);
    let verdict = &walk[0]["verdicts"][0];
    assert_eq!(verdict["access"], access);
    let refusals: Vec<String> = verdict["refusals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|refusal| {
            let fields = refusal["fields"].as_array().unwrap().iter();
            let fields: Vec<String> = fields
                .map(|field| format!("{}={}", field["name"].as_str().unwrap(), field["value"].as_str().unwrap()))
                .collect();
            format!("{} {} {}", refusal["level"], refusal["lifted_by"].as_str().unwrap(), fields.join(" "))
        })
        .collect();
    let is_permitted = refusals.is_empty();
    assert_eq!(if is_permitted { "[]".to_owned() } else { refusals.join(", ") }, expected);
    assert_eq!(verdict["is_permitted"], is_permitted);
    let (text, code) = page.text("walk", &["0", "--access", access]);
    let says =
        if is_permitted { format!("{access} is permitted\n") } else { format!("{access} is not permitted: at level ") };
    assert!(text.contains(&says) && code == if is_permitted { 0 } else { 4 }, "{code}: {text}");
}

/// Hardware without execute control was said to permit x as if an item did.
#[rstest]
#[case::s390("s390", "x", false)]
#[case::vtdss("vtdss", "x", false)]
#[case::s390_write("s390", "w", true)]
#[case::x86_64("x86_64", "x", true)]
fn what_no_item_can_forbid(#[case] format: &str, #[case] access: &str, #[case] can_be_forbidden: bool) {
    let page = Page::new(format, &[], "rw");
    let (text, code) = page.text("walk", &["0", "--access", access]);
    let says = if can_be_forbidden { "\n".to_owned() } else { format!(": items of {format} cannot forbid it\n") };
    assert!(code == 0 && text.contains(&format!("{access} is permitted{says}")), "{text}");
    let walk = page.json("walk", &["0", "--json", "--access", access]);
    assert_eq!(walk[0]["verdicts"][0]["can_be_forbidden"], can_be_forbidden);
}

#[test]
fn accesses_that_cannot_be_asked_for() {
    let page = Page::new("vtdss", &[], "rw");
    let walk = |access: &str| failure(&genpt(&["walk", &page.bench.text("image"), "0", "--access", access]));
    let (code, text) = walk("ru");
    assert!(code == 2 && text.contains("vtdss tables like this do not tell what users may do"), "{text}");
    for access in ["u", "", "rwq"] {
        let (code, text) = walk(access);
        assert!(code == 2 && text.contains("r (read), w (write) and x (execute)"), "{text}");
    }
    let (text, code) = page.text("walk", &["0x100000", "--access", "rw"]);
    assert!(code == 4 && text.contains("w is not permitted: there is no page"), "{text}");
}

/// Of every format, what `walk` says of a page in letters is what it says of each access, of users or of others.
#[test]
fn verdicts_agree_with_letters() {
    let ask = |bench: &Bench, access: &str| {
        genpt(&["walk", &bench.text("image"), "0x1000000", "0x4000000", "--json", "--access", access])
    };
    let walks = |output: &Output, name: &str| -> Value {
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 4)) && error.is_empty(), "{name}: {error}");
        let walks: Value = serde_json::from_slice(&output.stdout).unwrap();
        // 4 if something is refused, and only then.
        let all = walks.as_array().unwrap().iter().flat_map(|walk| walk["verdicts"].as_array().unwrap());
        let is_refused = all.filter(|verdict| verdict["is_permitted"] == false).count() > 0;
        assert_eq!(output.status.code(), Some(if is_refused { 4 } else { 0 }), "{name}");
        walks
    };
    for name in common::images::format_names() {
        let bench = Bench::of_format(&name);
        let privileged = walks(&ask(&bench, "rwx"), &name);
        let of_users = ask(&bench, "rwxu");
        // Not every format tells what users may do.
        let users = if of_users.status.code() == Some(2) {
            let (_, text) = failure(&of_users);
            assert!(text.contains(&format!("{name} tables like this do not tell what users may do")), "{text}");
            privileged.clone()
        } else {
            walks(&of_users, &name)
        };
        for (walk, of_users) in privileged.as_array().unwrap().iter().zip(users.as_array().unwrap()) {
            let letters = walk["page"]["access"].as_str().unwrap();
            for n in 0..3 {
                let (one, other) = (&walk["verdicts"][n], &of_users["verdicts"][n]);
                let letter = one["access"].as_str().unwrap();
                let is_permitted = [one, other].iter().any(|verdict| verdict["is_permitted"] == true);
                // What no item can forbid has no letter.
                let expected = letters.contains(letter) || letter == "x" && letters.len() == 2;
                assert_eq!(is_permitted, expected, "{name}: {letters}, {one}, {other}");
            }
        }
    }
}

/// A field of several bits whose value is 1 was shown as a flag.
#[test]
fn values_of_several_bits() {
    let page = Page::new("x86_64", &[], "rw");
    page.change(0, 1 << 3, 0);
    let text = page.text("dump", &[]).0;
    assert!(text.contains("RW U PCD_PWT=0x1 A"), "{text}");
}
