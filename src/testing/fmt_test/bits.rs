//! Bits that change after an item was written: dirty and software bits.

use crate::field::FieldKind;
use crate::format::{Kind, item_size_lg2};
use crate::iommu::{DirtyMode, Walkers};
use crate::item::Item;
use crate::lg2;
use crate::range::VaRange;
use crate::testing::levels::{Leaf, Level};
use crate::testing::report::{Stop, TestResult, ensure, ensure_eq, skip};
use crate::testing::subject::{pattern_oa, sizes_of};
use crate::testing::suite::Test;
use core::ops::Range;
use std::format;
use std::vec::Vec;

pub(super) fn dirty<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    if !F::HAS_DIRTY {
        skip!("no dirty tracking");
    }
    if !F::tracks_dirty(test.subject()?.common()) {
        return not_offered(test);
    }
    test.at_every_level(|level, _| {
        level.for_each_size(|size_lg2, run| {
            let Some(oa) = level.oas(size_lg2).next() else { return Ok(()) };
            level.install(&run, Leaf { size_lg2, oa, attrs: level.attrs()? });
            make_dirty_and_clean(level, &run, size_lg2)?;
            level.clear(&run)
        })
    })?;
    by_operations(test)
}

/// Without dirty tracking in this configuration the operations say so.
fn not_offered<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    let mut subject = test.subject()?;
    let va = subject.range.va;
    let scan = subject.table.read_and_clear_dirty(va, 1, DirtyMode::Peek, &mut subject.gather, |_| ());
    for result in [scan, subject.table.set_dirty(va)] {
        let errno = result.err().map(|error| error.errno().name());
        ensure_eq!(errno, Some("EOPNOTSUPP"), "no dirty tracking in this configuration: error of the operations");
    }
    skip!("no dirty tracking in this configuration");
}

fn dirty_items<F: Walkers>(level: &Level<'_, F>, run: &Range<usize>) -> Vec<usize> {
    let is_dirty = |index: usize| F::is_dirty(level.common, level.level, level.table.load_raw(index));
    run.clone().filter(|index| is_dirty(*index)).map(|index| index - run.start).collect()
}

fn make_dirty_and_clean<F: Walkers>(level: &Level<'_, F>, run: &Range<usize>, size_lg2: u32) -> TestResult {
    let (n, common) = (level.level, level.common);
    let what = format!("level {n}, size 2^{size_lg2}");
    let make_clean = || level.table.update_run(run.start, run.len(), |raw| F::clean_item(common, n, raw));
    make_clean();
    ensure_eq!(dirty_items(level, run), Vec::new(), "{what}: dirty items after make-clean");
    let clean: Vec<F::Item> = run.clone().map(|index| level.table.load_raw(index)).collect();
    for (offset, index) in run.clone().enumerate() {
        level.table.update_run(index, 1, |raw| F::dirty_item(common, n, raw));
        ensure_eq!(dirty_items(level, run), [offset], "{what}: dirty items after item {offset} was made dirty");
        let entry = level.table.load(common, index);
        ensure_eq!(entry.kind, Kind::Leaf, "{what}, item {offset} ({:#x}) when dirty: kind", entry.raw);
        ensure_eq!(F::entry_size_lg2(common, n, entry.raw), size_lg2, "{what}, item {offset} when dirty: size (lg2)");
        make_clean();
        let now: Vec<F::Item> = run.clone().map(|index| level.table.load_raw(index)).collect();
        let changed = now.iter().zip(&clean).position(|(now, clean)| now != clean);
        ensure!(changed.is_none(), "{what}: make-clean did not bring back item {changed:?}, of {now:x?}");
    }
    Ok(())
}

/// The same from outside: any item of an entry makes the whole entry be reported.
fn by_operations<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    let mut subject = test.subject()?;
    for size_lg2 in sizes_of(subject.sizes) {
        let size = lg2::pow2(size_lg2);
        let (va, oa) = (subject.range.va | size, subject.oa(size_lg2));
        subject.map(va, oa, size)?;
        let level = subject.level_of_size(size_lg2)?;
        let (item_lg2, whole) = (item_size_lg2::<F>(level), VaRange { va, last: va + (size - 1) });
        let items = size >> item_lg2;
        for item in [0, items - 1, test.rng.below(items)] {
            let inside = va + (item << item_lg2) + test.rng.bits(item_lg2);
            let what = format!("level {level}, size 2^{size_lg2}, item {item}");
            subject.table.set_dirty(inside).map_err(|error| Stop::Failed(format!("{what}: set dirty: {error}")))?;
            for (mode, expected) in [(DirtyMode::Peek, 1), (DirtyMode::Clear, 1), (DirtyMode::Peek, 0)] {
                let mut found = Vec::new();
                let scan =
                    subject.table.read_and_clear_dirty(va, 1, mode, &mut subject.gather, |range| found.push(range));
                scan.map_err(|error| Stop::Failed(format!("{what}: read and clear dirty: {error}")))?;
                ensure_eq!(found, [whole; 1][..expected].to_vec(), "{what}: dirty entries, {mode:?}");
            }
        }
        subject.unmap(va, size, size)?;
    }
    Ok(())
}

pub(super) fn sw_bit_leaf<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    check_software_bits(test)?;
    test.at_every_level(|level, _| {
        level.for_each_size(|size_lg2, run| {
            let Some(oa) = level.oas(size_lg2).next() else { return Ok(()) };
            let leaf = Leaf { size_lg2, oa, attrs: level.attrs()? };
            for (bit, position) in F::software_bits(level.common).iter().enumerate() {
                level.install(&run, leaf);
                set_in_leaf(level, &run, leaf, (bit, *position))?;
                level.clear(&run)?;
            }
            Ok(())
        })
    })
}

fn set_in_leaf<F: Walkers>(
    level: &Level<'_, F>,
    run: &Range<usize>,
    leaf: Leaf<F::Attrs>,
    (bit, position): (usize, u32),
) -> TestResult {
    let (n, common, table) = (level.level, level.common, level.table);
    let what = format!("level {n}, size 2^{}, software bit {bit} (item bit {position})", leaf.size_lg2);
    for (offset, index) in run.clone().enumerate() {
        let before = table.load_raw(index);
        let set = F::software_bits(common).iter().filter(|position| before.to_u64() >> *position & 1 == 1);
        ensure_eq!(set.count(), 0, "{what}, item {offset} ({before:#x}): software bits set after the install");
        table.set_bits(index, F::software_bit(common, bit));
        let entry = table.load(common, index);
        ensure_eq!(entry.raw.to_u64(), before.to_u64() | lg2::pow2(position), "{what}, item {offset}: the item");
        ensure_eq!(entry.kind, Kind::Leaf, "{what}, item {offset}: kind");
        ensure_eq!(F::oa_of_entry(common, n, entry.raw), leaf.oa, "{what}, item {offset}: entry OA");
        ensure_eq!(F::entry_size_lg2(common, n, entry.raw), leaf.size_lg2, "{what}, item {offset}: entry size (lg2)");
        let attrs = F::attrs_of(common, n, entry.raw);
        ensure_eq!(
            attrs,
            F::attrs_of(common, n, before),
            "{what}, item {offset}: attributes with the bit, and without"
        );
    }
    Ok(())
}

pub(super) fn sw_bit_table<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    check_software_bits(test)?;
    test.at_every_level(|level, _| {
        if level.level == 0 {
            return Ok(());
        }
        let Some(run) = level.room(item_size_lg2::<F>(level.level)) else { return Ok(()) };
        let common = level.common;
        for (bit, position) in F::software_bits(common).iter().enumerate() {
            set_in_table(level, run.start, (bit, *position))?;
        }
        Ok(())
    })
}

fn set_in_table<F: Walkers>(level: &Level<'_, F>, index: usize, (bit, position): (usize, u32)) -> TestResult {
    let (n, common, table) = (level.level, level.common, level.table);
    // An address with many bits set; the item is cleared before anything could follow it.
    let pa_lg2 = common.max_oa_lg2.min(F::QUIRKS.table_pa_lg2);
    let pa = pattern_oa(pa_lg2, F::GEOMETRY.table_lg2(n - 1));
    let what = format!("level {n}, software bit {bit} (item bit {position})");
    let item = F::table_item(common, n, pa);
    let set = F::software_bits(common).iter().filter(|position| item.to_u64() >> *position & 1 == 1);
    ensure_eq!(set.count(), 0, "{what}: software bits set in the item {item:#x} after the install");
    table.store_run(index, 1, |_| item);
    table.set_bits(index, F::software_bit(common, bit));
    let entry = table.load(common, index);
    level.clear(&(index..index + 1))?;
    ensure_eq!(entry.raw.to_u64(), item.to_u64() | lg2::pow2(position), "{what}: the item");
    ensure_eq!(entry.kind, Kind::Table, "{what}: kind of {:#x}", entry.raw);
    ensure_eq!(F::table_pa(common, n, entry.raw), pa, "{what}: table address in {:#x}", entry.raw);
    Ok(())
}

/// Skips without software bits; those there are have to be bits of their own, in the item.
fn check_software_bits<F: Walkers>(test: &Test<'_, F>) -> TestResult {
    if !F::HAS_SOFTWARE_BITS {
        skip!("no software bits");
    }
    let subject = test.subject()?;
    let bits = F::software_bits(subject.common());
    if bits.is_empty() {
        skip!("no software bits in this configuration");
    }
    let address = F::FIELDS.iter().filter(|field| field.kind == FieldKind::Address);
    let address =
        address.flat_map(|field| field.pieces).fold(0, |mask, piece| mask | lg2::bit_range_mask(piece.lo, piece.hi));
    let mut seen = address;
    for position in bits {
        ensure!(
            *position < F::Item::BITS,
            "software bit {position}: expected a bit of the item, got {}",
            F::Item::BITS
        );
        ensure!(seen >> position & 1 == 0, "software bit {position}: expected a bit of its own, got one in use");
        seen |= lg2::pow2(*position);
    }
    Ok(())
}
