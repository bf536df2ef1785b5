//! `genpt dump`: what is mapped, run after run, as it is found.

use super::InspectError;
use super::args::{DumpArgs, Output};
use super::runs::{Filter, Run, Runs};
use super::seen::Seen;
use super::source::Source;
use crate::decode::{Attributes, Shape, letters};
use crate::human;
use crate::image::Image;
use crate::number::Hex;
use crate::style::{self, styled};
use anstream::{AutoStream, ColorChoice};
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
    /// Runs that are listed.
    runs: u64,
    bytes: u64,
    /// Runs that pass the other filters and are shorter than `--min`.
    short_runs: u64,
    short_bytes: u64,
    /// Of both.
    pages: Vec<Count>,
    /// All that were looked at.
    tables: Vec<Count>,
    foreign_items: u64,
    pointers_outside: u64,
    pointers_misaligned: u64,
    /// Whether there is more than `--limit` allows.
    limit_reached: bool,
    /// Whether the file has less memory than its headers or its manifest tell of.
    file_is_cut: bool,
}

/// How many there are of a size or level.
#[derive(Serialize)]
struct Count {
    /// Bytes of a page, or level of a table.
    of: u64,
    count: u64,
}

/// Prints the runs. Says what was seen.
///
/// # Errors
/// [`InspectError`] for a filter that the format does not have; inside, what writing says.
pub fn dump(source: &Source, args: &DumpArgs, out: &mut impl Write) -> Result<io::Result<Seen>, InspectError> {
    let shape = source.decoder.shape();
    let filter = Filter::new(&args.filter, shape)?;
    let runs = Runs::new(source, filter, args.limit.limit.0);
    Ok(match args.print.output() {
        Output::Text => text(source, runs, args, out),
        Output::Json => json(source, runs, args.min.0, out),
        Output::Csv => csv(shape, runs, args.min.0, out),
    })
}

/// Some runs, and their bytes.
#[derive(Default)]
struct Sum {
    runs: u64,
    bytes: u64,
}

impl Sum {
    fn add(&mut self, run: &Run) {
        self.runs += 1;
        self.bytes = self.bytes.saturating_add(run.len());
    }
}

/// What became of the runs.
struct Printed {
    /// The least length of those that are printed.
    min: u64,
    printed: Sum,
    /// Those that are shorter.
    short: Sum,
}

impl Printed {
    fn new(min: u64) -> Self {
        Self { min, printed: Sum::default(), short: Sum::default() }
    }

    /// Counts a run. Says whether it is to be printed.
    fn takes(&mut self, run: &Run) -> bool {
        let is_long = run.len() >= self.min;
        if is_long {
            self.printed.add(run)
        } else {
            self.short.add(run)
        }
        is_long
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

/// Columns for page sizes.
const SIZES_WIDTH: usize = 16;

/// The sizes of a bitmap, in words; where they are too many for a line, the smallest and the largest.
pub fn sizes(sizes: u64) -> String {
    let each = (0..u64::BITS).map(|bit| 1u64 << bit).filter(|size| sizes & size != 0);
    let each: Vec<String> = each.map(human::bytes).collect();
    let all = each.join(" + ");
    match each.as_slice() {
        [first, .., last] if all.len() > SIZES_WIDTH => format!("{first}..{last}"),
        _ => all,
    }
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

/// How the text looks. Lines are not worth looking through for what has to be taken out again: there are millions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Plain,
    Coloured,
}

impl Look {
    fn of_stdout() -> Self {
        match AutoStream::choice(&io::stdout()) {
            ColorChoice::Never => Self::Plain,
            _ => Self::Coloured,
        }
    }

    fn heading(self, text: &str) -> String {
        if self == Self::Plain { text.to_owned() } else { styled(style::HEADING, text) }
    }

    /// Permissions: what can be written and executed stands out.
    fn access(self, letters: &str) -> String {
        match self {
            Self::Coloured if letters.contains('w') && letters.contains('x') => styled(style::ODD, letters),
            _ => letters.to_owned(),
        }
    }
}

fn text(source: &Source, mut runs: Runs<'_>, args: &DumpArgs, out: &mut impl Write) -> io::Result<Seen> {
    let shape = source.decoder.shape();
    let (va_digits, pa_digits, look) = (va_digits(shape), pa_digits(shape), Look::of_stdout());
    let mut tail = Tail::new(|run: &Run| {
        let (length, access) =
            (human::bytes(run.len()), look.access(&letters(run.attributes.access, shape.permissions)));
        let text = format!("  {length:>10}  {:>SIZES_WIDTH$}  {access} {}", sizes(run.sizes), run.attributes);
        Ok(format!("{}\n", text.trim_end()))
    });
    let (mut printed, mut line) = (Printed::new(args.min.0), Vec::new());
    for run in runs.by_ref() {
        if !printed.takes(&run) {
            continue;
        }
        if printed.printed.runs == 1 {
            let (va_width, pa_width) = (2 * va_digits + 3, pa_digits);
            let heading =
                format!("{:va_width$}  {:pa_width$}  {:>10}  {:>SIZES_WIDTH$}  access", "VA", "PA", "length", "pages");
            writeln!(out, "{}", look.heading(&heading))?;
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
    // The end would say that this is all.
    if source.image.readable().is_ok() {
        summary(&printed, &runs.seen, &source.image, args, out)?;
    }
    Ok(runs.seen)
}

fn summary(printed: &Printed, seen: &Seen, image: &Image, args: &DumpArgs, out: &mut impl Write) -> io::Result<()> {
    let words = |sum: &Sum| format!("{}, {}", human::count(sum.runs, "run"), human::bytes(sum.bytes));
    writeln!(out, "{}{}", if printed.printed.runs > 0 { "\n" } else { "" }, words(&printed.printed))?;
    if printed.short.runs > 0 {
        writeln!(out, "  not listed: {}, shorter than --min; the pages are those of all", words(&printed.short))?;
    }
    for (size_lg2, count) in seen.pages.each() {
        let size = 1u64.checked_shl(size_lg2).map_or("16 EiB".to_owned(), human::bytes);
        writeln!(out, "  {count} {} of {size}", if count == 1 { "page" } else { "pages" })?;
    }
    let filter = &args.filter;
    let is_filtered = filter.va.is_some() || filter.pa.is_some() || !filter.has.is_empty() || printed.short.runs > 0;
    let whose = if is_filtered { " looked at" } else { "" };
    for (level, count) in &seen.tables {
        writeln!(out, "  {} of level {level}{whose}", human::count(*count, "table"))?;
    }
    for what in seen.missing() {
        writeln!(out, "  {what}")?;
    }
    if let Some(cut_off) = image.cut_off {
        writeln!(out, "  {}", cut_off.words())?;
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

fn json(source: &Source, mut runs: Runs<'_>, min: u64, out: &mut impl Write) -> io::Result<Seen> {
    let (shape, image) = (source.decoder.shape(), &source.image);
    let around = [["{\"va\":\"", "\""], [",\"va_last\":\"", "\""], [",\"pa\":\"", "\""], [",\"bytes\":\"", "\","]];
    // The rest of the object, without the brace that opens it.
    let mut tail = Tail::new(|run: &Run| Ok(serde_json::to_string(&KindRow::new(run, shape))?[1..].to_owned()));
    let (mut all, mut line) = (Printed::new(min), Vec::new());
    write!(out, "{{\"format\": \"{}\", \"runs\": [", shape.format)?;
    for run in runs.by_ref() {
        if !all.takes(&run) {
            continue;
        }
        line.clear();
        line.extend(if all.printed.runs > 1 { b",\n  ".as_slice() } else { b"\n  " });
        push_numbers(&run, around, &mut line);
        line.extend(tail.of(&run)?);
        out.write_all(&line)?;
    }
    if image.readable().is_err() {
        // The end would say that this is all.
        return Ok(runs.seen);
    }
    let seen = &runs.seen;
    let statistics = Statistics {
        runs: all.printed.runs,
        bytes: all.printed.bytes,
        short_runs: all.short.runs,
        short_bytes: all.short.bytes,
        pages: seen.pages.each().map(|(lg2, count)| Count { of: 1u64.checked_shl(lg2).unwrap_or(0), count }).collect(),
        tables: seen.tables.iter().map(|(level, count)| Count { of: (*level).into(), count: *count }).collect(),
        foreign_items: seen.foreign,
        pointers_outside: seen.outside,
        pointers_misaligned: seen.misaligned,
        limit_reached: seen.is_limit_reached,
        file_is_cut: image.cut_off.is_some(),
    };
    write!(out, "\n], \"statistics\": ")?;
    serde_json::to_writer(&mut *out, &statistics)?;
    writeln!(out, "}}")?;
    Ok(runs.seen)
}

fn csv(shape: &Shape, mut runs: Runs<'_>, min: u64, out: &mut impl Write) -> io::Result<Seen> {
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
    Ok(runs.seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of pages of three sizes were wider than their column.
    #[test]
    fn page_sizes_fit_their_column() {
        assert_eq!(sizes(0x20_1000), "4 KiB + 2 MiB");
        assert_eq!(sizes(0x4020_1000), "4 KiB..1 GiB");
        for low in 0..u64::BITS {
            for high in low..u64::BITS {
                let text = sizes(u64::MAX >> (u64::BITS - 1 - high) & u64::MAX << low);
                assert!(text.len() <= SIZES_WIDTH, "{text}");
                assert!(sizes(1 << low | 1 << high).len() <= SIZES_WIDTH);
            }
        }
    }
}
