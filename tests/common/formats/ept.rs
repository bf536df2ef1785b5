//! Intel EPT: SDM volume 3C, the tables of the formats of EPT entries.

use super::{Decoded, HwFormat, Shape, X64, field, low};
use generic_pt::{Errno, Prot};

pub struct Ept {
    /// Bit 6 of the EPT pointer.
    pub accessed_dirty: bool,
    pub ignore_pat: bool,
    pub suppress_ve: bool,
    pub mode_based_execute: bool,
}

impl Ept {
    const LARGE: u64 = 1 << 7;
    const D: u64 = 1 << 9;
    const SVE: u64 = 1 << 63;

    fn access(&self) -> u64 {
        0b111 | if self.mode_based_execute { 1 << 10 } else { 0 }
    }
}

impl HwFormat for Ept {
    fn shape(&self) -> Shape {
        X64
    }
    fn decode(&self, level: u32, raw: u64) -> Decoded {
        if raw & self.access() == 0 {
            return Decoded::Empty;
        }
        let memory_type = raw >> 3 & 7;
        let is_leaf = level == 0 || level <= 2 && raw & Self::LARGE != 0;
        if raw & 0b11 == 0b10 || is_leaf && matches!(memory_type, 2 | 3 | 7) || !is_leaf && raw & 0xf8 != 0 {
            // A misconfiguration: hardware does not walk on.
            return Decoded::Empty;
        }
        let address = raw & field(51, 12);
        if !is_leaf {
            return Decoded::Table { pa: address };
        }
        let size_lg2 = self.shape().item_lg2(level);
        if address & low(size_lg2) != 0 {
            return Decoded::Empty;
        }
        let structure = if level > 0 { Self::LARGE } else { 0 };
        let dirty = if self.accessed_dirty { Self::D } else { 0 };
        Decoded::Leaf {
            size_lg2,
            oa: address,
            attrs: raw & !(structure | dirty | field(51, 12)),
            dirty: raw & dirty != 0,
        }
    }
    fn sizes(&self, level: u32) -> u64 {
        [1 << 12, 1 << 21, 1 << 30].get(level as usize).copied().unwrap_or(0)
    }
    fn attrs(&self, prot: Prot) -> Result<u64, Errno> {
        let memory_type = match (prot.contains(Prot::MMIO), prot.contains(Prot::CACHE)) {
            (true, _) => 0,
            (false, true) => 6,
            (false, false) => 1,
        };
        let mut attrs = memory_type << 3 | 1;
        if prot.contains(Prot::WRITE) {
            attrs |= 1 << 1;
        }
        if !prot.contains(Prot::NOEXEC) {
            attrs |= self.access() & !0b11;
        }
        let flags = u64::from(self.ignore_pat) << 6 | u64::from(self.suppress_ve) << 63;
        Ok(attrs | flags)
    }
    fn leaf(&self, level: u32, _size_lg2: u32, oa: u64, _n: u64, attrs: u64) -> u64 {
        oa | attrs | if level > 0 { Self::LARGE } else { 0 }
    }
    fn table(&self, _level: u32, pa: u64) -> u64 {
        pa | self.access()
    }
    fn empty(&self, _level: u32) -> u64 {
        if self.suppress_ve { Self::SVE } else { 0 }
    }
    fn dirty_bit(&self) -> Option<u64> {
        self.accessed_dirty.then_some(Self::D)
    }
    fn writable(&self, attrs: u64) -> bool {
        attrs & 1 << 1 != 0
    }
}
