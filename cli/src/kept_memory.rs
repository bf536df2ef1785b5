//! Table memory that keeps the pages that are freed, for the next pass over a trace.

use generic_pt::HeapMemory;
use generic_pt::memory::{Contents, PageRequest, TableMemory};
use std::alloc::{Layout, alloc, dealloc};
use std::cell::RefCell;
use std::ptr::NonNull;

/// Pages are cut from blocks of at least so many bytes: an allocation for each page would take twice its size, since it has to be
/// aligned.
const BLOCK_LG2: u32 = 18;
/// No table is of so many bytes, as a power of two.
const SIZES: usize = 32;

/// Memory of the heap that is kept until it is dropped, pages of each size in a list of their own.
///
/// The C library would give tables back to the system behind each pass, which clears them anew for the next one: that
/// would be in the times. And every pass gets the same pages in the same order, whatever the one before freed first: within a block,
/// tables that are made one after the other lie so in memory, as they would in a new process.
#[derive(Debug, Default)]
pub struct KeptMemory {
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Pages that are not in use, by the logarithm of their size; what they hold is not known.
    free: [Vec<NonNull<u8>>; SIZES],
    blocks: Vec<Block>,
    /// Pages in use.
    used: usize,
}

#[derive(Debug)]
struct Block {
    memory: NonNull<u8>,
    layout: Layout,
    /// Size of its pages.
    page_lg2: u32,
}

impl Block {
    /// Its pages, each of which is as large as all are aligned, from the last to the first.
    fn pages(&self) -> impl Iterator<Item = NonNull<u8>> + use<'_> {
        let offsets = (0..self.layout.size()).step_by(self.layout.align());
        // SAFETY: within the block.
        offsets.rev().map(|offset| unsafe { self.memory.add(offset) })
    }
}

impl State {
    fn take(&mut self, size_lg2: u32) -> Option<NonNull<u8>> {
        if self.free.get(size_lg2 as usize)?.is_empty() {
            self.add_block(size_lg2)?;
        }
        let page = self.free.get_mut(size_lg2 as usize)?.pop()?;
        self.used += 1;
        Some(page)
    }

    fn give_back(&mut self, page: NonNull<u8>, size_lg2: u32) {
        let Some(list) = self.free.get_mut(size_lg2 as usize) else { return };
        list.push(page);
        self.used -= 1;
        if self.used == 0 {
            self.list_anew();
        }
    }

    /// Lists the pages of a new block.
    #[cold]
    fn add_block(&mut self, size_lg2: u32) -> Option<()> {
        let page_bytes = 1usize.checked_shl(size_lg2)?.max(8);
        let bytes = page_bytes.max(1 << BLOCK_LG2);
        let layout = Layout::from_size_align(bytes, page_bytes).ok()?;
        let list = self.free.get_mut(size_lg2 as usize)?;
        // SAFETY: the size is not zero.
        let memory = NonNull::new(unsafe { alloc(layout) })?;
        let block = Block { memory, layout, page_lg2: size_lg2 };
        // The first of them is taken first.
        list.extend(block.pages());
        self.blocks.push(block);
        Some(())
    }

    /// Lists all pages, none of which is in use, so that they are taken in the order of the blocks.
    fn list_anew(&mut self) {
        self.free.iter_mut().for_each(Vec::clear);
        for block in self.blocks.iter().rev() {
            if let Some(list) = self.free.get_mut(block.page_lg2 as usize) {
                list.extend(block.pages());
            }
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        for block in self.blocks.drain(..) {
            // SAFETY: from `alloc` with this layout. No page of it is in use: whoever uses one borrows the memory.
            unsafe { dealloc(block.memory.as_ptr(), block.layout) };
        }
    }
}

// SAFETY: pages are cut from blocks that live as long as this does, do not overlap, and are in a list only while nobody uses them. A
// block is aligned to the size of its pages, and to 8. A physical address is the pointer's, as the heap's memory has it.
unsafe impl TableMemory for KeptMemory {
    fn alloc(&self, request: PageRequest) -> Option<NonNull<u8>> {
        let page = self.state.borrow_mut().take(request.size_lg2)?;
        let last = self.pa_of(page) | ((1 << request.size_lg2) - 1);
        if last.checked_shr(request.pa_lg2).unwrap_or(0) != 0 {
            // SAFETY: just taken with this size, and not handed out.
            unsafe { self.free(page, request.size_lg2, Contents::Unknown) };
            return None;
        }
        if request.contents == Contents::Zeroed {
            // SAFETY: the page is of this size, and nobody else uses it.
            unsafe { page.write_bytes(0, 1 << request.size_lg2) };
        }
        Some(page)
    }

    unsafe fn free(&self, page: NonNull<u8>, size_lg2: u32, _contents: Contents) {
        self.state.borrow_mut().give_back(page, size_lg2);
    }

    #[inline(always)]
    fn pa_of(&self, page: NonNull<u8>) -> u64 {
        HeapMemory.pa_of(page)
    }

    #[inline(always)]
    unsafe fn at_pa(&self, pa: u64) -> NonNull<u8> {
        // SAFETY: the caller promises that `pa` is of a live page of this memory, whose address the heap's memory exposed.
        unsafe { HeapMemory.at_pa(pa) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(size_lg2: u32, contents: Contents, pa_lg2: u32) -> PageRequest {
        PageRequest { size_lg2, contents, pa_lg2 }
    }

    #[test]
    fn freed_pages_are_used_again() {
        let memory = KeptMemory::default();
        for size_lg2 in [6, 12, 16, BLOCK_LG2, BLOCK_LG2 + 2] {
            let bytes = 1usize << size_lg2;
            let take = || memory.alloc(request(size_lg2, Contents::Zeroed, 64)).unwrap();
            let (first, second) = (take(), take());
            assert!(first.addr().get().abs_diff(second.addr().get()) >= bytes);
            assert_eq!(memory.pa_of(first) % bytes as u64, 0);
            // SAFETY: a page of this size that is ours, and is not used after it is freed.
            unsafe {
                first.write_bytes(0xff, bytes);
                assert!(std::slice::from_raw_parts(second.as_ptr(), bytes).iter().all(|byte| *byte == 0));
                memory.free(first, size_lg2, Contents::Unknown);
            }
            let again = take();
            assert_eq!(again, first);
            // SAFETY: as above.
            assert!(unsafe { std::slice::from_raw_parts(again.as_ptr(), bytes) }.iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn each_pass_gets_the_same_pages() {
        let memory = KeptMemory::default();
        let size_lg2 = |n: usize| if n.is_multiple_of(3) { 13 } else { 12 };
        let take = |n: usize| memory.alloc(request(size_lg2(n), Contents::Unknown, 64)).unwrap();
        let mut first = Vec::new();
        for pass in 0..4 {
            let pages: Vec<_> = (0..200).map(take).collect();
            if pass == 0 {
                first = pages.clone();
            }
            assert_eq!(pages, first);
            // In another order each time.
            for n in (0..200).map(|n| (n * 7 + pass) % 200) {
                // SAFETY: a page of this size that is ours, and is not used after it is freed.
                unsafe { memory.free(pages[n], size_lg2(n), Contents::Unknown) };
            }
        }
    }

    #[test]
    fn a_page_above_the_limit_is_none() {
        let memory = KeptMemory::default();
        assert_eq!(memory.alloc(request(12, Contents::Zeroed, 12)), None);
        assert_eq!(memory.alloc(request(SIZES as u32, Contents::Zeroed, 64)), None);
    }
}
