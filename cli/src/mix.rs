//! Which page sizes the tables of a format use over time: counted from the pieces that come and go, without looking at tables.

use crate::plan::{Change, Direction, Plan};
use crate::report::PAGE_BYTES;
use crate::table::Leaves;
use generic_pt::range::{best_page_size, count_of_size};
use std::collections::BTreeMap;

/// Leaves by size, at different times.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Mix {
    /// After an event of each sample: bytes of a leaf to their numbers.
    pub samples: BTreeMap<u64, Vec<u64>>,
    /// At the end.
    pub at_end: Leaves,
}

impl Mix {
    /// What a sample has.
    pub fn at(&self, sample: usize) -> Leaves {
        let counts = self.samples.iter().map(|(size, column)| (*size, column.get(sample).copied().unwrap_or(0)));
        counts.filter(|(_, count)| *count > 0).collect()
    }
}

/// Counts the leaves of tables with page sizes `sizes` (a bit for each), in which every piece has the largest leaves that fit, after
/// each of the events `sampled`, which ascend.
pub fn over_time(plan: &Plan, sizes: u64, sampled: &[usize]) -> Mix {
    let smallest = sizes & sizes.wrapping_neg();
    let larger = sizes & !smallest;
    if larger == 0 || plan.longest_piece >> larger.trailing_zeros() == 0 {
        return of_one_size(plan, smallest);
    }
    let mut counts = Counts::default();
    let mut rest = &plan.changes[..];
    // Of the sizes that there were until then: a format can have forty, of which a trace uses few.
    let mut columns: [Vec<u64>; u64::BITS as usize] = std::array::from_fn(|_| Vec::new());
    // Behind the last number of a column is that number again, before the first one 0.
    let repeat_last = |column: &mut Vec<u64>, len| column.resize(len, column.last().copied().unwrap_or(0));
    let mut single_pages_before = None;
    for (n, (event, single_pages)) in sampled.iter().zip(&plan.single_pages.samples).enumerate() {
        let is_as_before = rest.first().is_none_or(|change| change.event > *event);
        if is_as_before && single_pages_before == Some(*single_pages) {
            continue;
        }
        single_pages_before = Some(*single_pages);
        rest = counts.take(rest, sizes, *event);
        for size_lg2 in counts.sizes() {
            let column = &mut columns[size_lg2 as usize];
            repeat_last(column, n);
            column.push(counts.of(size_lg2, *single_pages));
        }
    }
    let samples = sampled.len().min(plan.single_pages.samples.len());
    for column in columns.iter_mut().filter(|column| !column.is_empty()) {
        repeat_last(column, samples);
    }
    counts.take(rest, sizes, usize::MAX);
    let used = (0u32..).zip(columns).filter(|(_, column)| column.iter().any(|count| *count > 0));
    let end = counts.sizes().map(|size_lg2| (1 << size_lg2, counts.of(size_lg2, plan.single_pages.end)));
    Mix {
        samples: used.map(|(size_lg2, column)| (1 << size_lg2, column)).collect(),
        at_end: end.filter(|(_, count)| *count > 0).collect(),
    }
}

/// Where no piece is as long as a larger page, bytes say how many leaves there are.
fn of_one_size(plan: &Plan, size: u64) -> Mix {
    let leaves = |bytes: &u64| bytes.checked_div(size).unwrap_or(0);
    let column: Vec<u64> = plan.table_bytes.samples.iter().map(leaves).collect();
    let at_end = leaves(&plan.table_bytes.end);
    Mix {
        samples: column.iter().any(|count| *count > 0).then_some((size, column)).into_iter().collect(),
        at_end: (at_end > 0).then_some((size, at_end)).into_iter().collect(),
    }
}

/// Numbers of leaves.
struct Counts {
    /// By the logarithm of their size.
    of_size: [u64; u64::BITS as usize],
    /// The sizes that there were at some time, a bit for each.
    met: u64,
}

impl Default for Counts {
    fn default() -> Self {
        // Pages that are not added one by one.
        Self { of_size: [0; u64::BITS as usize], met: PAGE_BYTES }
    }
}

impl Counts {
    /// Takes the changes up to an event. Those that are left.
    fn take<'a>(&mut self, changes: &'a [Change], sizes: u64, last_event: usize) -> &'a [Change] {
        let count = changes.iter().take_while(|change| change.event <= last_event).count();
        let (due, rest) = changes.split_at(count);
        due.iter().for_each(|change| self.add_all(change, sizes));
        rest
    }

    fn add_all(&mut self, change: &Change, sizes: u64) {
        let smallest = sizes & sizes.wrapping_neg();
        let next = sizes & !smallest;
        // Most pieces are of a few of the smallest pages.
        if change.span.len() < next & next.wrapping_neg() {
            self.add(change.direction, smallest.trailing_zeros(), change.span.len() >> smallest.trailing_zeros());
            return;
        }
        let (mut va, mut oa, last) = (change.span.first, change.paddr, change.span.last);
        while let Some(size_lg2) = best_page_size(sizes, va, last, oa) {
            let number = count_of_size(sizes, va, last, oa, size_lg2);
            self.add(change.direction, size_lg2, number);
            let len = number.wrapping_shl(size_lg2);
            match va.checked_add(len) {
                Some(next) if next <= last => (va, oa) = (next, oa.wrapping_add(len)),
                _ => break,
            }
        }
    }

    fn add(&mut self, direction: Direction, size_lg2: u32, number: u64) {
        let Some(of_size) = self.of_size.get_mut(size_lg2 as usize) else { return };
        self.met |= 1 << size_lg2;
        // What goes came before, so this never wraps.
        *of_size = match direction {
            Direction::Added => of_size.wrapping_add(number),
            Direction::Removed => of_size.wrapping_sub(number),
        };
    }

    /// The sizes that there were at some time, as powers of two.
    fn sizes(&self) -> impl Iterator<Item = u32> + use<> {
        let mut left = self.met;
        std::iter::from_fn(move || {
            let size_lg2 = left.checked_ilog2()?;
            left ^= 1 << size_lg2;
            Some(size_lg2)
        })
    }

    /// Those of a size, with pieces of one page that were not added.
    fn of(&self, size_lg2: u32, single_pages: u64) -> u64 {
        let added = self.of_size.get(size_lg2 as usize).copied().unwrap_or(0);
        added.wrapping_add(if 1 << size_lg2 == PAGE_BYTES { single_pages } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intervals::Span;

    const SIZES: u64 = 1 << 12 | 1 << 16 | 1 << 21;

    /// Leaves of pieces, each for itself.
    fn leaves(pieces: &[(u64, u64)]) -> Leaves {
        let mut leaves = Leaves::new();
        for &(first, len) in pieces {
            let (mut va, last) = (first, first + len - 1);
            while va <= last {
                let size_lg2 = best_page_size(SIZES, va, last, va).unwrap();
                *leaves.entry(1 << size_lg2).or_default() += 1;
                va += 1 << size_lg2;
            }
        }
        leaves
    }

    /// Samples between which nothing changes, or single pages alone, have what the one before has of the other sizes.
    #[test]
    fn every_sample_has_the_leaves_of_its_time() {
        // What comes (or goes, if it is there) at an event; more than one sample lies between some.
        let steps = [
            (1, 0x1000, 0x1000),
            (1, 0x20_0000, 0x20_0000),
            (5, 0x1000, 0x1000),
            (6, 0x5_0000, 0x2_3000),
            (11, 0x20_0000, 0x20_0000),
            (12, 0x9000, 0x1000),
            (12, 0xb000, 0x1000),
            (18, 0x5_0000, 0x2_3000),
        ];
        let (mut plan, mut pieces, mut expected) = (Plan::default(), Vec::new(), Vec::new());
        let sampled: Vec<usize> = (0..24).collect();
        for event in &sampled {
            for &(_, first, len) in steps.iter().filter(|(at, ..)| at == event) {
                let direction = match pieces.iter().position(|piece| *piece == (first, len)) {
                    Some(at) => {
                        pieces.remove(at);
                        Direction::Removed
                    }
                    None => {
                        pieces.push((first, len));
                        Direction::Added
                    }
                };
                let span = Span::new(first, len).unwrap();
                plan.change(Change { event: *event, direction, span, paddr: first });
            }
            plan.sample();
            expected.push(leaves(&pieces));
        }
        let mix = over_time(&plan, SIZES, &sampled);
        for (n, expected) in expected.iter().enumerate() {
            assert_eq!(mix.at(n), *expected, "sample {n}");
        }
        assert!(mix.samples.values().all(|column| column.len() == sampled.len()));
        assert_eq!(mix.at_end, leaves(&pieces));
    }
}
