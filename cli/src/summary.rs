//! What a trace holds whatever the format: live bytes at the peak and at the end, and what is odd in it.

use crate::anomaly::{Anomalies, Kind};
use crate::model::{Counts, Live, Model};
use crate::samples::{Sampling, TraceSamples};
use crate::trace::{Op, Trace};

/// The facts about one domain, or about all together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope {
    /// Map events.
    pub maps: u64,
    /// Unmap events.
    pub unmaps: u64,
    /// What was live when most bytes were.
    pub peak: Live,
    /// Most map events that were live at once; that can be at another time than the peak of bytes.
    pub most_maps: u64,
    /// Index of the event after which the peak was first reached.
    pub peak_event: usize,
    /// What is live at the end.
    pub end: Live,
    /// Events explained by a trace that begins in the middle.
    pub counts: Counts,
}

/// The facts about a trace.
#[derive(Debug)]
pub struct Summary {
    /// One by one, as in [`Trace::domains`].
    pub domains: Vec<Scope>,
    /// All domains together; the peak is that of the sum.
    pub total: Scope,
    /// What is odd.
    pub anomalies: Anomalies,
    /// The highest IOVA that is mapped or unmapped.
    pub last_iova: u64,
    /// What is live over time.
    pub samples: TraceSamples,
}

impl Scope {
    fn count(&mut self, op: &Op) {
        match op {
            Op::Map { .. } => self.maps += 1,
            Op::Unmap { .. } => self.unmaps += 1,
        }
    }

    fn set_live(&mut self, event: usize, live: Live) {
        self.end = live;
        self.most_maps = self.most_maps.max(live.maps);
        if live.bytes > self.peak.bytes {
            self.peak = live;
            self.peak_event = event;
        }
    }
}

impl Summary {
    /// Whether something is mapped where something is live: what tables then do has to be looked at.
    pub fn has_double_maps(&self) -> bool {
        self.anomalies.count(Kind::DoubleMap) > 0
    }

    /// Goes through a trace once.
    pub fn of(trace: &Trace) -> Self {
        let sampling = Sampling::of(trace.events.len());
        let mut samples = TraceSamples { every_events: sampling.every(), ..TraceSamples::default() };
        let mut models: Vec<Model> = trace.domains.iter().map(|_| Model::new(trace.start)).collect();
        let mut domains = vec![Scope::default(); models.len()];
        let mut total = Scope::default();
        let mut last_iova = 0;
        for (index, event) in trace.events.iter().enumerate() {
            let (model, scope) = (&mut models[event.domain], &mut domains[event.domain]);
            let before = model.live();
            model.apply(event);
            let after = model.live();
            scope.count(&event.op);
            scope.set_live(index, after);
            total.count(&event.op);
            let sum = Live {
                bytes: total.end.bytes.saturating_sub(before.bytes).saturating_add(after.bytes),
                maps: total.end.maps - before.maps + after.maps,
            };
            total.set_live(index, sum);
            samples.note(sampling.sample_of(index), index, event.line, sum.bytes);
            last_iova = last_iova.max(event.op.iova().saturating_add(event.op.size().saturating_sub(1)));
        }
        let mut anomalies = Anomalies::default();
        for (model, scope) in models.into_iter().zip(&mut domains) {
            scope.counts = model.counts;
            total.counts.unmaps_before_trace += model.counts.unmaps_before_trace;
            total.counts.bytes_before_trace =
                total.counts.bytes_before_trace.saturating_add(model.counts.bytes_before_trace);
            total.counts.maps_over_lost_unmaps += model.counts.maps_over_lost_unmaps;
            anomalies.merge(&model.anomalies);
        }
        Self { domains, total, anomalies, last_iova, samples }
    }
}
