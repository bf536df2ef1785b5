//! PowerPC radix trees: Power ISA 3.0B, book III. (Bit numbers count from the lowest here.)

use super::{Decoded, HwFormat, Shape, X64, field, low};
use generic_pt::{Errno, Prot};

pub struct PpcRadix {
    /// Pages of 64 KiB, with tables of 32 items.
    pub large: bool,
    pub quadrant: u64,
    /// Hardware sets R and C.
    pub rc_updates: bool,
}

impl PpcRadix {
    const V: u64 = 1 << 63;
    const L: u64 = 1 << 62;
    const R: u64 = 1 << 8;
    const C: u64 = 1 << 7;

    fn lower_index_lg2(&self, level: u32) -> u64 {
        self.shape().index_lg2[level as usize - 1].into()
    }
}

impl HwFormat for PpcRadix {
    fn shape(&self) -> Shape {
        let (granule_lg2, lowest) = if self.large { (16, 5) } else { (12, 9) };
        let index_lg2 = [lowest, 9, 9, 13, 0, 0];
        Shape { granule_lg2, index_lg2, big_endian: true, max_level: 3, format_max_oa: 57, ..X64 }
    }
    fn decode(&self, level: u32, raw: u64) -> Decoded {
        if raw & Self::V == 0 {
            return Decoded::Empty;
        }
        if raw & Self::L == 0 {
            // The walk goes on with as many bits as the pointer says; another number is another format.
            let fits =
                level > 0 && raw & 0x1f == self.lower_index_lg2(level) && raw & (field(7, 5) | field(61, 60)) == 0;
            return if fits { Decoded::Table { pa: raw & field(59, 8) } } else { Decoded::Empty };
        }
        let size_lg2 = self.shape().item_lg2(level);
        let address = raw & field(56, 12);
        // Without hardware that sets R and C their absence is an interrupt.
        let recorded = raw & Self::R != 0;
        if level > 2 || address & low(size_lg2) != 0 || !recorded {
            return Decoded::Empty;
        }
        let dirty = if self.rc_updates { Self::C } else { 0 };
        let attrs = raw & !(Self::V | Self::L | dirty | field(56, 12));
        Decoded::Leaf { size_lg2, oa: address, attrs, dirty: raw & dirty != 0 }
    }
    fn sizes(&self, level: u32) -> u64 {
        if level > 2 { 0 } else { 1 << self.shape().item_lg2(level) }
    }
    fn attrs(&self, prot: Prot) -> Result<u64, Errno> {
        let mut attrs = Self::R | 1 << 2;
        if prot.contains(Prot::WRITE) {
            attrs |= 1 << 1 | if self.rc_updates { 0 } else { Self::C };
        }
        if !prot.contains(Prot::WRITE) && !prot.contains(Prot::READ) {
            attrs &= !(1 << 2);
        }
        if !prot.contains(Prot::NOEXEC) {
            attrs |= 1;
        }
        attrs |= match (prot.contains(Prot::MMIO), prot.contains(Prot::CACHE)) {
            (true, _) => 0b10 << 4,
            (false, true) => 0,
            (false, false) => 0b11 << 4,
        };
        Ok(attrs)
    }
    fn leaf(&self, _level: u32, _size_lg2: u32, oa: u64, _n: u64, attrs: u64) -> u64 {
        Self::V | Self::L | oa | attrs
    }
    fn table(&self, level: u32, pa: u64) -> u64 {
        Self::V | pa | self.lower_index_lg2(level)
    }
    fn dirty_bit(&self) -> Option<u64> {
        self.rc_updates.then_some(Self::C)
    }
    fn starts_dirty(&self, attrs: u64) -> bool {
        self.rc_updates && self.writable(attrs)
    }
    fn va_prefix(&self) -> u64 {
        self.quadrant << 62
    }
    fn writable(&self, attrs: u64) -> bool {
        attrs & 1 << 1 != 0
    }
}
