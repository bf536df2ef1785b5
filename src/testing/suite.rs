//! From formats and configurations to named tests.

use super::config::TestConfig;
use super::driver::{TestDomain, TestDriver};
use super::memory::TestMemory;
use super::random::{self, Rng, SEED_VARIABLE};
use super::report::{Stop, TestResult};
use super::subject::PATTERN;
use super::{fmt_test, iommu_test};
use crate::driver::Domain;
use crate::iommu::Walkers;
use core::any::Any;
use core::panic::AssertUnwindSafe;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::boxed::Box;
use std::format;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::string::String;
use std::vec::Vec;

/// What a test is given: a configuration, and an empty domain of its own.
pub(super) struct Test<'a, F: Walkers> {
    pub(super) config: TestConfig<F>,
    pub(super) domain: &'a TestDomain,
    pub(super) rng: Rng,
}

/// A test, instantiated for a format.
pub(super) type TestFn<F> = fn(&mut Test<'_, F>) -> TestResult;

/// The generic tests of any number of formats, each over all its configurations.
///
/// ```no_run
/// use generic_pt::fmt::{amdv1, x86_64};
/// generic_pt::testing::Suite::new()
///     .format(amdv1::TEST_CONFIGS)
///     .format(x86_64::TEST_CONFIGS)
///     .run();
/// ```
#[derive(Debug)]
#[must_use = "tests run with `run`"]
pub struct Suite {
    seed: u64,
    trials: Vec<Trial>,
}

impl Suite {
    /// No tests yet. The seed of all random values is [`seed`](super::seed).
    pub fn new() -> Self {
        Self { seed: random::seed(), trials: Vec::new() }
    }

    /// Adds all tests of one format, in each of the configurations.
    pub fn format<F: Walkers>(mut self, configs: &[TestConfig<F>]) -> Self {
        if configs.is_empty() {
            let name = format!("{}_fmt_test::init", F::NAME);
            self.trials.push(Trial::test(name, || Err("the format has no test configuration".into())));
        }
        for (group, tests) in [("fmt_test", fmt_test::tests::<F>()), ("iommu_test", iommu_test::tests::<F>())] {
            for (test_name, test) in tests {
                for config in configs.iter().copied() {
                    let name = format!("{}_{group}::{test_name}::{}", F::NAME, config.name);
                    let seed = self.seed;
                    let runner = {
                        let name = name.clone();
                        move || run_one(&name, seed, config, test)
                    };
                    self.trials.push(Trial::ignorable_test(name, runner));
                }
            }
        }
        self
    }

    /// The tests, to be run together with others by [`libtest_mimic`].
    pub fn into_trials(self) -> Vec<Trial> {
        self.trials
    }

    /// Runs the tests that the command line asks for, as `cargo test` passes it on: the whole `main` of a test target.
    pub fn run(self) -> ExitCode {
        libtest_mimic::run(&Arguments::from_args(), self.into_trials()).exit_code()
    }
}

impl Default for Suite {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs one test, and sees to it that a failure says where and how to repeat it.
fn run_one<F: Walkers>(name: &str, seed: u64, config: TestConfig<F>, test: TestFn<F>) -> Result<Completion, Failed> {
    // With sign extension and encryption alike: tables lie where the configuration's output addresses reach.
    let pa_bits = F::GEOMETRY.top_pa_lg2();
    let pa_lg2 = pa_bits.min(config.table.hw_max_oasz_lg2).min(F::QUIRKS.table_pa_lg2);
    let domain = Domain::new(TestMemory::below(pa_lg2, PATTERN), TestDriver::default());
    let rng = random::for_test(seed, name);
    let outcome = catch_unwind(AssertUnwindSafe(|| test(&mut Test { config, domain: &domain, rng })));
    let memory = &domain.memory;
    let outcome = match outcome {
        Ok(Ok(())) | Ok(Err(Stop::Skipped(_))) if !memory.faults().is_empty() => Err(memory.faults().join("; ")),
        Ok(Ok(())) | Ok(Err(Stop::Skipped(_))) if memory.live_pages() != 0 => {
            Err(format!("table pages not given back at the end: expected 0, got {}", memory.live_pages()))
        }
        Ok(Ok(())) => return Ok(Completion::Completed),
        Ok(Err(Stop::Skipped(reason))) => return Ok(Completion::ignored_with(reason)),
        Ok(Err(Stop::Failed(message))) => Err(message),
        Err(panic) => Err(format!("panicked: {}", panic_message(&panic))),
    };
    outcome.map_err(|message| {
        format!(
            "format {}, configuration {}: {message}\n  repeat with {SEED_VARIABLE}={seed:#x}\n  {:?}",
            F::NAME,
            config.name,
            config.table
        )
        .into()
    })
}

fn panic_message(panic: &Box<dyn Any + Send>) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(message), _) => message,
        (_, Some(message)) => message,
        _ => "with something that is not text",
    }
}
