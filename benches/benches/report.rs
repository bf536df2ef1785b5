//! The whole table: instructions and time of this run beside the reference's figures; scale; peers; replays of traces; and what
//! changed since the stages that were recorded.
//!
//! `cargo bench -p generic-pt-benches --bench report` prints it as Markdown, in about six minutes. After `--`: words limit it to
//! the cases whose format or name contains one of them; `--quick` takes short samples; `--write` puts the table into
//! `docs/performance.md`; `--stage NAME` records the figures as a stage of development in `benches/stages/`.

use generic_pt_benches::formats::{Column, FORMATS};
use generic_pt_benches::instructions::{Count, Whose, count_all, ran_to_be_counted};
use generic_pt_benches::operations::Operation;
use generic_pt_benches::peers::{NOTES, PEERS};
use generic_pt_benches::rows::{Figures, ROWS, Row};
use generic_pt_benches::stages::{Figures as Measured, Stage};
use generic_pt_benches::time::{Effort, measure_ns};
use generic_pt_benches::traces::Trace;
use generic_pt_benches::{BenchDomain, Purpose, domain};
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::rc::Rc;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");
/// Where there is no figure.
const NOTHING: &str = "–";
/// The lines of the document between which the table is.
const BEGIN: &str = "<!-- written by the report: begin -->\n";
const END: &str = "<!-- written by the report: end -->\n";

fn main() -> ExitCode {
    if ran_to_be_counted() {
        return ExitCode::SUCCESS;
    }
    match Options::parse(std::env::args().skip(1)).and_then(|options| report(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    words: Vec<String>,
    effort: Effort,
    write: bool,
    stage: Option<String>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { words: Vec::new(), effort: Effort::Full, write: false, stage: None };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => {}
                "--quick" => options.effort = Effort::Quick,
                "--write" => options.write = true,
                "--stage" => options.stage = Some(arguments.next().ok_or("--stage needs a name")?),
                option if option.starts_with('-') => return Err(format!("unknown option {option}")),
                word => options.words.push(word.to_owned()),
            }
        }
        if !options.words.is_empty() && (options.write || options.stage.is_some()) {
            return Err("a part of the table is not written or recorded".to_owned());
        }
        Ok(options)
    }

    fn want(&self, column: &str, name: &str) -> bool {
        let text = format!("{column} {name}");
        self.words.is_empty() || self.words.iter().any(|word| text.contains(word.as_str()))
    }
}

/// The figures of this run.
struct Run<'o> {
    options: &'o Options,
    domain: &'static BenchDomain,
    counts: Vec<Count>,
    stage: Stage,
}

fn report(options: &Options) -> Result<(), String> {
    let count = |whose| count_all(whose, Path::new(env!("CARGO_TARGET_TMPDIR"))).map_err(|error| error.to_string());
    let mut counts = count(Whose::Formats)?;
    counts.extend(count(Whose::Peers)?);
    let mut run = Run { options, domain: domain(), counts, stage: Stage::default() };
    let traces = Trace::all()?;
    // Twice, so that a busy minute of the machine does not show.
    for _ in 0..2 {
        for row in ROWS {
            FORMATS.iter().chain(PEERS).for_each(|column| run.measure(column, row));
        }
        for trace in &traces {
            FORMATS.iter().for_each(|format| run.measure_replay(format, trace));
        }
    }
    let mut text = heading()?;
    text += &run.reference_table();
    text += &run.further_formats_table();
    text += &run.scale_table();
    text += &run.peer_table();
    text += &run.replay_table(&traces);
    if let Some(name) = &options.stage {
        run.stage.write(name)?;
    }
    text += &run.stage_table()?;
    print!("{text}");
    if options.write {
        write_document(&text)?;
    }
    Ok(())
}

/// Machine, compiler, commit and date.
fn heading() -> Result<String, String> {
    let output = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
        Ok::<_, String>(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpu.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(": "));
        line.map_or("unknown", |(_, value)| value.trim())
    };
    Ok(format!(
        "{} on {} ({} MHz), {}, commit {}.\n\n",
        output("date", &["-u", "+%F"])?,
        field("model name"),
        field("cpu MHz").split('.').next().unwrap_or_default(),
        output("rustc", &["--version"])?,
        output("git", &["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty"])?,
    ))
}

impl Run<'_> {
    /// Times a case, if it is there and wanted.
    fn measure(&mut self, column: &Column, row: &Row) {
        if !self.options.want(column.name, row.name) {
            return;
        }
        self.domain.memory.reset();
        let Some(mut case) = (column.case)(self.domain, row, Purpose::Time) else { return };
        let ns = measure_ns(&mut *case, self.options.effort);
        let count = self.counts.iter().find(|count| count.column == column.name && ROWS[count.row].name == row.name);
        let instructions = count.map_or(f64::NAN, |count| count.instructions);
        self.stage.insert(column.name, row.name, Measured { instructions, ns });
        eprintln!("{}: {}: {} ns", column.name, row.name, number(Some(ns)));
    }

    fn get(&self, column: &str, name: &str) -> Option<Measured> {
        self.stage.get(column, name)
    }

    fn reference_table(&self) -> String {
        let mut text = String::from(
            "### Against the reference\n\n\
             Instruction counts are comparable. The reference's times are of another machine (2.6 GHz Sapphire Rapids), so \
             their\nratio only says how it looks; `at most` is what is allowed of the reference's time on one machine.\n\n\
             | case | format | instr | reference | ratio | budget | ns | reference | ratio | at most |\n\
             | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        );
        for row in ROWS.iter().filter(|row| !is_at_scale(row)) {
            for format in FORMATS.iter().filter(|format| Figures::FORMATS.contains(&format.name)) {
                let Some(figures) = self.get(format.name, row.name) else { continue };
                let (instructions, ns) =
                    (row.reference_instructions.get(format.name), row.reference_ns.get(format.name));
                let budget = row.budget_of(format.name);
                let over = over(figures, budget);
                let _ = writeln!(
                    text,
                    "| {} | {} | {} | {} | {} | {}{over} | {} | {} | {} | {} |",
                    row.name,
                    format.name,
                    number(Some(figures.instructions)),
                    number(instructions),
                    ratio(figures.instructions, instructions),
                    number(budget),
                    number(Some(figures.ns)),
                    number(ns),
                    ratio(figures.ns, ns),
                    row.time_limit.get(format.name).map_or(NOTHING.to_owned(), |limit| format!("{limit:.3}")),
                );
            }
        }
        text + "\n"
    }

    /// The formats that the reference's table does not have, a few side by side.
    fn further_formats_table(&self) -> String {
        let mut text = String::from(
            "### Further formats\n\nInstructions / ns. The budgets are a quarter more than those of x86_64; *over* says where one is not \
             met.\n\n",
        );
        let further: Vec<&Column> = FORMATS.iter().filter(|format| !Figures::FORMATS.contains(&format.name)).collect();
        for formats in further.chunks(6) {
            let names: Vec<&str> = formats.iter().map(|format| format.name).collect();
            let _ = writeln!(text, "| case | {} |\n| --- |{}", names.join(" | "), " ---: |".repeat(names.len()));
            for row in ROWS.iter().filter(|row| !is_at_scale(row)) {
                let cells: Vec<String> = names
                    .iter()
                    .map(|name| {
                        let figures = self.get(name, row.name);
                        cell(figures) + figures.map_or("", |figures| over(figures, row.budget_of(name)))
                    })
                    .collect();
                if cells.iter().any(|cell| cell != NOTHING) {
                    let _ = writeln!(text, "| {} | {} |", row.name, cells.join(" | "));
                }
            }
            text += "\n";
        }
        text
    }

    fn scale_table(&self) -> String {
        let mut text = String::from(
            "### Scale\n\nThe same operation with more mapped: instructions / ns.\n\n\
             | operation | format | 1 MiB | 1 GiB | 1 TiB | 16 TiB |\n| --- | --- | ---: | ---: | ---: | ---: |\n",
        );
        let rows: Vec<&Row> = ROWS.iter().filter(|row| is_at_scale(row)).collect();
        // The rows of one operation follow each other, by size.
        for rows in rows.chunks(4) {
            for format in
                FORMATS.iter().filter(|format| rows.iter().any(|row| self.get(format.name, row.name).is_some()))
            {
                let operation = rows[0].name.split(',').next().unwrap_or_default();
                let cells: Vec<String> = rows.iter().map(|row| cell(self.get(format.name, row.name))).collect();
                let _ = writeln!(text, "| {operation} | {} | {} |", format.name, cells.join(" | "));
            }
        }
        text + "\n"
    }

    fn peer_table(&self) -> String {
        let columns: Vec<&str> = ["x86_64"].into_iter().chain(PEERS.iter().map(|peer| peer.name)).collect();
        let mut text = format!(
            "### Peers\n\nOther crates on the same work in the same run: instructions / ns, per operation or per leaf. `x86_64` is this \
             library's format.\n\n| case | {} |\n| --- |{}\n",
            columns.join(" | "),
            " ---: |".repeat(columns.len()),
        );
        for row in ROWS.iter().filter(|row| PEERS.iter().any(|peer| self.get(peer.name, row.name).is_some())) {
            let cells: Vec<String> = columns.iter().map(|column| cell(self.get(column, row.name))).collect();
            let _ = writeln!(text, "| {} | {} |", row.name, cells.join(" | "));
        }
        text += "\n";
        NOTES.iter().for_each(|note| text += &format!("* {note}\n"));
        text + "\n"
    }

    fn replay_table(&self, traces: &[Rc<Trace>]) -> String {
        let heads: Vec<String> =
            traces.iter().map(|trace| format!("{} ({} events)", trace.name, trace.events.len())).collect();
        let mut text = format!(
            "### Replays of real traces\n\nNanoseconds for each event, in memory.\n\n| format | {} |\n| --- |{}\n",
            heads.join(" | "),
            " ---: |".repeat(heads.len()),
        );
        for format in FORMATS {
            let figures = traces.iter().map(|trace| self.get(format.name, &replay_name(trace)));
            let cells: Vec<String> = figures.map(|figures| number(figures.map(|it| it.ns))).collect();
            if cells.iter().any(|cell| cell != NOTHING) {
                let _ = writeln!(text, "| {} | {} |", format.name, cells.join(" | "));
            }
        }
        text + "\n"
    }

    fn measure_replay(&mut self, format: &Column, trace: &Rc<Trace>) {
        if !self.options.want(format.name, &trace.name) {
            return;
        }
        self.domain.memory.reset();
        let Some(mut case) = (format.replay)(self.domain, trace) else { return };
        let ns = measure_ns(&mut *case, self.options.effort);
        self.stage.insert(format.name, &replay_name(trace), Measured { instructions: f64::NAN, ns });
    }

    fn stage_table(&self) -> Result<String, String> {
        let stages = Stage::read_all()?;
        if stages.is_empty() {
            return Ok(String::new());
        }
        let names: Vec<&str> = stages.iter().map(|(name, _)| name.as_str()).collect();
        let mut text = format!(
            "### Before and after\n\nInstructions / ns at the stages recorded, and in this run.\n\n| case | format | {} | this run |\n\
             | --- | --- |{} ---: |\n",
            names.join(" | "),
            " ---: |".repeat(names.len()),
        );
        for row in ROWS.iter().filter(|row| !is_at_scale(row)) {
            for format in FORMATS {
                let Some(now) = self.get(format.name, row.name) else { continue };
                let cells: Vec<String> =
                    stages.iter().map(|(_, stage)| cell(stage.get(format.name, row.name))).collect();
                if cells.iter().all(|cell| cell == NOTHING) {
                    continue;
                }
                let (format, cells, now) = (format.name, cells.join(" | "), cell(Some(now)));
                let _ = writeln!(text, "| {} | {format} | {cells} | {now} |", row.name);
            }
        }
        Ok(text + "\n")
    }
}

fn replay_name(trace: &Trace) -> String {
    format!("replay {}", trace.name)
}

fn is_at_scale(row: &Row) -> bool {
    matches!(row.operation, Operation::AtScale { .. })
}

fn cell(figures: Option<Measured>) -> String {
    figures.map_or(NOTHING.to_owned(), |it| format!("{} / {}", number(Some(it.instructions)), number(Some(it.ns))))
}

/// A remark on a count above its budget.
fn over(figures: Measured, budget: Option<f64>) -> &'static str {
    if budget.is_some_and(|budget| figures.instructions > budget) { " (over)" } else { "" }
}

fn ratio(figure: f64, reference: Option<f64>) -> String {
    reference.map_or(NOTHING.to_owned(), |reference| format!("{:.3}", figure / reference))
}

/// Three digits that count.
fn number(value: Option<f64>) -> String {
    match value {
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) if value >= 1.0 => format!("{value:.2}"),
        Some(value) if value >= 0.0 => format!("{value:.3}"),
        _ => NOTHING.to_owned(),
    }
}

fn write_document(text: &str) -> Result<(), String> {
    let failed = |error| format!("{DOCUMENT}: {error}");
    let document = std::fs::read_to_string(DOCUMENT).map_err(failed)?;
    let parts = document.split_once(BEGIN).and_then(|(front, rest)| Some((front, rest.split_once(END)?.1)));
    let (front, back) = parts.ok_or_else(|| format!("{DOCUMENT}: the lines around the report are gone"))?;
    std::fs::write(DOCUMENT, format!("{front}{BEGIN}\n{}\n{END}{back}", text.trim_end())).map_err(failed)
}
