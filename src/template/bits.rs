//! The bit fields of a format: constants, places, and their table in the documentation.

/// The bit fields, one constant each.
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_bits {
    ([$($before:ident)*]) => {};
    ([$($before:ident)*] { [$($doc:expr),*] $field:ident [$($place:tt)*] } $($rest:tt)*) => {
        $(#[doc = $doc])*
        pub const $field: $crate::field::Field<Item> = {
            const NAME: &$crate::__private::str = $crate::__private::stringify!($field);
            const BEFORE: &[$crate::field::Placed] = &[$($crate::field::Placed {
                name: $crate::__private::stringify!($before),
                layout: *$before.layout(),
            }),*];
            const SO_FAR: $crate::field::Draft = $crate::field::Draft::EMPTY;
            $crate::__pt_place! { @sort [] [] $($place)* }.field()
        };
        $crate::__pt_bits! { [$($before)* $field] $($rest)* }
    };
}

/// The place of a bit field: a chain of `[call call (arguments)]`; the first is looked at, the second is emitted.
///
/// Limits to levels and kinds of item come first. Each call is made by itself, and twice: see [`field::Site`].
///
/// [`field::Site`]: crate::field::Site
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_place {
    (@sort $limits:tt $pieces:tt [at_levels $($call:tt)*] $($rest:tt)*) => {
        $crate::__pt_place! { @limit $limits $pieces [$($call)*] $($rest)* }
    };
    (@sort $limits:tt $pieces:tt [in_tables $($call:tt)*] $($rest:tt)*) => {
        $crate::__pt_place! { @limit $limits $pieces [$($call)*] $($rest)* }
    };
    (@sort $limits:tt $pieces:tt [in_leaves $($call:tt)*] $($rest:tt)*) => {
        $crate::__pt_place! { @limit $limits $pieces [$($call)*] $($rest)* }
    };
    (@sort $limits:tt $pieces:tt [in_plain_leaves $($call:tt)*] $($rest:tt)*) => {
        $crate::__pt_place! { @limit $limits $pieces [$($call)*] $($rest)* }
    };
    (@sort $limits:tt $pieces:tt [in_contiguous_leaves $($call:tt)*] $($rest:tt)*) => {
        $crate::__pt_place! { @limit $limits $pieces [$($call)*] $($rest)* }
    };
    (@sort $limits:tt $pieces:tt [with_feature $($call:tt)*] $($rest:tt)*) => {
        $crate::__pt_place! { @limit $limits $pieces [$($call)*] $($rest)* }
    };
    (@sort $limits:tt $pieces:tt [without_feature $($call:tt)*] $($rest:tt)*) => {
        $crate::__pt_place! { @limit $limits $pieces [$($call)*] $($rest)* }
    };
    (@sort $limits:tt [$($pieces:tt)*] [$name:tt $($call:tt)*] $($rest:tt)*) => {
        $crate::__pt_place! { @sort $limits [$($pieces)* [$($call)*]] $($rest)* }
    };
    (@sort [$($limits:tt)*] []) => { $crate::__pt_place! { @call false $($limits)* } };
    (@sort [$($limits:tt)*] [$($pieces:tt)*]) => { $crate::__pt_place! { @call true $($limits)* $($pieces)* } };
    (@limit [$($limits:tt)*] $pieces:tt $call:tt $($rest:tt)*) => {
        $crate::__pt_place! { @sort [$($limits)* $call] $pieces $($rest)* }
    };

    (@call $has_bits:tt) => { SO_FAR };
    (@call $has_bits:tt [$($call:tt)*] $($rest:tt)*) => {{
        struct Site<const CHECKED: $crate::__private::bool>;
        impl<const CHECKED: $crate::__private::bool> $crate::field::Site for Site<CHECKED> {
            type Format = Format;
            const CHECKED: $crate::__private::bool = CHECKED;
            const NAME: &'static $crate::__private::str = NAME;
            const BEFORE: &'static [$crate::field::Placed] = BEFORE;
            const CONTIGUOUS: $crate::__private::bool = <Format as $crate::format::Groups>::HAS_CONTIGUOUS;
            const HAS_BITS: $crate::__private::bool = $has_bits;
            const SO_FAR: $crate::field::Draft = SO_FAR;
        }
        const _: $crate::field::Call<Site<true>> = $($call)*;
        const NEXT: $crate::field::Draft = {
            let call: $crate::field::Call<Site<false>> = $($call)*;
            call.draft()
        };
        {
            const SO_FAR: $crate::field::Draft = NEXT;
            $crate::__pt_place! { @call $has_bits $($rest)* }
        }
    }};
}

/// The text of a place for the documentation: its bits, or the items that have it.
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_place_doc {
    (@bits) => { "" };
    (@bits [bit $call:tt ($n:literal)] $($rest:tt)*) => {
        $crate::__private::concat!($crate::__private::stringify!($n), $crate::__pt_place_doc!(@bits $($rest)*))
    };
    (@bits [bits $call:tt ($lo:literal, $hi:literal)] $($rest:tt)*) => {
        $crate::__private::concat!(
            $crate::__private::stringify!($hi), ":", $crate::__private::stringify!($lo),
            $crate::__pt_place_doc!(@bits $($rest)*)
        )
    };
    (@bits [address $call:tt $range:tt] $($rest:tt)*) => {
        $crate::__pt_place_doc!(@bits [bits $call $range] $($rest)*)
    };
    (@bits [and $call:tt ($lo:literal, $hi:literal, $value_lo:literal)] $($rest:tt)*) => {
        $crate::__private::concat!(
            ", ", $crate::__private::stringify!($hi), ":", $crate::__private::stringify!($lo),
            " (from bit ", $crate::__private::stringify!($value_lo), ")",
            $crate::__pt_place_doc!(@bits $($rest)*)
        )
    };
    (@bits [from_bit $call:tt ($value_lo:literal)] $($rest:tt)*) => {
        $crate::__private::concat!(
            " (from bit ", $crate::__private::stringify!($value_lo), ")", $crate::__pt_place_doc!(@bits $($rest)*)
        )
    };
    // Numbers that a variant of a family chooses are no text here.
    (@bits [from_bit $($call:tt)*] $($rest:tt)*) => { $crate::__pt_place_doc!(@bits $($rest)*) };
    (@bits [bit $($call:tt)*] $($rest:tt)*) => { "see text" };
    (@bits [bits $($call:tt)*] $($rest:tt)*) => { "see text" };
    (@bits [and $($call:tt)*] $($rest:tt)*) => { ", see text" };
    (@bits $other:tt $($rest:tt)*) => { $crate::__pt_place_doc!(@bits $($rest)*) };

    (@items) => { "" };
    (@items [at_levels $call:tt (0..=0)] $($rest:tt)*) => { $crate::__pt_place_doc!(@items [level 0] $($rest)*) };
    (@items [at_levels $call:tt (1..=1)] $($rest:tt)*) => { $crate::__pt_place_doc!(@items [level 1] $($rest)*) };
    (@items [at_levels $call:tt (2..=2)] $($rest:tt)*) => { $crate::__pt_place_doc!(@items [level 2] $($rest)*) };
    (@items [level $level:literal] $($rest:tt)*) => {
        $crate::__private::concat!(" *Level ", $level, ".*", $crate::__pt_place_doc!(@items $($rest)*))
    };
    (@items [at_levels $call:tt ($lo:literal..=$hi:literal)] $($rest:tt)*) => {
        $crate::__private::concat!(
            " *Levels ", $lo, " to ", $hi, ".*", $crate::__pt_place_doc!(@items $($rest)*)
        )
    };
    (@items [at_levels $call:tt ($levels:expr)] $($rest:tt)*) => {
        $crate::__private::concat!(
            " *Some levels.*", $crate::__pt_place_doc!(@items $($rest)*)
        )
    };
    (@items [in_tables $($call:tt)*] $($rest:tt)*) => {
        $crate::__private::concat!(" *Table pointers.*", $crate::__pt_place_doc!(@items $($rest)*))
    };
    (@items [in_leaves $($call:tt)*] $($rest:tt)*) => {
        $crate::__private::concat!(" *Leaves.*", $crate::__pt_place_doc!(@items $($rest)*))
    };
    (@items [in_plain_leaves $($call:tt)*] $($rest:tt)*) => {
        $crate::__private::concat!(" *Leaves of one item.*", $crate::__pt_place_doc!(@items $($rest)*))
    };
    (@items [in_contiguous_leaves $($call:tt)*] $($rest:tt)*) => {
        $crate::__private::concat!(" *Leaves of several items.*", $crate::__pt_place_doc!(@items $($rest)*))
    };
    (@items [with_feature $call:tt ($feature:expr)] $($rest:tt)*) => {
        $crate::__private::concat!(
            " *With `", $crate::__private::stringify!($feature), "`.*", $crate::__pt_place_doc!(@items $($rest)*)
        )
    };
    (@items [without_feature $call:tt ($feature:expr)] $($rest:tt)*) => {
        $crate::__private::concat!(
            " *Without `", $crate::__private::stringify!($feature), "`.*", $crate::__pt_place_doc!(@items $($rest)*)
        )
    };
    (@items [and_below $($call:tt)*] $($rest:tt)*) => {
        $crate::__private::concat!(" *Clear: clear in all below.*", $crate::__pt_place_doc!(@items $($rest)*))
    };
    (@items [or_below $($call:tt)*] $($rest:tt)*) => {
        $crate::__private::concat!(" *Set: set in all below.*", $crate::__pt_place_doc!(@items $($rest)*))
    };
    (@items [sets_below $call:tt ($field:expr)] $($rest:tt)*) => {
        $crate::__private::concat!(
            " *Sets `", $crate::__private::stringify!($field), "` below.*", $crate::__pt_place_doc!(@items $($rest)*)
        )
    };
    (@items [clears_below $call:tt ($field:expr)] $($rest:tt)*) => {
        $crate::__private::concat!(
            " *Clears `", $crate::__private::stringify!($field), "` below.*", $crate::__pt_place_doc!(@items $($rest)*)
        )
    };
    (@items [denies_below $call:tt ($denied:expr)] $($rest:tt)*) => {
        $crate::__private::concat!(
            " *Set: no `", $crate::__private::stringify!($denied), "` in all below.*",
            $crate::__pt_place_doc!(@items $($rest)*)
        )
    };
    (@items $other:tt $($rest:tt)*) => { $crate::__pt_place_doc!(@items $($rest)*) };
}
