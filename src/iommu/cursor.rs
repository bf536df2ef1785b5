//! A cursor: for callers that map, unmap or look up pages one by one, in about ascending order.

use super::page::with_top_level;
use super::top::flush_done_bit;
use super::{Core, Gather, PtIommu, Walkers};
use crate::driver::Host;
use crate::error::MapError;
use crate::feature::{Features, Prot};
use crate::format::{Common, Groups, Kind};
use crate::item::Item;
use crate::near::{LEVELS, Near};
use crate::seek::{Seek, Slot};
use crate::tree::Tree;
use core::fmt;

/// A table with its place: made by [`PtIommu::cursor`].
///
/// Mapping and unmapping single pages always begins in the table that was used last; through the cursor translation does
/// so, too, and each helps the others. It may go anywhere at any time; only what is near is cheaper.
pub struct Cursor<'a, F: Walkers, H: Host> {
    table: &'a mut PtIommu<F, H>,
}

impl<F: Walkers, H: Host> PtIommu<F, H> {
    /// A cursor, to map, unmap and look up pages one by one.
    ///
    /// ```
    /// # use generic_pt::fmt::x86_64::*;
    /// # use generic_pt::{Domain, GatherMode, HeapMemory, NoHardware, Prot, TableConfig};
    /// # let domain = Domain::new(HeapMemory, NoHardware);
    /// # let format = Config { top_level: 3, encryption_mask: 0 };
    /// # let config = TableConfig { features: FORCED, hw_max_vasz_lg2: 48, hw_max_oasz_lg2: 48, format };
    /// # let mut table = PtIommuX8664::new(&domain, &config).unwrap();
    /// let mut cursor = table.cursor();
    /// for (page, paddr) in (0..).zip([0x8000_3000, 0x8000_1000, 0x8000_7000]) {
    ///     let iova = 0x10_0000 + (page << 12);
    ///     if cursor.iova_to_phys(iova).is_none() {
    ///         cursor.map(iova, paddr, 0x1000, Prot::READ).unwrap();
    ///     }
    /// }
    /// assert_eq!(cursor.iova_to_phys(0x10_2010), Some(0x8000_7010));
    /// ```
    #[inline]
    pub fn cursor(&mut self) -> Cursor<'_, F, H> {
        Cursor { table: self }
    }
}

impl<F: Walkers, H: Host> Cursor<'_, F, H> {
    /// Maps a range: [`PtIommu::map_range`].
    ///
    /// # Errors
    /// As there.
    #[inline]
    pub fn map(&mut self, iova: u64, paddr: u64, len: u64, prot: Prot) -> Result<(), MapError> {
        self.table.map_range(iova, paddr, len, prot)
    }

    /// Removes every leaf in the range, and returns the bytes removed: [`PtIommu::unmap_range`].
    #[inline]
    pub fn unmap(&mut self, iova: u64, len: u64, gather: &mut Gather<F, H>) -> u64 {
        self.table.unmap_range(iova, len, gather)
    }

    /// The exact physical address that `iova` translates to: [`PtIommu::iova_to_phys`], without a walk where it is in a
    /// table that was used last.
    #[inline]
    pub fn iova_to_phys(&mut self, iova: u64) -> Option<u64> {
        let PtIommu { core, near } = &mut *self.table;
        match near_phys(core.common(), near, iova) {
            Found::Here(phys) => phys,
            Found::Below => far_phys(core, near, iova),
        }
    }

    /// The table.
    pub fn table(&self) -> &PtIommu<F, H> {
        self.table
    }
}

/// What there is to know of a translation.
enum Found {
    /// The physical address, or that there is none.
    Here(Option<u64>),
    /// That it has to be looked for from the top.
    Below,
}

#[inline(always)]
fn found<F: Groups, const LEVEL: u32>(common: &Common<F>, slot: &Slot<'_, F>, va: u64) -> Found {
    match slot.entry.kind {
        Kind::Leaf => Found::Here(Some(F::exact_oa(common, LEVEL, slot.entry.raw, va))),
        Kind::Empty | Kind::Foreign => Found::Here(None),
        Kind::Table => Found::Below,
    }
}

/// In the tables that were used last.
#[inline(always)]
fn near_phys<F: Groups>(common: &Common<F>, near: &Near<F>, va: u64) -> Found {
    match near_phys_at::<F, 0>(common, near, va) {
        Found::Below => {}
        here @ Found::Here(_) => return here,
    }
    match near_phys_at::<F, 1>(common, near, va) {
        Found::Below => near_phys_at::<F, 2>(common, near, va),
        here @ Found::Here(_) => here,
    }
}

#[inline(always)]
fn near_phys_at<F: Groups, const LEVEL: u32>(common: &Common<F>, near: &Near<F>, va: u64) -> Found {
    if LEVEL > F::MAX_TOP_LEVEL {
        return Found::Below;
    }
    let Some(table) = near.table::<LEVEL>(va) else { return Found::Below };
    let index = table.index(va);
    let entry = table.load(common, index);
    found::<F, LEVEL>(common, &Slot { table: &table, index, entry }, va)
}

/// After a walk, whose last table is remembered.
#[inline(never)]
fn far_phys<F: Walkers, H: Host>(core: &Core<F, H>, near: &mut Near<F>, va: u64) -> Option<u64> {
    let found = with_top_level!(
        core,
        |top: TOP| F::cursor::<H, _, TOP>(&core.tree, top, va, Remember { near, tree: &core.tree, va }),
        else None
    );
    // Without a leaf the walk may have ended at a table that it may not remember.
    found?.or_else(|| core.phys(va))
}

/// The walk to a leaf, whose table is remembered.
struct Remember<'a, F: Groups, H: Host> {
    near: &'a mut Near<F>,
    tree: &'a Tree<F, H>,
    va: u64,
}

impl<F: Groups, H: Host> Seek<F> for Remember<'_, F, H> {
    type Out = Option<u64>;
    const LOWEST: u32 = 0;

    /// As for mapping: a page may be mapped next in what is remembered.
    #[inline(always)]
    fn enters(common: &Common<F>, raw: F::Item) -> bool {
        !common.has(Features::DMA_INCOHERENT) || raw & flush_done_bit(common) != F::Item::ZERO
    }

    #[inline(always)]
    fn arrive<const LEVEL: u32>(self, common: &Common<F>, slot: Slot<'_, F>) -> Option<u64> {
        if (LEVEL as usize) < LEVELS {
            self.near.remember::<H, LEVEL>(self.tree, self.va, slot.table);
        }
        (slot.entry.kind == Kind::Leaf).then(|| F::exact_oa(common, LEVEL, slot.entry.raw, self.va))
    }
}

impl<F: Walkers, H: Host> fmt::Debug for Cursor<'_, F, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cursor").field(&self.table).finish()
    }
}
