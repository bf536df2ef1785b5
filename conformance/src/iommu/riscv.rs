//! The RISC-V IOMMU, first stage or second stage (RISC-V IOMMU architecture, 2 to 5).

use super::board::{Board, RISCV};
use super::queue::Queue;
use super::record::{Record, with_record};
use crate::edu;
use crate::known::{Fault, Met};
use crate::ram::Ram;
use crate::riscv::{PAGE_FAULT, Xlen};
use crate::walker::{Access, Outcome, Pages, Privilege, Reach, Request, Walker, Widths};
use generic_pt::{Invalidation, Prot};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Which table is walked: its mode and the page number of its top, as the library tells.
#[derive(Clone, Copy, Debug)]
pub enum Table {
    /// The first stage's, with so wide addresses.
    First(Xlen, u32, u64),
    /// The second stage's. (The model announces Sv32x4, too, but GXL of its features stays 0.)
    Second(u32, u64),
}

const REGISTERS: u64 = 0x0301_0000;
const CAPABILITIES: u64 = REGISTERS;
const DEVICES_POINTER: u64 = REGISTERS + 0x10;
const COMMANDS_BASE: u64 = REGISTERS + 0x18;
const COMMANDS_HEAD: u64 = REGISTERS + 0x20;
const COMMANDS_TAIL: u64 = REGISTERS + 0x24;
const COMMANDS_CONTROL: u64 = REGISTERS + 0x48;
const FAULTS_BASE: u64 = REGISTERS + 0x28;
const FAULTS_HEAD: u64 = REGISTERS + 0x30;
const FAULTS_TAIL: u64 = REGISTERS + 0x34;
const FAULTS_CONTROL: u64 = REGISTERS + 0x4c;

/// Of a queue: on, and what says that it is.
const ON: u32 = 1;
const IS_ON: u32 = 1 << 16;
/// Of the devices' pointer: a table of one level; not there yet.
const ONE_LEVEL: u64 = 2;
const BUSY: u32 = 1 << 4;
/// Of the capabilities: device contexts are twice as large.
const MSI_FLAT: u64 = 1 << 22;
/// Of a device context: it is one; SXL.
const VALID: u64 = 1;
const FIRST_OF_32_BITS: u64 = 1 << 11;

const DEVICES: u64 = RISCV.structures_pa;
const COMMANDS: u64 = DEVICES + 0x1000;
const FAULTS: u64 = DEVICES + 0x2000;
/// Entries of the queues, as a power of two.
const QUEUE_LG2: u64 = 7;

const GSCID: u64 = 1;
const PSCID: u64 = 1;

/// Commands: the first word. An address is in the second.
const FORGET_FIRST: u64 = 1 | PSCID << 12 | 1 << 32;
const FORGET_SECOND: u64 = 1 | 1 << 7 | 1 << 33 | GSCID << 44;
const OF_ADDRESS: u64 = 1 << 10;
const FENCE: u64 = 2;

/// Bytes of a page, as a power of two; and what the model's cache knows of its number: the address up to bit 55.
const PAGE_LG2: u32 = 12;
const CACHED_PAGE: u64 = u64::MAX >> (8 + PAGE_LG2);

/// More pages than that are forgotten by forgetting all: those of a table of the lowest level are not.
const MOST_PAGES: u64 = 1024;

/// The IOMMU of a RISC-V machine.
#[derive(Debug)]
pub struct Iommu<'r> {
    board: Board<'r>,
    table: Table,
    commands: Queue,
    /// Of pages that are the same to the cache the one that was asked for last.
    asked: BTreeMap<u64, u64>,
    met: Met,
}

impl<'r> Iommu<'r> {
    /// An IOMMU with a table.
    ///
    /// # Errors
    /// The machine does not work.
    pub fn new(program: &Path, table: Table, ram: &'r Ram) -> io::Result<Self> {
        let board = Board::new(program, &RISCV, &["-cpu", "rv64"], 0, ram)?;
        let mut iommu = Self {
            board,
            table,
            commands: Queue::new(COMMANDS, 1 << QUEUE_LG2, 16),
            asked: BTreeMap::new(),
            met: Met::default(),
        };
        let qtest = &mut iommu.board.qtest;
        let entry_bytes = if qtest.read_u64(CAPABILITIES)? & MSI_FLAT == 0 { 32 } else { 64 };
        let pointer = |mode: u32, ppn: u64| u64::from(mode) << 60 | ppn;
        let (control, second, first) = match table {
            Table::First(Xlen::Bits64, mode, ppn) => (VALID, 0, pointer(mode, ppn)),
            Table::First(Xlen::Bits32, mode, ppn) => (VALID | FIRST_OF_32_BITS, 0, pointer(mode, ppn)),
            Table::Second(mode, ppn) => (VALID, GSCID << 44 | pointer(mode, ppn), 0),
        };
        for (word, n) in [control, second, PSCID << 12, first].into_iter().zip(0..) {
            ram.write(DEVICES + entry_bytes * edu::REQUESTER + 8 * n, &u64::to_le_bytes(word))?;
        }
        let queue = |at: u64| at >> 12 << 10 | (QUEUE_LG2 - 1);
        qtest.write_u64(FAULTS_BASE, queue(FAULTS))?;
        qtest.write_u64(COMMANDS_BASE, queue(COMMANDS))?;
        for control in [FAULTS_CONTROL, COMMANDS_CONTROL] {
            qtest.write_u32(control, ON)?;
            qtest.wait_u32(control, |status| status & IS_ON != 0)?;
        }
        qtest.write_u64(DEVICES_POINTER, DEVICES >> 12 << 10 | ONE_LEVEL)?;
        qtest.wait_u32(DEVICES_POINTER, |pointer| pointer & BUSY == 0)?;
        iommu.invalidate(&Invalidation::EVERYTHING)?;
        Ok(iommu)
    }

    /// The last fault since this was asked last.
    fn take_fault(&mut self) -> io::Result<Option<Record>> {
        let qtest = &mut self.board.qtest;
        let (head, tail) = (qtest.read_u32(FAULTS_HEAD)?, qtest.read_u32(FAULTS_TAIL)?);
        if head == tail {
            return Ok(None);
        }
        qtest.write_u32(FAULTS_HEAD, tail)?;
        let last = u64::from(tail.wrapping_sub(1)) % (1 << QUEUE_LG2);
        let (what, va) =
            (self.board.ram.read_u64(FAULTS + 32 * last)?, self.board.ram.read_u64(FAULTS + 32 * last + 16)?);
        let cause = what & 0xfff;
        // Page faults, and guest page faults. They are of one kind for all reasons.
        let access = match cause {
            13 | 21 => Access::Read,
            15 | 23 => Access::Write,
            _ => return Err(io::Error::other(format!("fault with cause {cause}"))),
        };
        match (self.table, cause) {
            (Table::First(..), 13 | 15) | (Table::Second(..), 21 | 23) => {}
            // Beyond 32 bits a page fault is due, and nothing of a guest is there.
            (Table::First(Xlen::Bits32, ..), 21 | 23) if va >> 32 != 0 => self.met.count(Fault::CauseOfGuest),
            _ => return Err(io::Error::other(format!("fault with cause {cause}, which is the other stage's"))),
        }
        Ok(Some(Record { reasons: PAGE_FAULT, access: Some(access), device: what >> 40, va, multiple: 1 }))
    }

    /// Gives commands, no more than the queue holds, and returns when they are done.
    fn command(&mut self, commands: &[[u64; 2]]) -> io::Result<()> {
        for words in commands.iter().chain([&[FENCE, 0]]) {
            self.commands.put(self.board.ram, *words)?;
        }
        let tail = self.commands.index() as u32;
        self.board.qtest.write_u32(COMMANDS_TAIL, tail)?;
        self.board.qtest.wait_u32(COMMANDS_HEAD, |head| head == tail)
    }

    /// The model's cache takes pages that differ from bit 56 on for the same. If the last of them that was asked for was another
    /// one, that is forgotten.
    fn forget_aliases(&mut self, va: u64) -> io::Result<()> {
        let page = va >> PAGE_LG2;
        match self.asked.insert(page & CACHED_PAGE, page) {
            Some(before) if before != page => {
                self.met.count(Fault::CacheAliases);
                let (va, last) = (page << PAGE_LG2, page << PAGE_LG2 | ((1 << PAGE_LG2) - 1));
                self.invalidate(&Invalidation { va, last, ..Invalidation::EVERYTHING })
            }
            _ => Ok(()),
        }
    }
}

impl Walker for Iommu<'_> {
    fn reaches(&self, va: u64, pa: Option<u64>) -> Reach {
        let [page, exchange] = [va, self.board.exchange_va()].map(|va| va >> PAGE_LG2);
        // By that one comes what the device read at the other.
        let is_alias = page != exchange && page & CACHED_PAGE == exchange & CACHED_PAGE;
        if is_alias { Reach::Avoided(Fault::CacheAliases) } else { self.board.reaches(va, pa) }
    }
    fn take_met(&mut self) -> Met {
        self.met.take()
    }
    fn avoids(&self) -> Vec<Fault> {
        vec![Fault::CacheAliases]
    }
    fn still_has(&mut self, _: Fault, pages: &Pages) -> io::Result<bool> {
        // In the other half of Sv57, where nothing is, and beyond what the other modes reach; a guest's addresses have no halves.
        let alias = pages.data_va | if matches!(self.table, Table::First(..)) { 0xff << 56 } else { 1 << 56 };
        let read = |va| Request::read(va, 8);
        let found = self.board.access(&read(pages.data_va))?;
        let found_of_alias = self.board.access(&read(alias))?;
        self.take_fault()?;
        self.invalidate(&Invalidation::EVERYTHING)?;
        Ok(found == found_of_alias && matches!(found, Outcome::Done(_)))
    }
    fn widths(&self) -> Widths {
        Widths::Any
    }
    fn sees(&self, prot: Prot) -> bool {
        self.permits(prot, Access::Read, Privilege::Supervisor)
    }
    fn access(&mut self, request: &Request) -> io::Result<Outcome> {
        self.forget_aliases(request.va)?;
        self.forget_aliases(request.last_va())?;
        self.take_fault()?;
        let outcome = self.board.access(request)?;
        with_record(request, outcome, self.take_fault()?, edu::REQUESTER)
    }
    fn permits(&self, prot: Prot, access: Access, _: Privilege) -> bool {
        crate::riscv::permits(prot, access)
    }
    fn invalidate(&mut self, what: &Invalidation) -> io::Result<()> {
        let of = if matches!(self.table, Table::First(..)) { FORGET_FIRST } else { FORGET_SECOND };
        if (what.last - what.va) >> PAGE_LG2 >= MOST_PAGES {
            return self.command(&[[of, 0]]);
        }
        let pages = (what.va..=what.last).step_by(1 << PAGE_LG2);
        let commands: Vec<_> = pages.map(|va| [of | OF_ADDRESS, va >> PAGE_LG2 << 10]).collect();
        commands.chunks(1 << (QUEUE_LG2 - 1)).try_for_each(|commands| self.command(commands))
    }
}
