//! What a table would be, without making it: for tools that read tables which something else made.

use super::init;
use crate::driver::{Driver, Invalidation};
use crate::error::{Errno, Error};
use crate::feature::Features;
use crate::format::{Common, Description, Groups, TableConfig, Top};
use crate::table;

/// The common part and the top of a table with some configuration.
///
/// ```
/// # use generic_pt::fmt::x86_64::*;
/// # use generic_pt::TableConfig;
/// # use generic_pt::iommu::Blueprint;
/// let format = Config { top_level: 3, encryption_mask: 0 };
/// let config = TableConfig { features: FORCED, hw_max_vasz_lg2: 48, hw_max_oasz_lg2: 48, format };
/// let blueprint = Blueprint::<Format>::new(&config).unwrap();
/// assert_eq!((blueprint.top_level(), blueprint.top_items_lg2()), (3, 9));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Blueprint<F: Description> {
    common: Common<F>,
    top_level: u32,
}

/// A driver that can do everything: what a driver cannot is no matter of who only reads.
struct AnyDriver;

impl Driver for AnyDriver {
    fn sync(&self, _: &Invalidation) {}
    fn sync_all(&self) {}
    fn can_change_top(&self) -> bool {
        true
    }
    fn change_top(&self, _: Top) {}
    fn can_flush_cache(&self) -> bool {
        true
    }
    fn flush_cache(&self, _: core::ptr::NonNull<u8>, _: usize) {}
}

impl<F: Groups> Blueprint<F> {
    /// The table that [`PtIommu::new`](super::PtIommu::new) would make.
    ///
    /// # Errors
    /// The same, but for those of memory and driver.
    pub fn new(config: &TableConfig<F::Config>) -> Result<Self, Error> {
        let (common, top_level) = init::checked::<F>(&AnyDriver, config)?;
        Ok(Self { common, top_level })
    }

    /// The same table after its top has grown to `level`.
    ///
    /// # Errors
    /// [`Error::ConfigRange`] for a level that its top cannot have; without `DYNAMIC_TOP` that is any other than the first.
    pub fn with_top_level(self, level: u32) -> Result<Self, Error> {
        let highest = if self.common.has(Features::DYNAMIC_TOP) { F::MAX_TOP_LEVEL } else { self.top_level };
        let lowest = if self.common.has(Features::DYNAMIC_TOP) { F::MIN_TOP_LEVEL } else { self.top_level };
        Error::check_range("top_level", level, lowest..=highest, Errno::EINVAL)?;
        Ok(Self { top_level: level, ..self })
    }

    /// What the format's functions look at.
    pub const fn common(&self) -> &Common<F> {
        &self.common
    }

    /// The level of the top.
    pub const fn top_level(&self) -> u32 {
        self.top_level
    }

    /// VA bits that the top decodes.
    pub fn top_va_lg2(&self) -> u32 {
        table::top_va_lg2(&self.common, self.top_level)
    }

    /// Items of the top, as a power of two.
    pub fn top_items_lg2(&self) -> u32 {
        table::top_items_lg2(&self.common, self.top_level)
    }

    /// Memory of the top, in bytes, and its alignment, as a power of two.
    pub fn top_size_lg2(&self) -> u32 {
        table::top_size_lg2(&self.common, self.top_level)
    }
}
