//! Files that hold memory, but not as it is: compressed ones, and dumps whose pages lie in blocks or tables of their own.

use std::fmt;

/// How a file is packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packing {
    /// Its name.
    name: &'static str,
    /// How its memory is had all the same.
    remedy: Remedy,
    /// Its first bytes.
    magic: &'static [u8],
}

/// How memory is had that is packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Remedy {
    /// By this command, behind which the file's name is written.
    Unpack(&'static str),
    /// By this one, with the names of two files.
    Convert(&'static str),
    /// By recording it in another way.
    Record(&'static str),
}

const PACKINGS: [Packing; 11] = [
    unpacked_by("gzip", b"\x1f\x8b\x08", "gzip -d -k"),
    unpacked_by("zstd", b"\x28\xb5\x2f\xfd", "zstd -d"),
    unpacked_by("xz", b"\xfd7zXZ\0", "xz -d -k"),
    unpacked_by("bzip2", b"BZh", "bzip2 -d -k"),
    unpacked_by("lz4", b"\x04\x22\x4d\x18", "lz4 -d"),
    dump("compressed, by AVML", b"AVML", Remedy::Convert("avml-convert")),
    dump("a flattened file of makedumpfile", b"makedumpfile", Remedy::Record(ELF_CORE)),
    dump("a kdump file", b"KDUMP   ", Remedy::Record(ELF_CORE)),
    dump("a diskdump file", b"DISKDUMP", Remedy::Record(ELF_CORE)),
    dump("a crash dump of 64-bit Windows", b"PAGEDU64", Remedy::Record(OF_WINDOWS)),
    dump("a crash dump of 32-bit Windows", b"PAGEDUMP", Remedy::Record(OF_WINDOWS)),
];

/// How an ELF core file is had in the place of what holds pages in blocks.
const ELF_CORE: &str =
    "record an ELF core file instead: `makedumpfile -E`, or `dump-guest-memory` of QEMU without -z, -l, -s and -w";
/// The same for a guest whose kernel is Windows.
const OF_WINDOWS: &str = "record an ELF core file instead (`dump-guest-memory` of QEMU without -w), or raw memory";

const fn unpacked_by(name: &'static str, magic: &'static [u8], command: &'static str) -> Packing {
    Packing { name, magic, remedy: Remedy::Unpack(command) }
}

const fn dump(name: &'static str, magic: &'static [u8], remedy: Remedy) -> Packing {
    Packing { name, magic, remedy }
}

/// Most bytes that tell it.
pub const MAGIC_BYTES: u64 = 12;

impl Packing {
    /// How a file is packed that begins with these bytes.
    pub fn of(begin: &[u8]) -> Option<Self> {
        PACKINGS.into_iter().find(|packing| begin.starts_with(packing.magic))
    }

    /// The name of the compression, if it is nothing but that.
    pub const fn compression(&self) -> Option<&'static str> {
        match self.remedy {
            Remedy::Unpack(_) => Some(self.name),
            Remedy::Convert(_) | Remedy::Record(_) => None,
        }
    }

    /// What to do about a file of this name.
    pub fn help(&self, file: &str) -> String {
        let help = match self.remedy {
            Remedy::Unpack(command) => format!("`{command} {file}` unpacks it"),
            Remedy::Convert(command) => format!("`{command} {file} OUTPUT` makes a LiME dump of it"),
            Remedy::Record(how) => how.to_owned(),
        };
        format!("{help}; if it is raw memory that begins like this, say `--base`")
    }
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.remedy {
            Remedy::Unpack(_) => {
                write!(f, "it is compressed ({}), and can be read only when it is unpacked", self.name)
            }
            Remedy::Convert(_) | Remedy::Record(_) => write!(f, "it is {}, which is not read", self.name),
        }
    }
}
