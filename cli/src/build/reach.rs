//! With which options a table would have a VA, or hold an address, that it cannot have as it is, found by trying what the format has.

use crate::decode::{Options, table_config};
use crate::formats::Shape;
use crate::number::AddressRange;
use crate::table::feature_names;
use generic_pt::format::Groups;
use generic_pt::iommu::Blueprint;
use generic_pt::{Features, lg2};

/// What to do about VA that the table of these options does not have all of.
pub fn reach_hint<F: Groups>(shape: &Shape<F::Config>, options: &Options, va: AddressRange) -> String {
    let tables: Vec<(Options, Reach)> = candidates::<F>(shape, options)
        .into_iter()
        .filter_map(|options| Reach::of::<F>(shape, &options).map(|reach| (options, reach)))
        .collect();
    match tables.iter().find(|(_, reach)| reach.has(va)) {
        Some((wanted, _)) => in_words(options, wanted),
        None => {
            let most = tables.iter().map(|(_, reach)| reach.va_lg2).max().unwrap_or_default();
            format!("no table of {} has all of this VA: {most} bits of it are the most (`genpt formats {0}`)", F::NAME)
        }
    }
}

/// What to do about a physical address that the table of these options cannot hold.
pub fn width_hint<F: Groups>(shape: &Shape<F::Config>, options: &Options, pa: u64) -> String {
    let bits = u64::BITS - pa.leading_zeros();
    let with_features = features_to_try::<F>(shape, options);
    let wider = with_features.iter().map(|options| Options { oa_bits: Some(bits), ..options.clone() });
    let tables: Vec<(Options, u32)> = with_features
        .iter()
        .cloned()
        .chain(wider)
        .filter_map(|options| made::<F>(shape, &options).map(|blueprint| (options, blueprint.common().max_oa_lg2)))
        .collect();
    match tables.iter().find(|(_, max_oa_lg2)| *max_oa_lg2 >= bits) {
        Some((wanted, _)) => in_words(options, wanted),
        None => format!("no table of {} holds an address of {bits} bits (`genpt formats {0}`)", F::NAME),
    }
}

/// The options, and these with one feature more, of those that the format has.
fn features_to_try<F: Groups>(shape: &Shape<F::Config>, options: &Options) -> Vec<Options> {
    let named = || feature_names::<F>(shape.features).into_iter().map(str::to_owned).collect();
    let present: Vec<String> = options.features.clone().unwrap_or_else(named);
    let missing = feature_names::<F>(F::SUPPORTED).into_iter().filter(|name| present.iter().all(|one| one != name));
    let with = |name: &str| Some(present.iter().cloned().chain([name.to_owned()]).collect());
    let more = missing.map(|name| Options { features: with(name), ..options.clone() });
    std::iter::once(options.clone()).chain(more).collect()
}

/// Options with up to one more feature, and other VA bits, the usual ones first: those with fewest changes come first.
fn candidates<F: Groups>(shape: &Shape<F::Config>, options: &Options) -> Vec<Options> {
    let same_bits = features_to_try::<F>(shape, options);
    let usual = shape.va_bits.iter().copied().chain(1..=F::GEOMETRY.max_va_lg2);
    let all_bits = same_bits
        .iter()
        .flat_map(|options| usual.clone().map(|bits| Options { va_bits: Some(bits), ..options.clone() }));
    let all_bits: Vec<Options> = all_bits.collect();
    same_bits.into_iter().chain(all_bits).collect()
}

/// What is different in the options that were found.
fn in_words(options: &Options, wanted: &Options) -> String {
    let va_bits =
        wanted.va_bits.filter(|_| wanted.va_bits != options.va_bits).map(|bits| format!("`--va-bits {bits}`"));
    let oa_bits =
        wanted.oa_bits.filter(|_| wanted.oa_bits != options.oa_bits).map(|bits| format!("`--oa-bits {bits}`"));
    let features = wanted.features.as_ref().filter(|_| wanted.features != options.features);
    let features = features.map(|features| format!("`--features {}`", features.join(",")));
    let all: Vec<String> = va_bits.into_iter().chain(oa_bits).chain(features).collect();
    format!("with {} the table has it", all.join(" and "))
}

/// The table of these options, if there is one.
fn made<F: Groups>(shape: &Shape<F::Config>, options: &Options) -> Option<Blueprint<F>> {
    let config = table_config::<F>(shape, options).ok()?;
    Blueprint::<F>::new(&config).ok()
}

/// The VA of a table.
struct Reach {
    va_lg2: u32,
    is_sign_extended: bool,
    prefix: u64,
}

impl Reach {
    /// That of a table of these options, if there is one.
    fn of<F: Groups>(shape: &Shape<F::Config>, options: &Options) -> Option<Self> {
        let blueprint = made::<F>(shape, options)?;
        let common = blueprint.common();
        Some(Self {
            va_lg2: common.max_va_lg2,
            is_sign_extended: common.has(Features::SIGN_EXTEND),
            prefix: F::va_prefix(common),
        })
    }

    /// Whether it has all of that: of sign-extended VA in one half.
    fn has(&self, va: AddressRange) -> bool {
        let ends = [va.first, va.last];
        if self.is_sign_extended {
            ends.iter().all(|va| lg2::sign_extend(*va, self.va_lg2) == *va) && va.first >> 63 == va.last >> 63
        } else {
            ends.iter().all(|va| lg2::shr(va ^ self.prefix, self.va_lg2) == 0)
        }
    }
}
