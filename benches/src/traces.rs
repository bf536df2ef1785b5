//! Real traces of IOMMU map and unmap events of Linux, replayed in memory.

use crate::BenchDomain;
use crate::cases::Case;
use crate::formats::Shape;
use crate::target::{PROT, Table, Tables, Target, table};
use flate2::read::GzDecoder;
use generic_pt::Features;
use generic_pt::iommu::Walkers;
use ruzstd::decoding::StreamingDecoder;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Directories with more traces, separated by `:`.
pub const VARIABLE: &str = "GENERIC_PT_TRACES";

/// How the names of traces end.
const ENDINGS: [&str; 2] = [".trace.txt.gz", ".trace.txt.zst"];

/// One event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A range was mapped.
    Map {
        /// Its start.
        iova: u64,
        /// The physical memory.
        paddr: u64,
        /// Bytes.
        len: u64,
    },
    /// A range was unmapped.
    Unmap {
        /// Its start.
        iova: u64,
        /// Bytes.
        len: u64,
    },
}

/// The events of one table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trace {
    /// The file's name without its endings.
    pub name: String,
    /// What happened, in order.
    pub events: Vec<Event>,
}

impl Trace {
    /// The project's own traces, and those of the directories that [`VARIABLE`] names; by name. Traces of several domains
    /// are left out: their events do not say which table they are of.
    ///
    /// # Errors
    /// A message: a file cannot be read or understood.
    pub fn all() -> Result<Vec<Rc<Self>>, String> {
        let mut directories = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../cli/traces"))];
        directories.extend(std::env::var_os(VARIABLE).iter().flat_map(std::env::split_paths));
        let mut traces = Vec::<Rc<Self>>::new();
        for directory in directories {
            let failed = |error| format!("{}: {error}", directory.display());
            for entry in std::fs::read_dir(&directory).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                let name = path.to_string_lossy();
                if !ENDINGS.iter().any(|ending| name.ends_with(ending)) {
                    continue;
                }
                let trace = Self::read(&path).map_err(|problem| format!("{}: {problem}", path.display()))?;
                traces.extend(trace.filter(|new| traces.iter().all(|old| old.name != new.name)).map(Rc::new));
            }
        }
        traces.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(traces)
    }

    /// Reads a trace; `None` if it is of several domains.
    fn read(path: &Path) -> Result<Option<Self>, String> {
        let text = unpacked(path).map_err(|error| error.to_string())?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.split('.').next().unwrap_or_default().to_owned();
        if text.contains(": d_map: ") {
            return Ok(None);
        }
        let events = text.lines().filter_map(|line| parse(line).transpose()).collect::<Result<_, _>>()?;
        Ok(Some(Self { name, events }))
    }
}

/// The text of a packed file.
fn unpacked(path: &Path) -> io::Result<String> {
    let (file, mut text) = (File::open(path)?, String::new());
    if path.extension().is_some_and(|extension| extension == "zst") {
        StreamingDecoder::new(file).map_err(io::Error::other)?.read_to_string(&mut text)?;
    } else {
        GzDecoder::new(file).read_to_string(&mut text)?;
    }
    Ok(text)
}

/// The event of a line; `None` if it is something else.
fn parse(line: &str) -> Result<Option<Event>, String> {
    let Some((front, fields)) = line.split_once(": IOMMU: ") else { return Ok(None) };
    let field = |name: &str| {
        let word = fields.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let number = word.and_then(|word| match word.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => word.parse().ok(),
        });
        number.ok_or_else(|| format!("no `{name}=`: `{line}`"))
    };
    let (iova, len) = (field("iova")?, field("size")?);
    if front.ends_with(" map") {
        Ok(Some(Event::Map { iova, paddr: field("paddr")?, len }))
    } else if front.ends_with(" unmap") {
        Ok(Some(Event::Unmap { iova, len }))
    } else {
        Ok(None)
    }
}

/// A replay of a trace into tables of a format; `None` if they are too small for it, or have no pages of 4 KiB as it has.
pub fn replay<F: Walkers + 'static>(
    domain: &'static BenchDomain,
    shape: Shape<F::Config>,
    trace: &Rc<Trace>,
) -> Option<Box<dyn Case>> {
    // DMA addresses use the whole width from 0.
    let shape = Shape { features: shape.features - Features::SIGN_EXTEND, ..shape };
    let mut case = Replay::<F> { domain, shape, trace: Rc::clone(trace), table: None, done: None };
    case.prepare();
    let info = case.table.as_ref()?.info();
    let last = info.aperture.last;
    let fits = trace.events.iter().all(|event| match event {
        Event::Map { iova, len, .. } | Event::Unmap { iova, len } => iova + (len - 1) <= last,
    });
    case.run();
    (fits && info.page_sizes & 1 << 12 != 0).then(|| Box::new(case) as Box<dyn Case>)
}

/// A replay.
#[derive(Debug)]
struct Replay<F: Walkers> {
    domain: &'static BenchDomain,
    shape: Shape<F::Config>,
    trace: Rc<Trace>,
    /// The table, empty before a run.
    table: Option<Table<F>>,
    /// Events that had an effect: those of a trace that began in the middle do not all have.
    done: Option<u64>,
}

impl<F: Walkers> Case for Replay<F> {
    fn prepare(&mut self) {
        self.table = None;
        self.table = table(self.domain, &self.shape, Features::empty());
    }

    fn run(&mut self) {
        let Some(table) = &mut self.table else { return };
        let mut done = 0;
        for event in &self.trace.events {
            done += u64::from(match *event {
                Event::Map { iova, paddr, len } => table.map(iova, paddr, len, PROT),
                Event::Unmap { iova, len } => table.unmap(iova, len, Tables::Stay) > 0,
            });
        }
        assert_eq!(*self.done.get_or_insert(done), done, "the same in every pass");
    }

    fn units(&self) -> u64 {
        self.trace.events.len() as u64
    }
}
