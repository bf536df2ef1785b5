//! How a row of the matrix comes to be.

use conformance::arguments::Arguments;
use conformance::hardware::{Hardware, InfoOf};
use conformance::live::Live;
use conformance::matrix::{Counts, Matrix, Row, Trouble};
use conformance::plan::Plan;
use conformance::ram::{Layout, Ram};
use conformance::scenario::Scene;
use conformance::seeds;
use conformance::vm;
use conformance::walker::Walker;
use generic_pt::format::Common;
use generic_pt::iommu::Walkers;
use generic_pt::memory::Arena;
use generic_pt::{Domain, Features, PtIommu, TableConfig};
use std::collections::BTreeMap;
use std::io;
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

/// Tables of each configuration: fewer where it is one test among many.
const SEEDS: u64 = if cfg!(debug_assertions) { 1 } else { 4 };

/// A configuration.
pub fn config<C>(features: Features, va: u32, oa: u32, format: C) -> TableConfig<C> {
    TableConfig { features, hw_max_vasz_lg2: va, hw_max_oasz_lg2: oa, format }
}

/// What a row cannot do without.
#[derive(Clone, Copy, Debug)]
pub enum Needs {
    /// QEMU.
    Qemu {
        /// Its program.
        program: &'static str,
        /// Its oldest major version that has the model.
        major: u32,
    },
    /// KVM on this computer.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Kvm,
}

impl Needs {
    /// Any version.
    pub const fn any(program: &'static str) -> Self {
        Self::Qemu { program, major: 0 }
    }
}

/// What makes one row.
struct Job {
    /// Symbol part of the format.
    format: &'static str,
    config: String,
    needs: Needs,
    test: Test,
}

/// What is done on the machine of that program, with that seed.
type Test = Box<dyn Fn(&Path, u64) -> io::Result<Counts> + Send + Sync>;

/// All jobs, in the order of their rows.
#[derive(Default)]
pub struct Jobs(Vec<Job>);

impl Jobs {
    /// Adds one: the symbol part of a format, and what configuration of it is tried on which machine.
    pub fn add(
        &mut self,
        format: &'static str,
        config: &str,
        needs: Needs,
        test: impl Fn(&Path, u64) -> io::Result<Counts> + Send + Sync + 'static,
    ) {
        self.0.push(Job { format, config: config.to_owned(), needs, test: Box::new(test) });
    }

    /// Format and configuration of each.
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.0.iter().map(|job| (job.format, job.config.as_str()))
    }

    /// Leaves only those that are to run.
    pub fn select(&mut self, arguments: &Arguments) {
        self.0.retain(|job| arguments.selects(job.format, &job.config));
    }

    /// Runs all, so many at a time, and prints the rows in their order.
    pub fn run(self, threads: NonZero<usize>) -> Matrix {
        let next = AtomicUsize::new(0);
        let (sender, receiver) = mpsc::channel();
        let mut rows = BTreeMap::new();
        let mut matrix = Matrix::default();
        thread::scope(|scope| {
            for _ in 0..threads.get().min(self.0.len()) {
                let (jobs, next, sender) = (&self.0, &next, sender.clone());
                scope.spawn(move || {
                    while let n = next.fetch_add(1, Ordering::Relaxed)
                        && let Some(job) = jobs.get(n)
                        && sender.send((n, job.row())).is_ok()
                    {}
                });
            }
            drop(sender);
            for (n, row) in receiver {
                rows.insert(n, row);
                while let Some(row) = rows.remove(&matrix.rows.len()) {
                    println!("{row}");
                    matrix.rows.push(row);
                }
            }
        });
        matrix
    }
}

impl Job {
    fn row(&self) -> Row {
        let (walker, result) = match self.needs {
            Needs::Qemu { program, major } => self.on_qemu(program, major),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Needs::Kvm => (conformance::kvm::walker(), self.on_kvm()),
        };
        let result = result.and_then(|counts| counts.gap().map_or(Ok(counts), |gap| Err(Trouble::Failed(gap))));
        Row { format: self.format, config: self.config.clone(), walker, result }
    }

    fn on_qemu(&self, program: &str, oldest: u32) -> (String, Result<Counts, Trouble>) {
        let path = match vm::program(program) {
            Ok(path) => path,
            Err(reason) => return (program.to_owned(), Err(Trouble::Skipped(reason))),
        };
        let version = vm::version(&path).unwrap_or_else(|error| error.to_string());
        let result = if vm::major(&path).is_ok_and(|major| major < oldest) {
            Err(Trouble::Optional(format!("QEMU has this from {oldest}.0 on")))
        } else {
            self.with_seeds(&path)
        };
        (format!("{program} {version}"), result)
    }

    fn with_seeds(&self, program: &Path) -> Result<Counts, Trouble> {
        seeds::run(1..=SEEDS, |n| (self.test)(program, seeds::of_row(self.format, &self.config, n)))
    }

    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    fn on_kvm(&self) -> Result<Counts, Trouble> {
        let host = conformance::kvm::Host::probe();
        host.map_err(|error| Trouble::Optional(format!("KVM does not work here: {error}")))?;
        self.with_seeds(Path::new("/dev/kvm"))
    }
}

/// Makes a table in RAM from `ram_pa` on, gives it to the machine, and compares; changes it while the machine has it, and compares
/// again.
pub fn check<F: Walkers>(
    layout: Layout,
    config: &TableConfig<F::Config>,
    plan: Plan,
    machine: impl for<'r> Fn(&'r Ram, F::HwInfo) -> io::Result<Box<dyn Walker + 'r>>,
) -> io::Result<Counts> {
    let ram = Ram::new(plan.layout(layout))?;
    let mut tables = ram.tables()?;
    let arena = Arena::new(&mut tables, ram.tables_pa()).map_err(io::Error::other)?;
    let domain = Domain::new(arena, Hardware::default());
    let mut scene = Scene::<F>::new(&domain, config, &ram, plan)?;
    domain.driver.attach(machine(&ram, scene.hw_info())?, info_of::<F>(*scene.common()));
    let counts = scene.check(&ram).and_then(|()| scene.change(&ram)).and_then(|()| scene.check(&ram));
    let counts = counts.and_then(|()| scene.check_dirty(&ram)).and_then(|()| scene.replace(&ram));
    let counts = counts.map_err(|error| io::Error::other(format!("{error}. {}", scene.context())));
    counts.map(|()| scene.counts()).map_err(|error| with_messages(error, &ram))
}

/// Looks at a table through the machine, before and after each sync.
pub fn check_live<F: Walkers>(
    layout: Layout,
    config: &TableConfig<F::Config>,
    plan: Plan,
    machine: impl for<'r> Fn(&'r Ram, F::HwInfo) -> io::Result<Box<dyn Walker + 'r>>,
) -> io::Result<Counts> {
    let ram = Ram::new(plan.layout(layout))?;
    let mut tables = ram.tables()?;
    let arena = Arena::new(&mut tables, ram.tables_pa()).map_err(io::Error::other)?;
    let domain = Domain::new(arena, Hardware::default());
    let table = PtIommu::<F, _>::new(&domain, config).map_err(io::Error::other)?;
    let live = Live::new(&domain, table, &plan, &ram)?;
    domain.driver.attach(machine(&ram, live.hw_info())?, info_of::<F>(*live.common()));
    let told = format!("the library told, in hexadecimal: {:x?}", live.hw_info());
    let counts = live.check().map_err(|error| io::Error::other(format!("{error}. {told}")));
    counts.map_err(|error| with_messages(error, &ram))
}

/// What the library says of every top of that table.
fn info_of<F: Walkers>(common: Common<F>) -> InfoOf {
    Box::new(move |top| Box::new(F::hw_info(&common, top)))
}

/// With what the machine said, which may tell why.
fn with_messages(error: io::Error, ram: &Ram) -> io::Error {
    match ram.last_messages().as_str() {
        "" => error,
        messages => io::Error::other(format!("{error} (the machine says: {messages})")),
    }
}
