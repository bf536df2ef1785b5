//! What can go wrong, told so that the user can act: one line for the error, and one that begins with `hint:`.

use crate::human::printable;
use std::io;
use thiserror::Error;

/// Most characters of a malformed line that are shown.
const SHOWN_CHARS: usize = 200;

/// A trace that cannot be used.
#[derive(Debug, Error)]
pub enum TraceError {
    /// It cannot be opened.
    #[error(
        "cannot open the trace {name}: {cause}\nhint: `genpt replay` without a file replays the built-in trace; `-` is standard input"
    )]
    Open {
        /// The trace.
        name: String,
        /// Why.
        cause: io::Error,
    },
    /// Reading or unpacking it failed.
    #[error("{name}:{line}: cannot read on after this line: {}", explain(cause))]
    Read {
        /// The trace.
        name: String,
        /// The last line that was read.
        line: u64,
        /// Why.
        cause: io::Error,
    },
    /// A line is not understood.
    #[error(
        "{name}:{line}: {found}, in the line `{text}`; expected: {expected}\nhint: `--lenient` counts such lines and skips them"
    )]
    Malformed {
        /// The trace.
        name: String,
        /// Line number, from 1.
        line: u64,
        /// The line, shortened and printable.
        text: String,
        /// What is wrong.
        found: String,
        /// What would be valid.
        expected: &'static str,
    },
    /// There is nothing to replay.
    #[error(
        "{name}: no `map:` or `unmap:` event in it ({lines} lines, {malformed} of them not understood)\nhint: {EMPTY_HELP}"
    )]
    Empty {
        /// The trace.
        name: String,
        /// Lines in it.
        lines: u64,
        /// Lines that were not understood.
        malformed: u64,
    },
}

/// What to do about a trace without events.
const EMPTY_HELP: &str = "expected is the text of /sys/kernel/tracing/trace or of `trace-cmd report`, recorded with the events \
                          iommu:map and iommu:unmap";

impl TraceError {
    /// The error for a malformed line.
    pub fn malformed(name: &str, line: u64, text: &str, malformed: crate::trace::Malformed) -> Self {
        let begin = |text: &str| printable(&text.chars().take(SHOWN_CHARS).collect::<String>());
        let mut shown = begin(text.trim_start());
        if text.trim_start().chars().count() > SHOWN_CHARS {
            shown.push_str(" ...");
        }
        Self::Malformed {
            name: name.to_owned(),
            line,
            text: shown,
            found: begin(&malformed.found),
            expected: malformed.expected,
        }
    }
}

fn explain(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::UnexpectedEof => "the compressed data is cut off".to_owned(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => format!("the compressed data is damaged ({cause})"),
        _ => cause.to_string(),
    }
}

/// A message on one line, and its hint on another. Names in it can be those of somebody else: whatever looks like a hint there is
/// none.
pub fn message(error: &impl std::fmt::Display, hint: Option<&str>) -> String {
    let text = printable(&error.to_string());
    hint.map_or_else(|| text.clone(), |hint| format!("{text}\nhint: {hint}"))
}

/// An error of the arguments as others are told: what is wrong on one line, and what helps, or how the command is used, on another.
pub fn usage_message(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let trimmed = |part: &str| part.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut paragraphs = text.split("\n\n");
    let what = trimmed(paragraphs.next().unwrap_or_default());
    let rest: Vec<&str> = paragraphs.flat_map(str::lines).map(str::trim).collect();
    let begun = |word: &str| rest.iter().find_map(|line| line.strip_prefix(word)).map(trimmed);
    let usage = || begun("Usage: ").map(|usage| format!("used as `{usage}`; `--help` tells more"));
    let hint = begun("tip: ").or_else(usage).unwrap_or_else(|| "`genpt --help` tells what there is".to_owned());
    message(&what.strip_prefix("error: ").unwrap_or(&what), Some(&printable(&hint)))
}

/// What to do about memory that is not in the image because its file is cut off.
pub const CUT_OFF: &str = "the file is cut off: its headers tell of memory behind its end";

/// What to do about a table that cannot be made.
fn setup_help(format: &str, cause: &generic_pt::Error) -> String {
    match cause {
        generic_pt::Error::OutOfMemory { .. } => "each domain has a table: `--table-memory` allows more".to_owned(),
        _ => format!("`genpt formats {format}` tells what it offers"),
    }
}

/// A format into which a trace cannot be replayed, or whose operations cannot be measured.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// No table of the format can be made as asked.
    #[error("{format}: no table can be made with {va_bits} VA bits: {cause}\nhint: {}", setup_help(format, cause))]
    Setup {
        /// The format.
        format: &'static str,
        /// The VA bits.
        va_bits: u32,
        /// Why.
        cause: generic_pt::Error,
    },
    /// The table does not translate as the trace says.
    #[error("{format}, line {line}: the table differs from the trace: {difference}")]
    Differs {
        /// The format.
        format: &'static str,
        /// The line after which it was found; the last one for the check at the end.
        line: u64,
        /// Where, and how.
        difference: String,
    },
    /// Operations on a table did not do what they should.
    #[error("{format}, {va_bits} VA bits: {found}")]
    Operation {
        /// The format.
        format: &'static str,
        /// The VA bits.
        va_bits: u32,
        /// What they did.
        found: String,
    },
}
