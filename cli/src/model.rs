//! What a trace says is mapped, kept without any page table.
//!
//! The rules for traces that begin in the middle ([`Start::Middle`]): up to the line `complete_from` events may be
//! missing. So
//! * an unmap of what was never mapped in the trace undoes a map from before the trace: no anomaly, counted apart
//!   ([`Counts::unmaps_before_trace`]). So does an unmap of what was mapped and unmapped again, if that unmap was before
//!   `complete_from`: the map in between may be missing;
//! * a map over what is live tells of a missing unmap, if the live map was before `complete_from`: what was live is
//!   removed whole and the map is applied ([`Counts::maps_over_lost_unmaps`]).
//!
//! Everything else is an anomaly. A double map is not applied: no table would take it.

use crate::anomaly::{Anomalies, Kind};
use crate::human;
use crate::intervals::{Cut, Intervals, Span};
use crate::trace::{Event, Op, Start};

/// Bytes that one map event made live, or what is left of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Physical address of the first byte.
    pub paddr: u64,
    /// Line of the map.
    pub line: u64,
    /// Whether a table took it; a table can refuse what does not fit its format.
    pub placed: Placed,
}

/// Whether a map is in the table that goes with a model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placed {
    /// It is.
    InTable,
    /// The table refused it.
    Refused,
}

impl Cut for Piece {
    fn advanced(&self, bytes: u64) -> Self {
        Self { paddr: self.paddr.wrapping_add(bytes), ..*self }
    }
}

/// What an event means for a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// A map, after the removal of what a missing unmap left (mostly nothing).
    Map {
        /// Live pieces in the way, whole.
        stale: Vec<(Span, Piece)>,
    },
    /// A map over live bytes: the table has to refuse it.
    DoubleMap,
    /// An unmap of live pieces.
    Unmap {
        /// The pieces that were touched, whole, as they were before.
        touched: Vec<(Span, Piece)>,
        /// The bytes that are to go.
        range: Option<Span>,
    },
}

/// Live bytes, and map events that made them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Live {
    /// Bytes mapped.
    pub bytes: u64,
    /// Map events of which something is mapped.
    pub maps: u64,
}

/// Events that a trace from the middle explains.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Unmaps of what was mapped before the trace began, or whose map is missing in it.
    pub unmaps_before_trace: u64,
    /// The bytes of them.
    pub bytes_before_trace: u64,
    /// Maps over what is only live because its unmap is missing.
    pub maps_over_lost_unmaps: u64,
}

/// One domain, as the trace describes it.
#[derive(Debug)]
pub struct Model {
    start: Start,
    live: Intervals<Piece>,
    live_bytes: u64,
    /// Freed ranges, with the line of the unmap.
    freed: Intervals<u64>,
    /// Events explained by where the trace begins.
    pub counts: Counts,
    /// What is odd.
    pub anomalies: Anomalies,
}

impl Model {
    /// A domain about whose beginning `start` tells.
    pub fn new(start: Start) -> Self {
        Self {
            start,
            live: Intervals::default(),
            live_bytes: 0,
            freed: Intervals::default(),
            counts: Counts::default(),
            anomalies: Anomalies::default(),
        }
    }

    /// What is live now.
    pub fn live(&self) -> Live {
        // A piece cut in two counts twice; no real trace cuts one.
        Live { bytes: self.live_bytes, maps: self.live.count() as u64 }
    }

    /// The live pieces in address order.
    pub fn pieces(&self) -> impl Iterator<Item = (Span, &Piece)> {
        self.live.iter()
    }

    /// The live pieces that have a byte in `span`.
    pub fn pieces_in(&self, span: Span) -> impl Iterator<Item = (Span, &Piece)> {
        self.live.overlapping(span)
    }

    /// Where the table of this model should translate `iova` to.
    pub fn translate(&self, iova: u64) -> Option<u64> {
        let (span, piece) = self.live.at(iova)?;
        (piece.placed == Placed::InTable).then(|| piece.paddr.wrapping_add(iova - span.first))
    }

    /// Notes that the table refused the piece that begins at `first`.
    pub fn set_refused(&mut self, first: u64) {
        if let Some(piece) = self.live.value_mut(first) {
            piece.placed = Placed::Refused;
        }
    }

    /// Takes the next event of this domain.
    pub fn apply(&mut self, event: &Event) -> Effect {
        match event.op {
            Op::Map { span, paddr } => self.map(event.line, span, paddr),
            Op::Unmap { iova, asked, removed } => {
                if asked != removed {
                    self.anomalies.add(Kind::UnmapSizeInTrace, event.line, || {
                        format!(
                            "at IOVA {iova:#018x}: {} removed where {asked} were asked for",
                            human::count(removed, "byte")
                        )
                    });
                }
                self.unmap(event.line, iova, removed)
            }
        }
    }

    fn map(&mut self, line: u64, span: Span, paddr: u64) -> Effect {
        let in_the_way: Vec<(Span, Piece)> = self.live.overlapping(span).map(|(at, piece)| (at, *piece)).collect();
        if !in_the_way.iter().all(|(_, piece)| self.may_be_missing_since(piece.line)) {
            let (at, piece) = in_the_way[0];
            let bytes = total(in_the_way.iter().filter_map(|(at, _)| at.intersection(span)));
            self.anomalies.add(Kind::DoubleMap, line, || {
                let (first, at) = (span.first, at.first.max(span.first));
                format!(
                    "IOVA {first:#018x}, {}: {bytes} of them are mapped already, the first at {at:#018x} by line {}",
                    human::count(span.len(), "byte"),
                    piece.line
                )
            });
            return Effect::DoubleMap;
        }
        if !in_the_way.is_empty() {
            self.counts.maps_over_lost_unmaps += 1;
        }
        for (at, _) in &in_the_way {
            self.live.remove(*at);
            self.live_bytes = self.live_bytes.saturating_sub(at.len());
            self.freed.set(*at, line);
        }
        self.live.set(span, Piece { paddr, line, placed: Placed::InTable });
        self.live_bytes = self.live_bytes.saturating_add(span.len());
        Effect::Map { stale: in_the_way }
    }

    fn unmap(&mut self, line: u64, iova: u64, len: u64) -> Effect {
        let Some(span) = Span::new(iova, len) else {
            self.anomalies.add(Kind::UnmapOfNothing, line, || format!("at IOVA {iova:#018x}: nothing was removed"));
            return Effect::Unmap { touched: Vec::new(), range: None };
        };
        let gaps = self.live.gaps(span);
        if !gaps.is_empty() {
            self.explain_gaps(line, span, &gaps);
        }
        let touched = self.live.remove(span);
        let removed = total(touched.iter().filter_map(|(at, _)| at.intersection(span)));
        self.live_bytes = self.live_bytes.saturating_sub(removed);
        self.freed.set(span, line);
        Effect::Unmap { touched, range: Some(span) }
    }

    /// Tells what an unmap of bytes that are not live means.
    fn explain_gaps(&mut self, line: u64, span: Span, gaps: &[Span]) {
        let gap_bytes = total(gaps.iter().copied());
        for gap in gaps {
            let known = self.freed.overlapping(*gap).find(|(_, line)| !self.may_be_missing_since(**line));
            let never_mapped = self.freed.gaps(*gap).into_iter().next();
            let (at, why) = match (known, never_mapped) {
                (Some((at, freed)), _) => (at.first.max(gap.first), format!("unmapped already by line {freed}")),
                (None, Some(part)) if self.start == Start::Empty => {
                    self.anomalies.never_mapped += 1;
                    (part.first, "never mapped in the trace".to_owned())
                }
                _ => continue,
            };
            self.anomalies.add(Kind::UnmapOfNothing, line, || {
                let (first, len) = (span.first, human::count(span.len(), "byte"));
                format!("IOVA {first:#018x}, {len}: {gap_bytes} of them are not mapped, the first at {at:#018x}: {why}")
            });
            return;
        }
        self.counts.unmaps_before_trace += 1;
        self.counts.bytes_before_trace = self.counts.bytes_before_trace.saturating_add(gap_bytes);
    }

    /// Whether events after `line` may be missing.
    fn may_be_missing_since(&self, line: u64) -> bool {
        matches!(self.start, Start::Middle { complete_from } if line < complete_from)
    }
}

/// Bytes of disjoint ranges; all 2^64 of them count as `u64::MAX`.
fn total(spans: impl Iterator<Item = Span>) -> u64 {
    spans.fold(0, |sum, span| sum.saturating_add(span.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(line: u64, first: u64, last: u64) -> Event {
        Event { line, domain: 0, op: Op::Map { span: Span { first, last }, paddr: first + 0x1_0000_0000 } }
    }

    fn unmap(line: u64, first: u64, last: u64) -> Event {
        let len = last - first + 1;
        Event { line, domain: 0, op: Op::Unmap { iova: first, asked: len, removed: len } }
    }

    fn kinds(model: &Model) -> Vec<(Kind, u64)> {
        model.anomalies.first().iter().map(|anomaly| (anomaly.kind, anomaly.line)).collect()
    }

    #[test]
    fn one_unmap_of_two_maps() {
        let mut model = Model::new(Start::Empty);
        model.apply(&map(1, 0x1000, 0x1fff));
        model.apply(&map(2, 0x2000, 0x3fff));
        assert_eq!(model.live(), Live { bytes: 0x3000, maps: 2 });
        assert_eq!(model.translate(0x2004), Some(0x1_0000_2004));
        let Effect::Unmap { touched, .. } = model.apply(&unmap(3, 0x1000, 0x3fff)) else { panic!() };
        assert_eq!((touched.len(), model.live(), kinds(&model)), (2, Live::default(), vec![]));
    }

    #[test]
    fn a_part_of_a_map() {
        let mut model = Model::new(Start::Empty);
        model.apply(&map(1, 0, 0x2fff));
        model.apply(&unmap(2, 0x1000, 0x1fff));
        assert_eq!(model.live().bytes, 0x2000);
        assert_eq!((model.translate(0x1000), model.translate(0x2000)), (None, Some(0x1_0000_2000)));
    }

    #[test]
    fn double_map_is_not_applied() {
        let mut model = Model::new(Start::Empty);
        model.apply(&map(1, 0x1000, 0x1fff));
        assert_eq!(model.apply(&map(2, 0, 0x1fff)), Effect::DoubleMap);
        assert_eq!((kinds(&model), model.live().bytes), (vec![(Kind::DoubleMap, 2)], 0x1000));
        assert!(
            model.anomalies.first()[0]
                .text
                .contains("4096 of them are mapped already, the first at 0x0000000000001000 by line 1")
        );
    }

    #[test]
    fn unmap_of_nothing_says_why() {
        let mut model = Model::new(Start::Empty);
        model.apply(&unmap(1, 0, 0xfff));
        model.apply(&unmap(2, 0, 0xfff));
        assert_eq!(kinds(&model), [(Kind::UnmapOfNothing, 1), (Kind::UnmapOfNothing, 2)]);
        assert!(model.anomalies.first()[0].text.ends_with("never mapped in the trace"));
        assert!(model.anomalies.first()[1].text.ends_with("unmapped already by line 1"));
        assert_eq!(model.anomalies.never_mapped, 1);
    }

    #[test]
    fn a_trace_from_the_middle() {
        let mut model = Model::new(Start::Middle { complete_from: 10 });
        model.apply(&unmap(1, 0x1000, 0x1fff)); // mapped before
        model.apply(&unmap(2, 0x1000, 0x1fff)); // its map is missing
        model.apply(&map(3, 0x5000, 0x5fff));
        model.apply(&map(4, 0x5000, 0x5fff)); // the unmap is missing
        assert_eq!((kinds(&model), model.live().bytes), (vec![], 0x1000));
        let counts = Counts { unmaps_before_trace: 2, bytes_before_trace: 0x2000, maps_over_lost_unmaps: 1 };
        assert_eq!(model.counts, counts);
        model.apply(&map(11, 0x6000, 0x6fff));
        model.apply(&map(12, 0x6000, 0x6fff)); // complete by now
        model.apply(&unmap(13, 0x6000, 0x6fff));
        model.apply(&unmap(14, 0x6000, 0x6fff));
        model.apply(&unmap(15, 0x7000, 0x7fff)); // still from before
        assert_eq!(kinds(&model), [(Kind::DoubleMap, 12), (Kind::UnmapOfNothing, 14)]);
        assert_eq!(model.counts.unmaps_before_trace, 3);
    }

    #[test]
    fn what_the_traced_table_removed_counts() {
        let mut model = Model::new(Start::Empty);
        model.apply(&map(1, 0, 0x1fff));
        model.apply(&Event { line: 2, domain: 0, op: Op::Unmap { iova: 0, asked: 0x3000, removed: 0x2000 } });
        assert_eq!((kinds(&model), model.live().bytes), (vec![(Kind::UnmapSizeInTrace, 2)], 0));
        model.apply(&Event { line: 3, domain: 0, op: Op::Unmap { iova: 0, asked: 0x1000, removed: 0 } });
        assert_eq!(model.anomalies.total(), 3);
    }
}
