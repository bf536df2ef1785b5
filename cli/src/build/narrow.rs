//! Pages that permit less than the library's protections can say, or than a format makes of them.
//!
//! The library maps for all who use a table, and some formats leave NOEXEC out: their reference does. So the leaves of such a mapping
//! are changed afterwards, in the bytes: until they permit what they should, and nothing else is different. By which field, or
//! which two, is found by trying, so it is none of the tool's business what formats call them.

use crate::decode::{Decoder, Inherited, Item, Meaning, fewest_changes};
use generic_pt::{Access, lg2};
use std::collections::HashMap;

/// Fields that are changed at once at most.
const MOST_FIELDS: usize = 2;

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

/// What a page is to permit no longer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Narrowing {
    /// Anything to users; the supervisor may do what anyone might before.
    Supervisor,
    /// Executing, to anyone.
    NeverExecute,
}

impl Narrowing {
    /// All of them, in the order in which they are done, with their letters in a protection.
    pub const ALL: [(char, Self); 2] = [('s', Self::Supervisor), ('n', Self::NeverExecute)];

    /// What is left of a page's permissions.
    fn of(self, access: Access) -> Access {
        match self {
            Self::Supervisor if access.by_users().is_empty() => access,
            Self::Supervisor => access.by_any(),
            Self::NeverExecute => access.difference(Access::EXECUTE.for_all()),
        }
    }

    /// A leaf that permits no more than that; as it is if no field, or two, say just that in this format.
    fn of_leaf(self, decoder: &dyn Decoder, level: u32, item: &Item) -> Item {
        let access = |raw: u64| {
            let changed = decoder.item(level, item.index.into(), raw);
            decoder.attributes(level, &changed, Inherited::default()).access
        };
        let now = access(item.raw);
        let wanted = self.of(now);
        if wanted == now {
            return *item;
        }
        let changes = fewest_changes(decoder, level, item, MOST_FIELDS, |raw| access(raw) == wanted);
        changes.first().map_or(*item, |change| decoder.item(level, item.index.into(), change.raw))
    }
}

/// The bits to be changed in a leaf so that all of this holds, as far as the format can say it.
pub fn narrowed_bits(decoder: &dyn Decoder, level: u32, item: &Item, narrowings: &[Narrowing]) -> u64 {
    let narrowed = narrowings.iter().fold(*item, |item, narrowing| narrowing.of_leaf(decoder, level, &item));
    narrowed.raw ^ item.raw
}

/// Narrows the leaves from one VA to another, as far as the format can say it.
pub fn narrow(decoder: &dyn Decoder, image: &mut Image<'_>, first: u64, last: u64, narrowings: &[Narrowing]) {
    let (mut va, mut known) = (first, Known::new());
    loop {
        let item_lg2 = narrow_one(decoder, image, &mut known, va, narrowings);
        let end = lg2::replace_low(va, u64::MAX, item_lg2);
        if end >= last {
            return;
        }
        va = end + 1;
    }
}

/// Changes the item that is the leaf of a VA, and returns the VA that it covers, as a power of two.
fn narrow_one(
    decoder: &dyn Decoder,
    image: &mut Image<'_>,
    known: &mut Known,
    va: u64,
    narrowings: &[Narrowing],
) -> u32 {
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
                let bits = *known.entry(key).or_insert_with(|| narrowed_bits(decoder, level, &item, narrowings));
                shape.put_raw(bytes, item.raw ^ bits);
                return item_lg2;
            }
            Meaning::Empty | Meaning::Foreign => return item_lg2,
        }
    }
}
