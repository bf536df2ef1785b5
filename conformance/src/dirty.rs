//! What a row has shown of pages that were written.

use std::fmt;
use std::ops::AddAssign;

/// Leaves that a walker wrote, and that were found dirty.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Dirty {
    /// Tables whose writes are noted.
    tables: u64,
    /// Leaves that were found, each time they were.
    found: u64,
    /// Leaves that were found, made clean, and found again.
    again: u64,
}

impl Dirty {
    /// One more table: leaves that were found in it, all times together, and those that were found each time.
    pub fn count(&mut self, found: usize, again: usize) {
        *self += Self { tables: 1, found: found as u64, again: again as u64 };
    }

    /// Whether writes are noted, and that was not shown.
    pub fn is_missing(&self) -> bool {
        self.tables != 0 && self.again == 0
    }
}

impl AddAssign for Dirty {
    fn add_assign(&mut self, more: Self) {
        self.tables += more.tables;
        self.found += more.found;
        self.again += more.again;
    }
}

impl fmt::Display for Dirty {
    /// With a semicolon, or nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tables, found, again } = *self;
        if tables == 0 { Ok(()) } else { write!(f, "{found} written leaves found dirty, {again} of them again; ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tracked_has_to_be_shown() {
        let mut dirty = Dirty::default();
        assert!(!dirty.is_missing());
        dirty.count(3, 0);
        assert!(dirty.is_missing());
        dirty.count(2, 1);
        assert!(!dirty.is_missing());
        assert_eq!(dirty.to_string(), "5 written leaves found dirty, 1 of them again; ");
    }
}
