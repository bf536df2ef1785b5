//! Translate: the exact output address of a VA.

use super::{PtIommu, Walkers};
use crate::driver::Host;
use crate::format::{Common, Groups, Kind};
use crate::memory::TableMemory;
use crate::range::VaRange;
use crate::table::Table;

impl<F: Walkers, H: Host> PtIommu<F, H> {
    /// The exact physical address that `iova` translates to; `None` where nothing is mapped or the table has no such VA.
    ///
    /// Never allocates, writes or locks.
    #[inline]
    pub fn iova_to_phys(&self, iova: u64) -> Option<u64> {
        let top = self.tree.top();
        if !self.is_in_top(VaRange { va: iova, last: iova }, top) {
            return None;
        }
        self.tree.with(top, |table| F::translate(table, self.common(), self.tree.memory(), iova))
    }
}

/// Translates at `LEVEL`, with `below` for the level below.
#[inline(always)]
pub fn translate_level<F: Groups, M: TableMemory, const LEVEL: u32>(
    table: &Table<'_, F>,
    common: &Common<F>,
    memory: &M,
    va: u64,
    below: impl FnOnce(&Table<'_, F>, &Common<F>, &M, u64) -> Option<u64>,
) -> Option<u64> {
    let table = &table.at_level::<LEVEL>();
    let entry = table.load(common, table.index(va));
    match entry.kind {
        Kind::Empty | Kind::Foreign => None,
        Kind::Leaf => Some(F::exact_oa(common, LEVEL, entry.raw, va)),
        Kind::Table if LEVEL == 0 => None,
        Kind::Table => table.descend(common, memory, entry, |lower| below(lower, common, memory, va)),
    }
}
