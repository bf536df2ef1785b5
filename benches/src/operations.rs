//! What the cases do, for tables of any format.
//!
//! Each operation is called through a function that is not inlined, with arguments that the compiler does not know, as a caller
//! from another module calls it; the loop around it is counted too (together about 15 instructions, as in the reference).

use crate::formats::Shape;
use crate::rows::{Per, Row};
use crate::{BenchDomain, Purpose};
use generic_pt::iommu::Walkers;
use generic_pt::{DirtyMode, Features, GatherMode, Prot, PtIommu, TableConfig};
use std::fmt;
use std::hint::black_box;

/// A case on a table, ready to run.
pub trait Case: fmt::Debug {
    /// Brings the table to where a run starts; not measured.
    fn prepare(&mut self);
    /// What is measured.
    fn run(&mut self);
    /// What the numbers of the row are for, counted over one run.
    fn units(&self) -> u64;
}

/// What is done with a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// It is mapped.
    Map,
    /// It is unmapped: an empty gather, the unmap, and a sync, which frees.
    Unmap,
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
    /// Scans a range of 4 KiB leaves for dirty ones and makes them clean, in one call.
    ReadAndClearDirty {
        /// Bytes mapped.
        len_lg2: u32,
        /// One leaf of so many is dirty.
        one_in: u64,
    },
}

/// Ranges to map or unmap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The first IOVA.
    iova: u64,
    /// Its physical address.
    paddr: u64,
    /// Bytes of each range.
    len: u64,
    /// Bytes from one to the next.
    stride: u64,
    /// Ranges of one run: to count, and to time.
    count: u64,
    timed: u64,
    /// The page size that is needed, where a range is one leaf.
    page_lg2: Option<u32>,
    /// Whether tables stay when everything in them is unmapped, before a run that maps.
    keeps_tables: bool,
}

/// Where the ranges begin, unless it matters: formats with 32-bit addresses have this too.
const IOVA: u64 = 0x4000_0000;
const PADDR: u64 = 0x8000_0000;
const PAGE: u64 = 0x1000;
/// No table covers so little: unmapping in pieces of this size removes leaves and no table.
const PIECE: u64 = 0x8_0000;

impl Layout {
    /// Pages that are aligned to their size, side by side, one call each.
    pub const fn pages(page_lg2: u32) -> Self {
        let len = 1 << page_lg2;
        // Pages of 1 GiB do not fit often into an address space.
        let timed = if page_lg2 < 30 { 4096 } else { 512 };
        Self { iova: IOVA, paddr: PADDR, len, stride: len, count: 512, timed, page_lg2: None, keeps_tables: false }
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
        Self { iova: IOVA, paddr, len, stride: len, count, timed, page_lg2: None, keeps_tables: false }
    }

    /// With lower tables that are there, and empty, before a run that maps.
    pub const fn keep_tables(self) -> Self {
        Self { keeps_tables: true, ..self }
    }

    /// A range of 14 pages of 2 MiB, 3 of 1 GiB, and 3 of 2 MiB (fewer and larger ones for AMDv1).
    pub const MIXED: Self = {
        let (iova, end) = (0x3_fe40_0000, 0x4_c060_0000);
        let len = end - iova;
        Self { iova, paddr: iova, len, stride: 1 << 34, count: 16, timed: 64, page_lg2: None, keeps_tables: false }
    };
}

/// A table of a benchmark.
type Table<F> = PtIommu<F, &'static BenchDomain>;

const PROT: Prot = Prot::READ.union(Prot::WRITE);

/// An empty table of a shape; `None` if the format does not have all of the row's features.
fn table<F: Walkers>(domain: &'static BenchDomain, shape: &Shape<F::Config>, features: Features) -> Option<Table<F>> {
    let features = features | shape.features | F::FORCED | (Features::FLUSH_RANGE & F::SUPPORTED);
    if !F::SUPPORTED.contains(features) {
        return None;
    }
    let config = TableConfig {
        features,
        hw_max_vasz_lg2: shape.va_bits,
        hw_max_oasz_lg2: F::GEOMETRY.max_oa_lg2,
        format: shape.config,
    };
    Some(PtIommu::new(domain, &config).unwrap_or_else(|error| panic!("{}: {error}", shape.name)))
}

/// Whether a table translates all of a range to addresses that it can hold.
fn holds<F: Walkers>(table: &Table<F>, iova: u64, paddr: u64, len: u64) -> bool {
    let info = table.info();
    iova + (len - 1) <= info.aperture.last && (paddr + (len - 1)) >> info.max_oa_lg2 == 0
}

fn has_size<F: Walkers>(table: &Table<F>, page_lg2: u32) -> bool {
    table.info().page_sizes >> page_lg2 & 1 != 0
}

/// The case of a row on an empty table; `None` if tables of the format cannot do that.
pub fn case<F: Walkers + 'static>(
    domain: &'static BenchDomain,
    shape: Shape<F::Config>,
    row: &Row,
    purpose: Purpose,
) -> Option<Box<dyn Case>> {
    if row.only.is_some_and(|only| only != shape.name) {
        return None;
    }
    let table = table::<F>(domain, &shape, row.features)?;
    match row.operation {
        Operation::Ranges { action, layout } => {
            let count = if purpose == Purpose::Count { layout.count } else { layout.timed };
            let span = layout.stride * (count - 1) + layout.len;
            let fits = holds(&table, layout.iova, layout.paddr, span)
                && has_size(&table, 12)
                && layout.page_lg2.is_none_or(|size| has_size(&table, size));
            fits.then(|| {
                let units = if row.per == Per::Leaf { count * (layout.len / PAGE) } else { count };
                let mut case = Ranges { table, action, layout, count, units, mapped: 0 };
                // So that the tables that stay are there.
                case.map_all();
                case.unmap_all();
                Box::new(case) as Box<dyn Case>
            })
        }
        Operation::Translate { order, page_lg2, len_lg2 } => {
            let (len, page) = (1u64 << len_lg2, 1 << page_lg2);
            let count = if purpose == Purpose::Count { 4096 } else { 1 << 16 };
            let fits = holds(&table, IOVA, PADDR + PAGE, len) && has_size(&table, page_lg2);
            fits.then(|| {
                let mut table = table;
                // Aligned alike for large pages, and off by 4 KiB where the smallest are wanted.
                let paddr = if page_lg2 > 12 { PADDR } else { PADDR + PAGE };
                table.narrow_page_sizes(page);
                assert!(map(&mut table, IOVA, paddr, len, PROT), "{}", row.name);
                Box::new(Translate { table, order, paddr, page_lg2, len_lg2, count }) as Box<dyn Case>
            })
        }
        Operation::ReadAndClearDirty { len_lg2, one_in } => {
            let len = 1u64 << len_lg2;
            let fits = F::HAS_DIRTY && holds(&table, IOVA, PADDR + PAGE, len) && has_size(&table, 12);
            fits.then(|| {
                let mut table = table;
                assert!(map(&mut table, IOVA, PADDR + PAGE, len, PROT), "{}", row.name);
                Box::new(Dirty { table, len, one_in }) as Box<dyn Case>
            })
        }
    }
}

/// The operations as a caller in another module calls them.
#[inline(never)]
fn map<F: Walkers>(table: &mut Table<F>, iova: u64, paddr: u64, len: u64, prot: Prot) -> bool {
    table.map_range(iova, paddr, len, prot).is_ok()
}

#[inline(never)]
fn unmap<F: Walkers>(table: &mut Table<F>, iova: u64, len: u64) -> u64 {
    let mut gather = table.gather(GatherMode::Immediate);
    let removed = table.unmap_range(iova, len, &mut gather);
    gather.sync();
    removed
}

#[inline(never)]
fn translate<F: Walkers>(table: &Table<F>, iova: u64) -> Option<u64> {
    table.iova_to_phys(iova)
}

#[inline(never)]
fn read_and_clear_dirty<F: Walkers>(table: &mut Table<F>, iova: u64, len: u64) -> u64 {
    let mut found = 0;
    let mut gather = table.gather(GatherMode::Immediate);
    let result = table.read_and_clear_dirty(iova, len, DirtyMode::Clear, &mut gather, |_| found += 1);
    gather.sync();
    if result.is_ok() { found } else { 0 }
}

/// Maps or unmaps ranges.
#[derive(Debug)]
struct Ranges<F: Walkers> {
    table: Table<F>,
    action: Action,
    layout: Layout,
    count: u64,
    units: u64,
    /// Ranges that are mapped: all or none.
    mapped: u64,
}

impl<F: Walkers> Ranges<F> {
    fn map_all(&mut self) {
        let Layout { mut iova, mut paddr, len, stride, .. } = black_box(self.layout);
        let prot = black_box(PROT);
        let mut all = true;
        for _ in 0..self.count {
            all &= map(&mut self.table, iova, paddr, len, prot);
            iova += stride;
            paddr += stride;
        }
        assert!(all, "mapped");
        self.mapped = self.count;
    }

    fn unmap_all(&mut self) {
        let Layout { mut iova, len, stride, .. } = black_box(self.layout);
        let mut removed = 0;
        for _ in 0..self.count {
            removed += unmap(&mut self.table, iova, len);
            iova += stride;
        }
        assert_eq!(removed, self.count * len, "unmapped");
        self.mapped = 0;
    }

    /// Unmaps everything, but no table.
    fn empty_tables(&mut self) {
        let Layout { iova, len, stride, .. } = self.layout;
        for start in (0..self.count).map(|n| iova + n * stride) {
            for piece in (start..start + len).step_by(PIECE as usize) {
                assert_eq!(unmap(&mut self.table, piece, PIECE), PIECE);
            }
        }
        self.mapped = 0;
    }
}

impl<F: Walkers> Case for Ranges<F> {
    fn prepare(&mut self) {
        match self.action {
            Action::Map if self.layout.keeps_tables => {
                if self.mapped == 0 {
                    self.map_all();
                }
                self.empty_tables();
            }
            Action::Map if self.mapped > 0 => self.unmap_all(),
            Action::Unmap if self.mapped == 0 => self.map_all(),
            _ => {}
        }
    }

    fn run(&mut self) {
        match self.action {
            Action::Map => self.map_all(),
            Action::Unmap => self.unmap_all(),
        }
    }

    fn units(&self) -> u64 {
        self.units
    }
}

/// Translates.
#[derive(Debug)]
struct Translate<F: Walkers> {
    table: Table<F>,
    order: Order,
    paddr: u64,
    page_lg2: u32,
    len_lg2: u32,
    /// Translations of a run.
    count: u64,
}

impl<F: Walkers> Case for Translate<F> {
    fn prepare(&mut self) {}

    fn run(&mut self) {
        let (page_lg2, pages_lg2) = black_box((self.page_lg2, self.len_lg2 - self.page_lg2));
        let pages_mask = (1 << pages_lg2) - 1;
        // Offsets, so that a hole and a wrong answer show in the sum.
        let mut wrong = 0;
        let mut page = 0u64;
        let mut check = |page: u64| {
            let offset = page << page_lg2;
            wrong |= translate(&self.table, IOVA + offset).unwrap_or(0) ^ (self.paddr + offset);
        };
        match self.order {
            Order::Sequential => {
                for _ in 0..self.count {
                    check(page);
                    page = (page + 1) & pages_mask;
                }
            }
            Order::Random => {
                for _ in 0..self.count {
                    page = page.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    check((page >> 40) & pages_mask);
                }
            }
        }
        assert_eq!(wrong, 0, "translated");
    }

    fn units(&self) -> u64 {
        self.count
    }
}

/// Scans for dirty leaves.
#[derive(Debug)]
struct Dirty<F: Walkers> {
    table: Table<F>,
    len: u64,
    one_in: u64,
}

impl<F: Walkers> Case for Dirty<F> {
    fn prepare(&mut self) {
        for offset in (0..self.len).step_by((self.one_in * PAGE) as usize) {
            self.table.set_dirty(IOVA + offset).expect("mapped");
        }
    }

    fn run(&mut self) {
        let found = read_and_clear_dirty(&mut self.table, black_box(IOVA), black_box(self.len));
        assert_eq!(found, self.len / PAGE / self.one_in, "dirty leaves");
    }

    fn units(&self) -> u64 {
        self.len / PAGE
    }
}
