//! What the rows do, as data.
//!
//! Page sizes are levels: "4K", "2M" and "1G" in the rows' names stand for a leaf of one item at level 0, 1 and 2, which is what
//! they are in most formats. Other amounts are what the names say. `Layout::for_limits` makes the one of the other.

use crate::Purpose;
use crate::target::{Limits, Tables};

/// What is done with a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// It is mapped.
    Map,
    /// It is unmapped: an empty gather, the unmap, and a sync, which frees.
    Unmap,
}

/// What is done with single pages in a large table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scaled {
    /// Pages behind the range are mapped.
    Map,
    /// They are unmapped.
    Unmap,
    /// Pages of the range are translated, one after the other.
    Translate,
}

/// In which order pages are translated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// One after the other.
    Sequential,
    /// At random.
    Random,
}

/// What a row does.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Operation {
    /// Maps or unmaps ranges, one call each.
    Ranges {
        /// What is done with each.
        action: Action,
        /// Which ranges.
        layout: Layout,
    },
    /// Translates pages of a range, one call each.
    Translate {
        /// In which order.
        order: Order,
        /// Level of the leaves, each one item.
        level: usize,
        /// Bytes mapped.
        len_lg2: u32,
    },
    /// Single pages of level 0, one call each, in a table that has a large range mapped.
    AtScale {
        /// What is done.
        action: Scaled,
        /// Bytes mapped.
        len_lg2: u32,
    },
    /// Maps lists of pages that are nowhere contiguous, one call for each list.
    Scatter {
        /// Pages in a list.
        pages: u64,
    },
    /// Translates a range of leaves of level 0 to runs, in one call.
    TranslateRange {
        /// Bytes mapped.
        len_lg2: u32,
        /// How the leaves are laid out.
        runs: Runs,
    },
    /// Scans a range of leaves of level 0 for dirty ones and makes them clean, in one call.
    ReadAndClearDirty {
        /// Bytes mapped.
        len_lg2: u32,
        /// One leaf of so many is dirty.
        one_in: u64,
    },
}

/// How leaves are laid out in physical memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Runs {
    /// All of them make one run.
    One,
    /// Each is a run.
    EachLeaf,
}

/// What the size of a range is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extent {
    /// A leaf of one item at this level.
    Page(usize),
    /// A leaf of so many bytes, of several items in formats that have it.
    Leaf(u64),
    /// So many bytes, however they are mapped.
    Bytes(u64),
    /// So many bytes, that are leaves of level 0 and nothing larger.
    SmallLeaves(u64),
    /// So many bytes, of leaves of 2 MiB at level 1 and of 1 GiB at level 2.
    Mixed(u64),
}

/// Where ranges are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Spacing {
    /// Each behind the one before.
    SideBySide,
    /// Each in another lowest table: no call finds anything where the one before left it.
    FarApart,
    /// From one to the next so many bytes.
    Bytes(u64),
}

/// Ranges to map or unmap, for any format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The first IOVA, before it is aligned to the size of pages.
    pub(crate) iova: u64,
    /// Its physical address, likewise.
    pub(crate) paddr: u64,
    pub(crate) extent: Extent,
    pub(crate) spacing: Spacing,
    /// Ranges of one run: to count, and to time.
    pub(crate) count: u64,
    pub(crate) timed: u64,
    /// What becomes of lower tables when a range is unmapped.
    pub(crate) tables: Tables,
    /// Whether the tables are made empty and kept before a run that maps.
    pub(crate) keeps_tables: bool,
}

/// Ranges to map or unmap, as they are in one format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ranges {
    /// The first IOVA.
    pub(crate) iova: u64,
    /// Its physical address.
    pub(crate) paddr: u64,
    /// Bytes of each range.
    pub(crate) len: u64,
    /// Bytes from one to the next.
    pub(crate) stride: u64,
    /// How many there are.
    pub(crate) count: u64,
    /// What becomes of lower tables when a range is unmapped.
    pub(crate) tables: Tables,
    /// Whether the tables are made empty and kept before a run that maps.
    pub(crate) keeps_tables: bool,
}

/// Where the ranges begin, unless it matters: formats with 32-bit addresses have this too.
pub(crate) const IOVA: u64 = 0x4000_0000;
pub(crate) const PADDR: u64 = 0x8000_0000;
/// No table covers so little: unmapping in pieces of this size removes leaves and no table.
pub(crate) const PIECE: u64 = 0x8_0000;

impl Layout {
    /// Leaves of one item at a level, side by side, one call each.
    pub const fn pages(level: usize) -> Self {
        // Pages of level 2 do not fit often into an address space.
        let timed = if level < 2 { 4096 } else { 512 };
        Self {
            iova: IOVA,
            paddr: PADDR,
            extent: Extent::Page(level),
            spacing: Spacing::SideBySide,
            count: 512,
            timed,
            tables: Tables::Stay,
            keeps_tables: false,
        }
    }

    /// Ranges of so many bytes, aligned and side by side, one call each.
    pub const fn ranges(len_lg2: u32) -> Self {
        Self { extent: Extent::Bytes(1 << len_lg2), ..Self::pages(0) }
    }

    /// The same, for formats in which each range is one leaf.
    pub const fn leaves(len_lg2: u32) -> Self {
        Self { extent: Extent::Leaf(1 << len_lg2), ..Self::pages(0) }
    }

    /// The same, each in another lowest table.
    pub const fn far_apart(self) -> Self {
        Self { spacing: Spacing::FarApart, ..self }
    }

    /// Ranges that are aligned, mapped to addresses that are off by one page, so that no leaf is larger than the smallest.
    pub const fn small_leaves(len_lg2: u32, timed: u64) -> Self {
        // Few, but enough for what a run costs beside them not to show.
        let count = if len_lg2 < 26 { 8 } else { 1 };
        Self { extent: Extent::SmallLeaves(1 << len_lg2), count, timed, tables: Tables::Go, ..Self::pages(0) }
    }

    /// Whether it is of what every library has: single pages of the usual sizes, or ranges of 4 KiB pages.
    pub const fn is_plain(&self) -> bool {
        matches!(self.extent, Extent::Page(_) | Extent::SmallLeaves(_))
    }

    /// With lower tables that are there, and empty, before a run that maps.
    pub const fn keep_tables(self) -> Self {
        Self { keeps_tables: true, ..self }
    }

    /// A range of 14 pages of 2 MiB, 3 of 1 GiB, and 3 of 2 MiB (fewer and larger ones for AMDv1).
    pub const MIXED: Self = {
        let (iova, end) = (0x3_fe40_0000, 0x4_c060_0000);
        let (extent, spacing) = (Extent::Mixed(end - iova), Spacing::Bytes(1 << 34));
        Self { iova, paddr: iova, extent, spacing, count: 16, timed: 64, ..Self::pages(0) }
    };

    /// The ranges that these are for what has such limits; `None` if it cannot hold them, or has no such leaves.
    pub(crate) fn for_limits(&self, limits: &Limits, purpose: Purpose) -> Option<Ranges> {
        let page = 1 << limits.page_lg2(0)?;
        let (len, align, offset) = match self.extent {
            Extent::Page(level) => limits.page_lg2(level).map(|size| (1 << size, 1 << size, 0))?,
            Extent::Leaf(len) => limits.have_size(len.trailing_zeros()).then_some((len, len, 0))?,
            Extent::Bytes(len) => (len >= page).then_some((len, len, 0))?,
            // As many as fill a table of most formats, so that what a table costs is shared.
            Extent::SmallLeaves(len) => (len / page >= 512).then_some((len, 1, page))?,
            Extent::Mixed(len) => {
                let has_them = limits.page_lg2(1) == Some(21) && limits.page_lg2(2) == Some(30);
                has_them.then_some((len, 1, 0))?
            }
        };
        // A range that is to take tables along has to cover them.
        if self.tables == Tables::Go && len >> limits.item_lg2[1] == 0 {
            return None;
        }
        let stride = match self.spacing {
            Spacing::SideBySide => len,
            Spacing::FarApart => (1 << limits.item_lg2[1].max(22)) + len,
            Spacing::Bytes(stride) => stride,
        };
        let (iova, paddr) = (self.iova.next_multiple_of(align), self.paddr.next_multiple_of(align) + offset);
        let Self { tables, keeps_tables, .. } = *self;
        let fits = |count: &u64| {
            let span = stride.checked_mul(count - 1).and_then(|span| span.checked_add(len));
            span.is_some_and(|span| limits.hold(iova, paddr, span))
        };
        // What is counted has to be the same everywhere; times are of as many as there is room for.
        let counts = match purpose {
            Purpose::Count => [self.count; 2],
            Purpose::Time => [self.timed, self.count],
        };
        counts.into_iter().find(fits).map(|count| Ranges { iova, paddr, len, stride, count, tables, keeps_tables })
    }
}
