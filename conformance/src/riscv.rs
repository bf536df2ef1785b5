//! RISC-V: the MMU of a hart.

use crate::gdb::Gdb;
use crate::ram::Ram;
use crate::vm::{self, Channel, Vm};
use crate::walker::{Access, Outcome, Privilege, Reach, Reason, Reasons, Request, Walker};
use generic_pt::{Invalidation, Prot};
use std::io;
use std::path::Path;

/// Where RAM begins.
pub const RAM_PA: u64 = 0x8000_0000;

/// Where the instructions of accesses are, and where traps go.
const LOAD_AT: u64 = RAM_PA + 0x1000;
const STORE_AT: u64 = RAM_PA + 0x1010;
const TRAP: u64 = RAM_PA + 0x2000;

/// Privilege levels.
const USER: u64 = 0;
const SUPERVISOR: u64 = 1;
const MACHINE: u64 = 3;
/// `mstatus`: loads and stores as if in the level MPP; of user pages, too; the upper half is of 64-bit harts (UXL and SXL are 2).
const MPRV: u64 = 1 << 17;
const MPP_USER: u64 = USER << 11;
const MPP_SUPERVISOR: u64 = SUPERVISOR << 11;
const SUM: u64 = 1 << 18;
const XLEN_64: u64 = 0xa_0000_0000;

/// `menvcfg`: the hart sets A and D (ADUE); with 32 bits in `menvcfgh`.
const ADUE: u64 = 1 << 61;

/// A page fault, which is of one kind of access, tells no reason.
pub(crate) const PAGE_FAULT: Reasons = &[Reason::NotMapped, Reason::NotPermitted, Reason::OutOfRange];

/// Bits of a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Xlen {
    /// Sv32.
    Bits32,
    /// Sv39, Sv48, Sv57.
    Bits64,
}

/// A hart that stands still.
#[derive(Debug)]
pub struct Hart {
    _vm: Vm,
    gdb: Gdb,
    xlen: Xlen,
    satp: u64,
}

impl Hart {
    /// A hart with extensions, as in `svnapot=on`, on a RAM that begins at [`RAM_PA`].
    ///
    /// # Errors
    /// The machine does not start.
    pub fn new(program: &Path, xlen: Xlen, extensions: &[&str], ram: &Ram) -> io::Result<Self> {
        // ld a0, 0(a1) and sd a2, 0(a1); lw and sw with 32 bits.
        let (load, store): (u32, u32) =
            if xlen == Xlen::Bits64 { (0x0005_b503, 0x00c5_b023) } else { (0x0005_a503, 0x00c5_a023) };
        ram.write(LOAD_AT, &load.to_le_bytes())?;
        ram.write(STORE_AT, &store.to_le_bytes())?;
        let name = if xlen == Xlen::Bits32 { "rv32" } else { "rv64" };
        // Without an entry PMP denies everything.
        let cpu = [&[name, "pmp=false"], own_bits(program)?, extensions].concat().join(",");
        let (vm, channel) = Vm::start(program, "virt", Channel::Debugger, &["-cpu", &cpu, "-bios", "none"], ram)?;
        Ok(Self { _vm: vm, gdb: Gdb::new(channel)?, xlen, satp: 0 })
    }

    /// Points the hart to a table: `mode` and page number as the library gives them.
    ///
    /// # Errors
    /// The machine does not work.
    pub fn install(&mut self, mode: u32, ppn: u64) -> io::Result<()> {
        self.satp = match self.xlen {
            // One bit, for the mode that `iosatp` calls 8.
            Xlen::Bits32 => u64::from(mode == 8) << 31 | ppn,
            Xlen::Bits64 => u64::from(mode) << 60 | ppn,
        };
        self.forget()
    }
}

impl Hart {
    /// Has it set A and D: Svadu.
    ///
    /// # Errors
    /// It has no Svadu.
    pub fn enable_updates(&mut self) -> io::Result<()> {
        enable_updates(&mut self.gdb, self.xlen)
    }

    fn upper(&self) -> u64 {
        if self.xlen == Xlen::Bits64 { XLEN_64 } else { 0 }
    }

    /// Makes it forget everything.
    fn forget(&mut self) -> io::Result<()> {
        // Only a change does it.
        self.gdb.set("satp", 0)?;
        self.gdb.set("satp", self.satp)?;
        // Pages are those of users.
        self.gdb.set("mstatus", SUM | self.upper())?;
        self.gdb.set("priv", SUPERVISOR)
    }
}

impl Walker for Hart {
    fn translate(&mut self, va: u64) -> Option<io::Result<Option<u64>>> {
        Some(self.gdb.physical(va))
    }

    fn reaches(&self, va: u64, _: Option<u64>) -> Reach {
        if self.xlen == Xlen::Bits32 { Reach::of_32_bits(va) } else { Reach::Asked }
    }

    fn access(&mut self, request: &Request) -> io::Result<Outcome> {
        let Request { va, access, privilege, value, .. } = *request;
        let (mode, status) = match privilege {
            Privilege::User => (USER, MPP_USER),
            Privilege::Guarded => (SUPERVISOR, MPP_SUPERVISOR),
            Privilege::Supervisor => (SUPERVISOR, MPP_SUPERVISOR | SUM),
        };
        // The cause of a refusal. Loads and stores are of machine mode, as if in the other.
        let (at, mode, cause_of_refusal) = match access {
            Access::Read => (LOAD_AT, MACHINE, 13),
            Access::Write => (STORE_AT, MACHINE, 15),
            Access::Execute => (va, mode, 12),
        };
        self.gdb.set("priv", mode)?;
        self.gdb.set("mstatus", MPRV | status | self.upper())?;
        self.gdb.set("mtvec", TRAP)?;
        self.gdb.set("a1", va)?;
        self.gdb.set("a2", value)?;
        self.gdb.set("pc", at)?;
        self.gdb.step()?;
        let pc = self.gdb.get("pc")?;
        // The last instruction of the space is followed by the first.
        let next = at.wrapping_add(4) & if self.xlen == Xlen::Bits64 { u64::MAX } else { u32::MAX.into() };
        let outcome = if pc == next {
            Outcome::Done(self.gdb.get("a0")?)
        } else {
            let (cause, value) = (self.gdb.get("mcause")?, self.gdb.get("mtval")?);
            if cause != cause_of_refusal || value != va {
                return Err(io::Error::other(format!("{request}: cause {cause}, at {value:#x}")));
            }
            Outcome::Fault(PAGE_FAULT)
        };
        self.gdb.set("priv", SUPERVISOR)?;
        Ok(outcome)
    }

    fn invalidate(&mut self, _: &Invalidation) -> io::Result<()> {
        self.forget()
    }

    fn instruction(&self) -> Option<&'static [u8]> {
        Some(&[0x13, 0, 0, 0])
    }

    fn privileges(&self, _: Access) -> &'static [Privilege] {
        &[Privilege::Supervisor, Privilege::Guarded, Privilege::User]
    }

    fn permits(&self, prot: Prot, access: Access, privilege: Privilege) -> bool {
        match (privilege, access) {
            // Users' pages are executed by users only.
            (Privilege::Guarded, _) | (Privilege::Supervisor, Access::Execute) => false,
            (Privilege::Supervisor | Privilege::User, _) => permits(prot, access),
        }
    }
}

/// Has a hart with `svadu=on` set A and D from now on.
pub(crate) fn enable_updates(gdb: &mut Gdb, xlen: Xlen) -> io::Result<()> {
    let (register, bit) = if xlen == Xlen::Bits64 { ("menvcfg", ADUE) } else { ("menvcfgh", ADUE >> 32) };
    let before = gdb.get(register)?;
    gdb.set(register, before | bit)?;
    match gdb.get(register)? {
        now if now & bit != 0 => Ok(()),
        now => Err(io::Error::other(format!("{register} is {now:#x}: the hart has no Svadu"))),
    }
}

/// Extensions by which a hart sets neither A nor D, and refuses a leaf without them. Before 10.0 it sets them always.
pub(crate) fn own_bits(program: &Path) -> io::Result<&'static [&'static str]> {
    Ok(if vm::major(program)? < 10 { &[] } else { &["svade=on"] })
}

/// What an item with that protection permits, in either stage.
pub(crate) fn permits(prot: Prot, access: Access) -> bool {
    match access {
        // What can be written can be read.
        Access::Read => prot.intersects(Prot::READ | Prot::WRITE),
        Access::Write => prot.contains(Prot::WRITE),
        Access::Execute => !prot.contains(Prot::NOEXEC),
    }
}
