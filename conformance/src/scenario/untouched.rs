//! Memory that accesses must leave as it is.

use super::wrong;
use crate::ram::Ram;
use crate::walker::Walker;
use std::io;

/// What a walker keeps, as it was; the data hold their own addresses.
pub(super) struct Untouched(Vec<(u64, Vec<u8>)>);

impl Untouched {
    /// As it is now.
    pub(super) fn new(walker: &dyn Walker, ram: &Ram) -> io::Result<Self> {
        walker.keeps().into_iter().map(|area| ram.copy_of(area)).collect::<io::Result<_>>().map(Self)
    }

    /// Whether it still is, and the data, too.
    pub(super) fn check(self, ram: &Ram) -> io::Result<()> {
        for (start, bytes) in self.0 {
            let (_, now) = ram.copy_of(start..start + bytes.len() as u64)?;
            if let Some(offset) = bytes.iter().zip(&now).position(|(before, now)| before != now) {
                let (pa, found) = (start + offset as u64, now[offset]);
                return Err(wrong(format!("accesses changed {pa:#x}, which is not of the data, to {found:#x}")));
            }
        }
        match ram.first_changed()? {
            None => Ok(()),
            Some((pa, found)) => Err(wrong(format!("accesses changed {pa:#x}, where none should go, to {found:#x}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ram::Layout;
    use crate::walker::{Access, Outcome, Privilege, Request};
    use generic_pt::{Invalidation, Prot};
    use std::ops::Range;

    const KEPT: u64 = 0x1000;

    struct Keeper;

    impl Walker for Keeper {
        fn invalidate(&mut self, _: &Invalidation) -> io::Result<()> {
            Ok(())
        }
        fn access(&mut self, _: &Request) -> io::Result<Outcome> {
            Ok(Outcome::Untold)
        }
        fn keeps(&self) -> Vec<Range<u64>> {
            Vec::from([KEPT..KEPT + 8, KEPT + 8..KEPT + 16])
        }
        fn permits(&self, _: Prot, _: Access, _: Privilege) -> bool {
            true
        }
    }

    #[test]
    fn a_byte_that_changes_is_found() -> io::Result<()> {
        let ram = Ram::new(Layout::small(0))?;
        let error_of = |pa: u64| {
            let untouched = Untouched::new(&Keeper, &ram)?;
            ram.write(pa, &[0x5a])?;
            io::Result::Ok(untouched.check(&ram).err().map(|error| error.to_string()))
        };
        assert_eq!(error_of(KEPT + 16)?, None);
        let beside = "accesses changed 0x100f, which is not of the data, to 0x5a";
        assert_eq!(error_of(KEPT + 15)?.as_deref(), Some(beside));
        let pa = ram.data_pa();
        let data = format!("accesses changed {pa:#x}, where none should go, to {:#x}", pa | 0x5a);
        assert_eq!(error_of(pa)?, Some(data));
        Ok(())
    }
}
