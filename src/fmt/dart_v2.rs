//! Apple DART, second version.

crate::define_pt_format!(
    /// Tables of the Apple DART (Device Address Resolution Table), second version, with its granule of 16 KiB: Apple silicon
    /// whose physical addresses have 42 bits. Apple publishes no manual; the facts are those that public drivers of the
    /// hardware agree on.
    ///
    /// Permissions are inverted: NO_READ and NO_WRITE. Without CACHE, NO_CACHE is set. MMIO and NOEXEC are ignored. Only the
    /// lowest level has pages, and all are of one size. A page can be limited to a part of it; here it is always all of it
    /// (from 0 to 0xfff, whatever the unit). There is no bit for software and no dirty bit, and the walker has to be coherent.
    ///
    /// # Configuration
    ///
    /// VA of up to 36 bits have two levels, wider ones, up to 42 bits, three (the register bit FOUR_LEVEL, which counts the
    /// root). VA are not wider than OA. There is one root.
    ///
    /// # Foreign items
    ///
    /// Table pointers with any bit but V and the address.
    ///
    /// # Protections
    ///
    /// READ and WRITE are separate, inverted bits. CACHE leaves out NO_CACHE; MMIO and NOEXEC are ignored.
    pub mod dart_v2 {
        use crate::fmt::dart_roots;
        type Item = u64;
        const GEOMETRY: Geometry = Geometry {
            granule_lg2: 14,
            table_lg2: Tables::Uniform(14),
            max_va_lg2: 42,
            max_oa_lg2: 42,
            max_top_level: 2,
            leaf_levels: 0..=0,
            top_pa_mask: 0x3ff_ffff_c000,
        };
        const QUIRKS: Quirks = Quirks { min_top_level: 1, table_pa_lg2: 42, ..Quirks::NONE };
        const SUPPORTED: Features = FLUSH_RANGE | FLUSH_RANGE_NO_GAPS;
        enum Bits {
            /// Valid.
            V = bit(0),
            /// Not cached.
            NO_CACHE = bit(1).in_leaves(),
            /// Writing is forbidden.
            NO_WRITE = bit(2).in_leaves(),
            /// Reading is forbidden.
            NO_READ = bit(3).in_leaves(),
            /// Output address, or the table's.
            OA = address(10, 37).from_bit(14),
            /// Where the part of the page that can be used ends: all of it.
            SP_END = bits(40, 51).in_leaves(),
            /// Where it starts: at 0.
            SP_START = bits(52, 63).in_leaves(),
        }

        /// Configuration: the widths say everything.
        pub struct Config {}

        /// For the registers of a stream.
        pub struct HwInfo {
            /// Physical address of the root. The register holds it shifted right by 12, with bit 31 set; that of later
            /// hardware (T8110) shifted right by 14 and left by 2, with bit 0 set.
            pub ttbr: u64,
            /// Levels, with that of the root: 3 or 4.
            pub n_levels: u32,
        }

        /// For the test suite: two levels and three.
        pub const TEST_CONFIGS: &[TestConfig<Format>] = &[
            TestConfig::new("vasz42_3_levels", Config {}),
            TestConfig::new("vasz36", Config {}).va_lg2(36).without(FLUSH_RANGE_NO_GAPS),
            TestConfig::new("vasz37_3_levels", Config {}).va_lg2(37),
        ];

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
                V.mask() | SP_END.mask() | OA.put(leaf.oa) | leaf.attrs
            }
            #[inline(always)]
            fn attrs(_: &Common<Self>, prot: Prot) -> Result<u64, Error> {
                let [readable, writable, cached] =
                    [Prot::READ, Prot::WRITE, Prot::CACHE].map(|flag| prot.contains(flag));
                Ok(NO_READ.when(!readable) | NO_WRITE.when(!writable) | NO_CACHE.when(!cached))
            }
            #[inline(always)]
            fn attrs_of(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                raw & (NO_READ.mask() | NO_WRITE.mask() | NO_CACHE.mask())
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
                dart_roots::limits(14, 0, config.hw_max_vasz_lg2, config.hw_max_oasz_lg2.min(42))
            }
            fn hw_info(_: &Common<Self>, top: Top) -> HwInfo {
                HwInfo { ttbr: top.pa, n_levels: top.level + 2 }
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
    use super::dart_v2::*;
    use crate::fmt::golden::*;
    use crate::format::{Kind, PtFormat, Top};
    use crate::{Features, Prot};

    /// The address is shifted right by 4; NO_CACHE bit 1, NO_WRITE bit 2, NO_READ bit 3; 0xfff from bit 40.
    #[test]
    fn golden_items() {
        let common = common::<Format>(Features::empty(), Config::default());
        for golden in [
            leaf(0, 14, 0x203_2345_4000, READ_WRITE | Prot::CACHE, 0x000f_ff20_3234_5401),
            leaf(0, 14, 0x203_2345_4000, Prot::WRITE, 0x000f_ff20_3234_540b),
            leaf(0, 14, 0x203_2345_4000, READ | Prot::CACHE, 0x000f_ff20_3234_5405),
            leaf(0, 14, 0x3ff_ffff_c000, READ_WRITE, 0x000f_ff3f_ffff_fc03),
        ] {
            check_leaf(&common, &golden);
        }
        check_table(&common, 1, 0x203_2345_4000, 0x20_3234_5401);
        check_kind(&common, 2, Kind::Foreign, &[0x20_3234_5403, 0x000f_ff20_3234_5401, 0x40_3234_5401]);
        check_kind(&common, 0, Kind::Empty, &[0, 0xffff_ffff_ffff_fffe]);
        let info = Format::hw_info(&common, Top { pa: 0x203_2345_4000, level: 2 });
        assert_eq!(info, HwInfo { ttbr: 0x203_2345_4000, n_levels: 4 });
    }
}
