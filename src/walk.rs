//! Layer 2: looking at a whole tree, table by table: for dumps, statistics and checks.

use crate::driver::Host;
use crate::feature::Features;
use crate::followers::followers;
use crate::format::{Common, Groups, Kind, LeafRequest, OaStyle, item_size_lg2};
use crate::item::Item;
use crate::item::prefetch::Part;
use crate::lg2;
use crate::table::{Entry, Table, top_va_lg2};
use crate::tree::Tree;
use core::fmt;
use core::ptr::NonNull;

/// One table of a tree.
pub struct TableView<'t, F: Groups> {
    table: &'t Table<'t, F>,
    common: &'t Common<F>,
    va: u64,
    sign_va_lg2: Option<u32>,
}

/// One item of a table that is not empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ItemView {
    /// Index in its table.
    pub index: usize,
    /// The first VA it covers.
    pub va: u64,
    /// The item in CPU byte order, widened to 64 bits.
    pub raw: u64,
    /// Table, leaf, or foreign.
    pub kind: Kind,
    /// VA that the whole entry covers, as a power of two: a contiguous leaf has several items.
    pub entry_size_lg2: u32,
    /// The output address of this item, or the physical address of the table it points to; 0 for a foreign item.
    pub oa: u64,
}

impl<F: Groups> TableView<'_, F> {
    /// Its level.
    pub fn level(&self) -> u32 {
        self.table.level()
    }
    /// The first VA it translates; with sign extension the top's is 0, though it holds both halves.
    pub fn va(&self) -> u64 {
        self.va
    }
    /// Its memory, to know it by.
    pub fn page(&self) -> NonNull<u8> {
        self.table.page()
    }
    /// Number of items, empty or not.
    pub fn items(&self) -> usize {
        self.table.items()
    }
    /// Its memory in bytes, without a top's padding.
    pub fn bytes(&self) -> usize {
        self.table.items() << F::Item::BYTES_LG2
    }
    /// The items that are not empty.
    pub fn used(&self) -> impl Iterator<Item = ItemView> + '_ {
        let mut next = 0;
        core::iter::from_fn(move || {
            let item = self.first_used(next)?;
            next = item.index + 1;
            Some(item)
        })
    }
    /// The first item from `index` on that is not empty.
    fn first_used(&self, mut index: usize) -> Option<ItemView> {
        loop {
            index = self.table.next_differing_from_empty(self.common, index)?;
            if let Some(item) = self.item(index, self.table.load(self.common, index)) {
                return Some(item);
            }
            index += 1;
        }
    }
    /// How many items right behind that at `index` continue it, in VA and in output address, with the same attributes: of a leaf of
    /// several items that are all the same the others of it, and else items of leaves of the same size; whether each was written
    /// does not matter. 0 for what is no leaf, and not always all that continue it: there can be another one behind them.
    pub fn followers(&self, index: usize) -> usize {
        let (common, level) = (self.common, self.table.level());
        if index >= self.items() {
            return 0;
        }
        let entry = self.table.load(common, index);
        // Most leaves have none. Where two steps are not the same one, it is not worth finding out what it would have to be.
        let [first, second, third] = [0, 1, 2].map(|n| self.table.load_raw(index + n));
        let is_even = first.wrapping_add(third) == second.wrapping_add(second) && index + 2 < self.items();
        if !is_even || entry.kind != Kind::Leaf {
            return 0;
        }
        let (item_lg2, va) = (item_size_lg2::<F>(level), self.item_va(index));
        let more_lg2 = F::entry_size_lg2(common, level, entry.raw).saturating_sub(item_lg2);
        if more_lg2 == 0 || F::OA_STYLE == OaStyle::Item {
            // Behind the lower half come other addresses.
            let half_lg2 = self.sign_va_lg2.map_or(u64::BITS, |va_lg2| va_lg2.saturating_sub(1));
            let bytes = (va | lg2::low_mask(half_lg2)).saturating_sub(va | lg2::low_mask(item_lg2));
            let (oa, attrs) = (F::exact_oa(common, level, entry.raw, va), F::attrs_of(common, level, entry.raw));
            return followers(self.table, common, index, entry, (oa, attrs), bytes);
        }
        if first != second {
            return 0;
        }
        let last = (index | lg2::low_mask(more_lg2) as usize).min(self.items() - 1);
        self.table.count_in_steps(index + 1, last - index, second, F::Item::ZERO, F::Item::ZERO)
    }

    /// The item at `index`, of which `entry` was loaded.
    #[inline]
    fn item(&self, index: usize, entry: Entry<F>) -> Option<ItemView> {
        let level = self.table.level();
        // Most items of most tables, so nothing is worked out before.
        if entry.kind == Kind::Empty {
            return None;
        }
        let item_lg2 = item_size_lg2::<F>(level);
        let va = self.item_va(index);
        let (entry_size_lg2, oa) = match entry.kind {
            Kind::Empty | Kind::Foreign => (item_lg2, 0),
            Kind::Table => (item_lg2, F::table_pa(self.common, level, entry.raw)),
            Kind::Leaf => {
                let entry_lg2 = F::entry_size_lg2(self.common, level, entry.raw);
                (entry_lg2, F::exact_oa(self.common, level, entry.raw, va))
            }
        };
        Some(ItemView { index, va, raw: entry.raw.to_u64(), kind: entry.kind, entry_size_lg2, oa })
    }

    /// Up to `count` items from `first` on: those before the first that points to a table.
    fn items_before_table(&self, first: usize, count: usize) -> usize {
        let is_no_table = |index: &usize| self.table.load(self.common, *index).kind != Kind::Table;
        (first..first + count).take_while(is_no_table).count()
    }

    fn item_va(&self, index: usize) -> u64 {
        let va = self.va | lg2::shl(index as u64, item_size_lg2::<F>(self.table.level()));
        self.sign_va_lg2.map_or(va, |bits| lg2::sign_extend(va, bits))
    }
}

impl<F: Groups, H: Host> Tree<F, H> {
    /// Shows every table, a table before those below it, in VA order.
    pub(crate) fn visit_tables(&self, mut visit: impl FnMut(&TableView<'_, F>)) {
        self.with_top_view(|top| self.visit_below(top, &mut visit));
    }

    /// Shows every item that is not empty, in VA order, an item that points to a table before those of that table.
    pub(crate) fn visit_items(&self, mut visit: impl FnMut(&TableView<'_, F>, &ItemView) -> usize) {
        self.with_top_view(|top| self.visit_items_below(top, &mut visit, &|_, _, _| {}));
    }

    /// The same, and frees each table below the top behind the last of its items.
    pub(crate) fn free_with(&mut self, mut visit: impl FnMut(&TableView<'_, F>, &ItemView) -> usize) {
        let this = &*self;
        let free = |table: &Table<'_, F>, index, entry| {
            // Before, so that the tree is whole if `visit` panics later.
            table.store(index, F::empty_item(this.common(), table.level()));
            // SAFETY: the lower tables are gone, as they were shown first. `&mut self` is the only user, and comes to this item no more.
            unsafe { this.free_lower(table, entry) };
        };
        this.with_top_view(|top| this.visit_items_below(top, &mut visit, &free));
    }

    fn with_top_view(&self, visit: impl FnOnce(&TableView<'_, F>)) {
        let common = self.common();
        let sign_va_lg2 = common.has(Features::SIGN_EXTEND).then_some(common.max_va_lg2);
        let va = F::va_prefix(common) & !lg2::low_mask(top_va_lg2(common, self.top().level));
        self.with_top(|table| visit(&TableView { table, common, va, sign_va_lg2 }));
    }

    fn visit_below(&self, view: &TableView<'_, F>, visit: &mut impl FnMut(&TableView<'_, F>)) {
        visit(view);
        if view.level() == 0 {
            return;
        }
        let (common, table) = (self.common(), view.table);
        let mut next = table.next_differing_from_empty(common, 0);
        while let Some(index) = next {
            // The next one is asked for while this one is worked on.
            next = table.next_differing_from_empty(common, index + 1);
            self.prefetch_below(view, next);
            let entry = table.load(common, index);
            if entry.kind == Kind::Table {
                self.below(view, index, entry, |lower| self.visit_below(lower, visit));
            }
        }
    }

    /// `leave` is called with a table, the index of an item that points to another, and what was loaded of it, behind all that is below.
    fn visit_items_below(
        &self,
        view: &TableView<'_, F>,
        visit: &mut impl FnMut(&TableView<'_, F>, &ItemView) -> usize,
        leave: &impl Fn(&Table<'_, F>, usize, Entry<F>),
    ) {
        let (common, table) = (self.common(), view.table);
        let mut next = table.next_differing_from_empty(common, 0);
        let mut asked = None;
        while let Some(index) = next {
            let entry = table.load(common, index);
            let item = view.item(index, entry);
            let more = item.map_or(0, |item| visit(view, &item)).min(view.items() - index - 1);
            let more = if more == 0 || view.level() == 0 { more } else { view.items_before_table(index + 1, more) };
            // What comes next is asked for while the rest of this table is looked through, and what comes then while that is.
            if entry.kind == Kind::Table && asked != Some(index) {
                self.prefetch_below(view, Some(index));
            }
            next = table.next_differing_from_empty(common, index + 1 + more);
            if entry.kind == Kind::Table {
                asked = next;
                self.prefetch_below(view, next);
                self.below(view, index, entry, |lower| self.visit_items_below(lower, visit, leave));
                leave(table, index, entry);
            }
        }
    }

    #[inline(always)]
    fn prefetch_below(&self, view: &TableView<'_, F>, index: Option<usize>) {
        if let Some(index) = index {
            view.table.prefetch_lower(self.common(), self.memory(), index, Part::Page);
        }
    }

    /// Runs `visit` on the table that the item at `index`, of which `entry` was loaded, points to.
    #[inline(always)]
    fn below(&self, view: &TableView<'_, F>, index: usize, entry: Entry<F>, visit: impl FnOnce(&TableView<'_, F>)) {
        let (common, va, sign_va_lg2) = (self.common(), view.item_va(index), view.sign_va_lg2);
        view.table.descend(common, self.memory(), entry, |table| visit(&TableView { table, common, va, sign_va_lg2 }));
    }
}

impl<F: Groups> fmt::Debug for TableView<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableView")
            .field("level", &self.level())
            .field("va", &format_args!("{:#018x}", self.va))
            .field("items", &self.items())
            .finish_non_exhaustive()
    }
}

/// Leaves that follow each other in VA and OA, of one size and otherwise equal.
struct Run {
    first: ItemView,
    level: u32,
    leaves: u64,
    attrs: u64,
}

impl<F: Groups, H: Host> Tree<F, H> {
    /// Writes the tree, indented by level, a line for each table and each run of equal leaves.
    pub(crate) fn fmt_tables(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let top_level = self.top().level;
        let mut result = Ok(());
        self.visit_tables(|view| {
            if result.is_ok() {
                result = self.fmt_table(f, view, (top_level - view.level()) as usize * 2);
            }
        });
        result
    }

    fn fmt_table(&self, f: &mut fmt::Formatter<'_>, view: &TableView<'_, F>, indent: usize) -> fmt::Result {
        let level = view.level();
        writeln!(f, "{:indent$}level {level} table for VA {:#018x}", "", view.va())?;
        let mut run: Option<Run> = None;
        for item in view.used().filter(|item| item.kind == Kind::Leaf && lg2::is_aligned(item.va, item.entry_size_lg2))
        {
            // What of the item is not its address, so that leaves of equal attributes compare equal.
            let attrs = item.raw ^ self.address_bits(level, &item);
            match &mut run {
                Some(run) if run.continues(&item, attrs) => run.leaves += 1,
                run => {
                    if let Some(run) = run.replace(Run { first: item, level, leaves: 1, attrs }) {
                        run.write(f, indent)?;
                    }
                }
            }
        }
        run.map_or(Ok(()), |run| run.write(f, indent))
    }

    /// The bits of a leaf that change with its address alone.
    fn address_bits(&self, level: u32, item: &ItemView) -> u64 {
        let attrs = F::attrs_of(self.common(), level, F::Item::from_u64(item.raw));
        let leaf = |oa| F::leaf_item(self.common(), LeafRequest { level, size_lg2: item.entry_size_lg2, oa, attrs });
        (leaf(item.oa) ^ leaf(0)).to_u64()
    }
}

impl Run {
    fn continues(&self, item: &ItemView, attrs: u64) -> bool {
        let offset = lg2::shl(self.leaves, self.first.entry_size_lg2);
        item.entry_size_lg2 == self.first.entry_size_lg2
            && attrs == self.attrs
            && item.va == self.first.va.wrapping_add(offset)
            && item.oa == self.first.oa.wrapping_add(offset)
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        let Run { first, level, leaves, .. } = self;
        let last = first.va.wrapping_add(lg2::shl(*leaves, first.entry_size_lg2)).wrapping_sub(1);
        write!(f, "{:indent$}  {:#018x}..={last:#018x} -> {:#018x}", "", first.va, first.oa)?;
        writeln!(f, " level {level}, {leaves} x 2^{}, item {:#x}", first.entry_size_lg2, first.raw)
    }
}

#[cfg(test)]
#[allow(unsafe_code, reason = "tables without a tree")]
mod tests {
    use super::*;
    use crate::fmt::golden::common;
    use crate::fmt::{amdv1, armv8_4k, riscv_64};
    use crate::format::PtFormat;
    use core::sync::atomic::AtomicU64;
    use std::vec::Vec;

    /// Items of a level-`level` table of 512 items, the first of them as given.
    fn items(first: impl IntoIterator<Item = u64>) -> Vec<AtomicU64> {
        first.into_iter().chain(core::iter::repeat(0)).take(512).map(AtomicU64::new).collect()
    }

    fn followers_of<F: Groups<Item = u64>>(
        items: &[AtomicU64],
        level: u32,
        common: &Common<F>,
        sign_va_lg2: Option<u32>,
        index: usize,
    ) -> usize {
        // SAFETY: 512 items that live as long.
        let table = unsafe { Table::<F>::of(NonNull::from(items).cast(), level, 512) };
        TableView { table: &table, common, va: 0, sign_va_lg2 }.followers(index)
    }

    /// Items of a contiguous leaf that are not the same were followers, if they only went on evenly: also those that are empty.
    #[test]
    fn followers_of_an_item_of_several_are_the_same() {
        let common = common::<amdv1::Format>(amdv1::FORCED, amdv1::Config::default());
        // 32 KiB: eight items.
        let leaf = 0x7000_0000_1233_0e01 | 0x3000;
        let same = items([leaf; 8]);
        for (index, behind) in [(0, 7), (3, 4), (5, 2), (7, 0)] {
            assert_eq!(followers_of(&same, 0, &common, None, index), behind, "behind {index}");
        }
        let uneven = items([leaf, leaf, leaf + 1, leaf + 2, leaf + 3, leaf + 4, leaf + 5, leaf + 6]);
        assert_eq!(followers_of(&uneven, 0, &common, None, 1), 0);
    }

    /// Items of contiguous leaves that hold an address each were looked at one by one.
    #[test]
    fn followers_of_an_item_with_its_own_address_go_on_into_the_next_leaf() {
        let common = common::<armv8_4k::Format>(armv8_4k::FORCED, armv8_4k::Config::default());
        let leaf = |oa, size_lg2| {
            let attrs = armv8_4k::Format::attrs(&common, crate::Prot::READ).expect("a protection");
            armv8_4k::Format::leaf_item(&common, LeafRequest { level: 0, size_lg2, oa, attrs })
        };
        // Two leaves of 64 KiB, and pages that go on.
        let all = items((0..64u64).map(|n| leaf(0x8000_0000 + (n << 12), if n < 32 { 16 } else { 12 })));
        for (index, behind) in [(0, 31), (5, 26), (15, 16), (30, 0), (31, 0), (32, 31)] {
            assert_eq!(followers_of(&all, 0, &common, None, index), behind, "behind {index}");
        }
    }

    /// Leaves on both sides of the addresses between the halves were followers.
    #[test]
    fn followers_end_with_the_lower_half() {
        let common = common::<riscv_64::Format>(riscv_64::FORCED | Features::SIGN_EXTEND, riscv_64::Config::default());
        let top = items((0..512).map(|n| n << 28 | 0xcf));
        for (index, behind) in [(250, 5), (253, 2), (254, 1), (256, 255)] {
            assert_eq!(followers_of(&top, 2, &common, Some(39), index), behind, "behind {index}");
        }
    }
}
