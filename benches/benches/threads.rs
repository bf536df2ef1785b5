//! Two threads on disjoint views of one table against one thread: how much more they do in the same time.
//!
//! `cargo bench -p generic-pt-benches --bench threads`, on a machine with two free cores. Two threads at most do twice as much.
//! The last column is made of processor time, not of time: what the threads cost each other, whatever else runs on the machine.

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
const NEVER: Times = Times { wall: Duration::MAX, cpu: Duration::MAX };
/// What the two threads are meant to reach.
const GOAL: f64 = 1.95;

/// What a thread does, in the part of the space from `base` on.
struct Work {
    name: &'static str,
    repeats: u32,
}

const WORKS: [Work; 4] = [
    Work { name: "map and unmap single pages", repeats: 4000 },
    Work { name: "translate", repeats: 6000 },
    Work { name: "map and unmap 2 MiB of 4 KiB pages", repeats: 40_000 },
    Work { name: "map and unmap 64 KiB scattered", repeats: 60_000 },
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

/// The time until all of `views` have done the work, and the most processor time that one of them used.
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

fn round<F: Walkers>(which: usize, views: &mut [(View<'_, F, Host<'_>>, u64)]) -> Times {
    let barrier = Barrier::new(views.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = views
            .iter_mut()
            .map(|(view, base)| {
                scope.spawn(|| {
                    // Warm, and so that both are running.
                    work(which, view, *base);
                    barrier.wait();
                    let (start, cpu) = (Instant::now(), thread_cpu());
                    for _ in 0..WORKS[which].repeats {
                        work(which, view, *base);
                    }
                    (start, Instant::now(), thread_cpu() - cpu)
                })
            })
            .collect();
        let times: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
        let start = times.iter().map(|(start, ..)| *start).min().expect("a thread");
        let end = times.iter().map(|(_, end, _)| *end).max().expect("a thread");
        let cpu = times.iter().map(|(.., cpu)| *cpu).max().expect("a thread");
        Times { wall: end - start, cpu }
    })
}

fn format<F: Walkers>(config: &TableConfig<F::Config>) {
    for (which, Work { name, .. }) in WORKS.iter().enumerate() {
        let (mut one, mut two) = (NEVER, NEVER);
        for _ in 0..ROUNDS {
            let domain = Domain::new(HeapMemory, NoHardware);
            let mut table = PtIommu::<F, Host<'_>>::new(&domain, config).expect("a valid configuration");
            if which == 1 {
                table.map_range(0, PAGE, 2 * REGION, RW).expect("free");
            }
            let (low, high) = table.view().split_at(REGION).expect("no leaf is that large");
            let mut views = [(low, 0), (high, REGION)];
            one = one.best(round(which, &mut views[..1])).best(round(which, &mut views[1..]));
            two = two.best(round(which, &mut views));
        }
        let times = |time: fn(&Times) -> Duration| 2.0 * time(&one).as_secs_f64() / time(&two).as_secs_f64();
        let (ratio, cpu_ratio) = (times(|times| times.wall), times(|times| times.cpu));
        let verdict = if ratio >= GOAL { "" } else { "  below 1.95" };
        let (one_ms, two_ms) = (millis(one.wall), millis(two.wall));
        println!("{:10} {name:36} {one_ms:9.1} {two_ms:9.1} {ratio:7.2} {cpu_ratio:7.2}{verdict}", F::NAME);
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn main() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "{cores} cores\n{:10} {:36} {:>9} {:>9} {:>7} {:>7}",
        "format", "work", "one, ms", "two, ms", "times", "by cpu"
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
