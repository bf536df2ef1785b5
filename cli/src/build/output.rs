//! Tables as files: raw, ELF object, C, assembler.

use super::BuildError;
use super::args::Arch;
use super::tables::Built;
use object::write::{Object, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope};
use std::fmt::Write;

/// Words on a line.
const WORDS: usize = 4;
/// Bytes on a line.
const BYTES: usize = 16;

/// An ELF object with a section `.page_tables`, and symbols for the tables and for the top.
///
/// # Errors
/// [`BuildError::Elf`].
pub fn object(built: &Built, name: &str, arch: Arch) -> Result<Vec<u8>, BuildError> {
    let (architecture, endian) = match arch {
        Arch::X86_64 => (Architecture::X86_64, Endianness::Little),
        Arch::I386 => (Architecture::I386, Endianness::Little),
        Arch::Aarch64 => (Architecture::Aarch64, Endianness::Little),
        Arch::Arm => (Architecture::Arm, Endianness::Little),
        Arch::Riscv64 => (Architecture::Riscv64, Endianness::Little),
        Arch::Riscv32 => (Architecture::Riscv32, Endianness::Little),
        Arch::Powerpc64 => (Architecture::PowerPc64, Endianness::Big),
        Arch::S390x => (Architecture::S390x, Endianness::Big),
    };
    let mut object = Object::new(BinaryFormat::Elf, architecture, endian);
    let section = object.add_section(Vec::new(), b".page_tables".to_vec(), SectionKind::Data);
    object.append_section_data(section, &built.bytes, built.align);
    // Without it linkers take the object for one that needs an executable stack.
    object.add_section(Vec::new(), b".note.GNU-stack".to_vec(), SectionKind::Other);
    let mut symbol = |name: String, value: u64, size: u64| {
        object.add_symbol(Symbol {
            name: name.into_bytes(),
            value,
            size,
            kind: SymbolKind::Data,
            scope: SymbolScope::Linkage,
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        });
    };
    symbol(name.to_owned(), 0, built.bytes.len() as u64);
    symbol(format!("{name}_root"), built.manifest.root.0 - built.manifest.base.0, built.top_bytes);
    Ok(object.write()?)
}

/// What the head of a source file says.
fn about(built: &Built) -> String {
    let manifest = &built.manifest;
    format!("{} page tables for physical address {}; the top is at {}", manifest.format, manifest.base, manifest.root)
}

/// A C array: of items, or of bytes if the format's items have the highest byte first, so that it is right on any CPU.
pub fn c(built: &Built, name: &str) -> String {
    let (kind, count) = if built.is_big_endian {
        ("uint8_t".to_owned(), built.bytes.len())
    } else {
        (format!("uint{}_t", 8 * built.item_bytes), built.bytes.len() / built.item_bytes)
    };
    let mut out = format!(
        "/* {}. */\n#include <stdint.h>\n\n__attribute__((aligned({})))\n{kind} {name}[{count}] = {{\n",
        about(built),
        built.align
    );
    for line in lines(built) {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "    {},", line.join(", "));
    }
    out + "};\n"
}

/// Assembler for GNU as: `.quad`s or `.long`s, or `.byte`s if the format's items have the highest byte first.
pub fn assembler(built: &Built, name: &str) -> String {
    let directive = match (built.is_big_endian, built.item_bytes) {
        (true, _) => ".byte",
        (false, 8) => ".quad",
        (false, _) => ".long",
    };
    let mut out = format!(
        "/* {}. */\n    .section .page_tables, \"aw\"\n    .balign {}\n    .globl {name}\n{name}:\n",
        about(built),
        built.align
    );
    for line in lines(built) {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "    {directive} {}", line.join(", "));
    }
    // Without it linkers take the object for one that needs an executable stack; % is right for every CPU.
    out + "    .section .note.GNU-stack, \"\", %progbits\n"
}

/// The items, or bytes, of each line.
fn lines(built: &Built) -> Vec<Vec<String>> {
    let (each, on_a_line) = if built.is_big_endian { (1, BYTES) } else { (built.item_bytes, WORDS) };
    let word = |bytes: &[u8]| {
        let value = bytes.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        format!("{value:#x}")
    };
    built.bytes.chunks(each * on_a_line).map(|line| line.chunks(each).map(word).collect()).collect()
}
