//! Counts the instructions of every case, exactly: this program runs itself again under callgrind.
//!
//! Callgrind collects only inside of `counted_region`, and writes a part of its profile after each. So one process counts all
//! cases, and nothing but a case's [`run`](Case::run) is in its count. No page is zeroed in there: every free page is
//! zeroed before ([`BenchMemory::clean`](crate::memory::BenchMemory::clean)), and that it was enough is checked.

use crate::cases::Case;
use crate::formats::{Column, FORMATS};
use crate::peers::PEERS;
use crate::rows::ROWS;
use crate::{Purpose, domain};
use std::fmt;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whose cases are counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose {
    /// Those of the formats of this library.
    Formats,
    /// Those of the peers.
    Peers,
}

impl Whose {
    /// Their columns.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::Formats => FORMATS,
            Self::Peers => PEERS,
        }
    }

    /// The argument that makes a program run them to be counted.
    const fn argument(self) -> &'static str {
        match self {
            Self::Formats => "--run-formats-to-count",
            Self::Peers => "--run-peers-to-count",
        }
    }
}

/// The instructions of one case.
#[derive(Clone, PartialEq, Debug)]
pub struct Count {
    /// The name of the column: a format or a peer.
    pub column: &'static str,
    /// Index of the row in [`ROWS`].
    pub row: usize,
    /// Instructions for each unit of the row.
    pub instructions: f64,
}

/// Why nothing could be counted.
#[derive(Debug)]
pub enum CountError {
    /// Valgrind cannot be started.
    Start(std::io::Error),
    /// The run under valgrind failed; what it said.
    Run(String),
    /// A part of the profile is missing or cannot be understood.
    Part(PathBuf, String),
}

impl fmt::Display for CountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => write!(f, "cannot start valgrind (Debian: apt-get install valgrind): {error}"),
            Self::Run(said) => write!(f, "the run under valgrind failed:\n{said}"),
            Self::Part(path, problem) => write!(f, "{}: {problem}", path.display()),
        }
    }
}

impl std::error::Error for CountError {}

/// Runs a case; callgrind collects in here, and nowhere else.
#[inline(never)]
fn counted_region(case: &mut dyn Case) {
    case.run();
    // The call before must not become a jump: callgrind has to see this function return.
    black_box(case);
}

/// Callgrind writes a part of its profile when this is called.
#[inline(never)]
fn part_ends_here() {
    black_box(());
}

/// Runs all cases and returns true, if this program was started by [`count_all`] to do so.
pub fn ran_to_be_counted() -> bool {
    let whose =
        [Whose::Formats, Whose::Peers].into_iter().find(|whose| std::env::args().any(|it| it == whose.argument()));
    whose.map(|whose| run_all(whose.columns())).is_some()
}

/// Runs every case once, and prints its place in the table, its units, and how many pages had to be zeroed meanwhile.
fn run_all(columns: &[Column]) {
    let domain = domain();
    for (column_index, column) in columns.iter().enumerate() {
        for (row_index, row) in ROWS.iter().enumerate() {
            let Some(mut case) = (column.case)(domain, row, Purpose::Count) else { continue };
            case.prepare();
            domain.memory.clean();
            let zeroed = domain.memory.zeroed_pages();
            counted_region(&mut *case);
            part_ends_here();
            println!("{column_index} {row_index} {} {}", case.units(), domain.memory.zeroed_pages() - zeroed);
            // Freeing large tables page by page takes longer here than everything else.
            std::mem::forget(case);
            // SAFETY: the only tables that there were are in the case, which is not used any more.
            unsafe { domain.memory.reclaim() };
        }
    }
}

/// Counts every case that the columns have, column by column, in a program that calls [`ran_to_be_counted`] first of all: this
/// one.
///
/// # Errors
/// [`CountError`].
pub fn count_all(whose: Whose, scratch: &Path) -> Result<Vec<Count>, CountError> {
    let program = std::env::current_exe().map_err(CountError::Start)?;
    let profile = scratch.join(format!("callgrind-{}", std::process::id()));
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--collect-atstart=no", "--dump-line=no"]);
    valgrind.args(["--toggle-collect=*::counted_region", "--dump-before=*::part_ends_here"]);
    valgrind.arg(format!("--callgrind-out-file={}", profile.display())).arg(program).arg(whose.argument());
    // The same environment everywhere.
    let output = valgrind.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let output = output.stdin(Stdio::null()).output().map_err(CountError::Start)?;
    if !output.status.success() {
        return Err(CountError::Run(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let counts = text.lines().enumerate().map(|(n, line)| {
        let path = PathBuf::from(format!("{}.{}", profile.display(), n + 1));
        let count = read_part(&path).and_then(|total| to_count(whose, line, total));
        count.map_err(|problem| CountError::Part(path.clone(), problem))
    });
    let counts = counts.collect();
    for part in 1..=text.lines().count() {
        let _ = std::fs::remove_file(format!("{}.{part}", profile.display()));
    }
    let _ = std::fs::remove_file(&profile);
    counts
}

/// The total of one part of a profile.
fn read_part(path: &Path) -> Result<u64, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")));
    total.and_then(|total| total.trim().parse().ok()).ok_or_else(|| "no total of instructions".to_owned())
}

/// One line of [`run_all`], with its total.
fn to_count(whose: Whose, line: &str, total: u64) -> Result<Count, String> {
    let mut words = line.split(' ');
    let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).ok_or_else(|| format!("line `{line}`"));
    let (column, row, units, zeroed) = (number()? as usize, number()? as usize, number()?, number()?);
    let column = whose.columns().get(column).ok_or_else(|| format!("line `{line}`"))?.name;
    if zeroed > 0 {
        return Err(format!("{zeroed} pages were zeroed while `{}` of {column} was counted", ROWS[row].name));
    }
    Ok(Count { column, row, instructions: total as f64 / units as f64 })
}
