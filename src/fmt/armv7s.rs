//! ARMv7, short descriptors.

crate::define_pt_format!(
    /// ARMv7 short-descriptor tables: Arm Architecture Reference Manual for ARMv7-A and ARMv7-R (DDI 0406C), B3.5
    /// "Short-descriptor translation table format"; the AArch32 short-descriptor format of SMMUv2.
    ///
    /// Drives 32-bit ARM CPUs and SMMUv1 and v2 contexts in that format. Arm's first-level table is level 1 here: 4096 items of
    /// 1 MiB sections; its second-level table is level 0, with 256 items of 4 KiB small pages in 1 KiB. Supersections of 16 MiB
    /// and large pages of 64 KiB are runs of 16 equal items. Only supersections hold addresses above 4 GiB, up to 40 bits;
    /// tables are below 4 GiB. The same attributes lie elsewhere in small pages, large pages and sections.
    ///
    /// Memory types are those of TEX remap (SCTLR.TRE is set): CACHE makes write-back memory (7), MMIO device memory (1),
    /// neither of them non-cacheable memory (4). AP\[0\] is the access flag (SCTLR.AFE), and set, as are nG, S and AP\[1\]
    /// (unprivileged access). What is mapped can always be read. Domains are 0. There are no bits for software that hardware
    /// ignores everywhere, so walkers have to be coherent, and hardware does not note writes.
    ///
    /// # Configuration
    ///
    /// VA of less than 32 bits, down to 25, are for TTBR0 with TTBCR.N = 32 less the width: the top is smaller. TTBCR then
    /// switches off walks of TTBR1. A table of 32 bits serves TTBR0 alone (N = 0), or TTBR1: there hardware looks only at
    /// addresses above those of TTBR0, but the table has all its 4096 items; the driver sets TTBCR.
    ///
    /// # Foreign items
    ///
    /// Table pointers with a domain, PXN, or reserved bits.
    ///
    /// # Left out
    ///
    /// The output address bits that MediaTek IOMMUs have in the place of permissions; VA of more than 32 bits.
    ///
    /// # Protections
    ///
    /// WRITE alone reads and writes. NOEXEC sets XN; CACHE and MMIO choose the memory type, as above.
    pub mod armv7s {
        type Item = u32;
        const GEOMETRY: Geometry = Geometry {
            granule_lg2: 12,
            table_lg2: Tables::PerLevel([10, 14, 14, 14, 14, 14]),
            max_va_lg2: 32,
            max_oa_lg2: 40,
            max_top_level: 1,
            leaf_levels: 0..=1,
            top_pa_mask: 0xffff_ff80,
        };
        const QUIRKS: Quirks = Quirks { min_top_level: 1, table_pa_lg2: 32, break_before_make: true, ..Quirks::NONE };
        enum Feature {
            /// NS is set in sections and table pointers: for tables of the Secure state.
            NON_SECURE,
        }
        const SUPPORTED: Features = FLUSH_RANGE | FLUSH_RANGE_NO_GAPS | DETAILED_GATHER | NON_SECURE;
        enum Bits {
            /// 1.
            TYPE_TABLE = bits(0, 1).in_tables(),
            /// 1.
            TYPE_LARGE = bits(0, 1).at_levels(0..=0).in_contiguous_leaves(),
            /// A small page.
            SMALL = bit(1).at_levels(0..=0).in_plain_leaves(),
            /// Execute never, of a small page.
            XN_SMALL = bit(0).at_levels(0..=0).in_plain_leaves(),
            /// A section or supersection.
            SECTION = bit(1).at_levels(1..=1).in_leaves(),
            /// Privileged execute never, of a section. Never set.
            PXN = bit(0).at_levels(1..=1).in_leaves(),
            /// Address of a table.
            TABLE = address(10, 31).in_tables(),
            /// Domain of all below.
            DOMAIN_TABLE = bits(5, 8).in_tables().limits_below(),
            /// Non-secure address of the table, and of small and large pages in it.
            NS_TABLE = bit(3).in_tables().limits_below(),
            /// Privileged execute never of all below. Never set.
            PXN_TABLE = bit(2).in_tables().denies_below(Access::EXECUTE),
            /// Bufferable.
            B = bit(2).in_leaves(),
            /// Cacheable.
            C = bit(3).in_leaves(),
            /// Execute never, of a section.
            XN_SECTION = bit(4).at_levels(1..=1).in_leaves(),
            /// Domain of a section.
            DOMAIN = bits(5, 8).at_levels(1..=1).in_plain_leaves(),
            /// AP\[1:0\] of a section: access flag, and unprivileged access.
            AP_SECTION = bits(10, 11).at_levels(1..=1).in_leaves(),
            /// Memory type, of a section.
            TEX_SECTION = bits(12, 14).at_levels(1..=1).in_leaves(),
            /// AP\[2\] of a section: read-only.
            RO_SECTION = bit(15).at_levels(1..=1).in_leaves(),
            /// Shareable, of a section.
            S_SECTION = bit(16).at_levels(1..=1).in_leaves(),
            /// Not global, of a section.
            NG_SECTION = bit(17).at_levels(1..=1).in_leaves(),
            /// A supersection.
            SUPER = bit(18).at_levels(1..=1).in_leaves(),
            /// Non-secure output address, of a section.
            NS = bit(19).at_levels(1..=1).in_leaves(),
            /// Output address of a section.
            OA_SECTION = address(20, 31).at_levels(1..=1).in_plain_leaves(),
            /// Output address of a supersection.
            OA_SUPER = address(24, 31).and(20, 23, 32).and(5, 8, 36).at_levels(1..=1).in_contiguous_leaves(),
            /// AP\[1:0\] of a page.
            AP = bits(4, 5).at_levels(0..=0).in_leaves(),
            /// Memory type, of a small page.
            TEX_SMALL = bits(6, 8).at_levels(0..=0).in_plain_leaves(),
            /// AP\[2\] of a page.
            RO = bit(9).at_levels(0..=0).in_leaves(),
            /// Shareable, of a page.
            S = bit(10).at_levels(0..=0).in_leaves(),
            /// Not global, of a page.
            NG = bit(11).at_levels(0..=0).in_leaves(),
            /// Output address of a small page.
            OA_SMALL = address(12, 31).at_levels(0..=0).in_plain_leaves(),
            /// Memory type, of a large page.
            TEX_LARGE = bits(12, 14).at_levels(0..=0).in_contiguous_leaves(),
            /// Execute never, of a large page.
            XN_LARGE = bit(15).at_levels(0..=0).in_contiguous_leaves(),
            /// Output address of a large page.
            OA_LARGE = address(16, 31).at_levels(0..=0).in_contiguous_leaves(),
        }

        /// Attributes of a leaf, in the places of each kind of leaf.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct LeafAttrs {
            section: u32,
            large: u32,
            small: u32,
        }
        type Attrs = LeafAttrs;

        /// Configuration: the widths say everything.
        pub struct Config {}

        /// For the registers of a CPU or context bank.
        pub struct HwInfo {
            /// TTBR0 (or TTBR1): address of the top, walks write-back, inner shareable.
            pub ttbr: u32,
            /// TTBCR: N, and with N above 0 no walks of TTBR1 (PD1, which needs the Security Extensions: without them TTBR1 has to
            /// hold an empty table).
            pub ttbcr: u32,
            /// PRRR: device memory at 1, normal memory at 4 and 7; shareable as S says.
            pub prrr: u32,
            /// NMRR: non-cacheable at 4, write-back at 7.
            pub nmrr: u32,
        }

        /// Items of a supersection or large page, as a power of two.
        const RUN_LG2: u32 = 4;
        /// The only size with addresses above 4 GiB.
        const SUPERSECTIONS: u64 = 1 << 24;
        /// TTBR: S, and write-back walks in inner (IRGN, bits 6 and 0) and outer caches (RGN, bits 3 and 4); NOS.
        const WALKS: u32 = 0b110_1010;
        const PRRR: u32 = 0x800b_8204;
        const NMRR: u32 = 0x4000_4000;
        /// TTBCR.PD1.
        const PD1: u32 = 1 << 5;
        /// The kinds of leaves, by the places of their attributes.
        const SECTIONS: usize = 0;
        const LARGE_PAGES: usize = 1;
        const SMALL_PAGES: usize = 2;
        /// AP\[1:0\] of each.
        const AP_PLACES: [crate::field::Field<u32>; 3] = [AP_SECTION, AP, AP];

        /// For the test suite: all address bits; those of everything; the smallest top.
        pub const TEST_CONFIGS: &[TestConfig<Format>] = &[
            TestConfig::new("oasz40", Config {}).without(NON_SECURE),
            TestConfig::new("oasz32_ns", Config {}).oa_lg2(32).without(FLUSH_RANGE_NO_GAPS),
            TestConfig::new("vasz25_oasz36", Config {}).va_lg2(25).oa_lg2(36),
        ];

        impl PtFormat for Format {
            const SECTIONS: &'static [(SpecRule, &'static str)] = &[
                (
                    SpecRule::Canonical,
                    "DDI 0406C, B3.5, \"Selecting between TTBR0 and TTBR1, Short-descriptor translation table format\"",
                ),
                (SpecRule::Present, "DDI 0406C, B3.5, \"Short-descriptor translation table format descriptors\""),
                (SpecRule::Kinds, "DDI 0406C, B3.5, \"Short-descriptor translation table format descriptors\""),
                (SpecRule::Reserved, "DDI 0406C, B3.5, \"Short-descriptor translation table format descriptors\""),
            ];
            #[inline(always)]
            fn kind(_: &Common<Self>, level: u32, raw: u32) -> Kind {
                match (level, raw & 0b11) {
                    (_, 0b00) => Kind::Empty,
                    (0, _) | (_, 0b10 | 0b11) => Kind::Leaf,
                    _ if raw & !(TYPE_TABLE.mask() | TABLE.mask() | NS_TABLE.mask()) == 0 => Kind::Table,
                    _ => Kind::Foreign,
                }
            }
            #[inline(always)]
            fn table_item(common: &Common<Self>, _: u32, table_pa: u64) -> u32 {
                TYPE_TABLE.put(1) | TABLE.put(table_pa) | NS_TABLE.when(common.has(NON_SECURE))
            }
            #[inline(always)]
            fn table_pa(_: &Common<Self>, _: u32, raw: u32) -> u64 {
                TABLE.get(raw)
            }
            #[inline(always)]
            fn leaf_item(_: &Common<Self>, leaf: LeafRequest<LeafAttrs>) -> u32 {
                let LeafRequest { level, size_lg2, oa, attrs } = leaf;
                match (level, size_lg2 > item_size_lg2::<Self>(level)) {
                    (0, false) => SMALL.mask() | OA_SMALL.put(oa) | attrs.small,
                    (0, true) => TYPE_LARGE.put(1) | OA_LARGE.put(oa) | attrs.large,
                    (_, false) => SECTION.mask() | OA_SECTION.put(oa) | attrs.section,
                    (_, true) => SECTION.mask() | SUPER.mask() | OA_SUPER.put(oa) | attrs.section,
                }
            }
            #[inline(always)]
            fn attrs(common: &Common<Self>, prot: Prot) -> Result<LeafAttrs, Error> {
                let [cached, device] = [Prot::CACHE, Prot::MMIO].map(|bit| prot.contains(bit));
                let [writable, never] = [Prot::WRITE, Prot::NOEXEC].map(|bit| u64::from(prot.contains(bit)));
                let (b, c, tex) = (u64::from(device || cached), u64::from(cached && !device), u64::from(!device));
                Ok(everywhere(common, [b, c, tex, 0b11, 1 - writable, 1, 1, never]))
            }
            #[inline(always)]
            fn attrs_of(common: &Common<Self>, level: u32, raw: u32) -> LeafAttrs {
                let kind = kind_of_leaf(common, level, raw);
                let [ap, ro, s, ng] = if kind == SECTIONS {
                    [AP_SECTION.get(raw), RO_SECTION.get(raw), S_SECTION.get(raw), NG_SECTION.get(raw)]
                } else {
                    [AP.get(raw), RO.get(raw), S.get(raw), NG.get(raw)]
                };
                let [tex, xn] = match kind {
                    SECTIONS => [TEX_SECTION.get(raw), XN_SECTION.get(raw)],
                    LARGE_PAGES => [TEX_LARGE.get(raw), XN_LARGE.get(raw)],
                    _ => [TEX_SMALL.get(raw), XN_SMALL.get(raw)],
                };
                everywhere(common, [B.get(raw), C.get(raw), tex, ap, ro, s, ng, xn])
            }
            #[inline(always)]
            fn possible_sizes(_: &Common<Self>, level: u32) -> u64 {
                plain_size::<Self>(level) * (1 | 1 << RUN_LG2)
            }
            #[inline(always)]
            fn sizes_for_oa(_: &Common<Self>, sizes: u64, oa: u64) -> u64 {
                if oa >> 32 == 0 { sizes } else { sizes & SUPERSECTIONS }
            }
            #[inline(always)]
            fn nonempty_bits(_: &Common<Self>, _: u32) -> u32 {
                0b11
            }
            fn access(common: &Common<Self>, level: u32, raw: u32) -> Access {
                let kind = kind_of_leaf(common, level, raw);
                let read_only = [RO_SECTION, RO, RO][kind].is_set(raw);
                let never = [XN_SECTION, XN_LARGE, XN_SMALL][kind].is_set(raw);
                let by_user = AP_PLACES[kind].get(raw) & 0b10 != 0;
                let never_by_privileged = level > 0 && PXN.is_set(raw);
                let data = Access::READ | Access::WRITE.when(!read_only);
                // Who may not read may not execute.
                let by_user = (data | Access::EXECUTE.when(!never)).for_users().when(by_user);
                data | Access::EXECUTE.when(!never && !never_by_privileged) | by_user
            }
            fn faulting_flags(common: &Common<Self>, level: u32, raw: u32) -> u32 {
                !raw & AP_PLACES[kind_of_leaf(common, level, raw)].put(1)
            }
            fn init(config: &TableConfig<Config>) -> Result<Limits, Error> {
                let (max_va_lg2, max_oa_lg2) = (config.hw_max_vasz_lg2, config.hw_max_oasz_lg2);
                Error::check_range("hw_max_vasz_lg2", max_va_lg2, 25..=32, Errno::EINVAL)?;
                Ok(Limits { top_level: 1, max_va_lg2, max_oa_lg2: max_oa_lg2.min(40) })
            }
            fn hw_info(common: &Common<Self>, top: Top) -> HwInfo {
                let n = 32 - common.max_va_lg2;
                let ttbcr = n | if n > 0 { PD1 } else { 0 };
                HwInfo { ttbr: top.pa as u32 | WALKS, ttbcr, prrr: PRRR, nmrr: NMRR }
            }
        }

        impl EntryOa for Format {
            #[inline(always)]
            fn entry_oa(_: &Common<Self>, level: u32, raw: u32) -> u64 {
                match (level, SUPER.is_set(raw)) {
                    // Also of a large page: bits below its size do not count.
                    (0, _) => OA_SMALL.get(raw),
                    (_, false) => OA_SECTION.get(raw),
                    (_, true) => OA_SUPER.get(raw),
                }
            }
        }

        impl Contiguous for Format {
            #[inline(always)]
            fn contig_lg2(_: &Common<Self>, level: u32, raw: u32) -> u32 {
                let is_run = if level == 0 { !SMALL.is_set(raw) } else { SUPER.is_set(raw) };
                if is_run { RUN_LG2 } else { 0 }
            }
        }

        /// Which of the places a leaf has.
        #[inline(always)]
        fn kind_of_leaf(common: &Common<Format>, level: u32, raw: u32) -> usize {
            if level > 0 {
                SECTIONS
            } else if Format::contig_lg2(common, 0, raw) != 0 {
                LARGE_PAGES
            } else {
                SMALL_PAGES
            }
        }

        /// B, C, TEX, AP\[1:0\], AP\[2\], S, nG and XN in the places of each kind of leaf. Pages are as secure as the pointer to
        /// their table says.
        #[inline(always)]
        fn everywhere(common: &Common<Format>, [b, c, tex, ap, ro, s, ng, xn]: [u64; 8]) -> LeafAttrs {
            let memory = B.put(b) | C.put(c);
            let of_section = AP_SECTION.put(ap) | RO_SECTION.put(ro) | S_SECTION.put(s) | NG_SECTION.put(ng);
            let of_pages = memory | AP.put(ap) | RO.put(ro) | S.put(s) | NG.put(ng);
            LeafAttrs {
                section: memory
                    | of_section
                    | TEX_SECTION.put(tex)
                    | XN_SECTION.put(xn)
                    | NS.when(common.has(NON_SECURE)),
                large: of_pages | TEX_LARGE.put(tex) | XN_LARGE.put(xn),
                small: of_pages | TEX_SMALL.put(tex) | XN_SMALL.put(xn),
            }
        }
    }
);

#[cfg(test)]
mod tests {
    use super::armv7s::*;
    use crate::fmt::golden::*;
    use crate::format::{Kind, PtFormat, Top};
    use crate::{Features, Prot};

    const CACHED: Prot = READ_WRITE.union(Prot::CACHE);

    /// B and C in bits 2 and 3. Pages: AP from bit 4, AP\[2\] bit 9, S bit 10, nG bit 11; small ones XN bit 0, TEX from bit 6,
    /// large ones TEX from bit 12, XN bit 15. Sections: XN bit 4, AP from bit 10, TEX from bit 12, AP\[2\] bit 15, S bit 16,
    /// nG bit 17.
    #[test]
    fn golden_items() {
        let common = common::<Format>(Features::empty(), Config::default());
        for golden in [
            leaf(0, 12, 0x1234_5000, CACHED | Prot::NOEXEC, 0x1234_5c7f),
            leaf(0, 12, 0x1234_5000, CACHED, 0x1234_5c7e),
            leaf(0, 12, 0x1234_5000, READ, 0x1234_5e72),
            // MMIO: TEX 0, B.
            leaf(0, 12, 0x1234_5000, READ_WRITE | Prot::MMIO, 0x1234_5c36),
            leaf(0, 12, 0xffff_f000, READ_WRITE, 0xffff_fc72),
            leaf(0, 16, 0x1234_0000, CACHED | Prot::NOEXEC, 0x1234_9c3d),
            leaf(0, 16, 0x1234_0000, READ, 0x1234_1e31),
            leaf(1, 20, 0x1230_0000, CACHED | Prot::NOEXEC, 0x1233_1c1e),
            leaf(1, 20, 0x1230_0000, READ | Prot::CACHE, 0x1233_9c0e),
            leaf(1, 24, 0x1200_0000, CACHED | Prot::NOEXEC, 0x1207_1c1e),
            // Bits 32 to 35 of the address from bit 20 (0xa), bits 36 to 39 from bit 5 (0x9 is 0x120).
            leaf(1, 24, 0x9a_1200_0000, CACHED | Prot::NOEXEC, 0x12a7_1d3e),
            leaf(1, 24, 0xff_ff00_0000, READ_WRITE, 0xfff7_1de2),
        ] {
            check_leaf(&common, &golden);
        }
        check_table(&common, 1, 0x0abc_dc00, 0x0abc_dc01);
    }

    /// NS is bit 19 of sections and bit 3 of table pointers; pages have none.
    #[test]
    fn golden_non_secure_items() {
        let common = common::<Format>(NON_SECURE, Config::default());
        check_leaf(&common, &leaf(1, 20, 0x1230_0000, CACHED | Prot::NOEXEC, 0x123b_1c1e));
        check_leaf(&common, &leaf(0, 12, 0x1234_5000, CACHED | Prot::NOEXEC, 0x1234_5c7f));
        check_table(&common, 1, 0x0abc_dc00, 0x0abc_dc09);
    }

    #[test]
    fn kinds() {
        let common = common::<Format>(Features::empty(), Config::default());
        // PXN, a reserved bit, a domain, the bit that implementations define.
        check_kind(&common, 1, Kind::Foreign, &[0x0abc_dc05, 0x0abc_dc11, 0x0abc_dc21, 0x0abc_de01]);
        check_kind(&common, 1, Kind::Leaf, &[2, 3]);
        check_kind(&common, 0, Kind::Leaf, &[1, 2, 3]);
        for level in [0, 1] {
            check_kind(&common, level, Kind::Empty, &[0, 0xffff_fffc]);
        }
    }

    /// Attributes of one kind of leaf are those of all others.
    #[test]
    fn attributes_are_transcoded() {
        let common = common::<Format>(NON_SECURE, Config::default());
        for prot in (0..=Prot::all().bits()).map(Prot::from_bits_truncate) {
            let attrs = Format::attrs(&common, prot).unwrap();
            for (level, size_lg2) in [(0, 12), (0, 16), (1, 20), (1, 24)] {
                let request = crate::format::LeafRequest { level, size_lg2, oa: 0x9a00_0000, attrs };
                let item = Format::leaf_item(&common, request);
                assert_eq!(Format::attrs_of(&common, level, item), attrs, "{prot:?} in {item:#x}");
            }
        }
    }

    /// Sizes reach differently far, and TTBCR.N is what is left of 32 bits.
    #[test]
    fn addresses_and_registers() {
        let mut common = common::<Format>(Features::empty(), Config::default());
        let all = 1 << 12 | 1 << 16 | 1 << 20 | 1 << 24;
        assert_eq!(Format::sizes_for_oa(&common, all, 0xffff_ffff), all);
        assert_eq!(Format::sizes_for_oa(&common, all, 0x1_0000_0000), 1 << 24);
        let info = Format::hw_info(&common, Top { pa: 0x8000_4000, level: 1 });
        assert_eq!(info, HwInfo { ttbr: 0x8000_406a, ttbcr: 0, prrr: 0x800b_8204, nmrr: 0x4000_4000 });
        common.max_va_lg2 = 28;
        assert_eq!(Format::hw_info(&common, Top { pa: 0x8000_4400, level: 1 }).ttbcr, 4 | 1 << 5);
    }
}
