//! A whole table as hardware finds it, read from raw memory with the tests' own decoder.

use super::formats::Decoded;
use super::model::{Leaf, Model, TableKey, low};
use super::world::World;
use std::collections::BTreeMap;

#[derive(Default, PartialEq, Eq, Debug)]
pub struct Dump {
    /// Index space.
    pub leaves: BTreeMap<u64, Leaf>,
    /// All tables but the top, with their physical addresses.
    pub tables: BTreeMap<TableKey, u64>,
    /// Everything that is not empty: level and VA of the item to raw item.
    pub items: BTreeMap<(u32, u64), u64>,
}

/// Reads the table of a world.
pub fn dump(world: &World) -> Result<Dump, String> {
    let root = world.root.get().ok_or("no root")?;
    let mut dump = Dump::default();
    let shape = world.format.shape();
    let bits = if root.level < shape.max_level { shape.item_lg2(root.level + 1) } else { 64 };
    read(world, &mut dump, root.pa, root.level, 0, bits.min(world.max_va_lg2))?;
    Ok(dump)
}

fn read(world: &World, dump: &mut Dump, pa: u64, level: u32, va: u64, bits: u32) -> Result<(), String> {
    let format = &world.format;
    let item_lg2 = format.shape().item_lg2(level);
    let count = 1usize << (bits - item_lg2);
    let items = world.pages.borrow().items(pa, count)?;
    let seen = world.pages.borrow().hardware_items(pa)?;
    for (index, raw) in items.iter().enumerate() {
        let item_va = va | (index as u64) << item_lg2;
        if let Some(seen) = &seen
            && seen[index] & !format.flush_done() != raw & !format.flush_done()
        {
            return Err(format!("level {level} item of {item_va:#x} is {raw:#x}, but hardware sees {:#x}", seen[index]));
        }
        if *raw == 0 {
            continue;
        }
        dump.items.insert((level, item_va), *raw);
        match format.decode(level, *raw) {
            Decoded::Empty => return Err(format!("level {level} item of {item_va:#x} is {raw:#x}, not quite empty")),
            Decoded::Table { pa: lower } => {
                let expected = format.table(level, lower) | if seen.is_some() { format.flush_done() } else { 0 };
                if *raw != expected || level == 0 {
                    return Err(format!("level {level} table item of {item_va:#x} is {raw:#x}, not {expected:#x}"));
                }
                if dump.tables.insert((level - 1, item_va), lower).is_some() {
                    return Err(format!("two tables of level {} at {item_va:#x}", level - 1));
                }
                read(world, dump, lower, level - 1, item_va, item_lg2)?;
            }
            Decoded::Leaf { size_lg2, oa, attrs, dirty } => {
                add_leaf(dump, item_va, Leaf { size_lg2, level, oa, attrs, dirty })?;
            }
        }
    }
    Ok(())
}

/// Adds one item of a leaf; all items of an entry have to say the same.
fn add_leaf(dump: &mut Dump, item_va: u64, leaf: Leaf) -> Result<(), String> {
    let start = item_va & !low(leaf.size_lg2);
    match dump.leaves.get_mut(&start) {
        None if start == item_va => _ = dump.leaves.insert(start, leaf),
        Some(first) if (Leaf { dirty: first.dirty, ..leaf }) == *first => first.dirty |= leaf.dirty,
        other => return Err(format!("{leaf:x?} at {item_va:#x} is part of {other:x?}")),
    }
    Ok(())
}

/// Whether the table is what the model says, item by item.
pub fn compare(world: &World, found: &Dump, model: &Model) -> Result<(), String> {
    let format = &world.format;
    if world.root.get().is_none_or(|root| root.level != model.top) {
        return Err(format!("the hardware's root is {:x?}, not of level {}", world.root.get(), model.top));
    }
    if !found.tables.keys().eq(&model.tables) {
        return Err(format!("tables are {:x?}, not {:x?}", found.tables.keys(), model.tables));
    }
    if found.leaves.len() != model.leaves.len() {
        return Err(format!("leaves are {:x?}, not {:x?}", found.leaves, model.leaves));
    }
    let dirty_bit = format.dirty_bit().unwrap_or(0);
    let mut items = found.tables.len();
    for (va, leaf) in &model.leaves {
        let Some(seen) = found.leaves.get(va) else { return Err(format!("no leaf at {va:#x}: {leaf:x?}")) };
        let oa = model.params.readable(leaf.oa);
        if (seen.size_lg2, seen.level, seen.oa, seen.dirty) != (leaf.size_lg2, leaf.level, oa, leaf.dirty) {
            return Err(format!("leaf at {va:#x} is {seen:x?}, not {leaf:x?}"));
        }
        let item_lg2 = format.shape().item_lg2(leaf.level);
        for n in 0..1 << (leaf.size_lg2 - item_lg2) {
            let item_va = va + (n << item_lg2);
            let expected = format.leaf(leaf.level, leaf.size_lg2, leaf.oa, n, leaf.attrs);
            let raw = found.items.get(&(leaf.level, item_va)).copied().unwrap_or(0);
            if raw & !dirty_bit != expected {
                return Err(format!("level {} item of {item_va:#x} is {raw:#x}, not {expected:#x}", leaf.level));
            }
            items += 1;
        }
    }
    if items != found.items.len() {
        return Err(format!("{} items are not empty, {items} should be", found.items.len()));
    }
    Ok(())
}
