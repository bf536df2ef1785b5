//! Init, table pointers, and the shape of the tree.

use crate::feature::Features;
use crate::format::{Common, Kind, Tables, item_size_lg2, items_lg2};
use crate::iommu::Walkers;
use crate::item::Item;
use crate::lg2;
use crate::memory::{Contents, TableMemory};
use crate::range;
use crate::table::{NewTable, Swap, top_va_lg2};
use crate::testing::levels::Level;
use crate::testing::report::{Stop, TestResult, ensure, ensure_eq};
use crate::testing::subject::{READ_WRITE, sizes_of};
use crate::testing::suite::Test;
use crate::unlinked::table_pa_lg2;
use core::ptr::NonNull;
use std::format;

pub(super) fn init<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    let subject = test.subject()?;
    let (info, asked) = (subject.table.info(), &test.config.table);
    ensure!(info.page_sizes != 0, "page sizes: expected some, got none");
    ensure!(
        info.max_va_lg2 <= asked.hw_max_vasz_lg2 && info.max_oa_lg2 <= asked.hw_max_oasz_lg2,
        "limits: expected at most {} VA and {} OA bits, got {} and {}",
        asked.hw_max_vasz_lg2,
        asked.hw_max_oasz_lg2,
        info.max_va_lg2,
        info.max_oa_lg2
    );
    ensure!(info.features.contains(asked.features), "features: expected {:?}, got {:?}", asked.features, info.features);
    ensure_eq!(subject.live_pages(), 1, "table pages of an empty table");
    let _ = subject.table.hw_info();
    let range = subject.range;
    for va in [range.va, range.last, range.va | 1 << subject.smallest_lg2()] {
        subject.translates(va, None)?;
    }
    subject.is_empty()
}

pub(super) fn table_ptr<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    // First without a table: nothing can be built with pointers that are not kept.
    let subject = test.subject()?;
    for level in 0..=subject.highest_level() {
        empty_item(subject.common(), level)?;
        if level > 0 {
            every_address_bit(subject.common(), level)?;
        }
    }
    drop(subject);
    test.at_every_level(|level, _| {
        let run = level.room(item_size_lg2::<F>(level.level));
        match run {
            Some(run) if level.level > 0 => install_twice(level, run.start),
            _ => Ok(()),
        }
    })
}

/// Installs a table, another in its place, and clears the item.
fn install_twice<F: Walkers>(level: &Level<'_, F>, index: usize) -> TestResult {
    let (common, memory, n) = (level.common, level.memory, level.level);
    let stale = level.table.load(common, index);
    let mut pages: [Option<NonNull<u8>>; 2] = [None; 2];
    for page in &mut pages {
        let before = level.table.load(common, index);
        let table = new_table(level)?;
        let pa = table.pa();
        *page = Some(memory_page(level, pa));
        let swap = level.table.install_table(common, index, before, table);
        ensure!(
            matches!(swap, Ok(Swap::Done(_))),
            "level {n}, index {index}: expected the install of {pa:#x} to succeed"
        );
        let entry = level.table.load(common, index);
        ensure_eq!(entry.kind, Kind::Table, "level {n}, index {index}: item {:#x} after the install is", entry.raw);
        let got = F::table_pa(common, n, entry.raw);
        ensure_eq!(got, pa, "level {n}, index {index}: table address in item {:#x}", entry.raw);
        let lower = level.table.lower_page(common, memory, entry);
        ensure_eq!(Some(lower), *page, "level {n}, index {index}: lower table");
    }
    // An install on what the item held before both loses, tells what it found, and frees its table.
    let live = memory.live_pages();
    match level.table.install_table(common, index, stale, new_table(level)?) {
        Ok(Swap::Lost(found)) => {
            ensure_eq!(found.kind, Kind::Table, "level {n}, index {index}: found by an install that lost");
        }
        _ => {
            return Err(Stop::Failed(format!("level {n}, index {index}: expected an install on a stale item to lose")));
        }
    }
    ensure_eq!(memory.live_pages(), live, "level {n}: table pages after an install that lost");
    level.clear(&(index..index + 1))?;
    for page in pages.into_iter().flatten() {
        // SAFETY: allocated below as a table of the level below, and unlinked: the item was overwritten or cleared.
        unsafe { memory.free(page, F::GEOMETRY.table_lg2(n - 1), Contents::Unknown) };
    }
    Ok(())
}

fn new_table<'l, F: Walkers>(level: &Level<'l, F>) -> Result<NewTable<'l, F, crate::testing::TestMemory>, Stop> {
    let table = NewTable::empty(level.common, level.memory, level.level - 1, 0);
    table.map_err(|error| Stop::Failed(format!("level {}: {error}", level.level)))
}

fn memory_page<F: Walkers>(level: &Level<'_, F>, pa: u64) -> NonNull<u8> {
    // SAFETY: the address of a table that was just allocated from this memory.
    unsafe { level.memory.at_pa(pa) }
}

/// Every bit that the address of a table can have is kept by an item.
fn every_address_bit<F: Walkers>(common: &Common<F>, n: u32) -> TestResult {
    let bits = F::GEOMETRY.table_lg2(n - 1)..common.max_oa_lg2.min(F::QUIRKS.table_pa_lg2);
    let all = lg2::low_mask(bits.end) & !lg2::low_mask(bits.start);
    for pa in bits.map(lg2::pow2).chain([0, all]) {
        let item = F::table_item(common, n, pa);
        ensure_eq!(
            F::kind(common, n, item),
            Kind::Table,
            "level {n}: kind of the item {item:#x} for a table at {pa:#x}"
        );
        ensure_eq!(F::table_pa(common, n, item), pa, "level {n}: table address in item {item:#x}");
        let reserved = F::reserved_bits(common, n, item);
        ensure_eq!(reserved, F::Item::ZERO, "level {n}: bits of {item:#x} that are reserved as they are");
    }
    Ok(())
}

/// An empty item is one, also while it holds a link: that of a table that waits to be freed.
fn empty_item<F: Walkers>(common: &Common<F>, n: u32) -> TestResult {
    let empty = F::empty_item(common, n);
    ensure_eq!(F::kind(common, n, empty), Kind::Empty, "level {n}: kind of the empty item {empty:#x}");
    let mut link = 0;
    if F::Item::BITS == 32 || matches!(F::GEOMETRY.table_lg2, Tables::PerLevel(_)) {
        link |= 0xffff << F::QUIRKS.link_lo;
        let kind = F::kind(common, n, empty | F::Item::from_u64(link));
        ensure_eq!(kind, Kind::Empty, "level {n}: kind of the empty item {empty:#x} with `Quirks::link_lo`, {link:#x}");
    }
    if F::Item::BITS == 64 {
        link |= lg2::low_mask(table_pa_lg2::<F>()) & !lg2::low_mask(F::GEOMETRY.table_lg2(n.saturating_sub(1)));
    }
    let common_bits = empty.to_u64() & link;
    ensure_eq!(common_bits, 0, "level {n}: bits of the empty item {empty:#x} that links need, {link:#x}");
    Ok(())
}

pub(super) fn max_va<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    let mut subject = test.subject()?;
    let common = *subject.common();
    let signed = common.has(Features::SIGN_EXTEND);
    let most = lg2::low_mask(common.max_va_lg2 - u32::from(signed));
    for level in subject.table.top_level()..=subject.highest_level() {
        let range = range::top_range(&common, level);
        let width = range.last - range.va;
        ensure!(
            width <= most,
            "level {level}: the top range is wider than max VA: expected at most {most:#x}, got {width:#x}"
        );
    }
    let range = subject.range;
    ensure_eq!(range.last - range.va, most, "last of the largest range");
    // All of it can be used, and nothing around it.
    let (size_lg2, oa) = (subject.smallest_lg2(), subject.oa(subject.smallest_lg2()));
    let size = lg2::pow2(size_lg2);
    for va in [range.va, range.last - (size - 1)] {
        subject.map(va, oa, size)?;
        subject.translates_all(va, oa, size, &mut test.rng)?;
        subject.unmap(va, size, size)?;
    }
    let outside = [range.last.checked_add(1), range.va.checked_sub(size), Some(range.va ^ 1 << 63)];
    let is_upper = |va: u64| signed && lg2::sign_extend(va, common.max_va_lg2) == va;
    let is_inside = |va: u64| (range.va..=range.last).contains(&va) || is_upper(va);
    for va in outside.into_iter().flatten().filter(|va| !is_inside(*va)) {
        let result = subject.table.map_range(va, oa, size, READ_WRITE);
        ensure!(
            result.is_err(),
            "map VA {va:#x}, outside of {:#x}..={:#x}: expected an error, got success",
            range.va,
            range.last
        );
        subject.translates(va, None)?;
    }
    Ok(())
}

pub(super) fn table_radix<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    // From the top down: where the decoded bits of the level above end (exclusive), this level's have to begin.
    let mut end_above = None;
    let mut joined = 0_u64;
    test.at_every_level(|level, rng| {
        let n = level.level;
        let (item_lg2, table_lg2) = (item_size_lg2::<F>(n), level.table_va_lg2());
        ensure!(level.table.items().is_power_of_two(), "level {n}: expected 2^n items, got {}", level.table.items());
        let advertised = level.common.max_va_lg2;
        // A deep top can decode more than the VA has.
        let expected = end_above.unwrap_or(advertised.max(item_lg2));
        ensure_eq!(table_lg2, expected, "level {n}: VA bits that the table decodes end at");
        if level.is_top {
            ensure_eq!(top_va_lg2(level.common, n), advertised, "level {n}: VA bits of the top");
        } else {
            ensure_eq!(level.table.items(), 1 << items_lg2::<F>(n), "level {n}: items");
        }
        ensure!(
            n > 0 || item_lg2 == F::GEOMETRY.granule_lg2,
            "level 0: item size: expected the granule, got 2^{item_lg2}"
        );
        for bit in 0..advertised {
            let decoded = if (item_lg2..table_lg2).contains(&bit) { 1 << (bit - item_lg2) } else { 0 };
            ensure_eq!(level.table.index(lg2::pow2(bit)), decoded, "level {n}: index of VA {:#x}", lg2::pow2(bit));
        }
        let va = rng.bits(advertised);
        let index = level.table.index(va) as u64;
        ensure_eq!(index, (va & lg2::low_mask(table_lg2)) >> item_lg2, "level {n}: index of VA {va:#x}");
        joined |= lg2::bit_range_mask(item_lg2, table_lg2 - 1) & if item_lg2 == table_lg2 { 0 } else { u64::MAX };
        end_above = Some(item_lg2);
        Ok(())
    })?;
    let subject = test.subject()?;
    let decoded = lg2::low_mask(subject.common().max_va_lg2) & !lg2::low_mask(F::GEOMETRY.granule_lg2);
    ensure_eq!(joined & lg2::low_mask(subject.common().max_va_lg2), decoded, "VA bits that all levels decode");
    let largest = sizes_of(subject.sizes).next_back();
    ensure!(largest < Some(subject.common().max_va_lg2), "largest page 2^{largest:?}: expected less than the VA range");
    Ok(())
}
