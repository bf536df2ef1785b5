//! The memory of a virtual machine: a file that QEMU and this program map.

use memmap2::{MmapMut, MmapOptions};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use tempfile::NamedTempFile;

/// Bytes of RAM that every machine has.
pub const RAM_BYTES: u64 = 64 << 20;
/// Where tables lie, from the start of RAM: behind what firmware and device trees use.
pub const TABLES_AT: u64 = 2 << 20;
/// Bytes for tables.
pub const TABLES_BYTES: usize = 24 << 20;
/// Where pages lie that are read and written, from the start of RAM.
pub const DATA_AT: u64 = 32 << 20;
/// Bytes of them. (At the end of RAM some machines have a device tree.)
pub const DATA_BYTES: u64 = 24 << 20;

/// RAM, by physical address.
#[derive(Debug)]
pub struct Ram {
    file: NamedTempFile,
    base_pa: u64,
}

impl Ram {
    /// From the physical address `base_pa` on; all zero, but every eight bytes of the data are their own physical address.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn new(base_pa: u64) -> io::Result<Self> {
        let file = NamedTempFile::new()?;
        file.as_file().set_len(RAM_BYTES)?;
        let ram = Self { file, base_pa };
        ram.fill_data()?;
        Ok(ram)
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The physical address of RAM's first byte.
    pub fn base_pa(&self) -> u64 {
        self.base_pa
    }

    /// The physical address of the first byte for tables.
    pub fn tables_pa(&self) -> u64 {
        self.base_pa + TABLES_AT
    }

    /// The physical address of the first byte for data.
    pub fn data_pa(&self) -> u64 {
        self.base_pa + DATA_AT
    }

    /// The bytes for tables, mapped: what is written shows in the machine.
    ///
    /// # Errors
    /// The file cannot be mapped.
    pub fn tables(&self) -> io::Result<MmapMut> {
        // SAFETY: the file is this program's own and keeps its length. The machine writes into it at any time (accessed and
        // dirty bits), which table memory has to expect: it is only accessed atomically, and through raw pointers.
        unsafe { MmapOptions::new().offset(TABLES_AT).len(TABLES_BYTES).map_mut(self.file.as_file()) }
    }

    /// All of it, mapped, as [`tables`](Self::tables).
    ///
    /// # Errors
    /// The file cannot be mapped.
    pub fn whole(&self) -> io::Result<MmapMut> {
        // SAFETY: as with `tables`. Nothing here accesses it: it is for a virtual machine.
        unsafe { MmapOptions::new().len(RAM_BYTES as usize).map_mut(self.file.as_file()) }
    }

    /// Whether an address is of the data.
    pub fn is_data(&self, pa: u64) -> bool {
        pa.checked_sub(self.data_pa()).is_some_and(|offset| offset < DATA_BYTES)
    }

    /// Fills the data: every eight bytes are their own physical address.
    fn fill_data(&self) -> io::Result<()> {
        let mut bytes = vec![0; DATA_BYTES as usize];
        let mut pa = self.data_pa();
        for word in bytes.chunks_exact_mut(8) {
            word.copy_from_slice(&pa.to_le_bytes());
            pa += 8;
        }
        self.write(self.data_pa(), &bytes)
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

    /// The eight bytes at a physical address, the lowest first.
    ///
    /// # Errors
    /// The address is not in RAM, or the file cannot be read.
    pub fn read_u64(&self, pa: u64) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.file().read_exact_at(&mut bytes, self.offset(pa, 8)?)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn offset(&self, pa: u64, len: usize) -> io::Result<u64> {
        let offset = pa.checked_sub(self.base_pa).filter(|offset| offset + len as u64 <= RAM_BYTES);
        offset.ok_or_else(|| io::Error::other(format!("physical address {pa:#x} is not in RAM")))
    }
}
