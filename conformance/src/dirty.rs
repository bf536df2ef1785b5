//! What a row has shown of pages that were written.

use crate::leaves::Sizes;
use std::fmt;
use std::ops::AddAssign;

/// Leaves that a walker wrote, and that were found dirty.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Dirty {
    /// Tables whose writes are noted.
    tables: u64,
    /// Sizes of leaves that were found, made clean, and found again; one bit each.
    sizes: u64,
    /// Leaves that were found, each time they were.
    found: u64,
    /// Leaves that were found, made clean, and found again.
    again: u64,
}

impl Dirty {
    /// One more table: leaves that were found in it, all times together, and those that were found each time.
    pub fn count(&mut self, found: usize, again: usize) {
        *self += Self { tables: 1, sizes: 0, found: found as u64, again: again as u64 };
    }

    /// A leaf of that size was found, made clean, and found again.
    pub fn count_size(&mut self, size: u64) {
        *self += Self { tables: 0, sizes: size, found: 2, again: 1 };
    }

    /// If writes are noted: of which of these sizes that was not shown.
    pub fn missing(&self, sizes: Sizes) -> Sizes {
        if self.tables == 0 { Sizes::NONE } else { sizes.without(Sizes(self.sizes)) }
    }
}

impl AddAssign for Dirty {
    fn add_assign(&mut self, more: Self) {
        self.tables += more.tables;
        self.sizes |= more.sizes;
        self.found += more.found;
        self.again += more.again;
    }
}

impl fmt::Display for Dirty {
    /// With a semicolon, or nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tables, found, again, .. } = *self;
        if tables == 0 { Ok(()) } else { write!(f, "{found} written leaves found dirty, {again} of them again; ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tracked_has_to_be_shown() {
        let mut dirty = Dirty::default();
        let missing = |dirty: &Dirty| dirty.missing(Sizes(0x20_1000)).to_string();
        assert_eq!(missing(&dirty), "");
        dirty.count(3, 1);
        assert_eq!(missing(&dirty), "4K 2M");
        dirty.count_size(0x1000);
        assert_eq!(missing(&dirty), "2M");
        dirty.count_size(0x20_0000);
        assert_eq!(missing(&dirty), "");
        assert_eq!(dirty.to_string(), "7 written leaves found dirty, 3 of them again; ");
    }
}
