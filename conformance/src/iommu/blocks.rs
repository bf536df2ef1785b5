//! Ranges as hardware's commands take them: blocks of a power of two, aligned to that.

/// The fewest aligned blocks that are the closed range together: first VA, and size as a power of two, up to 64.
///
/// The range begins and ends at a granule's border, so none is smaller than a granule.
pub fn blocks(va: u64, last: u64) -> impl Iterator<Item = (u64, u32)> {
    let mut next = (va <= last).then_some(va);
    std::iter::from_fn(move || {
        let start = next?;
        // A start at 0 is aligned to everything.
        let aligned_lg2 = if start == 0 { u64::BITS } else { start.trailing_zeros() };
        // One more than what is left can be 2^64.
        let fitting_lg2 = (u128::from(last - start) + 1).ilog2();
        let lg2 = aligned_lg2.min(fitting_lg2);
        next = 1u64.checked_shl(lg2).and_then(|bytes| start.checked_add(bytes)).filter(|start| *start <= last);
        Some((start, lg2))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_the_range_and_aligned() {
        let of = |va, last| blocks(va, last).collect::<Vec<_>>();
        assert_eq!(of(0x1000, 0x1fff), [(0x1000, 12)]);
        assert_eq!(of(0x1000, 0x4fff), [(0x1000, 12), (0x2000, 13), (0x4000, 12)]);
        assert_eq!(of(0, u64::MAX), [(0, 64)]);
        assert_eq!(of(u64::MAX - 0x1fff, u64::MAX), [(u64::MAX - 0x1fff, 13)]);
        assert_eq!(of(1 << 63, u64::MAX), [(1 << 63, 63)]);
        assert_eq!(of(0x2000, 0x1fff), []);
    }
}
