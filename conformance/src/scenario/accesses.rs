//! What accesses do: by whom, with which protection, and why not.

use super::untouched::Untouched;
use super::{Scene, wrong};
use crate::known::Fault;
use crate::ram::Ram;
use crate::walker::{Access, Outcome, Privilege, Reason, Reasons, Request, Told, UNTOLD, Walker};
use crate::wording;
use generic_pt::iommu::Walkers;
use generic_pt::{Features, Invalidation, Prot};
use std::io;

/// A page's place that an access goes to.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) va: u64,
    pub(super) pa: u64,
    pub(super) prot: Prot,
}

impl<F: Walkers> Scene<'_, '_, F> {
    /// Tries accesses at the ends and in the middle of every part of the data that is mapped, and beside every mapping; nothing but
    /// what was written may have changed.
    pub(super) fn check_accesses(&mut self, walker: &mut dyn Walker, ram: &Ram) -> io::Result<()> {
        let bytes = self.plan.access_bytes;
        let untouched = Untouched::new(walker, ram)?;
        for (start, mapping) in self.mappings.clone() {
            for part in Self::data_of(mapping, ram) {
                let inside = (part.start + self.rng.below(part.end - part.start)) & !(bytes - 1);
                for pa in [part.start, part.end - bytes, inside].into_iter().take(self.plan.accesses_of_a_page) {
                    let va = start + (pa - mapping.pa);
                    if self.reaches(walker, va, Some(pa)) {
                        self.check_place(walker, ram, Place { va, pa, prot: mapping.prot })?;
                    }
                }
            }
            // Where nothing is: at its end, and elsewhere.
            self.check_nothing(walker, start.wrapping_add(mapping.bytes))?;
            self.check_transfers(walker, ram, start, mapping)?;
        }
        // What lies outside of the tables' reach.
        let last = self.table.info().aperture.last;
        let fixed = [last.wrapping_add(1), last.wrapping_mul(2).wrapping_add(1) & !7];
        for va in fixed.into_iter().chain(self.outside(ram)) {
            self.check_nothing(walker, va)?;
        }
        untouched.check(ram)
    }

    fn request(&mut self, walker: &dyn Walker, va: u64, access: Access, value: u64) -> Request {
        let privilege = self.rng.one_of(walker.privileges(access));
        Request { va, access, privilege, bytes: self.plan.access_bytes, value }
    }

    /// Tries everything there, each by one of those who can.
    fn check_place(&mut self, walker: &mut dyn Walker, ram: &Ram, place: Place) -> io::Result<()> {
        for access in accesses_of(walker) {
            let privilege = self.rng.one_of(walker.privileges(access));
            self.check_access(walker, ram, place, access, privilege)?;
        }
        Ok(())
    }

    /// What is permitted is done, at the right place, and what is not is refused; then memory is as before.
    pub(super) fn check_access(
        &mut self,
        walker: &mut dyn Walker,
        ram: &Ram,
        place: Place,
        access: Access,
        privilege: Privilege,
    ) -> io::Result<()> {
        let Place { va, pa, prot } = place;
        let bytes = self.plan.access_bytes;
        let mask = u64::MAX >> (u64::BITS - 8 * bytes as u32);
        let before = ram.read_u64(pa & !7)?;
        let value = self.rng.any() & mask;
        let new = !value & mask;
        match access {
            Access::Read | Access::Write => ram.write(pa, &value.to_le_bytes()[..bytes as usize])?,
            Access::Execute => ram.write(pa, walker.instruction().unwrap_or_default())?,
        }
        let request = Request { va, access, privilege, bytes, value: if access == Access::Write { new } else { 0 } };
        let mut outcome = self.attempt(walker, &request, Some(prot))?;
        let left = ram.read_u64(pa & !7)? >> (8 * (pa & 7)) & mask;
        if access == Access::Write && outcome == Outcome::Untold {
            outcome = if left == value { Outcome::Fault(UNTOLD) } else { Outcome::Done(0) };
        }
        self.judge(walker, &request, place, outcome, (access == Access::Read).then_some(value))?;
        let expected = if access == Access::Write && matches!(outcome, Outcome::Done(_)) { new } else { value };
        if access != Access::Execute && left != expected {
            return Err(wrong(format!("{request}: after it {pa:#x} holds {left:#x}, not {expected:#x}")));
        }
        ram.write(pa & !7, &before.to_le_bytes())
    }

    /// Tries everything at an address, if nothing is mapped there.
    fn check_nothing(&mut self, walker: &mut dyn Walker, va: u64) -> io::Result<()> {
        if self.expected(va).is_some() || !self.reaches(walker, va, None) {
            return Ok(());
        }
        for access in accesses_of(walker) {
            let value = self.rng.any();
            let request = self.request(walker, va, access, value);
            self.counts.accesses += 1;
            let outcome = self.attempt(walker, &request, None)?;
            let reason = self.reason(va);
            match outcome {
                Outcome::Fault(reasons) => self.refused(walker, &request, reasons, &[reason])?,
                // In the end all of the data are looked at.
                Outcome::Untold if access == Access::Write => self.refused(walker, &request, UNTOLD, &[reason])?,
                outcome => return Err(wrong(format!("{request}: nothing is mapped, and it came to {outcome}"))),
            }
        }
        Ok(())
    }

    /// Why an address where nothing is mapped is refused.
    pub(super) fn reason(&self, va: u64) -> Reason {
        let aperture = self.table.info().aperture;
        let is_inside = |va| (aperture.va..=aperture.last).contains(&va);
        let mirrors = self.table.common().has(Features::SIGN_EXTEND) && is_inside(!va);
        if is_inside(va) || mirrors { Reason::NotMapped } else { Reason::OutOfRange }
    }

    /// Tries it, where a page is of that protection. What may not be done can be refused by what the walker remembers, without a
    /// reason: then it forgets the address, and has to refuse it again. (It is not made to forget before, so that what it must not
    /// remember any more shows.)
    pub(super) fn attempt(
        &mut self,
        walker: &mut dyn Walker,
        request: &Request,
        prot: Option<Prot>,
    ) -> io::Result<Outcome> {
        self.tried_va = Some(request.va);
        let outcome = walker.access(request)?;
        let permitted = prot.is_some_and(|prot| walker.permits(prot, request.access, request.privilege));
        if permitted || !has_to_tell(walker, request, outcome) {
            return Ok(outcome);
        }
        self.forget(walker, request)?;
        walker.access(request)
    }

    /// Has the walker forget the addresses of a request that it refused without telling why.
    pub(super) fn forget(&mut self, walker: &mut dyn Walker, request: &Request) -> io::Result<()> {
        self.counts.met.count(Fault::CachedWithoutRecord);
        let inside = self.sizes()[0] - 1;
        let va = request.va & !inside;
        let last = request.last_va() | inside;
        walker.invalidate(&Invalidation { va, last, ..Invalidation::EVERYTHING })
    }

    /// Counts a refusal, which has to be for one of these reasons, of which the walker tells.
    pub(super) fn refused(
        &mut self,
        walker: &dyn Walker,
        request: &Request,
        told: Reasons,
        expected: &[Reason],
    ) -> io::Result<()> {
        self.counts.faults += 1;
        match walker.reasons_told(request.last_va()) {
            Told::Always if told.is_empty() => {
                return Err(wrong(format!(
                    "{request} was refused, and it is not told why: {}",
                    wording::Why(expected)
                )));
            }
            Told::Faulty(fault) if told.is_empty() => self.counts.met.count(fault),
            Told::Never if told.is_empty() => {}
            _ if !told.iter().any(|reason| expected.contains(reason)) => {
                return Err(wrong(format!(
                    "{request} was refused as {}, and not as {}",
                    wording::Why(told),
                    wording::Why(expected)
                )));
            }
            _ => self.counts.reasons += 1,
        }
        Ok(())
    }

    fn judge(
        &mut self,
        walker: &dyn Walker,
        request: &Request,
        Place { pa, prot, .. }: Place,
        outcome: Outcome,
        value: Option<u64>,
    ) -> io::Result<()> {
        let permitted = walker.permits(prot, request.access, request.privilege);
        self.counts.accesses += 1;
        self.counts.of_users += u64::from(request.privilege != Privilege::Supervisor);
        self.counts.cells.count(prot, request.access, request.privilege);
        match outcome {
            Outcome::Fault(_) if permitted => Err(wrong(format!("{request} with {prot:?} was refused"))),
            Outcome::Fault(reasons) => self.refused(walker, request, reasons, &[Reason::NotPermitted]),
            Outcome::Done(_) | Outcome::Permitted { .. } if !permitted => {
                Err(wrong(format!("{request} with {prot:?} was done")))
            }
            Outcome::Done(read) if value.is_some_and(|value| value != read) => {
                Err(wrong(format!("{request} read {read:#x}, where {} is", wording::Address(value))))
            }
            Outcome::Permitted { pa: found } if found != pa => {
                Err(wrong(format!("{request} goes to {found:#x}, not {pa:#x}")))
            }
            Outcome::Done(_) | Outcome::Permitted { .. } => self.went_through(request.va).map(|_| ()),
            Outcome::Partly(..) => Err(wrong(format!("{request} with {prot:?} was done in parts: {outcome}"))),
            Outcome::Untold => Err(wrong(format!("{request}: the walker does not tell what became of it"))),
        }
    }
}

/// What the walker can try.
fn accesses_of(walker: &dyn Walker) -> impl Iterator<Item = Access> + use<> {
    let count = if walker.instruction().is_some() { 3 } else { 2 };
    [Access::Read, Access::Write, Access::Execute].into_iter().take(count)
}

/// Whether it came to nothing that is told, where the walker has to tell why.
pub(super) fn has_to_tell(walker: &dyn Walker, request: &Request, outcome: Outcome) -> bool {
    walker.reasons_told(request.last_va()) == Told::Always
        && matches!(outcome, Outcome::Untold | Outcome::Fault(UNTOLD))
}
