//! Which rows a whole run has, and how much each of them compares at least.

use crate::matrix::{Matrix, Row};
use std::collections::BTreeMap;

/// A row on each line: format, configuration, program, and the fewest translations and accesses, with bars between.
pub const ROWS: &str = include_str!("../rows.txt");

/// The list has one of so many parts of what a row had when it was listed.
const LISTED_PART: u64 = 2;

/// What names a row, whatever the version of its walker.
type Name<'a> = (&'a str, &'a str, &'a str);

fn name(row: &Row) -> Name<'_> {
    (row.format, &row.config, row.walker.split(' ').next().unwrap_or(""))
}

/// The limits of a list.
///
/// # Errors
/// The first line that is none.
fn limits(list: &str) -> Result<BTreeMap<Name<'_>, [u64; 2]>, String> {
    let of_line = |line| {
        let fields: Vec<&str> = str::split(line, " | ").map(str::trim).collect();
        let [format, config, program, translations, accesses] = fields[..] else { return None };
        Some(((format, config, program), [translations.parse().ok()?, accesses.parse().ok()?]))
    };
    list.lines().map(|line| of_line(line).ok_or_else(|| format!("no row: {line:?}"))).collect()
}

/// What of the matrix is not as the list says, each as a sentence: rows that are not there, rows that are not listed, and rows
/// that agreed on less.
pub fn differences(matrix: &Matrix, list: &str) -> Vec<String> {
    let mut limits = match limits(list) {
        Ok(limits) => limits,
        Err(line) => return Vec::from([line]),
    };
    let mut sentences = Vec::new();
    for row in &matrix.rows {
        let (format, config, program) = name(row);
        let counts = row.result.as_ref().map(|counts| [counts.translations, counts.accesses]).ok();
        let Some(least) = limits.remove(&name(row)) else {
            let [translations, accesses] = counts.unwrap_or_default().map(|count| count / LISTED_PART);
            let line = format!("{format} | {config} | {program} | {translations} | {accesses}");
            sentences.push(format!("a row is not listed in rows.txt, where it would be: {line}"));
            continue;
        };
        if let Some(counts) = counts
            && (counts[0] < least[0] || counts[1] < least[1])
        {
            let [translations, accesses] = counts;
            let [least_translations, least_accesses] = least;
            sentences.push(format!(
                "{format} {config} on {program}: {translations} translations and {accesses} accesses, of at least \
                 {least_translations} and {least_accesses}"
            ));
        }
    }
    let missing = limits.into_keys();
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

    #[test]
    fn rows_and_their_counts_are_compared_with_the_list() {
        let of = |list| differences(&matrix(), list);
        assert_eq!(of("x86_pae | XD | qemu-system-x86_64 | 10 | 4"), [""; 0]);
        let few = "x86_pae XD on qemu-system-x86_64: 10 translations and 4 accesses, of at least 10 and 5";
        assert_eq!(of("x86_pae | XD | qemu-system-x86_64 | 10 | 5"), [few]);
        let line = "x86_pae | XD | qemu-system-x86_64 | 5 | 2";
        assert_eq!(of(""), [format!("a row is not listed in rows.txt, where it would be: {line}")]);
        let two = of("x86_pae | XD | qemu-system-x86_64 | 10 | 4\nept | 4 levels | KVM | 1 | 1");
        assert_eq!(two, ["there is no row ept 4 levels on KVM"]);
        assert_eq!(of("ept"), ["no row: \"ept\""]);
    }

    #[test]
    fn the_list_is_one() {
        assert!(limits(ROWS).is_ok_and(|limits| limits.len() == ROWS.lines().count()));
    }
}
