//! Apple DART, both versions, from what public drivers of the hardware agree on.

use super::{Decoded, HwFormat, Shape, X64, field, low};
use generic_pt::{Errno, Prot};

/// Tables of one version and one granule.
pub struct Dart {
    pub version: u32,
    pub granule_lg2: u32,
}

impl Dart {
    /// The bits that forbid writing and reading, and the one that forbids caching.
    fn no_write_read_cache(&self) -> [u64; 3] {
        if self.version == 1 { [1 << 7, 1 << 8, 0] } else { [1 << 2, 1 << 3, 1 << 1] }
    }
    fn address(&self, raw: u64) -> u64 {
        if self.version == 1 { raw & field(35, 12) } else { (raw & field(37, 10)) << 4 }
    }
    fn place(&self, address: u64) -> u64 {
        if self.version == 1 { address } else { address >> 4 }
    }
}

impl HwFormat for Dart {
    fn shape(&self) -> Shape {
        let format_max_oa = if self.version == 1 { 36 } else { 42 };
        let index_lg2 = [self.granule_lg2 - 3; 6];
        Shape { granule_lg2: self.granule_lg2, index_lg2, max_level: 2, format_max_oa, ..X64 }
    }
    fn decode(&self, level: u32, raw: u64) -> Decoded {
        if raw & 1 == 0 {
            return Decoded::Empty;
        }
        let address = self.address(raw);
        if level > 0 {
            return Decoded::Table { pa: address };
        }
        // A page of which only a part can be used would not be what was mapped.
        let whole_page = raw >> 40 == 0x000fff;
        let protected = self.version == 1 && raw & 0b10 == 0;
        if !whole_page || protected {
            return Decoded::Empty;
        }
        let attrs = raw & self.no_write_read_cache().iter().sum::<u64>();
        Decoded::Leaf { size_lg2: self.granule_lg2, oa: address & !low(self.granule_lg2), attrs, dirty: false }
    }
    fn sizes(&self, level: u32) -> u64 {
        if level == 0 { 1 << self.granule_lg2 } else { 0 }
    }
    fn attrs(&self, prot: Prot) -> Result<u64, Errno> {
        let flags = [Prot::WRITE, Prot::READ, Prot::CACHE];
        let forbidden = self.no_write_read_cache().into_iter().zip(flags).filter(|(_, flag)| !prot.contains(*flag));
        Ok(forbidden.map(|(bit, _)| bit).sum())
    }
    fn leaf(&self, _level: u32, _size_lg2: u32, oa: u64, _n: u64, attrs: u64) -> u64 {
        let no_parts = if self.version == 1 { 0b10 } else { 0 };
        0xfff << 40 | self.place(oa) | attrs | no_parts | 1
    }
    fn table(&self, _level: u32, pa: u64) -> u64 {
        self.place(pa) | 1
    }
    fn writable(&self, attrs: u64) -> bool {
        attrs & self.no_write_read_cache()[0] == 0
    }
}
