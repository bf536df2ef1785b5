//! With which protections accesses were tried, of which kind, and by whom.

use crate::walker::{Access, Privilege, Walker};
use generic_pt::Prot;
use std::fmt;
use std::ops::AddAssign;

const PERMISSIONS: [Prot; 3] = [Prot::READ, Prot::WRITE, Prot::READ.union(Prot::WRITE)];
const MEMORY: [Prot; 3] = [Prot::empty(), Prot::CACHE, Prot::MMIO];
const EXECUTION: [Prot; 2] = [Prot::empty(), Prot::NOEXEC];

/// All protections that are mapped: all combinations, but for those that no format takes.
pub const PROTECTIONS: [Prot; 18] = {
    let mut all = [Prot::empty(); 18];
    let mut n = 0;
    while n < all.len() {
        all[n] = PERMISSIONS[n % 3].union(MEMORY[n / 3 % 3]).union(EXECUTION[n / 9]);
        n += 1;
    }
    all
};

/// Ways to try something.
const ACCESSES: [Access; 3] = [Access::Read, Access::Write, Access::Execute];
const PRIVILEGES: [Privilege; 3] = [Privilege::Supervisor, Privilege::Guarded, Privilege::User];
const WAYS: usize = ACCESSES.len() * PRIVILEGES.len();

/// A way that the walker has.
pub type Way = (Access, Privilege);

/// How often each protection was met in each way, where the outcome was the right one.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Cells {
    met: [[u64; WAYS]; PROTECTIONS.len()],
    /// Ways that the walker has, one bit each.
    claimed: u16,
}

impl Cells {
    /// Claims every protection in each way that the walker has.
    pub fn claim(&mut self, walker: &dyn Walker) {
        for (n, (access, privilege)) in ways().enumerate() {
            let has_access = access != Access::Execute || walker.instruction().is_some();
            if has_access && walker.privileges(access).contains(&privilege) {
                self.claimed |= 1 << n;
            }
        }
    }

    /// Once more; mappings of other protections, as that of the window, are not counted.
    pub fn count(&mut self, prot: Prot, access: Access, privilege: Privilege) {
        let of_prot = self.met.iter_mut().zip(PROTECTIONS).find(|(_, known)| *known == prot);
        let of_way =
            of_prot.and_then(|(met, _)| met.iter_mut().zip(ways()).find(|(_, way)| *way == (access, privilege)));
        if let Some((met, _)) = of_way {
            *met += 1;
        }
    }

    /// Whether anything is claimed.
    pub fn is_claimed(&self) -> bool {
        self.claimed != 0
    }

    /// What is claimed and was not met.
    pub fn missing(&self) -> impl Iterator<Item = (Prot, Way)> + use<> {
        self.claimed().filter(|(_, _, met)| *met == 0).map(|(prot, way, _)| (prot, way))
    }

    /// Each that is claimed, with how often it was met.
    fn claimed(&self) -> impl Iterator<Item = (Prot, Way, u64)> + use<> {
        let Self { met, claimed } = *self;
        PROTECTIONS.into_iter().zip(met).flat_map(move |(prot, met)| {
            let ways = ways().zip(met).enumerate().filter(move |(n, _)| claimed >> n & 1 != 0);
            ways.map(move |(_, (way, met))| (prot, way, met))
        })
    }
}

/// All ways.
fn ways() -> impl Iterator<Item = Way> {
    ACCESSES.into_iter().flat_map(|access| PRIVILEGES.map(|privilege| (access, privilege)))
}

impl AddAssign for Cells {
    fn add_assign(&mut self, more: Self) {
        for (met, more) in self.met.iter_mut().flatten().zip(more.met.into_iter().flatten()) {
            *met += more;
        }
        self.claimed |= more.claimed;
    }
}

impl fmt::Display for Cells {
    /// How many there are, and how often the rarest was met.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fewest = self.claimed().map(|(.., met)| met).min().unwrap_or(0);
        write!(f, "{} protections by {} accesses, fewest {fewest}", PROTECTIONS.len(), self.claimed.count_ones())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protections_differ() {
        for (n, prot) in PROTECTIONS.iter().enumerate() {
            assert!(!PROTECTIONS[..n].contains(prot), "{prot:?}");
        }
    }

    #[test]
    fn a_claimed_cell_that_was_not_met_is_missing() {
        let mut cells = Cells { claimed: 1, ..Cells::default() };
        for prot in &PROTECTIONS[1..] {
            cells.count(*prot, Access::Read, Privilege::Supervisor);
        }
        // Not claimed.
        cells.count(PROTECTIONS[0], Access::Write, Privilege::User);
        let missing: Vec<_> = cells.missing().collect();
        assert_eq!(missing, [(PROTECTIONS[0], (Access::Read, Privilege::Supervisor))]);
        assert_eq!(cells.to_string(), "18 protections by 1 accesses, fewest 0");
        let mut more = Cells::default();
        more.count(PROTECTIONS[0], Access::Read, Privilege::Supervisor);
        cells += more;
        assert_eq!(cells.missing().count(), 0);
        assert_eq!(cells.to_string(), "18 protections by 1 accesses, fewest 1");
    }
}
