//! Tables with pages of every size, and what has to be true of them, whoever walks.

use crate::hardware::VmDomain;
use crate::matrix::Counts;
use crate::ram::{DATA_BYTES, Ram};
use crate::rng::Rng;
use crate::walker::{Access, Outcome, Walker};
use generic_pt::iommu::Walkers;
use generic_pt::{GatherMode, Prot, PtIommu, TableConfig};
use std::collections::BTreeMap;
use std::io;

/// Memory that is mapped at the first VA.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Its physical address.
    pub pa: u64,
    /// Its bytes: whole pages, or 0.
    pub bytes: u64,
    /// With which permissions.
    pub prot: Prot,
}

/// Whether there can be a higher one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FirstTop {
    /// It reaches all VA, or has to do.
    Stays,
    /// It can grow, and the machine can be told while it walks.
    Grows,
}

/// What a table is to be like.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Maps tried at random.
    pub maps: u32,
    /// Places of each mapping that are translated, beside those at its ends.
    pub places_of_a_mapping: u64,
    /// Places of each mapping of RAM where they are, at most three.
    pub accesses_of_a_page: usize,
    /// What the machine needs to be mapped at the first VA.
    pub window: Window,
    /// The top of an empty table.
    pub top: FirstTop,
    /// Page sizes that are used.
    pub sizes: u64,
    /// The most PA bits the machine has.
    pub pa_bits: u32,
    /// Page sizes that can have addresses above 4 GiB.
    pub high_sizes: u64,
    /// Bytes of an access.
    pub access_bytes: u64,
    /// The seed.
    pub seed: u64,
}

impl Plan {
    /// A plan for a machine of 48 PA bits.
    pub fn new(seed: u64) -> Self {
        Self {
            maps: 80,
            places_of_a_mapping: 16,
            accesses_of_a_page: 3,
            window: Window { pa: 0, bytes: 0, prot: Prot::READ },
            top: FirstTop::Stays,
            sizes: u64::MAX,
            pa_bits: 48,
            high_sizes: u64::MAX,
            access_bytes: 8,
            seed,
        }
    }
}

impl Plan {
    /// A plan for a device, which is slower, and reaches RAM only.
    pub fn dma(seed: u64) -> Self {
        Self { maps: 60, places_of_a_mapping: 2, accesses_of_a_page: 2, ..Self::new(seed) }
    }
}

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
    mappings: BTreeMap<u64, Mapping>,
    counts: Counts,
    rng: Rng,
    plan: Plan,
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
        let mut scene = Self {
            domain,
            table,
            mappings: BTreeMap::new(),
            counts: Counts::default(),
            rng: Rng::new(plan.seed),
            plan,
        };
        let Window { pa, bytes, prot } = plan.window;
        if bytes != 0 {
            scene.map(scene.table.info().aperture.va, pa, bytes, prot)?;
        }
        for _ in 0..plan.maps {
            scene.random_map(ram)?;
            if scene.rng.below(4) == 0 {
                scene.random_unmap()?;
            }
        }
        Ok(scene)
    }

    /// What the machine is told.
    pub fn hw_info(&self) -> F::HwInfo {
        self.table.hw_info()
    }

    fn is_window(&self, va: u64) -> bool {
        va.wrapping_sub(self.table.info().aperture.va) < self.plan.window.bytes
    }

    /// Page sizes, smallest first.
    fn sizes(&self) -> Vec<u64> {
        let sizes = self.table.info().page_sizes & self.plan.sizes;
        (0..u64::BITS).map(|bit| 1 << bit).filter(|size| sizes & size != 0).collect()
    }

    /// Adds what is free of the range; a part of it may be in the way.
    fn map(&mut self, va: u64, pa: u64, bytes: u64, prot: Prot) -> io::Result<()> {
        match self.table.map_range(va, pa, bytes, prot) {
            Ok(()) => drop(self.mappings.insert(va, Mapping { pa, bytes, prot })),
            Err(failed) => {
                let is_free = self.expected(va).is_none() && self.expected(va + (bytes - 1)).is_none();
                let is_between = self.mappings.range(va..=va + (bytes - 1)).next().is_none();
                if failed.errno() != generic_pt::Errno::EADDRINUSE || (is_free && is_between) {
                    return Err(wrong(format!("map of {bytes:#x} bytes at {va:#x} to {pa:#x}: {failed}")));
                }
                if failed.mapped != 0 {
                    self.mappings.insert(va, Mapping { pa, bytes: failed.mapped, prot });
                }
            }
        }
        Ok(())
    }

    fn random_map(&mut self, ram: &Ram) -> io::Result<()> {
        let info = self.table.info();
        let sizes = self.sizes();
        let granule = sizes[0];
        let span = info.aperture.last - info.aperture.va;
        let pa_last = u64::MAX >> (u64::BITS - self.plan.pa_bits.min(info.max_oa_lg2));
        let fitting: Vec<u64> = sizes.into_iter().filter(|size| size - 1 <= span / 4 && *size <= pa_last / 8).collect();
        let size = self.rng.one_of(&fitting);
        let pages = 1 + self.rng.below(3);
        // At the beginning, the end, or anywhere; with sign extension in the upper half, too.
        let bytes = size * pages;
        let last_start = span - (bytes - 1);
        let offset = match self.rng.below(6) {
            0 => last_start,
            1 => self.rng.below(1 << 24),
            _ => self.rng.below(last_start.saturating_add(1).max(1)),
        };
        let mut va = info.aperture.va + (offset & !(size - 1));
        if self.is_window(va) {
            va += size.max(self.plan.window.bytes);
        }
        if self.table.common().has(generic_pt::Features::SIGN_EXTEND) && self.rng.below(2) == 0 {
            // The halves mirror each other.
            va = (!va).wrapping_sub(bytes - 1);
        }
        let prot = self.random_prot();
        let in_ram = bytes <= DATA_BYTES / 2 && self.rng.below(2) == 0;
        let pa = if in_ram {
            ram.data_pa() + self.rng.below(DATA_BYTES - bytes)
        } else {
            let most_bits = if size & self.plan.high_sizes != 0 { self.plan.pa_bits } else { 32 };
            let limit = u64::MAX >> (u64::BITS - most_bits.min(info.max_oa_lg2));
            match self.rng.below(4) {
                0 => limit - (bytes - 1),
                _ => self.rng.below(limit - (bytes - 1)),
            }
        };
        // Mostly aligned for the page size, sometimes not: then it becomes smaller pages, which must not be too many.
        let is_odd = self.rng.below(3) == 0;
        let unaligned = is_odd && bytes / granule <= 2048 && (pa >> 32 == 0 || granule & self.plan.high_sizes != 0);
        let pa = pa & !(if unaligned { granule } else { size } - 1);
        self.map(va, pa, bytes, prot)
    }

    /// One of all combinations, but for those that no format takes.
    fn random_prot(&mut self) -> Prot {
        self.rng.one_of(&[Prot::READ, Prot::WRITE, Prot::READ | Prot::WRITE])
            | self.rng.one_of(&[Prot::empty(), Prot::CACHE, Prot::MMIO])
            | self.rng.one_of(&[Prot::empty(), Prot::NOEXEC])
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
            self.random_map(ram)?;
        }
        Ok(())
    }

    /// Compares the walker with what was mapped: around every boundary, in every mapping, and elsewhere.
    ///
    /// # Errors
    /// They disagree, or the machine does not work.
    pub fn check(&mut self, ram: &Ram) -> io::Result<()> {
        let walker = &mut **self.domain.driver.walker()?;
        let info = self.table.info();
        let mut places: Vec<u64> = Vec::new();
        for (va, mapping) in self.mappings.clone() {
            let (first, last) = (va, va + (mapping.bytes - 1));
            places.extend([first.wrapping_sub(8), first.wrapping_sub(1), first, first + 1]);
            places.extend([last - 7, last - 1, last, last.wrapping_add(1)]);
            for _ in 0..self.plan.places_of_a_mapping {
                let offset = self.rng.below(mapping.bytes);
                places.push(va + if offset & 1 == 0 { offset & !7 } else { offset });
            }
        }
        let (first, last) = (info.aperture.va, info.aperture.last);
        places.extend([first, last - 7, last, last.wrapping_add(1), !last]);
        for _ in 0..8 * self.plan.places_of_a_mapping {
            places.push(first + self.rng.below((last - first).saturating_add(1).max(1)));
        }
        for va in places {
            let (expected, ours) = (self.expected(va), self.table.iova_to_phys(va));
            if !self.can_be_asked(va) || !walker.reaches(va, expected) {
                continue;
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
        }
        self.check_accesses(walker, ram)
    }

    /// What was compared so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// VA beyond 32 bits are not asked of machines that have none.
    fn can_be_asked(&self, va: u64) -> bool {
        self.table.common().max_va_lg2 > 32 || va >> 32 == 0
    }

    fn check_accesses(&mut self, walker: &mut dyn Walker, ram: &Ram) -> io::Result<()> {
        let data = ram.data_pa()..ram.data_pa() + DATA_BYTES;
        let bytes = self.plan.access_bytes;
        let mask = if bytes == 8 { u64::MAX } else { (1 << (8 * bytes)) - 1 };
        for (start, mapping) in self.mappings.clone() {
            let in_ram = data.contains(&mapping.pa) && data.contains(&(mapping.pa + (mapping.bytes - 1)));
            let places = [0, mapping.bytes - bytes, self.rng.below(mapping.bytes) & !(bytes - 1)];
            for offset in places.into_iter().take(self.plan.accesses_of_a_page).filter(|_| in_ram) {
                let (va, pa) = (start + offset, mapping.pa + offset);
                if !walker.reaches(va, Some(pa)) {
                    continue;
                }
                let can_be_tried = [Access::Read, Access::Write]
                    .map(|access| walker.survives_refusing() || walker.permits(mapping.prot, access));
                let before = ram.read_u64(pa & !7)?;
                let value = self.rng.any() & mask;
                ram.write(pa, &value.to_le_bytes()[..bytes as usize])?;
                if can_be_tried[0] {
                    let read = walker.access(va, Access::Read, 0)?;
                    self.judge(walker, (va, pa), Access::Read, mapping.prot, read, Some(value))?;
                }
                if can_be_tried[1] {
                    let new = !value & mask;
                    let mut written = walker.access(va, Access::Write, new)?;
                    let left = ram.read_u64(pa & !7)? >> (8 * (pa & 7)) & mask;
                    if written == Outcome::Untold {
                        written = if left == value { Outcome::Fault } else { Outcome::Done(0) };
                    }
                    self.judge(walker, (va, pa), Access::Write, mapping.prot, written, None)?;
                    let expected = if matches!(written, Outcome::Done(_)) { new } else { value };
                    if left != expected {
                        return Err(wrong(format!(
                            "{va:#x}: after a write {pa:#x} holds {left:#x}, not {expected:#x}"
                        )));
                    }
                }
                if let Some(instruction) = walker.instruction() {
                    ram.write(pa, instruction)?;
                    let executed = walker.access(va, Access::Execute, 0)?;
                    self.judge(walker, (va, pa), Access::Execute, mapping.prot, executed, None)?;
                }
                ram.write(pa & !7, &before.to_le_bytes())?;
            }
            // Just behind it, where nothing is.
            let behind = start.wrapping_add(mapping.bytes);
            if self.can_be_asked(behind) && self.expected(behind).is_none() && walker.reaches(behind, None) {
                let accesses = [Access::Read, Access::Write, Access::Execute];
                let count = accesses.len() - usize::from(walker.instruction().is_none());
                for access in accesses.into_iter().take(count) {
                    match walker.access(behind, access, 0)? {
                        Outcome::Untold => continue,
                        Outcome::Fault => {}
                        _ => return Err(wrong(format!("{behind:#x}: nothing is mapped, and {access:?} was done"))),
                    }
                    self.counts.accesses += 1;
                    self.counts.faults += 1;
                }
            }
        }
        Ok(())
    }

    fn judge(
        &mut self,
        walker: &dyn Walker,
        (va, pa): (u64, u64),
        access: Access,
        prot: Prot,
        outcome: Outcome,
        value: Option<u64>,
    ) -> io::Result<()> {
        let permitted = walker.permits(prot, access);
        self.counts.accesses += 1;
        match outcome {
            Outcome::Fault if permitted => Err(wrong(format!("{access:?} at {va:#x} with {prot:?} was refused"))),
            Outcome::Done(_) | Outcome::Permitted { .. } if !permitted => {
                Err(wrong(format!("{access:?} at {va:#x} with {prot:?} was done")))
            }
            Outcome::Done(read) if value.is_some_and(|value| value != read) => {
                Err(wrong(format!("read {read:#x} at {va:#x}, where {value:x?} is")))
            }
            Outcome::Permitted { pa: found } if found != pa => {
                Err(wrong(format!("{access:?} at {va:#x} goes to {found:#x}, not {pa:#x}")))
            }
            Outcome::Done(_) | Outcome::Permitted { .. } | Outcome::Untold => Ok(()),
            Outcome::Fault => {
                self.counts.faults += 1;
                Ok(())
            }
        }
    }
}
