//! Queues of commands in memory, as all IOMMUs have them.

use crate::ram::Ram;
use std::io;

/// A ring of commands. What an IOMMU is told of it is made from [`given`](Self::given).
#[derive(Debug)]
pub struct Queue {
    pa: u64,
    entry_bytes: u64,
    entries: u64,
    given: u64,
}

impl Queue {
    /// An empty ring at `pa`, of so many entries of 16 bytes or more.
    pub fn new(pa: u64, entries: u64, entry_bytes: u64) -> Self {
        Self { pa, entry_bytes, entries, given: 0 }
    }

    /// Puts a command into the next entry: its first two words. Others stay 0.
    ///
    /// # Errors
    /// The ring is not in RAM.
    pub fn put(&mut self, ram: &Ram, words: [u64; 2]) -> io::Result<()> {
        ram.write_u64s(self.pa + self.entry_bytes * self.index(), &words)?;
        self.given += 1;
        Ok(())
    }

    /// The commands put so far.
    pub fn given(&self) -> u64 {
        self.given
    }

    /// The entry that is next.
    pub fn index(&self) -> u64 {
        self.given % self.entries
    }

    /// Its offset, in bytes.
    pub fn offset(&self) -> u64 {
        self.entry_bytes * self.index()
    }
}
