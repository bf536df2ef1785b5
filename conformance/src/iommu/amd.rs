//! AMD's IOMMU, with host tables.

use super::blocks::blocks;
use super::board::{Board, PC};
use super::permits_each;
use super::queue::Queue;
use super::record::{Record, with_record};
use crate::edu;
use crate::known::{Fault, Met};
use crate::ram::{Ram, TABLES_BYTES};
use crate::vm;
use crate::walker::{Access, Outcome, Pages, Privilege, Reach, Reason, Reasons, Request, Told, Walker, Widths};
use generic_pt::fmt::amdv1::HwInfo;
use generic_pt::{Invalidation, Prot};
use std::any::Any;
use std::io;
use std::ops::Range;
use std::path::Path;

const REGISTERS: u64 = 0xfed8_0000;
const COMMANDS_TAIL: u64 = REGISTERS + 0x2008;

const EVENTS_HEAD: u64 = REGISTERS + 0x2010;
const EVENTS_TAIL: u64 = REGISTERS + 0x2018;

const DEVICES: u64 = PC.structures_pa;
const COMMANDS: u64 = DEVICES + 0x1000;
const EVENTS: u64 = DEVICES + 0x2000;
const DONE: u64 = DEVICES + 0x3000;

/// Entries of the queues, as a power of two.
const QUEUE_LG2: u64 = 8;

const EVENT_BYTES: u64 = 16;

const DOMAIN: u64 = 1;

/// Of an item: present; and the code of a next level that is none, but has the size in the address.
const PR: u64 = 1;
const SIZE_IN_ADDRESS: u64 = 7;

/// Commands: the first word.
const COMPLETION_WAIT: u64 = 1 << 60;
const INVALIDATE_DEVICE: u64 = 2 << 60;
const INVALIDATE_PAGES: u64 = 3 << 60;
/// In the second word of the latter: the size is in the address; table pointers, too.
const SIZE: u64 = 1;
const POINTERS: u64 = 1 << 1;

/// Events: the first word. What IO_PAGE_FAULT is by, and its flags: an interrupt's, the page is there, a write, not permitted.
const IO_PAGE_FAULT: u64 = 2;
const OF_INTERRUPT: u64 = 1 << 51;
const PRESENT: u64 = 1 << 52;
const OF_WRITE: u64 = 1 << 53;
const NO_PERMISSION: u64 = 1 << 54;

/// The IOMMU of a PC.
#[derive(Debug)]
pub struct Amd<'r> {
    board: Board<'r>,
    commands: Queue,
    waits: u32,
    /// VA bits that the table decodes.
    va_bits: u32,
    /// The top of the table, and its levels.
    top: (u64, u32),
    present: Present,
    met: Met,
}

/// What PR of a leaf is to the model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Present {
    /// A leaf without it is none.
    Read,
    /// Whatever is not zero is a leaf.
    Ignored,
}

impl<'r> Amd<'r> {
    /// An IOMMU with a table.
    ///
    /// # Errors
    /// The machine does not work.
    pub fn new(program: &Path, info: &HwInfo, ram: &'r Ram) -> io::Result<Self> {
        let (device, present) = match vm::major(program)? {
            ..=9 => ("amd-iommu", Present::Ignored),
            10 => ("amd-iommu,pt=off", Present::Ignored),
            11.. => ("amd-iommu,dma-remap=on", Present::Read),
        };
        let board = Board::new(program, &PC, &["-device", device], 0, ram)?;
        let commands = Queue::new(COMMANDS, 1 << QUEUE_LG2, 16);
        let mut amd = Self { board, commands, waits: 0, va_bits: 0, top: (0, 0), present, met: Met::default() };
        ram.write(DEVICES + 32 * edu::REQUESTER + 8, &DOMAIN.to_le_bytes())?;
        for (register, value) in [
            (0x00, DEVICES),
            (0x08, COMMANDS | QUEUE_LG2 << 56),
            (0x10, EVENTS | QUEUE_LG2 << 56),
            (0x18, 1 | 1 << 2 | 1 << 12),
        ] {
            amd.board.qtest.write_u64(REGISTERS + register, value)?;
        }
        amd.install(info)?;
        amd.invalidate(&Invalidation::EVERYTHING)?;
        Ok(amd)
    }

    /// Points the device to a table.
    fn install(&mut self, info: &HwInfo) -> io::Result<()> {
        let HwInfo { host_pt_root: root, mode } = *info;
        self.va_bits = 12 + 9 * mode;
        self.top = (root, mode);
        // Valid, with a table that may be read and written.
        let entry = 1 | 1 << 1 | u64::from(mode) << 9 | root | 1 << 61 | 1 << 62;
        self.board.ram.write(DEVICES + 32 * edu::REQUESTER, &entry.to_le_bytes())?;
        self.command(INVALIDATE_DEVICE | edu::REQUESTER, 0)?;
        self.wait()
    }

    /// Where the item is that translates an address (48882, 2.2.3).
    fn leaf_of(&self, va: u64) -> io::Result<u64> {
        let (mut table, mut level) = self.top;
        while level != 0 {
            let item_pa = table + 8 * (va >> (12 + 9 * (level - 1)) & 0x1ff);
            let item = self.board.ram.read_u64(item_pa)?;
            match (item & PR, item >> 9 & 7) {
                (0, _) => break,
                (_, 0 | SIZE_IN_ADDRESS) => return Ok(item_pa),
                (_, below) => (table, level) = (item & 0xf_ffff_ffff_f000, below as u32),
            }
        }
        Err(io::Error::other(format!("there is no leaf of {va:#x}")))
    }

    /// Whether the model still translates by a leaf without PR.
    fn still_ignores_present(&mut self, va: u64) -> io::Result<bool> {
        let leaf_pa = self.leaf_of(va)?;
        let leaf = self.board.ram.read_u64(leaf_pa)?;
        let mut outcome = Outcome::Untold;
        for item in [leaf & !PR, leaf] {
            self.board.ram.write_u64s(leaf_pa, &[item])?;
            self.invalidate(&Invalidation::EVERYTHING)?;
            if item != leaf {
                outcome = self.access(&Request::read(va, 8))?;
            }
        }
        Ok(matches!(outcome, Outcome::Done(_)))
    }

    /// The last fault since this was asked last (48882, 2.5.3).
    fn take_fault(&mut self) -> io::Result<Option<Record>> {
        let qtest = &mut self.board.qtest;
        let (head, tail) = (qtest.read_u32(EVENTS_HEAD)?, qtest.read_u32(EVENTS_TAIL)?);
        if head == tail {
            return Ok(None);
        }
        qtest.write_u32(EVENTS_HEAD, tail)?;
        let last = u64::from(tail).wrapping_sub(EVENT_BYTES) % (EVENT_BYTES << QUEUE_LG2);
        let (what, va) = (self.board.ram.read_u64(EVENTS + last)?, self.board.ram.read_u64(EVENTS + last + 8)?);
        let reasons: Reasons = match (what >> 60, what & (OF_INTERRUPT | PRESENT | NO_PERMISSION)) {
            (IO_PAGE_FAULT, 0) => &[Reason::NotMapped, Reason::OutOfRange],
            (IO_PAGE_FAULT, flags) if flags == PRESENT | NO_PERMISSION => &[Reason::NotPermitted],
            _ => return Err(io::Error::other(format!("event {what:#x} at {va:#x}"))),
        };
        // Told of pages that are there.
        let of_page = if what & OF_WRITE == 0 { Access::Read } else { Access::Write };
        let access = (what & PRESENT != 0).then_some(of_page);
        Ok(Some(Record { reasons, access, device: what & 0xffff, va, multiple: 1 }))
    }

    fn command(&mut self, first: u64, second: u64) -> io::Result<()> {
        self.commands.put(self.board.ram, [first, second])?;
        self.board.qtest.write_u64(COMMANDS_TAIL, self.commands.offset())
    }

    /// Returns when all commands are done. (The register of the head is no way to tell: in the model it is the end of the ring, not
    /// its beginning, after the last entry.)
    fn wait(&mut self) -> io::Result<()> {
        self.waits += 1;
        let waits = self.waits;
        self.command(COMPLETION_WAIT | DONE | 1, waits.into())?;
        self.board.qtest.wait_u32(DONE, |done| done == waits)
    }
}

impl Walker for Amd<'_> {
    /// The model drops the bits of an address that the mode does not decode, where hardware would refuse it.
    fn reaches(&self, va: u64, pa: Option<u64>) -> Reach {
        if va.checked_shr(self.va_bits).unwrap_or(0) == 0 {
            self.board.reaches(va, pa)
        } else {
            Reach::Avoided(Fault::BeyondMode)
        }
    }
    fn avoids(&self) -> Vec<Fault> {
        // With more levels there are no such bits.
        let bits = (self.va_bits < u64::BITS).then_some(Fault::BeyondMode);
        let present = (self.present == Present::Ignored).then_some(Fault::PresentIgnored);
        bits.into_iter().chain(present).collect()
    }
    fn still_has(&mut self, fault: Fault, pages: &Pages) -> io::Result<bool> {
        match fault {
            Fault::BeyondMode => {
                let request = Request::read(pages.data_va | 1 << self.va_bits, 8);
                Ok(matches!(self.access(&request)?, Outcome::Done(_)))
            }
            Fault::PresentIgnored => {
                let still_has = self.still_ignores_present(pages.data_va)?;
                if still_has {
                    // No other access comes across it: no leaf of the library is without PR.
                    self.met.count(fault);
                }
                Ok(still_has)
            }
            other => Err(io::Error::other(format!("this walker does not avoid {other:?}"))),
        }
    }
    fn take_met(&mut self) -> Met {
        self.met.take()
    }
    fn widths(&self) -> Widths {
        Widths::Any
    }
    fn sees(&self, prot: Prot) -> bool {
        self.permits(prot, Access::Read, Privilege::Supervisor)
    }
    fn access(&mut self, request: &Request) -> io::Result<Outcome> {
        self.take_fault()?;
        let outcome = self.board.access(request)?;
        with_record(request, outcome, self.take_fault()?, edu::REQUESTER)
    }
    fn reasons_told(&self, _last_va: u64) -> Told {
        Told::Faulty(Fault::NoRecords)
    }
    /// The tables, in which the model sets no bits; the device table; and the window, but for the page of the exchange.
    fn keeps(&self) -> Vec<Range<u64>> {
        let tables_pa = self.board.ram.tables_pa();
        let [before, behind] = self.board.around_exchange();
        Vec::from([tables_pa..tables_pa + TABLES_BYTES as u64, DEVICES..COMMANDS, before, behind])
    }
    fn permits(&self, prot: Prot, access: Access, _: Privilege) -> bool {
        permits_each(prot, access)
    }
    fn invalidate(&mut self, what: &Invalidation) -> io::Result<()> {
        let pointers = if what.unlinked_tables == 0 { 0 } else { POINTERS };
        for (va, lg2) in blocks(what.va, what.last) {
            // The lowest clear bit from bit 12 on is that of half of the size.
            let ones = (1u128 << (lg2 - 1)) as u64 - 1;
            let size = if lg2 == 12 { 0 } else { ones & !0xfff | SIZE };
            self.command(INVALIDATE_PAGES | DOMAIN << 32, va | size | pointers)?;
        }
        self.wait()
    }
    fn change_top(&mut self, info: &dyn Any) -> io::Result<()> {
        let info = info.downcast_ref::<HwInfo>().ok_or_else(|| io::Error::other("this is not a top of amdv1"))?;
        self.install(info)
    }
}
