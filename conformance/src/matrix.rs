//! Who agreed with what.

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
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.translations += more.translations;
        self.accesses += more.accesses;
        self.faults += more.faults;
        self.reasons += more.reasons;
        self.of_users += more.of_users;
        self.stale += more.stale;
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

    /// Rows that did not run.
    pub fn skipped(&self) -> usize {
        self.missing() + self.count(|row| matches!(row.result, Err(Trouble::Optional(_))))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:10} {:37} {:26} ", self.format, self.config, self.walker)?;
        match &self.result {
            Ok(Counts { translations, accesses, faults, reasons, of_users, stale: 0 }) => {
                write!(
                    f,
                    "{translations:>6} translations, {accesses:>5} accesses ({faults} refused, {reasons} with the reason"
                )?;
                if *of_users == 0 { write!(f, ")") } else { write!(f, "; {of_users} of users)") }
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
        let sum =
            |of: fn(&Counts) -> u64| self.rows.iter().filter_map(|row| row.result.as_ref().ok()).map(of).sum::<u64>();
        write!(
            f,
            "{} translations, {} accesses, {} disagreements, {} skipped walkers",
            sum(|counts| counts.translations),
            sum(|counts| counts.accesses),
            self.disagreements(),
            self.skipped()
        )
    }
}
