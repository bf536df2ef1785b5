//! RISC-V, 64-bit items: the first stage and the G-stage.

crate::define_pt_format!(
    /// RISC-V page tables with 64-bit items.
    pub(super) mod riscv_64_family {
        /// RISC-V page tables Sv39, Sv48 and Sv57: RISC-V privileged architecture, chapter "Supervisor-level ISA", with the
        /// extensions Svnapot 1.0, Svpbmt 1.0, Svadu 1.0 and Svrsw60t59b 1.0; RISC-V IOMMU architecture, first stage.
        ///
        /// Drives `satp` and `vsatp` of CPUs, and the first stage of RISC-V IOMMUs. Leaves are possible at every level. The
        /// hardware's VA width chooses the mode. U is always set: devices access as users unless they say otherwise.
        ///
        /// A, and D with WRITE, are set from the start, so that hardware never has to set them. With `SVADU` D tells which
        /// pages were written: making a page clean clears it, and hardware sets it with the next write. Pages start dirty. In
        /// a 64 KiB page hardware may set D in any item. Without `SVADU` there is no dirty tracking: hardware would fault.
        ///
        /// In table pointers hardware reserves all bits but V, G, the page number and those for software. Items with others
        /// are foreign (not so with the bits 59 and 60, whether they are for software or not), as are table pointers at level 0.
        ///
        /// # Protections
        ///
        /// WRITE alone reads and writes. NOEXEC takes away X. With `SVPBMT` MMIO makes I/O memory, and what is neither MMIO nor CACHE
        /// is not cached; without it both are ignored.
        pub mod riscv_64 {
            const CONCAT_LG2: u32 = 0;
            const STAGE: Stage = Stage::First;
            const COMPILED_IN: Features = SIGN_EXTEND;
            const VALID_WIDTHS: &str = "39, 48 or 57";

            /// For `iosatp` or the device context.
            #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
            pub struct HwInfo {
                /// Physical page number of the top table.
                pub ppn: u64,
                /// Mode: 8 is Sv39, 9 Sv48, 10 Sv57.
                pub fsc_iosatp_mode: u32,
            }

            const fn info(ppn: u64, fsc_iosatp_mode: u32) -> HwInfo {
                HwInfo { ppn, fsc_iosatp_mode }
            }

            /// For the test suite: every mode, with 64 KiB pages and without, with hardware that notes writes and without.
            pub const TEST_CONFIGS: &[TestConfig<Format>] = &[
                TestConfig::new("sv39_napot", Config {}).va_lg2(39).without(SVADU.union(SVRSW60T59B)),
                TestConfig::new("sv48", Config {}).va_lg2(48).without(SVNAPOT_64K),
                TestConfig::new("sv57_napot", Config {}).va_lg2(57).without(SVPBMT),
            ];
        }
        /// RISC-V G-stage page tables Sv39x4, Sv48x4 and Sv57x4: RISC-V privileged architecture, chapter "Hypervisor
        /// extension", guest physical address translation; RISC-V IOMMU architecture, second stage.
        ///
        /// Drives `hgatp` of CPUs, and the second stage of RISC-V IOMMUs. Items are those of [`riscv_64`], where all that is
        /// said holds here too. The top is four times as large: 16 KiB, aligned to that. Guest physical addresses have 41, 50 or
        /// 59 bits, and those above are zero. U is set in all leaves, since hardware takes every access for a user's; it
        /// ignores G, which stays clear.
        ///
        /// [`riscv_64`]: crate::fmt::riscv_64
        pub mod riscv_64_g {
            const CONCAT_LG2: u32 = 2;
            const STAGE: Stage = Stage::Guest;
            const COMPILED_IN: Features = Features::empty();
            const VALID_WIDTHS: &str = "41, 50 or 59";

            /// For `iohgatp` of the device context, or `hgatp`.
            #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
            pub struct HwInfo {
                /// Physical page number of the top table; its two low bits are zero.
                pub ppn: u64,
                /// Mode: 8 is Sv39x4, 9 Sv48x4, 10 Sv57x4.
                pub iohgatp_mode: u32,
            }

            const fn info(ppn: u64, iohgatp_mode: u32) -> HwInfo {
                HwInfo { ppn, iohgatp_mode }
            }

            /// For the test suite: every mode, with 64 KiB pages and without, with hardware that notes writes and without.
            pub const TEST_CONFIGS: &[TestConfig<Format>] = &[
                TestConfig::new("sv39x4", Config {}).va_lg2(41).without(SVNAPOT_64K.union(SVADU)),
                TestConfig::new("sv48x4_napot", Config {}).va_lg2(50).without(SVPBMT.union(SVRSW60T59B)),
                TestConfig::new("sv57x4_napot", Config {}).va_lg2(59),
            ];
        }

        use crate::fmt::riscv::{self, Stage};
        type Item = u64;
        const GEOMETRY: Geometry = Geometry {
            granule_lg2: 12,
            table_lg2: Tables::Uniform(12),
            max_va_lg2: 57 + CONCAT_LG2,
            max_oa_lg2: 56,
            max_top_level: 4,
            leaf_levels: 0..=4,
            top_pa_mask: lg2::bit_range_mask(12 + CONCAT_LG2, 55),
        };
        const QUIRKS: Quirks = Quirks { concat_lg2: CONCAT_LG2, min_top_level: 2, ..Quirks::NONE };
        enum Feature {
            /// Svnapot: 64 KiB pages of 16 items at level 0.
            SVNAPOT_64K,
            /// Svpbmt: memory types in the item.
            SVPBMT,
            /// Svadu: hardware sets A and D (`menvcfg.ADUE`, `henvcfg.ADUE`; SADE and GADE of a device context), so that D
            /// tells which pages were written.
            SVADU,
            /// Svrsw60t59b: hardware ignores bits 59 and 60, too.
            SVRSW60T59B,
        }
        const SUPPORTED: Features =
            COMPILED_IN | FLUSH_RANGE | DETAILED_GATHER | SVNAPOT_64K | SVPBMT | SVADU | SVRSW60T59B;
        const FORCED: Features = DETAILED_GATHER;
        enum Bits {
            /// Valid.
            V = bit(0),
            /// Read.
            R = bit(1),
            /// Write; never without R.
            W = bit(2),
            /// Execute. A table pointer has neither R nor W nor X.
            X = bit(3),
            /// User.
            U = bit(4).in_leaves(),
            /// Global; never set here. The G-stage ignores it.
            G = bit(5).or_below(),
            /// Accessed.
            A = bit(6).in_leaves(),
            /// Dirty; hardware sets it with Svadu, in any item of a 64 KiB page.
            D = bit(7).in_leaves(),
            /// For software.
            RSW = bits(8, 9),
            /// Physical page number: of the page, or of the table.
            PPN = address(10, 53).from_bit(12),
            /// For software with Svrsw60t59b, else reserved.
            RSW60T59B = bits(59, 60),
            /// Memory type: 0 is that of the physical memory, 1 non-cacheable, 2 I/O, 3 reserved.
            PBMT = bits(61, 62).in_leaves(),
            /// Naturally aligned power-of-two range: several items are one page.
            N = bit(63).at_levels(0..=0),
        }

        /// Configuration: nothing but the hardware's VA width.
        pub struct Config {}

        /// Items of a 64 KiB page, as a power of two; bit `NAPOT_LG2 - 1` of its page number is set, those below are clear.
        const NAPOT_LG2: u32 = 4;
        /// The page number's bits that say how large a page with N is.
        const NAPOT_CODE: u64 = lg2::low_mask(NAPOT_LG2) << GEOMETRY.granule_lg2;
        /// Bits of no field.
        const RESERVED: u64 = lg2::bit_range_mask(54, 58);
        const NON_CACHEABLE: u64 = 1;
        const IO: u64 = 2;

        impl PtFormat for Format {
            const SECTIONS: &'static [(SpecRule, &'static str)] = riscv::SECTIONS_64;
            #[inline(always)]
            fn kind(_: &Common<Self>, level: u32, raw: u64) -> Kind {
                // RSW60T59B is let through, so that the mask is a constant: without the extension hardware reserves it.
                let in_tables = G.mask() | RSW.mask() | PPN.mask() | RSW60T59B.mask();
                if level > 0 && raw & !in_tables == V.mask() {
                    Kind::Table
                } else if V.is_set(raw) && raw & (R.mask() | W.mask() | X.mask()) != 0 {
                    // One jump for both, where most walks end.
                    Kind::Leaf
                } else if V.is_set(raw) {
                    Kind::Foreign
                } else {
                    Kind::Empty
                }
            }
            #[inline(always)]
            fn is_leaf(_: &Common<Self>, _: u32, raw: u64) -> bool {
                V.is_set(raw) && raw & (R.mask() | W.mask() | X.mask()) != 0
            }
            #[inline(always)]
            fn table_item(_: &Common<Self>, _: u32, table_pa: u64) -> u64 {
                V.mask() | PPN.put(table_pa)
            }
            #[inline(always)]
            fn table_pa(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                PPN.get(raw)
            }
            #[inline(always)]
            fn leaf_item(_: &Common<Self>, leaf: LeafRequest<u64>) -> u64 {
                let napot = if leaf.size_lg2 > item_size_lg2::<Self>(leaf.level) {
                    N.mask() | PPN.put(lg2::pow2(leaf.size_lg2 - 1))
                } else {
                    0
                };
                V.mask() | PPN.put(leaf.oa) | napot | leaf.attrs
            }
            #[inline(always)]
            fn attrs(common: &Common<Self>, prot: Prot) -> Result<u64, Error> {
                let writable = prot.contains(Prot::WRITE);
                let access = R.when(writable || prot.contains(Prot::READ))
                    | W.when(writable)
                    | D.when(writable)
                    | X.when(!prot.contains(Prot::NOEXEC));
                if access == 0 {
                    let (valid, errno) = ("at least one of READ, WRITE and not NOEXEC", Errno::EOPNOTSUPP);
                    return Err(Error::Protection { prot, valid, errno });
                }
                let memory_type = if !common.has(SVPBMT) {
                    0
                } else if prot.contains(Prot::MMIO) {
                    PBMT.put(IO)
                } else if !prot.contains(Prot::CACHE) {
                    PBMT.put(NON_CACHEABLE)
                } else {
                    0
                };
                Ok(A.mask() | U.mask() | access | memory_type)
            }
            #[inline(always)]
            fn attrs_of(common: &Common<Self>, _: u32, raw: u64) -> u64 {
                let access = R.mask() | W.mask() | X.mask() | U.mask() | G.mask() | A.mask() | PBMT.mask();
                // D as it is from the start, where hardware may have set it and software may have cleared it.
                let dirty = if common.has(SVADU) { D.when(W.is_set(raw)) } else { raw & D.mask() };
                raw & access | dirty
            }
            #[inline(always)]
            fn possible_sizes(common: &Common<Self>, level: u32) -> u64 {
                let napot = level == 0 && common.has(SVNAPOT_64K);
                plain_size::<Self>(level) | if napot { lg2::pow2(GEOMETRY.granule_lg2 + NAPOT_LG2) } else { 0 }
            }
            #[inline(always)]
            fn nonempty_bits(_: &Common<Self>, _: u32) -> u64 {
                V.mask()
            }
            fn access(_: &Common<Self>, _: u32, raw: u64) -> Access {
                let access = Access::READ.when(R.is_set(raw)) | Access::WRITE.when(W.is_set(raw));
                riscv::access(access | Access::EXECUTE.when(X.is_set(raw)), U.is_set(raw), STAGE)
            }
            fn reserved_bits(common: &Common<Self>, level: u32, raw: u64) -> u64 {
                let write_only = if R.is_set(raw) { 0 } else { raw & W.mask() };
                let has_types = common.has(SVPBMT) && PBMT.get(raw) <= IO;
                let memory_type = if has_types { 0 } else { raw & PBMT.mask() };
                let software = if common.has(SVRSW60T59B) { 0 } else { raw & RSW60T59B.mask() };
                let is_64k = common.has(SVNAPOT_64K)
                    && PPN.get(raw) & NAPOT_CODE == lg2::pow2(GEOMETRY.granule_lg2 + NAPOT_LG2 - 1);
                let napot = if level == 0 && is_64k { 0 } else { raw & N.mask() };
                write_only | memory_type | software | napot | raw & RESERVED
            }
            fn accessed_bits(_: &Common<Self>) -> u64 {
                A.mask()
            }
            fn faulting_flags(common: &Common<Self>, _: u32, raw: u64) -> u64 {
                if common.has(SVADU) { 0 } else { !raw & (A.mask() | D.when(W.is_set(raw))) }
            }
            fn init(config: &TableConfig<Config>) -> Result<Limits, Error> {
                let top_level = match config.hw_max_vasz_lg2.saturating_sub(CONCAT_LG2) {
                    39 => 2,
                    48 => 3,
                    57 => 4,
                    _ => {
                        let (field, found) = ("hw_max_vasz_lg2", config.hw_max_vasz_lg2.into());
                        return Err(Error::Config { field, found, valid: VALID_WIDTHS, errno: Errno::EINVAL });
                    }
                };
                Ok(Limits { top_level, max_va_lg2: config.hw_max_vasz_lg2, max_oa_lg2: config.hw_max_oasz_lg2.min(56) })
            }
            fn hw_info(_: &Common<Self>, top: Top) -> HwInfo {
                info(top.pa >> 12, top.level + 6)
            }
        }

        impl EntryOa for Format {
            #[inline(always)]
            fn entry_oa(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                PPN.get(raw)
            }
        }

        impl Contiguous for Format {
            #[inline(always)]
            fn contig_lg2(_: &Common<Self>, level: u32, raw: u64) -> u32 {
                // Not set without SVNAPOT_64K.
                if level == 0 && N.is_set(raw) { NAPOT_LG2 } else { 0 }
            }
        }

        impl DirtyBit for Format {
            const DIRTY_BIT: Field<Item> = D;
            #[inline(always)]
            fn tracks_dirty(common: &Common<Self>) -> bool {
                common.has(SVADU)
            }
        }

        impl SoftwareBits for Format {
            #[inline(always)]
            fn software_bits(common: &Common<Self>) -> &'static [u32] {
                if common.has(SVRSW60T59B) { &[8, 9, 59, 60] } else { &[8, 9] }
            }
        }
    }
);

#[cfg(test)]
mod tests {
    use super::riscv_64_family::{riscv_64, riscv_64_g};
    use crate::Prot;
    use crate::fmt::golden::*;
    use crate::format::{Dirty, Kind, PtFormat, Top};

    /// V, U and A always; R and W and D with WRITE; X unless NOEXEC; the page number from bit 10 on.
    #[test]
    fn golden_items() {
        let common = common::<riscv_64::Format>(riscv_64::FORCED, riscv_64::Config::default());
        for golden in [
            leaf(0, 12, 0x1234_5000, READ_WRITE, 0x048d_14df),
            leaf(0, 12, 0x1234_5000, READ | Prot::NOEXEC, 0x048d_1453),
            leaf(0, 12, 0x00ff_ffff_ffff_f000, READ_WRITE, 0x003f_ffff_ffff_fcdf),
            leaf(1, 21, 0x4020_0000, READ_WRITE, 0x1008_00df),
            leaf(4, 48, 0x0003_0000_0000_0000, READ, 0x0000_c000_0000_005b),
        ] {
            check_leaf(&common, &golden);
        }
        check_table(&common, 2, 0xabc_d000, 0x02af_3401);
    }

    /// N, and 1000b in the low four bits of the page number.
    #[test]
    fn golden_napot_items() {
        let common =
            common::<riscv_64::Format>(riscv_64::SUPPORTED.difference(riscv_64::SVPBMT), riscv_64::Config::default());
        check_leaf(&common, &leaf(0, 16, 0x8001_0000, READ_WRITE, 0x8000_0000_2000_60df));
        check_leaf(&common, &leaf(0, 16, 0x8001_0000, READ_WRITE | Prot::NOEXEC, 0x8000_0000_2000_60d7));
    }

    /// Memory types in bits 62 and 61: 1 unless CACHE, 2 for MMIO.
    #[test]
    fn golden_memory_types() {
        let common = common::<riscv_64::Format>(riscv_64::SUPPORTED, riscv_64::Config::default());
        check_leaf(&common, &leaf(0, 12, 0x1234_5000, READ_WRITE | Prot::CACHE, 0x0000_0000_048d_14df));
        check_leaf(&common, &leaf(0, 12, 0x1234_5000, READ_WRITE, 0x2000_0000_048d_14df));
        check_leaf(&common, &leaf(0, 12, 0x1234_5000, READ_WRITE | Prot::MMIO, 0x4000_0000_048d_14df));
    }

    /// The G-stage has the same items, 64 KiB pages and memory types included.
    #[test]
    fn golden_g_stage_items() {
        let common = common::<riscv_64_g::Format>(riscv_64_g::SUPPORTED, riscv_64_g::Config::default());
        check_leaf(&common, &leaf(0, 16, 0x8001_0000, READ_WRITE | Prot::CACHE, 0x8000_0000_2000_60df));
        check_leaf(&common, &leaf(4, 48, 0x0003_0000_0000_0000, READ | Prot::MMIO, 0x4000_c000_0000_005b));
        check_table(&common, 4, 0xabc_d000, 0x02af_3401);
    }

    /// Written (D) or not, read-only pages are never made dirty; bits for software are no attributes.
    #[test]
    fn golden_dirty_items() {
        let common = common::<riscv_64::Format>(riscv_64::SUPPORTED, riscv_64::Config::default());
        assert!(riscv_64::Format::tracks_dirty(&common));
        assert!(riscv_64::Format::is_dirty(&common, 0, 0x048d_14df));
        assert_eq!(riscv_64::Format::clean_item(&common, 0, 0x048d_14df), 0x048d_145f);
        assert_eq!(riscv_64::Format::dirty_item(&common, 0, 0x048d_145f), 0x048d_14df);
        assert_eq!(riscv_64::Format::attrs_of(&common, 0, 0x1800_0000_048d_175f), 0xdf - 1);
        assert_eq!(riscv_64::Format::attrs_of(&common, 0, 0x048d_1453), 0x53 - 1);
    }

    /// A, D, U, memory types and N are reserved in table pointers, and the bits 54 to 58; 59 and 60 are let through.
    #[test]
    fn foreign_items() {
        let common = common::<riscv_64::Format>(riscv_64::SUPPORTED, riscv_64::Config::default());
        check_kind(&common, 1, Kind::Table, &[0x02af_3401, 0x02af_3421, 0x02af_3701, 0x1800_0000_02af_3401]);
        check_kind(&common, 1, Kind::Foreign, &[0x02af_3411, 0x02af_3441, 0x02af_3481, 0x8000_0000_02af_3401]);
        check_kind(&common, 1, Kind::Foreign, &[0x2000_0000_02af_3401, 0x0040_0000_02af_3401, 0x0400_0000_02af_3401]);
        check_kind(&common, 0, Kind::Foreign, &[0x02af_3401]);
    }

    /// `iosatp` and `iohgatp`: page numbers, and 8 for three levels.
    #[test]
    fn hardware_information() {
        let top = |level| Top { pa: 0x12_3456_8000, level };
        let first = common::<riscv_64::Format>(riscv_64::FORCED, riscv_64::Config::default());
        let info = riscv_64::HwInfo { ppn: 0x123_4568, fsc_iosatp_mode: 9 };
        assert_eq!(riscv_64::Format::hw_info(&first, top(3)), info);
        let g_stage = common::<riscv_64_g::Format>(riscv_64_g::FORCED, riscv_64_g::Config::default());
        let info = riscv_64_g::HwInfo { ppn: 0x123_4568, iohgatp_mode: 8 };
        assert_eq!(riscv_64_g::Format::hw_info(&g_stage, top(2)), info);
        assert_eq!(riscv_64_g::GEOMETRY.top_pa_mask, 0x00ff_ffff_ffff_c000);
    }
}
