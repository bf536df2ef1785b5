//! The results as text: facts of the trace, a table with one column for each format, curves over time.

use crate::anomaly::{Kind, MOST_TOLD};
use crate::counting::Invalidations;
use crate::human;
use crate::policies::PolicyCounts;
use crate::report::{FormatReport, LiveReport, Report, TraceReport};
use crate::sparkline::sparkline;
use crate::style::{self, styled};
use crate::table::Leaves;
use crate::timing::Times;
use anstyle::Style;
use std::collections::BTreeSet;
use std::fmt::{self, Write};

/// Columns of a terminal that the tables stay within.
const WIDTH: usize = 100;
/// Columns of the names of rows.
const LABEL: usize = 36;
/// Least columns of a format.
const COLUMN: usize = 12;
/// Least blanks between two columns.
const GAP: usize = 2;
/// Columns of a curve.
const CURVE: usize = 52;
/// Columns of the names before curves.
const CURVE_LABEL: usize = 30;
/// Anomalies of each kind that are shown.
const SHOWN: u64 = 5;

/// All about a trace.
pub fn text(report: &Report, queue_unmaps: u64) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_all(&mut out, report, queue_unmaps);
    out.truncate(out.trim_end().len());
    out
}

fn write_all(out: &mut String, report: &Report, queue_unmaps: u64) -> fmt::Result {
    write_trace(out, report)?;
    let column = report.formats.iter().map(|format| format.format.len() + GAP).fold(COLUMN, usize::max);
    for formats in report.formats.chunks(((WIDTH - LABEL) / column).max(1)) {
        let mut table = Table { out, formats, column };
        table.write(queue_unmaps)?;
    }
    write_curves(out, report)?;
    write_anomalies(out, report)?;
    write_notes(out, report, queue_unmaps)
}

fn write_trace(out: &mut String, report: &Report) -> fmt::Result {
    let trace = &report.trace;
    writeln!(out, "{}", styled(style::NAME, &trace.name))?;
    let Some(format) = report.formats.first() else { return Ok(()) };
    let live = &format.live;
    let domains = human::count(trace.domains.len() as u64, "domain");
    writeln!(out, "  {}, {}; {domains}", human::count(trace.lines, "line"), live.events_in_words())?;
    write_start(out, trace, format)?;
    let other: Vec<String> = trace.other_events.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if !other.is_empty() {
        writeln!(out, "  other events, skipped: {}", other.join(", "))?;
    }
    for (count, what) in [
        (trace.malformed_lines, "malformed lines, skipped"),
        (trace.lost_events, "events lost by the kernel"),
        (trace.unpaired_domain_lines, "domain lines (d_map, d_unmap) without an event"),
        (trace.events_without_domain, "events without a domain line, replayed as a domain of their own"),
    ] {
        if count > 0 {
            writeln!(out, "  {what}: {count}")?;
        }
    }
    write_live(out, "  ", live)?;
    if format.domains.len() > 1 {
        for domain in &format.domains {
            let (maps, unmaps) = (human::count(domain.live.maps, "map"), human::count(domain.live.unmaps, "unmap"));
            writeln!(out, "  domain {}: {maps}, {unmaps}", domain.name)?;
            write_live(out, "    ", &domain.live)?;
        }
    }
    Ok(())
}
/// What was mapped when the trace began, and what speaks against it.
fn write_start(out: &mut String, trace: &TraceReport, format: &FormatReport) -> fmt::Result {
    let live = &format.live;
    let Some(line) = trace.complete_from_line else {
        let lost = trace
            .events_missing_before_line
            .map(|line| format!("events before line {line} are missing, as the text shows"));
        let unmapped = match format.anomalies.never_mapped {
            0 => None,
            count => Some(format!("{} of what was never mapped in the trace", human::count(count, "unmap"))),
        };
        let against: Vec<String> = lost.into_iter().chain(unmapped).collect();
        if against.is_empty() {
            return writeln!(out, "  begins with nothing mapped (no sign of missing events)");
        }
        writeln!(out, "  taken to begin with nothing mapped, but:")?;
        return against.iter().try_for_each(|what| writeln!(out, "    {what}"));
    };
    writeln!(out, "  begins in the middle; complete from line {line}")?;
    let before = human::bytes(live.bytes_before_trace);
    writeln!(out, "  unmaps of what was mapped before the trace: {} ({before})", live.unmaps_before_trace)?;
    writeln!(out, "  maps over what a missing unmap left: {}", live.maps_over_lost_unmaps)
}

fn write_live(out: &mut String, indent: &str, live: &LiveReport) -> fmt::Result {
    let (bytes, maps) = (human::bytes(live.peak_live_bytes), human::count(live.maps_at_peak, "map event"));
    let pages = human::count(live.peak_live_pages, "page");
    write!(out, "{indent}live at the peak: {bytes}, {pages}, {maps}")?;
    writeln!(out, " (line {}; most map events at once: {})", live.peak_line, live.peak_live_maps)?;
    let (bytes, maps) = (human::bytes(live.end_live_bytes), human::count(live.end_live_maps, "map event"));
    let pages = human::count(live.end_live_pages, "page");
    writeln!(out, "{indent}live at the end:  {bytes}, {pages}, {maps}")
}

/// A table while it is written.
struct Table<'a> {
    out: &'a mut String,
    formats: &'a [FormatReport],
    column: usize,
}

impl Table<'_> {
    fn write(&mut self, queue_unmaps: u64) -> fmt::Result {
        writeln!(self.out)?;
        self.styled_row("", |_| style::NAME, |format| format.format.to_owned())?;
        self.row("VA bits, levels at the end", |format| format!("{}, {}", format.va_bits, format.levels))?;
        self.row("table pages at their peak", |format| format.peak_table_pages.to_string())?;
        self.row("  bytes", |format| human::bytes(format.peak_table_bytes))?;
        let multiple = self.formats.first().map_or(0, |format| format.domains.len());
        for index in (0..multiple).filter(|_| multiple > 1) {
            let name = self.formats[0].domains[index].name.clone();
            self.row(&format!("  pages, domain {name}"), |format| match format.domains.get(index) {
                Some(domain) => domain.peak_table_pages.to_string(),
                None => "-".to_owned(),
            })?;
        }
        self.leaves("leaves at the live peak", |format| &format.leaves)?;
        if self.formats.iter().any(|format| !format.end_leaves.is_empty()) {
            self.leaves("leaves at the end", |format| &format.end_leaves)?;
        }
        self.invalidations(queue_unmaps)?;
        self.heading("time per operation, median / mean ns (*)")?;
        self.row("  map", |format| times(&format.time_ns.map))?;
        self.row("  unmap, with sync", |format| times(&format.time_ns.unmap))?;
        self.row("  an event: library / replay, mean", |format| {
            format!("{:.0} / {:.0}", format.time_ns.library_event, format.time_ns.replay_event)
        })?;
        self.heading("anomalies")?;
        for kind in Kind::ALL {
            let count = |format: &FormatReport| format.anomalies.count(kind);
            let style = |format: &FormatReport| if count(format) > 0 { style::ODD } else { Style::new() };
            self.styled_row(&format!("  {}", kind.label()), style, |format| count(format).to_string())?;
        }
        Ok(())
    }

    fn heading(&mut self, text: &str) -> fmt::Result {
        writeln!(self.out, "{}", styled(style::HEADING, text))
    }

    fn row(&mut self, label: &str, value: impl Fn(&FormatReport) -> String) -> fmt::Result {
        self.styled_row(label, |_| Style::new(), value)
    }

    fn styled_row(
        &mut self,
        label: &str,
        style: impl Fn(&FormatReport) -> Style,
        value: impl Fn(&FormatReport) -> String,
    ) -> fmt::Result {
        let is_group = !label.starts_with(' ');
        let padded = format!("{label:LABEL$}");
        let mut line = if is_group { styled(style::HEADING, padded) } else { padded };
        let cells = self.formats.iter().map(|format| (style(format), value(format)));
        line += &columns(label.chars().count().max(LABEL), self.column, cells);
        writeln!(self.out, "{line}")
    }

    fn leaves(&mut self, label: &str, leaves: impl Fn(&FormatReport) -> &Leaves) -> fmt::Result {
        self.row(label, |format| leaves(format).values().sum::<u64>().to_string())?;
        let sizes: BTreeSet<u64> = self.formats.iter().flat_map(|format| leaves(format).keys().copied()).collect();
        for size in sizes {
            self.row(&format!("  {}", human::bytes(size)), |format| match leaves(format).get(&size) {
                Some(count) => count.to_string(),
                None if format.page_sizes.contains(&size) => "0".to_owned(),
                None => "-".to_owned(),
            })?;
        }
        Ok(())
    }

    fn invalidations(&mut self, queue_unmaps: u64) -> fmt::Result {
        self.heading("invalidations")?;
        self.policy("strict", |counts| counts.strict)?;
        self.policy("batched, FLUSH_RANGE", |counts| counts.batched_flush_range)?;
        self.policy("batched, NO_GAPS", |counts| counts.batched_no_gaps)?;
        let per = human::count(queue_unmaps, "unmap");
        self.row(&format!("  queued, full flush per {per}"), |format| {
            cell(format.invalidations.queued, |count| count.full_flushes.to_string())
        })
    }

    fn policy(&mut self, label: &str, policy: impl Fn(&PolicyCounts) -> Option<Invalidations>) -> fmt::Result {
        self.row(&format!("  {label}"), |format| {
            cell(policy(&format.invalidations), |count| count.ranges.to_string())
        })?;
        self.row("    that free tables", |format| {
            cell(policy(&format.invalidations), |count| count.with_tables.to_string())
        })?;
        self.row("    bytes", |format| cell(policy(&format.invalidations), |count| human::bytes(count.bytes)))
    }
}

/// Cells, each at the right of its column, behind a label of so many characters. What is too wide takes from the blanks of the
/// next ones, so that no two cells touch.
fn columns(label: usize, column: usize, cells: impl Iterator<Item = (Style, String)>) -> String {
    let mut line = String::new();
    let (mut at, mut end) = (label, LABEL);
    for (style, value) in cells {
        let width = value.chars().count();
        end += column;
        let blanks = end.saturating_sub(at + width).max(GAP);
        at += blanks + width;
        line += &format!("{:blanks$}{}", "", styled(style, value));
    }
    line
}

fn cell(counts: Option<Invalidations>, value: impl Fn(Invalidations) -> String) -> String {
    counts.map_or("-".to_owned(), value)
}

fn times(times: &Times) -> String {
    if times.operations == 0 { "-".to_owned() } else { format!("{:.0} / {:.0}", times.median, times.mean) }
}

/// What is live, the table bytes, and leaves where there are several sizes, over time.
fn write_curves(out: &mut String, report: &Report) -> fmt::Result {
    let samples = &report.trace.samples;
    if samples.lines.is_empty() {
        return Ok(());
    }
    let events = human::count(samples.every_events as u64, "event");
    let heading = styled(style::HEADING, "over time");
    let count = human::count(samples.lines.len() as u64, "sample");
    writeln!(out, "\n{heading} ({count} of {events} each; every curve from 0 to its most)")?;
    write_curve(out, "live bytes", &samples.live_bytes, human::bytes)?;
    for format in &report.formats {
        write_curve(out, &format!("{} tables", format.format), &format.samples.table_bytes, human::bytes)?;
        let leaves = &format.samples.leaves;
        for (size, numbers) in leaves.iter().filter(|_| leaves.len() > 1) {
            write_curve(out, &format!("  leaves of {}", human::bytes(*size)), numbers, |most| most.to_string())?;
        }
    }
    Ok(())
}

fn write_curve(out: &mut String, label: &str, values: &[u64], unit: impl Fn(u64) -> String) -> fmt::Result {
    let most = unit(values.iter().copied().max().unwrap_or(0));
    let curve = sparkline(values, CURVE);
    let blanks = CURVE.saturating_sub(curve.chars().count());
    writeln!(out, "  {label:CURVE_LABEL$}{}{:blanks$}  {most:>10}", styled(style::CURVE, curve), "")
}

/// The first anomalies of each kind: once if they are the trace's, for each format if they are the format's.
fn write_anomalies(out: &mut String, report: &Report) -> fmt::Result {
    for kind in Kind::ALL {
        let formats = if kind.is_of_format() { report.formats.len() } else { 1 };
        for format in report.formats.iter().take(formats) {
            let count = format.anomalies.count(kind);
            if count == 0 {
                continue;
            }
            let told = format.anomalies.first().iter().filter(|anomaly| anomaly.kind == kind);
            let of = if kind.is_of_format() { format!(", {}", format.format) } else { String::new() };
            writeln!(out, "\n{}:", styled(style::ODD, format!("{}{of}", kind.label())))?;
            for anomaly in told.take(SHOWN as usize) {
                writeln!(out, "  {}:{}: {}", report.trace.name, anomaly.line, anomaly.text)?;
            }
            if count > SHOWN {
                let which = if count > MOST_TOLD { format!("the first {MOST_TOLD}") } else { "them all".to_owned() };
                writeln!(out, "  ... and {} more; `--json` has {which}", count - SHOWN)?;
            }
            if kind == Kind::Refused {
                writeln!(out, "  {} left out, with their unmaps", human::bytes(format.refused_bytes))?;
            }
        }
    }
    Ok(())
}

/// Names after a text, with commas, in lines of at most the usual width.
fn write_list(out: &mut String, text: &str, names: &[&str]) -> fmt::Result {
    let mut line = text.to_owned();
    for (n, name) in names.iter().enumerate() {
        let comma = if n + 1 < names.len() { "," } else { "" };
        if line.len() + 1 + name.len() + comma.len() > WIDTH {
            writeln!(out, "{line}")?;
            line = "   ".to_owned();
        }
        line.extend([" ", name, comma]);
    }
    writeln!(out, "{line}")
}

fn write_notes(out: &mut String, report: &Report, queue_unmaps: u64) -> fmt::Result {
    writeln!(out)?;
    for reason in report.not_replayed.values() {
        writeln!(out, "not replayed: {reason}")?;
    }
    let lacks = |policy: fn(&PolicyCounts) -> Option<Invalidations>| {
        let names = report.formats.iter().filter(|format| policy(&format.invalidations).is_none());
        names.map(|format| format.format).collect::<Vec<_>>()
    };
    for (feature, names) in [
        ("FLUSH_RANGE", lacks(|counts| counts.batched_flush_range)),
        ("FLUSH_RANGE_NO_GAPS", lacks(|counts| counts.batched_no_gaps)),
    ] {
        if !names.is_empty() {
            write_list(out, &format!("-   {feature} is not a feature of"), &names)?;
        }
    }
    if report.formats.first().is_some_and(|format| format.anomalies.never_mapped > 0) {
        let what = match report.trace.events_missing_before_line {
            Some(_) => "Without `--start empty` they are taken for unmaps of what was mapped before the trace.",
            None => "If tracing was switched on while the device was running, say `--start middle`.",
        };
        writeln!(out, "    {what}")?;
    }
    let per = human::count(queue_unmaps, "unmap");
    let notes = format!(
        "    Pages are of 4 KiB. Strict invalidates after each unmap event; batched once for consecutive
    unmaps of a domain; queued everything, per {per} of a domain and at the end. A map
    that puts a large leaf in the place of empty tables invalidates too, before it frees them.
(*) Wall clock on this machine; warm memory, a driver that does nothing, clock cost subtracted. An
    event: all operations without a clock between them, against the replay with all that it counts."
    );
    writeln!(out, "{}", styled(style::NOTE, notes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_do_not_touch() {
        let cells = ["10122 / 1839611952", "11767 / 9", "1"].map(|value| (Style::new(), value.to_owned()));
        let line = columns(LABEL, COLUMN, cells.into_iter());
        assert_eq!(line, "  10122 / 1839611952  11767 / 9    1");
        assert_eq!(line.len(), 3 * COLUMN);
    }
}
