//! Building the tables, with the library's own map.

use super::BuildError;
use super::implied::{ReadAnyway, read_anyway};
use super::letters::{IgnoredLetter, ignored_letters};
use super::narrow::{Image, narrow};
use super::refusal::refusal;
use super::spec::Spec;
use crate::decode::{Options, decoder, table_config};
use crate::formats::Shape;
use crate::image::{Contents, Manifest, Register};
use crate::number::Hex;
use crate::table::feature_names;
use generic_pt::format::{Description, Endian};
use generic_pt::iommu::{Blueprint, Walkers};
use generic_pt::item::Item;
use generic_pt::memory::{Arena, TableMemory};
use generic_pt::settings::Settings;
use generic_pt::{Domain, Error, NoHardware, PtIommu, lg2};
use std::collections::BTreeMap;
use std::ops::Range;

/// What is to be built.
pub struct Plan<'a> {
    /// The mappings.
    pub spec: &'a Spec,
    /// What the tables are.
    pub options: Options,
    /// Physical address of their first byte.
    pub base: u64,
    /// Most bytes that they may take.
    pub most_bytes: u64,
}

/// Tables that were built.
#[derive(Debug)]
pub struct Built {
    /// The tables, from the base on.
    pub bytes: Vec<u8>,
    /// What they are.
    pub manifest: Manifest,
    /// Size of an item in bytes.
    pub item_bytes: usize,
    /// Whether the highest byte of an item comes first.
    pub is_big_endian: bool,
    /// What the first byte is aligned to, in bytes: as much as the tables need, but never more than the base is.
    pub align: u64,
    /// Bytes of the top table.
    pub top_bytes: u64,
    /// Letters of protections that the format ignores.
    pub ignored: Vec<IgnoredLetter>,
    /// Mappings that can be read without having been asked for it.
    pub read_anyway: Option<ReadAnyway>,
}

/// Bytes of the first attempt; each further one has twice as many.
const FIRST_BYTES: u64 = 1 << 20;

/// Alignment of the base, as a power of two: that of the largest items. Tables are aligned behind it as they need.
const BASE_ALIGN_LG2: u32 = 3;

/// Builds tables of a format.
///
/// # Errors
/// [`BuildError`].
pub fn build<F: Walkers>(shape: &Shape<F::Config>, plan: &Plan<'_>) -> Result<Built, BuildError> {
    let mut bytes = FIRST_BYTES.min(plan.most_bytes);
    loop {
        match build_in::<F>(shape, plan, bytes) {
            Err(error) if let Some(pa_lg2) = out_of_memory(&error) => {
                // More memory does not help where all below what items can hold is there. Whichever mapping was the one that needed
                // more, it is not to blame.
                if 1u64.checked_shl(pa_lg2).is_some_and(|behind| plan.base.saturating_add(bytes) >= behind) {
                    return Err(BuildError::BaseTooHigh { base: plan.base, beyond: lg2::pow2(pa_lg2) });
                }
                if bytes >= plan.most_bytes {
                    return Err(BuildError::TooLarge { most: plan.most_bytes });
                }
                bytes = bytes.saturating_mul(2).min(plan.most_bytes);
            }
            result => return result.map_err(|error| base_too_high::<F>(plan.base, error)),
        }
    }
}

/// The error, or that the tables are too high, if one of them came to lie where no address of the format reaches.
fn base_too_high<F: Walkers>(base: u64, error: BuildError) -> BuildError {
    match table_address(&error) {
        Some(beyond) if lg2::shr(beyond, F::GEOMETRY.max_oa_lg2) != 0 => BuildError::BaseTooHigh { base, beyond },
        _ => error,
    }
}

/// The address of the table to which no item can point, if that is the error.
fn table_address(error: &BuildError) -> Option<u64> {
    let cause = match error {
        BuildError::Table { cause, .. } => cause,
        BuildError::Map { cause, .. } => &cause.error,
        _ => return None,
    };
    if let Error::TableAddress { pa, .. } = cause { Some(*pa) } else { None }
}

/// If there were not enough tables: below which physical address they have to be, as a power of two.
fn out_of_memory(error: &BuildError) -> Option<u32> {
    match error {
        BuildError::Table { cause: Error::OutOfMemory { pa_lg2, .. }, .. } => Some(*pa_lg2),
        BuildError::Map { cause, .. } => match cause.error {
            Error::OutOfMemory { pa_lg2, .. } => Some(pa_lg2),
            _ => None,
        },
        _ => None,
    }
}

/// Memory that is clear.
///
/// # Errors
/// [`BuildError::NoMemory`].
fn zeros(bytes: u64) -> Result<Vec<u8>, BuildError> {
    let refused = BuildError::NoMemory { bytes };
    let Ok(len) = usize::try_from(bytes) else { return Err(refused) };
    // Asked for before, as what is clear from the beginning (and costs nothing until it is used) is not to be had otherwise.
    match Vec::<u8>::new().try_reserve_exact(len) {
        Ok(()) => Ok(vec![0; len]),
        Err(_) => Err(refused),
    }
}

/// Builds tables in so many bytes.
fn build_in<F: Walkers>(shape: &Shape<F::Config>, plan: &Plan<'_>, bytes: u64) -> Result<Built, BuildError> {
    let config = table_config::<F>(shape, &plan.options)?;
    let failed = |cause| BuildError::Table { format: F::NAME, cause };
    let blueprint = Blueprint::<F>::new(&config).map_err(failed)?;
    if !lg2::is_aligned(plan.base, BASE_ALIGN_LG2) {
        return Err(BuildError::BaseMisaligned { base: plan.base, align: 1 << BASE_ALIGN_LG2 });
    }
    let mut memory = zeros(bytes)?;
    // An allocation is not always aligned for items.
    let skip = memory.as_ptr().align_offset(1 << BASE_ALIGN_LG2);
    let Some(aligned) = memory.get_mut(skip..).filter(|aligned| !aligned.is_empty()) else {
        return Err(BuildError::TooLarge { most: plan.most_bytes });
    };
    let domain = Domain::new(Arena::new(aligned, plan.base)?, NoHardware);
    let mut table = PtIommu::<F, _>::new(&domain, &config).map_err(failed)?;
    for (index, mapping) in plan.spec.map.iter().enumerate() {
        let number = index + 1;
        let all = table.narrow_page_sizes(u64::MAX);
        if let Some(Hex(largest)) = mapping.pages {
            let small = all & lg2::low_mask(u64::BITS - largest.leading_zeros());
            if table.narrow_page_sizes(small) == 0 {
                let smallest = 1 << all.trailing_zeros();
                return Err(BuildError::Pages { number, bytes: largest, smallest });
            }
        }
        let (va, pa, len) = (mapping.va.0, mapping.pa.0, mapping.len.0);
        let refused = |cause| {
            let refusal = Box::new(refusal::<F>(shape, plan, blueprint.common(), index, &cause));
            BuildError::Map { number, va, pa, len, cause, refusal }
        };
        table.map_range(va, pa, len, mapping.prot.prot()).map_err(refused)?;
    }
    let mut end = plan.base;
    let mut tables = Vec::new();
    let (mut root, mut top_level) = (plan.base, 0);
    table.visit_tables(|view| {
        let pa = domain.memory.pa_of(view.page());
        // The top is visited first.
        if end == plan.base {
            (root, top_level) = (pa, view.level());
            end = pa + (1 << blueprint.top_size_lg2());
        }
        tables.push(pa..pa + view.bytes() as u64);
        end = end.max(pa + view.bytes() as u64);
    });
    let manifest = Manifest {
        format: F::NAME.to_owned(),
        contents: Contents::Raw,
        va_bits: config.hw_max_vasz_lg2,
        oa_bits: config.hw_max_oasz_lg2,
        features: feature_names::<F>(config.features).into_iter().map(str::to_owned).collect(),
        config: numbers(config.format).map(|(name, _, values)| (name.to_owned(), values)).collect::<BTreeMap<_, _>>(),
        base: Hex(plan.base),
        bytes: Hex(end - plan.base),
        root: Hex(root),
        top_level,
        registers: numbers(table.hw_info())
            .map(|(name, documentation, values)| Register {
                name: name.to_owned(),
                values,
                documentation: documentation.to_owned(),
            })
            .collect(),
    };
    // The tables stay as they are: dropping the table would give them back to the arena, which writes into free pages.
    std::mem::forget(table);
    memory.drain(..skip);
    memory.truncate(usize::try_from(end - plan.base).unwrap_or(usize::MAX));
    clear_between(&mut memory, plan.base, tables);
    let decoder = decoder::<F>(shape, &Options::of(&manifest))?;
    let align_lg2 = decoder.shape().levels.iter().map(|level| level.align_lg2).fold(blueprint.top_size_lg2(), u32::max);
    let mut image = Image { bytes: &mut memory, base: plan.base, root };
    for mapping in plan.spec.map.iter().filter(|mapping| mapping.len.0 > 0) {
        let narrowings = mapping.prot.narrowings();
        if !narrowings.is_empty() {
            narrow(&*decoder, &mut image, mapping.va.0, mapping.va.0 + (mapping.len.0 - 1), &narrowings);
        }
    }
    Ok(Built {
        bytes: memory,
        manifest,
        item_bytes: 1 << <F as Description>::Item::BYTES_LG2,
        is_big_endian: F::QUIRKS.endian == Endian::Big,
        // A linker would move what says that it needs more than its address has.
        align: 1 << align_lg2.min(plan.base.trailing_zeros()),
        top_bytes: 1 << blueprint.top_size_lg2(),
        ignored: ignored_letters::<F>(blueprint.common(), &*decoder, plan.spec),
        read_anyway: read_anyway::<F>(blueprint.common(), &*decoder, plan.spec),
    })
}

/// Clears what is of no table: there the memory of the tables keeps its lists of free pages.
fn clear_between(bytes: &mut [u8], base: u64, mut tables: Vec<Range<u64>>) {
    tables.sort_by_key(|table| table.start);
    let offset = |pa: u64| usize::try_from(pa - base).unwrap_or(usize::MAX);
    let mut end = 0;
    for table in tables {
        if let Some(gap) = bytes.get_mut(end..offset(table.start)) {
            gap.fill(0);
        }
        end = offset(table.end);
    }
    if let Some(gap) = bytes.get_mut(end..) {
        gap.fill(0);
    }
}

/// The numbers of a struct: name, documentation and values of each.
fn numbers<S: Settings>(mut settings: S) -> impl Iterator<Item = (&'static str, &'static str, Vec<Hex>)> {
    S::FIELDS.iter().enumerate().filter_map(move |(at, field)| {
        let setting = settings.setting_mut(at)?;
        let values = (0..setting.count()).filter_map(|n| setting.get(n)).map(Hex).collect();
        Some((field.name, field.doc, values))
    })
}
