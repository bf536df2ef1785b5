//! The module of a format, from the parsed description.

/// A check of [`check::token`](crate::check::token) at a token: it has to hold for a type parameter of the same name.
///
/// The values (whether it holds, numbers) must not have tokens of the author's: here those would be type parameters.
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_token {
    ($check:ident [$($token:tt)+] $($value:expr),*) => {
        const _: () = {
            #[allow(dead_code, non_camel_case_types, reason = "a type parameter has the name of the token")]
            const fn token<$($token)+>() {
                $crate::check::token::$check::<$($token)+, $({ $value }),*>()
            }
        };
    };
}

/// The module of one format. The slots are in the order of `__pt_parse!`.
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_emit {
    (
        [[$($meta:tt)*] [$vis:vis] $name:tt] { $($params:tt)* }
        {
            [$item:path] $attrs:tt [{ $($geometry:tt)* } $($geometry_field:tt)*] $quirks:tt
            $features:tt [{ $($supported:tt)* }] [$({ $($forced:tt)* })?]
            [$({ [$($doc:expr),*] $field:ident [$($place:tt)*] })+]
        }
        { [$($config:item $config_body:tt)?] [$($hw_info:item $hw_info_body:tt)?] }
        {
            [$format:item] [$style:ident $OaTrait:ident $oa:ident { $oa_impl:item }]
            [$($contiguous:item)?] [$($dirty:item)?] [$($software:item)?]
        }
        [$($helper:item)*]
    ) => {
        $($meta)*
        #[doc = "\n# Bits of an item\n\n| bits | field | meaning |\n| ---: | --- | --- |"]
        $(#[doc = $crate::__private::concat!(
            "| ", $crate::__pt_place_doc!(@bits $($place)*),
            " | `", $crate::__private::stringify!($field),
            "` |", $($doc,)* $crate::__pt_place_doc!(@items $($place)*), " |",
        )])+
        $vis mod $name {
            #[allow(unused_imports, reason = "a format uses what it needs")]
            use $crate::format::prelude::*;

            $($params)*
            $crate::__pt_settings! { @variant { $($params)* } { $($params)* } }

            /// The format, as a type.
            #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
            pub struct Format;

            /// The item word.
            pub type Item = $item;

            $(
                #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
                $config
                $crate::__pt_settings! { Config $config_body }
            )?

            $(
                #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
                $hw_info
                $crate::__pt_settings! { HwInfo $hw_info_body }
            )?

            /// Sizes and limits.
            pub const GEOMETRY: Geometry = $($geometry)*;

            $crate::__pt_features! { $features }

            /// Features that are compiled in.
            pub const SUPPORTED: Features = Features::empty()$(.union($supported))*;

            /// Features that are always on, and have to be asked for.
            pub const FORCED: Features = Features::empty()$($(.union($forced))*)?;

            $crate::__pt_bits! { [] $({ [$($doc),*] $field [$($place)*] })+ }

            const FIELDS: &[$crate::field::FieldInfo] = &[$($crate::field::FieldInfo {
                name: $crate::__private::stringify!($field),
                doc: $crate::__private::concat!($($doc),*).trim_ascii(),
                pieces: $field.pieces(),
                kind: $field.kind(),
                scope: $field.scope(),
                below: $field.below(),
            }),+];

            impl $crate::format::Description for Format {
                type Item = Item;
                type Config = Config;
                type HwInfo = HwInfo;
                type Attrs = $crate::__pt_or! { $attrs [Item] };
                const NAME: &'static $crate::__private::str = $crate::__private::stringify!($name);
                const DOC: &'static $crate::__private::str = $crate::__pt_doc!($($meta)*).trim_ascii();
                const GEOMETRY: Geometry = GEOMETRY;
                const QUIRKS: Quirks = $crate::__pt_or! { $quirks [Quirks::NONE] };
                const SUPPORTED: Features = SUPPORTED;
                const FORCED: Features = FORCED;
                const OWN_FEATURES: &'static [(&'static $crate::__private::str, Features)] = OWN_FEATURES;
                const OWN_FEATURE_DOCS: &'static [&'static $crate::__private::str] = OWN_FEATURE_DOCS;
                const FIELDS: &'static [$crate::field::FieldInfo] = FIELDS;
            }

            $format
            $oa_impl
            $($contiguous)?
            $($dirty)?
            $($software)?
            $($helper)*

            impl $crate::format::Groups for Format {
                const OA_STYLE: $crate::format::OaStyle = $crate::format::OaStyle::$style;

                #[inline(always)]
                fn stored_oa(
                    common: &Common<Self>,
                    level: $crate::__private::u32,
                    raw: Item,
                ) -> $crate::__private::u64 {
                    <Self as $crate::format::$OaTrait>::$oa(common, level, raw)
                }
                $crate::__pt_group! { Contiguous [$($contiguous)?] }
                $crate::__pt_group! { Dirty [$($dirty)?] }
                $crate::__pt_group! { SoftwareBits [$($software)?] }
            }

            const _: () = {
                const VERDICT: $crate::check::Verdict =
                    $crate::check::geometry::<Format>(<Format as $crate::format::Groups>::HAS_CONTIGUOUS);
                $($crate::__pt_rules! { $geometry_field [$geometry_field] })*
                $crate::__pt_rules! { @quirks $quirks }
            };
            $(const _: () = {
                const OK: $crate::__private::bool = $crate::check::incoherent::<Format>($supported);
                $crate::__pt_token! { incoherent_has_software_bits [$supported] OK }
            };)*
            $($(const _: () = {
                const FEATURE: Features = $forced;
                const SUPPORTED: $crate::__private::bool = $crate::check::supported::<Format>(FEATURE);
                const ALONE: $crate::__private::bool = $crate::check::sign_extend::<Format>(FEATURE);
                $crate::__pt_token! { forced_is_supported [$forced] SUPPORTED }
                $crate::__pt_token! { sign_extend_alone [$forced] ALONE }
            };)*)?

            $crate::__pt_walkers! { $name }
            $crate::__pt_operations! { $name }
        }
    };
}

/// The numbers of `Config` or `HwInfo` by name, from the struct's body; or those of the structs among a variant's parameters.
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_settings {
    (@variant {} {}) => {};
    (@variant
        { $(#[$($m:tt)*])* $v:vis struct Config { $($body:tt)* } $($x:tt)* }
        { $i:item $($rest:tt)* }
    ) => {
        $crate::__pt_settings! { Config { $($body)* } }
        $crate::__pt_settings! { @variant { $($rest)* } { $($rest)* } }
    };
    (@variant
        { $(#[$($m:tt)*])* $v:vis struct HwInfo { $($body:tt)* } $($x:tt)* }
        { $i:item $($rest:tt)* }
    ) => {
        $crate::__pt_settings! { HwInfo { $($body)* } }
        $crate::__pt_settings! { @variant { $($rest)* } { $($rest)* } }
    };
    // Without names for its fields, or without fields: none of them can be set.
    (@variant
        { $(#[$($m:tt)*])* $v:vis struct Config $(($($tuple:tt)*))?; $($x:tt)* }
        { $i:item $($rest:tt)* }
    ) => {
        $crate::__pt_settings! { Config {} }
        $crate::__pt_settings! { @variant { $($rest)* } { $($rest)* } }
    };
    (@variant
        { $(#[$($m:tt)*])* $v:vis struct HwInfo $(($($tuple:tt)*))?; $($x:tt)* }
        { $i:item $($rest:tt)* }
    ) => {
        $crate::__pt_settings! { HwInfo {} }
        $crate::__pt_settings! { @variant { $($rest)* } { $($rest)* } }
    };
    (@variant $tokens:tt { $i:item $($rest:tt)* }) => {
        $crate::__pt_settings! { @variant { $($rest)* } { $($rest)* } }
    };
    ($Struct:ident { $($(#[$($meta:tt)*])* $v:vis $field:ident: $T:ty),* $(,)? }) => {
        impl $crate::settings::Settings for $Struct {
            const FIELDS: &'static [$crate::settings::SettingInfo] = &[$($crate::settings::SettingInfo {
                name: $crate::__private::stringify!($field),
                doc: $crate::__pt_doc!($(#[$($meta)*])*).trim_ascii(),
            }),*];

            fn setting_mut(
                &mut self,
                n: $crate::__private::usize,
            ) -> $crate::__private::Option<&mut dyn $crate::settings::Setting> {
                #[allow(unused_imports, reason = "a struct may have fields of one kind only, or none")]
                use $crate::settings::{IsOther as _, IsSetting as _};
                let fields: [$crate::__private::Option<&mut dyn $crate::settings::Setting>; {
                    <Self as $crate::settings::Settings>::FIELDS.len()
                }] = [$($crate::settings::Probe(&mut self.$field).setting()),*];
                $crate::__private::Iterator::nth(&mut $crate::__private::IntoIterator::into_iter(fields), n)?
            }
        }
    };
}

/// The documentation among attributes, as one text.
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_doc {
    (@line doc = $doc:expr) => { $crate::__private::concat!($doc, "\n") };
    (@line $($other:tt)*) => { "" };
    ($(#[$($meta:tt)*])*) => { $crate::__private::concat!($($crate::__pt_doc!(@line $($meta)*)),*) };
}

/// The first list unless it is empty, else the second.
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_or {
    ([] [$($default:tt)*]) => { $($default)* };
    ([$($given:tt)+] $default:tt) => { $($given)+ };
}

/// The forwarding functions of an optional group that a format has.
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_group {
    ($Group:ident []) => {};
    (Contiguous $present:tt) => {
        const HAS_CONTIGUOUS: $crate::__private::bool = true;
        #[inline(always)]
        fn contig_lg2(common: &Common<Self>, level: $crate::__private::u32, raw: Item) -> $crate::__private::u32 {
            <Self as $crate::format::Contiguous>::contig_lg2(common, level, raw)
        }
    };
    (Dirty $present:tt) => {
        const HAS_DIRTY: $crate::__private::bool = true;
        #[inline(always)]
        fn tracks_dirty(common: &Common<Self>) -> $crate::__private::bool {
            <Self as $crate::format::Dirty>::tracks_dirty(common)
        }
        #[inline(always)]
        fn is_dirty(common: &Common<Self>, level: $crate::__private::u32, raw: Item) -> $crate::__private::bool {
            <Self as $crate::format::Dirty>::is_dirty(common, level, raw)
        }
        #[inline(always)]
        fn clean_item(common: &Common<Self>, level: $crate::__private::u32, raw: Item) -> Item {
            <Self as $crate::format::Dirty>::clean_item(common, level, raw)
        }
        #[inline(always)]
        fn dirty_item(common: &Common<Self>, level: $crate::__private::u32, raw: Item) -> Item {
            <Self as $crate::format::Dirty>::dirty_item(common, level, raw)
        }
        #[inline(always)]
        fn dirty_bits(common: &Common<Self>) -> Item {
            <Self as $crate::format::Dirty>::dirty_bits(common)
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
    ([]) => {
        const OWN_FEATURES: &[(&$crate::__private::str, Features)] = &[];
        const OWN_FEATURE_DOCS: &[&$crate::__private::str] = &[];
    };
    ([$key:tt { $({ [$($meta:tt)*] $feature:ident })* } $body:tt]) => {
        const OWN_FEATURE_NAMES: &[&$crate::__private::str] = &[$($crate::__private::stringify!($feature)),*];
        $(
            $($meta)*
            pub const $feature: Features =
                $crate::check::own_feature(OWN_FEATURE_NAMES, $crate::__private::stringify!($feature));
        )*
        const OWN_FEATURES: &[(&$crate::__private::str, Features)] =
            &[$(($crate::__private::stringify!($feature), $feature)),*];
        const OWN_FEATURE_DOCS: &[&$crate::__private::str] = &[$($crate::__pt_doc!($($meta)*).trim_ascii()),*];
        const OWN_FEATURE_COUNT: $crate::__private::u32 = OWN_FEATURES.len() as $crate::__private::u32;
        $crate::__pt_token! { own_features [$key] OWN_FEATURE_COUNT <= 16, OWN_FEATURE_COUNT }
    };
}

/// The checks that are reported at a field of the geometry or of the quirks, from `VERDICT`.
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_rules {
    (@quirks [$Quirks:tt { $($fields:tt)* }]) => { $crate::__pt_rules! { @quirks $($fields)* } };
    (@quirks $field:tt: $value:expr, $($rest:tt)*) => {
        $crate::__pt_rules! { $field [$field] }
        $crate::__pt_rules! { @quirks $($rest)* }
    };
    (@quirks $field:tt: $value:expr) => { $crate::__pt_rules! { $field [$field] } };
    (@quirks $($base:tt)*) => {};
    (@at $token:tt $($check:ident $Rule:ident),+) => {
        $($crate::__pt_token! {
            $check $token VERDICT.passes($crate::check::Rule::$Rule), VERDICT.found, VERDICT.limit
        })+
    };
    (granule_lg2 $token:tt) => { $crate::__pt_rules! { @at $token granule Granule } };
    (table_lg2 $token:tt) => { $crate::__pt_rules! { @at $token table_items TableItems } };
    (max_va_lg2 $token:tt) => { $crate::__pt_rules! { @at $token va_bits VaBits, va_reach VaReach } };
    (max_oa_lg2 $token:tt) => { $crate::__pt_rules! { @at $token oa_bits OaBits, oa_held OaHeld } };
    (max_top_level $token:tt) => { $crate::__pt_rules! { @at $token levels Levels } };
    (leaf_levels $token:tt) => {
        $crate::__pt_rules! {
            @at $token leaf_somewhere LeafSomewhere, leaf_levels LeafLevels, leaf_address LeafAddress
        }
    };
    (top_pa_mask $token:tt) => { $crate::__pt_rules! { @at $token top_pa TopPa, top_align TopAlign } };
    (link_lo $token:tt) => { $crate::__pt_rules! { @at $token link_bits LinkBits } };
    (va_prefix $token:tt) => { $crate::__pt_rules! { @at $token prefix Prefix } };
    // The compiler reports unknown fields of the struct.
    ($other:tt $token:tt) => {};
}
