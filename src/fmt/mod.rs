//! Formats: one file each, one invocation of [`define_pt_format!`](crate::define_pt_format) each.
//!
//! Those with 64-bit items are there only where the CPU has 64-bit atomics.

#[cfg(target_has_atomic = "64")]
mod arm;
#[cfg(target_has_atomic = "64")]
mod dart_roots;
#[cfg(test)]
pub(crate) mod golden;
mod riscv;

#[cfg(target_has_atomic = "64")]
#[path = "amdv1.rs"]
mod amdv1_description;
#[path = "armv7s.rs"]
mod armv7s_description;
#[cfg(target_has_atomic = "64")]
#[path = "armv8.rs"]
mod armv8_description;
#[cfg(target_has_atomic = "64")]
#[path = "dart.rs"]
mod dart_description;
#[cfg(target_has_atomic = "64")]
#[path = "dart_v2.rs"]
mod dart_v2_description;
#[cfg(target_has_atomic = "64")]
#[path = "ept.rs"]
mod ept_description;
#[cfg(target_has_atomic = "64")]
#[path = "mali_lpae.rs"]
mod mali_lpae_description;
#[cfg(target_has_atomic = "64")]
#[path = "ppc64_radix.rs"]
mod ppc64_radix_description;
#[path = "riscv_32.rs"]
mod riscv_32_description;
#[cfg(target_has_atomic = "64")]
#[path = "riscv_64.rs"]
mod riscv_64_description;
#[path = "rockchip_v2.rs"]
mod rockchip_v2_description;
#[cfg(target_has_atomic = "64")]
#[path = "s390.rs"]
mod s390_description;
#[cfg(target_has_atomic = "64")]
#[path = "vtdss.rs"]
mod vtdss_description;
#[cfg(target_has_atomic = "64")]
#[path = "x86_64.rs"]
mod x86_64_description;
#[cfg(target_has_atomic = "64")]
#[path = "x86_pae.rs"]
mod x86_pae_description;

#[cfg(target_has_atomic = "64")]
pub use amdv1_description::amdv1_family::{amdv1, amdv1_mock};
pub use armv7s_description::armv7s;
#[cfg(target_has_atomic = "64")]
pub use armv8_description::armv8_family::{armv8_4k, armv8_16k, armv8_64k};
#[cfg(target_has_atomic = "64")]
pub use dart_description::dart_family::{dart, dart_16k};
#[cfg(target_has_atomic = "64")]
pub use dart_v2_description::dart_v2;
#[cfg(target_has_atomic = "64")]
pub use ept_description::ept;
#[cfg(target_has_atomic = "64")]
pub use mali_lpae_description::mali_lpae;
#[cfg(target_has_atomic = "64")]
pub use ppc64_radix_description::ppc64_radix_family::{ppc64_radix, ppc64_radix_64k};
pub use riscv_32_description::riscv_32_family::{riscv_32, riscv_32_g};
#[cfg(target_has_atomic = "64")]
pub use riscv_64_description::riscv_64_family::{riscv_64, riscv_64_g};
pub use rockchip_v2_description::rockchip_v2;
#[cfg(target_has_atomic = "64")]
pub use s390_description::s390;
#[cfg(target_has_atomic = "64")]
pub use vtdss_description::vtdss;
#[cfg(target_has_atomic = "64")]
pub use x86_64_description::x86_64;
#[cfg(target_has_atomic = "64")]
pub use x86_pae_description::x86_pae;
