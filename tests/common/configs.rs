//! The configurations that everything is run on.

use super::formats::{
    AmdV1, Armv7s, Armv8, Dart, Ept, HwFormat, MaliLpae, Pae, PpcRadix, RiscV, RockchipV2, S390, Stage, VtdSs, X86,
};
use super::model::Params;
use super::subject::{self, Subject};
use super::world::{TestDomain, World};
use generic_pt::fmt::{
    amdv1, amdv1_mock, armv7s, armv8_4k, armv8_16k, armv8_64k, dart, dart_16k, dart_v2, ept, mali_lpae, ppc64_radix,
    ppc64_radix_64k, riscv_32, riscv_32_g, riscv_64, riscv_64_g, rockchip_v2, s390, vtdss, x86_64, x86_pae,
};
use generic_pt::format::{Common, Kind};
use generic_pt::iommu::Walkers;
use generic_pt::item::Item;
use generic_pt::{Error, Features, TableConfig};
use std::rc::Rc;

type Start = dyn for<'w> Fn(&'w TestDomain) -> Result<Box<dyn Subject + 'w>, Error>;

/// What a format makes of an item of a level; of a table pointer also the address.
type Decode = dyn Fn(u32, u64) -> (Kind, Option<u64>);

/// One format with one configuration.
pub struct Setup {
    params: Params,
    start: Box<Start>,
    decode: Box<Decode>,
}

impl Setup {
    fn new<F: Walkers>(params: Params, config: TableConfig<F::Config>) -> Self {
        let common = Common::<F> {
            features: config.features,
            max_va_lg2: params.max_va,
            max_oa_lg2: params.max_oa,
            config: F::settle(&config),
        };
        let decode = move |level, raw| {
            let raw = F::Item::from_u64(raw);
            let kind = F::kind(&common, level, raw);
            (kind, (kind == Kind::Table).then(|| F::table_pa(&common, level, raw)))
        };
        Self { params, start: Box::new(move |domain| subject::start::<F>(domain, &config)), decode: Box::new(decode) }
    }
    pub fn params(&self) -> Params {
        self.params.clone()
    }
    /// A fresh world for a table of this setup.
    pub fn world(&self) -> Rc<World> {
        World::new(self.params())
    }
    /// What the library makes of an item; of a table pointer also the address.
    pub fn decode(&self, level: u32, raw: u64) -> (Kind, Option<u64>) {
        (self.decode)(level, raw)
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

fn config<C>(features: Features, va: u32, oa: u32, format: C) -> TableConfig<C> {
    TableConfig { features, hw_max_vasz_lg2: va, hw_max_oasz_lg2: oa, format }
}

pub fn amdv1(features: Features, va: u32, oa: u32, top: u32, encryption_mask: u64) -> Setup {
    let features = features | amdv1::FORCED;
    let hw = AmdV1 { mock: false, encryption_mask };
    let format = amdv1::Config { starting_level: top, encryption_mask };
    Setup::new::<amdv1::Format>(params(hw, features, top, va, oa), config(features, va, oa, format))
}

pub fn amdv1_mock(va: u32, oa: u32, top: u32) -> Setup {
    let hw = AmdV1 { mock: true, encryption_mask: 0 };
    let max_va = va.min(11 + 9 * (top + 1));
    let format = amdv1_mock::Config { starting_level: top, encryption_mask: 0 };
    Setup::new::<amdv1_mock::Format>(params(hw, NONE, top, max_va, oa), config(NONE, va, oa, format))
}

pub fn x86_64(features: Features, va: u32, oa: u32, top: u32, encryption_mask: u64) -> Setup {
    let format = x86_64::Config { top_level: top, encryption_mask };
    let params = params(X86 { encryption_mask }, features, top, va, oa);
    Setup::new::<x86_64::Format>(params, config(features, va, oa, format))
}

pub fn vtdss(features: Features, va: u32, oa: u32, top: u32) -> Setup {
    let hw = VtdSs {
        force_coherence: features.contains(vtdss::FORCE_COHERENCE),
        force_writeable: features.contains(vtdss::FORCE_WRITEABLE),
    };
    let format = vtdss::Config { top_level: top };
    Setup::new::<vtdss::Format>(params(hw, features, top, va, oa), config(features, va, oa, format))
}

/// A function that makes setups of one RISC-V format with 64-bit items.
macro_rules! riscv_64 {
    ($name:ident, $stage:expr) => {
        pub fn $name(features: Features, va: u32, oa: u32, top: u32) -> Setup {
            let features = features | $name::FORCED;
            let has = |feature| features.contains(feature);
            let (napot, pbmt, svadu) = (has($name::SVNAPOT_64K), has($name::SVPBMT), has($name::SVADU));
            let hw = RiscV { item_bits: 64, stage: $stage, napot, pbmt, svadu };
            Setup::new::<$name::Format>(params(hw, features, top, va, oa), config(features, va, oa, $name::Config {}))
        }
    };
}

riscv_64!(riscv_64, Stage::First);
riscv_64!(riscv_64_g, Stage::G);

pub fn ept(features: Features, va: u32, oa: u32, top: u32) -> Setup {
    let has = |feature| features.contains(feature);
    let hw = Ept {
        accessed_dirty: has(ept::ACCESSED_DIRTY),
        ignore_pat: has(ept::IGNORE_PAT),
        suppress_ve: has(ept::SUPPRESS_VE),
        mode_based_execute: has(ept::MODE_BASED_EXECUTE),
    };
    let format = ept::Config { top_level: top };
    Setup::new::<ept::Format>(params(hw, features, top, va, oa), config(features, va, oa, format))
}

pub fn x86_pae(features: Features, oa: u32) -> Setup {
    let hw = Pae { execute_disable: features.contains(x86_pae::EXECUTE_DISABLE) };
    Setup::new::<x86_pae::Format>(params(hw, features, 2, 32, oa), config(features, 32, oa, x86_pae::Config {}))
}

pub fn ppc64_radix(features: Features, oa: u32, quadrant: u32) -> Setup {
    let rc_updates = features.contains(ppc64_radix::RC_UPDATES);
    let hw = PpcRadix { large: false, quadrant: quadrant.into(), rc_updates };
    let format = ppc64_radix::Config { quadrant };
    Setup::new::<ppc64_radix::Format>(params(hw, features, 3, 52, oa), config(features, 52, oa, format))
}

pub fn ppc64_radix_64k(features: Features, oa: u32, quadrant: u32) -> Setup {
    let rc_updates = features.contains(ppc64_radix_64k::RC_UPDATES);
    let hw = PpcRadix { large: true, quadrant: quadrant.into(), rc_updates };
    let format = ppc64_radix_64k::Config { quadrant };
    Setup::new::<ppc64_radix_64k::Format>(params(hw, features, 3, 52, oa), config(features, 52, oa, format))
}

pub fn rockchip_v2(features: Features, oa: u32) -> Setup {
    let format = rockchip_v2::Config {};
    Setup::new::<rockchip_v2::Format>(params(RockchipV2, features, 1, 32, oa), config(features, 32, oa, format))
}

pub fn s390(features: Features, va: u32, oa: u32, top: u32) -> Setup {
    let format = s390::Config { top_level: top };
    Setup::new::<s390::Format>(params(S390, features, top, va, oa), config(features, va, oa, format))
}

pub fn riscv_32(features: Features, oa: u32) -> Setup {
    let features = features | riscv_32::FORCED;
    let svadu = features.contains(riscv_32::SVADU);
    let hw = RiscV { item_bits: 32, stage: Stage::First, napot: false, pbmt: false, svadu };
    Setup::new::<riscv_32::Format>(params(hw, features, 1, 32, oa), config(features, 32, oa, riscv_32::Config {}))
}

pub fn riscv_32_g(features: Features, oa: u32) -> Setup {
    let features = features | riscv_32_g::FORCED;
    let svadu = features.contains(riscv_32_g::SVADU);
    let hw = RiscV { item_bits: 32, stage: Stage::G, napot: false, pbmt: false, svadu };
    Setup::new::<riscv_32_g::Format>(params(hw, features, 1, 34, oa), config(features, 34, oa, riscv_32_g::Config {}))
}

/// Functions that make setups of the ARMv8 formats: features, VA and OA width, level and number of tables of the top.
macro_rules! armv8 {
    ($($name:ident $granule_lg2:literal;)*) => {
        $(pub fn $name(features: Features, va: u32, oa: u32, top: u32) -> Setup {
            let has = |feature| features.contains(feature);
            let hw = Armv8 {
                granule_lg2: $granule_lg2,
                stage_2: has($name::STAGE_2),
                upper: has($name::UPPER_HALF),
                lpa: has($name::LPA),
                lpa2: has($name::LPA2),
                dirty: has($name::DIRTY_TRACKING),
                fwb: has($name::S2FWB),
                non_secure: has($name::NON_SECURE),
            };
            Setup::new::<$name::Format>(params(hw, features, top, va, oa), config(features, va, oa, $name::Config {}))
        })*
    };
}

armv8! {
    armv8_4k 12;
    armv8_16k 14;
    armv8_64k 16;
}

pub fn armv7s(features: Features, va: u32, oa: u32) -> Setup {
    let hw = Armv7s { non_secure: features.contains(armv7s::NON_SECURE) };
    Setup::new::<armv7s::Format>(params(hw, features, 1, va, oa), config(features, va, oa, armv7s::Config {}))
}

/// Functions that make setups of the DART formats.
macro_rules! dart {
    ($($name:ident $version:literal $granule_lg2:literal;)*) => {
        $(pub fn $name(features: Features, va: u32, oa: u32, top: u32) -> Setup {
            let hw = Dart { version: $version, granule_lg2: $granule_lg2 };
            Setup::new::<$name::Format>(params(hw, features, top, va, oa), config(features, va, oa, $name::Config {}))
        })*
    };
}

dart! {
    dart 1 12;
    dart_16k 1 14;
    dart_v2 2 14;
}

pub fn mali_lpae(features: Features, va: u32, oa: u32) -> Setup {
    let config = config(features, va, oa, mali_lpae::Config {});
    Setup::new::<mali_lpae::Format>(params(MaliLpae, features, 3, va, oa), config)
}

pub const DETAILED: Features = Features::DETAILED_GATHER;
pub const NONE: Features = Features::empty();
pub const FLUSH: Features = Features::FLUSH_RANGE;
pub const NO_GAPS: Features = Features::FLUSH_RANGE_NO_GAPS;
pub const SIGN: Features = Features::SIGN_EXTEND;
pub const INCOHERENT: Features = Features::DMA_INCOHERENT;

macro_rules! setups {
    ($($name:ident = $setup:expr;)*) => { $(pub fn $name() -> Setup { $setup })* };
}

setups! {
    amdv1_l1_full = amdv1(NONE, 64, 52, 1, 0);
    amdv1_l2_flush_range = amdv1(FLUSH, 64, 52, 2, 0);
    amdv1_l2_no_gaps = amdv1(FLUSH | NO_GAPS, 64, 48, 2, 0);
    amdv1_l3_encrypted_47 = amdv1(FLUSH, 64, 52, 3, 1 << 47);
    amdv1_l2_encrypted_33 = amdv1(NO_GAPS, 48, 52, 2, 1 << 33);
    amdv1_l5 = amdv1(NO_GAPS, 64, 52, 5, 0);
    amdv1_l2_va32 = amdv1(FLUSH, 32, 40, 2, 0);
    amdv1_mock_l2 = amdv1_mock(38, 51, 2);
    amdv1_mock_l4 = amdv1_mock(56, 51, 4);
    x86_64_sign48 = x86_64(FLUSH | SIGN, 48, 52, 3, 0);
    x86_64_sign57_no_gaps = x86_64(NO_GAPS | SIGN, 57, 46, 4, 0);
    x86_64_plain47 = x86_64(NONE, 47, 52, 3, 0);
    x86_64_incoherent_no_gaps = x86_64(FLUSH | NO_GAPS | SIGN | INCOHERENT, 48, 52, 3, 0);
    x86_64_encrypted = x86_64(FLUSH | SIGN | x86_64::AMD_ENCRYPT_TABLES, 48, 52, 3, 1 << 47);
    x86_64_encrypted_incoherent = x86_64(x86_64::AMD_ENCRYPT_TABLES | INCOHERENT, 56, 52, 4, 1 << 51);
    vtdss_39 = vtdss(FLUSH, 39, 52, 2);
    vtdss_48_incoherent = vtdss(FLUSH | INCOHERENT | vtdss::FORCE_COHERENCE, 48, 46, 3);
    vtdss_57_writeable = vtdss(vtdss::FORCE_WRITEABLE, 57, 52, 4);
    riscv_64_sv39_napot = riscv_64(FLUSH | SIGN | riscv_64::SVNAPOT_64K, 39, 56, 2);
    riscv_64_sv48_pbmt = riscv_64(SIGN | riscv_64::SVPBMT, 48, 56, 3);
    riscv_64_sv57_napot_pbmt = riscv_64(FLUSH | riscv_64::SVNAPOT_64K | riscv_64::SVPBMT, 57, 44, 4);
    riscv_64_sv39_svadu = riscv_64(SIGN | riscv_64::SVNAPOT_64K | riscv_64::SVADU | riscv_64::SVRSW60T59B, 39, 56, 2);
    riscv_64_g_sv39x4 = riscv_64_g(FLUSH, 41, 56, 2);
    riscv_64_g_sv57x4_svadu = riscv_64_g(riscv_64_g::SVNAPOT_64K | riscv_64_g::SVADU, 59, 50, 4);
    ept_48_suppress_ve = ept(FLUSH | ept::ACCESSED_DIRTY | ept::SUPPRESS_VE | ept::IGNORE_PAT, 48, 52, 3);
    ept_57_mode_based = ept(NO_GAPS | ept::MODE_BASED_EXECUTE, 57, 46, 4);
    x86_pae_xd = x86_pae(FLUSH | x86_pae::EXECUTE_DISABLE, 52);
    x86_pae_oa36 = x86_pae(NO_GAPS | Features::DETAILED_GATHER, 36);
    ppc64_radix_rc = ppc64_radix(FLUSH | ppc64_radix::RC_UPDATES, 57, 0);
    ppc64_radix_quadrant_3 = ppc64_radix(Features::DETAILED_GATHER, 53, 3);
    ppc64_radix_64k_plain = ppc64_radix_64k(FLUSH, 53, 0);
    ppc64_radix_64k_quadrant_3_rc = ppc64_radix_64k(ppc64_radix_64k::RC_UPDATES, 57, 3);
    rockchip_v2_oa40 = rockchip_v2(FLUSH, 40);
    rockchip_v2_oa34_no_gaps = rockchip_v2(NO_GAPS, 34);
    s390_31 = s390(FLUSH, 31, 64, 1);
    s390_42_no_gaps = s390(NO_GAPS, 42, 44, 2);
    s390_64 = s390(FLUSH, 64, 64, 4);
    riscv_32_sv32 = riscv_32(FLUSH, 34);
    riscv_32_g_sv32x4_svadu = riscv_32_g(riscv_32_g::SVADU, 34);
    dart_va32_4_roots = dart(FLUSH, 32, 36, 1);
    dart_va35_3_levels = dart(NO_GAPS, 35, 36, 2);
    dart_16k_va36 = dart_16k(FLUSH, 36, 36, 1);
    dart_v2_va42 = dart_v2(FLUSH, 42, 42, 2);
    dart_v2_va36 = dart_v2(NO_GAPS, 36, 40, 1);
    mali_lpae_va48 = mali_lpae(DETAILED, 48, 40);
    mali_lpae_va33 = mali_lpae(FLUSH | mali_lpae::COHERENT, 33, 40);
    armv7s_oa40 = armv7s(FLUSH, 32, 40);
    armv7s_oa32_ns = armv7s(NO_GAPS | armv7s::NON_SECURE, 32, 32);
    armv7s_va28 = armv7s(DETAILED, 28, 34);
    armv8_4k_s1_48 = armv8_4k(FLUSH, 48, 48, 3);
    armv8_4k_s1_39_dirty = armv8_4k(FLUSH | armv8_4k::DIRTY_TRACKING, 39, 40, 2);
    armv8_4k_s1_upper_48_ns = armv8_4k(NO_GAPS | armv8_4k::UPPER_HALF | armv8_4k::NON_SECURE, 48, 48, 3);
    armv8_4k_s1_upper_52_lpa2 = armv8_4k(FLUSH | DETAILED | armv8_4k::UPPER_HALF | armv8_4k::LPA2, 52, 52, 4);
    armv8_4k_s2_40_2_tops = armv8_4k(FLUSH | INCOHERENT | armv8_4k::STAGE_2, 40, 40, 2);
    armv8_4k_s2_52_lpa2_dirty =
        armv8_4k(FLUSH | armv8_4k::STAGE_2 | armv8_4k::LPA2 | armv8_4k::DIRTY_TRACKING, 52, 52, 3);
    armv8_16k_s1_47_incoherent = armv8_16k(FLUSH | INCOHERENT, 47, 48, 2);
    armv8_16k_s1_52_lpa2_dirty = armv8_16k(FLUSH | armv8_16k::LPA2 | armv8_16k::DIRTY_TRACKING, 52, 52, 3);
    armv8_16k_s2_40_16_tops_fwb =
        armv8_16k(NO_GAPS | armv8_16k::STAGE_2 | armv8_16k::S2FWB | armv8_16k::DIRTY_TRACKING, 40, 40, 1);
    armv8_64k_s1_upper_52_lpa = armv8_64k(FLUSH | armv8_64k::UPPER_HALF | armv8_64k::LVA | armv8_64k::LPA, 52, 52, 2);
    armv8_64k_s1_42_dirty = armv8_64k(DETAILED | armv8_64k::DIRTY_TRACKING, 42, 44, 1);
    armv8_64k_s2_45_8_tops = armv8_64k(FLUSH | armv8_64k::STAGE_2, 45, 48, 1);
}

/// Invokes `$stamp! { name }` for each configuration with VA from 0: `configs::name()` makes it.
#[macro_export]
macro_rules! for_each_config {
    ($stamp:ident) => {
        $crate::for_each_config! { @each $stamp
            amdv1_l1_full amdv1_l2_flush_range amdv1_l2_no_gaps amdv1_l3_encrypted_47 amdv1_l2_encrypted_33 amdv1_l5
            amdv1_l2_va32 amdv1_mock_l2 amdv1_mock_l4 x86_64_sign48 x86_64_sign57_no_gaps x86_64_plain47
            x86_64_incoherent_no_gaps x86_64_encrypted x86_64_encrypted_incoherent vtdss_39 vtdss_48_incoherent
            vtdss_57_writeable riscv_64_sv39_napot riscv_64_sv48_pbmt riscv_64_sv57_napot_pbmt
            riscv_64_sv39_svadu riscv_64_g_sv39x4 riscv_64_g_sv57x4_svadu riscv_32_sv32 riscv_32_g_sv32x4_svadu
            dart_va32_4_roots dart_va35_3_levels dart_16k_va36 dart_v2_va42
            dart_v2_va36 mali_lpae_va48 mali_lpae_va33 ept_48_suppress_ve
            ept_57_mode_based x86_pae_xd x86_pae_oa36 ppc64_radix_rc
            ppc64_radix_64k_plain rockchip_v2_oa40 rockchip_v2_oa34_no_gaps s390_31
            s390_42_no_gaps s390_64
            armv7s_oa40 armv7s_oa32_ns armv7s_va28
            armv8_4k_s1_48 armv8_4k_s1_39_dirty armv8_4k_s2_40_2_tops armv8_4k_s2_52_lpa2_dirty
            armv8_16k_s1_47_incoherent armv8_16k_s1_52_lpa2_dirty armv8_16k_s2_40_16_tops_fwb armv8_64k_s1_42_dirty
            armv8_64k_s2_45_8_tops
        }
    };
    (@each $stamp:ident $($name:ident)*) => { $($stamp! { $name })* };
}

/// The same for the configurations whose VA do not start at 0.
#[macro_export]
macro_rules! for_each_upper_config {
    ($stamp:ident) => {
        $crate::for_each_config! { @each $stamp
            ppc64_radix_quadrant_3 ppc64_radix_64k_quadrant_3_rc
            armv8_4k_s1_upper_48_ns armv8_4k_s1_upper_52_lpa2 armv8_64k_s1_upper_52_lpa
        }
    };
}
