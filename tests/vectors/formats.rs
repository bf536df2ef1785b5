//! What the runner has to know of each format: how its configuration and hardware info are written in the files.

use generic_pt::fmt::{amdv1, amdv1_mock, riscv_64, vtdss, x86_64};
use generic_pt::format::Description;
use generic_pt::iommu::Walkers;
use generic_pt::{Features, TableConfig};
use serde_json::{Map, Value, json};

/// A format as the vector files describe it.
pub trait VectorFormat: Walkers {
    /// The format's own feature names, without `PT_FEAT_` and in lower case.
    const FEATURES: &'static [(&'static str, Features)];
    /// Bits of a table item that hold its address, which dumps leave out.
    const TABLE_ADDRESS_MASK: u64;
    /// The format's own part of `config`.
    fn config(config: &Map<String, Value>) -> Self::Config;
    /// `hw_info`, and the top's physical address in it.
    fn hw_info_json(info: &Self::HwInfo) -> (Value, Option<u64>);
}

fn level(config: &Map<String, Value>, key: &str) -> u32 {
    config.get(key).and_then(Value::as_u64).unwrap_or(0) as u32
}

fn encryption_mask(config: &Map<String, Value>) -> u64 {
    config.get("encryption_mask").map_or(0, crate::hex)
}

impl VectorFormat for amdv1::Format {
    const FEATURES: &'static [(&'static str, Features)] =
        &[("amdv1_encrypt_tables", amdv1::ENCRYPT_TABLES), ("amdv1_force_coherence", amdv1::FORCE_COHERENCE)];
    const TABLE_ADDRESS_MASK: u64 = 0x000f_ffff_ffff_f000;
    fn config(config: &Map<String, Value>) -> amdv1::Config {
        amdv1::Config { starting_level: level(config, "starting_level"), encryption_mask: encryption_mask(config) }
    }
    fn hw_info_json(info: &amdv1::HwInfo) -> (Value, Option<u64>) {
        (json!({ "mode": info.mode }), Some(info.host_pt_root))
    }
}

impl VectorFormat for amdv1_mock::Format {
    const FEATURES: &'static [(&'static str, Features)] =
        &[("amdv1_encrypt_tables", amdv1_mock::ENCRYPT_TABLES), ("amdv1_force_coherence", amdv1_mock::FORCE_COHERENCE)];
    const TABLE_ADDRESS_MASK: u64 = 0x000f_ffff_ffff_f000;
    fn config(config: &Map<String, Value>) -> amdv1_mock::Config {
        amdv1_mock::Config { starting_level: level(config, "starting_level"), encryption_mask: encryption_mask(config) }
    }
    fn hw_info_json(_: &amdv1_mock::HwInfo) -> (Value, Option<u64>) {
        (json!({}), None)
    }
}

impl VectorFormat for x86_64::Format {
    const FEATURES: &'static [(&'static str, Features)] = &[("x86_64_amd_encrypt_tables", x86_64::AMD_ENCRYPT_TABLES)];
    const TABLE_ADDRESS_MASK: u64 = 0x000f_ffff_ffff_f000;
    fn config(config: &Map<String, Value>) -> x86_64::Config {
        x86_64::Config { top_level: level(config, "top_level"), encryption_mask: encryption_mask(config) }
    }
    fn hw_info_json(info: &x86_64::HwInfo) -> (Value, Option<u64>) {
        (json!({ "levels": info.levels }), Some(info.gcr3_pt))
    }
}

impl VectorFormat for vtdss::Format {
    const FEATURES: &'static [(&'static str, Features)] =
        &[("vtdss_force_coherence", vtdss::FORCE_COHERENCE), ("vtdss_force_writeable", vtdss::FORCE_WRITEABLE)];
    const TABLE_ADDRESS_MASK: u64 = 0x000f_ffff_ffff_f000;
    fn config(config: &Map<String, Value>) -> vtdss::Config {
        vtdss::Config { top_level: level(config, "top_level") }
    }
    fn hw_info_json(info: &vtdss::HwInfo) -> (Value, Option<u64>) {
        (json!({ "aw": info.aw }), Some(info.ssptptr))
    }
}

impl VectorFormat for riscv_64::Format {
    const FEATURES: &'static [(&'static str, Features)] =
        &[("riscv_svnapot_64k", riscv_64::SVNAPOT_64K), ("riscv_svpbmt", riscv_64::SVPBMT)];
    const TABLE_ADDRESS_MASK: u64 = 0x003f_ffff_ffff_fc00;
    fn config(_: &Map<String, Value>) -> riscv_64::Config {
        riscv_64::Config {}
    }
    fn hw_info_json(info: &riscv_64::HwInfo) -> (Value, Option<u64>) {
        (json!({ "fsc_iosatp_mode": info.fsc_iosatp_mode }), Some(info.ppn << 12))
    }
}

const COMMON_FEATURES: &[(&str, Features)] = &[
    ("dma_incoherent", Features::DMA_INCOHERENT),
    ("full_va", Features::FULL_VA),
    ("dynamic_top", Features::DYNAMIC_TOP),
    ("sign_extend", Features::SIGN_EXTEND),
    ("flush_range", Features::FLUSH_RANGE),
    ("flush_range_no_gaps", Features::FLUSH_RANGE_NO_GAPS),
    ("detailed_gather", Features::DETAILED_GATHER),
];

/// A list of feature names to features. A name of another format is a feature that this one does not have.
pub fn features<F: VectorFormat>(names: &Value) -> Result<Features, String> {
    let mut features = Features::empty();
    for name in names.as_array().into_iter().flatten() {
        let name = name.as_str().ok_or("feature names are strings")?;
        let known = COMMON_FEATURES.iter().chain(F::FEATURES).find(|(known, _)| *known == name);
        // Own bits of formats overlap, so a foreign feature is given as the highest bit, which no format uses.
        features |= known.map_or(Features::own(15), |(_, feature)| *feature);
    }
    Ok(features)
}

/// Features to their names, in the order of their bits.
pub fn feature_names<F: VectorFormat>(features: Features) -> Vec<&'static str> {
    let known = COMMON_FEATURES.iter().chain(F::FEATURES);
    known.filter(|(_, feature)| features.contains(*feature)).map(|(name, _)| *name).collect()
}

/// The whole configuration of a table.
pub fn table_config<F: VectorFormat>(config: &Map<String, Value>) -> Result<TableConfig<F::Config>, String> {
    Ok(TableConfig {
        features: features::<F>(&config["features"])?,
        hw_max_vasz_lg2: level(config, "hw_max_vasz_lg2"),
        hw_max_oasz_lg2: level(config, "hw_max_oasz_lg2"),
        format: F::config(config),
    })
}

/// The names the files use for formats, with the runner of each.
pub fn run_file(file: &Map<String, Value>, report: &mut crate::Report) -> Result<(), String> {
    match file.get("format").and_then(Value::as_str) {
        Some(name) if name == <amdv1::Format as Description>::NAME => crate::run::<amdv1::Format>(file, report),
        Some(name) if name == <amdv1_mock::Format as Description>::NAME => {
            crate::run::<amdv1_mock::Format>(file, report)
        }
        Some(name) if name == <x86_64::Format as Description>::NAME => crate::run::<x86_64::Format>(file, report),
        Some(name) if name == <vtdss::Format as Description>::NAME => crate::run::<vtdss::Format>(file, report),
        Some(name) if name == <riscv_64::Format as Description>::NAME => crate::run::<riscv_64::Format>(file, report),
        other => Err(format!("format {other:?} is not one of amdv1, amdv1_mock, x86_64, vtdss, riscv_64")),
    }
}
