//! What can go wrong, told so that the user can act: one line for the error, and one that begins with `hint:`.

use crate::args::Cli;
use crate::human::printable;
use crate::status::{self, Failure, Hinted};
use clap::error::{ContextKind, ContextValue};
use clap::{Command, CommandFactory};
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
    #[error("{name}: no `map:` or `unmap:` event in it ({lines} lines, {malformed} of them not understood)")]
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
    fn of(text: &str) -> Self {
        let is_odd = |char: char| char.is_control() && char != '\t' || char == char::REPLACEMENT_CHARACTER;
        if text.chars().any(is_odd) { Self::Binary } else { Self::Text }
    }
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
    pub fn malformed(name: &str, line: u64, text: &str, malformed: crate::trace::Malformed) -> Self {
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
            Self::Read { .. } => "copy the trace anew; what was unpacked up to there can be replayed as text",
            Self::Malformed { looks: Looks::Binary, .. } => BINARY_HELP,
            Self::Malformed { .. } => "`--lenient` counts such lines and skips them",
            Self::Empty { .. } => EMPTY_HELP,
        };
        text.to_owned()
    }
}

fn explain(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::UnexpectedEof => "the compressed data is cut off".to_owned(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => format!("the compressed data is damaged ({cause})"),
        _ => cause.to_string(),
    }
}

/// An error of the arguments as others are told: what is wrong on one line, and what helps on another. That is a similar name, or
/// what the argument is, or how the command is used. `words` are the arguments.
pub fn usage_failure(error: &clap::Error, words: &[String]) -> Failure {
    let text = error.render().to_string();
    let trimmed = |part: &str| part.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut paragraphs = text.split("\n\n");
    let what = trimmed(paragraphs.next().unwrap_or_default());
    let rest: Vec<&str> = paragraphs.flat_map(str::lines).map(str::trim).collect();
    let begun = |word: &str| rest.iter().find_map(|line| line.strip_prefix(word)).map(trimmed);
    let mut all = Cli::command();
    // Only what is built has names for its arguments.
    all.build();
    let subcommand = words.iter().find_map(|word| all.find_subcommand(word));
    let help = match subcommand {
        Some(subcommand) => format!("`genpt {} --help`", subcommand.get_name()),
        None => "`genpt --help`".to_owned(),
    };
    let usage = || begun("Usage: ").map(|usage| format!("used as `{usage}`; {help} tells more"));
    let meaning = || {
        let (argument, about) = argument_of(error, subcommand?)?;
        Some(format!("{argument} is: {about}; {help} tells more"))
    };
    let hint = begun("tip: ").or_else(usage).or_else(meaning);
    let hint = hint.unwrap_or_else(|| format!("{help} tells what there is"));
    Failure::new(status::USAGE, what.strip_prefix("error: ").unwrap_or(&what), hint)
}

/// The argument that an error is about, and the first line of its help.
fn argument_of(error: &clap::Error, command: &Command) -> Option<(String, String)> {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else { return None };
    let argument = command.get_arguments().find(|argument| argument.to_string() == *shown)?;
    Some((shown.clone(), argument.get_help()?.to_string()))
}

/// What to do about memory that is not in the image because its file is cut off.
pub const CUT_OFF: &str = "the file is cut off: its headers tell of memory behind its end";

/// What to do about a table that cannot be made.
pub fn setup_help(format: &str, cause: &generic_pt::Error) -> String {
    use generic_pt::Error;
    let more = format!("`genpt formats {format}` tells what it offers");
    match cause {
        Error::OutOfMemory { .. } => "each domain has a table: `--table-memory` allows more".to_owned(),
        Error::ConfigRange { field, lowest, highest, .. } => {
            format!("give {} a number from {lowest} to {highest}; {more}", as_option(field))
        }
        Error::Config { field, valid, .. } => format!("valid for {} is {valid}; {more}", as_option(field)),
        _ => more,
    }
}

/// The option by which the user sets a field of the configuration.
fn as_option(field: &str) -> String {
    match field {
        "hw_max_vasz_lg2" => "`--va-bits`".to_owned(),
        "hw_max_oasz_lg2" => "`--oa-bits`".to_owned(),
        field => format!("`--set {field}=NUMBER`"),
    }
}

/// A format into which a trace cannot be replayed, or whose operations cannot be measured.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// No table of the format can be made as asked.
    #[error("{format}: no table can be made with {va_bits} VA bits: {cause}")]
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

impl Hinted for ReplayError {
    fn hint(&self) -> String {
        match self {
            Self::Setup { format, cause, .. } => setup_help(format, cause),
            Self::Differs { .. } => "that is a fault of genpt: please report it with the trace".to_owned(),
            Self::Operation { .. } => "that is a fault of genpt: please report it with the command".to_owned(),
        }
    }
}
