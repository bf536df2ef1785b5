//! Formats: one file each, one invocation of [`define_pt_format!`](crate::define_pt_format) each.

#[cfg(test)]
mod golden;

#[path = "amdv1.rs"]
mod amdv1_description;
#[path = "riscv_64.rs"]
mod riscv_64_description;
#[path = "vtdss.rs"]
mod vtdss_description;
#[path = "x86_64.rs"]
mod x86_64_description;

pub use amdv1_description::amdv1_family::{amdv1, amdv1_mock};
pub use riscv_64_description::riscv_64;
pub use vtdss_description::vtdss;
pub use x86_64_description::x86_64;
