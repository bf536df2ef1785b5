//! Walkers that are not ours, on tables of `generic-pt`.
//!
//! QEMU's models of MMUs walk tables that the library builds in the memory of a virtual machine. Nothing runs in it: registers are
//! set, and addresses translated, through its debugger interface; loads and stores are single instructions.
//!
//! * [`ram`]: the machine's memory, a file that both processes map;
//! * [`vm`]: the machine; [`gdb`]: its registers and translations;
//! * [`qtest`]: its buses; [`edu`]: a device that does DMA; [`iommu`]: IOMMUs that it is behind;
//! * [`walker`]: one interface for all; [`riscv`], [`riscv_g`], [`x86`], [`arm`], [`arm32`], `kvm`: machines;
//! * [`hardware`]: the driver of the tables, which tells the walker what to forget;
//! * [`plan`], [`scenario`]: tables with pages of every size, and what has to be true of them; [`live`]: of a table that changes while it is
//!   used;
//! * [`arguments`]: what a run is told; [`processor_time`]: what it takes of processors; [`seeds`]: a configuration with several
//!   seeds; [`matrix`]: who agreed with what; [`leaves`]: through which leaves; [`cells`]: with which protections; [`dirty`]: which pages were written; [`known`]:
//!   faults of the models; [`expected`]: what a whole run has.

#![deny(missing_debug_implementations, unsafe_code)]

pub mod arguments;
pub mod arm;
pub mod arm32;
pub mod cells;
pub mod dirty;
pub mod edu;
pub mod expected;
pub mod gdb;
pub mod hardware;
pub mod iommu;
pub mod known;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[allow(unsafe_code, reason = "gives memory to a virtual machine")]
pub mod kvm;
pub mod leaves;
pub mod live;
pub mod matrix;
pub mod plan;
pub mod processor_time;
pub mod qtest;
#[allow(unsafe_code, reason = "maps a file that another process maps, too")]
pub mod ram;
pub mod riscv;
pub mod riscv_g;
pub mod rng;
pub mod scenario;
pub mod seeds;
pub mod vm;
pub mod walker;
mod wording;
pub mod x86;
