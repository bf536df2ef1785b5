//! Scatter lists: arguments, memory that runs out, iterators that cheat. (The suite maps lists on all formats.)

use generic_pt::fmt::{amdv1, x86_64};
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
        let got = table.map_sg(*iova, segments.iter().copied(), *prot).expect_err("refused");
        assert_eq!((got.mapped, got.va), (0, *iova), "{segments:x?}");
        if let Some(error) = error {
            assert_eq!(got.error, *error, "{segments:x?}");
        }
        assert_eq!(domain.memory.live_pages(), before, "{segments:x?}");
    }
    let range = table.map_sg((1 << 48) - PAGE, [first, first], RW).expect_err("beyond the table");
    assert!(matches!(range.error, Error::VaRange { .. }), "{range}");
    // Segments that are not aligned, of runs that are.
    let pieces = [segment(0x8000, 0x800), segment(0, 0), segment(0x8800, 0x1800), segment(0x1_0000, PAGE)];
    assert_eq!(table.map_sg(0x5000, pieces, RW), Ok(3 * PAGE));
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
    let all = (0..1 << 13).map(|_| segment(0, 1 << 51));
    let error = table.map_sg(0, all, RW).expect_err("too many");
    assert!(matches!(error.error, Error::Overflow { .. }), "{error}");
    let all_but_one = (1..1 << 13).map(|_| segment(0, 1 << 51));
    assert_eq!(table.map_sg(1 << 51, all_but_one, RW), Ok(u64::MAX - ((1 << 51) - 1)));
    assert_eq!(table.iova_to_phys(u64::MAX), Some((1 << 51) - 1));
    assert_eq!(table.iova_to_phys((1 << 51) - 1), None);
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
                let result = table.map_sg(iova, list.iter().copied(), RW);
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
                assert_eq!(table.map_sg(iova, list.iter().copied(), RW), Ok(total));
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

/// An iterator whose clone, which is checked, gives other segments.
struct Cheat(Vec<Segment>, Vec<Segment>);

impl Clone for Cheat {
    fn clone(&self) -> Self {
        Self(self.1.clone(), Vec::new())
    }
}

impl Iterator for Cheat {
    type Item = Segment;
    fn next(&mut self) -> Option<Segment> {
        if self.0.is_empty() { None } else { Some(self.0.remove(0)) }
    }
}

#[test]
fn an_iterator_that_changes_is_noticed() {
    let domain = Domain::new(HeapMemory, NoHardware);
    let good = vec![segment(0x1_0000, PAGE), segment(0x8000, PAGE), segment(0x2000, 4 * PAGE), segment(0, PAGE)];
    let bad: &[(&[Segment], u64)] = &[
        (&[], 0),
        (&[segment(1, PAGE)], 0),
        (&[segment(0x1_0000, PAGE), segment(0x8000, 1 << 30)], PAGE),
        (&[segment(0x1_0000, PAGE), segment(1 << 46, PAGE)], PAGE),
        (&[segment(0x1_0000, PAGE), segment(u64::MAX, u64::MAX)], PAGE),
        (&[segment(0x1_0000, PAGE), segment(0x8000, PAGE), segment(1 << 63, PAGE)], 2 * PAGE),
        (&[segment(0x1_0000, PAGE), segment(0x8000, PAGE), segment(0x100, PAGE)], 2 * PAGE),
        (&[segment(0x1_0000, PAGE), segment(0x8000, PAGE)], 2 * PAGE),
    ];
    for (bad, mapped) in bad {
        let mut table = PtIommu::<x86_64::Format, _>::new(&domain, &CONFIG).expect("a valid configuration");
        let error = table.map_sg(0x5000, Cheat(bad.to_vec(), good.clone()), RW).expect_err("changed");
        assert_eq!(error.error, Error::SegmentsChanged { va: 0x5000 + mapped }, "{bad:x?}");
        assert_eq!(error.mapped, *mapped, "{bad:x?}");
    }
}
