//! Protections to attributes and back.

use crate::feature::{Access, Prot};
use crate::field::Below;
use crate::format::{Common, Kind, LeafRequest, SpecRule, item_size_lg2};
use crate::iommu::Walkers;
use crate::item::Item;
use crate::lg2;
use crate::testing::levels::{Leaf, Level};
use crate::testing::report::{Stop, TestResult, ensure, ensure_eq, show, skip};
use crate::testing::subject::{READ_WRITE, sizes_of};
use crate::testing::suite::Test;
use core::ops::Range;

pub(super) fn attr_from_entry<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    // First without a table: nothing can be mapped without these.
    let refused = F::attrs(test.subject()?.common(), READ_WRITE).err();
    ensure!(refused.is_none(), "READ | WRITE must not be refused, got: {}", show(&refused));
    let mut checked = 0_usize;
    test.at_every_level(|level, _| {
        level.for_each_size(|size_lg2, run| {
            for oa in level.oas(size_lg2) {
                for prot in (0..=Prot::all().bits()).map(Prot::from_bits_truncate) {
                    let Ok(attrs) = F::attrs(level.common, prot) else { continue };
                    one_entry(level, &run, Leaf { size_lg2, oa, attrs }, prot)?;
                    checked += 1;
                }
            }
            Ok(())
        })
    })?;
    if checked == 0 {
        skip!("no level has room for a leaf beside the tables");
    }
    Ok(())
}

/// What a leaf permits, as tools are told, is what its protection asked for; and pointers deny nothing that no leaf permits.
pub(super) fn access<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    let subject = test.subject()?;
    let common = subject.common();
    let mut permitted = Access::empty();
    for level in 0..=subject.highest_level() {
        for size_lg2 in sizes_of(F::possible_sizes(common, level)) {
            for prot in (0..=Prot::all().bits()).map(Prot::from_bits_truncate) {
                if prot.intersects(READ_WRITE) {
                    permitted |= one_access::<F>(common, level, size_lg2, prot)?;
                }
            }
        }
    }
    for field in F::FIELDS.iter().filter(|field| field.scope.allows(common.features)) {
        if let Below::Limits { denied } = field.below {
            ensure!(permitted.contains(denied), "{} denies {denied:?}, but leaves permit {permitted:?}", field.name);
        }
    }
    Ok(())
}

/// Sections of the specification are those of fields that there are, and one for each rule.
pub(super) fn sections<F: Walkers>(_: &mut Test<'_, F>) -> TestResult {
    if F::SECTIONS.is_empty() {
        skip!("the format names no sections");
    }
    for (n, (rule, section)) in F::SECTIONS.iter().enumerate() {
        let is_told = F::SECTIONS[..n].iter().any(|(before, _)| before == rule);
        ensure!(!is_told, "{rule:?} has two sections");
        ensure!(!section.is_empty() && !section.contains('\n'), "{rule:?}: a section is one line: {section:?}");
        if let SpecRule::Field(name) = rule {
            ensure!(F::FIELDS.iter().any(|field| field.name == *name), "{rule:?}: there is no such field");
        }
    }
    Ok(())
}

fn one_access<F: Walkers>(common: &Common<F>, level: u32, size_lg2: u32, prot: Prot) -> Result<Access, Stop> {
    let leaf = |prot| {
        let attrs = F::attrs(common, prot).ok()?;
        Some(F::leaf_item(common, LeafRequest { level, size_lg2, oa: 0, attrs }))
    };
    let Some(raw) = leaf(prot) else { return Ok(Access::empty()) };
    let found = F::access(common, level, raw);
    let what = std::format!("level {level}, size 2^{size_lg2}, {prot:?} ({raw:#x})");
    // Hardware may fetch instructions from nothing but memory.
    let is_memory = prot.contains(Prot::CACHE) && !prot.contains(Prot::MMIO);
    for (access, flag) in [(Access::READ, Prot::READ), (Access::WRITE, Prot::WRITE), (Access::EXECUTE, Prot::NOEXEC)] {
        let is_asked = prot.contains(flag) != (access == Access::EXECUTE);
        // Some formats cannot tell: what has the flag, and what has not, is the same.
        let is_stored = leaf(prot.symmetric_difference(flag)).is_some_and(|other| other != raw);
        let is_found = found.by_any().contains(access);
        if is_stored && (is_memory || access != Access::EXECUTE) {
            ensure_eq!(is_found, is_asked, "{what}: `PtFormat::access` has {access:?}");
        } else if is_asked && is_memory {
            ensure!(is_found, "{what}: `PtFormat::access` must have {access:?}");
        }
        // The operations map for all who use the table.
        if is_found {
            ensure!(found.by_users().contains(access), "{what}: `PtFormat::access` must have {access:?} for users");
        }
    }
    let reserved = F::reserved_bits(common, level, raw);
    ensure_eq!(reserved, F::Item::ZERO, "{what}: bits that are reserved as they are");
    let faulting = F::faulting_flags(common, level, raw);
    ensure_eq!(faulting, F::Item::ZERO, "{what}: flags that are clear, for which hardware faults");
    Ok(found)
}

fn one_entry<F: Walkers>(level: &Level<'_, F>, run: &Range<usize>, leaf: Leaf<F::Attrs>, prot: Prot) -> TestResult {
    let (n, common, size_lg2) = (level.level, level.common, leaf.size_lg2);
    level.install(run, leaf);
    for (offset, index) in run.clone().enumerate() {
        let entry = level.table.load(common, index);
        let raw = entry.raw;
        let what = std::format!("level {n}, size 2^{size_lg2}, {prot:?}, item {offset} ({raw:#x})");
        if !prot.intersects(READ_WRITE) && entry.kind != Kind::Leaf {
            // Map refuses it before it asks the format.
            break;
        }
        ensure_eq!(entry.kind, Kind::Leaf, "{what}: kind");
        let contig_lg2 = F::contig_lg2(common, n, raw);
        ensure_eq!(contig_lg2, size_lg2 - item_size_lg2::<F>(n), "{what}: contig count (lg2)");
        let rebuilt = |raw| level.leaf_item(Leaf { attrs: F::attrs_of(common, n, raw), ..leaf }, offset);
        ensure_eq!(rebuilt(raw), raw, "{what}: the item rebuilt from its attributes");
        // What hardware and software write later is no attribute.
        for (bit, position) in F::software_bits(common).iter().enumerate() {
            let marked = raw | F::Item::from_u64(lg2::pow2(*position));
            ensure_eq!(rebuilt(marked), raw, "{what}: the item rebuilt with software bit {bit} set");
        }
        if F::tracks_dirty(common) {
            let clean = F::clean_item(common, n, raw);
            let dirty = F::dirty_item(common, n, raw);
            ensure_eq!(rebuilt(dirty), rebuilt(clean), "{what}: the item rebuilt when dirty, against when clean");
        }
    }
    level.clear(run)
}
