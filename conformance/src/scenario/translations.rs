//! Where addresses translate to.

use super::{Scene, wrong};
use crate::ram::Ram;
use crate::walker::Walker;
use generic_pt::iommu::Walkers;
use std::io;

impl<F: Walkers> Scene<'_, '_, F> {
    /// Compares the walker with what was mapped: around every boundary, in every mapping, and elsewhere; and then accesses.
    ///
    /// # Errors
    /// They disagree, or the machine does not work.
    pub fn check(&mut self, ram: &Ram) -> io::Result<()> {
        let domain = self.domain;
        let walker = &mut **domain.driver.walker()?;
        for va in self.places(ram) {
            self.check_translation(walker, va)?;
        }
        self.check_accesses(walker, ram)
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
        places.extend([first, last - 7, last, last.wrapping_add(1), !last]);
        for _ in 0..8 * self.plan.places_of_a_mapping {
            places.push(first + self.rng.below((last - first).saturating_add(1).max(1)));
        }
        places
    }

    fn check_translation(&mut self, walker: &mut dyn Walker, va: u64) -> io::Result<()> {
        let (expected, ours) = (self.expected(va), self.table.iova_to_phys(va));
        if !self.can_be_asked(va) || !walker.reaches(va, expected) {
            return Ok(());
        }
        if ours != expected {
            return Err(wrong(format!("{va:#x}: the library finds {ours:x?}, mapped was {expected:x?}")));
        }
        let seen = expected.filter(|_| self.mapping_of(va).is_some_and(|(_, mapping)| walker.sees(mapping.prot)));
        let found = walker.translate(va)?;
        if found != seen {
            return Err(wrong(format!("{va:#x}: the walker finds {found:x?}, mapped was {expected:x?}")));
        }
        self.counts.translations += 1;
        Ok(())
    }
}
