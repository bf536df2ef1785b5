//! Where addresses translate to.

use super::{Scene, wrong};
use crate::known::Fault;
use crate::ram::Ram;
use crate::walker::{Outcome, Reason, Request, Walker};
use crate::wording::Address;
use generic_pt::Prot;
use generic_pt::format::Kind;
use generic_pt::iommu::Walkers;
use std::io;

/// Where devices of a PC do not reach memory; nowhere else is anything about that address.
const INTERRUPTS_OF_PCS: u64 = 0xfee0_0000;

impl<F: Walkers> Scene<'_, '_, F> {
    /// Compares the walker with what was mapped: around every boundary, in every mapping, and elsewhere; and then accesses.
    ///
    /// # Errors
    /// They disagree, or the machine does not work.
    pub fn check(&mut self, ram: &Ram) -> io::Result<()> {
        self.note_leaves();
        self.decoy.fill(ram)?;
        let domain = self.domain;
        let walker = &mut **domain.driver.walker()?;
        for va in self.places(ram) {
            self.check_translation(walker, va)?;
        }
        self.check_accesses(walker, ram)?;
        self.counts.met += walker.take_met();
        Ok(())
    }

    /// Notes the leaves that there are now.
    pub(super) fn note_leaves(&mut self) {
        let leaves = &mut self.leaves;
        leaves.clear();
        self.table.visit_tables(|table| {
            for item in table.used().filter(|item| item.kind == Kind::Leaf) {
                // Of a leaf of several items only the first.
                if item.va & ((1u64 << item.entry_size_lg2) - 1) == 0 {
                    leaves.insert(item.va, item.entry_size_lg2);
                }
            }
        });
    }

    /// Counts the leaf through which the walker went to what it found. Returns its size, as a power of two.
    pub(super) fn went_through(&mut self, va: u64) -> io::Result<u32> {
        let before = self.leaves.range(..=va).next_back().map(|(first, size_lg2)| (va - first, *size_lg2));
        let inside = before.filter(|(offset, size_lg2)| offset >> size_lg2 == 0);
        let (offset, size_lg2) =
            inside.ok_or_else(|| wrong(format!("{va:#x} is reached, and no leaf of the table has it")))?;
        self.counts.leaves.count(offset, size_lg2);
        Ok(size_lg2)
    }

    /// Addresses to translate.
    fn places(&mut self, ram: &Ram) -> Vec<u64> {
        let mut places = Vec::new();
        for (va, mapping) in self.mappings.clone() {
            let (first, last) = (va, va + (mapping.bytes - 1));
            places.extend([first.wrapping_sub(8), first.wrapping_sub(1), first, first + 1]);
            places.extend([last - 7, last - 1, last, last.wrapping_add(1)]);
            for _ in 0..self.plan.places_of_a_mapping {
                let offset = self.rng.below(mapping.bytes);
                places.push(va + if offset & 1 == 0 { offset & !7 } else { offset });
            }
            // Where walkers that translate only to RAM get to.
            for part in Self::data_of(mapping, ram) {
                let inside = (part.start + self.rng.below(part.end - part.start)) & !7;
                places.extend([part.start, inside, part.end - 8].map(|pa| va + (pa - mapping.pa)));
            }
        }
        let aperture = self.table.info().aperture;
        let (first, last) = (aperture.va, aperture.last);
        places.extend([first, last - 7, last, last.wrapping_add(1), !last, INTERRUPTS_OF_PCS]);
        for _ in 0..8 * self.plan.places_of_a_mapping {
            places.push(first + self.rng.below((last - first).saturating_add(1).max(1)));
        }
        places.extend(self.outside(ram));
        places
    }

    fn check_translation(&mut self, walker: &mut dyn Walker, va: u64) -> io::Result<()> {
        self.tried_va = Some(va);
        let (expected, ours) = (self.expected(va), self.table.iova_to_phys(va));
        if !self.reaches(walker, va, expected) {
            return Ok(());
        }
        if ours != expected {
            return Err(wrong(format!(
                "{va:#x}: the library finds {}, mapped was {}",
                Address(ours),
                Address(expected)
            )));
        }
        let prot = self.mapping_of(va).map(|(_, mapping)| mapping.prot);
        let seen = expected.filter(|_| prot.is_some_and(|prot| walker.sees(prot)));
        let found = match walker.translate(va) {
            Some(found) => {
                let found = found?;
                if seen != expected {
                    if found == expected {
                        let what = "known fault b is gone: the debugger sees pages without read permission";
                        return Err(wrong(format!(
                            "{va:#x}: {what}; have the walker see them, and known.rs not declare it"
                        )));
                    }
                    self.counts.met.count(Fault::DebuggerReads);
                }
                found
            }
            None => self.read_translation(walker, va, prot)?,
        };
        if found != seen {
            return Err(wrong(format!(
                "{va:#x}: the walker finds {}, mapped was {}",
                Address(found),
                Address(expected)
            )));
        }
        self.counts.translations += 1;
        if found.is_some() {
            self.went_through(va)?;
        }
        Ok(())
    }

    /// Where a read goes: memory holds its own addresses.
    fn read_translation(&mut self, walker: &mut dyn Walker, va: u64, prot: Option<Prot>) -> io::Result<Option<u64>> {
        let request = Request::read(va, 8);
        let reason = if prot.is_some() { Reason::NotPermitted } else { self.reason(va) };
        // Nothing permits what is not mapped.
        match self.attempt(walker, &request, prot)? {
            Outcome::Done(pa) => Ok(Some(pa)),
            Outcome::Fault(reasons) => {
                if prot.is_none_or(|prot| !walker.sees(prot)) {
                    self.refused(walker, &request, reasons, &[reason])?;
                }
                Ok(None)
            }
            outcome => Err(wrong(format!("{request} came to {outcome}"))),
        }
    }
}
