//! Which rows a whole run has, and how much each of them compares.

use crate::matrix::{Matrix, Row};
use std::collections::BTreeMap;

/// A row on each line: format, configuration, walker with its version, translations and accesses, with bars between. KVM has no
/// version: what it compares depends on the computer.
pub const ROWS: &str = include_str!("../rows.txt");

/// Another walker than the listed one compares at least one of so many parts: versions of QEMU avoid other addresses, and KVM has the
/// page sizes and PA bits of its computer.
const PARTS: u64 = 3;

/// What names a row, whatever the version of its walker.
type Name<'a> = (&'a str, &'a str, &'a str);

fn name(row: &Row) -> Name<'_> {
    (row.format, &row.config, row.walker.split(' ').next().unwrap_or(""))
}

/// What a list says of a row: its walker, and the counts.
type Listed<'a> = (&'a str, [u64; 2]);

/// The rows of a list.
///
/// # Errors
/// The first line that is none.
fn listed(list: &str) -> Result<BTreeMap<Name<'_>, Listed<'_>>, String> {
    let of_line = |line| {
        let fields: Vec<&str> = str::split(line, " | ").map(str::trim).collect();
        let [format, config, walker, translations, accesses] = fields[..] else { return None };
        let program = walker.split(' ').next()?;
        Some(((format, config, program), (walker, [translations.parse().ok()?, accesses.parse().ok()?])))
    };
    list.lines().map(|line| of_line(line).ok_or_else(|| format!("no row: {line:?}"))).collect()
}

/// What of the matrix is not as the list says, each as a sentence: rows that are not there, rows that are not listed, and rows
/// that agreed on less, or with the listed walker on more (seeds are fixed, so it is the same in each run).
pub fn differences(matrix: &Matrix, list: &str) -> Vec<String> {
    let mut rows = match listed(list) {
        Ok(rows) => rows,
        Err(line) => return Vec::from([line]),
    };
    let mut sentences = Vec::new();
    for row in &matrix.rows {
        let (format, config, program) = name(row);
        let counts = row.result.as_ref().map(|counts| [counts.translations, counts.accesses]).ok();
        let line = |[translations, accesses]: [u64; 2]| {
            let walker = if row.walker.starts_with("KVM") { "KVM" } else { &row.walker };
            format!("{format} | {config} | {walker} | {translations} | {accesses}")
        };
        let Some((walker, listed)) = rows.remove(&name(row)) else {
            let line = line(counts.unwrap_or_default());
            sentences.push(format!("a row is not listed in rows.txt, where it would be: {line}"));
            continue;
        };
        let Some(counts) = counts else { continue };
        let is_listed_walker = row.walker == walker;
        let is_right = match is_listed_walker {
            true => counts == listed,
            false => counts.iter().zip(listed).all(|(count, listed)| *count >= listed / PARTS),
        };
        if !is_right {
            let [translations, accesses] = counts;
            let how = if is_listed_walker { "" } else { "at least a third of " };
            let [of_translations, of_accesses] = listed;
            sentences.push(format!(
                "{format} {config} on {program}: {translations} translations and {accesses} accesses, and not {how}\
                 {of_translations} and {of_accesses}; rows.txt would have it as: {}",
                line(counts)
            ));
        }
    }
    let missing = rows.into_keys();
    sentences
        .extend(missing.map(|(format, config, program)| format!("there is no row {format} {config} on {program}")));
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Counts;

    fn matrix() -> Matrix {
        let counts = Counts { translations: 10, accesses: 4, ..Counts::default() };
        let walker = "qemu-system-x86_64 10.0.2".to_owned();
        Matrix { rows: vec![Row { format: "x86_pae", config: "XD".to_owned(), walker, result: Ok(counts) }] }
    }

    const LINE: &str = "x86_pae | XD | qemu-system-x86_64 10.0.2 | 10 | 4";

    fn of(list: &str) -> Vec<String> {
        differences(&matrix(), list)
    }

    #[test]
    fn rows_are_compared_with_the_list() {
        assert_eq!(of(LINE), [""; 0]);
        assert_eq!(of(""), [format!("a row is not listed in rows.txt, where it would be: {LINE}")]);
        let two = of(&format!("{LINE}\nept | 4 levels | KVM | 1 | 1"));
        assert_eq!(two, ["there is no row ept 4 levels on KVM"]);
        assert_eq!(of("ept"), ["no row: \"ept\""]);
    }

    /// Rows that lost almost half of what they compared were right.
    #[test]
    fn the_listed_walker_compares_just_as_much() {
        for (translations, accesses) in [(11, 4), (9, 4), (10, 5)] {
            let sentences = of(&format!("x86_pae | XD | qemu-system-x86_64 10.0.2 | {translations} | {accesses}"));
            let what = format!("10 translations and 4 accesses, and not {translations} and {accesses}");
            let expected = format!("x86_pae XD on qemu-system-x86_64: {what}; rows.txt would have it as: {LINE}");
            assert_eq!(sentences, [expected]);
        }
    }

    #[test]
    fn another_walker_compares_at_least_a_part() {
        assert_eq!(of("x86_pae | XD | qemu-system-x86_64 7.2.22 | 30 | 12"), [""; 0]);
        let sentences = of("x86_pae | XD | qemu-system-x86_64 7.2.22 | 30 | 15");
        let what = "10 translations and 4 accesses, and not at least a third of 30 and 15";
        let expected = format!("x86_pae XD on qemu-system-x86_64: {what}; rows.txt would have it as: {LINE}");
        assert_eq!(sentences, [expected]);
    }

    #[test]
    fn the_list_is_one() {
        assert!(listed(ROWS).is_ok_and(|rows| rows.len() == ROWS.lines().count()));
    }
}
