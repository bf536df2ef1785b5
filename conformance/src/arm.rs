//! AArch64: the MMU of a CPU, stage 1 and stage 2.

use crate::gdb::Gdb;
use crate::known::Fault;
use crate::plan::Window;
use crate::ram::Ram;
use crate::vm::{Channel, Vm};
use crate::walker::{Access, Outcome, Privilege, Reason, Reasons, Request, Walker};
use generic_pt::{Invalidation, Prot};
use std::io;
use std::path::Path;

/// Where RAM begins. (Its first MiB is the device tree's.)
pub const RAM_PA: u64 = 0x4000_0000;

/// Where the instructions are that set the registers.
const INSTALL_AT: u64 = RAM_PA + 0x10_0000;
const FORGET_AT: u64 = INSTALL_AT + 4 * REGISTERS.len() as u64;
/// Where the instructions are that go to EL0 and EL1.
const ENTER_AT: u64 = RAM_PA + 0x10_1000;
/// What the tables have to map, executable: the vectors of EL1. (What EL0 can write EL1 cannot execute.)
pub const WINDOW: Window = Window { pa: RAM_PA + 0x11_0000, bytes: 64 << 10, prot: Prot::READ };
/// Exceptions of a level itself, and of a lower one, from its vectors on. (Those of EL2 are at 0.)
const FROM_SAME: u64 = 0x200;
const FROM_LOWER: u64 = 0x400;
/// Behind the vectors: loads and stores, each followed by the way back.
const LOAD_OF_USER: u64 = 0x800;
const STORE_OF_USER: u64 = 0x808;
const LOAD_OF_KERNEL: u64 = 0x810;
const STORE_OF_KERNEL: u64 = 0x818;

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
/// And its memory types override those of stage 1.
const HCR_FWB: u64 = 1 << 46;

const DSB_SY: u32 = 0xd503_3f9f;
const ISB: u32 = 0xd503_3fdf;
const ERET: u32 = 0xd69f_03e0;
const HVC: u32 = 0xd400_0002;
/// svc #0.
const SVC: u32 = 0xd400_0001;
const SVC_BYTES: [u8; 4] = SVC.to_le_bytes();
/// ldr x3, [x2]; str x3, [x2].
const LOAD: u32 = 0xf940_0043;
const STORE: u32 = 0xf900_0043;
/// Class of an exception: svc; refused instruction fetch of a lower level, and of the same; refused data access of a lower level,
/// and of the same.
const CLASS_SVC: u64 = 0x15;
const CLASS_FETCH: u64 = 0x20;
const CLASS_FETCH_OF_SAME: u64 = 0x21;
const CLASS_DATA: u64 = 0x24;
const CLASS_DATA_OF_SAME: u64 = 0x25;
/// Of the syndrome of a data access.
const OF_WRITE: u64 = 1 << 6;

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
const ELR_EL2: SystemRegister = (3, 4, 4, 0, 1);
const SPSR_EL2: SystemRegister = (3, 4, 4, 0, 0);

/// An instruction of the system group.
const fn system(op0: u32, (op1, crn, crm, op2): (u32, u32, u32, u32), register: u32) -> u32 {
    0xd500_0000 | op0 << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5 | register
}

const fn msr((op0, op1, crn, crm, op2): SystemRegister, from: u32) -> u32 {
    system(op0, (op1, crn, crm, op2), from)
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

impl Stage {
    /// Which one a table is of: stage 2, or the half that TCR_EL1 does not switch off (EPD0 or EPD1).
    ///
    /// # Errors
    /// TCR_EL1 switches off both halves, or none.
    pub fn of(is_second: bool, tcr: u64) -> io::Result<Self> {
        match (is_second, tcr >> 7 & 1, tcr >> 23 & 1) {
            (true, ..) => Ok(Self::Second),
            (false, 0, 1) => Ok(Self::Lower),
            (false, 1, 0) => Ok(Self::Upper),
            _ => Err(io::Error::other(format!("TCR_EL1 {tcr:#x} does not leave one half"))),
        }
    }
}

/// What stage 2 does with the memory types of stage 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemoryTypes {
    /// It combines them with its own.
    Combined,
    /// It may override them: FEAT_S2FWB.
    Forced,
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
    /// Where the tables map [`WINDOW`].
    window_va: u64,
}

impl Cpu {
    /// A CPU with a table, on a RAM that begins at [`RAM_PA`].
    ///
    /// # Errors
    /// The machine does not work, or has no FEAT_S2FWB.
    pub fn new(program: &Path, stage: Stage, types: MemoryTypes, registers: Registers, ram: &Ram) -> io::Result<Self> {
        let mut install: Vec<u32> = REGISTERS.iter().zip(0..).map(|(register, from)| msr(*register, from)).collect();
        install.extend([TLBI_ALLE1, DSB_SY, ISB]);
        ram.write_words(INSTALL_AT, &install)?;
        ram.write_words(ENTER_AT, &[msr(ELR_EL2, 0), msr(SPSR_EL2, 1), ERET])?;
        for (offset, code) in [
            (FROM_SAME, &[HVC][..]),
            (FROM_LOWER, &[HVC]),
            (LOAD_OF_USER, &[LOAD, SVC]),
            (STORE_OF_USER, &[STORE, SVC]),
            (LOAD_OF_KERNEL, &[LOAD, HVC]),
            (STORE_OF_KERNEL, &[STORE, HVC]),
        ] {
            ram.write_words(WINDOW.pa + offset, code)?;
        }
        let arguments = ["-cpu", "max"];
        let (vm, channel) =
            Vm::start(program, "virt,virtualization=on,gic-version=3", Channel::Debugger, &arguments, ram)?;
        let Registers { ttb, tcr, mair } = registers;
        // The window is at the first VA: of the upper half, what T1SZ leaves.
        let window_va = if stage == Stage::Upper { !(u64::MAX >> (tcr >> 16 & 0x3f)) } else { 0 };
        let mut cpu = Self { _vm: vm, gdb: Gdb::new(channel)?, stage, window_va };
        // The same table in both halves: TCR_EL1 switches one of them off.
        let at = |is_here: bool| if is_here { ttb } else { 0 };
        let [first, second] = [at(stage != Stage::Second), at(stage == Stage::Second)];
        let (tcr, vtcr) = if stage == Stage::Second { (0, tcr) } else { (tcr, 0) };
        let forced = if types == MemoryTypes::Forced { HCR_FWB } else { 0 };
        let (sctlr, hcr) =
            if stage == Stage::Second { (SCTLR_OFF, HCR_RW | HCR_VM | forced) } else { (SCTLR_MMU, HCR_RW) };
        let values = [first, first, tcr, mair, sctlr, second, vtcr, hcr, window_va];
        for (value, n) in values.into_iter().zip(0..) {
            cpu.gdb.set(&format!("x{n}"), value)?;
        }
        cpu.run(INSTALL_AT, install.len())?;
        // A CPU without the feature keeps the bit clear.
        match cpu.gdb.get("HCR_EL2")? {
            found if found & HCR_FWB == hcr & HCR_FWB => Ok(cpu),
            found => Err(io::Error::other(format!("HCR_EL2 is {found:#x}, and not {hcr:#x}: no FEAT_S2FWB"))),
        }
    }

    /// Executes so many instructions, in EL2.
    fn run(&mut self, at: u64, instructions: usize) -> io::Result<()> {
        self.gdb.set("cpsr", EL2)?;
        self.gdb.run(at, instructions)
    }

    /// Executes the instruction at `at` in EL0 or EL1, and goes back to EL2: by the vectors of EL1, or there at once.
    fn execute(&mut self, request: &Request, at: u64, state: u64) -> io::Result<Outcome> {
        let Request { va, access, value, .. } = *request;
        for (register, value) in [("x0", at), ("x1", state), ("x2", va), ("x3", value), ("cpsr", EL2), ("pc", ENTER_AT)]
        {
            self.gdb.set(register, value)?;
        }
        for _ in 0..4 {
            self.gdb.step()?;
        }
        let was_done = access != Access::Execute && self.gdb.get("pc")? == at + 4;
        let read = if was_done { self.gdb.get("x3")? } else { 0 };
        if was_done {
            // svc of EL0, hvc of EL1.
            self.gdb.step()?;
        }
        let is_in_el1 = self.gdb.get("cpsr")? & MODE == EL1 & MODE;
        let [syndrome, address] = if is_in_el1 { ["ESR_EL1", "FAR_EL1"] } else { ["ESR_EL2", "FAR_EL2"] };
        let (syndrome, address) = (self.gdb.get(syndrome)?, self.gdb.get(address)?);
        if is_in_el1 {
            self.gdb.step()?;
        }
        let pc = self.gdb.get("pc")?;
        if pc != FROM_LOWER {
            return Err(io::Error::other(format!("{request}: syndrome {syndrome:#x}, and then at {pc:#x}")));
        }
        let is_write = syndrome & OF_WRITE != 0;
        match (access, syndrome >> 26) {
            (Access::Read | Access::Write, _) if was_done => Ok(Outcome::Done(read)),
            (Access::Execute, CLASS_SVC) => Ok(Outcome::Done(0)),
            (Access::Execute, CLASS_FETCH | CLASS_FETCH_OF_SAME) if address == va => {
                Ok(Outcome::Fault(reasons(syndrome & 0x3f)?))
            }
            (Access::Read | Access::Write, CLASS_DATA | CLASS_DATA_OF_SAME)
                if address == va && is_write == (access == Access::Write) =>
            {
                Ok(Outcome::Fault(reasons(syndrome & 0x3f)?))
            }
            _ => Err(io::Error::other(format!("{request}: syndrome {syndrome:#x}, at {address:#x}"))),
        }
    }
}

impl Walker for Cpu {
    fn translate(&mut self, va: u64) -> Option<io::Result<Option<u64>>> {
        // The debugger walks as the mode says.
        Some(self.gdb.set("cpsr", EL1).and_then(|()| self.gdb.physical(va)))
    }

    fn sees(&self, prot: Prot) -> bool {
        self.permits(prot, Access::Read, Privilege::Supervisor)
    }

    fn access(&mut self, request: &Request) -> io::Result<Outcome> {
        let Request { va, access, privilege, .. } = *request;
        let (loads, stores, state) = if privilege == Privilege::User {
            (LOAD_OF_USER, STORE_OF_USER, EL0)
        } else {
            (LOAD_OF_KERNEL, STORE_OF_KERNEL, EL1)
        };
        match access {
            Access::Read => self.execute(request, self.window_va + loads, state),
            Access::Write => self.execute(request, self.window_va + stores, state),
            Access::Execute => self.execute(request, va, state),
        }
    }

    fn privileges(&self, _: Access) -> &'static [Privilege] {
        &[Privilege::Supervisor, Privilege::User]
    }

    fn instruction(&self) -> Option<&'static [u8]> {
        // It leads back.
        Some(&SVC_BYTES)
    }

    fn takes_clean_for_read_only(&self) -> Option<Fault> {
        (self.stage != Stage::Second).then_some(Fault::CleanIsReadOnly)
    }

    fn invalidate(&mut self, _: &Invalidation) -> io::Result<()> {
        self.run(FORGET_AT, 3)
    }

    fn permits(&self, prot: Prot, access: Access, privilege: Privilege) -> bool {
        match (self.stage, access) {
            (_, Access::Write) => prot.contains(Prot::WRITE),
            (Stage::Second, Access::Read) => prot.contains(Prot::READ),
            // What can be written can be read.
            (_, Access::Read) => true,
            (Stage::Second, Access::Execute) => !prot.contains(Prot::NOEXEC),
            // EL1 never executes what EL0 may write.
            (_, Access::Execute) => {
                !prot.contains(Prot::NOEXEC) && (privilege == Privilege::User || !prot.contains(Prot::WRITE))
            }
        }
    }
}

/// What the fault status code of ESR_ELx says. Addresses that a table does not reach have translation faults, too.
fn reasons(status: u64) -> io::Result<Reasons> {
    match status {
        // Address size, level 0: with stage 1 off, of an address beyond the PA size, which no stage 2 of 52 bits is asked about.
        0b00_0000 => Ok(&[Reason::OutOfRange]),
        0b00_0100..=0b00_0111 | 0b10_1011 => Ok(&[Reason::NotMapped, Reason::OutOfRange]),
        0b00_1100..=0b00_1111 => Ok(&[Reason::NotPermitted]),
        _ => Err(io::Error::other(format!("fault status code {status:#b}"))),
    }
}
