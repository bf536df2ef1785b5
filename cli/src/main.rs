//! `genpt`: hardware page tables of every format: builds, walks, dumps, checks, compares and draws them, and replays IOMMU traces.

#![deny(unsafe_code)]

mod anomaly;
mod args;
mod bench;
mod build;
#[allow(unsafe_code, reason = "implements the unsafe trait TableMemory")]
mod counting;
mod decode;
mod describe;
mod draw;
mod formats;
mod html;
mod human;
mod image;
mod inspect;
mod intervals;
#[allow(unsafe_code, reason = "implements the unsafe trait TableMemory")]
mod kept_memory;
#[allow(unsafe_code, reason = "implements the unsafe trait TableMemory")]
mod low_memory;
mod machine;
mod mix;
mod model;
mod number;
mod plan;
mod planner;
mod policies;
mod progress;
mod regular_file;
mod render;
mod replay;
mod replay_error;
mod report;
mod same_file;
mod samples;
mod setup;
mod sparkline;
mod status;
mod style;
mod summary;
mod table;
mod timing;
mod trace;
mod usage;

use args::{BenchArgs, Cli, Command, FormatsArgs, ManArgs, ReplayArgs};
use bench::{BenchJob, BenchReport, Sizes};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use describe::FormatInfo;
use formats::{FORMATS, FormatRow};
use machine::Machine;
use progress::Progress;
use replay::{Check, Job, PASSES};
use replay_error::ReplayError;
use report::{PAGE_BYTES, Report, TraceReport};
use same_file::is_same_file;
use serde::Serialize;
use status::{Failure, Hinted};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;
use style::styled;
use summary::Summary;
use trace::{OnMalformed, Source, Start, Trace};
use usage::usage_failure;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    usage::set_color(&words);
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and the version go to standard output, or are no error.
        Err(error) if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            return match status::written(error.print().and_then(|()| std::io::stdout().flush())) {
                Ok(()) => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(status::USAGE)),
                Err(failure) => fail(&failure),
            };
        }
        Err(error) => return fail(&usage_failure(&error, &words)),
    };
    cli.color.write_global();
    let done = match cli.command {
        Command::Replay(args) => replay_all(&args).map(|()| status::OK),
        Command::Formats(args) => show_formats(&args).map(|()| status::OK),
        Command::Build(args) => build::run(&args),
        Command::Walk(args) => inspect::walk(&args),
        Command::Dump(args) => inspect::dump(&args),
        Command::Draw(args) => draw::run(&args),
        Command::Check(args) => inspect::check(&args),
        Command::Diff(args) => inspect::diff(&args),
        Command::Bench(args) => measure(&args).map(|()| status::OK),
        Command::Completions(args) => completions(args.shell).map(|()| status::OK),
        Command::Man(args) => manual(&args).map(|()| status::OK),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(failure) => fail(&failure),
    }
}

/// Tells of an error, and is the exit status.
fn fail(failure: &Failure) -> ExitCode {
    let mut stderr = anstream::stderr();
    // Nobody is left to hear of it if standard error is closed.
    let _ = writeln!(stderr, "{} {}", styled(style::ERROR, "error:"), failure.message());
    let _ = writeln!(stderr, "{} {}", styled(style::HINT, "hint:"), failure.hint());
    ExitCode::from(failure.code)
}

/// What to do if no format has the VA bits that were asked for.
const NO_FORMAT_HELP: &str = "leave out `--va-bits`, or ask for those of a format (`genpt formats`)";

/// What to do about a file that cannot be written.
const FILE_HELP: &str = "name a file that can be written, in a directory that there is";

fn show_formats(args: &FormatsArgs) -> Result<(), Failure> {
    let asked = |row: &&FormatRow| args.names.is_empty() || args.names.iter().any(|name| name == row.name);
    let formats: Vec<FormatInfo> = FORMATS.iter().filter(asked).map(|row| (row.describe)()).collect();
    if args.json {
        return print_json(&formats);
    }
    if args.names.is_empty() {
        return print(&describe::list(&formats));
    }
    let pages: Vec<String> = formats.iter().map(describe::page).collect();
    print(pages.join("\n").trim_end())
}

fn measure(args: &BenchArgs) -> Result<(), Failure> {
    let sizes = if args.all_sizes { Sizes::All } else { Sizes::OfOneItem };
    let job = BenchJob { va_bits: args.va_bits, sizes, time: Duration::from_millis(args.time) };
    let rows = args.choice.rows();
    let progress = Progress::of_steps("measuring", rows.len() as u64);
    let mut report = BenchReport { machine: Machine::this(), formats: Vec::new() };
    for row in rows {
        match (row.bench)(&job) {
            Ok(format) => report.formats.push(format),
            // Of all formats some cannot have these VA bits.
            Err(ReplayError::Setup { .. }) if !args.choice.is_named(row.name) => {}
            Err(error @ ReplayError::Setup { .. }) => return Err(Failure::of(status::USAGE, &error)),
            Err(error) => return Err(Failure::of(status::DIFFERS, &error)),
        }
        progress.advance(1);
    }
    drop(progress);
    if report.formats.is_empty() {
        return Err(Failure::new(status::USAGE, "no format can be set up as asked", NO_FORMAT_HELP));
    }
    if args.json { print_json(&report) } else { print(&bench::text(&report)) }
}

fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "genpt", &mut script);
    print(String::from_utf8_lossy(&script).trim_end())
}

fn manual(args: &ManArgs) -> Result<(), Failure> {
    if let Some(directory) = &args.output_dir {
        let failed = |error| {
            let text = format!("cannot write manual pages to {}: {error}", human::file(directory));
            Failure::new(status::INPUT, text, "name a directory that can be written; it is made in one that there is")
        };
        // As with `-o` of other commands, what is above it has to be there.
        let made = match std::fs::create_dir(directory) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        };
        return made.and_then(|()| clap_mangen::generate_to(command_of_manual(), directory)).map_err(failed);
    }
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(command_of_manual()).render(&mut page);
    status::written(rendered)?;
    print(String::from_utf8_lossy(&page).trim_end())
}

/// The commands, with names of arguments that say where several are taken, as `--help` does: what makes manual pages of them does not.
fn command_of_manual() -> clap::Command {
    let told = |arg: clap::Arg| {
        let takes_several = arg.get_num_args().is_some_and(|values| values.max_values() > 1);
        match arg.get_value_names() {
            Some([name]) if arg.is_positional() && takes_several => {
                // Clap takes no other strings, and these are few.
                let name: &'static str = format!("{name}...").leak();
                arg.value_name(name)
            }
            _ => arg,
        }
    };
    // Of `help` there are no pages.
    let mut all = Cli::command().disable_help_subcommand(true);
    // Only what is built knows how many values an argument takes.
    all.build();
    all.mut_subcommands(|command| command.mut_args(told))
}

fn replay_all(args: &ReplayArgs) -> Result<(), Failure> {
    if let Some(page) = &args.html
        && args.files.iter().any(|trace| is_same_file(page, trace))
    {
        let text = format!("{} is a trace to be replayed", human::file(page));
        return Err(Failure::new(status::USAGE, text, "write somewhere else with `--html`"));
    }
    let sources: Vec<Source> = if args.files.is_empty() {
        vec![Source::BuiltIn]
    } else {
        args.files.iter().cloned().map(Source::from).collect()
    };
    let mut reports = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let report = replay_one(args, source)?;
        // A page has all traces, and comes first: who reads the text may stop early.
        if !args.json && args.html.is_none() {
            print_report(args, index, &report)?;
        }
        reports.push(report);
    }
    if let Some(path) = &args.html {
        let failed = |error| {
            Failure::new(status::INPUT, format!("cannot write the page {}: {error}", human::file(path)), FILE_HELP)
        };
        std::fs::write(path, html::page(&reports, args.queue)).map_err(failed)?;
        if !args.json {
            reports.iter().enumerate().try_for_each(|(index, report)| print_report(args, index, report))?;
        }
    }
    if args.json {
        // One trace is one document; several are a list of them.
        match reports.as_slice() {
            [report] => print_json(report)?,
            reports => print_json(reports)?,
        }
    }
    match reports.iter().find(|report| report.formats.is_empty()) {
        Some(report) => {
            let text = format!("{}: no format can be set up as asked", report.trace.name);
            Err(Failure::new(status::USAGE, text, NO_FORMAT_HELP))
        }
        None => Ok(()),
    }
}

/// Prints the report of one of several traces, from 0.
fn print_report(args: &ReplayArgs, index: usize, report: &Report) -> Result<(), Failure> {
    let gap = if index > 0 { "\n" } else { "" };
    print(&format!("{gap}{}", render::text(report, args.queue)))
}

/// Writes to standard output.
fn print(text: &str) -> Result<(), Failure> {
    status::written(writeln!(anstream::stdout(), "{text}"))
}

fn print_json(results: &(impl Serialize + ?Sized)) -> Result<(), Failure> {
    print(&status::json(results)?)
}

fn replay_one(args: &ReplayArgs, source: &Source) -> Result<Report, Failure> {
    let on_malformed = if args.lenient { OnMalformed::Skip } else { OnMalformed::Stop };
    let mut trace = Trace::read(source, on_malformed).map_err(|error| Failure::of(status::INPUT, &error))?;
    trace.start = match (args.start, trace.start) {
        (args::Start::Auto, found) => found,
        (args::Start::Empty, _) => Start::Empty,
        (args::Start::Middle, found @ Start::Middle { .. }) => found,
        (args::Start::Middle, Start::Empty) => Start::Middle { complete_from: 1 },
    };
    let summary = Summary::of(&trace);
    let check = if args.check { Check::EveryEvent } else { Check::Peaks };
    let formats = args.choice.rows();
    let passes = formats.len() as u64 * PASSES;
    let progress = Progress::of_steps(&format!("replaying {}", trace.name), passes * trace.events.len() as u64);
    let job = Job {
        trace: &trace,
        summary: &summary,
        va_bits: args.va_bits,
        check,
        queue_unmaps: args.queue,
        most_table_bytes: args.table_memory << 20,
        progress: &progress,
    };
    let plan = job.common_plan();
    let mut report =
        Report { trace: TraceReport::new(&trace, &summary), formats: Vec::new(), not_replayed: BTreeMap::new() };
    for row in formats {
        if row.page_bytes > PAGE_BYTES && !args.choice.is_named(row.name) {
            let kib = row.page_bytes >> 10;
            let reason =
                format!("{}: its pages are of {kib} KiB or more; asked for by name, it maps what fits", row.name);
            report.not_replayed.insert(row.name.to_owned(), reason);
            continue;
        }
        match (row.replay)(&job, plan.as_ref()) {
            Ok(format) => report.formats.push(format),
            Err(error @ ReplayError::Differs { .. }) => {
                return Err(Failure::new(status::DIFFERS, format!("{}: {error}", trace.name), error.hint()));
            }
            Err(error @ ReplayError::Setup { .. }) if args.choice.is_named(row.name) => {
                return Err(Failure::of(status::USAGE, &error));
            }
            Err(error) => drop(report.not_replayed.insert(row.name.to_owned(), error.to_string())),
        }
    }
    Ok(report)
}
