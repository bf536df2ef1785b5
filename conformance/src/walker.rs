//! What every walker can do.

use generic_pt::format::Top;
use generic_pt::{Invalidation, Prot};
use std::io;

/// What is tried at an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Read eight bytes.
    Read,
    /// Write eight bytes.
    Write,
    /// Execute one instruction, [`Walker::instruction`].
    Execute,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was done; what was read.
    Done(u64),
    /// It would be done, there.
    Permitted {
        /// The physical address.
        pa: u64,
    },
    /// The walker tells nothing: memory shows it.
    Untold,
    /// The walker refused it.
    Fault,
}

/// A machine with a table.
pub trait Walker {
    /// The physical address that `va` translates to.
    ///
    /// # Errors
    /// The machine does not work.
    fn translate(&mut self, va: u64) -> io::Result<Option<u64>>;

    /// Whether an access may be tried that has to be refused for its protection.
    fn survives_refusing(&self) -> bool {
        true
    }

    /// An instruction that [`Access::Execute`] executes, if the walker can be made to execute what is mapped.
    fn instruction(&self) -> Option<&'static [u8]> {
        None
    }

    /// Whether it can be asked about an address that goes there, or nowhere.
    fn reaches(&self, _va: u64, _pa: Option<u64>) -> bool {
        true
    }

    /// Makes it forget what a driver has to make it forget.
    ///
    /// # Errors
    /// The machine does not work.
    fn invalidate(&mut self, what: &Invalidation) -> io::Result<()>;

    /// Points it to a higher top of the same table.
    ///
    /// # Errors
    /// The machine does not work, or its top cannot grow.
    fn change_top(&mut self, top: Top) -> io::Result<()> {
        Err(io::Error::other(format!("the top grew to level {}, and this walker has a fixed one", top.level)))
    }

    /// Whether [`translate`](Self::translate) sees a mapping with that protection: some walkers translate only for reading.
    fn sees(&self, _prot: Prot) -> bool {
        true
    }

    /// Tries an access; `value` is what a write writes.
    ///
    /// # Errors
    /// The machine does not work.
    fn access(&mut self, va: u64, access: Access, value: u64) -> io::Result<Outcome>;

    /// Whether a mapping with that protection permits the access.
    fn permits(&self, prot: Prot, access: Access) -> bool;
}
