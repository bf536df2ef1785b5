//! The surroundings of a table in a test: memory, and simulated hardware that walks it at any time.

use super::formats::{Decoded, HwFormat};
use super::hardware::Caches;
use super::memory::{Pages, TestMemory};
use super::model::{Params, low};
use generic_pt::format::Top;
use generic_pt::{Domain, Driver, Invalidation, LevelSet};
use std::cell::{Cell, RefCell};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::AtomicU64;

/// What the library asked of the driver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// `Driver::sync`.
    Sync(Invalidation),
    /// `Driver::sync_all`.
    SyncAll,
    /// `Driver::change_top`, to this level.
    ChangeTop(u32),
}

/// An empty table of the largest size, to go on with after a violation.
#[repr(align(65536))]
pub struct EmptyTable(pub [AtomicU64; 8192]);

/// Memory and hardware of one domain.
pub struct World {
    pub format: Rc<dyn HwFormat>,
    /// VA bits that the table decodes, at most.
    pub max_va_lg2: u32,
    /// Whether the top grows.
    pub dynamic: bool,
    pub detailed: bool,
    pub pages: RefCell<Pages>,
    pub caches: RefCell<Caches>,
    /// Where hardware starts to walk; `None` before it is told.
    pub root: Cell<Option<Top>>,
    /// Addresses of interest to walkers.
    pub hot: RefCell<Vec<u64>>,
    pub events: RefCell<Vec<Event>>,
    /// Whether a map is under way: what it syncs are tables that a page replaces.
    pub mapping: Cell<bool>,
    /// Allocations that still succeed; `None` for all.
    pub allocations_left: Cell<Option<u32>>,
    pub allocations: Cell<u32>,
    /// Bytes written back for an incoherent walker.
    pub flushed_bytes: Cell<usize>,
    pub empty_table: EmptyTable,
    wrong: RefCell<Option<String>>,
    random: Cell<u64>,
    /// Random walks at each opportunity; 0 stops the walkers.
    pub busy: Cell<u32>,
}

pub type TestDomain = Domain<TestMemory, SimDriver>;

impl World {
    pub fn new(params: Params) -> Rc<Self> {
        Rc::new(Self {
            max_va_lg2: params.max_va,
            dynamic: params.dynamic,
            detailed: params.detailed,
            pages: RefCell::new(Pages::new(params.incoherent, &params.format.shape())),
            format: params.format,
            caches: RefCell::new(Caches::default()),
            root: Cell::new(None),
            hot: RefCell::default(),
            events: RefCell::default(),
            mapping: Cell::new(false),
            allocations_left: Cell::new(None),
            allocations: Cell::new(0),
            flushed_bytes: Cell::new(0),
            empty_table: EmptyTable([const { AtomicU64::new(0) }; 8192]),
            wrong: RefCell::default(),
            random: Cell::new(0x1234_5678_9abc_def1),
            busy: Cell::new(0),
        })
    }

    /// A domain in this world.
    pub fn domain(self: &Rc<Self>) -> TestDomain {
        Domain::new(TestMemory(Rc::clone(self)), SimDriver(Rc::clone(self)))
    }

    pub fn live_pages(&self) -> usize {
        self.pages.borrow().live()
    }

    pub fn seed(&self, seed: u64) {
        self.random.set(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    }

    /// A pseudo-random number below `n`.
    pub fn random(&self, n: usize) -> usize {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        (x >> 20) as usize % n.max(1)
    }

    /// Notes that something is wrong; the first counts. (No panic: that would unwind through the library, which then frees
    /// a table that may be broken.)
    pub fn violation(&self, what: String) {
        self.wrong.borrow_mut().get_or_insert(what);
    }

    /// What was wrong since the last call.
    pub fn verdict(&self) -> Result<(), String> {
        self.wrong.borrow_mut().take().map_or(Ok(()), Err)
    }

    pub fn allocation_permitted(&self) -> bool {
        self.allocations.set(self.allocations.get() + 1);
        match self.allocations_left.get() {
            Some(0) => false,
            Some(left) => {
                self.allocations_left.set(Some(left - 1));
                true
            }
            None => true,
        }
    }

    pub fn take_events(&self) -> Vec<Event> {
        self.events.take()
    }

    /// VA bits that a top of this level decodes.
    pub fn decoded_bits(&self, level: u32) -> u32 {
        let shape = self.format.shape();
        if self.dynamic && level < shape.max_level {
            self.max_va_lg2.min(shape.item_lg2(level + 1))
        } else {
            self.max_va_lg2
        }
    }

    /// The index of a VA in a table: of the top the bits that are left.
    fn index(&self, va: u64, level: u32, top: u32) -> usize {
        let shape = self.format.shape();
        let item_lg2 = shape.item_lg2(level);
        let bits = if level == top {
            self.decoded_bits(level).saturating_sub(item_lg2)
        } else {
            shape.index_lg2[level as usize]
        };
        (va >> item_lg2 & low(bits)) as usize
    }

    /// Several walks of the hardware, at addresses of interest.
    pub fn hardware_runs(&self) {
        for _ in 0..self.busy.get() {
            let va = {
                let hot = self.hot.borrow();
                if hot.is_empty() {
                    return;
                }
                hot[self.random(hot.len())]
            };
            self.walk(va);
        }
    }

    /// One walk of the hardware: from the root or from what it has cached, caching what it finds.
    pub fn walk(&self, va: u64) {
        let Some(root) = self.root.get() else { return };
        let shape = self.format.shape();
        if va & !low(self.decoded_bits(root.level)) != 0 {
            return self.caches.borrow_mut().keep_empty(va, shape.granule_lg2);
        }
        let cached = self.caches.borrow().pointers_over(va);
        let pick = self.random(cached.len() + 1);
        let (mut pa, mut level) = cached.get(pick).copied().unwrap_or((root.pa, root.level));
        loop {
            let item_lg2 = shape.item_lg2(level);
            let index = self.index(va, level, root.level);
            let raw = match self.pages.borrow().hardware_item(pa, index) {
                Ok(raw) => raw,
                Err(wrong) => return self.violation(format!("hardware walk of {va:#x}: {wrong}")),
            };
            match self.format.decode(level, raw) {
                Decoded::Empty => return self.caches.borrow_mut().keep_empty(va, shape.granule_lg2),
                leaf @ Decoded::Leaf { .. } => return self.caches.borrow_mut().keep_leaf(va, level, leaf),
                Decoded::Table { .. } if level == 0 => {
                    return self.violation(format!("a table below level 0 at {va:#x}"));
                }
                Decoded::Table { pa: lower } => {
                    if self.random(2) == 0 {
                        self.caches.borrow_mut().keep_pointer(va & !((1 << item_lg2) - 1), level, item_lg2, lower);
                    }
                    (pa, level) = (lower, level - 1);
                }
            }
        }
    }

    /// A device writes: hardware notes that in the item that translates `va`, unless it knows that it did. Returns
    /// whether it did so now.
    pub fn device_writes(&self, va: u64) -> bool {
        let (Some(root), Some(_)) = (self.root.get(), self.format.dirty_bit()) else { return false };
        let (mut pa, mut level) = (root.pa, root.level);
        if va & !low(self.decoded_bits(level)) != 0 {
            return false;
        }
        loop {
            let index = self.index(va, level, root.level);
            let Ok(raw) = self.pages.borrow().hardware_item(pa, index) else { return false };
            match self.format.decode(level, raw) {
                Decoded::Table { pa: lower } if level > 0 => (pa, level) = (lower, level - 1),
                leaf @ Decoded::Leaf { attrs, .. } if self.format.writable(attrs) => {
                    let known = !self.caches.borrow_mut().note_write(va, level, leaf);
                    if !known {
                        let set = self.pages.borrow_mut().hardware_set(pa, index, |raw| self.format.written(raw));
                        set.unwrap_or_else(|wrong| self.violation(wrong));
                    }
                    return !known;
                }
                _ => return false,
            }
        }
    }

    /// What the CPU wrote into the item that translates `va` reaches an incoherent walker without a flush.
    pub fn hardware_catches_up(&self, va: u64) {
        let Some(root) = self.root.get() else { return };
        let (mut pa, mut level) = (root.pa, root.level);
        loop {
            let index = self.index(va, level, root.level);
            let Ok(items) = self.pages.borrow().items(pa, index + 1) else { return };
            match self.format.decode(level, items[index]) {
                Decoded::Table { pa: lower } if level > 0 => (pa, level) = (lower, level - 1),
                _ => {
                    let set = self.pages.borrow_mut().hardware_set(pa, index, |raw| raw | items[index]);
                    return set.unwrap_or_else(|wrong| self.violation(wrong));
                }
            }
        }
    }

    /// The tables that a map replaces are forgotten before a page is where they were.
    fn check_break_before_make(&self, va: u64) {
        let Some(root) = self.root.get() else { return };
        let (mut pa, mut level) = (root.pa, root.level);
        while self.mapping.get() && self.format.break_before_make() {
            let Ok(raw) = self.pages.borrow().hardware_item(pa, self.index(va, level, root.level)) else { return };
            match self.format.decode(level, raw) {
                Decoded::Table { pa: lower } if level > 0 => (pa, level) = (lower, level - 1),
                Decoded::Leaf { .. } => {
                    return self.violation(format!("a page at {va:#x} before the sync of tables there"));
                }
                _ => return,
            }
        }
    }

    /// A freed page must not be known to the hardware any more.
    pub fn check_unreferenced(&self, pa: u64) {
        if let Some(pointer) = self.caches.borrow().pointer_to(pa) {
            self.violation(format!("table {pa:#x} was freed while the walk cache has {pointer:x?}"));
        }
    }

    /// What a device and its IOMMU do when asked to invalidate.
    pub fn invalidate(&self, what: &Invalidation) {
        let known = |levels: LevelSet, level| !self.detailed || levels.contains(level);
        let walk_cache = self.detailed || what.unlinked_tables != 0;
        let first = self.index_space(what.va);
        let last = first.wrapping_add(what.last.wrapping_sub(what.va));
        self.caches.borrow_mut().drop_range(
            first..=last,
            |level| known(what.leaf_levels, level),
            |level| walk_cache && known(what.table_levels, level),
        );
    }

    /// VA without the copies of the sign bit.
    pub fn index_space(&self, va: u64) -> u64 {
        if self.max_va_lg2 >= 64 { va } else { va & ((1 << self.max_va_lg2) - 1) }
    }
}

/// A driver that invalidates the caches of the simulated hardware, which goes on walking meanwhile.
pub struct SimDriver(pub Rc<World>);

impl Driver for SimDriver {
    fn sync(&self, invalidation: &Invalidation) {
        self.0.hardware_runs();
        self.0.check_break_before_make(self.0.index_space(invalidation.va));
        self.0.events.borrow_mut().push(Event::Sync(*invalidation));
        self.0.invalidate(invalidation);
        self.0.hardware_runs();
    }
    fn sync_all(&self) {
        self.0.hardware_runs();
        self.0.events.borrow_mut().push(Event::SyncAll);
        self.0.caches.borrow_mut().clear();
        self.0.hardware_runs();
    }
    fn can_change_top(&self) -> bool {
        true
    }
    fn change_top(&self, top: Top) {
        self.0.hardware_runs();
        self.0.events.borrow_mut().push(Event::ChangeTop(top.level));
        self.0.root.set(Some(top));
        self.0.hardware_runs();
    }
    fn with_top_lock<R>(&self, change: impl FnOnce() -> R) -> R {
        self.0.hardware_runs();
        change()
    }
    fn can_flush_cache(&self) -> bool {
        true
    }
    fn flush_cache(&self, start: NonNull<u8>, bytes: usize) {
        self.0.hardware_runs();
        let flushed = self.0.pages.borrow_mut().flush(start, bytes);
        self.0.flushed_bytes.set(self.0.flushed_bytes.get() + bytes);
        if let Err(wrong) = flushed {
            self.0.violation(wrong);
        }
        self.0.hardware_runs();
    }
}
