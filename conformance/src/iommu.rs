//! IOMMUs of PCs, with a device behind them that does DMA.

use crate::edu::{self, Config, Edu, Window};
use crate::qtest::Qtest;
use crate::ram::Ram;
use crate::vm::{self, Channel, Vm};
use crate::walker::{Access, Outcome, Walker};
use generic_pt::Prot;
use std::io;
use std::path::PathBuf;

/// What the tables have to map to itself: the device's window.
pub const IDENTITY_BYTES: u64 = 0x4000;
const WINDOW: Window = Window { iova: 0x3000, pa: 0x3000 };

/// A PC whose CPU sleeps: its firmware is one instruction, again and again.
#[derive(Debug)]
pub struct Pc<'r> {
    _vm: Vm,
    _firmware: tempfile::NamedTempFile,
    qtest: Qtest,
    edu: Edu,
    ram: &'r Ram,
}

impl<'r> Pc<'r> {
    fn new(program: &PathBuf, iommu: &str, ram: &'r Ram) -> io::Result<Self> {
        let firmware = tempfile::NamedTempFile::new()?;
        // hlt everywhere; at the reset vector cli, hlt, and back to it.
        let mut code = vec![0xf4u8; 64 << 10];
        let reset = code.len() - 16;
        code[reset..reset + 4].copy_from_slice(&[0xfa, 0xf4, 0xeb, 0xfd]);
        std::fs::write(firmware.path(), &code)?;
        let bios = firmware.path().display().to_string();
        // The device's timer: virtual time goes on when nobody runs.
        let arguments = ["-icount", "shift=0,sleep=off", "-bios", &bios, "-device", iommu, "-device", edu::DEVICE];
        let (vm, channel) = Vm::start(program, "q35", Channel::Qtest, &arguments, ram)?;
        let mut qtest = Qtest::new(channel);
        let edu = Edu::new(&mut qtest, Config::Ports, 0xfe00_0000, WINDOW)?;
        Ok(Self { _vm: vm, _firmware: firmware, qtest, edu, ram })
    }

    fn access(&mut self, iova: u64, access: Access, value: u64) -> io::Result<Outcome> {
        match access {
            // A refused read gives zeros, which are nowhere in the memory that is looked at.
            Access::Read => Ok(match self.edu.read(&mut self.qtest, self.ram, iova)? {
                0 => Outcome::Fault,
                value => Outcome::Done(value),
            }),
            Access::Write => {
                self.edu.write(&mut self.qtest, self.ram, iova, value)?;
                Ok(Outcome::Untold)
            }
        }
    }

    /// Not the range of interrupts, and only RAM.
    fn reaches(&self, iova: u64, pa: Option<u64>) -> bool {
        iova >> 20 != 0xfee && iova & 7 == 0 && pa.is_none_or(|pa| self.ram.is_data(pa))
    }
}

/// Intel's, with the legacy tables.
#[derive(Debug)]
pub struct Vtd<'r>(Pc<'r>);

impl<'r> Vtd<'r> {
    const REGISTERS: u64 = 0xfed9_0000;
    const ROOT: u64 = 0x1_0000;
    const CONTEXTS: u64 = 0x1_1000;
    const DOMAIN: u64 = 1;

    /// An IOMMU of 39 or 48 bits with a table, on a RAM that begins at 0.
    ///
    /// # Errors
    /// The machine does not work.
    pub fn new(program: &PathBuf, va_bits: u32, root: u64, aw: u32, ram: &'r Ram) -> io::Result<Self> {
        let mut vtd = Self(Pc::new(program, &format!("intel-iommu,aw-bits={va_bits}"), ram)?);
        ram.write(Self::ROOT, &(Self::CONTEXTS | 1).to_le_bytes())?;
        let entry = Self::CONTEXTS + 16 * edu::REQUESTER;
        ram.write(entry, &(root | 1).to_le_bytes())?;
        ram.write(entry + 8, &(u64::from(aw) | Self::DOMAIN << 8).to_le_bytes())?;
        let qtest = &mut vtd.0.qtest;
        qtest.write_u64(Self::REGISTERS + 0x20, Self::ROOT)?;
        qtest.write_u32(Self::REGISTERS + 0x18, 1 << 30)?;
        qtest.wait_u32(Self::REGISTERS + 0x1c, |status| status & 1 << 30 != 0)?;
        qtest.write_u64(Self::REGISTERS + 0x28, 1 << 63 | 1 << 61)?;
        vtd.flush()?;
        let qtest = &mut vtd.0.qtest;
        qtest.write_u32(Self::REGISTERS + 0x18, 1 << 31)?;
        qtest.wait_u32(Self::REGISTERS + 0x1c, |status| status & 1 << 31 != 0)?;
        Ok(vtd)
    }

    fn flush(&mut self) -> io::Result<()> {
        let extended = self.0.qtest.read_u64(Self::REGISTERS + 0x10)?;
        let iotlb = Self::REGISTERS + (extended >> 8 & 0x3ff) * 16 + 8;
        self.0.qtest.write_u64(iotlb, 1 << 63 | 1 << 60)
    }
}

impl Walker for Vtd<'_> {
    fn translate(&mut self, va: u64) -> io::Result<Option<u64>> {
        self.0.edu.read(&mut self.0.qtest, self.0.ram, va).map(|pa| (pa != 0).then_some(pa))
    }
    fn reaches(&self, va: u64, pa: Option<u64>) -> bool {
        self.0.reaches(va, pa)
    }
    fn sees(&self, prot: Prot) -> bool {
        self.permits(prot, Access::Read)
    }
    fn access(&mut self, va: u64, access: Access, value: u64) -> io::Result<Outcome> {
        self.0.access(va, access, value)
    }
    fn permits(&self, prot: Prot, access: Access) -> bool {
        prot.contains(if access == Access::Read { Prot::READ } else { Prot::WRITE })
    }
    fn forget(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// AMD's, with host tables.
#[derive(Debug)]
pub struct Amd<'r> {
    pc: Pc<'r>,
    tail: u64,
    /// VA bits that the table decodes.
    va_bits: u32,
}

impl<'r> Amd<'r> {
    const REGISTERS: u64 = 0xfed8_0000;
    const DEVICES: u64 = 0x1_0000;
    const COMMANDS: u64 = 0x1_1000;
    const EVENTS: u64 = 0x1_2000;
    const DONE: u64 = 0x1_3000;
    const DOMAIN: u64 = 1;

    /// An IOMMU with a table, on a RAM that begins at 0.
    ///
    /// # Errors
    /// The machine does not work.
    pub fn new(program: &PathBuf, root: u64, mode: u32, ram: &'r Ram) -> io::Result<Self> {
        let device = match vm::major(program)? {
            ..=9 => "amd-iommu",
            10 => "amd-iommu,pt=off",
            11.. => "amd-iommu,dma-remap=on",
        };
        let mut amd = Self { pc: Pc::new(program, device, ram)?, tail: 0, va_bits: 12 + 9 * mode };
        // Valid, with a table that may be read and written.
        let entry = 1 | 1 << 1 | u64::from(mode) << 9 | root | 1 << 61 | 1 << 62;
        let at = Self::DEVICES + 32 * edu::REQUESTER;
        ram.write(at, &entry.to_le_bytes())?;
        ram.write(at + 8, &Self::DOMAIN.to_le_bytes())?;
        for (register, value) in [
            (0x00, Self::DEVICES),
            (0x08, Self::COMMANDS | 8 << 56),
            (0x10, Self::EVENTS | 8 << 56),
            (0x18, 1 | 1 << 2 | 1 << 12),
        ] {
            amd.pc.qtest.write_u64(Self::REGISTERS + register, value)?;
        }
        amd.forget()?;
        Ok(amd)
    }

    fn command(&mut self, first: u64, second: u64) -> io::Result<()> {
        let at = Self::COMMANDS + self.tail;
        self.pc.ram.write(at, &first.to_le_bytes())?;
        self.pc.ram.write(at + 8, &second.to_le_bytes())?;
        self.tail = (self.tail + 16) % 0x1000;
        self.pc.qtest.write_u64(Self::REGISTERS + 0x2008, self.tail)
    }
}

impl Walker for Amd<'_> {
    fn translate(&mut self, va: u64) -> io::Result<Option<u64>> {
        self.pc.edu.read(&mut self.pc.qtest, self.pc.ram, va).map(|pa| (pa != 0).then_some(pa))
    }
    /// The model drops the bits of an address that the mode does not decode, where hardware would refuse it.
    fn reaches(&self, va: u64, pa: Option<u64>) -> bool {
        self.pc.reaches(va, pa) && va.checked_shr(self.va_bits).unwrap_or(0) == 0
    }
    fn sees(&self, prot: Prot) -> bool {
        self.permits(prot, Access::Read)
    }
    fn access(&mut self, va: u64, access: Access, value: u64) -> io::Result<Outcome> {
        self.pc.access(va, access, value)
    }
    fn permits(&self, prot: Prot, access: Access) -> bool {
        prot.contains(if access == Access::Read { Prot::READ } else { Prot::WRITE })
    }
    fn forget(&mut self) -> io::Result<()> {
        // The device's entry, all, and a mark when they are done.
        self.command(2 << 60 | edu::REQUESTER, 0)?;
        self.command(8 << 60, 0)?;
        self.command(1 << 60 | Self::DONE | 1, 1)?;
        let (head, tail) = (Self::REGISTERS + 0x2000, self.tail as u32);
        self.pc.qtest.wait_u32(head, |head| head == tail)
    }
}
