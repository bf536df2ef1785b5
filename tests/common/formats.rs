//! What hardware makes of items: a second implementation of the formats, written from the hardware specifications, that
//! shares nothing with the library. The simulated walker decodes with it, the model predicts raw items with it.

mod armv7s;
mod armv8;
mod dart;
mod ept;
mod mali;
mod pae;
mod ppc;
mod riscv;
mod rockchip;
mod s390;

pub use armv7s::Armv7s;
pub use armv8::Armv8;
pub use dart::Dart;
pub use ept::Ept;
pub use mali::MaliLpae;
pub use pae::Pae;
pub use ppc::PpcRadix;
pub use riscv::{RiscV, Stage};
pub use rockchip::RockchipV2;
pub use s390::S390;

use generic_pt::{Errno, Prot};

/// What hardware makes of one item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decoded {
    /// No translation.
    Empty,
    /// A pointer to the table of the level below.
    Table {
        /// Where it is.
        pa: u64,
    },
    /// A translation.
    Leaf {
        /// What the whole entry covers.
        size_lg2: u32,
        /// Where the whole entry starts.
        oa: u64,
        /// Everything in the item that is neither address, nor structure, nor dirty.
        attrs: u64,
        /// Whether this item says that the page was written.
        dirty: bool,
    },
}

/// Sizes of the tables of a format.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub granule_lg2: u32,
    pub item_bytes_lg2: u32,
    /// Whether items have their highest byte first in memory.
    pub big_endian: bool,
    /// Items of a table of each level that is not the top.
    pub index_lg2: [u32; 6],
    pub max_level: u32,
    pub format_max_oa: u32,
}

impl Shape {
    pub const fn item_lg2(&self, level: u32) -> u32 {
        let (mut size, mut below) = (self.granule_lg2, 0);
        while below < level {
            size += self.index_lg2[below as usize];
            below += 1;
        }
        size
    }
    /// Memory of a table that is not the top.
    pub const fn table_bytes_lg2(&self, level: u32) -> u32 {
        self.index_lg2[level as usize] + self.item_bytes_lg2
    }
}

/// One hardware format, with the switches that change its items.
pub trait HwFormat {
    fn shape(&self) -> Shape;
    fn decode(&self, level: u32, raw: u64) -> Decoded;
    /// The page sizes of a level, one bit each.
    fn sizes(&self, level: u32) -> u64;
    /// Of the page sizes `sizes`, those whose entries can hold this output address.
    fn sizes_for_oa(&self, sizes: u64, _oa: u64) -> u64 {
        sizes
    }
    /// Attribute bits of a leaf, or the errno for a protection that the format refuses.
    fn attrs(&self, prot: Prot) -> Result<u64, Errno>;
    /// Item `n` of the entry of `2^size_lg2` bytes at `oa`, not written to yet.
    fn leaf(&self, level: u32, size_lg2: u32, oa: u64, n: u64, attrs: u64) -> u64;
    fn table(&self, level: u32, pa: u64) -> u64;
    /// What an item without translation holds.
    fn empty(&self, _level: u32) -> u64 {
        0
    }
    /// The bit by which hardware notes writes, where the format offers dirty tracking.
    fn dirty_bit(&self) -> Option<u64> {
        None
    }
    /// The item of a leaf as hardware leaves it when it notes a write.
    fn written(&self, raw: u64) -> u64 {
        raw | self.dirty_bit().unwrap_or(0)
    }
    /// The item of a leaf as if nothing was written.
    fn unwritten(&self, raw: u64) -> u64 {
        raw & !self.dirty_bit().unwrap_or(0)
    }
    /// Whether writes are noted in leaves with these attributes.
    fn notes_writes(&self, _attrs: u64) -> bool {
        true
    }
    /// Whether a leaf with these attributes says from the start that it was written.
    fn starts_dirty(&self, _attrs: u64) -> bool {
        false
    }
    /// The VA bits above the decoded ones.
    fn va_prefix(&self) -> u64 {
        0
    }
    /// Whether a leaf with these attributes lets a device write.
    fn writable(&self, attrs: u64) -> bool;
    /// Whether hardware must have forgotten a table before a page takes its place.
    fn break_before_make(&self) -> bool {
        false
    }
    /// The item bit that says *flush done* in a table item, for formats that can be incoherent.
    fn flush_done(&self) -> u64 {
        0
    }
    /// A memory encryption bit, which no output address can hold.
    fn encryption_mask(&self) -> u64 {
        0
    }
}

const fn low(bits: u32) -> u64 {
    if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
}

const fn field(hi: u32, lo: u32) -> u64 {
    low(hi + 1) & !low(lo)
}

const X64: Shape =
    Shape { granule_lg2: 12, item_bytes_lg2: 3, big_endian: false, index_lg2: [9; 6], max_level: 4, format_max_oa: 52 };

/// AMD I/O Virtualization Technology Specification 2.2.3; the mock with its granule of 2 KiB.
pub struct AmdV1 {
    pub mock: bool,
    pub encryption_mask: u64,
}

impl AmdV1 {
    const IR: u64 = 1 << 61;
    const IW: u64 = 1 << 62;
    const FC: u64 = 1 << 60;
    const D: u64 = 1 << 6;

    /// The address that item bits hold.
    fn address(&self, raw: u64) -> u64 {
        ((raw & field(51, 12)) >> 12) << self.shape().granule_lg2
    }
    /// The item bits of an address.
    fn place(&self, address: u64) -> u64 {
        ((address >> self.shape().granule_lg2) << 12) & field(51, 12)
    }
}

impl HwFormat for AmdV1 {
    fn shape(&self) -> Shape {
        if self.mock {
            Shape { granule_lg2: 11, max_level: 4, format_max_oa: 51, ..X64 }
        } else {
            Shape { granule_lg2: 12, max_level: 5, ..X64 }
        }
    }
    fn decode(&self, level: u32, raw: u64) -> Decoded {
        let next_level = raw >> 9 & 7;
        if raw & 1 == 0 {
            return Decoded::Empty;
        }
        let address = self.address(raw & !self.encryption_mask);
        if level > 0 && next_level != 0 && next_level != 7 {
            return Decoded::Table { pa: address };
        }
        let natural = self.shape().item_lg2(level);
        let size_lg2 = if next_level == 7 {
            // The position of the lowest zero of the address field, with the encryption bit as it is.
            let code = raw >> 12;
            self.shape().granule_lg2 + (!code).trailing_zeros() + 1
        } else {
            natural
        };
        let structure = 1 | 7 << 9 | Self::D | field(51, 12);
        let code_bits = if next_level == 7 { self.place(low(size_lg2)) } else { 0 };
        let attrs = raw & !structure | raw & self.encryption_mask & !code_bits;
        Decoded::Leaf { size_lg2, oa: address & !low(size_lg2), attrs, dirty: raw & Self::D != 0 }
    }
    fn sizes(&self, level: u32) -> u64 {
        let shape = self.shape();
        if level >= shape.max_level {
            return 0;
        }
        let from = shape.item_lg2(level);
        let mut sizes = 0;
        for size in from..shape.item_lg2(level + 1) {
            let largest = if self.mock { 50 } else { 51 };
            // The zero of the size code would be the encryption bit.
            let unreadable = size != from && self.encryption_mask & (1 << (size - 1)) != 0;
            if size != 39 && size <= largest && !unreadable {
                sizes |= 1 << size;
            }
        }
        sizes
    }
    fn attrs(&self, prot: Prot) -> Result<u64, Errno> {
        let mut attrs = if self.mock { 0 } else { Self::FC };
        if prot.contains(Prot::READ) {
            attrs |= Self::IR;
        }
        if prot.contains(Prot::WRITE) {
            attrs |= Self::IW;
        }
        if !prot.contains(Prot::MMIO) {
            attrs |= self.encryption_mask;
        }
        Ok(attrs)
    }
    fn leaf(&self, level: u32, size_lg2: u32, oa: u64, _n: u64, attrs: u64) -> u64 {
        let item = 1 | self.place(oa) | attrs;
        if size_lg2 == self.shape().item_lg2(level) {
            return item;
        }
        let ones = size_lg2 - self.shape().granule_lg2 - 1;
        (item | 7 << 9 | low(ones) << 12) & !(1 << (12 + ones))
    }
    fn table(&self, level: u32, pa: u64) -> u64 {
        1 | u64::from(level) << 9 | Self::IR | Self::IW | self.place(pa) | self.encryption_mask
    }
    fn dirty_bit(&self) -> Option<u64> {
        Some(Self::D)
    }
    fn writable(&self, attrs: u64) -> bool {
        attrs & Self::IW != 0
    }
    fn encryption_mask(&self) -> u64 {
        self.encryption_mask
    }
}

/// Intel SDM volume 3, 4-level and 5-level paging.
pub struct X86 {
    pub encryption_mask: u64,
}

impl HwFormat for X86 {
    fn shape(&self) -> Shape {
        X64
    }
    fn decode(&self, level: u32, raw: u64) -> Decoded {
        let address = raw & field(51, 12) & !self.encryption_mask;
        if raw & 1 == 0 {
            return Decoded::Empty;
        }
        if level > 2 || level > 0 && raw & 1 << 7 == 0 {
            return Decoded::Table { pa: address };
        }
        let size_lg2 = self.shape().item_lg2(level);
        // Bit 7 of a level-0 item is a memory type, not structure.
        let structure = if level > 0 { 1 | 1 << 7 } else { 1 };
        let attrs = raw & !(structure | field(51, 12)) | raw & self.encryption_mask;
        Decoded::Leaf { size_lg2, oa: address & !low(size_lg2), attrs, dirty: false }
    }
    fn sizes(&self, level: u32) -> u64 {
        [1 << 12, 1 << 21, 1 << 30].get(level as usize).copied().unwrap_or(0)
    }
    fn attrs(&self, prot: Prot) -> Result<u64, Errno> {
        // U and A; RW and D with WRITE.
        let write = if prot.contains(Prot::WRITE) { 1 << 1 | 1 << 6 } else { 0 };
        let encrypted = if prot.contains(Prot::MMIO) { 0 } else { self.encryption_mask };
        Ok(1 << 2 | 1 << 5 | write | encrypted)
    }
    fn leaf(&self, level: u32, _size_lg2: u32, oa: u64, _n: u64, attrs: u64) -> u64 {
        1 | oa | attrs | if level > 0 { 1 << 7 } else { 0 }
    }
    fn table(&self, _level: u32, pa: u64) -> u64 {
        0b10_0111 | pa | self.encryption_mask
    }
    fn writable(&self, attrs: u64) -> bool {
        attrs & 1 << 1 != 0
    }
    fn flush_done(&self) -> u64 {
        1 << 9
    }
    fn encryption_mask(&self) -> u64 {
        self.encryption_mask
    }
}

/// VT-d second stage: VT-d specification 3.7 and 9.8.
pub struct VtdSs {
    pub force_coherence: bool,
    pub force_writeable: bool,
}

impl HwFormat for VtdSs {
    fn shape(&self) -> Shape {
        X64
    }
    fn decode(&self, level: u32, raw: u64) -> Decoded {
        // An item that allows neither reading nor writing is not present.
        if raw & 0b11 == 0 {
            return Decoded::Empty;
        }
        if level > 2 || level > 0 && raw & 1 << 7 == 0 {
            return Decoded::Table { pa: raw & field(51, 12) };
        }
        let size_lg2 = self.shape().item_lg2(level);
        let structure = if level > 0 { 1 << 7 } else { 0 };
        let attrs = raw & !(structure | 1 << 9 | field(51, 12));
        Decoded::Leaf { size_lg2, oa: raw & field(51, 12) & !low(size_lg2), attrs, dirty: raw & 1 << 9 != 0 }
    }
    fn sizes(&self, level: u32) -> u64 {
        X86 { encryption_mask: 0 }.sizes(level)
    }
    fn attrs(&self, prot: Prot) -> Result<u64, Errno> {
        if self.force_writeable && !prot.contains(Prot::WRITE) {
            return Err(Errno::EINVAL);
        }
        let read = u64::from(prot.contains(Prot::READ));
        let write = u64::from(prot.contains(Prot::WRITE)) << 1;
        Ok(read | write | u64::from(self.force_coherence) << 11)
    }
    fn leaf(&self, level: u32, _size_lg2: u32, oa: u64, _n: u64, attrs: u64) -> u64 {
        oa | attrs | if level > 0 { 1 << 7 } else { 0 }
    }
    fn table(&self, _level: u32, pa: u64) -> u64 {
        0b11 | pa
    }
    fn dirty_bit(&self) -> Option<u64> {
        Some(1 << 9)
    }
    fn writable(&self, attrs: u64) -> bool {
        attrs & 0b10 != 0
    }
    fn flush_done(&self) -> u64 {
        1 << 10
    }
}
