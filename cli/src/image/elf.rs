//! ELF core files and objects: their program headers, and what QEMU notes of its CPUs.

use super::file::ImageFile;
use super::{Cpu, MOST_HEADERS, Segment};
use crate::human;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::read::{ReadCache, ReadRef};
use object::{Endianness, elf};
use std::collections::BTreeSet;
use std::io;

/// The first bytes of an ELF file.
pub const MAGIC: &[u8] = b"\x7fELF";

/// What a core file has.
#[derive(Debug)]
pub struct Core {
    /// Its memory.
    pub segments: Vec<Segment>,
    /// Its CPUs, each once: several mostly run on few tables.
    pub cpus: BTreeSet<Cpu>,
}

/// The width that a file says it has.
enum Class {
    Bits32,
    Bits64,
}

fn class(file: &ImageFile) -> Result<Class, String> {
    let mut ident = [0; 5];
    file.read(0, &mut ident).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ends_in_header(file),
        _ => error.to_string(),
    })?;
    match ident[4] {
        1 => Ok(Class::Bits32),
        2 => Ok(Class::Bits64),
        class => Err(format!("its class is {class}; an ELF file has 1 (32 bits) or 2 (64 bits)")),
    }
}

fn ends_in_header(file: &ImageFile) -> String {
    format!("it ends within its header, after {}", human::count(file.len(), "byte"))
}

/// Reads the program headers and the notes. The error says what is wrong.
pub fn read(file: &ImageFile) -> Result<Core, String> {
    let bytes = ReadCache::new(file.file());
    match class(file)? {
        Class::Bits32 => read_class::<elf::FileHeader32<Endianness>, _>(file, &bytes),
        Class::Bits64 => read_class::<elf::FileHeader64<Endianness>, _>(file, &bytes),
    }
}

fn read_class<'a, H: FileHeader<Endian = Endianness>, R: ReadRef<'a>>(
    file: &ImageFile,
    bytes: R,
) -> Result<Core, String> {
    if file.len() < size_of::<H>() as u64 {
        return Err(ends_in_header(file));
    }
    let header = H::parse(bytes).map_err(|error| error.to_string())?;
    let endian = header.endian().map_err(|error| error.to_string())?;
    few("program headers", header.phnum(endian, bytes))?;
    // Only of x86 there are such notes.
    let is_x86 = [elf::EM_386, elf::EM_X86_64].contains(&header.e_machine(endian));
    let mut core = Core { segments: Vec::new(), cpus: BTreeSet::new() };
    // Memory without a physical address has the highest that a header can tell, as in /proc/kcore.
    let no_address = if header.is_type_64() { u64::MAX } else { u32::MAX.into() };
    let mut without_address = 0;
    let (mut noted, mut note_bytes) = (BTreeSet::new(), 0u64);
    for program in header.program_headers(endian, bytes).map_err(|error| error.to_string())? {
        match program.p_type(endian) {
            elf::PT_LOAD if program.p_paddr(endian).into() == no_address => without_address += 1,
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
                // Before they are read, as they are all read at once.
                note_bytes = note_bytes.saturating_add(program.p_filesz(endian).into());
                if note_bytes > MOST_NOTE_BYTES {
                    return Err(format!("its notes up to those at {at:#x} have more than {MOST_NOTE_BYTES:#x} bytes"));
                }
                let mut notes = match program.notes(endian, bytes) {
                    Ok(Some(notes)) => notes,
                    Ok(None) => continue,
                    // Where they are in the file they are cut, or nonsense; but what cannot be read is not passed over.
                    Err(_) => match file.read(at, &mut vec![0; program.p_filesz(endian).into() as usize]) {
                        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                            return Err(format!("its notes at {at:#x} cannot be read: {error}"));
                        }
                        _ => continue,
                    },
                };
                // What is no note ends the list; the memory is there all the same.
                while let Ok(Some(note)) = notes.next() {
                    if is_x86 && note.name() == QEMU_NOTE {
                        core.cpus.extend(cpu(note.desc()));
                    }
                }
            }
            _ => {}
        }
    }
    // As the core file of a process has it.
    let is_nowhere = core.segments.iter().filter(|segment| segment.len > 0 && segment.pa == 0).count();
    if is_nowhere > 1 && core.segments.iter().all(|segment| segment.pa == 0) {
        return Err(format!(
            "all of its program headers ({is_nowhere} with memory) have the physical address 0, as in the core file of a process"
        ));
    }
    if core.segments.is_empty() && without_address > 0 {
        return Err(format!("none of its program headers ({without_address} with memory) has a physical address"));
    }
    Ok(core)
}

/// Most bytes of notes: those of 10^5 CPUs.
const MOST_NOTE_BYTES: u64 = 64 << 20;
/// The name of a note with the state of a CPU.
const QEMU_NOTE: &[u8] = b"QEMU";
/// Where CR3 is in it, and CR4 behind it: behind two 32-bit numbers, 18 registers, 10 segments of 24 bytes, CR0, CR1 and CR2.
const CR3_AT: usize = 2 * 4 + 18 * 8 + 10 * 24 + 3 * 8;
/// CR4.LA57.
const LA57: u64 = 1 << 12;

fn cpu(state: &[u8]) -> Option<Cpu> {
    let register = |at: usize| Some(u64::from_le_bytes(*state.get(at..)?.first_chunk()?));
    let cr4 = register(CR3_AT + 8).unwrap_or(0);
    Some(Cpu { cr3: register(CR3_AT)?, va_bits: (cr4 & LA57 != 0).then_some(57) })
}

/// The data section of an object without program headers, as memory at `base`: what `genpt build` makes for linkers.
pub fn section(file: &ImageFile, base: u64) -> Result<Vec<Segment>, String> {
    let bytes = ReadCache::new(file.file());
    let found = match class(file)? {
        Class::Bits32 => data_of::<elf::FileHeader32<Endianness>, _>(&bytes),
        Class::Bits64 => data_of::<elf::FileHeader64<Endianness>, _>(&bytes),
    }?;
    let (offset, len) = found.ok_or("it has neither program headers nor a section with data")?;
    Ok(vec![Segment { pa: base, len, offset }])
}

/// Offset and bytes of the first section with data.
fn data_of<'a, H: FileHeader<Endian = Endianness>, R: ReadRef<'a>>(bytes: R) -> Result<Option<(u64, u64)>, String> {
    let header = H::parse(bytes).map_err(|error| error.to_string())?;
    let endian = header.endian().map_err(|error| error.to_string())?;
    few("sections", header.shnum(endian, bytes))?;
    let sections = header.section_headers(endian, bytes).map_err(|error| error.to_string())?;
    let is_data = |section: &&H::SectionHeader| {
        let flags = section.sh_flags(endian);
        let is_other = [elf::SHF_EXECINSTR, elf::SHF_TLS, elf::SHF_STRINGS].iter().any(|flag| flags.contains(*flag));
        section.sh_type(endian) == elf::SHT_PROGBITS && flags.contains(elf::SHF_ALLOC) && !is_other
    };
    Ok(sections.iter().find(is_data).and_then(|section| section.file_range(endian)))
}

/// Refuses more headers than any real file has, before they are read: they are all read at once.
fn few(what: &str, count: object::read::Result<u32>) -> Result<(), String> {
    match count.map_err(|error| error.to_string())? {
        count if count as usize > MOST_HEADERS => {
            Err(format!("it has {count} {what}; at most {MOST_HEADERS} are read"))
        }
        _ => Ok(()),
    }
}
