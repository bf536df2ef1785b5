//! The generic test suite: every test of it for every format and configuration, by one line each.
//!
//! [`TestConfig`] is plain data and always there. The suite itself, and test memory and driver, need the feature `testing`
//! (and with it `std`).
//!
//! # For a format
//! A test target with `harness = false`, of this crate or of any other:
//!
//! ```toml
//! [[test]]
//! name = "formats"
//! harness = false
//! ```
//! and in `tests/formats.rs`, a line for each format:
//! ```no_run
//! use generic_pt::{fmt, testing::Suite};
//!
//! fn main() -> std::process::ExitCode {
//!     Suite::new()
//!         .format(fmt::x86_64::TEST_CONFIGS)
//!         .format(fmt::vtdss::TEST_CONFIGS)
//!         .run()
//! }
//! ```
//! `TEST_CONFIGS` is a list of [`TestConfig`]s; for a format of this crate it stands in the format's description.
//!
//! The tests are named `<format>_fmt_test::<test>::<configuration>`, which prove the format's functions (begin with these:
//! they fail clearly), and `<format>_iommu_test::<test>::<configuration>`, which prove the whole. A test that does not
//! apply to a configuration is reported as *ignored* with the reason, never as passed, whatever flags are given.
//!
//! Random values come from a seed that every failure prints; setting `GENERIC_PT_SEED` to it repeats them. At the end of
//! every test all table pages have to be back.

mod config;
#[cfg(feature = "testing")]
mod driver;
#[cfg(feature = "testing")]
mod fmt_test;
#[cfg(feature = "testing")]
mod iommu_test;
#[cfg(feature = "testing")]
mod levels;
#[cfg(feature = "testing")]
#[allow(unsafe_code, reason = "owns memory, and hands it out")]
mod memory;
#[cfg(feature = "testing")]
mod random;
#[cfg(feature = "testing")]
mod report;
#[cfg(feature = "testing")]
#[allow(unsafe_code, reason = "decides when a table is dropped")]
mod subject;
#[cfg(feature = "testing")]
mod suite;

pub use config::TestConfig;
#[cfg(feature = "testing")]
pub use driver::{Event, TestDomain, TestDriver};
#[cfg(feature = "testing")]
#[doc(no_inline)]
pub use libtest_mimic;
#[cfg(feature = "testing")]
pub use memory::TestMemory;
#[cfg(feature = "testing")]
pub use random::{Rng, SEED_VARIABLE, seed};
#[cfg(feature = "testing")]
pub use suite::Suite;
