//! The caches of simulated hardware: an IOTLB of whole leaves, empty results, and a walk cache of table pointers.
//!
//! Hardware of these formats caches empty results only in caching mode, and then its driver has to invalidate after a map
//! (the library promises that growth and map need no invalidation of what was *present*). The checker does that
//! for the driver, for exactly the bytes that map reports: an empty result anywhere else has to stay true.

use super::formats::Decoded;
use std::ops::RangeInclusive;

/// A cached translation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CachedLeaf {
    pub va: u64,
    pub level: u32,
    pub size_lg2: u32,
    pub oa: u64,
    pub attrs: u64,
    /// Hardware noted a write in the item, and will not again while it has this.
    pub wrote: bool,
}

/// A cached item that points to a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CachedPointer {
    pub va: u64,
    /// Of the item.
    pub level: u32,
    pub item_lg2: u32,
    /// The table it points to.
    pub pa: u64,
}

#[derive(Default)]
pub struct Caches {
    pub leaves: Vec<CachedLeaf>,
    pub pointers: Vec<CachedPointer>,
    /// VA of granules that translate to nothing.
    pub empty: Vec<u64>,
    pub granule_lg2: u32,
}

const fn last_of(va: u64, size_lg2: u32) -> u64 {
    va | if size_lg2 >= 64 { u64::MAX } else { (1 << size_lg2) - 1 }
}

impl Caches {
    pub fn keep_empty(&mut self, va: u64, granule_lg2: u32) {
        self.granule_lg2 = granule_lg2;
        let va = va & !((1 << granule_lg2) - 1);
        if !self.empty.contains(&va) {
            self.empty.push(va);
        }
    }

    pub fn keep_leaf(&mut self, va: u64, level: u32, leaf: Decoded) {
        self.keep(va, level, leaf, false);
    }

    /// Keeps a leaf as written to. Returns whether hardware did not have it so yet.
    pub fn note_write(&mut self, va: u64, level: u32, leaf: Decoded) -> bool {
        self.keep(va, level, leaf, true)
    }

    fn keep(&mut self, va: u64, level: u32, leaf: Decoded, wrote: bool) -> bool {
        let Decoded::Leaf { size_lg2, oa, attrs, .. } = leaf else { return false };
        let leaf = CachedLeaf { va: va & !last_of(0, size_lg2), level, size_lg2, oa, attrs, wrote };
        let new = !self.leaves.contains(&leaf);
        if new {
            self.leaves.push(leaf);
        }
        new
    }

    pub fn keep_pointer(&mut self, va: u64, level: u32, item_lg2: u32, pa: u64) {
        let pointer = CachedPointer { va, level, item_lg2, pa };
        if !self.pointers.contains(&pointer) {
            self.pointers.push(pointer);
        }
    }

    /// Tables, with their levels, from which a walk of `va` may go on.
    pub fn pointers_over(&self, va: u64) -> Vec<(u64, u32)> {
        let over = |pointer: &&CachedPointer| pointer.va <= va && va <= last_of(pointer.va, pointer.item_lg2);
        self.pointers.iter().filter(over).map(|pointer| (pointer.pa, pointer.level - 1)).collect()
    }

    pub fn pointer_to(&self, pa: u64) -> Option<CachedPointer> {
        self.pointers.iter().copied().find(|pointer| pointer.pa == pa)
    }

    pub fn clear(&mut self) {
        self.leaves.clear();
        self.pointers.clear();
        self.empty.clear();
    }

    /// Drops what overlaps a range of VA: empty results, leaves of the levels told, and pointers in items of the levels told.
    pub fn drop_range(
        &mut self,
        range: RangeInclusive<u64>,
        leaf_level: impl Fn(u32) -> bool,
        table_level: impl Fn(u32) -> bool,
    ) {
        let hit = |va: u64, size_lg2| va <= *range.end() && *range.start() <= last_of(va, size_lg2);
        self.leaves.retain(|leaf| !(leaf_level(leaf.level) && hit(leaf.va, leaf.size_lg2)));
        self.pointers.retain(|pointer| !(table_level(pointer.level) && hit(pointer.va, pointer.item_lg2)));
        self.drop_empty(range);
    }

    /// Drops empty results in a range of VA.
    pub fn drop_empty(&mut self, range: RangeInclusive<u64>) {
        let granule_lg2 = self.granule_lg2;
        self.empty.retain(|va| *va > *range.end() || last_of(*va, granule_lg2) < *range.start());
    }
}
