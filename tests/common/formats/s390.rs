//! s390 zPCI: region, segment and page tables of the z/Architecture. (Bit numbers count from the lowest here.)

use super::{Decoded, HwFormat, Shape, X64, field, low};
use generic_pt::{Errno, Prot};

pub struct S390;

impl S390 {
    const INVALID_PAGE: u64 = 0x400;
    const INVALID_TABLE: u64 = 0x20;
    const PROTECTED: u64 = 0x200;

    /// The bits of an origin below which a table of `level` is aligned.
    fn origin_lg2(level: u32) -> u32 {
        if level == 0 { 11 } else { 14 }
    }
}

impl HwFormat for S390 {
    fn shape(&self) -> Shape {
        Shape { big_endian: true, index_lg2: [8, 11, 11, 11, 11, 0], max_level: 4, format_max_oa: 64, ..X64 }
    }
    fn decode(&self, level: u32, raw: u64) -> Decoded {
        if level == 0 {
            let oa = raw & field(63, 12);
            // Bits that have to be zero.
            let is_empty = raw & (Self::INVALID_PAGE | 0x800) != 0;
            let leaf = Decoded::Leaf { size_lg2: 12, oa, attrs: raw & low(12), dirty: false };
            return if is_empty { Decoded::Empty } else { leaf };
        }
        if raw & Self::INVALID_TABLE != 0 {
            return Decoded::Empty;
        }
        let origin_lg2 = Self::origin_lg2(level - 1);
        let is_ours = raw >> 2 & 3 == u64::from(level - 1) && (level == 1 || raw & 0xc3 == 3);
        let large_page = raw & 0x400 != 0;
        if is_ours && !large_page { Decoded::Table { pa: raw & !low(origin_lg2) } } else { Decoded::Empty }
    }
    fn sizes(&self, level: u32) -> u64 {
        if level == 0 { 1 << 12 } else { 0 }
    }
    fn attrs(&self, prot: Prot) -> Result<u64, Errno> {
        Ok(if prot.contains(Prot::WRITE) { 0 } else { Self::PROTECTED })
    }
    fn leaf(&self, _level: u32, _size_lg2: u32, oa: u64, _n: u64, attrs: u64) -> u64 {
        oa | attrs
    }
    fn table(&self, level: u32, pa: u64) -> u64 {
        // From segment tables: the origin only. From region tables also that the table is whole.
        pa | u64::from(level - 1) << 2 | if level == 1 { 0 } else { 3 }
    }
    fn empty(&self, level: u32) -> u64 {
        if level == 0 { Self::INVALID_PAGE } else { Self::INVALID_TABLE }
    }
    fn writable(&self, attrs: u64) -> bool {
        attrs & Self::PROTECTED == 0
    }
}
