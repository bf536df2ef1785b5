//! Tests of the whole: the IOMMU operations on a table of the format.

mod cases;
mod collisions;
mod growth;
mod near;
mod pages;
mod replacement;
mod runs;
mod scatter;

use super::suite::TestFn;
use crate::iommu::Walkers;
use std::vec;
use std::vec::Vec;

/// All of them, by name.
pub(super) fn tests<F: Walkers>() -> Vec<(&'static str, TestFn<F>)> {
    vec![
        ("increase_level", growth::increase_level),
        ("map_simple", pages::map_simple),
        ("map_table_to_oa", replacement::map_table_to_oa),
        ("unmap_split", pages::unmap_split),
        ("random_map", collisions::random_map),
        ("pgsize_boundary", cases::pgsize_boundary),
        ("mixed", cases::mixed),
        ("whole_tables", cases::whole_tables),
        ("runs", runs::runs),
        ("cursor", runs::cursor),
        ("near", near::near),
        ("map_sg", scatter::map_sg),
    ]
}
