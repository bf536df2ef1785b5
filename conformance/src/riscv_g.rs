//! RISC-V: the G-stage of a hart, through the instructions of hypervisors that load and store as their guests do.

use crate::gdb::Gdb;
use crate::known::{Fault, Met};
use crate::ram::Ram;
use crate::riscv::{PAGE_FAULT, RAM_PA, Xlen, enable_updates, own_bits};
use crate::vm::{self, Channel, Vm};
use crate::walker::{Access, Outcome, Pages, Privilege, Reach, Request, Walker, Widths};
use generic_pt::{Invalidation, Prot};
use std::io;
use std::ops::Range;
use std::path::Path;

/// Where the instructions of accesses are, and where traps go.
const INSTRUCTIONS: u64 = RAM_PA + 0x1000;
const TRAP: u64 = RAM_PA + 0x2000;

const MACHINE: u64 = 3;
/// `hstatus`: guest accesses are those of its supervisor; the guest is of 64 bits.
const SPVP: u64 = 1 << 8;
const VSXL_64: u64 = 2 << 32;
/// `mstatus`: mret leads to a supervisor, of a guest (with 32 bits in `mstatush`); SXL and UXL are of 64 bits.
const MPP_SUPERVISOR: u64 = 1 << 11;
const MPV: u64 = 1 << 39;
const XLEN_64: u64 = 0xa_0000_0000;

const LOAD_AT: u64 = INSTRUCTIONS;
const STORE_AT: u64 = INSTRUCTIONS + 4;
const LOAD_BYTE_AT: u64 = INSTRUCTIONS + 8;
const STORE_BYTE_AT: u64 = INSTRUCTIONS + 12;
const MRET_AT: u64 = INSTRUCTIONS + 16;
const HLVX_AT: u64 = INSTRUCTIONS + 20;
const HFENCE_AT: u64 = INSTRUCTIONS + 24;

/// Causes of traps: ecall of a guest's user, and of its supervisor; guest page faults.
const CALL_OF_USER: u64 = 8;
const CALL_OF_GUEST: u64 = 10;
const FETCH_REFUSED: u64 = 20;
const LOAD_REFUSED: u64 = 21;
const STORE_REFUSED: u64 = 23;

/// A hart that stands still, with a G-stage table; its guest has no tables of its own.
#[derive(Debug)]
pub struct Guest {
    _vm: Vm,
    gdb: Gdb,
    xlen: Xlen,
    hgatp: u64,
    gpa_bits: u32,
    /// Where memory holds its own addresses.
    data: Vec<Range<u64>>,
    /// QEMU 7.2 refuses addresses with the highest bit set.
    has_sign_fault: bool,
    met: Met,
}

impl Guest {
    /// A hart with a table, on a RAM that begins at [`RAM_PA`]: `mode` and page number as the library gives them.
    ///
    /// # Errors
    /// The machine does not work.
    pub fn new(
        program: &Path,
        xlen: Xlen,
        extensions: &[&str],
        (mode, ppn): (u32, u64),
        ram: &Ram,
    ) -> io::Result<Self> {
        // hlv.d and hsv.d, or hlv.w and hsv.w: from a1's address to a0, and there from a2.
        let (load, store) = if xlen == Xlen::Bits64 { (0x6c05_c573, 0x6ec5_c073) } else { (0x6805_c573, 0x6ac5_c073) };
        // hlv.bu, hsv.b; mret; hlvx.wu, which reads what can be executed; hfence.gvma of everything.
        let code = [load, store, 0x6015_c573, 0x62c5_c073, 0x3020_0073, 0x6835_c573, 0x6200_0073];
        ram.write_words(INSTRUCTIONS, &code)?;
        let (name, hgatp, gpa_bits) = match xlen {
            // Two bits more than Sv39, Sv48 and Sv57 have.
            Xlen::Bits64 => ("rv64", u64::from(mode) << 60 | ppn, 41 + 9 * mode.saturating_sub(8)),
            // One bit, for the mode that `iohgatp` calls 8.
            Xlen::Bits32 => ("rv32", u64::from(mode == 8) << 31 | ppn, 34),
        };
        let cpu = [&[name, "pmp=false", "h=true"], own_bits(program)?, extensions].concat().join(",");
        let (vm, channel) = Vm::start(program, "virt", Channel::Debugger, &["-cpu", &cpu, "-bios", "none"], ram)?;
        // With 32 bits no address register reaches so far.
        let has_sign_fault = vm::major(program)? < 10 && xlen == Xlen::Bits64;
        let mut guest = Self {
            _vm: vm,
            gdb: Gdb::new(channel)?,
            xlen,
            hgatp,
            has_sign_fault,
            gpa_bits,
            data: ram.data(),
            met: Met::default(),
        };
        guest.gdb.set("priv", MACHINE)?;
        guest.gdb.set("mtvec", TRAP)?;
        guest.gdb.set("vsatp", 0)?;
        guest.forget()?;
        Ok(guest)
    }

    /// Has it set A and D in the G-stage: Svadu.
    ///
    /// # Errors
    /// It has no Svadu.
    pub fn enable_updates(&mut self) -> io::Result<()> {
        enable_updates(&mut self.gdb, self.xlen)
    }

    fn forget(&mut self) -> io::Result<()> {
        self.gdb.set("priv", MACHINE)?;
        self.gdb.set("hgatp", self.hgatp)?;
        // A change of the register does not do it, in QEMU 7.2 as in hardware.
        self.gdb.set("pc", HFENCE_AT)?;
        self.gdb.step()?;
        match self.gdb.get("pc")? {
            pc if pc == HFENCE_AT + 4 => Ok(()),
            pc => Err(io::Error::other(format!("hfence.gvma ended at {pc:#x}"))),
        }
    }

    /// Reads by HLVX. Returns the cause of the trap, if there is one.
    fn hlvx(&mut self, va: u64) -> io::Result<Option<u64>> {
        self.gdb.set("hstatus", if self.xlen == Xlen::Bits64 { SPVP | VSXL_64 } else { SPVP })?;
        for (register, value) in [("priv", MACHINE), ("a1", va), ("pc", HLVX_AT)] {
            self.gdb.set(register, value)?;
        }
        self.gdb.step()?;
        match self.gdb.get("pc")? {
            pc if pc == HLVX_AT + 4 => Ok(None),
            pc if pc == TRAP => self.gdb.get("mcause").map(Some),
            pc => Err(io::Error::other(format!("hlvx of {va:#x} ended at {pc:#x}"))),
        }
    }

    /// Goes to an address as the guest's supervisor or user, by mret.
    fn enter_at(&mut self, va: u64, privilege: Privilege) -> io::Result<()> {
        self.gdb.set("mepc", va)?;
        let mode = if privilege == Privilege::User { 0 } else { MPP_SUPERVISOR };
        match self.xlen {
            Xlen::Bits64 => self.gdb.set("mstatus", XLEN_64 | mode | MPV)?,
            Xlen::Bits32 => {
                self.gdb.set("mstatus", mode)?;
                self.gdb.set("mstatush", MPV >> 32)?;
            }
        }
        self.gdb.set("mcause", 0)?;
        self.gdb.step()
    }
}

impl Walker for Guest {
    /// RAM only; with 32 bits, what an address register holds.
    fn reaches(&self, va: u64, pa: Option<u64>) -> Reach {
        let is_in_register = self.xlen == Xlen::Bits64 || va >> 32 == 0;
        let is_ram = pa.is_none_or(|pa| self.data.iter().any(|area| area.contains(&pa)));
        match is_in_register && is_ram && va & 7 == 0 {
            true if self.has_sign_fault && va >> (self.gpa_bits - 1) != 0 => Reach::Avoided(Fault::GuestSign),
            true => Reach::Asked,
            false => Reach::Elsewhere,
        }
    }

    fn take_met(&mut self) -> Met {
        self.met.take()
    }

    fn avoids(&self) -> Vec<Fault> {
        if self.has_sign_fault { vec![Fault::Hlvx, Fault::GuestSign] } else { vec![Fault::Hlvx] }
    }

    fn still_has(&mut self, fault: Fault, pages: &Pages) -> io::Result<bool> {
        let request = |va| Request::read(va, 8);
        match fault {
            Fault::GuestSign => Ok(matches!(self.access(&request(pages.last_va))?, Outcome::Fault(_))),
            // It reads what can be executed, and raises the exception of a load otherwise.
            _ => Ok(self.hlvx(pages.executable_va)?.is_some() || self.hlvx(pages.data_va)? != Some(LOAD_REFUSED)),
        }
    }

    fn sees(&self, prot: Prot) -> bool {
        self.permits(prot, Access::Read, Privilege::Supervisor)
    }

    fn widths(&self) -> Widths {
        Widths::OrOne
    }

    fn access(&mut self, request: &Request) -> io::Result<Outcome> {
        let Request { va, access, privilege, value, bytes } = *request;
        let (at, cause_of_refusal) = match (access, bytes) {
            (Access::Read, 1) => (LOAD_BYTE_AT, LOAD_REFUSED),
            (Access::Read, _) => (LOAD_AT, LOAD_REFUSED),
            (Access::Write, 1) => (STORE_BYTE_AT, STORE_REFUSED),
            (Access::Write, _) => (STORE_AT, STORE_REFUSED),
            (Access::Execute, _) => (MRET_AT, FETCH_REFUSED),
        };
        let mode = if privilege == Privilege::User { 0 } else { SPVP };
        self.gdb.set("hstatus", if self.xlen == Xlen::Bits64 { mode | VSXL_64 } else { mode })?;
        self.gdb.set("priv", MACHINE)?;
        self.gdb.set("a1", va)?;
        self.gdb.set("a2", value)?;
        self.gdb.set("pc", at)?;
        if access == Access::Execute {
            self.met.count(Fault::Hlvx);
            self.enter_at(va, privilege)?;
        }
        self.gdb.step()?;
        if access != Access::Execute && self.gdb.get("pc")? == at + 4 {
            return Ok(Outcome::Done(self.gdb.get("a0")?));
        }
        let call = if privilege == Privilege::User { CALL_OF_USER } else { CALL_OF_GUEST };
        let [pc, cause, gva, gpa] = ["pc", "mcause", "mtval", "mtval2"].map(|register| self.gdb.get(register));
        match (pc?, cause?, gva?, gpa?) {
            (TRAP, cause, ..) if cause == call && access == Access::Execute => Ok(Outcome::Done(0)),
            (TRAP, cause, gva, gpa) if cause == cause_of_refusal && gva == va && gpa == va >> 2 => {
                Ok(Outcome::Fault(PAGE_FAULT))
            }
            (pc, cause, gva, gpa) => {
                let what = format!("at {pc:#x}, cause {cause}, of {gva:#x} and {gpa:#x} * 4");
                Err(io::Error::other(format!("{request}: {what}")))
            }
        }
    }

    fn invalidate(&mut self, _: &Invalidation) -> io::Result<()> {
        self.forget()
    }

    fn instruction(&self) -> Option<&'static [u8]> {
        // ecall, which leads back.
        Some(&[0x73, 0, 0, 0])
    }

    fn privileges(&self, _: Access) -> &'static [Privilege] {
        // Of the guest, whose own tables are off: to the G-stage all are users.
        &[Privilege::Supervisor, Privilege::User]
    }

    fn permits(&self, prot: Prot, access: Access, _: Privilege) -> bool {
        crate::riscv::permits(prot, access)
    }
}
