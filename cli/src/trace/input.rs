//! Where a trace comes from: a file, standard input or the built-in one; compressed or not.

use flate2::bufread::MultiGzDecoder;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::PathBuf;

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

impl Source {
    /// Opens it, and unpacks it if it begins as gzip does, whatever its name is.
    ///
    /// # Errors
    /// Those of the system.
    pub fn open(&self) -> io::Result<Box<dyn BufRead>> {
        match self {
            Self::BuiltIn => unpacked(BUILT_IN),
            Self::Stdin => unpacked(io::stdin().lock()),
            Self::File(path) => unpacked(File::open(path)?),
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
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

fn unpacked<'a>(mut raw: impl Read + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let mut magic = Vec::new();
    raw.by_ref().take(2).read_to_end(&mut magic)?;
    let is_gzip = magic == [0x1f, 0x8b];
    let whole = BufReader::new(Cursor::new(magic).chain(raw));
    Ok(if is_gzip { Box::new(BufReader::new(MultiGzDecoder::new(whole))) } else { Box::new(whole) })
}
