//! What every walker can do.

use crate::known::{Fault, Met};
use generic_pt::{Invalidation, Prot};
use std::any::Any;
use std::io;
use std::ops::Range;

/// What is tried at an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Read some bytes.
    Read,
    /// Write some bytes.
    Write,
    /// Execute one instruction, [`Walker::instruction`].
    Execute,
}

/// Who tries it. All pages of the library are those of users.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Privilege {
    /// A kernel that may use the pages of users; a device.
    Supervisor,
    /// A kernel that keeps itself from using the pages of users: SMAP and SMEP, PAN, no SUM.
    Guarded,
    /// A user: ring 3, EL0, U-mode.
    User,
}

/// An access.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Where.
    pub va: u64,
    /// What.
    pub access: Access,
    /// By whom.
    pub privilege: Privilege,
    /// How many bytes, up to eight; not of executions.
    pub bytes: u64,
    /// What a write writes.
    pub value: u64,
}

impl Request {
    /// A read by a kernel, or a device.
    pub const fn read(va: u64, bytes: u64) -> Self {
        Self { va, access: Access::Read, privilege: Privilege::Supervisor, bytes, value: 0 }
    }

    /// The last byte.
    pub fn last_va(&self) -> u64 {
        self.va.saturating_add(self.bytes - 1)
    }
}

/// Why hardware refuses an access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// There is no page.
    NotMapped,
    /// There is one, which may not be used so.
    NotPermitted,
    /// The tables do not reach so far, or the address is not canonical.
    OutOfRange,
}

/// The reasons that one code of a machine stands for; none if it tells nothing.
pub type Reasons = &'static [Reason];

/// A machine that refuses without telling why.
pub const UNTOLD: Reasons = &[];

/// Of which refusals a walker tells why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// Of all, or of all but those that come from what it remembers.
    Always,
    /// Of none: nothing asks it.
    Never,
    /// Of none, which is a fault of the model.
    Faulty(Fault),
}

/// Numbers of bytes that an access can have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Widths {
    /// Those of the plan.
    OfThePlan,
    /// Those of the plan, at their multiples; and one, at any address.
    OrOne,
    /// One to eight, at any address: of a device.
    Any,
}

/// What became of an access.
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
    /// Of a device's read: what came of it, and why the rest was refused.
    Partly(u64, Reasons),
    /// The walker refused it.
    Fault(Reasons),
}

/// Whether a walker can be asked about an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// It can.
    Asked,
    /// It has no such address, or nothing of its is there.
    Elsewhere,
    /// It could, but for a fault of the model.
    Avoided(Fault),
}

/// Pages by which a fault of a model is asked for. Nothing else is mapped, but for the window.
#[derive(Clone, Copy, Debug)]
pub struct Pages {
    /// May be read, written and executed.
    pub executable_va: u64,
    /// May be read and written.
    pub data_va: u64,
    /// May be read and written: the last of the table's reach.
    pub last_va: u64,
}

impl Reach {
    /// Of a machine whose addresses have 32 bits.
    pub fn of_32_bits(va: u64) -> Self {
        if va >> 32 == 0 { Self::Asked } else { Self::Elsewhere }
    }
}

/// A machine with a table.
pub trait Walker {
    /// The physical address that `va` translates to, where the machine can be asked without an access. Of others a read tells, as
    /// memory holds its own addresses.
    fn translate(&mut self, _va: u64) -> Option<io::Result<Option<u64>>> {
        None
    }

    /// An instruction that [`Access::Execute`] executes, if the walker can be made to execute what is mapped.
    fn instruction(&self) -> Option<&'static [u8]> {
        None
    }

    /// Who can try that.
    fn privileges(&self, _access: Access) -> &'static [Privilege] {
        &[Privilege::Supervisor]
    }

    /// How many bytes one access can have.
    fn widths(&self) -> Widths {
        Widths::OfThePlan
    }

    /// Whether it can be asked about an address that goes there, or nowhere. A machine of 32 bits has no others.
    fn reaches(&self, _va: u64, _pa: Option<u64>) -> Reach {
        Reach::Asked
    }

    /// The faults of the model that were come across in here since this was asked last.
    fn take_met(&mut self) -> Met {
        Met::default()
    }

    /// Faults of the model that are avoided or undone in here, so that an access does not show whether it still has them.
    fn avoids(&self) -> Vec<Fault> {
        Vec::new()
    }

    /// Whether the model still has a fault that is avoided, by these pages.
    ///
    /// # Errors
    /// The machine does not work, or nothing of that fault is avoided.
    fn still_has(&mut self, fault: Fault, _pages: &Pages) -> io::Result<bool> {
        Err(io::Error::other(format!("this walker does not avoid {fault:?}")))
    }

    /// Makes it forget what a driver has to make it forget.
    ///
    /// # Errors
    /// The machine does not work.
    fn invalidate(&mut self, what: &Invalidation) -> io::Result<()>;

    /// Points it to a higher top of the same table, by the `HwInfo` of the format.
    ///
    /// # Errors
    /// The machine does not work, or its top cannot grow.
    fn change_top(&mut self, _info: &dyn Any) -> io::Result<()> {
        Err(io::Error::other("the top grew, and this walker has a fixed one"))
    }

    /// Whether [`translate`](Self::translate) sees a mapping with that protection: some walkers translate only for reading.
    fn sees(&self, _prot: Prot) -> bool {
        true
    }

    /// The fault of a walker that takes a page that may be written for one that may not, until it was written, when it fetches
    /// instructions.
    fn takes_clean_for_read_only(&self) -> Option<Fault> {
        None
    }

    /// Tries an access.
    ///
    /// # Errors
    /// The machine does not work.
    fn access(&mut self, request: &Request) -> io::Result<Outcome>;

    /// Whether it tells why it refuses an access that ends there: then it has to tell it of each refusal.
    fn reasons_told(&self, _last_va: u64) -> Told {
        Told::Always
    }

    /// Memory beside the data in which nothing changes while accesses are tried: of a walker that does not tell what it refuses,
    /// where a write that should have been refused may have gone.
    fn keeps(&self) -> Vec<Range<u64>> {
        Vec::new()
    }

    /// Whether a mapping with that protection permits the access.
    fn permits(&self, prot: Prot, access: Access, privilege: Privilege) -> bool;
}
