//! Random ranges that collide, against a model.

use crate::error::Error;
use crate::feature::Features;
use crate::iommu::Walkers;
use crate::lg2;
use crate::testing::random::Rng;
use crate::testing::report::{TestResult, ensure, ensure_eq};
use crate::testing::subject::{READ_WRITE, Subject};
use crate::testing::suite::Test;
use std::collections::BTreeMap;
use std::vec::Vec;

const ROUNDS: u32 = 1000;
/// All ranges of one half of the VA space lie in a window of 1 GiB.
const WINDOW_LG2: u32 = 30;

/// A range that is mapped, or is to be.
#[derive(Clone, Copy, Debug)]
struct Mapping {
    va: u64,
    oa: u64,
    len: u64,
}

impl Mapping {
    fn last(&self) -> u64 {
        self.va + (self.len - 1)
    }
    fn overlaps(&self, other: &Self) -> bool {
        self.va <= other.last() && other.va <= self.last()
    }
}

/// What is mapped, by VA.
type Model = BTreeMap<u64, Mapping>;

pub(super) fn random_map<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    let mut subject = test.subject()?;
    let windows = windows(&subject);
    let rng = &mut test.rng;
    let mut model = Model::new();
    for _ in 0..ROUNDS {
        let mapping = random_mapping(&subject, windows[rng.below(2) as usize], rng);
        map_with_collisions(&mut subject, &mut model, mapping, rng)?;
    }
    let left: Vec<Mapping> = model.values().copied().collect();
    for mapping in left {
        check(&subject, &mapping, rng)?;
        remove(&mut subject, &mut model, &mapping)?;
    }
    subject.is_empty()
}

/// The start of the lower half and the end of the upper half of the VA space, each as first VA and size (lg2).
fn windows<F: Walkers>(subject: &Subject<'_, F>) -> [(u64, u32); 2] {
    let common = subject.common();
    let signed = common.has(Features::SIGN_EXTEND);
    let window_lg2 = WINDOW_LG2.min(common.max_va_lg2 - 1);
    let upper_last = if signed { u64::MAX } else { subject.range.last };
    [(subject.range.va, window_lg2), (upper_last - lg2::low_mask(window_lg2), window_lg2)]
}

fn random_mapping<F: Walkers>(subject: &Subject<'_, F>, (window, window_lg2): (u64, u32), rng: &mut Rng) -> Mapping {
    let (smallest, max_oa_lg2) = (subject.smallest_lg2(), subject.plain_oa_lg2());
    let len_bits = smallest + 1 + rng.below(u64::from(window_lg2 - smallest)) as u32;
    let len = lg2::align_down(rng.bits(len_bits), smallest).max(lg2::pow2(smallest));
    let offset = lg2::align_down(rng.bits(window_lg2), smallest);
    let offset = offset.min(lg2::pow2(window_lg2) - len);
    // Half of the output addresses agree with the VA in many low bits, so that large pages are possible.
    let align = if rng.coin() { rng.below(u64::from(window_lg2) + 1) as u32 } else { smallest }.max(smallest);
    let oa = lg2::replace_low(rng.bits(max_oa_lg2), offset, align);
    let oa = if align == smallest { lg2::align_down(oa, smallest) } else { oa };
    let most = lg2::low_mask(max_oa_lg2);
    let oa = if most - oa < len - 1 { offset } else { oa };
    let len = len.min(lg2::align_down(most - oa, smallest)).max(lg2::pow2(smallest));
    Mapping { va: window + offset, oa, len }
}

fn map_with_collisions<F: Walkers>(
    subject: &mut Subject<'_, F>,
    model: &mut Model,
    mapping: Mapping,
    rng: &mut Rng,
) -> TestResult {
    let Mapping { va, oa, len } = mapping;
    let colliding: Vec<Mapping> = model.values().filter(|other| other.overlaps(&mapping)).copied().collect();
    let result = subject.table.map_range(va, oa, len, READ_WRITE);
    let Some(first) = colliding.first() else {
        let errno = result.map_err(|error| error.errno().name());
        ensure_eq!(errno, Ok(()), "map {mapping:x?}, which collides with nothing");
        model.insert(va, mapping);
        return check(subject, &mapping, rng);
    };
    let free = first.va.saturating_sub(va);
    match result {
        Err(error) if matches!(error.error, Error::InUse { .. }) => {
            let mapped = error.mapped;
            ensure!(
                mapped <= free && error.va == va + mapped,
                "map {mapping:x?}, which collides with {first:x?}: expected at most {free:#x} bytes mapped, got {mapped:#x}, \
                 stopped at VA {:#x}",
                error.va
            );
            if mapped != 0 {
                check(subject, &Mapping { len: mapped, ..mapping }, rng)?;
                subject.unmap(va, mapped, mapped)?;
            }
        }
        other => {
            let other = other.map_err(|error| error.errno().name());
            ensure_eq!(other, Err("EADDRINUSE"), "map {mapping:x?}, which collides with {first:x?}");
        }
    }
    for other in &colliding {
        check(subject, other, rng)?;
        remove(subject, model, other)?;
    }
    subject.map(va, oa, len)?;
    model.insert(va, mapping);
    check(subject, &mapping, rng)
}

/// Unmaps a range of the model, which has to go whole.
fn remove<F: Walkers>(subject: &mut Subject<'_, F>, model: &mut Model, mapping: &Mapping) -> TestResult {
    model.remove(&mapping.va);
    subject.unmap(mapping.va, mapping.len, mapping.len)?;
    for offset in [0, mapping.len / 2, mapping.len - 1] {
        subject.translates(mapping.va + offset, None)?;
    }
    Ok(())
}

fn check<F: Walkers>(subject: &Subject<'_, F>, mapping: &Mapping, rng: &mut Rng) -> TestResult {
    subject.translates_all(mapping.va, mapping.oa, mapping.len, rng)
}
