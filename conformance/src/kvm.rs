//! x86_64: a virtual CPU of KVM, whose tables the MMU of this computer walks, or the kernel in its place.

use crate::known::{Fault, Met};
use crate::plan::Window;
use crate::ram::{LOW_BYTES, Ram};
use crate::walker::{Access, Outcome, Privilege, Reason, Reasons, Request, Walker};
use generic_pt::{Invalidation, Prot};
use kvm_bindings::{KVM_MAX_CPUID_ENTRIES, kvm_dtable, kvm_regs, kvm_segment, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use memmap2::MmapMut;
use std::fs;
use std::io;
use std::path::Path;

/// What the tables have to map to itself: the instructions of accesses.
pub const WINDOW: Window = Window { pa: 0, bytes: 0x4000, prot: Prot::READ.union(Prot::WRITE) };

/// mov rax, [rbx] and mov [rbx], rcx, each with hlt; jmp rbx.
const READ_AT: u64 = 0x1000;
const READ: &[u8] = &[0x48, 0x8b, 0x03, 0xf4];
const WRITE_AT: u64 = 0x1010;
const WRITE: &[u8] = &[0x48, 0x89, 0x0b, 0xf4];
const JUMP_AT: u64 = 0x1020;
const JUMP: &[u8] = &[0xff, 0xe3];
const HLT: &[u8] = &[0xf4];
/// The handler of vector `n` is at `HANDLERS + 16 * n`, and is a hlt; the gates, of 16 bytes each, are behind them.
const HANDLERS: u64 = 0x1800;
const GATES: u64 = 0x2000;
const STACK: u64 = 0x3ff0;
const PAGE_FAULT: u64 = 14;
const GENERAL_PROTECTION: u64 = 13;
/// Descriptors, which a gate reads: of 64-bit code, and of data.
const DESCRIPTORS: u64 = 0x2800;
const CODE_DESCRIPTOR: u64 = 1;
const DATA_DESCRIPTOR: u64 = 2;
const CODE: u16 = 8 * CODE_DESCRIPTOR as u16;
/// In CR2 before an access: no address that is tried.
const NO_FAULT: u64 = 0xdead_0001;

/// Protection, monitoring of the coprocessor, extension type, numeric error, write protection, paging.
const CR0: u64 = 0x8001_0033;
const CR4_PAE: u64 = 1 << 5;
/// What a guest walks without CR4.LA57.
const LEVELS: u32 = 4;
/// Long mode, enabled and active.
const EFER: u64 = 0x500;
/// Bit 1 is always set.
const RFLAGS: u64 = 2;

/// Where the kernel shows its modules, also those that are built in, with their parameters.
const MODULES: &str = "/sys/module";

/// What serves `/dev/kvm`, as the walker's name: a module of the kernel, and whether the processor walks tables of guests itself.
pub fn walker() -> String {
    walker_of(Path::new(MODULES))
}

/// The same, of modules that are shown there.
fn walker_of(modules: &Path) -> String {
    let entries = fs::read_dir(modules).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut vendors: Vec<String> = names.filter(|name| name.starts_with("kvm_")).collect();
    vendors.sort();
    let has = |parameter: &str| {
        let is_on = |vendor: &String| {
            let value = fs::read_to_string(modules.join(vendor).join("parameters").join(parameter));
            value.is_ok_and(|value| matches!(value.trim(), "Y" | "1"))
        };
        !vendors.is_empty() && vendors.iter().all(is_on)
    };
    // Nested paging of Intel and of AMD. Without it the kernel makes tables of its own from those of the guest.
    let how = ["ept", "npt"].into_iter().find(|parameter| has(parameter)).unwrap_or("software");
    let who = if vendors.is_empty() { "unknown module".to_owned() } else { vendors.join("+") };
    format!("KVM ({who}, {how})")
}

/// What KVM gives its guests.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// PA bits.
    pub pa_bits: u32,
    /// Page sizes.
    pub sizes: u64,
}

impl Host {
    /// Asks KVM.
    ///
    /// # Errors
    /// There is none here, or it does not run a guest.
    pub fn probe() -> io::Result<Self> {
        let kvm = Kvm::new()?;
        let cpuid = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)?;
        let leaf =
            |function| cpuid.as_slice().iter().find(|entry| entry.function == function).copied().unwrap_or_default();
        let has_gigabyte_pages = leaf(0x8000_0001).edx >> 26 & 1 != 0;
        let sizes = 1 << 12 | 1 << 21 | u64::from(has_gigabyte_pages) << 30;
        let pa_bits = leaf(0x8000_0008).eax & 0xff;
        if !(32..=52).contains(&pa_bits) {
            return Err(io::Error::other(format!("its guests have {pa_bits} PA bits")));
        }
        halts(&kvm)?;
        Ok(Self { pa_bits, sizes })
    }
}

/// Has a guest run its first instruction, which halts it: that the device can be opened does not say that it works.
fn halts(kvm: &Kvm) -> io::Result<()> {
    let mut memory = MmapMut::map_anon(0x1000)?;
    memory[..HLT.len()].copy_from_slice(HLT);
    let vm = kvm.create_vm()?;
    let region = kvm_userspace_memory_region {
        slot: 0,
        flags: 0,
        guest_phys_addr: 0,
        memory_size: memory.len() as u64,
        userspace_addr: memory.as_mut_ptr() as u64,
    };
    // SAFETY: the memory is mapped, of that size, and dropped after the machine.
    unsafe { vm.set_user_memory_region(region) }?;
    let mut cpu = vm.create_vcpu(0)?;
    let mut registers = cpu.get_sregs()?;
    (registers.cs.base, registers.cs.selector) = (0, 0);
    cpu.set_sregs(&registers)?;
    cpu.set_regs(&kvm_regs { rip: 0, rflags: RFLAGS, ..Default::default() })?;
    match cpu.run()? {
        VcpuExit::Hlt => Ok(()),
        other => Err(io::Error::other(format!("a guest that halts ends with {other:?}"))),
    }
}

/// A virtual CPU, and the machine that it is of.
#[derive(Debug)]
struct Machine {
    cpu: VcpuFd,
    _vm: VmFd,
}

/// A virtual CPU with a table.
#[derive(Debug)]
pub struct Vcpu<'r> {
    /// None after an invalidation: KVM may have made tables of its own from those of the guest, which follow what the guest
    /// writes, but not what another writes into its memory.
    machine: Option<Machine>,
    memory: MmapMut,
    cr3: u64,
    ram: &'r Ram,
    met: Met,
}

/// What the error code of a page fault says, which has to tell a write, too. (Fetches are not told from reads without NX.)
fn reasons(request: &Request, code: u64) -> io::Result<Reasons> {
    const PRESENT: u64 = 1;
    const OF_WRITE: u64 = 1 << 1;
    let tried = if request.access == Access::Write { OF_WRITE } else { 0 };
    match code ^ tried {
        PRESENT => Ok(&[Reason::NotPermitted]),
        0 => Ok(&[Reason::NotMapped]),
        _ => Err(io::Error::other(format!("{request}: page fault with error code {code:#x}"))),
    }
}

/// Whether an address is the sign extension of what the guest's levels reach.
fn is_canonical(va: u64) -> bool {
    va.cast_signed() << 16 >> 16 == va.cast_signed()
}

impl<'r> Vcpu<'r> {
    /// A virtual CPU with a table of so many levels, on a RAM that begins at 0.
    ///
    /// # Errors
    /// There are not four levels: not every KVM gives its guests more.
    pub fn new(cr3: u64, levels: u32, ram: &'r Ram) -> io::Result<Self> {
        if levels != LEVELS {
            return Err(io::Error::other(format!("the library tells of {levels} levels; this guest walks {LEVELS}")));
        }
        for (at, code) in [(READ_AT, READ), (WRITE_AT, WRITE), (JUMP_AT, JUMP)] {
            ram.write(at, code)?;
        }
        for (n, descriptor) in [(CODE_DESCRIPTOR, 0x00af_9b00_0000_ffff), (DATA_DESCRIPTOR, 0x00cf_9300_0000_ffff)] {
            ram.write_u64s(DESCRIPTORS + 8 * n, &[descriptor])?;
        }
        for vector in [GENERAL_PROTECTION, PAGE_FAULT] {
            let handler = HANDLERS + 16 * vector;
            ram.write(handler, HLT)?;
            // Of 64-bit code, present, without a stack of its own; the handler is below 64 KiB.
            ram.write_u64s(GATES + 16 * vector, &[handler | u64::from(CODE) << 16 | 0x8e << 40, 0])?;
        }
        Ok(Self { machine: None, memory: ram.low()?, cr3, ram, met: Met::default() })
    }

    /// What KVM says that an address translates to.
    fn translated(&mut self, va: u64) -> io::Result<Option<u64>> {
        let found = self.machine()?.cpu.translate_gva(va)?;
        Ok((found.valid != 0).then_some(found.physical_address))
    }

    fn machine(&mut self) -> io::Result<&mut Machine> {
        if self.machine.is_none() {
            self.machine = Some(self.start()?);
        }
        self.machine.as_mut().ok_or_else(|| io::Error::other("no virtual CPU"))
    }

    fn start(&mut self) -> io::Result<Machine> {
        let kvm = Kvm::new()?;
        let vm = kvm.create_vm()?;
        let region = kvm_userspace_memory_region {
            slot: 0,
            flags: 0,
            guest_phys_addr: 0,
            memory_size: LOW_BYTES,
            userspace_addr: self.memory.as_mut_ptr() as u64,
        };
        // SAFETY: the memory is mapped, of that size, and stays so for as long as the machine is there: both go together.
        unsafe { vm.set_user_memory_region(region) }?;
        let cpu = vm.create_vcpu(0)?;
        cpu.set_cpuid2(&kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)?)?;
        let machine = Machine { cpu, _vm: vm };
        self.reset(&machine)?;
        Ok(machine)
    }

    /// Paging on, and gates for what is refused.
    fn reset(&self, machine: &Machine) -> io::Result<()> {
        let mut registers = machine.cpu.get_sregs()?;
        let data = kvm_segment {
            type_: 3,
            present: 1,
            s: 1,
            db: 1,
            g: 1,
            limit: u32::MAX,
            selector: 8 * DATA_DESCRIPTOR as u16,
            ..Default::default()
        };
        let code = kvm_segment { type_: 11, db: 0, l: 1, selector: CODE, ..data };
        registers.cs = code;
        for segment in [&mut registers.ds, &mut registers.es, &mut registers.fs, &mut registers.gs, &mut registers.ss] {
            *segment = data;
        }
        registers.tr = kvm_segment { type_: 11, present: 1, limit: 0x67, ..Default::default() };
        registers.idt = kvm_dtable { base: GATES, limit: (16 * (PAGE_FAULT + 1) - 1) as u16, ..Default::default() };
        registers.gdt =
            kvm_dtable { base: DESCRIPTORS, limit: 8 * (DATA_DESCRIPTOR as u16 + 1) - 1, ..Default::default() };
        (registers.cr0, registers.cr3, registers.cr4, registers.efer) = (CR0, self.cr3, CR4_PAE, EFER);
        machine.cpu.set_sregs(&registers)?;
        Ok(())
    }
}

impl Drop for Vcpu<'_> {
    fn drop(&mut self) {
        // Before its memory.
        self.machine = None;
    }
}

impl Walker for Vcpu<'_> {
    /// Some KVM translate what is not canonical as if it were: there a read tells.
    fn translate(&mut self, va: u64) -> Option<io::Result<Option<u64>>> {
        match self.translated(va) {
            Ok(Some(_)) if !is_canonical(va) => {
                self.met.count(Fault::NotCanonical);
                None
            }
            found => Some(found),
        }
    }

    fn take_met(&mut self) -> Met {
        self.met.take()
    }

    fn access(&mut self, request: &Request) -> io::Result<Outcome> {
        let Request { va, access, value, .. } = *request;
        // Where it begins, and where it is behind the hlt.
        let (rip, end) = match access {
            Access::Read => (READ_AT, READ_AT + READ.len() as u64),
            Access::Write => (WRITE_AT, WRITE_AT + WRITE.len() as u64),
            Access::Execute => (JUMP_AT, va.wrapping_add(HLT.len() as u64)),
        };
        let machine = self.machine()?;
        let mut registers = machine.cpu.get_sregs()?;
        registers.cr2 = NO_FAULT;
        machine.cpu.set_sregs(&registers)?;
        let started = kvm_regs { rip, rbx: va, rcx: value, rsp: STACK, rflags: RFLAGS, ..Default::default() };
        machine.cpu.set_regs(&started)?;
        let exit = machine.cpu.run()?;
        if !matches!(exit, VcpuExit::Hlt) {
            return Err(io::Error::other(format!("{request}: exit {exit:?}")));
        }
        let kvm_regs { rip, rax, rsp, .. } = machine.cpu.get_regs()?;
        let cr2 = machine.cpu.get_sregs()?.cr2;
        let handled = |vector: u64| rip == HANDLERS + 16 * vector + HLT.len() as u64;
        if rip == end && cr2 == NO_FAULT {
            Ok(Outcome::Done(rax))
        } else if handled(PAGE_FAULT) && cr2 == va && is_canonical(va) {
            // The stack is where it is mapped to.
            reasons(request, self.ram.read_u64(rsp)?).map(Outcome::Fault)
        } else if handled(GENERAL_PROTECTION) && cr2 == NO_FAULT && !is_canonical(va) {
            Ok(Outcome::Fault(&[Reason::OutOfRange]))
        } else {
            Err(io::Error::other(format!("{request}: halted at {rip:#x}, page fault at {cr2:#x}")))
        }
    }

    fn instruction(&self) -> Option<&'static [u8]> {
        Some(HLT)
    }

    fn invalidate(&mut self, _: &Invalidation) -> io::Result<()> {
        self.machine = None;
        Ok(())
    }

    fn permits(&self, prot: Prot, access: Access, _: Privilege) -> bool {
        // The format has no permission to execute.
        access != Access::Write || prot.contains(Prot::WRITE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_modules(modules: &[(&str, &[(&str, &str)])]) -> io::Result<String> {
        let directory = tempfile::tempdir()?;
        for (module, parameters) in modules {
            let at = directory.path().join(module).join("parameters");
            fs::create_dir_all(&at)?;
            for (parameter, value) in *parameters {
                fs::write(at.join(parameter), value)?;
            }
        }
        Ok(walker_of(directory.path()))
    }

    #[test]
    fn the_walker_is_named_by_the_module_that_serves_it() -> io::Result<()> {
        let kvm: (&str, &[(&str, &str)]) = ("kvm", &[("ept", "Y")]);
        assert_eq!(with_modules(&[kvm, ("kvm_intel", &[("ept", "Y\n")])])?, "KVM (kvm_intel, ept)");
        assert_eq!(with_modules(&[kvm, ("kvm_intel", &[("ept", "N\n")])])?, "KVM (kvm_intel, software)");
        assert_eq!(with_modules(&[kvm, ("kvm_amd", &[("npt", "1\n")])])?, "KVM (kvm_amd, npt)");
        assert_eq!(with_modules(&[kvm, ("kvm_pvm", &[])])?, "KVM (kvm_pvm, software)");
        assert_eq!(with_modules(&[kvm])?, "KVM (unknown module, software)");
        Ok(())
    }
}
