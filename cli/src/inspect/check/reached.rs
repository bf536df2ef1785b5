//! The memory of tables: which overlap, and what of an image no pointer leads to.

use super::{About, Check, Place, Severity};
use crate::human;
use crate::number::{AddressRange, Hex};
use generic_pt::lg2;

/// How a table was met.
#[derive(Clone, Copy)]
pub struct Met {
    /// The levels at which it is used, one bit each.
    pub levels: u8,
    /// Those of them at which several pointers lead there, one bit each.
    pub shared: u8,
    /// The first VA that it decodes, where it was met first.
    pub va: u64,
}

impl Met {
    /// The highest level at which it is used.
    const fn highest(self) -> u32 {
        u8::BITS - 1 - self.levels.leading_zeros()
    }
}

/// A search that came to as many items as it may look at.
struct OutOfItems;

impl Check<'_> {
    /// The memory of all tables that were met, ascending; of a table of `level` these bytes.
    fn ranges(&self, bytes_of: impl Fn(u32) -> u64) -> Vec<(AddressRange, Met)> {
        let range = |(pa, met): (&u64, &Met)| {
            (AddressRange { first: *pa, last: pa.saturating_add(bytes_of(met.highest()) - 1) }, *met)
        };
        let mut ranges: Vec<(AddressRange, Met)> = self.seen.iter().map(range).collect();
        ranges.sort_unstable_by_key(|(range, _)| range.first);
        ranges
    }

    /// Tables that begin inside of another one.
    pub(super) fn overlapping(&mut self) {
        let ranges = self.ranges(|level| self.shape().table_bytes(level));
        let mut ranges = ranges.into_iter();
        // The one that ends last of those until now.
        let Some(mut before) = ranges.next() else { return };
        for next in ranges {
            if next.0.first <= before.0.last {
                let level = before.1.highest();
                let bytes = human::bytes(self.shape().table_bytes(level));
                let text =
                    format!("the table begins inside of that of level {level} at {:#x}, {bytes}", before.0.first);
                let place = Place {
                    about: About::Table,
                    level: Some(next.1.highest()),
                    at: Hex(next.0.first),
                    va: Some(Hex(next.1.va)),
                };
                self.find_at(Severity::Error, "overlapping-tables", place, text);
            }
            if next.0.last > before.0.last {
                before = next;
            }
        }
    }

    /// Pages of an image that `genpt build` made to which no pointer leads. (Other images have more than tables.) What is
    /// looked at counts as items, of which there are `left`.
    pub(super) fn unreachable(&mut self, left: u64) {
        if self.report.counts.contains_key("limit") {
            return;
        }
        if let Err(OutOfItems) = self.search(left) {
            let text = "as many items as --limit allows were looked at; for more memory to which no pointer leads \
                        there was no search";
            let place = Place::of_top(self.source);
            self.find_at(Severity::Error, "limit", place, text.to_owned());
        }
    }

    fn search(&mut self, mut left: u64) -> Result<(), OutOfItems> {
        let source = self.source;
        let Some(manifest) = source.image.manifest.as_ref().filter(|manifest| manifest.bytes.0 > 0) else {
            return Ok(());
        };
        // What is behind the image that was built is not its.
        let (first_pa, last_pa) = (manifest.base.0, manifest.base.0.saturating_add(manifest.bytes.0 - 1));
        let shape = self.shape();
        // Of the top, what hardware may look at beside its items is its own, too.
        let bytes_of = |level: u32| shape.table_bytes(level).max(1 << shape.levels[level as usize].align_lg2);
        let below_top = (0..shape.top_level()).map(bytes_of).min();
        let step = below_top.unwrap_or_else(|| bytes_of(shape.top_level()));
        let items = step >> shape.item_bytes_lg2;
        let reached = joined(self.ranges(bytes_of).into_iter().map(|(range, _)| range));
        let mut buffer = Vec::new();
        for segment in source.image.segments() {
            let Some(from) = segment.pa.max(first_pa).checked_add(step - 1) else { continue };
            let mut at = lg2::align_down(from, step.trailing_zeros());
            while at <= segment.last().min(last_pa) {
                let behind = reached.partition_point(|range| range.first <= at.saturating_add(step - 1));
                let is_reached = behind.checked_sub(1).is_some_and(|n| at <= reached[n].last);
                if !is_reached {
                    left = left.checked_sub(items * source.image.piece_count(at, step)).ok_or(OutOfItems)?;
                    let bytes = source.image.read(at, step, &mut buffer);
                    if bytes.is_some_and(|bytes| bytes.iter().any(|byte| *byte != 0)) {
                        let text = format!("{} that are not zero, and no pointer leads there", human::bytes(step));
                        let place = Place { about: About::Memory, level: None, at: Hex(at), va: None };
                        self.find_at(Severity::Warning, "unreachable", place, text);
                    }
                }
                let Some(next) = at.checked_add(step) else { break };
                at = next;
            }
        }
        Ok(())
    }
}

/// Ascending ranges, those that overlap joined.
fn joined(ranges: impl Iterator<Item = AddressRange>) -> Vec<AddressRange> {
    let mut joined: Vec<AddressRange> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(before) if range.first <= before.last => before.last = before.last.max(range.last),
            _ => joined.push(range),
        }
    }
    joined
}
