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
            Self::Full => (Duration::from_millis(125), Duration::from_millis(1500)),
            Self::Quick => (Duration::from_millis(10), Duration::from_millis(100)),
        }
    }
}

/// From this length on a run is likely to be interrupted, and the finer clock not needed: what counts is its thread's time.
const LONG: Duration = Duration::from_micros(100);

/// Nanoseconds of one run, without the clock's own cost.
pub fn run_ns(case: &mut dyn Case, clock_ns: f64) -> f64 {
    case.prepare();
    let thread_begin = thread_time();
    let begin = Instant::now();
    case.run();
    let elapsed = begin.elapsed();
    let elapsed = if elapsed < LONG { elapsed } else { elapsed.min(thread_time().saturating_sub(thread_begin)) };
    (elapsed.as_nanos() as f64 - clock_ns).max(0.0)
}

/// How long this thread has run.
fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` can be written.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Nanoseconds for each unit of the case's row: what the fastest tenth of all runs takes at most. So it matters little what else the
/// machine does meanwhile; on a quiet one it is about the median.
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
    quantile(runs_ns, 0.1) / case.units() as f64
}

/// What reading the clock twice costs.
pub fn clock_ns() -> f64 {
    quantile((0..1001).map(|_| Instant::now().elapsed().as_nanos() as f64).collect(), 0.1)
}

/// The sample that this part of all is not above.
fn quantile(mut samples: Vec<f64>, part: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[((samples.len() - 1) as f64 * part) as usize]
}
