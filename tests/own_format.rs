//! The generic suite for formats that are not of this crate, exactly as another crate would stamp it.

#[path = "../examples/own_format/format.rs"]
mod format;
#[path = "private/stress.rs"]
mod stress;

use format::pocket;
use generic_pt::testing::{Suite, TestConfig};

/// All of it; fewer VA bits than one table decodes; coherent.
const POCKET: &[TestConfig<pocket::Format>] = &[
    TestConfig::new("all", pocket::Config {}),
    TestConfig::new("vasz26_oasz30", pocket::Config {}).va_lg2(26).oa_lg2(30),
    TestConfig::new("coherent", pocket::Config {}).without(generic_pt::Features::DMA_INCOHERENT),
];

fn main() -> std::process::ExitCode {
    Suite::new().format(POCKET).format(stress::stress::TEST_CONFIGS).format(stress::narrow::TEST_CONFIGS).run()
}
