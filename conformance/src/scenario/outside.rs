//! Addresses that a table does not reach, and what a walker would find that looks for them all the same.

use super::{Scene, wrong};
use crate::hardware::VmDomain;
use crate::ram::Ram;
use crate::wording::Address;
use generic_pt::iommu::Walkers;
use generic_pt::memory::{Contents, PageRequest, TableMemory};
use generic_pt::{Features, PtIommu};
use std::io;

/// Bits beyond the table's reach that are tried.
const BITS_BEYOND: u32 = 4;
/// Addresses that are tried each time: half of them with the lowest of those bits alone.
const COUNT: u64 = 8;

/// The top, and as many bytes behind it, which are nobody's else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoy {
    top_pa: u64,
    bytes: u64,
}

impl Decoy {
    /// Takes the memory behind the top of a table that has nothing but the top.
    pub(super) fn new<'d, F: Walkers>(
        domain: &'d VmDomain<'_>,
        table: &PtIommu<F, &'d VmDomain<'_>>,
    ) -> io::Result<Self> {
        let mut top = None;
        table.visit_tables(|table| top = top.or(Some((table.page(), table.bytes()))));
        let (page, bytes) = top.ok_or_else(|| wrong("the table has no top".to_owned()))?;
        let request = PageRequest { size_lg2: bytes.ilog2(), contents: Contents::Unknown, pa_lg2: u64::BITS };
        let behind = domain.memory.alloc(request).map(|page| domain.memory.pa_of(page));
        let (top_pa, bytes) = (domain.memory.pa_of(page), bytes as u64);
        // A top can have padding, which is nobody's, too.
        match behind {
            Some(behind) if behind >= top_pa + bytes => Ok(Self { top_pa, bytes }),
            _ => Err(wrong(format!("no memory behind the top at {top_pa:#x}, but at {}", Address(behind)))),
        }
    }

    /// Repeats the top there: a walker that takes the table for larger than it is finds all that is mapped once more.
    pub(super) fn fill(self, ram: &Ram) -> io::Result<()> {
        let mut items = vec![0; self.bytes as usize];
        ram.read(self.top_pa, &mut items)?;
        ram.write(self.top_pa + self.bytes, &items)
    }
}

impl<F: Walkers> Scene<'_, '_, F> {
    /// Addresses that differ from one that is mapped to data, or from any, in bits beyond the reach alone.
    pub(super) fn outside(&mut self, ram: &Ram) -> Vec<u64> {
        let aperture = self.table.info().aperture;
        let signs = u32::from(self.table.common().has(Features::SIGN_EXTEND));
        let reach_lg2 = u64::BITS - (aperture.last - aperture.va).leading_zeros() + signs;
        // What a table of all addresses does not reach there is not.
        if reach_lg2 >= u64::BITS {
            return Vec::new();
        }
        let mappings = self.mappings.clone();
        let of_data = |(va, mapping): (&u64, &super::Mapping)| {
            let (va, mapping) = (*va, *mapping);
            Self::data_of(mapping, ram).next().map(|part| va + (part.start - mapping.pa))
        };
        let mapped: Vec<u64> = mappings.iter().filter_map(of_data).collect();
        (0..COUNT)
            .map(|n| {
                let any = aperture.va + (self.rng.below(1 << reach_lg2.min(62)) & (aperture.last - aperture.va) & !7);
                let inside = if n % 4 == 3 || mapped.is_empty() { any } else { self.rng.one_of(&mapped) };
                let beyond = if n % 2 == 0 { 1 } else { 1 + self.rng.below((1 << BITS_BEYOND) - 1) };
                let room = u64::MAX >> reach_lg2;
                inside ^ (if beyond & room == 0 { 1 } else { beyond & room }) << reach_lg2
            })
            .collect()
    }
}
