//! What can go wrong with a trace, told so that the user can act.

use super::Malformed;
use crate::human::{self, printable};
use crate::status::Hinted;
use std::io;
use thiserror::Error;

/// Most characters of a malformed line that are shown, with escapes as they are shown.
const SHOWN_CHARS: usize = 120;

/// A trace that cannot be used.
#[derive(Debug, Error)]
pub enum TraceError {
    /// It cannot be opened.
    #[error("cannot open the trace {name}: {cause}")]
    Open {
        /// The trace.
        name: String,
        /// Why.
        cause: io::Error,
    },
    /// It is compressed in a way that is not unpacked here.
    #[error("{name}: it is compressed ({packing}), and can be replayed only when it is unpacked")]
    Packed {
        /// The trace.
        name: String,
        /// How.
        packing: &'static str,
    },
    /// Reading or unpacking it failed.
    #[error("{}: {}", behind(name, *line), explain(cause))]
    Read {
        /// The trace.
        name: String,
        /// The last line that was read.
        line: u64,
        /// Why.
        cause: io::Error,
    },
    /// A line is not understood.
    #[error("{name}:{line}: {found}, in the line `{text}`; expected: {expected}")]
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
        /// What the line looks like.
        looks: Looks,
    },
    /// There is nothing to replay.
    #[error("{name}: no `map:` or `unmap:` event in it ({}, {malformed} of them not understood)", human::count(*lines, "line"))]
    Empty {
        /// The trace.
        name: String,
        /// Lines in it.
        lines: u64,
        /// Lines that were not understood.
        malformed: u64,
    },
}

/// What to do about a trace that is no text.
const BINARY_HELP: &str = "it looks like a binary file: expected is text, plain, gzip or zstd; of trace-cmd's trace.dat `trace-cmd \
                           report` makes it";

/// What a line of a trace looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Looks {
    /// Text.
    Text,
    /// Bytes that text does not have.
    Binary,
}

impl Looks {
    /// Text can have tabs, ends of lines of DOS, and the colours of a terminal.
    fn of(text: &str) -> Self {
        let is_odd = |char: char| char.is_control() && !"\t\r".contains(char) || char == char::REPLACEMENT_CHARACTER;
        if without_colours(text).contains(is_odd) { Self::Binary } else { Self::Text }
    }
}

/// A text without the control sequences of terminals: escape, `[`, parameters, and the character that ends them.
fn without_colours(text: &str) -> String {
    let behind = |part: &str| {
        let mut rest = part.trim_start_matches(|char| (' '..='?').contains(&char)).chars();
        rest.next();
        rest.as_str().to_owned()
    };
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.map(behind).fold(first, |all, part| all + &part)
}

/// The beginning of a text, as it is shown, with dots if there is more.
fn shortened(text: &str) -> String {
    let shown = printable(&text.chars().take(SHOWN_CHARS).collect::<String>());
    if shown.chars().count() > SHOWN_CHARS || text.chars().nth(SHOWN_CHARS).is_some() {
        shown.chars().take(SHOWN_CHARS).collect::<String>() + " ..."
    } else {
        shown
    }
}

/// What to do about a trace without events.
const EMPTY_HELP: &str = "expected is the text of /sys/kernel/tracing/trace or of `trace-cmd report`, recorded with the events \
                          iommu:map and iommu:unmap";

impl TraceError {
    /// The error for a malformed line.
    pub fn malformed(name: &str, line: u64, text: &str, malformed: Malformed) -> Self {
        Self::Malformed {
            name: name.to_owned(),
            line,
            text: shortened(text.trim_start()),
            found: shortened(&malformed.found),
            expected: malformed.expected,
            looks: Looks::of(text),
        }
    }
}

impl Hinted for TraceError {
    fn hint(&self) -> String {
        let text = match self {
            Self::Open { .. } => "`genpt replay` without a file replays the built-in trace; `-` is standard input",
            Self::Packed { packing, .. } => {
                return format!(
                    "`{packing} -dc FILE | genpt replay -` unpacks it on the way; gzip and zstd need no help"
                );
            }
            Self::Read { .. } => "copy the trace anew; what was unpacked up to there can be replayed as text",
            Self::Malformed { looks: Looks::Binary, .. } => BINARY_HELP,
            Self::Malformed { .. } => "`--lenient` counts such lines and skips them",
            Self::Empty { .. } => EMPTY_HELP,
        };
        text.to_owned()
    }
}

/// Where reading ended.
fn behind(name: &str, line: u64) -> String {
    match line {
        0 => format!("{name}: cannot read its first line"),
        line => format!("{name}:{line}: cannot read on after this line"),
    }
}

fn explain(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::UnexpectedEof => "the compressed data is cut off".to_owned(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => format!("the compressed data is damaged ({cause})"),
        _ => cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// What was copied from a terminal was called a binary file.
    #[rstest]
    #[case::plain("t-1 [000] 1.0: map: IOMMU", Looks::Text)]
    #[case::colours("\u{1b}[1;31mt-1\u{1b}[0m [000]\t1.0: map: IOMMU\r", Looks::Text)]
    #[case::other_bytes("\u{7f}ELF\u{2}\u{1}", Looks::Binary)]
    #[case::zero("t-1 \u{0}", Looks::Binary)]
    #[case::no_utf8("t-1 \u{fffd}", Looks::Binary)]
    fn looks(#[case] text: &str, #[case] expected: Looks) {
        assert_eq!(Looks::of(text), expected);
    }
}
