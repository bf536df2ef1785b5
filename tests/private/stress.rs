//! Two imaginary formats with all that is rare at once: what real formats of later days must not need a rebuild for.

generic_pt::define_pt_format!(
    /// Big-endian items; tables of three sizes; an empty item that is not zero, while zero is a table; runs of different
    /// lengths on two levels, each item with its own address; addresses in two pieces; a top of up to four tables; a VA
    /// range at a constant prefix.
    pub mod stress {
        type Item = u64;
        const GEOMETRY: Geometry = Geometry {
            granule_lg2: 12,
            // 32, 512 and 128 items.
            table_lg2: Tables::PerLevel([8, 12, 10, 3, 3, 3]),
            // 33 bits, and two for a top of four tables.
            max_va_lg2: 35,
            max_oa_lg2: 44,
            max_top_level: 2,
            leaf_levels: 0..=2,
            top_pa_mask: 0x0fff_ffff_f000,
        };
        const QUIRKS: Quirks = Quirks {
            endian: Endian::Big,
            concat_lg2: 2,
            table_pa_lg2: 44,
            va_prefix: 0xc012_3456_7000_0000,
            min_top_level: 0,
            link_lo: 8,
            break_before_make: true,
            deep_top: false,
        };
        const SUPPORTED: Features = FLUSH_RANGE | FLUSH_RANGE_NO_GAPS | DETAILED_GATHER | DMA_INCOHERENT;
        enum Bits {
            /// 0 a table, 1 a leaf, 2 a leaf that is a part of a run, 3 empty.
            TYPE = bits(0, 1),
            /// Read.
            R = bit(2),
            /// Writing is forbidden.
            NW = bit(3),
            /// Clean: hardware clears it.
            CLEAN = bit(4),
            /// Address of the page or table.
            OA = address(8, 31).and(48, 59, 32),
            /// Memory type.
            MT = bits(60, 62),
            /// Faults are reported; set in empty items.
            FAULT = bit(63),
        }

        /// Configuration.
        pub struct Config {
            /// 1 or 2.
            pub top_level: u32,
        }

        /// For the context entry.
        pub struct HwInfo {
            /// Physical address of the top.
            pub root: u64,
        }

        const TABLE: u64 = 0;
        const LEAF: u64 = 1;
        const RUN: u64 = 2;
        const EMPTY: u64 = 3;
        /// Items of a run, as a power of two, at levels 0 and 1.
        const RUN_LG2: [u32; 2] = [2, 4];

        /// For the test suite: both tops, alone and of four tables.
        pub const TEST_CONFIGS: &[TestConfig<Format>] = &[
            TestConfig::new("four_tops_2", Config { top_level: 2 }),
            TestConfig::new("vasz33_top_2", Config { top_level: 2 }).va_lg2(33).without(DMA_INCOHERENT),
            TestConfig::new("vasz30_top_2", Config { top_level: 2 }).va_lg2(30).without(FLUSH_RANGE_NO_GAPS),
            TestConfig::new("four_tops_1", Config { top_level: 1 }).va_lg2(28),
            TestConfig::new("vasz26_top_1_oasz32", Config { top_level: 1 }).va_lg2(26).oa_lg2(32),
            TestConfig::new("one_item_top_2", Config { top_level: 2 }).va_lg2(26),
        ];

        impl PtFormat for Format {
            fn kind(_: &Common<Self>, _: u32, raw: u64) -> Kind {
                match TYPE.get(raw) {
                    TABLE => Kind::Table,
                    EMPTY => Kind::Empty,
                    _ => Kind::Leaf,
                }
            }
            fn table_item(_: &Common<Self>, _: u32, table_pa: u64) -> u64 {
                TYPE.put(TABLE) | OA.put(table_pa)
            }
            fn table_pa(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                OA.get(raw)
            }
            fn leaf_item(_: &Common<Self>, leaf: LeafRequest<u64>) -> u64 {
                let is_run = leaf.size_lg2 > item_size_lg2::<Self>(leaf.level);
                TYPE.put(if is_run { RUN } else { LEAF }) | OA.put(leaf.oa) | leaf.attrs
            }
            fn attrs(_: &Common<Self>, prot: Prot) -> Result<u64, Error> {
                let memory_type = u64::from(prot.contains(Prot::CACHE)) | u64::from(prot.contains(Prot::MMIO)) << 2;
                let (readable, writable) = (prot.contains(Prot::READ), prot.contains(Prot::WRITE));
                Ok(R.when(readable) | NW.when(!writable) | MT.put(memory_type) | CLEAN.mask())
            }
            fn attrs_of(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                raw & (R.mask() | NW.mask() | MT.mask()) | CLEAN.mask()
            }
            fn access(_: &Common<Self>, _: u32, raw: u64) -> Access {
                let forbidden = Access::READ.when(!R.is_set(raw)) | Access::WRITE.when(NW.is_set(raw));
                Access::all().difference(forbidden.for_all())
            }
            fn possible_sizes(_: &Common<Self>, level: u32) -> u64 {
                let run = RUN_LG2.get(level as usize).map_or(0, |run| lg2::pow2(item_size_lg2::<Self>(level) + run));
                plain_size::<Self>(level) | run
            }
            fn empty_item(_: &Common<Self>, level: u32) -> u64 {
                TYPE.put(EMPTY) | FAULT.mask() | MT.put(u64::from(level) + 1)
            }
            fn init(config: &TableConfig<Config>) -> Result<Limits, Error> {
                Ok(Limits {
                    top_level: config.format.top_level,
                    max_va_lg2: config.hw_max_vasz_lg2,
                    max_oa_lg2: config.hw_max_oasz_lg2,
                })
            }
            fn hw_info(_: &Common<Self>, top: Top) -> HwInfo {
                HwInfo { root: top.pa }
            }
        }

        impl ItemOa for Format {
            fn item_oa(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                OA.get(raw)
            }
        }

        impl Contiguous for Format {
            fn contig_lg2(_: &Common<Self>, level: u32, raw: u64) -> u32 {
                if TYPE.get(raw) == RUN { RUN_LG2[level as usize & 1] } else { 0 }
            }
        }

        impl Dirty for Format {
            fn is_dirty(_: &Common<Self>, _: u32, raw: u64) -> bool {
                !CLEAN.is_set(raw)
            }
            fn clean_item(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                raw | CLEAN.mask()
            }
            fn dirty_item(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                raw & !CLEAN.mask()
            }
        }

        impl SoftwareBits for Format {
            fn software_bits(_: &Common<Self>) -> &'static [u32] {
                &[47, 32, 33]
            }
        }
    }
);

generic_pt::define_pt_format!(
    /// 32-bit items; tables of 1 KiB below tops of 64 KiB; runs of equal items on both levels; the highest address bits
    /// only in the largest pages; a VA range that ends at the last byte there is; a format without table pointers above
    /// 4 GiB.
    pub mod narrow {
        type Item = u32;
        const GEOMETRY: Geometry = Geometry {
            granule_lg2: 12,
            table_lg2: Tables::PerLevel([10, 16, 2, 2, 2, 2]),
            max_va_lg2: 34,
            max_oa_lg2: 36,
            max_top_level: 1,
            leaf_levels: 0..=1,
            top_pa_mask: 0xffff_c000,
        };
        const QUIRKS: Quirks = Quirks { table_pa_lg2: 32, va_prefix: u64::MAX, ..Quirks::NONE };
        const SUPPORTED: Features = FLUSH_RANGE;
        enum Bits {
            /// 1 a table, 2 a leaf.
            TYPE = bits(0, 1),
            /// A part of a run of 16 items.
            RUN = bit(2),
            /// Writing is forbidden.
            NW = bit(3),
            /// The highest address bits, of the largest pages.
            HIGH = address(4, 7).from_bit(32),
            /// Never executed.
            NX = bit(8),
            /// The address, without the highest bits.
            OA = address(10, 31),
        }

        /// Configuration: none.
        pub struct Config {}

        /// For the register.
        pub struct HwInfo {
            /// Physical address of the top.
            pub root: u32,
        }

        const TABLE: u64 = 1;
        const LEAF: u64 = 2;
        const RUN_LG2: u32 = 4;
        /// The only size with 36 address bits.
        const LARGEST: u64 = 1 << 24;

        /// For the test suite: the upper 16 GiB, and the upper 4 GiB.
        pub const TEST_CONFIGS: &[TestConfig<Format>] =
            &[TestConfig::new("all", Config {}), TestConfig::new("vasz32_oasz32", Config {}).va_lg2(32).oa_lg2(32)];

        impl PtFormat for Format {
            fn kind(_: &Common<Self>, _: u32, raw: u32) -> Kind {
                match TYPE.get(raw) {
                    0 => Kind::Empty,
                    TABLE => Kind::Table,
                    _ => Kind::Leaf,
                }
            }
            fn table_item(_: &Common<Self>, _: u32, table_pa: u64) -> u32 {
                TYPE.put(TABLE) | OA.put(table_pa)
            }
            fn table_pa(_: &Common<Self>, _: u32, raw: u32) -> u64 {
                OA.get(raw)
            }
            fn leaf_item(_: &Common<Self>, leaf: LeafRequest<u32>) -> u32 {
                let is_run = leaf.size_lg2 > item_size_lg2::<Self>(leaf.level);
                TYPE.put(LEAF) | RUN.when(is_run) | HIGH.put(leaf.oa) | OA.put(leaf.oa) | leaf.attrs
            }
            fn attrs(_: &Common<Self>, prot: Prot) -> Result<u32, Error> {
                if !prot.contains(Prot::READ) {
                    return Err(Error::Protection { prot, valid: "READ, with or without WRITE", errno: Errno::EINVAL });
                }
                Ok(NW.when(!prot.contains(Prot::WRITE)) | NX.when(prot.contains(Prot::NOEXEC)))
            }
            fn attrs_of(_: &Common<Self>, _: u32, raw: u32) -> u32 {
                raw & (NW.mask() | NX.mask())
            }
            fn access(_: &Common<Self>, _: u32, raw: u32) -> Access {
                let forbidden = Access::WRITE.when(NW.is_set(raw)) | Access::EXECUTE.when(NX.is_set(raw));
                Access::all().difference(forbidden.for_all())
            }
            fn possible_sizes(_: &Common<Self>, level: u32) -> u64 {
                plain_size::<Self>(level) * (1 | 1 << RUN_LG2)
            }
            fn sizes_for_oa(_: &Common<Self>, sizes: u64, oa: u64) -> u64 {
                if oa >> 32 == 0 { sizes } else { sizes & LARGEST }
            }
            fn init(config: &TableConfig<Config>) -> Result<Limits, Error> {
                let (max_va_lg2, max_oa_lg2) = (config.hw_max_vasz_lg2, config.hw_max_oasz_lg2);
                Ok(Limits { top_level: 1, max_va_lg2, max_oa_lg2 })
            }
            fn hw_info(_: &Common<Self>, top: Top) -> HwInfo {
                HwInfo { root: top.pa as u32 }
            }
        }

        impl EntryOa for Format {
            fn entry_oa(_: &Common<Self>, _: u32, raw: u32) -> u64 {
                HIGH.get(raw) | OA.get(raw)
            }
        }

        impl Contiguous for Format {
            fn contig_lg2(_: &Common<Self>, _: u32, raw: u32) -> u32 {
                if RUN.is_set(raw) { RUN_LG2 } else { 0 }
            }
        }
    }
);
