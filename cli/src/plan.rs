//! The table operations of a replay, without anything to find out: for passes that only count or time.

use crate::intervals::Span;

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
