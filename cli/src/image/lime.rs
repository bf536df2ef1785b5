//! Dumps of LiME: ranges of memory, each behind a header of 32 bytes.
//!
//! A header has a magic number and a version (32 bits each), the first and the last physical address (64 bits each), and 8
//! unused bytes; all little endian.

use super::file::ImageFile;
use super::{MOST_HEADERS, Segment};
use std::io;

/// The first bytes of a header.
pub const MAGIC: [u8; 4] = 0x4c69_4d45_u32.to_le_bytes();
/// The version that is known.
const VERSION: u32 = 1;
const HEADER_BYTES: u64 = 32;

/// What a dump has.
#[derive(PartialEq, Eq, Debug)]
pub struct Dump {
    /// Its memory.
    pub segments: Vec<Segment>,
    /// Whether the file ends within a header, so that there was more memory.
    pub is_cut: bool,
}

/// Reads the headers. The error says what is wrong.
pub fn read(file: &ImageFile) -> Result<Dump, String> {
    let mut segments = Vec::new();
    let mut at = 0u64;
    while at < file.len() {
        if segments.len() == MOST_HEADERS {
            return Err(format!("it has more than {MOST_HEADERS} headers; at most as many are read"));
        }
        let mut header = [0; HEADER_BYTES as usize];
        let bytes = (file.len() - at).min(HEADER_BYTES) as usize;
        file.read(at, &mut header[..bytes]).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => format!("the header at {at:#x} is cut off"),
            _ => format!("the header at {at:#x} cannot be read: {error}"),
        })?;
        let known = [MAGIC, VERSION.to_le_bytes()].concat();
        let known = &known[..bytes.min(8)];
        if !header.starts_with(known) {
            return Err(format!("at {at:#x} a header is expected, with version {VERSION}"));
        }
        if bytes < header.len() {
            // Without any memory there is nothing to look at.
            if segments.is_empty() {
                return Err("it ends within its first header".to_owned());
            }
            return Ok(Dump { segments, is_cut: true });
        }
        let long = |at: usize| u64::from_le_bytes(std::array::from_fn(|n| header[at + n]));
        let (first, last) = (long(8), long(16));
        let len = last.checked_sub(first).and_then(|len| len.checked_add(1));
        let Some(len) = len else {
            return Err(format!("the header at {at:#x} has the range {first:#x}..={last:#x}"));
        };
        let offset = at + HEADER_BYTES;
        segments.push(Segment { pa: first, len, offset });
        at = offset.checked_add(len).ok_or_else(|| format!("the range at {at:#x} has no end"))?;
    }
    Ok(Dump { segments, is_cut: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(first: u64, last: u64) -> Vec<u8> {
        let mut header = MAGIC.to_vec();
        header.extend(VERSION.to_le_bytes());
        header.extend(first.to_le_bytes());
        header.extend(last.to_le_bytes());
        header.extend([0; 8]);
        header
    }

    fn read(bytes: &[u8]) -> Result<Dump, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        super::read(&ImageFile::open(file.path()).unwrap())
    }

    #[test]
    fn ranges_follow_each_other() {
        let mut dump = header(0x1000, 0x10ff);
        dump.extend([1; 0x100]);
        dump.extend(header(0x10_0000, 0x10_000f));
        dump.extend([2; 0x10]);
        let second = Segment { pa: 0x10_0000, len: 0x10, offset: 32 + 0x100 + 32 };
        let segments = vec![Segment { pa: 0x1000, len: 0x100, offset: 32 }, second];
        assert_eq!(read(&dump), Ok(Dump { segments, is_cut: false }));
        dump.push(0);
        assert!(read(&dump).unwrap_err().contains("at 0x150 a header is expected"));
        assert!(read(&header(0x1000, 0xfff)).unwrap_err().contains("range 0x1000..=0xfff"));
        assert!(read(&header(0, u64::MAX)).unwrap_err().contains("range 0x0"));
    }

    /// It was refused, while one that is cut in its memory is read with a warning.
    #[test]
    fn a_dump_that_is_cut_within_a_later_header_is_read() {
        let first = [header(0x1000, 0x10ff), vec![1; 0x100]].concat();
        let whole = [first.clone(), header(0x10_0000, 0x10_000f)].concat();
        for len in first.len() + 1..whole.len() {
            let dump = read(&whole[..len]).unwrap();
            assert_eq!((dump.segments.len(), dump.is_cut), (1, true), "{len}");
        }
        assert!(!read(&first).unwrap().is_cut);
        for len in 4..32 {
            assert!(read(&whole[..len]).unwrap_err().contains("ends within its first header"), "{len}");
        }
    }

    #[test]
    fn headers_are_bounded() {
        let one = [header(0, 0), vec![1]].concat();
        assert!(read(&one.repeat(MOST_HEADERS + 1)).unwrap_err().contains("more than 1048576 headers"));
    }
}
