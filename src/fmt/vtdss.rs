//! VT-d second stage.

crate::define_pt_format!(
    /// VT-d second-stage page tables: Intel VT-d specification, 3.7 and 9.8.
    ///
    /// Levels 0 to 4 are the manual's SL-PTE, SL-PDE, SL-PDPE, SL-PML4E and SL-PML5E. There is no present bit: an item is
    /// empty when it is all zero, so a leaf needs READ or WRITE.
    ///
    /// # Protections
    ///
    /// READ and WRITE are separate bits. CACHE, MMIO and NOEXEC are ignored.
    pub mod vtdss {
        type Item = u64;
        const GEOMETRY: Geometry = Geometry {
            granule_lg2: 12,
            table_lg2: Tables::Uniform(12),
            max_va_lg2: 57,
            max_oa_lg2: 52,
            max_top_level: 4,
            leaf_levels: 0..=2,
            top_pa_mask: 0xffff_ffff_ffff_f000,
        };
        const QUIRKS: Quirks = Quirks { min_top_level: 2, ..Quirks::NONE };
        enum Feature {
            /// SNP is set in every leaf: accesses snoop.
            FORCE_COHERENCE,
            /// Mappings without WRITE are refused.
            FORCE_WRITEABLE,
        }
        const SUPPORTED: Features = FLUSH_RANGE | DMA_INCOHERENT | FORCE_COHERENCE | FORCE_WRITEABLE;
        enum Bits {
            /// Read.
            R = bit(0).and_below(),
            /// Write.
            W = bit(1).and_below(),
            /// Execution, memory type and IPAT in tables that a CPU shares (EPT); ignored by IOMMUs. Never set here.
            IGN = bits(2, 6),
            /// Leaf, at levels 1 and 2.
            PS = bit(7),
            /// Accessed.
            A = bit(8),
            /// Dirty.
            D = bit(9),
            /// Snoop.
            SNP = bit(11),
            /// Output address, or the table's.
            OA = address(12, 51),
        }

        /// Configuration.
        pub struct Config {
            /// 2 (three levels) to 4 (five).
            pub top_level: u32,
        }

        /// For the context entry.
        pub struct HwInfo {
            /// Physical address of the top table.
            pub ssptptr: u64,
            /// Address width code: 1 for three levels, 2 for four, 3 for five.
            pub aw: u32,
        }

        /// For the test suite: every top. (`FORCE_WRITEABLE` would refuse what can only be read.)
        pub const TEST_CONFIGS: &[TestConfig<Format>] = &[
            TestConfig::new("vasz39_top_2", Config { top_level: 2 }).va_lg2(39),
            TestConfig::new("vasz48_top_3", Config { top_level: 3 }).va_lg2(48).without(FORCE_WRITEABLE),
            TestConfig::new("vasz57_top_4", Config { top_level: 4 }).va_lg2(57).without(FORCE_COHERENCE),
        ];

        impl PtFormat for Format {
            const SECTIONS: &'static [(SpecRule, &'static str)] = &[
                (SpecRule::Canonical, "Intel VT-d specification, 3.7 \"Second-stage translation\""),
                (SpecRule::Present, "Intel VT-d specification, 3.7 \"Second-stage translation\""),
                (SpecRule::Kinds, "Intel VT-d specification, 9.8 \"Second-stage paging entries\""),
                (SpecRule::Reserved, "Intel VT-d specification, 9.8 \"Second-stage paging entries\""),
                (SpecRule::Tables, "Intel VT-d specification, 3.7 \"Second-stage translation\""),
                (SpecRule::Pages, "Intel VT-d specification, 9.8 \"Second-stage paging entries\""),
                (SpecRule::Width, "Intel VT-d specification, 9.8 \"Second-stage paging entries\""),
                (SpecRule::Accessed, "Intel VT-d specification, 9.8 \"Second-stage paging entries\""),
                (SpecRule::Dirty, "Intel VT-d specification, 9.8 \"Second-stage paging entries\""),
            ];
            #[inline(always)]
            fn kind(_: &Common<Self>, level: u32, raw: u64) -> Kind {
                let access = R.mask() | W.mask();
                if level > 0 && raw & (access | PS.mask()) == access {
                    Kind::Table
                } else if raw == 0 {
                    Kind::Empty
                } else if raw & access != 0 && (level == 0 || (level <= 2 && PS.is_set(raw))) {
                    Kind::Leaf
                } else {
                    Kind::Foreign
                }
            }
            #[inline(always)]
            fn nonempty_bits(_: &Common<Self>, _: u32) -> u64 {
                R.mask() | W.mask()
            }
            #[inline(always)]
            fn table_item(_: &Common<Self>, _: u32, table_pa: u64) -> u64 {
                R.mask() | W.mask() | OA.put(table_pa)
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
                // A mapping with neither never gets here.
                let (readable, writable) = (prot.contains(Prot::READ), prot.contains(Prot::WRITE));
                if !writable && common.has(FORCE_WRITEABLE) {
                    let (valid, errno) = ("WRITE, with or without READ: FORCE_WRITEABLE is on", Errno::EINVAL);
                    return Err(Error::Protection { prot, valid, errno });
                }
                Ok(R.when(readable) | W.when(writable) | SNP.when(common.has(FORCE_COHERENCE)))
            }
            #[inline(always)]
            fn attrs_of(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                raw & (R.mask() | W.mask() | SNP.mask())
            }
            fn access(_: &Common<Self>, _: u32, raw: u64) -> Access {
                let access = Access::READ.when(R.is_set(raw)) | Access::WRITE.when(W.is_set(raw));
                (access | Access::EXECUTE).for_all()
            }
            fn init(config: &TableConfig<Config>) -> Result<Limits, Error> {
                let top_level = config.format.top_level;
                Error::check_range("top_level", top_level, 2..=4, Errno::EOPNOTSUPP)?;
                Ok(Limits { top_level, max_va_lg2: config.hw_max_vasz_lg2, max_oa_lg2: config.hw_max_oasz_lg2.min(52) })
            }
            fn hw_info(_: &Common<Self>, top: Top) -> HwInfo {
                HwInfo { ssptptr: top.pa, aw: top.level.saturating_sub(1) }
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
                &[10, 52, 53, 54, 55, 56, 57, 58, 59, 60, 63]
            }
        }
    }
);

#[cfg(test)]
mod tests {
    use super::vtdss::*;
    use crate::fmt::golden::*;

    /// R and W from the protection; PS above level 0; pointers allow both.
    #[test]
    fn golden_items() {
        let common = common::<Format>(FLUSH_RANGE_ONLY, Config::default());
        for golden in [
            leaf(0, 12, 0x1234_5000, READ_WRITE, 0x1234_5003),
            leaf(0, 12, 0x1234_5000, READ, 0x1234_5001),
            leaf(0, 12, 0x000f_ffff_ffff_f000, READ_WRITE, 0x000f_ffff_ffff_f003),
            leaf(1, 21, 0x4020_0000, READ, 0x4020_0081),
            leaf(2, 30, 0x1_4000_0000, READ_WRITE, 0x1_4000_0083),
        ] {
            check_leaf(&common, &golden);
        }
        check_table(&common, 3, 0xabc_d000, 0xabc_d003);
    }

    /// SNP, bit 11, in every leaf and in no pointer.
    #[test]
    fn golden_items_that_snoop() {
        let common = common::<Format>(FORCE_COHERENCE, Config::default());
        check_leaf(&common, &leaf(0, 12, 0x1234_5000, READ_WRITE, 0x1234_5803));
        check_table(&common, 1, 0xabc_d000, 0xabc_d003);
    }

    const FLUSH_RANGE_ONLY: crate::Features = crate::Features::FLUSH_RANGE;
}
