//! x86: the MMU of a CPU, with four or five levels, or with PAE.

use crate::gdb::Gdb;
use crate::ram::Ram;
use crate::scenario::Window;
use crate::vm::{Channel, Vm};
use crate::walker::{Access, Outcome, Walker};
use generic_pt::{Invalidation, Prot};
use std::io;
use std::path::PathBuf;

/// Where RAM begins.
pub const RAM_PA: u64 = 0;
/// What the tables have to map to itself for accesses: descriptors and interrupt gates, code, a stack.
pub const WINDOW: Window = Window { pa: RAM_PA, bytes: 0x4000, prot: Prot::READ.union(Prot::WRITE) };

/// The handler of vector `n` is at `HANDLERS + 16 * n`; nothing of it runs.
const HANDLERS: u64 = 0x1800;
const READ_AT: u64 = 0x1000;
const WRITE_AT: u64 = 0x1010;
const STACK: u64 = 0x3ff0;
const CODE_SELECTOR: u64 = 0x08;
const DATA_SELECTOR: u64 = 0x10;
const NOP: &[u8] = &[0x90];
const PAGE_FAULT: u64 = 14;
const GENERAL_PROTECTION: u64 = 13;

const CR0_PROTECTED: u64 = 0x11;
/// Paging, and supervisors heed write protection.
const CR0_PAGING: u64 = 0x8001_0011;
const CR4_PAE: u64 = 1 << 5;
const CR4_LA57: u64 = 1 << 12;
/// Of an item.
const ACCESSED: u64 = 1 << 5;
const EFER_LONG_MODE_AND_NX: u64 = 0xd01;
const EFER_NX: u64 = 1 << 11;

/// The kinds of paging.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Paging {
    /// Three levels, the top with four items; 32-bit VA.
    Pae,
    /// Four levels.
    Four,
    /// Five levels.
    Five,
}

/// A CPU that stands still.
#[derive(Debug)]
pub struct Cpu<'r> {
    _vm: Vm,
    gdb: Gdb,
    paging: Paging,
    ram: &'r Ram,
}

impl<'r> Cpu<'r> {
    /// A CPU with 52 physical address bits, on a RAM that begins at [`RAM_PA`].
    ///
    /// # Errors
    /// The machine does not start.
    pub fn new(program: &PathBuf, paging: Paging, ram: &'r Ram) -> io::Result<Self> {
        let cpu = if paging == Paging::Five { "max,la57=on,phys-bits=52" } else { "max,phys-bits=52" };
        let is_32_bit = paging == Paging::Pae;
        // Descriptors: none, code, data.
        let code: u64 = if is_32_bit { 0x00cf_9b00_0000_ffff } else { 0x00af_9b00_0000_ffff };
        for (n, descriptor) in [0, code, 0x00cf_9300_0000_ffff].into_iter().enumerate() {
            ram.write(8 * n as u64, &descriptor.to_le_bytes())?;
        }
        // Gates are twice as large in 64-bit code; handlers are below 64 KiB.
        let gate_bytes = if is_32_bit { 8 } else { 16 };
        for vector in [6, 8, GENERAL_PROTECTION, PAGE_FAULT] {
            let gate = (HANDLERS + 16 * vector) | CODE_SELECTOR << 16 | 0x8e << 40;
            ram.write(gate_bytes * vector, &gate.to_le_bytes())?;
        }
        // mov rax, [rbx] and mov [rbx], rcx; without the prefix of 64 bits eax, [ebx] and ecx.
        let skipped = usize::from(is_32_bit);
        ram.write(READ_AT, &[0x48, 0x8b, 0x03][skipped..])?;
        ram.write(WRITE_AT, &[0x48, 0x89, 0x0b][skipped..])?;
        let (vm, channel) = Vm::start(program, "q35", Channel::Debugger, &["-cpu", cpu], ram)?;
        Ok(Self { _vm: vm, gdb: Gdb::new(channel)?, paging, ram })
    }

    /// Points the CPU to a table.
    ///
    /// # Errors
    /// The machine does not work.
    pub fn install(&mut self, cr3: u64) -> io::Result<()> {
        let gdb = &mut self.gdb;
        gdb.set("cr0", CR0_PROTECTED)?;
        gdb.set("cr4", if self.paging == Paging::Five { CR4_PAE | CR4_LA57 } else { CR4_PAE })?;
        gdb.set("efer", if self.paging == Paging::Pae { EFER_NX } else { EFER_LONG_MODE_AND_NX })?;
        gdb.set("cs", CODE_SELECTOR)?;
        gdb.set("ss", DATA_SELECTOR)?;
        gdb.set("cr3", cr3)?;
        gdb.set("cr0", CR0_PAGING)
    }

    /// Clears A in the four items of the PAE top, where it is reserved: the model sets it, hardware does not.
    fn clear_accessed_top(&mut self) -> io::Result<()> {
        let top = self.gdb.get("cr3")?;
        for item in (0..4).map(|n| top + 8 * n) {
            self.ram.write(item, &(self.ram.read_u64(item)? & !ACCESSED).to_le_bytes())?;
        }
        Ok(())
    }
}

impl Walker for Cpu<'_> {
    fn translate(&mut self, va: u64) -> io::Result<Option<u64>> {
        self.gdb.physical(va)
    }

    fn access(&mut self, va: u64, access: Access, value: u64) -> io::Result<Outcome> {
        let gdb = &mut self.gdb;
        let move_bytes = if self.paging == Paging::Pae { 2 } else { 3 };
        let (at, bytes) = match access {
            Access::Read => (READ_AT, move_bytes),
            Access::Write => (WRITE_AT, move_bytes),
            Access::Execute => (va, NOP.len() as u64),
        };
        for (register, value) in [
            ("cs", CODE_SELECTOR),
            ("ss", DATA_SELECTOR),
            ("rbx", va),
            ("rcx", value),
            ("rsp", STACK),
            ("eflags", 2),
            ("rip", at),
        ] {
            gdb.set(register, value)?;
        }
        gdb.step()?;
        if self.paging == Paging::Pae {
            self.clear_accessed_top()?;
        }
        let gdb = &mut self.gdb;
        let rip = gdb.get("rip")?;
        if rip == at.wrapping_add(bytes) {
            return Ok(Outcome::Done(gdb.get("rax")?));
        }
        match rip.checked_sub(HANDLERS).map(|offset| offset / 16) {
            Some(PAGE_FAULT) if gdb.get("cr2")? == va => Ok(Outcome::Fault),
            // An address that is not canonical.
            Some(GENERAL_PROTECTION) => Ok(Outcome::Fault),
            _ => Err(io::Error::other(format!("{access:?} at {va:#x}: went to {rip:#x}"))),
        }
    }

    fn invalidate(&mut self, _: &Invalidation) -> io::Result<()> {
        let cr3 = self.gdb.get("cr3")?;
        self.gdb.set("cr3", cr3)
    }

    fn instruction(&self) -> Option<&'static [u8]> {
        Some(NOP)
    }

    fn permits(&self, prot: Prot, access: Access) -> bool {
        match access {
            Access::Read => true,
            Access::Write => prot.contains(Prot::WRITE),
            // The format of the others has no such permission.
            Access::Execute => self.paging != Paging::Pae || !prot.contains(Prot::NOEXEC),
        }
    }
}
