//! `genpt`: what an IOMMU trace of Linux costs in any page-table format, and what the formats are.

#![deny(unsafe_code)]

mod anomaly;
mod args;
mod build;
#[allow(unsafe_code, reason = "implements the unsafe trait TableMemory")]
mod counting;
mod decode;
mod describe;
mod error;
mod formats;
mod human;
#[allow(unsafe_code, reason = "maps files")]
mod image;
mod inspect;
mod intervals;
#[allow(unsafe_code, reason = "implements the unsafe trait TableMemory")]
mod low_memory;
mod model;
mod number;
mod plan;
mod policies;
mod render;
mod replay;
mod report;
mod status;
mod summary;
mod table;
mod timing;
mod trace;

use args::{Cli, Command, FormatsArgs, ReplayArgs};
use clap::Parser;
use describe::FormatInfo;
use error::ReplayError;
use formats::{FORMATS, FormatRow};
use replay::{Check, Job};
use report::{PAGE_BYTES, Report, TraceReport};
use status::Failure;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;
use summary::Summary;
use trace::{OnMalformed, Source, Start, Trace};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Replay(args) => replay_all(&args).map(|()| status::OK),
        Command::Formats(args) => show_formats(&args).map(|()| status::OK),
        Command::Build(args) => build::run(&args),
        Command::Walk(args) => inspect::walk(&args),
        Command::Dump(args) => inspect::dump(&args),
        Command::Check(args) => inspect::check(&args),
        Command::Diff(args) => inspect::diff(&args),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err((code, message)) => {
            // Nobody is left to hear of it if standard error is closed.
            let _ = writeln!(io::stderr(), "error: {message}");
            ExitCode::from(code)
        }
    }
}

fn show_formats(args: &FormatsArgs) -> Result<(), Failure> {
    let asked = |row: &&FormatRow| args.names.is_empty() || args.names.iter().any(|name| name == row.name);
    let formats: Vec<FormatInfo> = FORMATS.iter().filter(asked).map(|row| (row.describe)()).collect();
    if args.json {
        let text = serde_json::to_string_pretty(&formats);
        return print(&text.map_err(|error| (status::INPUT, error.to_string()))?);
    }
    if args.names.is_empty() {
        return print(&describe::list(&formats));
    }
    let pages: Vec<String> = formats.iter().map(describe::page).collect();
    print(pages.join("\n").trim_end())
}

fn replay_all(args: &ReplayArgs) -> Result<(), Failure> {
    let sources: Vec<Source> = if args.files.is_empty() {
        vec![Source::BuiltIn]
    } else {
        args.files.iter().cloned().map(Source::from).collect()
    };
    let mut reports = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let report = replay_one(args, source)?;
        if !args.json {
            let gap = if index > 0 { "\n" } else { "" };
            print(&format!("{gap}{}", render::text(&report, args.queue)))?;
        }
        reports.push(report);
    }
    if args.json {
        // One trace is one document; several are a list of them.
        let text = match reports.as_slice() {
            [report] => serde_json::to_string_pretty(report),
            reports => serde_json::to_string_pretty(reports),
        };
        print(&text.map_err(|error| (status::INPUT, error.to_string()))?)?;
    }
    match reports.iter().find(|report| report.formats.is_empty()) {
        Some(report) => Err((status::USAGE, format!("{}: no format can be set up as asked", report.trace.name))),
        None => Ok(()),
    }
}

/// Writes to standard output.
fn print(text: &str) -> Result<(), Failure> {
    status::written(writeln!(io::stdout(), "{text}"))
}

fn replay_one(args: &ReplayArgs, source: &Source) -> Result<Report, Failure> {
    let on_malformed = if args.lenient { OnMalformed::Skip } else { OnMalformed::Stop };
    let mut trace = Trace::read(source, on_malformed).map_err(|error| (status::INPUT, error.to_string()))?;
    trace.start = match (args.start, trace.start) {
        (args::Start::Auto, found) => found,
        (args::Start::Empty, _) => Start::Empty,
        (args::Start::Middle, found @ Start::Middle { .. }) => found,
        (args::Start::Middle, Start::Empty) => Start::Middle { complete_from: 1 },
    };
    let summary = Summary::of(&trace);
    let check = if args.check { Check::EveryEvent } else { Check::Peaks };
    let job = Job {
        trace: &trace,
        summary: &summary,
        va_bits: args.va_bits,
        check,
        queue_unmaps: args.queue,
        most_table_bytes: args.table_memory << 20,
    };
    let mut report = Report { trace: TraceReport::new(&trace), formats: Vec::new(), not_replayed: BTreeMap::new() };
    for row in args.formats() {
        if row.page_bytes > PAGE_BYTES && !args.is_named(row.name) {
            let kib = row.page_bytes >> 10;
            let reason =
                format!("{}: its pages are of {kib} KiB or more; asked for by name, it maps what fits", row.name);
            report.not_replayed.insert(row.name.to_owned(), reason);
            continue;
        }
        match (row.replay)(&job) {
            Ok(format) => report.formats.push(format),
            Err(error @ ReplayError::Differs { .. }) => {
                return Err((status::DIFFERS, format!("{}: {error}", trace.name)));
            }
            Err(error @ ReplayError::Setup { .. }) if args.is_named(row.name) => {
                return Err((status::USAGE, error.to_string()));
            }
            Err(error) => drop(report.not_replayed.insert(row.name.to_owned(), error.to_string())),
        }
    }
    Ok(report)
}
