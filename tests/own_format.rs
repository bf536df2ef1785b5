//! The generic suite for formats that are not of this crate, exactly as another crate would stamp it.

#[path = "../examples/own_format/format.rs"]
mod format;
#[path = "private/stress.rs"]
mod stress;

use format::pocket;
use generic_pt::testing::Suite;

fn main() -> std::process::ExitCode {
    let suite = Suite::new().format(pocket::TEST_CONFIGS);
    suite.format(stress::stress::TEST_CONFIGS).format(stress::narrow::TEST_CONFIGS).run()
}
