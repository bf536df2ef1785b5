//! ARM VMSAv8-64: the Architecture Reference Manual, D8.3. Levels are those of this crate; Arm's are 3 less them.

use super::{Decoded, HwFormat, Shape, X64, field, low};
use generic_pt::{Errno, Prot};

/// Tables of one granule, of one stage.
pub struct Armv8 {
    pub granule_lg2: u32,
    pub stage_2: bool,
    pub upper: bool,
    pub lpa: bool,
    pub lpa2: bool,
    pub dirty: bool,
    pub fwb: bool,
    pub non_secure: bool,
}

impl Armv8 {
    const DBM: u64 = 1 << 51;
    const CONTIGUOUS: u64 = 1 << 52;
    /// AP[2] in stage 1: read-only. S2AP[1] in stage 2: writable.
    const WRITE_BIT: u64 = 1 << 7;
    const AF: u64 = 1 << 10;

    /// The address that item bits hold.
    fn address(&self, raw: u64) -> u64 {
        if self.lpa2 {
            raw & field(49, self.granule_lg2) | (raw >> 8 & 0b11) << 50
        } else if self.lpa {
            raw & field(47, 16) | (raw >> 12 & 0b1111) << 48
        } else {
            raw & field(47, self.granule_lg2)
        }
    }
    /// The item bits of an address.
    fn place(&self, address: u64) -> u64 {
        if self.lpa2 {
            address & low(50) | address >> 50 << 8
        } else if self.lpa {
            address & low(48) | address >> 48 << 12
        } else {
            address
        }
    }
    /// Whether Arm has blocks (or pages) at a level.
    fn has_leaves(&self, level: u32) -> bool {
        match (self.granule_lg2, level) {
            (_, 0 | 1) => true,
            (12, 2) => true,
            (12, 3) | (14, 2) => self.lpa2,
            (16, 2) => self.lpa,
            _ => false,
        }
    }
    /// Items of a contiguous run, as a power of two.
    fn run_lg2(&self, level: u32) -> Option<u32> {
        match (self.granule_lg2, level) {
            (12, 0..=2) => Some(4),
            (14, 0) => Some(7),
            (14, 1) | (16, 0 | 1) => Some(5),
            _ => None,
        }
    }
    fn is_written(&self, raw: u64) -> bool {
        raw & Self::DBM != 0 && (raw & Self::WRITE_BIT != 0) == self.stage_2
    }
}

impl HwFormat for Armv8 {
    fn shape(&self) -> Shape {
        let max_level = match self.granule_lg2 {
            12 => 4,
            14 => 3,
            _ => 2,
        };
        let format_max_oa = if self.lpa || self.lpa2 { 52 } else { 48 };
        let index_lg2 = [self.granule_lg2 - 3; 6];
        Shape { granule_lg2: self.granule_lg2, index_lg2, max_level, format_max_oa, ..X64 }
    }
    fn decode(&self, level: u32, raw: u64) -> Decoded {
        let address = self.address(raw);
        match (raw & 0b11, level) {
            (0b11, 1..) => return Decoded::Table { pa: address },
            (0b11, 0) => {}
            (0b01, 1..) if self.has_leaves(level) => {}
            // Not valid, or reserved.
            _ => return Decoded::Empty,
        }
        if raw & Self::AF == 0 {
            return Decoded::Empty;
        }
        let mut size_lg2 = self.shape().item_lg2(level);
        if raw & Self::CONTIGUOUS != 0 {
            let Some(run_lg2) = self.run_lg2(level) else { return Decoded::Empty };
            size_lg2 += run_lg2;
        }
        let structure = 0b11 | self.place(field(self.shape().format_max_oa - 1, self.granule_lg2)) | Self::CONTIGUOUS;
        let noted = if raw & Self::DBM != 0 { Self::WRITE_BIT } else { 0 };
        let attrs = raw & !(structure | noted);
        Decoded::Leaf { size_lg2, oa: address & !low(size_lg2), attrs, dirty: self.is_written(raw) }
    }
    fn sizes(&self, level: u32) -> u64 {
        let item = 1 << self.shape().item_lg2(level);
        let run = self.run_lg2(level).map_or(0, |run_lg2| item << run_lg2);
        if self.has_leaves(level) { item | run } else { 0 }
    }
    fn attrs(&self, prot: Prot) -> Result<u64, Errno> {
        let has = |bit| prot.contains(bit);
        // Bits 9:8: 2 is outer shareable, 3 inner. With LPA2 they are address bits.
        let shareability = match (self.lpa2, has(Prot::CACHE)) {
            (true, _) => 0,
            (false, true) => 3 << 8,
            (false, false) => 2 << 8,
        };
        let mut attrs = Self::AF | shareability;
        if self.dirty && has(Prot::WRITE) {
            attrs |= Self::DBM;
        }
        if self.stage_2 {
            attrs |= match (has(Prot::MMIO), has(Prot::CACHE), self.fwb) {
                (true, ..) => 0b0001 << 2,
                (false, true, true) => 0b0110 << 2,
                (false, true, false) => 0b1111 << 2,
                (false, false, _) => 0b0101 << 2,
            };
            attrs |= u64::from(has(Prot::READ)) << 6;
            // With DBM the bit is what hardware notes, and no attribute.
            attrs |= if has(Prot::WRITE) && !self.dirty { Self::WRITE_BIT } else { 0 };
            attrs |= if has(Prot::NOEXEC) { 1 << 54 } else { 0 };
        } else {
            attrs |= match (has(Prot::MMIO), has(Prot::CACHE)) {
                (true, _) => 2 << 2,
                (false, true) => 1 << 2,
                (false, false) => 0,
            };
            // AP[1] and nG always.
            attrs |= 1 << 6 | 1 << 11 | u64::from(self.non_secure) << 5;
            attrs |= if has(Prot::WRITE) { 0 } else { Self::WRITE_BIT };
            attrs |= if has(Prot::NOEXEC) { 1 << 53 | 1 << 54 } else { 0 };
        }
        Ok(attrs)
    }
    fn leaf(&self, level: u32, size_lg2: u32, oa: u64, n: u64, attrs: u64) -> u64 {
        let item_lg2 = self.shape().item_lg2(level);
        let kind = if level == 0 { 0b11 } else { 0b01 };
        let run = if size_lg2 > item_lg2 { Self::CONTIGUOUS } else { 0 };
        self.unwritten(kind | self.place(oa + (n << item_lg2)) | run | attrs)
    }
    fn table(&self, _level: u32, pa: u64) -> u64 {
        0b11 | self.place(pa) | u64::from(self.non_secure) << 63
    }
    fn dirty_bit(&self) -> Option<u64> {
        self.dirty.then_some(Self::WRITE_BIT)
    }
    fn written(&self, raw: u64) -> u64 {
        match (raw & Self::DBM != 0, self.stage_2) {
            (false, _) => raw,
            (true, false) => raw & !Self::WRITE_BIT,
            (true, true) => raw | Self::WRITE_BIT,
        }
    }
    fn unwritten(&self, raw: u64) -> u64 {
        match (raw & Self::DBM != 0, self.stage_2) {
            (false, _) => raw,
            (true, false) => raw | Self::WRITE_BIT,
            (true, true) => raw & !Self::WRITE_BIT,
        }
    }
    fn notes_writes(&self, attrs: u64) -> bool {
        attrs & Self::DBM != 0
    }
    fn starts_dirty(&self, attrs: u64) -> bool {
        self.notes_writes(attrs)
    }
    fn va_prefix(&self) -> u64 {
        if self.upper { u64::MAX } else { 0 }
    }
    fn writable(&self, attrs: u64) -> bool {
        attrs & Self::DBM != 0 || (attrs & Self::WRITE_BIT != 0) == self.stage_2
    }
    fn break_before_make(&self) -> bool {
        true
    }
    fn flush_done(&self) -> u64 {
        1 << 56
    }
}
