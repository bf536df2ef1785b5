//! What each way to invalidate would cost: the same operations again, once for each policy.

use crate::counting::{CountingHost, Invalidations, Tally};
use crate::error::ReplayError;
use crate::formats::Shape;
use crate::plan::{Action, Reason, Step};
use crate::replay::Job;
use crate::table::{self, PROT};
use generic_pt::iommu::Walkers;
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

/// Counts the invalidations of every policy that the format offers.
///
/// # Errors
/// [`ReplayError::Setup`].
pub fn count_all<F: Walkers>(
    job: &Job<'_>,
    shape: &Shape<F::Config>,
    va_bits: u32,
    steps: &[Step],
) -> Result<PolicyCounts, ReplayError> {
    let count = |policy: Policy| {
        let offered = F::SUPPORTED.contains(policy.needs());
        offered.then(|| count::<F>(job, shape, va_bits, steps, policy)).transpose()
    };
    Ok(PolicyCounts {
        strict: count(Policy::Strict)?,
        batched_flush_range: count(Policy::Batched)?,
        batched_no_gaps: count(Policy::BatchedNoGaps)?,
        queued: count(Policy::Queued)?,
    })
}

/// One domain under a policy.
struct Lane<'h, F: Walkers> {
    table: PtIommu<F, &'h CountingHost>,
    gather: Gather<F, &'h CountingHost>,
    /// Unmap events since the last flush.
    waiting: u64,
}

fn count<F: Walkers>(
    job: &Job<'_>,
    shape: &Shape<F::Config>,
    va_bits: u32,
    steps: &[Step],
    policy: Policy,
) -> Result<Invalidations, ReplayError> {
    let hosts = job.hosts(&Rc::new(Tally::default()));
    let lanes = hosts.iter().map(|host| {
        let table = table::make::<F, _>(host, shape, va_bits, policy.asks())?;
        Ok(Lane { gather: table.gather(policy.mode()), table, waiting: 0 })
    });
    let mut lanes: Vec<Lane<'_, F>> = lanes.collect::<Result<_, ReplayError>>()?;
    for (index, step) in steps.iter().enumerate() {
        let is_last_of_event = steps.get(index + 1).is_none_or(|next| next.event != step.event);
        let lane = &mut lanes[step.domain];
        match step.reason {
            Reason::Traced => lane.traced(step, policy, is_last_of_event, job.queue_unmaps),
            Reason::Repair => lane.repair(step),
        }
    }
    lanes.iter_mut().for_each(|lane| lane.gather.sync());
    Ok(hosts.iter().fold(Invalidations::default(), |sum, host| sum.plus(host.driver.count())))
}

impl<F: Walkers> Lane<'_, F> {
    fn traced(&mut self, step: &Step, policy: Policy, is_last_of_event: bool, queue_unmaps: u64) {
        match step.action {
            Action::Map { span, paddr } => {
                if matches!(policy, Policy::Batched | Policy::BatchedNoGaps) {
                    // The IOVA may be in use again from here on.
                    self.gather.sync();
                }
                // It succeeded when the steps were noted.
                let _ = self.table.map_range(span.first, paddr, span.len(), PROT);
            }
            Action::Unmap { span } => {
                self.table.unmap_range(span.first, span.len(), &mut self.gather);
                if !is_last_of_event {
                    return;
                }
                self.waiting += 1;
                if policy == Policy::Strict || (policy == Policy::Queued && self.waiting >= queue_unmaps) {
                    self.gather.sync();
                    self.waiting = 0;
                }
            }
        }
    }

    /// Does what is not the trace's, without counting it.
    fn repair(&mut self, step: &Step) {
        let driver = &self.table.host().driver;
        let before = driver.count();
        match step.action {
            Action::Map { span, paddr } => {
                let _ = self.table.map_range(span.first, paddr, span.len(), PROT);
            }
            Action::Unmap { span } => {
                let mut gather = self.table.gather(GatherMode::Immediate);
                self.table.unmap_range(span.first, span.len(), &mut gather);
                gather.sync();
            }
        }
        driver.reset_to(before);
    }
}
