//! What an item is.

use crate::format::Kind;
use crate::iommu::Walkers;
use crate::item::Item;
use crate::lg2;
use crate::testing::levels::Leaf;
use crate::testing::report::{TestResult, ensure_eq};
use crate::testing::suite::Test;
use std::vec;

/// Items tried for each that a table can have.
const ROUNDS: usize = 200;

/// Whether it is a leaf is the same, asked for by itself: of items of all kinds, and of those that differ from them by some bits.
pub(super) fn is_leaf<F: Walkers>(test: &mut Test<'_, F>) -> TestResult {
    test.at_every_level(|level, rng| {
        let (n, common) = (level.level, level.common);
        let mut items = vec![F::Item::ZERO, F::empty_item(common, n)];
        if n > 0 {
            items.push(F::table_item(common, n, 0));
        }
        level.for_each_size(|size_lg2, _| {
            let attrs = level.attrs()?;
            items.extend(level.oas(size_lg2).map(|oa| level.leaf_item(Leaf { size_lg2, oa, attrs }, 0)));
            Ok(())
        })?;
        for item in items {
            let each_bit = (0..F::Item::BITS).map(lg2::pow2).chain([0]);
            let few_bits = core::iter::from_fn(|| Some(rng.next_u64() & rng.next_u64() & rng.next_u64()));
            for flipped in each_bit.chain(few_bits.take(ROUNDS)) {
                let raw = item ^ F::Item::from_u64(flipped);
                let is_leaf = F::kind(common, n, raw) == Kind::Leaf;
                ensure_eq!(F::is_leaf(common, n, raw), is_leaf, "level {n}: whether {raw:#x} is a leaf");
            }
        }
        Ok(())
    })
}
