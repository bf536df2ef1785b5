//! Map and unmap of one page of a level's own size, where the tables are there and nothing is in the way.
//!
//! The most frequent case by far, and part of the same operations: whatever is not as simple as that is left, before
//! anything is written, to the general way ([`map`](super::map), [`unmap`](super::unmap)), which also finds the errors.

use super::gather::{Changes, Gather};
use super::top::flush_done_bit;
use super::{PtIommu, Walkers};
use crate::driver::{Host, LevelSet};
use crate::feature::{Features, Prot};
use crate::format::{Common, Groups, Kind, LeafRequest, item_size_lg2};
use crate::item::Item;
use crate::lg2;
use crate::range::VaRange;
use crate::seek::{Seek, Slot};

/// Whether an operation was as simple as that.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// It is done.
    Yes,
    /// Nothing was done.
    No,
}

/// Whether `len` bytes from `va` (and `oa`) are one page of `LEVEL`, where that has leaves of one item.
#[inline(always)]
fn is_page_of<F: Groups, const LEVEL: u32>(common: &Common<F>, va: u64, oa: u64, len: u64) -> bool {
    let size = lg2::pow2(item_size_lg2::<F>(LEVEL));
    LEVEL <= F::MAX_TOP_LEVEL
        && F::possible_sizes(common, LEVEL) & size != 0
        // In one comparison.
        && ((va | oa) & (size - 1)) | (len ^ size) == 0
}

/// Maps `len` bytes if that is one page.
#[inline(always)]
pub(super) fn map<F: Walkers, H: Host>(table: &PtIommu<F, H>, va: u64, oa: u64, len: u64, prot: Prot) -> Done {
    let common = table.common();
    // Each with the level as a constant.
    if is_page_of::<F, 0>(common, va, oa, len) {
        map_at::<F, H, 0>(table, va, oa, prot)
    } else if is_page_of::<F, 1>(common, va, oa, len) {
        map_at::<F, H, 1>(table, va, oa, prot)
    } else if is_page_of::<F, 2>(common, va, oa, len) {
        map_at::<F, H, 2>(table, va, oa, prot)
    } else {
        Done::No
    }
}

#[inline(always)]
fn map_at<F: Walkers, H: Host, const LEVEL: u32>(table: &PtIommu<F, H>, va: u64, oa: u64, prot: Prot) -> Done {
    let (common, size_lg2) = (table.common(), item_size_lg2::<F>(LEVEL));
    let fits = oa & table.tree.oa_beyond == 0
        && table.page_sizes & F::sizes_for_oa(common, lg2::pow2(size_lg2), oa) != 0
        && prot.intersects(Prot::READ.union(Prot::WRITE));
    if !fits {
        return Done::No;
    }
    let Ok(attrs) = F::attrs(common, prot) else { return Done::No };
    let leaf = F::leaf_item(common, LeafRequest { level: LEVEL, size_lg2, oa, attrs });
    // As everywhere, a leaf is only written if it is read as one.
    if F::kind(common, LEVEL, leaf) != Kind::Leaf {
        return Done::No;
    }
    let host = table.host();
    // Twice, so that each table item on the way is tested by one comparison.
    let done = if common.has(Features::DMA_INCOHERENT) {
        F::map_page(&table.tree, va, MapPage::<F, H, LEVEL, true> { host, leaf })
    } else {
        F::map_page(&table.tree, va, MapPage::<F, H, LEVEL, false> { host, leaf })
    };
    done.unwrap_or(Done::No)
}

/// The walk to the empty item that becomes the leaf.
struct MapPage<'a, F: Groups, H: Host, const LEVEL: u32, const INCOHERENT: bool> {
    host: &'a H,
    leaf: F::Item,
}

impl<F: Groups, H: Host, const AT: u32, const INCOHERENT: bool> Seek<F> for MapPage<'_, F, H, AT, INCOHERENT> {
    type Out = Done;
    const LOWEST: u32 = AT;

    /// A table whose flush may not have finished is left to the general way, which flushes it.
    #[inline(always)]
    fn enters(common: &Common<F>, raw: F::Item) -> bool {
        !INCOHERENT || raw & flush_done_bit(common) != F::Item::ZERO
    }

    #[inline(always)]
    fn arrive<const LEVEL: u32>(self, _: &Common<F>, Slot { table, index, entry }: Slot<'_, F>) -> Done {
        if LEVEL != AT || entry.kind != Kind::Empty {
            return Done::No;
        }
        table.store(index, self.leaf);
        if INCOHERENT {
            table.flush(self.host.domain(), index, 1);
        }
        Done::Yes
    }
}

/// Unmaps `len` bytes if that is one page.
#[inline(always)]
pub(super) fn unmap<F: Walkers, H: Host>(table: &PtIommu<F, H>, va: u64, len: u64, gather: &mut Gather<F, H>) -> Done {
    let common = table.common();
    // Each with the level as a constant.
    if is_page_of::<F, 0>(common, va, 0, len) {
        unmap_at::<F, H, 0>(table, va, gather)
    } else if is_page_of::<F, 1>(common, va, 0, len) {
        unmap_at::<F, H, 1>(table, va, gather)
    } else if is_page_of::<F, 2>(common, va, 0, len) {
        unmap_at::<F, H, 2>(table, va, gather)
    } else {
        Done::No
    }
}

#[inline(always)]
fn unmap_at<F: Walkers, H: Host, const LEVEL: u32>(table: &PtIommu<F, H>, va: u64, gather: &mut Gather<F, H>) -> Done {
    let size_lg2 = item_size_lg2::<F>(LEVEL);
    let done = F::unmap_page(&table.tree, va, UnmapPage::<H, LEVEL> { host: table.host() }).unwrap_or(Done::No);
    if done == Done::Yes {
        let range = VaRange { va, last: va | lg2::low_mask(size_lg2) };
        let changes = Changes { leaf_levels: LevelSet::of(LEVEL), ..Changes::NONE };
        // SAFETY: there are no tables in `changes`.
        unsafe { gather.add(table.common(), table.host(), range, changes) };
    }
    done
}

/// The walk to the leaf of one item that becomes empty.
struct UnmapPage<'a, H: Host, const LEVEL: u32> {
    host: &'a H,
}

impl<F: Groups, H: Host, const AT: u32> Seek<F> for UnmapPage<'_, H, AT> {
    type Out = Done;
    const LOWEST: u32 = AT;

    #[inline(always)]
    fn arrive<const LEVEL: u32>(self, common: &Common<F>, Slot { table, index, entry }: Slot<'_, F>) -> Done {
        if LEVEL != AT || entry.kind != Kind::Leaf || F::contig_lg2(common, LEVEL, entry.raw) != 0 {
            return Done::No;
        }
        table.clear_run(common, index, 1);
        if common.has(Features::DMA_INCOHERENT) {
            table.flush(self.host.domain(), index, 1);
        }
        Done::Yes
    }
}
