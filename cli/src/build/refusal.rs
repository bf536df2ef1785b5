//! Why a mapping is refused, in the letters and sizes of the specification.

use super::Plan;
use super::reach::{reach_hint, width_hint};
use super::spec::{LETTERS, Mapping, Permission, prot_of};
use crate::formats::Shape;
use crate::human;
use crate::number::AddressRange;
use crate::setup::setup_help;
use generic_pt::format::{Common, Groups};
use generic_pt::{Error, MapError, Prot};

/// What is wrong with a mapping, and what would be valid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// What is wrong.
    pub what: String,
    /// What would be valid.
    pub hint: String,
}

/// Why the mapping with this index is refused in a table like this.
pub fn refusal<F: Groups>(
    shape: &Shape<F::Config>,
    plan: &Plan<'_>,
    common: &Common<F>,
    index: usize,
    cause: &MapError,
) -> Refusal {
    let mappings = &plan.spec.map;
    let (what, hint) = match cause.error {
        Error::Protection { .. } => protection(common, &mappings[index]),
        Error::Alignment { page_sizes, .. } => alignment(page_sizes),
        Error::InUse { va, .. } => in_use(&mappings[..=index], va),
        Error::ZeroLength { .. } => ("its length is 0".to_owned(), "`len` is 1 byte or more".to_owned()),
        Error::Overflow { .. } => {
            ("it runs past the last 64-bit address".to_owned(), "a smaller `len`, or `va`, is valid".to_owned())
        }
        Error::VaRange { valid_first, valid_last, upper_first, .. } => {
            let upper = upper_first.map_or(String::new(), |first| format!(" and {first:#x}..={:#x}", u64::MAX));
            let what = format!("it is outside of the VA of the table: {valid_first:#x}..={valid_last:#x}{upper}");
            let Mapping { va, len, .. } = &mappings[index];
            let range = AddressRange { first: va.0, last: va.0.saturating_add(len.0.saturating_sub(1)) };
            (what, reach_hint::<F>(shape, &plan.options, range))
        }
        Error::PaRange { max_oa_lg2, .. } => (
            format!("its physical memory is not below 2^{max_oa_lg2}, where the addresses of the table end"),
            width_hint::<F>(
                shape,
                &plan.options,
                mappings[index].pa.0.saturating_add(mappings[index].len.0.saturating_sub(1)),
            ),
        ),
        ref error => (error.to_string(), setup_help(F::NAME, error)),
    };
    let place = if cause.mapped > 0 { format!(" (from VA {:#x} on)", cause.va) } else { String::new() };
    Refusal { what: what + &place, hint }
}

/// A protection that the format does not store, and those that it does, with the same other letters if there are some.
fn protection<F: Groups>(common: &Common<F>, mapping: &Mapping) -> (String, String) {
    let (asked, letters) = (mapping.prot.prot(), mapping.prot.letters());
    let is_valid = |letters: &String| {
        let prot = prot_of(letters.chars());
        let is_accepted = Permission::try_from(letters.clone()).is_ok();
        is_accepted && prot.intersects(Prot::READ | Prot::WRITE) && F::attrs(common, prot).is_ok()
    };
    let others: String = letters.chars().filter(|letter| !"rwx".contains(*letter)).collect();
    let valid_with = |others: &str| -> Vec<String> {
        let with = |permissions: &str| format!("{permissions}{others}");
        ["r", "w", "rw", "rx", "wx", "rwx"].map(with).into_iter().filter(is_valid).collect()
    };
    let mut valid = valid_with(&others);
    if valid.is_empty() {
        valid = LETTERS
            .iter()
            .filter(|letter| !"rwx".contains(**letter))
            .flat_map(|l| valid_with(&l.to_string()))
            .collect();
        valid.extend(valid_with(""));
    }
    let what = match (asked.intersects(Prot::READ | Prot::WRITE), asked.contains(Prot::NOEXEC)) {
        (false, false) => format!("`{letters}` permits to execute only, which cannot be asked for"),
        (false, true) => format!("`{letters}` permits nothing"),
        (true, _) => format!("{} cannot store the protection `{letters}`", F::NAME),
    };
    (what, format!("valid for `prot` here: {}", valid.join(", ")))
}

/// No page fits, and which ones there are.
fn alignment(page_sizes: u64) -> (String, String) {
    let sizes: Vec<String> =
        (0..u64::BITS).map(|bit| 1u64 << bit).filter(|size| page_sizes & size != 0).map(human::bytes).collect();
    let what = "VA, physical address and length are not multiples of the size of a page".to_owned();
    match sizes.as_slice() {
        [] => (what, "there is no page size here: let `pages` be larger".to_owned()),
        [smallest, ..] => {
            (what, format!("they have to be multiples of {smallest} at least; pages: {}", sizes.join(", ")))
        }
    }
}

/// Something is mapped there, by one of the mappings; the last of them is refused.
fn in_use(mappings: &[Mapping], va: u64) -> (String, String) {
    let covers = |mapping: &Mapping| mapping.va.0 <= va && va - mapping.va.0 < mapping.len.0;
    let Some((last, before)) = mappings.split_last() else { return Default::default() };
    // What is in the way can be a page that begins before the mapping.
    let from = va.max(last.va.0);
    let is_other = |mapping: &Mapping| covers(mapping) || mapping.va.0 <= from && from - mapping.va.0 < mapping.len.0;
    let by = before.iter().position(is_other).map_or(String::new(), |n| format!(" by mapping {}", n + 1));
    let hint = "mappings must not overlap: shorten one of them, or take it out".to_owned();
    (format!("VA {from:#x} is mapped already{by}"), hint)
}
