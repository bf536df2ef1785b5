//! What the rows do, as data.

use crate::target::Tables;

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
        /// Size of the leaves.
        page_lg2: u32,
        /// Bytes mapped.
        len_lg2: u32,
    },
    /// Single pages of 4 KiB, one call each, in a table that has a large range mapped.
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
    /// Translates a range of 4 KiB leaves to runs, in one call.
    TranslateRange {
        /// Bytes mapped.
        len_lg2: u32,
        /// How the leaves are laid out.
        runs: Runs,
    },
    /// Scans a range of 4 KiB leaves for dirty ones and makes them clean, in one call.
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

/// Ranges to map or unmap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The first IOVA.
    pub(crate) iova: u64,
    /// Its physical address.
    pub(crate) paddr: u64,
    /// Bytes of each range.
    pub(crate) len: u64,
    /// Bytes from one to the next.
    pub(crate) stride: u64,
    /// Ranges of one run: to count, and to time.
    pub(crate) count: u64,
    pub(crate) timed: u64,
    /// The page size that is needed, where a range is one leaf.
    pub(crate) page_lg2: Option<u32>,
    /// What becomes of lower tables when a range is unmapped.
    pub(crate) tables: Tables,
    /// Whether the tables are made empty and kept before a run that maps.
    pub(crate) keeps_tables: bool,
}

/// Where the ranges begin, unless it matters: formats with 32-bit addresses have this too.
pub(crate) const IOVA: u64 = 0x4000_0000;
pub(crate) const PADDR: u64 = 0x8000_0000;
pub(crate) const PAGE: u64 = 0x1000;
/// No table covers so little: unmapping in pieces of this size removes leaves and no table.
pub(crate) const PIECE: u64 = 0x8_0000;

impl Layout {
    /// Pages that are aligned to their size, side by side, one call each.
    pub const fn pages(page_lg2: u32) -> Self {
        let len = 1 << page_lg2;
        // Pages of 1 GiB do not fit often into an address space.
        let timed = if page_lg2 < 30 { 4096 } else { 512 };
        Self {
            iova: IOVA,
            paddr: PADDR,
            len,
            stride: len,
            count: 512,
            timed,
            page_lg2: None,
            tables: Tables::Stay,
            keeps_tables: false,
        }
    }

    /// The same, each in another lowest table: no call finds anything where the one before left it.
    pub const fn far_apart(self) -> Self {
        Self { stride: (1 << 22) + self.len, ..self }
    }

    /// For formats in which each range is one leaf.
    pub const fn of_one_size(self) -> Self {
        Self { page_lg2: Some(self.len.trailing_zeros()), ..self }
    }

    /// Ranges that are aligned, mapped to addresses that are off by 4 KiB, so that no leaf is larger.
    pub const fn small_leaves(len_lg2: u32, timed: u64) -> Self {
        let len = 1 << len_lg2;
        let paddr = PADDR + PAGE;
        // Few, but enough for what a run costs beside them not to show.
        let count = if len_lg2 < 26 { 8 } else { 1 };
        Self {
            iova: IOVA,
            paddr,
            len,
            stride: len,
            count,
            timed,
            page_lg2: None,
            tables: Tables::Go,
            keeps_tables: false,
        }
    }

    /// Whether it is of what every library has: single pages of the usual sizes, or ranges of 4 KiB pages.
    pub const fn is_plain(&self) -> bool {
        self.stride != 1 << 34 && self.len != 1 << 16 && self.len != 1 << 20
    }

    /// With lower tables that are there, and empty, before a run that maps.
    pub const fn keep_tables(self) -> Self {
        Self { keeps_tables: true, ..self }
    }

    /// A range of 14 pages of 2 MiB, 3 of 1 GiB, and 3 of 2 MiB (fewer and larger ones for AMDv1).
    pub const MIXED: Self = {
        let (iova, end) = (0x3_fe40_0000, 0x4_c060_0000);
        Self { iova, paddr: iova, len: end - iova, stride: 1 << 34, count: 16, timed: 64, ..Self::pages(12) }
    };
}
