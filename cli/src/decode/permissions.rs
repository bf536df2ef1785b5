//! What a leaf permits, found by trying: leaves with a permission and without it.

use super::fields::Access;
use generic_pt::field::{FieldInfo, FieldKind, ItemKind};
use generic_pt::format::{Common, Groups, LeafRequest, item_size_lg2};
use generic_pt::item::Item as Word;
use generic_pt::{Features, Prot, lg2};

/// The bits of an item that decide a permission.
#[derive(Clone, Copy, Debug)]
struct Rule {
    permission: Access,
    mask: u64,
    /// What they are where it is permitted.
    granted: u64,
}

/// What decides the permissions of leaves: for each level, of plain leaves and of those of several items.
#[derive(Debug)]
pub struct Permissions(Vec<[Vec<Rule>; 2]>);

impl Permissions {
    /// Those of a table with a top of this level.
    pub fn new<F: Groups>(common: &Common<F>, top: u32) -> Self {
        let kinds = [ItemKind::PlainLeaf, ItemKind::ContiguousLeaf];
        Self((0..=top).map(|level| kinds.map(|kind| leaf_rules::<F>(common, level, kind))).collect())
    }

    /// Which permissions leaves have.
    pub fn stored(&self) -> Access {
        let plain = self.0.iter().flat_map(|[plain, _]| plain);
        // Every format can tell whether something may be read at all.
        Access(plain.fold(Access::READ.0, |all, rule| all | rule.permission.0))
    }

    /// What of `r`, `w` and `x` a leaf permits; of a pointer all, which is looked at in the leaves.
    pub fn access(&self, level: u32, kind: ItemKind, raw: u64) -> Access {
        let [plain, contiguous] = &self.0[level as usize];
        let rules = match kind {
            ItemKind::Table => return Access::ALL,
            ItemKind::PlainLeaf => plain,
            ItemKind::ContiguousLeaf => contiguous,
        };
        let permits = |permission: Access| {
            let mut rules = rules.iter().filter(|rule| rule.permission == permission).peekable();
            rules.peek().is_none() || rules.any(|rule| raw & rule.mask == rule.granted)
        };
        let each = [Access::READ, Access::WRITE, Access::EXECUTE].into_iter().filter(|permission| permits(*permission));
        Access(each.fold(0, |access, permission| access | permission.0))
    }
}

/// The fields that items of this level and kind have.
pub fn fields_of<F: Groups>(
    common: &Common<F>,
    level: u32,
    kind: ItemKind,
) -> impl Iterator<Item = &'static FieldInfo> {
    let features: Features = common.features;
    F::FIELDS.iter().filter(move |info| info.scope.allows(features) && info.scope.contains(level, kind))
}

/// A leaf, of one item or of the fewest that there are several of, if the format stores the protection and has such leaves.
pub fn leaf<F: Groups>(common: &Common<F>, level: u32, kind: ItemKind, prot: Prot) -> Option<u64> {
    let attrs = F::attrs(common, prot).ok()?;
    let item_lg2 = item_size_lg2::<F>(level);
    let size_lg2 = if kind == ItemKind::ContiguousLeaf {
        let larger = F::possible_sizes(common, level) & !lg2::low_mask(item_lg2 + 1);
        (larger != 0).then(|| larger.trailing_zeros())?
    } else {
        item_lg2
    };
    Some(F::leaf_item(common, LeafRequest { level, size_lg2, oa: 0, attrs }).to_u64())
}

/// The fields of leaves that decide permissions.
fn leaf_rules<F: Groups>(common: &Common<F>, level: u32, kind: ItemKind) -> Vec<Rule> {
    let memory = Prot::CACHE;
    let both = memory | Prot::READ | Prot::WRITE;
    let pairs = [
        (Access::READ, both, memory | Prot::WRITE),
        // Where what may be written may be read.
        (Access::READ, memory | Prot::READ, memory),
        (Access::WRITE, both, memory | Prot::READ),
        (Access::EXECUTE, both, both | Prot::NOEXEC),
    ];
    let mut rules: Vec<Rule> = Vec::new();
    for (permission, with, without) in pairs {
        let (Some(with), Some(without)) =
            (leaf::<F>(common, level, kind, with), leaf::<F>(common, level, kind, without))
        else {
            continue;
        };
        let clean = |raw: u64| F::clean_item(common, level, F::Item::from_u64(raw)).to_u64();
        let differing = clean(with) ^ clean(without);
        if rules.iter().any(|rule| rule.permission == permission) {
            continue;
        }
        let fields = fields_of::<F>(common, level, kind)
            .map(|info| if info.kind == FieldKind::Attribute { info.mask() & differing } else { 0 })
            .filter(|mask| *mask != 0);
        // Execution has a field for each privilege level in some formats: who may at all, may.
        let count = if permission == Access::EXECUTE { usize::MAX } else { 1 };
        rules.extend(fields.take(count).map(|mask| Rule { permission, mask, granted: with & mask }));
    }
    rules
}
