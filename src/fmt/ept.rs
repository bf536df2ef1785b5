//! Intel EPT.

crate::define_pt_format!(
    /// Intel extended page tables: Intel SDM volume 3C, chapter "VMX support for address translation", section "The extended
    /// page table mechanism" (EPT), with its tables "Format of an EPT .. Entry".
    ///
    /// Drives the second level of address translation of VMX: guest physical to host physical addresses. Levels 0 to 4 are
    /// the manual's EPT PTE, PDE, PDPTE, PML4E and PML5E. There are 4 or 5 levels. 2 MiB and 1 GiB pages need a processor that
    /// has them (`IA32_VMX_EPT_VPID_CAP`, bits 16 and 17): where it does not, narrow the page sizes.
    ///
    /// There is no present bit: an item is present if it permits anything. A page is readable when it is writable, since
    /// writable alone is a misconfiguration; one that can only be executed, which needs a processor that has that, is
    /// known where it is met, but cannot be mapped. Items with W and without R (such as those by which some hypervisors mark
    /// MMIO) are foreign, as are table pointers without R, with reserved bits (3 to 7), or at level 0.
    ///
    /// Not offered: verification of guest paging, paging-write access, supervisor shadow stacks, sub-page write permissions.
    /// Their bits (57, 58, 60, 61) are named from one secondary source, not from the manual; nothing here sets them or depends
    /// on them, and they are not for software.
    ///
    /// The memory type is write-back for CACHE, uncacheable for MMIO, else write-combining. The guest's PAT refines it, unless
    /// `IGNORE_PAT` is on. Pages are clean until hardware writes, which it notes with `ACCESSED_DIRTY` only.
    ///
    /// # Protections
    ///
    /// WRITE alone reads and writes. NOEXEC takes away execution, in both modes where there are two; CACHE and MMIO choose the
    /// memory type, as above.
    pub mod ept {
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
            /// Hardware sets the accessed and dirty flags (bit 6 of the EPT pointer).
            ACCESSED_DIRTY,
            /// The guest's PAT does not change the memory type: for memory of devices that are passed through.
            IGNORE_PAT,
            /// Violations exit to the hypervisor where the guest has virtualization exceptions (#VE): bit 63 is set in pages
            /// and in empty items.
            SUPPRESS_VE,
            /// Mode-based execute control: what can be executed can be executed by the guest's users, too, for which there
            /// is a bit of its own.
            MODE_BASED_EXECUTE,
        }
        const SUPPORTED: Features =
            FLUSH_RANGE | FLUSH_RANGE_NO_GAPS | ACCESSED_DIRTY | IGNORE_PAT | SUPPRESS_VE | MODE_BASED_EXECUTE;
        enum Bits {
            /// Read.
            R = bit(0).and_below(),
            /// Write.
            W = bit(1).and_below(),
            /// Execute; with mode-based execute control by the guest's supervisor.
            X = bit(2).and_below(),
            /// Memory type: 0 uncacheable, 1 write-combining, 4 write-through, 5 write-protected, 6 write-back; others are
            /// reserved.
            MT = bits(3, 5).in_leaves(),
            /// Ignore the guest's PAT.
            IPAT = bit(6).in_leaves(),
            /// Leaf; zero in table pointers.
            PS = bit(7).at_levels(1..=2).in_leaves(),
            /// Ignored in pages of level 0; never set there.
            IGN_PS = bit(7).at_levels(0..=0).in_leaves(),
            /// Accessed; hardware sets it.
            A = bit(8),
            /// Dirty; hardware sets it.
            D = bit(9).in_leaves(),
            /// Execute by the guest's users.
            XU = bit(10).with_feature(MODE_BASED_EXECUTE).and_below(),
            /// Ignored without mode-based execute control; never set here.
            IGN_XU = bit(10).without_feature(MODE_BASED_EXECUTE),
            /// Ignored in table pointers; never set there.
            IGN = bit(9).and(57, 58, 1).and(60, 61, 3).and(63, 63, 5).in_tables(),
            /// Output address, or the table's.
            OA = address(12, 51),
            /// Verify guest paging (ignored unless enabled); never set here.
            VGP = bit(57).in_leaves(),
            /// Paging-write access (ignored unless enabled); never set here.
            PWA = bit(58).in_leaves(),
            /// Supervisor shadow stack (ignored unless enabled in the EPT pointer); never set here.
            SSS = bit(60).in_leaves(),
            /// Sub-page write permissions, at level 0 (ignored unless enabled); never set here.
            SPP = bit(61).in_leaves(),
            /// Suppress virtualization exceptions (ignored unless these are enabled); also in empty items.
            SVE = bit(63).in_leaves(),
        }

        /// Configuration.
        pub struct Config {
            /// 3 (four levels) or 4 (five).
            pub top_level: u32,
        }

        /// For the VMCS.
        pub struct HwInfo {
            /// The EPT pointer: tables are write-back; the levels; accessed and dirty flags; the top table.
            pub eptp: u64,
        }

        const UNCACHEABLE: u64 = 0;
        const WRITE_COMBINING: u64 = 1;
        const WRITE_BACK: u64 = 6;
        /// All that are not reserved.
        const MEMORY_TYPES: [u64; 5] = [UNCACHEABLE, WRITE_COMBINING, 4, 5, WRITE_BACK];

        /// For the test suite: both tops, each feature on and off.
        pub const TEST_CONFIGS: &[TestConfig<Format>] = &[
            TestConfig::new("vasz48_top_3", Config { top_level: 3 }).va_lg2(48),
            TestConfig::new("vasz57_top_4_suppress_ve", Config { top_level: 4 })
                .without(ACCESSED_DIRTY.union(IGNORE_PAT).union(MODE_BASED_EXECUTE)),
            TestConfig::new("vasz48_top_3_mbec", Config { top_level: 3 })
                .va_lg2(48)
                .oa_lg2(46)
                .without(IGNORE_PAT.union(SUPPRESS_VE)),
        ];

        impl PtFormat for Format {
            const SECTIONS: &'static [(SpecRule, &'static str)] = &[
                (SpecRule::Canonical, "Intel SDM vol. 3C, \"EPT translation mechanism\""),
                (SpecRule::Present, "Intel SDM vol. 3C, \"EPT-induced VM exits\", \"EPT violations\""),
                (SpecRule::Kinds, "Intel SDM vol. 3C, \"EPT translation mechanism\""),
                (SpecRule::Reserved, "Intel SDM vol. 3C, \"EPT-induced VM exits\", \"EPT misconfigurations\""),
                (SpecRule::Tables, "Intel SDM vol. 3C, \"EPT translation mechanism\""),
                (SpecRule::Pages, "Intel SDM vol. 3C, \"EPT-induced VM exits\", \"EPT misconfigurations\""),
                (SpecRule::Width, "Intel SDM vol. 3C, \"EPT-induced VM exits\", \"EPT misconfigurations\""),
                (SpecRule::Accessed, "Intel SDM vol. 3C, \"Accessed and dirty flags for EPT\""),
                (SpecRule::Dirty, "Intel SDM vol. 3C, \"Accessed and dirty flags for EPT\""),
            ];
            #[inline(always)]
            fn kind(common: &Common<Self>, level: u32, raw: u64) -> Kind {
                // A table pointer permits reading, and has none of the reserved bits, which are those of leaves.
                let table_bits = R.mask() | MT.mask() | IPAT.mask() | PS.mask();
                if raw & permissions(common) == 0 {
                    Kind::Empty
                } else if level == 0 || (level <= 2 && PS.is_set(raw)) {
                    if R.is_set(raw) || !W.is_set(raw) { Kind::Leaf } else { Kind::Foreign }
                } else if raw & table_bits == R.mask() {
                    Kind::Table
                } else {
                    Kind::Foreign
                }
            }
            #[inline(always)]
            fn table_item(common: &Common<Self>, _: u32, table_pa: u64) -> u64 {
                permissions(common) | OA.put(table_pa)
            }
            #[inline(always)]
            fn table_pa(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                OA.get(raw)
            }
            #[inline(always)]
            fn leaf_item(_: &Common<Self>, leaf: LeafRequest<u64>) -> u64 {
                OA.put(leaf.oa) | PS.when(leaf.level > 0) | leaf.attrs
            }
            #[inline(always)]
            fn attrs(common: &Common<Self>, prot: Prot) -> Result<u64, Error> {
                let memory_type = if prot.contains(Prot::MMIO) {
                    UNCACHEABLE
                } else if prot.contains(Prot::CACHE) {
                    WRITE_BACK
                } else {
                    WRITE_COMBINING
                };
                let execute =
                    if prot.contains(Prot::NOEXEC) { 0 } else { permissions(common) & !(R.mask() | W.mask()) };
                Ok(R.when(prot.intersects(Prot::READ.union(Prot::WRITE)))
                    | W.when(prot.contains(Prot::WRITE))
                    | execute
                    | MT.put(memory_type)
                    | IPAT.when(common.has(IGNORE_PAT))
                    | SVE.when(common.has(SUPPRESS_VE)))
            }
            #[inline(always)]
            fn attrs_of(common: &Common<Self>, _: u32, raw: u64) -> u64 {
                let never_set = VGP.mask() | PWA.mask() | SSS.mask() | SPP.mask();
                raw & (permissions(common) | MT.mask() | IPAT.mask() | SVE.mask() | never_set)
            }
            #[inline(always)]
            fn empty_item(common: &Common<Self>, _: u32) -> u64 {
                SVE.when(common.has(SUPPRESS_VE))
            }
            #[inline(always)]
            fn nonempty_bits(common: &Common<Self>, _: u32) -> u64 {
                permissions(common)
            }
            fn access(common: &Common<Self>, _: u32, raw: u64) -> Access {
                let access = Access::READ.when(R.is_set(raw)) | Access::WRITE.when(W.is_set(raw));
                let by_users = if common.has(MODE_BASED_EXECUTE) { XU } else { X };
                access.for_all() | Access::EXECUTE.when(X.is_set(raw)) | Access::USER_EXECUTE.when(by_users.is_set(raw))
            }
            fn reserved_bits(common: &Common<Self>, level: u32, raw: u64) -> u64 {
                let is_leaf = Self::kind(common, level, raw) == Kind::Leaf;
                let memory_type = if is_leaf && !MEMORY_TYPES.contains(&MT.get(raw)) { raw & MT.mask() } else { 0 };
                // In pointers the bits 3 to 7 are reserved.
                let of_leaves = MT.mask() | IPAT.mask() | PS.mask();
                let is_pointer = level > 0 && Self::kind(common, level, raw & !of_leaves) == Kind::Table && !is_leaf;
                let in_pointer = if is_pointer { raw & of_leaves } else { 0 };
                memory_type | in_pointer | if R.is_set(raw) { 0 } else { raw & W.mask() }
            }
            fn init(config: &TableConfig<Config>) -> Result<Limits, Error> {
                let top_level = config.format.top_level;
                Error::check_range("top_level", top_level, 3..=4, Errno::EOPNOTSUPP)?;
                Ok(Limits { top_level, max_va_lg2: config.hw_max_vasz_lg2, max_oa_lg2: config.hw_max_oasz_lg2.min(52) })
            }
            fn hw_info(common: &Common<Self>, top: Top) -> HwInfo {
                let accessed_dirty = u64::from(common.has(ACCESSED_DIRTY)) << 6;
                HwInfo { eptp: top.pa | accessed_dirty | u64::from(top.level) << 3 | WRITE_BACK }
            }
        }

        impl ItemOa for Format {
            #[inline(always)]
            fn item_oa(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                OA.get(raw)
            }
        }

        impl DirtyBit for Format {
            const DIRTY_BIT: Field<Item> = D;
            #[inline(always)]
            fn tracks_dirty(common: &Common<Self>) -> bool {
                common.has(ACCESSED_DIRTY)
            }
        }

        impl SoftwareBits for Format {
            #[inline(always)]
            fn software_bits(_: &Common<Self>) -> &'static [u32] {
                &[11, 52, 53, 54, 55, 56, 59, 62]
            }
        }

        /// All permissions there are; an item with none of them is empty.
        #[inline(always)]
        fn permissions(common: &Common<Format>) -> u64 {
            R.mask() | W.mask() | X.mask() | XU.when(common.has(MODE_BASED_EXECUTE))
        }
    }
);

#[cfg(test)]
mod tests {
    use super::ept::*;
    use crate::fmt::golden::*;
    use crate::format::{Dirty, Kind, PtFormat, Top};
    use crate::{Access, Features, Prot};

    const CACHE: Prot = Prot::CACHE;
    const NOEXEC: Prot = Prot::NOEXEC;

    fn with(features: Features) -> crate::format::Common<Format> {
        common(features, Config { top_level: 3 })
    }

    /// R, W and X are bits 0 to 2, write-back is 6 at bit 3, a large page bit 7. R comes with W.
    #[test]
    fn golden_items() {
        let common = with(Features::empty());
        for golden in [
            leaf(0, 12, 0x1234_5000, READ_WRITE | CACHE, 0x1234_5037),
            leaf(0, 12, 0x1234_5000, Prot::WRITE | CACHE, 0x1234_5037),
            leaf(0, 12, 0x1234_5000, READ | CACHE | NOEXEC, 0x1234_5031),
            leaf(0, 12, 0x1234_5000, READ | Prot::MMIO | CACHE, 0x1234_5005),
            leaf(0, 12, 0x000f_ffff_ffff_f000, READ_WRITE, 0x000f_ffff_ffff_f00f),
            leaf(1, 21, 0x4020_0000, READ_WRITE | CACHE | NOEXEC, 0x4020_00b3),
            leaf(2, 30, 0x1_4000_0000, READ, 0x1_4000_008d),
        ] {
            check_leaf(&common, &golden);
        }
        check_table(&common, 4, 0xabc_d000, 0xabc_d007);
        check_kind(&common, 0, Kind::Empty, &[0, 0x1234_5038, 1 << 10, 1 << 63]);
    }

    /// Bit 6 ignores the PAT; bit 10 is execution by users; bit 63 is in pages and empty items, not in pointers.
    #[test]
    fn golden_items_with_features() {
        let common = with(IGNORE_PAT | SUPPRESS_VE | MODE_BASED_EXECUTE);
        check_leaf(&common, &leaf(0, 12, 0x1234_5000, READ_WRITE | CACHE, 0x8000_0000_1234_5477));
        check_leaf(&common, &leaf(1, 21, 0x4020_0000, READ | CACHE | NOEXEC, 0x8000_0000_4020_00f1));
        check_table(&common, 1, 0xabc_d000, 0xabc_d407);
        for level in 0..4 {
            assert_eq!(Format::empty_item(&common, level), 1 << 63);
        }
        check_kind(&common, 1, Kind::Empty, &[1 << 63, 0]);
    }

    /// A page that hardware accessed and wrote has bits 8 and 9; they are no attributes.
    #[test]
    fn golden_dirty_items() {
        let common = with(ACCESSED_DIRTY);
        assert!(Format::is_dirty(&common, 0, 0x1234_5337) && !Format::is_dirty(&common, 0, 0x1234_5137));
        assert_eq!(Format::clean_item(&common, 0, 0x1234_5337), 0x1234_5137);
        assert_eq!(Format::dirty_item(&common, 0, 0x1234_5137), 0x1234_5337);
        assert_eq!(Format::attrs_of(&common, 0, 0x1234_5337), 0x37);
        assert_eq!(Format::table_pa(&common, 1, 0xabc_d107), 0xabc_d000);
        assert!(!Format::tracks_dirty(&with(Features::empty())));
    }

    /// W without R (a marker is W and X), reserved bits of pointers, a 512 GiB page.
    #[test]
    fn foreign_items() {
        let common = with(Features::empty());
        for level in 0..=4 {
            check_kind(&common, level, Kind::Foreign, &[0x1234_5002, 0x1234_5006]);
        }
        check_kind(&common, 1, Kind::Foreign, &[0xabc_d00f, 0xabc_d017, 0xabc_d027, 0xabc_d047]);
        check_kind(&common, 3, Kind::Foreign, &[0xabc_d087, 0xabc_d08f]);
        // Hardware ignores bits 9, 11 and those from 52 on in pointers.
        check_kind(&common, 1, Kind::Table, &[0xfff0_0000_0abc_db07, 0xabc_d001]);
    }

    /// What can only be executed is a page; pointers always permit reading.
    #[test]
    fn execute_only_items() {
        let common = with(Features::empty());
        check_kind(&common, 0, Kind::Leaf, &[0x1234_5034]);
        check_kind(&common, 1, Kind::Leaf, &[0x4020_00b4]);
        check_kind(&common, 3, Kind::Foreign, &[0x1234_5004]);
        assert_eq!(Format::access(&common, 0, 0x1234_5034), Access::EXECUTE.for_all());
    }

    /// Of pointers the bits 3 to 7, which are those of leaves.
    #[test]
    fn reserved_bits_of_pointers() {
        let common = with(Features::empty());
        for (level, raw, reserved) in [
            (1, 0xabc_d00f, 0x8),
            (2, 0xabc_d047, 0x40),
            (3, 0xabc_d087, 0x80),
            (4, 0xabc_d0ff, 0xf8),
            (3, 0xabc_d107, 0),
        ] {
            assert_eq!(Format::reserved_bits(&common, level, raw), reserved, "{level}, {raw:#x}");
        }
    }

    /// The memory types 2, 3 and 7.
    #[test]
    fn reserved_values() {
        let common = with(Features::empty());
        for (memory_type, reserved) in [(0, 0), (1, 0), (2, 0x10), (3, 0x18), (4, 0), (5, 0), (6, 0), (7, 0x38)] {
            assert_eq!(Format::reserved_bits(&common, 0, 0x1234_5007 | memory_type << 3), reserved, "{memory_type}");
        }
    }

    /// The memory type of tables, write-back, is 6; levels less one at bit 3; flags at bit 6.
    #[test]
    fn hardware_information() {
        let eptp = |features, level| Format::hw_info(&with(features), Top { pa: 0x1234_5000, level }).eptp;
        assert_eq!(eptp(ACCESSED_DIRTY, 3), 0x1234_505e);
        assert_eq!(eptp(ACCESSED_DIRTY, 4), 0x1234_5066);
        assert_eq!(eptp(Features::empty(), 3), 0x1234_501e);
    }
}
