//! The driver of the tables: what the library has hardware forget, the walker is made to forget, and nothing else.

use crate::walker::Walker;
use generic_pt::format::Top;
use generic_pt::memory::Arena;
use generic_pt::{Domain, Driver, Invalidation};
use std::any::Any;
use std::cell::{RefCell, RefMut};
use std::fmt;
use std::io;

/// The domain of a table in a machine's memory.
pub type VmDomain<'r> = Domain<Arena<'r>, Hardware<'r>>;

/// What the library says for the hardware of a top, of the format's own type.
pub type InfoOf = Box<dyn Fn(Top) -> Box<dyn Any>>;

/// Tells a walker of changes. Before one is attached, there is nothing to tell.
#[derive(Default)]
pub struct Hardware<'r> {
    walker: RefCell<Option<Box<dyn Walker + 'r>>>,
    info_of: RefCell<Option<InfoOf>>,
    told: RefCell<Vec<Invalidation>>,
    tops: RefCell<Vec<Top>>,
    /// The first error: the library has no use for one.
    failure: RefCell<Option<io::Error>>,
}

impl<'r> Hardware<'r> {
    /// Tells this walker from now on, of higher tops by what `info_of` makes of them.
    pub fn attach(&self, walker: Box<dyn Walker + 'r>, info_of: InfoOf) {
        *self.walker.borrow_mut() = Some(walker);
        *self.info_of.borrow_mut() = Some(info_of);
    }

    /// The walker.
    ///
    /// # Errors
    /// There is none, or it did not do what it was told.
    pub fn walker(&self) -> io::Result<RefMut<'_, Box<dyn Walker + 'r>>> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        RefMut::filter_map(self.walker.borrow_mut(), Option::as_mut)
            .map_err(|_| io::Error::other("no walker is attached"))
    }

    /// What the library asked for since this was asked last.
    pub fn take_told(&self) -> Vec<Invalidation> {
        self.told.take()
    }

    /// The tops that the library pointed the walker to since this was asked last.
    pub fn take_tops(&self) -> Vec<Top> {
        self.tops.take()
    }

    fn tell(&self, tell: impl FnOnce(&mut dyn Walker) -> io::Result<()>) {
        if let Some(walker) = &mut *self.walker.borrow_mut()
            && let Err(error) = tell(&mut **walker)
        {
            self.failure.borrow_mut().get_or_insert(error);
        }
    }
}

impl Driver for Hardware<'_> {
    fn sync(&self, invalidation: &Invalidation) {
        self.told.borrow_mut().push(*invalidation);
        self.tell(|walker| walker.invalidate(invalidation));
    }

    fn can_change_top(&self) -> bool {
        true
    }

    fn change_top(&self, top: Top) {
        self.tops.borrow_mut().push(top);
        if let Some(info_of) = &*self.info_of.borrow() {
            self.tell(|walker| walker.change_top(&*info_of(top)));
        }
    }
}

impl fmt::Debug for Hardware<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hardware").field("told", &self.told).field("tops", &self.tops).finish_non_exhaustive()
    }
}
