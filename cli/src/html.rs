//! The results as a page of its own: plots over time, formats and policies side by side.
//!
//! Everything is in the file: curves are SVG that is made here, colours follow the reader's choice of light or dark, and a short
//! script shows the values under the pointer.

mod plot;

use crate::counting::Invalidations;
use crate::human;
use crate::policies::PolicyCounts;
use crate::report::{DomainReport, FormatReport, Report};
use plot::{Curve, Kind, Plot};
use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// How the page looks.
const STYLE: &str = include_str!("html/page.css");
/// What shows the values.
const SCRIPT: &str = include_str!("html/page.js");
/// Page sizes that get a colour of their own; the rest are one.
const COLOURS: usize = 7;
/// Domains that have a row.
const MOST_DOMAINS: usize = 256;
/// What a table is in that may be wider than the page; keys scroll it, too.
const SCROLL: &str = "<div class=\"scroll\" tabindex=\"0\">";

/// What a policy is called, and what it counted.
type Policy = (&'static str, fn(&PolicyCounts) -> Option<Invalidations>);

/// The policies, in the order of reports.
const POLICIES: [Policy; 4] = [
    ("strict", |counts| counts.strict),
    ("batched, FLUSH_RANGE", |counts| counts.batched_flush_range),
    ("batched, NO_GAPS", |counts| counts.batched_no_gaps),
    ("queued", |counts| counts.queued),
];

/// The page about some traces.
pub fn page(reports: &[Report], queue_unmaps: u64) -> String {
    let mut body = String::new();
    for report in reports {
        // Writing to a string cannot fail.
        let _ = write_trace(&mut body, report, queue_unmaps);
    }
    let name = reports.first().map_or("", |report| &report.trace.name);
    let name = Escaped(name);
    format!(
        "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta name=\"color-scheme\" content=\"light dark\">
<link rel=\"icon\" href=\"data:,\">
<title>{name}: genpt replay</title>
<style>
{STYLE}</style>
</head>
<body>
{body}<div id=\"tip\" role=\"status\" hidden></div>
<script>
{SCRIPT}</script>
</body>
</html>
"
    )
}

/// Text that stands for itself in HTML.
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            char => f.write_char(char),
        })
    }
}

fn write_trace(out: &mut String, report: &Report, queue_unmaps: u64) -> fmt::Result {
    let trace = &report.trace;
    let samples = &trace.samples;
    let last_line = samples.lines.last().copied().unwrap_or(0);
    writeln!(out, "<section>\n<h1>{}</h1>", Escaped(&trace.name))?;
    if let Some(format) = report.formats.first() {
        let live = &format.live;
        let domains = human::count(trace.domains.len() as u64, "domain");
        let (peak, end) = (human::bytes(live.peak_live_bytes), human::bytes(live.end_live_bytes));
        writeln!(out, "<p>{}; {domains}.", live.events_in_words())?;
        writeln!(out, "Mapped at the peak {peak} (line {}), at the end {end}.</p>", live.peak_line)?;
    }
    for reason in report.not_replayed.values() {
        writeln!(out, "<p class=\"soft\">not replayed: {}</p>", Escaped(reason))?;
    }
    let lines = serde_json::json!(samples.lines);
    writeln!(out, "<script type=\"application/json\" class=\"lines\">{lines}</script>")?;
    writeln!(out, "<h2>Over time</h2>")?;
    let events = human::count(samples.every_events as u64, "event");
    writeln!(
        out,
        "<p class=\"soft\">A value is the most of {events}; of page sizes what is there when most is mapped.</p>"
    )?;
    let plot = Plot {
        title: "mapped bytes".to_owned(),
        class: "wide",
        kind: Kind::Lines,
        most: most(&samples.live_bytes),
        curves: vec![Curve { name: "mapped".to_owned(), style: "a".to_owned(), values: samples.live_bytes.clone() }],
    };
    plot.write(out, last_line)?;
    writeln!(out, "<h2>Side by side</h2>")?;
    write_table(out, report)?;
    write_domains(out, report)?;
    writeln!(out, "<h2>Format by format</h2>")?;
    writeln!(
        out,
        "<p class=\"soft\">Plots of table memory share one scale, and so do those of mapped bytes, and the bars"
    )?;
    let unmaps = human::count(queue_unmaps, "unmap");
    writeln!(out, "of each policy; queued flushes everything after {unmaps}.</p>")?;
    writeln!(out, "<div class=\"cards\">")?;
    let scales = Scales::of(report);
    for format in &report.formats {
        write_card(out, format, &scales, last_line)?;
    }
    writeln!(out, "</div>\n</section>")
}

fn write_table(out: &mut String, report: &Report) -> fmt::Result {
    writeln!(out, "{SCROLL}<table>\n<thead><tr><th>format</th><th>table memory<br>at its peak</th>")?;
    writeln!(out, "<th>leaves<br>at the live peak</th>")?;
    for (name, _) in POLICIES {
        writeln!(out, "<th>{}</th>", name.replace(", ", ",<br>"))?;
    }
    writeln!(out, "<th>map<br>ns</th><th>unmap<br>ns</th><th>odd</th></tr></thead>\n<tbody>")?;
    for format in &report.formats {
        let (pages, leaves) = (human::count(format.peak_table_pages, "page"), format.leaves.values().sum::<u64>());
        let bytes = human::bytes(format.peak_table_bytes);
        write!(out, "<tr><th>{}</th><td>{bytes}<small>{pages}</small></td><td>{leaves}</td>", format.format)?;
        for (_, policy) in POLICIES {
            write!(out, "<td>{}</td>", invalidations(policy(&format.invalidations), "<small>", "</small>"))?;
        }
        let (map, unmap) = (&format.time_ns.map, &format.time_ns.unmap);
        let odd = format.anomalies.total();
        let class = if odd > 0 { " class=\"odd\"" } else { "" };
        writeln!(out, "<td>{:.0}</td><td>{:.0}</td><td{class}>{odd}</td></tr>", map.median, unmap.median)?;
    }
    writeln!(out, "</tbody>\n</table></div>")?;
    writeln!(out, "<p class=\"soft\">Policies: invalidations and the bytes they cover, with <i>queued</i> flushes of")?;
    writeln!(out, "everything. Times are medians on this machine.</p>")
}

/// The domains, if there are several: what each had mapped, and its tables in each format.
fn write_domains(out: &mut String, report: &Report) -> fmt::Result {
    let Some(first) = report.formats.first().filter(|format| format.domains.len() > 1) else { return Ok(()) };
    writeln!(out, "<h2>Domains</h2>\n{SCROLL}<table>\n<thead><tr><th>domain</th><th>maps</th><th>unmaps</th>")?;
    writeln!(out, "<th>mapped<br>at its peak</th><th>mapped<br>at the end</th>")?;
    for format in &report.formats {
        writeln!(out, "<th>tables<br>{}</th>", format.format)?;
    }
    writeln!(out, "</tr></thead>\n<tbody>")?;
    for (index, domain) in first.domains.iter().enumerate().take(MOST_DOMAINS) {
        let live = &domain.live;
        let (peak, end) = (human::bytes(live.peak_live_bytes), human::bytes(live.end_live_bytes));
        write!(out, "<tr><th>{}</th><td>{}</td><td>{}</td>", Escaped(&domain.name), live.maps, live.unmaps)?;
        write!(out, "<td>{peak}<small>line {}</small></td><td>{end}</td>", live.peak_line)?;
        for format in &report.formats {
            match format.domains.get(index) {
                Some(DomainReport { peak_table_pages, peak_table_bytes, .. }) => {
                    let pages = human::count(*peak_table_pages, "page");
                    write!(out, "<td>{}<small>{pages}</small></td>", human::bytes(*peak_table_bytes))?;
                }
                None => write!(out, "<td>–</td>")?,
            }
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody>\n</table></div>")?;
    match first.domains.len().saturating_sub(MOST_DOMAINS) {
        0 => Ok(()),
        more => writeln!(
            out,
            "<p class=\"soft\">{} more; the text and <code>--json</code> have all.</p>",
            human::count(more as u64, "domain")
        ),
    }
}

/// Number and bytes of invalidations, the latter between two marks.
fn invalidations(counts: Option<Invalidations>, begin: &str, end: &str) -> String {
    match counts {
        None => "–".to_owned(),
        Some(counts) if counts.full_flushes > 0 => format!("{}{begin}full{end}", counts.full_flushes),
        Some(counts) => format!("{}{begin}{}{end}", counts.ranges, human::bytes(counts.bytes)),
    }
}

/// The upper edges that all formats share.
struct Scales {
    table_bytes: u64,
    mapped_bytes: u64,
    /// For each policy.
    invalidations: [u64; POLICIES.len()],
}

impl Scales {
    fn of(report: &Report) -> Self {
        let formats = &report.formats;
        Self {
            table_bytes: formats.iter().map(|format| most(&format.samples.table_bytes)).max().unwrap_or(0),
            mapped_bytes: most(&report.trace.samples.live_bytes),
            invalidations: POLICIES.map(|(_, policy)| {
                let counts = formats.iter().filter_map(|format| policy(&format.invalidations));
                counts.map(number).max().unwrap_or(0)
            }),
        }
    }
}

fn most(values: &[u64]) -> u64 {
    values.iter().copied().max().unwrap_or(0)
}

fn number(counts: Invalidations) -> u64 {
    counts.ranges + counts.full_flushes
}

fn write_card(out: &mut String, format: &FormatReport, scales: &Scales, last_line: u64) -> fmt::Result {
    writeln!(out, "<article class=\"card\">\n<h3>{}</h3>", format.format)?;
    let (about, levels) = (Escaped(format.about), human::count(format.levels.into(), "level"));
    writeln!(out, "<p class=\"soft\">{about}; {} VA bits, {levels}</p>", format.va_bits)?;
    let curve = Curve { name: "tables".to_owned(), style: "a".to_owned(), values: format.samples.table_bytes.clone() };
    let tables = Plot {
        title: "table memory".to_owned(),
        class: "",
        kind: Kind::Lines,
        most: scales.table_bytes,
        curves: vec![curve],
    };
    tables.write(out, last_line)?;
    let mix = Plot {
        title: "mapped bytes by page size".to_owned(),
        class: "",
        kind: Kind::Layers,
        most: scales.mapped_bytes,
        curves: size_curves(&format.samples.leaves),
    };
    mix.write(out, last_line)?;
    writeln!(out, "<dl class=\"bars\">")?;
    for ((name, policy), most) in POLICIES.into_iter().zip(scales.invalidations) {
        let counts = policy(&format.invalidations);
        let part = counts.map_or(0.0, |counts| 100.0 * number(counts) as f64 / most.max(1) as f64);
        let text = invalidations(counts, " · ", "");
        writeln!(out, "<dt>{name}</dt><dd style=\"--part:{part:.1}%\">{text}</dd>")?;
    }
    writeln!(out, "</dl>\n</article>")
}

/// A curve of bytes for each page size, ascending; where there are too many, those with least bytes are one, the last.
fn size_curves(leaves: &BTreeMap<u64, Vec<u64>>) -> Vec<Curve> {
    let in_bytes = |(size, counts): (&u64, &Vec<u64>)| {
        (*size, counts.iter().map(|count| count.saturating_mul(*size)).collect::<Vec<u64>>())
    };
    let mut sizes: Vec<(u64, Vec<u64>)> = leaves.iter().map(in_bytes).collect();
    sizes.sort_by_key(|(_, bytes)| std::cmp::Reverse(most(bytes)));
    let rest = sizes.split_off(sizes.len().min(if sizes.len() > COLOURS { COLOURS - 1 } else { COLOURS }));
    sizes.sort_by_key(|(size, _)| *size);
    let mut named: Vec<(String, Vec<u64>)> =
        sizes.into_iter().map(|(size, bytes)| (human::bytes(size), bytes)).collect();
    if let Some((_, first)) = rest.first() {
        let add = |sum: Vec<u64>, bytes: &Vec<u64>| sum.iter().zip(bytes).map(|(a, b)| a.saturating_add(*b)).collect();
        named.push(("other".to_owned(), rest.iter().skip(1).fold(first.clone(), |sum, (_, bytes)| add(sum, bytes))));
    }
    // Few colours are as far apart as can be, and one is in the middle.
    let colour = |n: usize| if named.len() > 1 { n * (COLOURS - 1) / (named.len() - 1) } else { COLOURS / 2 };
    let styles: Vec<String> = (0..named.len()).map(|n| format!("s{}", colour(n))).collect();
    named.into_iter().zip(styles).map(|((name, values), style)| Curve { name, style, values }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_page_sizes_share_a_colour() {
        let leaves = |sizes: u32| (0..sizes).map(|n| (1 << (12 + n), vec![u64::from(n == 0) * 999, 1])).collect();
        let names = |sizes| size_curves(&leaves(sizes)).into_iter().map(|curve| curve.name).collect::<Vec<_>>();
        assert_eq!(names(3), ["4 KiB", "8 KiB", "16 KiB"]);
        assert_eq!(names(9), ["4 KiB", "64 KiB", "128 KiB", "256 KiB", "512 KiB", "1 MiB", "other"]);
        let other = size_curves(&leaves(9)).pop().unwrap();
        assert_eq!(other.values, [0, 0x2000 + 0x4000 + 0x8000]);
        let styles = |sizes| size_curves(&leaves(sizes)).into_iter().map(|curve| curve.style).collect::<Vec<_>>();
        assert_eq!((styles(1), styles(2)), (vec!["s3".to_owned()], vec!["s0".to_owned(), "s6".to_owned()]));
    }

    #[test]
    fn names_are_no_markup() {
        assert_eq!(Escaped("<a href='x'>&\"").to_string(), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
    }
}
