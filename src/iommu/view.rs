//! Views: disjoint ranges of one table, for several threads.
//!
//! What makes them right, where the methods of the table rely on `&mut`:
//!
//! * No leaf reaches out of a view: those that were there are looked at when a range is split, and a view maps only inside of
//!   its range. So what handles leaves whole (the last one of an unmap, entries that are made clean) stays inside.
//! * A table is unlinked only by an operation whose range covers it whole, so by the one view that all of it belongs to. A
//!   table of which a view has a part stays for as long as the view lives, also in its `Near`.
//! * Items of which two views have a part never hold leaves. They change by compare-and-swap from empty to a table, and
//!   by setting the flush-done bit.
//! * The top changes under a lock of the tree.

use super::page::with_top_level;
use super::{Core, DirtyMode, Gather, GatherMode, PtIommu, Run, Runs, Segment, Walkers};
use crate::driver::Host;
use crate::error::{Error, MapError};
use crate::feature::Prot;
use crate::format::{Common, Groups, Kind};
use crate::lg2;
use crate::near::Near;
use crate::range::VaRange;
use crate::seek::{Seek, Slot};
use core::fmt;

/// A part of a table's VA range, with the operations on it. Disjoint views work at the same time, in different threads.
///
/// Made by [`PtIommu::view`] and [`split_at`](Self::split_at). It can be sent to another thread where memory and driver can be
/// shared. Each has gathers of its own: tables of one table object may be synced from several threads, and
/// [`Driver::change_top`](crate::Driver::change_top) is called by the one whose map made the top grow.
///
/// ```
/// use generic_pt::fmt::amdv1::*;
/// use generic_pt::{Domain, GatherMode, HeapMemory, NoHardware, Prot, TableConfig};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let domain = Domain::new(HeapMemory, NoHardware);
/// let format = Config { starting_level: 2, encryption_mask: 0 };
/// let config = TableConfig { features: FORCED, hw_max_vasz_lg2: 64, hw_max_oasz_lg2: 52, format };
/// let mut table = PtIommuAmdv1::new(&domain, &config)?;
/// let (mut low, mut high) = table.view().split_at(0x4000_0000)?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| low.map_range(0x3fff_f000, 0x8000_0000, 0x1000, Prot::READ).unwrap());
///     scope.spawn(|| {
///         high.map_range(0x4000_0000, 0x9000_0000, 0x1000, Prot::READ).unwrap();
///         let mut gather = high.gather(GatherMode::Immediate);
///         assert_eq!(high.unmap_range(0x4000_0000, 0x1000, &mut gather), 0x1000);
///         gather.sync();
///     });
/// });
/// // Each has its own range only.
/// assert!(low.map_range(0x4000_0000, 0, 0x1000, Prot::READ).is_err());
/// assert_eq!(table.iova_to_phys(0x3fff_f123), Some(0x8000_0123));
/// # Ok(())
/// # }
/// ```
///
/// Views that lie side by side share no cache line.
// (Some CPUs fetch lines in pairs.)
#[repr(align(128))]
pub struct View<'t, F: Walkers, H: Host> {
    core: &'t Core<F, H>,
    near: Near<F>,
    range: VaRange,
}

impl<F: Walkers, H: Host> PtIommu<F, H> {
    /// The view of the whole table, to be [split](View::split_at).
    pub fn view(&mut self) -> View<'_, F, H> {
        // Views may unlink what is remembered.
        self.near.forget();
        View { core: &self.core, near: Near::NONE, range: VaRange { va: 0, last: u64::MAX } }
    }
}

impl<'t, F: Walkers, H: Host> View<'t, F, H> {
    /// Two views: of what is below `iova`, and of what is from it on.
    ///
    /// # Errors
    /// [`Error::VaRange`] unless both would have a part of the range; [`Error::Straddled`] if a leaf would be in both.
    pub fn split_at(self, iova: u64) -> Result<(Self, Self), Error> {
        let VaRange { va, last } = self.range;
        if iova <= va || iova > last {
            let cuts = VaRange { va: va.saturating_add(1), last };
            return Err(outside(cuts, VaRange { va: iova, last: iova }));
        }
        let core = self.core;
        let straddled = with_top_level!(
            core,
            |top: TOP| F::translate::<H, _, TOP>(&core.tree, top, iova, Straddles { boundary: iova }).flatten(),
            else None
        );
        match straddled {
            Some(error) => Err(error),
            None => {
                let part = |va, last| Self { core, near: Near::NONE, range: VaRange { va, last } };
                Ok((part(va, iova - 1), part(iova, last)))
            }
        }
    }

    /// The range of the view. (Not all of it has to be in the table.)
    #[inline]
    pub fn range(&self) -> VaRange {
        self.range
    }

    /// What was configured, and the limits in force.
    #[inline]
    pub fn common(&self) -> &Common<F> {
        self.core.common()
    }

    /// An empty gather for the table's domain.
    #[inline]
    pub fn gather(&self, mode: GatherMode) -> Gather<F, H> {
        Gather::new(self.core.host().clone(), mode)
    }

    /// As [`PtIommu::map_range`].
    ///
    /// # Errors
    /// First [`Error::VaRange`] if the range is not within the view; then as the method of the table.
    #[inline]
    pub fn map_range(&mut self, iova: u64, paddr: u64, len: u64, prot: Prot) -> Result<(), MapError> {
        self.check(iova, len).map_err(|error| MapError { error, mapped: 0, va: iova })?;
        self.core.map(&mut self.near, iova, paddr, len, prot)
    }

    /// As [`PtIommu::map_sg`].
    ///
    /// # Errors
    /// As the method of the table, with [`Error::VaRange`] also if the range is not within the view.
    #[inline]
    pub fn map_sg(&mut self, iova: u64, segments: &[Segment], prot: Prot) -> Result<u64, MapError> {
        self.core.map_sg(&mut self.near, self.range, iova, segments, prot)
    }

    /// As [`PtIommu::unmap_range`]. If the range is not within the view, nothing is removed.
    #[inline]
    pub fn unmap_range(&mut self, iova: u64, len: u64, gather: &mut Gather<F, H>) -> u64 {
        match self.check(iova, len) {
            Ok(()) => self.core.unmap(&mut self.near, iova, len, gather),
            Err(_) => 0,
        }
    }

    /// As [`PtIommu::unmap_range_with`]. If the range is not within the view, nothing is removed.
    pub fn unmap_range_with(&mut self, iova: u64, len: u64, gather: &mut Gather<F, H>, visit: impl FnMut(Run)) -> u64 {
        if self.check(iova, len).is_ok() {
            self.core.runs_to_remove(iova, len).for_each(visit);
        }
        self.unmap_range(iova, len, gather)
    }

    /// As [`PtIommu::translate_range`].
    ///
    /// # Errors
    /// First [`Error::VaRange`] if the range is not within the view; then as the method of the table.
    pub fn translate_range(&self, iova: u64, len: u64) -> Result<Runs<'_, F, H>, Error> {
        self.check(iova, len)?;
        self.core.runs(iova, len)
    }

    /// As [`PtIommu::set_dirty`].
    ///
    /// # Errors
    /// First [`Error::VaRange`] if `iova` is not within the view; then as the method of the table.
    pub fn set_dirty(&self, iova: u64) -> Result<(), Error> {
        self.check(iova, 1)?;
        self.core.set_dirty(iova)
    }

    /// As [`PtIommu::iova_to_phys`]. `None` outside of the view.
    #[inline]
    pub fn iova_to_phys(&self, iova: u64) -> Option<u64> {
        self.check(iova, 1).ok()?;
        self.core.phys(iova)
    }

    /// As [`PtIommu::read_and_clear_dirty`].
    ///
    /// # Errors
    /// First [`Error::VaRange`] if the range is not within the view; then as the method of the table.
    pub fn read_and_clear_dirty(
        &mut self,
        iova: u64,
        len: u64,
        mode: DirtyMode,
        gather: &mut Gather<F, H>,
        report: impl FnMut(VaRange),
    ) -> Result<(), Error> {
        self.check(iova, len)?;
        self.core.dirty(iova, len, mode, gather, report)
    }

    /// That the range, if it is one, lies within the view.
    #[inline(always)]
    fn check(&self, iova: u64, len: u64) -> Result<(), Error> {
        let (first, offset) = (self.range.va, iova.wrapping_sub(self.range.va));
        let beyond = self.range.last - first;
        // No range at all: refused by the operation.
        let is_range = len != 0 && iova.checked_add(len - 1).is_some();
        if is_range && (iova < first || offset > beyond || len - 1 > beyond - offset) {
            return Err(self.range_error(VaRange { va: iova, last: iova + (len - 1) }));
        }
        Ok(())
    }

    #[cold]
    fn range_error(&self, range: VaRange) -> Error {
        outside(self.range, range)
    }
}

/// The error for a range that is not within that of the view.
#[cold]
pub(super) fn outside(view: VaRange, range: VaRange) -> Error {
    let (valid_first, valid_last) = (view.va, view.last);
    Error::VaRange { va: range.va, last: range.last, valid_first, valid_last, upper_first: None }
}

impl<F: Walkers, H: Host> fmt::Debug for View<'_, F, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("format", &F::NAME).field("range", &(self.range.va..=self.range.last)).finish()
    }
}

/// The walk to a leaf that begins before a boundary and reaches over it.
struct Straddles {
    boundary: u64,
}

impl<F: Groups> Seek<F> for Straddles {
    type Out = Option<Error>;
    const LOWEST: u32 = 0;

    #[inline(always)]
    fn arrive<const LEVEL: u32>(self, common: &Common<F>, slot: Slot<'_, F>) -> Option<Error> {
        let boundary = self.boundary;
        if slot.entry.kind != Kind::Leaf {
            return None;
        }
        let va = lg2::align_down(boundary, F::entry_size_lg2(common, LEVEL, slot.entry.raw));
        (va != boundary).then_some(Error::Straddled { va, level: LEVEL, boundary })
    }
}
