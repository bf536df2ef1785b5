//! RISC-V: the privileged architecture, with Svnapot, Svpbmt, Svadu and Svrsw60t59b.

use super::{Decoded, HwFormat, Shape, X64, field, low};
use generic_pt::{Errno, Prot};

/// Which top the table has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    First,
    /// The top is four times as large.
    G,
}

/// Sv39 to Sv57 and Sv32, of both stages.
pub struct RiscV {
    pub item_bits: u32,
    pub stage: Stage,
    pub napot: bool,
    pub pbmt: bool,
    pub svadu: bool,
}

impl RiscV {
    const N: u64 = 1 << 63;
    const PBMT: u64 = field(62, 61);
    const R: u64 = 1 << 1;
    const W: u64 = 1 << 2;
    const X: u64 = 1 << 3;
    const U: u64 = 1 << 4;
    const A: u64 = 1 << 6;
    const D: u64 = 1 << 7;

    fn ppn(&self) -> u64 {
        if self.item_bits == 32 { field(31, 10) } else { field(53, 10) }
    }
}

impl HwFormat for RiscV {
    fn shape(&self) -> Shape {
        if self.item_bits == 32 {
            Shape { item_bytes_lg2: 2, index_lg2: [10; 6], max_level: 1, format_max_oa: 34, ..X64 }
        } else {
            Shape { format_max_oa: 56, ..X64 }
        }
    }
    fn decode(&self, level: u32, raw: u64) -> Decoded {
        if raw & 1 == 0 {
            return Decoded::Empty;
        }
        let address = (raw & self.ppn()) >> 10 << 12;
        if raw & (Self::R | Self::W | Self::X) == 0 {
            // What is reserved in a pointer is a page fault, as is a pointer at the lowest level.
            let reserved = Self::U | Self::A | Self::D | Self::PBMT | Self::N | field(58, 54);
            return if level == 0 || raw & reserved != 0 { Decoded::Empty } else { Decoded::Table { pa: address } };
        }
        if raw & Self::W != 0 && raw & Self::R == 0 || raw & Self::U == 0 || raw & Self::A == 0 {
            return Decoded::Empty;
        }
        let napot = raw & Self::N != 0;
        // The only size that Svnapot has: page number bits [3:0] = 1000b.
        let size_lg2 = if napot { 16 } else { self.shape().item_lg2(level) };
        let well_formed = !napot || self.napot && level == 0 && raw >> 10 & 0xf == 0b1000;
        let aligned = napot || address & low(size_lg2) == 0;
        if !well_formed || !aligned {
            return Decoded::Empty;
        }
        let dirty = if self.svadu { Self::D } else { 0 };
        let attrs = raw & !(1 | Self::N | self.ppn() | dirty);
        Decoded::Leaf { size_lg2, oa: address & !low(size_lg2), attrs, dirty: raw & dirty != 0 }
    }
    fn sizes(&self, level: u32) -> u64 {
        let napot = if self.napot && level == 0 { 1 << 16 } else { 0 };
        napot | 1 << self.shape().item_lg2(level)
    }
    fn attrs(&self, prot: Prot) -> Result<u64, Errno> {
        let mut attrs = Self::A | Self::U;
        if prot.contains(Prot::READ) {
            attrs |= Self::R;
        }
        if prot.contains(Prot::WRITE) {
            // With hardware that notes writes, D is that, and no attribute.
            attrs |= Self::R | Self::W | if self.svadu { 0 } else { Self::D };
        }
        if !prot.contains(Prot::NOEXEC) {
            attrs |= Self::X;
        }
        if self.pbmt {
            attrs |= match (prot.contains(Prot::MMIO), prot.contains(Prot::CACHE)) {
                (true, _) => 2 << 61,
                (false, false) => 1 << 61,
                (false, true) => 0,
            };
        }
        if attrs & (Self::R | Self::W | Self::X) == 0 { Err(Errno::EOPNOTSUPP) } else { Ok(attrs) }
    }
    fn leaf(&self, level: u32, size_lg2: u32, oa: u64, _n: u64, attrs: u64) -> u64 {
        let item = 1 | oa >> 12 << 10 | attrs;
        if size_lg2 == self.shape().item_lg2(level) { item } else { item | Self::N | 1 << 13 }
    }
    fn table(&self, _level: u32, pa: u64) -> u64 {
        1 | pa >> 12 << 10
    }
    fn dirty_bit(&self) -> Option<u64> {
        self.svadu.then_some(Self::D)
    }
    fn starts_dirty(&self, attrs: u64) -> bool {
        self.svadu && self.writable(attrs)
    }
    fn writable(&self, attrs: u64) -> bool {
        attrs & Self::W != 0
    }
}
