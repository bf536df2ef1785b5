//! Extents of an address space in use: disjoint, ascending, and never more than a bounded number.
//!
//! Ranges come in any order and may overlap. They are collected, and from time to time settled: sorted, cut where they overlap, and
//! joined where they touch and say the same. Where there are too many, neighbours are joined across the smallest gaps, so that
//! what is far apart stays apart.

use super::looks::LookId;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Extents that are kept while ranges come in.
const MOST_KEPT: usize = 1 << 15;
/// Ranges that are collected before they are settled.
const BATCH: usize = 1 << 16;

/// A part of an address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// Its first address.
    pub first: u64,
    /// Its last address.
    pub last: u64,
    /// How it looks; if different parts were joined, as the larger one.
    pub look: LookId,
    /// How often it is used, the most of all its parts.
    pub uses: u32,
    /// Bytes that are in use; less than it spans if parts with gaps between them were joined.
    pub used_bytes: u64,
    /// Whether parts that differ were joined.
    pub mix: Mix,
}

/// Whether an extent is the same everywhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mix {
    /// It is.
    Pure,
    /// Parts that differ were joined.
    Mixed,
}

impl Extent {
    /// A range that is used `uses` times.
    pub const fn new(first: u64, last: u64, look: LookId, uses: u32) -> Self {
        Self { first, last, look, uses, used_bytes: (last - first).saturating_add(1), mix: Mix::Pure }
    }

    fn touches(&self, next: &Self) -> bool {
        self.last.checked_add(1) == Some(next.first)
    }

    /// Whether both say the same.
    fn is_like(&self, other: &Self) -> bool {
        (self.look, self.uses, self.mix) == (other.look, other.uses, other.mix)
    }

    /// Takes in the one behind it.
    fn join(&mut self, next: &Self) {
        if self.look != next.look || next.mix == Mix::Mixed {
            self.mix = Mix::Mixed;
        }
        if next.used_bytes > self.used_bytes {
            self.look = next.look;
        }
        self.last = next.last;
        self.uses = self.uses.max(next.uses);
        self.used_bytes = self.used_bytes.saturating_add(next.used_bytes);
    }
}

/// Extents on their way.
#[derive(Clone, Debug, Default)]
pub struct Extents {
    settled: Vec<Extent>,
    fresh: Vec<Extent>,
}

impl Extents {
    /// Adds a range.
    pub fn push(&mut self, extent: Extent) {
        match self.fresh.last_mut() {
            Some(last) if last.touches(&extent) && last.is_like(&extent) => last.join(&extent),
            _ => self.fresh.push(extent),
        }
        if self.fresh.len() >= BATCH {
            self.settle();
        }
    }

    /// The extents, `most` at the most.
    pub fn finish(mut self, most: usize) -> Vec<Extent> {
        self.settle();
        if self.settled.len() > most {
            join_dense(&mut self.settled);
        }
        coarsen(&mut self.settled, most);
        self.settled
    }

    fn settle(&mut self) {
        let mut all = std::mem::take(&mut self.settled);
        all.append(&mut self.fresh);
        all.sort_unstable_by_key(|extent| (extent.first, extent.last));
        if all.windows(2).any(|pair| pair[1].first <= pair[0].last) {
            all = disjoint(&all);
        }
        all.dedup_by(|next, before| {
            let is_one = before.touches(next) && before.is_like(next);
            if is_one {
                before.join(next);
            }
            is_one
        });
        coarsen(&mut all, MOST_KEPT);
        self.settled = all;
    }
}

/// The ranges cut at each other's ends. Where several lie, they count together, and the first look that is in use is shown.
fn disjoint(all: &[Extent]) -> Vec<Extent> {
    // Where each begins, and behind where each ends: one more than 64 bits can hold.
    let mut ends: Vec<(u128, End, usize)> = Vec::with_capacity(2 * all.len());
    for (n, extent) in all.iter().enumerate() {
        ends.push((extent.first.into(), End::First, n));
        ends.push((u128::from(extent.last) + 1, End::Behind, n));
    }
    ends.sort_unstable();
    let mut pile = Pile::default();
    let mut parts = Vec::with_capacity(ends.len());
    for (k, (at, end, n)) in ends.iter().enumerate() {
        pile.change(&all[*n], *end);
        let Some((next, ..)) = ends.get(k + 1).filter(|(next, ..)| next > at) else { continue };
        parts.extend(pile.part(*at as u64, (next - 1) as u64));
    }
    parts
}

/// An end of an extent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    First,
    Behind,
}

/// What lies at one place. It is kept as sums, since a hostile image can pile up any number.
#[derive(Default)]
struct Pile {
    uses: u32,
    /// How many have each look; those in use are first.
    looks: BTreeMap<(Reverse<bool>, LookId), u32>,
    /// How many are mixed.
    mixed: u32,
    /// How many have no gaps.
    whole: u32,
    /// How many of those with gaps have so many bytes in use.
    with_gaps: BTreeMap<u64, u32>,
}

impl Pile {
    fn change(&mut self, extent: &Extent, end: End) {
        let step = if end == End::First { 1 } else { u32::MAX };
        let uses = if end == End::First { extent.uses } else { extent.uses.wrapping_neg() };
        // All that is added is taken away again, so wrapping sums come back.
        self.uses = self.uses.wrapping_add(uses);
        count(&mut self.looks, (Reverse(extent.uses > 0), extent.look), step);
        if extent.mix == Mix::Mixed {
            self.mixed = self.mixed.wrapping_add(step);
        }
        if extent.used_bytes > extent.last - extent.first {
            self.whole = self.whole.wrapping_add(step);
        } else {
            count(&mut self.with_gaps, extent.used_bytes, step);
        }
    }

    /// A part with all this in it; nothing if there is nothing.
    fn part(&self, first: u64, last: u64) -> Option<Extent> {
        let ((is_used, look), _) = self.looks.first_key_value()?;
        let others = self.looks.range((*is_used, LookId(look.0 + 1))..=(*is_used, LookId(u32::MAX))).next();
        let span = (last - first).saturating_add(1);
        // Of what has gaps nobody knows any more where they are: as much as its densest part can have.
        let most = self.with_gaps.last_key_value().map_or(0, |(bytes, _)| *bytes);
        Some(Extent {
            first,
            last,
            look: *look,
            uses: self.uses,
            used_bytes: if self.whole > 0 { span } else { most.min(span) },
            mix: if self.mixed > 0 || others.is_some() { Mix::Mixed } else { Mix::Pure },
        })
    }
}

/// Counts up or, by wrapping, down; what there is none of is forgotten.
fn count<K: Ord>(counts: &mut BTreeMap<K, u32>, key: K, step: u32) {
    let entry = counts.entry(key);
    if let Entry::Occupied(mut known) = entry {
        *known.get_mut() = known.get().wrapping_add(step);
        if *known.get() == 0 {
            known.remove();
        }
    } else {
        entry.or_insert(step);
    }
}

/// Joins neighbours that look alike across gaps which are no larger than what is in use on both sides, such as guard pages.
fn join_dense(all: &mut Vec<Extent>) {
    all.dedup_by(|next, before| {
        let gap = next.first - before.last - 1;
        let is_dense = before.look == next.look && gap <= before.used_bytes && gap <= next.used_bytes;
        if is_dense {
            before.join(next);
        }
        is_dense
    });
}

/// Joins neighbours until there are no more than `most`.
fn coarsen(all: &mut Vec<Extent>, most: usize) {
    if all.len() <= most.max(1) {
        return;
    }
    // How much keeps each apart from the one before it: the gap, and what a change of looks separates.
    let apart =
        |pair: &[Extent]| (pair[1].first - pair[0].last - 1).saturating_add(pair[0].used_bytes.min(pair[1].used_bytes));
    let mut borders: Vec<(u64, usize)> = all.windows(2).enumerate().map(|(n, pair)| (apart(pair), n + 1)).collect();
    let kept = most.max(1) - 1;
    borders.select_nth_unstable_by_key(kept, |border| Reverse(*border));
    let mut is_kept = vec![false; all.len()];
    borders[..kept].iter().for_each(|(_, n)| is_kept[*n] = true);
    let mut joined: Vec<Extent> = Vec::with_capacity(most);
    for (n, extent) in all.iter().enumerate() {
        match joined.last_mut() {
            Some(before) if !is_kept[n] => before.join(extent),
            _ => joined.push(*extent),
        }
    }
    *all = joined;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOOKS: [LookId; 2] = [LookId(1), LookId(2)];

    fn extents(ranges: &[(u64, u64, u32)]) -> Extents {
        let mut extents = Extents::default();
        for (first, last, uses) in ranges {
            extents.push(Extent::new(*first, *last, LOOKS[0], *uses));
        }
        extents
    }

    #[test]
    fn neighbours_are_one_and_overlaps_count() {
        let all = extents(&[(0x3000, 0x3fff, 1), (0, 0xfff, 1), (0x1000, 0x1fff, 1), (0x3000, 0x37ff, 1)]).finish(9);
        let found: Vec<(u64, u64, u32)> = all.iter().map(|extent| (extent.first, extent.last, extent.uses)).collect();
        assert_eq!(found, [(0, 0x1fff, 1), (0x3000, 0x37ff, 2), (0x3800, 0x3fff, 1)]);
    }

    /// Each of these was compared with all others at each place: it took minutes.
    #[test]
    fn piles_take_no_longer() {
        let start = std::time::Instant::now();
        let mut extents = Extents::default();
        for n in 0..60_000u64 {
            extents.push(Extent::new(0, 0xffff_ffff, LookId(2 + (n % 2) as u32), 1));
            extents.push(Extent::new(n * 0x2000, n * 0x2000 + 0xfff, LOOKS[0], 1));
        }
        let all = extents.finish(10);
        assert_eq!((all.len(), all[0].uses, all[0].last), (10, 60_001, all[1].first - 1));
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }

    #[test]
    fn the_smallest_gaps_are_closed_first() {
        let all = extents(&[(0, 0xfff, 1), (0x2000, 0x2fff, 1), (0x10_0000, 0x10_0fff, 1)]).finish(2);
        let found: Vec<(u64, u64, u64)> =
            all.iter().map(|extent| (extent.first, extent.last, extent.used_bytes)).collect();
        assert_eq!(found, [(0, 0x2fff, 0x2000), (0x10_0000, 0x10_0fff, 0x1000)]);
        assert_eq!(extents(&[(0, u64::MAX, 1), (1, u64::MAX, 1)]).finish(1)[0].last, u64::MAX);
    }

    proptest! {
        /// As a map of every single address says.
        #[test]
        fn as_counted_one_by_one(ranges in prop::collection::vec((0u64..200, 0u64..30, 0usize..2), 1..40)) {
            let mut extents = Extents::default();
            let mut uses = [0u32; 256];
            for (first, more, look) in &ranges {
                extents.push(Extent::new(*first, first + more, LOOKS[*look], 1));
                (*first..=first + more).for_each(|at| uses[at as usize] += 1);
            }
            let all = extents.clone().finish(usize::MAX);
            let mut found = [0u32; 256];
            for extent in &all {
                prop_assert_eq!(extent.used_bytes, extent.last - extent.first + 1);
                (extent.first..=extent.last).for_each(|at| found[at as usize] += extent.uses);
            }
            prop_assert_eq!(uses, found);
            prop_assert!(all.windows(2).all(|pair| pair[0].last < pair[1].first));
            let few = extents.finish(3);
            let bytes = |all: &[Extent]| all.iter().map(|extent| extent.used_bytes).sum::<u64>();
            prop_assert!(few.len() <= 3);
            prop_assert_eq!((bytes(&few), few[0].first), (bytes(&all), all[0].first));
        }
    }
}
