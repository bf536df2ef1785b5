//! Exit statuses.

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

/// An exit status and a message, in which a line that begins with `hint: ` can follow the first.
pub type Failure = (u8, String);

/// What writing results came to; nobody there to read is the end of the program, and no failure.
///
/// # Errors
/// [`INPUT`] and a message.
pub fn written<T>(result: io::Result<T>) -> Result<T, Failure> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(OK.into()),
        result => result.map_err(|error| (INPUT, format!("cannot write the results: {error}"))),
    }
}

/// As [`written`], for a command whose exit status still says what was found when nobody reads its text.
///
/// # Errors
/// [`INPUT`] and a message.
pub fn shown(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => written(result),
    }
}
