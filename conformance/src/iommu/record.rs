//! What IOMMUs record of faults.

use crate::walker::{Access, Outcome, Reasons, Request};
use std::io;

/// A fault that an IOMMU recorded.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// Why.
    pub reasons: Reasons,
    /// What was tried, if that is told.
    pub access: Option<Access>,
    /// The ID of the device.
    pub device: u64,
    /// Where.
    pub va: u64,
    /// Addresses are recorded as multiples of that, a power of two.
    pub multiple: u64,
}

/// An outcome, with what was recorded: of that device, of such an access, and of an address in the request.
///
/// # Errors
/// The record is of something else.
pub fn with_record(request: &Request, outcome: Outcome, recorded: Option<Record>, device: u64) -> io::Result<Outcome> {
    let Some(record) = recorded else { return Ok(outcome) };
    let first = request.va & !(record.multiple - 1);
    let last = request.va.wrapping_add(request.bytes - 1);
    let is_of_another = record.access.is_some_and(|access| access != request.access);
    if record.device != device || is_of_another || record.va.wrapping_sub(first) > last.wrapping_sub(first) {
        return Err(io::Error::other(format!(
            "{request} of device {device:#x}: recorded was, in hexadecimal, {record:x?}"
        )));
    }
    Ok(match outcome {
        Outcome::Done(read) => Outcome::Partly(read, record.reasons),
        _ => Outcome::Fault(record.reasons),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::walker::{Privilege, Reason};

    #[test]
    fn a_record_is_of_the_request() {
        let request =
            Request { va: 0x1ffe, access: Access::Read, privilege: Privilege::Supervisor, bytes: 8, value: 0 };
        let right =
            Record { reasons: &[Reason::NotMapped], access: Some(Access::Read), device: 0x20, va: 0x2005, multiple: 1 };
        let is_taken = |record| with_record(&request, Outcome::Untold, Some(record), 0x20).is_ok();
        assert!(is_taken(right));
        assert!(is_taken(Record { access: None, ..right }));
        assert!(is_taken(Record { va: 0x1000, multiple: 0x1000, ..right }));
        for wrong in [
            Record { access: Some(Access::Write), ..right },
            Record { device: 0x21, ..right },
            Record { va: 0x1ffd, ..right },
            Record { va: 0x2006, ..right },
            Record { va: 0x3000, multiple: 0x1000, ..right },
        ] {
            assert!(!is_taken(wrong), "{wrong:x?}");
        }
    }
}
