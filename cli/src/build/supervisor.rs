//! Pages that users may not use.
//!
//! The library maps for all who use a table: its protections do not tell users from others. So the leaves of such a mapping are
//! changed afterwards, in the bytes: so that users may do nothing, and the supervisor what anyone might before. By which field, or
//! which two, is found by trying, so it is none of the tool's business what formats call them.

use crate::decode::{Decoder, Inherited, Item, Meaning, fewest_changes};
use generic_pt::lg2;
use std::collections::HashMap;

/// The bits to be changed in each kind of leaf: its level, its size, and its bits beside the address.
type Known = HashMap<(u32, u8, u64), u64>;

/// Tables that were built, as bytes.
pub struct Image<'a> {
    /// The tables, from the base on.
    pub bytes: &'a mut [u8],
    /// Physical address of the first byte.
    pub base: u64,
    /// Physical address of the top.
    pub root: u64,
}

/// The bits to be changed in a leaf so that it is for the supervisor alone; none if the format has no
/// fields that say just that.
pub fn supervisor_bits(decoder: &dyn Decoder, level: u32, item: &Item) -> u64 {
    let access = |raw: u64| {
        let changed = decoder.item(level, item.index.into(), raw);
        decoder.attributes(level, &changed, Inherited::default()).access
    };
    let now = access(item.raw);
    if now.by_users().is_empty() {
        return 0;
    }
    let is_it = |raw: u64| access(raw) == now.by_any();
    fewest_changes(decoder, level, item, is_it).first().map_or(0, |change| change.raw ^ item.raw)
}

/// Makes the leaves from one VA to another ones for the supervisor alone, where the format can say that.
pub fn make_supervisor(decoder: &dyn Decoder, image: &mut Image<'_>, first: u64, last: u64) {
    let (mut va, mut known) = (first, Known::new());
    loop {
        let item_lg2 = make_one(decoder, image, &mut known, va);
        let end = lg2::replace_low(va, u64::MAX, item_lg2);
        if end >= last {
            return;
        }
        va = end + 1;
    }
}

/// Changes the item that is the leaf of a VA, and returns the VA that it covers, as a power of two.
fn make_one(decoder: &dyn Decoder, image: &mut Image<'_>, known: &mut Known, va: u64) -> u32 {
    let shape = decoder.shape();
    let (mut level, mut table) = (shape.top_level(), image.root);
    // Each pointer leads down: it ends.
    loop {
        let item_lg2 = shape.levels[level as usize].item_lg2;
        let (index, width) = (shape.index(level, va), 1 << shape.item_bytes_lg2);
        let at = (table - image.base) as usize + (index as usize) * width;
        let Some(bytes) = image.bytes.get_mut(at..at + width) else { return item_lg2 };
        let item = decoder.item(level, index, shape.raw(bytes));
        match item.meaning {
            Meaning::Table => (level, table) = (item.below.into(), item.pa),
            Meaning::Leaf => {
                // Leaves of a mapping differ in the address alone.
                let key = (level, item.entry_lg2, item.raw & !shape.masks(level, &item).address);
                let bits = *known.entry(key).or_insert_with(|| supervisor_bits(decoder, level, &item));
                shape.put_raw(bytes, item.raw ^ bits);
                return item_lg2;
            }
            Meaning::Empty | Meaning::Foreign => return item_lg2,
        }
    }
}
