//! Who agreed with what.

use crate::cells::Cells;
use crate::dirty::Dirty;
use crate::known::{KNOWN_FAULTS, KnownFault, Met, Shown};
use crate::leaves::Leaves;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::AddAssign;

/// One format on one walker.
#[derive(Clone, Debug)]
pub struct Row {
    /// Symbol part of the format.
    pub format: &'static str,
    /// What configuration.
    pub config: String,
    /// The machine, with its version.
    pub walker: String,
    /// What was done.
    pub result: Result<Counts, Trouble>,
}

/// Why there are no counts.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// It could not run here, for this reason.
    Skipped(String),
    /// It cannot run, and need not, for this reason.
    Optional(String),
    /// It disagreed, or did not work.
    Failed(String),
}

/// How much was compared, and agreed.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    /// Addresses translated.
    pub translations: u64,
    /// Accesses tried.
    pub accesses: u64,
    /// Of these, the ones that were refused.
    pub faults: u64,
    /// Of these, the ones for which the walker tells the reason.
    pub reasons: u64,
    /// Accesses of users, and of kernels that keep themselves from the pages of users.
    pub of_users: u64,
    /// Accesses between an unmap and its sync that still reached the page.
    pub stale: u64,
    /// Tables that were walked.
    pub tables: u64,
    /// Of these, the ones above 4 GiB.
    pub high_tables: u64,
    /// Leaves that the walker wrote, where it notes that.
    pub dirty: Dirty,
    /// Addresses that the walker cannot be asked about.
    pub elsewhere: u64,
    /// Faults of the model.
    pub met: Met,
    /// Of these, the ones that were asked for: the model still has them.
    pub asked_for: Met,
    /// Leaves that were walked.
    pub leaves: Leaves,
    /// Protections that were tried.
    pub cells: Cells,
}

impl Counts {
    /// What the row claims and did not show, as a sentence.
    pub fn gap(&self) -> Option<String> {
        let (missing, half_missing) = (self.leaves.missing(), self.leaves.half_missing());
        let not_replaced = self.leaves.not_replaced();
        let not_dirty = self.dirty.missing(self.leaves.claimed());
        let empty: Vec<_> = self.cells.missing().collect();
        if !missing.is_empty() {
            Some(format!("no leaf of {missing} was walked: {}", self.leaves))
        } else if !half_missing.is_empty() {
            Some(format!("of no leaf of {half_missing} were both halves walked: {}", self.leaves))
        } else if !not_replaced.is_empty() {
            Some(format!("no leaf of {not_replaced} took the place of tables: {}", self.leaves))
        } else if !not_dirty.is_empty() {
            Some(format!("no leaf of {not_dirty} was written, found dirty and made clean twice"))
        } else if let [(prot, (access, privilege)), ..] = empty[..] {
            let others = empty.len() - 1;
            Some(format!(
                "no {access:?} of {privilege:?} met {prot:?}, and {others} others did not come up: {}",
                self.cells
            ))
        } else {
            None
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.translations += more.translations;
        self.accesses += more.accesses;
        self.faults += more.faults;
        self.reasons += more.reasons;
        self.of_users += more.of_users;
        self.stale += more.stale;
        self.dirty += more.dirty;
        self.tables += more.tables;
        self.high_tables += more.high_tables;
        self.elsewhere += more.elsewhere;
        self.met += more.met;
        self.asked_for += more.asked_for;
        self.leaves += more.leaves;
        self.cells += more.cells;
    }
}

/// All rows.
#[derive(Clone, Default, Debug)]
pub struct Matrix {
    /// In the order of their running.
    pub rows: Vec<Row>,
}

impl Matrix {
    fn count(&self, is: impl Fn(&Row) -> bool) -> usize {
        self.rows.iter().filter(|row| is(row)).count()
    }

    /// Rows that disagreed.
    pub fn disagreements(&self) -> usize {
        self.count(|row| matches!(row.result, Err(Trouble::Failed(_))))
    }

    /// Rows that did not run, though they could with the right programs.
    pub fn missing(&self) -> usize {
        self.count(|row| matches!(row.result, Err(Trouble::Skipped(_))))
    }

    /// All that was counted.
    pub fn total(&self) -> Counts {
        self.rows.iter().filter_map(|row| row.result.as_ref().ok()).fold(Counts::default(), |mut total, counts| {
            total += *counts;
            total
        })
    }

    /// A line for each format and walker: rows that ran, that agreed, and what is known to be wrong with the model; then what that is.
    pub fn summary(&self) -> impl fmt::Display + use<'_> {
        Summary(self)
    }

    /// Known faults that are declared for rows of a format and walker which ran, and were not come across in any of them; that a
    /// row came across, and are not declared for it; or that it avoided, and did not ask for: each as a sentence.
    pub fn false_faults(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        let mut lines: BTreeMap<(&str, &str), [BTreeSet<char>; 2]> = BTreeMap::new();
        for row in &self.rows {
            if let Ok(counts) = &row.result {
                let is_taken = |known: &KnownFault| {
                    let is_avoided = known.shown == Shown::OnPurpose && counts.met[known.fault] != 0;
                    is_avoided && counts.asked_for[known.fault] == 0
                };
                sentences.extend(letters(is_taken).map(|letter| {
                    format!(
                        "{} {} on {}: fault {letter} was avoided and not asked for",
                        row.format, row.config, row.walker
                    )
                }));
                let is_strange = |known: &KnownFault| counts.met[known.fault] != 0 && !known.is_of(row);
                sentences.extend(letters(is_strange).map(|letter| {
                    format!("{} {} on {}: fault {letter} is not declared", row.format, row.config, row.walker)
                }));
                let [declared, met] = lines.entry((row.format, &row.walker)).or_default();
                declared.extend(letters(|known| known.shown != Shown::OnSomeComputers && known.is_of(row)));
                met.extend(letters(|known| counts.met[known.fault] != 0));
            }
        }
        for ((format, walker), [declared, met]) in lines {
            let of = format!("{format} on {walker}");
            sentences
                .extend(declared.difference(&met).map(|letter| format!("{of}: fault {letter} was not come across")));
        }
        sentences
    }

    /// Rows that did not run.
    pub fn skipped(&self) -> usize {
        self.missing() + self.count(|row| matches!(row.result, Err(Trouble::Optional(_))))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:10} {:37} {:26} ", self.format, self.config, self.walker)?;
        match &self.result {
            Ok(Counts {
                translations,
                accesses,
                faults,
                reasons,
                of_users,
                stale: 0,
                leaves,
                cells,
                tables,
                high_tables,
                dirty,
                elsewhere,
                ..
            }) => {
                write!(
                    f,
                    "{translations:>6} translations, {accesses:>5} accesses ({faults} refused, {reasons} with the reason"
                )?;
                if *of_users == 0 {
                    write!(f, ")")?
                } else {
                    write!(f, "; {of_users} of users)")?
                }
                if leaves.is_claimed() {
                    write!(f, "\n{:11}{high_tables} of {tables} tables above 4 GiB; ", "")?;
                    write!(f, "{dirty}")?;
                    if *elsewhere != 0 {
                        write!(f, "{elsewhere} places out of its reach; ")?;
                    }
                    write!(f, "{cells}\n{:11}{leaves}", "")
                } else {
                    Ok(())
                }
            }
            Ok(Counts { accesses, faults, stale, .. }) => {
                write!(f, "{accesses:>26} accesses ({faults} refused, {stale} stale until the sync)")
            }
            Err(Trouble::Skipped(reason) | Trouble::Optional(reason)) => write!(f, "skipped: {reason}"),
            Err(Trouble::Failed(reason)) => write!(f, "DISAGREES: {reason}"),
        }
    }
}

impl fmt::Display for Matrix {
    /// The line at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { translations, accesses, .. } = self.total();
        let (disagreements, skipped) = (self.disagreements(), self.skipped());
        write!(
            f,
            "{translations} translations, {accesses} accesses, {disagreements} disagreements, {skipped} skipped walkers"
        )
    }
}

/// The letters of some known faults.
fn letters(is_one: impl Fn(&KnownFault) -> bool) -> impl Iterator<Item = char> {
    KNOWN_FAULTS.iter().filter(move |known| is_one(known)).map(|known| known.letter)
}

/// What [`Matrix::summary`] prints.
struct Summary<'a>(&'a Matrix);

/// A line of it.
#[derive(Default)]
struct Line {
    rows: usize,
    agreed: usize,
    skipped: usize,
    total: Counts,
    faults: BTreeSet<char>,
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(matrix) = *self;
        let mut lines: BTreeMap<(&str, &str), Line> = BTreeMap::new();
        for row in &matrix.rows {
            let line = lines.entry((row.format, &row.walker)).or_default();
            match &row.result {
                Ok(counts) => {
                    line.rows += 1;
                    line.agreed += 1;
                    line.total += *counts;
                    line.faults.extend(letters(|known| counts.met[known.fault] != 0));
                }
                Err(Trouble::Failed(_)) => line.rows += 1,
                Err(Trouble::Skipped(_) | Trouble::Optional(_)) => line.skipped += 1,
            }
        }
        let [rows, agreed, skipped] = ["rows", "agreed", "skipped"];
        writeln!(
            f,
            "format     walker                     {rows:>5} {agreed:>6} {skipped:>7} translations accesses known faults"
        )?;
        let mut known = BTreeSet::new();
        for ((format, walker), Line { rows, agreed, skipped, total, faults }) in lines {
            let (Counts { translations, accesses, .. }, letters) = (total, faults.iter().collect::<String>());
            let line = format!(
                "{format:10} {walker:26} {rows:>5} {agreed:>6} {skipped:>7} {translations:>12} {accesses:>8} {letters}"
            );
            writeln!(f, "{}", line.trim_end())?;
            known.extend(faults);
        }
        for fault in KNOWN_FAULTS.iter().filter(|fault| known.contains(&fault.letter)) {
            writeln!(f, "{}: {}", fault.letter, fault.what)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known::Fault;

    fn matrix(met: &[Fault]) -> Matrix {
        let mut counts = Counts::default();
        for fault in met {
            counts.met.count(*fault);
        }
        let (config, walker) = ("XD".to_owned(), "qemu-system-x86_64 10.0.2".to_owned());
        Matrix { rows: Vec::from([Row { format: "x86_pae", config, walker, result: Ok(counts) }]) }
    }

    #[test]
    fn a_declared_fault_has_to_be_come_across() {
        let of = "x86_pae on qemu-system-x86_64 10.0.2: fault";
        assert_eq!(matrix(&[Fault::AccessedPdptes]).false_faults(), [""; 0]);
        assert_eq!(matrix(&[]).false_faults(), [format!("{of} c was not come across")]);
        let both = [Fault::AccessedPdptes, Fault::NoRecords];
        assert_eq!(matrix(&both).false_faults(), ["x86_pae XD on qemu-system-x86_64 10.0.2: fault j is not declared"]);
    }

    /// A fault of one row hid behind another row's, of the same format and walker, that has it.
    #[test]
    fn a_fault_is_declared_for_each_row_that_comes_across_it() {
        let row = |config: &str| {
            let mut counts = Counts::default();
            counts.met.count(Fault::CachedWithoutRecord);
            let walker = "qemu-system-aarch64 10.0.2".to_owned();
            Row { format: "armv8_4k", config: config.to_owned(), walker, result: Ok(counts) }
        };
        let rows = Vec::from([row("SMMU, stage 2, 44 bits"), row("stage 1, 30 bits")]);
        let sentences = Matrix { rows }.false_faults();
        let what = "armv8_4k stage 1, 30 bits on qemu-system-aarch64 10.0.2: fault k is not declared";
        assert!(sentences.iter().any(|sentence| sentence == what), "{sentences:?}");
    }

    #[test]
    fn an_avoided_fault_has_to_be_asked_for() {
        let mut of_mode = matrix(&[]);
        let mut counts = Counts::default();
        for fault in
            [Fault::BeyondMode, Fault::ForgetsDomain, Fault::Interrupts, Fault::NoRecords, Fault::PresentIgnored]
        {
            counts.met.count(fault);
        }
        counts.asked_for.count(Fault::PresentIgnored);
        let config = "mode 3: no gaps".to_owned();
        let row = |counts| Row { format: "amdv1", config: config.clone(), walker: "q".to_owned(), result: Ok(counts) };
        of_mode.rows = vec![row(counts)];
        assert_eq!(of_mode.false_faults(), ["amdv1 mode 3: no gaps on q: fault g was avoided and not asked for"]);
        counts.asked_for.count(Fault::BeyondMode);
        of_mode.rows = vec![row(counts)];
        assert_eq!(of_mode.false_faults(), [""; 0]);
    }

    #[test]
    fn letters_are_of_what_was_come_across() {
        let summary = |met| matrix(met).summary().to_string();
        assert!(summary(&[Fault::AccessedPdptes]).contains(" c\nc: "));
        assert!(!summary(&[]).contains("\nc: "));
    }
}
