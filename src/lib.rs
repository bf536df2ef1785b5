//! Hardware page tables of many formats from one algorithm.

#![no_std]
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks, missing_docs)]
#[cfg(feature = "alloc")]
extern crate alloc;

pub mod driver;
pub mod error;
pub mod feature;
pub mod field;
pub mod fmt;
pub mod format;
pub mod iommu;
pub mod item;
pub mod lg2;
pub mod memory;
pub mod ns;
pub mod range;
mod table;
pub mod template;
mod unlinked;

#[doc(inline)]
pub use driver::{Domain, Driver, Host, Invalidation, LevelSet, NoHardware};
#[doc(inline)]
pub use error::{Errno, Error, MapError};
#[doc(inline)]
pub use feature::{Features, Prot};
#[doc(inline)]
pub use iommu::{DirtyMode, Gather, GatherMode, Info, PtIommu, TableConfig};
#[cfg(feature = "alloc")]
#[doc(inline)]
pub use memory::HeapMemory;
#[doc(inline)]
pub use range::VaRange;

#[doc(hidden)]
pub mod __private {
    //! What expansions need, whatever the names around them mean.
    pub use core::ops::FnMut;
    pub use core::option::Option;
    pub use core::primitive::{bool, str, u32};
    pub use core::result::Result;
    pub use core::{concat, stringify};
    pub use paste::paste;
    pub use seq_macro::seq;
}
