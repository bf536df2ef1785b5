//! The border to the driver: what a table calls when hardware has to hear of a change, and the handle to it.

use crate::format::Top;
use crate::memory::TableMemory;
use core::fmt;
use core::ptr::NonNull;

/// A set of levels, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LevelSet(u8);

impl LevelSet {
    /// No level.
    pub const NONE: Self = Self(0);
    /// Every level that a table can have.
    pub const ALL: Self = Self((1 << crate::format::MAX_LEVELS) - 1);

    /// The set with only `level`, 0 to 7.
    #[inline(always)]
    pub const fn of(level: u32) -> Self {
        Self(1 << (level & 7))
    }
    /// Both sets.
    #[inline(always)]
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// Whether `level` is in it.
    #[inline(always)]
    pub const fn contains(self, level: u32) -> bool {
        self.0 >> (level & 7) & 1 != 0
    }
    /// Whether no level is in it.
    #[inline(always)]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// Bit `n` for level `n`.
    #[inline(always)]
    pub const fn bits(self) -> u8 {
        self.0
    }
}

impl fmt::Debug for LevelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries((0..8).filter(|level| self.contains(*level))).finish()
    }
}

/// What hardware has to forget before the sync returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Invalidation {
    /// First VA.
    pub va: u64,
    /// Last VA, inclusive.
    pub last: u64,
    /// With `DETAILED_GATHER`: levels at which leaves were removed or made clean.
    pub leaf_levels: LevelSet,
    /// With `DETAILED_GATHER`: levels at which items that pointed to tables were removed.
    pub table_levels: LevelSet,
    /// Tables that were unlinked and will be freed when the sync returns; unless it is 0, walk caches (and not only leaf
    /// caches) have to be invalidated.
    pub unlinked_tables: u64,
}

impl Invalidation {
    /// All that hardware can hold. (How many tables were unlinked is not known.)
    pub const EVERYTHING: Self = Self {
        va: 0,
        last: u64::MAX,
        leaf_levels: LevelSet::ALL,
        table_levels: LevelSet::ALL,
        unlinked_tables: u64::MAX,
    };
}

/// What a table calls when hardware has to hear of a change.
///
/// Every method has a default for a table that no hardware walks; [`NoHardware`] is just those. A driver's value stands
/// for one domain: a sync has to reach every device and cache that walks any table made with it.
pub trait Driver {
    /// Invalidates the hardware's caches for a range, and returns when that is finished.
    ///
    /// When it returns, unlinked tables are freed and their memory may be used for anything. So hardware must by then
    /// have dropped every cached leaf, empty result and table pointer of the range, and have finished walks that were
    /// under way.
    fn sync(&self, invalidation: &Invalidation) {
        let _ = invalidation;
    }

    /// Invalidates everything the hardware holds for the domain, and returns when that is finished: for queued gathers.
    ///
    /// Unlinked tables are freed then, as after [`sync`](Self::sync), which the default calls with everything there can be:
    /// all VA, all levels, and tables.
    fn sync_all(&self) {
        self.sync(&Invalidation::EVERYTHING);
    }

    /// Whether [`change_top`](Self::change_top) and [`with_top_lock`](Self::with_top_lock) work, which `DYNAMIC_TOP`
    /// needs. The default says no.
    fn can_change_top(&self) -> bool {
        false
    }

    /// Points the hardware to a new, higher top, which translates everything the old one did. Called with the top lock
    /// held, before the table itself uses the new top. No invalidation is needed.
    ///
    /// The new tables were written before, with ordinary stores: a driver that tells hardware by something weaker than a store
    /// with release order (a volatile or relaxed one) needs a barrier of its own first.
    fn change_top(&self, top: Top) {
        let _ = top;
    }

    /// Runs `change` alone: no other top change of the same table runs at the same time.
    ///
    /// The default does not lock: each table has a lock of its own besides, which is taken inside of this one. So this is
    /// for drivers that have to exclude others than the table's own threads from [`change_top`](Self::change_top).
    fn with_top_lock<R>(&self, change: impl FnOnce() -> R) -> R {
        change()
    }

    /// Whether [`flush_cache`](Self::flush_cache) works, which `DMA_INCOHERENT` needs. The default says no.
    fn can_flush_cache(&self) -> bool {
        false
    }

    /// Writes `bytes` bytes of table memory back from CPU caches, so that an incoherent walker sees them. Finished when
    /// it returns.
    fn flush_cache(&self, start: NonNull<u8>, bytes: usize) {
        let _ = (start, bytes);
    }
}

impl<D: Driver> Driver for &D {
    fn sync(&self, invalidation: &Invalidation) {
        D::sync(self, invalidation);
    }
    fn sync_all(&self) {
        D::sync_all(self);
    }
    fn can_change_top(&self) -> bool {
        D::can_change_top(self)
    }
    fn change_top(&self, top: Top) {
        D::change_top(self, top);
    }
    fn with_top_lock<R>(&self, change: impl FnOnce() -> R) -> R {
        D::with_top_lock(self, change)
    }
    fn can_flush_cache(&self) -> bool {
        D::can_flush_cache(self)
    }
    fn flush_cache(&self, start: NonNull<u8>, bytes: usize) {
        D::flush_cache(self, start, bytes);
    }
}

/// A driver for tables that no hardware walks: tests, tools, software walkers.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHardware;

impl Driver for NoHardware {
    fn can_change_top(&self) -> bool {
        true
    }
    fn can_flush_cache(&self) -> bool {
        true
    }
}

/// The surroundings of one or more tables: their memory and their driver.
#[derive(Clone, Copy, Debug, Default)]
pub struct Domain<M, D> {
    /// Where table pages come from.
    pub memory: M,
    /// Who tells hardware.
    pub driver: D,
}

impl<M: TableMemory, D: Driver> Domain<M, D> {
    /// Joins memory and driver.
    pub const fn new(memory: M, driver: D) -> Self {
        Self { memory, driver }
    }
}

mod sealed {
    pub trait Sealed {}
    impl<M, D> Sealed for &super::Domain<M, D> {}
    #[cfg(feature = "alloc")]
    impl<M, D> Sealed for alloc::sync::Arc<super::Domain<M, D>> {}
}

/// A handle to a [`Domain`]: `&Domain`, or `Arc<Domain>` with `alloc`.
///
/// Tables and gathers each hold one, so a gather knows whose pages it holds and whom to ask for the sync, whatever it is
/// used with.
pub trait Host: sealed::Sealed + Clone {
    /// The memory's type.
    type Memory: TableMemory;
    /// The driver's type.
    type Driver: Driver;
    /// The domain.
    fn domain(&self) -> &Domain<Self::Memory, Self::Driver>;
    /// Whether both are handles to the same domain.
    #[inline(always)]
    fn is_same(&self, other: &Self) -> bool {
        core::ptr::eq(self.domain(), other.domain())
    }
}

impl<M: TableMemory, D: Driver> Host for &Domain<M, D> {
    type Memory = M;
    type Driver = D;
    #[inline(always)]
    fn domain(&self) -> &Domain<M, D> {
        self
    }
}

#[cfg(feature = "alloc")]
impl<M: TableMemory, D: Driver> Host for alloc::sync::Arc<Domain<M, D>> {
    type Memory = M;
    type Driver = D;
    #[inline(always)]
    fn domain(&self) -> &Domain<M, D> {
        self
    }
}
