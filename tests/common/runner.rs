//! Runs operations on a table and on the model, and compares everything after each step.

use super::configs::Setup;
use super::dump::{self, RawItem, dump};
use super::formats::Decoded;
use super::gathers::{Addition, GatherModel};
use super::hardware::{CachedLeaf, CachedPointer};
use super::model::{Mapped, Model, Removed, TableKey, low, same_error};
use super::ops::{Length, Op, Output, at_most, narrowed, protection};
use super::subject::{Followers, GATHERS, SeenItem, Subject, mode_of};
use super::world::{Event, TestDomain, World};
use generic_pt::iommu::{DirtyMode, GatherMode};
use generic_pt::{Invalidation, MapError, Prot, Segment};
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::rc::Rc;

/// The most leaves one map makes: for speed.
const MOST_LEAVES: u64 = 600;

pub struct Runner<'w> {
    pub world: Rc<World>,
    pub model: Model,
    pub table: Box<dyn Subject + 'w>,
    gathers: Vec<GatherModel>,
    taken: VecDeque<(Option<Invalidation>, GatherModel)>,
    /// Where the tables of the model are.
    pages: BTreeMap<TableKey, u64>,
    pub largest_map: u64,
    /// What the driver was asked to do in the last step.
    pub seen: Vec<Event>,
}

type Checked = Result<(), String>;

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, got: &T, predicted: &T) -> Checked {
    if got == predicted { Ok(()) } else { Err(format!("{what}: got {got:x?}, predicted {predicted:x?}")) }
}

/// Runs a sequence on a fresh table; the first difference is the error.
pub fn run(setup: &Setup, seed: u64, ops: &[Op]) -> Checked {
    let world = setup.world();
    world.seed(seed);
    world.busy.set(2);
    let domain = world.domain();
    let mut runner = Runner::new(setup, &domain)?;
    for (n, op) in ops.iter().enumerate() {
        runner.step(op).map_err(|wrong| format!("step {n}, {op:x?}: {wrong}"))?;
    }
    runner.finish_by(match seed % 3 {
        0 => End::Drop,
        1 => End::Show(Followers::Shown),
        _ => End::Show(Followers::PassedOver),
    })
}

/// What becomes of a table at the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Drop,
    /// Dropped while it shows its items.
    Show(Followers),
}

impl<'w> Runner<'w> {
    pub fn new(setup: &Setup, domain: &'w TestDomain) -> Result<Self, String> {
        let world = Rc::clone(&domain.driver.0);
        let table = setup.start(domain).map_err(|error| format!("init: {error}"))?;
        let queued = |n| GatherModel { queued: mode_of(n) == GatherMode::Queued, ..GatherModel::default() };
        let runner = Self {
            model: Model::new(setup.params()),
            table,
            gathers: (0..GATHERS).map(queued).collect(),
            taken: VecDeque::new(),
            pages: BTreeMap::new(),
            largest_map: MOST_LEAVES,
            seen: Vec::new(),
            world,
        };
        let info = runner.table.info();
        equal("page sizes", &info.page_sizes, &runner.model.sizes)?;
        equal("VA bits", &info.max_va_lg2, &runner.model.params.max_va)?;
        equal("OA bits", &info.max_oa_lg2, &runner.model.params.max_oa)?;
        Ok(runner)
    }

    /// One operation, on the table and on the model.
    pub fn step(&mut self, op: &Op) -> Checked {
        let params = self.model.params.clone();
        match *op {
            Op::Map { at, len, to, prot, fail } => {
                let va = at.va(&params);
                let oa = to.address(&params, va, len.bytes(&params));
                let len = at_most(&self.model, va, oa, len.bytes(&params), self.largest_map);
                self.map(va, oa, len, protection(prot), fail.map(u32::from)).map(drop)
            }
            Op::MapSg { at, runs, cut, prot, fail } => {
                let va = at.va(&params);
                let segments = self.segments(va, runs, cut.into());
                self.map_sg(va, &segments, protection(prot), fail.map(u32::from))
            }
            Op::Unmap { at, len, gather } => self.unmap(at.va(&params), len.bytes(&params), gather.into()).map(drop),
            Op::UnmapLeaf { pick, part, gather } => {
                let Some((va, size_lg2)) = self.pick(pick) else { return Ok(()) };
                let bytes = 1u64 << size_lg2;
                let len = match part {
                    0 => 1 << params.format.shape().granule_lg2,
                    1 => bytes,
                    more => bytes.saturating_mul(more.into()).saturating_add(1),
                };
                self.unmap(params.real(va), len, gather.into()).map(drop)
            }
            Op::Rebuild { pick, higher, gather } => self.rebuild(pick, higher.into(), gather.into()),
            Op::Block { at, level, gather } => self.block(at.va(&params), level.into(), gather.map(usize::from)),
            Op::Translate { at } => self.translate(at.va(&params)),
            Op::TranslateRange { at, len } => self.translate_range(at.va(&params), len.bytes(&params)),
            Op::Sync { gather } => self.sync(gather.into()),
            Op::SyncAll { gather } => self.sync_all(gather.into()),
            Op::Take { gather } => self.take(gather.into()),
            Op::FreeTaken => self.free_taken(),
            Op::Dirty { at, len, clear, gather } => {
                self.dirty(at.va(&params), len.bytes(&params), clear, gather.into())
            }
            Op::SetDirty { pick, granules } => match self.inside(pick, granules) {
                Some(va) => self.set_dirty(va),
                None => self.set_dirty(0),
            },
            Op::DeviceWrite { pick, granules } => match self.inside(pick, granules) {
                Some(va) => self.device_write(va),
                None => Ok(()),
            },
            Op::DirtyLeaf { pick, granules, from, by_device, gather } => {
                let (Some(va), Some(from)) = (self.inside(pick, granules), self.inside(pick, from)) else {
                    return Ok(());
                };
                if by_device {
                    self.device_write(va)?
                } else {
                    self.set_dirty(va)?
                }
                self.dirty(from, 1, true, gather.into())?;
                self.dirty(va, 1, false, gather.into())
            }
            Op::Narrow { sizes } => self.narrow(narrowed(&params, sizes)),
        }
    }

    /// The runs of a list, the longer ones cut into two segments of which the second continues the first.
    fn segments(&self, mut va: u64, runs: [(Length, Output); 3], cut: u64) -> Vec<Segment> {
        let params = &self.model.params;
        let mut segments = Vec::new();
        for (len, to) in runs {
            let paddr = to.address(params, va, len.bytes(params));
            let len = at_most(&self.model, va, paddr, len.bytes(params), self.largest_map / 3);
            let first = cut.min(len);
            segments.push(Segment { paddr, len: first });
            segments.push(Segment { paddr: paddr.wrapping_add(first), len: len - first });
            va = va.wrapping_add(len);
        }
        segments
    }

    /// A leaf that is there: VA (index space) and size.
    fn pick(&self, pick: u16) -> Option<(u64, u32)> {
        let leaves = &self.model.leaves;
        let (va, leaf) = leaves.iter().nth(usize::from(pick) % leaves.len().max(1))?;
        Some((*va, leaf.size_lg2))
    }

    /// A VA in a leaf that is there, as users see it.
    fn inside(&self, pick: u16, granules: u16) -> Option<u64> {
        let (va, size_lg2) = self.pick(pick)?;
        let offset = u64::from(granules) << self.model.params.format.shape().granule_lg2;
        Some(self.model.params.real(va + (offset & low(size_lg2))))
    }

    fn hot(&self, iova: u64, len: u64) {
        let va = self.model.params.index_space(iova);
        let last = self.model.params.index_space(iova.wrapping_add(len.wrapping_sub(1)));
        let middle = self.model.params.index_space(va.wrapping_add(last.wrapping_sub(va) / 2));
        let mut hot = vec![va, va, last, middle, self.model.params.index_space(last.wrapping_add(1))];
        hot.extend(self.pick(self.world.random(1 << 16) as u16).map(|(va, _)| va));
        *self.world.hot.borrow_mut() = hot;
    }

    pub fn map(&mut self, iova: u64, paddr: u64, len: u64, prot: Prot, fail: Option<u32>) -> Result<Mapped, String> {
        self.hot(iova, len);
        let mapped = self.model.map(iova, paddr, len, prot, fail);
        self.world.allocations_left.set(fail);
        self.world.mapping.set(true);
        let got = if self.world.random(4) == 0 {
            self.table.cursor_map(iova, paddr, len, prot)
        } else {
            self.table.map(iova, paddr, len, prot)
        };
        self.mapped(iova, got.map(|()| len), mapped)
    }

    /// A scatter list, unless the model would refuse a part of it.
    pub fn map_sg(&mut self, iova: u64, segments: &[Segment], prot: Prot, fail: Option<u32>) -> Checked {
        let len = segments.iter().fold(0u64, |sum, segment| sum.wrapping_add(segment.len));
        self.hot(iova, len);
        let Some(mapped) = self.model.map_sg(iova, segments, prot, fail) else { return Ok(()) };
        self.world.allocations_left.set(fail);
        self.world.mapping.set(true);
        let got = self.table.map_sg(iova, segments, prot);
        self.mapped(iova, got, mapped).map(drop)
    }

    /// What follows a map, of whatever kind: the result, the driver's part, and everything that can be seen.
    fn mapped(&mut self, iova: u64, got: Result<u64, MapError>, mapped: Mapped) -> Result<Mapped, String> {
        self.world.mapping.set(false);
        self.world.allocations_left.set(None);
        let told = got.unwrap_or_else(|error| error.mapped);
        match (&got, &mapped.result) {
            (Ok(bytes), Ok(())) => equal("bytes mapped", bytes, &mapped.bytes)?,
            (Err(got), Err(error)) => {
                let place = (got.mapped, got.va) == (mapped.bytes, iova.wrapping_add(mapped.bytes));
                if !place || !same_error(&got.error, error) {
                    return Err(format!("map: got {got:x?}, predicted {error:x?} after {:#x}", mapped.bytes));
                }
            }
            (got, error) => return Err(format!("map: got {got:x?}, predicted {error:x?} after {:#x}", mapped.bytes)),
        }
        // What the driver of hardware in caching mode has to do after a map.
        if told != 0 {
            let va = self.model.params.index_space(iova);
            self.world.caches.borrow_mut().drop_empty(va..=va + (told - 1));
        }
        let mut events: Vec<Event> = mapped.grown.iter().map(|level| Event::ChangeTop(*level)).collect();
        let mut gather = GatherModel::default();
        for replaced in &mapped.replaced {
            let (va, last) = (self.model.params.real(replaced.va), self.model.params.real(replaced.last));
            // Freed when the map returns, so where they were does not matter: they may be as new as the map's own top.
            let tables = replaced.tables.iter().map(|(level, va)| (*level, 0, *va)).collect();
            events.extend(self.add_to(&mut gather, Addition { va, last, leaves: Vec::new(), tables })?);
            if self.world.format.break_before_make() {
                events.extend(gather.sync());
            }
        }
        events.extend(gather.sync());
        self.check(&events)?;
        Ok(mapped)
    }

    fn addresses(&self, tables: &[TableKey]) -> Result<Vec<(u32, u64, u64)>, String> {
        let address =
            |key: &TableKey| self.pages.get(key).map(|pa| (key.0, *pa, key.1)).ok_or(format!("no page of {key:x?}"));
        tables.iter().map(address).collect()
    }

    fn add_to(&self, gather: &mut GatherModel, addition: Addition) -> Result<Option<Event>, String> {
        let event = gather.add(&self.model.params, addition);
        if self.model.params.no_gaps {
            gather.check_gaps()?;
        }
        Ok(event)
    }

    pub fn unmap(&mut self, iova: u64, len: u64, gather: usize) -> Result<Removed, String> {
        self.hot(iova, len);
        let removed = self.model.unmap(iova, len);
        let got = if self.world.random(2) == 0 {
            let (got, runs) = self.table.unmap_with(iova, len, gather);
            let predicted = self.model.runs_of(removed.leaves.iter().copied(), u64::MAX);
            equal("runs unmapped", &runs, &predicted)?;
            got
        } else {
            self.table.unmap(iova, len, gather)
        };
        equal("bytes unmapped", &got, &removed.bytes)?;
        let mut event = None;
        if removed.bytes != 0 {
            let mut model = std::mem::take(&mut self.gathers[gather]);
            let (va, last) = (iova, self.model.params.real(removed.last));
            let tables = self.addresses(&removed.tables)?;
            event = self.add_to(&mut model, Addition { va, last, leaves: removed.leaves.clone(), tables })?;
            self.gathers[gather] = model;
        }
        self.check(event.as_slice())?;
        Ok(removed)
    }

    fn rebuild(&mut self, pick: u16, higher: usize, gather: usize) -> Checked {
        let Some((va, size_lg2)) = self.pick(pick) else { return Ok(()) };
        let sizes = (size_lg2 + 1..64).filter(|size| self.model.sizes >> size & 1 != 0);
        let Some(size) = sizes.take(higher * 4).last() else { return Ok(()) };
        let start = va & !low(size);
        let inside: Vec<_> = self.model.leaves.range(start..=start | low(size)).take(40).map(|(va, _)| *va).collect();
        for leaf in inside {
            self.unmap(self.model.params.real(leaf), 1, gather)?;
        }
        self.map(self.model.params.real(start), 0, 1 << size, Prot::READ | Prot::WRITE, None).map(drop)
    }

    /// Empties a block, fills it with smaller pages (the first part with still smaller ones, so that tables are nested),
    /// and empties it whole again, which unlinks them all.
    fn block(&mut self, va: u64, level: u32, unmap: Option<usize>) -> Checked {
        let params = self.model.params.clone();
        let level = level.min(params.start_level);
        let (start, len) = (va & !low(params.item_lg2(level)), 1u64 << params.item_lg2(level));
        let first = params.index_space(start);
        for _ in 0..30 {
            let Some((leaf, _)) = self.model.leaves.range(first..=first + (len - 1)).next() else { break };
            let leaf = *leaf;
            self.unmap(params.real(leaf), len - (leaf - first), unmap.unwrap_or(0))?;
        }
        let nested = if level < 2 { 0 } else { 1 << params.item_lg2(level - 1) };
        for (at, len, below) in
            [(start, nested, level.saturating_sub(2)), (start.wrapping_add(nested), len - nested, level - 1)]
        {
            // The OA permits no pages above those of this level.
            let odd = 1 << params.item_lg2(below);
            let oa = (at & low(params.max_oa.min(40)) | odd) & !(odd << 1 | params.format.encryption_mask());
            let len = at_most(&self.model, at, oa, len, self.largest_map);
            if len != 0 {
                self.map(at, oa, len, protection(3), None)?;
            }
        }
        self.translate(start)?;
        unmap.map_or(Ok(()), |gather| self.unmap(start, len, gather).map(drop))
    }

    pub fn translate(&mut self, va: u64) -> Checked {
        let places = [va, va ^ 0xabc, va.wrapping_sub(1), va ^ 1 << 63, va ^ 1 << 47];
        for va in places {
            equal("translation", &self.table.translate(va), &self.model.translate(va))?;
        }
        let predicted: Vec<_> = places.map(|va| self.model.translate(va)).into();
        equal("translations of a cursor", &self.table.cursor_translate(&places), &predicted)?;
        self.check(&[])
    }

    pub fn translate_range(&mut self, iova: u64, len: u64) -> Checked {
        let (got, predicted) = (self.table.translate_range(iova, len), self.model.runs(iova, len));
        match (&got, &predicted) {
            (Ok(got), Ok(predicted)) => equal("runs", got, predicted)?,
            (Err(got), Err(predicted)) if same_error(got, predicted) => {}
            _ => return Err(format!("runs: got {got:x?}, predicted {predicted:x?}")),
        }
        self.check(&[])
    }

    pub fn sync(&mut self, gather: usize) -> Checked {
        let event = self.gathers[gather].sync();
        self.table.sync(gather);
        self.check(event.as_slice())
    }

    pub fn sync_all(&mut self, gather: usize) -> Checked {
        let event = self.gathers[gather].sync_all();
        self.table.sync_all(gather);
        self.check(event.as_slice())
    }

    pub fn take(&mut self, gather: usize) -> Checked {
        let model = self.gathers[gather].take();
        let invalidation = model.invalidation();
        let unlinked = model.unlinked;
        self.taken.push_back((invalidation, model));
        equal("taken", &self.table.take(gather), &(invalidation, unlinked))?;
        self.check(&[])
    }

    pub fn free_taken(&mut self) -> Checked {
        let Some((invalidation, model)) = self.taken.pop_front() else { return Ok(()) };
        match invalidation {
            Some(invalidation) => self.world.invalidate(&invalidation),
            None => self.world.caches.borrow_mut().clear(),
        }
        equal("tables freed", &self.table.free_taken(), &model.unlinked)?;
        self.check(&[])
    }

    pub fn dirty(&mut self, iova: u64, len: u64, clear: bool, gather: usize) -> Checked {
        self.hot(iova, len);
        let predicted = self.model.dirty(iova, len, clear);
        let mode = if clear { DirtyMode::Clear } else { DirtyMode::Peek };
        let got = self.table.dirty(iova, len, mode, gather);
        match (&got, &predicted) {
            (Ok(got), Ok((predicted, _))) => equal("dirty", got, predicted)?,
            (Err(got), Err(predicted)) if same_error(got, predicted) => {}
            _ => return Err(format!("dirty: got {got:x?}, predicted {predicted:x?}")),
        }
        if clear && let Ok((found, levels)) = &predicted {
            self.gathers[gather].add_cleaned(&self.model.params, found, *levels);
        }
        self.check(&[])
    }

    pub fn set_dirty(&mut self, iova: u64) -> Checked {
        let predicted = self.model.set_dirty(iova);
        let got = self.table.set_dirty(iova);
        match (got, predicted) {
            (Ok(()), Ok(())) => {
                // It stands for hardware, which an incoherent walker is too.
                self.world.hardware_catches_up(self.model.params.index_space(iova));
            }
            (Err(got), Err(predicted)) if same_error(&got, &predicted) => {}
            (got, predicted) => return Err(format!("set dirty: got {got:x?}, predicted {predicted:x?}")),
        }
        self.check(&[])
    }

    pub fn device_write(&mut self, iova: u64) -> Checked {
        if self.world.device_writes(self.model.params.index_space(iova)) {
            self.model.set_dirty(iova).map_err(|error| format!("device write: {error}"))?;
        }
        self.check(&[])
    }

    pub fn narrow(&mut self, sizes: u64) -> Checked {
        self.model.sizes = self.model.params.all_sizes() & sizes;
        equal("page sizes", &self.table.narrow(sizes), &self.model.sizes)?;
        self.check(&[])
    }

    /// Everything there is to compare, after every step.
    pub fn check(&mut self, predicted: &[Event]) -> Checked {
        self.world.hardware_runs();
        self.world.verdict()?;
        self.seen = self.world.take_events();
        equal("driver calls", &self.seen.as_slice(), &predicted)?;
        equal("top level", &self.table.top_level(), &self.model.top)?;
        let found = dump(&self.world)?;
        dump::compare(&self.world, &found, &self.model)?;
        self.pages = found.tables;
        for (n, gather) in self.gathers.iter().enumerate() {
            equal("gather", &self.table.gather(n), &gather.state())?;
        }
        let waiting = self.stale().map(|gather| gather.unlinked).sum::<u64>() as usize;
        equal("tables seen by visit_tables", &self.table.tables(), &(self.pages.len() + 1))?;
        equal("live table pages", &self.world.live_pages(), &(self.pages.len() + 1 + waiting))?;
        self.check_caches()
    }

    fn stale(&self) -> impl Iterator<Item = &GatherModel> {
        self.gathers.iter().chain(self.taken.iter().map(|(_, gather)| gather))
    }

    /// Everything that hardware has cached is true, or waits in a gather that was not synced.
    fn check_caches(&self) -> Checked {
        let caches = self.world.caches.borrow();
        for leaf in &caches.leaves {
            let excused = || self.stale().any(|gather| gather.stale.excuses_leaf(leaf));
            if !self.is_true(leaf) && !excused() {
                return Err(format!("hardware still has {leaf:x?}"));
            }
            let dirty = || self.model.leaves.get(&leaf.va).is_some_and(|now| now.dirty);
            let cleaned = || self.stale().any(|gather| gather.stale.excuses_write(leaf));
            if leaf.wrote && !dirty() && !excused() && !cleaned() {
                return Err(format!("hardware will not note writes any more: {leaf:x?}"));
            }
        }
        for pointer in &caches.pointers {
            let CachedPointer { va, level, pa, .. } = *pointer;
            let is_true = self.pages.get(&(level - 1, va)) == Some(&pa);
            if !is_true && !self.stale().any(|gather| gather.stale.excuses_pointer(pointer)) {
                return Err(format!("hardware still has {pointer:x?}"));
            }
        }
        for va in &caches.empty {
            if self.model.leaf_at(*va).is_some() && !self.stale().any(|gather| gather.stale.excuses_empty(*va)) {
                return Err(format!("hardware still has {va:#x} as empty"));
            }
        }
        Ok(())
    }

    fn is_true(&self, cached: &CachedLeaf) -> bool {
        self.model.leaves.get(&cached.va).is_some_and(|leaf| {
            let format = &self.world.format;
            let raw = format.leaf(leaf.level, leaf.size_lg2, leaf.oa, 0, leaf.attrs);
            let decoded = format.decode(leaf.level, raw);
            let now = super::formats::Decoded::Leaf {
                size_lg2: cached.size_lg2,
                oa: cached.oa,
                attrs: cached.attrs,
                dirty: false,
            };
            decoded == now && leaf.level == cached.level
        })
    }

    /// What the library shows of the table is what is in memory.
    fn check_visit(&self) -> Checked {
        let params = &self.model.params;
        let mut shown = Vec::new();
        for table in self.table.visit() {
            let item = |(index, raw, is_table, ..): &(usize, u64, bool, u32, u64)| RawItem {
                level: table.level,
                va: params.index_space(table.va) | (*index as u64) << params.item_lg2(table.level),
                raw: *raw,
                is_leaf: !is_table,
            };
            shown.extend(table.items.iter().map(item));
        }
        let key = |item: &RawItem| (item.va, item.level);
        let mut there = dump(&self.world)?.items;
        shown.sort_unstable_by_key(key);
        there.sort_unstable_by_key(key);
        equal("items that visit_tables shows", &shown, &there)?;
        self.check_visit_items()
    }

    /// `visit_items` shows what `visit_tables` does, in VA order, also if leaves that follow others are passed over.
    fn check_visit_items(&self) -> Checked {
        let shown = self.table.visit_items(Followers::Shown);
        let mut by_table = Vec::new();
        for table in self.table.visit() {
            let (level, params) = (table.level, &self.model.params);
            let first = params.index_space(table.va);
            by_table.extend(table.items.iter().map(|(index, raw, is_table, entry_lg2, oa)| SeenItem {
                level,
                va: params.real(first | (*index as u64) << params.item_lg2(level)),
                raw: *raw,
                is_table: *is_table,
                entry_lg2: *entry_lg2,
                oa: *oa,
            }));
        }
        by_table.sort_unstable_by_key(|item| (item.va, std::cmp::Reverse(item.level)));
        equal("items that visit_items shows", &shown, &by_table)?;
        let passed_over = self.table.visit_items(Followers::PassedOver);
        equal("with followers passed over", &self.with_attributes(&passed_over), &self.with_attributes(&shown))
    }

    /// Items with what hardware reads of them beside their address and size, for those of whose bits only that is known.
    fn with_attributes(&self, items: &[SeenItem]) -> Vec<(SeenItem, Option<u64>)> {
        let decoded = items.iter().map(|item| match self.world.format.decode(item.level, item.raw) {
            Decoded::Leaf { attrs, .. } => (SeenItem { raw: 0, ..item.clone() }, Some(attrs)),
            _ => (item.clone(), None),
        });
        decoded.collect()
    }

    /// Syncs everything, drops the table, and looks for what is left.
    pub fn finish(self) -> Checked {
        self.finish_by(End::Drop)
    }

    fn finish_by(mut self, end: End) -> Checked {
        for gather in 0..GATHERS {
            self.sync(gather)?;
        }
        while !self.taken.is_empty() {
            self.free_taken()?;
        }
        self.check_visit()?;
        self.world.root.set(None);
        self.world.caches.borrow_mut().clear();
        match end {
            End::Drop => drop(self.table),
            End::Show(followers) => {
                let shown = self.table.visit_items(followers);
                equal("items that free_with shows", &self.table.free_with(followers), &shown)?;
            }
        }
        self.world.verdict()?;
        equal("table pages left", &self.world.live_pages(), &0)?;
        self.world.pages.borrow().check_poison()
    }
}
