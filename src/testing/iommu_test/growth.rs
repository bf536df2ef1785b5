//! Tops that grow.

use crate::feature::Features;
use crate::iommu::Walkers;
use crate::lg2;
use crate::table::top_va_lg2;
use crate::testing::driver::Event;
use crate::testing::report::{TestResult, ensure_eq, skip};
use crate::testing::subject::{Page, READ_WRITE, Subject};
use crate::testing::suite::Test;
use std::vec::Vec;

pub(super) fn increase_level<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    let mut subject = test.subject()?;
    if !subject.common().has(Features::DYNAMIC_TOP) {
        skip!("the top does not grow");
    }
    let (common, size_lg2) = (*subject.common(), subject.smallest_lg2());
    let (oa, size) = (subject.oa(size_lg2), lg2::pow2(size_lg2));
    let first_level = subject.table.top_level();
    let mut mapped = Vec::new();
    loop {
        let level = subject.table.top_level();
        let va_lg2 = top_va_lg2(&common, level);
        if va_lg2 >= common.max_va_lg2 {
            break;
        }
        // Just inside, nothing grows; just outside, it grows by one level.
        for (va, grown) in [(lg2::pow2(va_lg2) - size, 0), (lg2::pow2(va_lg2), 1)] {
            let va = subject.range.va | va;
            grow(&mut subject, va, oa, level + grown)?;
            mapped.push(Page { va, oa, size_lg2 });
            for page in &mapped {
                subject.translates_all(page.va, page.oa, size, &mut test.rng)?;
            }
        }
    }
    let last_level = subject.table.top_level();
    // Beyond max VA nothing grows.
    if let Some(va) = subject.range.last.checked_add(1) {
        let (allocations, levels) = (subject.domain.memory.allocations(), last_level);
        let error = subject.table.map_range(va, oa, size, READ_WRITE).err().map(|error| error.errno().name());
        ensure_eq!(error, Some("ERANGE"), "map VA {va:#x}, beyond max VA: error");
        ensure_eq!(subject.table.top_level(), levels, "top level after a map beyond max VA");
        ensure_eq!(subject.domain.memory.allocations(), allocations, "allocations of a map beyond max VA");
    }
    for page in &mapped {
        subject.unmap(page.va, size, size)?;
    }
    subject.is_empty()?;
    if last_level == first_level {
        skip!("the first top, of level {first_level}, decodes all {} VA bits", common.max_va_lg2);
    }
    Ok(())
}

/// Maps one page, after which the top has to be of `expected` level, and the driver has to know.
fn grow<F: Walkers>(subject: &mut Subject<'_, F>, va: u64, oa: u64, expected: u32) -> TestResult {
    let before = subject.table.top_level();
    let driver = &subject.domain.driver;
    driver.record();
    let size = lg2::pow2(subject.smallest_lg2());
    subject.map(va, oa, size)?;
    ensure_eq!(subject.table.top_level(), expected, "top level after a map of VA {va:#x} (it was {before})");
    let events = driver.take_events();
    let tops: Vec<u32> = events
        .iter()
        .filter_map(|event| match event {
            Event::ChangeTop(top) => Some(top.level),
            _ => None,
        })
        .collect();
    let told = if expected > before { std::vec![expected] } else { Vec::new() };
    ensure_eq!(tops, told, "top levels that the driver was told during a map of VA {va:#x}");
    Ok(())
}
