//! What the Apple DART formats share beside their items: levels, and the roots.

use crate::error::{Errno, Error};
use crate::format::Limits;

/// The most root registers of a stream.
pub(super) const MAX_ROOTS: usize = 4;

/// Widths and top: of tables of `2^granule_lg2` bytes, up to `2^max_roots_lg2` of which can be roots.
///
/// There are at least two levels. Several roots are a top of several tables.
///
/// # Errors
/// [`Error::ConfigRange`].
pub(super) const fn limits(
    granule_lg2: u32,
    max_roots_lg2: u32,
    va_lg2: u32,
    max_oa_lg2: u32,
) -> Result<Limits, Error> {
    let index_lg2 = granule_lg2 - 3;
    // VA are not wider than OA.
    let (lowest, highest) = (granule_lg2 + index_lg2, max_oa_lg2);
    if va_lg2 < lowest || va_lg2 > highest {
        let (field, errno) = ("hw_max_vasz_lg2", Errno::EINVAL);
        return Err(Error::ConfigRange { field, found: va_lg2, lowest, highest, errno });
    }
    let top_level = if va_lg2 > granule_lg2 + 2 * index_lg2 + max_roots_lg2 { 2 } else { 1 };
    Ok(Limits { top_level, max_va_lg2: va_lg2, max_oa_lg2 })
}

/// The number of roots of a top at `pa`, and their addresses; those that are not there are 0.
pub(super) const fn roots(granule_lg2: u32, va_lg2: u32, top_level: u32, pa: u64) -> (u32, [u64; MAX_ROOTS]) {
    let decoded = granule_lg2 + (top_level + 1) * (granule_lg2 - 3);
    let count = 1 << va_lg2.saturating_sub(decoded);
    let mut roots = [0; MAX_ROOTS];
    let mut n = 0;
    while n < count && n < MAX_ROOTS {
        roots[n] = pa + ((n as u64) << granule_lg2);
        n += 1;
    }
    (count as u32, roots)
}
