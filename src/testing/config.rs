//! One configuration of a format to test: plain data, kept beside the format's description.

use crate::feature::Features;
use crate::format::{Description, TableConfig};

/// A named configuration that the suite, and other tests and tools, run a format in.
///
/// Formats list theirs as `TEST_CONFIGS`. It starts from all that the format supports, at its full VA and OA widths:
///
/// ```
/// use generic_pt::fmt::x86_64::{Config, Format};
/// use generic_pt::{Features, testing::TestConfig};
/// const CONFIGS: &[TestConfig<Format>] = &[
///     TestConfig::new("sign_48_top_3", Config { top_level: 3, encryption_mask: 0 }).va_lg2(48),
///     TestConfig::new("vasz47_top_3", Config { top_level: 3, encryption_mask: 0 })
///         .va_lg2(47)
///         .without(Features::SIGN_EXTEND),
/// ];
/// assert!(CONFIGS[0].table.features.contains(Features::SIGN_EXTEND));
/// assert_eq!(CONFIGS[1].table.hw_max_vasz_lg2, 47);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TestConfig<F: Description> {
    /// The last part of the tests' names: an identifier that says what is special.
    pub name: &'static str,
    /// How the table is made.
    pub table: TableConfig<F::Config>,
    /// Plain page sizes, one bit each, that the hardware cannot use although their level can have leaves.
    pub unusable_sizes: u64,
}

impl<F: Description> TestConfig<F> {
    /// All that the format supports, at its full VA and OA widths.
    pub const fn new(name: &'static str, format: F::Config) -> Self {
        let table = TableConfig {
            features: F::SUPPORTED,
            hw_max_vasz_lg2: F::GEOMETRY.max_va_lg2,
            hw_max_oasz_lg2: F::GEOMETRY.max_oa_lg2,
            format,
        };
        Self { name, table, unusable_sizes: 0 }
    }

    /// With this VA width, in bits.
    #[must_use]
    pub const fn va_lg2(mut self, bits: u32) -> Self {
        self.table.hw_max_vasz_lg2 = bits;
        self
    }

    /// With this OA width, in bits.
    #[must_use]
    pub const fn oa_lg2(mut self, bits: u32) -> Self {
        self.table.hw_max_oasz_lg2 = bits;
        self
    }

    /// Without some of the features that the format supports.
    #[must_use]
    pub const fn without(mut self, features: Features) -> Self {
        self.table.features = self.table.features.difference(features);
        self
    }

    /// With exactly these features, and those that the format forces: where not all that it supports go together.
    #[must_use]
    pub const fn only(mut self, features: Features) -> Self {
        self.table.features = features.union(F::FORCED);
        self
    }

    /// Where the hardware cannot use the plain size of a level that can have leaves (an erratum): those sizes.
    #[must_use]
    pub const fn unusable_sizes(mut self, sizes: u64) -> Self {
        self.unusable_sizes = sizes;
        self
    }
}
