//! Scatter lists: several physical runs for one VA range, in one walk.

use super::Walk;
use crate::driver::Host;
use crate::error::{Errno, Error, MapError};
use crate::feature::Prot;
use crate::format::Groups;
use crate::iommu::view::outside;
use crate::iommu::{Core, PtIommu, Walkers};
use crate::lg2;
use crate::near::Near;
use crate::range::{VaRange, best_page_size};
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
        // Nothing continues the last of all addresses.
        let continues = next.len == 0 || self.paddr.checked_add(self.len) == Some(next.paddr);
        // More than 2^64 bytes in all are refused before.
        continues.then(|| Self { paddr: self.paddr, len: self.len.saturating_add(next.len) })
    }
}

/// Where the runs come from that follow the one that is mapped.
pub trait Runs {
    /// Whether there may be any: a constant, so that nothing is left of this if not.
    const MANY: bool;
    /// Takes the next run, for `va`: segments joined where one continues the other.
    fn take_run(&mut self, va: u64) -> Option<Segment>;
    /// Gives back the run that was taken last, if it was for `va`. Whether it was.
    fn give_back(&mut self, va: u64) -> bool;
    /// The segments that are left, if nothing but their lengths has to be looked at to map them as pages; and the OR of the
    /// addresses of all.
    fn plain(&self) -> (&[Segment], u64);
    /// Whether it is known that all segments are of this length.
    fn are_alike(&self, len: u64) -> bool;
    /// Takes some of them.
    fn skip(&mut self, count: usize);
}

/// No other run.
#[allow(missing_debug_implementations, reason = "only named by expansions")]
pub struct OneRun;

impl Runs for OneRun {
    const MANY: bool = false;
    #[inline(always)]
    fn take_run(&mut self, _: u64) -> Option<Segment> {
        None
    }
    #[inline(always)]
    fn give_back(&mut self, _: u64) -> bool {
        false
    }
    #[inline(always)]
    fn plain(&self) -> (&[Segment], u64) {
        (&[], 0)
    }
    #[inline(always)]
    fn are_alike(&self, _: u64) -> bool {
        false
    }
    #[inline(always)]
    fn skip(&mut self, _: usize) {}
}

/// The segments of a list that are left.
struct Segments<'s> {
    rest: &'s [Segment],
    /// Where the run that was taken last begins, and the list from there on.
    taken: Option<(u64, &'s [Segment])>,
    known: Known,
}

/// What is known of the segments of a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    /// The runs are as they have to be.
    Runs,
    /// Each segment alone is as it has to be, and there are all page sizes for its addresses.
    Segments {
        /// The OR of the addresses.
        paddrs: u64,
    },
    /// That, and all have one length.
    Alike {
        /// The OR of the addresses.
        paddrs: u64,
        /// The length.
        len: u64,
    },
}

impl Runs for Segments<'_> {
    const MANY: bool = true;

    #[inline(always)]
    fn take_run(&mut self, va: u64) -> Option<Segment> {
        self.taken = Some((va, self.rest));
        next_run(&mut self.rest)
    }

    #[inline(always)]
    fn give_back(&mut self, va: u64) -> bool {
        match self.taken {
            Some((taken_va, rest)) if taken_va == va => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    #[inline(always)]
    fn plain(&self) -> (&[Segment], u64) {
        match self.known {
            Known::Runs => (&[], 0),
            Known::Segments { paddrs } | Known::Alike { paddrs, .. } => (self.rest, paddrs),
        }
    }

    #[inline(always)]
    fn are_alike(&self, len: u64) -> bool {
        matches!(self.known, Known::Alike { len: all, .. } if all == len)
    }

    #[inline(always)]
    fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or(&[]);
    }
}

/// Takes the next run from a list: segments joined where one continues the other.
#[inline(always)]
fn next_run(list: &mut &[Segment]) -> Option<Segment> {
    let mut run = loop {
        let (segment, rest) = list.split_first()?;
        *list = rest;
        if segment.len != 0 {
            break *segment;
        }
    };
    while let Some((segment, rest)) = list.split_first()
        && let Some(joined) = run.joined(*segment)
    {
        (run, *list) = (joined, rest);
    }
    Some(run)
}

impl<F: Walkers, H: Host> PtIommu<F, H> {
    /// Maps the segments of a scatter list one behind the other from `iova`, and returns the number of bytes mapped.
    ///
    /// The result is the same as of [`map_range`](Self::map_range) for each *run*, that is for each sequence of segments of
    /// which each continues the one before physically: pages may cross the border of such segments. It is one walk, and all
    /// arguments are checked before it.
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
    /// assert_eq!(table.map_sg(0x20_0000, &segments, Prot::READ | Prot::WRITE)?, 0x20_1000);
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
    /// the way as in [`map_range`](Self::map_range). What was mapped before stays mapped: [`MapError::mapped`] bytes from `iova`.
    #[inline]
    pub fn map_sg(&mut self, iova: u64, segments: &[Segment], prot: Prot) -> Result<u64, MapError> {
        let all = VaRange { va: 0, last: u64::MAX };
        self.core.map_sg(&mut self.near, all, iova, segments, prot)
    }
}

impl<F: Walkers, H: Host> Core<F, H> {
    /// Map of a scatter list by whoever holds the range `held`, and `near`.
    pub(in crate::iommu) fn map_sg(
        &self,
        near: &mut Near<F>,
        held: VaRange,
        iova: u64,
        segments: &[Segment],
        prot: Prot,
    ) -> Result<u64, MapError> {
        let refused = |error| MapError { error, mapped: 0, va: iova };
        let attrs = self.attrs_checked(prot).map_err(refused)?;
        let (range, known) = match self.segments_plain(iova, segments) {
            Some(plain) => plain,
            None => (self.runs_checked(iova, segments).map_err(refused)?, Known::Runs),
        };
        if range.va < held.va || range.last > held.last {
            return Err(refused(outside(held, range)));
        }
        let top = || match self.top_that_holds(range) {
            Some(top) => Ok(top),
            None => self.top_for_segments(range, segments).map_err(refused),
        };
        let table = self.start_at(near, range, top)?;
        // It begins at the end of a run, of nothing, and ends where the list does.
        let runs = Segments { rest: segments, taken: None, known };
        let mut cx = Walk { cx: self.start(near, range, 0, attrs), runs };
        cx.next_run();
        let result = F::map_sg(&table, &mut cx);
        if cx.replaced.is_some() || result.is_err() {
            cx.end(iova)?;
        }
        Ok(cx.va.wrapping_sub(iova))
    }

    /// The top for a map of segments: grown, if it can. The first run says for which leaf: a later one of a higher level lies
    /// beyond what a lower top decodes.
    #[cold]
    #[inline(never)]
    fn top_for_segments(&self, range: VaRange, mut segments: &[Segment]) -> Result<TopPtr, Error> {
        // Not empty: the list was checked.
        let Segment { paddr, len } = next_run(&mut segments).unwrap_or(Segment { paddr: 0, len: 1 });
        self.top_for(range, VaRange { va: range.va, last: range.va.wrapping_add(len - 1) }, paddr)
    }

    /// The attributes of a protection.
    #[inline(always)]
    fn attrs_checked(&self, prot: Prot) -> Result<F::Attrs, Error> {
        if !prot.intersects(Prot::READ.union(Prot::WRITE)) {
            return Err(Error::Protection { prot, valid: "READ, WRITE or both", errno: Errno::EINVAL });
        }
        F::attrs(self.common(), prot)
    }

    /// The range that the segments need from `iova` on, if every segment alone is as it has to be: whether they continue each other
    /// does not matter then.
    ///
    /// Nothing is decided on the way, so this costs little for each segment.
    #[inline(always)]
    fn segments_plain(&self, iova: u64, segments: &[Segment]) -> Option<(VaRange, Known)> {
        let first = *segments.first()?;
        // Where they differ from the first: address and length alike, for CPUs that take a segment as one.
        let differing = |[paddrs, lens]: [u64; 2], segment: &Segment| {
            [paddrs | (segment.paddr ^ first.paddr), lens | (segment.len ^ first.len)]
        };
        let (eights, rest) = segments.as_chunks::<8>();
        let bits = eights.iter().fold([0; 2], |bits, eight| eight.iter().fold(bits, differing));
        let [paddrs, lens] = rest.iter().fold(bits, differing);
        let are_alike = lens == 0;
        // All bits that any of them has, and perhaps more.
        let (paddrs, lens) = (paddrs | first.paddr, lens | first.len);
        // No length is above the OR of all, and no segment ends above the sum of both. Limits of addresses are upper limits.
        let longest = lens.checked_mul(u64::try_from(segments.len()).ok()?)?;
        let ends = paddrs.checked_add(lens)?.wrapping_sub(1);
        let (known, total) = if are_alike {
            (Known::Alike { paddrs, len: lens }, longest)
        } else {
            (Known::Segments { paddrs }, segments.iter().map(|segment| segment.len).sum())
        };
        let range = VaRange::new(iova, total).ok()?;
        self.are_plain(iova | paddrs | lens, ends | paddrs | lens).then_some((range, known))
    }

    /// The range, after an exact look at every run.
    #[cold]
    #[inline(never)]
    fn runs_checked(&self, iova: u64, mut segments: &[Segment]) -> Result<VaRange, Error> {
        let (mut va, mut finished) = (iova, false);
        while let Some(Segment { paddr, len }) = next_run(&mut segments) {
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
    #[inline(always)]
    pub(super) fn next_run(&mut self) {
        if let Some(Segment { paddr, len }) = self.runs.take_run(self.cx.va) {
            self.cx.oa = paddr;
            self.cx.last = self.cx.va.wrapping_add(len - 1);
        }
    }
}
