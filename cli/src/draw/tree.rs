//! From an image to what is drawn: one scan, in bounded memory.
//!
//! Each table is looked at once for each level at which it is used, as `check` does; further pointers to it are shown as such. So a
//! hostile image ends as early as there. Tables beyond a limit are not kept, but counted at the pointer above them.

use super::cell::{Below, Cell, Table, TableId, What};
use super::looks::{Look, LookId, Looks};
use super::maps::{Link, Maps};
use super::marks::Marks;
use crate::decode::{Item, Meaning, Shape};
use crate::inspect::check::Severity;
use crate::inspect::runs::Needed;
use crate::inspect::scan::{Blocked, Event, ItemAt, Scan, TableAt};
use crate::inspect::source::Source;
use crate::number::AddressRange;
use generic_pt::lg2;
use std::collections::HashMap;

/// Most tables that are kept.
const MOST_TABLES: usize = 1 << 15;
/// Most cells that are kept; a table that would begin behind is not.
const MOST_CELLS: usize = 1 << 19;

/// What a scan came to.
pub struct Tree {
    /// Tables, each behind the one above it; the first is the top.
    pub tables: Vec<Table>,
    /// How pages look.
    pub looks: Vec<Look>,
    /// Distinct tables of each level, the lowest first.
    pub level_tables: Vec<u64>,
    /// Whether all was looked at.
    pub reach: Reach,
}

/// Whether all was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// It was.
    Whole,
    /// There were more items than allowed.
    Cut,
}

/// Where a table of each level went.
#[derive(Clone, Copy)]
enum Place {
    Kept(TableId),
    /// Counted at this cell.
    Folded(TableId, u32),
}

struct Builder<'a> {
    source: &'a Source,
    window: AddressRange,
    /// Physical memory of the pages that are drawn.
    pa: AddressRange,
    marks: &'a Marks,
    looks: Looks<'a>,
    maps: Maps,
    tables: Vec<Table>,
    cells: usize,
    level_tables: Vec<u64>,
    /// Where tables went that were met already.
    seen: HashMap<(u64, u32), Place>,
    /// The tables from the top to the present one, by level.
    path: Vec<Place>,
}

/// Which part of an image is drawn, and what of it makes no difference.
pub struct Part {
    /// VA.
    pub va: AddressRange,
    /// Physical memory of pages.
    pub pa: AddressRange,
    /// Fields that pages need to have.
    pub needed: Vec<Needed>,
    /// Fields that make no difference.
    pub ignored: Vec<usize>,
}

/// Scans an image.
pub fn scan(source: &Source, part: Part, most_items: u64, marks: &Marks) -> (Tree, Maps) {
    let Part { va: window, pa, needed, ignored } = part;
    let levels = source.decoder.shape().levels.len();
    let mut builder = Builder {
        source,
        window,
        pa,
        marks,
        looks: Looks::new(source, needed, ignored),
        maps: Maps::default(),
        tables: Vec::new(),
        cells: 0,
        level_tables: vec![0; levels],
        seen: HashMap::new(),
        path: vec![Place::Kept(TableId(0)); levels],
    };
    let mut reach = Reach::Whole;
    let mut scan = Scan::new(source, window, most_items);
    while let Some(event) = scan.next() {
        match event {
            Event::Enter(at) => {
                if !builder.is_new(&at) {
                    scan.pass_over();
                }
            }
            Event::Table(at, _) => builder.table(at, scan.items()),
            Event::Leaf(at) => builder.leaf(&at),
            Event::Blocked(at, blocked) => builder.replace(&at, What::Blocked(blocked)),
            Event::Limit(_) => reach = Reach::Cut,
        }
    }
    let Builder { mut tables, looks, maps, level_tables, .. } = builder;
    sum_up(&mut tables);
    (Tree { tables, looks: looks.finish(), level_tables, reach }, maps)
}

/// Brings what is below to the pointers above.
fn sum_up(tables: &mut [Table]) {
    for n in (1..tables.len()).rev() {
        let Table { below, worst, slot, above, .. } = tables[n];
        let Some(above) = above else { continue };
        let table = &mut tables[above.index()];
        table.below.add(below);
        table.worst = table.worst.max(worst);
        let cell = table.cell_at(slot);
        cell.worst = cell.worst.max(worst);
    }
}

impl Builder<'_> {
    fn shape(&self) -> &Shape {
        self.source.decoder.shape()
    }

    /// Whether a table was not met before at the same level. If it was, the pointer to it says so.
    fn is_new(&mut self, at: &TableAt) -> bool {
        let Some(place) = self.seen.get(&(at.pa, at.level)).copied() else { return true };
        let shared = match place {
            Place::Kept(id) => What::Shared(id),
            Place::Folded(..) => What::Folded(Below::default()),
        };
        if let Some(Place::Kept(parent)) = self.above(at) {
            self.set(parent, at, shared);
        }
        false
    }

    /// Takes a table in.
    fn table(&mut self, at: TableAt, items: &[Item]) {
        let above = self.above(&at);
        self.level_tables[at.level as usize] += 1;
        self.maps.table(at.pa, self.shape().table_bytes(at.level));
        let is_room = self.tables.len() < MOST_TABLES && self.cells < MOST_CELLS;
        let place = match above {
            None => Place::Kept(TableId(0)),
            Some(Place::Kept(_)) if is_room => Place::Kept(TableId(self.tables.len() as u32)),
            Some(Place::Kept(parent)) => Place::Folded(parent, self.shape().index(at.pointer_level, at.va) as u32),
            Some(folded @ Place::Folded(..)) => folded,
        };
        self.seen.insert((at.pa, at.level), place);
        self.path[at.level as usize] = place;
        let cells = self.cells_of(&at, items);
        let bytes = cells.iter().fold(0u64, |sum, cell| sum.saturating_add(self.leaf_bytes(at.level, cell)));
        let below = Below { tables: 1, bytes };
        let findings = self.marks.of_table(at.level, at.pa).to_vec();
        let worst = cells.iter().map(|cell| cell.worst).max().flatten().max(self.marks.worst(&findings));
        match place {
            Place::Kept(id) => {
                self.cells += cells.len();
                let parent = above.and_then(|place| if let Place::Kept(parent) = place { Some(parent) } else { None });
                let slot = parent.map_or(0, |_| self.shape().index(at.pointer_level, at.va) as u32);
                self.tables.push(Table { at, above: parent, slot, cells, findings, worst, below });
                if let Some(parent) = parent {
                    self.set(parent, &at, What::Table(id));
                }
            }
            Place::Folded(parent, index) => self.fold(parent, index, below, worst),
        }
    }

    /// Tells the maps of a leaf; they come in VA order, so that runs across tables are one.
    fn leaf(&mut self, at: &ItemAt) {
        let len_minus_1 = self.item_len_minus_1(at.table.level);
        let Some(look) = self.look(at) else { return };
        self.looks.count(look, len_minus_1.saturating_add(1));
        self.maps.leaf(Link { va: at.va, pa: at.item.pa, len_minus_1 }, look);
    }

    /// The look of a leaf; none if it is left out.
    fn look(&mut self, at: &ItemAt) -> Option<LookId> {
        let last = at.item.pa.saturating_add(self.item_len_minus_1(at.table.level));
        let is_in = AddressRange { first: at.item.pa, last }.overlaps(&self.pa);
        if is_in { self.looks.of(at) } else { None }
    }

    /// Bytes of VA that an item covers, less 1.
    fn item_len_minus_1(&self, level: u32) -> u64 {
        let shape = self.shape();
        lg2::low_mask(shape.levels[level as usize].item_lg2.min(shape.va_lg2))
    }

    fn above(&self, at: &TableAt) -> Option<Place> {
        self.path.get(at.pointer_level as usize).copied()
    }

    /// Counts what is not kept.
    fn fold(&mut self, parent: TableId, index: u32, below: Below, worst: Option<Severity>) {
        let table = &mut self.tables[parent.index()];
        table.below.add(below);
        table.worst = table.worst.max(worst);
        let cell = table.cell_at(index);
        cell.worst = cell.worst.max(worst);
        let mut all = if let What::Folded(before) = cell.what { before } else { Below::default() };
        all.add(below);
        cell.what = What::Folded(all);
    }

    /// Says what the pointer to a table is.
    fn set(&mut self, parent: TableId, at: &TableAt, what: What) {
        let index = self.shape().index(at.pointer_level, at.va) as u32;
        self.set_cell(parent, index, what);
    }

    /// Says what an item is that leads nowhere.
    fn replace(&mut self, at: &ItemAt, what: What) {
        if let Place::Kept(id) = self.path[at.table.level as usize] {
            self.set_cell(id, at.item.index, what);
        }
    }

    fn set_cell(&mut self, id: TableId, index: u32, what: What) {
        let cell = self.tables[id.index()].cell_at(index);
        // Foreign items are known as such from the beginning, and may be a run.
        if cell.what == What::Unseen {
            cell.what = what;
        }
    }

    fn leaf_bytes(&self, level: u32, cell: &Cell) -> u64 {
        let is_leaf = matches!(cell.what, What::Leaf { .. });
        let item_lg2 = self.shape().levels[level as usize].item_lg2;
        if is_leaf { u64::from(cell.items).saturating_mul(lg2::pow2(item_lg2)) } else { 0 }
    }

    /// The items of a table as cells; pointers are unseen until it is known what they lead to.
    fn cells_of(&mut self, at: &TableAt, items: &[Item]) -> Vec<Cell> {
        let count = 1u32 << self.shape().levels[at.level as usize].items_lg2;
        let (first, behind) = self.looked_at(at, count);
        let mut cells = Vec::new();
        if first > 0 {
            cells.push(Cell::plain(0, first, What::Unseen));
        }
        let mut next = first;
        for item in items.iter().filter(|item| (first..behind).contains(&item.index)) {
            if item.index > next {
                cells.push(Cell::plain(next, item.index - next, What::Empty));
            }
            next = item.index + 1;
            let cell = self.cell(at, item);
            let may_join = self.hole(at.level) != Some(cell.first);
            let is_joined = may_join && cells.last_mut().is_some_and(|before| self.join(before, &cell));
            if !is_joined {
                cells.push(cell);
            }
        }
        if next < behind {
            cells.push(Cell::plain(next, behind - next, What::Empty));
        }
        if behind < count {
            cells.push(Cell::plain(behind, count - behind, What::Unseen));
        }
        self.split_at_hole(at.level, &mut cells);
        cells
    }

    /// The first item of a table of `level` whose VA does not continue that of the one before: the upper half of a top.
    fn hole(&self, level: u32) -> Option<u32> {
        let shape = self.shape();
        let has_hole = level == shape.top_level() && shape.is_sign_extended();
        has_hole.then(|| 1 << shape.levels[level as usize].items_lg2 >> 1)
    }

    /// No cell is in both halves: what is between them is no VA.
    fn split_at_hole(&self, level: u32, cells: &mut Vec<Cell>) {
        let Some(hole) = self.hole(level) else { return };
        let n = cells.partition_point(|cell| cell.first < hole);
        let Some(before) = n.checked_sub(1).and_then(|n| cells.get_mut(n)) else { return };
        let end = before.first + before.items;
        if end > hole {
            // Pages do not reach this far: they were not joined. What is left has nothing but its items.
            before.items = hole - before.first;
            let rest = Cell::plain(hole, end - hole, before.what);
            cells.insert(n, rest);
        }
    }

    /// The items that are in the window: the first, and the one behind the last.
    fn looked_at(&self, at: &TableAt, count: u32) -> (u32, u32) {
        if self.window == AddressRange::ALL {
            return (0, count);
        }
        let shape = self.shape();
        let bytes_minus_1 = self.item_len_minus_1(at.level);
        let is_in = |index: &u32| {
            let first = shape.va_at(at.level, at.va, *index);
            AddressRange { first, last: first | bytes_minus_1 }.overlaps(&self.window)
        };
        let first = (0..count).find(is_in).unwrap_or(count);
        (first, (first..count).rfind(is_in).map_or(first, |last| last + 1))
    }

    fn cell(&mut self, at: &TableAt, item: &Item) -> Cell {
        let shape = self.source.decoder.shape();
        let item_pa = at.pa + (u64::from(item.index) << shape.item_bytes_lg2);
        let what = match item.meaning {
            Meaning::Leaf => {
                let va = shape.va_at(at.level, at.va, item.index);
                let bytes_minus_1 = self.item_len_minus_1(at.level);
                let pa_last = item.pa.saturating_add(bytes_minus_1);
                let pa_next = item.pa.wrapping_add(bytes_minus_1).wrapping_add(1);
                let entry_lg2 = item.entry_lg2.into();
                match self.look(&ItemAt { table: *at, va, item: *item }) {
                    Some(look) => What::Leaf { look, entry_lg2, pa_runs: 1, pa_last, pa_next },
                    None => What::LeftOut,
                }
            }
            Meaning::Foreign => What::Blocked(Blocked::Foreign),
            Meaning::Table | Meaning::Empty => What::Unseen,
        };
        let findings = self.marks.of_item(at.level, item_pa).to_vec();
        let worst = self.marks.worst(&findings);
        Cell { first: item.index, items: 1, what, raw: Some(item.raw), pa: item.pa, findings, worst }
    }

    /// Makes an item part of the cell before it, if it looks the same.
    fn join(&self, before: &mut Cell, next: &Cell) -> bool {
        let is_next = before.first + before.items == next.first;
        if !is_next || !self.marks.are_alike(&before.findings, &next.findings) {
            return false;
        }
        match (&mut before.what, next.what) {
            (
                What::Leaf { look, entry_lg2, pa_runs, pa_last, pa_next },
                What::Leaf { look: look_2, entry_lg2: entry_lg2_2, pa_last: pa_last_2, pa_next: pa_next_2, .. },
            ) if (*look, *entry_lg2) == (look_2, entry_lg2_2) => {
                if *pa_next != next.pa {
                    *pa_runs += 1;
                }
                *pa_last = (*pa_last).max(pa_last_2);
                *pa_next = pa_next_2;
                before.pa = before.pa.min(next.pa);
            }
            (What::Blocked(one), What::Blocked(other)) if *one == other => {}
            (What::LeftOut, What::LeftOut) => {}
            _ => return false,
        }
        before.absorb(next);
        true
    }
}
