//! What a table is to be like.

use generic_pt::Prot;

/// Memory that is mapped at the first VA.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Its physical address.
    pub pa: u64,
    /// Its bytes: whole pages, or 0.
    pub bytes: u64,
    /// With which permissions.
    pub prot: Prot,
}

/// Whether there can be a higher one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FirstTop {
    /// It reaches all VA, or has to do.
    Stays,
    /// It can grow, and the machine can be told while it walks.
    Grows,
}

/// What a table is to be like.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Maps tried at random.
    pub maps: u32,
    /// Places of each mapping that are translated, beside those at its ends.
    pub places_of_a_mapping: u64,
    /// Places of each part of RAM that a mapping leads to where accesses are, at most three.
    pub accesses_of_a_page: usize,
    /// What the machine needs to be mapped at the first VA.
    pub window: Window,
    /// The top of an empty table.
    pub top: FirstTop,
    /// Page sizes that are used.
    pub sizes: u64,
    /// The most PA bits the machine has.
    pub pa_bits: u32,
    /// Page sizes that can have addresses above 4 GiB.
    pub high_sizes: u64,
    /// Bytes of an access.
    pub access_bytes: u64,
    /// The seed.
    pub seed: u64,
}

impl Plan {
    /// A plan for a machine of 48 PA bits.
    pub fn new(seed: u64) -> Self {
        Self {
            maps: 80,
            places_of_a_mapping: 16,
            accesses_of_a_page: 3,
            window: Window { pa: 0, bytes: 0, prot: Prot::READ },
            top: FirstTop::Stays,
            sizes: u64::MAX,
            pa_bits: 48,
            high_sizes: u64::MAX,
            access_bytes: 8,
            seed,
        }
    }

    /// A plan for a device, which is slower, and reaches RAM only.
    pub fn dma(seed: u64) -> Self {
        Self { maps: 60, places_of_a_mapping: 2, accesses_of_a_page: 2, ..Self::new(seed) }
    }
}
