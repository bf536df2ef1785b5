//! A whole table as hardware finds it, read from raw memory with the tests' own decoder.

use super::formats::Decoded;
use super::model::{Leaf, Model, TableKey, low};
use super::world::World;
use std::collections::BTreeMap;

/// One item that is not empty. All VA are in index space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RawItem {
    pub level: u32,
    pub va: u64,
    pub raw: u64,
    pub is_leaf: bool,
}

#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Dump {
    /// In VA order.
    pub leaves: Vec<(u64, Leaf)>,
    /// All tables but the top, with their physical addresses.
    pub tables: BTreeMap<TableKey, u64>,
    /// In VA order, a table before what is below it.
    pub items: Vec<RawItem>,
}

/// Items that are looked at in one go: most are empty.
const CHUNK: usize = 16;

/// Reads the table of a world.
pub fn dump(world: &World) -> Result<Dump, String> {
    let root = world.root.get().ok_or("no root")?;
    let mut dump = Dump::default();
    read(world, &mut dump, root.pa, root.level, 0, world.decoded_bits(root.level))?;
    Ok(dump)
}

fn read(world: &World, dump: &mut Dump, pa: u64, level: u32, va: u64, bits: u32) -> Result<(), String> {
    let format = &world.format;
    let item_lg2 = format.shape().item_lg2(level);
    let count = 1usize << bits.saturating_sub(item_lg2);
    let empty = format.empty(level);
    let items = world.pages.borrow().items(pa, count)?;
    let seen = world.pages.borrow().hardware_items(pa)?;
    for first in (0..count).step_by(CHUNK) {
        let last = (first + CHUNK).min(count);
        let chunk = &items[first..last];
        if chunk == &[empty; CHUNK][..last - first] && seen.as_ref().is_none_or(|seen| &seen[first..last] == chunk) {
            continue;
        }
        for index in first..last {
            let item_va = va | (index as u64) << item_lg2;
            let raw = items[index];
            let to_hardware = |raw: u64| raw & !format.flush_done();
            if let Some(seen) = &seen
                && to_hardware(seen[index]) != to_hardware(raw)
            {
                return Err(format!(
                    "level {level} item of {item_va:#x} is {raw:#x}, hardware sees {:#x}",
                    seen[index]
                ));
            }
            if raw != empty {
                let flush_done = if seen.is_some() { format.flush_done() } else { 0 };
                read_item(world, dump, RawItem { level, va: item_va, raw, is_leaf: false }, flush_done)?;
            }
        }
    }
    Ok(())
}

fn read_item(world: &World, dump: &mut Dump, item: RawItem, flush_done: u64) -> Result<(), String> {
    let format = &world.format;
    let RawItem { level, va, raw, .. } = item;
    match format.decode(level, raw) {
        Decoded::Empty => Err(format!("level {level} item of {va:#x} is {raw:#x}, not quite empty")),
        Decoded::Table { pa } => {
            let expected = format.table(level, pa) | flush_done;
            if raw != expected || level == 0 {
                return Err(format!("level {level} table item of {va:#x} is {raw:#x}, not {expected:#x}"));
            }
            if dump.tables.insert((level - 1, va), pa).is_some() {
                return Err(format!("two tables of level {} at {va:#x}", level - 1));
            }
            dump.items.push(item);
            read(world, dump, pa, level - 1, va, format.shape().item_lg2(level))
        }
        Decoded::Leaf { size_lg2, oa, attrs, dirty } => {
            dump.items.push(RawItem { is_leaf: true, ..item });
            add_leaf(dump, va, Leaf { size_lg2, level, oa, attrs, dirty })
        }
    }
}

/// Adds one item of a leaf; all items of an entry have to say the same.
fn add_leaf(dump: &mut Dump, item_va: u64, leaf: Leaf) -> Result<(), String> {
    let start = item_va & !low(leaf.size_lg2);
    if start == item_va {
        dump.leaves.push((start, leaf));
        return Ok(());
    }
    match dump.leaves.last_mut() {
        Some((va, first)) if *va == start && (Leaf { dirty: first.dirty, ..leaf }) == *first => {
            first.dirty |= leaf.dirty;
            Ok(())
        }
        other => Err(format!("{leaf:x?} at {item_va:#x} comes after {other:x?}")),
    }
}

/// Whether the table is what the model says, item by item.
pub fn compare(world: &World, found: &Dump, model: &Model) -> Result<(), String> {
    if world.root.get().is_none_or(|root| root.level != model.top) {
        return Err(format!("the hardware's root is {:x?}, not of level {}", world.root.get(), model.top));
    }
    if !found.tables.keys().eq(&model.tables) {
        return Err(format!("tables are {:x?}, not {:x?}", found.tables.keys(), model.tables));
    }
    if found.leaves.len() != model.leaves.len() {
        return Err(format!("leaves are {:x?}, not {:x?}", found.leaves, model.leaves));
    }
    let mut items = found.items.iter().filter(|item| item.is_leaf);
    for ((va, leaf), (seen_va, seen)) in model.leaves.iter().zip(&found.leaves) {
        let oa = model.params.readable(leaf.oa);
        let same_size = (seen_va, seen.size_lg2, seen.level) == (va, leaf.size_lg2, leaf.level);
        if !same_size || (seen.oa, seen.dirty) != (oa, leaf.dirty) {
            return Err(format!("leaf at {seen_va:#x} is {seen:x?}, predicted at {va:#x} {leaf:x?}"));
        }
        let item_lg2 = world.format.shape().item_lg2(leaf.level);
        for n in 0..1 << (leaf.size_lg2 - item_lg2) {
            let expected = world.format.leaf(leaf.level, leaf.size_lg2, leaf.oa, n, leaf.attrs);
            let item = RawItem { level: leaf.level, va: va + (n << item_lg2), raw: expected, is_leaf: true };
            let found = items.next().copied().map(|found| RawItem { raw: world.format.unwritten(found.raw), ..found });
            if found != Some(item) {
                return Err(format!("found {found:x?}, predicted {item:x?}"));
            }
        }
    }
    items.next().map_or(Ok(()), |item| Err(format!("{item:x?} is part of no leaf")))
}
