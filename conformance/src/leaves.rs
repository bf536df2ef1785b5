//! Through which leaves a row's walker went.

use std::fmt;
use std::ops::AddAssign;

/// Why a page size is not tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoRoom {
    /// There is none for it beside the window.
    Va,
    /// It is larger than the physical addresses of the machine.
    Pa,
    /// The machine does not have it.
    Machine,
}

/// Reasons, in their order.
const NO_ROOM: [(NoRoom, &str); 3] = [
    (NoRoom::Va, "too large for the VA"),
    (NoRoom::Pa, "too large for the PA"),
    (NoRoom::Machine, "the machine does not have it"),
];

/// Halves of a leaf.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Halves(u8);

impl Halves {
    /// None.
    pub const NONE: Self = Self(0);
    /// Both.
    pub const BOTH: Self = Self(3);

    /// The one that an offset into a leaf of that size is in.
    pub const fn at(offset: u64, size_lg2: u32) -> Self {
        Self(1 << (offset >> (size_lg2 - 1) & 1))
    }

    /// These and those.
    #[must_use]
    pub const fn union(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What a walker has to go through of the leaves of a size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// Any place: they are one item each.
    OneItem,
    /// Both halves: they are several items.
    BothHalves,
    /// They are several items, and there is RAM for one half.
    BeyondRam,
}

/// One number for each size, as a power of two.
type OfSizes = [u64; u64::BITS as usize];

/// How often the walker went through leaves of each size, and which sizes it has to go through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leaves {
    /// Translations and accesses that succeeded.
    walked: OfSizes,
    /// Halves of the leaves that these went through.
    halves: [Halves; u64::BITS as usize],
    /// How often a leaf took the place of tables that the walker had used, and tables that of the leaf.
    replaced: OfSizes,
    /// Sizes that the row claims, one bit each.
    claimed: u64,
    /// Those of them that are above the lowest level, so that tables can have their place.
    above: u64,
    /// Those that have to be walked in both halves.
    whole: u64,
    /// Those that would have to, and for which RAM is too small.
    beyond_ram: u64,
    /// Sizes that are not tried, by the reason.
    without: [u64; NO_ROOM.len()],
}

impl Default for Leaves {
    fn default() -> Self {
        let none = [0; u64::BITS as usize];
        Self {
            walked: none,
            halves: [Halves::NONE; u64::BITS as usize],
            replaced: none,
            claimed: 0,
            above: 0,
            whole: 0,
            beyond_ram: 0,
            without: [0; NO_ROOM.len()],
        }
    }
}

impl Leaves {
    /// Claims a size; a leaf of it has the place of tables, or only of other leaves.
    pub fn claim(&mut self, size: u64, is_above: bool, extent: Extent) {
        self.claimed |= size;
        match extent {
            Extent::OneItem => {}
            Extent::BothHalves => self.whole |= size,
            Extent::BeyondRam => self.beyond_ram |= size,
        }
        self.above |= if is_above { size } else { 0 };
    }

    /// A size that cannot be tried.
    pub fn leave_out(&mut self, sizes: u64, reason: NoRoom) {
        self.without[reason as usize] |= sizes;
    }

    /// The walker went through one of that size, as a power of two, at that offset.
    pub fn count(&mut self, offset: u64, size_lg2: u32) {
        self.walked[size_lg2 as usize] += 1;
        let halves = &mut self.halves[size_lg2 as usize];
        *halves = halves.union(Halves::at(offset, size_lg2));
    }

    /// A leaf of that size took the place of tables, and tables took its place.
    pub fn count_replaced(&mut self, size: u64) {
        self.replaced[size.ilog2() as usize] += 1;
    }

    /// Whether anything is claimed.
    pub fn is_claimed(&self) -> bool {
        self.claimed != 0
    }

    /// Sizes that are claimed.
    pub fn claimed(&self) -> Sizes {
        Sizes(self.claimed)
    }

    /// Sizes that are claimed, and through which the walker never went.
    pub fn missing(&self) -> Sizes {
        Sizes(bits(self.claimed).filter(|size| of(&self.walked, *size) == 0).sum())
    }

    /// Sizes of several items of which the walker went through one half only, though there is RAM for both.
    pub fn half_missing(&self) -> Sizes {
        self.in_one_half(self.whole & !self.missing().0)
    }

    fn in_one_half(&self, sizes: u64) -> Sizes {
        Sizes(bits(sizes).filter(|size| !self.halves[size.ilog2() as usize].contains(Halves::BOTH)).sum())
    }

    /// Sizes that never took the place of tables, though they could.
    pub fn not_replaced(&self) -> Sizes {
        Sizes(bits(self.above).filter(|size| of(&self.replaced, *size) == 0).sum())
    }
}

fn of(numbers: &OfSizes, size: u64) -> u64 {
    numbers[size.ilog2() as usize]
}

impl AddAssign for Leaves {
    fn add_assign(&mut self, more: Self) {
        for (counts, more) in [(&mut self.walked, more.walked), (&mut self.replaced, more.replaced)] {
            for (count, more) in counts.iter_mut().zip(more) {
                *count += more;
            }
        }
        for (halves, more) in self.halves.iter_mut().zip(more.halves) {
            *halves = halves.union(more);
        }
        for (sizes, more) in self.without.iter_mut().zip(more.without) {
            *sizes |= more;
        }
        self.claimed |= more.claimed;
        self.above |= more.above;
        self.whole |= more.whole;
        self.beyond_ram |= more.beyond_ram;
    }
}

impl fmt::Display for Leaves {
    /// Which there were, how often the rarest was walked, and what was left out, and why; then what took the place of tables.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "walked leaves of {}", Sizes(self.claimed))?;
        if let Some(rarest) = bits(self.claimed).min_by_key(|size| of(&self.walked, *size)) {
            write!(f, "; fewest {} of {}", of(&self.walked, rarest), Sizes(rarest))?;
        }
        let halves = self.in_one_half(self.beyond_ram);
        if !halves.is_empty() {
            write!(f, "; one half of {halves}: larger than RAM")?;
        }
        for ((_, reason), sizes) in NO_ROOM.iter().zip(self.without) {
            if sizes != 0 {
                write!(f, "; not tried {}: {reason}", Sizes(sizes))?;
            }
        }
        if let Some(rarest) = bits(self.above).map(|size| of(&self.replaced, size)).min() {
            write!(f, "; in the place of tables and back {}, fewest {rarest}", Sizes(self.above))?;
        }
        Ok(())
    }
}

/// Page sizes, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sizes(pub(crate) u64);

impl Sizes {
    /// None.
    pub const NONE: Self = Self(0);

    /// Those of these that are not of those.
    #[must_use]
    pub const fn without(self, those: Self) -> Self {
        Self(self.0 & !those.0)
    }

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
    fn reasons_are_in_their_order() {
        for (n, (reason, _)) in NO_ROOM.iter().enumerate() {
            assert_eq!(*reason as usize, n);
        }
    }

    #[test]
    fn sizes_are_told_with_units() {
        let text = |sizes| Sizes(sizes).to_string();
        assert_eq!(text(0x4020_1000), "4K 2M 1G");
        assert_eq!(text(0x3000), "4K 8K");
        assert_eq!(text(0x2_7000), "4K-16K 128K");
        assert_eq!(text(1 << 63 | 1 << 62 | 1 << 61), "2E-8E");
    }

    #[test]
    fn a_claimed_size_that_was_not_walked_is_missing() {
        let mut leaves = Leaves::default();
        leaves.claim(0x1000, false, Extent::OneItem);
        leaves.claim(0x20_0000, true, Extent::OneItem);
        leaves.leave_out(0x4000_0000, NoRoom::Va);
        leaves.count(0x800, 12);
        assert_eq!(leaves.missing().to_string(), "2M");
        assert_eq!(
            leaves.to_string(),
            "walked leaves of 4K 2M; fewest 0 of 2M; not tried 1G: too large for the VA; \
             in the place of tables and back 2M, fewest 0"
        );
        let mut more = Leaves::default();
        more.count(0, 21);
        leaves += more;
        assert!(leaves.missing().is_empty());
        assert_eq!(leaves.not_replaced().to_string(), "2M");
        leaves.count_replaced(0x20_0000);
        assert!(leaves.not_replaced().is_empty());
    }

    #[test]
    fn several_items_have_to_be_walked_in_both_halves() {
        let mut leaves = Leaves::default();
        leaves.claim(0x1_0000, false, Extent::BothHalves);
        leaves.claim(1 << 40, true, Extent::BeyondRam);
        leaves.count(0x7fff, 16);
        leaves.count(0, 40);
        assert!(leaves.missing().is_empty());
        assert_eq!(leaves.half_missing().to_string(), "64K");
        let mut more = Leaves::default();
        more.count(0x8000, 16);
        leaves += more;
        assert!(leaves.half_missing().is_empty());
        let text = "walked leaves of 64K 1T; fewest 1 of 1T; one half of 1T: larger than RAM; in the place of";
        assert!(leaves.to_string().starts_with(text), "{leaves}");
    }
}
