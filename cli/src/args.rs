//! The command line.

use crate::build::{self, args::BuildArgs};
use crate::draw::{self, args::DrawArgs};
use crate::formats::{FORMATS, FormatRow};
use crate::inspect::args::{CheckArgs, DiffArgs, DumpArgs, WalkArgs, help};
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Hardware page tables of every format: builds, walks, dumps, checks, compares and draws them, replays what Linux did with them, and
/// tells what the formats are.
#[derive(Debug, Parser)]
#[command(name = "genpt", version, about, max_term_width = 100, after_help = EXIT_STATUS)]
pub struct Cli {
    /// Colours, on a terminal or always or never; NO_COLOR in the environment turns `auto` off.
    #[command(flatten)]
    pub color: colorchoice_clap::Color,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Replay a Linux ftrace text with iommu:map and iommu:unmap events into page tables, and say what that costs
    #[command(after_long_help = LONG_HELP)]
    Replay(ReplayArgs),
    /// List the formats, or show some of them: bits, tables, features, and where they are specified
    #[command(after_long_help = FORMATS_HELP)]
    Formats(FormatsArgs),
    /// Build tables from a list of mappings, for firmware and hypervisors
    #[command(after_long_help = build::args::HELP)]
    Build(BuildArgs),
    /// Walk to an address in an image, step by step, and say why it fails
    #[command(after_long_help = help::WALK)]
    Walk(WalkArgs),
    /// Show what an image maps: runs of VA, physical address, page sizes, attributes
    #[command(after_long_help = help::DUMP)]
    Dump(DumpArgs),
    /// Draw the tables of an image, and what they map: a page or a picture
    #[command(after_long_help = draw::args::HELP)]
    Draw(DrawArgs),
    /// Check the tables of an image
    #[command(after_long_help = help::CHECK)]
    Check(CheckArgs),
    /// Show what changed between two images
    #[command(after_long_help = help::DIFF)]
    Diff(DiffArgs),
    /// Measure map, unmap and translate for each page size on this machine
    #[command(after_long_help = BENCH_HELP)]
    Bench(BenchArgs),
    /// Print a completion script for a shell
    #[command(after_long_help = COMPLETIONS_HELP)]
    Completions(CompletionsArgs),
    /// Print the manual page, or write one for each subcommand
    #[command(after_long_help = MAN_HELP)]
    Man(ManArgs),
}

/// `genpt bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Formats to measure.
    #[command(flatten)]
    pub choice: FormatChoice,

    /// Print JSON: the machine, and the formats with their rows
    #[arg(long)]
    pub json: bool,

    /// VA bits of the tables [default: 48, or what comes next to it]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub va_bits: Option<u32>,

    /// Measure also pages of several items: contiguous runs
    #[arg(long)]
    pub all_sizes: bool,

    /// How long each page size is measured, ms
    #[arg(long, value_name = "MS", default_value_t = 25, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub time: u64,
}

/// `genpt completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `genpt man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write `genpt.1` and `genpt-SUBCOMMAND.1` there, instead of printing the first; it is made if what is above it is there
    #[arg(long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,
}

/// `genpt formats`.
#[derive(Debug, Args)]
pub struct FormatsArgs {
    /// Formats to show in full [default: a list of all]
    #[arg(value_name = "NAME", value_parser = format_names(), hide_possible_values = true)]
    pub names: Vec<String>,

    /// Print JSON: a list of formats with everything in it
    #[arg(long)]
    pub json: bool,
}

/// `genpt replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Traces: text as in /sys/kernel/tracing/trace or from `trace-cmd report`, plain, gzip or zstd; `-` is standard input
    /// [default: a built-in one]
    ///
    /// The built-in trace is real: an NVMe disk behind a VT-d IOMMU on Linux 6.1. Several traces are replayed one after
    /// the other.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Formats to replay into; they are shown side by side.
    #[command(flatten)]
    pub choice: FormatChoice,

    /// Print JSON: one document; of several traces a list
    #[arg(long)]
    pub json: bool,

    /// Write a page with plots too: a file of its own that any browser shows
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// Count and skip lines that are not understood, instead of stopping
    #[arg(long)]
    pub lenient: bool,

    /// VA bits of the tables [default: 48 or what the trace needs; all that there are where the top can grow]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub va_bits: Option<u32>,

    /// What was mapped when the trace began
    #[arg(long, value_enum, default_value_t = Start::Auto)]
    pub start: Start,

    /// Compare table and trace after every event, in its range, and not only at the peaks and at the end
    #[arg(long)]
    pub check: bool,

    /// Unmaps in a domain after which the queued policy flushes everything
    #[arg(long, value_name = "UNMAPS", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..))]
    pub queue: u64,

    /// Most memory of the tables of one format, MiB; maps that need more are refused
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..1 << 24))]
    pub table_memory: u64,
}

/// What was mapped when a trace began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Start {
    /// As the text shows: something if events are missing in it, else nothing
    Auto,
    /// Nothing: every unmap of what was not mapped in the trace is an anomaly
    Empty,
    /// Something: the trace was switched on while the device was running
    Middle,
}

/// The name that stands for every format.
const ALL: &str = "all";

/// What the exit status means; each subcommand tells its own.
const EXIT_STATUS: &str = "\
Exit status: 0 done (anomalies or not); 1 something cannot be read or written; 2 wrong arguments; 3 a table does not do what \
it should, or images differ; 4 something is odd, or not mapped; 5 something is wrong, or not all could be looked at.";

/// What `formats --help` says at its end.
const FORMATS_HELP: &str = "\
Example:
  genpt formats vtdss

Exit status: 0 done; 1 the results cannot be written; 2 wrong arguments.";

/// What `bench --help` says at its end.
const BENCH_HELP: &str = "\
Example:
  genpt bench --format vtdss,amdv1

The rows are as in the benchmark that comes with Linux's page tables: the page size, then the average and the minimum over \
many rounds, in ns for each call. A row `256*2^12` maps or unmaps 256 pages of 4 KiB with one call, and no larger page fits. \
Everything is warm; unmap includes its gather and the sync. The driver does nothing, and memory is the program's heap.

Exit status: 0 done; 1 the results cannot be written; 2 wrong arguments; 3 an operation did not do what it should.";

/// What `completions --help` says at its end.
const COMPLETIONS_HELP: &str = "\
Example:
  genpt completions bash > ~/.local/share/bash-completion/completions/genpt

Exit status: 0 done; 1 the script cannot be written; 2 wrong arguments.";

/// What `man --help` says at its end.
const MAN_HELP: &str = "\
Example:
  genpt man | man -l -
  genpt man --output-dir ~/.local/share/man/man1

Exit status: 0 done; 1 the pages cannot be written; 2 wrong arguments.";

/// What `replay --help` says at its end.
const LONG_HELP: &str = "\
Examples:
  genpt replay --format vtdss,amdv1 --html report.html trace.txt.gz
  trace-cmd report | genpt replay -

To record a trace:
  echo 1 > /sys/kernel/tracing/events/iommu/map/enable
  echo 1 > /sys/kernel/tracing/events/iommu/unmap/enable
  (load the driver, do I/O, unload it)
  cat /sys/kernel/tracing/trace > trace.txt

Domains: the events of Linux do not name theirs. If the trace has lines `d_map: ... domain=0x.. iova=0x.. size=0x..` and \
`d_unmap: ...` (a fprobe or kprobe at the beginning of the operation), each event is replayed into a table of the domain \
that the line before it names. So it is with `device=NAME` instead of the domain, and with events that end with one of both.

Traces that begin in the middle: a header with fewer events in the buffer than written, a line `##### CPU n buffer \
started ####` or `CPU:n [LOST m EVENTS]` says that events are missing up to there. Then an unmap of what was never mapped \
in the trace undoes a map from before it, and a map over what was live before that line follows an unmap that is missing: \
both are counted, and are no anomalies. After that line, unmapping twice and mapping twice are. A trace that was switched \
on late but overwrote nothing does not show it: say `--start middle`.

Anomalies: a double map is not applied, as a table refuses it with EADDRINUSE. A map that a format refuses (address or page \
size do not fit, or --table-memory is used up) is left out, and so is its unmap. If one unmap removes more or less from this table than it did in the \
traced one (leaves are never split), the table is brought to what the trace says, uncounted.

Invalidation policies:
  strict               the range of every unmap event, at once
  batched, FLUSH_RANGE one range over all consecutive unmaps in a domain, gaps too
  batched, NO_GAPS     the same, but what does not touch the range is invalidated apart
  queued               a full flush after every 256 unmaps in a domain (--queue), and at the end

Exit status: 0 done (anomalies or not); 1 a trace cannot be read, or results not written; 2 wrong arguments; 3 a table does \
not translate as the trace says.";

fn names() -> PossibleValuesParser {
    let all = PossibleValue::new(ALL).help("every format");
    PossibleValuesParser::new(std::iter::once(all).chain(named_formats()))
}

/// The names of all formats, with what they are.
pub fn format_names() -> PossibleValuesParser {
    PossibleValuesParser::new(named_formats())
}

fn named_formats() -> impl Iterator<Item = PossibleValue> {
    FORMATS.iter().map(|row| PossibleValue::new(row.name).help(row.about))
}

/// Formats, by name.
#[derive(Debug, Args)]
pub struct FormatChoice {
    /// Formats (`genpt formats` lists them), or `all`; they are shown in this order
    #[arg(
        short,
        long,
        value_name = "NAME",
        value_delimiter = ',',
        default_value = ALL,
        value_parser = names(),
        hide_possible_values = true
    )]
    pub format: Vec<String>,
}

impl FormatChoice {
    /// The formats, each once, in the order asked for.
    pub fn rows(&self) -> Vec<&'static FormatRow> {
        let mut rows: Vec<&'static FormatRow> = Vec::new();
        for name in &self.format {
            for row in FORMATS.iter().filter(|row| name == ALL || name == row.name) {
                if rows.iter().all(|other| other.name != row.name) {
                    rows.push(row);
                }
            }
        }
        rows
    }

    /// Whether a format was asked for by its name.
    pub fn is_named(&self, format: &str) -> bool {
        self.format.iter().any(|name| name == format)
    }
}
