//! What is measured: tables of this library, and of others.

use crate::BenchDomain;
use crate::formats::Shape;
use generic_pt::iommu::Walkers;
use generic_pt::{Features, GatherMode, Prot, PtIommu, TableConfig};
use std::fmt;

/// What is measured: a table of this library, or of another one.
///
/// An implementation's functions are not inlined.
pub trait Target: fmt::Debug {
    /// Maps a range to physical memory. Whether it is mapped.
    fn map(&mut self, iova: u64, paddr: u64, len: u64, prot: Prot) -> bool;

    /// Unmaps a range, with everything that has to be done before what was unmapped may be used again. The bytes removed.
    fn unmap(&mut self, iova: u64, len: u64, tables: Tables) -> u64;

    /// Translates an address.
    fn translate(&self, iova: u64) -> Option<u64>;

    /// Limits the sizes of leaves that map uses, one bit each.
    fn use_sizes(&mut self, sizes: u64);

    /// Frees tables in which nothing is mapped, if unmapping did not; not measured.
    fn free_empty_tables(&mut self) {}
}

/// What becomes of the lower tables of a range that is unmapped. A table of this library decides that by the range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tables {
    /// They stay.
    Stay,
    /// The range covers them whole: they are freed.
    Go,
}

/// A table of this library.
pub type Table<F> = PtIommu<F, &'static BenchDomain>;

/// The protection of everything that is mapped here.
pub const PROT: Prot = Prot::READ.union(Prot::WRITE);

/// An empty table of a shape; `None` if the format does not have all of the features.
///
/// # Panics
/// If the shape is wrong.
pub fn table<F: Walkers>(
    domain: &'static BenchDomain,
    shape: &Shape<F::Config>,
    features: Features,
) -> Option<Table<F>> {
    let features = features | shape.features | F::FORCED | (Features::FLUSH_RANGE & F::SUPPORTED);
    if !F::SUPPORTED.contains(features) {
        return None;
    }
    let config = TableConfig {
        features,
        hw_max_vasz_lg2: shape.va_bits,
        hw_max_oasz_lg2: F::GEOMETRY.max_oa_lg2,
        format: shape.config,
    };
    Some(PtIommu::new(domain, &config).unwrap_or_else(|error| panic!("{}: {error}", shape.name)))
}

impl<F: Walkers> Target for Table<F> {
    #[inline(never)]
    fn map(&mut self, iova: u64, paddr: u64, len: u64, prot: Prot) -> bool {
        self.map_range(iova, paddr, len, prot).is_ok()
    }

    #[inline(never)]
    fn unmap(&mut self, iova: u64, len: u64, _: Tables) -> u64 {
        let mut gather = self.gather(GatherMode::Immediate);
        let removed = self.unmap_range(iova, len, &mut gather);
        gather.sync();
        removed
    }

    #[inline(never)]
    fn translate(&self, iova: u64) -> Option<u64> {
        self.iova_to_phys(iova)
    }

    fn use_sizes(&mut self, sizes: u64) {
        self.narrow_page_sizes(sizes);
    }
}

/// What a target can hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The last IOVA.
    pub last_iova: u64,
    /// Bits of a physical address.
    pub oa_bits: u32,
    /// Sizes of leaves, one bit each.
    pub page_sizes: u64,
    /// What one item of levels 0, 1 and 2 spans; a lowest table spans what an item of level 1 does.
    pub item_lg2: [u32; 3],
}

impl Limits {
    /// Whether such a range can be mapped.
    pub fn hold(&self, iova: u64, paddr: u64, len: u64) -> bool {
        let last = |start: u64| start.checked_add(len - 1);
        last(iova).is_some_and(|last| last <= self.last_iova)
            && last(paddr).is_some_and(|last| generic_pt::lg2::shr(last, self.oa_bits) == 0)
    }

    /// The size of a leaf of one item at a level up to 2; `None` if there is none.
    pub fn page_lg2(&self, level: usize) -> Option<u32> {
        let size = *self.item_lg2.get(level)?;
        self.have_size(size).then_some(size)
    }

    /// Whether leaves of a size can be mapped.
    pub fn have_size(&self, page_lg2: u32) -> bool {
        page_lg2 < 64 && self.page_sizes >> page_lg2 & 1 != 0
    }
}
