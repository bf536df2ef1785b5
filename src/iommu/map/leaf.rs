//! The items of a leaf, and of the leaves behind it.

use crate::format::{Common, Groups, Kind, LeafRequest, MAX_LEVELS, OaStyle, item_size_lg2, item_step, stepped_mask};
use crate::item::Item;
use crate::lg2;
use crate::table::{Table, TableOf};

/// A leaf, and the items from it on.
#[derive(Clone, Copy)]
pub(super) struct Leaf<'a, F: Groups> {
    pub(super) common: &'a Common<F>,
    pub(super) level: u32,
    pub(super) size_lg2: u32,
    /// Of the leaf.
    pub(super) oa: u64,
    pub(super) attrs: F::Attrs,
}

impl<'a, F: Groups> Leaf<'a, F> {
    /// Its first item.
    #[inline(always)]
    pub(super) fn first_item(&self) -> F::Item {
        let Self { level, size_lg2, oa, attrs, .. } = *self;
        debug_assert!(lg2::is_aligned(oa, size_lg2), "a leaf at an address that is no multiple of its size");
        F::leaf_item(self.common, LeafRequest { level, size_lg2, oa, attrs })
    }

    /// Its first item, if the format reads it as a leaf: otherwise it might be followed as a table. A constant for most formats.
    #[inline(always)]
    pub(super) fn read_item(&self) -> Option<F::Item> {
        let item = self.first_item();
        (F::kind(self.common, self.level, item) == Kind::Leaf).then_some(item)
    }

    /// The `n`-th item from the leaf's first on, in this leaf or in those behind it.
    #[inline(always)]
    pub(super) fn item(&self, n: u64) -> F::Item {
        let oa = self.oa.wrapping_add(lg2::shl(n, item_size_lg2::<F>(self.level)));
        let oa = match F::OA_STYLE {
            OaStyle::Entry => lg2::align_down(oa, self.size_lg2),
            OaStyle::Item => oa,
        };
        let Self { level, size_lg2, attrs, .. } = *self;
        F::leaf_item(self.common, LeafRequest { level, size_lg2, oa, attrs })
    }

    /// The leaf so many bytes behind this one.
    #[inline(always)]
    pub(super) fn behind(self, bytes: u64) -> Self {
        Self { oa: self.oa.wrapping_add(bytes), ..self }
    }

    /// The items, without an end.
    #[inline(always)]
    pub(super) fn items(self) -> impl Iterator<Item = F::Item> + use<'a, F> {
        (0..).map(move |n| self.item(n))
    }

    /// Writes its items, `2^contig_lg2` from `first` on, of which the first is `item`, if all there are what empty items are.
    /// Whether it did.
    #[inline(always)]
    pub(super) fn store_if_empty<const LEVEL: u32>(
        self,
        item: F::Item,
        table: &Table<'_, F>,
        first: usize,
        contig_lg2: u32,
    ) -> bool {
        match F::OA_STYLE {
            _ if contig_lg2 <= FEW_LG2 => self.store_few_if_empty(item, table, first, contig_lg2),
            OaStyle::Entry => fill_if_empty::<F, LEVEL>(table.of_level(), self.common, first, contig_lg2, item),
            OaStyle::Item => self.store_many_if_empty(&table.copy(), first, contig_lg2),
        }
    }

    /// The same if they are few; of more it writes none, whatever is there.
    #[inline(always)]
    pub(super) fn store_few_if_empty(self, item: F::Item, table: &Table<'_, F>, first: usize, contig_lg2: u32) -> bool {
        // Comparisons, which never become a jump through a table.
        if contig_lg2 > FEW_LG2 {
            false
        } else if contig_lg2 > 2 {
            if contig_lg2 > 3 {
                self.store_all_if_empty::<16>(item, table, first)
            } else {
                self.store_all_if_empty::<8>(item, table, first)
            }
        } else if contig_lg2 > 1 {
            self.store_all_if_empty::<4>(item, table, first)
        } else {
            self.store_all_if_empty::<2>(item, table, first)
        }
    }

    /// The same for many items, each with its own address.
    #[inline(never)]
    fn store_many_if_empty(self, table: &Table<'_, F>, first: usize, contig_lg2: u32) -> bool {
        let is_empty = table.is_run_empty(self.common, first, 1 << contig_lg2);
        if is_empty {
            self.store(table, first, contig_lg2);
        }
        is_empty
    }

    /// The same for a constant number of items.
    #[inline(always)]
    pub(super) fn store_all_if_empty<const N: usize>(self, item: F::Item, table: &Table<'_, F>, first: usize) -> bool {
        let Some(slots) = table.items_at::<N>(first) else { return false };
        if F::OA_STYLE == OaStyle::Entry {
            return table.store_all_if_empty(self.common, slots, &mut || item);
        }
        match self.steps(N) {
            Some(mut steps) => {
                table.store_all_if_empty(self.common, slots, &mut || steps.next().unwrap_or(F::Item::ZERO))
            }
            None => {
                let mut items = self.items();
                table.store_all_if_empty(self.common, slots, &mut || items.next().unwrap_or(F::Item::ZERO))
            }
        }
    }

    /// Writes its items, `2^contig_lg2` from `first` on, whatever is there.
    pub(super) fn store(self, table: &Table<'_, F>, first: usize, contig_lg2: u32) {
        let count = 1 << contig_lg2;
        match (F::OA_STYLE, self.steps(count)) {
            (OaStyle::Entry, _) => {
                let item = self.item(0);
                table.store_long_run(first, count, |_| item);
            }
            (OaStyle::Item, Some(mut steps)) => {
                table.store_long_run(first, count, |_| steps.next().unwrap_or(F::Item::ZERO));
            }
            (OaStyle::Item, None) => table.store_long_run(first, count, |n| self.item(n as u64)),
        }
    }

    /// Leaves of one item each for addresses that have no bits but `bits`, if an address is added to an item: its bits are moved by
    /// a constant, and nothing else lies there. `None` elsewhere.
    #[inline(always)]
    pub(super) fn base<const LEVEL: u32>(&self, bits: u64) -> Option<Base<F, LEVEL>> {
        let item = Self { oa: 0, ..*self }.item(0);
        self.adds_up(item, bits).then_some(Base(item))
    }

    /// Whether addresses that have no bits but `bits` are added to `base`, the leaf at address 0: they lie in one piece, nothing else lies
    /// there, and the leaves are of one item.
    #[inline(always)]
    fn adds_up(&self, base: F::Item, bits: u64) -> bool {
        let Addend { mask, reach, .. } = self.addend();
        let is_alone = base.to_u64() & mask == 0 && self.size_lg2 == item_size_lg2::<F>(self.level);
        reach != 0 && bits & !reach == 0 && is_alone
    }

    #[inline(always)]
    fn addend(&self) -> Addend {
        let by_level = const { addends::<F>() };
        by_level[self.level as usize % MAX_LEVELS]
    }

    /// Whether the description says what one page more adds to an item: then it is a constant.
    #[inline(always)]
    pub(super) fn has_constant_step(&self) -> bool {
        self.addend().reach == u64::MAX
    }

    /// The first `count` items, where each is the one before plus the same number: then nothing has to be worked out for
    /// each. `None` where the address lies in pieces and crosses from one to the other, or may cross an attribute that lies
    /// in the address field (an encryption bit).
    ///
    /// A crossing between pieces shows at the last item: it adds there what the sum has elsewhere. A crossing of an attribute
    /// may not: it can be undone before the end, but not in fewer steps than the attribute's value.
    #[inline(always)]
    pub(super) fn steps(&self, count: usize) -> Option<Steps<F>> {
        let (item, last) = (self.item(0), count as u64 - 1);
        let Addend { step, mask, .. } = self.addend();
        let first = Self { oa: 0, ..*self };
        let bytes = lg2::shl(count as u64, item_size_lg2::<F>(self.level));
        let last_oa = self.oa.wrapping_add(bytes).wrapping_sub(1);
        // No address is above the last, and those that may be are all up to some power of two.
        if self.adds_up(first.item(0), last_oa) {
            let step = F::Item::from_u64(step);
            debug_assert!(
                item.wrapping_add(step.wrapping_times(last)) == self.item(last),
                "an address that is not in its field"
            );
            return Some(Steps { item, step });
        }
        // What one page more adds to an address: the description says it, or it is seen where nothing can carry.
        let step = if self.has_constant_step() { F::Item::from_u64(step) } else { first.item(0) ^ first.item(1) };
        let way = step.wrapping_times(last);
        let shared = first.item(0).to_u64() & mask;
        let below_shared = shared.wrapping_sub(1) & !shared;
        let is_regular = item.wrapping_add(way) == self.item(last) && way.to_u64() <= below_shared;
        is_regular.then_some(Steps { item, step })
    }
}

/// So many items are written without a call.
const FEW_LG2: u32 = 4;

/// Writes many items that are alike, if all there are what empty items are. Whether it did.
#[inline(never)]
fn fill_if_empty<F: Groups, const LEVEL: u32>(
    table: TableOf<'_, F, LEVEL>,
    common: &Common<F>,
    first: usize,
    contig_lg2: u32,
    item: F::Item,
) -> bool {
    let table = table.table();
    let run = table.run_from(first).first_checked(1 << contig_lg2);
    run.is_some_and(|run| table.fill_if_empty(common, run, item))
}

/// A leaf of one item of `LEVEL` at address 0, from which those at other addresses follow.
pub(super) struct Base<F: Groups, const LEVEL: u32>(F::Item);

impl<F: Groups, const LEVEL: u32> Base<F, LEVEL> {
    /// The leaf at an address, aligned and not above the highest.
    #[inline(always)]
    pub(super) fn at(&self, oa: u64) -> F::Item {
        let Self(item) = *self;
        // Where the bit of the page's size lies in the address, and in the item.
        let size_lg2 = item_size_lg2::<F>(LEVEL);
        let step_lg2 = const { addends::<F>()[LEVEL as usize].step.trailing_zeros() };
        let moved = if step_lg2 < size_lg2 { oa >> (size_lg2 - step_lg2) } else { lg2::shl(oa, step_lg2 - size_lg2) };
        item | F::Item::from_u64(moved)
    }
}

/// What one page more adds to a leaf item, if that is a constant (else 0), and the bits of the address that it is added to.
#[derive(Clone, Copy)]
struct Addend {
    step: u64,
    mask: u64,
    /// The bits that an address may have for that.
    reach: u64,
}

/// By level.
const fn addends<F: Groups>() -> [Addend; MAX_LEVELS] {
    let mut addends = [Addend { step: 0, mask: 0, reach: 0 }; MAX_LEVELS];
    let mut level = 0;
    while level < MAX_LEVELS {
        let (step, reach) = item_step::<F>(level as u32);
        addends[level] = Addend { step, mask: stepped_mask::<F>(level as u32), reach };
        level += 1;
    }
    addends
}

/// Items of which each is the one before plus a number.
pub(super) struct Steps<F: Groups> {
    /// The next.
    pub(super) item: F::Item,
    pub(super) step: F::Item,
}

impl<F: Groups> Iterator for Steps<F> {
    type Item = F::Item;

    #[inline(always)]
    fn next(&mut self) -> Option<F::Item> {
        let item = self.item;
        self.item = item.wrapping_add(self.step);
        Some(item)
    }
}
