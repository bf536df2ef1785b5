//! Views of disjoint ranges in several threads, checked against plain maps.

use generic_pt::fmt::{amdv1, vtdss, x86_64};
use generic_pt::iommu::{View, Walkers};
use generic_pt::testing::{Rng, TestMemory};
use generic_pt::{
    DirtyMode, Domain, Error, Features, Gather, GatherMode, HeapMemory, NoHardware, Prot, PtIommu, Run, Segment,
    TableConfig,
};
use std::collections::BTreeMap;

const RW: Prot = Prot::READ.union(Prot::WRITE);
const PAGE: u64 = 0x1000;
/// Fewer under an interpreter.
const STEPS: u32 = if cfg!(miri) { 60 } else { 4000 };

type Host = &'static Domain<HeapMemory, NoHardware>;

const fn is_send<T: Send>() {}

const _: () = {
    is_send::<View<'static, amdv1::Format, Host>>();
    is_send::<View<'static, x86_64::Format, &'static Domain<TestMemory, NoHardware>>>();
    is_send::<Gather<amdv1::Format, Host>>();
};

fn amdv1_config(starting_level: u32) -> TableConfig<amdv1::Config> {
    let format = amdv1::Config { starting_level, encryption_mask: 0 };
    TableConfig { features: amdv1::FORCED, hw_max_vasz_lg2: 64, hw_max_oasz_lg2: 52, format }
}

/// Maps and unmaps at random in one view, and keeps what there should be, page by page.
fn work<F: Walkers>(view: &mut View<'_, F, &Domain<TestMemory, NoHardware>>, bases: &[u64], seed: u64) {
    let mut rng = Rng::new(seed);
    let mut pages: BTreeMap<u64, u64> = BTreeMap::new();
    let mut gather = view.gather(GatherMode::Immediate);
    for _ in 0..STEPS {
        let base = bases[rng.below(bases.len() as u64) as usize];
        let block = rng.below(4);
        let va = base + (block << 21) + (rng.below(512) << 12);
        match rng.below(6) {
            0 | 1 => {
                let (pa, is_free) = (rng.below(1 << 20) << 12, !pages.contains_key(&va));
                assert_eq!(view.map_range(va, pa, PAGE, RW).is_ok(), is_free, "{va:#x}");
                pages.entry(va).or_insert(pa);
            }
            2 => {
                let removed = view.unmap_range(va, PAGE, &mut gather);
                // A large page goes whole.
                for page in (va..va + removed).step_by(PAGE as usize) {
                    assert!(pages.remove(&page).is_some(), "{page:#x}");
                }
                assert!(removed != 0 || !pages.contains_key(&va) || !va.is_multiple_of(1 << 21), "{va:#x}");
            }
            3 => {
                let list = [Segment { paddr: 0x7000, len: PAGE }, Segment { paddr: 0x3000, len: 2 * PAGE }];
                let va = (va & !0x3fff).min(base + (4 << 21) - 4 * PAGE);
                let mapped = view.map_sg(va, &list, RW).unwrap_or_else(|error| error.mapped);
                for (n, pa) in (0..mapped / PAGE).zip([0x7000, 0x3000, 0x4000]) {
                    assert_eq!(pages.insert(va + n * PAGE, pa), None);
                }
            }
            4 => {
                // All of a block: tables and large pages come and go.
                let start = base + (block << 21);
                let mut at = start;
                while at < start + (1 << 21) {
                    let removed = view.unmap_range(at, start + (1 << 21) - at, &mut gather);
                    for page in (at..at + removed).step_by(PAGE as usize) {
                        assert!(pages.remove(&page).is_some(), "{page:#x}");
                    }
                    at += removed + PAGE;
                }
                assert_eq!(pages.range(start..start + (1 << 21)).next(), None);
                gather.sync();
                let pa = 0x4000_0000 + rng.below(2) * PAGE;
                view.map_range(start, pa, 1 << 21, RW).expect("free");
                pages.extend((0..512).map(|n| (start + n * PAGE, pa + n * PAGE)));
            }
            _ => {
                assert_eq!(view.iova_to_phys(va + 0x123), pages.get(&va).map(|pa| pa + 0x123), "{va:#x}");
                let dirty = view.read_and_clear_dirty(va, PAGE, DirtyMode::Clear, &mut gather, |_| {});
                assert!(matches!(dirty, Ok(()) | Err(Error::NotOffered { .. } | Error::VaRange { .. })), "{dirty:?}");
            }
        }
    }
    for (va, pa) in &pages {
        assert_eq!(view.iova_to_phys(*va), Some(*pa), "{va:#x}");
    }
    // Leaf by leaf: a longer range might end behind the view.
    while let Some((va, _)) = pages.first_key_value() {
        let va = *va;
        let removed = view.unmap_range(va, PAGE, &mut gather);
        assert_ne!(removed, 0);
        (va..va + removed).step_by(PAGE as usize).for_each(|page| _ = pages.remove(&page));
    }
    gather.sync();
}

/// Two threads, on both sides of a boundary within one table, and far away from it.
fn two_threads<F: Walkers>(config: &TableConfig<F::Config>, boundary: u64, low: &[u64], high: &[u64]) {
    for round in 0..if cfg!(miri) { 2 } else { 3 } {
        let domain = Domain::new(TestMemory::new(0x4000_0000), NoHardware);
        let mut table = PtIommu::<F, _>::new(&domain, config).expect("a valid configuration");
        let (mut below, mut above) = table.view().split_at(boundary).expect("nothing is mapped");
        std::thread::scope(|scope| {
            scope.spawn(|| work(&mut below, low, round));
            scope.spawn(|| work(&mut above, high, round + 100));
        });
        table.visit_tables(|view| {
            assert!(view.used().all(|item| item.kind == generic_pt::format::Kind::Table), "all was unmapped");
        });
        drop(table);
        assert_eq!(domain.memory.live_pages(), 0, "all pages came back");
        assert_eq!(domain.memory.faults(), Vec::<String>::new());
    }
}

#[test]
fn amdv1_grows_its_top_from_both_threads() {
    let boundary = 8 << 21;
    let low = [0, 4 << 21];
    let high = [boundary, 1 << 39, 1 << 48, u64::MAX - (8 << 21) + 1];
    two_threads::<amdv1::Format>(&amdv1_config(2), boundary, &low, &high);
}

#[test]
fn x86_64_incoherent() {
    let config = TableConfig {
        features: x86_64::FORCED | Features::DMA_INCOHERENT,
        hw_max_vasz_lg2: 48,
        hw_max_oasz_lg2: 46,
        format: x86_64::Config { top_level: 3, encryption_mask: 0 },
    };
    let boundary = 8 << 21;
    two_threads::<x86_64::Format>(&config, boundary, &[0, 4 << 21], &[boundary, 1 << 39, (1 << 46) + (1 << 30)]);
}

#[test]
fn vtdss_within_one_table_of_1_gib() {
    let config = TableConfig {
        features: Features::DMA_INCOHERENT,
        hw_max_vasz_lg2: 39,
        hw_max_oasz_lg2: 48,
        format: vtdss::Config { top_level: 2 },
    };
    let boundary = 12 << 21;
    two_threads::<vtdss::Format>(&config, boundary, &[0, 4 << 21, 8 << 21], &[boundary, boundary + (4 << 21)]);
}

/// Tops that grow, as often as possible at the same time: each time one table, and no chain is lost.
#[test]
fn tops_grow_at_the_same_time() {
    for round in 0..if cfg!(miri) { 4 } else { 200u64 } {
        let domain = Domain::new(TestMemory::new(0x4000_0000), NoHardware);
        let mut table = PtIommu::<amdv1::Format, _>::new(&domain, &amdv1_config(1)).expect("a valid configuration");
        let (mut below, mut above) = table.view().split_at(1 << 30).expect("nothing is mapped");
        let barrier = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                barrier.wait();
                for level in 0..3 {
                    below.map_range((1 << (12 + 9 * level)) - PAGE, 0, PAGE, RW).expect("free");
                }
            });
            scope.spawn(|| {
                barrier.wait();
                for level in 2 + round % 2..6 {
                    above.map_range(1 << (12 + 9 * level), 0x1000, PAGE, RW).expect("free");
                }
            });
        });
        for level in 0..6 {
            let va = if level < 3 { (1 << (12 + 9 * level)) - PAGE } else { 1 << (12 + 9 * level) };
            assert!(table.iova_to_phys(va).is_some(), "level {level}");
        }
        assert_eq!(table.top_level(), 5);
        drop(table);
        assert_eq!(domain.memory.live_pages(), 0, "all pages came back");
    }
}

#[test]
fn a_view_has_its_own_range_only() {
    let domain = Domain::new(HeapMemory, NoHardware);
    let mut table = PtIommu::<amdv1::Format, _>::new(&domain, &amdv1_config(2)).expect("a valid configuration");
    // Contiguous: one leaf of 64 KiB.
    table.map_range(0x1_0000, 0x1_0000, 0x1_0000, RW).expect("free");
    for boundary in [0x1_1000, 0x1_fff8, 0x1_8000] {
        let error = table.view().split_at(boundary).expect_err("within a leaf");
        assert_eq!(error, Error::Straddled { va: 0x1_0000, level: 0, boundary });
    }
    for boundary in [0, 0x1_0000, 0x2_0000, u64::MAX] {
        assert_eq!(table.view().split_at(boundary).is_ok(), boundary != 0);
    }
    let (mut low, high) = table.view().split_at(0x1_0000).expect("between leaves");
    let (mut leaf, mut rest) = high.split_at(0x2_0000).expect("between leaves");
    let outside = |va, len| Error::VaRange {
        va,
        last: va + (len - 1),
        valid_first: 0x1_0000,
        valid_last: 0x1_ffff,
        upper_first: None,
    };
    let mut gather = leaf.gather(GatherMode::Immediate);
    for (va, len) in [(0, PAGE), (0x2_0000, PAGE), (0xf000, 2 * PAGE), (0x1_f000, 2 * PAGE), (0, u64::MAX)] {
        let error = leaf.map_range(va, 0, len, RW).expect_err("outside");
        assert_eq!((error.error, error.mapped), (outside(va, len), 0));
        assert_eq!(leaf.unmap_range(va, len, &mut gather), 0);
        let dirty = leaf.read_and_clear_dirty(va, len, DirtyMode::Clear, &mut gather, |_| ());
        assert_eq!(dirty, Err(outside(va, len)));
        assert_eq!(leaf.translate_range(va, len).err(), Some(outside(va, len)));
        assert_eq!(leaf.unmap_range_with(va, len, &mut gather, |run| panic!("{run:?}")), 0);
    }
    let list = [Segment { paddr: 0x5000, len: PAGE }, Segment { paddr: 0x9000, len: PAGE }];
    let error = leaf.map_sg(0x1_f000, &list, RW).expect_err("outside");
    assert_eq!(error.error, outside(0x1_f000, 2 * PAGE));
    assert!(!gather.changed());
    assert_eq!(leaf.set_dirty(0x2_0000), Err(outside(0x2_0000, 1)));
    assert_eq!(leaf.set_dirty(0x1_3000), Ok(()));
    let run = Run { iova: 0x1_0000, paddr: 0x1_0000, len: 0x1_0000, prot: RW };
    assert_eq!(leaf.translate_range(0x1_0000, 0x1_0000).expect("within").collect::<Vec<_>>(), [run]);
    assert_eq!(leaf.iova_to_phys(0x1_ffff), Some(0x1_ffff));
    assert_eq!(low.iova_to_phys(0x1_ffff), None);
    assert_eq!(low.map_sg(0xe000, &list, RW), Ok(2 * PAGE));
    assert_eq!(rest.map_sg(0x2_0000, &list, RW), Ok(2 * PAGE));
    let mut seen = Vec::new();
    assert_eq!(leaf.unmap_range_with(0x1_0000, PAGE, &mut gather, |run| seen.push(run)), 0x1_0000);
    assert_eq!(seen, [run]);
    assert!(low.split_at(0x1_0000).is_err(), "not within the view");
    gather.sync();
}

/// The table remembers where pages were mapped last; a view may unlink that.
#[test]
fn nothing_is_remembered_over_views() {
    let domain = Domain::new(TestMemory::new(0x4000_0000), NoHardware);
    let mut table = PtIommu::<amdv1::Format, _>::new(&domain, &amdv1_config(2)).expect("a valid configuration");
    let mut gather = table.gather(GatherMode::Immediate);
    for _ in 0..3 {
        table.map_range(0x20_0000, 0, PAGE, RW).expect("free");
        assert_eq!(table.unmap_range(0x20_0000, PAGE, &mut gather), PAGE);
        table.map_range(0x20_0000, 0, PAGE, RW).expect("free");
        let mut view = table.view();
        assert_eq!(view.unmap_range(0x20_0000, PAGE, &mut gather), PAGE);
        view.map_range(0x20_0000, 0x4000_0000, 0x20_0000, RW).expect("the empty table goes");
        assert_eq!(view.unmap_range(0x20_0000, 0x20_0000, &mut gather), 0x20_0000);
        gather.sync();
        table.map_range(0x20_0000, 0x7000, PAGE, RW).expect("free");
        assert_eq!(table.iova_to_phys(0x20_0000), Some(0x7000));
        assert_eq!(table.unmap_range(0x20_0000, 0x20_0000, &mut gather), PAGE);
        gather.sync();
    }
    drop(table);
    assert_eq!(domain.memory.live_pages(), 0);
    assert_eq!(domain.memory.faults(), Vec::<String>::new());
}
