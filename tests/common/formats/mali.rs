//! ARM Mali in its LPAE mode, from what public drivers of the hardware agree on.

use super::{Decoded, HwFormat, Shape, X64, field, low};
use generic_pt::{Errno, Prot};

/// Four levels, whatever the VA width.
pub struct MaliLpae;

impl HwFormat for MaliLpae {
    fn shape(&self) -> Shape {
        Shape { max_level: 3, format_max_oa: 40, ..X64 }
    }
    fn decode(&self, level: u32, raw: u64) -> Decoded {
        let address = raw & field(39, 12);
        match raw & 0b11 {
            3 if level > 0 => Decoded::Table { pa: address },
            1 if level < 3 => {
                let size_lg2 = self.shape().item_lg2(level);
                let attrs = raw & !(0b11 | field(39, 12));
                Decoded::Leaf { size_lg2, oa: address & !low(size_lg2), attrs, dirty: false }
            }
            _ => Decoded::Empty,
        }
    }
    fn sizes(&self, level: u32) -> u64 {
        [1 << 12, 1 << 21, 1 << 30].get(level as usize).copied().unwrap_or(0)
    }
    fn attrs(&self, prot: Prot) -> Result<u64, Errno> {
        let has = |flag| u64::from(prot.contains(flag));
        let index = if prot.contains(Prot::MMIO) { 2 } else { has(Prot::CACHE) };
        let access = has(Prot::READ) << 6 | has(Prot::WRITE) << 7;
        Ok((index << 2) | access | (0b10 << 8) | (has(Prot::NOEXEC) * (0b11 << 53)))
    }
    fn leaf(&self, _level: u32, _size_lg2: u32, oa: u64, _n: u64, attrs: u64) -> u64 {
        oa | attrs | 1
    }
    fn table(&self, _level: u32, pa: u64) -> u64 {
        pa | 3
    }
    fn writable(&self, attrs: u64) -> bool {
        attrs & 1 << 7 != 0
    }
    fn break_before_make(&self) -> bool {
        true
    }
}
