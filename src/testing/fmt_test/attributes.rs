//! Protections to attributes and back.

use crate::feature::Prot;
use crate::format::{Kind, item_size_lg2};
use crate::iommu::Walkers;
use crate::item::Item;
use crate::lg2;
use crate::testing::levels::{Leaf, Level};
use crate::testing::report::{TestResult, ensure, ensure_eq, show, skip};
use crate::testing::subject::READ_WRITE;
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
