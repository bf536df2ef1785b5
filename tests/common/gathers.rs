//! What gathers hold according to the specification, and what hardware may still have cached because of that.

use super::hardware::{CachedLeaf, CachedPointer};
use super::model::{Leaf, Params, low};
use super::subject::GatherState;
use super::world::Event;
use generic_pt::{Invalidation, LevelSet};

/// What was changed and not invalidated yet, so that hardware may have it stale.
#[derive(Clone, Default, Debug)]
pub struct Stale {
    /// Leaves that were removed. Index space.
    pub leaves: Vec<(u64, Leaf)>,
    /// Tables that were unlinked: physical address, and the VA they translated.
    pub tables: Vec<(u64, u64, u64)>,
    /// Leaves that were made clean. Index space.
    pub cleaned: Vec<(u64, u64)>,
    /// VA whose translation changed, as users see it.
    pub changed: Vec<(u64, u64)>,
}

impl Stale {
    pub fn excuses_leaf(&self, cached: &CachedLeaf) -> bool {
        let same =
            |(va, leaf): &(u64, Leaf)| (*va, leaf.size_lg2, leaf.level) == (cached.va, cached.size_lg2, cached.level);
        self.leaves.iter().any(same)
    }
    pub fn excuses_pointer(&self, cached: &CachedPointer) -> bool {
        self.tables.iter().any(|(pa, ..)| *pa == cached.pa)
    }
    /// An empty result may come from an unlinked table that is still walked.
    pub fn excuses_empty(&self, va: u64) -> bool {
        self.tables.iter().any(|(_, first, last)| *first <= va && va <= *last)
    }
    pub fn excuses_write(&self, cached: &CachedLeaf) -> bool {
        self.cleaned.iter().any(|(first, last)| *first <= cached.va && cached.va <= *last)
    }
    /// Whether every byte of the range changed.
    fn covers(&self, va: u64, last: u64) -> bool {
        let mut changed = self.changed.clone();
        changed.sort_unstable();
        let mut next = Some(va);
        for (first, end) in changed {
            match next {
                Some(at) if first <= at && at <= end => next = end.checked_add(1),
                _ => {}
            }
        }
        next.is_none_or(|at| at > last)
    }
}

/// One gather according to the specification.
#[derive(Clone, Default, Debug)]
pub struct GatherModel {
    pub queued: bool,
    pub range: Option<(u64, u64)>,
    pub leaf_levels: u8,
    pub table_levels: u8,
    pub changed: bool,
    pub unlinked: u64,
    pub stale: Stale,
}

/// What one operation adds to a gather.
#[derive(Default)]
pub struct Addition {
    /// As users see it.
    pub va: u64,
    pub last: u64,
    pub leaves: Vec<(u64, Leaf)>,
    /// Level of the table, physical address, VA.
    pub tables: Vec<(u32, u64, u64)>,
}

fn levels(bits: u8) -> LevelSet {
    (0..8).filter(|level| bits >> level & 1 != 0).fold(LevelSet::NONE, |set, level| set.union(LevelSet::of(level)))
}

impl GatherModel {
    pub fn state(&self) -> GatherState {
        GatherState {
            range: self.range,
            leaf_levels: self.leaf_levels,
            table_levels: self.table_levels,
            changed: self.changed,
            unlinked: self.unlinked,
        }
    }

    fn extend(&mut self, va: u64, last: u64) {
        self.range = Some(self.range.map_or((va, last), |(first, end)| (first.min(va), end.max(last))));
    }

    /// Adds what an operation changed. The sync that comes before, if there is one.
    pub fn add(&mut self, params: &Params, addition: Addition) -> Option<Event> {
        let Addition { va, last, leaves, tables } = addition;
        let apart =
            self.range.is_some_and(|(first, end)| (end < va && end + 1 != va) || (last < first && last + 1 != first));
        let synced = if !self.queued && params.no_gaps && apart { self.sync() } else { None };
        if !self.queued {
            self.extend(va, last);
        }
        self.changed = true;
        self.unlinked += tables.len() as u64;
        if params.detailed {
            leaves.iter().for_each(|(_, leaf)| self.leaf_levels |= 1 << leaf.level);
            tables.iter().for_each(|(level, ..)| self.table_levels |= 1 << (level + 1));
        }
        self.stale.changed.push((va, last));
        self.stale.leaves.extend(leaves);
        let span = |(level, pa, va): (u32, u64, u64)| (pa, va, va | low(params.item_lg2(level + 1)));
        self.stale.tables.extend(tables.into_iter().map(span));
        synced
    }

    /// Adds leaves of these levels that were made clean, as users see them: a plain union.
    pub fn add_cleaned(&mut self, params: &Params, found: &[(u64, u64)], levels: u8) {
        if params.detailed {
            self.leaf_levels |= levels;
        }
        for (va, last) in found {
            if !self.queued {
                self.extend(*va, *last);
            }
            self.changed = true;
            self.stale.cleaned.push((params.index_space(*va), params.index_space(*last)));
        }
    }

    pub fn invalidation(&self) -> Option<Invalidation> {
        self.range.map(|(va, last)| Invalidation {
            va,
            last,
            leaf_levels: levels(self.leaf_levels),
            table_levels: levels(self.table_levels),
            unlinked_tables: self.unlinked,
        })
    }

    pub fn take(&mut self) -> Self {
        let queued = self.queued;
        std::mem::replace(self, Self { queued, ..Self::default() })
    }

    pub fn sync(&mut self) -> Option<Event> {
        if self.queued {
            return self.sync_all();
        }
        let taken = self.take();
        taken.invalidation().map(Event::Sync)
    }

    pub fn sync_all(&mut self) -> Option<Event> {
        self.take().changed.then_some(Event::SyncAll)
    }

    /// With NO_GAPS: the range to invalidate has no VA that did not change (except for cleaned leaves, a plain union).
    pub fn check_gaps(&self) -> Result<(), String> {
        match self.range {
            Some((va, last)) if self.stale.cleaned.is_empty() && !self.stale.covers(va, last) => {
                Err(format!("{va:#x}..={last:#x} is gathered, but only {:x?} changed", self.stale.changed))
            }
            _ => Ok(()),
        }
    }
}
