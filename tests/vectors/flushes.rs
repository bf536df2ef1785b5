//! Cache flushes of incoherent tables: which item of which table each covers, and the two allowances of the README.

use crate::tables::Tables;
use serde_json::{Value, json};

/// A flush, as the files write it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flush {
    level: u32,
    va: u64,
    first_index: usize,
    count: usize,
}

impl Flush {
    fn from_json(value: &Value) -> Self {
        let number = |key: &str| value[key].as_u64().unwrap_or(u64::MAX);
        Self {
            level: number("level") as u32,
            va: crate::hex(&value["va"]),
            first_index: number("first_index") as usize,
            count: number("count") as usize,
        }
    }

    fn to_json(self) -> Value {
        json!({ "level": self.level, "va": format!("{:#x}", self.va), "first_index": self.first_index, "count": self.count })
    }

    fn is_of_same_table(&self, other: &Self) -> bool {
        (self.level, self.va) == (other.level, other.va)
    }
}

/// The list of flushes in a step.
pub fn expected(step: &Value) -> Vec<Flush> {
    step["flushes"].as_array().into_iter().flatten().map(Flush::from_json).collect()
}

/// Finds the table of each flushed range: in the tree before or after the step.
pub fn resolve(flushes: &[(usize, usize)], before: &Tables, after: &Tables) -> Result<Vec<Flush>, String> {
    let find = |&(address, bytes): &(usize, usize)| {
        let table = before.at(address).or_else(|| after.at(address));
        let table = table.ok_or_else(|| format!("flush of {bytes} bytes at {address:#x}, which is in no table"))?;
        let offset = address - table.address;
        if offset % 8 != 0 || bytes % 8 != 0 || offset + bytes > table.bytes {
            return Err(format!("flush of {bytes} bytes at offset {offset} of a table of {} bytes", table.bytes));
        }
        Ok(Flush { level: table.level, va: table.va, first_index: offset / 8, count: bytes / 8 })
    };
    flushes.iter().map(find).collect()
}

/// Compares in order; an expected flush for which `may_be_absent` may be left out.
fn compare(expected: &[Flush], got: &[Flush], may_be_absent: impl Fn(usize) -> bool) -> Result<(), String> {
    let mut rest = got;
    for (n, flush) in expected.iter().enumerate() {
        match rest {
            [first, others @ ..] if first == flush => rest = others,
            _ if may_be_absent(n) => {}
            _ => return Err(differ(expected, got)),
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(differ(expected, got)) }
}

fn differ(expected: &[Flush], got: &[Flush]) -> String {
    let list = |flushes: &[Flush]| Value::Array(flushes.iter().map(|flush| flush.to_json()).collect());
    format!("flushes: expected {}, got {}", list(expected), list(got))
}

/// Flushes of an unmap. Allowance 1: one may be absent whose table is below the top and lies, as a whole, in what was
/// unmapped of the request, because that table was unlinked.
pub fn compare_unmap(
    expected: &[Flush],
    got: &[Flush],
    before: &Tables,
    iova: u64,
    asked_unmapped: u64,
) -> Result<(), String> {
    let absent = |n: usize| {
        let flush = &expected[n];
        before.find(flush.level, flush.va).is_some_and(|table| {
            flush.level < before.top_level()
                && asked_unmapped != 0
                && iova <= table.va
                && table.va + (table.va_bytes_minus_1) <= iova + (asked_unmapped - 1)
        })
    };
    compare(expected, got, absent)
}

/// Flushes of a map. Allowance 2, of which only this part is used: the separate flush of the leaf run of a new table may be
/// absent, if the table is flushed whole before the item of its parent (which stays in order).
pub fn compare_map(expected: &[Flush], got: &[Flush], before: &Tables, after: &Tables) -> Result<(), String> {
    let absent = |n: usize| {
        let flush = &expected[n];
        let flushed_whole_before = expected[..n].iter().any(|earlier| earlier.is_of_same_table(flush));
        let is_new = before.find(flush.level, flush.va).is_none();
        let is_leaf_run = after.find(flush.level, flush.va).is_some_and(|table| table.is_leaf(flush.first_index));
        is_new && flushed_whole_before && is_leaf_run
    };
    compare(expected, got, absent)
}
