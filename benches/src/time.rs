//! Times a case.

use crate::operations::Case;
use std::time::{Duration, Instant};

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effort {
    /// 11 samples of at least 22 ms, as the reference was measured.
    Full,
    /// 5 samples of at least 2 ms: good for a look.
    Quick,
}

impl Effort {
    /// The samples, of which the median counts, and how long each is at least.
    const fn samples(self) -> (usize, Duration) {
        match self {
            Self::Full => (11, Duration::from_millis(22)),
            Self::Quick => (5, Duration::from_millis(2)),
        }
    }
}

/// How long the samples of a case may take with what is not measured; none is begun after that.
const MOST: Duration = Duration::from_secs(3);

/// Nanoseconds of one run, without the clock's own cost.
pub fn run_ns(case: &mut dyn Case, clock_ns: f64) -> f64 {
    case.prepare();
    let begin = Instant::now();
    case.run();
    (begin.elapsed().as_nanos() as f64 - clock_ns).max(0.0)
}

/// Nanoseconds for each unit of the case's row: the median of the samples.
pub fn measure_ns(case: &mut dyn Case, effort: Effort) -> f64 {
    let (clock_ns, units) = (clock_ns(), case.units() as f64);
    let (count, least) = effort.samples();
    let begin = Instant::now();
    // Caches, free lists and branch predictors are as in steady use.
    run_ns(case, clock_ns);
    let mut samples = Vec::with_capacity(count);
    while samples.len() < count && (samples.is_empty() || begin.elapsed() < MOST) {
        let (mut total_ns, mut runs) = (0.0, 0.0);
        while total_ns < least.as_nanos() as f64 {
            total_ns += run_ns(case, clock_ns);
            runs += 1.0;
        }
        samples.push(total_ns / (runs * units));
    }
    median(samples)
}

/// What reading the clock twice costs.
pub fn clock_ns() -> f64 {
    median((0..1001).map(|_| Instant::now().elapsed().as_nanos() as f64).collect())
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
