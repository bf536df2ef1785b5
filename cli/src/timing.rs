//! How long operations take on this machine: the same operations again, with nothing beside them.

use crate::plan::{Action, Reason, Step};
use crate::replay::Case;
use crate::replay_error::ReplayError;
use crate::table::PROT;
use generic_pt::iommu::Walkers;
use generic_pt::memory::TableMemory;
use generic_pt::{Domain, Features, GatherMode, NoHardware, PtIommu};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Wall-clock nanoseconds of one kind of operation. The driver of these tables does nothing, and memory is the
/// program's own.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Times {
    /// Operations in one pass.
    pub operations: u64,
    /// Half of them took no longer, ns.
    pub median: f64,
    /// Sum over number, ns.
    pub mean: f64,
}

/// Times of maps and unmaps, and of the replay itself.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct ReplayTimes {
    /// `map_range`.
    pub map: Times,
    /// `unmap_range` with its gather and sync.
    pub unmap: Times,
    /// All operations one after the other in new tables, nothing measured between them, the least of several passes: ns for each
    /// event of the trace.
    pub library_event: f64,
    /// The replay into this format with everything that it counts and compares, the least of several passes as well, unless one
    /// is long: ns for each event of the trace.
    pub replay_event: f64,
}

/// Passes at most; the first warms up and does not count.
pub const MOST_PASSES: usize = 7;
/// No new pass begins after this time.
const BUDGET: Duration = Duration::from_millis(300);

/// Times the operations of a replay: of all passes over it the one with the least time in total counts.
///
/// # Errors
/// [`ReplayError::Setup`].
pub fn measure<F: Walkers, M: TableMemory>(case: &Case<'_, F, M>, steps: &[Step]) -> Result<ReplayTimes, ReplayError> {
    let clock_ns = clock_cost_ns();
    let begin = Instant::now();
    let mut best: Option<Samples> = None;
    let mut least = Duration::MAX;
    for pass in 0..MOST_PASSES {
        let mut samples = Samples::with_capacity(steps.len());
        run_pass(case, steps, &mut samples)?;
        if pass <= 1 || best.as_ref().is_none_or(|best| samples.total_ns() < best.total_ns()) {
            best = Some(samples);
        }
        let bare = Instant::now();
        bare_pass(case, steps)?;
        least = least.min(bare.elapsed());
        if pass >= 1 && begin.elapsed() > BUDGET {
            break;
        }
    }
    let best = best.unwrap_or_default();
    Ok(ReplayTimes {
        map: times(best.map_ns, clock_ns),
        unmap: times(best.unmap_ns, clock_ns),
        library_event: per_event(least, case.job.trace.events.len()),
        replay_event: 0.0,
    })
}

/// Nanoseconds for each event, to a tenth.
pub fn per_event(time: Duration, events: usize) -> f64 {
    tenths(time.as_nanos() as f64 / events.max(1) as f64)
}

/// Rounds to tenths of a nanosecond, which are as much as a clock can tell.
pub fn tenths(ns: f64) -> f64 {
    (ns * 10.0).round() / 10.0
}

/// What looks at the clock around an operation.
trait Clock {
    /// The time before it.
    type Begin;
    /// Takes the time before an operation.
    fn begin(&self) -> Self::Begin;
    /// Notes the time that a step took.
    fn end(&mut self, begin: Self::Begin, step: &Step);
}

/// Does not look.
struct NoClock;

impl Clock for NoClock {
    type Begin = ();

    fn begin(&self) {}

    fn end(&mut self, (): (), _step: &Step) {}
}

/// Nanoseconds of each operation of one pass, with the cost of reading the clock.
#[derive(Default)]
struct Samples {
    map_ns: Vec<u32>,
    unmap_ns: Vec<u32>,
}

impl Samples {
    fn with_capacity(operations: usize) -> Self {
        Self { map_ns: Vec::with_capacity(operations), unmap_ns: Vec::with_capacity(operations) }
    }

    fn total_ns(&self) -> u64 {
        self.map_ns.iter().chain(&self.unmap_ns).map(|ns| u64::from(*ns)).sum()
    }
}

impl Clock for Samples {
    type Begin = Instant;

    fn begin(&self) -> Instant {
        Instant::now()
    }

    fn end(&mut self, begin: Instant, step: &Step) {
        let ns = u32::try_from(begin.elapsed().as_nanos()).unwrap_or(u32::MAX);
        match (step.reason, step.action) {
            (Reason::Traced, Action::Map { .. }) => self.map_ns.push(ns),
            (Reason::Traced, Action::Unmap { .. }) => self.unmap_ns.push(ns),
            (Reason::Repair, _) => {}
        }
    }
}

/// One pass with nothing beside the operations. A frame of its own, as the strict pass is.
#[inline(never)]
fn bare_pass<F: Walkers, M: TableMemory>(case: &Case<'_, F, M>, steps: &[Step]) -> Result<(), ReplayError> {
    run_pass(case, steps, &mut NoClock)
}

fn run_pass<F: Walkers, M: TableMemory>(
    case: &Case<'_, F, M>,
    steps: &[Step],
    clock: &mut impl Clock,
) -> Result<(), ReplayError> {
    let host = Domain::new(case.pages, NoHardware);
    let tables = case.job.trace.domains.iter().map(|_| case.table(&host, Features::FLUSH_RANGE));
    let mut tables: Vec<PtIommu<F, _>> = tables.collect::<Result<_, _>>()?;
    for step in steps {
        let table = &mut tables[step.domain];
        let begin = clock.begin();
        match step.action {
            Action::Map { span, paddr } => {
                // It succeeded when the steps were noted.
                let _ = table.map_range(span.first, paddr, span.len(), PROT);
            }
            Action::Unmap { span } => {
                let mut gather = table.gather(GatherMode::Immediate);
                table.unmap_range(span.first, span.len(), &mut gather);
                gather.sync();
            }
        }
        clock.end(begin, step);
    }
    Ok(())
}

/// What reading the clock twice adds to a sample: the median of many empty ones.
pub fn clock_cost_ns() -> u32 {
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
    Times { operations: samples.len() as u64, median: f64::from(*median), mean: tenths(mean) }
}
