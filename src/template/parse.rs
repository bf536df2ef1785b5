//! The parser of a description.

/// The parser: takes one item after the other and files it under its key.
///
/// | metavariable | what it is |
/// | --- | --- |
/// | `$head` | `[[attributes] [visibility] name]` of the module |
/// | `$go` | `{ $head {items} {items} }`: what is not parsed yet, twice: to be taken apart, and to be taken whole |
/// | `$state` | the slots, in four groups: `{data} {types} {impls} {lists}`; an empty slot is `[]` |
/// | `$k` | the key token, in brackets |
/// | `$v` | what is filed, in brackets |
///
/// Each item takes two steps of recursion; the default limit of 128 is enough for 25 items and 30 bit fields.
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_parse {
    // -----------------------------------------------------------------------------------------------------------------
    // The name of the module.
    (@name $head:tt $name:ident { $($body:tt)* }) => {
        $crate::__pt_parse! {
            @items { $head { $($body)* } { $($body)* } }
            { [] [] [] [] [] [] [] [] } { [] [] } { [] [] [] [] [] } { [] [] }
        }
    };
    (@name $head:tt $name:tt $body:tt) => {
        $crate::__private::compile_error!($crate::__private::concat!(
            "the name of a format is an identifier, as in `pub mod amdv1 { .. }`, but this is `",
            $crate::__private::stringify!($name),
            "`",
        ));
    };

    // -----------------------------------------------------------------------------------------------------------------
    // The kind of the next item.
    (@items { $head:tt {} {} } $($state:tt)*) => {
        $crate::__pt_parse! { @complete $head $($state)* }
    };
    (@items {
        $head:tt
        { $(#[$($m:tt)*])* $v:vis mod $name:tt { $($p:tt)* } $($x:tt)* }
        { $i:item $($rest:tt)* }
    } $($state:tt)*) => {
        $crate::__pt_parse! {
            @file { variant any [$name] { [[$(#[$($m)*])*] [$v] $name] { $($p)* } } }
            { $head { $($rest)* } { $($rest)* } } $($state)*
        }
    };
    (@items {
        $head:tt
        { $(#[$($m:tt)*])* type $key:tt = $t:tt; $($x:tt)* }
        { $i:item $($rest:tt)* }
    } $($state:tt)*) => {
        $crate::__pt_parse! {
            @file { type $key [$key] [$t] }
            { $head { $($rest)* } { $($rest)* } } $($state)*
        }
    };
    (@items {
        $head:tt
        { $(#[$($m:tt)*])* type $key:tt = $t:ty; $($x:tt)* }
        { $i:item $($rest:tt)* }
    } $($state:tt)*) => {
        $crate::__pt_parse! {
            @file { path $key [$key] [$t] }
            { $head { $($rest)* } { $($rest)* } } $($state)*
        }
    };
    (@items {
        $head:tt
        { $(#[$($m:tt)*])* const $key:tt: Geometry = $T:tt { $($f:tt $(: $value:expr)?),* $(,)? }; $($x:tt)* }
        { $i:item $($rest:tt)* }
    } $($state:tt)*) => {
        $crate::__pt_parse! {
            @file { geometry $key [$key] [{ $T { $($f $(: $value)?),* } } $($f)*] }
            { $head { $($rest)* } { $($rest)* } } $($state)*
        }
    };
    (@items {
        $head:tt
        { $(#[$($m:tt)*])* const $key:tt: Quirks = $T:tt { $($q:tt)* }; $($x:tt)* }
        { $i:item $($rest:tt)* }
    } $($state:tt)*) => {
        $crate::__pt_parse! {
            @file { quirks $key [$key] [$T { $($q)* }] }
            { $head { $($rest)* } { $($rest)* } } $($state)*
        }
    };
    (@items {
        $head:tt
        { $(#[$($m:tt)*])* const $key:tt: Features = $($f:tt)|+; $($x:tt)* }
        { $i:item $($rest:tt)* }
    } $($state:tt)*) => {
        $crate::__pt_parse! {
            @file { features $key [$key] [{ $($f)+ }] }
            { $head { $($rest)* } { $($rest)* } } $($state)*
        }
    };
    (@items {
        $head:tt
        { $(#[$($m:tt)*])* const $key:tt: Features = Features::empty(); $($x:tt)* }
        { $i:item $($rest:tt)* }
    } $($state:tt)*) => {
        $crate::__pt_parse! {
            @file { features $key [$key] [{}] }
            { $head { $($rest)* } { $($rest)* } } $($state)*
        }
    };
    (@items {
        $head:tt
        { $(#[$($m:tt)*])* const $key:tt: $T:tt $($x:tt)* }
        { $i:item $($rest:tt)* }
    } $($state:tt)*) => {
        $crate::__pt_parse! {
            @file { const ($key $T) [$key] [$i] }
            { $head { $($rest)* } { $($rest)* } } $($state)*
        }
    };
    (@items {
        $head:tt
        {
            $(#[$($m:tt)*])* enum $key:tt { $($(#[doc = $doc:expr])* $f:ident = $($call:tt $args:tt).+),+ $(,)? }
            $($x:tt)*
        }
        { $i:item $($rest:tt)* }
    } $($state:tt)*) => {
        $crate::__pt_parse! {
            @file { fields $key [$key] [$({ [$($doc),*] $f [$([$call $call $args])+] })+] }
            { $head { $($rest)* } { $($rest)* } } $($state)*
        }
    };
    (@items {
        $head:tt
        { $(#[$($m:tt)*])* enum $key:tt { $($(#[$($f_meta:tt)*])* $f:ident),* $(,)? } $($x:tt)* }
        { $i:item $($rest:tt)* }
    } $($state:tt)*) => {
        $crate::__pt_parse! {
            @file { names $key [$key] [$key { $({ [$(#[$($f_meta)*])*] $f })* } { $($(#[$($f_meta)*])* $f),* }] }
            { $head { $($rest)* } { $($rest)* } } $($state)*
        }
    };
    (@items {
        $head:tt
        { $(#[$($m:tt)*])* enum $key:tt { $($body:tt)* } $($x:tt)* }
        { $i:item $($rest:tt)* }
    } $($state:tt)*) => {
        $crate::__pt_parse! {
            @file { enum $key [$key] [$($body)*] }
            { $head { $($rest)* } { $($rest)* } } $($state)*
        }
    };
    (@items {
        $head:tt
        { $(#[$($m:tt)*])* $v:vis struct $key:tt { $($body:tt)* } $($x:tt)* }
        { $i:item $($rest:tt)* }
    } $($state:tt)*) => {
        $crate::__pt_parse! {
            @file { struct $key [$key] [$i { $($body)* }] }
            { $head { $($rest)* } { $($rest)* } } $($state)*
        }
    };
    (@items {
        $head:tt
        { $(#[$($m:tt)*])* $v:vis struct $key:tt $($x:tt)* }
        { $i:item $($rest:tt)* }
    } $($state:tt)*) => {
        $crate::__pt_parse! {
            @file { struct $key [$key] [$i {}] }
            { $head { $($rest)* } { $($rest)* } } $($state)*
        }
    };
    (@items {
        $head:tt
        { $(#[$($m:tt)*])* impl $key:tt for Format $($x:tt)* }
        { $i:item $($rest:tt)* }
    } $($state:tt)*) => {
        $crate::__pt_parse! {
            @file { impl $key [$key] [$i] }
            { $head { $($rest)* } { $($rest)* } } $($state)*
        }
    };
    (@items { $head:tt $tokens:tt { $i:item $($rest:tt)* } } $($state:tt)*) => {
        $crate::__pt_parse! {
            @file { helper any [] [$i] }
            { $head { $($rest)* } { $($rest)* } } $($state)*
        }
    };

    // -----------------------------------------------------------------------------------------------------------------
    // Data: the slots item, attrs, geometry, quirks, feature, supported, forced, bits.
    (@file { type Item $k:tt [u32] } $go:tt { [] $b:tt $c:tt $d:tt $e:tt $f:tt $g:tt $h:tt } $($more:tt)*) => {
        $crate::__pt_parse! { @items $go { [$crate::__private::u32] $b $c $d $e $f $g $h } $($more)* }
    };
    (@file { type Item $k:tt [u64] } $go:tt { [] $b:tt $c:tt $d:tt $e:tt $f:tt $g:tt $h:tt } $($more:tt)*) => {
        $crate::__pt_parse! { @items $go { [$crate::__private::u64] $b $c $d $e $f $g $h } $($more)* }
    };
    (@file { type Attrs $k:tt $v:tt } $go:tt { $a:tt [] $c:tt $d:tt $e:tt $f:tt $g:tt $h:tt } $($more:tt)*) => {
        $crate::__pt_parse! { @items $go { $a $v $c $d $e $f $g $h } $($more)* }
    };
    (@file { path Attrs $k:tt $v:tt } $go:tt { $a:tt [] $c:tt $d:tt $e:tt $f:tt $g:tt $h:tt } $($more:tt)*) => {
        $crate::__pt_parse! { @items $go { $a $v $c $d $e $f $g $h } $($more)* }
    };
    (@file { geometry GEOMETRY $k:tt $v:tt } $go:tt { $a:tt $b:tt [] $d:tt $e:tt $f:tt $g:tt $h:tt } $($more:tt)*) => {
        $crate::__pt_parse! { @items $go { $a $b $v $d $e $f $g $h } $($more)* }
    };
    (@file { quirks QUIRKS $k:tt $v:tt } $go:tt { $a:tt $b:tt $c:tt [] $e:tt $f:tt $g:tt $h:tt } $($more:tt)*) => {
        $crate::__pt_parse! { @items $go { $a $b $c $v $e $f $g $h } $($more)* }
    };
    (@file { names Feature $k:tt $v:tt } $go:tt { $a:tt $b:tt $c:tt $d:tt [] $f:tt $g:tt $h:tt } $($more:tt)*) => {
        $crate::__pt_parse! { @items $go { $a $b $c $d $v $f $g $h } $($more)* }
    };
    (@file { features SUPPORTED $k:tt $v:tt } $go:tt { $a:tt $b:tt $c:tt $d:tt $e:tt [] $g:tt $h:tt } $($more:tt)*) => {
        $crate::__pt_parse! { @items $go { $a $b $c $d $e $v $g $h } $($more)* }
    };
    (@file { features FORCED $k:tt $v:tt } $go:tt { $a:tt $b:tt $c:tt $d:tt $e:tt $f:tt [] $h:tt } $($more:tt)*) => {
        $crate::__pt_parse! { @items $go { $a $b $c $d $e $f $v $h } $($more)* }
    };
    (@file { fields Bits $k:tt $v:tt } $go:tt { $a:tt $b:tt $c:tt $d:tt $e:tt $f:tt $g:tt [] } $($more:tt)*) => {
        $crate::__pt_parse! { @items $go { $a $b $c $d $e $f $g $v } $($more)* }
    };

    // Types: the slots config, hw_info.
    (@file { struct Config $k:tt $v:tt } $go:tt $data:tt { [] $b:tt } $($more:tt)*) => {
        $crate::__pt_parse! { @items $go $data { $v $b } $($more)* }
    };
    (@file { struct HwInfo $k:tt $v:tt } $go:tt $data:tt { $a:tt [] } $($more:tt)*) => {
        $crate::__pt_parse! { @items $go $data { $a $v } $($more)* }
    };

    // Impls: the slots format, oa, contiguous, dirty, software.
    (@file { impl PtFormat $k:tt $v:tt } $go:tt $data:tt $types:tt { [] $b:tt $c:tt $d:tt $e:tt } $lists:tt) => {
        $crate::__pt_parse! { @items $go $data $types { $v $b $c $d $e } $lists }
    };
    (@file { impl EntryOa $k:tt [$i:item] } $go:tt $data:tt $types:tt { $a:tt [] $c:tt $d:tt $e:tt } $lists:tt) => {
        $crate::__pt_parse! { @items $go $data $types { $a [Entry EntryOa entry_oa { $i }] $c $d $e } $lists }
    };
    (@file { impl ItemOa $k:tt [$i:item] } $go:tt $data:tt $types:tt { $a:tt [] $c:tt $d:tt $e:tt } $lists:tt) => {
        $crate::__pt_parse! { @items $go $data $types { $a [Item ItemOa item_oa { $i }] $c $d $e } $lists }
    };
    (@file { impl EntryOa $k:tt $v:tt } $go:tt $data:tt $types:tt { $a:tt [Item $($x:tt)*] $($y:tt)* } $lists:tt) => {
        $crate::__pt_token! { one_oa_style $k }
    };
    (@file { impl ItemOa $k:tt $v:tt } $go:tt $data:tt $types:tt { $a:tt [Entry $($x:tt)*] $($y:tt)* } $lists:tt) => {
        $crate::__pt_token! { one_oa_style $k }
    };
    (@file { impl Contiguous $k:tt $v:tt } $go:tt $data:tt $types:tt { $a:tt $b:tt [] $d:tt $e:tt } $lists:tt) => {
        $crate::__pt_parse! { @items $go $data $types { $a $b $v $d $e } $lists }
    };
    (@file { impl Dirty $k:tt $v:tt } $go:tt $data:tt $types:tt { $a:tt $b:tt $c:tt [] $e:tt } $lists:tt) => {
        $crate::__pt_parse! { @items $go $data $types { $a $b $c $v $e } $lists }
    };
    (@file { impl DirtyBit $k:tt $v:tt } $go:tt $data:tt $types:tt { $a:tt $b:tt $c:tt [] $e:tt } $lists:tt) => {
        $crate::__pt_parse! { @items $go $data $types { $a $b $c $v $e } $lists }
    };
    (@file { impl SoftwareBits $k:tt $v:tt } $go:tt $data:tt $types:tt { $a:tt $b:tt $c:tt $d:tt [] } $lists:tt) => {
        $crate::__pt_parse! { @items $go $data $types { $a $b $c $d $v } $lists }
    };

    // Lists: the slots variants, helpers. Helpers are what is no key, and cannot be meant as one.
    (@file { variant any $k:tt $v:tt } $go:tt $data:tt $types:tt $impls:tt { [$($a:tt)*] $b:tt }) => {
        $crate::__pt_parse! { @items $go $data $types $impls { [$($a)* $v] $b } }
    };
    (@file { helper any $k:tt [$i:item] } $go:tt $data:tt $types:tt $impls:tt { $a:tt [$($b:tt)*] }) => {
        $crate::__pt_parse! { @items $go $data $types $impls { $a [$($b)* $i] } }
    };

    // What is left is rejected, or found to be a helper.
    (@file { $kind:tt $key:tt $k:tt $v:tt } $($state:tt)*) => {
        $crate::__pt_reject! { { $kind $key } $k $v { $($state)* } }
    };

    // -----------------------------------------------------------------------------------------------------------------
    // Is a required slot empty?
    (@complete [$m:tt $v:tt $name:tt] { [] $($x:tt)* } $($more:tt)*) => {
        $crate::__pt_token! { has_item [$name] }
    };
    (@complete [$m:tt $v:tt $name:tt] { $a:tt $b:tt [] $($x:tt)* } $($more:tt)*) => {
        $crate::__pt_token! { has_geometry [$name] }
    };
    (@complete [$m:tt $v:tt $name:tt] { $a:tt $b:tt $c:tt $d:tt $e:tt [] $($x:tt)* } $($more:tt)*) => {
        $crate::__pt_token! { has_supported [$name] }
    };
    (@complete [$m:tt $v:tt $name:tt] { $a:tt $b:tt $c:tt $d:tt $e:tt $f:tt $g:tt [] } $($more:tt)*) => {
        $crate::__pt_token! { has_bits [$name] }
    };
    // (In a family each variant can have its own.)
    (@complete [$m:tt $v:tt $name:tt] $data:tt { [] $($x:tt)* } $impls:tt { [] $helpers:tt }) => {
        $crate::__pt_token! { has_config [$name] }
    };
    (@complete [$m:tt $v:tt $name:tt] $data:tt { $a:tt [] } $impls:tt { [] $helpers:tt }) => {
        $crate::__pt_token! { has_hw_info [$name] }
    };
    (@complete [$m:tt $v:tt $name:tt] $data:tt $types:tt { [] $($x:tt)* } $($more:tt)*) => {
        $crate::__pt_token! { has_pt_format [$name] }
    };
    (@complete [$m:tt $v:tt $name:tt] $data:tt $types:tt { $a:tt [] $($x:tt)* } $($more:tt)*) => {
        $crate::__pt_token! { has_oa [$name] }
    };
    // One module, or for a family a module of modules.
    (@complete $head:tt $data:tt $types:tt $impls:tt { [] $helpers:tt }) => {
        $crate::__pt_emit! { $head {} $data $types $impls $helpers }
    };
    (@complete
        [[$($m:tt)*] [$v:vis] $family:tt] $data:tt $types:tt $impls:tt { [$({ $head:tt $params:tt })+] $helpers:tt }
    ) => {
        $($m)*
        $v mod $family {
            $($crate::__pt_emit! { $head $params $data $types $impls $helpers })+
        }
    };
}

/// The diagnostic of an item that has no empty slot; or that it is a helper after all.
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_reject {
    // The right key in the wrong form.
    ({ type Item } $k:tt [u32] $state:tt) => { $crate::__pt_token! { key_once $k } };
    ({ type Item } $k:tt [u64] $state:tt) => { $crate::__pt_token! { key_once $k } };
    ({ path Item } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { item_keyword $k } };
    ({ type Item } $k:tt [$t:ty] $state:tt) => {
        const _: () = $crate::check::token::item_word::<$t>();
    };
    ({ const (GEOMETRY $T:tt) } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { geometry_literal $k } };
    ({ const (QUIRKS $T:tt) } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { quirks_literal $k } };
    ({ const (SUPPORTED $T:tt) } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { feature_list $k } };
    ({ const (FORCED $T:tt) } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { feature_list $k } };
    ({ enum Feature } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { feature_enum $k } };
    ({ fields Feature } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { feature_enum $k } };
    ({ enum Bits } $k:tt [$($body:tt)*] $state:tt) => { $crate::__pt_reject! { @field $k $($body)* } };
    ({ names Bits } $k:tt [$Bits:tt $names:tt { $($body:tt)* }] $state:tt) => {
        $crate::__pt_reject! { @field $k $($body)* }
    };

    // A key that came before.
    ({ path Attrs } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { key_once $k } };
    ({ type Attrs } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { key_once $k } };
    ({ geometry GEOMETRY } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { key_once $k } };
    ({ quirks QUIRKS } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { key_once $k } };
    ({ features SUPPORTED } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { key_once $k } };
    ({ features FORCED } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { key_once $k } };
    ({ names Feature } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { key_once $k } };
    ({ fields Bits } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { key_once $k } };
    ({ struct Config } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { key_once $k } };
    ({ struct HwInfo } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { key_once $k } };
    ({ impl PtFormat } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { key_once $k } };
    ({ impl EntryOa } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { key_once $k } };
    ({ impl ItemOa } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { key_once $k } };
    ({ impl Contiguous } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { key_once $k } };
    ({ impl Dirty } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { key_once $k } };
    ({ impl DirtyBit } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { key_once $k } };
    ({ impl SoftwareBits } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { key_once $k } };

    // A private constant of a key's type.
    ({ const ($key:tt Geometry) } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { known_key $k } };
    ({ const ($key:tt Quirks) } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { known_key $k } };
    ({ const ($key:tt Features) } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { known_key $k } };

    // Helpers.
    ({ const $key:tt } $k:tt $v:tt { $($state:tt)* }) => {
        $crate::__pt_parse! { @file { helper any $k $v } $($state)* }
    };
    ({ struct $key:tt } $k:tt [$i:item $body:tt] { $($state:tt)* }) => {
        $crate::__pt_parse! { @file { helper any $k [$i] } $($state)* }
    };

    // The first field of `enum Bits` that has no place.
    (@field $k:tt) => { $crate::__pt_token! { bits_enum $k } };
    (@field $k:tt $(#[doc = $doc:expr])* $f:ident = $($call:tt $args:tt).+, $($rest:tt)*) => {
        $crate::__pt_reject! { @field $k $($rest)* }
    };
    (@field $k:tt #[$($meta:tt)*] $($rest:tt)*) => { $crate::__pt_reject! { @field $k $($rest)* } };
    (@field $k:tt $f:tt $($rest:tt)*) => { $crate::__pt_token! { field_place [$f] } };

    // Private types, enums and impls for the format that are no keys.
    ({ $kind:tt $key:tt } $k:tt $v:tt $state:tt) => { $crate::__pt_token! { known_key $k } };
}
