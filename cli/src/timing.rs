//! How long operations take on this machine: the same operations again, with nothing beside them.

use crate::error::ReplayError;
use crate::formats::Shape;
use crate::low_memory::{self, LowMemory};
use crate::plan::{Action, Reason, Step};
use crate::replay::Job;
use crate::table::{self, PROT};
use generic_pt::iommu::Walkers;
use generic_pt::memory::TableMemory;
use generic_pt::{Domain, Features, GatherMode, HeapMemory, NoHardware, PtIommu};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Wall-clock nanoseconds of one kind of operation. The driver of these tables does nothing, and memory is the
/// program's heap.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Times {
    /// Operations in one pass.
    pub operations: u64,
    /// Half of them took no longer, ns.
    pub median: f64,
    /// Sum over number, ns.
    pub mean: f64,
}

/// Times of maps and unmaps.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct TimesByOperation {
    /// `map_range`.
    pub map: Times,
    /// `unmap_range` with its gather and sync.
    pub unmap: Times,
}

/// Passes at most; the first warms up and does not count.
const MOST_PASSES: usize = 7;
/// No new pass begins after this time.
const BUDGET: Duration = Duration::from_millis(300);

/// Times the operations of a replay: of all passes over it the one with the least time in total counts.
///
/// # Errors
/// [`ReplayError::Setup`].
pub fn measure<F: Walkers>(
    job: &Job<'_>,
    shape: &Shape<F::Config>,
    va_bits: u32,
    steps: &[Step],
) -> Result<TimesByOperation, ReplayError> {
    let clock_ns = clock_cost_ns();
    let begin = Instant::now();
    let mut best: Option<Samples> = None;
    for pass in 0..MOST_PASSES {
        let samples = if low_memory::fits_heap::<F>() {
            run_pass::<F, _>(HeapMemory, job, shape, va_bits, steps)?
        } else {
            run_pass::<F, _>(LowMemory::new(), job, shape, va_bits, steps)?
        };
        if pass <= 1 || best.as_ref().is_none_or(|best| samples.total_ns() < best.total_ns()) {
            best = Some(samples);
        }
        if pass >= 1 && begin.elapsed() > BUDGET {
            break;
        }
    }
    let best = best.unwrap_or_default();
    Ok(TimesByOperation { map: times(best.map_ns, clock_ns), unmap: times(best.unmap_ns, clock_ns) })
}

/// Nanoseconds of each operation of one pass, with the cost of reading the clock.
#[derive(Default)]
struct Samples {
    map_ns: Vec<u32>,
    unmap_ns: Vec<u32>,
}

impl Samples {
    fn total_ns(&self) -> u64 {
        self.map_ns.iter().chain(&self.unmap_ns).map(|ns| u64::from(*ns)).sum()
    }
}

fn run_pass<F: Walkers, M: TableMemory>(
    memory: M,
    job: &Job<'_>,
    shape: &Shape<F::Config>,
    va_bits: u32,
    steps: &[Step],
) -> Result<Samples, ReplayError> {
    let host = Domain::new(memory, NoHardware);
    let tables = job.trace.domains.iter().map(|_| table::make::<F, _>(&host, shape, va_bits, Features::FLUSH_RANGE));
    let mut tables: Vec<PtIommu<F, _>> = tables.collect::<Result<_, _>>()?;
    let mut samples = Samples { map_ns: Vec::with_capacity(steps.len()), unmap_ns: Vec::with_capacity(steps.len()) };
    for step in steps {
        let table = &mut tables[step.domain];
        let begin = Instant::now();
        let list = match step.action {
            Action::Map { span, paddr } => {
                // It succeeded when the steps were noted.
                let _ = table.map_range(span.first, paddr, span.len(), PROT);
                &mut samples.map_ns
            }
            Action::Unmap { span } => {
                let mut gather = table.gather(GatherMode::Immediate);
                table.unmap_range(span.first, span.len(), &mut gather);
                gather.sync();
                &mut samples.unmap_ns
            }
        };
        let ns = begin.elapsed().as_nanos();
        if step.reason == Reason::Traced {
            list.push(u32::try_from(ns).unwrap_or(u32::MAX));
        }
    }
    Ok(samples)
}

/// What reading the clock twice adds to a sample: the median of many empty ones.
fn clock_cost_ns() -> u32 {
    let mut samples: Vec<u32> =
        (0..1001).map(|_| u32::try_from(Instant::now().elapsed().as_nanos()).unwrap_or(u32::MAX)).collect();
    samples.sort_unstable();
    samples[samples.len() / 2]
}

fn times(mut samples: Vec<u32>, clock_ns: u32) -> Times {
    samples.iter_mut().for_each(|ns| *ns = ns.saturating_sub(clock_ns));
    samples.sort_unstable();
    let Some(median) = samples.get(samples.len() / 2) else { return Times::default() };
    let sum: u64 = samples.iter().map(|ns| u64::from(*ns)).sum();
    let mean = sum as f64 / samples.len() as f64;
    // Tenths of a nanosecond are as much as a clock can tell.
    Times { operations: samples.len() as u64, median: f64::from(*median), mean: (mean * 10.0).round() / 10.0 }
}
