//! What a dump comes to, counted.

use crate::human;
use generic_pt::lg2;
use std::collections::BTreeMap;

/// How many pages there are of each size.
#[derive(Clone, Debug)]
pub struct PageCounts {
    /// By size, as powers of two.
    counts: [u64; u64::BITS as usize + 1],
    /// The page that was counted last: it may have several items.
    last: Option<(u64, u8)>,
}

impl Default for PageCounts {
    fn default() -> Self {
        Self { counts: [0; u64::BITS as usize + 1], last: None }
    }
}

impl PageCounts {
    /// Counts the page that maps `va`, if its items before did not.
    pub fn add(&mut self, va: u64, size_lg2: u8) {
        let page = (lg2::align_down(va, size_lg2.into()), size_lg2);
        if self.last != Some(page) {
            self.last = Some(page);
            self.counts[usize::from(size_lg2)] += 1;
        }
    }

    /// Counts so many pages of one size, behind one that was counted.
    pub fn add_more(&mut self, size_lg2: u8, count: u64) {
        self.last = None;
        self.counts[usize::from(size_lg2)] += count;
    }

    /// The sizes that there are, as powers of two, with their counts.
    pub fn each(&self) -> impl Iterator<Item = (u32, u64)> {
        (0..).zip(self.counts).filter(|(_, count)| *count > 0)
    }
}

/// What was seen on the way.
#[derive(Clone, Default, Debug)]
pub struct Seen {
    /// Pages by size, as powers of two; also those of which a filter leaves a part.
    pub pages: PageCounts,
    /// Tables by level.
    pub tables: BTreeMap<u32, u64>,
    /// Items that are foreign.
    pub foreign: u64,
    /// Pointers to tables that are not in the image.
    pub outside: u64,
    /// Pointers to tables that would not be aligned.
    pub misaligned: u64,
    /// Pointers to tables that are already on the way there.
    pub cycles: u64,
    /// Whether the limit of items was reached.
    pub is_limit_reached: bool,
}

impl Seen {
    /// What is not in the result, in words, if something is not.
    pub fn missing(&self) -> Vec<String> {
        let items = [
            (self.foreign, ["that the format does not know"; 2]),
            (
                self.outside,
                ["that points to a table outside of the image", "that point to tables outside of the image"],
            ),
            (
                self.misaligned,
                ["that points to a table that would not be aligned", "that point to tables that would not be aligned"],
            ),
        ];
        let unread = items.into_iter().filter(|(count, _)| *count > 0);
        let unread = unread.map(|(count, [one, many])| {
            let what = if count == 1 { one } else { many };
            format!("{} {what} (`genpt check` tells which)", human::count(count, "item"))
        });
        let cycles = match self.cycles {
            0 => String::new(),
            1 => "; 1 pointer leads to a table on the way to itself, a cycle (see `genpt check`)".to_owned(),
            many => format!("; {many} pointers lead to a table on the way to itself, a cycle (see `genpt check`)"),
        };
        let stopped = || format!("stopped: as many items as --limit allows were decoded, and there are more{cycles}");
        unread.chain(self.is_limit_reached.then(stopped)).collect()
    }
}
