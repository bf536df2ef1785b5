//! Images of physical memory: files in which tables lie, of which only the tables that are looked at are read.
//!
//! An image is a list of segments, each some physical memory at an offset of the file; what is in no segment is a hole.
//! Raw memory, ELF core files and objects, LiME dumps and what `genpt build` makes all become that.

mod elf;
mod file;
mod lime;
mod manifest;
mod packed;

pub use manifest::{Contents, Manifest, Register};
pub use packed::{MAGIC_BYTES as PACKING_BYTES, Packing};

use crate::human;
use crate::inspect::InspectError;
use crate::number::AddressRange;
use file::ImageFile;
use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// By what it is known that a file is cut off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CutOff {
    /// The headers of the file itself.
    ByHeaders,
    /// That it ends within a header.
    InHeader,
    /// The manifest beside it.
    ByManifest,
}

impl CutOff {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::ByHeaders => "the file is cut off: its headers tell of memory behind its end",
            Self::InHeader => "the file is cut off: it ends within a header",
            Self::ByManifest => "the file is cut off: its manifest tells of memory behind its end",
        }
    }
}

/// Most headers of segments or sections that are read: some 60 MiB of them.
const MOST_HEADERS: usize = 1 << 20;

/// Most pieces of memory that is told once more which are compared: a kernel has a few, and a hostile file any number.
const MOST_AGAIN: usize = 256;

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

/// What a CPU whose state is in an image uses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Cpu {
    /// CR3, which has the physical address of the top table.
    pub cr3: u64,
    /// VA bits, if the CPU says so.
    pub va_bits: Option<u32>,
}

/// How it is known where the memory of an image is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Its headers, its manifest or the user say it.
    Said,
    /// Nothing does: it is taken to begin at 0.
    Assumed,
}

/// An image of physical memory.
#[derive(Debug)]
pub struct Image {
    /// The file, as it was named.
    pub name: String,
    /// The manifest that `genpt build` put beside it.
    pub manifest: Option<Manifest>,
    /// Why the file in the place of the manifest is none.
    pub no_manifest: Option<InspectError>,
    /// The CPUs in the notes of QEMU.
    pub cpus: BTreeSet<Cpu>,
    /// Where its memory is.
    pub place: Place,
    /// Whether there is more memory than the file has, and what tells it.
    pub cut_off: Option<CutOff>,
    file: ImageFile,
    /// Ascending, and disjoint.
    segments: Vec<Segment>,
    /// Where it could not be read the first time, and why.
    failure: OnceCell<(u64, io::Error)>,
    /// Memory that is told once more at another place of the file, ascending; at most [`MOST_AGAIN`].
    again: Vec<Segment>,
    /// Where such memory was seen to be told differently.
    difference: OnceCell<u64>,
    /// The same memory without a word of the file: ascending, with a hole between each two.
    runs: Vec<AddressRange>,
}

impl Image {
    /// Opens an image. A raw one begins at physical address `base`, by default the manifest's, or 0.
    ///
    /// # Errors
    /// [`InspectError::Open`], [`InspectError::Damaged`], [`InspectError::Packed`] and [`InspectError::Source`].
    pub fn open(path: &Path, base: Option<u64>) -> Result<Self, InspectError> {
        let name = human::file(path);
        let file = ImageFile::open(path).map_err(|cause| InspectError::Open { name: name.clone(), cause })?;
        let (manifest, no_manifest) = match Manifest::beside(path) {
            Ok(manifest) => (manifest, None),
            Err(error) => (None, Some(error)),
        };
        if let Some(Manifest { contents: contents @ (Contents::C | Contents::Asm), .. }) = manifest {
            return Err(InspectError::Source { name, contents });
        }
        let damaged = |what: String| InspectError::Damaged { name: name.clone(), what };
        let said_base = base.or(manifest.as_ref().map(|manifest| manifest.base.0));
        let (raw_base, raw_place) = said_base.map_or((0, Place::Assumed), |base| (base, Place::Said));
        let mut begin = vec![0; file.len().min(packed::MAGIC_BYTES) as usize];
        // What cannot be read is not raw memory.
        file.read(0, &mut begin).map_err(|cause| InspectError::Open { name: name.clone(), cause })?;
        let packing = Packing::of(&begin);
        let is_raw = !begin.starts_with(elf::MAGIC) && !begin.starts_with(&lime::MAGIC);
        let mut ends_in_header = false;
        let (segments, place, cpus) = if begin.starts_with(elf::MAGIC) {
            let core = elf::read(&file).map_err(damaged)?;
            let (segments, place) = if core.segments.is_empty() {
                // An object for a linker has no physical addresses.
                (elf::section(&file, raw_base).map_err(damaged)?, raw_place)
            } else {
                (core.segments, Place::Said)
            };
            (segments, place, core.cpus)
        } else if begin.starts_with(&lime::MAGIC) {
            let dump = lime::read(&file).map_err(damaged)?;
            ends_in_header = dump.is_cut;
            (dump.segments, Place::Said, BTreeSet::new())
        } else if let Some(packing) = packing.filter(|_| raw_place == Place::Assumed) {
            return Err(InspectError::Packed { name, packing });
        } else {
            (vec![Segment { pa: raw_base, len: file.len(), offset: 0 }], raw_place, BTreeSet::new())
        };
        let is_in = |segment: &Segment| segment.offset.saturating_add(segment.len) <= file.len();
        let is_short =
            |manifest: &Manifest| manifest.contents == Contents::Raw && is_raw && file.len() < manifest.bytes.0;
        let cut_off = if !segments.iter().all(is_in) {
            Some(CutOff::ByHeaders)
        } else if ends_in_header {
            Some(CutOff::InHeader)
        } else {
            manifest.as_ref().filter(|manifest| is_short(manifest)).map(|_| CutOff::ByManifest)
        };
        let (segments, again) = sorted(segments, file.len()).map_err(damaged)?;
        let runs = runs(&segments);
        let (failure, difference) = (OnceCell::new(), OnceCell::new());
        Ok(Self { name, manifest, no_manifest, cpus, place, cut_off, file, segments, failure, again, difference, runs })
    }

    /// The segments, ascending and disjoint.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Where the first of the bytes at a physical address are in the file, and how many of them lie there, at least one.
    fn piece(&self, pa: u64, len: u64) -> Option<(u64, u64)> {
        let behind = self.segments.partition_point(|segment| segment.pa <= pa);
        let segment = self.segments.get(behind.checked_sub(1)?)?;
        let within = pa - segment.pa;
        let left = segment.len.checked_sub(within).filter(|left| *left > 0)?;
        Some((segment.offset + within, left.min(len)))
    }

    /// Visits where the bytes at a physical address are in the file, piece by piece: what is one in memory may be in several
    /// segments. `None` if the image has not all of them, or a visit says so.
    fn pieces(&self, pa: u64, len: u64, mut visit: impl FnMut(u64, u64) -> Option<()>) -> Option<()> {
        let mut done = 0;
        while done < len {
            let (offset, bytes) = self.piece(pa.checked_add(done)?, len - done)?;
            visit(offset, bytes)?;
            done += bytes;
        }
        Some(())
    }

    /// Whether the image has all of the bytes at a physical address; at once, in however many pieces they are.
    pub fn has(&self, pa: u64, len: u64) -> bool {
        let behind = self.runs.partition_point(|run| run.first <= pa);
        let run = behind.checked_sub(1).map(|n| self.runs[n]);
        run.is_some_and(|run| pa.checked_add(len - 1).is_some_and(|last| last <= run.last))
    }

    /// In how many pieces of the file the bytes at a physical address are at the most.
    pub fn piece_count(&self, pa: u64, len: u64) -> u64 {
        let behind = |pa: u64| self.segments.partition_point(|segment| segment.pa <= pa) as u64;
        (behind(pa.saturating_add(len - 1)) - behind(pa)) + 1
    }

    /// The bytes at a physical address, into a buffer that is used again; `None` if they are not in the image, or cannot be
    /// read, which [`readable`](Self::readable) tells.
    pub fn read<'a>(&self, pa: u64, len: u64, buffer: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        buffer.resize(usize::try_from(len).ok()?, 0);
        let mut rest = buffer.as_mut_slice();
        self.pieces(pa, len, |offset, bytes| {
            let (piece, behind) = std::mem::take(&mut rest).split_at_mut_checked(usize::try_from(bytes).ok()?)?;
            rest = behind;
            // Only the first failure is kept.
            self.file.read(offset, piece).map_err(|cause| self.failure.set((pa, cause))).ok()
        })?;
        self.compare(pa, buffer)?;
        Some(buffer)
    }

    /// Compares what was read with what the file tells of the same memory elsewhere; `None` if that cannot be read.
    fn compare(&self, pa: u64, bytes: &[u8]) -> Option<()> {
        let last = pa + (bytes.len() as u64 - 1);
        for other in self.again.iter().filter(|other| other.pa <= last && pa <= other.last()) {
            let (from, to) = (pa.max(other.pa), last.min(other.last()));
            let mut also = vec![0; (to - from + 1) as usize];
            let read = self.file.read(other.offset + (from - other.pa), &mut also);
            read.map_err(|cause| self.failure.set((from, cause))).ok()?;
            let differs = bytes[(from - pa) as usize..].iter().zip(&also).position(|(one, other)| one != other);
            if let Some(n) = differs {
                // The first is enough to tell.
                let _ = self.difference.set(from + n as u64);
            }
        }
        Some(())
    }

    /// The first memory that was looked at of which the file tells different bytes at two places.
    pub fn difference(&self) -> Option<u64> {
        self.difference.get().copied()
    }

    /// That everything that was looked at could be read: whoever has results of an image has to ask before they count.
    ///
    /// # Errors
    /// [`InspectError::Unreadable`].
    pub fn readable(&self) -> Result<(), InspectError> {
        self.failure.get().map_or(Ok(()), |(pa, cause)| {
            let cause = match cause.kind() {
                io::ErrorKind::UnexpectedEof => "the file has become shorter".to_owned(),
                _ => cause.to_string(),
            };
            Err(InspectError::Unreadable { name: self.name.clone(), pa: *pa, cause })
        })
    }
}

/// Segments in order, without what another tells already (that comes second), those that follow each other in memory and in the file joined, cut
/// to the file.
fn sorted(mut segments: Vec<Segment>, file_bytes: u64) -> Result<(Vec<Segment>, Vec<Segment>), String> {
    segments.retain_mut(|segment| {
        // A core file that was cut off still has its first part.
        segment.len = segment.len.min(file_bytes.saturating_sub(segment.offset));
        segment.len > 0
    });
    // Of those that begin at one address the longest comes first; of those that are as long, that of the first header.
    segments.sort_by_key(|segment| (segment.pa, Reverse(segment.len)));
    let (mut joined, mut again): (Vec<Segment>, Vec<Segment>) = (Vec::with_capacity(segments.len()), Vec::new());
    for mut segment in segments {
        if segment.pa.checked_add(segment.len - 1).is_none() {
            return Err(format!("its memory from {:#x} on runs past 64 bits: {:#x} bytes", segment.pa, segment.len));
        }
        let Some(before) = joined.last_mut() else {
            joined.push(segment);
            continue;
        };
        if before.last() >= segment.pa {
            // The same place of the file says nothing new.
            let is_elsewhere = segment.offset.wrapping_sub(before.offset) != segment.pa.wrapping_sub(before.pa);
            if is_elsewhere && again.len() < MOST_AGAIN {
                let len = segment.len.min(before.last() - segment.pa + 1);
                again.push(Segment { len, ..segment });
            }
            if before.last() >= segment.last() {
                continue;
            }
            let told = before.last() - segment.pa + 1;
            segment = Segment { pa: segment.pa + told, len: segment.len - told, offset: segment.offset + told };
        }
        if before.last() + 1 == segment.pa && before.offset + before.len == segment.offset {
            before.len += segment.len;
        } else {
            joined.push(segment);
        }
    }
    if joined.is_empty() {
        return Err("there is no memory in it".to_owned());
    }
    Ok((joined, again))
}

/// The memory of ascending segments: those that continue each other are one run.
fn runs(segments: &[Segment]) -> Vec<AddressRange> {
    let mut runs: Vec<AddressRange> = Vec::new();
    for segment in segments {
        match runs.last_mut() {
            Some(before) if before.last + 1 == segment.pa => before.last = segment.last(),
            _ => runs.push(AddressRange { first: segment.pa, last: segment.last() }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(pa: u64, len: u64, offset: u64) -> Segment {
        Segment { pa, len, offset }
    }

    /// A check of it found nothing wrong, and a dump and a diff nothing at all.
    #[test]
    fn bug_what_cannot_be_read_was_taken_for_no_table() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [7; 16]).unwrap();
        let image = Image::open(file.path(), Some(0)).unwrap();
        let mut buffer = Vec::new();
        assert!(image.read(0x100, 8, &mut buffer).is_none());
        assert!(image.readable().is_ok(), "what is not in the image is no failure");
        file.as_file().set_len(12).unwrap();
        assert!(image.read(0, 8, &mut buffer).is_some());
        assert!(image.read(8, 8, &mut buffer).is_none());
        let error = image.readable().unwrap_err().to_string();
        assert!(error.ends_with("the memory at 0x8 cannot be read: the file has become shorter"), "{error}");
    }

    #[test]
    fn segments_are_sorted_joined_and_cut() {
        let sorted = |segments, bytes| sorted(segments, bytes).map(|(joined, _)| joined);
        let found = sorted(vec![segment(0x3000, 0x1000, 0x2000), segment(0x1000, 0x2000, 0)], 0x3000);
        assert_eq!(found, Ok(vec![segment(0x1000, 0x3000, 0)]));
        let found = sorted(vec![segment(0x3000, 0x1000, 0x1000), segment(0x1000, 0x1000, 0)], 0x3000);
        assert_eq!(found, Ok(vec![segment(0x1000, 0x1000, 0), segment(0x3000, 0x1000, 0x1000)]));
        let found = sorted(vec![segment(0x2000, 0x1000, 0x1000), segment(0x1000, 0x1000, 0)], 0x1800);
        assert_eq!(found, Ok(vec![segment(0x1000, 0x1800, 0)]));
        // Twice the same memory, at the same place of the file.
        let again = [segment(0x1000, 0x3000, 0), segment(0x1000, 0x1000, 0), segment(0x2000, 0x4000, 0x1000)];
        assert_eq!(sorted(again.to_vec(), 0x9000), Ok(vec![segment(0x1000, 0x5000, 0)]));
        // At other places of the file: the one that begins first counts, as far as it goes.
        let overlap = [segment(0x2000, 0x3000, 0x5000), segment(0x1000, 0x1001, 0), segment(0x3000, 0x1000, 0x8000)];
        let cut = [segment(0x1000, 0x1001, 0), segment(0x2001, 0x2fff, 0x5001)];
        assert_eq!(sorted(overlap.to_vec(), 0x9000), Ok(cut.to_vec()));
        let twice = [segment(0x1000, 0x800, 0), segment(0x1000, 0x1000, 0x3000), segment(0x1000, 0x1000, 0x5000)];
        assert_eq!(sorted(twice.to_vec(), 0x9000), Ok(vec![segment(0x1000, 0x1000, 0x3000)]));
        assert_eq!(sorted(vec![segment(u64::MAX, 1, 0); 2], 1), Ok(vec![segment(u64::MAX, 1, 0)]));
        assert!(sorted(vec![segment(u64::MAX - 1, 3, 0)], 0x1000).unwrap_err().contains("past 64 bits"));
        assert!(sorted(vec![segment(0, 0x1000, 0x1000)], 0x1000).unwrap_err().contains("no memory"));
    }

    /// Of memory that is told twice the second was passed over, whatever it was.
    #[test]
    fn bug_memory_that_is_told_differently_was_not_noticed() {
        let mut bytes = lime_range(0x1000, &[1; 0x20]);
        bytes.extend(lime_range(0x1010, &[[1; 8], [2; 8], [3; 8], [4; 8]].concat()));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let image = Image::open(file.path(), None).unwrap();
        let mut buffer = Vec::new();
        for (pa, difference) in [(0x1000, None), (0x1010, None), (0x1020, None), (0x1018, Some(0x1018))] {
            assert!(image.read(pa, 8, &mut buffer).is_some());
            assert_eq!(image.difference(), difference, "{pa:#x}");
        }
    }

    /// In however many pieces of the file memory is, whether the image has it is known at once.
    #[test]
    fn memory_in_pieces() {
        let mut bytes = lime_range(0x1000, &[1; 0x10]);
        for (pa, piece) in [(0x2008, [2; 8]), (0x2000, [3; 8]), (0x2010, [4; 8])] {
            bytes.extend(lime_range(pa, &piece));
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let image = Image::open(file.path(), None).unwrap();
        let mut buffer = Vec::new();
        let mut found = |pa, len| {
            let is_read = image.read(pa, len, &mut buffer).is_some();
            assert_eq!(image.has(pa, len), is_read, "{pa:#x} {len:#x}");
            is_read.then(|| image.piece_count(pa, len))
        };
        assert_eq!([found(0x1000, 0x10), found(0x1001, 1), found(0x2007, 1)], [Some(1); 3]);
        assert_eq!([found(0x2000, 0x10), found(0x2007, 2), found(0x2000, 0x18)], [Some(2), Some(2), Some(3)]);
        assert_eq!([found(0xfff, 2), found(0x100f, 2), found(0x2017, 2), found(u64::MAX, 2), found(0, 1)], [None; 5]);
        assert_eq!(image.read(0x2006, 4, &mut buffer), Some(&[3, 3, 2, 2][..]));
    }

    /// A range of a LiME dump.
    fn lime_range(pa: u64, bytes: &[u8]) -> Vec<u8> {
        let last = pa + bytes.len() as u64 - 1;
        let header = [u64::from_le_bytes(*b"EMiL\x01\0\0\0"), pa, last, 0].map(u64::to_le_bytes);
        [&header.concat(), bytes].concat()
    }
}
