//! The results as text: facts of the trace, then a table with one column for each format.

use crate::anomaly::{Anomaly, Kind};
use crate::counting::Invalidations;
use crate::human;
use crate::model::NEVER_MAPPED;
use crate::policies::PolicyCounts;
use crate::report::{FormatReport, LiveReport, Report, TraceReport};
use crate::table::Leaves;
use crate::timing::Times;
use std::collections::BTreeSet;
use std::fmt::{self, Write};

/// Columns of a terminal that the tables stay within.
const WIDTH: usize = 100;
/// Columns of the names of rows.
const LABEL: usize = 36;
/// Least columns of a format.
const COLUMN: usize = 12;
/// Anomalies of each kind that are shown.
const SHOWN: usize = 5;

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
    let column = report.formats.iter().map(|format| format.format.len() + 1).fold(COLUMN, usize::max);
    for formats in report.formats.chunks(((WIDTH - LABEL) / column).max(1)) {
        let mut table = Table { out, formats, column };
        table.write(queue_unmaps)?;
    }
    write_anomalies(out, report)?;
    write_notes(out, report, queue_unmaps)
}

fn write_trace(out: &mut String, report: &Report) -> fmt::Result {
    let trace = &report.trace;
    writeln!(out, "{}", trace.name)?;
    let Some(format) = report.formats.first() else { return Ok(()) };
    let live = &format.live;
    let domains = human::count(trace.domains.len() as u64, "domain");
    writeln!(
        out,
        "  {} lines, {} events: {} maps, {} unmaps; {domains}",
        trace.lines, live.events, live.maps, live.unmaps
    )?;
    write_start(out, trace, live)?;
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
            writeln!(out, "  domain {}: {} maps, {} unmaps", domain.name, domain.live.maps, domain.live.unmaps)?;
            write_live(out, "    ", &domain.live)?;
        }
    }
    Ok(())
}

fn write_start(out: &mut String, trace: &TraceReport, live: &LiveReport) -> fmt::Result {
    let Some(line) = trace.complete_from_line else {
        return writeln!(out, "  begins with nothing mapped (no sign of missing events)");
    };
    writeln!(out, "  begins in the middle; complete from line {line}")?;
    let before = human::bytes(live.bytes_before_trace);
    writeln!(out, "  unmaps of what was mapped before the trace: {} ({before})", live.unmaps_before_trace)?;
    writeln!(out, "  maps over what a missing unmap left: {}", live.maps_over_lost_unmaps)
}

fn write_live(out: &mut String, indent: &str, live: &LiveReport) -> fmt::Result {
    let (bytes, maps) = (human::bytes(live.peak_live_bytes), human::count(live.maps_at_peak, "map event"));
    write!(out, "{indent}live at the peak: {bytes}, {} pages, {maps}", live.peak_live_pages)?;
    writeln!(out, " (line {}; most map events at once: {})", live.peak_line, live.peak_live_maps)?;
    let (bytes, maps) = (human::bytes(live.end_live_bytes), human::count(live.end_live_maps, "map event"));
    writeln!(out, "{indent}live at the end:  {bytes}, {} pages, {maps}", live.end_live_pages)
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
        self.row("", |format| format.format.to_owned())?;
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
        writeln!(self.out, "time per operation, median / mean ns (*)")?;
        self.row("  map", |format| times(&format.time_ns.map))?;
        self.row("  unmap, with sync", |format| times(&format.time_ns.unmap))?;
        writeln!(self.out, "anomalies")?;
        for kind in Kind::ALL {
            self.row(&format!("  {}", kind.label()), |format| {
                format.anomaly_counts.get(&kind).copied().unwrap_or(0).to_string()
            })?;
        }
        Ok(())
    }

    fn row(&mut self, label: &str, value: impl Fn(&FormatReport) -> String) -> fmt::Result {
        let mut line = format!("{label:LABEL$}");
        for format in self.formats {
            write!(line, "{:>width$}", value(format), width = self.column)?;
        }
        writeln!(self.out, "{}", line.trim_end())
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
        writeln!(self.out, "invalidations")?;
        self.policy("strict", |counts| counts.strict)?;
        self.policy("batched, FLUSH_RANGE", |counts| counts.batched_flush_range)?;
        self.policy("batched, NO_GAPS", |counts| counts.batched_no_gaps)?;
        self.row(&format!("  queued, full flush per {queue_unmaps} unmaps"), |format| {
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

fn cell(counts: Option<Invalidations>, value: impl Fn(Invalidations) -> String) -> String {
    counts.map_or("-".to_owned(), value)
}

fn times(times: &Times) -> String {
    if times.operations == 0 { "-".to_owned() } else { format!("{:.0} / {:.0}", times.median, times.mean) }
}

/// The first anomalies of each kind: once if they are the trace's, for each format if they are the format's.
fn write_anomalies(out: &mut String, report: &Report) -> fmt::Result {
    for kind in Kind::ALL {
        let formats = if kind.is_of_format() { report.formats.len() } else { 1 };
        for format in report.formats.iter().take(formats) {
            let all: Vec<&Anomaly> = format.anomalies.iter().filter(|anomaly| anomaly.kind == kind).collect();
            if all.is_empty() {
                continue;
            }
            let of = if kind.is_of_format() { format!(", {}", format.format) } else { String::new() };
            writeln!(out, "\n{}{of}:", kind.label())?;
            for anomaly in all.iter().take(SHOWN) {
                writeln!(out, "  {}:{}: {}", report.trace.name, anomaly.line, anomaly.text)?;
            }
            if all.len() > SHOWN {
                writeln!(out, "  ... and {} more; `--json` has them all", all.len() - SHOWN)?;
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
    let anomalies = report.formats.first().map_or(&[][..], |format| &format.anomalies);
    if anomalies.iter().any(|anomaly| anomaly.text.ends_with(NEVER_MAPPED)) {
        writeln!(out, "    If tracing was switched on while the device was running, say `--start middle`.")?;
    }
    writeln!(out, "    Pages are of 4 KiB. Strict invalidates after each unmap event; batched once for consecutive")?;
    writeln!(
        out,
        "    unmaps of a domain; queued everything, per {queue_unmaps} unmaps of a domain and at the end. A map"
    )?;
    writeln!(out, "    that puts a large leaf in the place of empty tables invalidates too, before it frees them.")?;
    writeln!(out, "(*) Wall clock on this machine; heap memory, a driver that does nothing, clock cost subtracted.")
}
