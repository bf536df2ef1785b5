//! Rockchip IOMMU, version 2.

crate::define_pt_format!(
    /// Page tables of the Rockchip IOMMU, version 2: the MMU chapters of the Rockchip RK356x and RK3588 reference manuals.
    ///
    /// Drives the IOMMUs of these chips' display, video and camera blocks. Levels 0 and 1 are the page table and the directory
    /// table, of 1024 items of 4 bytes each. Addresses have 40 bits, in three pieces. Pages are 4 KiB. Version 1, with 32 address
    /// bits and other flags, is another format.
    ///
    /// Reading and writing are separate; execution, caching and dirty tracking there are none. In pointers only the address and
    /// the valid bit are set; with others they are foreign.
    ///
    /// # Protections
    ///
    /// READ and WRITE are separate bits. CACHE, MMIO and NOEXEC are ignored.
    pub mod rockchip_v2 {
        type Item = u32;
        const GEOMETRY: Geometry = Geometry {
            granule_lg2: 12,
            table_lg2: Tables::Uniform(12),
            max_va_lg2: 32,
            max_oa_lg2: 40,
            max_top_level: 1,
            leaf_levels: 0..=0,
            top_pa_mask: lg2::bit_range_mask(12, 39),
        };
        const QUIRKS: Quirks = Quirks { table_pa_lg2: 40, min_top_level: 1, ..Quirks::NONE };
        const SUPPORTED: Features = FLUSH_RANGE | FLUSH_RANGE_NO_GAPS;
        enum Bits {
            /// Valid.
            V = bit(0),
            /// Read.
            R = bit(1).in_leaves(),
            /// Write.
            W = bit(2).in_leaves(),
            /// Security; never set here.
            SEC = bit(3).in_leaves(),
            /// The page, or the page table: the address bits 32 to 35 are bits 8 to 11, 36 to 39 are bits 4 to 7.
            OA = address(12, 31).and(8, 11, 32).and(4, 7, 36),
        }

        /// Configuration: none.
        pub struct Config {}

        /// For the register of the directory table.
        pub struct HwInfo {
            /// The address of the top, in the pieces of an item.
            pub dte_addr: u32,
        }

        /// For the test suite: all address bits, and fewer.
        pub const TEST_CONFIGS: &[TestConfig<Format>] =
            &[TestConfig::new("oasz40", Config {}), TestConfig::new("oasz34", Config {}).oa_lg2(34)];

        impl PtFormat for Format {
            #[inline(always)]
            fn kind(_: &Common<Self>, level: u32, raw: u32) -> Kind {
                if !V.is_set(raw) {
                    Kind::Empty
                } else if level == 0 {
                    Kind::Leaf
                } else if raw & !OA.mask() == V.mask() {
                    Kind::Table
                } else {
                    Kind::Foreign
                }
            }
            #[inline(always)]
            fn table_item(_: &Common<Self>, _: u32, table_pa: u64) -> u32 {
                V.mask() | OA.put(table_pa)
            }
            #[inline(always)]
            fn table_pa(_: &Common<Self>, _: u32, raw: u32) -> u64 {
                OA.get(raw)
            }
            #[inline(always)]
            fn leaf_item(_: &Common<Self>, leaf: LeafRequest<u32>) -> u32 {
                V.mask() | OA.put(leaf.oa) | leaf.attrs
            }
            #[inline(always)]
            fn attrs(_: &Common<Self>, prot: Prot) -> Result<u32, Error> {
                Ok(R.when(prot.contains(Prot::READ)) | W.when(prot.contains(Prot::WRITE)))
            }
            #[inline(always)]
            fn attrs_of(_: &Common<Self>, _: u32, raw: u32) -> u32 {
                raw & (R.mask() | W.mask() | SEC.mask())
            }
            #[inline(always)]
            fn nonempty_bits(_: &Common<Self>, _: u32) -> u32 {
                V.mask()
            }
            fn access(_: &Common<Self>, _: u32, raw: u32) -> Access {
                let access = Access::READ.when(R.is_set(raw)) | Access::WRITE.when(W.is_set(raw));
                (access | Access::EXECUTE).for_all()
            }
            fn init(config: &TableConfig<Config>) -> Result<Limits, Error> {
                Error::check_range("hw_max_vasz_lg2", config.hw_max_vasz_lg2, 32..=32, Errno::EINVAL)?;
                Ok(Limits { top_level: 1, max_va_lg2: 32, max_oa_lg2: config.hw_max_oasz_lg2.min(40) })
            }
            fn hw_info(_: &Common<Self>, top: Top) -> HwInfo {
                HwInfo { dte_addr: OA.put(top.pa) }
            }
        }

        impl ItemOa for Format {
            #[inline(always)]
            fn item_oa(_: &Common<Self>, _: u32, raw: u32) -> u64 {
                OA.get(raw)
            }
        }
    }
);

#[cfg(test)]
mod tests {
    use super::rockchip_v2::*;
    use crate::Prot;
    use crate::fmt::golden::*;
    use crate::format::{Kind, PtFormat, Top};

    /// V, R and W are bits 0 to 2. Of the address 0xab_1234_5000 the b is at bit 8, the a at bit 4.
    #[test]
    fn golden_items() {
        let common = common::<Format>(SUPPORTED, Config {});
        check_leaf(&common, &leaf(0, 12, 0xab_1234_5000, READ_WRITE, 0x1234_5ba7));
        check_leaf(&common, &leaf(0, 12, 0xab_1234_5000, READ, 0x1234_5ba3));
        check_leaf(&common, &leaf(0, 12, 0x10_8000_0000, Prot::WRITE, 0x8000_0015));
        check_leaf(&common, &leaf(0, 12, 0xff_ffff_f000, READ_WRITE, 0xffff_fff7));
        check_table(&common, 1, 0xcd_0abc_d000, 0x0abc_ddc1);
    }

    /// A pointer has nothing but an address.
    #[test]
    fn foreign_items() {
        let common = common::<Format>(SUPPORTED, Config {});
        check_kind(&common, 1, Kind::Foreign, &[0x0abc_ddc3, 0x0abc_ddc5, 0x0abc_ddc9]);
        check_kind(&common, 1, Kind::Empty, &[0, 0xffff_fffe]);
    }

    /// The register has the top's address as an item has it.
    #[test]
    fn hardware_information() {
        let common = common::<Format>(SUPPORTED, Config {});
        let top = Top { pa: 0xab_1234_5000, level: 1 };
        assert_eq!(Format::hw_info(&common, top), HwInfo { dte_addr: 0x1234_5ba0 });
    }
}
