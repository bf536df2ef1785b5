//! Runs of items of a table, taken off in pieces.

use crate::format::{Description, Endian, Quirks};
use crate::item::Item;
use core::sync::atomic::Ordering;

/// A run of items of a table.
pub(crate) struct Run<'t, F: Description>(pub(super) &'t [<F::Item as Item>::Atomic]);

impl<F: Description> Run<'_, F> {
    /// The first `count` of them.
    #[inline(always)]
    pub(crate) fn first(self, count: usize) -> Self {
        Self(self.0.get(..count).unwrap_or(&[]))
    }

    /// The first `count` of them, if it has so many.
    #[inline(always)]
    pub(crate) fn first_checked(self, count: usize) -> Option<Self> {
        self.0.get(..count).map(Self)
    }

    /// Number of items.
    #[inline(always)]
    pub(crate) fn items(&self) -> usize {
        self.0.len()
    }

    /// The items from `first` on, in chunks; what is left is less than one.
    #[inline(always)]
    pub(crate) fn chunks<const N: usize>(&self, first: usize) -> &[[<F::Item as Item>::Atomic; N]] {
        self.0.get(first..).unwrap_or(&[]).as_chunks::<N>().0
    }

    /// The number of items up to the first that `is_found`: those are the items that have one of `bits`, if there are any bits.
    #[inline(always)]
    pub(crate) fn count_until(self, bits: F::Item, is_found: impl Fn(F::Item) -> bool) -> usize {
        let Self(run) = self;
        let is_found = |slot: &_| is_found(from_memory::<F>(F::Item::load(slot, Ordering::Relaxed)));
        let has_none = |some: &[_; 8]| {
            if bits == F::Item::ZERO {
                // Without a branch for each.
                !some.iter().fold(false, |any, slot| any | is_found(slot))
            } else {
                F::Item::or_all(some) & to_memory::<F>(bits) == F::Item::ZERO
            }
        };
        let mut clean = 0;
        if run.first_chunk().is_some_and(has_none) {
            // From a border of eight on, so that what is found at regular places is at the same place of its eight each time.
            let border = run.as_ptr().align_offset(8 << F::Item::BYTES_LG2) & 7;
            let Some(behind) = run.get(border..) else { return run.len() };
            let (eights, _) = behind.as_chunks::<8>();
            clean = border + 8 * eights.iter().position(|some| !has_none(some)).unwrap_or(eights.len());
        }
        let Some(rest) = run.get(clean..) else { return run.len() };
        clean + rest.iter().position(is_found).unwrap_or(rest.len())
    }

    /// Writes the same to many items.
    #[inline(always)]
    pub(super) fn fill(self, item: F::Item) {
        let (many, rest) = self.0.as_chunks::<64>();
        let store = |slot| F::Item::store(slot, item, Ordering::Release);
        many.iter().for_each(|slots| slots.iter().for_each(store));
        rest.iter().for_each(store);
    }

    /// Runs `take` on the first item, which was read as `like`, and on those behind it up to the first that differs from that in one
    /// of `bits`. How many: none only if there is none.
    ///
    /// The first one is taken whatever it is now: hardware may have set a bit since it was read.
    #[inline(always)]
    pub(super) fn take_alike(self, like: F::Item, bits: F::Item, take: impl Fn(&<F::Item as Item>::Atomic)) -> usize {
        let (like, bits) = (to_memory::<F>(like), to_memory::<F>(bits));
        let mut run = self.0;
        // Mostly all are, so the pieces are those of the length.
        let are_all_alike = 'pieces: {
            while run.len() >= 8 {
                if !Self::take_if_alike::<8>(&mut run, like, bits, &take) {
                    break 'pieces false;
                }
            }
            (run.len() < 4 || Self::take_if_alike::<4>(&mut run, like, bits, &take))
                && (run.len() < 2 || Self::take_if_alike::<2>(&mut run, like, bits, &take))
                && (run.is_empty() || Self::take_if_alike::<1>(&mut run, like, bits, &take))
        };
        let items = self.0.len();
        if are_all_alike {
            return items;
        }
        // (A call, or a register more, would make its caller one with a frame.)
        if run.len() == items
            && let Some((first, behind)) = run.split_first()
        {
            take(first);
            run = behind;
        }
        // (By hand: of iterators that count the compiler works out beforehand how many there can be.)
        let mut taken = items - run.len();
        for slot in run {
            if (F::Item::load(slot, Ordering::Relaxed) ^ like) & bits != F::Item::ZERO {
                break;
            }
            take(slot);
            taken += 1;
        }
        taken
    }

    /// Takes the first `N` items out of a run, if it has so many and all are alike.
    #[inline(always)]
    fn take_if_alike<const N: usize>(
        run: &mut &[<F::Item as Item>::Atomic],
        like: F::Item,
        bits: F::Item,
        take: impl Fn(&<F::Item as Item>::Atomic),
    ) -> bool {
        let Some((some, rest)) = run.split_first_chunk::<N>() else { return false };
        let are_alike = differing_one_by_one::<F>(some, like) & bits == F::Item::ZERO;
        if are_alike {
            some.iter().for_each(take);
            *run = rest;
        }
        are_alike
    }
}

/// An item in the byte order of memory, from that of the CPU.
#[inline(always)]
pub(super) fn to_memory<F: Description>(item: F::Item) -> F::Item {
    match F::QUIRKS {
        Quirks { endian: Endian::Little, .. } if cfg!(target_endian = "little") => item,
        Quirks { endian: Endian::Big, .. } if cfg!(target_endian = "big") => item,
        _ => item.swap_bytes(),
    }
}

/// The bits in which any of some items in memory is not `like`.
#[inline(always)]
pub(super) fn differing<F: Description>(slots: &[<F::Item as Item>::Atomic], like: F::Item) -> F::Item {
    // Two operations on each, but for few items more beside them.
    if slots.len() < 16 && like != F::Item::ZERO {
        return differing_one_by_one::<F>(slots, like);
    }
    let set = F::Item::or_all(slots);
    if like == F::Item::ZERO { set } else { (set ^ like) | (F::Item::and_all(slots) ^ like) }
}

/// The same by three operations on each: for few items.
#[inline(always)]
fn differing_one_by_one<F: Description>(slots: &[<F::Item as Item>::Atomic], like: F::Item) -> F::Item {
    slots.iter().fold(F::Item::ZERO, |bits, slot| bits | (F::Item::load(slot, Ordering::Relaxed) ^ like))
}

/// Byte order is its own inverse.
#[inline(always)]
pub(super) fn from_memory<F: Description>(item: F::Item) -> F::Item {
    to_memory::<F>(item)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fmt::amdv1::Format;
    use core::sync::atomic::AtomicU64;
    use std::vec::Vec;

    /// An unmap took no item, and at VA 0 said that all 2^64 bytes were gone, if hardware set a bit of the first one between the load
    /// that found a leaf and the comparison.
    #[test]
    fn the_first_item_is_taken_though_hardware_changed_it() {
        const ACCESSED: u64 = 1 << 5;
        for len in 1..20 {
            for first in [7, 7 | ACCESSED] {
                for alike in 1..=len {
                    let value = |n| match n {
                        0 => first,
                        n if n < alike => 7,
                        _ => 3,
                    };
                    let items: Vec<AtomicU64> = (0..len).map(|n| AtomicU64::new(value(n))).collect();
                    let taken = Run::<Format>(&items).take_alike(7, !0, |slot| slot.store(0, Ordering::Relaxed));
                    let expected = if first == 7 { alike } else { taken.clamp(1, alike) };
                    assert_eq!(taken, expected, "{len} items, {alike} alike");
                    let left = items.iter().map(|item| item.load(Ordering::Relaxed));
                    assert!(left.enumerate().all(|(n, item)| item == if n < taken { 0 } else { value(n) }));
                }
            }
        }
    }
}
