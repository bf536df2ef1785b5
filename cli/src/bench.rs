//! `genpt bench`: what single operations cost on this machine, for each page size.
//!
//! A row is as in the benchmark that comes with Linux's page tables: page size, average and minimum of many rounds, ns for each
//! call. Everything is warm: the tables were there before, and were used just now.

use crate::formats::Shape;
use crate::human;
use crate::low_memory::{self, LowMemory};
use crate::machine::Machine;
use crate::replay_error::ReplayError;
use crate::style::{self, styled};
use crate::table::{self, PROT};
use crate::timing::{clock_cost_ns, tenths};
use generic_pt::format::item_size_lg2;
use generic_pt::iommu::Walkers;
use generic_pt::memory::TableMemory;
use generic_pt::{Domain, Features, GatherMode, HeapMemory, Host, NoHardware, PtIommu};
use serde::Serialize;
use std::fmt::{self, Write};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Which page sizes are measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sizes {
    /// Those of one item of a table.
    OfOneItem,
    /// Contiguous runs of items too.
    All,
}

/// What is to be measured.
#[derive(Clone, Copy, Debug)]
pub struct BenchJob {
    /// VA bits asked for.
    pub va_bits: Option<u32>,
    /// Page sizes.
    pub sizes: Sizes,
    /// How long the rounds of one page size go on.
    pub time: Duration,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub struct BenchReport {
    /// Where.
    pub machine: Machine,
    /// Format by format.
    pub formats: Vec<FormatBench>,
}

/// What a format's operations cost.
#[derive(Debug, Serialize)]
pub struct FormatBench {
    /// Its name.
    pub format: &'static str,
    /// What it is.
    pub about: &'static str,
    /// VA bits of the table.
    pub va_bits: u32,
    /// Levels of it.
    pub levels: u32,
    /// `map_range`.
    pub map: Vec<Row>,
    /// `unmap_range`, with its gather and the sync.
    pub unmap: Vec<Row>,
    /// `iova_to_phys`.
    pub translate: Vec<Row>,
}

/// A row: a page size, and what a call costs.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Row {
    /// Bytes of a page, as the logarithm.
    pub pgsz_lg2: u32,
    /// Pages of one call.
    pub pages: u64,
    /// Mean of all rounds, ns for each call.
    pub avg: f64,
    /// The fastest round, ns for each call.
    pub min: f64,
}

/// Pages of one call.
const PAGES: [u64; 2] = [1, 256];
/// Calls of a round, if so many ranges fit into the address space: so many that the clock does not matter.
const CALLS: u64 = 64;
/// Rounds that warm up, and do not count.
const WARM_UP: u32 = 8;
/// Least rounds that count, however long they take.
const LEAST_ROUNDS: u32 = 8;
/// Where the ranges begin, or at the first address of one page if that is more.
const IOVA: u64 = 1 << 30;

/// Measures a format.
///
/// # Errors
/// [`ReplayError`]: no table can be made, or it does not do what it should.
pub fn measure<F: Walkers>(job: &BenchJob, shape: &Shape<F::Config>) -> Result<FormatBench, ReplayError> {
    if low_memory::fits_heap::<F>() {
        measure_in::<F, _>(HeapMemory, job, shape)
    } else {
        measure_in::<F, _>(LowMemory::new(), job, shape)
    }
}

fn measure_in<F: Walkers, M: TableMemory>(
    memory: M,
    job: &BenchJob,
    shape: &Shape<F::Config>,
) -> Result<FormatBench, ReplayError> {
    let va_bits = shape.choose_va_bits(job.va_bits, 0);
    let host = Domain::new(memory, NoHardware);
    let mut table = table::make::<F, _>(&host, shape, va_bits, Features::FLUSH_RANGE)?;
    let info = table.info();
    let of_one_item = F::GEOMETRY.leaf_levels.fold(0u64, |sizes, level| sizes | 1 << item_size_lg2::<F>(level));
    let sizes = match job.sizes {
        Sizes::OfOneItem => info.page_sizes & of_one_item,
        Sizes::All => info.page_sizes,
    };
    let end = (1u128 << va_bits).min(1 << info.max_oa_lg2);
    let mut bench = FormatBench {
        format: shape.name,
        about: shape.about,
        va_bits,
        levels: 0,
        map: Vec::new(),
        unmap: Vec::new(),
        translate: Vec::new(),
    };
    for pages in PAGES {
        for pgsz_lg2 in (0..u64::BITS).filter(|bit| sizes >> bit & 1 != 0) {
            let Some(ranges) = Ranges::new(pgsz_lg2, pages, end) else { continue };
            let costs = ranges.measure(&mut table, job.time).map_err(|found| ReplayError::Operation {
                format: shape.name,
                va_bits,
                found,
            })?;
            let row = |cost: &Cost| Row { pgsz_lg2, pages, avg: tenths(cost.avg()), min: tenths(cost.min) };
            bench.map.push(row(&costs.map));
            bench.unmap.push(row(&costs.unmap));
            if pages == 1 {
                bench.translate.push(row(&costs.translate));
            }
        }
    }
    bench.levels = table.top_level() + 1;
    Ok(bench)
}

/// The ranges of a round, side by side, one call each.
#[derive(Clone, Copy, Debug)]
struct Ranges {
    iova: u64,
    paddr: u64,
    /// Bytes of each.
    len: u64,
    count: u64,
}

impl Ranges {
    /// Ranges of `pages` pages below `end`; `None` if not even one fits.
    fn new(pgsz_lg2: u32, pages: u64, end: u128) -> Option<Self> {
        let size = 1u64 << pgsz_lg2;
        let len = pages.checked_mul(size)?;
        let iova = IOVA.max(size);
        // One page further: so VA and physical address agree modulo a page, and no larger one fits.
        let paddr = iova.checked_add(size)?;
        let count = end.checked_sub(u128::from(paddr))? / u128::from(len);
        let count = u64::try_from(count).map_or(CALLS, |count| count.min(CALLS));
        (count > 0).then_some(Self { iova, paddr, len, count })
    }

    /// Runs rounds for `time`.
    fn measure<F: Walkers, H: Host>(self, table: &mut PtIommu<F, H>, time: Duration) -> Result<Costs, String> {
        let clock_ns = f64::from(clock_cost_ns());
        let begin = Instant::now();
        let mut costs = Costs::default();
        let mut round = 0;
        while round < WARM_UP + LEAST_ROUNDS || begin.elapsed() < time {
            let (map, unmap, translate) = self.round(table)?;
            if round >= WARM_UP {
                let calls = self.count as f64;
                costs.map.add((map - clock_ns) / calls);
                costs.unmap.add((unmap - clock_ns) / calls);
                costs.translate.add((translate - clock_ns) / calls);
            }
            round = round.saturating_add(1);
        }
        Ok(costs)
    }

    /// Maps, translates and unmaps all ranges. Nanoseconds of maps, unmaps and translations, with what the clock takes.
    fn round<F: Walkers, H: Host>(self, table: &mut PtIommu<F, H>) -> Result<(f64, f64, f64), String> {
        let Self { iova, paddr, len, count } = black_box(self);
        let (mut mapped, mut translated, mut removed) = (0, 0, 0);
        let map = timed(|| {
            for offset in (0..count).map(|n| n * len) {
                mapped += u64::from(table.map_range(iova + offset, paddr + offset, len, PROT).is_ok());
            }
        });
        let translate = timed(|| {
            for offset in (0..count).map(|n| n * len) {
                translated += u64::from(table.iova_to_phys(iova + offset) == Some(paddr + offset));
            }
        });
        let unmap = timed(|| {
            for offset in (0..count).map(|n| n * len) {
                let mut gather = table.gather(GatherMode::Immediate);
                removed += u64::from(table.unmap_range(iova + offset, len, &mut gather) == len);
                gather.sync();
            }
        });
        if (mapped, translated, removed) == (count, count, count) {
            return Ok((map, unmap, translate));
        }
        Err(format!(
            "of {count} ranges of {} from IOVA {iova:#018x} {mapped} were mapped, {translated} translated, {removed} unmapped",
            human::bytes(len)
        ))
    }
}

fn timed(run: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    run();
    begin.elapsed().as_nanos() as f64
}

/// What calls of each operation cost.
#[derive(Default)]
struct Costs {
    map: Cost,
    unmap: Cost,
    translate: Cost,
}

/// Nanoseconds of calls, round by round.
struct Cost {
    sum: f64,
    rounds: u32,
    min: f64,
}

impl Default for Cost {
    fn default() -> Self {
        Self { sum: 0.0, rounds: 0, min: f64::INFINITY }
    }
}

impl Cost {
    fn add(&mut self, ns: f64) {
        let ns = ns.max(0.0);
        self.sum += ns;
        self.rounds += 1;
        self.min = self.min.min(ns);
    }

    fn avg(&self) -> f64 {
        self.sum / f64::from(self.rounds.max(1))
    }
}

/// The results as text.
pub fn text(report: &BenchReport) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_all(&mut out, report);
    out.truncate(out.trim_end().len());
    out
}

fn write_all(out: &mut String, report: &BenchReport) -> fmt::Result {
    let machine = &report.machine;
    writeln!(out, "{}, {}; genpt {}, ns for each call", machine.cpu, machine.architecture, machine.version)?;
    for format in &report.formats {
        let (name, levels) = (styled(style::NAME, format.format), human::count(format.levels.into(), "level"));
        writeln!(out, "\n{name}  {}; {} VA bits, {levels}", format.about, format.va_bits)?;
        for (operation, rows) in
            [("map_range", &format.map), ("unmap_range", &format.unmap), ("iova_to_phys", &format.translate)]
        {
            writeln!(out, "{}", styled(style::HEADING, operation))?;
            writeln!(out, "{:>10},{:>10},{:>10}", "pgsz", "avg", "min")?;
            for row in rows {
                let pages = if row.pages == 1 { String::new() } else { format!("{}*", row.pages) };
                writeln!(out, "{:>10},{:>10.1},{:>10.1}", format!("{pages}2^{}", row.pgsz_lg2), row.avg, row.min)?;
            }
        }
    }
    Ok(())
}
