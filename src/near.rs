//! Layer 2: the tables that single pages were last mapped in or unmapped from.
//!
//! Who maps or unmaps one page is likely to come again, nearby. Then the walk from the top is not needed.

use crate::feature::Features;
use crate::format::{Common, Groups, item_size_lg2, items_lg2};
use crate::lg2;
use crate::table::Table;
use core::marker::PhantomData;
use core::ptr::NonNull;

/// Levels of which a table is remembered.
pub(crate) const LEVELS: usize = 3;

/// A regular table of each of the lowest levels, by the VA it covers.
///
/// Belongs to whoever holds a range of the tree. A table in here covers a part of that range, so only its holder can unlink
/// it; who is about to do so has to [`forget`](Self::forget) first.
pub(crate) struct Near<F> {
    places: [Place; LEVELS],
    /// Naturally aligned blocks of `2^n` bytes of VA are decoded whole or not at all, for this `n` and those below.
    whole_lg2: u32,
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
}

// SAFETY: the pages are only reached through `table`, by who holds the range, with atomic accesses.
unsafe impl<F> Send for Near<F> {}
// SAFETY: as above; a shared `Near` shows nothing.
unsafe impl<F> Sync for Near<F> {}

impl<F: Groups> Near<F> {
    /// Nothing remembered yet of a table.
    pub(crate) fn new(common: &Common<F>) -> Self {
        // With sign extension one half each: between them lies what is not decoded.
        let whole_lg2 = common.max_va_lg2.saturating_sub(u32::from(common.has(Features::SIGN_EXTEND)));
        Self { places: [Place::NONE; LEVELS], whole_lg2, format: PhantomData }
    }

    /// The table of `LEVEL` that covers `va`, if it is remembered.
    #[inline(always)]
    pub(crate) fn table<const LEVEL: u32>(&self, va: u64) -> Option<Table<'_, F>> {
        let place = &self.places[LEVEL as usize % LEVELS];
        // SAFETY: `remember` put it in, a live regular table of `LEVEL`; it was not unlinked since, because who does that
        // calls `forget` first.
        (lg2::align_down(va, item_size_lg2::<F>(LEVEL + 1)) == place.va)
            .then(|| unsafe { Table::at(place.page, LEVEL, items_lg2::<F>(LEVEL)) })
    }

    /// Remembers `table`, of `LEVEL`, which covers `va`, unless it is a top of another size than the tables below, or has
    /// items for VA that is not decoded: a top with both halves of sign extension, or what is below a top of one item.
    #[inline(always)]
    pub(crate) fn remember<const LEVEL: u32>(&mut self, va: u64, table: &Table<'_, F>) {
        let is_whole = item_size_lg2::<F>(LEVEL + 1) <= self.whole_lg2;
        if is_whole && table.items() == 1 << items_lg2::<F>(LEVEL) && table.level() == LEVEL {
            let va = lg2::align_down(va, item_size_lg2::<F>(LEVEL + 1));
            self.places[LEVEL as usize % LEVELS] = Place { va, page: table.page() };
        }
    }

    /// Forgets all: for who may unlink tables.
    pub(crate) fn forget(&mut self) {
        self.places = [Place::NONE; LEVELS];
    }
}
