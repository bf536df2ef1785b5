//! What IOMMUs record of faults.

use crate::walker::{Outcome, Reasons, Request};
use std::io;

/// A fault that an IOMMU recorded.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// Why.
    pub reasons: Reasons,
    /// The ID of the device.
    pub device: u64,
    /// Where.
    pub va: u64,
    /// Addresses are recorded as multiples of that, a power of two.
    pub multiple: u64,
}

/// An outcome, with what was recorded: of that device, and of an address in the request.
///
/// # Errors
/// The record is of something else.
pub fn with_record(request: &Request, outcome: Outcome, recorded: Option<Record>, device: u64) -> io::Result<Outcome> {
    let Some(record) = recorded else { return Ok(outcome) };
    let first = request.va & !(record.multiple - 1);
    let last = request.va.wrapping_add(request.bytes - 1);
    if record.device != device || record.va.wrapping_sub(first) > last.wrapping_sub(first) {
        return Err(io::Error::other(format!(
            "{request} of device {device:#x}: recorded was, in hexadecimal, {record:x?}"
        )));
    }
    Ok(match outcome {
        Outcome::Done(read) => Outcome::Partly(read, record.reasons),
        _ => Outcome::Fault(record.reasons),
    })
}
