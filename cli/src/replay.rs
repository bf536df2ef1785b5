//! Replays a trace into tables of one format, a table for each domain, and gathers what that costs.

use crate::counting::{CountingDriver, CountingHost, CountingMemory, Invalidations, TablePages, Tally};
use crate::formats::Shape;
use crate::kept_memory::KeptMemory;
use crate::low_memory::{self, LowMemory};
use crate::mix;
use crate::plan::{Moment, Plan, Snapshot};
use crate::planner::{self, Willing};
use crate::policies::{self, Lane, OnDeviation, Outcome, Policy, PolicyCounts, Watch};
use crate::progress::Progress;
use crate::replay_error::ReplayError;
use crate::report::{DomainReport, FormatReport, LiveReport};
use crate::samples::{Sampling, TableSamples};
use crate::summary::Summary;
use crate::table::{self, Leaves};
use crate::timing::{self, ReplayTimes};
use crate::trace::Trace;
use generic_pt::iommu::Walkers;
use generic_pt::memory::TableMemory;
use generic_pt::{Features, Host, PtIommu};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// When a table is compared with the trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Check {
    /// At the peaks and at the end.
    Peaks,
    /// Also after every event, in its range.
    EveryEvent,
}

/// What is to be replayed, and how.
pub struct Job<'a> {
    /// The trace.
    pub trace: &'a Trace,
    /// Its facts.
    pub summary: &'a Summary,
    /// VA bits asked for.
    pub va_bits: Option<u32>,
    /// When to compare.
    pub check: Check,
    /// Unmaps in a domain after which the queued policy flushes.
    pub queue_unmaps: u64,
    /// Most bytes of tables.
    pub most_table_bytes: u64,
    /// Told how far it is.
    pub progress: &'a Progress,
}

/// Passes of a format over the events of a trace, for the progress.
pub const PASSES: u64 = 5;

impl Job<'_> {
    /// The plan of all formats that take every map; `None` if tables have to be asked event by event.
    pub fn common_plan(&self) -> Option<Plan> {
        if self.check == Check::EveryEvent || self.summary.has_double_maps() {
            return None;
        }
        planner::plan(self, self.trace.domains.iter().map(|_| Willing)).ok()
    }

    fn events(&self) -> u64 {
        self.trace.events.len() as u64
    }
}

/// A trace, and a format whose tables it goes into.
pub struct Case<'a, F: Walkers, M> {
    /// The trace.
    pub job: &'a Job<'a>,
    /// The format.
    pub shape: &'a Shape<F::Config>,
    /// VA bits of the tables.
    pub va_bits: u32,
    /// Where the pages of tables are from, the same for every pass: for those that count and those that are only timed.
    pub pages: &'a M,
}

impl<'a, F: Walkers, M: TableMemory> Case<'a, F, M> {
    /// The surroundings of a table for each domain, with their table pages counted together in `total`.
    pub fn hosts(&self, total: &Rc<Tally>) -> Vec<CountingHost<'a, M>> {
        let memory = || CountingMemory::new(total, self.job.most_table_bytes, self.pages);
        let host = |_| CountingHost::new(memory(), CountingDriver::default());
        self.job.trace.domains.iter().map(host).collect()
    }

    /// An empty table.
    ///
    /// # Errors
    /// [`ReplayError::Setup`].
    pub fn table<H: Host>(&self, host: H, flush: Features) -> Result<PtIommu<F, H>, ReplayError> {
        table::make(host, self.shape, self.va_bits, flush)
    }

    fn differs(&self, line: u64, difference: String) -> ReplayError {
        ReplayError::Differs { format: self.shape.name, line, difference }
    }
}

/// Replays a trace into tables of format `F`, by the common plan if there is one and they take it, else by their own.
///
/// # Errors
/// [`ReplayError`]: no table can be made, or one does not translate as the trace says.
pub fn replay<F: Walkers>(
    job: &Job<'_>,
    shape: &Shape<F::Config>,
    common_plan: Option<&Plan>,
) -> Result<FormatReport, ReplayError> {
    if low_memory::fits_heap::<F>() {
        replay_in::<F, _>(job, shape, common_plan, &KeptMemory::default())
    } else {
        replay_in::<F, _>(job, shape, common_plan, &LowMemory::new())
    }
}

fn replay_in<F: Walkers, M: TableMemory>(
    job: &Job<'_>,
    shape: &Shape<F::Config>,
    common_plan: Option<&Plan>,
    pages: &M,
) -> Result<FormatReport, ReplayError> {
    let va_bits = shape.choose_va_bits(job.va_bits, job.summary.last_iova);
    let case = Case::<F, M> { job, shape, va_bits, pages };
    let common = match common_plan {
        Some(plan) => strict_pass(&case, plan, OnDeviation::Stop)?.map(|figures| (plan, figures)),
        None => None,
    };
    let own_plan;
    let (plan, figures) = match common {
        Some(done) => done,
        None => {
            own_plan = plan_with_tables(&case)?;
            let figures = strict_pass(&case, &own_plan, OnDeviation::GoOn)?.unwrap_or_default();
            (&own_plan, figures)
        }
    };
    job.progress.advance(job.events());
    let count = |policy| {
        let counts = policies::count(&case, &plan.steps, policy);
        job.progress.advance(job.events());
        counts
    };
    let invalidations = PolicyCounts {
        strict: Some(figures.invalidations),
        batched_flush_range: count(Policy::Batched)?,
        batched_no_gaps: count(Policy::BatchedNoGaps)?,
        queued: count(Policy::Queued)?,
    };
    let least = least_time(&case, plan, figures.elapsed)?;
    let replay_event = timing::per_event(least, job.trace.events.len());
    let time_ns = ReplayTimes { replay_event, ..timing::measure(&case, &plan.steps)? };
    job.progress.advance(job.events());
    let mut report = FormatReport::new(shape.name, shape.about, va_bits, job.trace, job.summary);
    report.anomalies.merge(&plan.anomalies);
    report.refused_bytes = plan.refused_bytes;
    report.invalidations = invalidations;
    report.time_ns = time_ns;
    figures.add_to(&mut report, job);
    Ok(report)
}

/// Finds out what tables of the format do with a trace.
fn plan_with_tables<F: Walkers, M: TableMemory>(case: &Case<'_, F, M>) -> Result<Plan, ReplayError> {
    let hosts = case.hosts(&Rc::new(Tally::default()));
    let tables = hosts.iter().map(|host| case.table(host, Features::FLUSH_RANGE));
    let tables: Vec<_> = tables.collect::<Result<_, _>>()?;
    planner::plan(case.job, tables.into_iter()).map_err(|found| case.differs(found.line, found.text))
}

/// The least time of the strict pass, of the first and of one or more that are done only for that: the library's own time, beside
/// which it is shown, is that of warm caches too.
fn least_time<F: Walkers, M: TableMemory>(
    case: &Case<'_, F, M>,
    plan: &Plan,
    first: Duration,
) -> Result<Duration, ReplayError> {
    let mut least = first;
    let begin = Instant::now();
    for pass in 1..timing::MOST_PASSES {
        // The first one takes its tables from the system, which the library's own passes never do: so there is a second one.
        if pass > 1 && begin.elapsed() + least > AGAIN {
            break;
        }
        let again = strict_pass(case, plan, OnDeviation::GoOn)?;
        least = again.map_or(least, |figures| least.min(figures.elapsed));
    }
    Ok(least)
}

/// No third pass and no more that do not fit in this time. Where one takes longer, what caches do is little of it.
const AGAIN: Duration = Duration::from_millis(50);

/// Does what is planned, with the strict policy, and looks at the tables meanwhile; `None` if they did otherwise and that was to
/// end it.
///
/// It is a frame of its own, so that a profile tells what it costs: the test of that counts its instructions.
#[inline(never)]
fn strict_pass<F: Walkers, M: TableMemory>(
    case: &Case<'_, F, M>,
    plan: &Plan,
    on_deviation: OnDeviation,
) -> Result<Option<Figures>, ReplayError> {
    let begin = Instant::now();
    let job = case.job;
    let total = Rc::new(Tally::default());
    let hosts = case.hosts(&total);
    let sampling = Sampling::of(job.trace.events.len());
    let mut watcher = Watcher { case, plan, total: &total, sampling, next_snapshot: 0, figures: Figures::default() };
    watcher.figures.domains.resize_with(hosts.len(), DomainFigures::default);
    let outcome = policies::run(case, &plan.steps, Policy::Strict, on_deviation, &hosts, &mut watcher)?;
    if outcome == Outcome::Deviates && on_deviation == OnDeviation::Stop {
        return Ok(None);
    }
    let mut figures = watcher.figures;
    figures.invalidations = policies::invalidations(&hosts);
    figures.tables = total.peak();
    for (domain, host) in figures.domains.iter_mut().zip(&hosts) {
        domain.tables = host.memory.own.peak();
    }
    let mix = mix::over_time(plan, figures.page_sizes, &job.summary.samples.events);
    let peak_sample = sampling.sample_of(job.summary.total.peak_event);
    figures
        .compare_with(&mix.at(peak_sample), &mix.at_end)
        .map_err(|difference| case.differs(job.trace.lines, difference))?;
    figures.samples.leaves = mix.samples;
    figures.elapsed = begin.elapsed();
    Ok(Some(figures))
}

/// What a replay found out about a domain.
#[derive(Debug, Default)]
struct DomainFigures {
    tables: TablePages,
    /// When most bytes were live in it.
    leaves: Leaves,
}

/// What a replay found out.
#[derive(Debug, Default)]
struct Figures {
    oa_bits: u32,
    features: Vec<&'static str>,
    /// A bit for each.
    page_sizes: u64,
    levels: u32,
    tables: TablePages,
    at_peak: Leaves,
    at_end: Leaves,
    samples: TableSamples,
    invalidations: Invalidations,
    domains: Vec<DomainFigures>,
    elapsed: Duration,
}

impl Figures {
    /// Compares the leaves found in the tables with those that the largest pages make.
    fn compare_with(&self, at_peak: &Leaves, at_end: &Leaves) -> Result<(), String> {
        for (when, found, expected) in [("at the peak", &self.at_peak, at_peak), ("at the end", &self.at_end, at_end)] {
            if found != expected {
                return Err(format!(
                    "{when} it has leaves {found:?}, the largest pages that fit would be {expected:?}"
                ));
            }
        }
        Ok(())
    }

    fn add_to(self, report: &mut FormatReport, job: &Job<'_>) {
        report.oa_bits = self.oa_bits;
        report.features = self.features;
        report.page_sizes = (0..u64::BITS).map(|bit| 1 << bit).filter(|size| self.page_sizes & size != 0).collect();
        report.levels = self.levels;
        report.set_tables(self.tables);
        report.leaves = self.at_peak;
        report.end_leaves = self.at_end;
        report.samples = self.samples;
        for ((figures, name), scope) in self.domains.into_iter().zip(&job.trace.domains).zip(&job.summary.domains) {
            let live = LiveReport::new(scope, job.trace);
            report.domains.push(DomainReport::new(name, live, figures.tables, figures.leaves));
        }
    }
}

/// Looks at the tables of a replay, at the times of the samples and of the snapshots.
struct Watcher<'a, F: Walkers, M> {
    case: &'a Case<'a, F, M>,
    plan: &'a Plan,
    total: &'a Tally,
    sampling: Sampling,
    next_snapshot: usize,
    figures: Figures,
}

impl<F: Walkers, M: TableMemory> Watch<F, M> for Watcher<'_, F, M> {
    fn before(&mut self, event: usize, lanes: &[Lane<'_, F, M>]) -> Result<usize, ReplayError> {
        self.compare(event, lanes)?;
        let sample = self.sample(event);
        let next_snapshot = self.plan.snapshots.get(self.next_snapshot).map_or(usize::MAX, |next| next.event + 1);
        Ok(self.sampling.end(sample).min(next_snapshot))
    }

    fn at_end(&mut self, lanes: Vec<Lane<'_, F, M>>) -> Result<(), ReplayError> {
        self.compare(self.case.job.trace.events.len().saturating_sub(1), &lanes)?;
        self.sample(usize::MAX);
        // What is left is of the last event: one for each domain, in their order.
        let due = &self.plan.snapshots[self.next_snapshot..];
        assert!(due.iter().map(|snapshot| snapshot.domain).eq(0..lanes.len()), "every domain is compared at the end");
        for (snapshot, lane) in due.iter().zip(lanes) {
            let (table, figures) = (lane.table, &mut self.figures);
            let info = table.info();
            figures.oa_bits = info.max_oa_lg2;
            figures.features = table::feature_names::<F>(info.features);
            figures.page_sizes = info.page_sizes;
            figures.levels = figures.levels.max(table.top_level() + 1);
            self.note(snapshot, table::inspect_last(table, &snapshot.runs))?;
        }
        Ok(())
    }
}

impl<F: Walkers, M: TableMemory> Watcher<'_, F, M> {
    /// Compares the tables of the snapshots of events before `event`.
    fn compare(&mut self, event: usize, lanes: &[Lane<'_, F, M>]) -> Result<(), ReplayError> {
        while let Some(snapshot) = self.plan.snapshots.get(self.next_snapshot).filter(|due| due.event < event) {
            let table = &lanes[snapshot.domain].table;
            self.note(snapshot, table::inspect(table, &snapshot.runs))?;
            self.next_snapshot += 1;
        }
        Ok(())
    }

    /// Takes the samples that end by `event`. The next one.
    fn sample(&mut self, event: usize) -> usize {
        let samples = &mut self.figures.samples;
        let ended = self.sampling.ended_by(event);
        if samples.table_pages.len() < ended {
            // Nothing happened in those behind the first.
            let (recent, now) = (self.total.take_recent(), self.total.now());
            samples.table_pages.push(recent.pages);
            samples.table_bytes.push(recent.bytes);
            samples.table_pages.resize(ended, now.pages);
            samples.table_bytes.resize(ended, now.bytes);
        }
        ended
    }

    /// Notes the leaves that were found, or that they are not those of the snapshot.
    fn note(&mut self, snapshot: &Snapshot, found: Result<Leaves, String>) -> Result<(), ReplayError> {
        let line = self.case.job.trace.events.get(snapshot.event).map_or(0, |event| event.line);
        let leaves = found.map_err(|difference| self.case.differs(line, difference))?;
        let figures = &mut self.figures;
        for moment in &snapshot.moments {
            match moment {
                Moment::DomainPeak => figures.domains[snapshot.domain].leaves = leaves.clone(),
                Moment::Peak => add(&mut figures.at_peak, &leaves),
                Moment::End => add(&mut figures.at_end, &leaves),
            }
        }
        Ok(())
    }
}

/// Adds the leaves of a table to those of others.
fn add(sum: &mut Leaves, leaves: &Leaves) {
    for (size, count) in leaves {
        *sum.entry(*size).or_default() += count;
    }
}
