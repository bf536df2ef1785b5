//! On purpose: leaves of every size in the place of tables, and tables in the place of leaves; and every protection in every way.

use super::accesses::Place;
use super::untouched::Untouched;
use super::{Mapping, Scene, mirrored, wrong};
use crate::cells::PROTECTIONS;
use crate::known::KNOWN_FAULTS;
use crate::leaves::{Extent, Halves, NoRoom};
use crate::ram::{DATA_BYTES, Ram};
use crate::walker::{Outcome, Pages, Reason, Request};
use generic_pt::format::item_size_lg2;
use generic_pt::iommu::Walkers;
use generic_pt::{Features, GatherMode, Prot, VaRange};
use std::io;
use std::ops::Range;

const PROT: Prot = Prot::READ.union(Prot::WRITE);

/// A leaf's address, and the data that it shows.
struct Sight {
    pa: u64,
    data: Range<u64>,
}

/// Where the pages with every protection are, in granules: behind the window.
const PROTECTED_AT: u64 = 32;

impl<F: Walkers> Scene<'_, '_, F> {
    /// Unmaps all but the window; has every page size take the place of tables that the walker used, and tables its place; and
    /// tries in every way each protection that chance did not bring.
    ///
    /// # Errors
    /// They disagree, or the machine does not work.
    pub fn replace(&mut self, ram: &Ram) -> io::Result<()> {
        for (va, Mapping { bytes, .. }) in self.mappings.clone() {
            if !self.is_window(va) {
                self.unmap(va, bytes)?;
            }
        }
        let of_machine = self.table.info().page_sizes;
        self.counts.leaves.leave_out(of_machine & !self.plan.sizes, NoRoom::Machine);
        for size in self.sizes() {
            match self.vas_for(size).and_then(|vas| Ok((vas, self.sights_of(ram, size)?))) {
                Ok((vas, (extent, sights))) => {
                    self.counts.leaves.claim(size, Self::is_above(size), extent);
                    for va in vas {
                        for sight in &sights {
                            self.replace_by(ram, size, va, sight)?;
                        }
                    }
                }
                Err(reason) => self.counts.leaves.leave_out(size, reason),
            }
        }
        self.try_every_protection(ram)?;
        self.ask_for_faults(ram)?;
        let met = self.domain.driver.walker()?.take_met();
        self.counts.met += met;
        Ok(())
    }

    /// Whether leaves of that size can have the place of tables.
    fn is_above(size: u64) -> bool {
        size >> item_size_lg2::<F>(1) != 0
    }

    /// Whether leaves of that size are one item each.
    fn is_one_item(size: u64) -> bool {
        (0..=F::GEOMETRY.max_top_level).any(|level| 1 << item_size_lg2::<F>(level) == size)
    }

    /// Where a leaf of that size can be: behind the window, and if there is an upper half there, too.
    fn vas_for(&self, size: u64) -> Result<Vec<u64>, NoRoom> {
        let aperture = self.table.info().aperture;
        // Aligned, and not at the first VA even without a window.
        let va = aperture.va.checked_add(self.plan.window.bytes.max(1).next_multiple_of(size));
        let fits = |va: &u64| aperture.last.checked_sub(*va).is_some_and(|rest| rest >= size - 1);
        let va = va.filter(fits).ok_or(NoRoom::Va)?;
        let has_halves = self.table.common().has(Features::SIGN_EXTEND);
        Ok([va].into_iter().chain(has_halves.then(|| mirrored(va, size))).collect())
    }

    /// What leaves of that size can show of the data: as many of them as there have to be so that of several items those in both
    /// halves are seen.
    fn sights_of(&self, ram: &Ram, size: u64) -> Result<(Extent, Vec<Sight>), NoRoom> {
        let last_pa = self.last_pa();
        let (mut seen, mut sights) = (Halves::NONE, Vec::new());
        for area in self.areas_for(ram, size) {
            let pa = area.start & !(size - 1);
            let data = area.start..area.end.min(pa.saturating_add(size));
            let halves = [data.start, data.end - 1].map(|data_pa| Halves::at(data_pa - pa, size.ilog2()));
            let more = seen.union(halves[0]).union(halves[1]);
            let is_needed = sights.is_empty() || (!Self::is_one_item(size) && more != seen);
            if last_pa - pa >= size - 1 && is_needed {
                seen = more;
                sights.push(Sight { pa, data });
            }
        }
        let extent = if Self::is_one_item(size) {
            Extent::OneItem
        } else if seen == Halves::BOTH {
            Extent::BothHalves
        } else {
            Extent::BeyondRam
        };
        if sights.is_empty() { Err(NoRoom::Pa) } else { Ok((extent, sights)) }
    }

    /// Small pages at both ends of what a leaf of that size shows of the data, then the leaf, then small pages again; the walker uses
    /// each, and misses it when it is gone.
    fn replace_by(&mut self, ram: &Ram, size: u64, va: u64, Sight { pa, data }: &Sight) -> io::Result<()> {
        let (granule, pa) = (self.sizes()[0], *pa);
        let is_above = Self::is_above(size);
        let first_offset = data.start - pa;
        let last_offset = data.end - granule - pa;
        // They lead elsewhere than the leaf does there.
        let elsewhere = ram.data_pa() + DATA_BYTES / 2;
        let small = [(va + first_offset, elsewhere + granule), (va + last_offset, elsewhere + 3 * granule)];
        let small = &small[..if size == granule { 1 } else { 2 }];
        let large = [(va + first_offset, pa + first_offset), (va + last_offset, pa + last_offset)];

        self.put(small, granule)?;
        self.take_away(small, granule)?;
        self.domain.driver.take_told();
        self.put_at(va, pa, size)?;
        let unlinked: u64 = self.domain.driver.take_told().iter().map(|told| told.unlinked_tables).sum();
        if (unlinked != 0) != is_above {
            return Err(wrong(format!("a leaf of {size:#x} bytes at {va:#x} took the place of {unlinked} tables")));
        }
        self.reach(&large, size)?;
        self.check_leaf_dirty(ram, VaRange { va, last: va + (size - 1) }, size, &large)?;
        self.take_away(&[(va, pa)], size)?;
        self.put(small, granule)?;
        self.take_away(small, granule)?;
        if is_above {
            self.counts.leaves.count_replaced(size);
        }
        Ok(())
    }

    fn put_at(&mut self, va: u64, pa: u64, bytes: u64) -> io::Result<()> {
        match self.map(va, pa, bytes, PROT)? {
            super::Mapped::Whole => Ok(()),
            super::Mapped::Part => Err(wrong(format!("{bytes:#x} bytes at {va:#x} are not free"))),
        }
    }

    /// Maps leaves, which the walker uses.
    fn put(&mut self, leaves: &[(u64, u64)], bytes: u64) -> io::Result<()> {
        for (va, pa) in leaves {
            self.put_at(*va, *pa, bytes)?;
        }
        self.reach(leaves, bytes)
    }

    /// The walker finds these addresses, through leaves of that size.
    fn reach(&mut self, places: &[(u64, u64)], bytes: u64) -> io::Result<()> {
        self.note_leaves();
        for (va, pa) in places {
            self.tried_va = Some(*va);
            let request = self.read_of(*va);
            let outcome = self.domain.driver.walker()?.access(&request)?;
            let mask = u64::MAX >> (u64::BITS - 8 * request.bytes as u32);
            match outcome {
                // Memory holds its own addresses.
                Outcome::Done(found) if found == pa & mask => {}
                Outcome::Permitted { pa: found } if found == *pa => {}
                other => return Err(wrong(format!("{va:#x} is mapped to {pa:#x}, and came to {other}"))),
            }
            self.counts.accesses += 1;
            let size_lg2 = self.went_through(*va)?;
            if 1 << size_lg2 != bytes {
                return Err(wrong(format!("{va:#x}: a leaf of {bytes:#x} bytes is of {:#x}", 1u64 << size_lg2)));
            }
        }
        Ok(())
    }

    /// Unmaps leaves into one gather; after its sync the walker misses each.
    fn take_away(&mut self, leaves: &[(u64, u64)], bytes: u64) -> io::Result<()> {
        let mut gather = self.table.gather(GatherMode::Immediate);
        for (va, _) in leaves {
            let removed = self.table.unmap_range(*va, bytes, &mut gather);
            if removed != bytes {
                return Err(wrong(format!("unmap at {va:#x} removed {removed:#x}, not {bytes:#x} bytes")));
            }
            self.mappings.remove(va);
        }
        gather.sync();
        for (va, _) in leaves {
            self.tried_va = Some(*va);
            let request = self.read_of(*va);
            let domain = self.domain;
            let walker = &mut **domain.driver.walker()?;
            self.counts.accesses += 1;
            // Were it asked again after it forgot that address by itself, what it must not remember would not show.
            match walker.access(&request)? {
                Outcome::Fault(reasons) => self.refused(walker, &request, reasons, &[Reason::NotMapped])?,
                other => return Err(wrong(format!("{va:#x} was unmapped and synced, and came to {other}"))),
            }
        }
        Ok(())
    }

    fn read_of(&self, va: u64) -> Request {
        Request::read(va, self.plan.access_bytes)
    }

    /// Whether the model still has the faults that its walker avoids, by the pages with all protections and one more.
    fn ask_for_faults(&mut self, ram: &Ram) -> io::Result<()> {
        let granule = self.sizes()[0];
        let with = |prot| {
            let mut pages = self.mappings.iter().filter(|(va, _)| !self.is_window(**va));
            pages.find(|(_, mapping)| mapping.prot == prot).map(|(va, _)| *va)
        };
        let pages = (with(PROT), with(PROT | Prot::NOEXEC));
        let (Some(executable_va), Some(data_va)) = pages else {
            return Err(wrong(format!("there are no pages with and without the permission to execute: {pages:x?}")));
        };
        let last_va = self.table.info().aperture.last - (granule - 1);
        self.put_at(last_va, ram.data_pa() + DATA_BYTES / 2, granule)?;
        let domain = self.domain;
        let walker = &mut **domain.driver.walker()?;
        for fault in walker.avoids() {
            if !walker.still_has(fault, &Pages { executable_va, data_va, last_va })? {
                let known = &KNOWN_FAULTS[fault as usize];
                return Err(wrong(format!(
                    "known fault {} ({}) is gone: have this version of the model no longer avoid it, and known.rs not declare it",
                    known.letter, known.what
                )));
            }
            self.counts.asked_for.count(fault);
        }
        Ok(())
    }

    /// Tries those protections in those ways that were not met before.
    fn try_every_protection(&mut self, ram: &Ram) -> io::Result<()> {
        let granule = self.sizes()[0];
        let first = self.table.info().aperture.va + PROTECTED_AT * granule;
        let domain = self.domain;
        self.counts.cells.claim(&**domain.driver.walker()?);
        let places = PROTECTIONS.iter().zip(0..).map(|(prot, n)| {
            let (va, pa) = (first + n * granule, ram.data_pa() + (2 * n + 1) * granule);
            Place { va, pa, prot: *prot }
        });
        let places: Vec<Place> = places.collect();
        for Place { va, pa, prot } in &places {
            if self.map(*va, *pa, granule, *prot)? != super::Mapped::Whole {
                return Err(wrong(format!("a page at {va:#x} is not free")));
            }
        }
        self.note_leaves();
        let walker = &mut **domain.driver.walker()?;
        let untouched = Untouched::new(walker, ram)?;
        for (prot, (access, privilege)) in self.counts.cells.missing() {
            if let Some(place) = places.iter().find(|place| place.prot == prot) {
                self.check_access(walker, ram, *place, access, privilege)?;
            }
        }
        // Of the data also what the leaves of every size before these came to.
        untouched.check(ram)
    }
}
