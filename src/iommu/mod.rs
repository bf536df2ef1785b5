//! Layer 3: the IOMMU operations on a table: map, unmap, translate, dirty tracking, growing tops, deferred invalidation.
//!
//! The algorithms are ordinary generic code, one level at a time; a format's expansion instantiates them under names of
//! its own (see [`Walkers`]) and chains each level to the one below.
//!
//! # Locking
//! Operations on *disjoint* VA ranges of one table may run concurrently, on overlapping ones not. The methods of
//! [`PtIommu`] take `&mut self`, which is stricter; a [`View`] is a part of the range for a thread of its own. Everything
//! below works on `&self` under that rule. Nothing locks but a change of the top.

mod blueprint;
mod coherence;
mod cursor;
mod dirty;
#[allow(unsafe_code, reason = "frees unlinked tables after a sync")]
mod gather;
mod init;
#[allow(unsafe_code, reason = "passes unlinked tables on")]
mod map;
#[allow(unsafe_code, reason = "adds to a gather")]
mod page;
mod runs;
mod set_dirty;
mod top;
mod translate;
#[allow(unsafe_code, reason = "takes tables out of the tree")]
mod unlink;
#[allow(unsafe_code, reason = "passes unlinked tables on")]
mod unmap;
mod view;

pub use crate::format::TableConfig;
pub use blueprint::Blueprint;
pub use cursor::Cursor;
pub use dirty::DirtyMode;
pub use gather::{Gather, GatherMode, Pending, Synced};
pub use init::Info;
pub use map::Segment;
pub use runs::{Run, Runs};
pub use view::View;

#[doc(hidden)]
pub mod level {
    //! One level of each algorithm, for the expansion to instantiate.
    pub use super::coherence::Coherence;
    pub use super::dirty::{Cx as DirtyCx, dirty_level};
    pub use super::map::{OneRun, Runs, Stop, Walk as MapCx, map_level};
    pub use super::unmap::{Cx as UnmapCx, Outcome, unmap_leaves, unmap_level};
    pub use crate::seek::{Seek, Seeking, Step, seek_level};
    pub use crate::table::{Table, TableOf};
    pub use crate::tree::{TopPtr, Tree};

    /// Begins a walk at the top, which is of `LEVEL`, if it decodes `va`.
    #[inline(always)]
    pub fn enter<F: crate::format::Groups, H: crate::driver::Host, S, const LEVEL: u32>(
        tree: &Tree<F, H>,
        top: TopPtr,
        va: u64,
        seek: S,
    ) -> Option<crate::seek::At<'_, F, H::Memory, S>> {
        tree.enter::<S, LEVEL>(top, va, seek)
    }

    /// The level of a table.
    #[inline(always)]
    pub fn level_of<F: crate::format::Groups>(table: &Table<'_, F>) -> u32 {
        table.level()
    }
}

use crate::driver::Host;
use crate::format::{Common, Groups};
use crate::near::Near;
use crate::range::VaRange;
use crate::seek::Seek;
use crate::table::Table;
use crate::tree::{TopPtr, Tree};
use crate::walk::{ItemView, TableView};
use core::fmt;

/// The hot algorithms instantiated for one format: a function for each level, under the format's own names.
///
/// Implemented by the expansion of a description only.
#[doc(hidden)]
pub trait Walkers: Groups {
    fn map<H: Host>(table: &Table<'_, Self>, cx: &mut map::Walk<'_, Self, H, map::OneRun>) -> Result<(), map::Stop>;
    fn map_sg<H: Host, S: map::Runs>(
        table: &Table<'_, Self>,
        cx: &mut map::Walk<'_, Self, H, S>,
    ) -> Result<(), map::Stop>;
    fn unmap<H: Host, C: coherence::Coherence>(
        table: &Table<'_, Self>,
        cx: &mut unmap::Cx<'_, Self, H>,
    ) -> unmap::Outcome;
    fn translate<H: Host, S: Seek<Self>, const TOP: u32>(
        tree: &Tree<Self, H>,
        top: TopPtr,
        va: u64,
        seek: S,
    ) -> Option<S::Out>;
    fn cursor<H: Host, S: Seek<Self>, const TOP: u32>(
        tree: &Tree<Self, H>,
        top: TopPtr,
        va: u64,
        seek: S,
    ) -> Option<S::Out>;
    fn map_page<H: Host, S: Seek<Self>, const TOP: u32>(
        tree: &Tree<Self, H>,
        top: TopPtr,
        va: u64,
        seek: S,
    ) -> Option<S::Out>;
    fn unmap_page<H: Host, S: Seek<Self>, const TOP: u32>(
        tree: &Tree<Self, H>,
        top: TopPtr,
        va: u64,
        seek: S,
    ) -> Option<S::Out>;
    fn dirty<H: Host, R: FnMut(VaRange)>(
        table: &Table<'_, Self>,
        cx: &mut dirty::Cx<'_, Self, H, R>,
        range: VaRange,
    ) -> Result<(), crate::Error>;
}

/// A page table of format `F`, in the memory and with the driver of the domain `H`.
///
/// Made by [`PtIommu::new`] or the format's `pt_iommu_NAME_init`. Dropping it frees every table, mapped or not; hardware
/// must be off it by then.
pub struct PtIommu<F: Walkers, H: Host> {
    pub(crate) core: Core<F, H>,
    near: Near<F>,
}

/// What operations on disjoint ranges share: everything but what each keeps for itself.
pub(crate) struct Core<F: Walkers, H: Host> {
    pub(crate) tree: Tree<F, H>,
    /// Page sizes that map may use, one bit each.
    page_sizes: u64,
    pages: page::Prepared<F>,
}

impl<F: Walkers, H: Host> Core<F, H> {
    #[inline(always)]
    pub(crate) fn common(&self) -> &Common<F> {
        self.tree.common()
    }

    #[inline(always)]
    pub(crate) fn host(&self) -> &H {
        self.tree.host()
    }
}

impl<F: Walkers, H: Host> PtIommu<F, H> {
    /// What was configured, and the limits in force.
    #[inline(always)]
    pub fn common(&self) -> &Common<F> {
        self.core.common()
    }

    /// The domain whose memory and driver the table uses.
    #[inline(always)]
    pub fn host(&self) -> &H {
        self.core.host()
    }

    /// The level of the top table at this moment.
    #[inline(always)]
    pub fn top_level(&self) -> u32 {
        self.core.top_level()
    }

    /// Shows every table, a table before those below it, in VA order.
    pub fn visit_tables(&self, visit: impl FnMut(&TableView<'_, F>)) {
        self.core.tree.visit_tables(visit);
    }

    /// Shows every item that is not empty, in VA order, an item that points to a table before those of that table. What `visit`
    /// returns is how many items behind it in the same table it does not want to see: as many as
    /// [`followers`](TableView::followers) says, or none. (What points to a table is shown all the same, and ends them.)
    ///
    /// Each table is looked through once, so this is the fastest way to see all leaves of a tree. A leaf of several items is shown
    /// once for each of them that is not passed over; the pages below have one each.
    ///
    /// ```
    /// # use generic_pt::fmt::x86_64::*;
    /// # use generic_pt::format::Kind;
    /// # use generic_pt::{Domain, HeapMemory, NoHardware, Prot, TableConfig};
    /// # let domain = Domain::new(HeapMemory, NoHardware);
    /// # let format = Config { top_level: 3, encryption_mask: 0 };
    /// # let config = TableConfig { features: FORCED, hw_max_vasz_lg2: 48, hw_max_oasz_lg2: 48, format };
    /// # let mut table = PtIommuX8664::new(&domain, &config).unwrap();
    /// table.map_range(0x10_0000, 0x8000_0000, 0x5000, Prot::READ).unwrap();
    /// let (mut pages, mut shown) = (0, 0);
    /// table.visit_items(|view, item| {
    ///     if item.kind != Kind::Leaf {
    ///         return 0;
    ///     }
    ///     let behind = view.followers(item.index);
    ///     pages += 1 + behind;
    ///     shown += 1;
    ///     behind
    /// });
    /// assert_eq!((pages, shown), (5, 1));
    /// ```
    pub fn visit_items(&self, visit: impl FnMut(&TableView<'_, F>, &ItemView) -> usize) {
        self.core.tree.visit_items(visit);
    }

    /// Drops the table and shows what was in it, as [`visit_items`](Self::visit_items) does: each table is freed when its last item
    /// was shown. So who has to let go of the memory that a domain still mapped reads the tables once.
    ///
    /// As for a drop, hardware must be off it by then. If `visit` panics, the rest is dropped without being shown.
    ///
    /// ```
    /// # use generic_pt::fmt::x86_64::*;
    /// # use generic_pt::format::Kind;
    /// # use generic_pt::{Domain, HeapMemory, NoHardware, Prot, TableConfig};
    /// # let domain = Domain::new(HeapMemory, NoHardware);
    /// # let format = Config { top_level: 3, encryption_mask: 0 };
    /// # let config = TableConfig { features: FORCED, hw_max_vasz_lg2: 48, hw_max_oasz_lg2: 48, format };
    /// # let mut table = PtIommuX8664::new(&domain, &config).unwrap();
    /// table.map_range(0x10_0000, 0x8000_0000, 0x2000, Prot::READ).unwrap();
    /// let mut pinned = Vec::new();
    /// table.free_with(|_, item| {
    ///     if item.kind == Kind::Leaf {
    ///         pinned.push(item.oa);
    ///     }
    ///     0
    /// });
    /// assert_eq!(pinned, [0x8000_0000, 0x8000_1000]);
    /// ```
    pub fn free_with(mut self, visit: impl FnMut(&TableView<'_, F>, &ItemView) -> usize) {
        self.core.tree.free_with(visit);
    }
}

/// A line for the table, then its leaves and tables as an indented tree, with runs of equal neighbours merged.
impl<F: Walkers, H: Host> fmt::Debug for PtIommu<F, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let common = self.common();
        let (name, level) = (F::NAME, self.top_level());
        writeln!(f, "{name}: top level {level}, {} VA bits, {} OA bits", common.max_va_lg2, common.max_oa_lg2)?;
        self.core.tree.fmt_tables(f)
    }
}
