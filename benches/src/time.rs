//! Times a case.

use crate::cases::Case;
use std::time::{Duration, Instant};

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effort {
    /// Enough to rely on.
    Full,
    /// Good for a look.
    Quick,
}

impl Effort {
    /// How long the runs are together, and how long they may take with what is not measured; none is begun after that.
    const fn durations(self) -> (Duration, Duration) {
        match self {
            Self::Full => (Duration::from_millis(250), Duration::from_secs(3)),
            Self::Quick => (Duration::from_millis(10), Duration::from_millis(200)),
        }
    }
}

/// Nanoseconds of one run, without the clock's own cost.
pub fn run_ns(case: &mut dyn Case, clock_ns: f64) -> f64 {
    case.prepare();
    let begin = Instant::now();
    case.run();
    (begin.elapsed().as_nanos() as f64 - clock_ns).max(0.0)
}

/// Nanoseconds for each unit of the case's row: the median of all runs, so that it does not matter if some are interrupted.
pub fn measure_ns(case: &mut dyn Case, effort: Effort) -> f64 {
    let clock_ns = clock_ns();
    let (enough, most) = effort.durations();
    let begin = Instant::now();
    // Caches, free lists and branch predictors are as in steady use.
    run_ns(case, clock_ns);
    let (mut runs_ns, mut total_ns) = (Vec::new(), 0.0);
    while runs_ns.is_empty() || (total_ns < enough.as_nanos() as f64 && begin.elapsed() < most) {
        let ns = run_ns(case, clock_ns);
        total_ns += ns;
        runs_ns.push(ns);
    }
    median(runs_ns) / case.units() as f64
}

/// What reading the clock twice costs.
pub fn clock_ns() -> f64 {
    median((0..1001).map(|_| Instant::now().elapsed().as_nanos() as f64).collect())
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
