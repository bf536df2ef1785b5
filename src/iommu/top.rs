//! The top of a table: which range it holds, and how it grows.

use super::{Core, Walkers};
use crate::driver::{Driver, Host};
use crate::error::Error;
use crate::feature::Features;
use crate::format::{Common, Groups, MAX_LEVELS, Top, item_size_lg2};
use crate::item::Item;
use crate::lg2;
use crate::memory::TableMemory;
use crate::near::Near;
use crate::range::{self, VaRange};
use crate::table::{NewTable, Table, table_item_for, top_va_lg2};
use crate::tree::TopPtr;
use core::mem::ManuallyDrop;

impl<F: Walkers, H: Host> Core<F, H> {
    #[inline(always)]
    pub(super) fn top_level(&self) -> u32 {
        self.tree.top().level
    }

    /// Whether `range` lies in what `top` decodes.
    #[inline(always)]
    pub(super) fn is_in_top(&self, range: VaRange, top: TopPtr) -> bool {
        if !self.common().has(Features::DYNAMIC_TOP) {
            return self.tree.decodes_range(range);
        }
        range::fits(self.common(), range, top_va_lg2(self.common(), top.level))
    }

    /// The error for a range that no top of this table holds.
    pub(super) fn range_error(&self, range: VaRange) -> Error {
        let grown = self.common().has(Features::DYNAMIC_TOP);
        self.top_range_error(range, if grown { F::MAX_TOP_LEVEL } else { self.top_level() })
    }

    /// The error for a range that the top, of `level`, does not hold.
    pub(super) fn top_range_error(&self, range: VaRange, level: u32) -> Error {
        let valid = range::top_range(self.common(), level);
        let upper_first = self.common().has(Features::SIGN_EXTEND).then_some(!valid.last);
        Error::VaRange { va: range.va, last: range.last, valid_first: valid.va, valid_last: valid.last, upper_first }
    }

    /// The top, if it certainly holds `range`, whatever the leaves there are: as nearly always.
    #[inline(always)]
    pub(super) fn top_that_holds(&self, range: VaRange) -> Option<TopPtr> {
        let top = self.tree.top();
        if !self.common().has(Features::DYNAMIC_TOP) {
            return self.tree.decodes_range(range).then_some(top);
        }
        let va_lg2 = top_va_lg2(self.common(), top.level);
        // A leaf as large as all of it may be one of a higher level.
        let is_whole = range.last.wrapping_sub(range.va) == lg2::low_mask(va_lg2);
        (range::fits(self.common(), range, va_lg2) && !is_whole).then_some(top)
    }

    /// The table to begin with for an operation on `range`: one in which it lies and that has more than that. It is near, or is looked for
    /// from one that is, else from the top that `top` gives; then it becomes near. (Mostly it is the lowest; of a range that ends where
    /// a table of level 1 does, one of level 2 that is near will do.)
    ///
    /// # Errors
    /// Those of `top`.
    #[inline(always)]
    pub(super) fn start_at<E>(
        &self,
        near: &mut Near<F>,
        range: VaRange,
        top: impl FnOnce() -> Result<TopPtr, E>,
    ) -> Result<Table<'_, F>, E> {
        let tree = &self.tree;
        if let Some(table) = near.holding::<H, 0>(tree, range) {
            return Ok(table);
        }
        let common = self.common();
        // A table whose flush may not have finished is entered in the general way, which flushes it.
        let enters = |raw| !common.has(Features::DMA_INCOHERENT) || raw & flush_done_bit(common) != F::Item::ZERO;
        if Near::<F>::lies_in_one_table::<1>(range) {
            let mut table = near.holding::<H, 1>(tree, range);
            if table.is_none()
                && let Some(upper) = near.holding::<H, 2>(tree, range)
            {
                let Some(lower) = tree.lower_holding(&upper, range, enters) else { return Ok(upper) };
                near.remember::<H, 1>(tree, range.va, &lower);
                table = Some(lower);
            }
            if let Some(table) = table {
                let Some(lowest) = tree.lower_holding(&table, range, enters) else { return Ok(table) };
                near.remember::<H, 0>(tree, range.va, &lowest);
                return Ok(lowest);
            }
        } else if let Some(table) = near.holding::<H, 2>(tree, range) {
            return Ok(table);
        }
        let table = tree.holding(top()?, range, enters);
        near.remember_any(tree, range.va, &table);
        Ok(table)
    }

    /// The top, grown until it holds `range` and can have a leaf at `leaf_level`, if it did not already.
    ///
    /// # Errors
    /// [`Error::VaRange`] if no level would do, before any allocation; [`Error::OutOfMemory`], with the top unchanged.
    pub(super) fn ensure_top(&self, range: VaRange, leaf_level: u32) -> Result<TopPtr, Error> {
        if !self.common().has(Features::DYNAMIC_TOP) {
            return if self.tree.decodes_range(range) { Ok(self.tree.top()) } else { Err(self.range_error(range)) };
        }
        let holds =
            |level: u32| level >= leaf_level && range::fits(self.common(), range, top_va_lg2(self.common(), level));
        loop {
            let old = self.tree.top();
            if holds(old.level) {
                return Ok(old);
            }
            // Levels above one that decodes all of max VA do not exist for this table.
            let levels = (old.level + 1..=F::MAX_TOP_LEVEL)
                .take_while(|level| item_size_lg2::<F>(*level) < self.common().max_va_lg2);
            let mut levels = levels.skip_while(|level| !holds(*level));
            let Some(new_level) = levels.next() else {
                return Err(self.range_error(range));
            };
            self.grow(old, new_level, range.va)?;
        }
    }

    /// Puts the tables of the levels above `old` up to `new_level` on top of it, unless another thread changes the top.
    ///
    /// The chain is private until the driver knows of it; if anything fails before, its tables are freed by their owners here.
    fn grow(&self, old: TopPtr, new_level: u32, va: u64) -> Result<(), Error> {
        let domain = self.tree.host().domain();
        let incoherent = self.common().has(Features::DMA_INCOHERENT);
        let mut chain: [Option<NewTable<'_, F, _>>; MAX_LEVELS] = [const { None }; MAX_LEVELS];
        let mut top = Top { pa: domain.memory.pa_of(old.page), level: old.level };
        for (level, slot) in (old.level + 1..=new_level).zip(&mut chain) {
            let mut item = match table_item_for(self.common(), top.level, top.pa) {
                Ok(item) => item,
                // The table was not the top any more, and perhaps none: whoever holds it may free it then.
                Err(_) if self.tree.top() != old => return Ok(()),
                Err(error) => return Err(error),
            };
            let mut table = NewTable::empty_top(self.common(), &domain.memory, level, va)?;
            if incoherent {
                // The table below was flushed before: when it was made, or just now.
                item |= flush_done_bit(self.common());
            }
            table.set_first(item);
            if incoherent {
                table.flush(&domain.driver);
            }
            top = Top { pa: table.pa(), level };
            *slot = Some(table);
        }
        if top.pa & !F::GEOMETRY.top_pa_mask != 0 {
            return Err(Error::TableAddress { pa: top.pa, level: top.level });
        }
        domain.driver.with_top_lock(|| {
            // The driver need not lock.
            let _alone = self.tree.lock_top();
            if self.tree.top() != old {
                return;
            }
            // Should the driver panic, hardware may walk them already: then they leak.
            let tables = ManuallyDrop::new(chain.each_mut().map(Option::take));
            domain.driver.change_top(top);
            let mut tables = ManuallyDrop::into_inner(tables).into_iter().flatten().peekable();
            while let Some(table) = tables.next() {
                if tables.peek().is_some() {
                    // Reached through the table above it.
                    table.keep();
                } else {
                    self.tree.publish_top(table);
                }
            }
        });
        Ok(())
    }
}

/// The software bit in a table item that says that the flush after its install has finished.
#[inline(always)]
pub(super) fn flush_done_bit<F: Groups>(common: &Common<F>) -> F::Item {
    F::software_bit(common, 0)
}
