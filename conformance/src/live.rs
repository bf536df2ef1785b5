//! Tables that change while a device uses them: what was unmapped may be reached until the sync that the library asks for, and
//! must not be reached after it.

use crate::hardware::VmDomain;
use crate::known::Fault;
use crate::matrix::Counts;
use crate::plan::{FirstTop, Plan};
use crate::ram::{DATA_BYTES, Ram};
use crate::scenario::{mirrored, wrong};
use crate::walker::{Outcome, Reason, Request, Told, UNTOLD};
use generic_pt::format::{Common, item_size_lg2};
use generic_pt::iommu::{Gather, Walkers};
use generic_pt::{Features, GatherMode, Invalidation, LevelSet, Prot, PtIommu, VaRange};
use std::io;

const PROT: Prot = Prot::READ.union(Prot::WRITE);

/// What was removed between two syncs.
#[derive(Clone, Copy)]
struct Removed {
    /// Levels of leaves.
    leaf_levels: LevelSet,
    /// Levels of pointers to tables.
    table_levels: LevelSet,
    /// How many tables.
    tables: u64,
}

/// What a device finds where something was unmapped and not synced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    OldPage,
    Nothing,
}

const PAGES: Removed = Removed { leaf_levels: LevelSet::of(0), table_levels: LevelSet::NONE, tables: 0 };

/// A table that hardware walks already.
#[derive(Debug)]
pub struct Live<'d, 'r, F: Walkers> {
    domain: &'d VmDomain<'r>,
    table: PtIommu<F, &'d VmDomain<'r>>,
    ram: &'r Ram,
    top: FirstTop,
    access_bytes: u64,
    granule: u64,
    /// What one table of the lowest level maps.
    lowest_table: u64,
    counts: Counts,
}

impl<'d, 'r, F: Walkers> Live<'d, 'r, F> {
    /// Of a table in which only the plan's window is mapped.
    ///
    /// # Errors
    /// The library refuses to map it.
    pub fn new(
        domain: &'d VmDomain<'r>,
        mut table: PtIommu<F, &'d VmDomain<'r>>,
        plan: &Plan,
        ram: &'r Ram,
    ) -> io::Result<Self> {
        let info = table.info();
        let granule = info.page_sizes & info.page_sizes.wrapping_neg();
        let map = table.map_range(info.aperture.va, plan.window.pa, plan.window.bytes, plan.window.prot);
        map.map_err(|error| wrong(format!("window: {error}")))?;
        let item_bytes = size_of::<F::Item>() as u64;
        Ok(Self {
            domain,
            table,
            ram,
            top: plan.top,
            access_bytes: plan.access_bytes,
            granule,
            lowest_table: granule * (granule / item_bytes),
            counts: Counts { tables: 1, high_tables: ram.layout().has_high_tables().into(), ..Counts::default() },
        })
    }

    /// What the machine is told.
    pub fn hw_info(&self) -> F::HwInfo {
        self.table.hw_info()
    }

    /// What is the same for every top of the table.
    pub fn common(&self) -> &Common<F> {
        self.table.common()
    }

    /// Changes the table in all ways, and looks at it through the device before and after each sync.
    ///
    /// # Errors
    /// The device reaches what it must not reach, or the other way round; the library asks for other syncs than it says; or
    /// nothing was ever reached before a sync, so that nothing was shown.
    pub fn check(mut self) -> io::Result<Counts> {
        // Behind the window, and if there is an upper half there, too.
        let at = self.table.info().aperture.va + 4 * self.lowest_table;
        let has_halves = self.table.common().has(Features::SIGN_EXTEND);
        for at in [at].into_iter().chain(has_halves.then(|| mirrored(at, 8 * self.lowest_table))) {
            self.pages_with_one_between(at)?;
            self.a_whole_table(at + self.lowest_table)?;
            self.a_page_in_the_place_of_a_table(at + 2 * self.lowest_table)?;
            self.tables_and_a_page(at + 4 * self.lowest_table)?;
        }
        if self.top == FirstTop::Grows {
            self.higher_tops(at + 8 * self.lowest_table)?;
        }
        let met = self.domain.driver.walker()?.take_met();
        self.counts.met += met;
        Ok(self.counts)
    }

    /// Two pages are unmapped into one gather; the one between stays.
    fn pages_with_one_between(&mut self, at: u64) -> io::Result<()> {
        let (first, between, last) = (at, at + self.granule, at + 2 * self.granule);
        for (va, n) in [(first, 0), (between, 4), (last, 2)] {
            self.map(va, self.data_pa(n))?;
            self.reaches(va, self.data_pa(n))?;
        }
        let mut gather = self.table.gather(GatherMode::Immediate);
        let of = |va, last_va| VaRange { va, last: last_va + (self.granule - 1) };
        let no_gaps = self.table.common().has(Features::FLUSH_RANGE_NO_GAPS);
        let (early, late) =
            if no_gaps { (vec![of(first, first)], vec![of(last, last)]) } else { (vec![], vec![of(first, last)]) };
        self.unmap(first, self.granule, &mut gather)?;
        self.was_told_nothing()?;
        self.still_reaches(first, self.data_pa(0))?;
        self.unmap(last, self.granule, &mut gather)?;
        self.was_told(&early, PAGES)?;
        if no_gaps {
            // What came next is not adjacent, so it was synced before.
            self.misses(first)?;
            // Nobody asked for that one to be forgotten.
            if self.reaches_or_misses(last, self.data_pa(2))? == Seen::Nothing {
                self.counts.met.count(Fault::ForgetsDomain);
            }
        } else {
            self.still_reaches(first, self.data_pa(0))?;
            self.still_reaches(last, self.data_pa(2))?;
        }
        gather.sync();
        self.was_told(&late, PAGES)?;
        self.misses(first)?;
        self.misses(last)?;
        self.reaches(between, self.data_pa(4))?;
        // Mapped again, elsewhere.
        self.map(first, self.data_pa(6))?;
        self.reaches(first, self.data_pa(6))
    }

    /// A table full of pages goes at once; pages elsewhere take its place.
    fn a_whole_table(&mut self, at: u64) -> io::Result<()> {
        let pages = self.lowest_table / self.granule;
        let places = [0, pages / 2, pages - 1].map(|n| (at + n * self.granule, self.data_pa(n)));
        for n in 0..pages {
            self.map(at + n * self.granule, self.data_pa(n))?;
        }
        for (va, pa) in places {
            self.reaches(va, pa)?;
        }
        let mut gather = self.table.gather(GatherMode::Immediate);
        self.unmap(at, self.lowest_table, &mut gather)?;
        self.was_told_nothing()?;
        for (va, pa) in places {
            self.still_reaches(va, pa)?;
        }
        gather.sync();
        self.was_told(
            &[VaRange { va: at, last: at + (self.lowest_table - 1) }],
            Removed { leaf_levels: LevelSet::of(0), table_levels: LevelSet::of(1), tables: 1 },
        )?;
        for (va, _) in places {
            self.misses(va)?;
        }
        for (n, (va, _)) in (7..).zip(places) {
            self.map(va, self.data_pa(n))?;
            self.reaches(va, self.data_pa(n))?;
        }
        Ok(())
    }

    /// A large page takes the place of a table that holds nothing any more: the library syncs by itself. Then it goes, too.
    fn a_page_in_the_place_of_a_table(&mut self, at: u64) -> io::Result<()> {
        let bytes = self.lowest_table;
        let mut gather = self.table.gather(GatherMode::Immediate);
        self.map(at, self.data_pa(1))?;
        self.reaches(at, self.data_pa(1))?;
        self.unmap(at, self.granule, &mut gather)?;
        self.was_told_nothing()?;
        gather.sync();
        self.was_told(&[VaRange { va: at, last: at + (self.granule - 1) }], PAGES)?;
        // The data are a part of what it leads to, or the other way round.
        let pa = self.ram.data_pa() & !(bytes - 1);
        self.table.map_range(at, pa, bytes, PROT).map_err(|error| wrong(format!("map at {at:#x}: {error}")))?;
        let range = VaRange { va: at, last: at + (bytes - 1) };
        let table = Removed { leaf_levels: LevelSet::NONE, table_levels: LevelSet::of(1), tables: 1 };
        self.was_told(&[range], table)?;
        let first = self.ram.data_pa() - pa;
        for offset in [first, first + self.granule, bytes.min(first + DATA_BYTES) - 8] {
            self.reaches(at + offset, pa + offset)?;
        }
        self.unmap(at, bytes, &mut gather)?;
        self.was_told_nothing()?;
        self.still_reaches(at + first, pa + first)?;
        gather.sync();
        let page = Removed { leaf_levels: LevelSet::of(1), table_levels: LevelSet::NONE, tables: 0 };
        self.was_told(&[range], page)?;
        self.misses(at + first)
    }

    /// Two tables full of pages go at once with a large page: several levels in one sync.
    fn tables_and_a_page(&mut self, at: u64) -> io::Result<()> {
        let (bytes, pages) = (self.lowest_table, 2 * self.lowest_table / self.granule);
        for n in 0..pages {
            self.map(at + n * self.granule, self.data_pa(n))?;
        }
        // The data are a part of what it leads to, or the other way round.
        let large_pa = self.ram.data_pa() & !(bytes - 1);
        let large_va = at + 2 * bytes;
        let map = self.table.map_range(large_va, large_pa, bytes, PROT);
        map.map_err(|error| wrong(format!("map at {large_va:#x}: {error}")))?;
        let inside = self.ram.data_pa() - large_pa;
        let first_of_second = pages / 2;
        let places =
            [0, first_of_second - 1, first_of_second, pages - 1].map(|n| (at + n * self.granule, self.data_pa(n)));
        let places: Vec<_> = places.into_iter().chain([(large_va + inside, large_pa + inside)]).collect();
        for (va, pa) in &places {
            self.reaches(*va, *pa)?;
        }
        let mut gather = self.table.gather(GatherMode::Immediate);
        self.was_told_nothing()?;
        self.unmap(at, 3 * bytes, &mut gather)?;
        self.was_told_nothing()?;
        for (va, pa) in &places {
            self.still_reaches(*va, *pa)?;
        }
        gather.sync();
        let leaf_levels = LevelSet::of(0).union(LevelSet::of(1));
        self.was_told(
            &[VaRange { va: at, last: at + (3 * bytes - 1) }],
            Removed { leaf_levels, table_levels: LevelSet::of(1), tables: 2 },
        )?;
        for (va, _) in &places {
            self.misses(*va)?;
        }
        Ok(())
    }

    /// Maps beyond the top, while the device uses the one that there is: each needs one level more, up to the highest. After each
    /// the device forgets everything, and finds what was mapped below every top before.
    fn higher_tops(&mut self, first_va: u64) -> io::Result<()> {
        let mut mapped = vec![(first_va, self.data_pa(2))];
        self.map(first_va, self.data_pa(2))?;
        self.reaches(first_va, self.data_pa(2))?;
        self.domain.driver.take_tops();
        let (first_top, max_va_lg2) = (self.table.top_level(), self.table.common().max_va_lg2);
        let levels =
            (first_top + 1..=F::GEOMETRY.max_top_level).take_while(|level| item_size_lg2::<F>(*level) < max_va_lg2);
        for level in levels {
            // The first that a table of the level below does not decode.
            let (at, pa) = (1 << item_size_lg2::<F>(level), self.data_pa(3 + u64::from(level)));
            self.map(at, pa)?;
            let tops: Vec<u32> = self.domain.driver.take_tops().iter().map(|top| top.level).collect();
            if tops != [level] {
                return Err(wrong(format!(
                    "a map of {at:#x} needs a top of level {level}, and the tops became {tops:?}"
                )));
            }
            // It needs no sync.
            self.reaches(at, pa)?;
            mapped.push((at, pa));
            self.domain.driver.walker()?.invalidate(&Invalidation::EVERYTHING)?;
            for (va, pa) in &mapped {
                self.reaches(*va, *pa)?;
            }
        }
        if mapped.len() == 1 {
            return Err(wrong(format!("there is no top above level {first_top} to grow to")));
        }
        Ok(())
    }

    fn data_pa(&self, n: u64) -> u64 {
        // Not in the order of the pages, so that they stay pages.
        self.ram.data_pa() + (n * 5 + 1) % (DATA_BYTES / self.granule) * self.granule
    }

    /// Maps a page where nothing is, which needs no sync.
    fn map(&mut self, va: u64, pa: u64) -> io::Result<()> {
        let map = self.table.map_range(va, pa, self.granule, PROT);
        map.map_err(|error| wrong(format!("map of {va:#x} to {pa:#x}: {error}")))?;
        self.was_told_nothing()
    }

    /// Unmaps all of that; its sync comes later.
    fn unmap(&mut self, va: u64, bytes: u64, gather: &mut Gather<F, &'d VmDomain<'r>>) -> io::Result<()> {
        match self.table.unmap_range(va, bytes, gather) {
            removed if removed == bytes => Ok(()),
            removed => Err(wrong(format!("unmap at {va:#x} removed {removed:#x} of {bytes:#x} bytes"))),
        }
    }

    /// What the device reads. Memory holds its own addresses.
    fn read(&mut self, va: u64) -> io::Result<Outcome> {
        let request = Request::read(va, self.access_bytes);
        let outcome = self.domain.driver.walker()?.access(&request)?;
        self.counts.accesses += 1;
        self.counts.faults += u64::from(matches!(outcome, Outcome::Fault(_)));
        Ok(outcome)
    }

    fn reaches(&mut self, va: u64, pa: u64) -> io::Result<()> {
        match self.read(va)? {
            Outcome::Done(found) if found == pa => Ok(()),
            other => Err(wrong(format!("{va:#x} is mapped to {pa:#x}, and the device finds {other}"))),
        }
    }

    /// After an unmap and before its sync the old page: else what comes after the sync shows nothing.
    fn still_reaches(&mut self, va: u64, pa: u64) -> io::Result<()> {
        match self.reaches_or_misses(va, pa)? {
            Seen::OldPage => Ok(()),
            Seen::Nothing => Err(wrong(format!(
                "{va:#x} was unmapped and not synced, and the device does not reach it any more, so this shows nothing"
            ))),
        }
    }

    /// After an unmap and before its sync: the old page, or nothing.
    fn reaches_or_misses(&mut self, va: u64, pa: u64) -> io::Result<Seen> {
        match self.read(va)? {
            Outcome::Fault(_) => Ok(Seen::Nothing),
            Outcome::Done(found) if found == pa => {
                self.counts.stale += 1;
                Ok(Seen::OldPage)
            }
            other => Err(wrong(format!("{va:#x} was mapped to {pa:#x}, and the device finds {other}"))),
        }
    }

    fn misses(&mut self, va: u64) -> io::Result<()> {
        let outcome = self.read(va)?;
        let told = self.domain.driver.walker()?.reasons_told(va);
        match outcome {
            Outcome::Fault(reasons) if reasons.contains(&Reason::NotMapped) => {
                self.counts.reasons += 1;
                Ok(())
            }
            Outcome::Fault(UNTOLD) => match told {
                Told::Always => {
                    Err(wrong(format!("{va:#x} was unmapped and synced, and it is not told why it is refused")))
                }
                Told::Never => Ok(()),
                Told::Faulty(fault) => {
                    self.counts.met.count(fault);
                    Ok(())
                }
            },
            other => Err(wrong(format!("{va:#x} was unmapped and synced, and the device finds {other}"))),
        }
    }

    /// That no sync was asked for.
    fn was_told_nothing(&self) -> io::Result<()> {
        self.was_told(&[], PAGES)
    }

    /// Whether just these ranges were asked for, in each of which that was removed.
    fn was_told(&self, ranges: &[VaRange], removed: Removed) -> io::Result<()> {
        let told = self.domain.driver.take_told();
        let Removed { mut leaf_levels, mut table_levels, tables: unlinked_tables } = removed;
        if !self.table.common().has(Features::DETAILED_GATHER) {
            (leaf_levels, table_levels) = (LevelSet::NONE, LevelSet::NONE);
        }
        let of_range = |&VaRange { va, last }| Invalidation { va, last, leaf_levels, table_levels, unlinked_tables };
        let expected: Vec<Invalidation> = ranges.iter().map(of_range).collect();
        if told == expected {
            return Ok(());
        }
        Err(wrong(format!("syncs were expected as {expected:x?}, and asked for as {told:x?}")))
    }
}
