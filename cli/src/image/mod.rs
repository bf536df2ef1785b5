//! Images of physical memory: files in which tables lie, mapped and never read whole.
//!
//! An image is a list of segments, each some physical memory at an offset of the file; what is in no segment is a hole.
//! Raw memory, ELF core files and objects, LiME dumps and what `genpt build` makes all become that.

mod elf;
mod lime;
mod manifest;
mod map;

pub use manifest::{Manifest, Register};

use crate::inspect::InspectError;
use map::FileMap;
use std::path::Path;

/// Physical memory that lies in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Physical address of its first byte.
    pub pa: u64,
    /// Bytes; at least 1, and all of them are in the file and in the 64-bit address space.
    pub len: u64,
    /// Where it begins in the file.
    pub offset: u64,
}

impl Segment {
    /// Physical address of its last byte.
    pub const fn last(&self) -> u64 {
        self.pa + (self.len - 1)
    }
}

/// An image of physical memory.
#[derive(Debug)]
pub struct Image {
    /// The file, as it was named.
    pub name: String,
    /// The manifest that `genpt build` put beside it.
    pub manifest: Option<Manifest>,
    /// CR3 of the CPUs, from the notes of QEMU.
    pub cr3: Vec<u64>,
    map: FileMap,
    /// Ascending, and disjoint.
    segments: Vec<Segment>,
}

impl Image {
    /// Opens an image. A raw one begins at physical address `base`, by default the manifest's, or 0.
    ///
    /// # Errors
    /// [`InspectError::Open`], [`InspectError::Damaged`] and [`InspectError::Manifest`].
    pub fn open(path: &Path, base: Option<u64>) -> Result<Self, InspectError> {
        let name = path.display().to_string();
        let map = FileMap::open(path).map_err(|cause| InspectError::Open { name: name.clone(), cause })?;
        let manifest = Manifest::beside(path)?;
        let bytes = map.bytes();
        let damaged = |what: String| InspectError::Damaged { name: name.clone(), what };
        let raw_base = base.or(manifest.as_ref().map(|manifest| manifest.base.0)).unwrap_or(0);
        let (segments, cr3) = if bytes.starts_with(elf::MAGIC) {
            let core = elf::read(bytes).map_err(damaged)?;
            let segments = if core.segments.is_empty() {
                // An object for a linker has no physical addresses.
                elf::section(bytes, raw_base).map_err(damaged)?
            } else {
                core.segments
            };
            (segments, core.cr3)
        } else if bytes.starts_with(&lime::MAGIC) {
            (lime::read(bytes).map_err(damaged)?, Vec::new())
        } else {
            (vec![Segment { pa: raw_base, len: bytes.len() as u64, offset: 0 }], Vec::new())
        };
        let segments = sorted(segments, bytes.len() as u64).map_err(damaged)?;
        Ok(Self { name, manifest, cr3, map, segments })
    }

    /// The segments, ascending and disjoint.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The bytes at a physical address, if the image has all of them in one segment.
    pub fn read(&self, pa: u64, len: u64) -> Option<&[u8]> {
        let behind = self.segments.partition_point(|segment| segment.pa <= pa);
        let segment = self.segments.get(behind.checked_sub(1)?)?;
        let within = pa - segment.pa;
        if segment.len.checked_sub(within)? < len {
            return None;
        }
        let start = usize::try_from(segment.offset + within).ok()?;
        self.map.bytes().get(start..)?.get(..usize::try_from(len).ok()?)
    }
}

/// Segments in order, those that follow each other in memory and in the file joined, cut to the file.
fn sorted(mut segments: Vec<Segment>, file_bytes: u64) -> Result<Vec<Segment>, String> {
    segments.retain_mut(|segment| {
        // A core file that was cut off still has its first part.
        segment.len = segment.len.min(file_bytes.saturating_sub(segment.offset));
        segment.len > 0
    });
    segments.sort_by_key(|segment| segment.pa);
    let mut joined: Vec<Segment> = Vec::with_capacity(segments.len());
    for segment in segments {
        if segment.pa.checked_add(segment.len - 1).is_none() {
            return Err(format!("its memory from {:#x} on runs past 64 bits: {:#x} bytes", segment.pa, segment.len));
        }
        match joined.last_mut() {
            Some(before) if before.last() >= segment.pa => {
                let (first, second) = (before.pa, segment.pa);
                return Err(format!("the memory from {first:#x} and that from {second:#x} overlap"));
            }
            Some(before) if before.last() + 1 == segment.pa && before.offset + before.len == segment.offset => {
                before.len += segment.len;
            }
            _ => joined.push(segment),
        }
    }
    if joined.is_empty() {
        return Err("there is no memory in it".to_owned());
    }
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(pa: u64, len: u64, offset: u64) -> Segment {
        Segment { pa, len, offset }
    }

    #[test]
    fn segments_are_sorted_joined_and_cut() {
        let found = sorted(vec![segment(0x3000, 0x1000, 0x2000), segment(0x1000, 0x2000, 0)], 0x3000);
        assert_eq!(found, Ok(vec![segment(0x1000, 0x3000, 0)]));
        let found = sorted(vec![segment(0x3000, 0x1000, 0x1000), segment(0x1000, 0x1000, 0)], 0x3000);
        assert_eq!(found, Ok(vec![segment(0x1000, 0x1000, 0), segment(0x3000, 0x1000, 0x1000)]));
        let found = sorted(vec![segment(0x2000, 0x1000, 0x1000), segment(0x1000, 0x1000, 0)], 0x1800);
        assert_eq!(found, Ok(vec![segment(0x1000, 0x1800, 0)]));
        let overlap = sorted(vec![segment(0x1000, 0x1001, 0), segment(0x2000, 0x1000, 0x1001)], 0x9000);
        assert_eq!(overlap, Err("the memory from 0x1000 and that from 0x2000 overlap".to_owned()));
        assert!(sorted(vec![segment(u64::MAX, 2, 0)], 0x1000).unwrap_err().contains("past 64 bits"));
        assert!(sorted(vec![segment(0, 0x1000, 0x1000)], 0x1000).unwrap_err().contains("no memory"));
    }
}
