//! The counts that were recorded, in a file that is checked in: `benches/recorded.tsv`.

use crate::instructions::Count;
use crate::rows::ROWS;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/recorded.tsv");

/// Counts by format and name of the case.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Recorded {
    /// The compiler that made what was counted: another one may give other counts.
    pub compiler: String,
    counts: BTreeMap<(String, String), f64>,
}

impl Recorded {
    /// What is recorded; nothing if there is no file yet.
    ///
    /// # Errors
    /// A message: the file cannot be read or understood.
    pub fn read() -> Result<Self, String> {
        match std::fs::read_to_string(PATH) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("{PATH}: {error}")),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut recorded = Self::default();
        for (number, line) in text.lines().enumerate() {
            if let Some(compiler) = line.strip_prefix("# compiler: ") {
                recorded.compiler = compiler.to_owned();
            }
            if line.starts_with('#') {
                continue;
            }
            let mut columns = line.split('\t');
            let (format, name) = (columns.next().unwrap_or_default(), columns.next().unwrap_or_default());
            let count = columns.next().and_then(|column| column.parse().ok());
            let count =
                count.ok_or_else(|| format!("{PATH}:{}: expected format, case, count: `{line}`", number + 1))?;
            recorded.counts.insert((format.to_owned(), name.to_owned()), count);
        }
        Ok(recorded)
    }

    /// Records these counts instead.
    ///
    /// # Errors
    /// A message: the file cannot be written.
    pub fn write(counts: &[Count]) -> Result<(), String> {
        let compiler = Command::new("rustc").arg("--version").output();
        let compiler = compiler.map_err(|error| format!("rustc --version: {error}"))?;
        let mut text = String::from(
            "# Instructions of each case: cargo bench -p generic-pt-benches --bench budgets -- --record\n",
        );
        text += &format!("# compiler: {}\n", String::from_utf8_lossy(&compiler.stdout).trim());
        for count in counts {
            let _ = writeln!(text, "{}\t{}\t{:.4}", count.column, ROWS[count.row].name, count.instructions);
        }
        std::fs::write(PATH, text).map_err(|error| format!("{PATH}: {error}"))
    }

    /// Every case, as format and name.
    pub fn cases(&self) -> impl Iterator<Item = (&str, &str)> {
        self.counts.keys().map(|(format, name)| (format.as_str(), name.as_str()))
    }

    /// The count of a case.
    pub fn get(&self, format: &str, name: &str) -> Option<f64> {
        self.counts.get(&(format.to_owned(), name.to_owned())).copied()
    }
}
