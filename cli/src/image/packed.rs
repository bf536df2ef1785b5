//! Compressed files: they are memory only when they are unpacked.

/// How a file is packed, and how it is unpacked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packing {
    /// Its name.
    pub name: &'static str,
    /// The command that unpacks a file; the file's name follows.
    pub unpack: &'static str,
    /// Its first bytes.
    magic: &'static [u8],
}

const PACKINGS: [Packing; 5] = [
    Packing { name: "gzip", unpack: "gzip -d -k", magic: b"\x1f\x8b\x08" },
    Packing { name: "zstd", unpack: "zstd -d", magic: b"\x28\xb5\x2f\xfd" },
    Packing { name: "xz", unpack: "xz -d -k", magic: b"\xfd7zXZ\0" },
    Packing { name: "bzip2", unpack: "bzip2 -d -k", magic: b"BZh" },
    Packing { name: "lz4", unpack: "lz4 -d", magic: b"\x04\x22\x4d\x18" },
];

/// Most bytes that tell it.
pub const MAGIC_BYTES: usize = 6;

impl Packing {
    /// How a file is packed that begins with these bytes.
    pub fn of(begin: &[u8]) -> Option<Self> {
        PACKINGS.into_iter().find(|packing| begin.starts_with(packing.magic))
    }
}
