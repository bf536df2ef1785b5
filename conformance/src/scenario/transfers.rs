//! Transfers of any length at any address, across boundaries: of devices.

use super::{Mapping, Scene, wrong};
use crate::ram::Ram;
use crate::walker::{Access, Outcome, Privilege, Reason, Reasons, Request, Told, UNTOLD, Walker, Widths};
use generic_pt::iommu::Walkers;
use std::io;

/// The most bytes of a transfer.
const MOST_BYTES: usize = 8;

/// One byte of a transfer.
#[derive(Clone, Copy)]
struct Byte {
    /// Where it is, if something is mapped there.
    pa: Option<u64>,
    /// Why it has to be refused.
    refused_as: Option<Reason>,
}

impl<F: Walkers> Scene<'_, '_, F> {
    /// Around both ends of a mapping: the byte inside, the byte outside, and if the walker can do that bytes on both sides at once.
    pub(super) fn check_transfers(
        &mut self,
        walker: &mut dyn Walker,
        ram: &Ram,
        start: u64,
        mapping: Mapping,
    ) -> io::Result<()> {
        let most = match walker.widths() {
            Widths::OfThePlan => return Ok(()),
            Widths::OrOne => 1,
            Widths::Any => MOST_BYTES as u64,
        };
        let last = start + (mapping.bytes - 1);
        for (va, bytes) in [
            (start.wrapping_sub(1), 1),
            (start, 1),
            (last, 1),
            (last.wrapping_add(1), 1),
            (start.wrapping_sub(3), 8),
            (last - 4, 8),
            (last - 6, 7),
        ] {
            if bytes > most {
                continue;
            }
            for access in [Access::Read, Access::Write] {
                self.transfer(walker, ram, (va, bytes), access)?;
            }
        }
        Ok(())
    }

    /// The bytes of a transfer, if the walker can be asked for all of them.
    fn bytes(&mut self, walker: &dyn Walker, ram: &Ram, (va, bytes): (u64, u64), access: Access) -> Option<Vec<Byte>> {
        let mut byte = |va: u64| {
            let mapped = self.mapping_of(va).map(|(start, mapping)| (mapping.pa + (va - start), mapping.prot));
            let pa = mapped.map(|(pa, _)| pa);
            // The plan's alignment is not asked for here.
            let is_asked = self.reaches(walker, va & !7, pa.map(|pa| pa & !7));
            let permitted = mapped.is_some_and(|(_, prot)| walker.permits(prot, access, Privilege::Supervisor));
            let reason = if pa.is_some() { Reason::NotPermitted } else { self.reason(va) };
            let refused_as = (!permitted).then_some(reason);
            (is_asked && pa.is_none_or(|pa| ram.is_data(pa))).then_some(Byte { pa, refused_as })
        };
        (0..bytes).map(|n| va.checked_add(n).and_then(&mut byte)).collect()
    }

    /// All of it is permitted, and moved; or what is not permitted is not moved, for a reason that is told.
    fn transfer(
        &mut self,
        walker: &mut dyn Walker,
        ram: &Ram,
        (va, count): (u64, u64),
        access: Access,
    ) -> io::Result<()> {
        let Some(bytes) = self.bytes(walker, ram, (va, count), access) else { return Ok(()) };
        // No byte is zero, so that what is not moved can be told; nor are all bits set.
        let value = std::array::from_fn(|_| 1 + self.rng.below(0xfe) as u8);
        let request =
            Request { va, access, privilege: Privilege::Supervisor, bytes: count, value: u64::from_le_bytes(value) };
        let expected: Vec<Reason> = bytes.iter().filter_map(|byte| byte.refused_as).collect();
        self.tried_va = Some(va);
        let mut outcome = try_transfer(walker, ram, &request, &bytes)?;
        if !expected.is_empty() && walker.reasons_told(request.last_va()) == Told::Always && told(outcome).is_empty() {
            self.forget(walker, &request)?;
            outcome = try_transfer(walker, ram, &request, &bytes)?;
        }
        self.counts.accesses += 1;
        if !expected.is_empty() {
            self.refused(walker, &request, told(outcome), &expected)?;
        } else if matches!(outcome, Outcome::Fault(_) | Outcome::Partly(..)) {
            return Err(wrong(format!("{request} was refused: {outcome}")));
        }
        for pa in bytes.iter().filter_map(|byte| byte.pa) {
            ram.restore(pa)?;
        }
        Ok(())
    }
}

/// Why it was refused, if that is told.
fn told(outcome: Outcome) -> Reasons {
    match outcome {
        Outcome::Fault(reasons) | Outcome::Partly(_, reasons) => reasons,
        Outcome::Done(_) | Outcome::Permitted { .. } | Outcome::Untold => UNTOLD,
    }
}

/// Tries it, and compares what was moved.
fn try_transfer(walker: &mut dyn Walker, ram: &Ram, request: &Request, bytes: &[Byte]) -> io::Result<Outcome> {
    let value = request.value.to_le_bytes();
    for (byte, value) in bytes.iter().zip(value) {
        if let Some(pa) = byte.pa {
            // Of what a write writes, nothing is there.
            ram.write(pa, &[if request.access == Access::Read { value } else { !value }])?;
        }
    }
    let outcome = walker.access(request)?;
    let mut moved = match outcome {
        Outcome::Done(read) | Outcome::Partly(read, _) => read.to_le_bytes(),
        _ => [0; MOST_BYTES],
    };
    if request.access == Access::Write {
        for (n, byte) in bytes.iter().enumerate() {
            moved[n] = if let Some(pa) = byte.pa { ram.read_u8(pa)? } else { 0 };
            moved[n] = if moved[n] == !value[n] { 0 } else { moved[n] };
        }
    }
    let is_whole = bytes.iter().all(|byte| byte.refused_as.is_none());
    for (n, byte) in bytes.iter().enumerate() {
        let is_right = moved[n] == value[n] && byte.refused_as.is_none() || moved[n] == 0 && !is_whole;
        if !is_right {
            let (found, expected) = (moved[n], value[n]);
            let what = format!("{request}: {found:#x} was moved as byte {n}, not {expected:#x}");
            return Err(wrong(format!("{what} (refused as: {:?})", byte.refused_as)));
        }
    }
    Ok(outcome)
}
