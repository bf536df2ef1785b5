//! `genpt draw`: the tables of an image to look at, as a page or as a picture.
//!
//! One scan ([`tree`]) makes tables of cells ([`cell`]) and the extents of both address spaces in use ([`maps`]). Where there is too
//! much of it, a part is drawn and the rest counted ([`choose`]); widths are not to scale ([`layout`]).

pub mod args;
mod cell;
mod choose;
mod extents;
mod layout;
mod looks;
mod maps;
mod marks;
mod page;
mod styles;
mod svg;
mod tree;

use crate::human;
use crate::image::Manifest;
use crate::inspect::check::{self, Report, Severity};
use crate::inspect::runs::{Needed, ignored};
use crate::inspect::scan::Blocked;
use crate::inspect::source::Source;
use crate::number::AddressRange;
use crate::same_file::is_same_file;
use crate::status::{self, Failure};
use args::{DrawArgs, Emit};
use cell::{Table, What};
use choose::Budget;
use extents::Mix;
use layout::Strip;
use looks::Look;
use maps::DrawnMaps;
use marks::Marks;
use std::io::Write;
use styles::{Entry, Styles};
use tree::{Part, Reach};

/// Findings of one rule that are listed and marked; all are counted.
const MOST_FINDINGS: usize = 200;

/// Everything that is drawn.
struct Drawing<'a> {
    source: &'a Source,
    title: String,
    /// Tables that are drawn, each behind the one above it.
    tables: Vec<Table>,
    /// Their cells' widths.
    strips: Vec<Strip>,
    /// Distinct tables of each level, the lowest first.
    level_tables: Vec<u64>,
    looks: Vec<Look>,
    styles: Styles,
    maps: DrawnMaps,
    report: Report,
    reach: Reach,
}

impl Drawing<'_> {
    /// What the tables are, in a line.
    fn about(&self) -> String {
        let shape = self.source.decoder.shape();
        let tables = human::count(self.level_tables.iter().sum(), "table");
        let bytes = self.looks.iter().fold(0u64, |sum, look| sum.saturating_add(look.bytes));
        let levels = human::count(shape.levels.len() as u64, "level");
        let root = self.source.root;
        format!("{}, {levels}, top at {root:#x}: {tables}, {} mapped", shape.format, human::bytes(bytes))
    }

    /// The legend of what has the same colour whatever pages are coloured by, as far as it is there.
    fn rest_legend(&self) -> Vec<Entry> {
        let has =
            |is_it: fn(&What) -> bool| self.tables.iter().flat_map(|table| &table.cells).any(|cell| is_it(&cell.what));
        let has_severity = |severity| self.report.findings.iter().any(|finding| finding.severity == severity);
        let lines = [
            ("table", "pointer to a table", has(|what| matches!(what, What::Table(_)))),
            ("folded", "tables not drawn", has(|what| matches!(what, What::Folded(_)))),
            ("shared", "shared: drawn elsewhere", has(|what| matches!(what, What::Shared(_)))),
            ("empty", "hole", has(|what| matches!(what, What::Empty))),
            ("other", "page that is left out", has(|what| matches!(what, What::LeftOut))),
            ("unseen", "not looked at", has(|what| matches!(what, What::Unseen))),
            ("tables", "memory of tables", true),
            ("again", "mapped more than once", self.maps.pa.iter().any(|extent| extent.uses > 1)),
            (
                "mixed",
                "pale: several kinds",
                self.maps.va.iter().chain(&self.maps.pa).any(|extent| extent.mix == Mix::Mixed),
            ),
            ("blocked", "leads nowhere", has(|what| matches!(what, What::Blocked(_)))),
            ("mark-error", "error", has_severity(Severity::Error)),
            ("mark-warning", "warning", has_severity(Severity::Warning)),
        ];
        let there = lines.into_iter().filter(|(_, _, is_there)| *is_there);
        there.map(|(class, text, _)| Entry { class: class.to_owned(), text: text.to_owned() }).collect()
    }

    /// What is not drawn, if something is not, with so many tables drawn.
    fn missing(&self, tables_drawn: u64) -> Vec<String> {
        let left_out = self.level_tables.iter().sum::<u64>().saturating_sub(tables_drawn);
        let tables = (left_out > 0).then(|| {
            format!("and {} that are not drawn: too many, or too narrow (`--va` draws a part)", more(left_out, "table"))
        });
        let cut = (self.reach == Reach::Cut)
            .then(|| "stopped: as many items as --limit allows were decoded, and there are more".to_owned());
        tables.into_iter().chain(cut).collect()
    }
}

/// `1,234 more tables`.
fn more(count: u64, noun: &str) -> String {
    format!("{} more {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// A number with a comma between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let lead = digits.len() % 3;
    let groups = digits.as_bytes()[lead..].chunks(3).map(|group| String::from_utf8_lossy(group).into_owned());
    let first = (lead > 0).then(|| digits[..lead].to_owned());
    first.into_iter().chain(groups).collect::<Vec<_>>().join(",")
}

/// Text without what neither HTML nor XML can hold.
fn printable(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_control() || char > '\u{fffd}' && char < '\u{10000}' { '\u{fffd}' } else { char })
        .collect()
}

/// The classes of a severity that is marked.
fn mark(severity: Severity) -> Option<&'static str> {
    match severity {
        Severity::Error => Some("error"),
        Severity::Warning => Some("warning"),
        Severity::Note => None,
    }
}

/// Why an item leads nowhere.
const fn words_of(blocked: Blocked) -> &'static str {
    match blocked {
        Blocked::Foreign => "no valid pointer or page",
        Blocked::Outside => "pointer to a table outside of the image",
        Blocked::Misaligned => "pointer to a table that would not be aligned",
    }
}

/// `genpt draw`.
///
/// # Errors
/// An exit status and a message.
pub fn run(args: &DrawArgs) -> Result<u8, Failure> {
    refuse_overwriting(args)?;
    let emit = args.emit()?;
    let source = Source::open(&args.image, &args.source)?;
    let (budget, most_extents) = match emit {
        Emit::Html => (page::BUDGET, page::MOST_EXTENTS),
        Emit::Svg => (svg::BUDGET, svg::MOST_EXTENTS),
    };
    let drawing = drawing(&source, args, budget, most_extents)?;
    let (text, tables_drawn) = match emit {
        Emit::Html => (page::page(&drawing), drawing.tables.len() as u64),
        Emit::Svg => svg::picture(&drawing),
    };
    let path = &args.output;
    std::fs::write(path, &text).map_err(|error| {
        let text = format!("cannot write the drawing {}: {error}", human::file(path));
        Failure::new(status::INPUT, text, "name a file that can be written with `-o`, in a directory that there is")
    })?;
    let findings: u64 = drawing.report.counts.values().sum();
    let mut line = format!("{}; {}\n", drawing.about(), human::count(findings, "finding"));
    for missing in drawing.missing(tables_drawn) {
        line += &format!("  {missing}\n");
    }
    status::written(std::io::stdout().lock().write_all(line.as_bytes()))?;
    Ok(if drawing.reach == Reach::Whole && !drawing.report.counts.contains_key("limit") {
        status::OK
    } else {
        status::ERROR
    })
}

/// Nothing is written over the image or its manifest.
fn refuse_overwriting(args: &DrawArgs) -> Result<(), Failure> {
    for path in [&args.image, &Manifest::path_of(&args.image)] {
        if is_same_file(path, &args.output) {
            let text = format!("{} is what is to be drawn", human::file(path));
            return Err(Failure::new(status::USAGE, text, "write somewhere else with `-o`"));
        }
    }
    Ok(())
}

/// Makes the drawing, of no more than the budget.
fn drawing<'a>(
    source: &'a Source,
    args: &DrawArgs,
    budget: Budget,
    most_extents: usize,
) -> Result<Drawing<'a>, Failure> {
    let shape = source.decoder.shape();
    let part = Part {
        va: args.va.unwrap_or(AddressRange::ALL),
        pa: args.pa.unwrap_or(AddressRange::ALL),
        needed: Needed::all(shape, &args.has)?,
        ignored: ignored(shape, &args.ignore)?,
    };
    let most_items = args.limit.limit.0;
    let report = check::check(source, MOST_FINDINGS, most_items);
    let marks = Marks::new(&report.findings);
    let (tree, maps) = tree::scan(source, part, most_items, &marks);
    source.conclude()?;
    if tree.tables.is_empty() {
        let items = 1u64 << shape.levels[shape.top_level() as usize].items_lg2;
        let text = format!("--limit is less than the {items} items of the top: nothing can be drawn");
        return Err(Failure::new(status::USAGE, text, format!("give `--limit` at least {items}")));
    }
    let tables = choose::choose(tree.tables, budget, &marks);
    Ok(Drawing {
        source,
        title: printable(args.title.as_deref().unwrap_or(&source.image.name)),
        strips: layout::strips(&tables),
        styles: Styles::new(&tables, &tree.looks, shape.permissions),
        tables,
        level_tables: tree.level_tables,
        looks: tree.looks,
        maps: maps.finish(most_extents),
        report,
        reach: tree.reach,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_readable() {
        assert_eq!((grouped(7), grouped(123), grouped(1_234_567)), ("7".into(), "123".into(), "1,234,567".into()));
        assert_eq!((more(1, "table"), more(1000, "table")), ("1 more table".into(), "1,000 more tables".into()));
        assert_eq!(printable("a\u{1}\n\u{ffff}é"), "a\u{fffd}\u{fffd}\u{fffd}é");
    }
}
