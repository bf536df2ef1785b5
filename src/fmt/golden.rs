//! Golden items: what an item has to be, bit for bit, checked in both directions.

use crate::feature::{Features, Prot};
use crate::format::{Common, Groups, Kind, LeafRequest, PtFormat};
use crate::item::Item;

/// A leaf: where, what for, and the item that it is.
pub(super) struct GoldenLeaf {
    pub(super) level: u32,
    pub(super) size_lg2: u32,
    pub(super) oa: u64,
    pub(super) prot: Prot,
    pub(super) item: u64,
}

/// Shorthand of the tables below.
pub(super) const fn leaf(level: u32, size_lg2: u32, oa: u64, prot: Prot, item: u64) -> GoldenLeaf {
    GoldenLeaf { level, size_lg2, oa, prot, item }
}

pub(super) const READ: Prot = Prot::READ;
pub(super) const READ_WRITE: Prot = Prot::READ.union(Prot::WRITE);

/// A table's common part, without the table.
pub(crate) fn common<F: PtFormat>(features: Features, config: F::Config) -> Common<F> {
    let (max_va_lg2, max_oa_lg2) = (F::GEOMETRY.max_va_lg2, F::GEOMETRY.max_oa_lg2);
    Common { features, max_va_lg2, max_oa_lg2, config }
}

/// The leaf encodes to the item, and the item decodes to the leaf.
pub(super) fn check_leaf<F: Groups>(common: &Common<F>, golden: &GoldenLeaf) {
    let GoldenLeaf { level, size_lg2, oa, prot, item } = *golden;
    let item = F::Item::from_u64(item);
    let attrs = F::attrs(common, prot).expect("a protection that can be stored");
    let request = LeafRequest { level, size_lg2, oa, attrs };
    assert_eq!(F::leaf_item(common, request), item, "level {level}, 2^{size_lg2} bytes, OA {oa:#x}, {prot:?}");
    assert_eq!(F::kind(common, level, item), Kind::Leaf, "{item:#x}");
    assert_eq!(F::entry_size_lg2(common, level, item), size_lg2, "{item:#x}");
    assert_eq!(F::oa_of_entry(common, level, item), oa, "{item:#x}");
    let again = LeafRequest { attrs: F::attrs_of(common, level, item), ..request };
    assert_eq!(F::leaf_item(common, again), item, "attributes of {item:#x} make it again");
}

/// The table pointer encodes to the item, and the item decodes to it.
pub(super) fn check_table<F: Groups>(common: &Common<F>, level: u32, pa: u64, item: u64) {
    let item = F::Item::from_u64(item);
    assert_eq!(F::table_item(common, level, pa), item, "level {level}, table at {pa:#x}");
    assert_eq!(F::kind(common, level, item), Kind::Table, "{item:#x}");
    assert_eq!(F::table_pa(common, level, item), pa, "{item:#x}");
}

/// Each of the items is of this kind.
pub(super) fn check_kind<F: Groups>(common: &Common<F>, level: u32, kind: Kind, items: &[u64]) {
    for item in items {
        assert_eq!(F::kind(common, level, F::Item::from_u64(*item)), kind, "level {level}, {item:#x}");
    }
}
