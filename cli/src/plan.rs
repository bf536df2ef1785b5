//! What a replay does to a table, found out once: for passes that only count or time.

use crate::anomaly::Anomalies;
use crate::intervals::Span;
use crate::report::PAGE_BYTES;
use crate::table::Run;

/// What to do with a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Map a range to physical memory from `paddr`.
    Map {
        /// The range.
        span: Span,
        /// Physical address of its first byte.
        paddr: u64,
    },
    /// Unmap a range that is mapped.
    Unmap {
        /// The range.
        span: Span,
    },
}

/// Why it is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The trace did it.
    Traced,
    /// To bring the table to what the trace says, after it went another way: not counted, not timed.
    Repair,
}

/// One operation that succeeds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Index of the event in the trace.
    pub event: usize,
    /// Index of the domain.
    pub domain: usize,
    /// What to do.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// Whether it is the last of its event.
    pub ends_event: bool,
}

/// Whether a piece came or went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// It was mapped.
    Added,
    /// It was unmapped, or cut.
    Removed,
}

/// A piece that came into a table or went out of it. Its leaves are the largest pages that fit, whatever its neighbours are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// Index of the event in the trace.
    pub event: usize,
    /// Which of both.
    pub direction: Direction,
    /// The piece.
    pub span: Span,
    /// Physical address of its first byte.
    pub paddr: u64,
}

/// A time at which a table is compared with the trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// When most bytes are live in the domain.
    DomainPeak,
    /// When most bytes are live in all domains together.
    Peak,
    /// At the end of the trace.
    End,
}

/// What the table of a domain has to translate after an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// Index of the event.
    pub event: usize,
    /// Index of the domain.
    pub domain: usize,
    /// Which times these are; at least one.
    pub moments: Vec<Moment>,
    /// All that is mapped, in address order; no run continues the one before.
    pub runs: Vec<Run>,
}

/// All operations of a replay.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The operations, in order.
    pub steps: Vec<Step>,
    /// The same as pieces that come and go, in order of events, without those that are one page.
    pub changes: Vec<Change>,
    /// Pieces in all tables together that are one page of [`PAGE_BYTES`].
    pub single_pages: OverTime,
    /// Bytes in all tables together.
    pub table_bytes: OverTime,
    /// The longest piece of them, in bytes.
    pub longest_piece: u64,
    /// When to look at the tables, in order of events.
    pub snapshots: Vec<Snapshot>,
    /// What is odd in how tables took the trace.
    pub anomalies: Anomalies,
    /// Bytes of maps that tables refused.
    pub refused_bytes: u64,
}

impl Plan {
    /// Adds an operation, the last of its event until then.
    pub fn step(&mut self, step: Step) {
        if let Some(before) = self.steps.last_mut().filter(|before| before.event == step.event) {
            before.ends_event = false;
        }
        self.steps.push(step);
    }

    /// Notes a piece that comes or goes.
    pub fn change(&mut self, change: Change) {
        let len = change.span.len();
        self.longest_piece = self.longest_piece.max(len);
        self.table_bytes.change(change.direction, len);
        // Most pieces are so; they are one leaf in every format that has such pages.
        if len == PAGE_BYTES && (change.span.first | change.paddr).is_multiple_of(PAGE_BYTES) {
            self.single_pages.change(change.direction, 1);
        } else {
            self.changes.push(change);
        }
    }

    /// Notes that this is where the trace is sampled.
    pub fn sample(&mut self) {
        self.single_pages.sample();
        self.table_bytes.sample();
    }
}

/// A number that changes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OverTime {
    /// At each event at which the trace is sampled.
    pub samples: Vec<u64>,
    /// At the end; while a plan is made, now.
    pub end: u64,
}

impl OverTime {
    fn change(&mut self, direction: Direction, by: u64) {
        self.end = match direction {
            Direction::Added => self.end.saturating_add(by),
            Direction::Removed => self.end.saturating_sub(by),
        };
    }

    fn sample(&mut self) {
        self.samples.push(self.end);
    }
}
