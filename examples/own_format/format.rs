//! A format of our own: two levels of 1024 items of 32 bits, for the imaginary IOMMU *pocket*.

generic_pt::define_pt_format!(
    /// Page tables of the imaginary pocket IOMMU: 32 VA bits, 34 OA bits, pages of 4 KiB and 4 MiB.
    pub mod pocket {
        type Item = u32;
        const GEOMETRY: Geometry = Geometry {
            granule_lg2: 12,
            table_lg2: Tables::Uniform(12),
            max_va_lg2: 32,
            max_oa_lg2: 34,
            max_top_level: 1,
            leaf_levels: 0..=1,
            top_pa_mask: 0x3_ffff_f000,
        };
        // Tables have to lie where an item can point to; of an item that is not valid only V is looked at.
        const QUIRKS: Quirks = Quirks { table_pa_lg2: 34, link_lo: 5, ..Quirks::NONE };
        enum Feature {
            /// Pages that are not to be cached are marked; else nothing is.
            UNCACHED_PAGES,
        }
        const SUPPORTED: Features = FLUSH_RANGE | DMA_INCOHERENT | UNCACHED_PAGES;
        enum Bits {
            /// Leaf, at level 1.
            L = bit(0),
            /// Reading is forbidden.
            NR = bit(1),
            /// Writing is forbidden.
            NW = bit(2),
            /// Not to be cached.
            NC = bit(3),
            /// Dirty; hardware sets it.
            D = bit(4),
            /// Address of the page or table, from bit 12 on.
            OA = address(5, 26).from_bit(12),
            /// Valid.
            V = bit(31),
        }

        /// Configuration: none.
        pub struct Config {}

        /// For the one register that the device has.
        pub struct HwInfo {
            /// Page number of the top table.
            pub base: u32,
        }

        /// For the test suite: all of it; fewer VA bits than one table decodes; coherent.
        #[allow(dead_code, reason = "the suite is stamped in a test, the example does without")]
        pub const TEST_CONFIGS: &[TestConfig<Format>] = &[
            TestConfig::new("all", Config {}),
            TestConfig::new("vasz26_oasz30", Config {}).va_lg2(26).oa_lg2(30),
            TestConfig::new("coherent", Config {}).without(DMA_INCOHERENT),
        ];

        impl PtFormat for Format {
            fn kind(_: &Common<Self>, level: u32, raw: u32) -> Kind {
                if !V.is_set(raw) {
                    Kind::Empty
                } else if level == 0 || L.is_set(raw) {
                    Kind::Leaf
                } else {
                    Kind::Table
                }
            }
            fn table_item(_: &Common<Self>, _: u32, table_pa: u64) -> u32 {
                V.mask() | OA.put(table_pa)
            }
            fn table_pa(_: &Common<Self>, _: u32, raw: u32) -> u64 {
                OA.get(raw)
            }
            fn leaf_item(_: &Common<Self>, leaf: LeafRequest<u32>) -> u32 {
                V.mask() | L.when(leaf.level > 0) | OA.put(leaf.oa) | leaf.attrs
            }
            fn attrs(common: &Common<Self>, prot: Prot) -> Result<u32, Error> {
                let uncached = common.has(UNCACHED_PAGES) && !prot.contains(Prot::CACHE);
                let (readable, writable) = (prot.contains(Prot::READ), prot.contains(Prot::WRITE));
                Ok(NR.when(!readable) | NW.when(!writable) | NC.when(uncached))
            }
            fn attrs_of(_: &Common<Self>, _: u32, raw: u32) -> u32 {
                raw & (NR.mask() | NW.mask() | NC.mask())
            }
            fn access(_: &Common<Self>, _: u32, raw: u32) -> Access {
                let forbidden = Access::READ.when(NR.is_set(raw)) | Access::WRITE.when(NW.is_set(raw));
                Access::all().difference(forbidden.for_all())
            }
            fn init(config: &TableConfig<Config>) -> Result<Limits, Error> {
                Ok(Limits {
                    top_level: 1,
                    max_va_lg2: config.hw_max_vasz_lg2,
                    max_oa_lg2: config.hw_max_oasz_lg2.min(GEOMETRY.max_oa_lg2),
                })
            }
            fn hw_info(_: &Common<Self>, top: Top) -> HwInfo {
                HwInfo { base: (top.pa >> 12) as u32 }
            }
        }

        impl ItemOa for Format {
            fn item_oa(_: &Common<Self>, _: u32, raw: u32) -> u64 {
                OA.get(raw)
            }
        }

        impl Dirty for Format {
            fn is_dirty(_: &Common<Self>, _: u32, raw: u32) -> bool {
                D.is_set(raw)
            }
            fn clean_item(_: &Common<Self>, _: u32, raw: u32) -> u32 {
                raw & !D.mask()
            }
            fn dirty_item(_: &Common<Self>, _: u32, raw: u32) -> u32 {
                raw | D.mask()
            }
        }

        impl SoftwareBits for Format {
            fn software_bits(_: &Common<Self>) -> &'static [u32] {
                &[27, 28, 29, 30]
            }
        }
    }
);
