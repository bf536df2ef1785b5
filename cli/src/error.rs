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

/// A message on one line, and its hint on another. Names in it can be those of somebody else: what looks like a hint is one only
/// if it is among those of this program.
pub fn message(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let known = |(_, hint): &(&str, &str)| HINTS.iter().any(|known| hint == known);
    match text.rsplit_once("\nhint: ").filter(known) {
        Some((text, hint)) => format!("{}\nhint: {hint}", printable(text)),
        None => printable(&text),
    }
}

/// The hints of errors about images and specifications.
const HINTS: [&str; 6] = [
    "map with larger pages, or less",
    "the first line has to be va,pa,len,prot",
    "the upper half of the VA needs `--features SIGN_EXTEND` or UPPER_HALF (`genpt formats NAME` tells which there is)",
    "raw memory begins at 0 unless `--base` says where",
    "`--root` is a physical address",
    "the file is cut off: its headers tell of memory behind its end",
];

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
