//! Translate: the exact output address of a VA.

use super::page::with_top_level;
use super::{Core, PtIommu, Walkers};
use crate::driver::Host;
use crate::format::{Common, Groups, Kind};
use crate::seek::{Seek, Slot};

impl<F: Walkers, H: Host> PtIommu<F, H> {
    /// The exact physical address that `iova` translates to; `None` where nothing is mapped or the table has no such VA.
    ///
    /// Never allocates, writes or locks.
    #[inline]
    pub fn iova_to_phys(&self, iova: u64) -> Option<u64> {
        self.core.phys(iova)
    }
}

impl<F: Walkers, H: Host> Core<F, H> {
    /// Translate by whoever holds the VA, for reading at least.
    #[inline(always)]
    pub(super) fn phys(&self, iova: u64) -> Option<u64> {
        with_top_level!(
            self,
            |top: TOP| F::translate::<H, _, TOP>(&self.tree, top, iova, Translate { va: iova })?,
            else None
        )
    }
}

/// The walk to a leaf.
struct Translate {
    va: u64,
}

impl<F: Groups> Seek<F> for Translate {
    type Out = Option<u64>;
    const LOWEST: u32 = 0;

    #[inline(always)]
    fn arrive<const LEVEL: u32>(self, common: &Common<F>, slot: Slot<'_, F>) -> Option<u64> {
        (slot.entry.kind == Kind::Leaf).then(|| F::exact_oa(common, LEVEL, slot.entry.raw, self.va))
    }
}
