//! x86 PAE paging: Intel SDM volume 3A, section "PAE paging".

use super::{Decoded, HwFormat, Shape, X64, field, low};
use generic_pt::{Errno, Prot};

pub struct Pae {
    /// `IA32_EFER.NXE`.
    pub execute_disable: bool,
}

impl Pae {
    const D: u64 = 1 << 6;
    const PS: u64 = 1 << 7;
    const XD: u64 = 1 << 63;
}

impl HwFormat for Pae {
    fn shape(&self) -> Shape {
        Shape { max_level: 2, ..X64 }
    }
    fn decode(&self, level: u32, raw: u64) -> Decoded {
        // A page fault, or (for PDPTEs) a general protection fault when CR3 is loaded.
        let reserved = match level {
            2 => field(2, 1) | field(8, 5) | field(63, 52),
            _ if self.execute_disable => field(62, 52),
            _ => field(63, 52),
        };
        if raw & 1 == 0 || raw & reserved != 0 {
            return Decoded::Empty;
        }
        let address = raw & field(51, 12);
        if level == 2 || level == 1 && raw & Self::PS == 0 {
            return Decoded::Table { pa: address };
        }
        let size_lg2 = self.shape().item_lg2(level);
        if level == 1 && address & low(21) & !(1 << 12) != 0 {
            return Decoded::Empty;
        }
        let structure = 1 | Self::D | if level == 1 { Self::PS } else { 0 };
        Decoded::Leaf {
            size_lg2,
            oa: address & !low(size_lg2),
            attrs: raw & !(structure | field(51, 12)),
            dirty: raw & Self::D != 0,
        }
    }
    fn sizes(&self, level: u32) -> u64 {
        [1 << 12, 1 << 21].get(level as usize).copied().unwrap_or(0)
    }
    fn attrs(&self, prot: Prot) -> Result<u64, Errno> {
        let write = if prot.contains(Prot::WRITE) { 1 << 1 } else { 0 };
        let execute = if self.execute_disable && prot.contains(Prot::NOEXEC) { Self::XD } else { 0 };
        Ok(1 << 2 | 1 << 5 | write | execute)
    }
    fn leaf(&self, level: u32, _size_lg2: u32, oa: u64, _n: u64, attrs: u64) -> u64 {
        1 | oa | attrs | if level > 0 { Self::PS } else { 0 }
    }
    fn table(&self, level: u32, pa: u64) -> u64 {
        // P; and R/W, U/S and A where there are such bits.
        pa | if level == 2 { 1 } else { 0x27 }
    }
    fn dirty_bit(&self) -> Option<u64> {
        Some(Self::D)
    }
    fn starts_dirty(&self, attrs: u64) -> bool {
        self.writable(attrs)
    }
    fn writable(&self, attrs: u64) -> bool {
        attrs & 1 << 1 != 0
    }
}
