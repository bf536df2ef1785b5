//! PowerPC radix trees.

crate::define_pt_format!(
    /// PowerPC radix trees, with pages of 4 KiB and of 64 KiB.
    pub(super) mod ppc64_radix_family {
        /// PowerPC radix trees with pages of 4 KiB: Power ISA 3.0B and later, book III, chapter "Storage control", section
        /// "Radix tree translation"; process-scoped and partition-scoped.
        ///
        /// Drives the MMUs of POWER9 and later (and those of the same architecture). Items are big-endian. Indices have 13, 9, 9
        /// and 9 bits from the top, so 52 VA bits are decoded. Pages of 2 MiB and 1 GiB are possible, too. A pointer holds the
        /// size of the table it points to (NLS). That trees can mix tables of both page sizes is not used.
        ///
        /// Real addresses are certain up to 53 bits, which is what public software uses; that the field has all 57 is from one
        /// secondary source. Hardware says how many bits it has: that is `hw_max_oasz_lg2`.
        ///
        /// With quadrant 3 (`Config`) the table serves the effective addresses from `0xc000_0000_0000_0000` on, with
        /// quadrant 0 those from 0. Guest real addresses (partition-scoped) have no quadrants: 0.
        ///
        /// A page is readable when it is writable, as hardware has it. It is guarded I/O with MMIO, else tolerant I/O (not
        /// cached) unless CACHE is asked for; hardware does not fetch instructions from the former. Nothing is privileged.
        ///
        /// R is set from the start, and C with WRITE, so that hardware, which may fault instead of setting them, never has to.
        /// With `RC_UPDATES`, where it does set them, C tells which pages were written: making a page clean clears it. Pages
        /// start dirty. In an item that is empty R and C may be left over: what is not valid is empty, whatever else it holds.
        ///
        /// Pointers to tables of another size, pointers with reserved bits, pointers at level 0 and pages at level 3 are
        /// foreign.
        ///
        /// # Protections
        ///
        /// WRITE alone reads and writes. NOEXEC takes away EXEC; CACHE and MMIO choose the attributes, as above.
        pub mod ppc64_radix {
            const GRANULE_LG2: u32 = 12;
            const LEAF_TABLE_LG2: u32 = 12;
        }
        /// PowerPC radix trees with pages of 64 KiB: as [`ppc64_radix`], of the same section of the Power ISA, but the indices have
        /// 13, 9, 9 and 5 bits from the top, so tables of the lowest level have 256 bytes.
        ///
        /// [`ppc64_radix`]: crate::fmt::ppc64_radix
        pub mod ppc64_radix_64k {
            const GRANULE_LG2: u32 = 16;
            const LEAF_TABLE_LG2: u32 = 8;
        }

        type Item = u64;
        const GEOMETRY: Geometry = Geometry {
            granule_lg2: GRANULE_LG2,
            table_lg2: Tables::PerLevel([LEAF_TABLE_LG2, 12, 12, 16, 16, 16]),
            max_va_lg2: 52,
            max_oa_lg2: 57,
            max_top_level: 3,
            leaf_levels: 0..=2,
            top_pa_mask: lg2::bit_range_mask(16, 56),
        };
        const QUIRKS: Quirks =
            Quirks { endian: Endian::Big, table_pa_lg2: 57, min_top_level: 3, link_lo: 40, ..Quirks::NONE };
        enum Feature {
            /// Hardware sets R and C, so that C tells which pages were written.
            RC_UPDATES,
        }
        const SUPPORTED: Features = FLUSH_RANGE | DETAILED_GATHER | RC_UPDATES;
        enum Bits {
            /// Execute.
            EXEC = bit(0).in_leaves(),
            /// Write, and read.
            WRITE = bit(1).in_leaves(),
            /// Read.
            READ = bit(2).in_leaves(),
            /// Privileged; never set here.
            PRIV = bit(3).in_leaves(),
            /// Next level size: items of the lower table, as a power of two.
            NLS = bits(0, 4).in_tables(),
            /// Attributes: 0 normal memory, 1 strong access order, 2 non-idempotent I/O (guarded), 3 tolerant I/O.
            ATT = bits(4, 5).in_leaves(),
            /// Changed: written; hardware may set it.
            C = bit(7).in_leaves(),
            /// Referenced; hardware may set it.
            R = bit(8).in_leaves(),
            /// For software.
            SW = bits(9, 11).in_leaves(),
            /// Next level base: the lower table.
            NLB = address(8, 59).in_tables(),
            /// Real page number.
            RPN = address(12, 56).in_leaves(),
            /// For software.
            SW0 = bit(61).in_leaves(),
            /// Leaf.
            L = bit(62),
            /// Valid.
            V = bit(63),
        }

        /// Configuration.
        pub struct Config {
            /// The quadrant of the effective address space that the table serves: 0 or 3.
            pub quadrant: u32,
        }

        /// For the process table or the partition table.
        pub struct HwInfo {
            /// The first doubleword of an entry: radix tree size, root and root size. Big-endian in memory; a partition table
            /// entry has bit 63 (host radix) set besides.
            pub root_descriptor: u64,
        }

        const GUARDED: u64 = 2;
        const TOLERANT: u64 = 3;
        /// The VA bits of a table less 31, in two pieces.
        const RADIX_TREE_SIZE: u64 = 52 - 31;
        /// Items of the top, as a power of two.
        const ROOT_SIZE: u64 = 13;
        /// What must be zero in a pointer: all but V, the base and the size.
        const POINTER_RESERVED: u64 = lg2::bit_range_mask(60, 61) | lg2::bit_range_mask(5, 7);

        /// For the test suite: both quadrants, with hardware that notes writes and without.
        pub const TEST_CONFIGS: &[TestConfig<Format>] = &[
            TestConfig::new("quadrant_0", Config { quadrant: 0 }).without(RC_UPDATES),
            TestConfig::new("quadrant_3_oasz53", Config { quadrant: 3 }).oa_lg2(53),
        ];

        impl PtFormat for Format {
            const SECTIONS: &'static [(SpecRule, &'static str)] = &[
                (SpecRule::Accessed, "Power ISA, book III, \"Storage control\", \"Reference and change recording\""),
                (SpecRule::Dirty, "Power ISA, book III, \"Storage control\", \"Reference and change recording\""),
            ];
            #[inline(always)]
            fn kind(_: &Common<Self>, level: u32, raw: u64) -> Kind {
                let pointer = V.mask() | L.mask() | NLS.mask() | POINTER_RESERVED;
                if !V.is_set(raw) {
                    Kind::Empty
                } else if L.is_set(raw) && level <= 2 {
                    Kind::Leaf
                } else if level > 0 && raw & pointer == V.mask() | lower_size(level) {
                    Kind::Table
                } else {
                    Kind::Foreign
                }
            }
            #[inline(always)]
            fn table_item(_: &Common<Self>, level: u32, table_pa: u64) -> u64 {
                V.mask() | NLB.put(table_pa) | lower_size(level)
            }
            #[inline(always)]
            fn table_pa(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                NLB.get(raw)
            }
            #[inline(always)]
            fn leaf_item(_: &Common<Self>, leaf: LeafRequest<u64>) -> u64 {
                V.mask() | L.mask() | RPN.put(leaf.oa) | leaf.attrs
            }
            #[inline(always)]
            fn attrs(_: &Common<Self>, prot: Prot) -> Result<u64, Error> {
                let writable = prot.contains(Prot::WRITE);
                let attributes = if prot.contains(Prot::MMIO) {
                    GUARDED
                } else if prot.contains(Prot::CACHE) {
                    0
                } else {
                    TOLERANT
                };
                Ok(READ.when(writable || prot.contains(Prot::READ))
                    | WRITE.when(writable)
                    | EXEC.when(!prot.contains(Prot::NOEXEC))
                    | ATT.put(attributes)
                    | R.mask()
                    | C.when(writable))
            }
            #[inline(always)]
            fn attrs_of(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                let access = READ.mask() | WRITE.mask() | EXEC.mask() | PRIV.mask() | ATT.mask();
                // R and C as they are from the start.
                raw & access | R.mask() | C.when(WRITE.is_set(raw))
            }
            #[inline(always)]
            fn nonempty_bits(_: &Common<Self>, _: u32) -> u64 {
                V.mask()
            }
            #[inline(always)]
            fn va_prefix(common: &Common<Self>) -> u64 {
                u64::from(common.config.quadrant) << 62
            }
            fn access(_: &Common<Self>, _: u32, raw: u64) -> Access {
                let (readable, writable) = (READ.is_set(raw), WRITE.is_set(raw));
                let executable = EXEC.is_set(raw) && ATT.get(raw) != GUARDED;
                let access = Access::READ.when(readable || writable) | Access::WRITE.when(writable);
                let access = access | Access::EXECUTE.when(executable);
                access | access.for_users().when(!PRIV.is_set(raw))
            }
            fn faulting_flags(common: &Common<Self>, _: u32, raw: u64) -> u64 {
                if common.has(RC_UPDATES) { 0 } else { !raw & (R.mask() | C.when(WRITE.is_set(raw))) }
            }
            fn init(config: &TableConfig<Config>) -> Result<Limits, Error> {
                Error::check_range("hw_max_vasz_lg2", config.hw_max_vasz_lg2, 52..=52, Errno::EINVAL)?;
                let quadrant = config.format.quadrant;
                if quadrant != 0 && quadrant != 3 {
                    let (found, errno) = (quadrant.into(), Errno::EINVAL);
                    return Err(Error::Config { field: "quadrant", found, valid: "0 or 3", errno });
                }
                Ok(Limits { top_level: 3, max_va_lg2: 52, max_oa_lg2: config.hw_max_oasz_lg2.min(57) })
            }
            fn hw_info(_: &Common<Self>, top: Top) -> HwInfo {
                let size = (RADIX_TREE_SIZE >> 3) << 61 | (RADIX_TREE_SIZE & 7) << 5;
                HwInfo { root_descriptor: top.pa | size | ROOT_SIZE }
            }
        }

        impl ItemOa for Format {
            #[inline(always)]
            fn item_oa(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                RPN.get(raw)
            }
        }

        impl DirtyBit for Format {
            const DIRTY_BIT: Field<Item> = C;
            #[inline(always)]
            fn tracks_dirty(common: &Common<Self>) -> bool {
                common.has(RC_UPDATES)
            }
        }

        /// The size in a pointer of `level`, in place.
        #[inline(always)]
        fn lower_size(level: u32) -> u64 {
            NLS.put(items_lg2::<Format>(level.saturating_sub(1)).into())
        }
    }
);

#[cfg(test)]
mod tests {
    use super::ppc64_radix_family::{ppc64_radix, ppc64_radix_64k};
    use crate::Prot;
    use crate::fmt::golden::*;
    use crate::format::{Common, Description, Dirty, Endian, Kind, PtFormat, Top};

    const NOEXEC: Prot = Prot::NOEXEC;
    const CACHE: Prot = Prot::CACHE;

    fn small() -> Common<ppc64_radix::Format> {
        common(ppc64_radix::SUPPORTED, ppc64_radix::Config { quadrant: 0 })
    }

    /// V and L are bits 63 and 62, R is bit 8, C bit 7; read, write and execute are bits 2, 1 and 0; not cached is 3 at bit 4,
    /// guarded 2.
    #[test]
    fn golden_items() {
        for golden in [
            leaf(0, 12, 0x1234_5000, READ_WRITE | CACHE | NOEXEC, 0xc000_0000_1234_5186),
            leaf(0, 12, 0x1234_5000, Prot::WRITE | CACHE | NOEXEC, 0xc000_0000_1234_5186),
            leaf(0, 12, 0x1234_5000, READ | CACHE, 0xc000_0000_1234_5105),
            leaf(0, 12, 0x01ff_ffff_ffff_f000, READ_WRITE, 0xc1ff_ffff_ffff_f1b7),
            leaf(1, 21, 0x4020_0000, READ | Prot::MMIO | NOEXEC, 0xc000_0000_4020_0124),
            leaf(2, 30, 0x1_4000_0000, READ_WRITE | CACHE | NOEXEC, 0xc000_0001_4000_0186),
        ] {
            check_leaf(&small(), &golden);
        }
        for level in 1..=3 {
            // 512 items: 9.
            check_table(&small(), level, 0x4000_0000, 0x8000_0000_4000_0009);
        }
        assert_eq!(ppc64_radix::Format::QUIRKS.endian, Endian::Big);
    }

    /// 32 items in the lowest tables, of 256 bytes: 5.
    #[test]
    fn golden_items_of_64_kib() {
        let common = common::<ppc64_radix_64k::Format>(ppc64_radix_64k::SUPPORTED, Default::default());
        check_leaf(&common, &leaf(0, 16, 0x1234_0000, READ_WRITE | CACHE | NOEXEC, 0xc000_0000_1234_0186));
        check_leaf(&common, &leaf(1, 21, 0x4020_0000, READ | CACHE | NOEXEC, 0xc000_0000_4020_0104));
        check_table(&common, 1, 0x4000_0100, 0x8000_0000_4000_0105);
        check_table(&common, 2, 0x4000_1000, 0x8000_0000_4000_1009);
        check_kind(&common, 1, Kind::Foreign, &[0x8000_0000_4000_0009]);
        check_kind(&common, 2, Kind::Foreign, &[0x8000_0000_4000_1005]);
    }

    /// C is bit 7, and is no attribute of its own; what hardware leaves in an empty item does not matter.
    #[test]
    fn golden_dirty_items() {
        type Format = ppc64_radix::Format;
        assert!(Format::is_dirty(&small(), 0, 0xc000_0000_1234_5186));
        assert_eq!(Format::clean_item(&small(), 0, 0xc000_0000_1234_5186), 0xc000_0000_1234_5106);
        assert_eq!(Format::attrs_of(&small(), 0, 0xe000_0000_1234_5f06), 0x186);
        assert_eq!(Format::attrs_of(&small(), 0, 0xc000_0000_1234_5084), 0x104);
        check_kind(&small(), 0, Kind::Empty, &[0, 0x80, 0x100, 0x180, 0x4000_0000_1234_5186]);
    }

    /// Reserved bits of pointers, a size that the format does not make, a pointer to nothing, a page of 512 GiB.
    #[test]
    fn foreign_items() {
        check_kind(&small(), 1, Kind::Foreign, &[0x8000_0000_4000_0005, 0x8000_0000_4000_0029, 0x8000_0000_4000_0089]);
        check_kind(&small(), 1, Kind::Foreign, &[0x9000_0000_4000_0009, 0xa000_0000_4000_0009]);
        check_kind(&small(), 0, Kind::Foreign, &[0x8000_0000_4000_0009]);
        check_kind(&small(), 3, Kind::Foreign, &[0xc000_0080_0000_0186]);
    }

    /// 52 bits are 21 = 10101b: 10b at bit 61, 101b at bit 5; 13 bits for the top.
    #[test]
    fn hardware_information() {
        let info = ppc64_radix::Format::hw_info(&small(), Top { pa: 0x1234_0000, level: 3 });
        assert_eq!(info.root_descriptor, 0x4000_0000_1234_00ad);
        let upper = Common { config: ppc64_radix::Config { quadrant: 3 }, ..small() };
        assert_eq!(ppc64_radix::Format::va_prefix(&upper), 0xc000_0000_0000_0000);
    }
}
