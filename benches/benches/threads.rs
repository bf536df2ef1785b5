//! Two threads on disjoint views of one table against one thread: how much more they do in the same time.
//!
//! `cargo bench -p generic-pt-benches --bench threads`, on a machine with two free cores. Two threads at most do twice as much.
//! The same is done with a table of its own for each thread, in a domain of its own: what two threads reach that share nothing is
//! what the machine can do. Columns *by cpu* are made of processor time, not of time: what the threads cost each other, whatever
//! else runs on the machine.

use generic_pt::fmt::{amdv1, riscv_64, vtdss, x86_64};
use generic_pt::iommu::{View, Walkers};
use generic_pt::{Domain, Features, GatherMode, HeapMemory, NoHardware, Prot, PtIommu, TableConfig};
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

type Host<'d> = &'d Domain<HeapMemory, NoHardware>;

const RW: Prot = Prot::READ.union(Prot::WRITE);
const PAGE: u64 = 0x1000;
/// Of the space, that each thread has for itself.
const REGION: u64 = 1 << 30;
/// Rounds, of which the best counts: whatever else runs only makes it slower.
const ROUNDS: usize = 25;
/// What the two threads are meant to reach.
const GOAL: f64 = 1.95;

/// What a thread does, in the part of the space from `base` on.
struct Work {
    name: &'static str,
    repeats: u32,
}

/// Runs of some 20 milliseconds: short enough to fall between two interruptions, long beside what starts a thread.
const WORKS: [Work; 4] = [
    Work { name: "map and unmap single pages", repeats: 1500 },
    Work { name: "translate", repeats: 4000 },
    Work { name: "map and unmap 2 MiB of 4 KiB pages", repeats: 10_000 },
    Work { name: "map and unmap 64 KiB", repeats: 100_000 },
];

fn work<F: Walkers>(which: usize, view: &mut View<'_, F, Host<'_>>, base: u64) {
    let mut gather = view.gather(GatherMode::Immediate);
    match which {
        0 => {
            for page in 0..512 {
                view.map_range(base + page * PAGE, PAGE * 3, PAGE, RW).expect("free");
            }
            for page in 0..512 {
                black_box(view.unmap_range(base + page * PAGE, PAGE, &mut gather));
            }
        }
        1 => {
            for page in 0..512 {
                black_box(view.iova_to_phys(black_box(base + page * 0x3_5000)));
            }
        }
        2 => {
            // The physical address permits no larger page.
            view.map_range(base, PAGE, 2 << 20, RW).expect("free");
            black_box(view.unmap_range(base, 2 << 20, &mut gather));
        }
        _ => {
            view.map_range(base + 0x7000, PAGE * 5, 0x1_0000, RW).expect("free");
            black_box(view.unmap_range(base + 0x7000, 0x1_0000, &mut gather));
        }
    }
    gather.sync();
}

/// The processor time that this thread has used.
fn thread_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock is one that every Linux has, and the pointer is to a `timespec`.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "a clock for threads");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The time that one thread took for its work, and its processor time.
#[derive(Clone, Copy)]
struct Times {
    wall: Duration,
    cpu: Duration,
}

impl Times {
    fn best(self, other: Self) -> Self {
        Self { wall: self.wall.min(other.wall), cpu: self.cpu.min(other.cpu) }
    }
}

/// A thread for each of `views` does the work, all at the same time.
fn round<F: Walkers>(which: usize, views: &mut [(View<'_, F, Host<'_>>, u64)]) -> Vec<Times> {
    let barrier = Barrier::new(views.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = views
            .iter_mut()
            .map(|(view, base)| {
                scope.spawn(|| {
                    // Warm, and so that all are running.
                    work(which, view, *base);
                    barrier.wait();
                    let (start, cpu) = (Instant::now(), thread_cpu());
                    for _ in 0..WORKS[which].repeats {
                        work(which, view, *base);
                    }
                    Times { wall: start.elapsed(), cpu: thread_cpu() - cpu }
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

/// The best times so far of each of two threads.
struct Best([Times; 2]);

impl Best {
    const NONE: Self = Self([Times { wall: Duration::MAX, cpu: Duration::MAX }; 2]);

    fn note(&mut self, times: impl IntoIterator<Item = Times>) {
        for (best, times) in self.0.iter_mut().zip(times) {
            *best = best.best(times);
        }
    }

    /// How many times as much as one thread the two do: the sum of what each reaches of what it does `alone`.
    fn speedup(&self, alone: &Self, time: fn(&Times) -> Duration) -> f64 {
        alone.0.iter().zip(&self.0).map(|(alone, both)| time(alone).as_secs_f64() / time(both).as_secs_f64()).sum()
    }
}

fn table<'d, F: Walkers>(
    domain: &'d Domain<HeapMemory, NoHardware>,
    config: &TableConfig<F::Config>,
    which: usize,
) -> PtIommu<F, Host<'d>> {
    let mut table = PtIommu::<F, Host<'_>>::new(domain, config).expect("a valid configuration");
    if which == 1 {
        table.map_range(0, PAGE, 2 * REGION, RW).expect("free");
    }
    table
}

fn format<F: Walkers>(config: &TableConfig<F::Config>) {
    for (which, Work { name, .. }) in WORKS.iter().enumerate() {
        let (mut alone, mut views_best) = (Best::NONE, Best::NONE);
        let (mut alone_apart, mut apart) = (Best::NONE, Best::NONE);
        for _ in 0..ROUNDS {
            let domain = Domain::new(HeapMemory, NoHardware);
            let mut both = table::<F>(&domain, config, which);
            let (low, high) = both.view().split_at(REGION).expect("no leaf is that large");
            two(which, &mut [(low, 0), (high, REGION)], &mut alone, &mut views_best);

            let domains = [Domain::new(HeapMemory, NoHardware), Domain::new(HeapMemory, NoHardware)];
            let [mut first, mut second] = domains.each_ref().map(|domain| table::<F>(domain, config, which));
            two(which, &mut [(first.view(), 0), (second.view(), REGION)], &mut alone_apart, &mut apart);
        }
        let views = views_best.speedup(&alone, |times| times.wall);
        let tables = apart.speedup(&alone_apart, |times| times.wall);
        let verdict = if views >= GOAL { "" } else { "  below 1.95" };
        println!(
            "{:10} {name:36} {:7.1} {views:7.2} {:7.2} {tables:9.2} {:7.2}{verdict}",
            F::NAME,
            alone.0[0].wall.as_secs_f64() * 1e3,
            views_best.speedup(&alone, |times| times.cpu),
            apart.speedup(&alone_apart, |times| times.cpu),
        );
    }
}

/// Each of two views alone, then both at the same time.
fn two<F: Walkers>(which: usize, views: &mut [(View<'_, F, Host<'_>>, u64); 2], alone: &mut Best, both: &mut Best) {
    let each = [0, 1].map(|n| round(which, &mut views[n..=n])[0]);
    alone.note(each);
    both.note(round(which, views));
}

fn main() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "{cores} cores\n{:10} {:36} {:>7} {:>7} {:>7} {:>9} {:>7}",
        "format", "work", "one, ms", "views", "by cpu", "tables", "by cpu"
    );
    let (hw_max_vasz_lg2, hw_max_oasz_lg2) = (48, 48);
    format::<amdv1::Format>(&TableConfig {
        features: amdv1::FORCED | Features::FLUSH_RANGE,
        hw_max_vasz_lg2,
        hw_max_oasz_lg2,
        format: amdv1::Config { starting_level: 2, encryption_mask: 0 },
    });
    format::<x86_64::Format>(&TableConfig {
        features: x86_64::FORCED | Features::FLUSH_RANGE,
        hw_max_vasz_lg2,
        hw_max_oasz_lg2,
        format: x86_64::Config { top_level: 3, encryption_mask: 0 },
    });
    format::<vtdss::Format>(&TableConfig {
        features: Features::FLUSH_RANGE,
        hw_max_vasz_lg2,
        hw_max_oasz_lg2,
        format: vtdss::Config { top_level: 3 },
    });
    format::<riscv_64::Format>(&TableConfig {
        features: riscv_64::FORCED | Features::FLUSH_RANGE,
        hw_max_vasz_lg2,
        hw_max_oasz_lg2,
        format: riscv_64::Config {},
    });
}
