//! Hardware page tables of many formats, from one algorithm.
//!
//! Page tables of IOMMUs and CPUs are radix trees in a dozen dialects. Here the algorithms are written once, generically,
//! and compiled once per format; a format is one invocation of [`define_pt_format!`]. Everything works in any memory
//! and with any driver, and needs neither `std` nor `alloc`.
//!
//! The crate currently supports:
//!
//! * the formats [`amdv1`](fmt::amdv1), [`x86_64`](fmt::x86_64), [`x86_pae`](fmt::x86_pae), [`vtdss`](fmt::vtdss),
//!   [`ept`](fmt::ept), [`riscv_64`](fmt::riscv_64), [`riscv_64_g`](fmt::riscv_64_g), [`riscv_32`](fmt::riscv_32),
//!   [`riscv_32_g`](fmt::riscv_32_g), [`armv8_4k`](fmt::armv8_4k), [`armv8_16k`](fmt::armv8_16k),
//!   [`armv8_64k`](fmt::armv8_64k), [`armv7s`](fmt::armv7s), [`mali_lpae`](fmt::mali_lpae), [`dart`](fmt::dart),
//!   [`dart_16k`](fmt::dart_16k), [`dart_v2`](fmt::dart_v2), [`ppc64_radix`](fmt::ppc64_radix),
//!   [`ppc64_radix_64k`](fmt::ppc64_radix_64k), [`s390`](fmt::s390), [`rockchip_v2`](fmt::rockchip_v2), and private
//!   ones defined in other crates;
//! * [map](PtIommu::map_range) of any range with the largest pages that fit, contiguous entries included;
//!   of [scatter lists](PtIommu::map_sg); [unmap](PtIommu::unmap_range), also
//!   [with a report](PtIommu::unmap_range_with) of what was mapped; [translate](PtIommu::iova_to_phys), also
//!   [whole ranges](PtIommu::translate_range); a [cursor](PtIommu::cursor);
//!   [dirty tracking](PtIommu::read_and_clear_dirty); replacing empty tables by larger leaves;
//! * [views](View) of disjoint ranges, for several threads at once;
//! * tops that grow while they are in use, tables that span all 64 bits, sign extension;
//! * [deferred invalidation](Gather) by range with or without gaps, queued, or with the levels that changed: pages that
//!   were unlinked are freed only after the hardware was made to forget them;
//! * walkers that do not snoop CPU caches, with exact flushes;
//! * memory from the [heap](memory::HeapMemory), from a [fixed arena](memory::Arena), or your own;
//! * running out of memory at any point, with a consistent table.
//!
//! # Example
//!
//! ```
//! use generic_pt::fmt::amdv1::*;
//! use generic_pt::{Domain, Features, GatherMode, HeapMemory, NoHardware, Prot, TableConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let domain = Domain::new(HeapMemory, NoHardware);
//! let format = Config { starting_level: 2, encryption_mask: 0 };
//! let features = FORCED | Features::FLUSH_RANGE;
//! let config = TableConfig { features, hw_max_vasz_lg2: 64, hw_max_oasz_lg2: 52, format };
//! let mut table = PtIommuAmdv1::new(&domain, &config)?;
//! table.map_range(0x20_0000, 0x1_4000_0000, 0x60_0000, Prot::READ | Prot::WRITE)?;
//! assert_eq!(table.iova_to_phys(0x20_1234), Some(0x1_4000_1234));
//! let mut gather = table.gather(GatherMode::Immediate);
//! assert_eq!(table.unmap_range(0x20_0000, 0x60_0000, &mut gather), 0x60_0000);
//! gather.sync(); // the driver invalidates, then unlinked tables are freed
//! # Ok(())
//! # }
//! ```
//!
//! The same with the operations under their own names, as they are in symbol tables and backtraces:
//!
//! ```
//! # use generic_pt::fmt::amdv1::*;
//! # use generic_pt::{Domain, Features, GatherMode, HeapMemory, NoHardware, Prot, TableConfig};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let domain = Domain::new(HeapMemory, NoHardware);
//! # let format = Config { starting_level: 2, encryption_mask: 0 };
//! # let features = FORCED | Features::FLUSH_RANGE;
//! # let config = TableConfig { features, hw_max_vasz_lg2: 64, hw_max_oasz_lg2: 52, format };
//! let mut table = pt_iommu_amdv1_init(&domain, &config)?;
//! pt_iommu_amdv1_map_range(&mut table, 0x20_0000, 0x1_4000_0000, 0x60_0000, Prot::READ | Prot::WRITE)?;
//! assert_eq!(pt_iommu_amdv1_iova_to_phys(&table, 0x20_1234), Some(0x1_4000_1234));
//! let mut gather = pt_iommu_amdv1_gather(&table, GatherMode::Immediate);
//! assert_eq!(pt_iommu_amdv1_unmap_range(&mut table, 0x20_0000, 0x60_0000, &mut gather), 0x60_0000);
//! pt_iommu_amdv1_sync(&mut gather);
//! # Ok(())
//! # }
//! ```
//!
//! # Layers
//!
//! 1. **Format** ([`mod@format`], [`fmt`]): encodes and decodes items. Pure.
//! 2. **Generic page table** ([`range`], [`walk`], and inside the crate tables and trees): works on any format, knows no
//!    IOMMU.
//! 3. **Implementation** ([`iommu`]): the operations. Others can stand beside it.
//!
//! # Cargo features
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `alloc` (default) | [`HeapMemory`], and `Arc<Domain>` as a [`Host`] |
//! | `testing` | the generic test suite for formats, also for your own; needs `std` |
//! | `frames` | every operation and walker stays a function of its own, for profiles and backtraces |
//!
//! # Safety
//!
//! The operations are safe: those that change a table take `&mut` (set-dirty, which does what hardware does, `&`), table pages are freed only after a sync, and no
//! argument makes them panic. `unsafe` is confined to the modules that say so below, and to the implementor of
//! [`TableMemory`](memory::TableMemory). A format's description is trusted to recognise the table pointers that it
//! encoded (the suite proves it). What hardware does with a mapping, of course, is up to whoever makes it.

#![no_std]
// Descriptions of formats with many bit fields and helpers.
#![recursion_limit = "256"]
#![cfg_attr(docsrs, feature(doc_cfg))]
// rustc
#![deny(missing_debug_implementations, missing_docs, unreachable_pub, unsafe_code, unsafe_op_in_unsafe_fn)]
// clippy
#![deny(clippy::undocumented_unsafe_blocks, clippy::missing_errors_doc, clippy::missing_panics_doc)]
#![deny(clippy::missing_safety_doc, clippy::multiple_unsafe_ops_per_block)]
// rustdoc
#![deny(rustdoc::broken_intra_doc_links, rustdoc::bare_urls, rustdoc::private_intra_doc_links)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "testing")]
extern crate std;

pub mod check;
pub mod driver;
pub mod error;
pub mod feature;
pub mod field;
pub mod fmt;
mod followers;
pub mod format;
pub mod iommu;
pub mod item;
pub mod lg2;
#[allow(unsafe_code, reason = "table pages are raw memory")]
pub mod memory;
#[allow(unsafe_code, reason = "remembers tables that stay linked")]
mod near;
pub mod ns;
pub mod range;
#[doc(hidden)]
#[allow(unsafe_code, reason = "the top's index was checked against what the top decodes")]
pub mod seek;
pub mod settings;
#[allow(unsafe_code, reason = "makes references to table memory")]
mod table;
pub mod template;
pub mod testing;
#[allow(unsafe_code, reason = "owns the tables of a tree")]
mod tree;
#[allow(unsafe_code, reason = "links and frees unlinked tables")]
mod unlinked;
#[allow(unsafe_code, reason = "frees the tables that it was the last to look at")]
pub mod walk;

#[doc(inline)]
pub use driver::{Domain, Driver, Host, Invalidation, LevelSet, NoHardware};
#[doc(inline)]
pub use error::{Errno, Error, MapError};
#[doc(inline)]
pub use feature::{Access, Features, Prot};
#[doc(inline)]
pub use iommu::{Cursor, DirtyMode, Gather, GatherMode, Info, PtIommu, Run, Runs, Segment, TableConfig, View};
#[cfg(feature = "alloc")]
#[doc(inline)]
pub use memory::HeapMemory;
#[doc(inline)]
pub use range::VaRange;

#[doc(hidden)]
pub mod __private {
    //! What expansions need, whatever the names around them mean.
    pub use core::clone::Clone;
    pub use core::hint::black_box;
    pub use core::iter::{IntoIterator, Iterator};
    pub use core::ops::FnMut;
    pub use core::option::Option;
    pub use core::primitive::{bool, str, u32, u64, usize};
    pub use core::result::Result;
    pub use core::{compile_error, concat, stringify};
    pub use paste::paste;
    pub use seq_macro::seq;
}

/// The examples in the documents run too.
#[cfg(all(doctest, feature = "alloc"))]
mod doctests {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/invalidation.md")]
    struct Invalidation;
}
