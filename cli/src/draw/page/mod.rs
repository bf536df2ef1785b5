//! The page: the drawing as data, and a script that shows it. Everything is in the file.

mod data;

use super::Drawing;
use super::choose::Budget;
use super::styles::Entry;
use crate::describe::plain;
use crate::html::Escaped;
use crate::human;
use data::Data;
use std::fmt::Write;

/// What a page can show, with a few megabytes.
pub const BUDGET: Budget = Budget { tables: 6000, cells: 24_000 };
/// Extents of each map.
pub const MOST_EXTENTS: usize = 48;

/// How the maps are used without a pointer.
const MAP_KEYS: &str = "Arrow keys choose, Enter goes to the table, Escape closes.";

const PALETTE: &str = include_str!("../palette.css");
const STYLE: &str = include_str!("page.css");
/// The parts of the script: what is known, how it is drawn, what is told about it, and what the reader does.
const SCRIPTS: [&str; 4] =
    [include_str!("model.js"), include_str!("view.js"), include_str!("details.js"), include_str!("events.js")];

/// The page as HTML.
pub fn page(drawing: &Drawing<'_>) -> String {
    let title = Escaped(&drawing.title);
    let about = drawing.about();
    let about = Escaped(&about);
    let notes: String = drawing
        .missing(drawing.tables.len() as u64)
        .iter()
        .map(|missing| format!("<p class=\"missing\">{}</p>\n", Escaped(missing)))
        .collect();
    let findings = findings(drawing);
    let styles = &drawing.styles;
    let legends = [
        ("access", "permissions", styles.access_legend()),
        ("attributes", "attributes", styles.attribute_legend()),
        ("sizes", "page size", styles.size_legend()),
    ];
    let rest = lines(&drawing.rest_legend());
    let mut legend = String::new();
    for (name, _, entries) in &legends {
        // Writing to a string cannot fail.
        let _ = writeln!(legend, "<ul class=\"legend by-{name}\">{}{}</ul>", lines(entries), rest);
    }
    let choices: String =
        legends.iter().map(|(name, text, _)| format!("<option value=\"{name}\">{text}</option>")).collect();
    // Nothing in the data can end the script element.
    let data = serde_json::json!(Data::new(drawing)).to_string().replace('<', "\\u003c");
    let script = SCRIPTS.concat();
    format!(
        "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta name=\"color-scheme\" content=\"light dark\">
<link rel=\"icon\" href=\"data:,\">
<title>{title}: genpt draw</title>
<style>
{PALETTE}{STYLE}</style>
</head>
<body data-colours=\"access\">
<header>
<h1>{title}</h1>
<p>{about}</p>
{notes}</header>
<div class=\"bar\">
<form id=\"find\"><select id=\"space\" aria-label=\"address space\"><option>VA</option><option>PA</option></select><input id=\"address\" aria-label=\"address\" spellcheck=\"false\" autocomplete=\"off\" placeholder=\"0x…\"><button>Go</button></form>
<label>Colours <select id=\"colours\">{choices}</select></label>
<span class=\"zoom\"><button id=\"out\" type=\"button\">Up</button><button id=\"minus\" type=\"button\" aria-label=\"zoom out\">−</button><button id=\"plus\" type=\"button\" aria-label=\"zoom in\">+</button><button id=\"all\" type=\"button\">All</button></span>
</div>
{legend}<div class=\"columns\">
<main>
<h2>VA space in use</h2>
<svg id=\"va-map\" class=\"map\" role=\"application\" tabindex=\"0\" aria-label=\"VA space in use. {MAP_KEYS}\"></svg>
<h2>Tables</h2>
<nav id=\"path\" aria-label=\"path of the part that is shown\"></nav>
<svg id=\"tree\" role=\"application\" tabindex=\"0\" aria-label=\"Tables by level. Arrow keys choose, Enter goes in, Escape goes up.\"></svg>
<h2>Physical memory in use</h2>
<svg id=\"pa-map\" class=\"map\" role=\"application\" tabindex=\"0\" aria-label=\"Physical memory in use. {MAP_KEYS}\"></svg>
<p class=\"soft-text\">Widths are not to scale: they grow with the logarithm of what is there. Click on a block for what it is, on a table to go into it.</p>
</main>
<aside id=\"details\" aria-live=\"polite\" hidden></aside>
</div>
<noscript><p>The page needs its script; a picture does not: <code>genpt draw -o x.svg</code>.</p></noscript>
{findings}<div id=\"tip\" role=\"status\" hidden></div>
<script type=\"application/json\" id=\"data\">{data}</script>
<script>
\"use strict\";
{{
{script}}}
</script>
</body>
</html>
"
    )
}

/// The lines of a legend.
fn lines(entries: &[Entry]) -> String {
    let line = |entry: &Entry| format!("<li><i class=\"{}\"></i>{}</li>", entry.class, Escaped(&entry.text));
    entries.iter().map(line).collect()
}

/// The findings, each a button that leads there; what is about no table that is drawn only tells.
fn findings(drawing: &Drawing<'_>) -> String {
    let report = &drawing.report;
    let total: u64 = report.counts.values().sum();
    if total == 0 {
        return "<section><h2>No findings</h2></section>\n".to_owned();
    }
    let counts: Vec<String> = report.counts.iter().map(|(rule, count)| format!("{count} {rule}")).collect();
    let mut out = format!(
        "<section><h2>{}</h2>\n<p>{}</p>\n<ol id=\"findings\">\n",
        human::count(total, "finding"),
        counts.join(", ")
    );
    let mut order: Vec<usize> = (0..report.findings.len()).collect();
    order.sort_by_key(|n| std::cmp::Reverse(report.findings[*n].severity));
    for n in order {
        let finding = &report.findings[n];
        let class = super::mark(finding.severity).unwrap_or("note");
        let text = Escaped(&finding.text);
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "<li><button type=\"button\" data-finding=\"{n}\"><b class=\"{class}\">{}</b> {}: {text}</button></li>",
            finding.rule, finding.place
        );
    }
    let listed = report.findings.len() as u64;
    out += "</ol>\n";
    if total > listed {
        out += &format!("<p>and {}</p>\n", super::more(total - listed, "finding"));
    }
    for line in report.see() {
        out += &format!("<p class=\"soft-text\">{}</p>\n", Escaped(&plain(&line)));
    }
    out + "</section>\n"
}
