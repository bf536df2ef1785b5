//! Bugs that page-table code has had, each with a test of its name, over every format and configuration where it can occur.
//!
//! Every step also goes through the comparison with the model and the simulated hardware of `generic-pt-model`, so the asserts here say
//! only what the bug is about.
//!
//! What is shown elsewhere:
//! * *torn or racing top*: growths that race, and maps against growth, are in `tests/threads.rs`; here every allocation of a growth
//!   fails once (`torn_top`);
//! * *32-bit hosts*: the whole suite also runs as a 32-bit build; here sizes beyond 32 bits are used throughout
//!   (`sizes_beyond_32_bits`), and `high_half_lost_in_a_masked_merge` is about a fault of the compiler there;
//! * *coverage build broke constant folding*: `.ci/run` runs this file without optimisation and instrumented;
//! * *RISC-V: clearing D and flushing leaves a window*: for all formats with dirty tracking; the order is in the documentation of
//!   `read_and_clear_dirty`, and `tests/model.rs` has devices that write at any time while entries are made clean;
//! * *AMDv1: level skipping* concerns walkers of foreign tables: an item that skips is foreign (`bugs/foreign.rs`); that the
//!   operations never make a skip is part of every comparison (`dump`).

#[path = "bugs/arithmetic.rs"]
mod arithmetic;
#[path = "bugs/arm.rs"]
mod arm;
#[path = "bugs/foreign.rs"]
mod foreign;
#[path = "bugs/formats.rs"]
mod formats;
#[path = "bugs/generic.rs"]
mod generic;

use generic_pt::{Error, Prot};
use generic_pt_model::configs::Setup;
use generic_pt_model::model::{Params, low};
use generic_pt_model::runner::Runner;
use generic_pt_model::world::World;
use std::rc::Rc;

const RW: Prot = Prot::READ.union(Prot::WRITE);

/// A table to misuse.
struct Bench<'w> {
    runner: Runner<'w>,
    world: Rc<World>,
    params: Params,
}

/// Runs `test` on a fresh table, with hardware that walks it.
fn on(setup: &Setup, test: impl FnOnce(&mut Bench<'_>)) {
    let world = setup.world();
    world.busy.set(2);
    let domain = world.domain();
    let runner = Runner::new(setup, &domain).unwrap();
    let mut bench = Bench { runner, world: Rc::clone(&world), params: setup.params() };
    test(&mut bench);
    bench.runner.finish().unwrap();
}

impl Bench<'_> {
    fn granule(&self) -> u64 {
        self.item(0)
    }
    fn item(&self, level: u32) -> u64 {
        1 << self.params.item_lg2(level)
    }
    /// Permitted page sizes, smallest first.
    fn sizes(&self) -> Vec<u64> {
        (0..64).map(|size| 1 << size).filter(|size| self.params.all_sizes() & size != 0).collect()
    }
    /// A VA that is a multiple of every page size but the largest few, and not 0.
    fn base(&self, size: u64) -> u64 {
        let base = self.item(2).max(size);
        if base > low(self.params.max_va - u32::from(self.params.sign)) / 2 { 0 } else { base }
    }
    fn map(&mut self, va: u64, oa: u64, len: u64) -> Result<(), (Error, u64)> {
        let mapped = self.runner.map(va, oa, len, RW, None).unwrap();
        mapped.result.map_err(|error| (error, mapped.bytes))
    }
    fn unmap(&mut self, va: u64, len: u64, gather: usize) -> u64 {
        self.runner.unmap(va, len, gather).unwrap().bytes
    }
    fn range(&self, gather: usize) -> Option<(u64, u64)> {
        self.runner.table.gather(gather).range
    }
    fn translate(&self, va: u64) -> Option<u64> {
        self.runner.table.translate(va)
    }
}

macro_rules! bugs {
    ($name:ident) => {
        mod $name {
            bugs! { @in generic $name short_gather empty_gather redundant_flushes_when_queued leaves_compared_with_items
                base_page_missing_in_the_bitmap lost_error zero_length iova_0_to_pa_0
                changed_inferred_from_an_optional_field leak_when_a_tree_is_freed tables_freed_too_early
                superpage_walked_as_a_table short_unmap_over_holes leaf_size_mismatch_between_decode_and_level
                wrong_count_on_error_paths sizes_beyond_32_bits torn_top
                high_output_address_bits }
            bugs! { @in foreign $name foreign_items_are_not_followed no_tables_below_level_0 }
        }
    };
    (@in $module:ident $name:ident $($test:ident)*) => {
        $(#[test]
        fn $test() {
            crate::$module::$test(&generic_pt_model::configs::$name());
        })*
    };
}

generic_pt_model::for_each_config!(bugs);
