//! A copy of a whole tree: to compare dumps, and to name the table of an address.

use crate::formats::VectorFormat;
use generic_pt::format::{Kind, item_size_lg2};
use generic_pt::{Host, PtIommu, lg2};
use serde_json::{Map, Value};

/// One table.
pub struct TableCopy {
    pub level: u32,
    pub va: u64,
    pub address: usize,
    pub bytes: usize,
    pub va_bytes_minus_1: u64,
    /// Index, whether it is a table item, raw item with a table's address left out.
    entries: Vec<(usize, Kind, u64)>,
}

impl TableCopy {
    /// Whether the item at `index` is a leaf.
    pub fn is_leaf(&self, index: usize) -> bool {
        self.entries.iter().any(|(at, kind, _)| *at == index && *kind == Kind::Leaf)
    }
}

/// A tree, in the order of dumps.
pub struct Tables(Vec<TableCopy>);

impl Tables {
    /// Copies the tree of `table`.
    pub fn of<F: VectorFormat, H: Host>(table: &PtIommu<F, H>, encryption_mask: u64) -> Self {
        let address_mask = F::TABLE_ADDRESS_MASK & !encryption_mask;
        let mut tables = Vec::new();
        table.visit_tables(|view| {
            let without_address = |kind, raw| if kind == Kind::Table { raw & !address_mask } else { raw };
            let entries =
                view.used().map(|item| (item.index, item.kind, without_address(item.kind, item.raw))).collect();
            let items_lg2 = view.items().trailing_zeros();
            tables.push(TableCopy {
                level: view.level(),
                va: view.va(),
                address: view.page().as_ptr().addr(),
                bytes: view.bytes(),
                va_bytes_minus_1: lg2::low_mask(item_size_lg2::<F>(view.level()) + items_lg2),
                entries,
            });
        });
        Self(tables)
    }

    /// The table whose memory `address` is in.
    pub fn at(&self, address: usize) -> Option<&TableCopy> {
        self.0.iter().find(|table| (table.address..table.address + table.bytes).contains(&address))
    }

    /// The table of `level` that begins at `va`.
    pub fn find(&self, level: u32, va: u64) -> Option<&TableCopy> {
        self.0.iter().find(|table| table.level == level && table.va == va)
    }

    /// The level of the top.
    pub fn top_level(&self) -> u32 {
        self.0.first().map_or(0, |top| top.level)
    }

    /// Compares with the `dump` step `step`.
    pub fn compare(&self, step: &Map<String, Value>) -> Result<(), String> {
        let expected_top = step["top_level"].as_u64();
        if expected_top != Some(self.top_level().into()) {
            return Err(format!("top_level: expected {expected_top:?}, got {}", self.top_level()));
        }
        let expected = step["tables"].as_array().ok_or("dump without tables")?;
        let mut got = self.0.iter();
        for table in expected {
            let (level, va) = (table["level"].as_u64().unwrap_or(u64::MAX), crate::hex(&table["va"]));
            let ours = got.next().ok_or_else(|| format!("expected a table of level {level} at {va:#x}, got none"))?;
            if (u64::from(ours.level), ours.va) != (level, va) {
                return Err(format!(
                    "expected a table of level {level} at {va:#x}, got {} at {:#x}",
                    ours.level, ours.va
                ));
            }
            let entries = expand(&table["entries"])?;
            if let Some(n) =
                (0..entries.len().max(ours.entries.len())).find(|n| entries.get(*n) != ours.entries.get(*n))
            {
                let (expected, got) = (entries.get(n), ours.entries.get(n));
                return Err(format!("table of level {level} at {va:#x}: expected {expected:x?}, got {got:x?}"));
            }
        }
        match got.next() {
            Some(more) => Err(format!("got a further table of level {} at {:#x}", more.level, more.va)),
            None => Ok(()),
        }
    }
}

/// Entries of a dump, with runs written out.
fn expand(entries: &Value) -> Result<Vec<(usize, Kind, u64)>, String> {
    let mut all = Vec::new();
    for entry in entries.as_array().ok_or("entries are a list")? {
        let index = entry[0].as_u64().ok_or("an entry begins with its index")? as usize;
        let kind = match entry[1].as_str() {
            Some("table") => Kind::Table,
            Some("leaf") => Kind::Leaf,
            other => return Err(format!("an entry is a table or a leaf, not {other:?}")),
        };
        let raw = crate::hex(&entry[2]);
        let (count, stride) =
            if entry[3].is_null() { (1, 0) } else { (entry[3].as_u64().unwrap_or(0), crate::hex(&entry[4])) };
        all.extend((0..count).map(|n| (index + n as usize, kind, raw.wrapping_add(stride.wrapping_mul(n)))));
    }
    Ok(all)
}
