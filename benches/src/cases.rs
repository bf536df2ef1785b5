//! The cases: what the rows do, for tables of any format.
//!
//! Each operation is called through a function that is not inlined, with arguments that the compiler does not know, as a caller
//! from another module calls it; the loop around it is counted too (together about 15 instructions, as in the reference).

use crate::formats::Shape;
use crate::operations::{Action, IOVA, Layout, Operation, Order, PADDR, PIECE, Ranges, Runs, Scaled};
use crate::rows::{Per, Row, TableOrder};
use crate::target::{Limits, PROT, Table, Tables, Target, table};
use crate::{BenchDomain, Purpose};
use generic_pt::format::item_size_lg2;
use generic_pt::iommu::Walkers;
use generic_pt::{DirtyMode, GatherMode, Segment};
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
    let mut table = table::<F>(domain, &shape, row.features)?;
    let info = table.info();
    let limits = Limits {
        last_iova: info.aperture.last,
        oa_bits: info.max_oa_lg2,
        page_sizes: info.page_sizes,
        item_lg2: [0, 1, 2].map(item_size_lg2::<F>),
    };
    let page = 1 << limits.page_lg2(0)?;
    match row.operation {
        Operation::ReadAndClearDirty { len_lg2, one_in } => {
            let len = 1u64 << len_lg2;
            if !limits.hold(IOVA, PADDR + page, len) {
                return None;
            }
            assert!(table.map(IOVA, PADDR + page, len, PROT), "{}", row.name);
            // In some formats what may be written is dirty from the start.
            read_and_clear_dirty(&mut table, IOVA, len);
            // Some formats have it in some configurations.
            table.set_dirty(IOVA).ok().map(|()| Box::new(Dirty { table, page, len, one_in }) as Box<dyn Case>)
        }
        Operation::Scatter { pages } => {
            let lists = if purpose == Purpose::Count { 8 } else { 16 };
            let mut case = Scatter { table, page, segments: scattered(page, pages), lists, are_mapped: false };
            // No list may cover a table whole.
            let fits = limits.hold(IOVA, PADDR, (lists * case.stride()).max(pages * page * 2))
                && 1 << limits.item_lg2[1] >= pages * page;
            fits.then(|| {
                case.map_all();
                case.unmap_all();
                Box::new(case) as Box<dyn Case>
            })
        }
        Operation::TranslateRange { len_lg2, runs } => {
            let len = 1u64 << len_lg2;
            limits.hold(IOVA, PADDR + page, 2 * len).then(|| {
                match runs {
                    Runs::One => assert!(table.map(IOVA, PADDR + page, len, PROT), "{}", row.name),
                    Runs::EachLeaf => scattered(page, len / page).iter().zip(0..).for_each(|(segment, n)| {
                        assert!(table.map(IOVA + n * page, segment.paddr, segment.len, PROT), "{}", row.name);
                    }),
                }
                Box::new(TranslateRange { table, page, len, runs }) as Box<dyn Case>
            })
        }
        _ => {
            let case = common_case(table, limits, row, purpose);
            if row.tables == TableOrder::Scattered {
                // Whatever tables it needs were made and freed.
                domain.memory.scatter();
            }
            case
        }
    }
}

/// The case of a row on an empty table of this or another library; `None` if it cannot do that.
///
/// # Panics
/// If it fails although it should not.
pub fn common_case<T: Target + 'static>(
    mut target: T,
    limits: Limits,
    row: &Row,
    purpose: Purpose,
) -> Option<Box<dyn Case>> {
    match row.operation {
        Operation::Ranges { action, layout } => {
            let ranges = layout.for_limits(&limits, purpose)?;
            let leaves = if row.per == Per::Leaf { ranges.len >> limits.page_lg2(0)? } else { 1 };
            Some(RangesCase::boxed(target, action, ranges, leaves))
        }
        Operation::Translate { order, level, len_lg2 } => {
            let page_lg2 = limits.page_lg2(level)?;
            let count = if purpose == Purpose::Count { 4096 } else { 1 << 16 };
            let paddr = fill(&mut target, &limits, level, len_lg2, 0)?;
            Some(Box::new(Translate { target, order, paddr, page_lg2, len_lg2, count }))
        }
        Operation::AtScale { action, len_lg2 } => {
            // The range, and what follows it; in large pages if it is large.
            let level = if len_lg2 <= 30 { 0 } else { 1 };
            let page_lg2 = limits.page_lg2(level)?;
            let paddr = fill(&mut target, &limits, level, len_lg2, 1 << 31)?;
            let behind = (IOVA + (1 << len_lg2)).next_multiple_of(1 << 30);
            let ranges = Layout { iova: behind, ..Layout::pages(0) }.for_limits(&limits, purpose)?;
            let action = match action {
                Scaled::Map => Action::Map,
                Scaled::Unmap => Action::Unmap,
                Scaled::Translate => {
                    let (order, count) = (Order::Sequential, ranges.count);
                    return Some(Box::new(Translate { target, order, paddr, page_lg2, len_lg2, count }));
                }
            };
            Some(RangesCase::boxed(target, action, ranges, 1))
        }
        Operation::Scatter { .. } | Operation::TranslateRange { .. } | Operation::ReadAndClearDirty { .. } => None,
    }
}

/// Maps a range of leaves of one item at level 0 or 1, from [`IOVA`] on. Its physical address; `None` if there is no room for it and
/// for so many bytes behind it.
fn fill(target: &mut impl Target, limits: &Limits, level: usize, len_lg2: u32, bytes_behind: u64) -> Option<u64> {
    let page = 1 << limits.page_lg2(level)?;
    // Aligned alike for large pages, and off by one page where the smallest are wanted.
    let paddr = PADDR + if level > 0 { 0 } else { page };
    let is_aligned = (IOVA | PADDR | 1 << len_lg2).is_multiple_of(page);
    if !is_aligned || !limits.hold(IOVA, paddr, (1 << len_lg2) + bytes_behind) {
        return None;
    }
    target.use_sizes(page);
    assert!(target.map(IOVA, paddr, 1 << len_lg2, PROT), "a range to translate");
    target.use_sizes(u64::MAX);
    Some(paddr)
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
struct RangesCase<T> {
    target: T,
    action: Action,
    ranges: Ranges,
    /// Of each range, where the row counts for each leaf; otherwise 1.
    leaves: u64,
    /// All of them, or none.
    are_mapped: bool,
}

impl<T: Target + 'static> RangesCase<T> {
    fn boxed(target: T, action: Action, ranges: Ranges, leaves: u64) -> Box<dyn Case> {
        let mut case = Self { target, action, ranges, leaves, are_mapped: false };
        // So that the tables that stay are there.
        case.map_all();
        case.unmap_all();
        Box::new(case)
    }
}

impl<T: Target> RangesCase<T> {
    fn map_all(&mut self) {
        let Ranges { mut iova, mut paddr, len, stride, count, .. } = black_box(self.ranges);
        let prot = black_box(PROT);
        let mut all = true;
        for _ in 0..count {
            all &= self.target.map(iova, paddr, len, prot);
            iova += stride;
            paddr += stride;
        }
        assert!(all, "mapped");
        self.are_mapped = true;
    }

    fn unmap_all(&mut self) {
        let Ranges { mut iova, len, stride, count, tables, .. } = black_box(self.ranges);
        let mut removed = 0;
        for _ in 0..count {
            removed += self.target.unmap(iova, len, tables);
            iova += stride;
        }
        assert_eq!(removed, count * len, "unmapped");
        self.are_mapped = false;
    }

    /// Unmaps everything, but no table.
    fn empty_tables(&mut self) {
        let Ranges { iova, len, stride, count, .. } = self.ranges;
        for start in (0..count).map(|n| iova + n * stride) {
            for piece in (start..start + len).step_by(PIECE as usize) {
                assert_eq!(self.target.unmap(piece, PIECE, Tables::Stay), PIECE);
            }
        }
        self.are_mapped = false;
    }
}

impl<T: Target> Case for RangesCase<T> {
    fn prepare(&mut self) {
        match self.action {
            Action::Map if self.ranges.keeps_tables => {
                if !self.are_mapped {
                    self.map_all();
                }
                self.empty_tables();
            }
            Action::Map if self.are_mapped => {
                self.unmap_all();
                if self.ranges.tables == Tables::Go {
                    self.target.free_empty_tables();
                }
            }
            Action::Unmap if !self.are_mapped => self.map_all(),
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
        self.ranges.count * self.leaves
    }
}

/// Translates.
#[derive(Debug)]
struct Translate<T> {
    target: T,
    order: Order,
    paddr: u64,
    page_lg2: u32,
    len_lg2: u32,
    /// Translations of a run.
    count: u64,
}

impl<T: Target> Translate<T> {
    /// Translates offsets into the range, from 0 on; `next` gives the next of each, which may be beyond the range.
    #[inline(always)]
    fn translate_all(&self, next: impl Fn(u64) -> u64) {
        let (paddr, offset_mask) = black_box((self.paddr, (1 << self.len_lg2) - 1));
        // A hole and a wrong answer leave bits in it.
        let mut wrong = 0;
        let mut offset = 0;
        for _ in 0..self.count {
            wrong |= self.target.translate(IOVA + offset).unwrap_or(0) ^ (paddr + offset);
            offset = next(offset) & offset_mask;
        }
        assert_eq!(wrong, 0, "translated");
    }
}

impl<T: Target> Case for Translate<T> {
    fn prepare(&mut self) {}

    fn run(&mut self) {
        let page = black_box(1u64 << self.page_lg2);
        match self.order {
            Order::Sequential => self.translate_all(|offset| offset + page),
            // Visits every page, in an order that no prefetcher knows.
            Order::Random => self.translate_all(|offset| offset.wrapping_mul(1_664_525).wrapping_add(page)),
        }
    }

    fn units(&self) -> u64 {
        self.count
    }
}

/// Scans for dirty leaves.
#[derive(Debug)]
struct Dirty<F: Walkers> {
    table: Table<F>,
    page: u64,
    len: u64,
    one_in: u64,
}

impl<F: Walkers> Case for Dirty<F> {
    fn prepare(&mut self) {
        for offset in (0..self.len).step_by((self.one_in * self.page) as usize) {
            self.table.set_dirty(IOVA + offset).expect("mapped");
        }
    }

    fn run(&mut self) {
        let found = read_and_clear_dirty(&mut self.table, black_box(IOVA), black_box(self.len));
        assert_eq!(found, self.len / self.page / self.one_in, "dirty leaves");
    }

    fn units(&self) -> u64 {
        self.len / self.page
    }
}

/// Pages in descending order with gaps, so that no two are contiguous.
fn scattered(page: u64, pages: u64) -> Vec<Segment> {
    (0..pages).rev().map(|n| Segment { paddr: PADDR + n * 2 * page, len: page }).collect()
}

#[inline(never)]
fn map_sg<F: Walkers>(table: &mut Table<F>, iova: u64, segments: &[Segment]) -> u64 {
    table.map_sg(iova, segments, black_box(PROT)).unwrap_or(0)
}

/// Maps scatter lists.
#[derive(Debug)]
struct Scatter<F: Walkers> {
    table: Table<F>,
    page: u64,
    segments: Vec<Segment>,
    lists: u64,
    are_mapped: bool,
}

impl<F: Walkers> Scatter<F> {
    /// One list for each 512 pages, from the second quarter on: so no table of 256 items or more is covered whole, and all stay.
    const fn stride(&self) -> u64 {
        512 * self.page
    }

    const fn first(&self) -> u64 {
        IOVA + self.stride() / 4
    }

    fn map_all(&mut self) {
        let mut mapped = 0;
        let (mut iova, stride) = black_box((self.first(), self.stride()));
        for _ in 0..self.lists {
            mapped += map_sg(&mut self.table, iova, &self.segments);
            iova += stride;
        }
        assert_eq!(mapped, self.units() * self.page, "mapped");
        self.are_mapped = true;
    }

    fn unmap_all(&mut self) {
        let len = self.segments.len() as u64 * self.page;
        let (first, stride) = (self.first(), self.stride());
        for list in 0..self.lists {
            assert_eq!(self.table.unmap(first + list * stride, len, Tables::Stay), len, "unmapped");
        }
        self.are_mapped = false;
    }
}

impl<F: Walkers> Case for Scatter<F> {
    fn prepare(&mut self) {
        if self.are_mapped {
            self.unmap_all();
        }
    }

    fn run(&mut self) {
        self.map_all();
    }

    fn units(&self) -> u64 {
        self.lists * self.segments.len() as u64
    }
}

#[inline(never)]
fn translate_range<F: Walkers>(table: &Table<F>, iova: u64, len: u64) -> (u64, u64) {
    let Ok(runs) = table.translate_range(iova, len) else { return (0, 0) };
    runs.fold((0, 0), |(runs, bytes), run| (runs + 1, bytes + run.len))
}

/// Translates a range to runs.
#[derive(Debug)]
struct TranslateRange<F: Walkers> {
    table: Table<F>,
    page: u64,
    len: u64,
    runs: Runs,
}

impl<F: Walkers> Case for TranslateRange<F> {
    fn prepare(&mut self) {}

    fn run(&mut self) {
        let runs = if self.runs == Runs::One { 1 } else { self.units() };
        assert_eq!(translate_range(&self.table, black_box(IOVA), black_box(self.len)), (runs, self.len));
    }

    fn units(&self) -> u64 {
        self.len / self.page
    }
}
