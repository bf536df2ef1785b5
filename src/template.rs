//! `define_pt_format!`: expands one format description into its module.
//!
//! The invocation is one syntactically valid Rust module in parentheses (rustfmt formats it). The macro parses it whole,
//! then emits: the user's own items as they are, constants from the data, the checks of [`check`](crate::check), the names
//! of [`ns`](crate::ns). No algorithm is in here.
//!
//! | metavariable | what it is |
//! | --- | --- |
//! | `$head` | `[attributes] visibility name` of the module |
//! | `$slots` | what was found so far: a group `key [tokens]` for each key, in fixed order |
//! | `$rest` | the items not looked at yet |

/// Makes a format of a description.
#[macro_export]
macro_rules! define_pt_format {
    ($(#[$meta:meta])* $vis:vis mod $name:ident { $($body:tt)* }) => {
        $crate::__pt_parse! { @items [[$(#[$meta])*] [$vis] $name] { variants [] item [] attrs [] geometry [] quirks [] features [] supported [] forced [] bits [] config [] hw_info [] format [] oa [] contiguous [] dirty [] software [] other [] } $($body)* }
    };
}

/// The parser: takes one item after the other and files it under its key.
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_parse {
    (@items $head:tt $slots:tt) => { $crate::__pt_family! { $head $slots } };

    (@items $head:tt { variants [$($variants:tt)*] $($slots:tt)* } $(#[$m:meta])* $v:vis mod $variant:ident { $($consts:tt)* } $($rest:tt)*) => {
        $crate::__pt_parse! { @items $head { variants [$($variants)* { [[$(#[$m])*] [$v] $variant] { $($consts)* } }] $($slots)* } $($rest)* }
    };
    (@items $head:tt { variants $variants:tt item [] attrs $attrs:tt geometry $geometry:tt quirks $quirks:tt features $features:tt supported $supported:tt forced $forced:tt bits $bits:tt config $config:tt hw_info $hw_info:tt format $format:tt oa $oa:tt contiguous $contiguous:tt dirty $dirty:tt software $software:tt other $other:tt } $(#[$m:meta])* type Item = $ty:tt; $($rest:tt)*) => {
        $crate::__pt_parse! { @items $head { variants $variants item [$ty] attrs $attrs geometry $geometry quirks $quirks features $features supported $supported forced $forced bits $bits config $config hw_info $hw_info format $format oa $oa contiguous $contiguous dirty $dirty software $software other $other } $($rest)* }
    };
    (@items $head:tt { variants $variants:tt item $item:tt attrs [] geometry $geometry:tt quirks $quirks:tt features $features:tt supported $supported:tt forced $forced:tt bits $bits:tt config $config:tt hw_info $hw_info:tt format $format:tt oa $oa:tt contiguous $contiguous:tt dirty $dirty:tt software $software:tt other $other:tt } $(#[$m:meta])* type Attrs = $ty:ty; $($rest:tt)*) => {
        $crate::__pt_parse! { @items $head { variants $variants item $item attrs [$ty] geometry $geometry quirks $quirks features $features supported $supported forced $forced bits $bits config $config hw_info $hw_info format $format oa $oa contiguous $contiguous dirty $dirty software $software other $other } $($rest)* }
    };
    (@items $head:tt { variants $variants:tt item $item:tt attrs $attrs:tt geometry [] quirks $quirks:tt features $features:tt supported $supported:tt forced $forced:tt bits $bits:tt config $config:tt hw_info $hw_info:tt format $format:tt oa $oa:tt contiguous $contiguous:tt dirty $dirty:tt software $software:tt other $other:tt } $(#[$m:meta])* const GEOMETRY: Geometry = Geometry { $($body:tt)* }; $($rest:tt)*) => {
        $crate::__pt_parse! { @items $head { variants $variants item $item attrs $attrs geometry [$($body)*] quirks $quirks features $features supported $supported forced $forced bits $bits config $config hw_info $hw_info format $format oa $oa contiguous $contiguous dirty $dirty software $software other $other } $($rest)* }
    };
    (@items $head:tt { variants $variants:tt item $item:tt attrs $attrs:tt geometry $geometry:tt quirks [] features $features:tt supported $supported:tt forced $forced:tt bits $bits:tt config $config:tt hw_info $hw_info:tt format $format:tt oa $oa:tt contiguous $contiguous:tt dirty $dirty:tt software $software:tt other $other:tt } $(#[$m:meta])* const QUIRKS: Quirks = Quirks { $($body:tt)* }; $($rest:tt)*) => {
        $crate::__pt_parse! { @items $head { variants $variants item $item attrs $attrs geometry $geometry quirks [$($body)*] features $features supported $supported forced $forced bits $bits config $config hw_info $hw_info format $format oa $oa contiguous $contiguous dirty $dirty software $software other $other } $($rest)* }
    };
    (@items $head:tt { variants $variants:tt item $item:tt attrs $attrs:tt geometry $geometry:tt quirks $quirks:tt features [] supported $supported:tt forced $forced:tt bits $bits:tt config $config:tt hw_info $hw_info:tt format $format:tt oa $oa:tt contiguous $contiguous:tt dirty $dirty:tt software $software:tt other $other:tt } $(#[$m:meta])* enum Feature { $($body:tt)* } $($rest:tt)*) => {
        $crate::__pt_parse! { @items $head { variants $variants item $item attrs $attrs geometry $geometry quirks $quirks features [$($body)*] supported $supported forced $forced bits $bits config $config hw_info $hw_info format $format oa $oa contiguous $contiguous dirty $dirty software $software other $other } $($rest)* }
    };
    (@items $head:tt { variants $variants:tt item $item:tt attrs $attrs:tt geometry $geometry:tt quirks $quirks:tt features $features:tt supported [] forced $forced:tt bits $bits:tt config $config:tt hw_info $hw_info:tt format $format:tt oa $oa:tt contiguous $contiguous:tt dirty $dirty:tt software $software:tt other $other:tt } $(#[$m:meta])* const SUPPORTED: Features = $($f:ident)|+; $($rest:tt)*) => {
        $crate::__pt_parse! { @items $head { variants $variants item $item attrs $attrs geometry $geometry quirks $quirks features $features supported [$($f)+] forced $forced bits $bits config $config hw_info $hw_info format $format oa $oa contiguous $contiguous dirty $dirty software $software other $other } $($rest)* }
    };
    (@items $head:tt { variants $variants:tt item $item:tt attrs $attrs:tt geometry $geometry:tt quirks $quirks:tt features $features:tt supported $supported:tt forced [] bits $bits:tt config $config:tt hw_info $hw_info:tt format $format:tt oa $oa:tt contiguous $contiguous:tt dirty $dirty:tt software $software:tt other $other:tt } $(#[$m:meta])* const FORCED: Features = $($f:ident)|+; $($rest:tt)*) => {
        $crate::__pt_parse! { @items $head { variants $variants item $item attrs $attrs geometry $geometry quirks $quirks features $features supported $supported forced [$($f)+] bits $bits config $config hw_info $hw_info format $format oa $oa contiguous $contiguous dirty $dirty software $software other $other } $($rest)* }
    };
    (@items $head:tt { variants $variants:tt item $item:tt attrs $attrs:tt geometry $geometry:tt quirks $quirks:tt features $features:tt supported $supported:tt forced $forced:tt bits [] config $config:tt hw_info $hw_info:tt format $format:tt oa $oa:tt contiguous $contiguous:tt dirty $dirty:tt software $software:tt other $other:tt } $(#[$m:meta])* enum Bits { $($body:tt)* } $($rest:tt)*) => {
        $crate::__pt_parse! { @items $head { variants $variants item $item attrs $attrs geometry $geometry quirks $quirks features $features supported $supported forced $forced bits [$($body)*] config $config hw_info $hw_info format $format oa $oa contiguous $contiguous dirty $dirty software $software other $other } $($rest)* }
    };
    (@items $head:tt { variants $variants:tt item $item:tt attrs $attrs:tt geometry $geometry:tt quirks $quirks:tt features $features:tt supported $supported:tt forced $forced:tt bits $bits:tt config [] hw_info $hw_info:tt format $format:tt oa $oa:tt contiguous $contiguous:tt dirty $dirty:tt software $software:tt other $other:tt } $(#[$m:meta])* $v:vis struct Config { $($body:tt)* } $($rest:tt)*) => {
        $crate::__pt_parse! { @items $head { variants $variants item $item attrs $attrs geometry $geometry quirks $quirks features $features supported $supported forced $forced bits $bits config [{ $(#[$m])* $v } { $($body)* }] hw_info $hw_info format $format oa $oa contiguous $contiguous dirty $dirty software $software other $other } $($rest)* }
    };
    (@items $head:tt { variants $variants:tt item $item:tt attrs $attrs:tt geometry $geometry:tt quirks $quirks:tt features $features:tt supported $supported:tt forced $forced:tt bits $bits:tt config $config:tt hw_info [] format $format:tt oa $oa:tt contiguous $contiguous:tt dirty $dirty:tt software $software:tt other $other:tt } $(#[$m:meta])* $v:vis struct HwInfo { $($body:tt)* } $($rest:tt)*) => {
        $crate::__pt_parse! { @items $head { variants $variants item $item attrs $attrs geometry $geometry quirks $quirks features $features supported $supported forced $forced bits $bits config $config hw_info [{ $(#[$m])* $v } { $($body)* }] format $format oa $oa contiguous $contiguous dirty $dirty software $software other $other } $($rest)* }
    };
    (@items $head:tt { variants $variants:tt item $item:tt attrs $attrs:tt geometry $geometry:tt quirks $quirks:tt features $features:tt supported $supported:tt forced $forced:tt bits $bits:tt config $config:tt hw_info $hw_info:tt format [] oa $oa:tt contiguous $contiguous:tt dirty $dirty:tt software $software:tt other $other:tt } $(#[$m:meta])* impl PtFormat for Format { $($body:tt)* } $($rest:tt)*) => {
        $crate::__pt_parse! { @items $head { variants $variants item $item attrs $attrs geometry $geometry quirks $quirks features $features supported $supported forced $forced bits $bits config $config hw_info $hw_info format [$(#[$m])* impl PtFormat for Format { $($body)* }] oa $oa contiguous $contiguous dirty $dirty software $software other $other } $($rest)* }
    };
    (@items $head:tt { variants $variants:tt item $item:tt attrs $attrs:tt geometry $geometry:tt quirks $quirks:tt features $features:tt supported $supported:tt forced $forced:tt bits $bits:tt config $config:tt hw_info $hw_info:tt format $format:tt oa [] contiguous $contiguous:tt dirty $dirty:tt software $software:tt other $other:tt } $(#[$m:meta])* impl EntryOa for Format { $($body:tt)* } $($rest:tt)*) => {
        $crate::__pt_parse! { @items $head { variants $variants item $item attrs $attrs geometry $geometry quirks $quirks features $features supported $supported forced $forced bits $bits config $config hw_info $hw_info format $format oa [Entry EntryOa entry_oa { $(#[$m])* impl EntryOa for Format { $($body)* } }] contiguous $contiguous dirty $dirty software $software other $other } $($rest)* }
    };
    (@items $head:tt { variants $variants:tt item $item:tt attrs $attrs:tt geometry $geometry:tt quirks $quirks:tt features $features:tt supported $supported:tt forced $forced:tt bits $bits:tt config $config:tt hw_info $hw_info:tt format $format:tt oa [] contiguous $contiguous:tt dirty $dirty:tt software $software:tt other $other:tt } $(#[$m:meta])* impl ItemOa for Format { $($body:tt)* } $($rest:tt)*) => {
        $crate::__pt_parse! { @items $head { variants $variants item $item attrs $attrs geometry $geometry quirks $quirks features $features supported $supported forced $forced bits $bits config $config hw_info $hw_info format $format oa [Item ItemOa item_oa { $(#[$m])* impl ItemOa for Format { $($body)* } }] contiguous $contiguous dirty $dirty software $software other $other } $($rest)* }
    };
    (@items $head:tt { variants $variants:tt item $item:tt attrs $attrs:tt geometry $geometry:tt quirks $quirks:tt features $features:tt supported $supported:tt forced $forced:tt bits $bits:tt config $config:tt hw_info $hw_info:tt format $format:tt oa $oa:tt contiguous [] dirty $dirty:tt software $software:tt other $other:tt } $(#[$m:meta])* impl Contiguous for Format { $($body:tt)* } $($rest:tt)*) => {
        $crate::__pt_parse! { @items $head { variants $variants item $item attrs $attrs geometry $geometry quirks $quirks features $features supported $supported forced $forced bits $bits config $config hw_info $hw_info format $format oa $oa contiguous [$(#[$m])* impl Contiguous for Format { $($body)* }] dirty $dirty software $software other $other } $($rest)* }
    };
    (@items $head:tt { variants $variants:tt item $item:tt attrs $attrs:tt geometry $geometry:tt quirks $quirks:tt features $features:tt supported $supported:tt forced $forced:tt bits $bits:tt config $config:tt hw_info $hw_info:tt format $format:tt oa $oa:tt contiguous $contiguous:tt dirty [] software $software:tt other $other:tt } $(#[$m:meta])* impl Dirty for Format { $($body:tt)* } $($rest:tt)*) => {
        $crate::__pt_parse! { @items $head { variants $variants item $item attrs $attrs geometry $geometry quirks $quirks features $features supported $supported forced $forced bits $bits config $config hw_info $hw_info format $format oa $oa contiguous $contiguous dirty [$(#[$m])* impl Dirty for Format { $($body)* }] software $software other $other } $($rest)* }
    };
    (@items $head:tt { variants $variants:tt item $item:tt attrs $attrs:tt geometry $geometry:tt quirks $quirks:tt features $features:tt supported $supported:tt forced $forced:tt bits $bits:tt config $config:tt hw_info $hw_info:tt format $format:tt oa $oa:tt contiguous $contiguous:tt dirty $dirty:tt software [] other $other:tt } $(#[$m:meta])* impl SoftwareBits for Format { $($body:tt)* } $($rest:tt)*) => {
        $crate::__pt_parse! { @items $head { variants $variants item $item attrs $attrs geometry $geometry quirks $quirks features $features supported $supported forced $forced bits $bits config $config hw_info $hw_info format $format oa $oa contiguous $contiguous dirty $dirty software [$(#[$m])* impl SoftwareBits for Format { $($body)* }] other $other } $($rest)* }
    };
    // Helper functions and constants are the format's own business.
    (@items $head:tt { variants $variants:tt item $item:tt attrs $attrs:tt geometry $geometry:tt quirks $quirks:tt features $features:tt supported $supported:tt forced $forced:tt bits $bits:tt config $config:tt hw_info $hw_info:tt format $format:tt oa $oa:tt contiguous $contiguous:tt dirty $dirty:tt software $software:tt other [$($other:tt)*] } $helper:item $($rest:tt)*) => {
        $crate::__pt_parse! { @items $head { variants $variants item $item attrs $attrs geometry $geometry quirks $quirks features $features supported $supported forced $forced bits $bits config $config hw_info $hw_info format $format oa $oa contiguous $contiguous dirty $dirty software $software other [$($other)* $helper] } $($rest)* }
    };
}

/// One module, or for a family (a body with parameter modules) a module of modules.
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_family {
    ($head:tt { variants [] $($slots:tt)* }) => { $crate::__pt_emit! { $head {} $($slots)* } };
    ([[$($meta:tt)*] [$vis:vis] $family:ident] { variants [$({ $head:tt $consts:tt })+] $($slots:tt)* }) => {
        $($meta)*
        $vis mod $family {
            $crate::__pt_variants! { { $($slots)* } $({ $head $consts })+ }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __pt_variants {
    ($slots:tt) => {};
    ({ $($slots:tt)* } { $head:tt $consts:tt } $($rest:tt)*) => {
        $crate::__pt_emit! { $head $consts $($slots)* }
        $crate::__pt_variants! { { $($slots)* } $($rest)* }
    };
}

/// The module of one format.
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_emit {
    (
        [[$($meta:tt)*] [$vis:vis] $name:ident] { $($consts:tt)* }
        item [$item:tt] attrs [$($attrs:tt)*] geometry [$($geometry:tt)*] quirks [$($quirks:tt)*]
        features [$($features:tt)*] supported [$($supported:ident)*] forced [$($forced:ident)*] bits [$($bits:tt)*]
        config [{ $($config_head:tt)* } $config:tt] hw_info [{ $($hw_info_head:tt)* } $hw_info:tt]
        format [$($format:tt)*] oa [$style:ident $OaTrait:ident $oa:ident { $($oa_impl:tt)* }]
        contiguous [$($contiguous:tt)*] dirty [$($dirty:tt)*] software [$($software:tt)*] other [$($other:tt)*]
    ) => {
        $($meta)*
        $vis mod $name {
            #[allow(unused_imports, reason = "a format uses what it needs")]
            use $crate::format::prelude::*;

            $($consts)*

            /// The format, as a type.
            #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
            pub struct Format;

            /// The item word.
            pub type Item = $item;

            #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
            $($config_head)* struct Config $config

            #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
            $($hw_info_head)* struct HwInfo $hw_info

            /// Sizes and limits.
            pub const GEOMETRY: Geometry = Geometry { $($geometry)* };

            $crate::__pt_features! { 0 [] $($features)* }

            /// Features that are compiled in.
            pub const SUPPORTED: Features = Features::empty()$(.union($supported))*;

            /// Features that are always on, and have to be asked for.
            pub const FORCED: Features = Features::empty()$(.union($forced))*;

            $crate::__pt_bits! { [] $($bits)* }

            impl $crate::format::Description for Format {
                type Item = Item;
                type Config = Config;
                type HwInfo = HwInfo;
                type Attrs = $crate::__pt_or! { [$($attrs)*] [Item] };
                const NAME: &'static $crate::__private::str = $crate::__private::stringify!($name);
                const GEOMETRY: Geometry = GEOMETRY;
                const QUIRKS: Quirks = $crate::__pt_quirks! { $($quirks)* };
                const SUPPORTED: Features = SUPPORTED;
                const FORCED: Features = FORCED;
                const OWN_FEATURES: &'static [(&'static $crate::__private::str, Features)] = OWN_FEATURES;
                const FIELDS: &'static [$crate::field::FieldInfo] = FIELDS;
            }

            $($format)*
            $($oa_impl)*
            $($contiguous)*
            $($dirty)*
            $($software)*
            $($other)*

            impl $crate::format::Groups for Format {
                const OA_STYLE: $crate::format::OaStyle = $crate::format::OaStyle::$style;

                #[inline(always)]
                fn stored_oa(common: &Common<Self>, level: u32, raw: Item) -> u64 {
                    <Self as $OaTrait>::$oa(common, level, raw)
                }
                $crate::__pt_group! { Contiguous [$($contiguous)*] }
                $crate::__pt_group! { Dirty [$($dirty)*] }
                $crate::__pt_group! { SoftwareBits [$($software)*] }
            }

            $crate::__pt_walkers! { $name }
            $crate::__pt_operations! { $name }
        }
    };
}

/// The first list unless it is empty, else the second.
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_or {
    ([] [$($default:tt)*]) => { $($default)* };
    ([$($given:tt)+] $default:tt) => { $($given)+ };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __pt_quirks {
    () => { $crate::format::Quirks::NONE };
    ($($fields:tt)+) => { $crate::format::Quirks { $($fields)+ } };
}

/// The forwarding functions of an optional group that a format has.
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_group {
    ($Group:ident []) => {};
    (Contiguous $present:tt) => {
        const HAS_CONTIGUOUS: $crate::__private::bool = true;
        #[inline(always)]
        fn contig_lg2(common: &Common<Self>, level: u32, raw: Item) -> u32 {
            <Self as $crate::format::Contiguous>::contig_lg2(common, level, raw)
        }
    };
    (Dirty $present:tt) => {
        const HAS_DIRTY: $crate::__private::bool = true;
        #[inline(always)]
        fn is_dirty(common: &Common<Self>, level: u32, raw: Item) -> $crate::__private::bool {
            <Self as $crate::format::Dirty>::is_dirty(common, level, raw)
        }
        #[inline(always)]
        fn clean_item(common: &Common<Self>, level: u32, raw: Item) -> Item {
            <Self as $crate::format::Dirty>::clean_item(common, level, raw)
        }
        #[inline(always)]
        fn dirty_item(common: &Common<Self>, level: u32, raw: Item) -> Item {
            <Self as $crate::format::Dirty>::dirty_item(common, level, raw)
        }
    };
    (SoftwareBits $present:tt) => {
        const HAS_SOFTWARE_BITS: $crate::__private::bool = true;
        #[inline(always)]
        fn software_bits(common: &Common<Self>) -> &'static [$crate::__private::u32] {
            <Self as $crate::format::SoftwareBits>::software_bits(common)
        }
    };
}

/// The format's own features: one constant each, and the list of them.
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_features {
    ($n:tt [$($name:ident)*] $(#[$meta:meta])* $feature:ident $(, $($rest:tt)*)?) => {
        $(#[$meta])*
        pub const $feature: Features =
            Features::own(<[&$crate::__private::str]>::len(&[$($crate::__private::stringify!($name)),*]) as u32);
        $crate::__pt_features! { $n [$($name)* $feature] $($($rest)*)? }
    };
    ($n:tt [$($name:ident)*]) => {
        const OWN_FEATURES: &[(&$crate::__private::str, Features)] =
            &[$(($crate::__private::stringify!($name), $name)),*];
    };
}

/// The bit fields: one constant each, and the list of them.
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_bits {
    ([$($name:ident)*] $(#[$meta:meta])* $field:ident = $place:expr $(, $($rest:tt)*)?) => {
        $(#[$meta])*
        pub const $field: $crate::field::Field<Item> = $place;
        $crate::__pt_bits! { [$($name)* $field] $($($rest)*)? }
    };
    ([$($name:ident)*]) => {
        const FIELDS: &[$crate::field::FieldInfo] = &[$($crate::field::FieldInfo {
            name: $crate::__private::stringify!($name), doc: "", pieces: $name.pieces(), kind: $name.kind(),
        }),*];
    };
}
