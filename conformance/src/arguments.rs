//! What a run is told: which rows, and how.

use clap::Parser;
use std::num::NonZero;
use std::thread;

const ABOUT: &str = "Has walkers that are not ours (QEMU's machines, KVM) walk tables of generic-pt, and compares.";

const AFTER: &str = "\
Environment:
  GENERIC_PT_QEMU_DIR        Where QEMU's programs are, instead of in the path
  GENERIC_PT_REQUIRE_QEMU=1  A program that is missing is a failure, and all rows have to be as
                             rows.txt has them

Exit status: 0 if all rows agree, 1 if not (or if one did not run that has to), 2 for wrong arguments

With cargo: cargo test --release -p conformance -- [OPTIONS] [FILTER]...";

/// Arguments, those that `cargo test` passes on to a program of tests among them.
#[derive(Parser, Clone, PartialEq, Eq, Debug)]
#[command(bin_name = "conformance", args_override_self = true, about = ABOUT, after_help = AFTER)]
pub struct Arguments {
    /// Runs the rows that have one of these in their name, which is the format and the configuration ("amdv1 mode 3"); all
    /// rows without one
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,
    /// Runs the rows whose format, or whole name, is a filter
    #[arg(long)]
    pub exact: bool,
    /// Prints the names of the rows instead
    #[arg(long)]
    pub list: bool,
    /// Runs so many rows at a time; as many as there are processors without it
    #[arg(long = "test-threads", value_name = "N")]
    threads: Option<NonZero<usize>>,
    /// As with other programs of tests: rows are printed in any case
    #[arg(long = "nocapture", visible_aliases = ["no-capture", "show-output"])]
    _shows: bool,
    /// As with other programs of tests: no row is ignored
    #[arg(long = "include-ignored")]
    _includes: bool,
    /// As with other programs of tests: rows are printed in any case
    #[arg(long = "quiet", short = 'q')]
    _is_quiet: bool,
}

impl Arguments {
    /// Whether all rows are to run.
    pub fn is_whole(&self) -> bool {
        self.filters.is_empty()
    }

    /// How many rows are to run at a time.
    pub fn threads(&self) -> NonZero<usize> {
        self.threads.or_else(|| thread::available_parallelism().ok()).unwrap_or(NonZero::<usize>::MIN)
    }

    /// Whether the row of that format and configuration is to run.
    pub fn selects(&self, format: &str, config: &str) -> bool {
        self.is_whole() || self.filters.iter().any(|filter| self.matches(filter, format, config))
    }

    /// What is wrong with a filter that none of these rows (format, configuration) has, with what would be one.
    pub fn unmatched<'a>(&self, rows: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Option<String> {
        let has_none = |filter: &&String| !rows.clone().any(|(format, config)| self.matches(filter, format, config));
        let filter = self.filters.iter().find(has_none)?;
        let mut formats = Vec::new();
        for (format, _) in rows.clone() {
            if !formats.contains(&format) {
                formats.push(format);
            }
        }
        let which = if self.exact { "is" } else { "has in its name" };
        Some(format!(
            "no row {which} {filter:?}\nhint: formats are {}; --list prints the names of all rows",
            formats.join(", ")
        ))
    }

    fn matches(&self, filter: &str, format: &str, config: &str) -> bool {
        let name = format!("{format} {config}");
        if self.exact { filter == format || filter == name } else { name.contains(filter) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::error::ErrorKind;

    const ROWS: [(&str, &str); 4] =
        [("riscv_64", "Sv39"), ("riscv_64_g", "Sv39x4"), ("amdv1", "mode 3"), ("riscv_64", "IOMMU, Sv39")];

    fn parse(arguments: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from([&["conformance"], arguments].concat())
    }

    fn selected(arguments: &[&str]) -> Vec<usize> {
        let arguments = parse(arguments).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(arguments.unmatched(ROWS.into_iter()), None);
        (0..ROWS.len()).filter(|n| arguments.selects(ROWS[*n].0, ROWS[*n].1)).collect()
    }

    #[test]
    fn what_cargo_test_passes_is_accepted() {
        for flags in [
            &["--nocapture"][..],
            &["--no-capture", "--quiet"],
            &["-q", "--show-output", "--include-ignored"],
            &["--nocapture", "--show-output"],
            &["--test-threads=1", "--exact"],
        ] {
            assert_eq!(selected(flags), [0, 1, 2, 3], "{flags:?}");
        }
    }

    #[test]
    fn filters_choose_rows() {
        assert_eq!(selected(&["riscv_64"]), [0, 1, 3]);
        assert_eq!(selected(&["--exact", "riscv_64"]), [0, 3]);
        assert_eq!(selected(&["mode 3", "IOMMU"]), [2, 3]);
        assert_eq!(selected(&["--exact", "riscv_64_g Sv39x4"]), [1]);
    }

    /// `--help`, and anything else, was taken for a run of everything.
    #[test]
    fn help_and_unknown_arguments_do_not_run_everything() {
        let kind = |argument| parse(&[argument]).map_err(|error| error.kind());
        assert_eq!(kind("--help"), Err(ErrorKind::DisplayHelp));
        assert_eq!(kind("--format=x"), Err(ErrorKind::UnknownArgument));
        assert_eq!(kind("--test-threads=0"), Err(ErrorKind::ValueValidation));
        let text = parse(&["--lists"]).map_or_else(|error| error.to_string(), |_| String::new());
        assert!(text.contains("tip: a similar argument exists: '--list'"), "{text}");
    }

    #[test]
    fn a_filter_without_a_row_is_an_error_with_a_hint() {
        let unmatched = |arguments: &[&str]| parse(arguments).ok().and_then(|all| all.unmatched(ROWS.into_iter()));
        let hint = "hint: formats are riscv_64, riscv_64_g, amdv1; --list prints the names of all rows";
        assert_eq!(unmatched(&["amdv1", "ept"]), Some(format!("no row has in its name \"ept\"\n{hint}")));
        assert_eq!(unmatched(&["--exact", "riscv"]), Some(format!("no row is \"riscv\"\n{hint}")));
    }
}
