//! The generic test suite for the formats of this crate: one line each.

use generic_pt::{fmt, testing::Suite};

fn main() -> std::process::ExitCode {
    Suite::new()
        .format(fmt::amdv1::TEST_CONFIGS)
        .format(fmt::amdv1_mock::TEST_CONFIGS)
        .format(fmt::armv7s::TEST_CONFIGS)
        .format(fmt::armv8_4k::TEST_CONFIGS)
        .format(fmt::armv8_16k::TEST_CONFIGS)
        .format(fmt::armv8_64k::TEST_CONFIGS)
        .format(fmt::ept::TEST_CONFIGS)
        .format(fmt::ppc64_radix::TEST_CONFIGS)
        .format(fmt::ppc64_radix_64k::TEST_CONFIGS)
        .format(fmt::dart::TEST_CONFIGS)
        .format(fmt::dart_16k::TEST_CONFIGS)
        .format(fmt::dart_v2::TEST_CONFIGS)
        .format(fmt::mali_lpae::TEST_CONFIGS)
        .format(fmt::riscv_32::TEST_CONFIGS)
        .format(fmt::riscv_32_g::TEST_CONFIGS)
        .format(fmt::riscv_64::TEST_CONFIGS)
        .format(fmt::riscv_64_g::TEST_CONFIGS)
        .format(fmt::rockchip_v2::TEST_CONFIGS)
        .format(fmt::s390::TEST_CONFIGS)
        .format(fmt::vtdss::TEST_CONFIGS)
        .format(fmt::x86_64::TEST_CONFIGS)
        .format(fmt::x86_pae::TEST_CONFIGS)
        .run()
}
