//! What the benchmarks of generic-pt share: one table of cases, with what the reference costs and what is allowed.
//!
//! * [`rows`]: the cases as data: names, reference figures, limits;
//! * [`operations`]: what a row does, as data; [`cases`]: doing it, with a table of any format; [`target`]: tables;
//! * [`formats`]: the formats, one line each;
//! * [`peers`]: other libraries that do the same work;
//! * [`traces`]: real traces of IOMMU events, to replay;
//! * [`memory`]: where their tables are;
//! * [`instructions`]: counting instructions, under callgrind; [`recorded`]: the counts to compare with;
//! * [`time`]: timing a case; [`stages`]: figures of earlier stages.

#![deny(missing_debug_implementations)]

pub mod cases;
pub mod formats;
pub mod instructions;
pub mod memory;
pub mod operations;
pub mod peers;
pub mod recorded;
pub mod rows;
pub mod stages;
pub mod target;
pub mod time;
pub mod traces;

use generic_pt::{Domain, NoHardware};
use memory::BenchMemory;

/// Memory and driver of every table here. The driver does nothing, and flushing a cache is nothing.
pub type BenchDomain = Domain<BenchMemory, NoHardware>;

/// A domain for as long as the program runs.
pub fn domain() -> &'static BenchDomain {
    Box::leak(Box::new(Domain::new(BenchMemory::new(), NoHardware)))
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Instructions, exactly: a run is as short as it can be.
    Count,
    /// Time: a run is long against the clock's cost and granularity, and its tables fit into a cache.
    Time,
}
