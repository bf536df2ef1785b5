//! Which pages were written: the walker notes it in the items, and the table's scan finds it there.

use super::accesses::Place;
use super::untouched::Untouched;
use super::{Scene, wrong};
use crate::plan::Tracking;
use crate::ram::Ram;
use crate::walker::{Access, Privilege, Walker};
use generic_pt::format::item_size_lg2;
use generic_pt::iommu::{DirtyMode, Walkers};
use generic_pt::range::VaRange;
use generic_pt::{GatherMode, Invalidation, Prot};
use std::collections::BTreeSet;
use std::io;

impl<F: Walkers> Scene<'_, '_, F> {
    /// If the row is of a table that tracks writes: makes all pages clean, and has the walker read, write and execute. The scan
    /// has to find dirty what was written, and nothing else: not what was read, nor where a write was refused. And then once
    /// more, for which the sync after the first scan has to have made the walker forget which pages it knows to be dirty.
    ///
    /// # Errors
    /// They disagree, or the machine does not work.
    pub fn check_dirty(&mut self, ram: &Ram) -> io::Result<()> {
        if self.plan.tracking == Tracking::Nothing {
            return Ok(());
        }
        if !F::tracks_dirty(self.table.common()) {
            return Err(wrong(
                "the row is of a table that tracks writes, and the library says that it does not".into(),
            ));
        }
        self.note_leaves();
        let places = self.places_to_write(ram)?;
        let untouched = Untouched::new(&**self.domain.driver.walker()?, ram)?;
        // What was written before, or is dirty from the beginning.
        let mut dirty = self.scan(DirtyMode::Peek)?;
        let is_wrong = |va: &&u64| contains(&dirty, **va) && !self.is_writeable(**va);
        if let Some(va) = self.leaves.keys().find(is_wrong).copied() {
            self.tried_va = Some(va);
            return Err(wrong(format!("{va:#x} is dirty, and may not be written")));
        }
        let mut rounds = [BTreeSet::new(), BTreeSet::new()];
        for written in &mut rounds {
            self.make_clean(&dirty)?;
            *written = self.write_some(ram, &places)?;
            dirty = merged(written.iter().map(|va| self.range_of_leaf(*va)));
            self.compare_dirty(DirtyMode::Peek, &dirty)?;
        }
        self.make_clean(&dirty)?;
        let [first, second] = rounds;
        if first.is_disjoint(&second) {
            return Err(wrong("no leaf was written, made clean and written again, so this shows nothing".to_owned()));
        }
        self.counts.dirty.count(first.len() + second.len(), (&first & &second).len());
        untouched.check(ram)
    }

    /// If the row is of a table that tracks writes: the walker writes these places of the only leaf beside the window, each
    /// twice, with a scan between that makes it clean.
    pub(super) fn check_leaf_dirty(
        &mut self,
        ram: &Ram,
        leaf: VaRange,
        size: u64,
        places: &[(u64, u64)],
    ) -> io::Result<()> {
        if self.plan.tracking == Tracking::Nothing {
            return Ok(());
        }
        let before = self.scan(DirtyMode::Peek)?;
        self.make_clean(&before)?;
        for (va, pa) in places {
            for _ in 0..2 {
                self.write_at(ram, Place { va: *va, pa: *pa, prot: Prot::READ | Prot::WRITE })?;
                self.make_clean(&[leaf])?;
            }
            self.counts.dirty.count_size(size);
        }
        Ok(())
    }

    /// The walker, which is asked again afterwards, writes there.
    fn write_at(&mut self, ram: &Ram, place: Place) -> io::Result<()> {
        let domain = self.domain;
        let walker = &mut **domain.driver.walker()?;
        self.check_access(walker, ram, place, Access::Write, Privilege::Supervisor)
    }

    /// Whether what is mapped there may be written.
    fn is_writeable(&self, va: u64) -> bool {
        self.mapping_of(va).is_some_and(|(_, mapping)| mapping.prot.contains(Prot::WRITE))
    }

    /// A place in every part of the data that is mapped.
    fn places_to_write(&mut self, ram: &Ram) -> io::Result<Vec<Place>> {
        let (domain, bytes) = (self.domain, self.plan.access_bytes);
        let walker = &mut **domain.driver.walker()?;
        let mut places = Vec::new();
        for (start, mapping) in self.mappings.clone() {
            for part in Self::data_of(mapping, ram) {
                let pa = (part.start + self.rng.below(part.end - part.start)) & !(bytes - 1);
                let va = start + (pa - mapping.pa);
                if !self.is_window(va) && self.reaches(walker, va, Some(pa)) {
                    places.push(Place { va, pa, prot: mapping.prot });
                }
            }
        }
        Ok(places)
    }

    /// Has the walker try an access at each of these places. Returns the leaves that were written.
    fn write_some(&mut self, ram: &Ram, places: &[Place]) -> io::Result<BTreeSet<u64>> {
        let domain = self.domain;
        let walker: &mut dyn Walker = &mut **domain.driver.walker()?;
        let accesses = if walker.instruction().is_some() {
            &[Access::Write, Access::Write, Access::Read, Access::Execute][..]
        } else {
            &[Access::Write, Access::Read]
        };
        let (mut leaves, mut items) = (BTreeSet::new(), BTreeSet::new());
        let mut is_sure = true;
        for place in places {
            let (leaf, item) = self.leaf_and_item(place.va)?;
            let privilege = Privilege::Supervisor;
            let can_write = walker.permits(place.prot, Access::Write, privilege);
            // The first that can be is written in each round.
            let (access, privilege) = if can_write && is_sure {
                is_sure = false;
                (Access::Write, privilege)
            } else {
                let access = self.rng.one_of(accesses);
                (access, self.rng.one_of(walker.privileges(access)))
            };
            let mut judged = place.prot;
            if let Some(fault) = walker.takes_clean_for_read_only()
                && access == Access::Execute
                && !items.contains(&item)
            {
                let read_only = place.prot.difference(Prot::WRITE).union(Prot::READ);
                if walker.permits(read_only, access, privilege) != walker.permits(place.prot, access, privilege) {
                    self.counts.met.count(fault);
                    judged = read_only;
                }
            }
            let cells = self.counts.cells;
            self.check_access(walker, ram, Place { prot: judged, ..*place }, access, privilege)?;
            if judged != place.prot {
                // No page has that protection.
                self.counts.cells = cells;
            }
            if access == Access::Write && walker.permits(place.prot, access, privilege) {
                leaves.insert(leaf);
                items.insert(item);
            }
        }
        self.counts.met += walker.take_met();
        Ok(leaves)
    }

    /// Where the leaf begins that an address is in, and its item there: of a leaf of several items hardware notes a write in one.
    fn leaf_and_item(&self, va: u64) -> io::Result<(u64, u64)> {
        let leaf = self.leaves.range(..=va).next_back();
        let (leaf, size_lg2) =
            leaf.ok_or_else(|| wrong(format!("{va:#x} is mapped, and no leaf of the table has it")))?;
        let levels = (0..=F::GEOMETRY.max_top_level).map(item_size_lg2::<F>);
        let item_lg2 = levels.filter(|item_lg2| item_lg2 <= size_lg2).max().unwrap_or(*size_lg2);
        Ok((*leaf, va >> item_lg2))
    }

    /// What a leaf maps.
    fn range_of_leaf(&self, va: u64) -> VaRange {
        let size_lg2 = self.leaves.get(&va).copied().unwrap_or(0);
        VaRange { va, last: va + ((1 << size_lg2) - 1) }
    }

    /// Makes everything clean: the scan reports what was dirty, its sync is of all of that together, and after it nothing is.
    fn make_clean(&mut self, dirty: &[VaRange]) -> io::Result<()> {
        self.domain.driver.take_told();
        self.compare_dirty(DirtyMode::Clear, dirty)?;
        let expected: Vec<VaRange> = match (dirty.first(), dirty.last()) {
            (Some(first), Some(last)) => Vec::from([VaRange { va: first.va, last: last.last }]),
            _ => Vec::new(),
        };
        let told = self.domain.driver.take_told();
        let is_right = |(told, range): (&Invalidation, &VaRange)| {
            (told.va, told.last, told.unlinked_tables) == (range.va, range.last, 0)
        };
        if told.len() != expected.len() || !told.iter().zip(&expected).all(is_right) {
            return Err(wrong(format!("after a scan that clears a sync is due of {expected:?}, and it was {told:x?}")));
        }
        self.compare_dirty(DirtyMode::Peek, &[])?;
        match self.domain.driver.take_told().as_slice() {
            [] => Ok(()),
            told => Err(wrong(format!("a scan that clears nothing syncs {told:x?}"))),
        }
    }

    /// Scans everything that is mapped but the window. Returns what is dirty, adjacent ranges joined.
    fn scan(&mut self, mode: DirtyMode) -> io::Result<Vec<VaRange>> {
        let mut found = Vec::new();
        let mut gather = self.table.gather(GatherMode::Immediate);
        let mappings: Vec<_> = self.mappings.iter().map(|(va, mapping)| (*va, mapping.bytes)).collect();
        for (va, bytes) in mappings {
            if !self.is_window(va) {
                let scan = self.table.read_and_clear_dirty(va, bytes, mode, &mut gather, |range| found.push(range));
                scan.map_err(|error| wrong(format!("dirty scan at {va:#x}: {error}")))?;
            }
        }
        gather.sync();
        match found.windows(2).find(|pair| pair[1].va <= pair[0].last) {
            Some(pair) => Err(wrong(format!("a dirty scan reports {:?} and then {:?}", pair[0], pair[1]))),
            None => Ok(merged(found.into_iter())),
        }
    }

    /// Just these ranges are reported, of all but the window.
    fn compare_dirty(&mut self, mode: DirtyMode, expected: &[VaRange]) -> io::Result<()> {
        let found = self.scan(mode)?;
        let Some(va) = first_difference(&found, expected) else { return Ok(()) };
        self.tried_va = Some(va);
        let what = if contains(&found, va) {
            "as dirty, and nothing was written there"
        } else {
            "as clean, and the walker wrote there"
        };
        let leaf = match self.leaves.range(..=va).next_back() {
            Some((leaf, size_lg2)) => format!("in the leaf of {:#x} bytes at {leaf:#x}", 1u128 << size_lg2),
            None => "in no leaf".to_owned(),
        };
        Err(wrong(format!("{va:#x}, {leaf}, is reported ({mode:?}) {what}")))
    }
}

/// Ranges in the order of their addresses, adjacent ones joined.
fn merged(ranges: impl Iterator<Item = VaRange>) -> Vec<VaRange> {
    let mut all: Vec<VaRange> = Vec::new();
    for range in ranges {
        match all.last_mut() {
            Some(before) if before.last.checked_add(1) == Some(range.va) => before.last = range.last,
            _ => all.push(range),
        }
    }
    all
}

fn contains(ranges: &[VaRange], va: u64) -> bool {
    ranges.iter().any(|range| (range.va..=range.last).contains(&va))
}

/// The first address that is in one of these and not in the other; both have adjacent ranges joined.
fn first_difference(found: &[VaRange], expected: &[VaRange]) -> Option<u64> {
    let bounds = |ranges: &[VaRange]| -> BTreeSet<u64> {
        ranges.iter().flat_map(|range| [Some(range.va), range.last.checked_add(1)]).flatten().collect()
    };
    let differs = |va: &u64| contains(found, *va) != contains(expected, *va);
    bounds(found).union(&bounds(expected)).copied().find(differs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(ranges: &[(u64, u64)]) -> Vec<VaRange> {
        merged(ranges.iter().map(|&(va, last)| VaRange { va, last }))
    }

    #[test]
    fn whole_ranges_are_compared() {
        let expected = ranges(&[(0x1000, 0x1fff), (0x2000, 0x2fff), (0x8000, u64::MAX)]);
        assert_eq!(expected, ranges(&[(0x1000, 0x2fff), (0x8000, u64::MAX)]));
        let difference = |found: &[(u64, u64)]| first_difference(&ranges(found), &expected);
        assert_eq!(difference(&[(0x1000, 0x2fff), (0x8000, u64::MAX)]), None);
        // One byte less, one more, at each end; a hole; none; others.
        assert_eq!(difference(&[(0x1000, 0x2ffe), (0x8000, u64::MAX)]), Some(0x2fff));
        assert_eq!(difference(&[(0xfff, 0x2fff), (0x8000, u64::MAX)]), Some(0xfff));
        assert_eq!(difference(&[(0x1001, 0x2fff), (0x8000, u64::MAX)]), Some(0x1000));
        assert_eq!(difference(&[(0x1000, 0x3000), (0x8000, u64::MAX)]), Some(0x3000));
        assert_eq!(difference(&[(0x1000, 0x17ff), (0x1900, 0x2fff), (0x8000, u64::MAX)]), Some(0x1800));
        assert_eq!(difference(&[(0x1000, 0x2fff), (0x8000, u64::MAX - 1)]), Some(u64::MAX));
        assert_eq!(difference(&[]), Some(0x1000));
        assert_eq!(difference(&[(0, u64::MAX)]), Some(0));
    }
}
