//! A driver for tests: notes what it is told.

use super::memory::TestMemory;
use crate::driver::{Domain, Driver, Invalidation};
use crate::format::Top;
use core::ptr::NonNull;
use std::sync::{Mutex, PoisonError};
use std::vec::Vec;

/// Surroundings of a table under test.
pub type TestDomain = Domain<TestMemory, TestDriver>;

/// What a table told its driver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// [`Driver::sync`].
    Sync(Invalidation),
    /// [`Driver::sync_all`].
    SyncAll,
    /// [`Driver::change_top`].
    ChangeTop(Top),
    /// [`Driver::flush_cache`].
    Flush {
        /// Address of the first byte in this program.
        address: usize,
        /// How many.
        bytes: usize,
    },
}

/// A driver that can do all and, where asked to, notes it: [`record`](Self::record).
#[derive(Debug, Default)]
pub struct TestDriver {
    events: Mutex<Option<Vec<Event>>>,
    top: Mutex<()>,
}

impl TestDriver {
    /// Notes events from now on; those noted before are dropped.
    pub fn record(&self) {
        *self.events.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    }

    /// Takes the events noted so far, in their order.
    pub fn take_events(&self) -> Vec<Event> {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.as_mut().map(core::mem::take).unwrap_or_default()
    }

    fn note(&self, event: Event) {
        if let Some(events) = &mut *self.events.lock().unwrap_or_else(PoisonError::into_inner) {
            events.push(event);
        }
    }
}

impl Driver for TestDriver {
    fn sync(&self, invalidation: &Invalidation) {
        self.note(Event::Sync(*invalidation));
    }
    fn sync_all(&self) {
        self.note(Event::SyncAll);
    }
    fn can_change_top(&self) -> bool {
        true
    }
    fn change_top(&self, top: Top) {
        self.note(Event::ChangeTop(top));
    }
    fn with_top_lock<R>(&self, change: impl FnOnce() -> R) -> R {
        let _alone = self.top.lock().unwrap_or_else(PoisonError::into_inner);
        change()
    }
    fn can_flush_cache(&self) -> bool {
        true
    }
    fn flush_cache(&self, start: NonNull<u8>, bytes: usize) {
        self.note(Event::Flush { address: start.as_ptr().addr(), bytes });
    }
}
