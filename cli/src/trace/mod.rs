//! Reads an ftrace text, or what `trace-cmd report` prints, with `iommu:map` and `iommu:unmap` events.

mod domains;
mod error;
mod gzip;
mod input;
mod line;
mod zstd;

pub use error::TraceError;
pub use input::Source;
pub use line::{Malformed, Op};

use crate::human::printable;
use crate::progress::Progress;
use domains::Pairing;
use input::Contents;
use line::{DomainLine, EventLine, Line};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{BufRead, Read};

/// The longest line that is looked at, in bytes; real ones have less than 300.
const LONGEST_LINE: u64 = 64 << 10;

/// Lines after which the progress is told.
const LINES_TOLD: u64 = 4096;

/// What to do with a line that is not understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnMalformed {
    /// Stop with an error that shows it.
    Stop,
    /// Count it and go on.
    Skip,
}

/// What was mapped when the trace began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// Nothing: the trace began before the driver was loaded.
    Empty,
    /// Something: the trace began in the middle, and events may be missing up to line `complete_from`.
    Middle {
        /// The first line from which on no event is missing.
        complete_from: u64,
    },
}

/// One map or unmap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// Line number in the text, from 1.
    pub line: u64,
    /// Index of its domain in [`Trace::domains`].
    pub domain: usize,
    /// What was done.
    pub op: Op,
}

/// A whole trace.
#[derive(Debug)]
pub struct Trace {
    /// Where it came from, as it is called in messages.
    pub name: String,
    /// The maps and unmaps, in order.
    pub events: Vec<Event>,
    /// Names of the domains, at least one; in order of appearance.
    pub domains: Vec<String>,
    /// What was mapped when it began: as far as the text shows it, or as the user says.
    pub start: Start,
    /// If the text shows that events are missing: the first line from which on none is.
    pub complete_from: Option<u64>,
    /// Lines in the text.
    pub lines: u64,
    /// Events of other kinds, which are skipped, by name.
    pub other_events: BTreeMap<String, u64>,
    /// Lines that were not understood, and skipped because that was asked for.
    pub malformed: u64,
    /// Events that the kernel says are lost, where it says how many.
    pub lost_events: u64,
    /// Domain lines (`d_map`, `d_unmap`) to which no event belonged.
    pub unpaired_domain_lines: u64,
    /// Events to which no domain line belonged, in a trace that has such lines.
    pub events_without_domain: u64,
}

impl Trace {
    /// Reads a trace.
    ///
    /// # Errors
    /// [`TraceError`]: it cannot be read, holds a line that is not understood, or no map or unmap at all.
    pub fn read(source: &Source, on_malformed: OnMalformed) -> Result<Self, TraceError> {
        let name = source.to_string();
        let mut input = source.open()?;
        let progress = Progress::of_bytes(&format!("reading {name}"), input.len);
        let told = || progress.set(input.position.get());
        let trace = Self::read_from(&mut input.text, name, on_malformed, told);
        match trace {
            // Compressed data that is damaged gives other text at first: what is wrong shows later, at the latest by the checksum.
            Err(TraceError::Malformed { ref name, line, .. }) if input.contents == Contents::Packed => {
                match std::io::copy(&mut input.text, &mut std::io::sink()) {
                    Err(cause) => Err(TraceError::Read { name: name.clone(), line: line - 1, cause }),
                    Ok(_) => trace,
                }
            }
            _ => trace,
        }
    }

    /// Reads a trace from an open input that is called `name` in messages; calls `told` now and then.
    ///
    /// # Errors
    /// As [`Trace::read`].
    pub fn read_from(
        mut input: impl BufRead,
        name: String,
        on_malformed: OnMalformed,
        told: impl Fn(),
    ) -> Result<Self, TraceError> {
        let mut reader = Reader::default();
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let read = input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes);
            let count = read.map_err(|cause| TraceError::Read { name: name.clone(), line: reader.line, cause })?;
            if count == 0 {
                break;
            }
            reader.line += 1;
            if reader.line.is_multiple_of(LINES_TOLD) {
                told();
            }
            // Mostly it is text, and seeing that is much faster than making it so.
            let text = str::from_utf8(&bytes).map_or_else(|_| String::from_utf8_lossy(&bytes), Cow::Borrowed);
            let text = text.trim_end_matches(['\n', '\r']);
            let is_whole = (count as u64) < LONGEST_LINE || bytes.ends_with(b"\n");
            let result = if is_whole { reader.take(text) } else { Err(too_long()) };
            if let Err(malformed) = result {
                if on_malformed == OnMalformed::Stop {
                    return Err(TraceError::malformed(&name, reader.line, text, malformed));
                }
                reader.malformed += 1;
            }
            if !is_whole {
                skip_line(&mut input).map_err(|cause| TraceError::Read {
                    name: name.clone(),
                    line: reader.line,
                    cause,
                })?;
            }
        }
        reader.finish(name)
    }
}

/// Reads on to the end of the line, and forgets it.
fn skip_line(input: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let bytes = input.fill_buf()?;
        let newline = bytes.iter().position(|byte| *byte == b'\n');
        let count = newline.map_or(bytes.len(), |at| at + 1);
        if count == 0 {
            return Ok(());
        }
        input.consume(count);
        if newline.is_some() {
            return Ok(());
        }
    }
}

fn too_long() -> Malformed {
    Malformed { expected: "a line of text of an ftrace file", found: "a line of 64 KiB or more".into() }
}

/// A trace while it is read.
#[derive(Default)]
struct Reader {
    line: u64,
    malformed: u64,
    lost_events: u64,
    other_events: BTreeMap<String, u64>,
    events: Vec<Event>,
    pairing: Pairing,
    /// The line of the last sign that events are missing before it.
    incomplete_until: Option<u64>,
}

impl Reader {
    /// Takes the next line.
    fn take(&mut self, text: &str) -> Result<(), Malformed> {
        match Line::parse(text)? {
            Line::Nothing => {}
            Line::Header(text) => {
                if has_overrun(text) {
                    self.incomplete_until.get_or_insert(self.line);
                }
            }
            Line::BufferStarted => self.incomplete_until = Some(self.line),
            Line::Lost(count) => {
                self.incomplete_until = Some(self.line);
                self.lost_events = self.lost_events.saturating_add(count.unwrap_or(0));
            }
            Line::Event(event) => self.take_event(&event)?,
        }
        Ok(())
    }

    fn take_event(&mut self, event: &EventLine<'_>) -> Result<(), Malformed> {
        let (op, owner) = match event.name {
            "map" => Op::parse_map(event.arguments)?,
            "unmap" => Op::parse_unmap(event.arguments)?,
            "d_map" | "d_unmap" => {
                self.pairing.announce(event, DomainLine::parse(event.arguments)?);
                return Ok(());
            }
            other => {
                match self.other_events.get_mut(other) {
                    Some(count) => *count += 1,
                    None => drop(self.other_events.insert(other.to_owned(), 1)),
                }
                return Ok(());
            }
        };
        let domain = self.pairing.domain_of(event, &op, owner);
        self.events.push(Event { line: self.line, domain, op });
        Ok(())
    }

    fn finish(self, name: String) -> Result<Trace, TraceError> {
        if self.events.is_empty() {
            return Err(TraceError::Empty { name, lines: self.line, malformed: self.malformed });
        }
        let complete_from = self.incomplete_until.map(|line| line + 1);
        let start = complete_from.map_or(Start::Empty, |complete_from| Start::Middle { complete_from });
        let mut other_events = BTreeMap::new();
        for (name, count) in self.other_events {
            *other_events.entry(printable(&name)).or_default() += count;
        }
        Ok(Trace {
            name,
            start,
            complete_from,
            lines: self.line,
            other_events,
            malformed: self.malformed,
            lost_events: self.lost_events,
            unpaired_domain_lines: self.pairing.unpaired(),
            events_without_domain: self.pairing.without_domain(),
            domains: self.pairing.into_names(),
            events: self.events,
        })
    }
}

/// Whether a header says that the ring buffer overwrote its oldest events: `entries-in-buffer/entries-written: 5/9`.
fn has_overrun(header: &str) -> bool {
    let numbers = header.split_once("entries-in-buffer/entries-written:").map(|(_, rest)| rest.trim());
    let Some((kept, written)) = numbers.and_then(|text| text.split_whitespace().next()?.split_once('/')) else {
        return false;
    };
    matches!((kept.parse::<u64>(), written.parse::<u64>()), (Ok(kept), Ok(written)) if kept < written)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
