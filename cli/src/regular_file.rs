//! Files that have a length, and can be replaced by others.

use std::fs::FileType;
use std::io;

/// Whether something is a regular file.
///
/// # Errors
/// What it is instead.
pub fn regular(kind: FileType) -> io::Result<()> {
    no_directory(kind)?;
    if kind.is_file() { Ok(()) } else { Err(invalid("it is no regular file")) }
}

/// Whether something is no directory: it may be a pipe. (Reading a directory fails with a text and number of the system's.)
///
/// # Errors
/// That it is a directory.
pub fn no_directory(kind: FileType) -> io::Result<()> {
    if kind.is_dir() { Err(invalid("it is a directory")) } else { Ok(()) }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
