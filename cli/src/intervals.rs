//! A map from disjoint closed ranges of addresses to values: what the model keeps live and freed ranges in.

use std::collections::BTreeMap;

/// A closed range of addresses, the only form that can name the last byte of the address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// First byte.
    pub first: u64,
    /// Last byte, inclusive; not below `first`.
    pub last: u64,
}

impl Span {
    /// The span of `len` bytes from `first`; `None` if it is empty or runs past the last 64-bit address.
    pub fn new(first: u64, len: u64) -> Option<Self> {
        let last = first.checked_add(len.checked_sub(1)?)?;
        Some(Self { first, last })
    }

    /// Its length in bytes; all 2^64 of them count as `u64::MAX`.
    pub fn len(self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }

    /// The part that both have.
    pub fn intersection(self, other: Self) -> Option<Self> {
        let both = Self { first: self.first.max(other.first), last: self.last.min(other.last) };
        (both.first <= both.last).then_some(both)
    }

    /// Whether `next` begins right behind this one.
    pub fn touches(self, next: Self) -> bool {
        self.last.checked_add(1) == Some(next.first)
    }
}

/// A value that belongs to a range and can be cut with it.
pub trait Cut: Clone {
    /// The value of what is left when `bytes` bytes are cut off the front of its range.
    #[must_use]
    fn advanced(&self, bytes: u64) -> Self;
}

/// A line number: the same for every part of a range.
impl Cut for u64 {
    fn advanced(&self, _bytes: u64) -> Self {
        *self
    }
}

/// Disjoint ranges with a value each.
#[derive(Clone, Debug)]
pub struct Intervals<V> {
    /// By first byte: last byte and value.
    map: BTreeMap<u64, (u64, V)>,
}

impl<V> Default for Intervals<V> {
    fn default() -> Self {
        Self { map: BTreeMap::new() }
    }
}

impl<V: Cut> Intervals<V> {
    /// Number of ranges.
    pub fn count(&self) -> usize {
        self.map.len()
    }

    /// All ranges in address order.
    pub fn iter(&self) -> impl Iterator<Item = (Span, &V)> {
        self.map.iter().map(|(&first, (last, value))| (Span { first, last: *last }, value))
    }

    /// The ranges that have a byte in `span`, whole, in address order.
    pub fn overlapping(&self, span: Span) -> impl Iterator<Item = (Span, &V)> {
        let start = match self.map.range(..=span.last).next_back() {
            // The last one before its end begins inside, so the one before it can reach in too.
            Some((&first, _)) if first > span.first => match self.map.range(..=span.first).next_back() {
                Some((&first, (last, _))) if *last >= span.first => first,
                _ => span.first,
            },
            Some((&first, (last, _))) if *last >= span.first => first,
            // Mostly there is nothing: an empty range, without looking further.
            _ => return None.into_iter().flatten(),
        };
        let ranges = self.map.range(start..=span.last);
        Some(ranges.map(|(&first, (last, value))| (Span { first, last: *last }, value))).into_iter().flatten()
    }

    /// Whether one range is exactly `span`: then it is the only one that has a byte in it.
    fn is_range(&self, span: Span) -> bool {
        self.map.get(&span.first).is_some_and(|(last, _)| *last == span.last)
    }

    /// The range that `address` lies in.
    pub fn at(&self, address: u64) -> Option<(Span, &V)> {
        self.overlapping(Span { first: address, last: address }).next()
    }

    /// Changes the value of the range that begins at `first`.
    pub fn value_mut(&mut self, first: u64) -> Option<&mut V> {
        self.map.get_mut(&first).map(|(_, value)| value)
    }

    /// Removes every byte of `span`; ranges that reach out of it are cut. Returns the whole ranges that were touched.
    pub fn remove(&mut self, span: Span) -> Vec<(Span, V)> {
        if self.is_range(span) {
            return self.map.remove(&span.first).map(|(_, value)| (span, value)).into_iter().collect();
        }
        let touched: Vec<(Span, V)> = self.overlapping(span).map(|(range, value)| (range, value.clone())).collect();
        for (range, value) in &touched {
            self.map.remove(&range.first);
            if range.first < span.first {
                self.map.insert(range.first, (span.first - 1, value.clone()));
            }
            if range.last > span.last {
                let first = span.last + 1;
                self.map.insert(first, (range.last, value.advanced(first - range.first)));
            }
        }
        touched
    }

    /// Sets `span` to `value`, over whatever was there.
    pub fn set(&mut self, span: Span, value: V) {
        if !self.is_range(span) {
            self.remove(span);
        }
        self.map.insert(span.first, (span.last, value));
    }

    /// The parts of `span` that no range covers, in address order.
    pub fn gaps(&self, span: Span) -> Vec<Span> {
        if self.is_range(span) {
            return Vec::new();
        }
        let mut gaps = Vec::new();
        let mut next = Some(span.first);
        for (range, _) in self.overlapping(span) {
            if let Some(first) = next
                && first < range.first
            {
                gaps.push(Span { first, last: range.first - 1 });
            }
            next = range.last.checked_add(1);
        }
        if let Some(first) = next
            && first <= span.last
        {
            gaps.push(Span { first, last: span.last });
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(first: u64, last: u64) -> Span {
        Span { first, last }
    }

    #[test]
    fn cuts_both_ends() {
        let mut map = Intervals::default();
        map.set(span(10, 29), 1u64);
        let touched = map.remove(span(15, 19));
        assert_eq!(touched, [(span(10, 29), 1)]);
        assert_eq!(map.iter().map(|(range, _)| range).collect::<Vec<_>>(), [span(10, 14), span(20, 29)]);
        assert_eq!(map.gaps(span(0, 40)), [span(0, 9), span(15, 19), span(30, 40)]);
    }

    #[test]
    fn works_at_the_end_of_the_address_space() {
        let mut map = Intervals::default();
        map.set(span(u64::MAX - 4095, u64::MAX), 1u64);
        assert_eq!(map.gaps(span(u64::MAX - 4095, u64::MAX)), []);
        assert_eq!(map.gaps(span(u64::MAX - 8191, u64::MAX)), [span(u64::MAX - 8191, u64::MAX - 4096)]);
        assert!(map.at(u64::MAX).is_some());
        map.remove(span(u64::MAX, u64::MAX));
        assert_eq!(map.iter().next().map(|(range, _)| range), Some(span(u64::MAX - 4095, u64::MAX - 1)));
        assert_eq!(Span::new(u64::MAX, 2), None);
        assert_eq!(span(0, u64::MAX).len(), u64::MAX);
    }

    #[test]
    fn agrees_with_a_set_of_bytes() {
        let mut map = Intervals::default();
        let mut bytes = [0u64; 64];
        let mut seed = 1u64;
        for step in 1..2000u64 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let (a, b) = ((seed >> 33) % 64, (seed >> 50) % 64);
            let range = span(a.min(b), a.max(b));
            if seed >> 63 == 0 {
                map.remove(range);
                bytes[range.first as usize..=range.last as usize].fill(0);
            } else {
                map.set(range, step);
                bytes[range.first as usize..=range.last as usize].fill(step);
            }
            for (address, value) in bytes.iter().enumerate() {
                assert_eq!(map.at(address as u64).map_or(0, |(_, value)| *value), *value);
            }
        }
    }
}
