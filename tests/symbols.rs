//! Every format has its own symbols, and nothing is dispatched dynamically below its operations.
//!
//! Builds `examples/symbols.rs` optimised, with the feature `frames` (each walker stays a function), and reads the binary
//! with `objdump`.

use generic_pt::Features;
use generic_pt::fmt::{
    amdv1, amdv1_mock, armv7s, armv8_4k, armv8_16k, armv8_64k, dart, dart_16k, dart_v2, ept, mali_lpae, ppc64_radix,
    ppc64_radix_64k, riscv_32, riscv_32_g, riscv_64, riscv_64_g, rockchip_v2, s390, vtdss, x86_64, x86_pae,
};
use generic_pt::format::{Description, Groups};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const OPERATIONS: &[&str] = &[
    "init",
    "map_range",
    "map_sg",
    "unmap_range",
    "unmap_range_with",
    "iova_to_phys",
    "translate_range",
    "cursor",
    "view",
    "read_and_clear_dirty",
    "set_dirty",
    "gather",
    "sync",
    "get_info",
    "hw_info",
    "deinit",
];

/// Whose code is looked at, whatever the tests themselves are built for.
const HOST: &str = "x86_64-unknown-linux-gnu";

/// The names that a format has to have in the binary, and how many functions have each: the walkers of an unmap are compiled once
/// for each way in which hardware can read tables.
fn expected<F: Groups>() -> Vec<(String, usize)> {
    let name = <F as Description>::NAME;
    let operations = OPERATIONS.iter().map(|operation| format!("pt_iommu_{name}_{operation}"));
    let walkers = ["map_range", "map_sg", "unmap_range", "iova_to_phys", "read_and_clear_dirty"];
    let walkers = walkers.iter().filter(|walker| F::HAS_DIRTY || **walker != "read_and_clear_dirty");
    let levels =
        walkers.flat_map(|walker| (0..=F::MAX_TOP_LEVEL).map(move |level| format!("{name}_{walker}_l{level}")));
    let unmaps = if F::SUPPORTED.contains(Features::DMA_INCOHERENT) { 2 } else { 1 };
    let count = |name: String| {
        let count = if name.starts_with("pt_iommu_") || !name.contains("_unmap_range_l") { 1 } else { unmaps };
        (name, count)
    };
    operations.chain(levels).map(count).collect()
}

fn all_expected() -> Vec<(String, usize)> {
    let mut names = expected::<amdv1::Format>();
    names.extend(expected::<amdv1_mock::Format>());
    names.extend(expected::<x86_64::Format>());
    names.extend(expected::<vtdss::Format>());
    names.extend(expected::<ept::Format>());
    names.extend(expected::<x86_pae::Format>());
    names.extend(expected::<ppc64_radix::Format>());
    names.extend(expected::<ppc64_radix_64k::Format>());
    names.extend(expected::<rockchip_v2::Format>());
    names.extend(expected::<s390::Format>());
    names.extend(expected::<riscv_64::Format>());
    names.extend(expected::<riscv_64_g::Format>());
    names.extend(expected::<armv7s::Format>());
    names.extend(expected::<mali_lpae::Format>());
    names.extend(expected::<dart_v2::Format>());
    names.extend(expected::<dart_16k::Format>());
    names.extend(expected::<dart::Format>());
    names.extend(expected::<armv8_4k::Format>());
    names.extend(expected::<armv8_16k::Format>());
    names.extend(expected::<armv8_64k::Format>());
    names.extend(expected::<riscv_32::Format>());
    names.extend(expected::<riscv_32_g::Format>());
    names
}

/// Builds the example as a package of its own: in this one it would bring all dependencies of the tests with it.
fn build_example() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("symbols");
    let manifest = format!(
        "[package]\nname = \"symbols\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\ngeneric-pt = {{ path = {own:?}, features = [\"frames\"] }}\n"
    );
    fs::create_dir_all(program.join("src")).expect("a directory for the program");
    fs::write(program.join("Cargo.toml"), manifest).expect("its manifest");
    fs::copy(own.join("Cargo.lock"), program.join("Cargo.lock")).expect("the same versions");
    fs::copy(own.join("examples/symbols.rs"), program.join("src/main.rs")).expect("the example");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--target", HOST, "--target-dir", "target"])
        .current_dir(&program)
        // Linked statically: a call into a shared library would look indirect.
        .env("RUSTFLAGS", "-C target-feature=+crt-static -C relocation-model=static")
        .status()
        .expect("cargo runs");
    assert!(built.success(), "the example builds");
    program.join("target").join(HOST).join("release/symbols")
}

/// The symbols of functions, and how often each is there. (Functions of the same code can share it: then the disassembly
/// shows only one of them.)
fn symbols(binary: &PathBuf) -> BTreeMap<String, usize> {
    let output = Command::new("objdump").args(["--syms", "--demangle"]).arg(binary).output();
    let output = output.expect("objdump (binutils) runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut symbols = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.contains(" F .text")) {
        let name = line.find("generic_pt::fmt::").and_then(|at| function_name(&line[at..]));
        name.into_iter().for_each(|name| *symbols.entry(name).or_default() += 1);
    }
    symbols
}

/// Disassembly: for each function of the crate's formats, its lines. Several functions of one name are all kept.
fn functions(binary: &PathBuf) -> BTreeMap<String, Vec<Vec<String>>> {
    let output = Command::new("objdump")
        .args(["--disassemble", "--demangle", "--no-show-raw-insn"])
        .arg(binary)
        .output()
        .expect("objdump (binutils) runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let mut functions: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    let mut current: Option<&mut Vec<String>> = None;
    for line in text.lines() {
        if let Some((_, symbol)) = line.strip_suffix(">:").and_then(|line| line.split_once(" <")) {
            current = function_name(symbol).map(|name| {
                let bodies = functions.entry(name).or_default();
                bodies.push(Vec::new());
                bodies.last_mut().expect("just pushed")
            });
        } else if let Some(lines) = current.as_deref_mut()
            && line.starts_with(' ')
        {
            lines.push(line.to_owned());
        }
    }
    functions
}

/// The last part of a path in the formats' modules, without generic arguments.
fn function_name(symbol: &str) -> Option<String> {
    let path = symbol.split("::<").next()?;
    let path = path.strip_prefix("generic_pt::fmt::")?;
    path.rsplit("::").next().map(str::to_owned)
}

/// How a line leaves the straight path without the target being in the code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Indirect {
    No,
    Call,
    /// A jump: in an operation, the jump table that chooses the walker of the top's level.
    Jump,
}

fn indirect(line: &str) -> Indirect {
    let Some((_, instruction)) = line.split_once(':') else { return Indirect::No };
    let mut words = instruction.split_whitespace().skip_while(|word| *word == "notrack" || *word == "bnd");
    let (mnemonic, operand) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    match mnemonic {
        _ if !operand.starts_with('*') => Indirect::No,
        _ if mnemonic.starts_with("call") => Indirect::Call,
        _ if mnemonic.starts_with("jmp") => Indirect::Jump,
        _ => Indirect::No,
    }
}

#[test]
#[cfg_attr(
    not(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu")),
    ignore = "builds and disassembles an x86_64 Linux binary: runs once, in the build for that"
)]
fn every_format_has_its_own_symbols_and_direct_calls() {
    let binary = build_example();
    let functions = functions(&binary);
    let symbols = symbols(&binary);
    for (name, expected) in all_expected() {
        let count = symbols.get(&name).copied().unwrap_or(0);
        assert_eq!(count, expected, "functions of the name {name}");
    }
    // Operations may choose the walker of the top's level by a jump table; nothing is called indirectly, and below the
    // operations nothing is even jumped to.
    for (name, bodies) in &functions {
        for line in bodies.iter().flatten() {
            let found = indirect(line);
            let allowed = found == Indirect::No || (found == Indirect::Jump && name.starts_with("pt_iommu_"));
            assert!(allowed, "{name}: {found:?}: {line}");
        }
    }
}

#[test]
fn indirect_calls_are_recognised() {
    assert_eq!(indirect("   1000:\tcall   *%rax"), Indirect::Call);
    assert_eq!(indirect("   1000:\tcall   *0x18(%rbx)"), Indirect::Call);
    assert_eq!(indirect("   1000:\tnotrack jmp *%rax"), Indirect::Jump);
    assert_eq!(indirect("   1000:\tcall   2000 <name>"), Indirect::No);
    assert_eq!(indirect("   1000:\tjne    2000 <name+0x8>"), Indirect::No);
}
