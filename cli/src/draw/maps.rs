//! What is in use of the two address spaces, and what goes where.

use super::extents::{Extent, Extents};
use super::looks::LookId;

/// Most runs that are remembered to show what goes where.
const MOST_LINKS: usize = 1 << 11;

/// A run of pages that continue each other in both address spaces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    /// Its first VA.
    pub va: u64,
    /// Where that goes.
    pub pa: u64,
    /// Bytes, less 1.
    pub len_minus_1: u64,
}

/// The maps on their way.
#[derive(Clone, Debug, Default)]
pub struct Maps {
    va: Extents,
    pa: Extents,
    tables: Extents,
    open: Option<(Link, LookId)>,
    links: Vec<Link>,
    dropped_links: u64,
}

/// The maps as they are drawn.
#[derive(Clone, Debug)]
pub struct DrawnMaps {
    /// VA in use.
    pub va: Vec<Extent>,
    /// Physical memory in use: of pages, and of tables that no page is mapped to.
    pub pa: Vec<Extent>,
    /// Memory of tables.
    pub tables: Vec<Extent>,
    /// The longest runs, by VA.
    pub links: Vec<Link>,
    /// Runs that were too many to remember.
    pub dropped_links: u64,
}

impl Maps {
    /// A part of a page, or a whole one.
    pub fn leaf(&mut self, next: Link, look: LookId) {
        if let Some((open, open_look)) = &mut self.open {
            let behind = |first: u64| first.checked_add(open.len_minus_1).and_then(|last| last.checked_add(1));
            let is_behind = behind(open.va) == Some(next.va) && behind(open.pa) == Some(next.pa);
            if is_behind && *open_look == look {
                open.len_minus_1 += next.len_minus_1 + 1;
                return;
            }
        }
        self.close();
        self.open = Some((next, look));
    }

    /// A table of so many bytes.
    pub fn table(&mut self, pa: u64, bytes: u64) {
        let extent = Extent::new(pa, pa.saturating_add(bytes - 1), LookId::TABLES, 0);
        self.tables.push(extent);
        self.pa.push(extent);
    }

    fn close(&mut self) {
        let Some((link, look)) = self.open.take() else { return };
        let extent = |first: u64| Extent::new(first, first.saturating_add(link.len_minus_1), look, 1);
        self.va.push(extent(link.va));
        self.pa.push(extent(link.pa));
        self.links.push(link);
        if self.links.len() >= 2 * MOST_LINKS {
            self.trim_links();
        }
    }

    /// Keeps the longest.
    fn trim_links(&mut self) {
        if self.links.len() > MOST_LINKS {
            self.dropped_links += (self.links.len() - MOST_LINKS) as u64;
            self.links.select_nth_unstable_by_key(MOST_LINKS, |link| std::cmp::Reverse((link.len_minus_1, link.va)));
            self.links.truncate(MOST_LINKS);
        }
    }

    /// The maps, with so many extents at the most in each.
    pub fn finish(mut self, most_extents: usize) -> DrawnMaps {
        self.close();
        self.trim_links();
        self.links.sort_unstable_by_key(|link| link.va);
        DrawnMaps {
            va: self.va.finish(most_extents),
            pa: self.pa.finish(most_extents),
            tables: self.tables.finish(most_extents),
            links: self.links,
            dropped_links: self.dropped_links,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_joined_and_the_longest_are_kept() {
        let mut maps = Maps::default();
        let link = |n: u64, len_minus_1| Link { va: n << 20, pa: n << 21, len_minus_1 };
        (0..3 * MOST_LINKS as u64).for_each(|n| maps.leaf(link(n, if n == 7 { 0x1fff } else { 0xfff }), LookId(2)));
        maps.leaf(Link { va: 0xff_0000_0000, pa: 0, len_minus_1: 0xfff }, LookId(2));
        maps.leaf(Link { va: 0xff_0000_1000, pa: 0x1000, len_minus_1: 0xfff }, LookId(2));
        let drawn = maps.finish(9);
        assert_eq!((drawn.links.len(), drawn.dropped_links), (MOST_LINKS, 2 * MOST_LINKS as u64 + 1));
        assert!(drawn.links.contains(&link(7, 0x1fff)));
        assert!(drawn.links.contains(&Link { va: 0xff_0000_0000, pa: 0, len_minus_1: 0x1fff }));
        assert_eq!((drawn.va.len(), drawn.pa.len()), (9, 9));
    }
}
