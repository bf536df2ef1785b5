//! Every allocation of every operation fails once: the table stays consistent, nothing leaks, the error says how much was
//! mapped, and what is tried again succeeds with the same result as without a failure.

use generic_pt::{Error, Prot};
use generic_pt_model::configs::{self, Setup};
use generic_pt_model::dump::{Dump, dump};
use generic_pt_model::model::{Params, TableKey, low};
use generic_pt_model::runner::Runner;
use generic_pt_model::world::World;
use std::rc::Rc;

/// A map, and what is done before it.
struct Scenario {
    name: &'static str,
    /// Granules at these VA are mapped and unmapped again, so that empty tables are there.
    emptied: Vec<u64>,
    iova: u64,
    paddr: u64,
    len: u64,
}

fn scenarios(params: &Params) -> Vec<Scenario> {
    let granule = 1 << params.item_lg2(0);
    let item = |level: u32| 1u64 << params.item_lg2(level);
    // The last VA that can be mapped: with sign extension of the upper half.
    let end = if params.sign { u64::MAX } else { low(params.max_va) };
    let max_oa = params.oa_bits(granule);
    let oa = 0x0003_1415_9260_0000 & low(max_oa) & !low(params.item_lg2(1)) & !params.format.encryption_mask();
    // The highest level whose items are well within the table, and not of millions of pages.
    let has_large_pages = params.all_sizes() >> params.item_lg2(1) != 0;
    let high = if has_large_pages && params.item_lg2(2) < params.max_va - 1 { 2 } else { 1 };
    let below_high = item(high - 1) + granule;
    // The top, or the level below it that the table has two items of.
    let has_two = |level: &u32| params.item_lg2(*level) + 1 < params.max_va;
    let high_top = (1..=params.start_level.min(3)).rev().find(has_two).unwrap_or(1);
    let plain = |name, iova, paddr, len| Scenario { name, emptied: Vec::new(), iova, paddr, len };
    vec![
        plain("one page at the end of the space", end & !(granule - 1), 0, granule),
        plain("one page at 0", 0, oa, granule),
        plain("small pages over three tables", 3 * item(1) - 2 * granule, oa + granule, item(1) + 4 * granule),
        plain(
            "all sizes",
            item(high) - below_high,
            oa.wrapping_sub(below_high) & low(max_oa.min(40)),
            item(high) + item(high - 1),
        ),
        plain("beyond the first top", item(high_top) * 2 - granule, 0, 2 * granule),
        Scenario {
            name: "replacing empty tables, then going on",
            emptied: vec![0, item(1), 3 * item(1), item(high), item(high) + item(1)],
            iova: 0,
            paddr: 0,
            len: item(high) + 3 * item(1) + granule,
        },
        Scenario {
            name: "growing over empty tables",
            emptied: vec![0, item(1)],
            iova: 0,
            paddr: 0,
            len: params.all_sizes() & (1 << params.item_lg2(3) | 1 << params.item_lg2(2)),
        },
    ]
}

const RW: Prot = Prot::READ.union(Prot::WRITE);

/// A table in a scenario, up to the map.
fn prepared<'w>(
    setup: &Setup,
    domain: &'w generic_pt_model::world::TestDomain,
    scenario: &Scenario,
) -> Result<Runner<'w>, String> {
    let mut runner = Runner::new(setup, domain)?;
    let granule = 1 << setup.params().item_lg2(0);
    for va in &scenario.emptied {
        runner.map(*va, 0, granule, RW, None)?;
    }
    for va in &scenario.emptied {
        runner.unmap(*va, granule, 0)?;
    }
    runner.sync(0)?;
    Ok(runner)
}

fn fresh_world(setup: &Setup) -> Rc<World> {
    let world = setup.world();
    world.busy.set(1);
    world
}

/// Leaves, and the places of tables.
fn shape(dump: &Dump) -> (Vec<u64>, Vec<TableKey>) {
    (dump.leaves.iter().map(|(va, _)| *va).collect(), dump.tables.keys().copied().collect())
}

/// The scenario without a failure: allocations it took, and what is there in the end.
fn without_failure(setup: &Setup, scenario: &Scenario) -> Result<(u32, Dump), String> {
    let world = fresh_world(setup);
    let domain = world.domain();
    let mut runner = prepared(setup, &domain, scenario)?;
    let before = world.allocations.get();
    let mapped = runner.map(scenario.iova, scenario.paddr, scenario.len, RW, None)?;
    mapped.result.map_err(|error| format!("without failure: {error}"))?;
    let allocations = world.allocations.get() - before;
    let end = dump(&world)?;
    runner.finish()?;
    Ok((allocations, end))
}

/// What the caller does after the failure.
#[derive(Clone, Copy)]
enum Then {
    GoesOn,
    UndoesAndRetries,
}

fn with_failure(setup: &Setup, scenario: &Scenario, n: u32, then: Then, end: &Dump) -> Result<(), String> {
    let Scenario { iova, paddr, len, .. } = *scenario;
    let world = fresh_world(setup);
    let domain = world.domain();
    let mut runner = prepared(setup, &domain, scenario)?;
    let before = dump(&world)?;
    let mapped = runner.map(iova, paddr, len, RW, Some(n))?;
    if !matches!(mapped.result, Err(Error::OutOfMemory { .. })) {
        return Err(format!("allocation {n} failed, and the result is {:?}", mapped.result));
    }
    match then {
        Then::GoesOn => {
            let rest = mapped.bytes;
            runner.map(iova + rest, paddr + rest, len - rest, RW, None)?.result
        }
        Then::UndoesAndRetries => {
            runner.unmap(iova, mapped.bytes, 0)?;
            if dump(&world)?.leaves != before.leaves {
                return Err("unmapping what was mapped does not undo the map".into());
            }
            runner.sync(0)?;
            runner.map(iova, paddr, len, RW, None)?.result
        }
    }
    .map_err(|error| format!("retry: {error}"))?;
    let now = dump(&world)?;
    if shape(&now) != shape(end) || now.leaves != end.leaves {
        return Err(format!("ends as {:x?}, without failure as {:x?}", shape(&now), shape(end)));
    }
    runner.finish()
}

fn every_allocation_of_map_fails(setup: &Setup) {
    let mut failures = 0;
    for scenario in scenarios(&setup.params()) {
        if scenario.len == 0 {
            continue;
        }
        let (allocations, end) =
            without_failure(setup, &scenario).unwrap_or_else(|wrong| panic!("{}: {wrong}", scenario.name));
        for n in 0..allocations {
            for then in [Then::GoesOn, Then::UndoesAndRetries] {
                with_failure(setup, &scenario, n, then, &end)
                    .unwrap_or_else(|wrong| panic!("{}, allocation {n} of {allocations}: {wrong}", scenario.name));
            }
            failures += 1;
        }
    }
    let levels = setup.params().start_level + 1;
    assert!(failures > 10 || levels == 2 && failures > 5, "only {failures} allocations");
}

fn init_fails_and_keeps_nothing(setup: &Setup) {
    let world = setup.world();
    world.allocations_left.set(Some(0));
    let domain = world.domain();
    match setup.start(&domain) {
        Err(Error::OutOfMemory { level, va: 0, .. }) => assert_eq!(level, setup.params().start_level),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("init without memory"),
    }
    assert_eq!(world.live_pages(), 0);
    assert_eq!(world.take_events(), []);
    world.allocations_left.set(None);
    drop(setup.start(&domain).expect("init with memory"));
    assert_eq!(world.live_pages(), 0);
    world.verdict().unwrap();
}

/// Operations that must work without memory.
fn only_map_allocates(setup: &Setup) -> Result<(), String> {
    let params = setup.params();
    let granule = 1u64 << params.item_lg2(0);
    let block = 1u64 << params.item_lg2(1);
    let world = fresh_world(setup);
    let domain = world.domain();
    let mut runner = Runner::new(setup, &domain)?;
    runner.map(block - 3 * granule, 0, block + 6 * granule, RW, None)?;
    let before = world.allocations.get();
    runner.translate(block)?;
    runner.device_write(block)?;
    runner.set_dirty(block - granule)?;
    runner.dirty(0, 3 * block, false, 0)?;
    runner.dirty(0, 3 * block, true, 1)?;
    runner.narrow(!granule)?;
    runner.narrow(u64::MAX)?;
    // A page into a table that is there.
    runner.unmap(block, granule, 2)?;
    runner.map(block, 0, granule, RW, Some(0))?.result.map_err(|error| error.to_string())?;
    runner.unmap(block - 3 * granule, block, 0)?;
    runner.unmap(2 * block - 3 * granule, 6 * granule, 1)?;
    runner.take(0)?;
    runner.free_taken()?;
    (0..3).try_for_each(|gather| runner.sync(gather))?;
    if world.allocations.get() != before {
        return Err("something other than map allocated".into());
    }
    runner.finish()
}

macro_rules! failures {
    ($name:ident) => {
        mod $name {
            #[test]
            fn map() {
                super::every_allocation_of_map_fails(&super::configs::$name());
            }
            #[test]
            fn init() {
                super::init_fails_and_keeps_nothing(&super::configs::$name());
            }
            #[test]
            fn others() {
                super::only_map_allocates(&super::configs::$name()).unwrap();
            }
        }
    };
}

generic_pt_model::for_each_config!(failures);
