//! One configuration with several seeds: what comes of it is a result, also of a panic.

use crate::matrix::{Counts, Trouble};
use std::any::Any;
use std::io;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `test` with each seed, up to the first that disagrees or panics: other rows go on.
///
/// # Errors
/// The failure, with its seed.
pub fn run(seeds: RangeInclusive<u64>, test: impl Fn(u64) -> io::Result<Counts>) -> Result<Counts, Trouble> {
    let mut counts = Counts::default();
    for seed in seeds {
        // What the test has changed is dropped with it: each makes its own memory, machine and table.
        let result = catch_unwind(AssertUnwindSafe(|| test(seed)));
        let result = result.unwrap_or_else(|panic| Err(io::Error::other(format!("panic: {}", message(&*panic)))));
        counts += result.map_err(|error| Trouble::Failed(format!("seed {seed}: {error}")))?;
    }
    Ok(counts)
}

/// The seed of table `n` of a row: rows have others than each other, and the same in each run. The table's place depends on its last
/// two bits, which are those of `n`.
pub fn of_row(format: &str, config: &str, n: u64) -> u64 {
    // FNV-1a.
    let bytes = [format, " ", config].into_iter().flat_map(str::bytes);
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    (hash & !3).wrapping_add(n)
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(result: Result<Counts, Trouble>) -> String {
        match result {
            Err(Trouble::Failed(reason)) => reason,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn rows_have_other_seeds_than_each_other() {
        assert_ne!(of_row("amdv1", "mode 3", 1), of_row("amdv1", "mode 4", 1));
        assert_eq!([1, 2, 3, 4].map(|n| of_row("amdv1", "mode 3", n) % 4), [1, 2, 3, 0]);
        assert_eq!(of_row("amdv1", "mode 3", 2), of_row("amdv1", "mode 3", 1) + 1);
    }

    #[test]
    fn counts_of_all_seeds_are_added() {
        let result = run(1..=3, |seed| Ok(Counts { accesses: seed, ..Counts::default() }));
        assert_eq!(result.map(|counts| counts.accesses).unwrap_or(0), 6);
    }

    #[test]
    fn a_panic_is_the_failure_of_its_seed() {
        let of_literal = run(1..=3, |seed| if seed == 2 { panic!("a literal") } else { Ok(Counts::default()) });
        assert_eq!(reason(of_literal), "seed 2: panic: a literal");
        let formatted = run(1..=1, |seed| panic!("formatted {seed}"));
        assert_eq!(reason(formatted), "seed 1: panic: formatted 1");
    }

    #[test]
    fn the_first_failure_ends_it() {
        let result = run(1..=3, |seed| Err(io::Error::other(format!("error {seed}"))));
        assert_eq!(reason(result), "seed 1: error 1");
    }
}
