//! Layer 2: the tables that pages and ranges were last mapped in or unmapped from.
//!
//! Who maps or unmaps is likely to come again, nearby. Then the walk from the top is not needed.

use crate::driver::Host;
use crate::format::{Groups, item_size_lg2, items_lg2};
use crate::lg2;
use crate::range::VaRange;
use crate::table::Table;
use crate::tree::Tree;
use core::marker::PhantomData;
use core::ptr::NonNull;

/// Levels of which a table is remembered.
pub(crate) const LEVELS: usize = 3;

/// A table of the regular size of each of the lowest levels, by the VA it covers: one below the top, a top of that size, or a
/// part of one that is several such tables side by side.
///
/// Belongs to whoever holds a range of the tree. A table in here covers a part of that range, so only its holder can unlink
/// it; who is about to do so has to [`forget`](Self::forget) first.
pub(crate) struct Near<F> {
    places: [Place; LEVELS],
    format: PhantomData<F>,
}

#[derive(Clone, Copy)]
struct Place {
    /// The first VA of the table; [`NOWHERE`] without one.
    va: u64,
    page: NonNull<u8>,
}

/// No table begins here: this is not aligned.
const NOWHERE: u64 = 1;

impl Place {
    const NONE: Self = Self { va: NOWHERE, page: NonNull::dangling() };

    /// Whether it has a table, of `LEVEL`, that covers `va`.
    #[inline(always)]
    fn covers<F: Groups, const LEVEL: u32>(&self, va: u64) -> bool {
        lg2::align_down(va, item_size_lg2::<F>(LEVEL + 1)) == self.va
    }
}

// SAFETY: the pages are only reached through `table`, by who holds the range, with atomic accesses.
unsafe impl<F> Send for Near<F> {}
// SAFETY: as above; a shared `Near` shows nothing.
unsafe impl<F> Sync for Near<F> {}

impl<F: Groups> Near<F> {
    /// Nothing remembered yet.
    pub(crate) const NONE: Self = Self { places: [Place::NONE; LEVELS], format: PhantomData };

    /// The table of `LEVEL` that covers `va`, if it is remembered.
    #[inline(always)]
    pub(crate) fn table<const LEVEL: u32>(&self, va: u64) -> Option<Table<'_, F>> {
        let place = &self.places[LEVEL as usize % LEVELS];
        // SAFETY: `remember` put it in, a live table of `LEVEL` and the regular size, or a part of the top that is one; a table below the
        // top was not unlinked since, because who does that calls `forget` first, and a top stays until it has become such a table.
        place.covers::<F, LEVEL>(va).then(|| unsafe { Table::at(place.page, LEVEL, items_lg2::<F>(LEVEL)) })
    }

    /// Remembers `table`, of `LEVEL`, which covers `va`; of a top that is several tables side by side the one that covers it. Not a
    /// smaller one than tables below the top, and none of which the tree decodes only a part: the halves of a top with sign extension,
    /// or the beginning of a deep one.
    #[inline(always)]
    pub(crate) fn remember<H: Host, const LEVEL: u32>(&mut self, tree: &Tree<F, H>, va: u64, table: &Table<'_, F>) {
        let size_lg2 = item_size_lg2::<F>(LEVEL + 1);
        let va = lg2::align_down(va, size_lg2);
        debug_assert!(
            LEVEL >= F::MIN_TOP_LEVEL || table.level() != LEVEL || table.items() == 1 << items_lg2::<F>(LEVEL)
        );
        // (A constant condition.)
        let page = if LEVEL < F::MIN_TOP_LEVEL { Some(table.page()) } else { table.regular_page(va) };
        if let Some(page) = page
            && table.level() == LEVEL
            && tree.decodes_range(VaRange { va, last: va | lg2::low_mask(size_lg2) })
        {
            self.places[LEVEL as usize % LEVELS] = Place { va, page };
        }
    }

    /// The table of `LEVEL`, if it is remembered, and `range` and what follows it lie in it: so an operation on the range
    /// does not unlink it, and no larger leaf can be.
    #[inline(always)]
    pub(crate) fn holding<'t, H: Host, const LEVEL: u32>(
        &self,
        _: &'t Tree<F, H>,
        range: VaRange,
    ) -> Option<Table<'t, F>> {
        let is_inside = Self::lies_in_one_table::<LEVEL>(range);
        let place = &self.places[LEVEL as usize % LEVELS];
        // SAFETY: as in `table`; whoever holds the range has it for the operation, which has the tree for as long.
        (is_inside && place.covers::<F, LEVEL>(range.va))
            .then(|| unsafe { Table::at(place.page, LEVEL, items_lg2::<F>(LEVEL)) })
    }

    /// Whether `range` and what follows it lie in one table of `LEVEL`.
    #[inline(always)]
    pub(crate) fn lies_in_one_table<const LEVEL: u32>(range: VaRange) -> bool {
        // In a table of 2^n bytes no bit from n on differs between the range's start and what follows it. (Behind 2^64 that is 0, which
        // may not differ there; but then the length has such a bit.)
        debug_assert!(range.va != 0 || range.last != u64::MAX, "2^64 bytes are no range");
        let end = range.last.wrapping_add(1);
        let changing = (range.va ^ end) | end.wrapping_sub(range.va);
        LEVEL <= F::MAX_TOP_LEVEL && changing <= lg2::low_mask(item_size_lg2::<F>(LEVEL + 1))
    }

    /// Remembers `table`, which covers `va`, where that is possible.
    #[inline(always)]
    pub(crate) fn remember_any<H: Host>(&mut self, tree: &Tree<F, H>, va: u64, table: &Table<'_, F>) {
        match table.level() {
            0 => self.remember::<H, 0>(tree, va, table),
            1 => self.remember::<H, 1>(tree, va, table),
            2 => self.remember::<H, 2>(tree, va, table),
            _ => {}
        }
    }

    /// Forgets all: for who lets others unlink tables.
    pub(crate) fn forget(&mut self) {
        self.places = [Place::NONE; LEVELS];
    }

    /// Forgets the tables below `level`: for who unlinks tables there.
    #[inline(always)]
    pub(crate) fn forget_below(&mut self, level: u32) {
        for (_, place) in (0..level).zip(&mut self.places) {
            place.va = NOWHERE;
        }
    }
}
