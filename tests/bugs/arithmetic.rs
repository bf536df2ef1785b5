//! Bugs of the arithmetic on addresses.

use generic_pt::lg2;
use rstest::rstest;
use std::hint::black_box;

/// A page of one of two sizes, as where an item says whether it is part of a contiguous entry.
#[inline(never)]
fn exact<const PLAIN_LG2: u32, const CONTIGUOUS_LG2: u32>(oa: u64, va: u64, is_contiguous: bool) -> u64 {
    lg2::replace_low(oa, va, if is_contiguous { CONTIGUOUS_LG2 } else { PLAIN_LG2 })
}

/// The compiler lost the high half of an output address in 32-bit builds with optimisation, where the page has one of two
/// sizes of at most 2^32.
#[rstest]
#[case::riscv_64_napot(exact::<12, 16>, 12, 16)]
#[case::two_of_four_items(exact::<21, 23>, 21, 23)]
#[case::stress_level_2(exact::<26, 28>, 26, 28)]
#[case::all_of_the_low_half(exact::<30, 32>, 30, 32)]
#[case::across_the_halves(exact::<26, 34>, 26, 34)]
#[case::in_the_high_half(exact::<39, 48>, 39, 48)]
#[case::nothing_or_all(exact::<0, 64>, 0, 64)]
fn high_half_lost_in_a_masked_merge(
    #[case] exact: fn(u64, u64, bool) -> u64,
    #[case] plain_lg2: u32,
    #[case] contiguous_lg2: u32,
) {
    for (oa, va) in [(0x74a7_1445_dead_beef, 0xc012_3456_789a_bcde), (u64::MAX, 0), (0, u64::MAX)] {
        for (is_contiguous, size_lg2) in [(false, plain_lg2), (true, contiguous_lg2)] {
            let size = 1u128 << size_lg2;
            let expected = (u128::from(oa) / size * size + u128::from(va) % size) as u64;
            let found = exact(black_box(oa), black_box(va), black_box(is_contiguous));
            assert_eq!(found, expected, "OA {oa:#x}, VA {va:#x}, 2^{size_lg2} bytes: {found:#x}");
        }
    }
}
