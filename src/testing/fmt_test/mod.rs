//! Tests of a format's functions: clear failures before anything is built on them.

mod arithmetic;
mod attributes;
mod bits;
mod kinds;
mod leaves;
#[allow(unsafe_code, reason = "installs and frees tables by hand")]
mod tables;

use super::suite::TestFn;
use crate::iommu::Walkers;
use std::vec;
use std::vec::Vec;

/// All of them, by name.
pub(super) fn tests<F: Walkers>() -> Vec<(&'static str, TestFn<F>)> {
    vec![
        ("init", tables::init),
        ("bitops", arithmetic::bitops),
        ("best_pgsize", arithmetic::best_pgsize),
        ("pgsz_count", arithmetic::pgsz_count),
        ("is_leaf", kinds::is_leaf),
        ("table_ptr", tables::table_ptr),
        ("max_va", tables::max_va),
        ("table_radix", tables::table_radix),
        ("entry_possible_sizes", leaves::entry_possible_sizes),
        ("entry_oa", leaves::entry_oa),
        ("attr_from_entry", attributes::attr_from_entry),
        ("access", attributes::access),
        ("sections", attributes::sections),
        ("dirty", bits::dirty),
        ("sw_bit_leaf", bits::sw_bit_leaf),
        ("sw_bit_table", bits::sw_bit_table),
    ]
}
