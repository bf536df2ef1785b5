//! Which permissions a format stores, found by trying: whether leaves exist without them.

use super::Users;
use super::fields::fields_of;
use generic_pt::field::{FieldKind, ItemKind, Piece};
use generic_pt::format::{Common, Groups, LeafRequest, item_size_lg2};
use generic_pt::item::Item as Word;
use generic_pt::{Access, Prot, lg2};

/// Most bits of a field whose values are all tried.
pub const TRIED_BITS: u32 = 4;

/// What leaves tell of permissions.
pub struct Stored {
    /// Of reading, writing and executing what some leaf permits, and some leaf does not.
    /// (Every format can tell whether something may be read at all.)
    pub permissions: Access,
    /// Whether some leaf permits users less than others, or more.
    pub users: Users,
}

/// What leaves of a table with a top of this level tell.
pub fn stored<F: Groups>(common: &Common<F>, top: u32) -> Stored {
    // Also without execution: two fields may permit it, of which one would have to be taken away after the other.
    let prots =
        [Prot::READ.union(Prot::WRITE), Prot::READ, Prot::READ.union(Prot::NOEXEC)].map(|prot| prot | Prot::CACHE);
    let leaves = (0..=top).flat_map(|level| prots.map(|prot| (level, leaf::<F>(common, level, prot))));
    let mut stored = Stored { permissions: Access::READ, users: Users::AsAll };
    for (level, raw) in leaves.filter_map(|(level, raw)| Some((level, raw?))) {
        let access = |raw| F::access(common, level, F::Item::from_u64(raw));
        for info in fields_of::<F>(common, level, ItemKind::PlainLeaf) {
            let [Piece { lo, hi, .. }] = info.pieces else { continue };
            if info.kind == FieldKind::Attribute && hi - lo < TRIED_BITS {
                let values = 0..=lg2::low_mask(hi - lo + 1);
                for other in values.map(|value| access(raw & !info.mask() | value << lo)) {
                    stored.permissions |= access(raw).by_any().symmetric_difference(other.by_any());
                    if other.by_privileged() != other.by_users() {
                        stored.users = Users::Told;
                    }
                }
            }
        }
    }
    stored
}

/// A leaf of one item, if the format stores the protection and has such leaves.
pub fn leaf<F: Groups>(common: &Common<F>, level: u32, prot: Prot) -> Option<u64> {
    let attrs = F::attrs(common, prot).ok()?;
    let size_lg2 = item_size_lg2::<F>(level);
    Some(F::leaf_item(common, LeafRequest { level, size_lg2, oa: 0, attrs }).to_u64())
}
