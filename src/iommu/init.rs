//! Making a table, telling what it is, and freeing it.

use super::page::Prepared;
use super::{Core, PtIommu, Walkers};
use crate::driver::{Driver, Host};
use crate::error::{Errno, Error};
use crate::feature::Features;
use crate::format::{Common, Groups, Limits, TableConfig, Top, item_size_lg2};
use crate::item::Item;
use crate::lg2;
use crate::memory::TableMemory;
use crate::near::Near;
use crate::range::{self, VaRange};
use crate::tree::Tree;
use crate::unlinked::link_mask;

/// What a table offers to its users.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Info {
    /// Page sizes, one bit each.
    pub page_sizes: u64,
    /// The VA range that can be mapped; with sign extension the lower half.
    pub aperture: VaRange,
    /// Decoded VA bits.
    pub max_va_lg2: u32,
    /// Output address bits.
    pub max_oa_lg2: u32,
    /// Features in force.
    pub features: Features,
}

impl<F: Walkers, H: Host> PtIommu<F, H> {
    /// Makes an empty table.
    ///
    /// # Errors
    /// In this order: [`Error::ConfigRange`] for limits out of range; the format's own; [`Error::ConfigRange`] for more OA
    /// bits than the format stores; [`Error::Features`]; [`Error::ConfigRange`] for more VA bits than the top decodes;
    /// [`Error::FeatureRule`] for features that exclude each other or that the driver cannot serve; [`Error::ConfigRange`]
    /// for VA bits too few for the top; [`Error::OutOfMemory`]; [`Error::TableAddress`] if hardware cannot be pointed to the
    /// top.
    pub fn new(host: H, config: &TableConfig<F::Config>) -> Result<Self, Error> {
        let (common, top_level) = checked::<F>(&host.domain().driver, config)?;
        let pages = Prepared::new(&common);
        let mut core = Core { tree: Tree::new(host, common, top_level)?, page_sizes: 0, pages };
        core.permit(u64::MAX);
        let near = Near::NONE;
        Ok(Self { core, near })
    }

    /// What the table offers.
    pub fn info(&self) -> Info {
        let level = if self.common().has(Features::DYNAMIC_TOP) { F::MAX_TOP_LEVEL } else { self.top_level() };
        Info {
            page_sizes: self.core.page_sizes,
            aperture: range::top_range(self.common(), level),
            max_va_lg2: self.common().max_va_lg2,
            max_oa_lg2: self.common().max_oa_lg2,
            features: self.common().features,
        }
    }

    /// Narrows the page sizes that map may use to those in `sizes`; sizes that the table does not have are ignored.
    /// Returns the sizes then in force. What is mapped already stays.
    pub fn narrow_page_sizes(&mut self, sizes: u64) -> u64 {
        self.core.permit(sizes)
    }

    /// What a driver writes into its device or context entry, for the top of this moment.
    pub fn hw_info(&self) -> F::HwInfo {
        let top = self.core.tree.top();
        F::hw_info(self.common(), Top { pa: self.core.tree.memory().pa_of(top.page), level: top.level })
    }

    /// Frees every table, mapped or not; what dropping does. Hardware must be off the table.
    pub fn deinit(self) {}
}

impl<F: Walkers, H: Host> Core<F, H> {
    /// All sizes that the levels of this table can have, limited by its VA and OA widths.
    fn all_page_sizes(&self) -> u64 {
        let common = self.common();
        let levels = (0..=F::MAX_TOP_LEVEL).filter(|level| {
            if common.has(Features::DYNAMIC_TOP) {
                item_size_lg2::<F>(*level) < common.max_va_lg2
            } else {
                *level <= self.top_level()
            }
        });
        let sizes = levels.fold(0, |sizes, level| sizes | F::possible_sizes(common, level));
        sizes & lg2::low_mask(common.max_va_lg2 - 1) & lg2::low_mask(common.max_oa_lg2)
    }

    /// Permits those of the page sizes `sizes` that the table has. Returns them.
    fn permit(&mut self, sizes: u64) -> u64 {
        self.page_sizes = self.all_page_sizes() & sizes;
        self.pages.permit(self.tree.common(), self.page_sizes);
        self.page_sizes
    }
}

/// The checks of init, in their order. The table's common part and its first top level.
pub(super) fn checked<F: Groups>(
    driver: &impl Driver,
    config: &TableConfig<F::Config>,
) -> Result<(Common<F>, u32), Error> {
    let bad = |field, found: u64, valid, errno| Err(Error::Config { field, found, valid, errno });
    let outside =
        |field, found, (lowest, highest), errno| Err(Error::ConfigRange { field, found, lowest, highest, errno });
    let geometry = F::GEOMETRY;
    let (va, oa) = (config.hw_max_vasz_lg2, config.hw_max_oasz_lg2);
    if va == 0 || va > geometry.max_va_lg2 {
        return outside("hw_max_vasz_lg2", va, (1, geometry.max_va_lg2), Errno::EINVAL);
    }
    if oa == 0 {
        return outside("hw_max_oasz_lg2", oa, (1, geometry.max_oa_lg2), Errno::EINVAL);
    }
    let limits = F::init(config)?;
    if oa > geometry.max_oa_lg2 {
        return outside("hw_max_oasz_lg2", oa, (1, geometry.max_oa_lg2), Errno::EINVAL);
    }
    check_limits::<F>(&limits)?;
    if !F::SUPPORTED.contains(config.features) || !config.features.contains(F::FORCED) {
        return Err(Error::Features {
            asked: config.features,
            supported: F::SUPPORTED,
            forced: F::FORCED,
            own_names: F::OWN_FEATURES,
        });
    }
    let mut common = Common {
        features: config.features,
        max_va_lg2: limits.max_va_lg2,
        max_oa_lg2: limits.max_oa_lg2,
        config: F::settle(config),
    };
    let dynamic = common.has(Features::DYNAMIC_TOP);
    let top_level = limits.top_level;
    let widest = if !dynamic && top_level < F::MAX_TOP_LEVEL {
        item_size_lg2::<F>(top_level + 1) + F::QUIRKS.concat_lg2
    } else {
        geometry.max_va_lg2
    };
    if limits.max_va_lg2 > widest {
        let range = (item_size_lg2::<F>(top_level), widest);
        return outside("hw_max_vasz_lg2", limits.max_va_lg2, range, Errno::EOPNOTSUPP);
    }
    let refused = |rule| Err(Error::FeatureRule { asked: config.features, rule, own_names: F::OWN_FEATURES });
    if dynamic && !driver.can_change_top() {
        return refused("DYNAMIC_TOP needs a driver that can change the top");
    }
    if common.has(Features::SIGN_EXTEND) && (dynamic || config.features.contains(Features::FULL_VA)) {
        return refused("SIGN_EXTEND only without DYNAMIC_TOP and FULL_VA");
    }
    let prefix = F::va_prefix(&common);
    if prefix != 0 && (dynamic || common.has(Features::SIGN_EXTEND)) {
        return bad("va_prefix", prefix, "none with DYNAMIC_TOP or SIGN_EXTEND", Errno::EINVAL);
    }
    if common.has(Features::DMA_INCOHERENT) && !driver.can_flush_cache() {
        return refused("DMA_INCOHERENT needs a driver that can flush caches");
    }
    if limits.max_va_lg2 < item_size_lg2::<F>(top_level) && !F::QUIRKS.deep_top {
        let range = (item_size_lg2::<F>(top_level), widest);
        return outside("hw_max_vasz_lg2", limits.max_va_lg2, range, Errno::EINVAL);
    }
    if crate::table::top_va_lg2(&common, top_level) == u64::BITS {
        common.features |= Features::FULL_VA;
    }
    check_empty_items(&common)?;
    Ok((common, top_level))
}

/// What a format's init decided has to be within the format's own geometry: the walkers rely on it.
fn check_limits<F: Groups>(limits: &Limits) -> Result<(), Error> {
    let geometry = F::GEOMETRY;
    for (field, found, lowest, highest) in [
        ("top_level", limits.top_level, F::MIN_TOP_LEVEL, geometry.max_top_level),
        ("max_va_lg2", limits.max_va_lg2, 1, geometry.max_va_lg2),
        ("max_oa_lg2", limits.max_oa_lg2, 1, geometry.max_oa_lg2),
    ] {
        if !(lowest..=highest).contains(&found) {
            return Err(Error::ConfigRange { field, found, lowest, highest, errno: Errno::EINVAL });
        }
    }
    Ok(())
}

/// The empty items of a format must leave room for the link of an unlinked table.
fn check_empty_items<F: Groups>(common: &Common<F>) -> Result<(), Error> {
    for level in 0..F::MAX_TOP_LEVEL {
        let empty = F::empty_item(common, level).to_u64();
        if empty & link_mask::<F>() != 0 {
            let (valid, errno) = ("no bits where the link of an unlinked table goes", Errno::EINVAL);
            return Err(Error::Config { field: "empty_item", found: empty, valid, errno });
        }
    }
    Ok(())
}
