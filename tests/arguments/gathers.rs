//! What callers may do with gathers: forget them, mix them up, keep them too long. At worst that leaks; nothing is freed early.

use generic_pt::fmt::{
    amdv1, amdv1_mock, ept, ppc64_radix_64k, riscv_32, riscv_64, riscv_64_g, rockchip_v2, s390, vtdss, x86_64, x86_pae,
};
use generic_pt::format::item_size_lg2;
use generic_pt::iommu::{DirtyMode, Gather, GatherMode, PtIommu, Synced, Walkers};
use generic_pt::{Features, Prot, TableConfig};
use generic_pt_model::configs::{self, Setup};
use generic_pt_model::world::{Event, TestDomain, World};
use std::rc::Rc;

type Table<'w, F> = PtIommu<F, &'w TestDomain>;

/// VA of a table of small pages, which an unmap of so many bytes unlinks, and its size: what an item of level 1 covers.
fn block<F: Walkers>() -> u64 {
    1 << item_size_lg2::<F>(1)
}

/// The smallest page.
fn granule<F: Walkers>() -> u64 {
    1 << item_size_lg2::<F>(0)
}

fn filled<'w, F: Walkers>(domain: &'w TestDomain, config: &TableConfig<F::Config>) -> Table<'w, F> {
    let mut table = Table::<F>::new(domain, config).unwrap();
    // The OA forbids larger pages.
    table.map_range(block::<F>(), granule::<F>(), block::<F>(), Prot::READ | Prot::WRITE).unwrap();
    table
}

/// A gather that holds the table of a block.
fn unmapped<'w, F: Walkers>(table: &mut Table<'w, F>, mode: GatherMode) -> Gather<F, &'w TestDomain> {
    let mut gather = table.gather(mode);
    assert_eq!(table.unmap_range(block::<F>(), block::<F>(), &mut gather), block::<F>());
    assert!(gather.unlinked_tables() >= 1);
    gather
}

fn finish(worlds: &[&Rc<World>], leaked: usize) {
    for world in worlds {
        world.verdict().unwrap();
        world.pages.borrow().check_poison().unwrap();
    }
    assert_eq!(worlds.iter().map(|world| world.live_pages()).sum::<usize>(), leaked);
}

pub fn used_with_another_domain<F: Walkers>(setup: &Setup, config: &TableConfig<F::Config>) {
    for mode in [GatherMode::Immediate, GatherMode::Queued] {
        let (world_a, world_b) = (setup.world(), setup.world());
        let (domain_a, domain_b) = (world_a.domain(), world_b.domain());
        let (mut a, mut b) = (filled::<F>(&domain_a, config), filled::<F>(&domain_b, config));
        let mut gather = unmapped(&mut a, mode);
        let held = gather.unlinked_tables();
        let (live_a, live_b) = (world_a.live_pages(), world_b.live_pages());
        // Nothing removed: nothing happens.
        assert_eq!(b.unmap_range(0, 1, &mut gather), 0);
        assert_eq!(world_a.take_events(), []);
        // It syncs what it holds with its own driver, frees to its own memory, and changes over.
        assert_eq!(b.unmap_range(block::<F>(), block::<F>(), &mut gather), block::<F>());
        let events = world_a.take_events();
        match (mode, &events[..]) {
            (GatherMode::Immediate, [Event::Sync(what)]) => {
                assert_eq!((what.va, what.last, what.unlinked_tables), (block::<F>(), 2 * block::<F>() - 1, held));
            }
            (GatherMode::Queued, [Event::SyncAll]) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(world_b.take_events(), []);
        assert_eq!(world_a.live_pages(), live_a - held as usize);
        assert_eq!((gather.unlinked_tables(), world_b.live_pages()), (held, live_b));
        gather.sync();
        assert_eq!((world_a.take_events().len(), world_b.take_events().len()), (0, 1));
        assert_eq!(world_b.live_pages(), live_b - held as usize);
        drop((a, b));
        finish(&[&world_a, &world_b], 0);
    }
}

pub fn dirty_scan_with_another_domain<F: Walkers>(setup: &Setup, config: &TableConfig<F::Config>) {
    let (world_a, world_b) = (setup.world(), setup.world());
    let (domain_a, domain_b) = (world_a.domain(), world_b.domain());
    let (mut a, mut b) = (filled::<F>(&domain_a, config), filled::<F>(&domain_b, config));
    b.set_dirty(block::<F>()).unwrap();
    let mut gather = unmapped(&mut a, GatherMode::Immediate);
    b.read_and_clear_dirty(block::<F>(), 1, DirtyMode::Peek, &mut gather, |_| ()).unwrap();
    assert_eq!(world_a.take_events(), []);
    b.read_and_clear_dirty(block::<F>(), 1, DirtyMode::Clear, &mut gather, |_| ()).unwrap();
    assert!(matches!(world_a.take_events()[..], [Event::Sync(_)]));
    assert_eq!(gather.unlinked_tables(), 0);
    gather.sync();
    assert!(matches!(world_b.take_events()[..], [Event::Sync(_)]));
    drop((a, b));
    finish(&[&world_a, &world_b], 0);
}

#[allow(clippy::drop_non_drop, clippy::forget_non_drop, reason = "it is about both, whatever a gather holds")]
pub fn dropped_or_forgotten<F: Walkers>(setup: &Setup, config: &TableConfig<F::Config>) {
    let ways: [fn(Gather<F, &TestDomain>); 4] = [
        |gather| drop(gather),
        |gather| std::mem::forget(gather),
        |mut gather| drop(gather.take_pending()),
        |mut gather| std::mem::forget(gather.take_pending()),
    ];
    for way in ways {
        let world = setup.world();
        let domain = world.domain();
        let mut table = filled::<F>(&domain, config);
        let gather = unmapped(&mut table, GatherMode::Immediate);
        let (held, live) = (gather.unlinked_tables() as usize, world.live_pages());
        way(gather);
        assert_eq!(world.live_pages(), live, "nothing is freed without a sync");
        assert_eq!(world.take_events(), []);
        // The table does not know its unlinked tables any more, and goes on.
        table.map_range(block::<F>(), granule::<F>(), block::<F>(), Prot::READ | Prot::WRITE).unwrap();
        drop(table);
        finish(&[&world], held);
    }
}

pub fn outlives_its_table<F: Walkers>(setup: &Setup, config: &TableConfig<F::Config>) {
    let world = setup.world();
    let domain = world.domain();
    let mut table = filled::<F>(&domain, config);
    let mut gather = unmapped(&mut table, GatherMode::Immediate);
    let held = gather.unlinked_tables() as usize;
    drop(table);
    assert_eq!(world.live_pages(), held);
    gather.sync();
    assert_eq!(world.take_events().len(), 1);
    finish(&[&world], 0);
}

pub fn pending_is_freed_once<F: Walkers>(setup: &Setup, config: &TableConfig<F::Config>) {
    let world = setup.world();
    let domain = world.domain();
    let mut table = filled::<F>(&domain, config);
    let mut gather = unmapped(&mut table, GatherMode::Immediate);
    let (held, live) = (gather.unlinked_tables(), world.live_pages());
    let pending = gather.take_pending();
    let told = pending.invalidation.unwrap();
    assert_eq!((told.va, told.last, told.unlinked_tables), (block::<F>(), 2 * block::<F>() - 1, held));
    assert_eq!(pending.unlinked_tables(), held);
    // The gather is empty, and can be used again before what was taken is freed.
    assert!(!gather.changed() && gather.range().is_none() && gather.unlinked_tables() == 0);
    gather.sync();
    assert_eq!((world.take_events().len(), world.live_pages()), (0, live));
    table.map_range(0, 0, granule::<F>(), Prot::READ).unwrap();
    assert_eq!(table.unmap_range(0, granule::<F>(), &mut gather), granule::<F>());
    gather.sync();
    // SAFETY: there is no hardware that walks this world.
    assert_eq!(pending.free(unsafe { Synced::promise() }), held);
    drop(table);
    finish(&[&world], 0);
}

fn config<C>(features: Features, va: u32, oa: u32, format: C) -> TableConfig<C> {
    TableConfig { features, hw_max_vasz_lg2: va, hw_max_oasz_lg2: oa, format }
}

macro_rules! gathers {
    ($($name:ident: $format:ident, $setup:expr, $config:expr, [$($more:ident)*];)*) => { $(mod $name {
        use super::*;
        gathers! { @tests $format, $setup, $config, used_with_another_domain dropped_or_forgotten outlives_its_table
            pending_is_freed_once $($more)* }
    })* };
    (@tests $format:ident, $setup:expr, $config:expr, $($test:ident)*) => {
        $(#[test]
        fn $test() {
            super::$test::<$format::Format>(&$setup, &$config);
        })*
    };
}

gathers! {
    amdv1_gathers: amdv1, configs::amdv1_l2_no_gaps(),
        config(amdv1::FORCED | configs::NO_GAPS, 64, 48, amdv1::Config { starting_level: 2, encryption_mask: 0 }),
        [dirty_scan_with_another_domain];
    amdv1_mock_gathers: amdv1_mock, configs::amdv1_mock_l2(),
        config(configs::NONE, 38, 51, amdv1_mock::Config { starting_level: 2, encryption_mask: 0 }),
        [dirty_scan_with_another_domain];
    x86_64_gathers: x86_64, configs::x86_64_plain47(),
        config(configs::NONE, 47, 52, x86_64::Config { top_level: 3, encryption_mask: 0 }), [];
    x86_64_incoherent_gathers: x86_64, configs::x86_64_incoherent_no_gaps(),
        config(configs::SIGN | configs::INCOHERENT, 48, 52, x86_64::Config { top_level: 3, encryption_mask: 0 }), [];
    vtdss_gathers: vtdss, configs::vtdss_39(), config(configs::FLUSH, 39, 52, vtdss::Config { top_level: 2 }),
        [dirty_scan_with_another_domain];
    riscv_64_gathers: riscv_64, configs::riscv_64_sv39_napot(),
        config(riscv_64::FORCED | configs::SIGN, 39, 56, riscv_64::Config {}), [];
    riscv_64_g_gathers: riscv_64_g, configs::riscv_64_g_sv57x4_svadu(),
        config(riscv_64_g::FORCED | riscv_64_g::SVADU, 59, 56, riscv_64_g::Config {}), [dirty_scan_with_another_domain];
    riscv_32_gathers: riscv_32, configs::riscv_32_sv32(),
        config(riscv_32::FORCED | riscv_32::SVADU, 32, 34, riscv_32::Config {}), [dirty_scan_with_another_domain];
    x86_pae_gathers: x86_pae, configs::x86_pae_xd(), config(configs::FLUSH, 32, 52, x86_pae::Config {}),
        [dirty_scan_with_another_domain];
    ppc64_radix_64k_gathers: ppc64_radix_64k, configs::ppc64_radix_64k_plain(),
        config(ppc64_radix_64k::RC_UPDATES, 52, 57, ppc64_radix_64k::Config { quadrant: 0 }),
        [dirty_scan_with_another_domain];
    rockchip_v2_gathers: rockchip_v2, configs::rockchip_v2_oa40(), config(configs::FLUSH, 32, 40, rockchip_v2::Config {}),
        [];
    s390_gathers: s390, configs::s390_42_no_gaps(), config(configs::FLUSH, 42, 64, s390::Config { top_level: 2 }), [];
    ept_gathers: ept, configs::ept_48_suppress_ve(),
        config(ept::ACCESSED_DIRTY | ept::SUPPRESS_VE, 48, 52, ept::Config { top_level: 3 }),
        [dirty_scan_with_another_domain];
}
