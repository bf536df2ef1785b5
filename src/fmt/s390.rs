//! s390 zPCI.

crate::define_pt_format!(
    /// s390 I/O page tables of zPCI: z/Architecture Principles of Operation, chapter 3, dynamic address translation (region,
    /// segment and page tables), as PCI functions use it through the I/O translation anchor (IOTA).
    ///
    /// That manual describes the tables for CPUs. How PCI functions use them (the IOTA, which tables there are) is not
    /// published; those facts are what public software for the hardware says.
    ///
    /// Drives the translation of PCI functions of IBM Z. Items are big-endian. Levels 0 to 4 are the manual's page, segment,
    /// region-third, region-second and region-first tables: 256 items (2 KiB) at level 0, 2048 items (16 KiB) above. With a
    /// region-first table all 64 VA bits are decoded. Pages are 4 KiB; the larger ones that CPUs have
    /// are left out: that PCI functions could use them is not known.
    ///
    /// Items are valid unless they say the opposite: an empty item is 0x400 in a page table and 0x20 elsewhere, and zero is
    /// a page or a pointer. The only permission there is is to write, and what is mapped can be read. There is neither dirty
    /// tracking nor a memory type.
    ///
    /// A pointer says the type of the table it is in, and that the lower table is whole. Pointers that say something else (or
    /// map a large page) are foreign.
    ///
    /// # Protections
    ///
    /// Without WRITE the page is protected. CACHE, MMIO and NOEXEC are ignored.
    pub mod s390 {
        type Item = u64;
        const GEOMETRY: Geometry = Geometry {
            granule_lg2: 12,
            table_lg2: Tables::PerLevel([11, 14, 14, 14, 14, 14]),
            max_va_lg2: 64,
            max_oa_lg2: 64,
            max_top_level: 4,
            leaf_levels: 0..=0,
            top_pa_mask: lg2::bit_range_mask(14, 63),
        };
        const QUIRKS: Quirks = Quirks { endian: Endian::Big, min_top_level: 1, ..Quirks::NONE };
        const SUPPORTED: Features = FULL_VA | FLUSH_RANGE | FLUSH_RANGE_NO_GAPS;
        enum Bits {
            /// Length of the lower table, from region tables: 3, it is whole.
            LENGTH = bits(0, 1).at_levels(2..=4).in_tables(),
            /// Type of the table that the item is in: 0 segment, 1 region-third, 2 region-second, 3 region-first table.
            TYPE = bits(2, 3).at_levels(1..=4).in_tables(),
            /// Invalid, in region and segment tables.
            I_TABLE = bit(5).at_levels(1..=4),
            /// Offset of the lower table, from region tables: 0, it is whole.
            OFFSET = bits(6, 7).at_levels(2..=4).in_tables(),
            /// Protected: no writes.
            PROTECT = bit(9).or_below(),
            /// Invalid, in page tables.
            I_PAGE = bit(10).at_levels(0..=0),
            /// A large page, in CPUs' tables; never set here.
            FC = bit(10).at_levels(1..=2),
            /// Page table origin.
            PAGE_TABLE = address(11, 63).at_levels(1..=1).in_tables(),
            /// Origin of a segment table or region table.
            TABLE = address(14, 63).at_levels(2..=4).in_tables(),
            /// Page frame.
            OA = address(12, 63).in_leaves(),
        }

        /// Configuration.
        pub struct Config {
            /// 1 (segment table, 31 VA bits) to 4 (region-first table, 64 VA bits).
            pub top_level: u32,
        }

        /// For the registration of the address translation parameters.
        pub struct HwInfo {
            /// The I/O translation anchor: the top's origin, enabled, with its type; storage key 0.
            pub iota: u64,
        }

        const WHOLE: u64 = 3;
        /// The anchor is in use.
        const IOTA_ENABLED: u64 = 1 << 11;

        /// For the test suite: every top.
        pub const TEST_CONFIGS: &[TestConfig<Format>] = &[
            TestConfig::new("segment_31", Config { top_level: 1 }).va_lg2(31).without(FULL_VA),
            TestConfig::new("region_third_42", Config { top_level: 2 }).va_lg2(42).oa_lg2(44).without(FULL_VA),
            TestConfig::new("region_second_53", Config { top_level: 3 }).va_lg2(53).without(FULL_VA),
            TestConfig::new("region_first_64", Config { top_level: 4 }),
        ];

        impl PtFormat for Format {
            const SECTIONS: &'static [(SpecRule, &'static str)] = &[(
                SpecRule::Levels,
                "z/Architecture Principles of Operation, chapter 6, \"Translation-specification exception\"",
            )];
            #[inline(always)]
            fn kind(_: &Common<Self>, level: u32, raw: u64) -> Kind {
                // Below the origin: all but protection.
                let others = lg2::low_mask(if level == 1 { 11 } else { 14 }) & !PROTECT.mask();
                if level == 0 {
                    if I_PAGE.is_set(raw) { Kind::Empty } else { Kind::Leaf }
                } else if I_TABLE.is_set(raw) {
                    Kind::Empty
                } else if raw & others == pointer_bits(level) {
                    Kind::Table
                } else {
                    Kind::Foreign
                }
            }
            #[inline(always)]
            fn table_item(_: &Common<Self>, level: u32, table_pa: u64) -> u64 {
                PAGE_TABLE.put(table_pa) | pointer_bits(level)
            }
            #[inline(always)]
            fn table_pa(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                // The bits 11 to 13 of region table items are zero, or they are foreign.
                PAGE_TABLE.get(raw)
            }
            #[inline(always)]
            fn leaf_item(_: &Common<Self>, leaf: LeafRequest<u64>) -> u64 {
                OA.put(leaf.oa) | leaf.attrs
            }
            #[inline(always)]
            fn attrs(_: &Common<Self>, prot: Prot) -> Result<u64, Error> {
                Ok(PROTECT.when(!prot.contains(Prot::WRITE)))
            }
            #[inline(always)]
            fn attrs_of(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                raw & PROTECT.mask()
            }
            #[inline(always)]
            fn empty_item(_: &Common<Self>, level: u32) -> u64 {
                if level == 0 { I_PAGE.mask() } else { I_TABLE.mask() }
            }
            #[inline(always)]
            fn nonempty_bits(common: &Common<Self>, level: u32) -> u64 {
                Self::empty_item(common, level)
            }
            fn access(_: &Common<Self>, _: u32, raw: u64) -> Access {
                Access::all().difference(Access::WRITE.for_all().when(PROTECT.is_set(raw)))
            }
            fn init(config: &TableConfig<Config>) -> Result<Limits, Error> {
                let top_level = config.format.top_level;
                Error::check_range("top_level", top_level, 1..=4, Errno::EINVAL)?;
                Ok(Limits { top_level, max_va_lg2: config.hw_max_vasz_lg2, max_oa_lg2: config.hw_max_oasz_lg2.min(64) })
            }
            fn hw_info(_: &Common<Self>, top: Top) -> HwInfo {
                HwInfo { iota: top.pa | IOTA_ENABLED | TYPE.put(u64::from(top.level).saturating_sub(1)) }
            }
        }

        impl ItemOa for Format {
            #[inline(always)]
            fn item_oa(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                OA.get(raw)
            }
        }

        /// What a pointer of `level` holds beside the origin.
        #[inline(always)]
        fn pointer_bits(level: u32) -> u64 {
            TYPE.put(u64::from(level).saturating_sub(1)) | if level > 1 { LENGTH.put(WHOLE) } else { 0 }
        }
    }
);

#[cfg(test)]
mod tests {
    use super::s390::*;
    use crate::fmt::golden::*;
    use crate::format::{Common, Description, Endian, Kind, PtFormat, Top};

    fn table() -> Common<Format> {
        common(SUPPORTED, Config { top_level: 4 })
    }

    /// An address and 0x200 without WRITE.
    #[test]
    fn golden_items() {
        check_leaf(&table(), &leaf(0, 12, 0x1234_5000, READ_WRITE, 0x1234_5000));
        check_leaf(&table(), &leaf(0, 12, 0x1234_5000, READ, 0x1234_5200));
        check_leaf(&table(), &leaf(0, 12, 0xffff_ffff_ffff_f000, READ_WRITE, 0xffff_ffff_ffff_f000));
        check_leaf(&table(), &leaf(0, 12, 0, READ_WRITE, 0));
        // Page tables have 2 KiB. The type is one less than the level, at bit 2; 3 in the lowest bits is the length.
        check_table(&table(), 1, 0x1234_5800, 0x1234_5800);
        check_table(&table(), 2, 0x1234_4000, 0x1234_4007);
        check_table(&table(), 3, 0x1234_4000, 0x1234_400b);
        check_table(&table(), 4, 0xffff_ffff_ffff_c000, 0xffff_ffff_ffff_c00f);
        assert_eq!(Format::QUIRKS.endian, Endian::Big);
    }

    #[test]
    fn golden_empty_items() {
        assert_eq!(Format::empty_item(&table(), 0), 0x400);
        check_kind(&table(), 0, Kind::Empty, &[0x400, 0x1234_5600]);
        for level in 1..=4 {
            assert_eq!(Format::empty_item(&table(), level), 0x20);
            check_kind(&table(), level, Kind::Empty, &[0x20, 0x1234_402f]);
        }
    }

    /// Items of the table of another level, parts of tables, large pages, zero where it is no pointer.
    #[test]
    fn foreign_items() {
        check_kind(&table(), 1, Kind::Table, &[0, 0x1234_5a00]);
        check_kind(&table(), 1, Kind::Foreign, &[0x1234_5807, 0x1234_5c00, 0x1234_5804]);
        check_kind(&table(), 2, Kind::Foreign, &[0, 0x1234_4004, 0x1234_4006, 0x1234_4047, 0x1234_4407, 0x1234_4807]);
        check_kind(&table(), 3, Kind::Foreign, &[0x1234_4007, 0x1234_400f, 0x1234_600b]);
    }

    /// Enabled is 0x800; the type of the top table is at bit 2.
    #[test]
    fn hardware_information() {
        let iota = |level| Format::hw_info(&table(), Top { pa: 0x1234_4000, level }).iota;
        assert_eq!([iota(1), iota(2), iota(3), iota(4)], [0x1234_4800, 0x1234_4804, 0x1234_4808, 0x1234_480c]);
    }
}
