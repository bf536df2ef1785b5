//! Unlinking: taking tables out of the tree, into the list of those that wait for an invalidation.

use super::gather::Changes;
use crate::driver::LevelSet;
use crate::format::{Common, Groups, Kind};
use crate::memory::TableMemory;
use crate::table::{Entry, Table};

/// For [`clear_and_unlink`] where the level is not a constant: any but the lowest.
pub(super) const ANY_LEVEL: u32 = u32::MAX;

/// Clears the run of items, and unlinks the tables that they pointed to, with all below those.
///
/// Whoever calls this holds the range of the items, and nothing below them is to be reached any more.
#[inline(always)]
pub(super) fn clear_and_unlink<F: Groups, const LEVEL: u32>(
    table: &Table<'_, F>,
    common: &Common<F>,
    memory: &impl TableMemory,
    items: core::ops::Range<usize>,
    changes: &mut Changes<F>,
) {
    if LEVEL == 0 {
        table.clear_run(common, items.start, items.len());
        return;
    }
    for index in items {
        let entry = table.load(common, index);
        // First out of the tree, then into the list, which writes to the table's memory.
        table.clear_run(common, index, 1);
        if entry.kind == Kind::Table {
            unlink_all(table, common, memory, entry, changes);
        }
    }
}

/// Puts the table that `entry` of `table` pointed to, and all below it, into the list.
fn unlink_all<F: Groups>(
    table: &Table<'_, F>,
    common: &Common<F>,
    memory: &impl TableMemory,
    entry: Entry<F>,
    changes: &mut Changes<F>,
) {
    changes.table_levels = changes.table_levels.union(LevelSet::of(table.level()));
    if table.level() > 1 {
        table.descend(common, memory, entry, |lower| {
            for index in 0..lower.items() {
                let entry = lower.load(common, index);
                if entry.kind == Kind::Table {
                    unlink_all(lower, common, memory, entry, changes);
                }
            }
        });
    }
    let page = table.lower_page(common, memory, entry);
    // SAFETY: the item at the head of this was cleared before, and everything from it down to here is in the list or about
    // to be, so nothing reaches the table any more; the operation that calls this holds the range.
    unsafe { changes.unlinked.push(common, memory, page, table.level() - 1) };
}
