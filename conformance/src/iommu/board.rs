//! A machine whose CPU sleeps, so that nobody but the device uses its memory.

use crate::edu::{self, Config, Edu, Exchange};
use crate::known::Fault;
use crate::plan::Window;
use crate::qtest::Qtest;
use crate::ram::{Layout, Ram};
use crate::vm::{Channel, Vm};
use crate::walker::{Access, Outcome, Reach, Request, UNTOLD};
use generic_pt::Prot;
use std::io;
use std::ops::Range;
use std::path::Path;

/// What differs from machine to machine.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// What QEMU calls it, with its properties.
    machine: &'static str,
    /// Where RAM is.
    pub layout: Layout,
    window_pa: u64,
    /// Where the IOMMU's own structures can be: 512 KiB of RAM.
    pub structures_pa: u64,
    boot: Boot,
    config: Config,
    bar: u64,
    /// IOVA that are interrupts, not memory, in MiB.
    interrupts_mib: Option<u64>,
}

impl Model {
    /// What every table has to map at its first VA.
    pub const fn window(&self) -> Window {
        Window { pa: self.window_pa, bytes: 64 << 10, prot: Prot::READ.union(Prot::WRITE) }
    }
}

/// What keeps the CPU asleep.
#[derive(Clone, Copy, Debug)]
enum Boot {
    /// Firmware of so many bytes: one byte everywhere, and instructions at an offset.
    Firmware { bytes: usize, everywhere: u8, at: usize, code: &'static [u8] },
    /// Instructions at the beginning of RAM.
    Ram(&'static [u32]),
}

/// A PC: hlt everywhere; at the reset vector cli, hlt, and back to it.
pub const PC: Model = Model {
    machine: "q35",
    layout: Layout::PC,
    window_pa: 0,
    structures_pa: 0x10_0000,
    boot: Boot::Firmware { bytes: 64 << 10, everywhere: 0xf4, at: (64 << 10) - 16, code: &[0xfa, 0xf4, 0xeb, 0xfd] },
    config: Config::Ports,
    bar: 0xfe00_0000,
    interrupts_mib: Some(0xfee),
};

/// An AArch64 machine with an SMMU: wfi, and back to it.
pub const ARM: Model = Model {
    machine: "virt,iommu=smmuv3",
    layout: Layout::large(crate::arm::RAM_PA),
    window_pa: crate::arm::RAM_PA + 0x10_0000,
    structures_pa: crate::arm::RAM_PA + 0x18_0000,
    boot: Boot::Firmware {
        bytes: 4 << 10,
        everywhere: 0,
        at: 0,
        code: &[0x7f, 0x20, 0x03, 0xd5, 0xff, 0xff, 0xff, 0x17],
    },
    config: Config::Memory(0x40_1000_0000),
    bar: 0x1000_0000,
    interrupts_mib: None,
};

/// A RISC-V machine with an IOMMU of its own: wfi, and back to it.
pub const RISCV: Model = Model {
    machine: "virt,iommu-sys=on",
    layout: Layout::large(crate::riscv::RAM_PA),
    window_pa: crate::riscv::RAM_PA + 0x10_0000,
    structures_pa: crate::riscv::RAM_PA + 0x18_0000,
    boot: Boot::Ram(&[0x1050_0073, 0xffdf_f06f]),
    config: Config::Memory(0x3000_0000),
    bar: 0x4000_0000,
    interrupts_mib: None,
};

/// A machine with the device.
#[derive(Debug)]
pub struct Board<'r> {
    _vm: Vm,
    _firmware: tempfile::NamedTempFile,
    /// Its buses.
    pub qtest: Qtest,
    /// Its memory.
    pub ram: &'r Ram,
    edu: Edu,
    window: Window,
    interrupts_mib: Option<u64>,
}

/// Where in its window the device brings data in and out.
const EXCHANGE_OFFSET: u64 = 0x3000;

impl<'r> Board<'r> {
    /// Starts it, with more arguments; the device sees the window's first byte at `window_va`.
    ///
    /// # Errors
    /// The machine does not work.
    pub fn new(program: &Path, model: &Model, arguments: &[&str], window_va: u64, ram: &'r Ram) -> io::Result<Self> {
        let firmware = tempfile::NamedTempFile::new()?;
        let mut bios = firmware.path().display().to_string();
        match model.boot {
            Boot::Firmware { bytes, everywhere, at, code } => {
                let mut content = vec![everywhere; bytes];
                content[at..at + code.len()].copy_from_slice(code);
                std::fs::write(firmware.path(), &content)?;
            }
            Boot::Ram(code) => {
                ram.write_words(model.layout.base_pa, code)?;
                "none".clone_into(&mut bios);
            }
        }
        // The device's timer: virtual time goes on when nobody runs.
        let common = ["-icount", "shift=0,sleep=off", "-bios", &bios, "-device", edu::DEVICE];
        let arguments = [arguments, &common].concat();
        let (vm, channel) = Vm::start(program, model.machine, Channel::Qtest, &arguments, ram)?;
        let mut qtest = Qtest::new(channel);
        let exchange = Exchange { iova: window_va + EXCHANGE_OFFSET, pa: model.window_pa + EXCHANGE_OFFSET };
        let edu = Edu::new(&mut qtest, model.config, model.bar, exchange)?;
        let (window, interrupts_mib) = (model.window(), model.interrupts_mib);
        Ok(Self { _vm: vm, _firmware: firmware, qtest, ram, edu, window, interrupts_mib })
    }

    /// Where the device sees the bytes that it brings data in and out by.
    pub fn exchange_va(&self) -> u64 {
        self.edu.exchange_va()
    }

    /// Its window, but for what the device brings data in and out by.
    pub fn around_exchange(&self) -> [Range<u64>; 2] {
        let Window { pa, bytes, .. } = self.window;
        let exchange = pa + EXCHANGE_OFFSET;
        [pa..exchange, exchange + 8..pa + bytes]
    }

    /// DMA, which tells no reasons.
    ///
    /// # Errors
    /// The machine does not work.
    pub fn access(&mut self, request: &Request) -> io::Result<Outcome> {
        let Request { va, access, bytes, value, .. } = *request;
        match access {
            // A refused read gives zeros, which are nowhere in the memory that is looked at.
            Access::Read => Ok(match self.edu.read(&mut self.qtest, self.ram, va, bytes)? {
                0 => Outcome::Fault(UNTOLD),
                value => Outcome::Done(value),
            }),
            Access::Write => {
                self.edu.write(&mut self.qtest, self.ram, va, bytes, value)?;
                Ok(Outcome::Untold)
            }
            Access::Execute => Err(io::Error::other("DMA does not execute")),
        }
    }

    /// Not the range of interrupts, and only RAM.
    pub fn reaches(&self, iova: u64, pa: Option<u64>) -> Reach {
        if self.interrupts_mib == Some(iova >> 20) {
            Reach::Avoided(Fault::Interrupts)
        } else if iova & 7 == 0 && pa.is_none_or(|pa| self.ram.is_data(pa)) {
            Reach::Asked
        } else {
            Reach::Elsewhere
        }
    }
}
