//! Whether hardware that walks tables sees what is in the CPU's caches, as a type: so that walkers are compiled for each.

/// How hardware reads tables.
pub trait Coherence {
    /// Whether it sees what the CPU wrote as soon as other CPUs do: else items are flushed when they are written.
    const READS_CACHES: bool;
}

/// Hardware that reads what is in the CPU's caches.
pub(super) enum Coherent {}

/// Hardware that reads memory: with [`Features::DMA_INCOHERENT`](crate::Features::DMA_INCOHERENT).
pub(super) enum Incoherent {}

impl Coherence for Coherent {
    const READS_CACHES: bool = true;
}

impl Coherence for Incoherent {
    const READS_CACHES: bool = false;
}
