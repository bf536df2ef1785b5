//! Files that have a length, and can be replaced by others.

use std::fs::FileType;
use std::io;

/// Whether something is a regular file.
///
/// # Errors
/// What it is instead.
pub fn regular(kind: FileType) -> io::Result<()> {
    if kind.is_file() {
        return Ok(());
    }
    let what = if kind.is_dir() { "it is a directory" } else { "it is no regular file" };
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}
