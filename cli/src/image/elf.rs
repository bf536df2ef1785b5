//! ELF core files and objects: their program headers, and what QEMU notes of its CPUs.

use super::Segment;
use object::read::elf::{ElfFile32, ElfFile64, FileHeader, ProgramHeader};
use object::read::{Object, ObjectSection};
use object::{Endianness, SectionKind, elf};
use std::collections::BTreeSet;

/// The first bytes of an ELF file.
pub const MAGIC: &[u8] = b"\x7fELF";

/// What a core file has.
#[derive(Debug)]
pub struct Core {
    /// Its memory.
    pub segments: Vec<Segment>,
    /// CR3 of its CPUs.
    pub cr3: Vec<u64>,
}

/// Reads the program headers and the notes. The error says what is wrong.
pub fn read(bytes: &[u8]) -> Result<Core, String> {
    match bytes.get(4) {
        Some(1) => read_class::<elf::FileHeader32<Endianness>>(bytes),
        Some(2) => read_class::<elf::FileHeader64<Endianness>>(bytes),
        class => Err(format!("its class is {class:?}; an ELF file has 1 (32 bits) or 2 (64 bits)")),
    }
}

fn read_class<H: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Result<Core, String> {
    let header = H::parse(bytes).map_err(|error| error.to_string())?;
    let endian = header.endian().map_err(|error| error.to_string())?;
    let mut core = Core { segments: Vec::new(), cr3: Vec::new() };
    let mut noted = BTreeSet::new();
    for program in header.program_headers(endian, bytes).map_err(|error| error.to_string())? {
        match program.p_type(endian) {
            elf::PT_LOAD => core.segments.push(Segment {
                pa: program.p_paddr(endian).into(),
                len: program.p_filesz(endian).into(),
                offset: program.p_offset(endian).into(),
            }),
            elf::PT_NOTE => {
                // Headers over the same notes say nothing new.
                let at: u64 = program.p_offset(endian).into();
                if !noted.insert(at) {
                    continue;
                }
                let Ok(Some(mut notes)) = program.notes(endian, bytes) else { continue };
                // What is no note ends the list; the memory is there all the same.
                while let Ok(Some(note)) = notes.next() {
                    if note.name() == QEMU_NOTE {
                        core.cr3.extend(cr3(note.desc()));
                    }
                    if core.cr3.len() > MOST_NOTES {
                        return Err(format!("it has notes of more than {MOST_NOTES} CPUs"));
                    }
                }
            }
            _ => {}
        }
    }
    // Several CPUs mostly run on few tables.
    core.cr3.sort_unstable();
    core.cr3.dedup();
    Ok(core)
}

/// Most CPUs whose notes are looked at.
const MOST_NOTES: usize = 1 << 16;
/// The name of a note with the state of a CPU.
const QEMU_NOTE: &[u8] = b"QEMU";
/// Where CR3 is in it: behind two 32-bit numbers, 18 registers, 10 segments of 24 bytes, CR0, CR1 and CR2.
const CR3_AT: usize = 2 * 4 + 18 * 8 + 10 * 24 + 3 * 8;

fn cr3(state: &[u8]) -> Option<u64> {
    let bytes = state.get(CR3_AT..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

/// The data section of an object without program headers, as memory at `base`: what `genpt build` makes for linkers.
pub fn section(bytes: &[u8], base: u64) -> Result<Vec<Segment>, String> {
    let find = |range: Option<(u64, u64)>| {
        let (offset, len) = range.ok_or("it has neither program headers nor a section with data")?;
        Ok(vec![Segment { pa: base, len, offset }])
    };
    if bytes.get(4) == Some(&1) {
        let file = ElfFile32::<Endianness>::parse(bytes).map_err(|error| error.to_string())?;
        find(data_of(&file))
    } else {
        let file = ElfFile64::<Endianness>::parse(bytes).map_err(|error| error.to_string())?;
        find(data_of(&file))
    }
}

fn data_of<'a>(file: &impl Object<'a>) -> Option<(u64, u64)> {
    let is_data = |kind| matches!(kind, SectionKind::Data | SectionKind::ReadOnlyData);
    file.sections().filter(|section| is_data(section.kind())).find_map(|section| section.file_range())
}
