//! Apple DART, first version.

crate::define_pt_format!(
    /// Tables of the Apple DART (Device Address Resolution Table), first version.
    pub(super) mod dart_family {
        /// Tables of the Apple DART (Device Address Resolution Table), first version, with a granule of 4 KiB. Apple publishes
        /// no manual; the facts are those that public drivers of the hardware agree on.
        ///
        /// With this granule there are up to four roots, for VA of 31 and 32 bits; wider VA, up to 36 bits, have three levels and
        /// one root.
        #[doc = include_str!("dart.md")]
        pub mod dart {
            const GRANULE_LG2: u32 = 12;
            const MAX_TOP_LEVEL: u32 = 2;
            const MAX_ROOTS_LG2: u32 = 2;

            /// For the test suite: one, two and four roots; three levels.
            pub const TEST_CONFIGS: &[TestConfig<Format>] = &[
                TestConfig::new("vasz32_4_roots", Config {}).va_lg2(32),
                TestConfig::new("vasz31_2_roots", Config {}).va_lg2(31),
                TestConfig::new("vasz28", Config {}).va_lg2(28).without(FLUSH_RANGE_NO_GAPS),
                TestConfig::new("vasz36_3_levels", Config {}),
            ];
        }
        /// [`dart`](crate::fmt::dart) with a granule of 16 KiB, as Apple silicon from the M1 on has it. There is one root, and
        /// VA have up to 36 bits, in two levels.
        pub mod dart_16k {
            const GRANULE_LG2: u32 = 14;
            const MAX_TOP_LEVEL: u32 = 1;
            const MAX_ROOTS_LG2: u32 = 0;

            /// For the test suite: all bits, and the usual ones.
            pub const TEST_CONFIGS: &[TestConfig<Format>] =
                &[TestConfig::new("vasz36", Config {}), TestConfig::new("vasz32", Config {}).va_lg2(32)];
        }

        use crate::fmt::dart_roots;
        type Item = u64;
        const GEOMETRY: Geometry = Geometry {
            granule_lg2: GRANULE_LG2,
            table_lg2: Tables::Uniform(GRANULE_LG2),
            max_va_lg2: 36,
            max_oa_lg2: 36,
            max_top_level: MAX_TOP_LEVEL,
            leaf_levels: 0..=0,
            top_pa_mask: lg2::bit_range_mask(GRANULE_LG2, 35),
        };
        const QUIRKS: Quirks = Quirks { min_top_level: 1, concat_lg2: MAX_ROOTS_LG2, table_pa_lg2: 36, ..Quirks::NONE };
        const SUPPORTED: Features = FLUSH_RANGE | FLUSH_RANGE_NO_GAPS;
        enum Bits {
            /// Valid.
            V = bit(0),
            /// Pages are not protected in parts. Always set.
            SP_DIS = bit(1).in_leaves(),
            /// Writing is forbidden.
            NO_WRITE = bit(7).in_leaves(),
            /// Reading is forbidden.
            NO_READ = bit(8).in_leaves(),
            /// Output address, or the table's.
            OA = address(GRANULE_LG2, 35),
            /// Where the part of the page that can be used ends: all of it.
            SP_END = bits(40, 51).in_leaves(),
            /// Where it starts: at 0.
            SP_START = bits(52, 63).in_leaves(),
        }

        /// Configuration: the widths say everything.
        pub struct Config {}

        /// For the registers of a stream.
        pub struct HwInfo {
            /// Physical addresses of the roots. The registers hold them shifted right by 12, with bit 31 set.
            pub ttbr: [u64; dart_roots::MAX_ROOTS],
            /// How many there are: 1, 2 or 4.
            pub n_ttbrs: u32,
            /// Levels, with that of the roots: 3 or 4.
            pub n_levels: u32,
        }

        impl PtFormat for Format {
            #[inline(always)]
            fn kind(_: &Common<Self>, level: u32, raw: u64) -> Kind {
                match (V.is_set(raw), level) {
                    (false, _) => Kind::Empty,
                    (true, 0) => Kind::Leaf,
                    (true, _) if raw & !(V.mask() | OA.mask()) == 0 => Kind::Table,
                    (true, _) => Kind::Foreign,
                }
            }
            #[inline(always)]
            fn table_item(_: &Common<Self>, _: u32, table_pa: u64) -> u64 {
                V.mask() | OA.put(table_pa)
            }
            #[inline(always)]
            fn table_pa(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                OA.get(raw)
            }
            #[inline(always)]
            fn leaf_item(_: &Common<Self>, leaf: LeafRequest<u64>) -> u64 {
                V.mask() | SP_DIS.mask() | SP_END.mask() | OA.put(leaf.oa) | leaf.attrs
            }
            #[inline(always)]
            fn attrs(_: &Common<Self>, prot: Prot) -> Result<u64, Error> {
                let (readable, writable) = (prot.contains(Prot::READ), prot.contains(Prot::WRITE));
                Ok(NO_READ.when(!readable) | NO_WRITE.when(!writable))
            }
            #[inline(always)]
            fn attrs_of(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                raw & (NO_READ.mask() | NO_WRITE.mask())
            }
            #[inline(always)]
            fn nonempty_bits(_: &Common<Self>, _: u32) -> u64 {
                V.mask()
            }
            fn access(_: &Common<Self>, _: u32, raw: u64) -> Access {
                let access = Access::READ.when(!NO_READ.is_set(raw)) | Access::WRITE.when(!NO_WRITE.is_set(raw));
                (access | Access::EXECUTE).for_all()
            }
            fn init(config: &TableConfig<Config>) -> Result<Limits, Error> {
                let max_oa_lg2 = config.hw_max_oasz_lg2.min(36);
                dart_roots::limits(GRANULE_LG2, MAX_ROOTS_LG2, config.hw_max_vasz_lg2, max_oa_lg2)
            }
            fn hw_info(common: &Common<Self>, top: Top) -> HwInfo {
                let (n_ttbrs, ttbr) = dart_roots::roots(GRANULE_LG2, common.max_va_lg2, top.level, top.pa);
                HwInfo { ttbr, n_ttbrs, n_levels: top.level + 2 }
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
    use super::dart_family::{dart, dart_16k};
    use crate::fmt::golden::*;
    use crate::format::{Kind, PtFormat, Top};
    use crate::{Features, Prot};

    /// V and SP_DIS (3), the end of the page from bit 40 (0xfff), NO_WRITE bit 7, NO_READ bit 8.
    #[test]
    fn golden_items() {
        let common = common::<dart::Format>(Features::empty(), dart::Config::default());
        for golden in [
            leaf(0, 12, 0x8_1234_5000, READ_WRITE, 0x000f_ff08_1234_5003),
            leaf(0, 12, 0x8_1234_5000, READ, 0x000f_ff08_1234_5083),
            leaf(0, 12, 0x8_1234_5000, Prot::WRITE, 0x000f_ff08_1234_5103),
            leaf(0, 12, 0xf_ffff_f000, READ_WRITE | Prot::CACHE | Prot::NOEXEC, 0x000f_ff0f_ffff_f003),
        ] {
            check_leaf(&common, &golden);
        }
        check_table(&common, 1, 0x8_1234_5000, 0x8_1234_5001);
        check_kind(&common, 1, Kind::Foreign, &[0x8_1234_5003, 0x000f_ff08_1234_5001, 0x18_1234_5001]);
        check_kind(&common, 0, Kind::Empty, &[0, 0xffff_ffff_ffff_fffe]);
    }

    #[test]
    fn golden_items_of_16k() {
        let common = common::<dart_16k::Format>(Features::empty(), dart_16k::Config::default());
        check_leaf(&common, &leaf(0, 14, 0x8_1234_4000, READ, 0x000f_ff08_1234_4083));
        check_table(&common, 1, 0x8_1234_4000, 0x8_1234_4001);
    }

    /// Four roots for 32 bits, one below 31 and, with a level more, above 32.
    #[test]
    fn roots() {
        let mut common = common::<dart::Format>(Features::empty(), dart::Config::default());
        for (va_lg2, level, roots) in [
            (32, 1, &[0x1_0000, 0x1_1000, 0x1_2000, 0x1_3000][..]),
            (31, 1, &[0x1_0000, 0x1_1000]),
            (30, 1, &[0x1_0000]),
            (33, 2, &[0x1_0000]),
            (36, 2, &[0x1_0000]),
        ] {
            common.max_va_lg2 = va_lg2;
            let info = dart::Format::hw_info(&common, Top { pa: 0x1_0000, level });
            let mut ttbr = [0; 4];
            ttbr[..roots.len()].copy_from_slice(roots);
            let expected = dart::HwInfo { ttbr, n_ttbrs: roots.len() as u32, n_levels: level + 2 };
            assert_eq!(info, expected, "{va_lg2} VA bits");
        }
    }
}
