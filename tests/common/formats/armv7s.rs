//! ARMv7 short descriptors: the Architecture Reference Manual for ARMv7-A, B3.5.1, figures B3-4 and B3-5.

use super::{Decoded, HwFormat, Shape, X64, low};
use generic_pt::{Errno, Prot};

/// Level 1 is Arm's first-level table, level 0 the second-level table.
pub struct Armv7s {
    pub non_secure: bool,
}

/// Attributes as they are here, wherever an item has them: C B TEX\[2:0\] AP\[2:0\] S nG XN, the first at bit 0.
fn pack(fields: [(u32, u32); 7]) -> u64 {
    let mut shift = 0;
    fields.iter().fold(0, |packed, (value, width)| {
        let packed = packed | u64::from(*value) << shift;
        shift += width;
        packed
    })
}

fn bits(raw: u32, hi: u32, lo: u32) -> u32 {
    raw >> lo & low(hi - lo + 1) as u32
}

impl Armv7s {
    fn small(raw: u32) -> u64 {
        let access = bits(raw, 5, 4) | bits(raw, 9, 9) << 2;
        let (share, global) = (bits(raw, 10, 10), bits(raw, 11, 11));
        let (memory, tex, never) = (bits(raw, 3, 2), bits(raw, 8, 6), bits(raw, 0, 0));
        pack([(memory, 2), (tex, 3), (access, 3), (share, 1), (global, 1), (never, 1), (0, 0)])
    }
    fn large(raw: u32) -> u64 {
        let access = bits(raw, 5, 4) | bits(raw, 9, 9) << 2;
        let (share, global) = (bits(raw, 10, 10), bits(raw, 11, 11));
        let (memory, tex, never) = (bits(raw, 3, 2), bits(raw, 14, 12), bits(raw, 15, 15));
        pack([(memory, 2), (tex, 3), (access, 3), (share, 1), (global, 1), (never, 1), (0, 0)])
    }
    fn section(raw: u32) -> u64 {
        let access = bits(raw, 11, 10) | bits(raw, 15, 15) << 2;
        let (share, global) = (bits(raw, 16, 16), bits(raw, 17, 17));
        let (memory, tex, never) = (bits(raw, 3, 2), bits(raw, 14, 12), bits(raw, 4, 4));
        pack([(memory, 2), (tex, 3), (access, 3), (share, 1), (global, 1), (never, 1), (0, 0)])
    }
}

impl HwFormat for Armv7s {
    fn shape(&self) -> Shape {
        Shape { item_bytes_lg2: 2, index_lg2: [8, 12, 0, 0, 0, 0], max_level: 1, format_max_oa: 40, ..X64 }
    }
    fn decode(&self, level: u32, raw: u64) -> Decoded {
        let raw = raw as u32;
        let leaf = |size_lg2, oa: u64, attrs| Decoded::Leaf { size_lg2, oa, attrs, dirty: false };
        match (level, raw & 0b11) {
            (_, 0b00) => Decoded::Empty,
            (0, 0b01) => leaf(16, (raw & 0xffff_0000).into(), Self::large(raw)),
            (0, _) => leaf(12, (raw & 0xffff_f000).into(), Self::small(raw)),
            (_, 0b01) => Decoded::Table { pa: (raw & 0xffff_fc00).into() },
            (_, _) if (raw >> 19 & 1 == 1) != self.non_secure => Decoded::Empty,
            (_, _) if raw >> 18 & 1 == 0 => leaf(20, (raw & 0xfff0_0000).into(), Self::section(raw)),
            (_, _) => {
                let high = u64::from(bits(raw, 23, 20)) | u64::from(bits(raw, 8, 5)) << 4;
                leaf(24, u64::from(raw & 0xff00_0000) | high << 32, Self::section(raw))
            }
        }
    }
    fn sizes(&self, level: u32) -> u64 {
        if level == 0 { 1 << 12 | 1 << 16 } else { 1 << 20 | 1 << 24 }
    }
    fn sizes_for_oa(&self, sizes: u64, oa: u64) -> u64 {
        if oa < 1 << 32 { sizes } else { sizes & 1 << 24 }
    }
    fn attrs(&self, prot: Prot) -> Result<u64, Errno> {
        // TEX remap: device memory is TEX\[0\] C B = 001, non-cacheable 100, write-back 111.
        let (memory, tex) = match (prot.contains(Prot::MMIO), prot.contains(Prot::CACHE)) {
            (true, _) => (0b01, 0),
            (false, true) => (0b11, 1),
            (false, false) => (0b00, 1),
        };
        let access = if prot.contains(Prot::WRITE) { 0b011 } else { 0b111 };
        let never = u32::from(prot.contains(Prot::NOEXEC));
        Ok(pack([(memory, 2), (tex, 3), (access, 3), (1, 1), (1, 1), (never, 1), (0, 0)]))
    }
    fn leaf(&self, _level: u32, size_lg2: u32, oa: u64, _n: u64, attrs: u64) -> u64 {
        let take = |lo: u32, width: u32| attrs >> lo & low(width);
        let (memory, tex, access, read_only) = (take(0, 2), take(2, 3), take(5, 2), take(7, 1));
        let (share, global, never) = (take(8, 1), take(9, 1), take(10, 1));
        let page = memory << 2 | access << 4 | read_only << 9 | share << 10 | global << 11;
        let section = memory << 2
            | never << 4
            | access << 10
            | tex << 12
            | read_only << 15
            | share << 16
            | global << 17
            | u64::from(self.non_secure) << 19;
        match size_lg2 {
            12 => oa | page | tex << 6 | never | 0b10,
            16 => oa | page | tex << 12 | never << 15 | 0b01,
            20 => oa | section | 0b10,
            _ => oa & 0xff00_0000 | (oa >> 32 & 0xf) << 20 | (oa >> 36) << 5 | section | 1 << 18 | 0b10,
        }
    }
    fn table(&self, _level: u32, pa: u64) -> u64 {
        pa | 0b01 | u64::from(self.non_secure) << 3
    }
    fn writable(&self, attrs: u64) -> bool {
        attrs & 1 << 7 == 0
    }
    fn break_before_make(&self) -> bool {
        true
    }
}
