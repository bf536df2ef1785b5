//! Page sizes, and output addresses in leaves.

use crate::format::{Kind, OaStyle, item_size_lg2, plain_size};
use crate::iommu::Walkers;
use crate::lg2;
use crate::testing::levels::{Leaf, Level};
use crate::testing::random::Rng;
use crate::testing::report::{TestResult, ensure, ensure_eq, skip};
use crate::testing::suite::Test;
use core::ops::Range;

pub(super) fn entry_possible_sizes<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    let unusable = test.config.unusable_sizes;
    let mut of_other_levels = 0;
    let offered = test.subject()?.sizes;
    test.at_every_level(|level, _| {
        let (n, sizes) = (level.level, level.sizes());
        let (item_lg2, table_lg2) = (item_size_lg2::<F>(n), level.table_va_lg2());
        let small = sizes & lg2::low_mask(item_lg2);
        ensure_eq!(small, 0, "level {n}: sizes below the item size, 2^{item_lg2}, in {sizes:#x}");
        // A top can be cut short by max VA; what its level can have is what a regular table of it can.
        let regular_lg2 = if level.is_top { F::ITEM_SIZES_LG2[n as usize + 1].max(table_lg2) } else { table_lg2 };
        let large = sizes & !lg2::low_mask(regular_lg2);
        ensure_eq!(large, 0, "level {n}: sizes of the whole table, 2^{regular_lg2}, and above, in {sizes:#x}");
        let plain = plain_size::<F>(n);
        let expected = plain & !unusable;
        ensure_eq!(sizes & lg2::pow2(item_lg2), expected, "level {n}: the plain size, 2^{item_lg2}, in {sizes:#x}");
        ensure!(plain != 0 || sizes == 0, "level {n}: no leaf is allowed here: expected no size, got {sizes:#x}");
        ensure_eq!(sizes & unusable, 0, "level {n}: unusable sizes in {sizes:#x}");
        ensure_eq!(sizes & of_other_levels, 0, "level {n}: sizes that another level has, too, in {sizes:#x}");
        ensure!(F::HAS_CONTIGUOUS || sizes & !plain == 0, "level {n}: {sizes:#x} without `impl Contiguous`");
        for sizes_of_table in [offered, offered & sizes, offered & !sizes] {
            let here = F::sizes_at(level.common, n, sizes_of_table);
            ensure_eq!(here, sizes_of_table & sizes, "level {n}: `sizes_at` of {sizes_of_table:#x}");
        }
        of_other_levels |= sizes;
        Ok(())
    })?;
    ensure_eq!(offered & !of_other_levels, 0, "sizes offered that no level has");
    Ok(())
}

pub(super) fn entry_oa<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    let mut checked = 0_usize;
    test.at_every_level(|level, rng| {
        level.for_each_size(|size_lg2, run| {
            for oa in level.oas(size_lg2) {
                one_entry(level, &run, Leaf { size_lg2, oa, attrs: level.attrs()? }, rng)?;
                checked += 1;
            }
            Ok(())
        })
    })?;
    if checked == 0 {
        skip!("no level has room for a leaf beside the tables");
    }
    Ok(())
}

fn one_entry<F: Walkers>(level: &Level<'_, F>, run: &Range<usize>, leaf: Leaf<F::Attrs>, rng: &mut Rng) -> TestResult {
    let (n, common, size_lg2) = (level.level, level.common, leaf.size_lg2);
    let item_lg2 = item_size_lg2::<F>(n);
    let around = [run.start.wrapping_sub(1), run.end];
    let neighbours = around.map(|index| level.table.load_raw(index));
    level.install(run, leaf);
    for (offset, index) in run.clone().enumerate() {
        let entry = level.table.load(common, index);
        let raw = entry.raw;
        let what = std::format!("level {n}, size 2^{size_lg2}, OA {:#x}, item {offset} ({raw:#x})", leaf.oa);
        ensure_eq!(entry.kind, Kind::Leaf, "{what}: kind");
        ensure_eq!(F::contig_lg2(common, n, raw), size_lg2 - item_lg2, "{what}: contig count (lg2)");
        ensure_eq!(F::entry_size_lg2(common, n, raw), size_lg2, "{what}: entry size (lg2)");
        ensure_eq!(F::oa_of_entry(common, n, raw), leaf.oa, "{what}: entry OA");
        let item_va = lg2::shl(offset as u64, item_lg2);
        ensure_eq!(F::exact_oa(common, n, raw, item_va), leaf.oa + item_va, "{what}: item OA");
        if F::OA_STYLE == OaStyle::Item {
            let stored = lg2::align_down(F::stored_oa(common, n, raw), item_lg2);
            ensure_eq!(stored, leaf.oa + item_va, "{what}: OA stored in the item");
        }
        let inside = rng.bits(item_lg2);
        let exact = F::exact_oa(common, n, raw, item_va + inside);
        ensure_eq!(exact, leaf.oa + item_va + inside, "{what}: exact OA at offset {inside:#x}");
    }
    let after = around.map(|index| level.table.load_raw(index));
    ensure_eq!(after, neighbours, "level {n}, size 2^{size_lg2}: the items around the entry");
    level.clear(run)
}
