//! The items of a leaf, and of the leaves behind it.

use crate::format::{Common, Groups, LeafRequest, MAX_LEVELS, OaStyle, item_size_lg2, item_step, stepped_mask};
use crate::item::Item;
use crate::lg2;

/// A leaf, and the items from it on.
#[derive(Clone, Copy)]
pub(super) struct Leaf<'a, F: Groups> {
    pub(super) common: &'a Common<F>,
    pub(super) level: u32,
    pub(super) size_lg2: u32,
    /// Of the leaf.
    pub(super) oa: u64,
    pub(super) attrs: F::Attrs,
}

impl<'a, F: Groups> Leaf<'a, F> {
    /// The `n`-th item from the leaf's first on, in this leaf or in those behind it.
    #[inline(always)]
    pub(super) fn item(&self, n: u64) -> F::Item {
        let oa = self.oa.wrapping_add(lg2::shl(n, item_size_lg2::<F>(self.level)));
        let oa = match F::OA_STYLE {
            OaStyle::Entry => lg2::align_down(oa, self.size_lg2),
            OaStyle::Item => oa,
        };
        let Self { level, size_lg2, attrs, .. } = *self;
        F::leaf_item(self.common, LeafRequest { level, size_lg2, oa, attrs })
    }

    /// The leaf so many bytes behind this one.
    #[inline(always)]
    pub(super) fn behind(self, bytes: u64) -> Self {
        Self { oa: self.oa.wrapping_add(bytes), ..self }
    }

    /// The items, without an end.
    #[inline(always)]
    pub(super) fn items(self) -> impl Iterator<Item = F::Item> + use<'a, F> {
        (0..).map(move |n| self.item(n))
    }

    /// The first `count` items, where each is the one before plus the same number: then nothing has to be worked out for
    /// each. `None` where the address lies in pieces and crosses from one to the other, or may cross an attribute that lies
    /// in the address field (an encryption bit).
    ///
    /// A crossing between pieces shows at the last item: it adds there what the sum has elsewhere. A crossing of an attribute
    /// may not: it can be undone before the end, but not in fewer steps than the attribute's value.
    #[inline(always)]
    pub(super) fn steps(&self, count: usize) -> Option<Steps<F>> {
        let (item, last) = (self.item(0), count as u64 - 1);
        let Addend { step, mask } = const { addends::<F>() }[self.level as usize % MAX_LEVELS];
        // What one page more adds to an address: the description says it, or it is seen where nothing can carry.
        let first = Self { oa: 0, ..*self };
        let const_step = step != 0;
        let step = if const_step { F::Item::from_u64(step) } else { first.item(0) ^ first.item(1) };
        let way = step.wrapping_times(last);
        let shared = first.item(0).to_u64() & mask;
        if const_step && shared == 0 && self.size_lg2 == item_size_lg2::<F>(self.level) {
            // There is but one piece, and nothing else in it.
            debug_assert!(item.wrapping_add(way) == self.item(last), "an address that is not in its field");
            return Some(Steps { item, step });
        }
        let below_shared = shared.wrapping_sub(1) & !shared;
        let is_regular = item.wrapping_add(way) == self.item(last) && way.to_u64() <= below_shared;
        is_regular.then_some(Steps { item, step })
    }
}

/// What one page more adds to a leaf item, if that is a constant (else 0), and the bits of the address that it is added to.
#[derive(Clone, Copy)]
struct Addend {
    step: u64,
    mask: u64,
}

/// By level.
const fn addends<F: Groups>() -> [Addend; MAX_LEVELS] {
    let mut addends = [Addend { step: 0, mask: 0 }; MAX_LEVELS];
    let mut level = 0;
    while level < MAX_LEVELS {
        addends[level] = Addend { step: item_step::<F>(level as u32), mask: stepped_mask::<F>(level as u32) };
        level += 1;
    }
    addends
}

/// Items of which each is the one before plus a number.
pub(super) struct Steps<F: Groups> {
    item: F::Item,
    step: F::Item,
}

impl<F: Groups> Iterator for Steps<F> {
    type Item = F::Item;

    #[inline(always)]
    fn next(&mut self) -> Option<F::Item> {
        let item = self.item;
        self.item = item.wrapping_add(self.step);
        Some(item)
    }
}
