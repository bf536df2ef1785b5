//! AMDv1, and the same with other constants.

crate::define_pt_format!(
    /// AMD IOMMU host page tables, and a mock of them.
    pub(super) mod amdv1_family {
        /// AMDv1 page tables: AMD I/O Virtualization Technology (IOMMU) Specification, 2.2.3 host page tables.
        ///
        /// Every power-of-two page size from 4 KiB to 2^51 except 512 GiB (a hardware erratum). Sizes that are not the
        /// natural size of a level are contiguous: all items of the entry are the same, and the size is encoded in the
        /// address. A page of `2^(b+1)` bytes has the zero of its size code on bit `b`; if that is the encryption bit the
        /// size cannot be told apart, and is not offered. An output address that contains the encryption bit is accepted,
        /// and the bit is gone when it is read back.
        ///
        /// # Protections
        ///
        /// READ and WRITE are separate bits. MMIO leaves out the encryption bit, where there is one; CACHE and NOEXEC are ignored.
        pub mod amdv1 {
            const GRANULE_LG2: u32 = 12;
            const MAX_VA_LG2: u32 = 64;
            const MAX_OA_LG2: u32 = 52;
            const MAX_TOP_LEVEL: u32 = 5;
            const COMPILED_IN: Features = FULL_VA.union(FLUSH_RANGE).union(FLUSH_RANGE_NO_GAPS).union(ALWAYS_ON);
            const ALWAYS_ON: Features = DYNAMIC_TOP.union(ENCRYPT_TABLES).union(FORCE_COHERENCE);

            /// For the test suite: growing to all 64 VA bits; fewer bits than the first top decodes; encrypted.
            pub const TEST_CONFIGS: &[TestConfig<Format>] = &[
                test_config("start_2", 2),
                test_config("start_2_vasz32", 2).va_lg2(32).without(FULL_VA),
                TestConfig::new("start_3_enc47", Config { starting_level: 3, encryption_mask: 1 << 47 })
                    .oa_lg2(47)
                    .unusable_sizes(ERRATUM_SIZES),
            ];
        }
        /// [`amdv1`](crate::fmt::amdv1) with a granule of 2 KiB, to test a page size below the CPU's; no hardware has it.
        pub mod amdv1_mock {
            const GRANULE_LG2: u32 = 11;
            const MAX_VA_LG2: u32 = 56;
            const MAX_OA_LG2: u32 = 51;
            const MAX_TOP_LEVEL: u32 = 4;
            const COMPILED_IN: Features = Features::empty();
            const ALWAYS_ON: Features = Features::empty();

            /// For the test suite: every first top level.
            pub const TEST_CONFIGS: &[TestConfig<Format>] = &[
                test_config("start_1", 1),
                test_config("start_2", 2),
                test_config("start_3", 3),
                test_config("start_4", 4),
            ];
        }

        type Item = u64;
        const GEOMETRY: Geometry = Geometry {
            granule_lg2: GRANULE_LG2,
            table_lg2: Tables::Uniform(12),
            max_va_lg2: MAX_VA_LG2,
            max_oa_lg2: MAX_OA_LG2,
            max_top_level: MAX_TOP_LEVEL,
            leaf_levels: 0..=MAX_TOP_LEVEL - 1,
            top_pa_mask: 0x000f_ffff_ffff_f000,
        };
        const QUIRKS: Quirks = Quirks { min_top_level: 1, ..Quirks::NONE };
        enum Feature {
            /// The encryption bit is set in table pointers and in leaves of RAM.
            ENCRYPT_TABLES,
            /// FC is set in every leaf: accesses snoop.
            FORCE_COHERENCE,
        }
        const SUPPORTED: Features = COMPILED_IN;
        const FORCED: Features = ALWAYS_ON;
        enum Bits {
            /// Present.
            PR = bit(0),
            /// Ignored; never set here.
            IGN = bits(1, 4).and(7, 8, 4).and(63, 63, 6),
            /// Accessed; hardware sets it where it notes accesses of the host. Never set here.
            A = bit(5),
            /// Dirty; hardware sets it, in any item of a contiguous entry.
            D = bit(6),
            /// Next level: 0 a leaf of the natural size, 7 a leaf with its size in the address, else the levels below.
            NL = bits(9, 11),
            /// Output address from the granule's bit on, with the size code below it if NL is 7; or the table's address.
            OA = address(12, 51).from_bit(GRANULE_LG2),
            /// User: what a device with PASIDs may do with a user's rights. Never set here.
            U = bit(59),
            /// Force coherent.
            FC = bit(60),
            /// Read permission.
            IR = bit(61).and_below(),
            /// Write permission.
            IW = bit(62).and_below(),
        }

        /// Configuration.
        pub struct Config {
            /// The first top level: 1 to the highest. Modes of the hardware are one more.
            pub starting_level: u32,
            /// The memory encryption bit, as a mask inside the address field; 0 for none.
            pub encryption_mask: u64,
        }

        /// For the device table entry.
        pub struct HwInfo {
            /// Physical address of the top table.
            pub host_pt_root: u64,
            /// Paging mode: levels in use.
            pub mode: u32,
        }

        /// NL of a leaf with its size in the address.
        const SIZE_ENCODED: u64 = 7;
        /// 512 GiB pages are not usable: hardware erratum.
        const ERRATUM_SIZES: u64 = 1 << 39;

        const fn test_config(name: &'static str, starting_level: u32) -> TestConfig<Format> {
            TestConfig::new(name, Config { starting_level, encryption_mask: 0 }).unusable_sizes(ERRATUM_SIZES)
        }

        impl PtFormat for Format {
            const SECTIONS: &'static [(SpecRule, &'static str)] = &[
                (
                    SpecRule::Levels,
                    "AMD I/O Virtualization Technology (IOMMU) Specification, 2.2.3 \"I/O Page Tables for Host Translations\" (Next Level)",
                ),
                (SpecRule::Present, "AMD I/O Virtualization Technology (IOMMU) Specification, \"IO_PAGE_FAULT event\""),
                (
                    SpecRule::Reserved,
                    "AMD I/O Virtualization Technology (IOMMU) Specification, \"IO_PAGE_FAULT event\"",
                ),
                (
                    SpecRule::Tables,
                    "AMD I/O Virtualization Technology (IOMMU) Specification, \"PAGE_TAB_HARDWARE_ERROR event\"",
                ),
            ];
            #[inline(always)]
            fn kind(_: &Common<Self>, level: u32, raw: u64) -> Kind {
                // A table first: NL has to be the level, or one is skipped.
                if level > 0 && raw & (PR.mask() | NL.mask()) == PR.mask() | NL.put(level.into()) {
                    Kind::Table
                } else if !PR.is_set(raw) {
                    Kind::Empty
                } else if level < MAX_TOP_LEVEL && (NL.get(raw) == 0 || has_size_of(level, raw)) {
                    Kind::Leaf
                } else {
                    Kind::Foreign
                }
            }
            #[inline(always)]
            fn is_leaf(_: &Common<Self>, level: u32, raw: u64) -> bool {
                PR.is_set(raw) && level < MAX_TOP_LEVEL && (NL.get(raw) == 0 || has_size_of(level, raw))
            }
            #[inline(always)]
            fn nonempty_bits(_: &Common<Self>, _: u32) -> u64 {
                PR.mask()
            }
            #[inline(always)]
            fn table_item(common: &Common<Self>, level: u32, table_pa: u64) -> u64 {
                // Permissions are the AND along the walk, and are controlled at the leaf.
                PR.mask()
                    | NL.put(level.into())
                    | IR.mask()
                    | IW.mask()
                    | OA.put(table_pa)
                    | common.config.encryption_mask
            }
            #[inline(always)]
            fn table_pa(common: &Common<Self>, _: u32, raw: u64) -> u64 {
                OA.get(raw & !common.config.encryption_mask)
            }
            #[inline(always)]
            fn leaf_item(_: &Common<Self>, leaf: LeafRequest<u64>) -> u64 {
                // Without bits of NL, so that it is seen to be a leaf.
                let attrs = leaf.attrs & (OA.mask() | FC.mask() | IR.mask() | IW.mask());
                let item_lg2 = item_size_lg2::<Self>(leaf.level);
                if leaf.size_lg2 <= item_lg2 {
                    return PR.mask() | OA.put(leaf.oa) | attrs;
                }
                // Behind NL are ones up to a zero at the highest address bit inside of the page: all those inside of one item, and
                // so many more that they are a difference.
                let more = (lg2::pow2(leaf.size_lg2) >> 1) - lg2::pow2(item_lg2);
                PR.mask() | NL.put(SIZE_ENCODED) | OA.put(lg2::low_mask(item_lg2)) | OA.put(leaf.oa | more) | attrs
            }
            #[inline(always)]
            fn attrs(common: &Common<Self>, prot: Prot) -> Result<u64, Error> {
                let encrypted = if prot.contains(Prot::MMIO) { 0 } else { common.config.encryption_mask };
                let access = IR.when(prot.contains(Prot::READ)) | IW.when(prot.contains(Prot::WRITE));
                Ok(access | FC.when(common.has(FORCE_COHERENCE)) | encrypted)
            }
            #[inline(always)]
            fn attrs_of(common: &Common<Self>, level: u32, raw: u64) -> u64 {
                // Inside of a size code the bit is the code's.
                let contig_lg2 = Self::contig_lg2(common, level, raw);
                let code_lg2 = if contig_lg2 == 0 { 0 } else { item_size_lg2::<Self>(level) + contig_lg2 };
                let code = OA.put(lg2::low_mask(code_lg2));
                raw & (FC.mask() | IR.mask() | IW.mask() | (common.config.encryption_mask & !code))
            }
            #[inline(always)]
            fn possible_sizes(common: &Common<Self>, level: u32) -> u64 {
                // The zero of the size code would lie on the encryption bit.
                let ambiguous = (common.config.encryption_mask << 1) & !lg2::pow2(item_size_lg2::<Self>(level));
                Self::sizes_at(common, level, !ambiguous)
            }
            #[inline(always)]
            fn sizes_at(_: &Common<Self>, level: u32, sizes: u64) -> u64 {
                if level >= MAX_TOP_LEVEL {
                    return 0;
                }
                let (item, table) = (item_size_lg2::<Self>(level), item_size_lg2::<Self>(level + 1));
                let all = lg2::low_mask(if table < MAX_OA_LG2 { table } else { MAX_OA_LG2 }) & !lg2::low_mask(item);
                sizes & all & !ERRATUM_SIZES
            }
            fn access(_: &Common<Self>, _: u32, raw: u64) -> Access {
                let access = Access::READ.when(IR.is_set(raw)) | Access::WRITE.when(IW.is_set(raw));
                (access | Access::EXECUTE).for_all()
            }
            fn skips_to(_: &Common<Self>, level: u32, raw: u64) -> Option<u32> {
                let next_level = NL.get(raw) as u32;
                (PR.is_set(raw) && 0 < next_level && next_level < level).then(|| next_level - 1)
            }
            fn accessed_bits(_: &Common<Self>) -> u64 {
                A.mask()
            }
            fn init(config: &TableConfig<Config>) -> Result<Limits, Error> {
                let top_level = config.format.starting_level;
                Error::check_range("starting_level", top_level, 1..=MAX_TOP_LEVEL, Errno::EINVAL)?;
                let (mask, valid) = (config.format.encryption_mask, "0, or one bit of 12 to 51: of the address field");
                Error::check_one_bit("encryption_mask", mask, OA.mask(), valid)?;
                let decoded = if FORCED.contains(DYNAMIC_TOP) { MAX_VA_LG2 } else { GRANULE_LG2 + 9 * (top_level + 1) };
                Ok(Limits {
                    top_level,
                    max_va_lg2: config.hw_max_vasz_lg2.min(decoded),
                    max_oa_lg2: config.hw_max_oasz_lg2.min(MAX_OA_LG2),
                })
            }
            fn settle(config: &TableConfig<Config>) -> Config {
                let encryption_mask =
                    if config.features.contains(ENCRYPT_TABLES) { config.format.encryption_mask } else { 0 };
                Config { encryption_mask, ..config.format }
            }
            fn hw_info(_: &Common<Self>, top: Top) -> HwInfo {
                HwInfo { host_pt_root: top.pa, mode: top.level + 1 }
            }
        }

        impl EntryOa for Format {
            #[inline(always)]
            fn entry_oa(common: &Common<Self>, _: u32, raw: u64) -> u64 {
                OA.get(raw & !common.config.encryption_mask)
            }
        }

        impl Contiguous for Format {
            #[inline(always)]
            fn contig_lg2(_: &Common<Self>, level: u32, raw: u64) -> u32 {
                // Of a leaf: NL is 0 or 7.
                if NL.get(raw) == 0 {
                    return 0;
                }
                // Its zero is at an address bit that the items of a table have, but not at the highest: or the item is foreign.
                // Decoded with the encryption bit still in place: it may lie inside of the code.
                let (ones_lg2, highest_lg2) = (item_size_lg2::<Self>(level), item_size_lg2::<Self>(level + 1) - 1);
                let zeros = !OA.get(raw) & !lg2::low_mask(ones_lg2) | lg2::pow2(highest_lg2);
                zeros.trailing_zeros() + 1 - ones_lg2
            }
        }

        /// Whether NL is 7 and the size in the address is one of `level`: below its zero are the ones of all smaller sizes.
        #[inline(always)]
        fn has_size_of(level: u32, raw: u64) -> bool {
            let item_lg2 = item_size_lg2::<Format>(level);
            let zeros = OA.put(lg2::low_mask(items_lg2::<Format>(level) - 1) << item_lg2);
            !raw & (NL.mask() | OA.put(lg2::low_mask(item_lg2))) == 0 && !raw & zeros != 0
        }

        impl DirtyBit for Format {
            const DIRTY_BIT: Field<Item> = D;
        }
    }
);

#[cfg(test)]
mod tests {
    use super::amdv1_family::{amdv1, amdv1_mock};
    use crate::Prot;
    use crate::fmt::golden::*;
    use crate::format::Kind;

    /// PR, FC, IR and IW; sizes that are not natural have NL = 7 and ones up to a zero at the highest bit below the page's
    /// own address bits.
    #[test]
    fn golden_items() {
        let common = common::<amdv1::Format>(amdv1::FORCED, amdv1::Config::default());
        for golden in [
            leaf(0, 12, 0x1234_5000, READ_WRITE, 0x7000_0000_1234_5001),
            leaf(0, 12, 0x1234_5000, READ, 0x3000_0000_1234_5001),
            // 8 KiB: bit 12 is 0. 16 KiB: bit 12 is 1, bit 13 is 0. 1 MiB: bits 12 to 18 are 1, bit 19 is 0.
            leaf(0, 13, 0x1234_4000, READ_WRITE, 0x7000_0000_1234_4e01),
            leaf(0, 14, 0x1234_4000, READ_WRITE, 0x7000_0000_1234_5e01),
            leaf(0, 20, 0x1230_0000, READ_WRITE, 0x7000_0000_1237_fe01),
            leaf(1, 21, 0x4020_0000, READ_WRITE, 0x7000_0000_4020_0001),
            leaf(1, 22, 0x4040_0000, READ_WRITE, 0x7000_0000_405f_fe01),
            leaf(4, 51, 0x0008_0000_0000_0000, READ, 0x300b_ffff_ffff_fe01),
        ] {
            check_leaf(&common, &golden);
        }
        // NL is the level of the pointing table.
        check_table(&common, 2, 0xabc_d000, 0x6000_0000_0abc_d401);
        check_table(&common, 5, 0xabc_d000, 0x6000_0000_0abc_da01);
    }

    /// The encryption bit is set in pointers and in leaves of RAM; inside of a size code it is the code's.
    #[test]
    fn golden_encrypted_items() {
        let common =
            common::<amdv1::Format>(amdv1::FORCED, amdv1::Config { starting_level: 2, encryption_mask: 1 << 47 });
        check_leaf(&common, &leaf(0, 12, 0x1234_5000, READ_WRITE, 0x7000_8000_1234_5001));
        check_leaf(&common, &leaf(0, 12, 0x1234_5000, READ_WRITE | Prot::MMIO, 0x7000_0000_1234_5001));
        // 2^50 bytes: ones up to bit 48, the encryption bit among them.
        check_leaf(&common, &leaf(4, 50, 0x0004_0000_0000_0000, READ_WRITE, 0x7005_ffff_ffff_fe01));
        check_table(&common, 1, 0xabc_d000, 0x6000_8000_0abc_d201);
    }

    /// Levels that are skipped, sizes that a level does not have (8 KiB and 4 MiB at level 0 and 1 and the other way round,
    /// 512 GiB), pages in the highest table.
    #[test]
    fn foreign_items() {
        let common = common::<amdv1::Format>(amdv1::FORCED, amdv1::Config::default());
        check_kind(&common, 0, Kind::Leaf, &[0x7000_0000_1234_4e01]);
        check_kind(&common, 1, Kind::Foreign, &[0x7000_0000_1234_4e01, 0x6000_0000_0abc_d401]);
        check_kind(&common, 1, Kind::Leaf, &[0x7000_0000_405f_fe01]);
        check_kind(&common, 0, Kind::Foreign, &[0x7000_0000_405f_fe01, 0x6000_0000_0abc_d201]);
        check_kind(&common, 2, Kind::Foreign, &[0x7000_0000_405f_fe01, 0x6000_0000_0abc_d201]);
        check_kind(&common, 4, Kind::Leaf, &[0x300b_ffff_ffff_fe01]);
        // All ones: no size at all. 2^39: ones up to bit 37, bit 38 is 0.
        check_kind(&common, 4, Kind::Foreign, &[0x300f_ffff_ffff_fe01]);
        check_kind(&common, 2, Kind::Foreign, &[0x3000_003f_ffff_fe01]);
        check_kind(&common, 2, Kind::Leaf, &[0x3000_0001_ffff_fe01]);
        // In the highest table there are no pages: NL 0.
        check_kind(&common, 5, Kind::Foreign, &[0x7000_0000_0000_0001]);
    }

    /// The address field holds the address from bit 11 on; there is no FC.
    #[test]
    fn golden_mock_items() {
        let common = common::<amdv1_mock::Format>(amdv1_mock::FORCED, amdv1_mock::Config::default());
        check_leaf(&common, &leaf(0, 11, 0x1234_5800, READ_WRITE, 0x6000_0000_2468_b001));
        // 4 KiB are two items: the lowest bit of the field is 0.
        check_leaf(&common, &leaf(0, 12, 0x1234_5000, READ_WRITE, 0x6000_0000_2468_ae01));
        check_leaf(&common, &leaf(1, 20, 0x1230_0000, READ_WRITE, 0x6000_0000_2460_0001));
        check_table(&common, 1, 0xabc_d000, 0x6000_0000_1579_a201);
    }
}
