//! Exit statuses, and what a command that failed says.

use crate::human::printable;
use serde::Serialize;
use std::fmt::Display;
use std::io;

/// Done; nothing is wrong.
pub const OK: u8 = 0;
/// Something cannot be read, or the results cannot be written.
pub const INPUT: u8 = 1;
/// Wrong arguments; clap uses the same.
pub const USAGE: u8 = 2;
/// A table does not translate as the trace says; two images differ.
pub const DIFFERS: u8 = 3;
/// Something odd was found, or an address is not mapped.
pub const WARNING: u8 = 4;
/// Something wrong was found, or not all could be looked at.
pub const ERROR: u8 = 5;

/// An error that knows what to do about it.
pub trait Hinted: Display {
    /// What would be valid, or what helps: never nothing.
    fn hint(&self) -> String;
}

/// Why a command cannot do what it was asked: an exit status, a line for the error, and one for what to do about it. There is
/// none without a hint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The exit status.
    pub code: u8,
    message: String,
    hint: Hint,
}

/// What to do about an error: there is always something, so that nobody can forget it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Hint(String);

impl Hint {
    /// What to do if nothing better is known.
    const ANY: &'static str = "`genpt --help` tells what there is";

    /// A hint in words, made printable; without any, [`ANY`](Self::ANY).
    fn new(text: &str) -> Self {
        Self(printable(if text.trim().is_empty() { Self::ANY } else { text }))
    }
}

impl Failure {
    /// An error in words. Names in it can be those of somebody else: they are made printable, each part on one line.
    pub fn new(code: u8, message: impl Display, hint: impl Display) -> Self {
        Self { code, message: printable(&message.to_string()), hint: Hint::new(&hint.to_string()) }
    }

    /// An error that knows what to do about it.
    pub fn of(code: u8, error: &impl Hinted) -> Self {
        Self::new(code, error, error.hint())
    }

    /// What went wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn hint(&self) -> &str {
        &self.hint.0
    }
}

/// What to do if standard output cannot be written.
const WRITE_HELP: &str = "where standard output goes has to be open, and to have room";

/// What writing results came to; nobody there to read is the end of the program, and no failure.
///
/// # Errors
/// [`INPUT`].
pub fn written<T>(result: io::Result<T>) -> Result<T, Failure> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(OK.into()),
        result => result.map_err(|error| Failure::new(INPUT, format!("cannot write the results: {error}"), WRITE_HELP)),
    }
}

/// As [`written`], for a command whose exit status still says what was found when nobody reads its text.
///
/// # Errors
/// [`INPUT`].
pub fn shown(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => written(result),
    }
}

/// Results as JSON.
///
/// # Errors
/// [`INPUT`].
pub fn json(results: &(impl Serialize + ?Sized)) -> Result<String, Failure> {
    serde_json::to_string_pretty(results).map_err(|error| {
        Failure::new(INPUT, format!("the results cannot be made JSON: {error}"), "without `--json` they are text")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty hint was told as `hint:` and nothing.
    #[test]
    fn there_is_always_a_hint() {
        for empty in ["", " \n"] {
            assert_eq!(Failure::new(USAGE, "no", empty).hint(), Hint::ANY);
        }
        assert_eq!(Failure::new(USAGE, "no", "write\nelsewhere").hint(), "write\\nelsewhere");
    }
}
