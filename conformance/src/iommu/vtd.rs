//! Intel's IOMMU: legacy tables, and both stages of scalable mode, with queued invalidation (VT-d specification, 6.5, 9 and 11).

use super::blocks::blocks;
use super::board::{Board, PC};
use super::permits_each;
use super::queue::Queue;
use super::record::{Record, with_record};
use crate::edu;
use crate::known::{Fault, Met};
use crate::ram::Ram;
use crate::vm;
use crate::walker::{Access, Outcome, Privilege, Reach, Reason, Reasons, Request, Walker, Widths};
use generic_pt::{Invalidation, Prot};
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;

/// Which tables are walked, with what the library tells of them.
#[derive(Clone, Copy, Debug)]
pub enum Tables {
    /// The second stage of a context entry: its top and address width.
    Legacy(u64, u32),
    /// The second stage of a PASID entry: its top and address width.
    Second(u64, u32),
    /// The first stage of a PASID entry: its top and levels.
    First(u64, u32),
}

impl Tables {
    fn is_scalable(self) -> bool {
        !matches!(self, Self::Legacy(..))
    }
}

const REGISTERS: u64 = 0xfed9_0000;
const CAPABILITIES: u64 = REGISTERS + 0x08;
const GLOBAL_COMMAND: u64 = REGISTERS + 0x18;
const GLOBAL_STATUS: u64 = REGISTERS + 0x1c;
const ROOT_TABLE: u64 = REGISTERS + 0x20;
const FAULT_STATUS: u64 = REGISTERS + 0x34;
const QUEUE_TAIL: u64 = REGISTERS + 0x88;
const QUEUE: u64 = REGISTERS + 0x90;

/// Global commands, and what says that they are done: translate; set the root; queued invalidation.
const TRANSLATE: u32 = 1 << 31;
const SET_ROOT: u32 = 1 << 30;
const QUEUED: u32 = 1 << 26;
/// Of the fault status: a record was not made; one is there.
const OVERFLOW: u32 = 1;
const PENDING: u32 = 1 << 1;
/// Of the second word of a record: it is one; of a read.
const RECORDED: u64 = 1 << 63;
const OF_READ: u64 = 1 << 62;
/// Of the root table's and the queue's address: scalable mode; descriptors of 256 bits.
const SCALABLE_ROOT: u64 = 1 << 10;
const WIDE_DESCRIPTORS: u64 = 1 << 11;

const ROOTS: u64 = PC.structures_pa;
const CONTEXTS: u64 = ROOTS + 0x1000;
const PASID_DIRECTORY: u64 = ROOTS + 0x2000;
const PASIDS: u64 = ROOTS + 0x3000;
const DESCRIPTORS: u64 = ROOTS + 0x4000;
const DESCRIPTORS_BYTES: u64 = 0x1000;
const DONE: u64 = ROOTS + 0x5000;

const DOMAIN: u64 = 1;

/// Descriptors: the first word. Leaves only is a hint in the second.
const CONTEXT_CACHE: u64 = 1;
const PASID_CACHE: u64 = 7;
const PASID_CACHE_GLOBAL: u64 = 3 << 4;
const GLOBAL: u64 = 1 << 4;
const IOTLB: u64 = 2;
const WAIT: u64 = 5;
const PASID_IOTLB: u64 = 6;
const WRITE_STATUS: u64 = 1 << 5;
const OF_DOMAIN: u64 = 2 << 4;
const OF_PAGES: u64 = 3 << 4;
const LEAVES_ONLY: u64 = 1 << 6;

/// The IOMMU of a PC.
#[derive(Debug)]
pub struct Vtd<'r> {
    board: Board<'r>,
    tables: Tables,
    descriptors: Queue,
    /// Where faults are recorded.
    record: u64,
    waits: u32,
    enabled: u32,
    met: Met,
    /// The largest block that one descriptor invalidates, as a power of two in bytes.
    largest_block_lg2: u32,
}

impl<'r> Vtd<'r> {
    /// An IOMMU with a table. It could walk 48 bits, whatever this one has.
    ///
    /// # Errors
    /// The machine does not work.
    pub fn new(program: &Path, tables: Tables, ram: &'r Ram) -> io::Result<Self> {
        let is_old = vm::major(program)? <= 10;
        let mode = match (tables, is_old) {
            (Tables::Legacy(..), _) => "",
            (Tables::Second(..), true) => ",x-scalable-mode=on",
            (Tables::Second(..), false) => ",scalable-mode=on",
            (Tables::First(..), true) => ",x-scalable-mode=on,x-flts=on",
            (Tables::First(..), false) => ",scalable-mode=on,fsts=on",
        };
        let device = format!("intel-iommu,aw-bits=48{mode}");
        let board = Board::new(program, &PC, &["-device", &device], 0, ram)?;
        let entry_bytes = if tables.is_scalable() { 32 } else { 16 };
        let descriptors = Queue::new(DESCRIPTORS, DESCRIPTORS_BYTES / entry_bytes, entry_bytes);
        let mut vtd = Self {
            board,
            tables,
            descriptors,
            record: 0,
            waits: 0,
            enabled: 0,
            met: Met::default(),
            largest_block_lg2: 0,
        };
        let root = vtd.write_entries()?;
        let capabilities = vtd.board.qtest.read_u64(CAPABILITIES)?;
        vtd.record = REGISTERS + 16 * (capabilities >> 24 & 0x3ff);
        vtd.largest_block_lg2 = 12 + (capabilities >> 48 & 0x3f) as u32;
        vtd.board.qtest.write_u64(QUEUE, DESCRIPTORS | if tables.is_scalable() { WIDE_DESCRIPTORS } else { 0 })?;
        vtd.command(QUEUED)?;
        vtd.board.qtest.write_u64(ROOT_TABLE, root)?;
        vtd.command(SET_ROOT)?;
        // What is kept of an earlier root is forgotten, in that order (6.6).
        vtd.queue(CONTEXT_CACHE | GLOBAL, 0)?;
        if tables.is_scalable() {
            vtd.queue(PASID_CACHE | PASID_CACHE_GLOBAL, 0)?;
        }
        vtd.queue(IOTLB | GLOBAL, 0)?;
        vtd.wait()?;
        vtd.command(TRANSLATE)?;
        Ok(vtd)
    }

    /// Gives a global command, and returns when it is done.
    fn command(&mut self, command: u32) -> io::Result<()> {
        let qtest = &mut self.board.qtest;
        qtest.write_u32(GLOBAL_COMMAND, self.enabled | command)?;
        qtest.wait_u32(GLOBAL_STATUS, |status| status & command != 0)?;
        // Setting the root is done once.
        self.enabled |= command & !SET_ROOT;
        Ok(())
    }

    /// Writes the way from the device to the table. Returns what the root table's register holds.
    fn write_entries(&self) -> io::Result<u64> {
        let write = |at, words: &[u64]| self.board.ram.write_u64s(at, words);
        write(ROOTS, &[CONTEXTS | 1])?;
        let pasid = match self.tables {
            Tables::Legacy(ssptptr, aw) => {
                write(CONTEXTS + 16 * edu::REQUESTER, &[ssptptr | 1, u64::from(aw) | DOMAIN << 8])?;
                return Ok(ROOTS);
            }
            Tables::Second(ssptptr, aw) => [1 | u64::from(aw) << 2 | 2 << 6 | ssptptr, DOMAIN, 0],
            // The model takes the address width for the first stage's, too.
            Tables::First(root, levels) => {
                let levels = u64::from(levels);
                [1 | (levels - 2) << 2 | 1 << 6, DOMAIN, root | (levels - 4) << 2]
            }
        };
        write(CONTEXTS + 32 * edu::REQUESTER, &[PASID_DIRECTORY | 1])?;
        write(PASID_DIRECTORY, &[PASIDS | 1])?;
        write(PASIDS, &pasid)?;
        Ok(ROOTS | SCALABLE_ROOT)
    }

    fn queue(&mut self, first: u64, second: u64) -> io::Result<()> {
        self.descriptors.put(self.board.ram, [first, second])?;
        self.board.qtest.write_u64(QUEUE_TAIL, self.descriptors.offset())
    }

    /// The first fault since this was asked last: the model has one record, and drops what comes before that is cleared.
    fn take_fault(&mut self) -> io::Result<Option<Record>> {
        let qtest = &mut self.board.qtest;
        if qtest.read_u32(FAULT_STATUS)? & (PENDING | OVERFLOW) == 0 {
            return Ok(None);
        }
        let (va, details) = (qtest.read_u64(self.record)?, qtest.read_u64(self.record + 8)?);
        if details & RECORDED == 0 {
            return Err(io::Error::other(format!("a fault is pending, and its record is {details:#x}")));
        }
        qtest.write_u32(self.record + 12, (RECORDED >> 32) as u32)?;
        qtest.write_u32(FAULT_STATUS, OVERFLOW)?;
        let access = if details & OF_READ == 0 { Access::Write } else { Access::Read };
        let code = details >> 32 & 0xff;
        if matches!(self.tables, Tables::Second(..)) && LEGACY_CODES.contains(&code) {
            self.met.count(Fault::LegacyCodes);
        }
        let reasons = reasons(self.tables, access, code)?;
        Ok(Some(Record { reasons, access: Some(access), device: details & 0xffff, va: va & !0xfff, multiple: 0x1000 }))
    }

    /// Returns when all that was queued is done.
    fn wait(&mut self) -> io::Result<()> {
        self.waits += 1;
        self.queue(WAIT | WRITE_STATUS | u64::from(self.waits) << 32, DONE)?;
        let waits = self.waits;
        self.board.qtest.wait_u32(DONE, |done| done == waits)
    }
}

/// Reasons of the second stage of legacy mode: beyond the width; a write; a read. The model has them for scalable mode, too.
const LEGACY_CODES: RangeInclusive<u64> = 0x04..=0x06;

/// What the reason of a fault says (7.1.3, and of scalable mode its table of conditions: SSS.2, SGN.5 to 7, and those of the first
/// stage). Second stages of legacy mode have the same for pages that are not there and those without the permission, one for each
/// access.
fn reasons(tables: Tables, access: Access, code: u64) -> io::Result<Reasons> {
    match (tables, access, code) {
        (Tables::Second(..), _, 0x79) => Ok(&[Reason::NotMapped]),
        (Tables::Second(..), _, 0x84) => Ok(&[Reason::OutOfRange]),
        (Tables::Second(..), Access::Write, 0x85) | (Tables::Second(..), Access::Read, 0x86) => {
            Ok(&[Reason::NotPermitted])
        }
        (Tables::Legacy(..) | Tables::Second(..), Access::Write, 0x05)
        | (Tables::Legacy(..) | Tables::Second(..), Access::Read, 0x06) => {
            Ok(&[Reason::NotMapped, Reason::NotPermitted])
        }
        (Tables::Legacy(..) | Tables::Second(..), _, 0x04) | (Tables::First(..), _, 0x80) => Ok(&[Reason::OutOfRange]),
        (Tables::First(..), _, 0x71) => Ok(&[Reason::NotMapped]),
        (Tables::First(..), Access::Write, 0x85) => Ok(&[Reason::NotPermitted]),
        _ => Err(io::Error::other(format!("fault of a {access:?} with reason {code:#x}"))),
    }
}

impl Walker for Vtd<'_> {
    fn reaches(&self, va: u64, pa: Option<u64>) -> Reach {
        self.board.reaches(va, pa)
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
    fn permits(&self, prot: Prot, access: Access, _: Privilege) -> bool {
        match self.tables {
            // What can be written can be read.
            Tables::First(..) => access == Access::Read || prot.contains(Prot::WRITE),
            Tables::Legacy(..) | Tables::Second(..) => permits_each(prot, access),
        }
    }
    fn invalidate(&mut self, what: &Invalidation) -> io::Result<()> {
        let kind = if matches!(self.tables, Tables::First(..)) { PASID_IOTLB } else { IOTLB };
        let of = kind | DOMAIN << 16;
        let hint = if what.unlinked_tables == 0 { LEAVES_ONLY } else { 0 };
        let is_small = |(_, lg2): (u64, u32)| lg2 <= self.largest_block_lg2;
        // The PASID is 0.
        if blocks(what.va, what.last).all(is_small) {
            for (va, lg2) in blocks(what.va, what.last) {
                self.queue(of | OF_PAGES, va | hint | u64::from(lg2 - 12))?;
            }
        } else {
            self.queue(of | OF_DOMAIN, 0)?;
        }
        self.wait()
    }
}
