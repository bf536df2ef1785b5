//! Figures recorded at stages of development, for the table of what was before and after: files in `benches/stages/`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/stages");

/// The figures of one case.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Figures {
    /// Instructions; not a number where none were counted.
    pub instructions: f64,
    /// Nanoseconds.
    pub ns: f64,
}

/// The figures of all cases at one time.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Stage {
    figures: BTreeMap<(String, String), Figures>,
}

impl Stage {
    /// Adds a case; of two times of the same case the shorter one stays.
    pub fn insert(&mut self, column: &str, name: &str, figures: Figures) {
        let entry = self.figures.entry((column.to_owned(), name.to_owned())).or_insert(figures);
        entry.ns = entry.ns.min(figures.ns);
    }

    /// The figures of a case.
    pub fn get(&self, column: &str, name: &str) -> Option<Figures> {
        self.figures.get(&(column.to_owned(), name.to_owned())).copied()
    }

    /// Writes the stage to its file. Stages are in the order of their names.
    ///
    /// # Errors
    /// A message: the file cannot be written.
    pub fn write(&self, name: &str) -> Result<(), String> {
        let mut text = String::from("# column, case, instructions, nanoseconds\n");
        for ((column, case), Figures { instructions, ns }) in &self.figures {
            let _ = writeln!(text, "{column}\t{case}\t{instructions:.2}\t{ns:.3}");
        }
        let path = format!("{DIRECTORY}/{name}.tsv");
        fs::create_dir_all(DIRECTORY).and_then(|()| fs::write(&path, text)).map_err(|error| format!("{path}: {error}"))
    }

    /// All stages with their names, in order.
    ///
    /// # Errors
    /// A message: a file cannot be read or understood.
    pub fn read_all() -> Result<Vec<(String, Self)>, String> {
        let Ok(entries) = fs::read_dir(DIRECTORY) else { return Ok(Vec::new()) };
        let mut stages = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| format!("{DIRECTORY}: {error}"))?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let stage = Self::parse(&text).map_err(|line| format!("{}: not understood: `{line}`", path.display()))?;
            stages.push((name, stage));
        }
        stages.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(stages)
    }

    fn parse(text: &str) -> Result<Self, &str> {
        let mut stage = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let columns: Vec<&str> = line.split('\t').collect();
            let [column, case, instructions, ns] = columns[..] else { return Err(line) };
            let number = |text: &str| text.parse().map_err(|_| line);
            stage.insert(column, case, Figures { instructions: number(instructions)?, ns: number(ns)? });
        }
        Ok(stage)
    }
}
