//! All recorded traces, against what was noted when they were recorded.

mod common;

use common::json;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Name, maps, unmaps, peak of live bytes, most map events live at once: from the notes that come with the traces.
const SINGLE_DOMAIN: [(&str, u64, u64, u64, u64); 8] = [
    ("amd73-nvme-strict", 27136, 3471, 4_378_624, 449),
    ("amd73-vfio", 13583, 13583, 2_220_904_448, 4096),
    ("intel61-nvme-strict", 5054, 2744, 4_386_816, 294),
    ("intel73-e1000e-strict", 17704, 17702, 1_609_728, 307),
    ("intel73-mid-overrun", 16113, 6556, 2_297_856, 419),
    ("intel73-nvme-lazy", 25683, 4741, 4_378_624, 582),
    ("intel73-nvme-strict", 20980, 3471, 4_378_624, 451),
    ("intel73-vblk-strict", 16883, 16882, 8_167_424, 408),
];

fn replay(name: &str) -> Value {
    let packed = ["gz", "zst"].map(|ending| directory().join(format!("{name}.trace.txt.{ending}")));
    let path = packed.iter().find(|path| path.exists()).unwrap_or_else(|| panic!("no trace {name}"));
    json(&["--check", path.to_str().unwrap()])
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("traces")
}

#[test]
fn all_balance() {
    for (name, maps, unmaps, peak_bytes, peak_maps) in SINGLE_DOMAIN {
        let report = replay(name);
        let (before, end) = if name == "intel73-mid-overrun" { (15, 1_257_472) } else { (0, 0) };
        for (format, facts) in report["formats"].as_object().unwrap() {
            for (key, value) in [
                ("maps", maps),
                ("unmaps", unmaps),
                ("peak_live_bytes", peak_bytes),
                ("peak_live_maps", peak_maps),
                ("end_live_bytes", end),
                ("unmaps_before_trace", before),
                ("maps_over_lost_unmaps", 0),
            ] {
                assert_eq!(facts[key], value, "{name} {format} {key}");
            }
            // Narrower tables refuse what lies above them.
            if facts["va_bits"].as_u64() >= Some(48) {
                assert_eq!(facts["anomalies"], Value::Array(Vec::new()), "{name} {format}");
            }
        }
    }
    let report = replay("intel73-multi-fprobe");
    for (format, facts) in report["formats"].as_object().unwrap() {
        assert_eq!((facts["maps"].as_u64(), facts["unmaps"].as_u64()), (Some(8334), Some(6676)), "{format}");
        assert_eq!(facts["anomalies"], Value::Array(Vec::new()), "{format}");
        let domains = facts["domains"].as_array().unwrap();
        let maps: Vec<u64> = domains.iter().map(|domain| domain["maps"].as_u64().unwrap()).collect();
        assert_eq!(maps, [2410, 3656, 2268], "{format}");
        assert!(domains.iter().all(|domain| domain["end_live_bytes"] == 0), "{format}");
    }
}
