//! The cases: what the rows do, for tables of any format.
//!
//! Each operation is called through a function that is not inlined, with arguments that the compiler does not know, as a caller
//! from another module calls it; the loop around it is counted too (together about 15 instructions, as in the reference).

use crate::formats::Shape;
use crate::operations::{Action, IOVA, Layout, Operation, Order, PADDR, PAGE, PIECE, Runs, Scaled};
use crate::rows::{Per, Row};
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
        lowest_table_lg2: item_size_lg2::<F>(1),
    };
    match row.operation {
        Operation::ReadAndClearDirty { len_lg2, one_in } => {
            let len = 1u64 << len_lg2;
            if !limits.hold(IOVA, PADDR + PAGE, len) || !limits.have_size(12) {
                return None;
            }
            assert!(table.map(IOVA, PADDR + PAGE, len, PROT), "{}", row.name);
            // Some formats have it in some configurations.
            table.set_dirty(IOVA).ok().map(|()| Box::new(Dirty { table, len, one_in }) as Box<dyn Case>)
        }
        Operation::Scatter { pages } => {
            let lists = if purpose == Purpose::Count { 8 } else { 16 };
            let fits =
                limits.hold(IOVA, PADDR, (lists * Scatter::<F>::STRIDE).max(pages * PAGE * 2)) && limits.have_size(12);
            fits.then(|| {
                let mut case = Scatter { table, segments: scattered(pages), lists, are_mapped: false };
                case.map_all();
                case.unmap_all();
                Box::new(case) as Box<dyn Case>
            })
        }
        Operation::TranslateRange { len_lg2, runs } => {
            let len = 1u64 << len_lg2;
            let fits = limits.hold(IOVA, PADDR + PAGE, 2 * len) && limits.have_size(12);
            fits.then(|| {
                match runs {
                    Runs::One => assert!(table.map(IOVA, PADDR + PAGE, len, PROT), "{}", row.name),
                    Runs::EachLeaf => scattered(len / PAGE).iter().zip(0..).for_each(|(segment, page)| {
                        assert!(table.map(IOVA + page * PAGE, segment.paddr, segment.len, PROT), "{}", row.name);
                    }),
                }
                Box::new(TranslateRange { table, len, runs }) as Box<dyn Case>
            })
        }
        _ => common_case(table, limits, row, purpose),
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
            let count = if purpose == Purpose::Count { layout.count } else { layout.timed };
            let span = layout.stride * (count - 1) + layout.len;
            let fits = limits.hold(layout.iova, layout.paddr, span)
                && limits.have_size(12)
                && layout.page_lg2.is_none_or(|size| limits.have_size(size))
                && (layout.tables == Tables::Stay || layout.len >> limits.lowest_table_lg2 > 0);
            fits.then(|| {
                let units = if row.per == Per::Leaf { count * (layout.len / PAGE) } else { count };
                let mut case = Ranges { target, action, layout, count, units, are_mapped: false };
                // So that the tables that stay are there.
                case.map_all();
                case.unmap_all();
                Box::new(case) as Box<dyn Case>
            })
        }
        Operation::Translate { order, page_lg2, len_lg2 } => {
            let count = if purpose == Purpose::Count { 4096 } else { 1 << 16 };
            let fits = limits.hold(IOVA, PADDR + PAGE, 1 << len_lg2) && limits.have_size(page_lg2);
            fits.then(|| {
                let paddr = fill(&mut target, page_lg2, len_lg2);
                Box::new(Translate { target, order, paddr, page_lg2, len_lg2, count }) as Box<dyn Case>
            })
        }
        Operation::AtScale { action, len_lg2 } => {
            // The range, and what follows it; in large pages if it is large.
            let page_lg2 = if len_lg2 <= 30 { 12 } else { 21 };
            let fits = limits.hold(IOVA, PADDR + PAGE, (1 << len_lg2) + (1 << 31)) && limits.have_size(page_lg2);
            fits.then(|| {
                let paddr = fill(&mut target, page_lg2, len_lg2);
                let behind = (IOVA + (1 << len_lg2)).next_multiple_of(1 << 30);
                let layout = Layout { iova: behind, ..Layout::pages(12) };
                let count = if purpose == Purpose::Count { layout.count } else { layout.timed };
                let action = match action {
                    Scaled::Map => Action::Map,
                    Scaled::Unmap => Action::Unmap,
                    Scaled::Translate => {
                        let order = Order::Sequential;
                        return Box::new(Translate { target, order, paddr, page_lg2, len_lg2, count }) as Box<dyn Case>;
                    }
                };
                let mut case = Ranges { target, action, layout, count, units: count, are_mapped: false };
                case.map_all();
                case.unmap_all();
                Box::new(case) as Box<dyn Case>
            })
        }
        Operation::Scatter { .. } | Operation::TranslateRange { .. } | Operation::ReadAndClearDirty { .. } => None,
    }
}

/// Maps a range of leaves of one size, from [`IOVA`]. Its physical address.
fn fill(target: &mut impl Target, page_lg2: u32, len_lg2: u32) -> u64 {
    // Aligned alike for large pages, and off by 4 KiB where the smallest are wanted.
    let paddr = if page_lg2 > 12 { PADDR } else { PADDR + PAGE };
    target.use_sizes(1 << page_lg2);
    assert!(target.map(IOVA, paddr, 1 << len_lg2, PROT), "a range to translate");
    target.use_sizes(u64::MAX);
    paddr
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
struct Ranges<T> {
    target: T,
    action: Action,
    layout: Layout,
    count: u64,
    units: u64,
    /// All of them, or none.
    are_mapped: bool,
}

impl<T: Target> Ranges<T> {
    fn map_all(&mut self) {
        let Layout { mut iova, mut paddr, len, stride, .. } = black_box(self.layout);
        let prot = black_box(PROT);
        let mut all = true;
        for _ in 0..self.count {
            all &= self.target.map(iova, paddr, len, prot);
            iova += stride;
            paddr += stride;
        }
        assert!(all, "mapped");
        self.are_mapped = true;
    }

    fn unmap_all(&mut self) {
        let Layout { mut iova, len, stride, tables, .. } = black_box(self.layout);
        let mut removed = 0;
        for _ in 0..self.count {
            removed += self.target.unmap(iova, len, tables);
            iova += stride;
        }
        assert_eq!(removed, self.count * len, "unmapped");
        self.are_mapped = false;
    }

    /// Unmaps everything, but no table.
    fn empty_tables(&mut self) {
        let Layout { iova, len, stride, .. } = self.layout;
        for start in (0..self.count).map(|n| iova + n * stride) {
            for piece in (start..start + len).step_by(PIECE as usize) {
                assert_eq!(self.target.unmap(piece, PIECE, Tables::Stay), PIECE);
            }
        }
        self.are_mapped = false;
    }
}

impl<T: Target> Case for Ranges<T> {
    fn prepare(&mut self) {
        match self.action {
            Action::Map if self.layout.keeps_tables => {
                if !self.are_mapped {
                    self.map_all();
                }
                self.empty_tables();
            }
            Action::Map if self.are_mapped => {
                self.unmap_all();
                if self.layout.tables == Tables::Go {
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
        self.units
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

/// Pages in descending order with gaps, so that no two are contiguous.
fn scattered(pages: u64) -> Vec<Segment> {
    (0..pages).rev().map(|page| Segment { paddr: PADDR + page * 2 * PAGE, len: PAGE }).collect()
}

#[inline(never)]
fn map_sg<F: Walkers>(table: &mut Table<F>, iova: u64, segments: &[Segment]) -> u64 {
    table.map_sg(iova, segments, black_box(PROT)).unwrap_or(0)
}

/// Maps scatter lists.
#[derive(Debug)]
struct Scatter<F: Walkers> {
    table: Table<F>,
    segments: Vec<Segment>,
    lists: u64,
    are_mapped: bool,
}

impl<F: Walkers> Scatter<F> {
    /// One list in each table of 2 MiB, from its second quarter on: so it is never covered whole, and stays.
    const STRIDE: u64 = 1 << 21;
    const FIRST: u64 = IOVA + Self::STRIDE / 4;

    fn map_all(&mut self) {
        let mut mapped = 0;
        let mut iova = black_box(Self::FIRST);
        for _ in 0..self.lists {
            mapped += map_sg(&mut self.table, iova, &self.segments);
            iova += Self::STRIDE;
        }
        assert_eq!(mapped, self.units() * PAGE, "mapped");
        self.are_mapped = true;
    }

    fn unmap_all(&mut self) {
        let len = self.segments.len() as u64 * PAGE;
        for list in 0..self.lists {
            assert_eq!(self.table.unmap(Self::FIRST + list * Self::STRIDE, len, Tables::Stay), len, "unmapped");
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
        self.len / PAGE
    }
}
