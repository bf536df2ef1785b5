//! ARMv7: the MMU of a CPU with short descriptors.

use crate::gdb::Gdb;
use crate::plan::Window;
use crate::ram::Ram;
use crate::vm::{Channel, Vm};
use crate::walker::{Access, Outcome, Privilege, Reach, Reason, Reasons, Request, Walker};
use generic_pt::{Invalidation, Prot};
use std::io;
use std::path::Path;

/// Where the instructions are that set the registers.
const INSTALL_AT: u64 = crate::arm::RAM_PA + 0x10_0000;
const FORGET_AT: u64 = INSTALL_AT + 4 * 6;
/// Where the instructions are that go to User mode and Supervisor mode.
const ENTER_AT: u64 = crate::arm::RAM_PA + 0x10_1000;
/// What the tables have to map, executable: the vectors.
pub const WINDOW: Window = Window { pa: crate::arm::RAM_PA + 0x11_0000, bytes: 64 << 10, prot: Prot::READ };
/// Vectors: svc, refused fetches, refused loads and stores; of Hyp mode, hvc.
const SVC_VECTOR: u64 = 0x08;
const FETCH_VECTOR: u64 = 0x0c;
const DATA_VECTOR: u64 = 0x10;
const HVC_VECTOR: u64 = 0x14;
/// Behind the vectors: ldr r3, [r2]; str r3, [r2]; each with svc, which leads back.
const LOAD_AT: u64 = 0x800;
const LOAD: u32 = 0xe592_3000;
const STORE_AT: u64 = 0x808;
const STORE: u32 = 0xe582_3000;

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
const SVC: u32 = 0xef00_0000;
const SVC_BYTES: [u8; 4] = SVC.to_le_bytes();

/// Of the status of a data access: a write.
const OF_WRITE: u64 = 1 << 11;

/// A register of coprocessor 15: op1, CRn, CRm, op2.
type SystemRegister = (u32, u32, u32, u32);

const TTBR0: SystemRegister = (0, 2, 0, 0);
const TTBCR: SystemRegister = (0, 2, 0, 2);
const DACR_REGISTER: SystemRegister = (0, 3, 0, 0);
const PRRR: SystemRegister = (0, 10, 2, 0);
const NMRR: SystemRegister = (0, 10, 2, 1);
const SCTLR_REGISTER: SystemRegister = (0, 1, 0, 0);
const TLBIALLNSNH: SystemRegister = (4, 8, 7, 4);

const fn mcr((op1, crn, crm, op2): SystemRegister, from: u32) -> u32 {
    0xee00_0f10 | op1 << 21 | crn << 16 | from << 12 | op2 << 5 | crm
}

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

/// Two CPUs with the same memory: one in Hyp mode, which goes to other modes and comes back; one in Supervisor mode, from which
/// there is no way back, and in which the debugger translates.
#[derive(Debug)]
pub struct Cpu {
    tries: Machine,
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
        ram.write_words(ENTER_AT, &ENTER)?;
        for (offset, code) in [(SVC_VECTOR, [HVC; 3].as_slice()), (LOAD_AT, &[LOAD, SVC]), (STORE_AT, &[STORE, SVC])] {
            ram.write_words(WINDOW.pa + offset, code)?;
        }
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
        let (tries, mut translates) = (start()?, start()?);
        translates.gdb.set("cpsr", SUPERVISOR)?;
        Ok(Self { tries, translates })
    }

    /// Executes the instruction at `at` in a mode, and the svc behind a load or store: it ends at a vector, from which there is a way
    /// back to Hyp mode.
    fn execute(&mut self, request: &Request, at: u64, mode: u64) -> io::Result<Outcome> {
        let Request { va, access, value, .. } = *request;
        let gdb = &mut self.tries.gdb;
        for (register, value) in [("r0", at), ("r1", mode), ("r2", va), ("r3", value), ("pc", ENTER_AT)] {
            gdb.set(register, value)?;
        }
        for _ in 0..=ENTER.len() {
            gdb.step()?;
        }
        let was_done = access != Access::Execute && gdb.get("pc")? == at + 4;
        let read = if was_done { gdb.get("r3")? } else { 0 };
        if was_done {
            gdb.step()?;
        }
        let vector = gdb.get("pc")?;
        let [status, address] = if access == Access::Execute { ["IFSR", "IFAR"] } else { ["DFSR", "DFAR"] };
        let (status, fault_va) = (gdb.get(status)?, gdb.get(address)?);
        gdb.step()?;
        let is_write = status & OF_WRITE != 0;
        match (vector, access, gdb.get("pc")?) {
            (SVC_VECTOR, Access::Execute, HVC_VECTOR) => Ok(Outcome::Done(0)),
            (SVC_VECTOR, Access::Read | Access::Write, HVC_VECTOR) if was_done => Ok(Outcome::Done(read)),
            (FETCH_VECTOR, Access::Execute, HVC_VECTOR) if fault_va == va => Ok(Outcome::Fault(reasons(status)?)),
            (DATA_VECTOR, Access::Read | Access::Write, HVC_VECTOR)
                if fault_va == va && is_write == (access == Access::Write) =>
            {
                Ok(Outcome::Fault(reasons(status)?))
            }
            (vector, _, pc) => {
                let where_to = format!("went to {vector:#x}, status {status:#x} at {fault_va:#x}, and then {pc:#x}");
                Err(io::Error::other(format!("{request}: {where_to}")))
            }
        }
    }
}

/// What the status of a fault says, in DFSR and in IFSR: of the first level, and of the second. There is no page where the table does
/// not reach.
fn reasons(status: u64) -> io::Result<Reasons> {
    match (status >> 6 & 0x10) | status & 0xf {
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
        let mode = if request.privilege == Privilege::User { USER } else { SUPERVISOR };
        let at = match request.access {
            Access::Read => LOAD_AT,
            Access::Write => STORE_AT,
            Access::Execute => request.va,
        };
        self.execute(request, at, mode)
    }

    fn privileges(&self, _: Access) -> &'static [Privilege] {
        &[Privilege::Supervisor, Privilege::User]
    }

    fn instruction(&self) -> Option<&'static [u8]> {
        // It leads back.
        Some(&SVC_BYTES)
    }

    fn invalidate(&mut self, _: &Invalidation) -> io::Result<()> {
        // The debugger caches nothing.
        self.tries.gdb.run(FORGET_AT, 3)
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
