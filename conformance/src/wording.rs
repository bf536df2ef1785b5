//! How accesses, and what becomes of them, are told.

use crate::walker::{Access, Outcome, Reason, Request};
use std::fmt;

impl fmt::Display for Request {
    /// As in `Write of 4 bytes (0x688370f4) at 0x3b9ffc by Supervisor`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { va, access, privilege, bytes, value } = *self;
        match access {
            Access::Execute => write!(f, "Execute")?,
            Access::Read => write!(f, "Read of {bytes} bytes")?,
            Access::Write => write!(f, "Write of {bytes} bytes ({value:#x})")?,
        }
        write!(f, " at {va:#x} by {privilege:?}")
    }
}

impl fmt::Display for Outcome {
    /// As in `a refusal (not mapped or out of range)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(value) => write!(f, "done ({value:#x})"),
            Self::Permitted { pa } => write!(f, "permitted (to {pa:#x})"),
            Self::Untold => write!(f, "nothing that is told"),
            Self::Partly(value, reasons) => write!(f, "done in part ({value:#x}; the rest: {})", Why(reasons)),
            Self::Fault(reasons) => write!(f, "a refusal ({})", Why(reasons)),
        }
    }
}

/// Reasons, of which one is meant.
pub(crate) struct Why<'a>(pub(crate) &'a [Reason]);

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.0.iter().map(|reason| match reason {
            Reason::NotMapped => "not mapped",
            Reason::NotPermitted => "not permitted",
            Reason::OutOfRange => "out of range",
        });
        match words.collect::<Vec<_>>().join(" or ").as_str() {
            "" => write!(f, "no reason told"),
            words => write!(f, "{words}"),
        }
    }
}

/// An address, if there is one.
pub(crate) struct Address(pub(crate) Option<u64>);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => write!(f, "{address:#x}"),
            None => write!(f, "nothing"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::walker::{Access, Privilege};

    #[test]
    fn numbers_are_told_as_hexadecimal_ones() {
        let request =
            Request { va: 0x3b_9ffc, access: Access::Write, privilege: Privilege::User, bytes: 4, value: 0x6883_70f4 };
        assert_eq!(request.to_string(), "Write of 4 bytes (0x688370f4) at 0x3b9ffc by User");
        let outcome = Outcome::Fault(&[Reason::NotMapped, Reason::OutOfRange]);
        assert_eq!(outcome.to_string(), "a refusal (not mapped or out of range)");
        assert_eq!(Outcome::Fault(&[]).to_string(), "a refusal (no reason told)");
        assert_eq!(Address(Some(16)).to_string(), "0x10");
    }
}
