//! The picture: the same as the page shows at first, for printing and documents.

mod map;
mod strips;
mod words;

use super::cell::TableId;
use super::choose::Budget;
use super::styles::Entry;
use super::{Drawing, mark, more};
use crate::decode::Shape;
use crate::html::Escaped;
use crate::human;
use crate::inspect::dump::{pa_digits, va_digits};
use std::fmt::{self, Write};

/// What a picture can show.
pub const BUDGET: Budget = Budget { tables: 2000, cells: 40_000 };
/// Extents of each map.
pub const MOST_EXTENTS: usize = 48;

const PALETTE: &str = include_str!("../palette.css");
/// Units across.
const WIDTH: f64 = 1200.0;
const MARGIN: f64 = 16.0;
/// Height of a strip.
const STRIP: f64 = 30.0;
/// From strip to strip; the level is written between.
const ROW: f64 = 58.0;
const LINE: f64 = 16.0;
/// Findings that are written out.
const FINDINGS: usize = 12;
/// What is narrower has no edge.
const THIN: f64 = 4.0;
/// Width of a character, about.
const CHARACTER: f64 = 6.2;

/// The picture as SVG, and how many tables are in it.
pub fn picture(drawing: &Drawing<'_>) -> (String, u64) {
    let mut picture = Picture { drawing, out: String::new(), y: MARGIN, tables: 0 };
    // Writing to a string cannot fail.
    let _ = picture.write();
    let height = picture.y + MARGIN;
    let title = Escaped(&drawing.title);
    let text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\">
<style>
{PALETTE}.paper {{ fill: var(--paper); }}
.head {{ fill: var(--ink); font: 600 16px system-ui, sans-serif; }}
.text {{ fill: var(--ink); font: 12px system-ui, sans-serif; }}
</style>
<rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>
{}</svg>
",
        picture.out
    );
    (text, picture.tables)
}

/// A picture on its way down.
struct Picture<'a> {
    drawing: &'a Drawing<'a>,
    out: String,
    y: f64,
    /// Tables that are drawn; others are too narrow.
    tables: u64,
}

impl Picture<'_> {
    fn shape(&self) -> &Shape {
        self.drawing.source.decoder.shape()
    }

    fn write(&mut self) -> fmt::Result {
        self.y += LINE;
        let title = self.drawing.title.clone();
        self.text("head", &title)?;
        let about = self.drawing.about();
        self.text("soft", &about)?;
        self.legend()?;
        let (va, pa) = (va_digits(self.shape()), pa_digits(self.shape()));
        let maps = &self.drawing.maps;
        self.map("VA space in use", &maps.va, &[], va)?;
        self.y += LINE;
        let top = self.y;
        for (level, shape) in self.shape().levels.clone().iter().enumerate().rev() {
            let y = top + ROW * f64::from(self.shape().top_level() - level as u32);
            let item = human::power(shape.item_lg2);
            let tables = human::count(self.drawing.level_tables[level], "table");
            writeln!(
                self.out,
                "<text class=\"soft\" x=\"{MARGIN}\" y=\"{:.1}\">level {level}: {tables}, an item is {item}</text>",
                y - 4.0
            )?;
        }
        self.table(TableId(0), MARGIN, WIDTH - 2.0 * MARGIN, top)?;
        self.y = top + ROW * self.shape().levels.len() as f64;
        self.map("Physical memory in use (ticks: memory of tables)", &maps.pa, &maps.tables, pa)?;
        self.y += LINE / 2.0;
        self.text("soft", "Widths are not to scale: they grow with the logarithm of what is there.")?;
        for missing in self.drawing.missing(self.tables) {
            self.text("soft", &missing)?;
        }
        self.findings()
    }

    /// A line of text.
    fn text(&mut self, class: &str, text: &str) -> fmt::Result {
        let text = Escaped(text);
        writeln!(self.out, "<text class=\"{class}\" x=\"{MARGIN}\" y=\"{:.1}\">{text}</text>", self.y)?;
        self.y += LINE;
        Ok(())
    }

    fn legend(&mut self) -> fmt::Result {
        let mut x = MARGIN;
        for Entry { class, text } in self.drawing.styles.access_legend().into_iter().chain(self.drawing.rest_legend()) {
            let width = 18.0 + CHARACTER * text.chars().count() as f64 + 12.0;
            if x + width > WIDTH - MARGIN {
                x = MARGIN;
                self.y += LINE;
            }
            let (kind, height) = match class.as_str() {
                "again" => ("", 4),
                _ if class.starts_with("mark-") => ("", 12),
                _ => ("cell ", 12),
            };
            writeln!(
                self.out,
                "<rect class=\"{kind}{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"12\" height=\"{height}\"/>",
                self.y - 10.0
            )?;
            writeln!(
                self.out,
                "<text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                x + 17.0,
                self.y,
                Escaped(&text)
            )?;
            x += width;
        }
        self.y += LINE * 1.5;
        Ok(())
    }

    /// A block with what it is for the pointer, and the first label that there is room for.
    fn block(&mut self, class: &str, x: f64, y: f64, width: f64, title: &str, labels: &[String]) -> fmt::Result {
        let thin = if width < THIN { " thin" } else { "" };
        write!(
            self.out,
            "<rect class=\"cell {class}{thin}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{STRIP}\">"
        )?;
        writeln!(self.out, "<title>{}</title></rect>", Escaped(title))?;
        let room = ((width - 4.0) / CHARACTER) as usize;
        if let Some(label) = labels.iter().find(|label| label.chars().count() <= room) {
            let (x, y) = (x + width / 2.0, y + STRIP / 2.0 + 4.0);
            writeln!(
                self.out,
                "<text class=\"label {class}\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
                Escaped(label)
            )?;
        }
        Ok(())
    }

    fn findings(&mut self) -> fmt::Result {
        let report = &self.drawing.report;
        let total: u64 = report.counts.values().sum();
        self.y += LINE / 2.0;
        let count = human::count(total, "finding");
        self.text("text", &count)?;
        let mut findings: Vec<_> = report.findings.iter().collect();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        for finding in findings.iter().take(FINDINGS) {
            let mark = mark(finding.severity).unwrap_or("note");
            let text = format!("{}: {}: {}", finding.rule, finding.place, finding.text);
            // What does not fit on the line is in `genpt check`.
            let most = ((WIDTH - 3.0 * MARGIN) / CHARACTER) as usize;
            let text: String =
                if text.chars().count() > most { text.chars().take(most - 1).chain(['…']).collect() } else { text };
            writeln!(self.out, "<path class=\"flag-{mark}\" d=\"M{MARGIN},{:.1}l5,-9l5,9z\"/>", self.y)?;
            writeln!(
                self.out,
                "<text class=\"soft\" x=\"{}\" y=\"{:.1}\">{}</text>",
                2.0 * MARGIN,
                self.y,
                Escaped(&text)
            )?;
            self.y += LINE;
        }
        let rest = total.saturating_sub(findings.len().min(FINDINGS) as u64);
        if rest > 0 {
            let text = format!("and {} (`genpt check` tells)", more(rest, "finding"));
            self.text("soft", &text)?;
        }
        Ok(())
    }
}
