//! What the ARMv8 tables of all granules share beside their items: widths, tops, and registers.

use crate::error::{Errno, Error};
use crate::feature::Features;
use crate::format::{Common, Description, Limits, TableConfig};

/// What Arm says of a granule.
pub(super) struct Granule {
    /// VA that an item of level 0 covers, and memory of a table, as a power of two in bytes.
    pub(super) lg2: u32,
    /// The highest level of a top.
    pub(super) max_top_level: u32,
    /// The highest level of blocks, that only tables with wide output addresses have.
    pub(super) wide_block_level: u32,
    /// The width of output addresses that these blocks need.
    wide_block_oa_lg2: u32,
    /// Items of a run at each level, as powers of two; 0 where none is defined.
    pub(super) runs_lg2: [u32; 8],
    /// The highest bit of an output address that is in place, and where the bits above it are: FEAT_LPA, FEAT_LPA2.
    pub(super) oa_last: u32,
    pub(super) high_bits: (u32, u32),
    /// The lowest VA width with FEAT_TTST, and the lowest level of a stage 2 top without it.
    narrowest_va_lg2: u32,
    lowest_stage_2_top: u32,
    /// TG0 (of VTCR, too), and TG1.
    codes: [u32; 2],
}

pub(super) const GRANULE_4K: Granule = Granule {
    lg2: 12,
    max_top_level: 4,
    wide_block_level: 3,
    wide_block_oa_lg2: 0,
    runs_lg2: [4, 4, 4, 0, 0, 0, 0, 0],
    oa_last: 49,
    high_bits: (8, 9),
    narrowest_va_lg2: 16,
    lowest_stage_2_top: 1,
    codes: [0, 2],
};
pub(super) const GRANULE_16K: Granule = Granule {
    lg2: 14,
    max_top_level: 3,
    wide_block_level: 2,
    wide_block_oa_lg2: 0,
    runs_lg2: [7, 5, 0, 0, 0, 0, 0, 0],
    oa_last: 49,
    high_bits: (8, 9),
    narrowest_va_lg2: 16,
    lowest_stage_2_top: 0,
    codes: [2, 1],
};
pub(super) const GRANULE_64K: Granule = Granule {
    lg2: 16,
    max_top_level: 2,
    wide_block_level: 2,
    wide_block_oa_lg2: 52,
    runs_lg2: [5, 5, 0, 0, 0, 0, 0, 0],
    oa_last: 47,
    high_bits: (12, 15),
    narrowest_va_lg2: 17,
    lowest_stage_2_top: 0,
    codes: [1, 3],
};

/// A stage 2 top can be up to 16 tables.
pub(super) const MAX_CONCAT_LG2: u32 = 4;
/// Normal non-cacheable, Normal write-back, Device-nGnRE, Normal inner non-cacheable outer write-back.
const MAIR: u64 = 0xf404_ff44;
/// Output address widths; the index is the code (IPS, PS).
const OA_WIDTHS: [u32; 7] = [32, 36, 40, 42, 44, 48, 52];

/// The common features that all have.
pub(super) const COMMON: Features = Features::DMA_INCOHERENT
    .union(Features::FLUSH_RANGE)
    .union(Features::FLUSH_RANGE_NO_GAPS)
    .union(Features::DETAILED_GATHER);

impl Granule {
    /// VA covered by one item of `level`, as a power of two.
    pub(super) const fn item_size_lg2(&self, level: u32) -> u32 {
        self.lg2 + level * (self.lg2 - 3)
    }

    /// Whether there are blocks (pages) of `level` at or below the highest level that ever has some.
    #[inline(always)]
    pub(super) const fn has_blocks(&self, level: u32, is_wide: bool, oa_lg2: u32) -> bool {
        level != self.wide_block_level || (is_wide && oa_lg2 >= self.wide_block_oa_lg2)
    }

    /// The widest VA of stage 2 whose top is 16 tables just below the highest level of blocks.
    pub(super) const fn widest_of_16_tops(&self) -> u32 {
        self.item_size_lg2(self.wide_block_level) + MAX_CONCAT_LG2
    }
}

/// Whether these features contain one of the format's own, by name.
fn has<F: Description>(features: Features, name: &str) -> bool {
    let supported = F::SUPPORTED.intersection(features);
    F::OWN_FEATURES.iter().any(|(own, feature)| *own == name && supported.contains(*feature))
}

/// Widths and top of a table: D8.2 "Translation process".
///
/// # Errors
/// [`Error::Config`] and [`Error::ConfigRange`].
pub(super) fn limits<F: Description>(granule: &Granule, config: &TableConfig<F::Config>) -> Result<Limits, Error> {
    let has = |name| has::<F>(config.features, name);
    let refused = |field, found, valid| Err(Error::Config { field, found, valid, errno: Errno::EINVAL });
    let (stage_2, lpa2) = (has("STAGE_2"), has("LPA2"));
    for (is_wrong, rule) in [
        (stage_2 && has("UPPER_HALF"), "UPPER_HALF only without STAGE_2"),
        (stage_2 && has("NON_SECURE"), "NON_SECURE only without STAGE_2"),
        (stage_2 && has("LVA"), "LVA only without STAGE_2"),
        (!stage_2 && has("S2FWB"), "S2FWB only with STAGE_2"),
        (
            has("DIRTY_TRACKING") && config.features.contains(Features::DMA_INCOHERENT),
            "DIRTY_TRACKING only without DMA_INCOHERENT",
        ),
    ] {
        if is_wrong {
            return Err(Error::FeatureRule { asked: config.features, rule, own_names: F::OWN_FEATURES });
        }
    }
    let max_oa_lg2 = config.hw_max_oasz_lg2.min(if lpa2 || has("LPA") { 52 } else { 48 });
    if !OA_WIDTHS.contains(&max_oa_lg2) {
        let found = config.hw_max_oasz_lg2.into();
        let valid = if granule.lg2 == 16 {
            "32, 36, 40, 42, 44, 48, or 52 with LPA"
        } else {
            "32, 36, 40, 42, 44, 48, or 52 with LPA2"
        };
        return refused("hw_max_oasz_lg2", found, valid);
    }
    // An intermediate physical address is not wider than a physical one.
    let widest = match (stage_2, lpa2 || has("LVA")) {
        (true, _) => max_oa_lg2,
        (false, true) => 52,
        (false, false) => 48,
    };
    let is_small = has("TTST");
    let narrowest = if is_small { granule.narrowest_va_lg2 } else { 25 };
    let max_va_lg2 = config.hw_max_vasz_lg2.min(widest);
    if max_va_lg2 < narrowest {
        Error::check_range("hw_max_vasz_lg2", config.hw_max_vasz_lg2, narrowest..=widest, Errno::EINVAL)?;
    }
    let top_level = (max_va_lg2 - granule.lg2 - 1) / (granule.lg2 - 3);
    // A top of stage 2 with few items is left out, for several tables of the level below.
    let lowest = if is_small { 0 } else { granule.lowest_stage_2_top };
    let folded = stage_2 && top_level > lowest && max_va_lg2 - granule.item_size_lg2(top_level) <= MAX_CONCAT_LG2;
    Ok(Limits { top_level: top_level - u32::from(folded), max_va_lg2, max_oa_lg2 })
}

/// MAIR_EL1; none for stage 2.
pub(super) fn mair<F: Description>(common: &Common<F>) -> u64 {
    if has::<F>(common.features, "STAGE_2") { 0 } else { MAIR }
}

/// TCR_EL1 with the other half of the VA switched off, or VTCR_EL2: D24.2.
pub(super) fn tcr<F: Description>(granule: &Granule, common: &Common<F>, top_level: u32) -> u64 {
    let has = |name| has::<F>(common.features, name);
    let is_upper = has("UPPER_HALF");
    let tsz = 64 - common.max_va_lg2;
    // IRGN, ORGN and SH: walks use no caches, or write-back ones; they are outer or inner shareable.
    let caches = if common.has(Features::DMA_INCOHERENT) { 2 << 12 } else { 1 << 8 | 1 << 10 | 3 << 12 };
    let half = u64::from(tsz | caches | granule.codes[usize::from(is_upper)] << 14);
    let ps = OA_WIDTHS.iter().position(|width| *width == common.max_oa_lg2).unwrap_or(0) as u64;
    // HA and HD: hardware sets the access flag, and notes writes.
    let dirty = if has("DIRTY_TRACKING") { 0b11 } else { 0 };
    let ds = u64::from(has("LPA2"));
    if has("STAGE_2") {
        // SL0 of 4 KiB is one less than that of the other granules, modulo 4.
        let sl0 = if granule.lg2 == 12 { top_level.wrapping_sub(1) & 3 } else { top_level };
        half | u64::from(sl0) << 6 | ps << 16 | dirty << 21 | 1 << 31 | ds << 32
    } else {
        // EPD0 or EPD1: no walks of the other half.
        let halves = if is_upper { half << 16 | 1 << 7 } else { half | 1 << 23 };
        halves | ps << 32 | dirty << 39 | ds << 59
    }
}
