//! x86, 32-bit PAE paging.

crate::define_pt_format!(
    /// x86 PAE page tables: Intel SDM volume 3A, chapter "Paging", section "PAE paging"; AMD64 APM volume 2, "PAE paging".
    ///
    /// Drives 32-bit x86 CPUs and guests with CR4.PAE. Levels 0 to 2 are the manuals' PTE, PDE and PDPTE. The top has four
    /// items: 32 bytes, aligned to that, below 4 GiB. All 32 VA bits are decoded. `EXECUTE_DISABLE` needs `IA32_EFER.NXE`;
    /// without it NOEXEC has no effect.
    ///
    /// A is set from the start, and D with WRITE. D tells which pages were written: making a page clean clears it, and the CPU
    /// sets it with the next write. Pages start dirty.
    ///
    /// **The CPU keeps its four PDPTEs in registers**, and reads them again only when CR3 is loaded. So a map that makes the
    /// first table in a GiB has an effect after the next load of CR3, and so has an unmap that takes it away; the latter is told
    /// by bit 2 of the invalidation's table levels (`DETAILED_GATHER`). Who maps one page in each GiB before the table is
    /// used, and unmaps it, is rid of the first: the tables stay.
    ///
    /// PDPTEs are not as the items below: in them R/W, U/S, A, D, PS, G and all bits from 52 on are reserved, in PDEs and PTEs
    /// the bits 52 to 62. Table pointers with reserved bits are foreign. (Software disagrees on the bits 52 to 62 of PDEs and
    /// PTEs: some takes them for ignored. They are never set here, which is right either way, and not offered to software.)
    ///
    /// # Protections
    ///
    /// What is mapped can always be read: WRITE alone reads and writes. NOEXEC sets XD with `EXECUTE_DISABLE`; CACHE and MMIO are
    /// ignored.
    pub mod x86_pae {
        type Item = u64;
        const GEOMETRY: Geometry = Geometry {
            granule_lg2: 12,
            table_lg2: Tables::Uniform(12),
            max_va_lg2: 32,
            max_oa_lg2: 52,
            max_top_level: 2,
            leaf_levels: 0..=1,
            top_pa_mask: 0xffff_ffe0,
        };
        const QUIRKS: Quirks = Quirks { min_top_level: 2, ..Quirks::NONE };
        enum Feature {
            /// XD is set without execute permission (`IA32_EFER.NXE`).
            EXECUTE_DISABLE,
        }
        const SUPPORTED: Features = FLUSH_RANGE | FLUSH_RANGE_NO_GAPS | DETAILED_GATHER | EXECUTE_DISABLE;
        enum Bits {
            /// Present.
            P = bit(0),
            /// Writable.
            RW = bit(1).at_levels(0..=1).and_below(),
            /// User.
            U = bit(2).at_levels(0..=1).and_below(),
            /// Page-level write-through: a part of the memory type; never set here.
            PWT = bit(3),
            /// Page-level cache disable: a part of the memory type; never set here.
            PCD = bit(4),
            /// Accessed; the CPU sets it.
            A = bit(5).at_levels(0..=1),
            /// Dirty; the CPU sets it in leaves, and ignores it in pointers.
            D = bit(6).at_levels(0..=1),
            /// Leaf, at level 1.
            PS = bit(7).at_levels(1..=1),
            /// Page attribute table, in a page of 4 KiB: a part of the memory type; never set here.
            PAT = bit(7).at_levels(0..=0),
            /// Global; never set here, and ignored in pointers.
            G = bit(8).at_levels(0..=1),
            /// Output address, or the table's.
            OA = address(12, 51),
            /// Page attribute table, in a page of 2 MiB: a part of the memory type; never set here.
            PAT_LARGE = bit(12).at_levels(1..=1).in_leaves(),
            /// Execute disable.
            XD = bit(63).at_levels(0..=1).or_below(),
        }

        /// Configuration: none.
        pub struct Config {}

        /// For the CPU.
        pub struct HwInfo {
            /// CR3: the top's physical address; the memory type of the top is write-back.
            pub cr3: u32,
        }

        /// What is reserved in pointers to page tables, and to page directories.
        const PDE_RESERVED: u64 = lg2::bit_range_mask(52, 62);
        const PDPTE_RESERVED: u64 = lg2::bit_range_mask(1, 2) | lg2::bit_range_mask(5, 8) | lg2::bit_range_mask(52, 63);

        /// For the test suite: with and without execute permissions.
        pub const TEST_CONFIGS: &[TestConfig<Format>] = &[
            TestConfig::new("xd", Config {}),
            TestConfig::new("oasz36", Config {}).oa_lg2(36).without(EXECUTE_DISABLE.union(FLUSH_RANGE_NO_GAPS)),
        ];

        impl PtFormat for Format {
            const SECTIONS: &'static [(SpecRule, &'static str)] = &[
                (SpecRule::Present, "Intel SDM vol. 3 chapter 5, \"Page-fault exceptions\""),
                (SpecRule::Kinds, "Intel SDM vol. 3 chapter 5, \"Linear-address translation with PAE paging\""),
                (SpecRule::Reserved, "Intel SDM vol. 3 chapter 5, \"Page-fault exceptions\""),
                (SpecRule::Tables, "Intel SDM vol. 3 chapter 5, \"Linear-address translation with PAE paging\""),
                (SpecRule::Pages, "Intel SDM vol. 3 chapter 5, \"Linear-address translation with PAE paging\""),
                (
                    SpecRule::Width,
                    "Intel SDM vol. 3 chapter 5, \"Enumeration of paging features by CPUID\" (MAXPHYADDR)",
                ),
                (SpecRule::Accessed, "Intel SDM vol. 3 chapter 5, \"Accessed and dirty flags\""),
                (SpecRule::Dirty, "Intel SDM vol. 3 chapter 5, \"Accessed and dirty flags\""),
                (SpecRule::Field("XD"), "Intel SDM vol. 3 chapter 5, \"Paging-mode modifiers\" (IA32_EFER.NXE)"),
            ];
            #[inline(always)]
            fn kind(_: &Common<Self>, level: u32, raw: u64) -> Kind {
                let reserved = if level == 1 { PDE_RESERVED } else { PDPTE_RESERVED };
                if !P.is_set(raw) {
                    Kind::Empty
                } else if level == 0 || (level == 1 && PS.is_set(raw)) {
                    Kind::Leaf
                } else if raw & reserved == 0 {
                    Kind::Table
                } else {
                    Kind::Foreign
                }
            }
            #[inline(always)]
            fn table_item(_: &Common<Self>, level: u32, table_pa: u64) -> u64 {
                let access = if level == 1 { RW.mask() | U.mask() | A.mask() } else { 0 };
                P.mask() | access | OA.put(table_pa)
            }
            #[inline(always)]
            fn table_pa(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                OA.get(raw)
            }
            #[inline(always)]
            fn leaf_item(_: &Common<Self>, leaf: LeafRequest<u64>) -> u64 {
                P.mask() | OA.put(leaf.oa) | PS.when(leaf.level > 0) | leaf.attrs
            }
            #[inline(always)]
            fn attrs(common: &Common<Self>, prot: Prot) -> Result<u64, Error> {
                let writable = prot.contains(Prot::WRITE);
                let never_executed = common.has(EXECUTE_DISABLE) && prot.contains(Prot::NOEXEC);
                Ok(U.mask() | A.mask() | RW.when(writable) | D.when(writable) | XD.when(never_executed))
            }
            #[inline(always)]
            fn attrs_of(_: &Common<Self>, level: u32, raw: u64) -> u64 {
                let memory_type = PWT.mask() | PCD.mask() | if level == 0 { PAT.mask() } else { PAT_LARGE.mask() };
                let kept = RW.mask() | U.mask() | A.mask() | G.mask() | XD.mask() | memory_type;
                // D as it is from the start.
                raw & kept | D.when(RW.is_set(raw))
            }
            #[inline(always)]
            fn nonempty_bits(_: &Common<Self>, _: u32) -> u64 {
                P.mask()
            }
            fn access(_: &Common<Self>, _: u32, raw: u64) -> Access {
                let access = Access::READ | Access::WRITE.when(RW.is_set(raw)) | Access::EXECUTE.when(!XD.is_set(raw));
                access | access.for_users().when(U.is_set(raw))
            }
            fn reserved_bits(common: &Common<Self>, _: u32, raw: u64) -> u64 {
                if common.has(EXECUTE_DISABLE) { 0 } else { raw & XD.mask() }
            }
            fn init(config: &TableConfig<Config>) -> Result<Limits, Error> {
                Error::check_range("hw_max_vasz_lg2", config.hw_max_vasz_lg2, 32..=32, Errno::EINVAL)?;
                Ok(Limits { top_level: 2, max_va_lg2: 32, max_oa_lg2: config.hw_max_oasz_lg2.min(52) })
            }
            fn hw_info(_: &Common<Self>, top: Top) -> HwInfo {
                HwInfo { cr3: top.pa as u32 }
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
        }

        impl SoftwareBits for Format {
            #[inline(always)]
            fn software_bits(_: &Common<Self>) -> &'static [u32] {
                &[9, 10, 11]
            }
        }
    }
);

#[cfg(test)]
mod tests {
    use super::x86_pae::*;
    use crate::Prot;
    use crate::fmt::golden::*;
    use crate::format::{Dirty, Kind, PtFormat, Top};

    /// P, U and A always (bits 0, 2, 5); R/W and D with WRITE (bits 1, 6); PS (bit 7) at level 1; XD is bit 63.
    #[test]
    fn golden_items() {
        let common = common::<Format>(SUPPORTED, Config {});
        for golden in [
            leaf(0, 12, 0x1234_5000, READ_WRITE, 0x1234_5067),
            leaf(0, 12, 0x1234_5000, READ, 0x1234_5025),
            leaf(0, 12, 0x000f_ffff_ffff_f000, READ_WRITE | Prot::NOEXEC, 0x800f_ffff_ffff_f067),
            leaf(1, 21, 0x9_4020_0000, READ_WRITE, 0x9_4020_00e7),
        ] {
            check_leaf(&common, &golden);
        }
        // A page directory entry has U, R/W and A; a PDPTE has P and the address only.
        check_table(&common, 1, 0x9_0abc_d000, 0x9_0abc_d027);
        check_table(&common, 2, 0x9_0abc_d000, 0x9_0abc_d001);
    }

    /// Without NXE bit 63 is reserved.
    #[test]
    fn golden_items_without_execute_disable() {
        let common = common::<Format>(SUPPORTED.difference(EXECUTE_DISABLE), Config {});
        check_leaf(&common, &leaf(0, 12, 0x1234_5000, READ | Prot::NOEXEC, 0x1234_5025));
    }

    #[test]
    fn golden_dirty_items() {
        let common = common::<Format>(SUPPORTED, Config {});
        assert!(Format::is_dirty(&common, 1, 0x4020_00e7) && !Format::is_dirty(&common, 1, 0x4020_00a7));
        assert_eq!(Format::clean_item(&common, 1, 0x4020_00e7), 0x4020_00a7);
        assert_eq!(Format::attrs_of(&common, 1, 0x4020_00a7), 0x66);
    }

    /// In PDPTEs R/W, U/S, A and others are reserved, in both kinds of pointer what lies above the address; a PDPTE is
    /// no page.
    #[test]
    fn foreign_items() {
        let common = common::<Format>(SUPPORTED, Config {});
        check_kind(&common, 2, Kind::Table, &[0x1234_5001, 0x1234_5e19]);
        check_kind(&common, 2, Kind::Foreign, &[0x1234_5003, 0x1234_5005, 0x1234_5021, 0x1234_5081, 0x1234_5101]);
        check_kind(&common, 2, Kind::Foreign, &[0x8000_0000_1234_5001, 0x0010_0000_1234_5001]);
        check_kind(&common, 1, Kind::Table, &[0x1234_5001, 0x8000_0000_1234_5e7f]);
        check_kind(&common, 1, Kind::Foreign, &[0x0010_0000_1234_5027, 0x4000_0000_1234_5027]);
    }

    #[test]
    fn hardware_information() {
        let common = common::<Format>(SUPPORTED, Config {});
        assert_eq!(Format::hw_info(&common, Top { pa: 0xfedc_ba20, level: 2 }), HwInfo { cr3: 0xfedc_ba20 });
    }
}
