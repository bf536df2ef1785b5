//! x86: the MMU of a CPU, with four or five levels, or with PAE.

use crate::gdb::Gdb;
use crate::known::{Fault, Met};
use crate::plan::Window;
use crate::ram::Ram;
use crate::vm::{Channel, Vm};
use crate::walker::{Access, Outcome, Privilege, Reach, Reason, Reasons, Request, Walker};
use generic_pt::{Invalidation, Prot};
use std::io;
use std::path::Path;

/// Where RAM begins.
pub const RAM_PA: u64 = 0;
/// What the tables have to map to itself for accesses: descriptors and interrupt gates, code, a stack.
pub const WINDOW: Window = Window { pa: RAM_PA, bytes: 0x4000, prot: Prot::READ.union(Prot::WRITE) };

/// The handler of vector `n` is at `HANDLERS + 16 * n`; nothing of it runs.
const HANDLERS: u64 = 0x1800;
const READ_AT: u64 = 0x1000;
const WRITE_AT: u64 = 0x1010;
/// ltr ax.
const LOAD_TASK_AT: u64 = 0x1020;
const LOAD_TASK: &[u8] = &[0x0f, 0x00, 0xd8];
const STACK: u64 = 0x3ff0;
/// Descriptors: code and data of the kernel, and of users, with the privilege level in the selector. They share a page with the
/// interrupt gates, so none of them has the place of a gate in [`GATES`], which is of one descriptor or two.
const KERNEL_CODE: u64 = 2;
const KERNEL_DATA: u64 = 3;
const USER_CODE: u64 = 9;
const USER_DATA: u64 = 10;
/// And of a task state segment.
const TASK: u64 = 11;
/// The task register's base and that of the descriptors are 0 after a reset, so both lie in each other: the stacks of a task state
/// segment are where no descriptor is used. The kernel's stack of 32-bit code, its selector, and the first of the interrupts' stacks
/// in 64-bit code.
const TASK_STACK_32: u64 = 4;
const TASK_STACK_SELECTOR_32: u64 = 8;
const TASK_INTERRUPT_STACK: u64 = 36;
const NOP: &[u8] = &[0x90];
const PAGE_FAULT: u64 = 14;
const GENERAL_PROTECTION: u64 = 13;
/// Vectors that have a gate: those two, and those of an invalid instruction and of a double fault.
const GATES: [u64; 4] = [6, 8, GENERAL_PROTECTION, PAGE_FAULT];

const CR0_PROTECTED: u64 = 0x11;
/// Paging, and supervisors heed write protection.
const CR0_PAGING: u64 = 0x8001_0011;
const CR4_PAE: u64 = 1 << 5;
const CR4_LA57: u64 = 1 << 12;
/// Of an item.
const ACCESSED: u64 = 1 << 5;
const EFER_LONG_MODE_AND_NX: u64 = 0xd01;
const EFER_NX: u64 = 1 << 11;

/// The error code of a page fault: there is a page; a write; a user; a fetch. Reserved bits are another.
const PRESENT: u64 = 1;
const OF_WRITE: u64 = 1 << 1;
const OF_USER: u64 = 1 << 2;
const OF_FETCH: u64 = 1 << 4;

/// Whether pages can deny execution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Execution {
    /// By XD: EFER.NXE is set.
    CanBeDenied,
    /// No: EFER.NXE is clear, and XD is reserved.
    AlwaysPermitted,
}

/// Which tables are walked, as the library tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tables {
    /// Three levels, the top with four items; 32-bit VA.
    Pae {
        /// CR3.
        cr3: u32,
        /// Whether the tables use XD.
        execution: Execution,
    },
    /// Four levels or five.
    Long {
        /// CR3.
        cr3: u64,
        /// Of which CR4.LA57 chooses.
        levels: u32,
    },
}

impl Tables {
    /// CR3, CR4 and EFER.
    ///
    /// # Errors
    /// No paging has so many levels.
    fn registers(self) -> io::Result<[u64; 3]> {
        match self {
            Self::Pae { cr3, execution: Execution::CanBeDenied } => Ok([cr3.into(), CR4_PAE, EFER_NX]),
            Self::Pae { cr3, execution: Execution::AlwaysPermitted } => Ok([cr3.into(), CR4_PAE, 0]),
            Self::Long { cr3, levels: 4 } => Ok([cr3, CR4_PAE, EFER_LONG_MODE_AND_NX]),
            Self::Long { cr3, levels: 5 } => Ok([cr3, CR4_PAE | CR4_LA57, EFER_LONG_MODE_AND_NX]),
            Self::Long { levels, .. } => {
                Err(io::Error::other(format!("the library tells of {levels} levels; x86 has 4 or 5")))
            }
        }
    }
}

/// A CPU that stands still.
#[derive(Debug)]
pub struct Cpu<'r> {
    _vm: Vm,
    gdb: Gdb,
    is_pae: bool,
    execution: Execution,
    ram: &'r Ram,
    met: Met,
}

impl<'r> Cpu<'r> {
    /// A CPU with tables, which could walk five levels and has 52 physical address bits, on a RAM that begins at [`RAM_PA`].
    ///
    /// # Errors
    /// The machine does not work.
    pub fn new(program: &Path, tables: Tables, ram: &'r Ram) -> io::Result<Self> {
        let is_pae = matches!(tables, Tables::Pae { .. });
        let code: u64 = if is_pae { 0x00cf_9b00_0000_ffff } else { 0x00af_9b00_0000_ffff };
        let data: u64 = 0x00cf_9300_0000_ffff;
        let of_user = 3 << 45;
        // Of 32-bit code, available, at 0.
        let task: u64 = 0x0000_8900_0000_0067;
        let descriptors = [
            (KERNEL_CODE, code),
            (KERNEL_DATA, data),
            (USER_CODE, code | of_user),
            (USER_DATA, data | of_user),
            (TASK, task),
        ];
        for (n, descriptor) in descriptors {
            ram.write(8 * n, &descriptor.to_le_bytes())?;
        }
        ram.write(TASK_STACK_32, &(STACK as u32).to_le_bytes())?;
        ram.write(TASK_STACK_SELECTOR_32, &(8 * KERNEL_DATA as u16).to_le_bytes())?;
        ram.write(TASK_INTERRUPT_STACK, &STACK.to_le_bytes())?;
        // Gates are twice as large in 64-bit code, and name a stack; handlers are below 64 KiB.
        let (gate_bytes, stack) = if is_pae { (8, 0) } else { (16, 1 << 32) };
        for vector in GATES {
            let gate = (HANDLERS + 16 * vector) | (8 * KERNEL_CODE) << 16 | stack | 0x8e << 40;
            ram.write(gate_bytes * vector, &gate.to_le_bytes())?;
        }
        // mov rax, [rbx] and mov [rbx], rcx; without the prefix of 64 bits eax, [ebx] and ecx.
        let skipped = usize::from(is_pae);
        ram.write(READ_AT, &[0x48, 0x8b, 0x03][skipped..])?;
        ram.write(WRITE_AT, &[0x48, 0x89, 0x0b][skipped..])?;
        ram.write(LOAD_TASK_AT, LOAD_TASK)?;
        let (vm, channel) = Vm::start(program, "q35", Channel::Debugger, &["-cpu", "max,la57=on,phys-bits=52"], ram)?;
        let execution = match tables {
            Tables::Pae { execution, .. } => execution,
            // The format has no such permission.
            Tables::Long { .. } => Execution::AlwaysPermitted,
        };
        let mut cpu = Self { _vm: vm, gdb: Gdb::new(channel)?, is_pae, execution, ram, met: Met::default() };
        cpu.install(tables.registers()?)?;
        Ok(cpu)
    }

    /// Points the CPU to a table.
    fn install(&mut self, [cr3, cr4, efer]: [u64; 3]) -> io::Result<()> {
        let gdb = &mut self.gdb;
        gdb.set("cr0", CR0_PROTECTED)?;
        gdb.set("cr4", cr4)?;
        gdb.set("efer", efer)?;
        gdb.set("cs", 8 * KERNEL_CODE)?;
        gdb.set("ss", 8 * KERNEL_DATA)?;
        gdb.set("cr3", cr3)?;
        if self.is_pae {
            self.load_task()?;
        }
        self.gdb.set("cr0", CR0_PAGING)
    }

    /// Loads the task register. The model ends when 32-bit code of a user is interrupted with the one that a reset leaves.
    fn load_task(&mut self) -> io::Result<()> {
        self.gdb.set("rax", 8 * TASK)?;
        self.gdb.set("rip", LOAD_TASK_AT)?;
        self.gdb.step()?;
        match self.gdb.get("rip")? {
            rip if rip == LOAD_TASK_AT + LOAD_TASK.len() as u64 => Ok(()),
            rip => Err(io::Error::other(format!("ltr at {LOAD_TASK_AT:#x} ended at {rip:#x}"))),
        }
    }

    /// The four items of the PAE top, with the address of each.
    fn top_items(&mut self) -> io::Result<[(u64, u64); 4]> {
        let top = self.gdb.get("cr3")?;
        let mut items = [0, 1, 2, 3].map(|n| (top + 8 * n, 0));
        for (at, item) in &mut items {
            *item = self.ram.read_u64(*at)?;
        }
        Ok(items)
    }

    /// That A is clear in the items of the PAE top, where it is reserved: what the model sets is cleared after each access, so it
    /// would be the library's.
    fn check_top(&mut self) -> io::Result<()> {
        match self.top_items()?.into_iter().find(|(_, item)| item & ACCESSED != 0) {
            None => Ok(()),
            Some((at, item)) => {
                Err(io::Error::other(format!("the PDPTE at {at:#x} is {item:#x} before the access: A is reserved")))
            }
        }
    }

    /// Clears A in the items of the PAE top: the model sets it, hardware does not.
    fn clear_accessed_top(&mut self) -> io::Result<()> {
        for (at, item) in self.top_items()? {
            if item & ACCESSED != 0 {
                self.met.count(Fault::AccessedPdptes);
                self.ram.write(at, &(item & !ACCESSED).to_le_bytes())?;
            }
        }
        Ok(())
    }

    /// What the error code of a page fault says. It has to tell what was tried, too.
    fn reasons(&self, request: &Request, code: u64) -> io::Result<Reasons> {
        let tried = match request.access {
            Access::Read => 0,
            Access::Write => OF_WRITE,
            // Without EFER.NXE a fetch is not told from a read (SDM volume 3A, "Page-fault exceptions").
            Access::Execute if self.is_pae && self.execution == Execution::AlwaysPermitted => 0,
            Access::Execute => OF_FETCH,
        } | if request.privilege == Privilege::User { OF_USER } else { 0 };
        match code ^ tried {
            PRESENT => Ok(&[Reason::NotPermitted]),
            0 => Ok(&[Reason::NotMapped]),
            _ => Err(io::Error::other(format!("{request}: page fault with error code {code:#x}"))),
        }
    }
}

impl Walker for Cpu<'_> {
    fn translate(&mut self, va: u64) -> Option<io::Result<Option<u64>>> {
        Some(self.gdb.physical(va))
    }

    fn reaches(&self, va: u64, _: Option<u64>) -> Reach {
        if self.is_pae { Reach::of_32_bits(va) } else { Reach::Asked }
    }

    fn take_met(&mut self) -> Met {
        self.met.take()
    }

    fn access(&mut self, request: &Request) -> io::Result<Outcome> {
        let Request { va, access, privilege, value, .. } = *request;
        if self.is_pae {
            self.check_top()?;
        }
        let gdb = &mut self.gdb;
        let move_bytes = if self.is_pae { 2 } else { 3 };
        let (at, bytes) = match access {
            Access::Read => (READ_AT, move_bytes),
            Access::Write => (WRITE_AT, move_bytes),
            Access::Execute => (va, NOP.len() as u64),
        };
        let (cs, ss) = match privilege {
            Privilege::User => ((8 * USER_CODE) | 3, (8 * USER_DATA) | 3),
            Privilege::Supervisor | Privilege::Guarded => (8 * KERNEL_CODE, 8 * KERNEL_DATA),
        };
        for (register, value) in
            [("cs", cs), ("ss", ss), ("rbx", va), ("rcx", value), ("rsp", STACK), ("eflags", 2), ("rip", at)]
        {
            gdb.set(register, value)?;
        }
        gdb.step()?;
        if self.is_pae {
            self.clear_accessed_top()?;
        }
        let gdb = &mut self.gdb;
        let rip = gdb.get("rip")?;
        if rip == at.wrapping_add(bytes) {
            return Ok(Outcome::Done(gdb.get("rax")?));
        }
        match rip.checked_sub(HANDLERS).map(|offset| offset / 16) {
            Some(PAGE_FAULT) if gdb.get("cr2")? == va => {
                // The stack is where it is mapped to.
                let code = self.ram.read_u64(gdb.get("rsp")?)? & 0xffff_ffff;
                self.reasons(request, code).map(Outcome::Fault)
            }
            // An address that is not canonical.
            Some(GENERAL_PROTECTION) => Ok(Outcome::Fault(&[Reason::OutOfRange])),
            _ => Err(io::Error::other(format!("{request}: went to {rip:#x}"))),
        }
    }

    fn privileges(&self, _: Access) -> &'static [Privilege] {
        // The instructions' own pages are those of users, so a guarded kernel could not execute them.
        &[Privilege::Supervisor, Privilege::User]
    }

    fn invalidate(&mut self, _: &Invalidation) -> io::Result<()> {
        let cr3 = self.gdb.get("cr3")?;
        self.gdb.set("cr3", cr3)
    }

    fn instruction(&self) -> Option<&'static [u8]> {
        Some(NOP)
    }

    fn permits(&self, prot: Prot, access: Access, _: Privilege) -> bool {
        match access {
            Access::Read => true,
            Access::Write => prot.contains(Prot::WRITE),
            Access::Execute => self.execution == Execution::AlwaysPermitted || !prot.contains(Prot::NOEXEC),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_choose_la57() {
        let cr4 = |levels| Tables::Long { cr3: 0x1000, levels }.registers().map(|[_, cr4, _]| cr4).ok();
        assert_eq!([3, 4, 5, 6].map(cr4), [None, Some(0x20), Some(0x1020), None]);
    }
}
