//! Looking at a whole table, table by table: for dumps, statistics and checks.

use super::{PtIommu, Walkers};
use crate::driver::Host;
use crate::feature::Features;
use crate::format::{Common, Groups, Kind, item_size_lg2};
use crate::item::Item;
use crate::lg2;
use crate::table::{Table, top_va_lg2};
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
    /// Table or leaf.
    pub kind: Kind,
    /// VA that the whole entry covers, as a power of two: a contiguous leaf has several items.
    pub entry_size_lg2: u32,
    /// The output address of this item, or the physical address of the table it points to.
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
        (0..self.table.items()).filter_map(|index| self.item(index))
    }

    fn item(&self, index: usize) -> Option<ItemView> {
        let level = self.table.level();
        let entry = self.table.load(self.common, index);
        let item_lg2 = item_size_lg2::<F>(level);
        let va = self.item_va(index);
        let (entry_size_lg2, oa) = match entry.kind {
            Kind::Empty => return None,
            Kind::Table => (item_lg2, F::table_pa(self.common, level, entry.raw)),
            Kind::Leaf => {
                let entry_lg2 = F::entry_size_lg2(self.common, level, entry.raw);
                (entry_lg2, F::exact_oa(self.common, level, entry.raw, va))
            }
        };
        Some(ItemView { index, va, raw: entry.raw.to_u64(), kind: entry.kind, entry_size_lg2, oa })
    }

    fn item_va(&self, index: usize) -> u64 {
        let va = self.va | lg2::shl(index as u64, item_size_lg2::<F>(self.table.level()));
        self.sign_va_lg2.map_or(va, |bits| lg2::sign_extend(va, bits))
    }
}

impl<F: Walkers, H: Host> PtIommu<F, H> {
    /// Shows every table, a table before those below it, in VA order.
    pub fn visit_tables(&self, mut visit: impl FnMut(&TableView<'_, F>)) {
        let sign_va_lg2 = self.common.has(Features::SIGN_EXTEND).then_some(self.common.max_va_lg2);
        let va = F::QUIRKS.va_prefix & !lg2::low_mask(top_va_lg2(&self.common, self.top_level()));
        self.with_top(|table| self.visit_below(table, va, sign_va_lg2, &mut visit));
    }

    fn visit_below(
        &self,
        table: &Table<'_, F>,
        va: u64,
        sign_va_lg2: Option<u32>,
        visit: &mut impl FnMut(&TableView<'_, F>),
    ) {
        let view = TableView { table, common: &self.common, va, sign_va_lg2 };
        visit(&view);
        if table.level() == 0 {
            return;
        }
        for index in 0..table.items() {
            let entry = table.load(&self.common, index);
            if entry.kind == Kind::Table {
                let lower_va = view.item_va(index);
                table.descend(&self.common, self.memory(), entry, |lower| {
                    self.visit_below(lower, lower_va, sign_va_lg2, visit);
                });
            }
        }
    }
}
