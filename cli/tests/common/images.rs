//! Images, and commands on them.

use super::{genpt, stdout};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Two mappings of x86_64: 2 MiB pages between small ones, and one page that may not be written.
pub const SPEC: &str = r#"
format = "x86_64"
base = "1M"
[[map]]
va = "0x1ff000"
pa = "0x7ff000"
len = "0x402000"
prot = "rw"
[[map]]
va = "0x10000000"
pa = "0x2000"
len = "4K"
prot = "r"
"#;

/// Mappings that tables of every format can have.
const ANY_FORMAT: &str = r#"
base = "64K"
[[map]]
va = "16M"
pa = "32M"
len = "1M"
prot = "rw"
[[map]]
va = "64M"
pa = "48M"
len = "64K"
prot = "r"
"#;

/// The names of all formats.
pub fn format_names() -> Vec<String> {
    let formats: Value = serde_json::from_str(&stdout(&genpt(&["formats", "--json"]))).unwrap();
    formats.as_array().unwrap().iter().map(|format| format["name"].as_str().unwrap().to_owned()).collect()
}

/// A directory with an image.
pub struct Bench {
    dir: TempDir,
}

impl Bench {
    /// An image built of a specification.
    pub fn new(spec: &str, options: &[&str]) -> Self {
        let bench = Self { dir: TempDir::new().unwrap() };
        std::fs::write(bench.path("spec.toml"), spec).unwrap();
        stdout(&genpt(&[&["build", &bench.text("spec.toml"), "-o", &bench.text("image")], options].concat()));
        bench
    }

    /// An image of a format: 1 MiB at 16 MiB, and 64 KiB at 64 MiB that may not be written.
    pub fn of_format(name: &str) -> Self {
        Self::new(ANY_FORMAT, &["--format", name])
    }

    /// The same tables at another base.
    pub fn of_format_at(name: &str, base: &str) -> Self {
        Self::new(ANY_FORMAT, &["--format", name, "--base", base])
    }

    /// An image of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let bench = Self { dir: TempDir::new().unwrap() };
        std::fs::write(bench.path("image"), bytes).unwrap();
        bench
    }

    /// A file in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Its name.
    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// The bytes of the image.
    pub fn image(&self) -> Vec<u8> {
        std::fs::read(self.path("image")).unwrap()
    }

    /// Changes one 64-bit item at an offset of the image.
    pub fn poke(&self, offset: usize, value: u64) {
        let mut bytes = self.image();
        bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
        std::fs::write(self.path("image"), bytes).unwrap();
    }

    /// One 64-bit item at an offset of the image.
    pub fn peek(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.image()[offset..offset + 8].try_into().unwrap())
    }
}

/// Standard output and exit status of a command on an image.
pub fn on(command: &str, image: &Path, options: &[&str]) -> (String, i32) {
    let image = image.display().to_string();
    let output = genpt(&[&[command, &image], options].concat());
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap())
}

/// An ELF core file with segments of memory, and with the notes of CPUs whose CR3 are these.
pub fn core_file(segments: &[(u64, &[u8])], cr3: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let mut note = Vec::new();
    for cr3 in cr3 {
        let mut state = vec![0u8; 440];
        state[416..424].copy_from_slice(&cr3.to_le_bytes());
        for number in [5u32, state.len() as u32, 0] {
            note.extend(number.to_le_bytes());
        }
        note.extend(b"QEMU\0\0\0\0");
        note.extend(state);
    }
    let count = segments.len() + 1;
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    for half in [4u16, 62] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1u32.to_le_bytes());
    for long in [0u64, 64, 0] {
        file.extend(long.to_le_bytes());
    }
    file.extend(0u32.to_le_bytes());
    for half in [64u16, 56, count as u16, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    let mut offset = (64 + 56 * count) as u64;
    let all = std::iter::once((4u32, 0, &note[..])).chain(segments.iter().map(|(pa, bytes)| (1, *pa, *bytes)));
    for (kind, pa, bytes) in all.clone() {
        file.extend(kind.to_le_bytes());
        file.extend(4u32.to_le_bytes());
        for long in [offset, 0, pa, bytes.len() as u64, bytes.len() as u64, 0] {
            file.extend(long.to_le_bytes());
        }
        offset += bytes.len() as u64;
    }
    all.for_each(|(_, _, bytes)| file.extend(bytes));
    file
}

/// A 32-bit ELF core file with segments of memory.
pub fn core_file_32(segments: &[(u64, &[u8])]) -> Vec<u8> {
    let mut file = b"\x7fELF\x01\x01\x01".to_vec();
    file.resize(16, 0);
    let (header, program) = (52, 32);
    let mut word = |word: u32| file.extend(word.to_le_bytes());
    // A core file of an i386: a version, no entry, program headers behind this one, no sections, no flags.
    [4 | 3 << 16, 1, 0, header, 0, 0].into_iter().for_each(&mut word);
    [header | program << 16, segments.len() as u32, 0].into_iter().for_each(&mut word);
    let mut offset = header + program * segments.len() as u32;
    for (pa, bytes) in segments {
        let len = bytes.len() as u32;
        [1, offset, 0, *pa as u32, len, len, 4, 0].into_iter().for_each(&mut word);
        offset += len;
    }
    segments.iter().for_each(|(_, bytes)| file.extend(*bytes));
    file
}
