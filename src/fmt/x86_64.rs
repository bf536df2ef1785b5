//! x86_64, 4 and 5 levels.

crate::define_pt_format!(
    /// x86_64 page tables: Intel SDM vol. 3 chapter 5, 4-level and 5-level paging; VT-d 9.7 first-stage entries; AMD IOMMU
    /// 2.2.6 guest tables.
    ///
    /// Levels 0 to 4 are the manuals' PTE, PDE, PDPTE, PML4E and PML5E. `SIGN_EXTEND` is optional: AMD uses the format
    /// without it for PASID 0. Dirty tracking is not offered: D is set from the start.
    ///
    /// # Protections
    ///
    /// What is mapped can always be read: WRITE alone reads and writes. MMIO leaves out the encryption bit, where there is one;
    /// CACHE and NOEXEC are ignored (as the reference does), so XD stays clear: a CPU may execute all that is mapped.
    pub mod x86_64 {
        type Item = u64;
        const GEOMETRY: Geometry = Geometry {
            granule_lg2: 12,
            table_lg2: Tables::Uniform(12),
            max_va_lg2: 57,
            max_oa_lg2: 52,
            max_top_level: 4,
            leaf_levels: 0..=2,
            top_pa_mask: 0x000f_ffff_ffff_f000,
        };
        const QUIRKS: Quirks = Quirks { min_top_level: 3, ..Quirks::NONE };
        enum Feature {
            /// The encryption bit is set in table pointers and in leaves of RAM.
            AMD_ENCRYPT_TABLES,
        }
        const SUPPORTED: Features =
            SIGN_EXTEND | FLUSH_RANGE | FLUSH_RANGE_NO_GAPS | DMA_INCOHERENT | AMD_ENCRYPT_TABLES;
        enum Bits {
            /// Present.
            P = bit(0),
            /// Writable.
            RW = bit(1).and_below(),
            /// User.
            U = bit(2).and_below(),
            /// PWT and PCD, write-through and cache disable: a part of the memory type; never set here.
            PCD_PWT = bits(3, 4),
            /// Accessed.
            A = bit(5),
            /// Dirty.
            D = bit(6),
            /// Leaf, at levels 1 and 2; reserved above.
            PS = bit(7).at_levels(1..=4),
            /// Page attribute table, in a page of 4 KiB: a part of the memory type; never set here.
            PAT = bit(7).at_levels(0..=0),
            /// Global; never set here, and ignored in pointers (AMD's manual reserves it in those of levels 3 and 4).
            G = bit(8),
            /// Ignored; the highest four are the protection key of a leaf, where the CPU has these. Never set here.
            AVL = bits(9, 11).and(52, 62, 3),
            /// Output address, or the table's.
            OA = address(12, 51),
            /// Page attribute table, in a page of 2 MiB or 1 GiB: a part of the memory type; never set here.
            PAT_LARGE = bit(12).at_levels(1..=2).in_leaves(),
            /// Execute disable.
            XD = bit(63).or_below(),
        }

        /// Configuration.
        pub struct Config {
            /// 3 (four levels) or 4 (five).
            pub top_level: u32,
            /// The memory encryption bit of AMD systems, as a mask inside the address field; 0 for none.
            pub encryption_mask: u64,
        }

        /// For the context entry.
        pub struct HwInfo {
            /// Physical address of the top table.
            pub gcr3_pt: u64,
            /// Levels in use.
            pub levels: u32,
        }

        /// For the test suite: both tops, with sign extension and without; encrypted.
        pub const TEST_CONFIGS: &[TestConfig<Format>] = &[
            test_config("sign_48_top_3", 3, 0).va_lg2(48),
            test_config("sign_57_top_4", 4, 0).va_lg2(57),
            test_config("vasz47_top_3", 3, 0).va_lg2(47).without(SIGN_EXTEND),
            test_config("vasz56_top_4", 4, 0).va_lg2(56).without(SIGN_EXTEND),
            test_config("sign_48_top_3_enc47", 3, 1 << 47).va_lg2(48).oa_lg2(47),
        ];

        const fn test_config(name: &'static str, top_level: u32, encryption_mask: u64) -> TestConfig<Format> {
            TestConfig::new(name, Config { top_level, encryption_mask })
        }

        impl PtFormat for Format {
            const SECTIONS: &'static [(SpecRule, &'static str)] = &[
                (SpecRule::Canonical, "Intel SDM vol. 1, \"Canonical addressing\""),
                (SpecRule::Present, "Intel SDM vol. 3 chapter 5, \"Page-fault exceptions\""),
                (
                    SpecRule::Kinds,
                    "Intel SDM vol. 3 chapter 5, \"Linear-address translation with 4-level paging and 5-level paging\"",
                ),
                (SpecRule::Reserved, "Intel SDM vol. 3 chapter 5, \"Page-fault exceptions\""),
                (
                    SpecRule::Tables,
                    "Intel SDM vol. 3 chapter 5, \"Linear-address translation with 4-level paging and 5-level paging\"",
                ),
                (
                    SpecRule::Pages,
                    "Intel SDM vol. 3 chapter 5, \"Linear-address translation with 4-level paging and 5-level paging\"",
                ),
                (
                    SpecRule::Width,
                    "Intel SDM vol. 3 chapter 5, \"Enumeration of paging features by CPUID\" (MAXPHYADDR)",
                ),
                (SpecRule::Accessed, "Intel SDM vol. 3 chapter 5, \"Accessed and dirty flags\""),
                (SpecRule::Dirty, "Intel SDM vol. 3 chapter 5, \"Accessed and dirty flags\""),
            ];
            #[inline(always)]
            fn kind(_: &Common<Self>, level: u32, raw: u64) -> Kind {
                if level > 0 && raw & (P.mask() | PS.mask()) == P.mask() {
                    Kind::Table
                } else if !P.is_set(raw) {
                    Kind::Empty
                } else if level <= 2 {
                    Kind::Leaf
                } else {
                    Kind::Foreign
                }
            }
            #[inline(always)]
            fn is_leaf(_: &Common<Self>, level: u32, raw: u64) -> bool {
                let bits = if level > 0 { P.mask() | PS.mask() } else { P.mask() };
                level <= 2 && raw & bits == bits
            }
            #[inline(always)]
            fn nonempty_bits(_: &Common<Self>, _: u32) -> u64 {
                P.mask()
            }
            #[inline(always)]
            fn table_item(common: &Common<Self>, _: u32, table_pa: u64) -> u64 {
                P.mask() | RW.mask() | U.mask() | A.mask() | OA.put(table_pa) | common.config.encryption_mask
            }
            #[inline(always)]
            fn table_pa(common: &Common<Self>, _: u32, raw: u64) -> u64 {
                OA.get(raw & !common.config.encryption_mask)
            }
            #[inline(always)]
            fn leaf_item(_: &Common<Self>, leaf: LeafRequest<u64>) -> u64 {
                P.mask() | OA.put(leaf.oa) | PS.when(leaf.level > 0) | leaf.attrs
            }
            #[inline(always)]
            fn attrs(common: &Common<Self>, prot: Prot) -> Result<u64, Error> {
                let writable = prot.contains(Prot::WRITE);
                let encrypted = if prot.contains(Prot::MMIO) { 0 } else { common.config.encryption_mask };
                Ok(U.mask() | A.mask() | RW.when(writable) | D.when(writable) | encrypted)
            }
            #[inline(always)]
            fn attrs_of(common: &Common<Self>, _: u32, raw: u64) -> u64 {
                raw & (RW.mask() | U.mask() | A.mask() | D.mask() | XD.mask() | common.config.encryption_mask)
            }
            fn access(_: &Common<Self>, _: u32, raw: u64) -> Access {
                let access = Access::READ | Access::WRITE.when(RW.is_set(raw)) | Access::EXECUTE.when(!XD.is_set(raw));
                access | access.for_users().when(U.is_set(raw))
            }
            fn reserved_bits(_: &Common<Self>, level: u32, raw: u64) -> u64 {
                // There are no pages of these levels, and the bit is reserved there (SDM vol. 3, formats of PML5E and PML4E; AMD's
                // APM vol. 2, long-mode page translation, too).
                let has_pages = GEOMETRY.leaf_levels.contains(&level);
                if has_pages || !P.is_set(raw) { 0 } else { raw & PS.mask() }
            }
            fn init(config: &TableConfig<Config>) -> Result<Limits, Error> {
                let top_level = config.format.top_level;
                Error::check_range("top_level", top_level, 3..=4, Errno::EOPNOTSUPP)?;
                let (mask, valid) = (config.format.encryption_mask, "0, or one bit of 12 to 51: of the address field");
                Error::check_one_bit("encryption_mask", mask, OA.mask(), valid)?;
                Ok(Limits { top_level, max_va_lg2: config.hw_max_vasz_lg2, max_oa_lg2: config.hw_max_oasz_lg2.min(52) })
            }
            fn settle(config: &TableConfig<Config>) -> Config {
                let encryption_mask =
                    if config.features.contains(AMD_ENCRYPT_TABLES) { config.format.encryption_mask } else { 0 };
                Config { encryption_mask, ..config.format }
            }
            fn hw_info(_: &Common<Self>, top: Top) -> HwInfo {
                HwInfo { gcr3_pt: top.pa, levels: top.level + 1 }
            }
        }

        impl ItemOa for Format {
            #[inline(always)]
            fn item_oa(common: &Common<Self>, _: u32, raw: u64) -> u64 {
                OA.get(raw & !common.config.encryption_mask)
            }
        }

        impl SoftwareBits for Format {
            #[inline(always)]
            fn software_bits(_: &Common<Self>) -> &'static [u32] {
                &[9, 11, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62]
            }
        }
    }
);

#[cfg(test)]
mod tests {
    use super::x86_64::*;
    use crate::Prot;
    use crate::fmt::golden::*;
    use crate::format::{Kind, PtFormat};

    /// P, U and A always; RW and D with WRITE; PS above level 0.
    #[test]
    fn golden_items() {
        let common = common::<Format>(SUPPORTED.difference(AMD_ENCRYPT_TABLES), Config::default());
        for golden in [
            leaf(0, 12, 0x1234_5000, READ_WRITE, 0x1234_5067),
            leaf(0, 12, 0x1234_5000, READ, 0x1234_5025),
            leaf(0, 12, 0x000f_ffff_ffff_f000, READ_WRITE, 0x000f_ffff_ffff_f067),
            leaf(1, 21, 0x4020_0000, READ_WRITE, 0x4020_00e7),
            leaf(2, 30, 0x1_4000_0000, READ, 0x1_4000_00a5),
        ] {
            check_leaf(&common, &golden);
        }
        check_table(&common, 3, 0xabc_d000, 0xabc_d027);
        // There are no pages of these levels.
        for level in 3..=4 {
            check_kind(&common, level, Kind::Foreign, &[0xabc_d0a7]);
        }
    }

    /// PS where there are no pages; not in an item that is not present.
    #[test]
    fn reserved_bits() {
        let common = common::<Format>(SUPPORTED, Config::default());
        let expected = [(0, 0), (1, 0), (2, 0), (3, 0x80), (4, 0x80)];
        for (level, reserved) in expected {
            assert_eq!(Format::reserved_bits(&common, level, 0xabc_d0a7), reserved, "{level}");
            assert_eq!(Format::reserved_bits(&common, level, 0xabc_d0a6), 0, "{level}");
        }
    }

    /// The encryption bit is set in pointers and in leaves of RAM, and is no part of an address.
    #[test]
    fn golden_encrypted_items() {
        let common = common::<Format>(SUPPORTED, Config { top_level: 3, encryption_mask: 1 << 47 });
        check_leaf(&common, &leaf(0, 12, 0x1234_5000, READ_WRITE, 0x8000_1234_5067));
        check_leaf(&common, &leaf(0, 12, 0x1234_5000, READ_WRITE | Prot::MMIO, 0x1234_5067));
        check_table(&common, 1, 0xabc_d000, 0x8000_0abc_d027);
    }
}
