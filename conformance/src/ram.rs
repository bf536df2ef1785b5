//! The memory of a virtual machine: a file that QEMU and this program map.

use memmap2::{MmapMut, MmapOptions};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use tempfile::NamedTempFile;

/// Bytes of RAM that every machine has where its RAM begins.
pub const LOW_BYTES: u64 = 64 << 20;
/// Where tables lie, from the start of RAM, if they lie low: behind what firmware and device trees use.
const TABLES_AT: u64 = 2 << 20;
/// Where they lie above 4 GiB: for walkers of 34 address bits, and of more.
const HIGH_TABLES_PA: [u64; 2] = [0x3_4000_0000, 0xd_5000_0000];
/// Bytes for tables.
pub const TABLES_BYTES: usize = 24 << 20;
/// Where pages lie that are read and written, from the start of RAM.
pub const DATA_AT: u64 = 32 << 20;
/// Bytes of them. (At the end of RAM some machines have a device tree.)
pub const DATA_BYTES: u64 = 24 << 20;

/// Bytes of each of the other areas of data, if RAM reaches above 4 GiB.
pub const HIGH_DATA_BYTES: u64 = 8 << 20;
/// One of them has its middle there, 32 MiB below 64 GiB: in the upper half of aligned leaves of 128 MiB to 64 GiB, in both
/// halves of one of 64 MiB. The first area is in their lower half.
const UPPER_HALF_PA: u64 = (64 << 30) - (32 << 20);

/// Of the data, that are compared at a time: a part of every area.
const CHUNK_BYTES: u64 = 1 << 20;
/// Lines that are shown of what a machine said.
const MOST_MESSAGES: usize = 3;
/// A warning of machines that stand still, which is no reason for anything.
const HARMLESS: &str = "icount sleep disabled and no active timers";

/// Where RAM is. Its file is sparse, so a large one costs nothing.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The physical address of its first byte.
    pub base_pa: u64,
    /// Its bytes.
    pub bytes: u64,
    /// So many are in one piece from there on.
    low_bytes: u64,
    /// The rest is there.
    high_pa: u64,
    tables_pa: u64,
}

impl Layout {
    /// The least RAM, for machines that have no addresses above 4 GiB.
    pub const fn small(base_pa: u64) -> Self {
        Self { base_pa, bytes: LOW_BYTES, low_bytes: LOW_BYTES, high_pa: 0, tables_pa: base_pa + TABLES_AT }
    }

    /// 64 GiB in one piece.
    pub const fn large(base_pa: u64) -> Self {
        Self { base_pa, bytes: 64 << 30, low_bytes: 64 << 30, high_pa: 0, tables_pa: base_pa + TABLES_AT }
    }

    /// 64 GiB of a PC: 2 GiB from 0 on, the rest above 4 GiB.
    pub const PC: Self =
        Self { base_pa: 0, bytes: 64 << 30, low_bytes: 2 << 30, high_pa: 4 << 30, tables_pa: TABLES_AT };

    /// The same, with the tables above 4 GiB, where there is RAM for them, and the walker has so many PA bits.
    #[must_use]
    pub fn with_high_tables(self, seed: u64, pa_bits: u32) -> Self {
        let tables_pa = HIGH_TABLES_PA[usize::from(seed.is_multiple_of(4) && pa_bits > 34)];
        if tables_pa < self.end_pa() { Self { tables_pa, ..self } } else { self }
    }

    /// Whether the tables lie above 4 GiB.
    pub fn has_high_tables(&self) -> bool {
        self.tables_pa >> 32 != 0
    }

    /// Behind the last byte.
    const fn end_pa(&self) -> u64 {
        let high_bytes = self.bytes - self.low_bytes;
        if high_bytes == 0 { self.base_pa + self.low_bytes } else { self.high_pa + high_bytes }
    }
}

/// RAM, by physical address.
#[derive(Debug)]
pub struct Ram {
    file: NamedTempFile,
    messages: NamedTempFile,
    layout: Layout,
}

impl Ram {
    /// All zero, but every eight bytes of the data are their own physical address.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn new(layout: Layout) -> io::Result<Self> {
        let file = NamedTempFile::new()?;
        file.as_file().set_len(layout.bytes)?;
        let ram = Self { file, messages: NamedTempFile::new()?, layout };
        for area in ram.data() {
            ram.write(area.start, &own_addresses(&area))?;
        }
        Ok(ram)
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Where the machines that use it print what they have to say.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn messages_to(&self) -> io::Result<File> {
        File::options().append(true).open(self.messages.path())
    }

    /// The last lines of what the machines said.
    pub fn last_messages(&self) -> String {
        let text = std::fs::read(self.messages.path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().filter(|line| !line.contains(HARMLESS)).collect();
        lines[lines.len().saturating_sub(MOST_MESSAGES)..].join("; ")
    }

    /// Where it is.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The physical address of the first byte for tables.
    pub fn tables_pa(&self) -> u64 {
        self.layout.tables_pa
    }

    /// The physical address of the first byte for data.
    pub fn data_pa(&self) -> u64 {
        self.layout.base_pa + DATA_AT
    }

    /// All addresses of the data: behind the tables, and above 4 GiB in the upper half of large leaves, and at the other end of RAM.
    pub fn data(&self) -> Vec<Range<u64>> {
        let low = self.data_pa()..self.data_pa() + DATA_BYTES;
        let end_pa = self.layout.end_pa();
        // Some machines have a device tree behind it.
        let high = end_pa - 2 * HIGH_DATA_BYTES..end_pa - HIGH_DATA_BYTES;
        let upper = UPPER_HALF_PA - HIGH_DATA_BYTES / 2..UPPER_HALF_PA + HIGH_DATA_BYTES / 2;
        let mut areas = Vec::from([low]);
        areas.extend([upper, high].into_iter().filter(|area| area.start >> 32 != 0 && area.end <= end_pa));
        areas
    }

    /// Whether an address is of the data.
    pub fn is_data(&self, pa: u64) -> bool {
        self.data().iter().any(|area| area.contains(&pa))
    }

    /// The first address of the data that does not hold itself any more, and what it holds.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn first_changed(&self) -> io::Result<Option<(u64, u64)>> {
        let mut chunk = vec![0; CHUNK_BYTES as usize];
        for area in self.data() {
            for pa in area.step_by(CHUNK_BYTES as usize) {
                self.read(pa, &mut chunk)?;
                let words = (pa..).step_by(8).zip(chunk.chunks_exact(8));
                let changed = words.map(|(pa, word)| (pa, word.try_into().map_or(0, u64::from_le_bytes)));
                if let Some(changed) = changed.into_iter().find(|(pa, word)| pa != word) {
                    return Ok(Some(changed));
                }
            }
        }
        Ok(None)
    }

    /// The bytes for tables, mapped: what is written shows in the machine.
    ///
    /// # Errors
    /// The file cannot be mapped.
    pub fn tables(&self) -> io::Result<MmapMut> {
        let offset = self.offset(self.tables_pa(), TABLES_BYTES)?;
        // SAFETY: the file is this program's own and keeps its length. The machine writes into it at any time (accessed and
        // dirty bits), which table memory has to expect: it is only accessed atomically, and through raw pointers.
        unsafe { MmapOptions::new().offset(offset).len(TABLES_BYTES).map_mut(self.file.as_file()) }
    }

    /// The first [`LOW_BYTES`], mapped, as [`tables`](Self::tables).
    ///
    /// # Errors
    /// The file cannot be mapped.
    pub fn low(&self) -> io::Result<MmapMut> {
        // SAFETY: as with `tables`. Nothing here accesses it: it is for a virtual machine.
        unsafe { MmapOptions::new().len(LOW_BYTES as usize).map_mut(self.file.as_file()) }
    }

    fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Writes `bytes` at a physical address.
    ///
    /// # Errors
    /// The address is not in RAM, or the file cannot be written.
    pub fn write(&self, pa: u64, bytes: &[u8]) -> io::Result<()> {
        self.file().write_all_at(bytes, self.offset(pa, bytes.len())?)
    }

    /// Writes instructions of four bytes at a physical address.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_words(&self, pa: u64, words: &[u32]) -> io::Result<()> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.write(pa, &bytes)
    }

    /// Writes words of eight bytes at a physical address.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_u64s(&self, pa: u64, words: &[u64]) -> io::Result<()> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.write(pa, &bytes)
    }

    /// The eight bytes at a physical address, the lowest first.
    ///
    /// # Errors
    /// The address is not in RAM, or the file cannot be read.
    pub fn read_u64(&self, pa: u64) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.read(pa, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// The bytes at a physical address.
    ///
    /// # Errors
    /// The address is not in RAM, or the file cannot be read.
    pub fn read(&self, pa: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file().read_exact_at(bytes, self.offset(pa, bytes.len())?)
    }

    /// What is in a range of physical addresses, with the first of them.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn copy_of(&self, range: Range<u64>) -> io::Result<(u64, Vec<u8>)> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.read(range.start, &mut bytes)?;
        Ok((range.start, bytes))
    }

    /// The byte at a physical address.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_u8(&self, pa: u64) -> io::Result<u8> {
        let mut byte = [0];
        self.read(pa, &mut byte)?;
        Ok(byte[0])
    }

    /// Has the eight bytes of data that `pa` is in hold their address again.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn restore(&self, pa: u64) -> io::Result<()> {
        self.write(pa & !7, &(pa & !7).to_le_bytes())
    }

    fn offset(&self, pa: u64, len: usize) -> io::Result<u64> {
        let Layout { base_pa, bytes, low_bytes, high_pa, .. } = self.layout;
        let low = pa.checked_sub(base_pa).filter(|offset| offset + len as u64 <= low_bytes);
        let high = pa.checked_sub(high_pa).map(|offset| offset + low_bytes).filter(|end| end + len as u64 <= bytes);
        low.or(high).ok_or_else(|| io::Error::other(format!("physical address {pa:#x} is not in RAM")))
    }
}

/// What the data of an area is at first.
fn own_addresses(area: &Range<u64>) -> Vec<u8> {
    area.clone().step_by(8).flat_map(u64::to_le_bytes).collect()
}
