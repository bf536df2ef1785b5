//! What each way to invalidate would cost: the same operations again, once for each policy.

use crate::counting::{CountingHost, Invalidations, Tally};
use crate::intervals::Span;
use crate::plan::{Action, Reason, Step};
use crate::replay::Case;
use crate::replay_error::ReplayError;
use crate::table::PROT;
use generic_pt::iommu::Walkers;
use generic_pt::memory::TableMemory;
use generic_pt::{Features, Gather, GatherMode, PtIommu};
use serde::Serialize;
use std::rc::Rc;

/// When the driver is asked to invalidate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// After every unmap event, its range.
    Strict,
    /// One gather for a run of consecutive unmaps of a domain; one range over all of them, gaps too.
    Batched,
    /// The same without covering gaps.
    BatchedNoGaps,
    /// A full flush after many unmaps, as a flush queue does.
    Queued,
}

/// The counts for each policy; `None` where the format lacks the feature.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct PolicyCounts {
    /// [`Policy::Strict`].
    pub strict: Option<Invalidations>,
    /// [`Policy::Batched`].
    pub batched_flush_range: Option<Invalidations>,
    /// [`Policy::BatchedNoGaps`].
    pub batched_no_gaps: Option<Invalidations>,
    /// [`Policy::Queued`].
    pub queued: Option<Invalidations>,
}

impl Policy {
    /// The feature without which a format does not offer the policy.
    fn needs(self) -> Features {
        match self {
            Self::Strict | Self::Queued => Features::empty(),
            Self::Batched => Features::FLUSH_RANGE,
            Self::BatchedNoGaps => Features::FLUSH_RANGE_NO_GAPS,
        }
    }

    /// The features to ask for, as far as the format has them.
    fn asks(self) -> Features {
        match self {
            Self::BatchedNoGaps => Features::FLUSH_RANGE_NO_GAPS,
            _ => Features::FLUSH_RANGE,
        }
    }

    fn mode(self) -> GatherMode {
        match self {
            Self::Queued => GatherMode::Queued,
            _ => GatherMode::Immediate,
        }
    }
}

/// Whether tables took the steps as they were planned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Every map was taken, every unmap removed its range.
    AsPlanned,
    /// Something was refused, or an unmap removed more or less.
    Deviates,
}

/// One domain under a policy.
pub struct Lane<'h, F: Walkers, M: TableMemory> {
    /// Its table.
    pub table: PtIommu<F, &'h CountingHost<'h, M>>,
    gather: Gather<F, &'h CountingHost<'h, M>>,
    /// Unmap events since the last flush.
    waiting: u64,
}

/// What to do when tables do something else than was planned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnDeviation {
    /// The plan is of no use for them.
    Stop,
    /// It was made with them.
    GoOn,
}

/// Counts the invalidations of a policy; `None` if the format does not offer it.
///
/// # Errors
/// [`ReplayError::Setup`].
pub fn count<F: Walkers, M: TableMemory>(
    case: &Case<'_, F, M>,
    steps: &[Step],
    policy: Policy,
) -> Result<Option<Invalidations>, ReplayError> {
    if !F::SUPPORTED.contains(policy.needs()) {
        return Ok(None);
    }
    let hosts = case.hosts(&Rc::new(Tally::default()));
    run(case, steps, policy, OnDeviation::GoOn, &hosts, &mut NoWatch)?;
    Ok(Some(invalidations(&hosts)))
}

/// What the drivers of all domains were asked for.
pub fn invalidations<M: TableMemory>(hosts: &[CountingHost<'_, M>]) -> Invalidations {
    hosts.iter().fold(Invalidations::default(), |sum, host| sum.plus(host.driver.count()))
}

/// Who looks at the tables of a pass.
pub trait Watch<F: Walkers, M: TableMemory> {
    /// Called with the index of an event before its first step, if that is not below what this answered before: when there is
    /// something to do next.
    ///
    /// # Errors
    /// What it finds.
    fn before(&mut self, event: usize, lanes: &[Lane<'_, F, M>]) -> Result<usize, ReplayError>;

    /// Called behind the last step, when everything is invalidated.
    ///
    /// # Errors
    /// What it finds.
    fn at_end(&mut self, lanes: Vec<Lane<'_, F, M>>) -> Result<(), ReplayError>;
}

/// Nobody looks.
struct NoWatch;

impl<F: Walkers, M: TableMemory> Watch<F, M> for NoWatch {
    fn before(&mut self, _event: usize, _lanes: &[Lane<'_, F, M>]) -> Result<usize, ReplayError> {
        Ok(usize::MAX)
    }

    fn at_end(&mut self, _lanes: Vec<Lane<'_, F, M>>) -> Result<(), ReplayError> {
        Ok(())
    }
}

/// Does the steps under a policy, watched.
///
/// # Errors
/// [`ReplayError::Setup`], and those of `watch`.
pub fn run<'h, F: Walkers, M: TableMemory>(
    case: &Case<'_, F, M>,
    steps: &[Step],
    policy: Policy,
    on_deviation: OnDeviation,
    hosts: &'h [CountingHost<'h, M>],
    watch: &mut impl Watch<F, M>,
) -> Result<Outcome, ReplayError> {
    let lanes = hosts.iter().map(|host| {
        let table = case.table(host, policy.asks())?;
        Ok(Lane { gather: table.gather(policy.mode()), table, waiting: 0 })
    });
    let mut lanes: Vec<Lane<'_, F, M>> = lanes.collect::<Result<_, ReplayError>>()?;
    let rules = Rules::of(policy, case.job.queue_unmaps);
    let mut outcome = Outcome::AsPlanned;
    let mut next_watched = 0;
    for step in steps {
        if step.event >= next_watched {
            next_watched = watch.before(step.event, &lanes)?;
        }
        let lane = &mut lanes[step.domain];
        let done = match step.reason {
            Reason::Traced => lane.traced(step, rules),
            Reason::Repair => lane.repair(step),
        };
        if done == Outcome::Deviates {
            outcome = done;
            if on_deviation == OnDeviation::Stop {
                return Ok(outcome);
            }
        }
    }
    lanes.iter_mut().for_each(|lane| lane.gather.sync());
    watch.at_end(lanes)?;
    Ok(outcome)
}

/// A policy, worked out: what there is to do at a step.
#[derive(Clone, Copy)]
struct Rules {
    /// Whether a map invalidates first: the IOVA may be in use again from there on.
    sync_before_map: bool,
    /// Unmap events of a domain after which is invalidated.
    sync_after_unmaps: u64,
}

impl Rules {
    fn of(policy: Policy, queue_unmaps: u64) -> Self {
        let is_batched = matches!(policy, Policy::Batched | Policy::BatchedNoGaps);
        let sync_after_unmaps = match policy {
            Policy::Strict => 1,
            Policy::Batched | Policy::BatchedNoGaps => u64::MAX,
            Policy::Queued => queue_unmaps,
        };
        Self { sync_before_map: is_batched, sync_after_unmaps }
    }
}

impl<F: Walkers, M: TableMemory> Lane<'_, F, M> {
    // A call for each step would be felt.
    #[inline(always)]
    fn traced(&mut self, step: &Step, rules: Rules) -> Outcome {
        match step.action {
            Action::Map { span, paddr } => {
                if rules.sync_before_map {
                    self.gather.sync();
                }
                self.map(span, paddr)
            }
            Action::Unmap { span } => {
                let removed = self.table.unmap_range(span.first, span.len(), &mut self.gather);
                if step.ends_event {
                    self.waiting += 1;
                    if self.waiting >= rules.sync_after_unmaps {
                        self.gather.sync();
                        self.waiting = 0;
                    }
                }
                outcome(removed == span.len())
            }
        }
    }

    #[inline(always)]
    fn map(&mut self, span: Span, paddr: u64) -> Outcome {
        outcome(self.table.map_range(span.first, paddr, span.len(), PROT).is_ok())
    }

    /// Does what is not the trace's, without counting it.
    #[cold]
    fn repair(&mut self, step: &Step) -> Outcome {
        let driver = &self.table.host().driver;
        let before = driver.count();
        let done = match step.action {
            Action::Map { span, paddr } => self.map(span, paddr),
            Action::Unmap { span } => {
                let mut gather = self.table.gather(GatherMode::Immediate);
                let removed = self.table.unmap_range(span.first, span.len(), &mut gather);
                gather.sync();
                outcome(removed == span.len())
            }
        };
        self.table.host().driver.reset_to(before);
        done
    }
}

fn outcome(is_as_planned: bool) -> Outcome {
    if is_as_planned { Outcome::AsPlanned } else { Outcome::Deviates }
}
