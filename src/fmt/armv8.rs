//! ARMv8, three granules, both stages.

crate::define_pt_format!(
    /// ARM VMSAv8-64 translation tables, stage 1 and stage 2: Arm Architecture Reference Manual for A-profile (DDI 0487),
    /// D8.3 "Translation table descriptor formats"; SMMUv3 (IHI 0070) 5.2 and 5.4, and the AArch64 format of SMMUv2.
    pub(super) mod armv8_family {
        /// ARMv8 tables with a granule of 4 KiB: CPUs (both stages), SMMUv2 and SMMUv3.
        ///
        /// Arm's level 3 is level 0 here, its level -1 (only with [`LPA2`](armv8_4k::LPA2)) level 4. Pages of 4 KiB, 2 MiB
        /// and 1 GiB, runs of 16 of each, and with `LPA2` 512 GiB (without runs).
        #[doc = include_str!("armv8.md")]
        pub mod armv8_4k {
            const ARM: arm::Granule = arm::GRANULE_4K;
            /// The feature that widens output addresses, and all that there is.
            const WIDE: Features = LPA2;
            const ALL_WIDE: Features = LPA2;
        }
        /// ARMv8 tables with a granule of 16 KiB: CPUs (both stages), SMMUv2 and SMMUv3.
        ///
        /// Arm's level 3 is level 0 here, its level 0 level 3. Pages of 16 KiB and runs of 128, 32 MiB and runs of 32, and
        /// with [`LPA2`](armv8_16k::LPA2) 64 GiB (without runs).
        #[doc = include_str!("armv8.md")]
        pub mod armv8_16k {
            const ARM: arm::Granule = arm::GRANULE_16K;
            const WIDE: Features = LPA2;
            const ALL_WIDE: Features = LPA2;
        }
        /// ARMv8 tables with a granule of 64 KiB: CPUs (both stages), SMMUv2 and SMMUv3.
        ///
        /// Arm's level 3 is level 0 here, its level 1 level 2. Pages of 64 KiB and 512 MiB, runs of 32 of both, and with
        /// [`LPA`](armv8_64k::LPA) and OA of 52 bits 4 TiB (without runs): hardware with narrower physical addresses has none.
        #[doc = include_str!("armv8.md")]
        pub mod armv8_64k {
            const ARM: arm::Granule = arm::GRANULE_64K;
            const WIDE: Features = LPA;
            const ALL_WIDE: Features = LPA.union(LVA);
        }

        use crate::fmt::arm::{self, COMMON};
        type Item = u64;
        const GEOMETRY: Geometry = Geometry {
            granule_lg2: ARM.lg2,
            table_lg2: Tables::Uniform(ARM.lg2),
            max_va_lg2: 52,
            max_oa_lg2: 52,
            max_top_level: ARM.max_top_level,
            leaf_levels: 0..=ARM.wide_block_level,
            top_pa_mask: 0x000f_ffff_ffff_ffc0,
        };
        const QUIRKS: Quirks = Quirks { concat_lg2: arm::MAX_CONCAT_LG2, break_before_make: true, ..Quirks::NONE };
        enum Feature {
            /// A stage 2 table: of intermediate physical addresses. Otherwise stage 1.
            STAGE_2,
            /// The table of TTBR1: VA up to the last one. Stage 1 only.
            UPPER_HALF,
            /// 52-bit addresses with a granule of 64 KiB: FEAT_LPA.
            LPA,
            /// 52-bit addresses with granules of 4 KiB and 16 KiB: FEAT_LPA2, and TCR.DS is set.
            LPA2,
            /// 52-bit VA of stage 1 with a granule of 64 KiB: FEAT_LVA.
            LVA,
            /// VA of less than 25 bits: FEAT_TTST.
            TTST,
            /// Hardware notes writes: FEAT_HAFDBS. Not for incoherent walkers.
            DIRTY_TRACKING,
            /// Stage 2 memory types override those of stage 1: FEAT_S2FWB.
            S2FWB,
            /// NS is set in leaves and NSTable in table pointers: for tables of the Secure state. Stage 1 only.
            NON_SECURE,
        }
        const SUPPORTED: Features =
            COMMON | ALL_WIDE | STAGE_2 | UPPER_HALF | TTST | DIRTY_TRACKING | S2FWB | NON_SECURE;
        enum Bits {
            /// Valid.
            V = bit(0),
            /// A table or, at level 0, a page; clear in a block.
            TYPE = bit(1),
            /// Index into MAIR.
            ATTR_INDX = bits(2, 4).in_leaves().without_feature(STAGE_2),
            /// Non-secure output address.
            NS = bit(5).in_leaves().without_feature(STAGE_2),
            /// AP\[1\]: unprivileged access is allowed.
            AP_EL0 = bit(6).in_leaves().without_feature(STAGE_2),
            /// AP\[2\]: read-only; with DBM: not written yet.
            AP_RO = bit(7).in_leaves().without_feature(STAGE_2),
            /// Memory type.
            MEM_ATTR = bits(2, 5).in_leaves().with_feature(STAGE_2),
            /// S2AP\[0\]: reading is allowed.
            S2AP_R = bit(6).in_leaves().with_feature(STAGE_2),
            /// S2AP\[1\]: writing is allowed; with DBM: was written.
            S2AP_W = bit(7).in_leaves().with_feature(STAGE_2),
            /// Shareability: 0 none, 2 outer, 3 inner.
            SH = bits(8, 9).in_leaves().without_feature(LPA2),
            /// Access flag; of a table pointer with FEAT_HAFT, which only hardware sets.
            AF = bit(10),
            /// nG, not global: of one address space. In stage 2 FnXS (FEAT_XS): never set.
            NG = bit(11).in_leaves(),
            /// Output address, or the table's: from the granule's bit up to 47, with `LPA2` up to 49.
            OA = address(ARM.lg2, ARM.oa_last),
            /// Its bits 48 to 51 in 12 to 15 (`LPA`), or 50 and 51 in 8 and 9 (`LPA2`).
            OA_HIGH = address(ARM.high_bits.0, ARM.high_bits.1).from_bit(ARM.oa_last + 1).with_feature(WIDE),
            /// In a block: must not be cached as a translation, FEAT_BBM. Never set.
            NT = bit(16).at_levels(1..=ARM.wide_block_level).in_plain_leaves(),
            /// Guarded page: FEAT_BTI. Never set.
            GP = bit(50).in_leaves().without_feature(STAGE_2),
            /// Dirty bit modifier: hardware may change the permission to write.
            DBM = bit(51).in_leaves(),
            /// One of a run of leaves that follow each other.
            CONTIGUOUS = bit(52).in_leaves(),
            /// Privileged execute never.
            PXN = bit(53).in_leaves().without_feature(STAGE_2),
            /// Unprivileged execute never; in regimes of one privilege level: execute never.
            UXN = bit(54).in_leaves().without_feature(STAGE_2),
            /// Execute never: 0 may execute, 2 never, with FEAT_XNX 1 only EL0 and 3 only EL1.
            XN = bits(53, 54).in_leaves().with_feature(STAGE_2),
            /// Non-secure output address of the Realm state. Never set.
            NS_REALM = bit(55).in_leaves().with_feature(STAGE_2),
            /// For software.
            SOFTWARE = bits(56, 58),
            /// Ignored in table pointers; never set there, nor the two that follow.
            IGN = bits(2, 7).and(11, 11, 6).and(51, 55, 7).in_tables().ignored(),
            /// Ignored in table pointers without LPA2.
            IGN_SH = bits(8, 9).in_tables().without_feature(LPA2).ignored(),
            /// Ignored in table pointers of stage 2.
            IGN_S2 = bits(59, 63).in_tables().with_feature(STAGE_2).ignored(),
            /// Attributes of the page that memory makes of what it likes: FEAT_HPDS2. Never set.
            PBHA = bits(59, 62).in_leaves(),
            /// PXNTable: privileged execute never, for all below.
            PXN_TABLE = bit(59).in_tables().without_feature(STAGE_2).sets_below(PXN),
            /// UXNTable: unprivileged execute never, for all below; in regimes of one privilege level XNTable.
            UXN_TABLE = bit(60).in_tables().without_feature(STAGE_2).sets_below(UXN),
            /// APTable\[0\]: no unprivileged access to all below.
            AP_TABLE_PRIVILEGED = bit(61).in_tables().without_feature(STAGE_2).clears_below(AP_EL0),
            /// APTable\[1\]: all below is read-only, whatever DBM says.
            AP_TABLE_RO = bit(62).in_tables().without_feature(STAGE_2).sets_below(AP_RO).clears_below(DBM),
            /// Non-secure address of the table, and of all below.
            NS_TABLE = bit(63).in_tables().without_feature(STAGE_2).sets_below(NS),
        }

        /// Configuration: features and widths say everything.
        pub struct Config {}

        /// For the registers of a CPU, or the context descriptor or stream table entry of an SMMU.
        pub struct HwInfo {
            /// Physical address of the top table: TTBR0_EL1, TTBR1_EL1 or VTTBR_EL2 (which have the bits 48 to 51 at bit 2);
            /// TTB0, TTB1 or S2TTB of SMMUv3 (which have them in place).
            pub ttb: u64,
            /// TCR_EL1, with the other half of the VA switched off, or VTCR_EL2. The bits 0 to 18 of VTCR_EL2 are those from
            /// bit 32 of word 2 of a stream table entry.
            pub tcr: u64,
            /// MAIR_EL1: 0 non-cacheable, 1 write-back, 2 device, 3 write-back in outer caches only. 0 for stage 2.
            pub mair: u64,
        }

        /// Non-cacheable, write-back and device memory in stage 2, without S2FWB and with it: write-back memory leaves stage 1 a say, or does not.
        const S2_MEMORY: [[u64; 3]; 2] = [[0b0101, 0b1111, 0b0001], [0b0101, 0b0110, 0b0001]];

        /// For the test suite: both stages, both halves, tops of 1 to 16 tables, both address layouts.
        pub const TEST_CONFIGS: &[TestConfig<Format>] = &[
            config("s1_48", FLUSH_RANGE, 48, 48),
            config("s1_36_incoherent_ns", DMA_INCOHERENT.union(NON_SECURE), 36, 44),
            config("s1_upper_47_dirty", UPPER_HALF.union(DIRTY_TRACKING).union(FLUSH_RANGE_NO_GAPS), 47, 48),
            config("s1_52_wide_dirty", ALL_WIDE.union(DIRTY_TRACKING).union(DETAILED_GATHER), 52, 52),
            config("s2_48_incoherent", STAGE_2.union(DMA_INCOHERENT).union(S2FWB), 48, 48),
            config("s2_16_tops_dirty", STAGE_2.union(DIRTY_TRACKING), ARM.widest_of_16_tops(), 48),
            config("s2_25_small_tables", STAGE_2.union(TTST), 25, 40),
            config("s2_52_wide_dirty", STAGE_2.union(WIDE).union(DIRTY_TRACKING), 52, 52),
        ];
        const fn config(name: &'static str, features: Features, va_lg2: u32, oa_lg2: u32) -> TestConfig<Format> {
            let unusable = if features.intersects(WIDE) { 0 } else { 1 << ARM.item_size_lg2(ARM.wide_block_level) };
            TestConfig::new(name, Config {}).only(features).va_lg2(va_lg2).oa_lg2(oa_lg2).unusable_sizes(unusable)
        }

        impl PtFormat for Format {
            const SECTIONS: &'static [(SpecRule, &'static str)] = &[
                (SpecRule::Canonical, "DDI 0487, \"MMU fault types\", \"Translation fault\""),
                (SpecRule::Present, "DDI 0487, \"MMU fault types\", \"Translation fault\""),
                (SpecRule::Kinds, "DDI 0487, \"MMU fault types\", \"Translation fault\""),
                (SpecRule::Width, "DDI 0487, \"MMU fault types\", \"Address size fault\""),
                (SpecRule::Accessed, "DDI 0487, D8.5.1 \"The Access flag\""),
                (SpecRule::Dirty, "DDI 0487, D8.5, \"Hardware management of the dirty state\""),
            ];
            #[inline(always)]
            fn kind(common: &Common<Self>, level: u32, raw: u64) -> Kind {
                // In table pointers; permissions for all below are not.
                let ours = OA.mask() | OA_HIGH.mask() | AF.mask() | NS_TABLE.mask() | SOFTWARE.mask() | 1 << 55 | 0b11;
                let wide_only = OA_HIGH.mask() | (OA.mask() & !lg2::low_mask(48));
                // Nearly always, and by one comparison.
                if level > 0 && raw & (!ours | wide_only | 0b11) == V.mask() | TYPE.mask() {
                    return Kind::Table;
                }
                let is_ours = raw & (!ours | wide_only) == 0 || (raw & !ours == 0 && common.has(WIDE));
                let run_exists = !CONTIGUOUS.is_set(raw) || ARM.runs_lg2[level as usize & 7] != 0;
                match (V.is_set(raw), TYPE.is_set(raw) == (level == 0)) {
                    (false, _) => Kind::Empty,
                    (true, false) if level > 0 && is_ours => Kind::Table,
                    (true, true) if Self::possible_sizes(common, level) != 0 && run_exists => Kind::Leaf,
                    _ => Kind::Foreign,
                }
            }
            fn table_item(common: &Common<Self>, _: u32, pa: u64) -> u64 {
                V.mask() | TYPE.mask() | OA.put(pa) | OA_HIGH.put(pa) | NS_TABLE.when(common.has(NON_SECURE))
            }
            #[inline(always)]
            fn table_pa(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                // Without wide addresses the high bits are zero, or the item is foreign.
                if raw & OA_HIGH.mask() == 0 {
                    return OA.get(raw);
                }
                core::hint::cold_path();
                OA.get(raw) | OA_HIGH.get(raw)
            }
            #[inline(always)]
            fn leaf_item(_: &Common<Self>, leaf: LeafRequest<u64>) -> u64 {
                let run = CONTIGUOUS.when(leaf.size_lg2 > item_size_lg2::<Self>(leaf.level));
                // Without wide addresses the OA has no high bits.
                let address = OA.put(leaf.oa) | OA_HIGH.put(leaf.oa);
                // Attributes without V and TYPE, so that it is seen to be a leaf.
                V.mask() | TYPE.when(leaf.level == 0) | address | run | (leaf.attrs & !(V.mask() | TYPE.mask()))
            }
            #[inline(always)]
            fn attrs(common: &Common<Self>, prot: Prot) -> Result<u64, Error> {
                let [cached, writable, never] = [Prot::CACHE, Prot::WRITE, Prot::NOEXEC].map(|bit| prot.contains(bit));
                // The index in MAIR: device, or write-back and non-cacheable.
                let memory = if prot.contains(Prot::MMIO) { 2 } else { usize::from(cached) };
                // Inner or outer.
                let shareability = SH.put(if common.has(LPA2) { 0 } else { 2 + u64::from(cached) });
                let both = AF.mask() | shareability | DBM.when(writable && common.has(DIRTY_TRACKING));
                if common.has(STAGE_2) {
                    let memory = MEM_ATTR.put(S2_MEMORY[usize::from(common.has(S2FWB))][memory]);
                    let access = S2AP_R.when(prot.contains(Prot::READ)) | S2AP_W.when(writable);
                    return Ok(both | memory | access | XN.put(if never { 0b10 } else { 0 }));
                }
                // Nothing can be written without being read.
                let access = AP_EL0.mask() | AP_RO.when(!writable) | PXN.when(never) | UXN.when(never);
                Ok(both | NG.mask() | ATTR_INDX.put(memory as u64) | access | NS.when(common.has(NON_SECURE)))
            }
            fn attrs_of(common: &Common<Self>, level: u32, raw: u64) -> u64 {
                let structure = V.mask() | TYPE.mask() | OA.mask() | CONTIGUOUS.mask() | SOFTWARE.mask() | 1 << 55;
                let high = if common.has(WIDE) { OA_HIGH.mask() } else { 0 };
                // As it was before hardware, or a scan of what it wrote, changed it.
                Self::dirty_item(common, level, raw) & !(structure | high)
            }
            #[inline(always)]
            fn possible_sizes(common: &Common<Self>, level: u32) -> u64 {
                let exists = ARM.has_blocks(level, common.has(WIDE), common.max_oa_lg2);
                let plain = plain_size::<Self>(level) * u64::from(exists);
                plain | plain << ARM.runs_lg2[level as usize & 7]
            }
            #[inline(always)]
            fn nonempty_bits(_: &Common<Self>, _: u32) -> u64 {
                V.mask()
            }
            #[inline(always)]
            fn va_prefix(common: &Common<Self>) -> u64 {
                if common.has(UPPER_HALF) { u64::MAX } else { 0 }
            }
            fn table_pa_lg2(common: &Common<Self>) -> u32 {
                common.max_oa_lg2
            }
            fn access(common: &Common<Self>, _: u32, raw: u64) -> Access {
                let hardware_permits = DBM.is_set(raw) && common.has(DIRTY_TRACKING);
                if common.has(STAGE_2) {
                    let writable = S2AP_W.is_set(raw) || hardware_permits;
                    let data = Access::READ.when(S2AP_R.is_set(raw)) | Access::WRITE.when(writable);
                    // As FEAT_XNX has it: 0 is for both, 1 for EL0 alone, 3 for EL1 alone.
                    let (el1, el0) =
                        [(true, true), (false, true), (false, false), (true, false)][XN.get(raw) as usize & 3];
                    return data.for_all() | Access::EXECUTE.when(el1) | Access::USER_EXECUTE.when(el0);
                }
                let writable = !AP_RO.is_set(raw) || hardware_permits;
                let data = Access::READ | Access::WRITE.when(writable);
                let by_el0 = AP_EL0.is_set(raw);
                // EL1 never executes what EL0 may write. EL0 may execute what it may not read.
                let never_by_el1 = PXN.is_set(raw) || (writable && by_el0);
                let fetches = Access::EXECUTE.when(!never_by_el1) | Access::USER_EXECUTE.when(!UXN.is_set(raw));
                data | data.for_users().when(by_el0) | fetches
            }
            fn faulting_flags(common: &Common<Self>, _: u32, raw: u64) -> u64 {
                if common.has(DIRTY_TRACKING) { 0 } else { !raw & AF.mask() }
            }
            fn accessed_bits(_: &Common<Self>) -> u64 {
                AF.mask()
            }
            fn init(config: &TableConfig<Config>) -> Result<Limits, Error> {
                arm::limits::<Self>(&ARM, config)
            }
            fn hw_info(common: &Common<Self>, top: Top) -> HwInfo {
                HwInfo { ttb: top.pa, tcr: arm::tcr(&ARM, common, top.level), mair: arm::mair(common) }
            }
        }

        impl ItemOa for Format {
            #[inline(always)]
            fn item_oa(common: &Common<Self>, _: u32, raw: u64) -> u64 {
                OA.get(raw) | if common.has(WIDE) { OA_HIGH.get(raw) } else { 0 }
            }
        }

        impl Contiguous for Format {
            #[inline(always)]
            fn contig_lg2(_: &Common<Self>, level: u32, raw: u64) -> u32 {
                if CONTIGUOUS.is_set(raw) { ARM.runs_lg2[level as usize & 7] } else { 0 }
            }
        }

        // AP_RO and S2AP_W are the same bit, with opposite meanings. Only with DBM does hardware change it.
        impl Dirty for Format {
            fn tracks_dirty(common: &Common<Self>) -> bool {
                common.has(DIRTY_TRACKING)
            }
            #[inline(always)]
            fn is_dirty(common: &Common<Self>, _: u32, raw: u64) -> bool {
                DBM.is_set(raw) && S2AP_W.is_set(raw) == common.has(STAGE_2)
            }
            #[inline(always)]
            fn clean_item(common: &Common<Self>, level: u32, raw: u64) -> u64 {
                if Self::is_dirty(common, level, raw) { raw ^ S2AP_W.mask() } else { raw }
            }
            #[inline(always)]
            fn dirty_item(common: &Common<Self>, level: u32, raw: u64) -> u64 {
                if DBM.is_set(raw) && !Self::is_dirty(common, level, raw) { raw ^ S2AP_W.mask() } else { raw }
            }
        }

        impl SoftwareBits for Format {
            #[inline(always)]
            fn software_bits(common: &Common<Self>) -> &'static [u32] {
                // Bit 55 is NS of the Realm state in stage 2.
                if common.has(STAGE_2) { &[56, 57, 58] } else { &[56, 57, 58, 55] }
            }
        }
    }
);

#[cfg(test)]
mod tests {
    use super::armv8_family::{armv8_4k, armv8_16k, armv8_64k};
    use crate::fmt::golden::*;
    use crate::format::{Dirty, Kind, PtFormat};
    use crate::{Features, Prot};

    const CACHE: Prot = Prot::CACHE;
    const NOEXEC: Prot = Prot::NOEXEC;
    const MMIO: Prot = Prot::MMIO;

    fn common_4k(features: Features) -> crate::format::Common<armv8_4k::Format> {
        let max_oa_lg2 = if features.contains(armv8_4k::LPA2) { 52 } else { 48 };
        crate::format::Common { max_oa_lg2, ..common::<armv8_4k::Format>(features, armv8_4k::Config::default()) }
    }

    /// V, TYPE at level 0, the MAIR index from bit 2, AP\[1\] (bit 6), SH from bit 8, AF (10), nG (11).
    #[test]
    fn golden_stage_1_items() {
        let common = common_4k(Features::empty());
        for golden in [
            // Index 1 (0x4), inner shareable (0x300).
            leaf(0, 12, 0x1234_5000, READ_WRITE | CACHE, 0x0000_0000_1234_5f47),
            // AP[2] (0x80), PXN and UXN (bits 53 and 54).
            leaf(0, 12, 0x1234_5000, READ | CACHE | NOEXEC, 0x0060_0000_1234_5fc7),
            // Index 2 (0x8), outer shareable (0x200).
            leaf(0, 12, 0x0900_0000, READ_WRITE | MMIO | NOEXEC, 0x0060_0000_0900_0e4b),
            // Index 0, outer shareable; the highest address bits.
            leaf(0, 12, 0xffff_ffff_f000, READ_WRITE, 0x0000_ffff_ffff_fe43),
            // Blocks have no TYPE.
            leaf(1, 21, 0x4020_0000, READ_WRITE | CACHE, 0x0000_0000_4020_0f45),
            leaf(2, 30, 0x1_4000_0000, READ_WRITE | CACHE, 0x0000_0001_4000_0f45),
            // The first item of a run: bit 52.
            leaf(0, 16, 0x4000_0000, READ_WRITE | CACHE, 0x0010_0000_4000_0f47),
            leaf(1, 25, 0x4200_0000, READ_WRITE | CACHE, 0x0010_0000_4200_0f45),
            leaf(2, 34, 0x4_0000_0000, READ_WRITE | CACHE, 0x0010_0004_0000_0f45),
        ] {
            check_leaf(&common, &golden);
        }
        check_table(&common, 3, 0xabc_d000, 0xabc_d003);
        // Each item of a run has its own address: the 16th.
        let attrs = armv8_4k::Format::attrs(&common, READ_WRITE | CACHE).unwrap();
        let request = crate::format::LeafRequest { level: 0, size_lg2: 16, oa: 0x4000_f000, attrs };
        assert_eq!(armv8_4k::Format::leaf_item(&common, request), 0x0010_0000_4000_ff47);
    }

    /// NS is bit 5 of leaves, NSTable bit 63.
    #[test]
    fn golden_non_secure_items() {
        let common = common_4k(armv8_4k::NON_SECURE);
        check_leaf(&common, &leaf(0, 12, 0x1234_5000, READ_WRITE | CACHE, 0x0000_0000_1234_5f67));
        check_table(&common, 1, 0xabc_d000, 0x8000_0000_0abc_d003);
    }

    /// MemAttr from bit 2, S2AP\[0\] (bit 6) to read, S2AP\[1\] (bit 7) to write, SH from bit 8, AF (10).
    #[test]
    fn golden_stage_2_items() {
        let common = common_4k(armv8_4k::STAGE_2);
        for golden in [
            leaf(0, 12, 0x1234_5000, READ_WRITE | CACHE, 0x1234_57ff),
            leaf(0, 12, 0x1234_5000, READ, 0x1234_5657),
            leaf(0, 12, 0x1234_5000, READ_WRITE | MMIO, 0x1234_56c7),
            leaf(0, 12, 0x1234_5000, Prot::WRITE, 0x1234_5697),
            // XN is 2: bit 54 alone. Both bits would let EL1 execute.
            leaf(0, 12, 0x1234_5000, READ_WRITE | CACHE | NOEXEC, 0x0040_0000_1234_57ff),
            leaf(1, 21, 0x4020_0000, READ_WRITE | CACHE, 0x4020_07fd),
        ] {
            check_leaf(&common, &golden);
        }
        check_table(&common, 2, 0xabc_d000, 0xabc_d003);
        let forced = common_4k(armv8_4k::STAGE_2 | armv8_4k::S2FWB);
        check_leaf(&forced, &leaf(0, 12, 0x1234_5000, READ_WRITE | CACHE, 0x1234_57db));
    }

    /// DBM is bit 51. Written is AP\[2\] clear in stage 1, S2AP\[1\] set in stage 2; nothing else changes.
    #[test]
    fn golden_dirty_items() {
        use armv8_4k::Format;
        let stage_1 = common_4k(armv8_4k::DIRTY_TRACKING);
        let (dirty, clean) = (0x0008_0000_4000_0f47, 0x0008_0000_4000_0fc7);
        check_leaf(&stage_1, &leaf(0, 12, 0x4000_0000, READ_WRITE | CACHE, dirty));
        assert_eq!(Format::clean_item(&stage_1, 0, dirty), clean);
        assert_eq!(Format::dirty_item(&stage_1, 0, clean), dirty);
        assert!(Format::is_dirty(&stage_1, 0, dirty) && !Format::is_dirty(&stage_1, 0, clean));
        let stage_2 = common_4k(armv8_4k::DIRTY_TRACKING | armv8_4k::STAGE_2);
        let (dirty, clean) = (0x0008_0000_4000_07ff, 0x0008_0000_4000_077f);
        check_leaf(&stage_2, &leaf(0, 12, 0x4000_0000, READ_WRITE | CACHE, dirty));
        assert_eq!(Format::clean_item(&stage_2, 0, dirty), clean);
        assert_eq!(Format::dirty_item(&stage_2, 0, clean), dirty);
        assert!(Format::is_dirty(&stage_2, 0, dirty) && !Format::is_dirty(&stage_2, 0, clean));
        // Read-only leaves have no DBM, are not dirty, and cannot be made so.
        for (common, read_only) in [(&stage_1, 0x4000_0fc7), (&stage_2, 0x4000_077f)] {
            check_leaf(common, &leaf(0, 12, 0x4000_0000, READ | CACHE, read_only));
            assert!(!Format::is_dirty(common, 0, read_only));
            assert_eq!(Format::dirty_item(common, 0, read_only), read_only);
            assert_eq!(Format::clean_item(common, 0, read_only), read_only);
        }
    }

    /// With LPA2 the address bits 48 and 49 are in place, 50 and 51 in the place of SH; with LPA 48 to 51 from bit 12.
    #[test]
    fn golden_wide_addresses() {
        let lpa2 = common_4k(armv8_4k::LPA2);
        // 0xe: bits 51 to 48 are 1110. Bits 51 and 50 go to 9 and 8 (0x300), 49 and 48 stay (0x2).
        check_leaf(&lpa2, &leaf(0, 12, 0xe_1234_5678_9000, READ_WRITE | CACHE, 0x0002_1234_5678_9f47));
        check_leaf(&lpa2, &leaf(0, 12, 0x4_0000_0000_0000, READ_WRITE, 0x0000_0000_0000_0d43));
        check_leaf(&lpa2, &leaf(3, 39, 0x8_0080_0000_0000, READ_WRITE, 0x0000_0080_0000_0e41));
        check_table(&lpa2, 4, 0xe_1234_5678_9000, 0x0002_1234_5678_9303);
        let stage_2 = common_4k(armv8_4k::LPA2 | armv8_4k::STAGE_2);
        check_leaf(&stage_2, &leaf(0, 12, 0xe_1234_5678_9000, READ_WRITE | CACHE, 0x0002_1234_5678_97ff));
        let lpa = common::<armv8_64k::Format>(armv8_64k::LPA, armv8_64k::Config::default());
        check_leaf(&lpa, &leaf(0, 16, 0xa_1234_5678_0000, READ_WRITE | CACHE, 0x0000_1234_5678_af47));
        check_leaf(&lpa, &leaf(2, 42, 0xf_fc00_0000_0000, READ_WRITE | CACHE, 0x0000_fc00_0000_ff45));
        check_table(&lpa, 2, 0xa_1234_5678_0000, 0x0000_1234_5678_a003);
    }

    /// 128 and 32 items with 16 KiB; 32 and 32 with 64 KiB.
    #[test]
    fn golden_runs_of_the_larger_granules() {
        let of_16k = common::<armv8_16k::Format>(Features::empty(), armv8_16k::Config::default());
        check_leaf(&of_16k, &leaf(0, 14, 0x4000_4000, READ_WRITE | CACHE, 0x0000_0000_4000_4f47));
        check_leaf(&of_16k, &leaf(0, 21, 0x4020_0000, READ_WRITE | CACHE, 0x0010_0000_4020_0f47));
        check_leaf(&of_16k, &leaf(1, 25, 0x4200_0000, READ_WRITE | CACHE, 0x0000_0000_4200_0f45));
        check_leaf(&of_16k, &leaf(1, 30, 0x4000_0000, READ_WRITE | CACHE, 0x0010_0000_4000_0f45));
        let of_64k = common::<armv8_64k::Format>(Features::empty(), armv8_64k::Config::default());
        check_leaf(&of_64k, &leaf(0, 21, 0x4020_0000, READ_WRITE | CACHE, 0x0010_0000_4020_0f47));
        check_leaf(&of_64k, &leaf(1, 29, 0x6000_0000, READ_WRITE | CACHE, 0x0000_0000_6000_0f45));
        check_leaf(&of_64k, &leaf(1, 34, 0x4_0000_0000, READ_WRITE | CACHE, 0x0010_0004_0000_0f45));
    }

    #[test]
    fn foreign_items() {
        use armv8_4k::Format;
        let plain = common_4k(Features::empty());
        for (level, item, kind) in [
            // A block at level 0 is reserved, and there are none at level 3 and above.
            (0, 0x4000_0f45, Kind::Foreign),
            (3, 0x4000_0f45, Kind::Foreign),
            // A run at level 3.
            (3, 0x0010_0000_4000_0f45, Kind::Foreign),
            // Table pointers: PXNTable, UXNTable, APTable; address bits 48 and 50; a reserved bit.
            (1, 0x0800_0000_4000_0003, Kind::Foreign),
            (1, 0x1000_0000_4000_0003, Kind::Foreign),
            (1, 0x4000_0000_4000_0003, Kind::Foreign),
            (1, 0x0001_0000_4000_0003, Kind::Foreign),
            (1, 0x0000_0000_4000_0103, Kind::Foreign),
            (1, 0x0004_0000_4000_0003, Kind::Foreign),
            // What hardware and software set: the access flag of a table, software bits.
            (1, 0x0780_0000_4000_0403, Kind::Table),
            // Not valid, whatever else.
            (0, 0xffff_ffff_ffff_fffe, Kind::Empty),
            (3, 0xffff_ffff_ffff_fffe, Kind::Empty),
        ] {
            assert_eq!(Format::kind(&plain, level, item), kind, "level {level}: {item:#x}");
        }
        let wide = common_4k(armv8_4k::LPA2);
        assert_eq!(Format::kind(&wide, 3, 0x4000_0f45), Kind::Leaf);
        assert_eq!(Format::kind(&wide, 4, 0x4000_0f45), Kind::Foreign);
        assert_eq!(Format::kind(&wide, 3, 0x0010_0000_4000_0f45), Kind::Foreign, "no runs of 512 GiB");
        assert_eq!(Format::kind(&wide, 1, 0x0001_0000_4000_0103), Kind::Table);
        // Blocks of 4 TiB need physical addresses of 52 bits, not LPA alone.
        let lpa = common::<armv8_64k::Format>(armv8_64k::LPA, armv8_64k::Config::default());
        let narrow = crate::format::Common { max_oa_lg2: 48, ..lpa };
        assert_eq!(armv8_64k::Format::kind(&lpa, 2, 0x0000_0400_0000_0f45), Kind::Leaf);
        assert_eq!(armv8_64k::Format::kind(&narrow, 2, 0x0000_0400_0000_0f45), Kind::Foreign);
        assert_eq!([&lpa, &narrow].map(|common| armv8_64k::Format::possible_sizes(common, 2)), [1 << 42, 0]);
        // With 64 KiB and without LPA, bits 12 to 15 are reserved.
        let of_64k = common::<armv8_64k::Format>(Features::empty(), armv8_64k::Config::default());
        assert_eq!(armv8_64k::Format::kind(&of_64k, 1, 0x4000_1003), Kind::Foreign);
    }
}
