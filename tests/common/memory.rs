//! Table memory that knows what is live: freed pages stay allocated, poisoned, until the end, so that whoever still looks
//! at one is caught; physical addresses are simulated, with high bits set; allocations can be made to fail; and an
//! incoherent walker sees what was last flushed, not what was written.

use super::formats::Shape;
use super::world::World;
use generic_pt::memory::{Contents, PageRequest, TableMemory};
use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Each page has a slot of 1 MiB of physical addresses for itself.
const SLOT_LG2: u32 = 20;
/// Physical addresses with many bits set, below 2^51 and without bits 47 and 33, the encryption bits of the tests.
const HIGH_BASE: u64 = 0x5_2345_0000_0000;
/// For formats that want their tables low.
const LOW_BASE: u64 = 0x1000_0000;
/// What freed pages hold: empty items in every format but VT-d, where it is an item without permissions.
const POISON: u64 = 0xdead_dead_dead_d000;
/// What a page holds that did not have to be zeroed, and what an incoherent walker sees of a page never flushed: items
/// that are present in every format.
const GARBAGE: u64 = 0xffff_ffff_ffff_ffff;

/// How items lie in memory.
#[derive(Clone, Copy)]
struct Items {
    bytes_lg2: u32,
    big_endian: bool,
}

impl Items {
    /// An item, from its bytes in the CPU's order and back.
    fn swapped(self, item: u64) -> u64 {
        match (self.big_endian, self.bytes_lg2) {
            (true, 2) => (item as u32).to_be().into(),
            (false, 2) => (item as u32).to_le().into(),
            (true, _) => item.to_be(),
            (false, _) => item.to_le(),
        }
    }
}

struct Page {
    at: NonNull<u8>,
    size_lg2: u32,
    pa: u64,
    live: bool,
    /// The items that an incoherent walker sees.
    flushed: Option<Vec<u64>>,
    items: Items,
}

impl Page {
    fn layout(&self) -> Layout {
        Layout::from_size_align(1 << self.size_lg2, 1 << self.size_lg2).expect("a power of two")
    }
    fn words(&self) -> usize {
        1 << (self.size_lg2 - 3)
    }
    fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < self.words());
        // SAFETY: `at` is an allocation of `words()` aligned words that lives as long as `self` (it is freed in `drop` of
        // the list only). All access to it through the library is atomic at item width, or happens while the page is not
        // reachable by anybody else and no function here runs.
        unsafe { AtomicU64::from_ptr(self.at.as_ptr().cast::<u64>().add(index)) }
    }
    fn fill(&self, value: u64) {
        (0..self.words()).for_each(|n| self.word(n).store(value, Ordering::Relaxed));
    }
    fn count(&self) -> usize {
        1 << (self.size_lg2 - self.items.bytes_lg2)
    }
    /// An item of 4 bytes.
    fn narrow(&self, index: usize) -> &AtomicU32 {
        assert!(index < 2 * self.words());
        // SAFETY: as in `word`.
        unsafe { AtomicU32::from_ptr(self.at.as_ptr().cast::<u32>().add(index)) }
    }
    /// The item at `index`, whatever its width and byte order.
    fn item(&self, index: usize) -> u64 {
        self.items.swapped(match self.items.bytes_lg2 {
            2 => self.narrow(index).load(Ordering::Acquire).into(),
            _ => self.word(index).load(Ordering::Acquire),
        })
    }
    fn set_item(&self, index: usize, item: u64) {
        match self.items.bytes_lg2 {
            2 => self.narrow(index).store(self.items.swapped(item) as u32, Ordering::Release),
            _ => self.word(index).store(self.items.swapped(item), Ordering::Release),
        }
    }
}

/// All pages that ever were, of one world.
pub struct Pages {
    pages: Vec<Page>,
    by_pointer: BTreeMap<usize, usize>,
    base: u64,
    incoherent: bool,
    live: usize,
    items: Items,
}

/// Where a table page is not what was expected.
pub type Wrong = String;

impl Pages {
    pub fn new(incoherent: bool, shape: &Shape) -> Self {
        let items = Items { bytes_lg2: shape.item_bytes_lg2, big_endian: shape.big_endian };
        Self { pages: Vec::new(), by_pointer: BTreeMap::new(), base: HIGH_BASE, incoherent, live: 0, items }
    }

    /// Pages handed out and not given back.
    pub fn live(&self) -> usize {
        self.live
    }

    fn alloc(&mut self, request: PageRequest) -> Option<NonNull<u8>> {
        if self.pages.is_empty() && request.pa_lg2 < 51 {
            // As high as the limit allows.
            let high = HIGH_BASE & ((1 << request.pa_lg2) - 1);
            self.base = if high == 0 { LOW_BASE } else { high };
        }
        let size_lg2 = request.size_lg2.max(3);
        let layout = Layout::from_size_align(1 << size_lg2, 1 << size_lg2).ok()?;
        let zeroed = request.contents == Contents::Zeroed;
        let slot = self.pages.len() as u64;
        // Within its slot the page lies anywhere that its alignment permits.
        let mixed = slot.wrapping_mul(0x9e37_79b9) & ((1 << SLOT_LG2) - 1) & !((1 << size_lg2) - 1);
        let pa = self.base + (slot << SLOT_LG2) + mixed;
        assert!(size_lg2 <= SLOT_LG2 && (request.pa_lg2 >= 64 || pa >> request.pa_lg2 == 0), "{request:?}");
        // SAFETY: the layout's size is a power of two, not zero.
        let at = NonNull::new(unsafe { if zeroed { alloc_zeroed(layout) } else { alloc(layout) } })?;
        let mut page = Page { at, size_lg2, pa, live: true, flushed: None, items: self.items };
        page.flushed = self.incoherent.then(|| vec![GARBAGE; page.count()]);
        if request.contents == Contents::Unknown {
            page.fill(GARBAGE);
        }
        self.by_pointer.insert(at.as_ptr().addr(), self.pages.len());
        self.pages.push(page);
        self.live += 1;
        Some(at)
    }

    fn slot_of(&self, at: NonNull<u8>) -> Option<usize> {
        let (start, slot) = self.by_pointer.range(..=at.as_ptr().addr()).next_back()?;
        (at.as_ptr().addr() - start < 1 << self.pages[*slot].size_lg2).then_some(*slot)
    }

    fn free(&mut self, at: NonNull<u8>, size_lg2: u32, contents: Contents) -> Result<u64, Wrong> {
        let slot = self.slot_of(at).ok_or("freed what is no table page")?;
        let page = &mut self.pages[slot];
        if !page.live {
            return Err(format!("table page {:#x} freed twice", page.pa));
        }
        if page.size_lg2 != size_lg2.max(3) || page.at != at {
            return Err(format!("table page {:#x} of 2^{} bytes freed as 2^{size_lg2}", page.pa, page.size_lg2));
        }
        if contents == Contents::Zeroed && (0..page.words()).any(|n| page.word(n).load(Ordering::Relaxed) != 0) {
            return Err(format!("table page {:#x} freed as zeroed, which it is not", page.pa));
        }
        page.live = false;
        page.fill(POISON);
        self.live -= 1;
        Ok(page.pa)
    }

    fn by_pa(&self, pa: u64) -> Result<&Page, Wrong> {
        let slot = (pa.wrapping_sub(self.base) >> SLOT_LG2) as usize;
        match self.pages.get(slot) {
            Some(page) if page.pa != pa => Err(format!("no table page at {pa:#x}, but at {:#x}", page.pa)),
            Some(page) if !page.live => Err(format!("table page {pa:#x} was freed and is still used")),
            Some(page) => Ok(page),
            None => Err(format!("no table page at {pa:#x}")),
        }
    }

    /// The items of a live table as the CPU sees them.
    pub fn items(&self, pa: u64, count: usize) -> Result<Vec<u64>, Wrong> {
        let page = self.by_pa(pa)?;
        assert!(count <= page.count());
        Ok((0..count).map(|index| page.item(index)).collect())
    }

    /// One item of a live table as hardware sees it.
    pub fn hardware_item(&self, pa: u64, index: usize) -> Result<u64, Wrong> {
        let page = self.by_pa(pa)?;
        Ok(match &page.flushed {
            Some(flushed) => flushed[index],
            None => page.item(index),
        })
    }

    /// All items of a live table as hardware sees them; `None` where that is what the CPU sees.
    pub fn hardware_items(&self, pa: u64) -> Result<Option<Vec<u64>>, Wrong> {
        Ok(self.by_pa(pa)?.flushed.clone())
    }

    /// Hardware changes an item. (A world is of one thread, so nobody else changes it meanwhile.)
    pub fn hardware_set(&mut self, pa: u64, index: usize, change: impl Fn(u64) -> u64) -> Result<(), Wrong> {
        let page = self.by_pa(pa)?;
        page.set_item(index, change(page.item(index)));
        let slot = (pa.wrapping_sub(self.base) >> SLOT_LG2) as usize;
        if let Some(flushed) = &mut self.pages[slot].flushed {
            flushed[index] = change(flushed[index]);
        }
        Ok(())
    }

    /// Writes memory back for the incoherent walker. Every item has to be worth it: to differ from what it sees.
    pub fn flush(&mut self, start: NonNull<u8>, bytes: usize) -> Result<(), Wrong> {
        let slot = self.slot_of(start).ok_or("flush of memory that is no table page")?;
        let page = &mut self.pages[slot];
        let first = start.as_ptr().addr() - page.at.as_ptr().addr();
        let item = 1 << page.items.bytes_lg2;
        let items = first / item..(first + bytes) / item;
        if !page.live || items.end > page.count() || items.is_empty() || (first | bytes) & (item - 1) != 0 {
            return Err(format!("flush of {bytes} bytes from offset {first} of table page {:#x}", page.pa));
        }
        let Some(mut flushed) = page.flushed.take() else { return Err("flush of a coherent table".into()) };
        let mut vain = None;
        for (n, seen) in flushed.iter_mut().enumerate().take(items.end).skip(items.start) {
            let now = page.item(n);
            if now == *seen {
                vain = Some(n);
            }
            *seen = now;
        }
        let pa = page.pa;
        page.flushed = Some(flushed);
        vain.map_or(Ok(()), |n| Err(format!("flush of item {n} of table {pa:#x}, which did not change")))
    }

    /// Nobody wrote to a freed page.
    pub fn check_poison(&self) -> Result<(), Wrong> {
        let written =
            |page: &&Page| !page.live && (0..page.words()).any(|n| page.word(n).load(Ordering::Relaxed) != POISON);
        self.pages
            .iter()
            .find(written)
            .map_or(Ok(()), |page| Err(format!("freed table page {:#x} was written", page.pa)))
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        for page in &self.pages {
            // SAFETY: allocated in `alloc` with this layout, and freed nowhere else.
            unsafe { dealloc(page.at.as_ptr(), page.layout()) };
        }
    }
}

/// The memory of one world, for a domain.
pub struct TestMemory(pub Rc<World>);

// SAFETY: pages come from the global allocator with size and alignment as asked for, exclusive until the world ends, zeroed
// if asked for. Physical addresses are unique (a slot each), aligned to the size, and checked against the limit. `at_pa`
// finds the page by its slot and gives the pointer that `alloc` gave; for an address that is not of a live page, which the
// contract excludes, it notes the violation and gives an empty table.
unsafe impl TableMemory for TestMemory {
    fn alloc(&self, request: PageRequest) -> Option<NonNull<u8>> {
        self.0.hardware_runs();
        if !self.0.allocation_permitted() {
            return None;
        }
        self.0.pages.borrow_mut().alloc(request)
    }
    unsafe fn free(&self, page: NonNull<u8>, size_lg2: u32, contents: Contents) {
        self.0.hardware_runs();
        let freed = self.0.pages.borrow_mut().free(page, size_lg2, contents);
        match freed {
            Ok(pa) => self.0.check_unreferenced(pa),
            Err(wrong) => self.0.violation(wrong),
        }
    }
    fn pa_of(&self, page: NonNull<u8>) -> u64 {
        let pages = self.0.pages.borrow();
        match pages.slot_of(page) {
            Some(slot) => pages.pages[slot].pa,
            None => {
                self.0.violation("physical address of what is no table page".into());
                HIGH_BASE
            }
        }
    }
    unsafe fn at_pa(&self, pa: u64) -> NonNull<u8> {
        let found = self.0.pages.borrow().by_pa(pa).map(|page| page.at);
        found.unwrap_or_else(|wrong| {
            self.0.violation(wrong);
            NonNull::from(&self.0.empty_table).cast()
        })
    }
}
