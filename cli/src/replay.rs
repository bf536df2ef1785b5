//! Replays a trace into tables of one format, a table for each domain, next to a model of what the trace says.

use crate::anomaly::{Anomaly, Kind};
use crate::counting::{CountingDriver, CountingHost, CountingMemory, Tally};
use crate::error::ReplayError;
use crate::formats::Shape;
use crate::intervals::Span;
use crate::model::{Effect, Model, Piece, Placed};
use crate::plan::{Action, Reason, Step};
use crate::policies;
use crate::report::{DomainReport, FormatReport, LiveReport};
use crate::summary::Summary;
use crate::table::{self, Leaves, PROT};
use crate::timing;
use crate::trace::{Event, Op, Trace};
use generic_pt::iommu::Walkers;
use generic_pt::{Error, Features, GatherMode, MapError, PtIommu};
use std::rc::Rc;

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
}

impl Job<'_> {
    /// The surroundings of a table for each domain, with their table pages counted together in `total`.
    pub fn hosts(&self, total: &Rc<Tally>) -> Vec<CountingHost> {
        let host = |_| CountingHost::new(CountingMemory::new(total, self.most_table_bytes), CountingDriver::default());
        self.trace.domains.iter().map(host).collect()
    }
}

/// Replays a trace into tables of format `F`.
///
/// # Errors
/// [`ReplayError`]: no table can be made, or one does not translate as the trace says.
pub fn replay<F: Walkers>(job: &Job<'_>, shape: &Shape<F::Config>) -> Result<FormatReport, ReplayError> {
    let va_bits = shape.choose_va_bits(job.va_bits, job.summary.last_iova);
    let total = Rc::new(Tally::default());
    let hosts = job.hosts(&total);
    let lanes = hosts.iter().map(|host| {
        let table = table::make::<F, _>(host, shape, va_bits, Features::FLUSH_RANGE)?;
        Ok(Lane::new(table, Model::new(job.trace.start)))
    });
    let mut replay = Replay { job, format: shape.name, lanes: lanes.collect::<Result<_, _>>()?, steps: Vec::new() };
    let mut leaves = Leaves::new();
    for (index, event) in job.trace.events.iter().enumerate() {
        replay.step(index, event)?;
        if index == job.summary.total.peak_event {
            leaves = replay.inspect_all(event.line)?;
        }
    }
    let end_leaves = replay.inspect_all(job.trace.lines)?;
    let invalidations = policies::count_all::<F>(job, shape, va_bits, &replay.steps)?;
    let time_ns = timing::measure::<F>(job, shape, va_bits, &replay.steps)?;
    let mut report = FormatReport::new(shape.name, shape.about, va_bits, job.trace, job.summary);
    replay.describe(&mut report);
    report.set_tables(total.peak());
    report.leaves = leaves;
    report.end_leaves = end_leaves;
    report.invalidations = invalidations;
    report.time_ns = time_ns;
    Ok(report)
}

/// One domain: its table, its model, and what was found.
struct Lane<'h, F: Walkers> {
    table: PtIommu<F, &'h CountingHost>,
    model: Model,
    anomalies: Vec<Anomaly>,
    refused_bytes: u64,
    leaves: Leaves,
}

/// A replay under way.
struct Replay<'j, 'h, F: Walkers> {
    job: &'j Job<'j>,
    format: &'static str,
    lanes: Vec<Lane<'h, F>>,
    steps: Vec<Step>,
}

impl<F: Walkers> Replay<'_, '_, F> {
    /// Takes one event.
    fn step(&mut self, index: usize, event: &Event) -> Result<(), ReplayError> {
        let differs = |difference| ReplayError::Differs { format: self.format, line: event.line, difference };
        let lane = &mut self.lanes[event.domain];
        let mut log = Log { steps: &mut self.steps, event: index, domain: event.domain };
        match (lane.model.apply(event), event.op) {
            (Effect::Map { stale }, Op::Map { span, paddr }) => lane.map(&mut log, event.line, span, paddr, &stale),
            (Effect::DoubleMap, Op::Map { span, paddr }) => lane.double_map(span, paddr).map_err(differs)?,
            (Effect::Unmap { touched, range: Some(range) }, _) => lane.unmap(&mut log, event.line, &touched, range),
            _ => {}
        }
        if self.job.check == Check::EveryEvent
            && let Some(span) = Span::new(event.op.iova(), event.op.size())
        {
            table::check_span(&lane.table, &lane.model, span).map_err(differs)?;
        }
        if index == self.job.summary.domains[event.domain].peak_event {
            lane.leaves = table::inspect(&lane.table, &lane.model).map_err(differs)?;
        }
        Ok(())
    }

    /// Compares every table with its model. The leaves of all.
    fn inspect_all(&self, line: u64) -> Result<Leaves, ReplayError> {
        let mut leaves = Leaves::new();
        for lane in &self.lanes {
            let found = table::inspect(&lane.table, &lane.model).map_err(|difference| ReplayError::Differs {
                format: self.format,
                line,
                difference,
            })?;
            for (size, count) in found {
                *leaves.entry(size).or_default() += count;
            }
        }
        Ok(leaves)
    }

    /// Tells what was found.
    fn describe(&self, report: &mut FormatReport) {
        for (lane, name) in self.lanes.iter().zip(&self.job.trace.domains) {
            let info = lane.table.info();
            report.oa_bits = info.max_oa_lg2;
            report.features = table::feature_names::<F>(info.features);
            report.page_sizes = (0..u64::BITS).map(|bit| 1 << bit).filter(|size| info.page_sizes & size != 0).collect();
            report.levels = report.levels.max(lane.table.top_level() + 1);
            report.refused_bytes = report.refused_bytes.saturating_add(lane.refused_bytes);
            report.add_anomalies(&lane.anomalies);
            let tables = lane.table.host().memory.own.peak();
            let live = LiveReport::new(&self.job.summary.domains[report.domains.len()], self.job.trace);
            report.domains.push(DomainReport::new(name, live, tables, lane.leaves.clone()));
        }
    }
}

/// Notes the steps of an event.
struct Log<'s> {
    steps: &'s mut Vec<Step>,
    event: usize,
    domain: usize,
}

impl Log<'_> {
    fn note(&mut self, reason: Reason, action: Action) {
        self.steps.push(Step { event: self.event, domain: self.domain, action, reason });
    }
}

impl<'h, F: Walkers> Lane<'h, F> {
    fn new(table: PtIommu<F, &'h CountingHost>, model: Model) -> Self {
        Self { table, model, anomalies: Vec::new(), refused_bytes: 0, leaves: Leaves::new() }
    }

    fn map(&mut self, log: &mut Log<'_>, line: u64, span: Span, paddr: u64, stale: &[(Span, Piece)]) {
        for (at, _) in stale.iter().filter(|(_, piece)| piece.placed == Placed::InTable) {
            self.clear(log, *at, None);
        }
        self.place(log, Reason::Traced, line, span, paddr);
    }

    /// Maps a piece of the model; if the table does not take it, it is undone and noted.
    fn place(&mut self, log: &mut Log<'_>, reason: Reason, line: u64, span: Span, paddr: u64) {
        match self.table.map_range(span.first, paddr, span.len(), PROT) {
            Ok(()) => log.note(reason, Action::Map { span, paddr }),
            Err(error) => {
                self.undo(span, &error);
                self.model.set_refused(span.first);
                self.refused_bytes = self.refused_bytes.saturating_add(span.len());
                self.anomalies.push(Anomaly::new(Kind::Refused, line, error.to_string()));
            }
        }
    }

    /// Removes what a map wrote before it failed.
    fn undo(&mut self, span: Span, error: &MapError) {
        if let Some(mapped) = Span::new(span.first, error.mapped) {
            self.remove(mapped);
        }
    }

    /// Unmaps a range, and has it invalidated. Bytes removed.
    fn remove(&mut self, span: Span) -> u64 {
        let mut gather = self.table.gather(GatherMode::Immediate);
        let removed = self.table.unmap_range(span.first, span.len(), &mut gather);
        gather.sync();
        removed
    }

    /// A map over live bytes: the table has to refuse it, and is as before afterwards.
    fn double_map(&mut self, span: Span, paddr: u64) -> Result<(), String> {
        let in_table = self.model.pieces_in(span).any(|(_, piece)| piece.placed == Placed::InTable);
        match self.table.map_range(span.first, paddr, span.len(), PROT) {
            Ok(()) if in_table => Err(format!("it accepted a map of live bytes, IOVA {:#x}", span.first)),
            Ok(()) => {
                self.remove(span);
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
            let removed = self.remove(run);
            log.note(Reason::Traced, Action::Unmap { span: run });
            if removed != run.len() {
                let (first, len) = (run.first, run.len());
                let text = format!("IOVA {first:#x}: {removed} bytes removed where the traced table removed {len}");
                self.anomalies.push(Anomaly::new(Kind::UnmapSizeInTable, line, text));
                self.repair(log, touched, run, removed);
            }
        }
    }

    /// Brings the table to what the trace says, after an unmap of `run` took `removed` bytes instead: the leaves of this format are
    /// larger than the part that was to go. No leaf reaches over the end of a piece, so whole pieces can be replaced.
    fn repair(&mut self, log: &mut Log<'_>, touched: &[(Span, Piece)], run: Span, removed: u64) {
        for (whole, piece) in touched.iter().filter(|(_, piece)| piece.placed == Placed::InTable) {
            if whole.intersection(run).is_none() {
                continue;
            }
            self.clear(log, *whole, Span::new(run.first, removed));
            let rest: Vec<(Span, Piece)> = self
                .model
                .pieces_in(*whole)
                .filter(|(at, _)| at.first >= whole.first)
                .map(|(at, p)| (at, *p))
                .collect();
            for (at, left) in rest {
                self.place(log, Reason::Repair, piece.line, at, left.paddr);
            }
        }
    }

    /// Removes all leaves of a piece; those in `hole` are gone already.
    fn clear(&mut self, log: &mut Log<'_>, whole: Span, hole: Option<Span>) {
        let mut next = Some(whole.first);
        while let Some(first) = next.filter(|first| *first <= whole.last) {
            let rest = Span { first, last: whole.last };
            let removed = self.remove(rest);
            if removed > 0 {
                log.note(Reason::Repair, Action::Unmap { span: rest });
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
