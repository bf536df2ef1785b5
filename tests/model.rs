//! Random sequences of all operations: the table against a plain model, with simulated hardware that walks the table at any
//! time and caches what it finds.
//!
//! After every step everything is compared: results, gathers, calls of the driver, every item in memory (decoded by an
//! implementation of the formats of its own), page accounting, and that what hardware has cached is true or waits for a sync.
//! `PROPTEST_CASES` scales it.

use generic_pt_model::{configs, ops, runner};
use proptest::prelude::*;

/// Cases for each configuration: the usual number divided by this.
const SHARE: u32 = 3;
const MOST_OPS: usize = 40;

fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: (usual.cases / SHARE).max(1), max_shrink_iters: 20_000, failure_persistence: None, ..usual }
}

macro_rules! random_operations {
    ($name:ident) => {
        #[test]
        fn $name() {
            let setup = configs::$name();
            let sequences = (any::<u64>(), proptest::collection::vec(ops::op(), 1..MOST_OPS));
            let mut random = proptest::test_runner::TestRunner::new(config());
            let outcome =
                random.run(&sequences, |(seed, ops)| runner::run(&setup, seed, &ops).map_err(TestCaseError::fail));
            if let Err(failure) = outcome {
                panic!("{failure}");
            }
        }
    };
}

generic_pt_model::for_each_config!(random_operations);
generic_pt_model::for_each_upper_config!(random_operations);
