//! AArch64: the MMU of a CPU, stage 1 and stage 2.

use crate::gdb::Gdb;
use crate::plan::Window;
use crate::ram::Ram;
use crate::vm::{self, Channel, Vm};
use crate::walker::{Access, Outcome, Privilege, Reason, Reasons, Request, Walker};
use generic_pt::{Invalidation, Prot};
use std::io;
use std::path::Path;

/// Where RAM begins. (Its first MiB is the device tree's.)
pub const RAM_PA: u64 = 0x4000_0000;

/// Where the instructions are that set the registers, and those that ask.
const INSTALL_AT: u64 = RAM_PA + 0x10_0000;
const FORGET_AT: u64 = INSTALL_AT + 4 * REGISTERS.len() as u64;
const ASK_AT: u64 = RAM_PA + 0x10_1000;
const ASK_BYTES: u64 = 12;
/// Where the instructions are that go to EL0.
const ENTER_AT: u64 = ASK_AT + 4 * ASK_BYTES;
/// What the tables have to map, executable: the vectors of EL1. (What EL0 can write EL1 cannot execute.)
pub const WINDOW: Window = Window { pa: RAM_PA + 0x11_0000, bytes: 64 << 10, prot: Prot::READ };
/// Exceptions of EL0, from the vectors on.
const FROM_EL0: u64 = 0x400;

/// Modes of the CPU: EL2, where it starts, and EL1, both with their own stack pointer and without interrupts.
const EL2: u64 = 0x3c9;
const EL1: u64 = 0x3c5;

/// And EL0.
const EL0: u64 = 0x3c0;
const MODE: u64 = 0xf;

/// SCTLR_EL1, with the MMU off and on.
const SCTLR_OFF: u64 = 0x30d0_0800;
const SCTLR_MMU: u64 = SCTLR_OFF | 1;
/// HCR_EL2: EL1 is of 64 bits; stage 2.
const HCR_RW: u64 = 1 << 31;
const HCR_VM: u64 = 1;

const DSB_SY: u32 = 0xd503_3f9f;
const ISB: u32 = 0xd503_3fdf;
const ERET: u32 = 0xd69f_03e0;
const HVC: u32 = 0xd400_0002;
/// svc #0.
const SVC: &[u8] = &[0x01, 0, 0, 0xd4];
/// Class of an exception: svc; refused instruction fetch of a lower level.
const CLASS_SVC: u64 = 0x15;
const CLASS_FETCH: u64 = 0x20;

/// A system register, by the fields of the instruction.
type SystemRegister = (u32, u32, u32, u32, u32);

/// In the order of the registers that they are set from.
const REGISTERS: [SystemRegister; 9] = [
    // TTBR0_EL1, TTBR1_EL1, TCR_EL1, MAIR_EL1, SCTLR_EL1.
    (3, 0, 2, 0, 0),
    (3, 0, 2, 0, 1),
    (3, 0, 2, 0, 2),
    (3, 0, 10, 2, 0),
    (3, 0, 1, 0, 0),
    // VTTBR_EL2, VTCR_EL2, HCR_EL2, VBAR_EL1.
    (3, 4, 2, 1, 0),
    (3, 4, 2, 1, 2),
    (3, 4, 1, 1, 0),
    (3, 0, 12, 0, 0),
];
const PAR_EL1: SystemRegister = (3, 0, 7, 4, 0);
const ELR_EL2: SystemRegister = (3, 4, 4, 0, 1);
const SPSR_EL2: SystemRegister = (3, 4, 4, 0, 0);

/// An instruction of the system group.
const fn system(op0: u32, (op1, crn, crm, op2): (u32, u32, u32, u32), register: u32) -> u32 {
    0xd500_0000 | op0 << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5 | register
}

const fn msr((op0, op1, crn, crm, op2): SystemRegister, from: u32) -> u32 {
    system(op0, (op1, crn, crm, op2), from)
}

const fn mrs((op0, op1, crn, crm, op2): SystemRegister, to: u32) -> u32 {
    system(op0, (op1, crn, crm, op2), to) | 1 << 21
}

/// Invalidates all of stages 1 and 2.
const TLBI_ALLE1: u32 = system(1, (4, 8, 7, 4), 31);

/// Which table is walked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// That of TTBR0_EL1.
    Lower,
    /// That of TTBR1_EL1.
    Upper,
    /// That of VTTBR_EL2, with stage 1 off.
    Second,
}

/// A table and what goes with it, as the library tells.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    /// TTBR0_EL1, TTBR1_EL1 or VTTBR_EL2.
    pub ttb: u64,
    /// TCR_EL1 or VTCR_EL2.
    pub tcr: u64,
    /// MAIR_EL1.
    pub mair: u64,
}

/// A CPU that stands still, in EL2.
#[derive(Debug)]
pub struct Cpu {
    _vm: Vm,
    gdb: Gdb,
    stage: Stage,
    qemu_major: u32,
}

impl Cpu {
    /// A CPU with a table, on a RAM that begins at [`RAM_PA`].
    ///
    /// # Errors
    /// The machine does not work.
    pub fn new(program: &Path, stage: Stage, registers: Registers, ram: &Ram) -> io::Result<Self> {
        let mut install: Vec<u32> = REGISTERS.iter().zip(0..).map(|(register, from)| msr(*register, from)).collect();
        install.extend([TLBI_ALLE1, DSB_SY, ISB]);
        ram.write_words(INSTALL_AT, &install)?;
        // AT S1E1R, S1E1W, S1E0R, S1E0W, or S12E1R and so on, of x0.
        let (op1, first_op2) = if stage == Stage::Second { (4, 4) } else { (0, 0) };
        for (privilege, of_el0) in [(Privilege::Supervisor, 0), (Privilege::User, 2)] {
            for (access, of_write) in [(Access::Read, 0), (Access::Write, 1)] {
                let ask = system(1, (op1, 7, 8, first_op2 + of_el0 + of_write), 0);
                ram.write_words(ask_at(access, privilege), &[ask, ISB, mrs(PAR_EL1, 1)])?;
            }
        }
        ram.write_words(ENTER_AT, &[msr(ELR_EL2, 0), msr(SPSR_EL2, 1), ERET])?;
        ram.write_words(WINDOW.pa + FROM_EL0, &[HVC])?;
        let arguments = ["-cpu", "max"];
        let (vm, channel) =
            Vm::start(program, "virt,virtualization=on,gic-version=3", Channel::Debugger, &arguments, ram)?;
        let Registers { ttb, tcr, mair } = registers;
        // The window is at the first VA: of the upper half, what T1SZ leaves.
        let vectors = if stage == Stage::Upper { !(u64::MAX >> (tcr >> 16 & 0x3f)) } else { 0 };
        let mut cpu = Self { _vm: vm, gdb: Gdb::new(channel)?, stage, qemu_major: vm::major(program)? };
        let at = |of: Stage| if of == stage { ttb } else { 0 };
        let (tcr, vtcr) = if stage == Stage::Second { (0, tcr) } else { (tcr, 0) };
        let (sctlr, hcr) = if stage == Stage::Second { (SCTLR_OFF, HCR_RW | HCR_VM) } else { (SCTLR_MMU, HCR_RW) };
        let values = [at(Stage::Lower), at(Stage::Upper), tcr, mair, sctlr, at(Stage::Second), vtcr, hcr, vectors];
        for (value, n) in values.into_iter().zip(0..) {
            cpu.gdb.set(&format!("x{n}"), value)?;
        }
        cpu.run(INSTALL_AT, install.len())?;
        Ok(cpu)
    }

    /// Executes so many instructions, in EL2.
    fn run(&mut self, at: u64, instructions: usize) -> io::Result<()> {
        self.gdb.set("cpsr", EL2)?;
        self.gdb.run(at, instructions)
    }

    /// Executes what is at `va` in EL0: it ends in EL1, whose vector leads back to EL2, or there at once.
    fn execute(&mut self, va: u64) -> io::Result<Outcome> {
        self.gdb.set("x0", va)?;
        self.gdb.set("x1", EL0)?;
        self.gdb.set("cpsr", EL2)?;
        self.gdb.set("pc", ENTER_AT)?;
        for _ in 0..4 {
            self.gdb.step()?;
        }
        let is_in_el1 = self.gdb.get("cpsr")? & MODE == EL1 & MODE;
        let syndrome = self.gdb.get(if is_in_el1 { "ESR_EL1" } else { "ESR_EL2" })?;
        if is_in_el1 {
            self.gdb.step()?;
        }
        match self.gdb.get("pc")? {
            FROM_EL0 if syndrome >> 26 == CLASS_SVC => Ok(Outcome::Done(0)),
            FROM_EL0 if syndrome >> 26 == CLASS_FETCH => Ok(Outcome::Fault(reasons(syndrome & 0x3f)?)),
            pc => Err(io::Error::other(format!("execution at {va:#x}: syndrome {syndrome:#x}, and then at {pc:#x}"))),
        }
    }
}

fn ask_at(access: Access, privilege: Privilege) -> u64 {
    let of_el0 = if privilege == Privilege::User { 2 * ASK_BYTES } else { 0 };
    ASK_AT + of_el0 + if access == Access::Read { 0 } else { ASK_BYTES }
}

impl Walker for Cpu {
    fn translate(&mut self, va: u64) -> Option<io::Result<Option<u64>>> {
        // The debugger walks as the mode says.
        Some(self.gdb.set("cpsr", EL1).and_then(|()| self.gdb.physical(va)))
    }

    fn sees(&self, prot: Prot) -> bool {
        self.permits(prot, Access::Read, Privilege::Supervisor)
    }

    fn survives_refusing(&self) -> bool {
        // QEMU 10.0 ends with a failed assertion when AT meets a permission fault of stage 2.
        self.stage != Stage::Second || self.qemu_major != 10
    }

    fn access(&mut self, request: &Request) -> io::Result<Outcome> {
        let Request { va, access, privilege, .. } = *request;
        if access == Access::Execute {
            return self.execute(va);
        }
        self.gdb.set("x0", va)?;
        self.run(ask_at(access, privilege), 3)?;
        let par = self.gdb.get("x1")?;
        Ok(if par & 1 == 0 {
            Outcome::Permitted { pa: par & 0x000f_ffff_ffff_f000 | va & 0xfff }
        } else {
            Outcome::Fault(reasons(par >> 1 & 0x3f)?)
        })
    }

    fn privileges(&self) -> &'static [Privilege] {
        // Instructions are executed in EL0, whoever is asked for.
        &[Privilege::Supervisor, Privilege::User]
    }

    fn instruction(&self) -> Option<&'static [u8]> {
        // It leads back.
        Some(SVC)
    }

    fn invalidate(&mut self, _: &Invalidation) -> io::Result<()> {
        self.run(FORGET_AT, 3)
    }

    fn permits(&self, prot: Prot, access: Access, _: Privilege) -> bool {
        match (self.stage, access) {
            (_, Access::Write) => prot.contains(Prot::WRITE),
            (Stage::Second, Access::Read) => prot.contains(Prot::READ),
            // What can be written can be read.
            (_, Access::Read) => true,
            (_, Access::Execute) => !prot.contains(Prot::NOEXEC),
        }
    }
}

/// What the fault status code of PAR_EL1 and ESR_ELx says. Addresses that a table does not reach have translation faults, too.
fn reasons(status: u64) -> io::Result<Reasons> {
    match status {
        // Address size, level 0: with stage 1 off, of an address beyond the PA size, which no stage 2 of 52 bits is asked about.
        0b00_0000 => Ok(&[Reason::OutOfRange]),
        0b00_0100..=0b00_0111 | 0b10_1011 => Ok(&[Reason::NotMapped, Reason::OutOfRange]),
        0b00_1100..=0b00_1111 => Ok(&[Reason::NotPermitted]),
        _ => Err(io::Error::other(format!("fault status code {status:#b}"))),
    }
}
