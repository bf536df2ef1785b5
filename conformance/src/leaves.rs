//! Which leaves a row's tables had when they were walked.

use std::fmt;
use std::ops::AddAssign;

/// How many leaves of each size were in tables that were walked, and which sizes there have to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leaves {
    /// Of each size, as a power of two.
    written: [u64; u64::BITS as usize],
    /// Sizes that the row claims, one bit each.
    claimed: u64,
    /// Sizes that are not tried, as they would leave no room for others in the VA, or in the physical addresses.
    without_va: u64,
    without_pa: u64,
}

impl Default for Leaves {
    fn default() -> Self {
        Self { written: [0; u64::BITS as usize], claimed: 0, without_va: 0, without_pa: 0 }
    }
}

impl Leaves {
    /// Claims those of the table's page sizes of which there is room for four, and for eight in the physical addresses. Returns
    /// them, smallest first.
    pub fn claim(&mut self, sizes: u64, last_va_offset: u64, last_pa: u64) -> Vec<u64> {
        let (mut claimed, mut without_va, mut without_pa) = (0, 0, 0);
        for size in bits(sizes) {
            if size - 1 > last_va_offset / 4 {
                without_va |= size;
            } else if size > last_pa / 8 {
                without_pa |= size;
            } else {
                claimed |= size;
            }
        }
        self.claimed |= claimed;
        self.without_va |= without_va;
        self.without_pa |= without_pa;
        bits(claimed).collect()
    }

    /// One leaf of that size, as a power of two.
    pub fn count(&mut self, size_lg2: u32) {
        self.written[size_lg2 as usize] += 1;
    }

    /// Whether anything is claimed.
    pub fn is_claimed(&self) -> bool {
        self.claimed != 0
    }

    /// Sizes that are claimed, and of which no table had a leaf.
    pub fn missing(&self) -> Sizes {
        Sizes(bits(self.claimed).filter(|size| self.of(*size) == 0).sum())
    }

    fn of(&self, size: u64) -> u64 {
        self.written[size.ilog2() as usize]
    }
}

impl AddAssign for Leaves {
    fn add_assign(&mut self, more: Self) {
        for (count, more) in self.written.iter_mut().zip(more.written) {
            *count += more;
        }
        self.claimed |= more.claimed;
        self.without_va |= more.without_va;
        self.without_pa |= more.without_pa;
    }
}

impl fmt::Display for Leaves {
    /// What there was, how many of the rarest, and what was left out, and why.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "leaves of {}", Sizes(self.claimed))?;
        if let Some(rarest) = bits(self.claimed).min_by_key(|size| self.of(*size)) {
            write!(f, "; fewest {} of {}", self.of(rarest), Sizes(rarest))?;
        }
        for (sizes, what) in [(self.without_va, "VA"), (self.without_pa, "PA")] {
            if sizes != 0 {
                write!(f, "; not tried {}: too large for the {what}", Sizes(sizes))?;
            }
        }
        Ok(())
    }
}

/// Page sizes, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sizes(u64);

impl Sizes {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Sizes {
    /// As in 4K 64K 2M; three and more that follow each other as 4K-4G.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(mut rest) = *self;
        let mut separator = "";
        while rest != 0 {
            let first = rest.trailing_zeros();
            let count = (rest >> first).trailing_ones();
            let shown = if count > 2 { count } else { 1 };
            write!(f, "{separator}{}", size(first))?;
            if shown > 1 {
                write!(f, "-{}", size(first + shown - 1))?;
            }
            rest &= u64::MAX.checked_shl(first + shown).unwrap_or(0);
            separator = " ";
        }
        Ok(())
    }
}

/// A power of two, with the largest unit that it has.
fn size(lg2: u32) -> String {
    let units = ["", "K", "M", "G", "T", "P", "E"];
    format!("{}{}", 1u64 << (lg2 % 10), units[lg2 as usize / 10])
}

/// The bits that are set, lowest first.
fn bits(bits: u64) -> impl Iterator<Item = u64> {
    (0..u64::BITS).map(|bit| 1 << bit).filter(move |bit| bits & bit != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_with_units() {
        let text = |sizes| Sizes(sizes).to_string();
        assert_eq!(text(0x4020_1000), "4K 2M 1G");
        assert_eq!(text(0x3000), "4K 8K");
        assert_eq!(text(0x2_7000), "4K-16K 128K");
        assert_eq!(text(1 << 63 | 1 << 62 | 1 << 61), "2E-8E");
    }

    #[test]
    fn a_claimed_size_without_a_leaf_is_missing() {
        let mut leaves = Leaves::default();
        assert_eq!(leaves.claim(0x4020_1000, u64::MAX >> 34, u64::MAX >> 12), [0x1000, 0x20_0000]);
        leaves.count(12);
        assert_eq!(leaves.missing().to_string(), "2M");
        assert_eq!(leaves.to_string(), "leaves of 4K 2M; fewest 0 of 2M; not tried 1G: too large for the VA");
        let mut more = Leaves::default();
        more.count(21);
        leaves += more;
        assert!(leaves.missing().is_empty());
    }
}
