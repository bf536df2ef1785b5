//! A table of any format behind one object, so that the rest of the tests is compiled once.

use super::world::{TestDomain, World};
use generic_pt::format::{Kind, Top, item_size_lg2};
use generic_pt::iommu::{DirtyMode, Gather, GatherMode, Info, Pending, PtIommu, Synced, TableConfig, Walkers};
use generic_pt::walk::{ItemView, TableView};
use generic_pt::{Error, Invalidation, MapError, Prot, Run, Segment, VaRange};
use std::rc::Rc;

/// The gathers of a subject: 0 and 2 are synced by the caller, 1 is queued.
pub const GATHERS: usize = 3;

pub const fn mode_of(gather: usize) -> GatherMode {
    if gather == 1 { GatherMode::Queued } else { GatherMode::Immediate }
}

/// What a gather shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GatherState {
    pub range: Option<(u64, u64)>,
    pub leaf_levels: u8,
    pub table_levels: u8,
    pub changed: bool,
    pub unlinked: u64,
}

/// One table as `visit_tables` shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    pub level: u32,
    pub va: u64,
    /// Index, raw item, whether it points to a table, lg2 of what the entry covers, address.
    pub items: Vec<(usize, u64, bool, u32, u64)>,
}

/// An item as `visit_items` shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeenItem {
    pub level: u32,
    pub va: u64,
    /// Of those that follow another, that one's.
    pub raw: u64,
    pub is_table: bool,
    pub entry_lg2: u32,
    pub oa: u64,
}

/// The operations of a table, whatever its format.
pub trait Subject {
    fn info(&self) -> Info;
    fn top_level(&self) -> u32;
    fn map(&mut self, iova: u64, paddr: u64, len: u64, prot: Prot) -> Result<(), MapError>;
    fn map_sg(&mut self, iova: u64, segments: &[Segment], prot: Prot) -> Result<u64, MapError>;
    fn unmap(&mut self, iova: u64, len: u64, gather: usize) -> u64;
    /// Unmaps, and keeps what is shown of it.
    fn unmap_with(&mut self, iova: u64, len: u64, gather: usize) -> (u64, Vec<Run>);
    fn translate(&self, iova: u64) -> Option<u64>;
    fn translate_range(&self, iova: u64, len: u64) -> Result<Vec<Run>, Error>;
    fn cursor_map(&mut self, iova: u64, paddr: u64, len: u64, prot: Prot) -> Result<(), MapError>;
    /// Several, through one cursor.
    fn cursor_translate(&mut self, iovas: &[u64]) -> Vec<Option<u64>>;
    fn gather(&self, gather: usize) -> GatherState;
    fn sync(&mut self, gather: usize);
    fn sync_all(&mut self, gather: usize);
    /// Takes what is pending and keeps it. What has to be invalidated, and the number of tables.
    fn take(&mut self, gather: usize) -> (Option<Invalidation>, u64);
    /// Frees what was taken first; the caller has made the hardware forget it.
    fn free_taken(&mut self) -> u64;
    fn dirty(&mut self, iova: u64, len: u64, mode: DirtyMode, gather: usize) -> Result<Vec<(u64, u64)>, Error>;
    fn set_dirty(&self, iova: u64) -> Result<(), Error>;
    fn narrow(&mut self, sizes: u64) -> u64;
    fn visit(&self) -> Vec<Seen>;
    /// The items of all tables, in the order that they are shown in; if it is asked for, with those that follow a leaf made of
    /// that leaf, and not shown.
    fn visit_items(&self, followers: Followers) -> Vec<SeenItem>;
    /// Drops the table while it shows its items.
    fn free_with(self: Box<Self>, followers: Followers) -> Vec<SeenItem>;
    /// Number of tables that can be reached.
    fn tables(&self) -> usize;
    /// Drops the gathers and what was taken, with everything in them.
    fn forget_gathers(&mut self);
}

/// What `visit_items` is told of the items behind a leaf.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Followers {
    Shown,
    PassedOver,
}

struct Table<'w, F: Walkers> {
    table: PtIommu<F, &'w TestDomain>,
    gathers: Vec<Gather<F, &'w TestDomain>>,
    taken: Vec<Pending<F, &'w TestDomain>>,
}

/// Makes a table of format `F`, and tells the simulated hardware where it is.
pub fn start<'w, F: Walkers + 'w>(
    domain: &'w TestDomain,
    config: &TableConfig<F::Config>,
) -> Result<Box<dyn Subject + 'w>, Error> {
    let table = PtIommu::<F, _>::new(domain, config)?;
    let world: &Rc<World> = &domain.driver.0;
    world.root.set(Some(top_of(&table, world)));
    let gathers = (0..GATHERS).map(|n| table.gather(mode_of(n))).collect();
    Ok(Box::new(Table { table, gathers, taken: Vec::new() }))
}

fn top_of<F: Walkers>(table: &PtIommu<F, &TestDomain>, world: &World) -> Top {
    use generic_pt::memory::TableMemory;
    let mut pa = None;
    table.visit_tables(|view| {
        pa.get_or_insert_with(|| table.host().memory.pa_of(view.page()));
    });
    if pa.is_none() {
        world.violation("visit_tables does not show the top".into());
    }
    Top { pa: pa.unwrap_or(0), level: table.top_level() }
}

/// Adds an item, and those that follow it if they are not shown themselves. How many those are.
fn see<F: Walkers>(seen: &mut Vec<SeenItem>, view: &TableView<'_, F>, item: &ItemView, followers: Followers) -> usize {
    let more = match followers {
        Followers::Shown => 0,
        Followers::PassedOver => view.followers(item.index),
    };
    let level = view.level();
    let bytes = 1u64.checked_shl(item_size_lg2::<F>(level)).unwrap_or(0);
    let (is_table, entry_lg2) = (item.kind == Kind::Table, item.entry_size_lg2);
    seen.extend((0..=more as u64).map(|n| {
        let offset = n.wrapping_mul(bytes);
        let (va, oa) = (item.va.wrapping_add(offset), item.oa.wrapping_add(offset));
        SeenItem { level, va, raw: item.raw, is_table, entry_lg2, oa }
    }));
    more
}

impl<F: Walkers> Subject for Table<'_, F> {
    fn info(&self) -> Info {
        self.table.info()
    }
    fn top_level(&self) -> u32 {
        self.table.top_level()
    }
    fn map(&mut self, iova: u64, paddr: u64, len: u64, prot: Prot) -> Result<(), MapError> {
        self.table.map_range(iova, paddr, len, prot)
    }
    fn map_sg(&mut self, iova: u64, segments: &[Segment], prot: Prot) -> Result<u64, MapError> {
        self.table.map_sg(iova, segments, prot)
    }
    fn unmap(&mut self, iova: u64, len: u64, gather: usize) -> u64 {
        self.table.unmap_range(iova, len, &mut self.gathers[gather])
    }
    fn unmap_with(&mut self, iova: u64, len: u64, gather: usize) -> (u64, Vec<Run>) {
        let mut runs = Vec::new();
        let removed = self.table.unmap_range_with(iova, len, &mut self.gathers[gather], |run| runs.push(run));
        (removed, runs)
    }
    fn translate(&self, iova: u64) -> Option<u64> {
        self.table.iova_to_phys(iova)
    }
    fn translate_range(&self, iova: u64, len: u64) -> Result<Vec<Run>, Error> {
        Ok(self.table.translate_range(iova, len)?.collect())
    }
    fn cursor_map(&mut self, iova: u64, paddr: u64, len: u64, prot: Prot) -> Result<(), MapError> {
        self.table.cursor().map(iova, paddr, len, prot)
    }
    fn cursor_translate(&mut self, iovas: &[u64]) -> Vec<Option<u64>> {
        let mut cursor = self.table.cursor();
        iovas.iter().map(|iova| cursor.iova_to_phys(*iova)).collect()
    }
    fn gather(&self, gather: usize) -> GatherState {
        let gather = &self.gathers[gather];
        GatherState {
            range: gather.range().map(|range| (range.va, range.last)),
            leaf_levels: gather.leaf_levels().bits(),
            table_levels: gather.table_levels().bits(),
            changed: gather.changed(),
            unlinked: gather.unlinked_tables(),
        }
    }
    fn sync(&mut self, gather: usize) {
        self.gathers[gather].sync();
    }
    fn sync_all(&mut self, gather: usize) {
        self.gathers[gather].sync_all();
    }
    fn take(&mut self, gather: usize) -> (Option<Invalidation>, u64) {
        let pending = self.gathers[gather].take_pending();
        let told = (pending.invalidation, pending.unlinked_tables());
        self.taken.push(pending);
        told
    }
    fn free_taken(&mut self) -> u64 {
        if self.taken.is_empty() {
            return 0;
        }
        // SAFETY: the caller made the only hardware there is drop everything of the range that was told, or everything.
        self.taken.remove(0).free(unsafe { Synced::promise() })
    }
    fn dirty(&mut self, iova: u64, len: u64, mode: DirtyMode, gather: usize) -> Result<Vec<(u64, u64)>, Error> {
        let mut found = Vec::new();
        let report = |range: VaRange| found.push((range.va, range.last));
        self.table.read_and_clear_dirty(iova, len, mode, &mut self.gathers[gather], report)?;
        Ok(found)
    }
    fn set_dirty(&self, iova: u64) -> Result<(), Error> {
        self.table.set_dirty(iova)
    }
    fn narrow(&mut self, sizes: u64) -> u64 {
        self.table.narrow_page_sizes(sizes)
    }
    fn visit(&self) -> Vec<Seen> {
        let mut seen = Vec::new();
        self.table.visit_tables(|view| {
            let items = view.used().map(|item| {
                let is_table = item.kind == Kind::Table;
                (item.index, item.raw, is_table, item.entry_size_lg2, item.oa)
            });
            seen.push(Seen { level: view.level(), va: view.va(), items: items.collect() });
        });
        seen
    }
    fn visit_items(&self, followers: Followers) -> Vec<SeenItem> {
        let mut seen = Vec::new();
        self.table.visit_items(|view, item| see(&mut seen, view, item, followers));
        seen
    }
    fn free_with(self: Box<Self>, followers: Followers) -> Vec<SeenItem> {
        let mut seen = Vec::new();
        self.table.free_with(|view, item| see(&mut seen, view, item, followers));
        seen
    }
    fn tables(&self) -> usize {
        let mut tables = 0;
        self.table.visit_tables(|_| tables += 1);
        tables
    }
    fn forget_gathers(&mut self) {
        self.gathers.clear();
        self.taken.clear();
    }
}
