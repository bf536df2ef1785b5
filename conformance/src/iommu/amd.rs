//! AMD's IOMMU, with host tables.

use super::blocks::blocks;
use super::board::{Board, PC};
use super::permits_each;
use super::queue::Queue;
use crate::edu;
use crate::ram::Ram;
use crate::vm;
use crate::walker::{Access, Outcome, Privilege, Request, Walker, Widths};
use generic_pt::format::Top;
use generic_pt::{Invalidation, Prot};
use std::io;
use std::path::Path;

const REGISTERS: u64 = 0xfed8_0000;
const COMMANDS_HEAD: u64 = REGISTERS + 0x2000;
const COMMANDS_TAIL: u64 = REGISTERS + 0x2008;

const DEVICES: u64 = PC.structures_pa;
const COMMANDS: u64 = DEVICES + 0x1000;
const EVENTS: u64 = DEVICES + 0x2000;
const DONE: u64 = DEVICES + 0x3000;

/// Entries of the queues, as a power of two.
const QUEUE_LG2: u64 = 8;

const DOMAIN: u64 = 1;

/// Commands: the first word.
const COMPLETION_WAIT: u64 = 1 << 60;
const INVALIDATE_DEVICE: u64 = 2 << 60;
const INVALIDATE_PAGES: u64 = 3 << 60;
/// In the second word of the latter: the size is in the address; table pointers, too.
const SIZE: u64 = 1;
const POINTERS: u64 = 1 << 1;

/// The IOMMU of a PC.
#[derive(Debug)]
pub struct Amd<'r> {
    board: Board<'r>,
    commands: Queue,
    /// VA bits that the table decodes.
    va_bits: u32,
}

impl<'r> Amd<'r> {
    /// An IOMMU with a table: its top and paging mode.
    ///
    /// # Errors
    /// The machine does not work.
    pub fn new(program: &Path, root: u64, mode: u32, ram: &'r Ram) -> io::Result<Self> {
        let device = match vm::major(program)? {
            ..=9 => "amd-iommu",
            10 => "amd-iommu,pt=off",
            11.. => "amd-iommu,dma-remap=on",
        };
        let board = Board::new(program, &PC, &["-device", device], 0, ram)?;
        let mut amd = Self { board, commands: Queue::new(COMMANDS, 1 << QUEUE_LG2, 16), va_bits: 0 };
        ram.write(DEVICES + 32 * edu::REQUESTER + 8, &DOMAIN.to_le_bytes())?;
        for (register, value) in [
            (0x00, DEVICES),
            (0x08, COMMANDS | QUEUE_LG2 << 56),
            (0x10, EVENTS | QUEUE_LG2 << 56),
            (0x18, 1 | 1 << 2 | 1 << 12),
        ] {
            amd.board.qtest.write_u64(REGISTERS + register, value)?;
        }
        amd.install(root, mode)?;
        amd.invalidate(&Invalidation::EVERYTHING)?;
        Ok(amd)
    }

    /// Points the device to a table.
    fn install(&mut self, root: u64, mode: u32) -> io::Result<()> {
        self.va_bits = 12 + 9 * mode;
        // Valid, with a table that may be read and written.
        let entry = 1 | 1 << 1 | u64::from(mode) << 9 | root | 1 << 61 | 1 << 62;
        self.board.ram.write(DEVICES + 32 * edu::REQUESTER, &entry.to_le_bytes())?;
        self.command(INVALIDATE_DEVICE | edu::REQUESTER, 0)?;
        self.wait()
    }

    fn command(&mut self, first: u64, second: u64) -> io::Result<()> {
        self.commands.put(self.board.ram, [first, second])?;
        self.board.qtest.write_u64(COMMANDS_TAIL, self.commands.offset())
    }

    /// Returns when all commands are done.
    fn wait(&mut self) -> io::Result<()> {
        self.command(COMPLETION_WAIT | DONE | 1, 1)?;
        let tail = self.commands.offset() as u32;
        self.board.qtest.wait_u32(COMMANDS_HEAD, |head| head == tail)
    }
}

impl Walker for Amd<'_> {
    fn translate(&mut self, va: u64) -> io::Result<Option<u64>> {
        self.board.translate(va)
    }
    /// The model drops the bits of an address that the mode does not decode, where hardware would refuse it.
    fn reaches(&self, va: u64, pa: Option<u64>) -> bool {
        self.board.reaches(va, pa) && va.checked_shr(self.va_bits).unwrap_or(0) == 0
    }
    fn widths(&self) -> Widths {
        Widths::Any
    }
    fn sees(&self, prot: Prot) -> bool {
        self.permits(prot, Access::Read, Privilege::Supervisor)
    }
    fn access(&mut self, request: &Request) -> io::Result<Outcome> {
        self.board.access(request)
    }
    fn tells_reasons(&self) -> bool {
        // The model records no faults of tables.
        false
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
    fn change_top(&mut self, top: Top) -> io::Result<()> {
        // Modes count levels.
        self.install(top.pa, top.level + 1)
    }
}
