//! Where a trace comes from: a file, standard input or the built-in one; compressed or not.

use super::{TraceError, gzip, zstd};
use crate::human;
use crate::image::{PACKING_BYTES, Packing};
use crate::regular_file::no_directory;
use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::PathBuf;
use std::rc::Rc;

/// A real trace that comes with the tool: an NVMe disk behind a VT-d IOMMU, on Linux 6.1.
const BUILT_IN: &[u8] = include_bytes!("../../traces/intel61-nvme-strict.trace.txt.gz");

/// Where a trace comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// The one in the program.
    BuiltIn,
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

/// An open trace.
pub struct Input {
    /// Its text.
    pub text: Box<dyn BufRead>,
    /// Bytes to read in all, before they are unpacked; not known of a pipe.
    pub len: Option<u64>,
    /// Bytes read so far.
    pub position: Rc<Cell<u64>>,
    /// Whether it is unpacked while it is read.
    pub contents: Contents,
    /// How it is packed, if it is in a way that is not unpacked here.
    packing: Option<&'static str>,
}

/// What a file holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Contents {
    /// The text.
    Plain,
    /// The text, compressed.
    Packed,
}

impl Source {
    /// Opens it, and unpacks it if it begins as gzip or zstd do, whatever its name is.
    ///
    /// # Errors
    /// [`TraceError::Open`]; [`TraceError::Packed`] if it begins as other compressed files do.
    pub fn open(&self) -> Result<Input, TraceError> {
        let input = self.begin().map_err(|cause| TraceError::Open { name: self.to_string(), cause })?;
        match input.packing {
            Some(packing) => Err(TraceError::Packed { name: self.to_string(), packing }),
            None => Ok(input),
        }
    }

    fn begin(&self) -> io::Result<Input> {
        match self {
            Self::BuiltIn => Input::new(BUILT_IN, Some(BUILT_IN.len() as u64)),
            Self::Stdin => Input::new(io::stdin().lock(), None),
            Self::File(path) => {
                let file = File::open(path)?;
                let facts = file.metadata()?;
                no_directory(facts.file_type())?;
                Input::new(file, facts.is_file().then_some(facts.len()))
            }
        }
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        if path.as_os_str() == "-" { Self::Stdin } else { Self::File(path) }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("(built-in) intel61-nvme-strict.trace.txt"),
            Self::Stdin => f.write_str("(standard input)"),
            Self::File(path) => f.write_str(&human::file(path)),
        }
    }
}

impl Input {
    fn new(raw: impl Read + 'static, len: Option<u64>) -> io::Result<Self> {
        let position = Rc::new(Cell::new(0));
        let mut raw = Counted { inner: raw, position: Rc::clone(&position) };
        let mut magic = Vec::new();
        raw.by_ref().take(PACKING_BYTES).read_to_end(&mut magic)?;
        let is_gzip = gzip::is_magic(&magic);
        let is_zstd = zstd::is_magic(&magic);
        let packing = Packing::of(&magic).and_then(|packing| packing.compression()).filter(|_| !is_gzip && !is_zstd);
        let whole = BufReader::new(Cursor::new(magic).chain(raw));
        let text: Box<dyn BufRead> = if is_gzip {
            Box::new(BufReader::new(gzip::Members::new(whole)))
        } else if is_zstd {
            Box::new(BufReader::new(zstd::Frames::new(whole)))
        } else {
            Box::new(whole)
        };
        let contents = if is_gzip || is_zstd { Contents::Packed } else { Contents::Plain };
        Ok(Self { text, len, position, packing, contents })
    }
}

/// Counts what is read.
struct Counted<R> {
    inner: R,
    position: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.position.set(self.position.get() + count as u64);
        Ok(count)
    }
}
