//! The plain model: a sorted map of VA to leaf, a set of tables, and what each operation of the specification does to them.
//!
//! All VA in here are in *index space*: without the copies of the sign bit. Arguments, errors and events are not.

use super::formats::HwFormat;
use generic_pt::{Errno, Error, Prot, Run, Segment};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// What a table was configured to be.
#[derive(Clone)]
pub struct Params {
    pub format: Rc<dyn HwFormat>,
    pub start_level: u32,
    pub max_va: u32,
    pub max_oa: u32,
    pub dynamic: bool,
    pub sign: bool,
    pub no_gaps: bool,
    pub detailed: bool,
    pub incoherent: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leaf {
    pub size_lg2: u32,
    pub level: u32,
    pub oa: u64,
    pub attrs: u64,
    pub dirty: bool,
}

/// A table by its level and its first VA.
pub type TableKey = (u32, u64);

#[derive(Clone)]
pub struct Model {
    pub params: Params,
    pub top: u32,
    pub leaves: BTreeMap<u64, Leaf>,
    /// All tables but the top.
    pub tables: BTreeSet<TableKey>,
    pub sizes: u64,
}

pub const fn low(bits: u32) -> u64 {
    if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
}

/// What one item of a map replaced: the item's VA, its level, and the tables that were below.
pub struct Replaced {
    pub va: u64,
    pub last: u64,
    pub tables: Vec<TableKey>,
}

pub struct Mapped {
    pub result: Result<(), Error>,
    pub bytes: u64,
    /// The level of the new top, if it grew.
    pub grown: Option<u32>,
    pub replaced: Vec<Replaced>,
}

pub struct Removed {
    pub bytes: u64,
    /// In index space.
    pub va: u64,
    pub last: u64,
    pub leaves: Vec<(u64, Leaf)>,
    pub tables: Vec<TableKey>,
}

impl Params {
    pub fn item_lg2(&self, level: u32) -> u32 {
        self.format.shape().item_lg2(level)
    }
    /// VA bits that a top of this level decodes.
    pub fn top_va(&self, level: u32) -> u32 {
        if self.dynamic && level < self.format.shape().max_level {
            self.max_va.min(self.item_lg2(level + 1))
        } else {
            self.max_va
        }
    }
    pub fn index_space(&self, va: u64) -> u64 {
        va & low(self.max_va)
    }
    /// The VA that users see for one in index space.
    pub fn real(&self, va: u64) -> u64 {
        if self.sign && va >> (self.max_va - 1) & 1 != 0 {
            va | !low(self.max_va)
        } else {
            va | self.first(self.max_va)
        }
    }
    /// The first VA of a table that decodes so many bits; with sign extension of the lower half.
    pub fn first(&self, bits: u32) -> u64 {
        self.format.va_prefix() & !low(bits)
    }
    /// The highest level that the table can grow to.
    pub fn highest(&self) -> u32 {
        let exists = |level: &u32| self.dynamic && self.item_lg2(*level) < self.max_va;
        (self.start_level + 1..=self.format.shape().max_level).rfind(exists).unwrap_or(self.start_level)
    }
    /// An output address as it can be read back: without the encryption bit.
    pub fn readable(&self, oa: u64) -> u64 {
        oa & !self.format.encryption_mask()
    }
    fn fits(&self, va: u64, last: u64, bits: u32) -> bool {
        if self.sign {
            last <= low(bits - 1) || va >= !low(bits - 1)
        } else {
            (self.first(bits)..=self.first(bits) | low(bits)).contains(&va) && last <= self.first(bits) | low(bits)
        }
    }
    pub fn all_sizes(&self) -> u64 {
        let shape = self.format.shape();
        let used = |level: &u32| {
            if self.dynamic { self.item_lg2(*level) < self.max_va } else { *level <= self.start_level }
        };
        let sizes = (0..=shape.max_level).filter(used).fold(0, |sizes, level| sizes | self.format.sizes(level));
        sizes & low(self.max_va - 1) & low(self.max_oa)
    }
    /// OA bits within which a page of `size` bytes can be anywhere.
    pub fn oa_bits(&self, size: u64) -> u32 {
        let is_held = |bits: &u32| self.format.sizes_for_oa(size, low(*bits) & !(size - 1)) != 0;
        (0..=self.max_oa).rfind(is_held).unwrap_or(0)
    }
    /// The smallest page that can be at the end of the physical range.
    pub fn smallest_at_end_of_oa(&self) -> u64 {
        let mut sizes = (0..64).map(|size| 1 << size).filter(|size| self.all_sizes() & size != 0);
        sizes.find(|size| self.oa_bits(*size) == self.max_oa).unwrap_or(0)
    }
    /// The error for a range beyond every top.
    pub fn range_error(&self, va: u64, last: u64) -> Error {
        self.top_range_error(va, last, if self.dynamic { self.format.shape().max_level } else { self.start_level })
    }
    /// The error for a range beyond a top of this level.
    pub fn top_range_error(&self, va: u64, last: u64, level: u32) -> Error {
        let bits = self.top_va(level) - u32::from(self.sign);
        let upper_first = self.sign.then_some(!low(bits));
        let valid_first = self.first(bits);
        Error::VaRange { va, last, valid_first, valid_last: valid_first | low(bits), upper_first }
    }
    fn level_of(&self, size_lg2: u32) -> u32 {
        let levels = 0..=self.format.shape().max_level;
        levels.rev().find(|level| self.format.sizes(*level) >> size_lg2 & 1 != 0).expect("a permitted size has a level")
    }
}

impl Model {
    pub fn new(params: Params) -> Self {
        let sizes = params.all_sizes();
        Self { top: params.start_level, leaves: BTreeMap::new(), tables: BTreeSet::new(), sizes, params }
    }

    /// The leaf that covers `va`, and where it starts.
    pub fn leaf_at(&self, va: u64) -> Option<(u64, Leaf)> {
        let (start, leaf) = self.leaves.range(..=va).next_back()?;
        (va - start <= low(leaf.size_lg2)).then_some((*start, *leaf))
    }

    /// The first leaf that touches the range.
    fn leaf_in(&self, va: u64, last: u64) -> Option<(u64, Leaf)> {
        self.leaf_at(va).or_else(|| self.leaves.range(va..=last).next().map(|(start, leaf)| (*start, *leaf)))
    }

    pub fn in_range(&self, va: u64, last: u64) -> bool {
        self.params.fits(va, last, self.params.top_va(self.top))
    }

    pub fn translate(&self, iova: u64) -> Option<u64> {
        if !self.in_range(iova, iova) {
            return None;
        }
        let va = self.params.index_space(iova);
        self.leaf_at(va).map(|(start, leaf)| self.params.readable(leaf.oa) + (va - start))
    }

    /// What a translation of the range gives: VA, address, length and protection of each run.
    pub fn runs(&self, iova: u64, len: u64) -> Result<Vec<Run>, Error> {
        let real_last = closed(iova, len)?;
        if !self.params.fits(iova, real_last, self.params.max_va) {
            return Err(self.params.range_error(iova, real_last));
        }
        let (va, last) = (self.params.index_space(iova), self.params.index_space(real_last));
        let first = self.leaf_at(va).map_or(va, |(start, _)| start);
        let leaves = self.leaves.range(first..=last).map(|(start, leaf)| (*start, *leaf));
        let mut runs = self.runs_of(leaves, last);
        if let Some(run) = runs.first_mut()
            && run.iova < iova
        {
            let before = iova - run.iova;
            *run = Run { iova, paddr: run.paddr + before, len: run.len - before, prot: run.prot };
        }
        Ok(runs)
    }

    /// Leaves as maximal runs, up to `last`.
    pub fn runs_of(&self, leaves: impl Iterator<Item = (u64, Leaf)>, last: u64) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let mut known = None;
        for (start, leaf) in leaves {
            // An address may have the bit that says *encrypted*.
            let key = (leaf.level, leaf.size_lg2, leaf.attrs, leaf.oa & self.params.format.encryption_mask());
            let prot = match known {
                Some((same, prot)) if same == key => prot,
                _ => self.prot_of(&leaf),
            };
            known = Some((key, prot));
            let (iova, paddr) = (self.params.real(start), self.params.readable(leaf.oa));
            let len = low(leaf.size_lg2).min(last - start) + 1;
            match runs.last_mut() {
                Some(run)
                    if run.iova.wrapping_add(run.len) == iova
                        && run.paddr.wrapping_add(run.len) == paddr
                        && run.prot == prot =>
                {
                    run.len += len;
                }
                _ => runs.push(Run { iova, paddr, len, prot }),
            }
        }
        runs
    }

    /// The protection that hardware sees like this leaf's: READ and WRITE both if possible, then the fewest other flags.
    fn prot_of(&self, leaf: &Leaf) -> Prot {
        let format = &self.params.format;
        let seen = |attrs| format.leaf(leaf.level, leaf.size_lg2, leaf.oa, 0, attrs);
        let mut prots: Vec<Prot> = (0..32).map(Prot::from_bits_truncate).collect();
        prots.sort_by_key(|prot| {
            let access = prot.bits() & 3;
            ([3, 1, 2].iter().position(|order| *order == access), (prot.bits() >> 2).count_ones(), prot.bits())
        });
        let is_usable = |prot: &&Prot| prot.bits() & 3 != 0;
        let is_same = |prot: &&Prot| format.attrs(**prot).is_ok_and(|attrs| seen(attrs) == seen(leaf.attrs));
        *prots.iter().filter(is_usable).find(is_same).expect("it was mapped with some protection")
    }

    /// The largest permitted size at a place, by trying all.
    fn best(&self, va: u64, last: u64, oa: u64) -> Option<u32> {
        let sizes = self.params.format.sizes_for_oa(self.sizes, oa);
        let fits = |size: &u32| {
            let size_bytes = 1u128 << size;
            sizes >> size & 1 != 0 && (va | oa) & low(*size) == 0 && u128::from(va) + size_bytes - 1 <= u128::from(last)
        };
        (0..64).rev().find(fits)
    }

    fn map_checks(&self, iova: u64, paddr: u64, len: u64, prot: Prot) -> Result<(u64, u32), Error> {
        let pa_range = Error::PaRange { paddr, len, max_oa_lg2: self.params.max_oa };
        let protection = |errno| Error::Protection { prot, valid: "", errno };
        if !prot.contains(Prot::READ) && !prot.contains(Prot::WRITE) {
            return Err(protection(Errno::EINVAL));
        }
        if paddr > low(self.params.max_oa) {
            return Err(pa_range);
        }
        let attrs = self.params.format.attrs(prot).map_err(protection)?;
        let last = closed(iova, len)?;
        let alignment = Error::Alignment { va: iova, paddr, len, page_sizes: self.sizes };
        let first = self.best(iova, last, paddr).ok_or(alignment)?;
        if len & ((1 << self.sizes.trailing_zeros()) - 1) != 0 {
            return Err(alignment);
        }
        if u128::from(paddr) + u128::from(len) - 1 > u128::from(low(self.params.max_oa)) {
            return Err(pa_range);
        }
        self.sizes_fit_everywhere(iova, last, paddr)?;
        Ok((attrs, first))
    }

    /// That there is a size for each address on the way.
    fn sizes_fit_everywhere(&self, mut va: u64, last: u64, mut oa: u64) -> Result<(), Error> {
        let format = &self.params.format;
        if format.sizes_for_oa(self.sizes, oa + (last - va)) == self.sizes {
            return Ok(());
        }
        loop {
            let page_sizes = format.sizes_for_oa(self.sizes, oa);
            let len = last - va + 1;
            let alignment = Error::Alignment { va, paddr: oa, len, page_sizes };
            let size = 1 << self.best(va, last, oa).ok_or(alignment)?;
            if size == len {
                return Ok(());
            }
            (va, oa) = (va + size, oa + size);
        }
    }

    /// `left` allocations succeed.
    pub fn map(&mut self, iova: u64, paddr: u64, len: u64, prot: Prot, left: Option<u32>) -> Mapped {
        match self.map_checks(iova, paddr, len, prot) {
            Ok((attrs, first)) => self.map_runs(iova, &[Segment { paddr, len }], attrs, first, left),
            Err(error) => Mapped { result: Err(error), bytes: 0, grown: None, replaced: Vec::new() },
        }
    }

    /// A scatter list; nothing if one of its runs would be refused alone. `left` allocations succeed.
    pub fn map_sg(&mut self, iova: u64, segments: &[Segment], prot: Prot, left: Option<u32>) -> Option<Mapped> {
        let mut runs: Vec<Segment> = Vec::new();
        for segment in segments.iter().filter(|segment| segment.len != 0) {
            match runs.last_mut() {
                Some(run) if run.paddr.wrapping_add(run.len) == segment.paddr => run.len += segment.len,
                _ => runs.push(*segment),
            }
        }
        let (mut va, mut checked) = (iova, None);
        for run in &runs {
            let (attrs, first) = self.map_checks(va, run.paddr, run.len, prot).ok()?;
            checked = checked.or(Some((attrs, first)));
            va = va.wrapping_add(run.len);
        }
        // A list that ends beyond the last address is refused.
        closed(iova, runs.iter().try_fold(0u64, |sum, run| sum.checked_add(run.len))?).ok()?;
        let (attrs, first) = checked?;
        Some(self.map_runs(iova, &runs, attrs, first, left))
    }

    /// Runs one behind the other, each cut by itself; `first` is the size of the first leaf.
    fn map_runs(&mut self, iova: u64, runs: &[Segment], attrs: u64, first: u32, left: Option<u32>) -> Mapped {
        let mut mapped = Mapped { result: Ok(()), bytes: 0, grown: None, replaced: Vec::new() };
        let mut left = left;
        let all = runs.iter().fold(0u64, |sum, run| sum.wrapping_add(run.len));
        mapped.result = closed(iova, all)
            .and_then(|last| self.grow(iova, last, first, &mut left, &mut mapped))
            .and_then(|()| runs.iter().try_for_each(|run| self.map_run(iova, *run, attrs, &mut left, &mut mapped)));
        mapped
    }

    fn map_run(
        &mut self,
        iova: u64,
        run: Segment,
        attrs: u64,
        left: &mut Option<u32>,
        mapped: &mut Mapped,
    ) -> Result<(), Error> {
        let iova = iova.wrapping_add(mapped.bytes);
        let (mut va, mut oa) = (self.params.index_space(iova), run.paddr);
        let last = self.params.index_space(closed(iova, run.len)?);
        loop {
            let size_lg2 = self.best(va, last, oa).expect("checked before");
            self.place(va, oa, size_lg2, attrs, left, mapped)?;
            mapped.bytes = mapped.bytes.wrapping_add(1 << size_lg2);
            if va + low(size_lg2) >= last {
                return Ok(());
            }
            va += 1 << size_lg2;
            oa += 1 << size_lg2;
        }
    }

    fn allocate(&self, level: u32, va: u64, left: &mut Option<u32>) -> Result<(), Error> {
        match left {
            Some(0) => {
                let size_lg2 = self.params.format.shape().table_bytes_lg2(level);
                Err(Error::OutOfMemory { level, va: self.params.real(va), size_lg2, pa_lg2: 0 })
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn grow(
        &mut self,
        va: u64,
        last: u64,
        first_size: u32,
        left: &mut Option<u32>,
        mapped: &mut Mapped,
    ) -> Result<(), Error> {
        let leaf_level = self.params.level_of(first_size);
        let holds = |level: u32| level >= leaf_level && self.params.fits(va, last, self.params.top_va(level));
        if holds(self.top) {
            return Ok(());
        }
        let out_of_range = self.params.range_error(va, last);
        if !self.params.dynamic {
            return Err(out_of_range);
        }
        let exists = |level: &u32| self.params.item_lg2(*level) < self.params.max_va;
        let mut higher = (self.top + 1..=self.params.format.shape().max_level).filter(exists);
        let new_top = higher.find(|level| holds(*level)).ok_or(out_of_range)?;
        for level in self.top + 1..=new_top {
            self.allocate(level, va, left)?;
        }
        (self.top..new_top).for_each(|level| _ = self.tables.insert((level, 0)));
        self.top = new_top;
        mapped.grown = Some(new_top);
        Ok(())
    }

    /// Puts one leaf where it belongs, making and replacing tables.
    fn place(
        &mut self,
        va: u64,
        oa: u64,
        size_lg2: u32,
        attrs: u64,
        left: &mut Option<u32>,
        mapped: &mut Mapped,
    ) -> Result<(), Error> {
        let level = self.params.level_of(size_lg2);
        for upper in (level + 1..=self.top).rev() {
            if let Some((start, leaf)) = self.leaf_at(va)
                && leaf.level == upper
            {
                return Err(Error::InUse { va: self.params.real(start), level: upper });
            }
            let lower = (upper - 1, va & !low(self.params.item_lg2(upper)));
            if !self.tables.contains(&lower) {
                self.allocate(upper - 1, va, left)?;
                self.tables.insert(lower);
            }
        }
        let item_lg2 = self.params.item_lg2(level);
        for item in 0..1 << (size_lg2 - item_lg2) {
            let item_va = va + (item << item_lg2);
            let item_last = item_va | low(item_lg2);
            if let Some((start, leaf)) = self.leaf_in(item_va, item_last) {
                // A leaf that is itself in the way says where it starts; one in a table, where the table does.
                let va = if leaf.level == level { start } else { item_va };
                return Err(Error::InUse { va: self.params.real(va), level });
            }
            let tables = self.tables_within(item_va, item_last, level);
            if !tables.is_empty() {
                tables.iter().for_each(|table| _ = self.tables.remove(table));
                mapped.replaced.push(Replaced { va: item_va, last: item_last, tables });
            }
        }
        let dirty = self.params.format.starts_dirty(attrs);
        self.leaves.insert(va, Leaf { size_lg2, level, oa, attrs, dirty });
        Ok(())
    }

    /// Tables below `level` that lie in the range.
    fn tables_within(&self, va: u64, last: u64, level: u32) -> Vec<TableKey> {
        let within = |lower: u32| {
            let ends = move |table: &&TableKey| table.1 | low(self.params.item_lg2(lower + 1)) <= last;
            self.tables.range((lower, va)..=(lower, last)).filter(ends).copied()
        };
        (0..level).flat_map(within).collect()
    }

    pub fn unmap(&mut self, iova: u64, len: u64) -> Removed {
        let mut removed = Removed { bytes: 0, va: 0, last: 0, leaves: Vec::new(), tables: Vec::new() };
        let Ok(last) = closed(iova, len) else { return removed };
        if !self.in_range(iova, last) {
            return removed;
        }
        removed.va = self.params.index_space(iova);
        let last = self.params.index_space(last);
        let mut va = removed.va;
        while let Some(leaf) = self.leaves.remove(&va) {
            removed.leaves.push((va, leaf));
            removed.last = va + low(leaf.size_lg2);
            if removed.last >= last {
                break;
            }
            va = removed.last + 1;
        }
        if !removed.leaves.is_empty() {
            let bytes = u128::from(removed.last - removed.va) + 1;
            removed.bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            removed.tables = self.tables_within(removed.va, last.min(removed.last), self.top);
            removed.tables.iter().for_each(|table| _ = self.tables.remove(table));
        }
        removed
    }

    /// The dirty leaves that touch the range, joined, as users see them, and a bit for each level that has some; and made
    /// clean if asked for.
    pub fn dirty(&mut self, iova: u64, len: u64, clear: bool) -> Result<(Vec<(u64, u64)>, u8), Error> {
        let name = "";
        if self.params.format.dirty_bit().is_none() {
            return Err(Error::NotOffered { operation: name, format: name });
        }
        let real_last = closed(iova, len)?;
        if !self.in_range(iova, real_last) {
            return Err(self.params.top_range_error(iova, real_last, self.top));
        }
        let (va, last) = (self.params.index_space(iova), self.params.index_space(real_last));
        let first = self.leaf_at(va).map_or(va, |(start, _)| start);
        let (mut found, mut levels): (Vec<(u64, u64)>, u8) = (Vec::new(), 0);
        for (start, leaf) in self.leaves.range_mut(first..=last).filter(|(_, leaf)| leaf.dirty) {
            let (start, end) = (self.params.real(*start), self.params.real(*start | low(leaf.size_lg2)));
            leaf.dirty &= !clear;
            levels |= 1 << leaf.level;
            match found.last_mut() {
                Some((_, before)) if before.checked_add(1) == Some(start) => *before = end,
                _ => found.push((start, end)),
            }
        }
        Ok((found, levels))
    }

    pub fn set_dirty(&mut self, iova: u64) -> Result<(), Error> {
        if self.params.format.dirty_bit().is_none() {
            return Err(Error::NotOffered { operation: "", format: "" });
        }
        if !self.in_range(iova, iova) {
            return Err(self.params.top_range_error(iova, iova, self.top));
        }
        let (start, _) = self.leaf_at(self.params.index_space(iova)).ok_or(Error::NotMapped { va: iova })?;
        let leaf = self.leaves.get_mut(&start).expect("just found");
        leaf.dirty |= self.params.format.notes_writes(leaf.attrs);
        Ok(())
    }
}

/// The last byte of a range, with the errors of every operation.
pub fn closed(va: u64, len: u64) -> Result<u64, Error> {
    if len == 0 {
        return Err(Error::ZeroLength { va });
    }
    va.checked_add(len - 1).ok_or(Error::Overflow { va, len })
}

/// Whether an error is the one predicted: all but texts.
pub fn same_error(got: &Error, predicted: &Error) -> bool {
    match (got, predicted) {
        (Error::Protection { prot: a, errno: x, .. }, Error::Protection { prot: b, errno: y, .. }) => a == b && x == y,
        (Error::NotOffered { .. }, Error::NotOffered { .. }) => true,
        // The model knows no limits of table addresses; `tests/memory.rs` has them.
        (
            Error::OutOfMemory { level: a, va: v, size_lg2: x, .. },
            Error::OutOfMemory { level: b, va: w, size_lg2: y, .. },
        ) => (a, v, x) == (b, w, y),
        _ => got == predicted,
    }
}
