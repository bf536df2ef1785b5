//! RISC-V, 32-bit items: the first stage and the G-stage.

crate::define_pt_format!(
    /// RISC-V page tables with 32-bit items.
    pub(super) mod riscv_32_family {
        /// RISC-V page tables Sv32: RISC-V privileged architecture, chapter "Supervisor-level ISA", with the extension Svadu
        /// 1.0; RISC-V IOMMU architecture, first stage with `SXL` of the device context set.
        ///
        /// Drives `satp` and `vsatp` of 32-bit CPUs, and the first stage of RISC-V IOMMUs. A table has 1024 items of 4 bytes;
        /// leaves are 4 KiB and 4 MiB. All 32 VA bits are decoded, so nothing is sign-extended; OAs have 34 bits, and tables are
        /// below 2^34. There are neither Svnapot nor Svpbmt. U is always set: devices access as users unless they say
        /// otherwise.
        ///
        /// A, and D with WRITE, are set from the start, so that hardware never has to set them. With `SVADU` D tells which
        /// pages were written: making a page clean clears it, and hardware sets it with the next write. Pages start dirty.
        /// Without `SVADU` there is no dirty tracking: hardware would fault.
        ///
        /// In table pointers hardware reserves U, A and D. Items with one of them are foreign, as are table pointers at level
        /// 0.
        ///
        /// # Protections
        ///
        /// WRITE alone reads and writes. NOEXEC takes away X. CACHE and MMIO are ignored.
        pub mod riscv_32 {
            const CONCAT_LG2: u32 = 0;
            const STAGE: Stage = Stage::First;

            /// For `iosatp`, the device context, or `satp`.
            #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
            pub struct HwInfo {
                /// Physical page number of the top table, 22 bits.
                pub ppn: u32,
                /// Mode of `iosatp`: 8 is Sv32. (`satp` has one bit for it, 1.)
                pub fsc_iosatp_mode: u32,
            }

            const fn info(ppn: u32, fsc_iosatp_mode: u32) -> HwInfo {
                HwInfo { ppn, fsc_iosatp_mode }
            }

            /// For the test suite: all, and what fits into 32 bits.
            pub const TEST_CONFIGS: &[TestConfig<Format>] = &[
                TestConfig::new("sv32", Config {}).without(SVADU),
                TestConfig::new("sv32_oasz32", Config {}).oa_lg2(32),
            ];
        }
        /// RISC-V G-stage page tables Sv32x4: RISC-V privileged architecture, chapter "Hypervisor extension", guest physical
        /// address translation; RISC-V IOMMU architecture, second stage with `GXL` set.
        ///
        /// Drives `hgatp` of 32-bit CPUs, and the second stage of RISC-V IOMMUs. Items are those of [`riscv_32`], where all
        /// that is said holds here too. The top is four times as large: 16 KiB, aligned to that. Guest physical addresses have
        /// 34 bits. U is set in all leaves, since hardware takes every access for a user's; it ignores G, which stays clear.
        ///
        /// [`riscv_32`]: crate::fmt::riscv_32
        pub mod riscv_32_g {
            const CONCAT_LG2: u32 = 2;
            const STAGE: Stage = Stage::Guest;

            /// For `iohgatp` of the device context, or `hgatp`.
            #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
            pub struct HwInfo {
                /// Physical page number of the top table, 22 bits; the two low ones are zero.
                pub ppn: u32,
                /// Mode of `iohgatp`: 8 is Sv32x4. (`hgatp` has one bit for it, 1.)
                pub iohgatp_mode: u32,
            }

            const fn info(ppn: u32, iohgatp_mode: u32) -> HwInfo {
                HwInfo { ppn, iohgatp_mode }
            }

            /// For the test suite: with hardware that notes writes, and without.
            pub const TEST_CONFIGS: &[TestConfig<Format>] =
                &[TestConfig::new("sv32x4", Config {}).without(SVADU), TestConfig::new("sv32x4_svadu", Config {})];
        }

        use crate::fmt::riscv::{self, Stage};
        type Item = u32;
        const GEOMETRY: Geometry = Geometry {
            granule_lg2: 12,
            table_lg2: Tables::Uniform(12),
            max_va_lg2: 32 + CONCAT_LG2,
            max_oa_lg2: 34,
            max_top_level: 1,
            leaf_levels: 0..=1,
            top_pa_mask: lg2::bit_range_mask(12 + CONCAT_LG2, 33),
        };
        const QUIRKS: Quirks = Quirks { concat_lg2: CONCAT_LG2, table_pa_lg2: 34, min_top_level: 1, ..Quirks::NONE };
        enum Feature {
            /// Svadu: hardware sets A and D (`menvcfgh.ADUE`, `henvcfgh.ADUE`; SADE and GADE of a device context), so that D
            /// tells which pages were written.
            SVADU,
        }
        const SUPPORTED: Features = FLUSH_RANGE | DETAILED_GATHER | SVADU;
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
            /// Dirty; hardware sets it with Svadu.
            D = bit(7).in_leaves(),
            /// For software.
            RSW = bits(8, 9),
            /// Physical page number: of the page, or of the table.
            PPN = address(10, 31).from_bit(12),
        }

        /// Configuration: none.
        pub struct Config {}

        impl PtFormat for Format {
            const SECTIONS: &'static [(SpecRule, &'static str)] = riscv::SECTIONS_32;
            #[inline(always)]
            fn kind(_: &Common<Self>, level: u32, raw: u32) -> Kind {
                if !V.is_set(raw) {
                    Kind::Empty
                } else if raw & (R.mask() | W.mask() | X.mask()) != 0 {
                    Kind::Leaf
                } else if level > 0 && raw & (U.mask() | A.mask() | D.mask()) == 0 {
                    Kind::Table
                } else {
                    Kind::Foreign
                }
            }
            #[inline(always)]
            fn table_item(_: &Common<Self>, _: u32, table_pa: u64) -> u32 {
                V.mask() | PPN.put(table_pa)
            }
            #[inline(always)]
            fn table_pa(_: &Common<Self>, _: u32, raw: u32) -> u64 {
                PPN.get(raw)
            }
            #[inline(always)]
            fn leaf_item(_: &Common<Self>, leaf: LeafRequest<u32>) -> u32 {
                V.mask() | PPN.put(leaf.oa) | leaf.attrs
            }
            #[inline(always)]
            fn attrs(_: &Common<Self>, prot: Prot) -> Result<u32, Error> {
                let writable = prot.contains(Prot::WRITE);
                let access = R.when(writable || prot.contains(Prot::READ))
                    | W.when(writable)
                    | D.when(writable)
                    | X.when(!prot.contains(Prot::NOEXEC));
                if access == 0 {
                    let (valid, errno) = ("at least one of READ, WRITE and not NOEXEC", Errno::EOPNOTSUPP);
                    return Err(Error::Protection { prot, valid, errno });
                }
                Ok(A.mask() | U.mask() | access)
            }
            #[inline(always)]
            fn attrs_of(common: &Common<Self>, _: u32, raw: u32) -> u32 {
                // D as it is from the start, where hardware may have set it and software may have cleared it.
                let dirty = if common.has(SVADU) { D.when(W.is_set(raw)) } else { raw & D.mask() };
                raw & (R.mask() | W.mask() | X.mask() | U.mask() | G.mask() | A.mask()) | dirty
            }
            #[inline(always)]
            fn nonempty_bits(_: &Common<Self>, _: u32) -> u32 {
                V.mask()
            }
            fn access(_: &Common<Self>, _: u32, raw: u32) -> Access {
                let access = Access::READ.when(R.is_set(raw)) | Access::WRITE.when(W.is_set(raw));
                riscv::access(access | Access::EXECUTE.when(X.is_set(raw)), U.is_set(raw), STAGE)
            }
            fn reserved_bits(_: &Common<Self>, _: u32, raw: u32) -> u32 {
                if R.is_set(raw) { 0 } else { raw & W.mask() }
            }
            fn faulting_flags(common: &Common<Self>, _: u32, raw: u32) -> u32 {
                if common.has(SVADU) { 0 } else { !raw & (A.mask() | D.when(W.is_set(raw))) }
            }
            fn init(config: &TableConfig<Config>) -> Result<Limits, Error> {
                let width = GEOMETRY.max_va_lg2;
                Error::check_range("hw_max_vasz_lg2", config.hw_max_vasz_lg2, width..=width, Errno::EINVAL)?;
                Ok(Limits { top_level: 1, max_va_lg2: width, max_oa_lg2: config.hw_max_oasz_lg2.min(34) })
            }
            fn hw_info(_: &Common<Self>, top: Top) -> HwInfo {
                info((top.pa >> 12) as u32, 8)
            }
        }

        impl ItemOa for Format {
            #[inline(always)]
            fn item_oa(_: &Common<Self>, _: u32, raw: u32) -> u64 {
                PPN.get(raw)
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
            fn software_bits(_: &Common<Self>) -> &'static [u32] {
                &[8, 9]
            }
        }
    }
);

#[cfg(test)]
mod tests {
    use super::riscv_32_family::{riscv_32, riscv_32_g};
    use crate::Prot;
    use crate::fmt::golden::*;
    use crate::format::{Dirty, Kind, PtFormat, Top};

    /// V, U and A always; R and W and D with WRITE; X unless NOEXEC; the page number, OA >> 12, from bit 10 on:
    /// 0x3_1234_5000 >> 2 is 0xc48d_1400.
    #[test]
    fn golden_items() {
        let common = common::<riscv_32::Format>(riscv_32::FORCED, riscv_32::Config::default());
        for golden in [
            leaf(0, 12, 0x3_1234_5000, READ_WRITE, 0xc48d_14df),
            leaf(0, 12, 0x1234_5000, READ | Prot::NOEXEC, 0x048d_1453),
            leaf(0, 12, 0x3_ffff_f000, READ_WRITE | Prot::MMIO, 0xffff_fcdf),
            // 4 MiB: ten low bits of the page number are zero.
            leaf(1, 22, 0x2_0040_0000, READ, 0x8010_005b),
        ] {
            check_leaf(&common, &golden);
        }
        check_table(&common, 1, 0x3_0abc_d000, 0xc2af_3401);
    }

    #[test]
    fn golden_g_stage_items() {
        let common = common::<riscv_32_g::Format>(riscv_32_g::FORCED, riscv_32_g::Config::default());
        check_leaf(&common, &leaf(0, 12, 0x3_1234_5000, READ_WRITE, 0xc48d_14df));
        check_table(&common, 1, 0x3_0abc_d000, 0xc2af_3401);
        let info = riscv_32_g::HwInfo { ppn: 0x0030_abcc, iohgatp_mode: 8 };
        assert_eq!(riscv_32_g::Format::hw_info(&common, Top { pa: 0x3_0abc_c000, level: 1 }), info);
        assert_eq!(riscv_32_g::GEOMETRY.top_pa_mask, 0x3_ffff_c000);
    }

    /// D is bit 7, and is no attribute of its own.
    #[test]
    fn golden_dirty_items() {
        let common = common::<riscv_32::Format>(riscv_32::SUPPORTED, riscv_32::Config::default());
        assert!(riscv_32::Format::is_dirty(&common, 0, 0xc48d_14df));
        assert_eq!(riscv_32::Format::clean_item(&common, 0, 0xc48d_14df), 0xc48d_145f);
        assert_eq!(riscv_32::Format::dirty_item(&common, 0, 0xc48d_145f), 0xc48d_14df);
        assert_eq!(riscv_32::Format::attrs_of(&common, 0, 0xc48d_175f), 0xdf - 1);
    }

    /// U, A and D are reserved in table pointers; G and the bits for software are not.
    #[test]
    fn foreign_items() {
        let common = common::<riscv_32::Format>(riscv_32::SUPPORTED, riscv_32::Config::default());
        check_kind(&common, 1, Kind::Table, &[0xc2af_3401, 0xc2af_3721]);
        check_kind(&common, 1, Kind::Foreign, &[0xc2af_3411, 0xc2af_3441, 0xc2af_3481]);
        check_kind(&common, 0, Kind::Foreign, &[0xc2af_3401]);
        check_kind(&common, 0, Kind::Empty, &[0, 0xffff_fffe]);
    }
}
