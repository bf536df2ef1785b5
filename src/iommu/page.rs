//! Map and unmap of one page of a level's own size, where the tables are there and nothing is in the way.
//!
//! The most frequent case by far, and part of the same operations: in the table that was used last (*near*), or after a
//! walk (*far*). Whatever is not as simple as that is left, before anything is written, to the general way
//! ([`map`](super::map), [`unmap`](super::unmap)), which also finds the errors.

use super::gather::{Changes, ExtendsOnUnwind, Gather};
use super::top::flush_done_bit;
use super::{Core, Walkers};
use crate::driver::{Host, LevelSet};
use crate::feature::{Features, Prot};
use crate::format::{Common, Groups, Kind, LeafRequest, item_size_lg2};
use crate::item::Item;
use crate::lg2;
use crate::near::{LEVELS, Near};
use crate::range::VaRange;
use crate::seek::{Seek, Slot};

/// Runs `$run` with the level of the top as the constant `$TOP`, the top as `$top`; `$other` where the format has no such top.
///
/// Four levels are the usual, so that is looked at first.
macro_rules! with_top_level {
    ($table:expr, |$top:ident: $TOP:ident| $run:expr, else $other:expr) => {{
        let $top = $table.tree.top();
        if F::can_be_top($crate::tree::USUAL_TOP_LEVEL) && $table.tree.is_top::<{ $crate::tree::USUAL_TOP_LEVEL }>($top)
        {
            const $TOP: u32 = $crate::tree::USUAL_TOP_LEVEL;
            $run
        } else {
            core::hint::cold_path();
            match $top.level {
                0 if F::can_be_top(0) => {
                    const $TOP: u32 = 0;
                    $run
                }
                1 if F::can_be_top(1) => {
                    const $TOP: u32 = 1;
                    $run
                }
                2 if F::can_be_top(2) => {
                    const $TOP: u32 = 2;
                    $run
                }
                4 if F::can_be_top(4) => {
                    const $TOP: u32 = 4;
                    $run
                }
                5 if F::can_be_top(5) => {
                    const $TOP: u32 = 5;
                    $run
                }
                _ => $other,
            }
        }
    }};
}
pub(super) use with_top_level;

/// Whether an operation was as simple as that.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// It is done.
    Yes,
    /// Nothing was done.
    No,
    /// Nothing was done: it is not a single page.
    NoPage,
}

/// Combinations of protections.
const PROTS: usize = 1 << 5;

/// What mapping a single page would work out each time, worked out once.
pub(super) struct Prepared<F: Groups> {
    /// The attributes for each protection; `None` for those that map refuses.
    attrs: [Option<F::Attrs>; PROTS],
    /// The length of a page of each level, where it may be mapped, else [`NO_PAGE`].
    len: [u64; LEVELS],
}

/// The length of a page that nothing is: it is shorter than any page, but not a multiple of any.
const NO_PAGE: u64 = 1;

impl<F: Groups> Prepared<F> {
    pub(super) fn new(common: &Common<F>) -> Self {
        let attrs = core::array::from_fn(|bits| {
            let prot = Prot::from_bits_truncate(bits as u8);
            if prot.intersects(Prot::READ.union(Prot::WRITE)) { F::attrs(common, prot).ok() } else { None }
        });
        Self { attrs, len: [NO_PAGE; LEVELS] }
    }

    /// The attributes for a protection; `None` for one that map refuses.
    #[inline(always)]
    pub(super) fn attrs(&self, prot: Prot) -> Option<F::Attrs> {
        self.attrs[usize::from(prot.bits()) % PROTS]
    }

    /// Permits the page sizes of the bitmap `sizes`.
    pub(super) fn permit(&mut self, common: &Common<F>, sizes: u64) {
        for (level, len) in (0..).zip(&mut self.len) {
            let size = lg2::pow2(item_size_lg2::<F>(level));
            let permitted = level <= F::MAX_TOP_LEVEL && F::possible_sizes(common, level) & sizes & size != 0;
            *len = if permitted { size } else { NO_PAGE };
        }
    }
}

/// Runs `$run` with the level of a single page of the length as the constant `$LEVEL`; `$other` if it is none.
///
/// The length says which level it can be, so the address is looked at once.
macro_rules! with_page_level {
    (if $is_len:ident::<$F:ident>$arguments:tt, aligned $bits:expr, |$LEVEL:ident| $run:expr, else $other:expr) => {
        if $is_len::<$F, 0>$arguments {
            const $LEVEL: u32 = 0;
            if is_page_aligned::<$F, 0>($bits) { $run } else { $other }
        } else if $is_len::<$F, 1>$arguments {
            const $LEVEL: u32 = 1;
            if is_page_aligned::<$F, 1>($bits) { $run } else { $other }
        } else if $is_len::<$F, 2>$arguments {
            const $LEVEL: u32 = 2;
            if is_page_aligned::<$F, 2>($bits) { $run } else { $other }
        } else {
            $other
        }
    };
}

/// Whether that is the length of one page of `LEVEL` that may be mapped, or [`NO_PAGE`].
#[inline(always)]
fn is_len_to_map<F: Groups, const LEVEL: u32>(pages: &Prepared<F>, len: u64) -> bool {
    LEVEL <= F::MAX_TOP_LEVEL && len == pages.len[LEVEL as usize % LEVELS]
}

/// Whether addresses, and lengths that may be [`NO_PAGE`], are multiples of the page of `LEVEL`.
#[inline(always)]
fn is_page_aligned<F: Groups, const LEVEL: u32>(bits: u64) -> bool {
    lg2::is_aligned(bits, item_size_lg2::<F>(LEVEL))
}

/// Maps one page in the table that was used last.
#[inline(always)]
pub(super) fn map_near<F: Walkers, H: Host>(
    core: &Core<F, H>,
    near: &Near<F>,
    va: u64,
    oa: u64,
    len: u64,
    prot: Prot,
) -> Done {
    with_page_level!(
        if is_len_to_map::<F>(&core.pages, len), aligned va | oa | len,
        |LEVEL| {
            let Some(table) = near.table::<LEVEL>(va) else { return Done::No };
            let Some(leaf) = leaf::<F, H, LEVEL>(core, oa, prot) else { return Done::No };
            let index = table.index(va);
            let entry = table.load(core.common(), index);
            put_leaf(core, Slot { table: &table, index, entry }, leaf)
        },
        else Done::NoPage
    )
}

/// Maps one page after a walk.
#[inline(always)]
pub(super) fn map_far<F: Walkers, H: Host>(
    core: &Core<F, H>,
    near: &mut Near<F>,
    va: u64,
    oa: u64,
    len: u64,
    prot: Prot,
) -> Done {
    with_page_level!(
        if is_len_to_map::<F>(&core.pages, len), aligned va | oa | len,
        |LEVEL| {
            let Some(leaf) = leaf::<F, H, LEVEL>(core, oa, prot) else { return Done::No };
            with_top_level!(
                core,
                |top: TOP| F::map_page::<H, _, TOP>(&core.tree, top, va, MapPage::<F, H, LEVEL> { core, near, va, leaf })
                    .unwrap_or(Done::No),
                else Done::No
            )
        },
        else Done::NoPage
    )
}

/// The item of one page of `LEVEL`; `None` if map would refuse it.
#[inline(always)]
fn leaf<F: Walkers, H: Host, const LEVEL: u32>(core: &Core<F, H>, oa: u64, prot: Prot) -> Option<F::Item> {
    let (common, size_lg2) = (core.common(), item_size_lg2::<F>(LEVEL));
    if oa & core.tree.oa_beyond != 0 || F::sizes_for_oa(common, lg2::pow2(size_lg2), oa) == 0 {
        return None;
    }
    let attrs = core.pages.attrs(prot)?;
    let leaf = F::leaf_item(common, LeafRequest { level: LEVEL, size_lg2, oa, attrs });
    // As everywhere, a leaf is only written if it is read as one.
    (F::kind(common, LEVEL, leaf) == Kind::Leaf).then_some(leaf)
}

/// Writes the leaf if the item is empty.
#[inline(always)]
fn put_leaf<F: Walkers, H: Host>(core: &Core<F, H>, slot: Slot<'_, F>, leaf: F::Item) -> Done {
    if slot.entry.kind != Kind::Empty {
        return Done::No;
    }
    slot.table.store(slot.index, leaf);
    if core.common().has(Features::DMA_INCOHERENT) {
        slot.table.flush(core.host().domain(), slot.index, 1);
    }
    Done::Yes
}

/// The walk to the empty item that becomes the leaf.
struct MapPage<'a, F: Walkers, H: Host, const LEVEL: u32> {
    core: &'a Core<F, H>,
    near: &'a mut Near<F>,
    va: u64,
    leaf: F::Item,
}

impl<F: Walkers, H: Host, const AT: u32> Seek<F> for MapPage<'_, F, H, AT> {
    type Out = Done;
    const LOWEST: u32 = AT;

    /// A table whose flush may not have finished is left to the general way, which flushes it.
    #[inline(always)]
    fn enters(common: &Common<F>, raw: F::Item) -> bool {
        !common.has(Features::DMA_INCOHERENT) || raw & flush_done_bit(common) != F::Item::ZERO
    }

    #[inline(always)]
    fn arrive<const LEVEL: u32>(self, _: &Common<F>, slot: Slot<'_, F>) -> Done {
        if LEVEL != AT {
            return Done::No;
        }
        self.near.remember::<H, AT>(&self.core.tree, self.va, slot.table);
        put_leaf(self.core, slot, self.leaf)
    }
}

/// Whether `len` is that of an item of `LEVEL`.
#[inline(always)]
fn is_len_to_unmap<F: Groups, const LEVEL: u32>(len: u64) -> bool {
    LEVEL <= F::MAX_TOP_LEVEL && len == lg2::pow2(item_size_lg2::<F>(LEVEL))
}

/// Unmaps one page from the table that was used last.
#[inline(always)]
pub(super) fn unmap_near<F: Walkers, H: Host>(
    core: &Core<F, H>,
    near: &Near<F>,
    va: u64,
    len: u64,
    gather: &mut Gather<F, H>,
) -> Done {
    with_page_level!(
        if is_len_to_unmap::<F>(len), aligned va,
        |LEVEL| {
            let Some(table) = near.table::<LEVEL>(va) else { return Done::No };
            let index = table.index(va);
            let entry = table.load(core.common(), index);
            take_leaf::<F, H, LEVEL>(core, Slot { table: &table, index, entry }, va, gather)
        },
        else Done::NoPage
    )
}

/// Unmaps one page after a walk.
#[inline(always)]
pub(super) fn unmap_far<F: Walkers, H: Host>(
    core: &Core<F, H>,
    near: &mut Near<F>,
    va: u64,
    len: u64,
    gather: &mut Gather<F, H>,
) -> Done {
    with_page_level!(
        if is_len_to_unmap::<F>(len), aligned va,
        |LEVEL| with_top_level!(
            core,
            |top: TOP| F::unmap_page::<H, _, TOP>(&core.tree, top, va, UnmapPage::<F, H, LEVEL> { core, near, va, gather })
                .unwrap_or(Done::No),
            else Done::No
        ),
        else Done::NoPage
    )
}

/// Clears the item and gathers its page, if it is a leaf of one item.
#[inline(always)]
fn take_leaf<F: Walkers, H: Host, const LEVEL: u32>(
    core: &Core<F, H>,
    slot: Slot<'_, F>,
    va: u64,
    gather: &mut Gather<F, H>,
) -> Done {
    let common = core.common();
    if slot.entry.kind != Kind::Leaf || F::contig_lg2(common, LEVEL, slot.entry.raw) != 0 {
        return Done::NoPage;
    }
    slot.table.store(slot.index, F::empty_item(common, LEVEL));
    let range = VaRange { va, last: va | lg2::low_mask(item_size_lg2::<F>(LEVEL)) };
    if common.has(Features::DMA_INCOHERENT) {
        let flushing = ExtendsOnUnwind { gather: &mut *gather, host: core.host(), range };
        slot.table.flush(core.host().domain(), slot.index, 1);
        flushing.disarm();
    }
    let mut changes = Changes { leaf_levels: LevelSet::of(LEVEL), ..Changes::NONE };
    // SAFETY: there are no tables in `changes`.
    unsafe { gather.add(common, core.host(), range, &mut changes) };
    Done::Yes
}

/// The walk to the leaf of one item that becomes empty.
struct UnmapPage<'a, F: Walkers, H: Host, const LEVEL: u32> {
    core: &'a Core<F, H>,
    near: &'a mut Near<F>,
    va: u64,
    gather: &'a mut Gather<F, H>,
}

impl<F: Walkers, H: Host, const AT: u32> Seek<F> for UnmapPage<'_, F, H, AT> {
    type Out = Done;
    const LOWEST: u32 = AT;

    /// As for mapping: a page may be mapped next in what is remembered.
    #[inline(always)]
    fn enters(common: &Common<F>, raw: F::Item) -> bool {
        !common.has(Features::DMA_INCOHERENT) || raw & flush_done_bit(common) != F::Item::ZERO
    }

    #[inline(always)]
    fn arrive<const LEVEL: u32>(self, _: &Common<F>, slot: Slot<'_, F>) -> Done {
        if LEVEL != AT {
            return Done::No;
        }
        self.near.remember::<H, AT>(&self.core.tree, self.va, slot.table);
        take_leaf::<F, H, AT>(self.core, slot, self.va, self.gather)
    }
}
