//! Layer 2: going down to the item that decides one VA.
//!
//! Translation, and mapping and unmapping of a single page, are this walk with something else at its end. Each level is a
//! function of its own with the level as a constant, so one step is a shift, a mask, a load and a test.

use crate::format::{Common, Groups, Kind};
use crate::memory::TableMemory;
use crate::table::{Entry, Table};

/// What a walk to one VA does at its end.
pub trait Seek<F: Groups>: Sized {
    /// What it gives.
    type Out;
    /// The walk ends at this level, if not earlier: tables below are not entered.
    const LOWEST: u32;

    /// Whether the walk may go through this table item.
    #[inline(always)]
    fn enters(_common: &Common<F>, _raw: F::Item) -> bool {
        true
    }

    /// At the end: at a leaf, at an empty or foreign item, at the lowest level, or at a table that may not be entered.
    fn arrive<const LEVEL: u32>(self, common: &Common<F>, slot: Slot<'_, F>) -> Self::Out;
}

/// Where a walk ended: an item, as it was loaded.
#[allow(missing_debug_implementations, reason = "only named by expansions")]
pub struct Slot<'t, F: Groups> {
    pub(crate) table: &'t Table<'t, F>,
    pub(crate) index: usize,
    pub(crate) entry: Entry<F>,
}

/// A walk on its way: what each step hands to the one below.
#[allow(missing_debug_implementations, reason = "only named by expansions")]
pub struct Seeking<'a, F: Groups, M, S> {
    /// A copy: what is behind a reference would have to be read again after every load of an item.
    pub(crate) common: Common<F>,
    pub(crate) memory: &'a M,
    pub(crate) va: u64,
    /// The item to look at in the table that is reached.
    pub(crate) index: usize,
    pub(crate) seek: S,
}

/// The table that a walk is at, and the walk.
pub type At<'a, F, M, S> = (Table<'a, F>, Seeking<'a, F, M, S>);

/// Where a step leads.
#[allow(missing_debug_implementations, reason = "only named by expansions")]
pub enum Step<'a, 't, F: Groups, M, S: Seek<F>> {
    /// To the table of the level below.
    Down(Table<'t, F>, Seeking<'a, F, M, S>),
    /// The walk is at its end.
    Arrived(S::Out),
}

/// One step of the walk, at `LEVEL`.
///
/// (The expansion calls the step of the level below: a function handed in here would be called through a shim of its own.)
#[inline(always)]
pub fn seek_level<'a, 't, F: Groups, M: TableMemory, S: Seek<F>, const LEVEL: u32>(
    table: &Table<'t, F>,
    mut walk: Seeking<'a, F, M, S>,
) -> Step<'a, 't, F, M, S> {
    let table = &table.at_level::<LEVEL>();
    let index = walk.index;
    // SAFETY: `index` was made for this table: by `Tree::enter`, of a VA cut to what the top decodes, which has an item for
    // all of that; or by the step before, from `Table::index`, which is below the number of items.
    let entry = unsafe { table.load_inside(&walk.common, index) };
    if LEVEL > S::LOWEST && entry.kind == Kind::Table && S::enters(&walk.common, entry.raw) {
        let lower = table.lower(&walk.common, walk.memory, entry);
        walk.index = lower.index(walk.va);
        Step::Down(lower, walk)
    } else {
        Step::Arrived(walk.seek.arrive::<LEVEL>(&walk.common, Slot { table, index, entry }))
    }
}
