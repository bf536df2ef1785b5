//! ARMv7: the MMU of a CPU with short descriptors.

use crate::gdb::Gdb;
use crate::plan::Window;
use crate::ram::Ram;
use crate::vm::{Channel, Vm};
use crate::walker::{Access, Outcome, Privilege, Reach, Reason, Reasons, Request, Walker};
use generic_pt::{Invalidation, Prot};
use std::io;
use std::path::Path;

/// Where the instructions are that set the registers, and those that ask.
const INSTALL_AT: u64 = crate::arm::RAM_PA + 0x10_0000;
const FORGET_AT: u64 = INSTALL_AT + 4 * 6;
const ASK_AT: u64 = crate::arm::RAM_PA + 0x10_1000;
const ASK_BYTES: u64 = 12;
/// Where the instructions are that go to User mode and Supervisor mode.
const ENTER_AT: u64 = ASK_AT + ASKS.len() as u64 * ASK_BYTES;
/// What the tables have to map, executable: the vectors.
pub const WINDOW: Window = Window { pa: crate::arm::RAM_PA + 0x11_0000, bytes: 64 << 10, prot: Prot::READ };
/// Vectors: svc and refused fetches; of Hyp mode, hvc.
const SVC_VECTOR: u64 = 0x08;
const FETCH_VECTOR: u64 = 0x0c;
const HVC_VECTOR: u64 = 0x14;

/// Supervisor mode, without interrupts. (The CPU starts in Hyp mode.)
const SUPERVISOR: u64 = 0x1d3;
const USER: u64 = 0x1d0;

/// SCTLR with the MMU on, TEX remap, and access flags.
const SCTLR: u64 = 0x00c5_0879 | 1 << 28 | 1 << 29;
/// DACR: domain 0 is checked for permissions.
const DACR: u64 = 1;

const DSB: u32 = 0xf57f_f04f;
const ISB: u32 = 0xf57f_f06f;
/// msr ELR_hyp, r0; msr SPSR_fsxc, r1; eret.
const ENTER: [u32; 3] = [0xe12e_f300, 0xe16f_f001, 0xe160_006e];
const HVC: u32 = 0xe140_0070;
/// svc #0.
const SVC: &[u8] = &[0, 0, 0, 0xef];

/// A register of coprocessor 15: op1, CRn, CRm, op2.
type SystemRegister = (u32, u32, u32, u32);

const TTBR0: SystemRegister = (0, 2, 0, 0);
const TTBCR: SystemRegister = (0, 2, 0, 2);
const DACR_REGISTER: SystemRegister = (0, 3, 0, 0);
const PRRR: SystemRegister = (0, 10, 2, 0);
const NMRR: SystemRegister = (0, 10, 2, 1);
const SCTLR_REGISTER: SystemRegister = (0, 1, 0, 0);
const TLBIALLNSNH: SystemRegister = (4, 8, 7, 4);
const PAR: SystemRegister = (0, 7, 4, 0);

const fn mcr((op1, crn, crm, op2): SystemRegister, from: u32) -> u32 {
    0xee00_0f10 | op1 << 21 | crn << 16 | from << 12 | op2 << 5 | crm
}

const fn mrc(register: SystemRegister, to: u32) -> u32 {
    mcr(register, to) | 1 << 20
}

/// Ways to ask, and op2 of the operation: ATS12NSOPR, ATS12NSOPW, ATS12NSOUR, ATS12NSOUW.
const ASKS: [(Access, Privilege, u32); 4] = [
    (Access::Read, Privilege::Supervisor, 4),
    (Access::Write, Privilege::Supervisor, 5),
    (Access::Read, Privilege::User, 6),
    (Access::Write, Privilege::User, 7),
];

/// A table and what goes with it, as the library tells.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    /// TTBR0.
    pub ttbr: u32,
    /// TTBCR.
    pub ttbcr: u32,
    /// PRRR.
    pub prrr: u32,
    /// NMRR.
    pub nmrr: u32,
}

/// A CPU that stands still.
#[derive(Debug)]
struct Machine {
    _vm: Vm,
    gdb: Gdb,
}

/// Two CPUs with the same memory: one in Hyp mode, which asks; one in Supervisor mode, from which there is no way back, and in
/// which the debugger translates.
#[derive(Debug)]
pub struct Cpu {
    asks: Machine,
    translates: Machine,
}

impl Cpu {
    /// A CPU with a table, on a RAM that begins where that of [`arm`](crate::arm) does.
    ///
    /// # Errors
    /// The machine does not work.
    pub fn new(program: &Path, registers: Registers, ram: &Ram) -> io::Result<Self> {
        let Registers { ttbr, ttbcr, prrr, nmrr } = registers;
        let values = [
            (TTBR0, ttbr.into()),
            (TTBCR, ttbcr.into()),
            (DACR_REGISTER, DACR),
            (PRRR, prrr.into()),
            (NMRR, nmrr.into()),
            (SCTLR_REGISTER, SCTLR),
        ];
        let mut install: Vec<u32> = values.iter().zip(0..).map(|((register, _), from)| mcr(*register, from)).collect();
        install.extend([mcr(TLBIALLNSNH, 0), DSB, ISB]);
        ram.write_words(INSTALL_AT, &install)?;
        for (at, (.., op2)) in (ASK_AT..).step_by(ASK_BYTES as usize).zip(ASKS) {
            // Of r0.
            ram.write_words(at, &[mcr((0, 7, 8, op2), 0), ISB, mrc(PAR, 1)])?;
        }
        ram.write_words(ENTER_AT, &ENTER)?;
        ram.write_words(WINDOW.pa + SVC_VECTOR, &[HVC, HVC])?;
        let start = || {
            let (vm, channel) = Vm::start(
                program,
                "virt,virtualization=on,highmem=off",
                Channel::Debugger,
                &["-cpu", "cortex-a15"],
                ram,
            )?;
            let mut machine = Machine { _vm: vm, gdb: Gdb::new(channel)? };
            for ((_, value), n) in values.into_iter().zip(0..) {
                machine.gdb.set(&format!("r{n}"), value)?;
            }
            machine.gdb.run(INSTALL_AT, install.len())?;
            io::Result::Ok(machine)
        };
        let (asks, mut translates) = (start()?, start()?);
        translates.gdb.set("cpsr", SUPERVISOR)?;
        Ok(Self { asks, translates })
    }

    /// Executes what is at `va` in a mode: it ends at a vector, from which there is a way back to Hyp mode.
    fn execute(&mut self, va: u64, mode: u64) -> io::Result<Outcome> {
        let gdb = &mut self.asks.gdb;
        gdb.set("r0", va)?;
        gdb.set("r1", mode)?;
        gdb.set("pc", ENTER_AT)?;
        for _ in 0..=ENTER.len() {
            gdb.step()?;
        }
        let (vector, status, fault_va) = (gdb.get("pc")?, gdb.get("IFSR")?, gdb.get("IFAR")?);
        gdb.step()?;
        match (vector, gdb.get("pc")?) {
            (SVC_VECTOR, HVC_VECTOR) => Ok(Outcome::Done(0)),
            (FETCH_VECTOR, HVC_VECTOR) if fault_va == va => Ok(Outcome::Fault(reasons(status)?)),
            (vector, pc) => {
                let what = format!("execution at {va:#x} in mode {mode:#x}");
                Err(io::Error::other(format!("{what}: went to {vector:#x}, IFAR {fault_va:#x}, and then {pc:#x}")))
            }
        }
    }
}

/// What the status of a fault says, in PAR and in IFSR: of the first level, and of the second. There is no page where the table does
/// not reach.
fn reasons(status: u64) -> io::Result<Reasons> {
    match status & 0x1f {
        0b00101 | 0b00111 => Ok(&[Reason::NotMapped, Reason::OutOfRange]),
        0b01101 | 0b01111 => Ok(&[Reason::NotPermitted]),
        status => Err(io::Error::other(format!("fault status {status:#b}"))),
    }
}

impl Walker for Cpu {
    fn translate(&mut self, va: u64) -> Option<io::Result<Option<u64>>> {
        Some(self.translates.gdb.physical(va))
    }

    fn reaches(&self, va: u64, _: Option<u64>) -> Reach {
        Reach::of_32_bits(va)
    }

    fn access(&mut self, request: &Request) -> io::Result<Outcome> {
        let Request { va, access, privilege, .. } = *request;
        let way = (ASK_AT..).step_by(ASK_BYTES as usize).zip(ASKS);
        let way = way.into_iter().find(|(_, (of, by, _))| (*of, *by) == (access, privilege));
        let Some((at, _)) = way else {
            return self.execute(va, if privilege == Privilege::User { USER } else { SUPERVISOR });
        };
        self.asks.gdb.set("r0", va)?;
        self.asks.gdb.run(at, 3)?;
        let par = self.asks.gdb.get("r1")?;
        let inside = if par & 2 == 0 { 0xfff } else { 0xff_ffff };
        Ok(if par & 1 == 0 {
            Outcome::Permitted { pa: par & !inside | va & inside }
        } else {
            Outcome::Fault(reasons(par >> 1)?)
        })
    }

    fn privileges(&self, _: Access) -> &'static [Privilege] {
        &[Privilege::Supervisor, Privilege::User]
    }

    fn instruction(&self) -> Option<&'static [u8]> {
        // It leads back.
        Some(SVC)
    }

    fn invalidate(&mut self, _: &Invalidation) -> io::Result<()> {
        // The debugger caches nothing.
        self.asks.gdb.run(FORGET_AT, 3)
    }

    fn permits(&self, prot: Prot, access: Access, _: Privilege) -> bool {
        match access {
            // What can be written can be read.
            Access::Read => true,
            Access::Write => prot.contains(Prot::WRITE),
            Access::Execute => !prot.contains(Prot::NOEXEC),
        }
    }
}
