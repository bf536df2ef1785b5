//! Which pages were written: the walker notes it in the items, and the table's scan finds it there.

use super::accesses::Place;
use super::{Scene, wrong};
use crate::ram::Ram;
use crate::walker::{Access, Noting, Privilege, Walker};
use generic_pt::iommu::{DirtyMode, Walkers};
use generic_pt::range::VaRange;
use generic_pt::{GatherMode, Prot};
use std::collections::BTreeSet;
use std::io;

impl<F: Walkers> Scene<'_, '_, F> {
    /// If the table tracks writes, and the walker notes them: makes all pages clean, and has the walker read, write and execute. The scan has to find dirty what was
    /// written, and nothing else: not what was read, nor where a write was refused. And then once more, for which the sync after
    /// the first scan has to have made the walker forget which pages it knows to be dirty.
    ///
    /// # Errors
    /// They disagree, or the machine does not work.
    pub fn check_dirty(&mut self, ram: &Ram) -> io::Result<()> {
        let notes = self.domain.driver.walker()?.notes_writes();
        if !F::tracks_dirty(self.table.common()) || notes == Noting::Never {
            return Ok(());
        }
        self.note_leaves();
        let places = self.places_to_write(ram)?;
        let mut rounds = [BTreeSet::new(), BTreeSet::new()];
        for written in &mut rounds {
            self.scan(DirtyMode::Clear)?;
            self.compare_dirty(&BTreeSet::new())?;
            *written = self.write_some(ram, &places)?;
            self.compare_dirty(written)?;
        }
        let [first, second] = rounds;
        self.counts.dirty.count(first.len() + second.len(), (&first & &second).len());
        Ok(())
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
        let mut written = BTreeSet::new();
        let mut is_sure = true;
        for place in places {
            let leaf = self.leaves.range(..=place.va).next_back().map(|(va, _)| *va);
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
            let is_clean = leaf.is_some_and(|leaf| !written.contains(&leaf));
            match walker.takes_clean_for_read_only() {
                Some(fault) if is_clean && access == Access::Execute => {
                    let prot = place.prot.difference(Prot::WRITE).union(Prot::READ);
                    if walker.permits(prot, access, privilege) != walker.permits(place.prot, access, privilege) {
                        self.counts.met.count(fault);
                    }
                    self.check_access(walker, ram, Place { prot, ..*place }, access, privilege)?;
                }
                _ => self.check_access(walker, ram, *place, access, privilege)?,
            }
            if access == Access::Write && walker.permits(place.prot, access, privilege) {
                written.extend(leaf);
            }
        }
        self.counts.met += walker.take_met();
        Ok(written)
    }

    /// Scans everything that is mapped.
    fn scan(&mut self, mode: DirtyMode) -> io::Result<Vec<VaRange>> {
        let mut found = Vec::new();
        let mut gather = self.table.gather(GatherMode::Immediate);
        for (va, mapping) in &self.mappings {
            self.table
                .read_and_clear_dirty(*va, mapping.bytes, mode, &mut gather, |range| found.push(range))
                .map_err(|error| wrong(format!("dirty scan at {va:#x}: {error}")))?;
        }
        gather.sync();
        Ok(found)
    }

    /// Exactly these leaves are dirty, of all but the window's.
    fn compare_dirty(&mut self, written: &BTreeSet<u64>) -> io::Result<()> {
        let found = self.scan(DirtyMode::Peek)?;
        for (va, size_lg2) in self.leaves.iter().filter(|(va, _)| !self.is_window(**va)) {
            let is_found = found.iter().any(|range| range.va <= *va && *va <= range.last);
            if is_found != written.contains(va) {
                let (now, expected) =
                    if is_found { ("dirty", "nothing was written there") } else { ("clean", "the walker wrote there") };
                let bytes = 1u128 << size_lg2;
                self.tried_va = *va;
                return Err(wrong(format!("the leaf of {bytes:#x} bytes at {va:#x} is {now}, and {expected}")));
            }
        }
        Ok(())
    }
}
