//! Goes through a trace next to a model of what it says, and notes what a table has to do.
//!
//! Tables mostly take every map, and remove what was asked. So one plan is made for all of them, with [`Willing`] tables; only
//! a format whose tables do otherwise gets a plan of its own, made with them.

use crate::anomaly::Kind;
use crate::counting::CountingHost;
use crate::human;
use crate::intervals::Span;
use crate::model::{Effect, Model, Piece, Placed};
use crate::plan::{Action, Change, Direction, Moment, Plan, Reason, Snapshot, Step};
use crate::replay::{Check, Job};
use crate::table::{self, PROT};
use crate::trace::{Event, Op};
use generic_pt::iommu::Walkers;
use generic_pt::memory::TableMemory;
use generic_pt::{Error, GatherMode, MapError, PtIommu};

/// What a plan is made with.
pub trait Target {
    /// Maps a range.
    ///
    /// # Errors
    /// As the library's tables.
    fn map(&mut self, span: Span, paddr: u64) -> Result<(), MapError>;

    /// Unmaps a range up to its first hole, and has it invalidated. Bytes removed.
    fn unmap(&mut self, span: Span) -> u64;

    /// Compares the translations of a range with what the trace says.
    ///
    /// # Errors
    /// The first difference, in words.
    fn check(&self, model: &Model, span: Span) -> Result<(), String>;
}

/// A table that takes everything: how a trace goes if nothing is odd.
#[derive(Clone, Copy, Debug)]
pub struct Willing;

impl Target for Willing {
    fn map(&mut self, _span: Span, _paddr: u64) -> Result<(), MapError> {
        Ok(())
    }

    fn unmap(&mut self, span: Span) -> u64 {
        span.len()
    }

    fn check(&self, _model: &Model, _span: Span) -> Result<(), String> {
        Ok(())
    }
}

impl<F: Walkers, M: TableMemory> Target for PtIommu<F, &CountingHost<'_, M>> {
    fn map(&mut self, span: Span, paddr: u64) -> Result<(), MapError> {
        self.map_range(span.first, paddr, span.len(), PROT)
    }

    fn unmap(&mut self, span: Span) -> u64 {
        let mut gather = self.gather(GatherMode::Immediate);
        let removed = self.unmap_range(span.first, span.len(), &mut gather);
        gather.sync();
        removed
    }

    fn check(&self, model: &Model, span: Span) -> Result<(), String> {
        table::check_span(self, model, span)
    }
}

/// A table that does not do what the trace says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// The line after which it was found.
    pub line: u64,
    /// Where, and how.
    pub text: String,
}

/// Makes a plan with a target for each domain.
///
/// # Errors
/// The first [`Difference`].
pub fn plan<T: Target>(job: &Job<'_>, targets: impl Iterator<Item = T>) -> Result<Plan, Difference> {
    let mut lanes: Vec<Lane<T>> = targets.map(|target| Lane { target, model: Model::new(job.trace.start) }).collect();
    let mut plan = Plan::default();
    let last = job.trace.events.len().saturating_sub(1);
    // All domains are looked at with few events only: there can be as many of the one as of the other.
    let peaks = job.summary.domains.iter().enumerate().map(|(domain, scope)| (scope.peak_event, domain));
    let mut peaks: Vec<(usize, usize)> = peaks.collect();
    peaks.sort_unstable();
    let mut peaks = peaks.into_iter().peekable();
    for (index, event) in job.trace.events.iter().enumerate() {
        let lane = &mut lanes[event.domain];
        let mut log = Log { plan: &mut plan, event: index, domain: event.domain };
        lane.take(&mut log, event).map_err(|text| Difference { line: event.line, text })?;
        if job.check == Check::EveryEvent
            && let Some(span) = Span::new(event.op.iova(), event.op.size())
        {
            lane.target.check(&lane.model, span).map_err(|text| Difference { line: event.line, text })?;
        }
        if job.summary.samples.events.get(plan.table_bytes.samples.len()) == Some(&index) {
            plan.sample();
        }
        let of_domains = std::iter::from_fn(|| peaks.next_if(|(event, _)| *event == index));
        let mut due: Vec<usize> = of_domains.map(|(_, domain)| domain).collect();
        if index == job.summary.total.peak_event || index == last {
            due = (0..lanes.len()).collect();
        }
        for domain in due {
            let is_peak = [
                (Moment::DomainPeak, index == job.summary.domains[domain].peak_event),
                (Moment::Peak, index == job.summary.total.peak_event),
                (Moment::End, index == last),
            ];
            let moments: Vec<Moment> = is_peak.iter().filter(|(_, is)| *is).map(|(moment, _)| *moment).collect();
            if !moments.is_empty() {
                let runs = table::expected_runs(&lanes[domain].model);
                plan.snapshots.push(Snapshot { event: index, domain, moments, runs });
            }
        }
    }
    Ok(plan)
}

/// Notes what an event does.
struct Log<'p> {
    plan: &'p mut Plan,
    event: usize,
    domain: usize,
}

impl Log<'_> {
    fn step(&mut self, reason: Reason, action: Action) {
        self.plan.step(Step { event: self.event, domain: self.domain, action, reason, ends_event: true });
    }

    fn change(&mut self, direction: Direction, span: Span, paddr: u64) {
        self.plan.change(Change { event: self.event, direction, span, paddr });
    }

    fn anomaly(&mut self, kind: Kind, line: u64, text: impl FnOnce() -> String) {
        self.plan.anomalies.add(kind, line, text);
    }
}

/// One domain.
struct Lane<T> {
    target: T,
    model: Model,
}

impl<T: Target> Lane<T> {
    /// Takes one event.
    fn take(&mut self, log: &mut Log<'_>, event: &Event) -> Result<(), String> {
        match (self.model.apply(event), event.op) {
            (Effect::Map { stale }, Op::Map { span, paddr }) => self.map(log, event.line, span, paddr, &stale),
            (Effect::DoubleMap, Op::Map { span, paddr }) => return self.double_map(span, paddr),
            (Effect::Unmap { touched, range: Some(range) }, _) => self.unmap(log, event.line, &touched, range),
            _ => {}
        }
        Ok(())
    }

    fn map(&mut self, log: &mut Log<'_>, line: u64, span: Span, paddr: u64, stale: &[(Span, Piece)]) {
        for (at, piece) in stale.iter().filter(|(_, piece)| piece.placed == Placed::InTable) {
            self.clear(log, *at, None);
            log.change(Direction::Removed, *at, piece.paddr);
        }
        self.place(log, Reason::Traced, line, span, paddr);
    }

    /// Maps a piece of the model; if the table does not take it, it is undone and noted.
    fn place(&mut self, log: &mut Log<'_>, reason: Reason, line: u64, span: Span, paddr: u64) {
        match self.target.map(span, paddr) {
            Ok(()) => {
                log.step(reason, Action::Map { span, paddr });
                if reason == Reason::Traced {
                    log.change(Direction::Added, span, paddr);
                }
            }
            Err(error) => {
                self.undo(span, &error);
                self.model.set_refused(span.first);
                log.plan.refused_bytes = log.plan.refused_bytes.saturating_add(span.len());
                log.anomaly(Kind::Refused, line, || error.to_string());
            }
        }
    }

    /// Removes what a map wrote before it failed.
    fn undo(&mut self, span: Span, error: &MapError) {
        if let Some(mapped) = Span::new(span.first, error.mapped) {
            self.target.unmap(mapped);
        }
    }

    /// A map over live bytes: the table has to refuse it, and is as before afterwards.
    fn double_map(&mut self, span: Span, paddr: u64) -> Result<(), String> {
        let in_table = self.model.pieces_in(span).any(|(_, piece)| piece.placed == Placed::InTable);
        match self.target.map(span, paddr) {
            Ok(()) if in_table => Err(format!("it accepted a map of live bytes, IOVA {:#018x}", span.first)),
            Ok(()) => {
                self.target.unmap(span);
                Ok(())
            }
            Err(error) => {
                let wrong = matches!(error.error, Error::InUse { .. }) && !in_table;
                self.undo(span, &error);
                if wrong { Err(format!("it refused a map of free bytes: {error}")) } else { Ok(()) }
            }
        }
    }

    fn unmap(&mut self, log: &mut Log<'_>, line: u64, touched: &[(Span, Piece)], range: Span) {
        for run in runs(touched, range) {
            let removed = self.target.unmap(run);
            log.step(Reason::Traced, Action::Unmap { span: run });
            if removed != run.len() {
                let (first, len) = (run.first, run.len());
                log.anomaly(Kind::UnmapSizeInTable, line, || {
                    format!(
                        "IOVA {first:#018x}: {} removed where the traced table removed {len}",
                        human::count(removed, "byte")
                    )
                });
                self.repair(log, touched, run, removed);
            }
        }
        for (whole, piece) in touched.iter().filter(|(_, piece)| piece.placed == Placed::InTable) {
            log.change(Direction::Removed, *whole, piece.paddr);
            for (at, left) in self.rest(*whole) {
                if left.placed == Placed::InTable {
                    log.change(Direction::Added, at, left.paddr);
                }
            }
        }
    }

    /// What is left of a piece.
    fn rest(&self, whole: Span) -> Vec<(Span, Piece)> {
        let pieces = self.model.pieces_in(whole).filter(|(at, _)| at.first >= whole.first);
        pieces.map(|(at, piece)| (at, *piece)).collect()
    }

    /// Brings the table to what the trace says, after an unmap of `run` took `removed` bytes instead: the leaves of this format are
    /// larger than the part that was to go. No leaf reaches over the end of a piece, so whole pieces can be replaced.
    fn repair(&mut self, log: &mut Log<'_>, touched: &[(Span, Piece)], run: Span, removed: u64) {
        for (whole, piece) in touched.iter().filter(|(_, piece)| piece.placed == Placed::InTable) {
            if whole.intersection(run).is_none() {
                continue;
            }
            self.clear(log, *whole, Span::new(run.first, removed));
            for (at, left) in self.rest(*whole) {
                self.place(log, Reason::Repair, piece.line, at, left.paddr);
            }
        }
    }

    /// Removes all leaves of a piece; those in `hole` are gone already.
    fn clear(&mut self, log: &mut Log<'_>, whole: Span, hole: Option<Span>) {
        let mut next = Some(whole.first);
        while let Some(first) = next.filter(|first| *first <= whole.last) {
            let rest = Span { first, last: whole.last };
            let removed = self.target.unmap(rest);
            if removed > 0 {
                log.step(Reason::Repair, Action::Unmap { span: rest });
                next = first.checked_add(removed);
            } else {
                let in_hole = hole.filter(|hole| hole.intersection(Span { first, last: first }).is_some());
                next = in_hole.and_then(|hole| hole.last.checked_add(1));
            }
        }
    }
}

/// The parts of `range` that are in the table, each as long as can be.
fn runs(touched: &[(Span, Piece)], range: Span) -> Vec<Span> {
    let mut runs: Vec<Span> = Vec::with_capacity(1);
    let in_table = touched.iter().filter(|(_, piece)| piece.placed == Placed::InTable);
    for part in in_table.filter_map(|(at, _)| at.intersection(range)) {
        match runs.last_mut() {
            Some(run) if run.touches(part) => run.last = part.last,
            _ => runs.push(part),
        }
    }
    runs
}
