//! ARM Mali, LPAE mode.

crate::define_pt_format!(
    /// Page tables of ARM Mali GPUs in the mode that is like LPAE: Midgard, and Bifrost in its legacy mode. Arm publishes no
    /// manual; the facts are those that public drivers of the hardware agree on.
    ///
    /// Tables are those of ARMv8 with a granule of 4 KiB, without runs, with these differences: a leaf is of type 1 at every
    /// level, also at the lowest; the permissions are those of stage 2 (bit 6 to read, bit 7 to write), though memory types are
    /// indices, as in stage 1; there is no access flag and nothing is global or not. Arm's level 3 is level 0 here. Leaves are
    /// outer shareable.
    ///
    /// MEMATTR has 0x88 for index 0 (neither CACHE nor MMIO) and 2 (MMIO), which the GPU does not cache beyond itself, and 0x8d
    /// for index 1 (CACHE). GPUs that are Bifrost or newer can also have tables of [`armv8_4k`](crate::fmt::armv8_4k).
    ///
    /// Without `COHERENT` table memory has to be of a kind that the GPU sees without cache maintenance: no bits for software are
    /// known, so there is no `DMA_INCOHERENT`.
    ///
    /// # Configuration
    ///
    /// There are always four levels, however few VA bits the GPU has; of a narrow one only the first item of the top is used. VA
    /// have up to 48 bits, OA and tables up to 40.
    ///
    /// # Foreign items
    ///
    /// Type 2; leaves above 1 GiB; table pointers with any bit but type and address; tables at level 0.
    ///
    /// # Protections
    ///
    /// READ and WRITE are separate bits. NOEXEC sets both XN bits; CACHE and MMIO choose the index into MEMATTR, as above.
    pub mod mali_lpae {
        type Item = u64;
        const GEOMETRY: Geometry = Geometry {
            granule_lg2: 12,
            table_lg2: Tables::Uniform(12),
            max_va_lg2: 48,
            max_oa_lg2: 40,
            max_top_level: 3,
            leaf_levels: 0..=2,
            top_pa_mask: 0x0000_00ff_ffff_f000,
        };
        const QUIRKS: Quirks =
            Quirks { min_top_level: 3, table_pa_lg2: 40, break_before_make: true, deep_top: true, ..Quirks::NONE };
        enum Feature {
            /// The GPU snoops CPU caches: for its walks, too.
            COHERENT,
        }
        const SUPPORTED: Features = FLUSH_RANGE | FLUSH_RANGE_NO_GAPS | DETAILED_GATHER | COHERENT;
        enum Bits {
            /// 0 empty, 1 a leaf, 3 a table.
            TYPE = bits(0, 1),
            /// Index into MEMATTR.
            ATTR_INDX = bits(2, 4).in_leaves(),
            /// Reading is allowed.
            R = bit(6).in_leaves(),
            /// Writing is allowed.
            W = bit(7).in_leaves(),
            /// Shareability: 2 is outer.
            SH = bits(8, 9).in_leaves(),
            /// Output address, or the table's.
            OA = address(12, 39),
            /// Execute never: both bits.
            XN = bits(53, 54).in_leaves(),
        }

        /// Configuration: the widths say everything.
        pub struct Config {}

        /// For the registers of an address space.
        pub struct HwInfo {
            /// AS_TRANSTAB: root, table mode (3), read inner (4), and with `COHERENT` share outer (16).
            pub transtab: u64,
            /// AS_MEMATTR.
            pub memattr: u64,
        }

        const LEAF: u64 = 1;
        const TABLE: u64 = 3;
        const OUTER_SHAREABLE: u64 = 2;
        const MEMATTR: u64 = 0x0088_8d88;
        const TABLE_MODE: u64 = 3;
        const READ_INNER: u64 = 1 << 2;
        const SHARE_OUTER: u64 = 1 << 4;

        /// For the test suite: all, and VA of less than an item of the top covers.
        pub const TEST_CONFIGS: &[TestConfig<Format>] = &[
            TestConfig::new("vasz48", Config {}),
            TestConfig::new("vasz40_oasz36", Config {}).va_lg2(40).oa_lg2(36),
            TestConfig::new("vasz33", Config {}).va_lg2(33).without(COHERENT),
        ];

        impl PtFormat for Format {
            #[inline(always)]
            fn kind(_: &Common<Self>, level: u32, raw: u64) -> Kind {
                // In one comparison, with all that is foreign in a table pointer.
                if level > 0 && raw & !OA.mask() == TABLE {
                    Kind::Table
                } else if level <= 2 && TYPE.get(raw) == LEAF {
                    Kind::Leaf
                } else if TYPE.get(raw) == 0 {
                    Kind::Empty
                } else {
                    Kind::Foreign
                }
            }
            #[inline(always)]
            fn table_item(_: &Common<Self>, _: u32, table_pa: u64) -> u64 {
                TYPE.put(TABLE) | OA.put(table_pa)
            }
            #[inline(always)]
            fn table_pa(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                OA.get(raw)
            }
            #[inline(always)]
            fn leaf_item(_: &Common<Self>, leaf: LeafRequest<u64>) -> u64 {
                TYPE.put(LEAF) | OA.put(leaf.oa) | leaf.attrs
            }
            #[inline(always)]
            fn attrs(_: &Common<Self>, prot: Prot) -> Result<u64, Error> {
                let memory = match (prot.contains(Prot::MMIO), prot.contains(Prot::CACHE)) {
                    (true, _) => 2,
                    (false, cached) => u64::from(cached),
                };
                let access = R.when(prot.contains(Prot::READ)) | W.when(prot.contains(Prot::WRITE));
                let never = XN.when(prot.contains(Prot::NOEXEC));
                Ok(ATTR_INDX.put(memory) | access | SH.put(OUTER_SHAREABLE) | never)
            }
            #[inline(always)]
            fn attrs_of(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                raw & (ATTR_INDX.mask() | R.mask() | W.mask() | SH.mask() | XN.mask())
            }
            #[inline(always)]
            fn nonempty_bits(_: &Common<Self>, _: u32) -> u64 {
                TYPE.mask()
            }
            fn access(_: &Common<Self>, _: u32, raw: u64) -> Access {
                let access = Access::READ.when(R.is_set(raw)) | Access::WRITE.when(W.is_set(raw));
                (access | Access::EXECUTE.when(XN.get(raw) & 0b10 == 0)).for_all()
            }
            fn init(config: &TableConfig<Config>) -> Result<Limits, Error> {
                let (max_va_lg2, max_oa_lg2) = (config.hw_max_vasz_lg2, config.hw_max_oasz_lg2.min(40));
                Error::check_range("hw_max_vasz_lg2", max_va_lg2, 13..=48, Errno::EINVAL)?;
                Ok(Limits { top_level: 3, max_va_lg2, max_oa_lg2 })
            }
            fn hw_info(common: &Common<Self>, top: Top) -> HwInfo {
                let coherent = if common.has(COHERENT) { SHARE_OUTER } else { 0 };
                HwInfo { transtab: top.pa | TABLE_MODE | READ_INNER | coherent, memattr: MEMATTR }
            }
        }

        impl ItemOa for Format {
            #[inline(always)]
            fn item_oa(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                OA.get(raw)
            }
        }
    }
);

#[cfg(test)]
mod tests {
    use super::mali_lpae::*;
    use crate::fmt::golden::*;
    use crate::format::{Kind, PtFormat, Top};
    use crate::{Features, Prot};

    /// Type 1 at every level; index from bit 2; read bit 6, write bit 7; outer shareable, 0x200; bits 54 and 53.
    #[test]
    fn golden_items() {
        let common = common::<Format>(Features::empty(), Config::default());
        for golden in [
            leaf(0, 12, 0x1234_5000, READ_WRITE | Prot::CACHE, 0x1234_52c5),
            leaf(0, 12, 0x1234_5000, READ, 0x1234_5241),
            leaf(0, 12, 0x1234_5000, Prot::WRITE | Prot::NOEXEC, 0x0060_0000_1234_5281),
            leaf(0, 12, 0x1234_5000, READ_WRITE | Prot::MMIO, 0x1234_52c9),
            leaf(1, 21, 0x4020_0000, READ_WRITE | Prot::CACHE, 0x4020_02c5),
            leaf(2, 30, 0xff_c000_0000, READ_WRITE | Prot::CACHE, 0x00ff_c000_02c5),
        ] {
            check_leaf(&common, &golden);
        }
        check_table(&common, 3, 0xabc_d000, 0xabc_d003);
    }

    #[test]
    fn kinds() {
        let common = common::<Format>(Features::empty(), Config::default());
        for level in 0..=3 {
            check_kind(&common, level, Kind::Empty, &[0, 0xffff_ffff_ffff_fffc]);
            check_kind(&common, level, Kind::Foreign, &[0x1234_5002, 0x8000_0000_1234_5003, 0x0100_1234_5003]);
        }
        check_kind(&common, 0, Kind::Foreign, &[0x1234_5003]);
        check_kind(&common, 3, Kind::Foreign, &[0x1234_5001]);
    }

    /// Table mode 3 and read inner; share outer if coherent. Indices 0, 1 and 2 are 0x88, 0x8d and 0x88.
    #[test]
    fn registers() {
        let top = Top { pa: 0x1234_5000, level: 3 };
        let plain = common::<Format>(Features::empty(), Config::default());
        assert_eq!(Format::hw_info(&plain, top), HwInfo { transtab: 0x1234_5007, memattr: 0x0088_8d88 });
        let coherent = common::<Format>(COHERENT, Config::default());
        assert_eq!(Format::hw_info(&coherent, top).transtab, 0x1234_5017);
    }
}
