//! Layer 2: leaves that continue the one before them.

use crate::format::{Common, Groups, Kind, LeafRequest, item_size_lg2};
use crate::item::Item;
use crate::lg2;
use crate::table::{Entry, Table};

/// The items behind the one at `index`, in the table and in as many bytes.
#[inline(always)]
pub(crate) fn items_behind<F: Groups>(table: &Table<'_, F>, index: usize, bytes: u64) -> usize {
    let items = lg2::shr(bytes, item_size_lg2::<F>(table.level()));
    (table.items() - index - 1).min(usize::try_from(items).unwrap_or(usize::MAX))
}

/// How many items behind the leaf at `index`, within so many bytes, continue it with the same attributes and are of leaves of the same
/// size: those that are the one before plus the same number. Not always all of them: who asks has to look at the next.
///
/// For leaves whose items each hold an address of their own, so also for those of one item.
#[inline(always)]
pub(crate) fn followers<F: Groups>(
    table: &Table<'_, F>,
    common: &Common<F>,
    index: usize,
    entry: Entry<F>,
    (paddr, attrs): (u64, F::Attrs),
    bytes: u64,
) -> usize {
    let (level, size_lg2) = (table.level(), item_size_lg2::<F>(table.level()));
    let entry_lg2 = F::entry_size_lg2(common, level, entry.raw);
    let leaf = |oa| F::leaf_item(common, LeafRequest { level, size_lg2: entry_lg2, oa, attrs });
    // Only the bits of the address change that count the items of a table, and the items must count in the same way: those
    // bits lie together, nothing else lies among them, and they are read as they were written.
    let counting = lg2::low_mask(item_size_lg2::<F>(level + 1)) & !lg2::low_mask(size_lg2);
    let (lowest_oa, highest_oa) = ((paddr | counting) ^ counting, paddr | counting);
    let (lowest, highest) = (leaf(lg2::align_down(lowest_oa, size_lg2)), leaf(lg2::align_down(highest_oa, size_lg2)));
    let step = lowest ^ leaf(lg2::align_down(lowest_oa, size_lg2) | lg2::pow2(size_lg2));
    let counts = step.wrapping_times(lg2::shr(counting, size_lg2)) == lowest ^ highest
        && F::exact_oa(common, level, highest, paddr) == highest_oa
        && counting != 0;
    if !counts {
        return 0;
    }
    let count = items_behind(table, index, bytes.min(highest_oa - paddr));
    let next = entry.raw.wrapping_add(step);
    table.count_in_steps(index + 1, count, next, step, dirty_bits(common, level, entry, attrs))
}

/// The bits of a leaf that say whether it was written, if they say nothing else.
#[inline(always)]
fn dirty_bits<F: Groups>(common: &Common<F>, level: u32, entry: Entry<F>, attrs: F::Attrs) -> F::Item {
    let raw = entry.raw;
    let bits = F::dirty_item(common, level, raw) ^ F::clean_item(common, level, raw);
    let other = raw ^ bits;
    let is_same = F::kind(common, level, other) == Kind::Leaf
        && F::attrs_of(common, level, other) == attrs
        && F::entry_size_lg2(common, level, other) == F::entry_size_lg2(common, level, raw)
        && F::stored_oa(common, level, other) == F::stored_oa(common, level, raw);
    if is_same { bits } else { F::Item::ZERO }
}
