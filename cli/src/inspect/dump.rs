//! `genpt dump`: what is mapped, run after run, as it is found.

use super::InspectError;
use super::args::{DumpArgs, Output};
use super::runs::{Filter, Run, Runs};
use super::seen::Seen;
use super::source::Source;
use crate::decode::{Attributes, Shape, letters};
use crate::human;
use crate::number::Hex;
use serde::Serialize;
use std::io::{self, Write};
use std::rc::Rc;

/// What is the same for many runs, for programs.
#[derive(Serialize)]
struct KindRow {
    page_sizes: Vec<Hex>,
    access: String,
    attributes: Vec<String>,
}

impl KindRow {
    fn new(run: &Run, shape: &Shape) -> Self {
        Self {
            page_sizes: (0..u64::BITS).map(|bit| 1 << bit).filter(|size| run.sizes & size != 0).map(Hex).collect(),
            access: letters(run.attributes.access, shape.permissions),
            attributes: run.attributes.words(),
        }
    }
}

/// What was seen, for programs.
#[derive(Serialize)]
struct Statistics {
    runs: u64,
    bytes: u64,
    pages: Vec<Count>,
    tables: Vec<Count>,
    foreign_items: u64,
    pointers_outside: u64,
    pointers_misaligned: u64,
    is_cut: bool,
}

/// How many there are of a size or level.
#[derive(Serialize)]
struct Count {
    /// Bytes of a page, or level of a table.
    of: u64,
    count: u64,
}

/// Prints the runs. Says whether all of them were reached.
///
/// # Errors
/// [`InspectError`] for a filter that the format does not have; inside, what writing says.
pub fn dump(source: &Source, args: &DumpArgs, out: &mut impl Write) -> Result<io::Result<bool>, InspectError> {
    let shape = source.decoder.shape();
    let filter = Filter::new(&args.filter, shape)?;
    let runs = Runs::new(source, filter, args.limit.limit.0);
    Ok(match args.output {
        Output::Text => text(shape, runs, args.min.0, out),
        Output::Json => json(shape, runs, args.min.0, out),
        Output::Csv => csv(shape, runs, args.min.0, out),
    })
}

/// Runs and bytes that were printed.
#[derive(Default)]
struct Printed {
    runs: u64,
    bytes: u64,
}

impl Printed {
    fn add(&mut self, run: &Run) {
        self.runs += 1;
        self.bytes = self.bytes.saturating_add(run.len());
    }
}

/// Hexadecimal digits of so many bits.
const fn digits(bits: u32) -> usize {
    bits.div_ceil(4) as usize
}

/// Digits of a VA of the table.
pub fn va_digits(shape: &Shape) -> usize {
    if shape.is_sign_extended() || shape.va_prefix != 0 { 16 } else { digits(shape.va_lg2) }
}

/// Digits of a physical address.
pub fn pa_digits(shape: &Shape) -> usize {
    digits(shape.oa_lg2)
}

/// The sizes of a bitmap, in words.
pub fn sizes(sizes: u64) -> String {
    let each = (0..u64::BITS).map(|bit| 1u64 << bit).filter(|size| sizes & size != 0);
    each.map(human::bytes).collect::<Vec<_>>().join(" + ")
}

/// What a line says behind the addresses: mostly the same as that of the line before.
struct Tail<W> {
    words: W,
    of: Option<(u64, u64, Rc<Attributes>)>,
    text: String,
}

impl<W: Fn(&Run) -> io::Result<String>> Tail<W> {
    /// `words` is what is said of a run: of its length, page sizes and attributes alone.
    const fn new(words: W) -> Self {
        Self { words, of: None, text: String::new() }
    }

    fn of(&mut self, run: &Run) -> io::Result<&[u8]> {
        let is_same = |(len, sizes, attributes): &(u64, u64, Rc<Attributes>)| {
            (*len, *sizes) == (run.len(), run.sizes) && Rc::ptr_eq(attributes, &run.attributes)
        };
        if !self.of.as_ref().is_some_and(is_same) {
            self.text = (self.words)(run)?;
            self.of = Some((run.len(), run.sizes, Rc::clone(&run.attributes)));
        }
        Ok(self.text.as_bytes())
    }
}

fn text(shape: &Shape, mut runs: Runs<'_>, min: u64, out: &mut impl Write) -> io::Result<bool> {
    let (va_digits, pa_digits) = (va_digits(shape), pa_digits(shape));
    let mut tail = Tail::new(|run: &Run| {
        let (length, access) = (human::bytes(run.len()), letters(run.attributes.access, shape.permissions));
        let text = format!("  {length:>10}  {:>16}  {access} {}", sizes(run.sizes), run.attributes);
        Ok(format!("{}\n", text.trim_end()))
    });
    let (mut printed, mut line) = (Printed::default(), Vec::new());
    for run in runs.by_ref() {
        if run.len() < min {
            continue;
        }
        printed.add(&run);
        if printed.runs == 1 {
            let (va_width, pa_width) = (2 * va_digits + 3, pa_digits);
            writeln!(out, "{:va_width$}  {:pa_width$}  {:>10}  {:>16}  access", "VA", "PA", "length", "pages")?;
        }
        line.clear();
        Hex(run.va.first).push(va_digits, &mut line);
        line.extend(b"..=");
        Hex(run.va.last).push(va_digits, &mut line);
        line.extend(b"  ");
        Hex(run.pa).push(pa_digits, &mut line);
        line.extend(tail.of(&run)?);
        out.write_all(&line)?;
    }
    summary(&printed, &runs.seen, out)?;
    Ok(!runs.seen.is_cut)
}

fn summary(printed: &Printed, seen: &Seen, out: &mut impl Write) -> io::Result<()> {
    let (runs, bytes) = (human::count(printed.runs, "run"), human::bytes(printed.bytes));
    writeln!(out, "{}{runs}, {bytes}", if printed.runs > 0 { "\n" } else { "" })?;
    for (size_lg2, count) in seen.pages.each() {
        let size = 1u64.checked_shl(size_lg2).map_or("16 EiB".to_owned(), human::bytes);
        writeln!(out, "  {count} {} of {size}", if count == 1 { "page" } else { "pages" })?;
    }
    for (level, count) in &seen.tables {
        writeln!(out, "  {} of level {level}", human::count(*count, "table"))?;
    }
    for (count, what) in [
        (seen.foreign, "that the format does not know"),
        (seen.outside, "that point to tables outside of the image"),
        (seen.misaligned, "that point to tables that would not be aligned"),
    ] {
        if count > 0 {
            writeln!(out, "  {} {what} (`genpt check` tells which)", human::count(count, "item"))?;
        }
    }
    if seen.is_cut {
        writeln!(out, "  stopped: as many items as --limit allows were decoded, and there are more")?;
    }
    Ok(())
}

/// Adds the addresses and the length of a run to a line: each number with what comes before it and behind it.
fn push_numbers(run: &Run, around: [[&str; 2]; 4], line: &mut Vec<u8>) {
    for (number, [before, behind]) in [run.va.first, run.va.last, run.pa, run.len()].into_iter().zip(around) {
        line.extend(before.as_bytes());
        line.extend(b"0x");
        Hex(number).push(1, line);
        line.extend(behind.as_bytes());
    }
}

fn json(shape: &Shape, mut runs: Runs<'_>, min: u64, out: &mut impl Write) -> io::Result<bool> {
    let around = [["{\"va\":\"", "\""], [",\"va_last\":\"", "\""], [",\"pa\":\"", "\""], [",\"bytes\":\"", "\","]];
    // The rest of the object, without the brace that opens it.
    let mut tail = Tail::new(|run: &Run| Ok(serde_json::to_string(&KindRow::new(run, shape))?[1..].to_owned()));
    let (mut printed, mut line) = (Printed::default(), Vec::new());
    write!(out, "{{\"format\": \"{}\", \"runs\": [", shape.format)?;
    for run in runs.by_ref() {
        if run.len() < min {
            continue;
        }
        line.clear();
        line.extend(if printed.runs > 0 { b",\n  ".as_slice() } else { b"\n  " });
        printed.add(&run);
        push_numbers(&run, around, &mut line);
        line.extend(tail.of(&run)?);
        out.write_all(&line)?;
    }
    let seen = &runs.seen;
    let statistics = Statistics {
        runs: printed.runs,
        bytes: printed.bytes,
        pages: seen.pages.each().map(|(lg2, count)| Count { of: 1u64.checked_shl(lg2).unwrap_or(0), count }).collect(),
        tables: seen.tables.iter().map(|(level, count)| Count { of: (*level).into(), count: *count }).collect(),
        foreign_items: seen.foreign,
        pointers_outside: seen.outside,
        pointers_misaligned: seen.misaligned,
        is_cut: seen.is_cut,
    };
    write!(out, "\n], \"statistics\": ")?;
    serde_json::to_writer(&mut *out, &statistics)?;
    writeln!(out, "}}")?;
    Ok(!seen.is_cut)
}

fn csv(shape: &Shape, mut runs: Runs<'_>, min: u64, out: &mut impl Write) -> io::Result<bool> {
    writeln!(out, "va,va_last,pa,bytes,page_sizes,access,attributes")?;
    // The rest of a line, quoted as it has to be.
    let mut tail = Tail::new(|run: &Run| {
        let KindRow { page_sizes, access, attributes } = KindRow::new(run, shape);
        let page_sizes = page_sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let mut table = csv::Writer::from_writer(Vec::new());
        table.write_record([page_sizes, access, attributes.join(" ")])?;
        let bytes = table.into_inner().map_err(|cause| io::Error::other(cause.to_string()))?;
        String::from_utf8(bytes).map_err(io::Error::other)
    });
    let mut line = Vec::new();
    for run in runs.by_ref() {
        if run.len() >= min {
            line.clear();
            push_numbers(&run, [["", ","]; 4], &mut line);
            line.extend(tail.of(&run)?);
            out.write_all(&line)?;
        }
    }
    Ok(!runs.seen.is_cut)
}
