//! Scatter lists of single pages: eight at a time.

use super::leaf::Leaf;
use super::{Runs, Segment, Walk};
use crate::driver::Host;
use crate::feature::Features;
use crate::format::{Common, Groups, Kind, item_size_lg2};
use crate::item::Item;
use crate::lg2;
use crate::table::{Run, Table};

/// The same as [`map_pages`] where `table` is entered, if that is the beginning of a run. Whether anything was mapped.
#[inline(always)]
pub(super) fn map_pages_from_run<F: Groups, H: Host, S: Runs>(
    table: &Table<'_, F>,
    cx: &mut Walk<'_, F, H, S>,
) -> bool {
    let va = cx.cx.va;
    if !cx.runs.give_back(va) {
        return false;
    }
    cx.cx.last = va.wrapping_sub(1);
    map_pages(table, cx);
    cx.next_run();
    cx.cx.va != va
}

/// Maps the next segments of one page each, of the lowest level, as far as they go on in `table`: the usual scatter list.
///
/// A run is at its end. Whatever is not as simple as that is left to the general way.
#[inline(always)]
pub(super) fn map_pages<F: Groups, H: Host, S: Runs>(table: &Table<'_, F>, cx: &mut Walk<'_, F, H, S>) {
    let size_lg2 = item_size_lg2::<F>(0);
    let (common, page) = (cx.cx.common, lg2::pow2(size_lg2));
    let sizes = F::sizes_at(common, 0, cx.cx.sizes);
    let ((list, paddrs), attrs) = (cx.runs.plain(), cx.cx.attrs);
    let leaf = Leaf { common, level: 0, size_lg2, oa: 0, attrs };
    // A constant for most formats.
    let is_leaf = F::kind(common, 0, leaf.item(0)) == Kind::Leaf;
    if list.is_empty() || sizes & page == 0 || !is_leaf {
        return;
    }
    let (are_pages, larger_lg2) = (cx.runs.are_alike(page), (sizes & !page).trailing_zeros());
    let index = table.index(cx.cx.va);
    let run = table.run_from(index);
    let count = run.items().min(list.len());
    let (list, run) = (list.get(..count).unwrap_or(&[]), run.first(count));
    let pages = Pages { table, common, are_pages, larger_lg2, va: cx.cx.va, list, run };
    let done = match leaf.base::<0>(paddrs) {
        Some(base) => pages.map_all(|oa| base.at(oa)),
        None => pages.map_all(|oa| Leaf { oa, ..leaf }.item(0)),
    };
    if done != 0 {
        if common.has(Features::DMA_INCOHERENT) {
            table.flush(cx.cx.host.domain(), index, done);
        }
        cx.cx.va = cx.cx.va.wrapping_add(lg2::shl(done as u64, size_lg2));
        cx.cx.last = cx.cx.va.wrapping_sub(1);
        cx.runs.skip(done);
    }
}

/// Segments that may be leaves of one item each of the lowest level, from `va` on.
struct Pages<'a, 't, F: Groups> {
    table: &'a Table<'t, F>,
    common: &'a Common<F>,
    /// Whether each segment is known to be a page.
    are_pages: bool,
    /// The smallest leaf of several items, if there is one.
    larger_lg2: u32,
    va: u64,
    list: &'a [Segment],
    /// An item for each.
    run: Run<'t, F>,
}

impl<F: Groups> Pages<'_, '_, F> {
    /// Maps as many as are, by items for their addresses. How many.
    #[inline(always)]
    fn map_all(&self, item: impl Fn(u64) -> F::Item) -> usize {
        if F::HAS_CONTIGUOUS && self.larger_lg2 < item_size_lg2::<F>(0) + 3 {
            self.map_at_borders::<2>(item)
        } else {
            self.map_at_borders::<8>(item)
        }
    }

    /// The same, where a larger leaf has at least `BORDER` items, and begins at a multiple of so many.
    #[inline(always)]
    fn map_at_borders<const BORDER: usize>(&self, item: impl Fn(u64) -> F::Item) -> usize {
        let mut done = 0;
        if F::HAS_CONTIGUOUS {
            // Up to a multiple of eight.
            let index = self.table.index(self.va);
            done += if index.is_multiple_of(2) { 0 } else { self.map::<1, BORDER>(done, &item) };
            done += if (index + done).is_multiple_of(4) { 0 } else { self.map::<2, BORDER>(done, &item) };
            done += if (index + done).is_multiple_of(8) { 0 } else { self.map::<4, BORDER>(done, &item) };
        }
        let eights = self.list.get(done..).unwrap_or(&[]).as_chunks::<8>().0.iter().zip(self.run.chunks::<8>(done));
        for (segments, slots) in eights {
            if !self.map_if_pages::<8, BORDER>(segments, slots, done, &item) {
                break;
            }
            done += 8;
        }
        done += self.map::<4, BORDER>(done, &item);
        done += self.map::<2, BORDER>(done, &item);
        done + self.map::<1, BORDER>(done, &item)
    }

    /// Maps `N` segments from the one at `at` on, if there are so many, and all can be. How many.
    #[inline(always)]
    fn map<const N: usize, const BORDER: usize>(&self, at: usize, item: &impl Fn(u64) -> F::Item) -> usize {
        let segments = self.list.get(at..).unwrap_or(&[]).first_chunk::<N>();
        match (segments, self.run.chunks::<N>(at).first()) {
            (Some(segments), Some(slots)) if self.map_if_pages::<N, BORDER>(segments, slots, at, item) => N,
            _ => 0,
        }
    }

    /// Maps `N` segments, from the one at `at` on, if each is a page, no larger leaf begins with one, and all items are empty.
    #[inline(always)]
    fn map_if_pages<const N: usize, const BORDER: usize>(
        &self,
        segments: &[Segment; N],
        slots: &[<F::Item as Item>::Atomic; N],
        at: usize,
        item: &impl Fn(u64) -> F::Item,
    ) -> bool {
        let page = lg2::pow2(item_size_lg2::<F>(0));
        let differing = || segments.iter().fold(0, |bits, segment| bits | (segment.len ^ page));
        if !self.are_pages && differing() != 0 {
            return false;
        }
        let next_page = |segment: &Segment| segment.paddr.wrapping_add(page);
        let goes_on = |n: usize| match segments.get(n + 1).or_else(|| self.list.get(at + N)) {
            Some(next) => next.paddr == next_page(&segments[n]),
            None => false,
        };
        if F::HAS_CONTIGUOUS
            && (0..N).step_by(BORDER).any(goes_on)
            && begins_larger(segments, self.va, at, item_size_lg2::<F>(0), self.larger_lg2)
        {
            return false;
        }
        let mut items = segments.iter().map(|segment| item(segment.paddr));
        self.table.store_all_if_empty(self.common, slots, &mut || items.next().unwrap_or(F::Item::ZERO))
    }
}

/// Whether a larger leaf may begin with one of some pages, from the one at `at` of those from `va` on, where some continue each other.
#[cold]
#[inline(never)]
fn begins_larger(pages: &[Segment], va: u64, at: usize, page_lg2: u32, larger_lg2: u32) -> bool {
    pages
        .iter()
        .zip(at as u64..)
        .any(|(page, n)| lg2::is_aligned(va.wrapping_add(lg2::shl(n, page_lg2)) | page.paddr, larger_lg2))
}
