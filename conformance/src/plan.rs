//! What a table is to be like.

use crate::ram::Layout;
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

/// Where the walker finds tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tables {
    /// In all of RAM: those of every other seed are above 4 GiB.
    Anywhere,
    /// Below 4 GiB.
    Low,
}

/// What the table notes of its pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tracking {
    /// Nothing that is looked at: it cannot, or the machine does not do it.
    Nothing,
    /// Which of them the machine wrote.
    Writes,
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
    /// Where tables can lie.
    pub tables: Tables,
    /// What is noted of pages.
    pub tracking: Tracking,
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
            tables: Tables::Anywhere,
            tracking: Tracking::Nothing,
            seed,
        }
    }

    /// Where RAM and the tables are, on a machine of that layout.
    pub fn layout(&self, layout: Layout) -> Layout {
        let is_high = self.tables == Tables::Anywhere && self.seed.is_multiple_of(2);
        if is_high { layout.with_high_tables(self.seed, self.pa_bits) } else { layout }
    }

    /// A plan for a device, which is slower, and reaches RAM only.
    pub fn dma(seed: u64) -> Self {
        Self { maps: 60, places_of_a_mapping: 2, accesses_of_a_page: 2, ..Self::new(seed) }
    }
}
