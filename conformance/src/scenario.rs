//! Tables with pages of every size, and what has to be true of them, whoever walks.

mod accesses;
mod dirty;
mod outside;
mod replacements;
mod transfers;
mod translations;
mod untouched;

use crate::cells::PROTECTIONS;
use crate::hardware::VmDomain;
use crate::matrix::Counts;
use crate::plan::{Plan, Window};
use crate::ram::Ram;
use crate::rng::Rng;
use crate::walker::{Reach, Walker};
use generic_pt::format::{Common, item_size_lg2};
use generic_pt::iommu::Walkers;
use generic_pt::walk::ItemView;
use generic_pt::{GatherMode, Prot, PtIommu, TableConfig};
use outside::Decoy;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

/// A mapping: what it leads to, its bytes, its protection.
#[derive(Clone, Copy, Debug)]
struct Mapping {
    pa: u64,
    bytes: u64,
    prot: Prot,
}

/// A table, and what was mapped in it.
#[derive(Debug)]
pub struct Scene<'d, 'r, F: Walkers> {
    domain: &'d VmDomain<'r>,
    table: PtIommu<F, &'d VmDomain<'r>>,
    decoy: Decoy,
    mappings: BTreeMap<u64, Mapping>,
    /// The leaves of the table: size of each, as a power of two.
    leaves: BTreeMap<u64, u32>,
    counts: Counts,
    /// The address that was tried last, if one was.
    tried_va: Option<u64>,
    rng: Rng,
    plan: Plan,
}

/// How much of a range was free.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mapped {
    Whole,
    Part,
}

/// Tries at a place for a page that is free.
const MOST_TRIES: u32 = 64;

/// Which size is mapped.
#[derive(Clone, Copy)]
enum Choice {
    /// The one of that number, the largest first, as long as there are so many: one page.
    Each(usize),
    /// Any.
    Random,
}

/// Where as many bytes are in the other half: the halves mirror each other.
pub(crate) fn mirrored(va: u64, bytes: u64) -> u64 {
    (!va).wrapping_sub(bytes - 1)
}

/// A disagreement.
pub(crate) fn wrong(what: String) -> io::Error {
    io::Error::other(what)
}

impl<'d, 'r, F: Walkers> Scene<'d, 'r, F> {
    /// Maps pages of all sizes at random, at the ends of the space, to RAM and to any address; unmaps some of them.
    ///
    /// # Errors
    /// The library refuses what it must not refuse.
    pub fn new(domain: &'d VmDomain<'r>, config: &TableConfig<F::Config>, ram: &Ram, plan: Plan) -> io::Result<Self> {
        let table = PtIommu::<F, _>::new(domain, config).map_err(|error| wrong(format!("init: {error}")))?;
        let decoy = Decoy::new(domain, &table)?;
        let mut scene = Self {
            domain,
            table,
            decoy,
            mappings: BTreeMap::new(),
            leaves: BTreeMap::new(),
            counts: Counts { tables: 1, high_tables: ram.layout().has_high_tables().into(), ..Counts::default() },
            tried_va: None,
            rng: Rng::new(plan.seed),
            plan,
        };
        let Window { pa, bytes, prot } = plan.window;
        if bytes != 0 {
            scene.map(scene.table.info().aperture.va, pa, bytes, prot)?;
        }
        for n in 0..plan.maps as usize {
            for _ in 0..MOST_TRIES {
                // What is not one of each size may collide.
                if scene.random_map(ram, Choice::Each(n))? == Mapped::Whole || n >= scene.sizes().len() {
                    break;
                }
            }
            // Not before there was a page of each size.
            if n >= scene.sizes().len() && scene.rng.below(4) == 0 {
                scene.random_unmap()?;
            }
        }
        Ok(scene)
    }

    /// What the machine is told.
    pub fn hw_info(&self) -> F::HwInfo {
        self.table.hw_info()
    }

    /// What is the same for every top of the table.
    pub fn common(&self) -> &Common<F> {
        self.table.common()
    }

    fn is_window(&self, va: u64) -> bool {
        va.wrapping_sub(self.table.info().aperture.va) < self.plan.window.bytes
    }

    /// Page sizes, smallest first.
    fn sizes(&self) -> Vec<u64> {
        let sizes = self.table.info().page_sizes & self.plan.sizes;
        (0..u64::BITS).map(|bit| 1 << bit).filter(|size| sizes & size != 0).collect()
    }

    /// The last physical address that the table can have on the machine.
    fn last_pa(&self) -> u64 {
        u64::MAX >> (u64::BITS - self.plan.pa_bits.min(self.table.info().max_oa_lg2))
    }

    /// The data that pages of that size can lead to.
    fn areas_for(&self, ram: &Ram, size: u64) -> Vec<Range<u64>> {
        let (mut areas, last_pa) = (ram.data(), self.last_pa());
        areas.retain(|area| area.end - 1 <= last_pa && (area.end >> 32 == 0 || size & self.plan.high_sizes != 0));
        areas
    }

    /// Adds what is free of the range; a part of it may be in the way.
    fn map(&mut self, va: u64, pa: u64, bytes: u64, prot: Prot) -> io::Result<Mapped> {
        match self.table.map_range(va, pa, bytes, prot) {
            Ok(()) => {
                self.mappings.insert(va, Mapping { pa, bytes, prot });
                Ok(Mapped::Whole)
            }
            Err(failed) => {
                let is_free = self.expected(va).is_none() && self.expected(va + (bytes - 1)).is_none();
                let is_between = self.mappings.range(va..=va + (bytes - 1)).next().is_none();
                if failed.errno() != generic_pt::Errno::EADDRINUSE || (is_free && is_between) {
                    return Err(wrong(format!("map of {bytes:#x} bytes at {va:#x} to {pa:#x}: {failed}")));
                }
                if failed.mapped != 0 {
                    self.mappings.insert(va, Mapping { pa, bytes: failed.mapped, prot });
                }
                Ok(Mapped::Part)
            }
        }
    }

    fn random_map(&mut self, ram: &Ram, choice: Choice) -> io::Result<Mapped> {
        let info = self.table.info();
        let granule = self.sizes()[0];
        let span = info.aperture.last - info.aperture.va;
        let pa_last = self.last_pa();
        // Those that leave room for others.
        let fits = |size: &u64| size - 1 <= span / 4 && *size <= pa_last / 8;
        let fitting: Vec<u64> = self.sizes().into_iter().filter(fits).collect();
        let of_each = if let Choice::Each(n) = choice { fitting.iter().rev().nth(n).copied() } else { None };
        let size = if let Some(size) = of_each { size } else { self.rng.one_of(&fitting) };
        // Half of all lead to RAM: they are a part of its data, or the data are a part of them.
        let areas = self.areas_for(ram, size);
        let nth = self.rng.below(areas.len().max(1) as u64) as usize;
        let area = areas.into_iter().nth(nth).filter(|_| self.rng.below(2) == 0);
        let is_around = area.as_ref().is_some_and(|area| size > (area.end - area.start) / 4);
        let bytes = size * if is_around || of_each.is_some() { 1 } else { 1 + self.rng.below(3) };
        // At the beginning, the end, or anywhere; with sign extension in the upper half, too.
        let last_start = span - (bytes - 1);
        let offset = match self.rng.below(6) {
            0 => last_start,
            1 => self.rng.below(1 << 24).min(last_start),
            _ => self.rng.below(last_start.saturating_add(1).max(1)),
        };
        let mut va = info.aperture.va + (offset & !(size - 1));
        if self.is_window(va) {
            va += size.max(self.plan.window.bytes);
            // A small table may have no room for it there.
            if info.aperture.last.checked_sub(va).is_none_or(|rest| rest < bytes - 1) {
                return Ok(Mapped::Part);
            }
        }
        if self.table.common().has(generic_pt::Features::SIGN_EXTEND) && self.rng.below(2) == 0 {
            va = mirrored(va, bytes);
        }
        let prot = self.rng.one_of(&PROTECTIONS);
        let pa = if let Some(area) = area {
            if is_around { area.start } else { area.start + self.rng.below(area.end - area.start - bytes) }
        } else {
            let most_bits = if size & self.plan.high_sizes != 0 { self.plan.pa_bits } else { 32 };
            let limit = u64::MAX >> (u64::BITS - most_bits.min(info.max_oa_lg2));
            match self.rng.below(4) {
                0 => limit - (bytes - 1),
                _ => self.rng.below(limit - (bytes - 1)),
            }
        };
        // Mostly aligned for the page size, sometimes not: then it becomes smaller pages, which must not be too many.
        let is_odd = self.rng.below(3) == 0 && of_each.is_none();
        let unaligned = is_odd && bytes / granule <= 2048 && (pa >> 32 == 0 || granule & self.plan.high_sizes != 0);
        let pa = pa & !(if unaligned { granule } else { size } - 1);
        self.map(va, pa, bytes, prot)
    }

    fn random_unmap(&mut self) -> io::Result<()> {
        let count = self.mappings.len() as u64;
        let nth = self.rng.below(count) as usize;
        let Some((va, mapping)) = self.mappings.iter().nth(nth).map(|(va, mapping)| (*va, *mapping)) else {
            return Ok(());
        };
        if self.is_window(va) {
            return Ok(());
        }
        self.unmap(va, mapping.bytes)
    }

    /// Unmaps one mapping: at once, or in steps of its first leaf each.
    fn unmap(&mut self, va: u64, bytes: u64) -> io::Result<()> {
        let mut gather = self.table.gather(GatherMode::Immediate);
        let (mut removed, in_steps) = (0, self.rng.below(2) == 0);
        while removed < bytes {
            let len = if in_steps { 1 } else { bytes - removed };
            match self.table.unmap_range(va + removed, len, &mut gather) {
                0 => return Err(wrong(format!("unmap at {va:#x} removed {removed:#x} of {bytes:#x} bytes"))),
                more => removed += more,
            }
        }
        gather.sync();
        if removed != bytes {
            return Err(wrong(format!("unmap at {va:#x} removed {removed:#x}, not {bytes:#x} bytes")));
        }
        self.mappings.remove(&va);
        Ok(())
    }

    fn mapping_of(&self, va: u64) -> Option<(u64, Mapping)> {
        let (start, mapping) = self.mappings.range(..=va).next_back()?;
        (va - start < mapping.bytes).then_some((*start, *mapping))
    }

    /// The physical addresses of data that a mapping leads to.
    fn data_of(mapping: Mapping, ram: &Ram) -> impl Iterator<Item = Range<u64>> {
        let Mapping { pa, bytes, .. } = mapping;
        let parts = ram.data().into_iter().map(move |area| area.start.max(pa)..area.end.min(pa.saturating_add(bytes)));
        parts.filter(|part| !part.is_empty())
    }

    /// Whether the walker can be asked about an address; where a fault of the model is why not, that is counted.
    fn reaches(&mut self, walker: &dyn Walker, va: u64, pa: Option<u64>) -> bool {
        match walker.reaches(va, pa) {
            Reach::Asked => true,
            Reach::Elsewhere => {
                self.counts.elsewhere += 1;
                false
            }
            Reach::Avoided(fault) => {
                self.counts.met.count(fault);
                false
            }
        }
    }

    /// What the walker had to go by, of the address that was tried last: for who looks for the reason of a disagreement.
    pub fn context(&self) -> String {
        let told = format!("the library told, in hexadecimal: {:x?}", self.hw_info());
        let Some(va) = self.tried_va else { return told };
        let mut path = Vec::new();
        self.table.visit_tables(|table| {
            let size_lg2 = item_size_lg2::<F>(table.level());
            let covers = |item: &ItemView| item.va >> size_lg2 == va >> size_lg2;
            path.extend(table.used().find(covers).map(|item| {
                let ItemView { index, raw, kind, .. } = item;
                format!("level {}, index {index}: {raw:#x} ({kind:?})", table.level())
            }));
        });
        let path = if path.is_empty() { "no item".to_owned() } else { path.join("; ") };
        let mapping = self.mapping_of(va).map_or("nothing is mapped there".to_owned(), |(start, mapping)| {
            let Mapping { pa, prot, .. } = mapping;
            format!("mapped to {:#x} with {prot:?}", pa + (va - start))
        });
        format!("tried was {va:#x}, {mapping}; items on the way: {path}; {told}")
    }

    /// What was compared so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What `va` has to translate to, from what was mapped.
    fn expected(&self, va: u64) -> Option<u64> {
        self.mapping_of(va).map(|(start, mapping)| mapping.pa + (va - start))
    }

    /// Unmaps a part of what is there, some of it page by page so that empty tables are left, and maps more, also larger
    /// pages in the place of those tables.
    ///
    /// # Errors
    /// The library refuses what it must not refuse.
    pub fn change(&mut self, ram: &Ram) -> io::Result<()> {
        let sizes = self.sizes();
        for (va, mapping) in self.mappings.clone() {
            if self.is_window(va) || self.rng.below(3) == 0 {
                continue;
            }
            self.unmap(va, mapping.bytes)?;
            let whole = sizes.iter().rev().find(|size| **size <= mapping.bytes).copied().unwrap_or(mapping.bytes);
            if self.rng.below(2) == 0 && va & (whole - 1) == 0 {
                // The largest page there, where smaller ones may have been.
                let pa = mapping.pa & !(whole - 1);
                self.map(va, pa, whole, Prot::READ | Prot::WRITE)?;
            }
        }
        for _ in 0..self.plan.maps / 4 {
            self.random_map(ram, Choice::Random)?;
        }
        Ok(())
    }
}
