//! Going through the tables of an image in VA order, in bounded memory and time.
//!
//! A table has a level, and pointers lead down, so a walk is never deeper than the format has levels, whatever the
//! pointers say; of each level one table is kept. But 4 KiB that point to themselves can claim 2^52 pages: so a scan decodes
//! at most as many items as it is told, and says when that was not enough. The items of a table count once for each piece of
//! the file that it is in, as each is read by itself: an image may have a header for each byte.

use super::source::Source;
use crate::decode::{Inherited, Item, Meaning};
use crate::number::AddressRange;
use generic_pt::lg2;

/// Where a table is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableAt {
    /// Its level.
    pub level: u32,
    /// The level of the pointer that leads there; of the top one above it.
    pub pointer_level: u32,
    /// Its physical address.
    pub pa: u64,
    /// The first VA that it decodes; of the top, before sign and prefix.
    pub va: u64,
    /// What the pointers on the way say about all below.
    pub inherited: Inherited,
}

/// An item and where it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ItemAt {
    /// Its table.
    pub table: TableAt,
    /// The first VA that it covers.
    pub va: u64,
    /// The item.
    pub item: Item,
}

/// Why an item leads nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blocked {
    /// The format does not know it.
    Foreign,
    /// The table that it points to is not in the image.
    Outside,
    /// The table that it points to would not be aligned.
    Misaligned,
}

/// What a scan comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A table that is in the image. What it holds is told next, unless it is passed over.
    Enter(TableAt),
    /// A table, with this many items that are empty but not as the format leaves them. Its items come next.
    Table(TableAt, u64),
    /// An item of a page.
    Leaf(ItemAt),
    /// An item that leads nowhere.
    Blocked(ItemAt, Blocked),
    /// As many items as allowed were decoded: what is from this VA on is not told.
    Limit(u64),
}

/// A table on the way.
struct Frame {
    at: TableAt,
    /// The pointer that led there; none to the top.
    pointer: Option<Item>,
    items: Vec<Item>,
    next: usize,
}

/// What is looked at next.
enum Next {
    /// The top.
    Top,
    /// The table that was just told of, and the pointer that led there; none to the top.
    Table(TableAt, Option<ItemAt>),
    /// An item of the table that was told last.
    Item,
}

/// A scan of all tables below a top.
pub struct Scan<'a> {
    source: &'a Source,
    window: AddressRange,
    frames: Vec<Frame>,
    next: Next,
    /// Item lists of tables that were left.
    spare: Vec<Vec<Item>>,
    /// The bytes of a table.
    buffer: Vec<u8>,
    /// Items that may still be decoded.
    left: u64,
}

impl<'a> Scan<'a> {
    /// A scan of what can be reached in a range of VA.
    pub fn new(source: &'a Source, window: AddressRange, most_items: u64) -> Self {
        let (frames, spare, buffer) = (Vec::new(), Vec::new(), Vec::new());
        Self { source, window, frames, next: Next::Top, spare, buffer, left: most_items }
    }

    /// Items that may still be decoded.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The items of the table that was told last.
    pub fn items(&self) -> &[Item] {
        self.frames.last().map_or(&[], |frame| &frame.items)
    }

    /// The tables from the top to the one that was told last.
    pub fn path(&self) -> impl Iterator<Item = &TableAt> {
        self.frames.iter().map(|frame| &frame.at)
    }

    /// The pointers from the top to the table that was told last, with their levels.
    pub fn pointers(&self) -> impl Iterator<Item = (u32, &Item)> {
        self.frames.iter().filter_map(|frame| Some((frame.at.pointer_level, frame.pointer.as_ref()?)))
    }

    /// Leaves the table that was told last: the rest of its items are not told.
    fn leave(&mut self) {
        if let Some(frame) = self.frames.pop() {
            self.spare.push(frame.items);
        }
    }

    /// Passes over the leaves behind `first` that continue it: in the same table, without a gap in VA or address, with
    /// the same bits but for those of the address. Says how many. `first` is the leaf that was told last, one of one item.
    #[inline]
    pub fn take_continued(&mut self, first: &Item, address: u64, item_lg2: u32) -> u64 {
        let Some(frame) = self.frames.last_mut() else { return 0 };
        let last_index = self.source.decoder.shape().last_index_without_gap(frame.at.level, first.index);
        let key = first.raw & !address;
        let behind = frame.items.get(frame.next..).unwrap_or_default();
        let continues = |(n, item): &(u64, &Item)| {
            item.meaning == Meaning::Leaf
                && item.entry_lg2 == first.entry_lg2
                && item.raw & !address == key
                && u64::from(item.index) == u64::from(first.index) + n
                && item.index <= last_index
                && first.pa.checked_add(lg2::shl(*n, item_lg2)) == Some(item.pa)
        };
        let count = (1..).zip(behind).take_while(continues).count();
        frame.next += count;
        count as u64
    }

    /// Does not tell of the leaves that come next in the same table.
    pub fn skip_leaves(&mut self) {
        if let Some(frame) = self.frames.last_mut() {
            let leaves = frame.items[frame.next..].iter().take_while(|item| item.meaning == Meaning::Leaf).count();
            frame.next += leaves;
        }
    }

    /// Does not go into the table of [`Event::Enter`], which was told last: it is not decoded.
    pub fn pass_over(&mut self) {
        self.next = Next::Item;
    }

    /// Decodes a table that is in the image, if it may.
    fn decode(&mut self, at: TableAt, pointer: Option<ItemAt>) -> Option<Event> {
        let shape = self.source.decoder.shape();
        let pieces = self.source.image.piece_count(at.pa, shape.table_bytes(at.level));
        let items = pieces << shape.levels[at.level as usize].items_lg2;
        let Some(left) = self.left.checked_sub(items) else {
            self.frames.clear();
            return Some(Event::Limit(at.va));
        };
        self.left = left;
        let bytes = self.source.image.read(at.pa, shape.table_bytes(at.level), &mut self.buffer);
        let Some(bytes) = bytes else {
            // It is in the image and cannot be read: the image knows that, and there are no results.
            self.frames.clear();
            return None;
        };
        let mut items = self.spare.pop().unwrap_or_default();
        let stale = self.source.decoder.decode(at.level, bytes, &mut items);
        let pointer = pointer.map(|pointer| pointer.item);
        self.frames.push(Frame { at, pointer, items, next: 0 });
        Some(Event::Table(at, stale))
    }
}

/// Most kinds of items that are remembered.
pub const MOST_KINDS: usize = 1 << 12;

impl Iterator for Scan<'_> {
    type Item = Event;

    #[inline]
    fn next(&mut self) -> Option<Event> {
        let shape = self.source.decoder.shape();
        match std::mem::replace(&mut self.next, Next::Item) {
            Next::Top => {
                let (level, pa) = (shape.top_level(), self.source.root);
                let top = TableAt { level, pointer_level: level + 1, pa, va: 0, inherited: Inherited::default() };
                self.next = Next::Table(top, None);
                return Some(Event::Enter(top));
            }
            Next::Table(at, pointer) => return self.decode(at, pointer),
            Next::Item => {}
        }
        loop {
            let frame = self.frames.last_mut()?;
            let Some(item) = frame.items.get(frame.next).copied() else {
                self.leave();
                continue;
            };
            frame.next += 1;
            let table = frame.at;
            let va = shape.va_at(table.level, table.va, item.index);
            let bytes_minus_1 = lg2::low_mask(shape.levels[table.level as usize].item_lg2.min(shape.va_lg2));
            let covered = AddressRange { first: va, last: va | bytes_minus_1 };
            if !covered.overlaps(&self.window) {
                continue;
            }
            let at = ItemAt { table, va, item };
            match item.meaning {
                Meaning::Leaf => return Some(Event::Leaf(at)),
                Meaning::Empty => {}
                Meaning::Foreign => return Some(Event::Blocked(at, Blocked::Foreign)),
                Meaning::Table => {
                    let level = u32::from(item.below);
                    if !lg2::is_aligned(item.pa, shape.levels[level as usize].align_lg2) {
                        return Some(Event::Blocked(at, Blocked::Misaligned));
                    }
                    if !self.source.image.has(item.pa, shape.table_bytes(level)) {
                        return Some(Event::Blocked(at, Blocked::Outside));
                    }
                    let inherited = self.source.decoder.inherit(table.level, item.raw, table.inherited);
                    let below = TableAt { level, pointer_level: table.level, pa: item.pa, va, inherited };
                    self.next = Next::Table(below, Some(at));
                    return Some(Event::Enter(below));
                }
            }
        }
    }
}
