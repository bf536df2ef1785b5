//! `genpt diff`: what changed between two images, from their runs side by side.

use super::InspectError;
use super::args::{DiffArgs, Output};
use super::dump::{pa_digits, va_digits};
use super::runs::{Filter, Run, Runs, Stretch};
use super::source::Source;
use crate::decode::{Shape, letters};
use crate::human;
use crate::number::{AddressRange, Hex};
use crate::style::{self, styled};
use serde::Serialize;
use std::io::{self, Write};

/// What happened to some VA.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// It is mapped now.
    Appeared,
    /// It was mapped.
    Disappeared,
    /// It goes elsewhere.
    Moved,
    /// It permits something else.
    Permission,
    /// Fields changed that say nothing of what is permitted.
    Attributes,
}

/// A change of a run of VA.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Change {
    kind: Kind,
    va: AddressRange,
    before: Option<Run>,
    after: Option<Run>,
}

/// A change, for programs.
#[derive(Serialize)]
struct ChangeRow {
    kind: Kind,
    va: Hex,
    va_last: Hex,
    bytes: Hex,
    before: Option<Side>,
    after: Option<Side>,
}

/// One side of a change.
#[derive(Serialize)]
struct Side {
    pa: Hex,
    access: String,
    attributes: Vec<String>,
}

/// How two images compare.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// All is the same.
    Same,
    /// Something changed.
    Different,
    /// Not all of them was compared: what, in words.
    Cut(Vec<String>),
}

/// The changes from one image to another, in VA order.
struct Changes<'a> {
    runs: [Runs<'a>; 2],
    /// What is left of the stretches at hand.
    rest: [Option<Stretch>; 2],
    open: Option<Change>,
}

impl<'a> Changes<'a> {
    fn new(before: &'a Source, after: &'a Source, filters: [Filter; 2], most_items: u64) -> Self {
        let [first, second] = filters;
        let mut runs = [Runs::new(before, first, most_items), Runs::new(after, second, most_items)];
        let rest = [runs[0].next_stretch(), runs[1].next_stretch()];
        Self { runs, rest, open: None }
    }

    /// Takes what is up to `last` of the stretch of a side.
    fn take(&mut self, side: usize, last: u64) -> Option<Stretch> {
        let stretch = self.rest[side].take()?;
        if stretch.va().last > last {
            self.rest[side] = Some(stretch.from(last + 1));
            return Some(stretch.up_to(last));
        }
        self.rest[side] = self.runs[side].next_stretch();
        Some(stretch)
    }

    /// Takes a stretch of the only side that has one; of it no more than the other side was looked at.
    fn take_alone(&mut self, side: usize, va: AddressRange) -> Option<Stretch> {
        match self.runs[1 - side].end() {
            Some(end) if va.first >= end => None,
            Some(end) => self.take(side, va.last.min(end - 1)),
            None => self.take(side, va.last),
        }
    }

    /// The next stretch of VA, which is in one of each side or in none; none where a side was not looked at any more.
    fn stretch(&mut self) -> Option<(Option<Stretch>, Option<Stretch>)> {
        let ranges = self.rest.each_ref().map(|stretch| stretch.as_ref().map(Stretch::va));
        Some(match ranges {
            [None, None] => return None,
            [Some(before), None] => (Some(self.take_alone(0, before)?), None),
            [None, Some(after)] => (None, Some(self.take_alone(1, after)?)),
            [Some(before), Some(after)] if before.first < after.first => {
                (self.take(0, before.last.min(after.first - 1)), None)
            }
            [Some(before), Some(after)] if after.first < before.first => {
                (None, self.take(1, after.last.min(before.first - 1)))
            }
            [Some(before), Some(after)] => {
                let last = before.last.min(after.last);
                (self.take(0, last), self.take(1, last))
            }
        })
    }
}

/// The change between two stretches of the same VA; none where a side is not known.
fn change(before: Option<Stretch>, after: Option<Stretch>) -> Option<Change> {
    let mapped = |side| match side {
        None => Some(None),
        Some(Stretch::Mapped(run)) => Some(Some(run)),
        Some(Stretch::Unknown(_)) => None,
    };
    let (before, after) = (mapped(before)?, mapped(after)?);
    let va = before.as_ref().or(after.as_ref())?.va;
    let kind = match (&before, &after) {
        (None, _) => Kind::Appeared,
        (_, None) => Kind::Disappeared,
        (Some(before), Some(after)) if before.pa != after.pa => Kind::Moved,
        (Some(before), Some(after)) if before.attributes.access != after.attributes.access => Kind::Permission,
        (Some(before), Some(after)) if before.attributes != after.attributes => Kind::Attributes,
        _ => return None,
    };
    Some(Change { kind, va, before, after })
}

/// Whether one side of a change goes on where that of another ends.
fn side_continues(before: &Option<Run>, next: &Option<Run>) -> bool {
    match (before, next) {
        (None, None) => true,
        (Some(before), Some(next)) => {
            before.pa.checked_add(before.len()) == Some(next.pa) && before.attributes == next.attributes
        }
        _ => false,
    }
}

impl Iterator for Changes<'_> {
    type Item = Change;

    fn next(&mut self) -> Option<Change> {
        while let Some((before, after)) = self.stretch() {
            let Some(next) = change(before, after) else { continue };
            match &mut self.open {
                Some(open)
                    if open.kind == next.kind
                        && open.va.last.checked_add(1) == Some(next.va.first)
                        && side_continues(&open.before, &next.before)
                        && side_continues(&open.after, &next.after) =>
                {
                    open.va.last = next.va.last;
                    for run in [&mut open.before, &mut open.after].into_iter().flatten() {
                        run.va.last = next.va.last;
                    }
                }
                open => {
                    if let Some(done) = open.replace(next) {
                        return Some(done);
                    }
                }
            }
        }
        self.open.take()
    }
}

/// Prints the changes.
///
/// # Errors
/// [`InspectError`] for a filter that a format does not have; inside, what writing says.
pub fn diff(
    before: &Source,
    after: &Source,
    args: &DiffArgs,
    out: &mut impl Write,
) -> Result<io::Result<Verdict>, InspectError> {
    let filter = |source: &Source| Filter::new(&args.filter, source.decoder.shape());
    let filters = [filter(before)?, filter(after)?];
    let shapes = [before, after].map(|source| source.decoder.shape());
    let mut changes = Changes::new(before, after, filters, args.limit.limit.0);
    let sources = [before, after];
    let count = match args.print.output() {
        Output::Text => text(sources, &mut changes, out),
        Output::Json => json(sources, &mut changes, out),
        Output::Csv => csv(shapes, &mut changes, out),
    };
    let missing = missing(sources, &changes);
    Ok(count.map(|count| match count {
        _ if !missing.is_empty() => Verdict::Cut(missing),
        0 => Verdict::Same,
        _ => Verdict::Different,
    }))
}

/// What was not compared, in words.
fn missing(sources: [&Source; 2], changes: &Changes<'_>) -> Vec<String> {
    let sides = ["the first image", "the second image"].into_iter().zip(sources).zip(&changes.runs);
    let of_side = |((side, _), runs): ((&str, &Source), &Runs<'_>)| {
        let end = runs.end().map(|end| format!("from VA {end:#x} on nothing is compared"));
        let missing = runs.seen.missing().into_iter().chain(end);
        missing.map(|what| format!("{side}: {what}")).collect::<Vec<_>>()
    };
    sides.flat_map(of_side).collect()
}

fn text(sources: [&Source; 2], changes: &mut Changes<'_>, out: &mut impl Write) -> io::Result<u64> {
    let shapes = sources.map(|source| source.decoder.shape());
    let va_digits = shapes.map(va_digits).into_iter().max().unwrap_or(0);
    let side = |n: usize, run: &Run| {
        let (shape, digits) = (shapes[n], pa_digits(shapes[n]));
        let access = letters(run.attributes.access, shape.permissions);
        format!("{:0digits$x} {access} {}", run.pa, run.attributes).trim_end().to_owned()
    };
    let mut count = 0;
    for change in changes.by_ref() {
        count += 1;
        let bytes = human::bytes((change.va.last - change.va.first).saturating_add(1));
        let (first, last) = (change.va.first, change.va.last);
        let (mark, style, what) = match (&change.before, &change.after) {
            (None, Some(after)) => ('+', style::ADDED, side(1, after)),
            (Some(before), None) => ('-', style::ERROR, side(0, before)),
            (Some(before), Some(after)) => ('~', style::ODD, format!("{}  ->  {}", side(0, before), side(1, after))),
            (None, None) => continue,
        };
        let kind = match change.kind {
            Kind::Appeared => "appeared",
            Kind::Disappeared => "disappeared",
            Kind::Moved => "moved",
            Kind::Permission => "permission",
            Kind::Attributes => "attributes",
        };
        let mark = styled(style, mark);
        writeln!(out, "{mark} {first:0va_digits$x}..={last:0va_digits$x}  {bytes:>10}  {kind:11}  {what}")?;
    }
    if !are_readable(sources) {
        return Ok(count);
    }
    writeln!(out, "{}", human::count(count, "change"))?;
    for what in missing(sources, changes) {
        writeln!(out, "{what}")?;
    }
    Ok(count)
}

fn row(shapes: [&Shape; 2], change: &Change) -> ChangeRow {
    let side = |n: usize, run: &Option<Run>| {
        run.as_ref().map(|run| Side {
            pa: Hex(run.pa),
            access: letters(run.attributes.access, shapes[n].permissions),
            attributes: run.attributes.words(),
        })
    };
    ChangeRow {
        kind: change.kind,
        va: Hex(change.va.first),
        va_last: Hex(change.va.last),
        bytes: Hex((change.va.last - change.va.first).saturating_add(1)),
        before: side(0, &change.before),
        after: side(1, &change.after),
    }
}

/// Whether all could be read: else an end would say that what was printed is all.
fn are_readable(sources: [&Source; 2]) -> bool {
    sources.iter().all(|source| source.image.readable().is_ok())
}

fn json(sources: [&Source; 2], changes: &mut Changes<'_>, out: &mut impl Write) -> io::Result<u64> {
    let shapes = sources.map(|source| source.decoder.shape());
    let mut count = 0;
    write!(out, "[")?;
    for change in changes.by_ref() {
        write!(out, "{}", if count > 0 { ",\n  " } else { "\n  " })?;
        count += 1;
        serde_json::to_writer(&mut *out, &row(shapes, &change))?;
    }
    if are_readable(sources) {
        writeln!(out, "\n]")?;
    }
    Ok(count)
}

fn csv(shapes: [&Shape; 2], changes: &mut Changes<'_>, out: &mut impl Write) -> io::Result<u64> {
    let mut table = csv::Writer::from_writer(out);
    let side = |name: &str| ["pa", "access", "attributes"].map(|column| format!("{name}_{column}"));
    let header = ["kind", "va", "va_last", "bytes"].map(str::to_owned);
    table.write_record(header.into_iter().chain(side("before")).chain(side("after")))?;
    let mut count = 0;
    for change in changes.by_ref() {
        count += 1;
        let ChangeRow { kind, va, va_last, bytes, before, after } = row(shapes, &change);
        let side = |side: Option<Side>| match side {
            Some(Side { pa, access, attributes }) => [pa.to_string(), access, attributes.join(" ")],
            None => [const { String::new() }; 3],
        };
        let kind = serde_json::to_value(kind)?.as_str().unwrap_or_default().to_owned();
        let fixed = [kind, va.to_string(), va_last.to_string(), bytes.to_string()];
        table.write_record(fixed.into_iter().chain(side(before)).chain(side(after)))?;
    }
    table.flush()?;
    Ok(count)
}
