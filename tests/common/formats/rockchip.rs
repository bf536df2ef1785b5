//! The Rockchip IOMMU, version 2.

use super::{Decoded, HwFormat, Shape, X64, field};
use generic_pt::{Errno, Prot};

pub struct RockchipV2;

impl RockchipV2 {
    const VALID: u64 = 1;

    /// The 40 address bits from 12 on: the lowest 20 in place, then four each from bit 8 and bit 4 on.
    fn address(raw: u64) -> u64 {
        raw & field(31, 12) | (raw >> 8 & 0xf) << 32 | (raw >> 4 & 0xf) << 36
    }
    fn place(address: u64) -> u64 {
        address & field(31, 12) | (address >> 32 & 0xf) << 8 | (address >> 36 & 0xf) << 4
    }
}

impl HwFormat for RockchipV2 {
    fn shape(&self) -> Shape {
        Shape { item_bytes_lg2: 2, index_lg2: [10; 6], max_level: 1, format_max_oa: 40, ..X64 }
    }
    fn decode(&self, level: u32, raw: u64) -> Decoded {
        let address = Self::address(raw);
        match level {
            _ if raw & Self::VALID == 0 => Decoded::Empty,
            0 => Decoded::Leaf { size_lg2: 12, oa: address, attrs: raw & 0b1110, dirty: false },
            _ => Decoded::Table { pa: address },
        }
    }
    fn sizes(&self, level: u32) -> u64 {
        if level == 0 { 1 << 12 } else { 0 }
    }
    fn attrs(&self, prot: Prot) -> Result<u64, Errno> {
        Ok(u64::from(prot.contains(Prot::READ)) << 1 | u64::from(prot.contains(Prot::WRITE)) << 2)
    }
    fn leaf(&self, _level: u32, _size_lg2: u32, oa: u64, _n: u64, attrs: u64) -> u64 {
        Self::VALID | Self::place(oa) | attrs
    }
    fn table(&self, _level: u32, pa: u64) -> u64 {
        Self::VALID | Self::place(pa)
    }
    fn writable(&self, attrs: u64) -> bool {
        attrs & 0b100 != 0
    }
}
