//! No `impl PtFormat`.

generic_pt::define_pt_format!(
    /// A table of two levels.
    pub mod sample {
        type Item = u64;
        const GEOMETRY: Geometry = Geometry {
            granule_lg2: 12,
            table_lg2: Tables::Uniform(12),
            max_va_lg2: 30,
            max_oa_lg2: 52,
            max_top_level: 1,
            leaf_levels: 0..=1,
            top_pa_mask: 0x000f_ffff_ffff_f000,
        };
        const SUPPORTED: Features = FLUSH_RANGE;
        enum Bits {
            /// Present.
            P = bit(0),
            /// Writable.
            W = bit(1),
            /// Leaf, at level 1.
            PS = bit(7),
            /// Output address, or the table's.
            OA = address(12, 51),
        }

        /// Nothing to configure.
        pub struct Config {}

        /// For the device.
        pub struct HwInfo {
            /// Physical address of the top table.
            pub root: u64,
        }

        impl ItemOa for Format {
            fn item_oa(_: &Common<Self>, _: u32, raw: u64) -> u64 {
                OA.get(raw)
            }
        }
    }
);

fn main() {}
