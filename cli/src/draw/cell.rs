//! Tables as they are drawn: strips of cells, each a run of items that look the same.

use super::looks::LookId;
use crate::inspect::check::Severity;
use crate::inspect::scan::{Blocked, TableAt};

/// A table in the list of those that are drawn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TableId(pub u32);

impl TableId {
    /// Where it is in the list.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What is below a pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Below {
    /// Tables.
    pub tables: u64,
    /// Bytes that are mapped.
    pub bytes: u64,
}

impl Below {
    /// Both together.
    pub fn add(&mut self, other: Self) {
        self.tables = self.tables.saturating_add(other.tables);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// What the items of a cell are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// Nothing: a hole.
    Empty,
    /// Pages.
    Leaf {
        /// Their look.
        look: LookId,
        /// Size of a page, as a power of two.
        entry_lg2: u32,
        /// Runs of physical memory.
        pa_runs: u32,
        /// The highest physical address.
        pa_last: u64,
        /// Where physical memory goes on behind the last item.
        pa_next: u64,
    },
    /// A pointer to a table that is drawn below.
    Table(TableId),
    /// Pointers to a table that is drawn elsewhere: another pointer leads there.
    Shared(TableId),
    /// Pointers to tables that are not drawn.
    Folded(Below),
    /// Items that lead nowhere.
    Blocked(Blocked),
    /// Pages that `--pa` or `--has` leaves out.
    LeftOut,
    /// Items that nobody looked at: they are outside of `--va`, or behind `--limit`.
    Unseen,
}

/// A run of items that look the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cell {
    /// Index of the first.
    pub first: u32,
    /// How many.
    pub items: u32,
    /// What they are.
    pub what: What,
    /// The first one, which can be 0; none where only what the items are is known.
    pub raw: Option<u64>,
    /// Where the first one leads, a page or a table; of pages that do not continue each other the lowest address.
    pub pa: u64,
    /// Findings about them.
    pub findings: Vec<u32>,
    /// The worst of these, and of what is below.
    pub worst: Option<Severity>,
}

impl Cell {
    /// Items of which nothing is known but that they are so.
    pub const fn plain(first: u32, items: u32, what: What) -> Self {
        Self { first, items, what, raw: None, pa: 0, findings: Vec::new(), worst: None }
    }
}

/// Most findings of one cell that are told.
const MOST_FINDINGS: usize = 8;

impl Cell {
    /// Counts the items of the cell behind it as its own.
    pub fn absorb(&mut self, next: &Self) {
        self.items += next.items;
        let room = MOST_FINDINGS.saturating_sub(self.findings.len());
        self.findings.extend(next.findings.iter().take(room));
        self.worst = self.worst.max(next.worst);
    }
}

/// A table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    /// Where it is.
    pub at: TableAt,
    /// The table above it.
    pub above: Option<TableId>,
    /// Index of the item that points to it.
    pub slot: u32,
    /// Its items, all of them.
    pub cells: Vec<Cell>,
    /// Findings about it as a whole.
    pub findings: Vec<u32>,
    /// The worst of these, of those of its items, and of what is below.
    pub worst: Option<Severity>,
    /// What is in it and below, itself included.
    pub below: Below,
}

impl Table {
    /// The cell that has an item.
    pub fn cell_at(&mut self, index: u32) -> &mut Cell {
        let behind = self.cells.partition_point(|cell| cell.first <= index);
        // The cells cover the whole table.
        &mut self.cells[behind - 1]
    }
}
