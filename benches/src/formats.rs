//! The formats, one line each.

use crate::cases::{self, Case};
use crate::rows::Row;
use crate::traces::{self, Trace};
use crate::{BenchDomain, Purpose};
use generic_pt::Features;
use std::rc::Rc;

/// Makes the case of a row, on an empty table in a memory that nothing else uses meanwhile.
pub type MakeCase = fn(&'static BenchDomain, &Row, Purpose) -> Option<Box<dyn Case>>;

/// Makes a replay of a trace.
pub type MakeReplay = fn(&'static BenchDomain, &Rc<Trace>) -> Option<Box<dyn Case>>;

/// One column of the table: a format, or another library.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name, as in `generic_pt::fmt`.
    pub name: &'static str,
    /// The case of a row; `None` if tables of the format cannot do that.
    pub case: MakeCase,
    /// A replay of a trace; `None` if it is not for that.
    pub replay: MakeReplay,
}

/// How tables of a format are made.
#[derive(Clone, Copy, Debug)]
pub struct Shape<C> {
    /// Name of the format.
    pub name: &'static str,
    /// VA bits.
    pub va_bits: u32,
    /// Features of its own.
    pub features: Features,
    /// The format's own configuration.
    pub config: C,
}

/// Makes [`FORMATS`] of lines `name: VA bits, own features, configuration;`.
macro_rules! formats {
    ($($name:ident: $va_bits:expr, $features:expr, $config:expr;)*) => {
        /// Every format, in the order of the table's columns. All have tables of four levels where they can.
        pub const FORMATS: &[Column] = &[$(Column {
            name: stringify!($name),
            case: |domain, row, purpose| {
                cases::case::<generic_pt::fmt::$name::Format>(domain, $name(), row, purpose)
            },
            replay: |domain, trace| traces::replay::<generic_pt::fmt::$name::Format>(domain, $name(), trace),
        }),*];

        $(fn $name() -> Shape<generic_pt::fmt::$name::Config> {
            #[allow(unused_imports, reason = "lines without features of their own")]
            use generic_pt::fmt::$name::*;
            Shape { name: stringify!($name), va_bits: $va_bits, features: $features, config: $config }
        })*
    };
}

formats! {
    amdv1: 64, Features::empty(), Config { starting_level: 3, encryption_mask: 0 };
    x86_64: 48, Features::SIGN_EXTEND, Config { top_level: 3, encryption_mask: 0 };
    vtdss: 48, Features::empty(), Config { top_level: 3 };
    riscv_64: 48, Features::SIGN_EXTEND | SVNAPOT_64K, Config {};
    riscv_64_g: 50, SVNAPOT_64K, Config {};
    riscv_32: 32, Features::empty(), Config {};
    riscv_32_g: 34, Features::empty(), Config {};
    ept: 48, ACCESSED_DIRTY, Config { top_level: 3 };
    x86_pae: 32, Features::empty(), Config {};
    armv8_4k: 48, Features::empty(), Config {};
    armv8_16k: 48, Features::empty(), Config {};
    armv8_64k: 48, Features::empty(), Config {};
    armv7s: 32, Features::empty(), Config {};
    mali_lpae: 48, Features::empty(), Config {};
    dart: 36, Features::empty(), Config {};
    dart_16k: 36, Features::empty(), Config {};
    dart_v2: 42, Features::empty(), Config {};
    rockchip_v2: 32, Features::empty(), Config {};
    ppc64_radix: 52, Features::empty(), Config { quadrant: 0 };
    ppc64_radix_64k: 52, Features::empty(), Config { quadrant: 0 };
    s390: 53, Features::empty(), Config { top_level: 3 };
}
