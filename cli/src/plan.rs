//! What a replay does to a table, found out once: for passes that only count or time.

use crate::anomaly::Anomaly;
use crate::intervals::Span;
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
    /// The same as pieces that come and go, in order of events.
    pub changes: Vec<Change>,
    /// The longest piece of them, in bytes.
    pub longest_piece: u64,
    /// Bytes in all tables together after each event at which the trace is sampled.
    pub table_bytes: Vec<u64>,
    /// The same at the end.
    pub end_table_bytes: u64,
    /// When to look at the tables, in order of events.
    pub snapshots: Vec<Snapshot>,
    /// What is odd in how tables took the trace.
    pub anomalies: Vec<Anomaly>,
    /// Bytes of maps that tables refused.
    pub refused_bytes: u64,
}

impl Plan {
    /// Notes a piece that comes or goes.
    pub fn change(&mut self, change: Change) {
        let len = change.span.len();
        self.longest_piece = self.longest_piece.max(len);
        self.end_table_bytes = match change.direction {
            Direction::Added => self.end_table_bytes.saturating_add(len),
            Direction::Removed => self.end_table_bytes.saturating_sub(len),
        };
        self.changes.push(change);
    }
}
