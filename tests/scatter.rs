//! Scatter lists: arguments, memory that runs out, pages that continue each other. (The suite maps lists on all formats.)

use generic_pt::fmt::{amdv1, s390, x86_64};
use generic_pt::testing::TestMemory;
use generic_pt::{Domain, Error, Features, GatherMode, HeapMemory, NoHardware, Prot, PtIommu, Segment, TableConfig};

const RW: Prot = Prot::READ.union(Prot::WRITE);
const PAGE: u64 = 0x1000;

const CONFIG: TableConfig<x86_64::Config> = TableConfig {
    features: x86_64::FORCED.union(Features::FLUSH_RANGE),
    hw_max_vasz_lg2: 48,
    hw_max_oasz_lg2: 46,
    format: x86_64::Config { top_level: 3, encryption_mask: 0 },
};

const fn segment(paddr: u64, len: u64) -> Segment {
    Segment { paddr, len }
}

#[test]
fn arguments_are_checked_before_anything_is_written() {
    let domain = Domain::new(TestMemory::new(0x4000_0000), NoHardware);
    let mut table = PtIommu::<x86_64::Format, _>::new(&domain, &CONFIG).expect("a valid configuration");
    let first = segment(0x8_0000, PAGE);
    let alignment = |va, paddr, len| Error::Alignment { va, paddr, len, page_sizes: 0x4020_1000 };
    let cases: &[(u64, &[Segment], Prot, Option<Error>)] = &[
        (0, &[first], Prot::NOEXEC, None),
        (0, &[], RW, Some(Error::ZeroLength { va: 0 })),
        (PAGE, &[segment(3, 0), segment(4, 0)], RW, Some(Error::ZeroLength { va: PAGE })),
        (0, &[first, segment(1 << 46, PAGE)], RW, Some(Error::PaRange { paddr: 1 << 46, len: PAGE, max_oa_lg2: 46 })),
        (0, &[first, segment(u64::MAX - 0xfff, PAGE)], RW, None),
        (0, &[first, segment(0, u64::MAX)], RW, Some(Error::Overflow { va: PAGE, len: u64::MAX })),
        (0, &[first, segment(0x800, PAGE)], RW, Some(alignment(PAGE, 0x800, PAGE))),
        (0, &[first, segment(0, 0x800)], RW, Some(alignment(PAGE, 0, 0x800))),
        (0x800, &[first], RW, Some(alignment(0x800, 0x8_0000, PAGE))),
        (0, &[segment(0, 0x800), segment(0x1800, 0x800)], RW, Some(alignment(0, 0, 0x800))),
        (u64::MAX - 0xfff, &[first, first], RW, Some(Error::Overflow { va: 0, len: PAGE })),
        ((1 << 48) - PAGE, &[first, first], RW, None),
    ];
    let before = domain.memory.live_pages();
    for (iova, segments, prot, error) in cases {
        let got = table.map_sg(*iova, segments, *prot).expect_err("refused");
        assert_eq!((got.mapped, got.va), (0, *iova), "{segments:x?}");
        if let Some(error) = error {
            assert_eq!(got.error, *error, "{segments:x?}");
        }
        assert_eq!(domain.memory.live_pages(), before, "{segments:x?}");
    }
    let range = table.map_sg((1 << 48) - PAGE, &[first, first], RW).expect_err("beyond the table");
    assert!(matches!(range.error, Error::VaRange { .. }), "{range}");
    // Segments that are not aligned, of runs that are.
    let pieces = [segment(0x8000, 0x800), segment(0, 0), segment(0x8800, 0x1800), segment(0x1_0000, PAGE)];
    assert_eq!(table.map_sg(0x5000, &pieces, RW), Ok(3 * PAGE));
    assert_eq!(table.iova_to_phys(0x6fff), Some(0x9fff));
    assert_eq!(table.iova_to_phys(0x7abc), Some(0x1_0abc));
}

/// The whole of 64 bits by runs that each fit.
#[test]
fn two_to_the_64_bytes_are_too_many() {
    let domain = Domain::new(HeapMemory, NoHardware);
    let format = amdv1::Config { starting_level: 5, encryption_mask: 0 };
    let config = TableConfig { features: amdv1::FORCED, hw_max_vasz_lg2: 64, hw_max_oasz_lg2: 52, format };
    let mut table = PtIommu::<amdv1::Format, _>::new(&domain, &config).expect("a valid configuration");
    let all = vec![segment(0, 1 << 51); 1 << 13];
    let error = table.map_sg(0, &all, RW).expect_err("too many");
    assert!(matches!(error.error, Error::Overflow { .. }), "{error}");
    assert_eq!(table.map_sg(1 << 51, &all[1..], RW), Ok(u64::MAX - ((1 << 51) - 1)));
    assert_eq!(table.iova_to_phys(u64::MAX), Some((1 << 51) - 1));
    assert_eq!(table.iova_to_phys((1 << 51) - 1), None);
}

/// A page at address 0 does not continue the one at the last address.
#[test]
fn nothing_continues_the_last_address() {
    let domain = Domain::new(HeapMemory, NoHardware);
    let format = s390::Config { top_level: 4 };
    let features = s390::FORCED | Features::FLUSH_RANGE | Features::FULL_VA;
    let config = TableConfig { features, hw_max_vasz_lg2: 64, hw_max_oasz_lg2: 64, format };
    let mut table = PtIommu::<s390::Format, _>::new(&domain, &config).expect("a valid configuration");
    let last_page = u64::MAX - (PAGE - 1);
    let pages = [segment(last_page, PAGE), segment(0, PAGE), segment(PAGE, PAGE)];
    assert_eq!(table.map_sg(0, &pages, RW), Ok(3 * PAGE));
    assert_eq!(table.iova_to_phys(0xfff), Some(u64::MAX));
    assert_eq!(table.iova_to_phys(PAGE), Some(0));
    assert_eq!(table.map_sg(last_page, &pages[..1], RW), Ok(PAGE));
    assert_eq!(table.iova_to_phys(u64::MAX), Some(u64::MAX));
}

/// Pages of a list are written by eights; where some continue each other, the leaves are those of maps of the runs, one by one.
#[test]
fn pages_that_continue_each_other_make_the_leaves_of_their_run() {
    let domain = Domain::new(HeapMemory, NoHardware);
    let format = amdv1::Config { starting_level: 2, encryption_mask: 0 };
    let config = TableConfig { features: amdv1::FORCED, hw_max_vasz_lg2: 39, hw_max_oasz_lg2: 52, format };
    let mut seed = 1u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for round in 0..500 {
        let first = random(520) * PAGE;
        let mut paddr = random(64) * PAGE;
        // Mostly scattered, sometimes mostly continued, with an empty or a longer one now and then.
        let (stays, odd) = (1 + random(8), random(3) == 0);
        let list: Vec<Segment> = (0..1 + random(60))
            .map(|_| {
                let len = if odd && random(10) == 0 { random(4) * PAGE } else { PAGE };
                let here = segment(paddr, len);
                paddr = if random(stays) == 0 { random(1 << 12) * PAGE } else { paddr + len };
                here
            })
            .collect();
        let total: u64 = list.iter().map(|segment| segment.len).sum();
        let new = || PtIommu::<amdv1::Format, _>::new(&domain, &config).expect("a valid configuration");
        let (mut table, mut by_runs) = (new(), new());
        let result = table.map_sg(first, &list, RW);
        if total == 0 {
            assert!(result.is_err(), "round {round}");
            continue;
        }
        assert_eq!(result, Ok(total), "round {round}: {list:x?}");
        let mut runs: Vec<Segment> = Vec::new();
        for segment in list.iter().filter(|segment| segment.len != 0) {
            match runs.last_mut() {
                Some(run) if run.paddr + run.len == segment.paddr => run.len += segment.len,
                _ => runs.push(*segment),
            }
        }
        let mut va = first;
        for run in &runs {
            by_runs.map_range(va, run.paddr, run.len, RW).expect("a run");
            va += run.len;
        }
        // An unmap takes a leaf whole, so it tells its size.
        let (mut gather, mut other) = (table.gather(GatherMode::Immediate), by_runs.gather(GatherMode::Immediate));
        let mut va = first;
        while va < first + total {
            assert_eq!(table.iova_to_phys(va), by_runs.iova_to_phys(va), "round {round}, {va:#x}: {list:x?}");
            let removed = table.unmap_range(va, PAGE, &mut gather);
            assert_eq!(removed, by_runs.unmap_range(va, PAGE, &mut other), "round {round}, {va:#x}: {list:x?}");
            va += removed;
        }
        gather.sync();
        other.sync();
    }
}

#[test]
fn every_allocation_fails_once() {
    // Beyond the first top of one level, over three tables, pages and runs.
    let lists: [Vec<Segment>; 3] = [
        (0..1100).rev().map(|n| segment(n * 2 * PAGE, PAGE)).collect(),
        vec![segment(0x20_0000, 0x40_0000), segment(0x80_0000, 0x20_0000), segment(0, 0x3000), segment(0x4000, PAGE)],
        vec![segment(0x1000, 0x60_1000), segment(0x1000, 0x60_0000)],
    ];
    for list in lists {
        let total: u64 = list.iter().map(|segment| segment.len).sum();
        for iova in [0x3f_f000, 0x7f_ffe0_0000] {
            for limit in 0.. {
                let domain = Domain::new(Limited { left: std::cell::Cell::new(1), memory: HeapMemory }, NoHardware);
                let format = amdv1::Config { starting_level: 1, encryption_mask: 0 };
                let features = amdv1::FORCED;
                let config = TableConfig { features, hw_max_vasz_lg2: 64, hw_max_oasz_lg2: 52, format };
                let mut table = PtIommu::<amdv1::Format, _>::new(&domain, &config).expect("a valid configuration");
                domain.memory.left.set(limit);
                let result = table.map_sg(iova, &list, RW);
                domain.memory.left.set(u32::MAX);
                let Err(error) = result else {
                    assert_eq!(result, Ok(total));
                    assert!(limit > 2);
                    break;
                };
                assert!(matches!(error.error, Error::OutOfMemory { .. }), "{error}");
                assert_eq!(error.va, iova + error.mapped);
                let mut gather = table.gather(GatherMode::Immediate);
                if error.mapped != 0 {
                    assert!(table.iova_to_phys(error.va - 1).is_some());
                    assert_eq!(table.unmap_range(iova, error.mapped, &mut gather), error.mapped);
                }
                gather.sync();
                assert_eq!(table.iova_to_phys(iova), None);
                assert_eq!(table.map_sg(iova, &list, RW), Ok(total));
            }
        }
    }
}

/// Heap memory that ends.
struct Limited {
    left: std::cell::Cell<u32>,
    memory: HeapMemory,
}

// SAFETY: all is done by `HeapMemory`, or not at all.
unsafe impl generic_pt::memory::TableMemory for Limited {
    fn alloc(&self, request: generic_pt::memory::PageRequest) -> Option<std::ptr::NonNull<u8>> {
        let left = self.left.get().checked_sub(1)?;
        self.left.set(left);
        self.memory.alloc(request)
    }
    unsafe fn free(&self, page: std::ptr::NonNull<u8>, size_lg2: u32, contents: generic_pt::memory::Contents) {
        // SAFETY: the caller's promise.
        unsafe { self.memory.free(page, size_lg2, contents) };
    }
    fn pa_of(&self, page: std::ptr::NonNull<u8>) -> u64 {
        self.memory.pa_of(page)
    }
    unsafe fn at_pa(&self, pa: u64) -> std::ptr::NonNull<u8> {
        // SAFETY: the caller's promise.
        unsafe { self.memory.at_pa(pa) }
    }
}
