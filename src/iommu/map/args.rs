//! The arguments of a map.

use crate::driver::Host;
use crate::error::{Errno, Error};
use crate::feature::Prot;
use crate::format::{Common, Groups, item_size_lg2};
use crate::iommu::{Core, Walkers};
use crate::lg2;
use crate::range::{VaRange, best_page_size, count_of_size};
use crate::tree::TopPtr;

impl<F: Walkers, H: Host> Core<F, H> {
    /// What of a map is worked out first, if the arguments are right in the usual way: checked all together, so that little
    /// is decided. `None` says nothing: [`map_checked`](Self::map_checked) knows.
    #[inline(always)]
    pub(super) fn map_plain(&self, iova: u64, paddr: u64, len: u64, prot: Prot) -> Option<(VaRange, F::Attrs)> {
        let attrs = self.pages.attrs(prot)?;
        let range = VaRange::new(iova, len).ok()?;
        let ends = paddr | paddr.wrapping_add(len - 1) | len;
        self.are_plain(iova | paddr | len, ends).then_some((range, attrs))
    }

    /// Whether `bits` of starts and lengths are aligned to the smallest page; and `ends`, of starts, lengths and last bytes, say
    /// that these are addresses for which there are all page sizes.
    #[inline(always)]
    pub(super) fn are_plain(&self, bits: u64, ends: u64) -> bool {
        // A sum of two numbers below 2^63 has not wrapped around.
        let beyond = if F::GEOMETRY.max_oa_lg2 < 63 { 0 } else { 1 << 63 } | self.tree.oa_beyond;
        let sizes = self.page_sizes;
        // Without a size nothing is aligned: lengths are not zero.
        let inside_smallest = sizes.wrapping_sub(1) & !sizes;
        (bits & inside_smallest) | (ends & beyond) == 0 && F::sizes_for_oa(self.common(), sizes, ends) == sizes
    }

    /// The checks, in their order.
    #[cold]
    #[inline(never)]
    pub(super) fn map_checked(
        &self,
        iova: u64,
        paddr: u64,
        len: u64,
        prot: Prot,
    ) -> Result<(VaRange, F::Attrs), Error> {
        let common = self.common();
        let pa_range = |paddr| Err(Error::PaRange { paddr, len, max_oa_lg2: common.max_oa_lg2 });
        if !prot.intersects(Prot::READ.union(Prot::WRITE)) {
            return Err(Error::Protection { prot, valid: "READ, WRITE or both", errno: Errno::EINVAL });
        }
        if !common.holds_oa(paddr) {
            return pa_range(paddr);
        }
        let attrs = F::attrs(common, prot)?;
        let range = VaRange::new(iova, len)?;
        let sizes = self.page_sizes;
        let first_sizes = F::sizes_for_oa(common, sizes, paddr);
        // Some size fits if the smallest does.
        let smallest = |sizes: u64| sizes & sizes.wrapping_neg();
        let inside = |sizes| smallest(sizes).wrapping_sub(1);
        let misaligned = (iova | paddr) & inside(first_sizes) | len & inside(sizes);
        if misaligned != 0 || first_sizes == 0 || len < smallest(first_sizes) {
            return Err(Error::Alignment { va: iova, paddr, len, page_sizes: sizes });
        }
        match paddr.checked_add(len - 1) {
            Some(last) if common.holds_oa(last) => {}
            _ => return pa_range(paddr),
        }
        self.check_sizes_of_oas(range, paddr, len)?;
        Ok((range, attrs))
    }

    /// The top for a map of the range, whose first run is `run`, from `paddr`: grown, if it can.
    #[cold]
    #[inline(never)]
    pub(super) fn top_for(&self, range: VaRange, run: VaRange, paddr: u64) -> Result<TopPtr, Error> {
        let common = self.common();
        let sizes = F::sizes_for_oa(common, self.page_sizes, paddr);
        let size_lg2 = best_page_size(sizes, run.va, run.last, paddr).unwrap_or(0);
        // A later page of a higher level lies beyond what a lower top decodes, so only the first matters.
        self.ensure_top(range, level_of_size::<F>(common, size_lg2))
    }

    /// For formats whose page sizes reach differently far: that some size fits everywhere in the range, as the map will
    /// cut it.
    #[inline(always)]
    pub(super) fn check_sizes_of_oas(&self, range: VaRange, paddr: u64, len: u64) -> Result<(), Error> {
        let (common, sizes) = (self.common(), self.page_sizes);
        let last_sizes = F::sizes_for_oa(common, sizes, paddr.wrapping_add(len - 1));
        if last_sizes == sizes {
            return Ok(());
        }
        let (mut va, mut oa) = (range.va, paddr);
        loop {
            let here = F::sizes_for_oa(common, sizes, oa);
            let Some(size_lg2) = best_page_size(here, va, range.last, oa) else {
                return Err(Error::Alignment {
                    va,
                    paddr: oa,
                    len: (range.last - va).wrapping_add(1),
                    page_sizes: here,
                });
            };
            let leaves = count_of_size(here, va, range.last, oa, size_lg2);
            let leaves = leaves_that_fit(common, oa, size_lg2, leaves);
            let bytes_minus_1 = lg2::shl(leaves, size_lg2).wrapping_sub(1);
            if bytes_minus_1 >= range.last - va {
                return Ok(());
            }
            va += bytes_minus_1 + 1;
            oa += bytes_minus_1 + 1;
        }
    }
}

/// Of `leaves` leaves from `oa`, of which the first fits, the number that can hold their addresses. Page sizes have upper
/// limits only.
#[inline(always)]
pub(super) fn leaves_that_fit<F: Groups>(common: &Common<F>, oa: u64, size_lg2: u32, leaves: u64) -> u64 {
    let size = lg2::pow2(size_lg2);
    let fits = |n: u64| F::sizes_for_oa(common, size, oa.wrapping_add(lg2::shl(n, size_lg2))) != 0;
    // A constant for most formats.
    if leaves == 0 || fits(leaves - 1) {
        return leaves;
    }
    let (mut fitting, mut beyond) = (0, leaves - 1);
    while beyond - fitting > 1 {
        let middle = fitting + (beyond - fitting) / 2;
        if fits(middle) {
            fitting = middle;
        } else {
            beyond = middle;
        }
    }
    fitting + 1
}

/// The level of the leaves of a page size: the highest whose items are not larger, and that has the size.
#[inline(always)]
fn level_of_size<F: Groups>(common: &Common<F>, size_lg2: u32) -> u32 {
    let mut level = F::MAX_TOP_LEVEL;
    while level > 0
        && (item_size_lg2::<F>(level) > size_lg2 || F::possible_sizes(common, level) & lg2::pow2(size_lg2) == 0)
    {
        level -= 1;
    }
    level
}
