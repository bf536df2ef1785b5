//! RISC-V, 64-bit items.

crate::define_pt_format!(
    /// RISC-V page tables Sv39, Sv48 and Sv57: RISC-V privileged architecture, with Svnapot 1.0 and Svpbmt; RISC-V IOMMU
    /// first stage.
    ///
    /// Leaves are possible at every level. The hardware's VA width chooses the mode. Dirty tracking is not offered: A, and D
    /// with WRITE, are set from the start.
    pub mod riscv_64 {
        type Item = u64;
        const GEOMETRY: Geometry = Geometry {
            granule_lg2: 12,
            table_lg2: Tables::Uniform(12),
            max_va_lg2: 57,
            max_oa_lg2: 56,
            max_top_level: 4,
            leaf_levels: 0..=4,
            top_pa_mask: 0x00ff_ffff_ffff_f000,
        };
        const QUIRKS: Quirks = Quirks { min_top_level: 2, ..Quirks::NONE };
        enum Feature {
            /// Svnapot: 64 KiB pages of 16 items at level 0.
            SVNAPOT_64K,
            /// Svpbmt: memory types in the item.
            SVPBMT,
        }
        const SUPPORTED: Features = SIGN_EXTEND | FLUSH_RANGE | SVNAPOT_64K | DETAILED_GATHER | SVPBMT;
        const FORCED: Features = DETAILED_GATHER;
        enum Bits {
            /// Valid.
            V = bit(0),
            /// Read.
            R = bit(1),
            /// Write.
            W = bit(2),
            /// Execute.
            X = bit(3),
            /// User.
            U = bit(4),
            /// Global.
            G = bit(5),
            /// Accessed.
            A = bit(6),
            /// Dirty.
            D = bit(7),
            /// For software.
            RSW = bits(8, 9),
            /// Physical page number: of the page, or of the table.
            PPN = address(10, 53).from_bit(12),
            /// Memory type: 1 is non-cacheable, 2 is I/O.
            PBMT = bits(61, 62),
            /// Naturally aligned power-of-two range: several items are one page.
            N = bit(63),
        }

        /// Configuration: nothing but the hardware's VA width (39, 48 or 57).
        pub struct Config {}

        /// For `iosatp` or the device context.
        pub struct HwInfo {
            /// Physical page number of the top table.
            pub ppn: u64,
            /// Mode: 8 is Sv39, 9 Sv48, 10 Sv57.
            pub fsc_iosatp_mode: u32,
        }

        /// Items of a 64 KiB page, as a power of two; bit `NAPOT_LG2 - 1` of its page number is set, those below are clear.
        const NAPOT_LG2: u32 = 4;
        const NON_CACHEABLE: u64 = 1;
        const IO: u64 = 2;

        /// For the test suite: every mode, with 64 KiB pages and without.
        pub const TEST_CONFIGS: &[TestConfig<Format>] = &[
            TestConfig::new("sv39_napot", Config {}).va_lg2(39),
            TestConfig::new("sv48", Config {}).va_lg2(48).without(SVNAPOT_64K),
            TestConfig::new("sv57_napot", Config {}).va_lg2(57).without(SVPBMT),
        ];

        impl PtFormat for Format {
            #[inline(always)]
            fn kind(_: &Common<Self>, level: u32, raw: u64) -> Kind {
                if !V.is_set(raw) {
                    Kind::Empty
                } else if level == 0 || raw & (R.mask() | W.mask() | X.mask()) != 0 {
                    Kind::Leaf
                } else {
                    Kind::Table
                }
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
            fn attrs_of(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                let access = R.mask() | W.mask() | X.mask() | U.mask() | G.mask() | A.mask() | D.mask();
                raw & (access | PBMT.mask())
            }
            #[inline(always)]
            fn possible_sizes(common: &Common<Self>, level: u32) -> u64 {
                let napot = level == 0 && common.has(SVNAPOT_64K);
                plain_size::<Self>(level) | if napot { lg2::pow2(GEOMETRY.granule_lg2 + NAPOT_LG2) } else { 0 }
            }
            fn init(config: &TableConfig<Config>) -> Result<Limits, Error> {
                let top_level = match config.hw_max_vasz_lg2 {
                    39 => 2,
                    48 => 3,
                    57 => 4,
                    other => {
                        let (found, errno) = (other.into(), Errno::EINVAL);
                        return Err(Error::Config { field: "hw_max_vasz_lg2", found, valid: "39, 48 or 57", errno });
                    }
                };
                Ok(Limits { top_level, max_va_lg2: config.hw_max_vasz_lg2, max_oa_lg2: config.hw_max_oasz_lg2.min(56) })
            }
            fn hw_info(_: &Common<Self>, top: Top) -> HwInfo {
                HwInfo { ppn: top.pa >> 12, fsc_iosatp_mode: top.level + 6 }
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
            fn contig_lg2(common: &Common<Self>, level: u32, raw: u64) -> u32 {
                if level == 0 && common.has(SVNAPOT_64K) && N.is_set(raw) { NAPOT_LG2 } else { 0 }
            }
        }
    }
);

#[cfg(test)]
mod tests {
    use super::riscv_64::*;
    use crate::Prot;
    use crate::fmt::golden::*;

    /// V, U and A always; R and W and D with WRITE; X unless NOEXEC; the page number from bit 10 on.
    #[test]
    fn golden_items() {
        let common = common::<Format>(FORCED, Config::default());
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
        let common = common::<Format>(SUPPORTED.difference(SVPBMT), Config::default());
        check_leaf(&common, &leaf(0, 16, 0x8001_0000, READ_WRITE | Prot::NOEXEC, 0x8000_0000_2000_60d7));
    }

    /// Memory types in bits 62 and 61: 1 unless CACHE, 2 for MMIO.
    #[test]
    fn golden_memory_types() {
        let common = common::<Format>(SUPPORTED, Config::default());
        check_leaf(&common, &leaf(0, 12, 0x1234_5000, READ_WRITE | Prot::CACHE, 0x0000_0000_048d_14df));
        check_leaf(&common, &leaf(0, 12, 0x1234_5000, READ_WRITE, 0x2000_0000_048d_14df));
        check_leaf(&common, &leaf(0, 12, 0x1234_5000, READ_WRITE | Prot::MMIO, 0x4000_0000_048d_14df));
    }
}
