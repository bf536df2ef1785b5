//! Tables that a map makes, and those that are in the way of a leaf.

use super::leaf::Steps;
use super::{Cx, Stop};
use crate::driver::Host;
use crate::error::Error;
use crate::feature::Features;
use crate::format::{Common, Groups, Kind, OaStyle, item_size_lg2, items_lg2};
use crate::iommu::gather::{Changes, Gather, GatherMode};
use crate::iommu::top::flush_done_bit;
use crate::iommu::unlink::{ANY_LEVEL, clear_and_unlink};
use crate::item::Item;
use crate::lg2;
use crate::range::{VaRange, best_page_size};
use crate::table::{Entry, NewTable, Swap, Table};

/// Sees to it that the items of a leaf are empty: tables without leaves are unlinked, anything else is in the way.
///
/// `done_bytes` of this run were written before; the position does not count them yet.
#[cold]
#[inline(never)]
pub(super) fn make_room<F: Groups, H: Host, const LEVEL: u32>(
    table: &Table<'_, F>,
    cx: &mut Cx<'_, F, H>,
    first: usize,
    items: usize,
    done_bytes: u64,
) -> Result<(), Stop> {
    for n in 0..items {
        let entry = table.load(cx.common, first + n);
        if entry.kind != Kind::Empty {
            let item_va = cx.va.wrapping_add(done_bytes).wrapping_add(lg2::shl(n as u64, item_size_lg2::<F>(LEVEL)));
            replace_table(&table.copy(), cx, first + n, entry, item_va)?;
        }
    }
    Ok(())
}

/// Unlinks the table at `index`, if there is no leaf below it.
#[cold]
#[inline(never)]
fn replace_table<F: Groups, H: Host>(
    table: &Table<'_, F>,
    cx: &mut Cx<'_, F, H>,
    index: usize,
    entry: Entry<F>,
    va: u64,
) -> Result<(), Stop> {
    let level = table.level();
    let memory = &cx.host.domain().memory;
    if entry.kind == Kind::Foreign {
        return Err(cx.stop(Error::Foreign { va, level, raw: entry.raw.to_u64() }));
    }
    if entry.kind != Kind::Table || level == 0 {
        // The item may be in the middle of a contiguous leaf.
        let va = lg2::align_down(va, F::entry_size_lg2(cx.common, level, entry.raw));
        return Err(cx.stop(Error::InUse { va, level }));
    }
    if table.descend(cx.common, memory, entry, |lower| has_leaf(lower, cx.common, memory)) {
        return Err(cx.stop(Error::InUse { va, level }));
    }
    cx.near.forget_below(level);
    let mut changes = Changes::NONE;
    clear_and_unlink::<F, ANY_LEVEL>(table, cx.common, memory, index..index + 1, &mut changes);
    if cx.common.has(Features::DMA_INCOHERENT) {
        table.flush(cx.domain(), index, 1);
    }
    let range = VaRange { va, last: va | lg2::low_mask(item_size_lg2::<F>(level)) };
    let gather = cx.replaced.get_or_insert_with(|| Gather::new(cx.host.clone(), GatherMode::Immediate));
    // SAFETY: the tables were linked below a table of this domain.
    unsafe { gather.add(cx.common, cx.host, range, &mut changes) };
    if F::QUIRKS.break_before_make {
        gather.sync();
    }
    Ok(())
}

/// Whether there is a leaf in `table` or below it.
fn has_leaf<F: Groups>(table: &Table<'_, F>, common: &Common<F>, memory: &impl crate::memory::TableMemory) -> bool {
    (0..table.items()).any(|index| {
        let entry = table.load(common, index);
        match entry.kind {
            Kind::Empty => false,
            // What is not known is kept.
            Kind::Leaf | Kind::Foreign => true,
            Kind::Table => table.descend(common, memory, entry, |lower| has_leaf(lower, common, memory)),
        }
    })
}

/// The error for a leaf, or a foreign item, where a table would have to be.
#[cold]
#[inline(never)]
fn in_the_way<F: Groups>(common: &Common<F>, va: u64, level: u32, entry: Entry<F>) -> Error {
    if entry.kind == Kind::Foreign {
        let va = lg2::align_down(va, item_size_lg2::<F>(level));
        return Error::Foreign { va, level, raw: entry.raw.to_u64() };
    }
    Error::InUse { va: lg2::align_down(va, F::entry_size_lg2(common, level, entry.raw)), level }
}

/// Installs a table at `index`, where `entry` is none. The item that points to it; `None` if it is full of leaves.
#[inline(always)]
pub(super) fn make_lower<F: Groups, H: Host, const LEVEL: u32>(
    table: &Table<'_, F>,
    cx: &mut Cx<'_, F, H>,
    index: usize,
    mut entry: Entry<F>,
) -> Result<Option<F::Item>, Stop> {
    loop {
        match entry.kind {
            Kind::Empty => {}
            // Another thread was first.
            Kind::Table => return Ok(Some(entry.raw)),
            Kind::Leaf | Kind::Foreign => {
                let error = in_the_way(cx.common, cx.va, LEVEL, entry);
                return Err(cx.stop(error));
            }
        }
        let (lower, filled_bytes_minus_1) = match new_filled::<F, H, LEVEL>(cx) {
            Some(filled) => filled.map_err(|error| cx.stop(error))?,
            None => {
                let empty = NewTable::empty(cx.common, &cx.domain().memory, LEVEL - 1, cx.va);
                (empty.map_err(|error| cx.stop(error))?, None)
            }
        };
        let incoherent = cx.common.has(Features::DMA_INCOHERENT);
        if incoherent {
            lower.flush(&cx.domain().driver);
        }
        let item = match table.install_table(cx.common, index, entry, lower).map_err(|error| cx.stop(error))? {
            Swap::Lost(found) => {
                entry = found;
                continue;
            }
            Swap::Done(item) => item,
        };
        if incoherent {
            table.flush(cx.domain(), index, 1);
            table.set_bits(index, flush_done_bit(cx.common));
        }
        if let Some(bytes_minus_1) = filled_bytes_minus_1 {
            cx.advance(bytes_minus_1);
            return Ok(None);
        }
        return Ok(Some(item | if incoherent { flush_done_bit(cx.common) } else { F::Item::ZERO }));
    }
}

/// What [`new_filled`] made: the table, and how many bytes (less one) it maps.
type Filled<'m, F, M> = Result<(NewTable<'m, F, M>, Option<u64>), Error>;

/// A table for the level below `LEVEL` already filled with leaves, if the range covers all of it and they are all there.
///
/// That is so when the position and the OA allow one size of that level for the whole table: both are then aligned alike
/// everywhere in it. Filling it while it is private needs no atomics, no zeroing and no check for what is there; it is safe
/// only because the range covers the whole item, so that nobody else can install a table there.
#[inline(always)]
fn new_filled<'m, F: Groups, H: Host, const LEVEL: u32>(cx: &Cx<'m, F, H>) -> Option<Filled<'m, F, H::Memory>> {
    let item_lg2 = item_size_lg2::<F>(LEVEL);
    let bytes_minus_1 = lg2::low_mask(item_lg2);
    let end = cx.va.wrapping_add(bytes_minus_1);
    if !lg2::is_aligned(cx.va, item_lg2) || end > cx.last || end < cx.va {
        return None;
    }
    let size_lg2 = best_page_size(cx.sizes_here(LEVEL - 1), cx.va, end, cx.oa)?;
    let same_sizes = |oa| F::sizes_for_oa(cx.common, cx.sizes, oa);
    if same_sizes(cx.oa) != same_sizes(cx.oa.wrapping_add(bytes_minus_1)) {
        return None;
    }
    debug_assert!(size_lg2 < item_lg2 && items_lg2::<F>(LEVEL - 1) < 32);
    let memory = &cx.host.domain().memory;
    let leaf = cx.leaf(LEVEL - 1, size_lg2);
    if leaf.read_item().is_none() {
        return Some(Err(Error::LeafNotRead { va: cx.va, level: LEVEL - 1 }));
    }
    let is_plain = size_lg2 == item_size_lg2::<F>(LEVEL - 1);
    let steps = leaf.steps(1 << items_lg2::<F>(LEVEL - 1)).filter(|_| is_plain || F::OA_STYLE == OaStyle::Item);
    let table = match steps {
        Some(Steps { item, step }) if leaf.has_constant_step() => {
            NewTable::filled_in_steps(cx.common, memory, LEVEL - 1, cx.va, item, step)
        }
        Some(mut steps) => {
            NewTable::filled(cx.common, memory, LEVEL - 1, cx.va, |_| steps.next().unwrap_or(F::Item::ZERO))
        }
        None => NewTable::filled(cx.common, memory, LEVEL - 1, cx.va, |n| leaf.item(n as u64)),
    };
    Some(table.map(|table| (table, Some(bytes_minus_1))))
}
