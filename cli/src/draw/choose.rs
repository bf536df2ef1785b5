//! Which tables are drawn, where there are too many: from the top down, a fair part of each, and those with findings first.

use super::cell::{Below, Cell, Table, TableId, What};
use super::marks::Marks;
use crate::inspect::check::Severity;
use std::cmp::Reverse;
use std::collections::HashMap;

/// How much is drawn at the most. The top is always drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Tables.
    pub tables: usize,
    /// Cells of all tables.
    pub cells: usize,
}

/// Leaves the tables that are drawn; pointers to others say how many these are, and neighbours of them become one cell.
pub fn choose(tables: Vec<Table>, budget: Budget, marks: &Marks) -> Vec<Table> {
    let mut new_ids: Vec<Option<TableId>> = vec![None; tables.len()];
    let mut chosen = 0;
    for (n, is_chosen) in choices(&tables, budget).into_iter().enumerate() {
        if is_chosen {
            new_ids[n] = Some(TableId(chosen));
            chosen += 1;
        }
    }
    let below: Vec<Below> = tables.iter().map(|table| table.below).collect();
    let kept = tables.into_iter().enumerate().filter(|(n, _)| new_ids[*n].is_some());
    kept.map(|(_, mut table)| {
        table.above = table.above.and_then(|above| new_ids[above.index()]);
        for cell in &mut table.cells {
            cell.what = match cell.what {
                What::Table(id) => new_ids[id.index()].map_or(What::Folded(below[id.index()]), What::Table),
                What::Shared(id) => new_ids[id.index()].map_or(What::Folded(Below::default()), What::Shared),
                what => what,
            };
        }
        table.cells.dedup_by(|next, before| join(before, next, marks));
        table
    })
    .collect()
}

fn choices(tables: &[Table], budget: Budget) -> Vec<bool> {
    let mut is_chosen = vec![false; tables.len()];
    let Some(top) = tables.first() else { return is_chosen };
    is_chosen[0] = true;
    let mut left = Budget { tables: budget.tables, cells: budget.cells.saturating_sub(top.cells.len()) };
    for level in (0..top.at.level).rev() {
        // Which one it is of the tables below the same one.
        let mut ranks: HashMap<TableId, usize> = HashMap::new();
        let mut candidates = Vec::new();
        for (n, table) in tables.iter().enumerate().filter(|(_, table)| table.at.level == level) {
            let Some(above) = table.above.filter(|above| is_chosen[above.index()]) else { continue };
            let rank = ranks.entry(above).or_default();
            candidates.push((Reverse(table.worst.filter(|worst| *worst > Severity::Note)), *rank, n));
            *rank += 1;
        }
        candidates.sort_unstable();
        // A level leaves half of the rest to those below.
        let share = if level > 0 { 2 } else { 1 };
        let mut here = Budget { tables: left.tables / share, cells: left.cells / share };
        for (_, _, n) in candidates {
            let cells = tables[n].cells.len();
            if here.tables > 0 && here.cells >= cells {
                is_chosen[n] = true;
                here = Budget { tables: here.tables - 1, cells: here.cells - cells };
                left = Budget { tables: left.tables - 1, cells: left.cells - cells };
            }
        }
    }
    is_chosen
}

/// Makes pointers of which each is like the other one cell.
fn join(before: &mut Cell, next: &Cell, marks: &Marks) -> bool {
    let is_alike = marks.are_alike(&before.findings, &next.findings);
    match (&mut before.what, next.what) {
        (What::Folded(all), What::Folded(more)) if is_alike => all.add(more),
        (What::Shared(one), What::Shared(other)) if is_alike && *one == other => {}
        (What::Blocked(one), What::Blocked(other)) if is_alike && *one == other => {}
        (What::Unseen, What::Unseen) | (What::LeftOut, What::LeftOut) if is_alike => {}
        _ => return false,
    }
    before.absorb(next);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Inherited;
    use crate::inspect::scan::TableAt;

    /// A top with so many tables below, of which one has an error.
    fn tables(count: u32, broken: u32) -> Vec<Table> {
        let at = |level, pa| TableAt { level, pointer_level: level + 1, pa, va: 0, inherited: Inherited::default() };
        let table = |level, n: u32, cells, above| Table {
            at: at(level, n.into()),
            above,
            slot: n,
            cells,
            findings: Vec::new(),
            worst: (level == 0 && n == broken).then_some(Severity::Error),
            below: Below { tables: 1, bytes: 1 },
        };
        let pointers = (0..count).map(|n| Cell::plain(n, 1, What::Table(TableId(n + 1)))).collect();
        let leaves = |n| table(0, n, vec![Cell::plain(0, 8, What::Empty)], Some(TableId(0)));
        std::iter::once(table(1, 0, pointers, None)).chain((0..count).map(leaves)).collect()
    }

    #[test]
    fn what_is_broken_is_drawn_and_the_rest_is_counted() {
        let marks = Marks::new(&[]);
        let few = choose(tables(100, 70), Budget { tables: 3, cells: 1000 }, &marks);
        let slots: Vec<u32> = few[1..].iter().map(|table| table.slot).collect();
        assert_eq!(slots, [0, 1, 70]);
        let cells: Vec<(u32, What)> = few[0].cells.iter().map(|cell| (cell.items, cell.what)).collect();
        let folded = |tables, bytes| What::Folded(Below { tables, bytes });
        let table = |n| (1, What::Table(TableId(n)));
        assert_eq!(cells, [table(1), table(2), (68, folded(68, 68)), table(3), (29, folded(29, 29))]);
        assert_eq!(choose(tables(100, 70), Budget { tables: 200, cells: 1000 }, &marks), tables(100, 70));
        assert_eq!(choose(tables(100, 70), Budget { tables: 200, cells: 0 }, &marks).len(), 1);
    }
}
