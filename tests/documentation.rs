//! What documents and printed forms say is what the code does.

use generic_pt::fmt::{
    amdv1, amdv1_mock, armv7s, armv8_4k, armv8_16k, armv8_64k, dart, dart_16k, dart_v2, ept, mali_lpae, ppc64_radix,
    ppc64_radix_64k, riscv_32, riscv_32_g, riscv_64, riscv_64_g, rockchip_v2, s390, vtdss, x86_64, x86_pae,
};
use generic_pt::format::Groups;
use generic_pt::{Domain, Features, HeapMemory, NoHardware, Prot, TableConfig};

const README: &str = include_str!("../README.md");

/// The cells of the README's row for a format.
fn row(name: &str) -> Vec<&'static str> {
    let start = format!("| `{name}` |");
    let line = README.lines().find(|line| line.starts_with(&start));
    let line = line.unwrap_or_else(|| panic!("README.md has a table row for {name}"));
    line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

fn feature_names<F: Groups>() -> Vec<String> {
    let names = Features::COMMON_NAMES.iter().chain(F::OWN_FEATURES);
    let mut names: Vec<String> =
        names.filter(|(_, feature)| F::SUPPORTED.contains(*feature)).map(|(name, _)| format!("`{name}`")).collect();
    names.sort();
    names
}

fn assert_row_is_true<F: Groups>() {
    let cells = row(F::NAME);
    assert_eq!(cells[3], format!("{} / {}", F::GEOMETRY.max_va_lg2, F::GEOMETRY.max_oa_lg2), "{}: VA / OA", F::NAME);
    let (lowest, highest) = (F::MIN_TOP_LEVEL + 1, F::MAX_TOP_LEVEL + 1);
    let levels = match highest - lowest {
        0 => highest.to_string(),
        1 => format!("{lowest}, {highest}"),
        _ => format!("{lowest} to {highest}"),
    };
    assert_eq!(cells[2], levels, "{}: levels", F::NAME);
    // A format that is another one with other constants refers to it.
    let documents_itself = ["CACHE", "MMIO", "NOEXEC"].iter().all(|flag| F::DOC.contains(flag));
    assert!(documents_itself || F::DOC.contains("crate::fmt::"), "{}: what it makes of protections", F::NAME);
    let (features, others) = cells[5].split_once(',').unwrap_or((cells[5], ""));
    let has_dirty = others.contains("dirty tracking") || features == "dirty tracking";
    assert_eq!(has_dirty, F::HAS_DIRTY, "{}: dirty tracking", F::NAME);
    let mut listed: Vec<String> =
        features.split_whitespace().filter(|name| name.starts_with('`')).map(str::to_owned).collect();
    listed.sort();
    assert_eq!(listed, feature_names::<F>(), "{}: features", F::NAME);
}

#[test]
fn the_readme_tells_each_format() {
    assert_row_is_true::<amdv1::Format>();
    assert_row_is_true::<amdv1_mock::Format>();
    assert_row_is_true::<x86_64::Format>();
    assert_row_is_true::<vtdss::Format>();
    assert_row_is_true::<ept::Format>();
    assert_row_is_true::<x86_pae::Format>();
    assert_row_is_true::<ppc64_radix::Format>();
    assert_row_is_true::<ppc64_radix_64k::Format>();
    assert_row_is_true::<rockchip_v2::Format>();
    assert_row_is_true::<s390::Format>();
    assert_row_is_true::<riscv_64::Format>();
    assert_row_is_true::<riscv_64_g::Format>();
    assert_row_is_true::<armv7s::Format>();
    assert_row_is_true::<mali_lpae::Format>();
    assert_row_is_true::<dart_v2::Format>();
    assert_row_is_true::<dart_16k::Format>();
    assert_row_is_true::<dart::Format>();
    assert_row_is_true::<armv8_4k::Format>();
    assert_row_is_true::<armv8_16k::Format>();
    assert_row_is_true::<armv8_64k::Format>();
    assert_row_is_true::<riscv_32::Format>();
    assert_row_is_true::<riscv_32_g::Format>();
}

#[test]
fn a_table_prints_as_an_indented_tree() {
    let domain = Domain::new(HeapMemory, NoHardware);
    let config = TableConfig {
        features: Features::FLUSH_RANGE | Features::SIGN_EXTEND,
        hw_max_vasz_lg2: 48,
        hw_max_oasz_lg2: 46,
        format: x86_64::Config { top_level: 3, encryption_mask: 0 },
    };
    let mut table = x86_64::PtIommuX8664::new(&domain, &config).expect("a valid configuration");
    table.map_range(0x1f_f000, 0x4000_0000, 0x3000, Prot::READ | Prot::WRITE).expect("free");
    table.map_range(0xffff_ffff_ffe0_0000, 0x8000_0000, 0x20_0000, Prot::READ).expect("free");
    assert_eq!(
        format!("{table:?}"),
        "\
x86_64: top level 3, 48 VA bits, 46 OA bits
level 3 table for VA 0x0000000000000000
  level 2 table for VA 0x0000000000000000
    level 1 table for VA 0x0000000000000000
      level 0 table for VA 0x0000000000000000
        0x00000000001ff000..=0x00000000001fffff -> 0x0000000040000000 level 0, 1 x 2^12, item 0x40000067
      level 0 table for VA 0x0000000000200000
        0x0000000000200000..=0x0000000000201fff -> 0x0000000040001000 level 0, 2 x 2^12, item 0x40001067
  level 2 table for VA 0xffffff8000000000
    level 1 table for VA 0xffffffffc0000000
      0xffffffffffe00000..=0xffffffffffffffff -> 0x0000000080000000 level 1, 1 x 2^21, item 0x800000a5
"
    );
}

#[test]
fn errors_say_what_where_and_what_would_be_valid() {
    let domain = Domain::new(HeapMemory, NoHardware);
    let config = |top_level| TableConfig {
        features: Features::FLUSH_RANGE,
        hw_max_vasz_lg2: 48,
        hw_max_oasz_lg2: 46,
        format: vtdss::Config { top_level },
    };
    let refused = vtdss::PtIommuVtdss::new(&domain, &config(7)).expect_err("no such level");
    assert_eq!(refused.to_string(), "configuration: `top_level` is 7, valid: 2 to 4");
    let wide = TableConfig { hw_max_vasz_lg2: 99, ..config(3) };
    let refused = vtdss::PtIommuVtdss::new(&domain, &wide).expect_err("too many bits");
    assert_eq!(refused.to_string(), "configuration: `hw_max_vasz_lg2` is 99, valid: 1 to 57");
    let format = amdv1::Config { starting_level: 2, encryption_mask: 0 };
    let unforced = TableConfig { features: Features::FLUSH_RANGE, hw_max_vasz_lg2: 48, hw_max_oasz_lg2: 48, format };
    let refused = amdv1::PtIommuAmdv1::new(&domain, &unforced).expect_err("forced features");
    assert_eq!(
        refused.to_string(),
        "features FLUSH_RANGE: DYNAMIC_TOP | ENCRYPT_TABLES | FORCE_COHERENCE must be asked for"
    );
    let mut table = vtdss::PtIommuVtdss::new(&domain, &config(3)).expect("a valid configuration");
    table.map_range(0x20_2000, 0x1000, 0x1000, Prot::READ).expect("free");
    let taken = table.map_range(0x20_0000, 0x5000, 0x8000, Prot::READ).expect_err("a page is in the way");
    assert_eq!(
        taken.to_string(),
        "VA 0x0000000000202000 is in use: the item of level 0 there is, or leads to, a leaf (mapped 0x2000 bytes, stopped \
         at VA 0x0000000000202000)"
    );
    let outside = table.map_range(1 << 48, 0, 0x1000, Prot::READ).expect_err("beyond 48 bits");
    assert_eq!(
        outside.error.to_string(),
        "VA 0x0001000000000000..=0x0001000000000fff is outside of what is valid here: \
         0x0000000000000000..=0x0000ffffffffffff"
    );
}

/// The functions that docs/writing-a-format.md shows are those of the example, which is built and tested.
#[test]
fn writing_a_format_shows_the_example() {
    let document = include_str!("../docs/writing-a-format.md");
    let example = include_str!("../examples/own_format/format.rs");
    let functions = example.split_once("impl PtFormat for Format {").expect("the example implements a format").1;
    let mut shown = document.split_once("impl PtFormat for Format {").expect("the document shows them").1.lines();
    for line in functions.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(')')) {
        let found = shown.any(|shown| shown.trim() == line);
        assert!(found, "docs/writing-a-format.md has this line of the example, in its order: {line}");
    }
}
