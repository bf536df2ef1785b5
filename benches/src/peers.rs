//! Other libraries, on the same work, in memory from the same lists.
//!
//! Each does what it does best: ranges by its own range operation where it has one, single pages by its operation for single
//! pages. None of them has gathers, deferred frees, or exact counts of what was mapped before an error.

use crate::cases::{Case, common_case};
use crate::formats::{Column, MakeCase};
use crate::operations::Operation;
use crate::rows::{Row, TableOrder};
use crate::target::{Limits, Tables, Target};
use crate::{BenchDomain, Purpose};
use generic_pt::memory::{Contents, PageRequest, TableMemory};
use generic_pt::{Features, Prot};
use std::cell::Cell;
use std::fmt;
use std::ptr::NonNull;

/// The peers, as columns of the table.
pub const PEERS: &[Column] = &[
    peer("x86_64 crate", |domain, row, purpose| case(domain, row, purpose, X86::new)),
    peer("page_table_multiarch", |domain, row, purpose| case(domain, row, purpose, Multiarch::new)),
    peer("aarch64-paging", |domain, row, purpose| case(domain, row, purpose, Aarch64::new)),
];

const fn peer(name: &'static str, case: MakeCase) -> Column {
    Column { name, case, replay: |_, _| None }
}

/// What is worth knowing beside the numbers of a peer.
pub const NOTES: &[&str] = &[
    "`x86_64` (`OffsetPageTable`) has no range operations: ranges are loops over pages, and lower tables are freed by its \
     `clean_up_addr_range` afterwards.",
    "`page_table_multiarch` (`PageTable64` with x86_64 items): `map_region` and `unmap_region`; it frees lower tables only with the \
     whole table, so its unmap of a range does less than the others.",
    "`aarch64-paging` (`Mapping`, stage 1, four levels): `map_range` with and without `VALID`, which overwrites what is mapped \
     without a word, and frees tables that a range covers whole without looking into them: it says neither how much was removed nor \
     where it ended. Addresses are translated through `walk_range`, as it has nothing else.",
];

/// The case of a row for a peer.
fn case<T: Target + 'static>(
    domain: &'static BenchDomain,
    row: &Row,
    purpose: Purpose,
    new: fn(&'static BenchDomain) -> T,
) -> Option<Box<dyn Case>> {
    // What they have: pages of 4 KiB, 2 MiB and 1 GiB, and ranges of 4 KiB pages.
    let is_possible = match row.operation {
        Operation::Ranges { layout, .. } => {
            layout.is_plain() && row.only.is_none() && row.tables == TableOrder::Ascending
        }
        Operation::Translate { .. } => true,
        _ => false,
    };
    if !is_possible || row.features != Features::empty() {
        return None;
    }
    let page_sizes = 1 << 12 | 1 << 21 | 1 << 30;
    let limits = Limits { last_iova: (1 << 47) - 1, oa_bits: 48, page_sizes, item_lg2: [12, 21, 30] };
    common_case(new(domain), limits, row, purpose)
}

/// A zeroed table page.
fn alloc(domain: &BenchDomain) -> Option<NonNull<u8>> {
    domain.memory.alloc(PageRequest { size_lg2: 12, contents: Contents::Zeroed, pa_lg2: 48 })
}

/// # Safety
/// The page came from [`alloc`] and is not used any more.
unsafe fn free(domain: &BenchDomain, page: NonNull<u8>) {
    // SAFETY: as promised.
    unsafe { domain.memory.free(page, 12, Contents::Unknown) };
}

/// The pointer to the table page at a physical address.
fn at_pa(domain: &BenchDomain, pa: u64) -> NonNull<u8> {
    // SAFETY: peers ask for their own tables only.
    unsafe { domain.memory.at_pa(pa) }
}

const SIZE_2M: u64 = 1 << 21;
const SIZE_1G: u64 = 1 << 30;

// -------------------------------------------------------------------------------------------------------------------------

/// The crate `x86_64`.
struct X86 {
    table: x86_64::structures::paging::OffsetPageTable<'static>,
    frames: X86Frames,
    flags: x86_64::structures::paging::PageTableFlags,
    /// The size that pages are limited to.
    sizes: u64,
}

struct X86Frames(&'static BenchDomain);

// SAFETY: the memory gives a page once until it is freed.
unsafe impl x86_64::structures::paging::FrameAllocator<x86_64::structures::paging::Size4KiB> for X86Frames {
    #[inline]
    fn allocate_frame(&mut self) -> Option<x86_64::structures::paging::PhysFrame> {
        let page = alloc(self.0)?;
        let pa = x86_64::PhysAddr::new_truncate(self.0.memory.pa_of(page));
        Some(x86_64::structures::paging::PhysFrame::containing_address(pa))
    }
}

impl x86_64::structures::paging::FrameDeallocator<x86_64::structures::paging::Size4KiB> for X86Frames {
    #[inline]
    unsafe fn deallocate_frame(&mut self, frame: x86_64::structures::paging::PhysFrame) {
        // SAFETY: the caller's promise.
        unsafe { free(self.0, at_pa(self.0, frame.start_address().as_u64())) };
    }
}

impl X86 {
    fn new(domain: &'static BenchDomain) -> Self {
        use x86_64::structures::paging::{OffsetPageTable, PageTable, PageTableFlags};
        let top = alloc(domain).expect("a top table").cast::<PageTable>();
        // SAFETY: a zeroed page is an empty table; physical addresses are addresses in this program.
        let table = unsafe { OffsetPageTable::new(&mut *top.as_ptr(), x86_64::VirtAddr::new(0)) };
        let flags = PageTableFlags::PRESENT | PageTableFlags::WRITABLE | PageTableFlags::USER_ACCESSIBLE;
        Self { table, frames: X86Frames(domain), flags, sizes: u64::MAX }
    }

    #[inline(always)]
    fn map_pages<S>(&mut self, iova: u64, paddr: u64, len: u64) -> bool
    where
        S: x86_64::structures::paging::PageSize,
        x86_64::structures::paging::OffsetPageTable<'static>: x86_64::structures::paging::Mapper<S>,
    {
        use x86_64::structures::paging::{Mapper, Page, PhysFrame};
        let mut offset = 0;
        while offset < len {
            let page = Page::<S>::containing_address(x86_64::VirtAddr::new_truncate(iova + offset));
            let frame = PhysFrame::<S>::containing_address(x86_64::PhysAddr::new_truncate(paddr + offset));
            // SAFETY: nothing runs on this table.
            match unsafe { self.table.map_to(page, frame, self.flags, &mut self.frames) } {
                Ok(flush) => flush.ignore(),
                Err(_) => return false,
            }
            offset += S::SIZE;
        }
        true
    }

    #[inline(always)]
    fn unmap_pages<S>(&mut self, iova: u64, len: u64) -> u64
    where
        S: x86_64::structures::paging::PageSize,
        x86_64::structures::paging::OffsetPageTable<'static>: x86_64::structures::paging::Mapper<S>,
    {
        use x86_64::structures::paging::{Mapper, Page};
        let mut offset = 0;
        while offset < len {
            match self.table.unmap(Page::<S>::containing_address(x86_64::VirtAddr::new_truncate(iova + offset))) {
                Ok((_, flush)) => flush.ignore(),
                Err(_) => break,
            }
            offset += S::SIZE;
        }
        offset
    }
}

impl Target for X86 {
    #[inline(never)]
    fn map(&mut self, iova: u64, paddr: u64, len: u64, _: Prot) -> bool {
        use x86_64::structures::paging::{Size1GiB, Size2MiB, Size4KiB};
        let size = if self.sizes == u64::MAX { len } else { self.sizes };
        match size {
            SIZE_2M if paddr & (SIZE_2M - 1) == 0 => self.map_pages::<Size2MiB>(iova, paddr, len),
            SIZE_1G if paddr & (SIZE_1G - 1) == 0 => self.map_pages::<Size1GiB>(iova, paddr, len),
            _ => self.map_pages::<Size4KiB>(iova, paddr, len),
        }
    }

    #[inline(never)]
    fn unmap(&mut self, iova: u64, len: u64, tables: Tables) -> u64 {
        use x86_64::structures::paging::mapper::CleanUp;
        use x86_64::structures::paging::{Page, Size1GiB, Size2MiB, Size4KiB};
        match (tables, len) {
            (Tables::Stay, SIZE_2M) => self.unmap_pages::<Size2MiB>(iova, len),
            (Tables::Stay, SIZE_1G) => self.unmap_pages::<Size1GiB>(iova, len),
            (Tables::Stay, _) => self.unmap_pages::<Size4KiB>(iova, len),
            (Tables::Go, _) => {
                let removed = self.unmap_pages::<Size4KiB>(iova, len);
                let page = |iova| Page::containing_address(x86_64::VirtAddr::new_truncate(iova));
                let range = Page::range_inclusive(page(iova), page(iova + (len - 1)));
                // SAFETY: nothing runs on this table, and each of its tables is used once.
                unsafe { self.table.clean_up_addr_range(range, &mut self.frames) };
                removed
            }
        }
    }

    #[inline(never)]
    fn translate(&self, iova: u64) -> Option<u64> {
        use x86_64::structures::paging::Translate;
        self.table.translate_addr(x86_64::VirtAddr::new_truncate(iova)).map(|pa| pa.as_u64())
    }

    fn use_sizes(&mut self, sizes: u64) {
        self.sizes = sizes;
    }
}

impl Drop for X86 {
    fn drop(&mut self) {
        use x86_64::structures::paging::PageTable;
        fn free_table(domain: &BenchDomain, table: NonNull<PageTable>, level: u32) {
            use x86_64::structures::paging::PageTableFlags;
            // SAFETY: a table of this tree, which nobody else uses.
            let entries = unsafe { table.as_ref() };
            for entry in entries.iter().filter(|entry| level > 0 && !entry.is_unused()) {
                if !entry.flags().contains(PageTableFlags::HUGE_PAGE) {
                    free_table(domain, at_pa(domain, entry.addr().as_u64()).cast(), level - 1);
                }
            }
            // SAFETY: nothing points to it any more.
            unsafe { free(domain, table.cast()) };
        }
        free_table(self.frames.0, NonNull::from(self.table.level_4_table_mut()), 3);
    }
}

impl fmt::Debug for X86 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("x86_64::OffsetPageTable")
    }
}

// -------------------------------------------------------------------------------------------------------------------------

thread_local! {
    /// The memory of `page_table_multiarch`'s tables, which it reaches by static functions only.
    static MULTIARCH_MEMORY: Cell<Option<&'static BenchDomain>> = const { Cell::new(None) };
}

fn multiarch_domain() -> &'static BenchDomain {
    MULTIARCH_MEMORY.get().expect("a table exists")
}

/// x86_64 items and geometry, without the CPU's TLB.
struct X86WithoutTlb;

impl page_table_multiarch::PagingMetaData for X86WithoutTlb {
    const LEVELS: usize = 4;
    const PA_MAX_BITS: usize = 52;
    const VA_MAX_BITS: usize = 48;
    type VirtAddr = memory_addr::VirtAddr;

    #[inline]
    fn flush_tlb(_: Option<memory_addr::VirtAddr>) {}
}

struct MultiarchFrames;

impl page_table_multiarch::PagingHandler for MultiarchFrames {
    fn alloc_frames(num: usize, _: usize) -> Option<memory_addr::PhysAddr> {
        let domain = multiarch_domain();
        let page = if num == 1 { alloc(domain) } else { None };
        page.map(|page| memory_addr::PhysAddr::from_usize(domain.memory.pa_of(page) as usize))
    }

    fn dealloc_frames(paddr: memory_addr::PhysAddr, _: usize) {
        let domain = multiarch_domain();
        // SAFETY: one page that `alloc_frames` gave.
        unsafe { free(domain, at_pa(domain, paddr.as_usize() as u64)) };
    }

    #[inline]
    fn phys_to_virt(paddr: memory_addr::PhysAddr) -> memory_addr::VirtAddr {
        // The library makes pointers of these; their provenance is exposed.
        memory_addr::VirtAddr::from_usize(paddr.as_usize())
    }
}

type MultiarchTable =
    page_table_multiarch::PageTable64<X86WithoutTlb, page_table_entry::x86_64::X64PTE, MultiarchFrames>;

/// The crate `page_table_multiarch`.
struct Multiarch {
    table: MultiarchTable,
    flags: page_table_multiarch::MappingFlags,
    sizes: u64,
}

impl Multiarch {
    fn new(domain: &'static BenchDomain) -> Self {
        use page_table_multiarch::MappingFlags;
        MULTIARCH_MEMORY.set(Some(domain));
        let flags = MappingFlags::READ | MappingFlags::WRITE | MappingFlags::USER;
        Self { table: MultiarchTable::try_new().expect("a top table"), flags, sizes: u64::MAX }
    }
}

impl Target for Multiarch {
    #[inline(never)]
    fn map(&mut self, iova: u64, paddr: u64, len: u64, _: Prot) -> bool {
        use memory_addr::{PhysAddr, VirtAddr};
        use page_table_multiarch::PageSize;
        let (virt, phys) = (VirtAddr::from_usize(iova as usize), PhysAddr::from_usize(paddr as usize));
        let flags = self.flags;
        let mut cursor = self.table.cursor();
        let result = match len {
            0x1000 => cursor.map(virt, phys, PageSize::Size4K, flags),
            SIZE_2M if paddr & (SIZE_2M - 1) == 0 => cursor.map(virt, phys, PageSize::Size2M, flags),
            SIZE_1G if paddr & (SIZE_1G - 1) == 0 && self.sizes == u64::MAX => {
                cursor.map(virt, phys, PageSize::Size1G, flags)
            }
            _ if self.sizes == SIZE_2M => {
                // Its regions have no limit of the size: page by page, outside of what is measured.
                let page = |offset| cursor.map(virt + offset, phys + offset, PageSize::Size2M, flags);
                (0..len as usize).step_by(SIZE_2M as usize).try_for_each(page)
            }
            _ => {
                let offset = (paddr as usize).wrapping_sub(iova as usize);
                let phys = |virt: VirtAddr| PhysAddr::from_usize(virt.as_usize().wrapping_add(offset));
                cursor.map_region(virt, phys, len as usize, flags, true)
            }
        };
        result.is_ok()
    }

    #[inline(never)]
    fn unmap(&mut self, iova: u64, len: u64, tables: Tables) -> u64 {
        let virt = memory_addr::VirtAddr::from_usize(iova as usize);
        let mut cursor = self.table.cursor();
        let is_done = match (tables, len) {
            (Tables::Stay, 0x1000 | SIZE_2M | SIZE_1G) => cursor.unmap(virt).is_ok(),
            _ => cursor.unmap_region(virt, len as usize).is_ok(),
        };
        if is_done { len } else { 0 }
    }

    #[inline(never)]
    fn translate(&self, iova: u64) -> Option<u64> {
        let (phys, ..) = self.table.query(memory_addr::VirtAddr::from_usize(iova as usize)).ok()?;
        Some(phys.as_usize() as u64)
    }

    fn use_sizes(&mut self, sizes: u64) {
        self.sizes = sizes;
    }

    fn free_empty_tables(&mut self) {
        self.table = MultiarchTable::try_new().expect("a top table");
    }
}

impl fmt::Debug for Multiarch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("page_table_multiarch::PageTable64")
    }
}

// -------------------------------------------------------------------------------------------------------------------------

/// The crate `aarch64-paging`.
struct Aarch64 {
    table: aarch64_paging::Mapping<Aarch64Frames, aarch64_paging::paging::El1And0>,
    flags: aarch64_paging::descriptor::El1Attributes,
    sizes: u64,
}

struct Aarch64Frames(&'static BenchDomain);

type Aarch64Table = aarch64_paging::paging::PageTable<aarch64_paging::descriptor::El1Attributes>;

impl aarch64_paging::paging::Translation<aarch64_paging::descriptor::El1Attributes> for Aarch64Frames {
    #[inline]
    fn allocate_table(&mut self) -> (NonNull<Aarch64Table>, aarch64_paging::descriptor::PhysicalAddress) {
        let page = alloc(self.0).expect("a table page: this library has no error for that");
        (page.cast(), aarch64_paging::descriptor::PhysicalAddress(self.0.memory.pa_of(page) as usize))
    }

    #[inline]
    unsafe fn deallocate_table(&mut self, table: NonNull<Aarch64Table>) {
        // SAFETY: the caller's promise.
        unsafe { free(self.0, table.cast()) };
    }

    #[inline]
    fn physical_to_virtual(&self, pa: aarch64_paging::descriptor::PhysicalAddress) -> NonNull<Aarch64Table> {
        at_pa(self.0, pa.0 as u64).cast()
    }
}

impl Aarch64 {
    fn new(domain: &'static BenchDomain) -> Self {
        use aarch64_paging::descriptor::El1Attributes;
        use aarch64_paging::paging::{El1And0, VaRange};
        let table =
            aarch64_paging::Mapping::with_asid_and_va_range(Aarch64Frames(domain), 0, 0, El1And0, VaRange::Lower);
        let flags = El1Attributes::VALID
            | El1Attributes::ACCESSED
            | El1Attributes::NON_GLOBAL
            | El1Attributes::ATTRIBUTE_INDEX_1
            | El1Attributes::INNER_SHAREABLE;
        Self { table, flags, sizes: u64::MAX }
    }

    /// Maps, or unmaps with flags that are not valid.
    #[inline(always)]
    fn set(&mut self, iova: u64, paddr: u64, len: u64, flags: aarch64_paging::descriptor::El1Attributes) -> bool {
        use aarch64_paging::descriptor::PhysicalAddress;
        use aarch64_paging::paging::{Constraints, MemoryRegion};
        let region = MemoryRegion::new(iova as usize, (iova + len) as usize);
        self.table.map_range(&region, PhysicalAddress(paddr as usize), flags, Constraints::empty()).is_ok()
    }
}

impl Target for Aarch64 {
    #[inline(never)]
    fn map(&mut self, iova: u64, paddr: u64, len: u64, _: Prot) -> bool {
        if self.sizes == SIZE_2M {
            // It has no limit of the size: page by page, outside of what is measured.
            let flags = self.flags;
            return (0..len).step_by(1 << 21).all(|offset| self.set(iova + offset, paddr + offset, SIZE_2M, flags));
        }
        self.set(iova, paddr, len, self.flags)
    }

    #[inline(never)]
    fn unmap(&mut self, iova: u64, len: u64, _: Tables) -> u64 {
        let is_done = self.set(iova, 0, len, aarch64_paging::descriptor::El1Attributes::empty());
        if is_done { len } else { 0 }
    }

    #[inline(never)]
    fn translate(&self, iova: u64) -> Option<u64> {
        use aarch64_paging::paging::MemoryRegion;
        let mut found = None;
        let page = MemoryRegion::new(iova as usize, iova as usize + 0x1000);
        let walked = self.table.walk_range(&page, &mut |_, descriptor, level| {
            if descriptor.is_valid() {
                let offset_mask = (1u64 << (12 + 9 * (3 - level))) - 1;
                found = Some(descriptor.output_address().0 as u64 | iova & offset_mask);
            }
            Ok(())
        });
        walked.ok().and(found)
    }

    fn use_sizes(&mut self, sizes: u64) {
        self.sizes = sizes;
    }
}

impl fmt::Debug for Aarch64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("aarch64_paging::Mapping")
    }
}
