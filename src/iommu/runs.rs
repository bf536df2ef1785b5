//! Ranges to runs: what is mapped in a range, leaves that continue each other joined.

use super::{Core, PtIommu, Walkers};
use crate::driver::Host;
use crate::error::Error;
use crate::feature::Prot;
use crate::followers::{followers, items_behind};
use crate::format::{Common, Groups, Kind, LeafRequest, item_size_lg2};
use crate::item::Item;
use crate::lg2;
use crate::range::{self, VaRange};
use crate::table::Table;
use crate::tree::{TopPtr, Tree};
use core::fmt;
use core::iter::FusedIterator;

/// A part of a range that is mapped to consecutive physical addresses with one protection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Run {
    /// Where it begins.
    pub iova: u64,
    /// The physical address there.
    pub paddr: u64,
    /// Bytes. (`u64::MAX` for all 2^64, which an unmap can remove at once.)
    pub len: u64,
    /// The protection, worked out of the leaf: of all that the format stores like this, READ and WRITE both if possible,
    /// and the fewest other flags. Empty if no protection is stored like this, which only an item can be that something
    /// else wrote.
    pub prot: Prot,
}

impl<F: Walkers, H: Host> PtIommu<F, H> {
    /// What is mapped in the range, as maximal [runs](Run) in VA order, cut to the range.
    ///
    /// Leaves are joined where VA and physical address continue and the protection is the same, whatever their sizes.
    /// What is not mapped separates; so do items that are not understood (foreign), as they translate nothing, and what the
    /// top does not decode yet. The runs are worked out as the iterator is asked for them.
    ///
    /// ```
    /// # use generic_pt::fmt::x86_64::*;
    /// # use generic_pt::{Domain, HeapMemory, NoHardware, Prot, Run, TableConfig};
    /// # let domain = Domain::new(HeapMemory, NoHardware);
    /// # let format = Config { top_level: 3, encryption_mask: 0 };
    /// # let config = TableConfig { features: FORCED, hw_max_vasz_lg2: 48, hw_max_oasz_lg2: 48, format };
    /// # let mut table = PtIommuX8664::new(&domain, &config).unwrap();
    /// let prot = Prot::READ | Prot::WRITE;
    /// table.map_range(0x1f_f000, 0x7f_f000, 0x1000, prot).unwrap();
    /// table.map_range(0x20_0000, 0x80_0000, 0x20_0000, prot).unwrap(); // a larger page, which continues the first
    /// table.map_range(0x60_0000, 0x80_0000, 0x1000, Prot::READ).unwrap();
    /// let runs: Vec<Run> = table.translate_range(0x1f_f800, 0x80_0000).unwrap().collect();
    /// assert_eq!(runs, [
    ///     Run { iova: 0x1f_f800, paddr: 0x7f_f800, len: 0x20_0800, prot },
    ///     Run { iova: 0x60_0000, paddr: 0x80_0000, len: 0x1000, prot: Prot::READ },
    /// ]);
    /// ```
    ///
    /// # Errors
    /// In this order: [`Error::ZeroLength`], [`Error::Overflow`], [`Error::VaRange`]. (The last byte of a table that spans
    /// 64 bits is in no range that begins at 0; the longest such range is of `u64::MAX` bytes.)
    #[inline]
    pub fn translate_range(&self, iova: u64, len: u64) -> Result<Runs<'_, F, H>, Error> {
        self.core.runs(iova, len)
    }
}

impl<F: Walkers, H: Host> Core<F, H> {
    /// The runs in a range, for whoever holds it, for reading at least.
    pub(super) fn runs(&self, iova: u64, len: u64) -> Result<Runs<'_, F, H>, Error> {
        let range = VaRange::new(iova, len)?;
        let (common, top) = (self.common(), self.tree.top());
        if !range::fits(common, range, common.max_va_lg2) {
            return Err(self.range_error(range));
        }
        let rest = if self.is_in_top(range, top) {
            Some(range)
        } else {
            // A top that can grow holds the first part of what it decodes when it has.
            let last = range::top_range(common, top.level).last;
            (range.va <= last).then_some(VaRange { va: range.va, last })
        };
        Ok(Runs { tree: &self.tree, top, rest, table: None, extent: Extent::Range, known: None })
    }

    /// What an unmap of the range would remove, for whoever holds it.
    pub(super) fn runs_to_remove(&self, iova: u64, len: u64) -> Runs<'_, F, H> {
        let top = self.tree.top();
        let rest = VaRange::new(iova, len).ok().filter(|range| self.is_in_top(*range, top));
        Runs { tree: &self.tree, top, rest, table: None, extent: Extent::Unmap, known: None }
    }
}

/// Which leaves belong to the runs, and how much of them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// What of them is in the range.
    Range,
    /// Those that an unmap removes: from the start of the range up to the first hole, and the last one whole; none if the
    /// range begins inside of one.
    Unmap,
}

/// The [runs](Run) of a range, from [`PtIommu::translate_range`].
#[must_use = "nothing is translated until the runs are asked for"]
pub struct Runs<'a, F: Groups, H: Host> {
    tree: &'a Tree<F, H>,
    top: TopPtr,
    /// What is still to be looked at.
    rest: Option<VaRange>,
    /// The table that decides the first VA of the rest, where that is known.
    table: Option<Table<'a, F>>,
    extent: Extent,
    /// The protection that was worked out last.
    known: Option<(Sort<F::Attrs>, Prot)>,
}

/// All of a leaf that its protection depends on.
#[derive(Clone, Copy, PartialEq)]
struct Sort<A> {
    level: u32,
    size_lg2: u32,
    attrs: A,
}

/// A run that may go on.
struct Open<A> {
    iova: u64,
    paddr: u64,
    last: u64,
    /// Of its last leaf; the others have the same protection.
    sort: Sort<A>,
}

/// Whether the run that is open may go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scan {
    /// It may, in another table, or there is none yet.
    GoesOn,
    /// What comes next is not part of it.
    Ends,
}

impl<F: Groups, H: Host> Iterator for Runs<'_, F, H> {
    type Item = Run;

    #[inline]
    fn next(&mut self) -> Option<Run> {
        let mut open = None;
        while let Some(rest) = self.rest {
            let table = match self.table.take() {
                Some(table) => table,
                None => self.tree.lowest(self.top, rest.va),
            };
            let scan = if table.level() == 0 {
                self.scan(table.at_level::<0>(), rest, &mut open)
            } else {
                self.scan(table, rest, &mut open)
            };
            if scan == Scan::Ends {
                break;
            }
        }
        let Open { iova, paddr, last, sort } = open?;
        let len = (last - iova).saturating_add(1);
        Some(Run { iova, paddr, len, prot: self.prot_of(sort) })
    }
}

impl<F: Groups, H: Host> FusedIterator for Runs<'_, F, H> {}

impl<'a, F: Groups, H: Host> Runs<'a, F, H> {
    /// Goes through `table`, which decides the first VA of `rest`, up to its end, to a table below it, or to the end of the
    /// run that is open.
    #[inline(always)]
    fn scan(&mut self, table: Table<'a, F>, mut rest: VaRange, open: &mut Option<Open<F::Attrs>>) -> Scan {
        let common = self.tree.common();
        let (level, item_lg2) = (table.level(), item_size_lg2::<F>(table.level()));
        loop {
            let index = table.index(rest.va);
            let entry = table.load(common, index);
            let done_last = match entry.kind {
                Kind::Table if level > 0 => {
                    self.table = Some(table.lower(common, self.tree.memory(), entry));
                    self.rest = Some(rest);
                    return Scan::GoesOn;
                }
                Kind::Leaf => {
                    let size_lg2 = F::entry_size_lg2(common, level, entry.raw);
                    let paddr = F::exact_oa(common, level, entry.raw, rest.va);
                    let attrs = F::attrs_of(common, level, entry.raw);
                    let sort = Sort { level, size_lg2, attrs };
                    let leaf_last = rest.va | lg2::low_mask(size_lg2);
                    let last = if self.extent == Extent::Unmap { leaf_last } else { leaf_last.min(rest.last) };
                    match open {
                        None if self.extent == Extent::Unmap && !lg2::is_aligned(rest.va, size_lg2) => {
                            self.rest = None;
                            return Scan::Ends;
                        }
                        // A single leaf is not the time to look for more of its kind.
                        None => {
                            *open = Some(Open { iova: rest.va, paddr, last, sort });
                            last
                        }
                        Some(open) => {
                            if !self.continues(open, rest.va, paddr, sort) {
                                self.table = Some(table);
                                self.rest = Some(rest);
                                return Scan::Ends;
                            }
                            open.sort = sort;
                            open.last = last;
                            if size_lg2 == item_lg2 && last < rest.last {
                                let more = followers(&table, common, index, entry, (paddr, attrs), rest.last - last);
                                open.last += lg2::shl(more as u64, item_lg2);
                            }
                            open.last
                        }
                    }
                }
                Kind::Empty | Kind::Foreign | Kind::Table => {
                    if self.extent == Extent::Unmap || open.is_some() {
                        self.rest = (self.extent == Extent::Range).then_some(rest);
                        self.table = Some(table);
                        return Scan::Ends;
                    }
                    let item_last = rest.va | lg2::low_mask(item_lg2);
                    let empty = F::empty_item(common, level);
                    if entry.raw == empty && item_last < rest.last {
                        let count = items_behind(&table, index, rest.last - item_last);
                        let more = table.count_in_steps(index + 1, count, empty, F::Item::ZERO, F::Item::ZERO);
                        item_last + lg2::shl(more as u64, item_lg2)
                    } else {
                        item_last
                    }
                }
            };
            if done_last >= rest.last {
                self.rest = None;
                return Scan::GoesOn;
            }
            rest.va = done_last + 1;
            if table.index(rest.va) == 0 {
                self.rest = Some(rest);
                return Scan::GoesOn;
            }
        }
    }

    /// Whether a leaf at `va`, which is just behind the run, is a part of it.
    #[inline(always)]
    fn continues(&mut self, open: &Open<F::Attrs>, va: u64, paddr: u64, sort: Sort<F::Attrs>) -> bool {
        paddr == open.paddr.wrapping_add(va - open.iova)
            && (sort == open.sort || self.prot_of(open.sort) == self.prot_of(sort))
    }

    #[inline(always)]
    fn prot_of(&mut self, sort: Sort<F::Attrs>) -> Prot {
        match self.known {
            Some((known, prot)) if known == sort => prot,
            _ => {
                let prot = prot_of::<F>(self.tree.common(), sort);
                self.known = Some((sort, prot));
                prot
            }
        }
    }
}

/// The flags of a protection beside READ and WRITE, in units of the lowest: the fewest first.
const OTHERS: [u8; 8] = [0b000, 0b001, 0b010, 0b100, 0b011, 0b101, 0b110, 0b111];

/// The first protection, in the order that [`Run::prot`] says, that is stored like this: whose leaf would be the same.
///
/// Not whose attributes are the same, since not every size of leaves may have a place for all of them.
#[inline(never)]
fn prot_of<F: Groups>(common: &Common<F>, sort: Sort<F::Attrs>) -> Prot {
    let Sort { level, size_lg2, attrs } = sort;
    let leaf = |attrs| F::leaf_item(common, LeafRequest { level, size_lg2, oa: 0, attrs });
    let item = leaf(attrs);
    let access = [Prot::READ.union(Prot::WRITE), Prot::READ, Prot::WRITE];
    let others = OTHERS.map(|flags| Prot::from_bits_truncate(flags << 2));
    let mut prots = access.iter().flat_map(|access| others.iter().map(|others| access.union(*others)));
    let is_stored_so = |prot: &Prot| F::attrs(common, *prot).is_ok_and(|attrs| leaf(attrs) == item);
    prots.find(is_stored_so).unwrap_or_default()
}

impl<F: Groups, H: Host> fmt::Debug for Runs<'_, F, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runs").field("rest", &self.rest).finish_non_exhaustive()
    }
}
