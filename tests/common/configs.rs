//! The configurations that everything is run on.

use super::formats::{AmdV1, HwFormat, RiscV, VtdSs, X86};
use super::model::Params;
use super::subject::{self, Subject};
use super::world::{TestDomain, World};
use generic_pt::fmt::{amdv1, amdv1_mock, riscv_64, vtdss, x86_64};
use generic_pt::{Error, Features, TableConfig};
use std::rc::Rc;

/// One format with one configuration.
pub struct Setup {
    pub name: &'static str,
    params: Params,
    start: for<'w> fn(&'w TestDomain) -> Result<Box<dyn Subject + 'w>, Error>,
}

impl Setup {
    pub fn params(&self) -> Params {
        self.params.clone()
    }
    /// A fresh world for a table of this setup.
    pub fn world(&self) -> Rc<World> {
        let Params { format, max_va, detailed, incoherent, .. } = self.params();
        World::new(format, max_va, detailed, incoherent)
    }
    pub fn start<'w>(&self, domain: &'w TestDomain) -> Result<Box<dyn Subject + 'w>, Error> {
        (self.start)(domain)
    }
}

/// What the specification makes of a configuration.
fn params(format: impl HwFormat + 'static, features: Features, start_level: u32, max_va: u32, hw_oa: u32) -> Params {
    let has = |feature| features.contains(feature);
    Params {
        start_level,
        max_va,
        max_oa: hw_oa.min(format.shape().format_max_oa),
        format: Rc::new(format),
        dynamic: has(Features::DYNAMIC_TOP),
        sign: has(Features::SIGN_EXTEND),
        no_gaps: has(Features::FLUSH_RANGE_NO_GAPS),
        detailed: has(Features::DETAILED_GATHER),
        incoherent: has(Features::DMA_INCOHERENT),
    }
}

macro_rules! setup {
    ($name:ident: $format:ident, $features:expr, va $va:expr, oa $oa:expr, top $top:expr, $config:expr, $hw:expr) => {
        pub fn $name() -> Setup {
            fn start<'w>(domain: &'w TestDomain) -> Result<Box<dyn Subject + 'w>, Error> {
                let config =
                    TableConfig { features: $features, hw_max_vasz_lg2: $va, hw_max_oasz_lg2: $oa, format: $config };
                subject::start::<$format::Format>(domain, &config)
            }
            Setup { name: stringify!($name), params: params($hw, $features, $top, $va, $oa), start }
        }
    };
}

macro_rules! amdv1 {
    ($name:ident: $features:expr, va $va:expr, oa $oa:expr, top $top:expr, encryption $mask:expr) => {
        setup!($name: amdv1, amdv1::FORCED | $features, va $va, oa $oa, top $top,
            amdv1::Config { starting_level: $top, encryption_mask: $mask },
            AmdV1 { mock: false, encryption_mask: $mask });
    };
}

macro_rules! x86_64 {
    ($name:ident: $features:expr, va $va:expr, oa $oa:expr, top $top:expr, encryption $mask:expr) => {
        setup!($name: x86_64, $features, va $va, oa $oa, top $top,
            x86_64::Config { top_level: $top, encryption_mask: $mask }, X86 { encryption_mask: $mask });
    };
}

macro_rules! vtdss {
    ($name:ident: $features:expr, va $va:expr, oa $oa:expr, top $top:expr) => {
        setup!($name: vtdss, $features, va $va, oa $oa, top $top, vtdss::Config { top_level: $top }, VtdSs {
            force_coherence: ($features).contains(vtdss::FORCE_COHERENCE),
            force_writeable: ($features).contains(vtdss::FORCE_WRITEABLE),
        });
    };
}

macro_rules! riscv {
    ($name:ident: $features:expr, va $va:expr, oa $oa:expr, top $top:expr) => {
        setup!($name: riscv_64, riscv_64::FORCED | $features, va $va, oa $oa, top $top, riscv_64::Config {}, RiscV {
            napot: ($features).contains(riscv_64::SVNAPOT_64K),
            pbmt: ($features).contains(riscv_64::SVPBMT),
        });
    };
}

const NONE: Features = Features::empty();
const FLUSH: Features = Features::FLUSH_RANGE;
const NO_GAPS: Features = Features::FLUSH_RANGE_NO_GAPS;
const SIGN: Features = Features::SIGN_EXTEND;
const INCOHERENT: Features = Features::DMA_INCOHERENT;

amdv1!(amdv1_l1_full: NONE, va 64, oa 52, top 1, encryption 0);
amdv1!(amdv1_l2_flush_range: FLUSH, va 64, oa 52, top 2, encryption 0);
amdv1!(amdv1_l2_no_gaps: FLUSH | NO_GAPS, va 64, oa 48, top 2, encryption 0);
amdv1!(amdv1_l3_encrypted_47: FLUSH, va 64, oa 52, top 3, encryption 1 << 47);
amdv1!(amdv1_l2_encrypted_33: NO_GAPS, va 48, oa 52, top 2, encryption 1 << 33);
amdv1!(amdv1_l5: NO_GAPS, va 64, oa 52, top 5, encryption 0);
amdv1!(amdv1_l2_va32: FLUSH, va 32, oa 40, top 2, encryption 0);
setup!(amdv1_mock_l2: amdv1_mock, NONE, va 38, oa 51, top 2,
    amdv1_mock::Config { starting_level: 2, encryption_mask: 0 }, AmdV1 { mock: true, encryption_mask: 0 });
setup!(amdv1_mock_l4: amdv1_mock, NONE, va 56, oa 51, top 4,
    amdv1_mock::Config { starting_level: 4, encryption_mask: 0 }, AmdV1 { mock: true, encryption_mask: 0 });
x86_64!(x86_64_sign48: FLUSH | SIGN, va 48, oa 52, top 3, encryption 0);
x86_64!(x86_64_sign57_no_gaps: NO_GAPS | SIGN, va 57, oa 46, top 4, encryption 0);
x86_64!(x86_64_plain47: NONE, va 47, oa 52, top 3, encryption 0);
x86_64!(x86_64_incoherent_no_gaps: FLUSH | NO_GAPS | SIGN | INCOHERENT, va 48, oa 52, top 3, encryption 0);
x86_64!(x86_64_encrypted: FLUSH | SIGN | x86_64::AMD_ENCRYPT_TABLES, va 48, oa 52, top 3, encryption 1 << 47);
x86_64!(x86_64_encrypted_incoherent: x86_64::AMD_ENCRYPT_TABLES | INCOHERENT, va 56, oa 52, top 4, encryption 1 << 51);
vtdss!(vtdss_39: FLUSH, va 39, oa 52, top 2);
vtdss!(vtdss_48_incoherent: FLUSH | INCOHERENT | vtdss::FORCE_COHERENCE, va 48, oa 46, top 3);
vtdss!(vtdss_57_writeable: vtdss::FORCE_WRITEABLE, va 57, oa 52, top 4);
riscv!(riscv_64_sv39_napot: FLUSH | SIGN | riscv_64::SVNAPOT_64K, va 39, oa 56, top 2);
riscv!(riscv_64_sv48_pbmt: SIGN | riscv_64::SVPBMT, va 48, oa 56, top 3);
riscv!(riscv_64_sv57_napot_pbmt: FLUSH | riscv_64::SVNAPOT_64K | riscv_64::SVPBMT, va 57, oa 44, top 4);

/// Invokes `$stamp! { name }` for each configuration: `configs::name()` makes it.
#[macro_export]
macro_rules! for_each_config {
    ($stamp:ident) => {
        $crate::for_each_config! { @each $stamp
            amdv1_l1_full amdv1_l2_flush_range amdv1_l2_no_gaps amdv1_l3_encrypted_47 amdv1_l2_encrypted_33 amdv1_l5
            amdv1_l2_va32 amdv1_mock_l2 amdv1_mock_l4 x86_64_sign48 x86_64_sign57_no_gaps x86_64_plain47
            x86_64_incoherent_no_gaps x86_64_encrypted x86_64_encrypted_incoherent vtdss_39 vtdss_48_incoherent
            vtdss_57_writeable riscv_64_sv39_napot riscv_64_sv48_pbmt riscv_64_sv57_napot_pbmt
        }
    };
    (@each $stamp:ident $($name:ident)*) => { $($stamp! { $name })* };
}
