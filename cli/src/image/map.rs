//! A file in memory. The only `unsafe` code of images is here.

use memmap2::Mmap;
use std::fs::File;
use std::io;
use std::path::Path;

/// The bytes of a file, which are read when they are looked at.
#[derive(Debug)]
pub struct FileMap(Mmap);

impl FileMap {
    /// Maps a file.
    ///
    /// # Errors
    /// What the system says; also for what is no file with a length.
    pub fn open(path: &Path) -> io::Result<Self> {
        // Before it is opened: that can wait, for example for somebody to write into a pipe.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        let file = File::open(path)?;
        // SAFETY: the bytes are only read, as plain integers: if another program changes them meanwhile, any value is as
        // good as any other. One that cuts the file off ends this program with a signal, which harms nothing.
        Ok(Self(unsafe { Mmap::map(&file) }?))
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}
