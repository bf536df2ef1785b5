//! Instruction counts of every case, against their budgets and against the values recorded: a check for CI.
//!
//! `cargo bench -p generic-pt-benches --bench budgets` prints them all and fails if one is over its budget (but for those
//! that are [known](generic_pt_benches::rows::KNOWN_OVER) to be), or more than 3 % worse than recorded. After `--`, words limit it to the cases whose format or name contains one of them; `--record` writes the
//! values of this run to `benches/recorded.tsv`, and fails for no count.

use generic_pt_benches::instructions::{Count, Whose, count_all, ran_to_be_counted};
use generic_pt_benches::recorded::Recorded;
use generic_pt_benches::rows::ROWS;
use std::path::Path;
use std::process::ExitCode;

/// More than this fraction above the recorded value is a failure.
const WORSE: f64 = 0.03;

fn main() -> ExitCode {
    if ran_to_be_counted() {
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match check(&arguments) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn check(arguments: &[String]) -> Result<ExitCode, String> {
    let record = arguments.iter().any(|argument| argument == "--record");
    let words: Vec<&String> = arguments.iter().filter(|argument| *argument != "--record").collect();
    let counts =
        count_all(Whose::Formats, Path::new(env!("CARGO_TARGET_TMPDIR"))).map_err(|error| error.to_string())?;
    if record {
        Recorded::write(&counts)?;
    }
    let recorded = Recorded::read()?;
    let is_wanted = |count: &&Count| {
        let text = format!("{} {}", count.column, ROWS[count.row].name);
        words.is_empty() || words.iter().any(|word| text.contains(word.as_str()))
    };
    let mut wanted: Vec<&Count> = counts.iter().filter(is_wanted).collect();
    wanted.sort_by_key(|count| count.row);

    println!("instructions for each operation, or for each leaf where the case says so; lower is better\n");
    println!(
        "{:<58} {:<15} {:>9} {:>9} {:>10} {:>8} {:>10}",
        "case", "format", "counted", "budget", "reference", "of ref.", "recorded"
    );
    let (mut budgets, mut over, mut known_over, mut worse, mut better, mut missing) = (0, 0, 0, 0, 0, 0);
    for count in &wanted {
        let row = &ROWS[count.row];
        let (budget, reference) = (row.budget_of(count.column), row.reference_instructions.get(count.column));
        let was = recorded.get(count.column, row.name);
        let mut remarks = Vec::new();
        if let Some(budget) = budget {
            budgets += 1;
            let (is_over, is_known) = (count.instructions > budget, row.is_known_over(count.column));
            if is_over && is_known {
                known_over += 1;
                remarks.push(format!("known over x{:.2}, see docs/performance.md", count.instructions / budget));
            } else if is_over {
                over += 1;
                remarks.push(format!("OVER x{:.2}", count.instructions / budget));
            } else if is_known {
                remarks.push("not over any more: take it out of KNOWN_OVER".to_owned());
            }
        }
        match was {
            None => {
                missing += 1;
                remarks.push("NOT RECORDED".to_owned());
            }
            Some(was) if count.instructions > was * (1.0 + WORSE) => {
                worse += 1;
                remarks.push(format!("WORSE {:+.1} %", (count.instructions / was - 1.0) * 100.0));
            }
            Some(was) if count.instructions < was * (1.0 - WORSE) => {
                better += 1;
                remarks.push(format!("better {:+.1} %", (count.instructions / was - 1.0) * 100.0));
            }
            Some(_) => {}
        }
        let name = if row.name.len() > 58 { &row.name[..58] } else { row.name };
        let ratio = reference.map(|reference| count.instructions / reference);
        let line = format!(
            "{name:<58} {:<15} {:>9} {:>9} {:>10} {:>8} {:>10}  {}",
            count.column,
            number(Some(count.instructions)),
            number(budget),
            number(reference),
            ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.3}")),
            number(was),
            remarks.join(", "),
        );
        println!("{}", line.trim_end());
    }
    println!();
    let is_there = |(format, name): &(&str, &str)| {
        counts.iter().any(|count| count.column == *format && ROWS[count.row].name == *name)
    };
    let vanished: Vec<_> = recorded.cases().filter(|case| !is_there(case)).collect();
    vanished.iter().for_each(|(format, name)| println!("{format}: {name}: recorded, but not counted any more"));
    if better > 0 {
        println!("{better} cases are more than 3 % better than recorded: record them with --record");
    }
    if worse + missing > 0 {
        println!(
            "{worse} cases are more than 3 % worse than recorded ({}), {missing} are not recorded",
            recorded.compiler
        );
    }
    println!("{budgets} budgets, {over} over, {known_over} known to be over");
    Ok(if record || over + worse + missing + vanished.len() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Small numbers are fractions of instructions for each leaf.
fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value < 1000.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.0}"),
    }
}
