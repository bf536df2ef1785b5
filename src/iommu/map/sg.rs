//! Scatter lists: several physical runs for one VA range, in one walk.

use super::{Stop, Walk};
use crate::driver::Host;
use crate::error::{Errno, Error, MapError};
use crate::feature::{Features, Prot};
use crate::format::{Groups, Kind, LeafRequest, item_size_lg2};
use crate::iommu::view::outside;
use crate::iommu::{Core, PtIommu, Walkers};
use crate::lg2;
use crate::near::Near;
use crate::range::{VaRange, best_page_size};
use crate::table::Table;
use crate::tree::TopPtr;

/// A piece of physical memory, for [`PtIommu::map_sg`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Segment {
    /// Its physical address.
    pub paddr: u64,
    /// Its length in bytes. A segment of length 0 is as if it were not there.
    pub len: u64,
}

impl Segment {
    /// The same and what follows, if that continues it physically.
    #[inline(always)]
    fn joined(self, next: Self) -> Option<Self> {
        let continues = next.len == 0 || self.paddr.wrapping_add(self.len) == next.paddr;
        // More than 2^64 bytes in all are refused before.
        continues.then(|| Self { paddr: self.paddr, len: self.len.saturating_add(next.len) })
    }
}

/// Where the runs come from that follow the one that is mapped.
pub trait Runs {
    /// Whether there may be any: a constant, so that nothing is left of this if not.
    const MANY: bool;
    /// The next segment, not joined with those behind it.
    fn take(&mut self) -> Option<Segment>;
    /// The same where none is left that was given back.
    fn take_new(&mut self) -> Option<Segment>;
    /// Whether a segment is left that was given back.
    fn has_old(&self) -> bool;
    /// Gives back segments that were taken, in their order.
    fn put_back(&mut self, first: Segment, second: Option<Segment>);
    /// Last VA that the runs may reach.
    fn last(&self) -> u64;
}

/// No other run.
#[allow(missing_debug_implementations, reason = "only named by expansions")]
pub struct OneRun;

impl Runs for OneRun {
    const MANY: bool = false;
    #[inline(always)]
    fn take(&mut self) -> Option<Segment> {
        None
    }
    #[inline(always)]
    fn take_new(&mut self) -> Option<Segment> {
        None
    }
    #[inline(always)]
    fn has_old(&self) -> bool {
        false
    }
    #[inline(always)]
    fn put_back(&mut self, _: Segment, _: Option<Segment>) {}
    #[inline(always)]
    fn last(&self) -> u64 {
        0
    }
}

/// The segments of a list that are left.
struct Segments<I> {
    /// Taken and given back.
    first: Option<Segment>,
    second: Option<Segment>,
    rest: I,
    last: u64,
}

impl<I: Iterator<Item = Segment>> Runs for Segments<I> {
    const MANY: bool = true;

    #[inline(always)]
    fn take(&mut self) -> Option<Segment> {
        if self.first.is_some() {
            return core::mem::replace(&mut self.first, self.second.take());
        }
        self.rest.next()
    }

    #[inline(always)]
    fn take_new(&mut self) -> Option<Segment> {
        self.rest.next()
    }

    #[inline(always)]
    fn has_old(&self) -> bool {
        self.first.is_some()
    }

    #[inline(always)]
    fn put_back(&mut self, first: Segment, second: Option<Segment>) {
        (self.first, self.second) = (Some(first), second);
    }

    #[inline(always)]
    fn last(&self) -> u64 {
        self.last
    }
}

/// The runs of a list: segments joined where one continues the other.
#[inline(always)]
fn next_joined(mut next: impl FnMut() -> Option<Segment>) -> (Option<Segment>, Option<Segment>) {
    let mut run = loop {
        match next() {
            Some(segment) if segment.len == 0 => {}
            Some(segment) => break segment,
            None => return (None, None),
        }
    };
    loop {
        let Some(segment) = next() else { return (Some(run), None) };
        match run.joined(segment) {
            Some(joined) => run = joined,
            None => return (Some(run), Some(segment)),
        }
    }
}

impl<F: Walkers, H: Host> PtIommu<F, H> {
    /// Maps the segments of a scatter list one behind the other from `iova`, and returns the number of bytes mapped.
    ///
    /// The result is the same as of [`map_range`](Self::map_range) for each *run*, that is for each sequence of segments of
    /// which each continues the one before physically: pages may cross the border of such segments. It is one walk, and all
    /// arguments are checked before it; the iterator is cloned for that.
    ///
    /// ```
    /// use generic_pt::fmt::x86_64::*;
    /// use generic_pt::{Domain, HeapMemory, NoHardware, Prot, Segment, TableConfig};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let domain = Domain::new(HeapMemory, NoHardware);
    /// let config = TableConfig {
    ///     features: FORCED, hw_max_vasz_lg2: 48, hw_max_oasz_lg2: 52, format: Config { top_level: 3, encryption_mask: 0 },
    /// };
    /// let mut table = PtIommuX8664::new(&domain, &config)?;
    /// let segments = [
    ///     // These two continue each other: together they are one page of 2 MiB.
    ///     Segment { paddr: 0x4000_0000, len: 0x1000 },
    ///     Segment { paddr: 0x4000_1000, len: 0x1f_f000 },
    ///     Segment { paddr: 0x7_7000, len: 0x1000 },
    /// ];
    /// assert_eq!(table.map_sg(0x20_0000, segments, Prot::READ | Prot::WRITE)?, 0x20_1000);
    /// assert_eq!(table.iova_to_phys(0x3f_ffff), Some(0x401f_ffff));
    /// assert_eq!(table.iova_to_phys(0x40_0123), Some(0x7_7123));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Before anything is written: [`Error::Protection`]; then for the first run that has one of these, in this order,
    /// [`Error::Overflow`], [`Error::PaRange`] and [`Error::Alignment`] (its start and end have to be aligned, in VA and
    /// physically, to the smallest permitted page); [`Error::ZeroLength`] if all segments are empty; [`Error::VaRange`]. On
    /// the way as in [`map_range`](Self::map_range), and [`Error::SegmentsChanged`] if the segments end early or break
    /// one of these rules when they are taken again (others that keep the rules are mapped as they come).
    /// What was mapped before stays mapped: [`MapError::mapped`] bytes from `iova`.
    #[inline]
    pub fn map_sg<S>(&mut self, iova: u64, segments: S, prot: Prot) -> Result<u64, MapError>
    where
        S: IntoIterator<Item = Segment>,
        S::IntoIter: Clone,
    {
        let all = VaRange { va: 0, last: u64::MAX };
        self.core.map_sg(&mut self.near, all, iova, segments.into_iter(), prot)
    }
}

impl<F: Walkers, H: Host> Core<F, H> {
    /// Map of a scatter list by whoever holds the range `held`, and `near`.
    pub(in crate::iommu) fn map_sg<I>(
        &self,
        near: &mut Near<F>,
        held: VaRange,
        iova: u64,
        segments: I,
        prot: Prot,
    ) -> Result<u64, MapError>
    where
        I: Iterator<Item = Segment> + Clone,
    {
        let refused = |error| MapError { error, mapped: 0, va: iova };
        let attrs = self.attrs_checked(prot).map_err(refused)?;
        let range = self.segments_checked(iova, segments.clone()).map_err(refused)?;
        if range.va < held.va || range.last > held.last {
            return Err(refused(outside(held, range)));
        }
        let mut again = segments.clone();
        let top = || match self.top_that_holds(range) {
            Some(top) => Ok(top),
            None => self.top_for_segments(range, &mut again).map_err(refused),
        };
        let table = self.start_at(near, range, top)?;
        let runs = Segments { first: None, second: None, rest: segments, last: range.last };
        let mut cx = Walk { cx: self.start(near, range, 0, attrs), runs };
        let result = cx.next_run().and_then(|()| F::map_sg(&table, &mut cx));
        if cx.replaced.is_some() || result.is_err() {
            cx.end(iova)?;
        }
        Ok(cx.va.wrapping_sub(iova))
    }

    /// The top for a map of segments: grown, if it can. The first run says for which leaf: a later one of a higher level lies
    /// beyond what a lower top decodes.
    #[cold]
    fn top_for_segments(&self, range: VaRange, segments: &mut impl Iterator<Item = Segment>) -> Result<TopPtr, Error> {
        let (run, _) = next_joined(|| segments.next());
        let Some(Segment { paddr, len }) = run else { return Err(Error::SegmentsChanged { va: range.va }) };
        let last = range.va.saturating_add(len.saturating_sub(1)).min(range.last);
        self.top_for(range, VaRange { va: range.va, last }, paddr)
    }

    /// The attributes of a protection.
    #[inline(always)]
    fn attrs_checked(&self, prot: Prot) -> Result<F::Attrs, Error> {
        if !prot.intersects(Prot::READ.union(Prot::WRITE)) {
            return Err(Error::Protection { prot, valid: "READ, WRITE or both", errno: Errno::EINVAL });
        }
        F::attrs(self.common(), prot)
    }

    /// The range that the segments need from `iova` on, if all of them can be mapped there.
    #[inline(always)]
    fn segments_checked(&self, iova: u64, segments: impl Iterator<Item = Segment> + Clone) -> Result<VaRange, Error> {
        match self.segments_plain(iova, segments.clone()) {
            Some(range) => Ok(range),
            None => self.runs_checked(iova, segments),
        }
    }

    /// The range, if every segment alone is as it has to be: whether they continue each other does not matter then.
    ///
    /// Nothing is decided on the way, so this costs little for each segment.
    #[inline(always)]
    fn segments_plain(&self, iova: u64, segments: impl Iterator<Item = Segment>) -> Option<VaRange> {
        let (mut bits, mut ends, mut total) = (0, 0, 0u128);
        for Segment { paddr, len } in segments {
            bits |= paddr | len;
            ends |= paddr.wrapping_add(len).wrapping_sub(1);
            total += u128::from(len);
        }
        let range = VaRange::new(iova, u64::try_from(total).ok()?).ok()?;
        self.are_plain(iova | bits, ends | bits).then_some(range)
    }

    /// The range, after an exact look at every run.
    #[cold]
    #[inline(never)]
    fn runs_checked(&self, iova: u64, mut segments: impl Iterator<Item = Segment>) -> Result<VaRange, Error> {
        let (mut va, mut finished, mut ahead) = (iova, false, None);
        loop {
            let (run, after) = next_joined(|| ahead.take().or_else(|| segments.next()));
            ahead = after;
            let Some(Segment { paddr, len }) = run else { break };
            if finished {
                // The run before ended at the last address.
                return Err(Error::Overflow { va, len });
            }
            let last = VaRange::new(va, len)?.last;
            self.run_checked(VaRange { va, last }, paddr, len)?;
            finished = last == u64::MAX;
            if finished && iova == 0 {
                // 2^64 bytes do not fit into the result.
                return Err(Error::Overflow { va, len });
            }
            va = last.wrapping_add(1);
        }
        if va == iova && !finished {
            return Err(Error::ZeroLength { va });
        }
        Ok(VaRange { va: iova, last: va.wrapping_sub(1) })
    }

    fn run_checked(&self, range: VaRange, paddr: u64, len: u64) -> Result<(), Error> {
        let (common, sizes) = (self.common(), self.page_sizes);
        match paddr.checked_add(len - 1) {
            Some(last) if common.holds_oa(paddr) && common.holds_oa(last) => {}
            _ => return Err(Error::PaRange { paddr, len, max_oa_lg2: common.max_oa_lg2 }),
        }
        let first_sizes = F::sizes_for_oa(common, sizes, paddr);
        let fits = best_page_size(first_sizes, range.va, range.last, paddr).is_some();
        if !fits || !lg2::is_aligned(len, sizes.trailing_zeros()) {
            return Err(Error::Alignment { va: range.va, paddr, len, page_sizes: sizes });
        }
        self.check_sizes_of_oas(range, paddr, len)
    }
}

impl<F: Groups, H: Host, S: Runs> Walk<'_, F, H, S> {
    /// Begins with the next run, if there is one: then the map is not finished any more.
    ///
    /// # Errors
    /// [`Error::SegmentsChanged`]: the runs were checked, but they come from an iterator that may do as it likes.
    #[inline(always)]
    pub(super) fn next_run(&mut self) -> Result<(), Stop> {
        let runs = &mut self.runs;
        // A list has less than 2^64 bytes, so this is not its beginning.
        if self.cx.va.wrapping_sub(1) == runs.last() {
            return Ok(());
        }
        let (run, after) = next_joined(|| runs.take());
        if let Some(after) = after {
            // Two segments or more were taken, so none is left that was given back before.
            runs.put_back(after, None);
        }
        let va = self.cx.va;
        let Some(Segment { paddr, len }) = run else { return Err(self.cx.stop(Error::SegmentsChanged { va })) };
        let left_minus_1 = runs.last().wrapping_sub(self.cx.va);
        let smallest_lg2 = self.cx.sizes.trailing_zeros();
        let oa_last = paddr.wrapping_add(len).wrapping_sub(1);
        let as_checked = len - 1 <= left_minus_1
            && oa_last >= paddr
            && self.cx.common.holds_oa(oa_last)
            && lg2::is_aligned(paddr | len, smallest_lg2);
        if !as_checked {
            return Err(self.cx.stop(Error::SegmentsChanged { va }));
        }
        self.cx.oa = paddr;
        self.cx.last = self.cx.va.wrapping_add(len - 1);
        Ok(())
    }
}

/// Maps the next runs of one page each, of the lowest level, as far as they go on in `table`: the usual scatter list.
///
/// A run is at its end. Whatever is not as simple as that is left to the general way.
#[inline(always)]
pub(super) fn map_pages<F: Groups, H: Host, S: Runs>(table: &Table<'_, F>, cx: &mut Walk<'_, F, H, S>) {
    let size_lg2 = item_size_lg2::<F>(0);
    let (common, attrs, page) = (cx.cx.common, cx.cx.attrs, lg2::pow2(size_lg2));
    let (index, is_done) = (table.index(cx.cx.va), cx.cx.va.wrapping_sub(1) == cx.runs.last());
    if index == 0 || is_done || cx.cx.sizes & F::possible_sizes(common, 0) & page == 0 {
        return;
    }
    let Some(first) = cx.runs.take() else { return };
    if first.len != page || cx.runs.has_old() {
        let second = if cx.runs.has_old() { cx.runs.take() } else { None };
        return cx.runs.put_back(first, second);
    }
    let left = lg2::shr(cx.runs.last().wrapping_sub(cx.cx.va), size_lg2);
    let count = (table.items() - index).min(usize::try_from(left).unwrap_or(usize::MAX).saturating_add(1));
    let not_in_oa = lg2::low_mask(size_lg2) | !lg2::low_mask(common.max_oa_lg2);
    // What comes next: a page, unless the list is at its end; and what comes behind that and may continue it.
    let (mut oa, mut after, mut is_at_end) = (first.paddr, None, false);
    let runs = &mut cx.runs;
    let done = table.store_each_empty(common, index, count, || {
        if oa & not_in_oa != 0 || F::sizes_for_oa(common, page, oa) == 0 {
            return None;
        }
        let item = F::leaf_item(common, LeafRequest { level: 0, size_lg2, oa, attrs });
        if F::kind(common, 0, item) != Kind::Leaf {
            return None;
        }
        match runs.take_new() {
            Some(next) if next.len == page && next.paddr != oa.wrapping_add(page) => {
                oa = next.paddr;
                Some(item)
            }
            Some(next) => {
                after = Some(next);
                None
            }
            None => {
                is_at_end = true;
                // Nothing more: this is no page.
                oa = 1;
                Some(item)
            }
        }
    });
    if !is_at_end {
        cx.runs.put_back(Segment { paddr: oa, len: page }, after);
    }
    if done != 0 {
        if common.has(Features::DMA_INCOHERENT) {
            table.flush(cx.cx.host.domain(), index, done);
        }
        cx.cx.va = cx.cx.va.wrapping_add(lg2::shl(done as u64, size_lg2));
        cx.cx.last = cx.cx.va.wrapping_sub(1);
    }
}
