//! Pages that were written, but may not be.
//!
//! The pointers on the way to a page can forbid writing, too. Where several ways lead to a page, each table is looked at on
//! the first of them only, and the page may have been written by another: so only pages to which one way leads are told, and
//! that is known at the end.

use super::{Check, Rule};
use crate::decode::{Inherited, Item};
use crate::inspect::scan::{MOST_KINDS, Scan, TableAt};
use generic_pt::Access;
use std::collections::HashMap;

/// What was met until now.
#[derive(Default)]
pub struct Dirty {
    /// Of each kind of leaf, whether it may be written, to its level, its bits beside the address, and those of the pointers.
    writable: HashMap<(u32, u64, Inherited), bool>,
    /// Tables with such pages.
    tables: Vec<Table>,
    /// Items that are kept of all of them.
    kept: usize,
}

/// A table with such pages.
struct Table {
    at: TableAt,
    /// Physical address and level of the tables from the top to this one.
    way: Vec<(u64, u32)>,
    /// Its first such items; one at least.
    items: Vec<Item>,
    /// How many there are.
    count: u64,
}

impl Check<'_> {
    /// Notes the pages of the table that was told last which were written, but may not be.
    pub(super) fn dirty(&mut self, at: &TableAt, scan: &Scan<'_>) {
        let (mut items, mut count) = (Vec::new(), 0);
        for item in scan.items() {
            let is_dirty = self.source.decoder.is_dirty(at.level, item) == Some(true);
            if !is_dirty || self.is_writable(at, item) {
                continue;
            }
            count += 1;
            // No more are told than that; of each table there is one, as the others may be left out.
            if items.is_empty() || self.dirty.kept < self.most {
                items.push(*item);
                self.dirty.kept += 1;
            }
        }
        if count > 0 {
            let way = scan.path().map(|table| (table.pa, table.level)).collect();
            self.dirty.tables.push(Table { at: *at, way, items, count });
        }
    }

    fn is_writable(&mut self, at: &TableAt, item: &Item) -> bool {
        let key = (at.level, item.raw & !self.shape().masks(at.level, item).address, at.inherited);
        let known = self.dirty.writable.get(&key).copied();
        let is_writable = known.unwrap_or_else(|| {
            self.source.decoder.attributes(at.level, item, at.inherited).access.by_any().contains(Access::WRITE)
        });
        if known.is_none() && self.dirty.writable.len() < MOST_KINDS {
            self.dirty.writable.insert(key, is_writable);
        }
        is_writable
    }

    /// Tells of the pages to which no other way leads.
    pub(super) fn dirty_read_only(&mut self) {
        for table in std::mem::take(&mut self.dirty.tables) {
            let is_shared =
                |(pa, level): &(u64, u32)| self.seen.get(pa).is_some_and(|met| met.shared >> level & 1 == 1);
            if table.way.iter().any(is_shared) {
                continue;
            }
            for item in &table.items {
                self.find_item(&table.at, item, &Rule::DirtyReadOnly);
            }
            self.count(&Rule::DirtyReadOnly, table.count - table.items.len() as u64);
        }
    }
}
