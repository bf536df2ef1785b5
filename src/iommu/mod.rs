//! Layer 3: the IOMMU operations on a table: map, unmap, translate, dirty tracking, growing tops, deferred invalidation.
//!
//! The algorithms are ordinary generic code, one level at a time; a format's expansion instantiates them under names of
//! its own (see [`Walkers`]) and chains each level to the one below.
//!
//! # Locking
//! Operations on *disjoint* VA ranges of one table may run concurrently, on overlapping ones not. The methods here take
//! `&mut self`, which is stricter. Everything below them works on `&self` under that rule, so that views of disjoint
//! ranges can be added beside them.

mod dirty;
mod gather;
mod init;
mod map;
mod set_dirty;
mod top;
mod translate;
mod unmap;
mod visit;

pub use crate::format::TableConfig;
pub use dirty::DirtyMode;
pub use gather::{Gather, GatherMode, Pending, Synced};
pub use init::Info;
pub use visit::{ItemView, TableView};

#[doc(hidden)]
pub mod level {
    //! One level of each algorithm, for the expansion to instantiate.
    pub use super::dirty::{Cx as DirtyCx, dirty_level};
    pub use super::map::{Cx as MapCx, Stop, map_level};
    pub use super::translate::translate_level;
    pub use super::unmap::{Cx as UnmapCx, Outcome, unmap_level};
    pub use crate::table::Table;

    /// The level of a table.
    #[inline(always)]
    pub fn level_of<F: crate::format::Groups>(table: &Table<'_, F>) -> u32 {
        table.level()
    }
}

use crate::driver::Host;
use crate::format::{Common, Groups};
use crate::memory::TableMemory;
use crate::range::VaRange;
use crate::table::Table;
use top::TopWord;

/// The hot algorithms instantiated for one format: a function for each level, under the format's own names.
///
/// Implemented by the expansion of a description only.
#[doc(hidden)]
pub trait Walkers: Groups {
    fn map<H: Host>(table: &Table<'_, Self>, cx: &mut map::Cx<'_, Self, H>) -> Result<(), map::Stop>;
    fn unmap<H: Host>(table: &Table<'_, Self>, cx: &mut unmap::Cx<'_, Self, H>) -> unmap::Outcome;
    fn translate<M: TableMemory>(table: &Table<'_, Self>, common: &Common<Self>, memory: &M, va: u64) -> Option<u64>;
    fn dirty<H: Host, R: FnMut(VaRange)>(table: &Table<'_, Self>, cx: &mut dirty::Cx<'_, Self, H, R>, range: VaRange);
}

/// A page table of format `F`, in the memory and with the driver of the domain `H`.
///
/// Made by [`PtIommu::new`] or the format's `pt_iommu_NAME_init`. Dropping it frees every table, mapped or not; hardware
/// must be off it by then.
pub struct PtIommu<F: Walkers, H: Host> {
    common: Common<F>,
    top: TopWord<F>,
    /// Page sizes that map may use, one bit each.
    page_sizes: u64,
    host: H,
}

impl<F: Walkers, H: Host> PtIommu<F, H> {
    /// What was configured, and the limits in force.
    pub fn common(&self) -> &Common<F> {
        &self.common
    }

    /// The domain whose memory and driver the table uses.
    pub fn host(&self) -> &H {
        &self.host
    }

    #[inline(always)]
    fn memory(&self) -> &H::Memory {
        &self.host.domain().memory
    }
}
