//! Table memory: the arena gives aligned, separate pages, takes them back, and says when it has no more.

use generic_pt::fmt::{amdv1, vtdss};
use generic_pt::memory::{Arena, ArenaError, Contents, HeapMemory, PageRequest, TableMemory};
use generic_pt::{Domain, Errno, Features, GatherMode, NoHardware, Prot, TableConfig};
use proptest::prelude::*;
use std::ptr::NonNull;

const PAGE: PageRequest = PageRequest { size_lg2: 12, contents: Contents::Zeroed, pa_lg2: 64 };

/// Bytes whose address is a multiple of 4096, plus `offset`.
fn aligned_bytes(storage: &mut Vec<u8>, len: usize, offset: usize) -> &mut [u8] {
    storage.resize(len + 8192, 0xaa);
    let start = storage.as_ptr().align_offset(4096) + offset;
    &mut storage[start..start + len]
}

fn vtdss_config() -> TableConfig<vtdss::Config> {
    TableConfig {
        features: Features::FLUSH_RANGE,
        hw_max_vasz_lg2: 39,
        hw_max_oasz_lg2: 48,
        format: vtdss::Config { top_level: 2 },
    }
}

#[test]
fn a_table_lives_in_an_arena_with_the_callers_physical_base() {
    let mut storage = Vec::new();
    let arena = Arena::new(aligned_bytes(&mut storage, 64 << 10, 0), 0x12_3456_7000).expect("aligned alike");
    let before = arena.free_bytes();
    let domain = Domain::new(arena, NoHardware);
    let mut table = vtdss::PtIommuVtdss::new(&domain, &vtdss_config()).expect("a valid configuration");
    let root = table.hw_info().ssptptr;
    assert!((0x12_3456_7000..0x12_3456_7000 + (64 << 10)).contains(&root), "root {root:#x} is in the arena");
    table.map_range(0x1000, 0x8000_0000, 0x20_0000, Prot::READ).expect("room for a few tables");
    assert_eq!(table.iova_to_phys(0x1f_f123), Some(0x801f_e123));
    table.visit_tables(|view| {
        for item in view.used().filter(|item| item.kind == generic_pt::format::Kind::Table) {
            assert!((0x12_3456_7000..0x12_3457_7000).contains(&item.oa), "table at {:#x}", item.oa);
        }
    });
    let mut gather = table.gather(GatherMode::Immediate);
    assert_eq!(table.unmap_range(0x1000, 0x20_0000, &mut gather), 0x20_0000);
    gather.sync();
    drop(table);
    assert_eq!(domain.memory.free_bytes(), before, "every page came back");
}

#[test]
fn a_full_arena_is_out_of_memory_with_a_consistent_table() {
    let mut storage = Vec::new();
    // The top and two tables below it: the second level 0 table does not fit.
    let arena = Arena::new(aligned_bytes(&mut storage, 3 << 12, 0), 0).expect("aligned alike");
    let domain = Domain::new(arena, NoHardware);
    let mut table = vtdss::PtIommuVtdss::new(&domain, &vtdss_config()).expect("a valid configuration");
    let full = table.map_range(0x1f_f000, 0x1000, 0x2000, Prot::READ).expect_err("the arena is full");
    assert_eq!((full.errno(), full.mapped, full.va), (Errno::ENOMEM, 0x1000, 0x20_0000));
    assert_eq!(table.iova_to_phys(0x1f_f000), Some(0x1000));
    assert_eq!(table.iova_to_phys(0x20_0000), None);
}

/// The link in a free page was an `Option`, of which `None` leaves bytes without a value: those of the caller's slice.
#[test]
fn bug_an_arena_took_their_values_from_bytes() {
    let mut storage = Vec::new();
    let bytes = aligned_bytes(&mut storage, 64 << 10, 64);
    let arena = Arena::new(&mut *bytes, 0x10_0040).expect("aligned alike");
    // The page begins at the next multiple of its size, and what lies before is put into lists.
    let page = arena.alloc(PAGE).expect("room for a page");
    assert_eq!(arena.pa_of(page), 0x10_1000);
    let gap = &bytes[..0xfc0];
    let written = gap.iter().filter(|byte| **byte != 0xaa).count();
    let (pieces, link) = (gap.len().count_ones() as usize, size_of::<usize>());
    // Also read by Miri: each byte has a value.
    assert!(written <= pieces * link, "{written} bytes for the links of {pieces} pages");
}

#[test]
fn an_arena_serves_tables_of_several_sizes() {
    let mut storage = Vec::new();
    let arena = Arena::new(aligned_bytes(&mut storage, 256 << 10, 0), 0x1_0000).expect("aligned alike");
    for size_lg2 in [6, 10, 12, 14, 16] {
        let page = arena.alloc(PageRequest { size_lg2, ..PAGE }).expect("room");
        assert_eq!(arena.pa_of(page) % (1 << size_lg2), 0, "2^{size_lg2} bytes are aligned");
        // SAFETY: from this arena, of this size, not used afterwards.
        unsafe { arena.free(page, size_lg2, Contents::Zeroed) };
    }
    // What larger pages left over serves smaller ones.
    assert!(arena.alloc(PageRequest { size_lg2: 15, ..PAGE }).is_some());
}

#[test]
fn an_arena_refuses_what_it_cannot_align() {
    let mut storage = Vec::new();
    let error = Arena::new(aligned_bytes(&mut storage, 4096, 4), 0x1000).expect_err("pointer off by 4");
    assert!(matches!(error, ArenaError::Misaligned { base_pa: 0x1000, .. }), "{error}");
    let error = Arena::new(aligned_bytes(&mut storage, 4096, 0), u64::MAX - 7).expect_err("past 64 bits");
    assert!(matches!(error, ArenaError::PaOverflow { len: 4096, .. }), "{error}");
    // Aligned alike modulo 8 is enough; pages are then aligned by physical address.
    let arena = Arena::new(aligned_bytes(&mut storage, 3 << 12, 8), 0x1008).expect("aligned alike");
    let page = arena.alloc(PAGE).expect("room for one at least");
    assert_eq!(arena.pa_of(page), 0x2000);
}

#[test]
fn memory_honours_the_physical_address_limit() {
    let mut storage = Vec::new();
    let arena = Arena::new(aligned_bytes(&mut storage, 64 << 10, 0), 0xffff_8000).expect("aligned alike");
    let below_4g = PageRequest { pa_lg2: 32, ..PAGE };
    let count = std::iter::from_fn(|| arena.alloc(below_4g)).count();
    assert_eq!(count, 8, "the pages below 4 GiB");
    assert!(arena.alloc(PAGE).is_some(), "above it there are more");
    assert!(HeapMemory.alloc(PageRequest { pa_lg2: 8, ..PAGE }).is_none());
}

/// Tables are asked for only where items and the hardware's top pointer can hold their address, and the error says where.
#[test]
fn tables_are_out_of_memory_where_hardware_cannot_point_to() {
    let mut storage = Vec::new();
    // AMDv1's top pointer holds 52 bits.
    let arena = Arena::new(aligned_bytes(&mut storage, 64 << 10, 0), 1 << 52).expect("aligned alike");
    let domain = Domain::new(arena, NoHardware);
    let config = TableConfig {
        features: amdv1::FORCED,
        hw_max_vasz_lg2: 48,
        hw_max_oasz_lg2: 48,
        format: amdv1::Config { starting_level: 2, encryption_mask: 0 },
    };
    let error = amdv1::PtIommuAmdv1::new(&domain, &config).expect_err("beyond 52 bits");
    assert_eq!(error, generic_pt::Error::OutOfMemory { level: 2, va: 0, size_lg2: 12, pa_lg2: 52 });
    assert_eq!(
        error.to_string(),
        "no memory for a level 2 table of 2^12 bytes for VA 0x0000000000000000, below physical address 2^52"
    );
}

#[derive(Debug, Clone)]
enum Step {
    Alloc { size_lg2: u32 },
    Free { which: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (4u32..=16).prop_map(|size_lg2| Step::Alloc { size_lg2 }),
        2 => any::<usize>().prop_map(|which| Step::Free { which }),
    ]
}

proptest! {
    /// Pages are aligned, inside of the block, zero, and never overlap, whatever is taken and given back.
    #[test]
    fn pages_never_overlap(steps in prop::collection::vec(step(), 1..200), base_pa in 0u64..64, offset in 0usize..64) {
        let base_pa = 0x4000 + base_pa * 64 + offset as u64 % 8;
        let len = 200 << 10;
        let mut storage = Vec::new();
        let arena = Arena::new(aligned_bytes(&mut storage, len, offset), base_pa).expect("agree modulo 8");
        let total = arena.free_bytes();
        let mut live: Vec<(NonNull<u8>, u64, u32)> = Vec::new();
        for step in steps {
            match step {
                Step::Alloc { size_lg2 } => {
                    let Some(page) = arena.alloc(PageRequest { size_lg2, ..PAGE }) else { continue };
                    let pa = arena.pa_of(page);
                    prop_assert_eq!(pa % (1 << size_lg2), 0);
                    prop_assert!(pa >= base_pa && pa + (1 << size_lg2) <= base_pa + len as u64);
                    for (_, other, other_lg2) in &live {
                        prop_assert!(pa + (1 << size_lg2) <= *other || other + (1 << other_lg2) <= pa);
                    }
                    // SAFETY: the page is ours, and this large.
                    let bytes = unsafe { std::slice::from_raw_parts_mut(page.as_ptr(), 1 << size_lg2) };
                    prop_assert!(bytes.iter().all(|byte| *byte == 0));
                    bytes.fill(0xff);
                    live.push((page, pa, size_lg2));
                }
                Step::Free { which } if !live.is_empty() => {
                    let (page, _, size_lg2) = live.swap_remove(which % live.len());
                    // SAFETY: from this arena with this size, and not used afterwards.
                    unsafe { arena.free(page, size_lg2, Contents::Unknown) };
                }
                Step::Free { .. } => {}
            }
        }
        for (page, _, size_lg2) in live.drain(..) {
            // SAFETY: as above.
            unsafe { arena.free(page, size_lg2, Contents::Unknown) };
        }
        // What is lost for good is only what lies before the first 64-byte boundary.
        prop_assert!(total - arena.free_bytes() < 64);
    }
}
