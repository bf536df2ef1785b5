//! How wide things are drawn.
//!
//! Address spaces are sparse: to scale, 4 KiB in 2^48 bytes would never be seen, and holes would be all there is. So widths grow with
//! the logarithm of what is there, and a table is as wide as what is in it makes it; order is kept, and what is above a
//! table is the item that points to it.

use super::cell::{Cell, Table, What};
use super::extents::Extent;

/// Widths of a table's cells, in a unit of their own.
#[derive(Clone, PartialEq, Debug)]
pub struct Strip {
    /// Of each cell.
    pub widths: Vec<u32>,
    /// Of all.
    pub width: u32,
}

/// Widths of the cells of all tables. Tables are behind those above them.
pub fn strips(tables: &[Table]) -> Vec<Strip> {
    let mut strips = vec![Strip { widths: Vec::new(), width: 0 }; tables.len()];
    for (n, table) in tables.iter().enumerate().rev() {
        let widths: Vec<u32> = table.cells.iter().map(|cell| width(cell, &strips)).collect();
        let width = widths.iter().fold(0u32, |sum, width| sum.saturating_add(*width));
        strips[n] = Strip { widths, width };
    }
    strips
}

fn width(cell: &Cell, strips: &[Strip]) -> u32 {
    let items_lg2 = cell.items.ilog2();
    match cell.what {
        What::Empty | What::Unseen | What::LeftOut => 3 + items_lg2,
        What::Leaf { .. } => 6 + 4 * items_lg2,
        // Many small things do not push one that matters to the edge.
        What::Table(id) => 12 + 5 * strips[id.index()].width.isqrt(),
        What::Folded(below) => 10 + 4 * below.tables.checked_ilog2().unwrap_or(0),
        What::Shared(_) => 14 + 2 * items_lg2,
        // To be seen among thousands.
        What::Blocked(_) => 18,
    }
}

/// Width of a gap between extents, in the same unit as theirs.
pub const GAP_WIDTH: u32 = 4;

/// Width of an extent.
pub fn extent_width(extent: &Extent) -> u32 {
    4 + 2 * extent.used_bytes.checked_ilog2().unwrap_or(0).saturating_sub(10)
}
