//! A file that is read in pieces.
//!
//! It is not mapped into memory: a mapped file that another program cuts off ends this one with a signal, and reading is as
//! fast for what is looked at here, which is single tables.

use crate::regular_file::regular;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// An open file.
#[derive(Debug)]
pub struct ImageFile {
    file: File,
    len: u64,
}

impl ImageFile {
    /// Opens a file.
    ///
    /// # Errors
    /// What the system says; also for what is no file with a length.
    pub fn open(path: &Path) -> io::Result<Self> {
        // Before it is opened: that can wait, for example for somebody to write into a pipe.
        regular(std::fs::metadata(path)?.file_type())?;
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { file, len })
    }

    /// Its length in bytes when it was opened.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// The file, for readers of containers.
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Fills `bytes` from an offset on.
    ///
    /// # Errors
    /// What the system says; also if the file ends before.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_cut_off_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [7; 16]).unwrap();
        let image = ImageFile::open(file.path()).unwrap();
        let mut bytes = [0; 8];
        image.read(8, &mut bytes).unwrap();
        assert_eq!((bytes, image.len()), ([7; 8], 16));
        file.as_file().set_len(12).unwrap();
        assert_eq!(image.read(8, &mut bytes).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
