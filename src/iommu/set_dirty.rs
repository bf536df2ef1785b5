//! Set dirty: what hardware does on a write, for tests.

use super::{Core, PtIommu, Walkers};
use crate::driver::Host;
use crate::error::Error;
use crate::format::Kind;
use crate::item::Item;
use crate::range::VaRange;
use crate::table::{Swap, Table};

impl<F: Walkers, H: Host> PtIommu<F, H> {
    /// Marks the item that translates `iova` dirty, as hardware does on a write: one item, even of a contiguous entry.
    ///
    /// A test aid, for example for migration. Needs the range as [`iova_to_phys`](Self::iova_to_phys) does, for reading:
    /// others may use the range at the same time, but not unmap it.
    ///
    /// # Errors
    /// [`Error::NotOffered`], [`Error::VaRange`], [`Error::NotMapped`], [`Error::Foreign`], and [`Error::Raced`] if
    /// the item changed.
    pub fn set_dirty(&self, iova: u64) -> Result<(), Error> {
        self.core.set_dirty(iova)
    }
}

impl<F: Walkers, H: Host> Core<F, H> {
    /// Set dirty by whoever may read there.
    pub(super) fn set_dirty(&self, iova: u64) -> Result<(), Error> {
        if !F::tracks_dirty(self.common()) {
            return Err(Error::NotOffered { operation: "set_dirty", format: F::NAME });
        }
        let range = VaRange { va: iova, last: iova };
        let top = self.tree.top();
        if !self.is_in_top(range, top) {
            return Err(self.top_range_error(range, self.top_level()));
        }
        self.tree.with(top, |table| self.set_dirty_in(table, iova))
    }

    fn set_dirty_in(&self, table: &Table<'_, F>, va: u64) -> Result<(), Error> {
        let common = self.common();
        let (index, level) = (table.index(va), table.level());
        let entry = table.load(common, index);
        match entry.kind {
            Kind::Empty => Err(Error::NotMapped { va }),
            Kind::Foreign => Err(Error::Foreign { va, level, raw: entry.raw.to_u64() }),
            Kind::Table => table.descend(common, self.tree.memory(), entry, |lower| self.set_dirty_in(lower, va)),
            Kind::Leaf => {
                let dirty = F::dirty_item(common, level, entry.raw);
                match table.swap(common, index, entry, dirty) {
                    Swap::Done(_) => Ok(()),
                    Swap::Lost(_) => Err(Error::Raced { va, level }),
                }
            }
        }
    }
}
