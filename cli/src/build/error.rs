//! What can go wrong when tables are built, told so that the user can act.

use crate::human;
use crate::inspect::{InspectError, as_options};
use generic_pt::memory::ArenaError;
use generic_pt::{Error, MapError};
use std::io;
use thiserror::Error as ThisError;

/// Tables that cannot be built.
#[derive(Debug, ThisError)]
pub enum BuildError {
    /// The specification cannot be read.
    #[error("cannot read {name}: {cause}")]
    Read {
        /// The file.
        name: String,
        /// Why.
        cause: io::Error,
    },
    /// The specification is not understood.
    #[error("{name}: {what}")]
    Syntax {
        /// The file.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// A CSV file does not begin with the names of its columns.
    #[error("{name}: {what}")]
    Header {
        /// The file.
        name: String,
        /// What is there instead.
        what: String,
    },
    /// Where the manifest goes there is a file that is none.
    #[error("{name} is no manifest of `genpt build`, and would be overwritten: write somewhere else with `-o`")]
    NoManifest {
        /// The file.
        name: String,
    },
    /// A file to be written is another one that is read or written.
    #[error("{name} is {what}: write somewhere else with `-o`")]
    Overwrites {
        /// The file.
        name: String,
        /// Which one that is.
        what: &'static str,
    },
    /// Nothing says what format the tables are to have.
    #[error("say `--format`, or `format` in the specification (formats: `genpt formats`)")]
    NoFormat,
    /// The specification names no format that there is.
    #[error("there is no format `{name}` (formats: `genpt formats`)")]
    Format {
        /// The name.
        name: String,
    },
    /// The configuration is wrong.
    #[error(transparent)]
    Options(#[from] InspectError),
    /// No table can be made.
    #[error("no {format} table can be made: {}", as_options(cause))]
    Table {
        /// The format.
        format: &'static str,
        /// Why.
        cause: Error,
    },
    /// The tables cannot be at this address.
    #[error("the tables cannot be there: {0}")]
    Base(#[from] ArenaError),
    /// No item can be aligned in tables that begin at this address.
    #[error("the tables cannot be at {base:#x}: the base has to be a multiple of {align}")]
    BaseMisaligned {
        /// The base asked for.
        base: u64,
        /// What it has to be a multiple of, in bytes.
        align: u64,
    },
    /// A mapping is refused.
    #[error("mapping {number} (VA {va:#x}, PA {pa:#x}, {len:#x} bytes): {cause}")]
    Map {
        /// Which one it is, from 1.
        number: usize,
        /// Its first VA.
        va: u64,
        /// Where that goes.
        pa: u64,
        /// Bytes.
        len: u64,
        /// Why.
        cause: MapError,
    },
    /// The largest page asked for is smaller than any.
    #[error(
        "mapping {number}: no page is of {} or less; the smallest is of {}",
        human::bytes(*bytes),
        human::bytes(*smallest)
    )]
    Pages {
        /// Which one it is, from 1.
        number: usize,
        /// Asked for.
        bytes: u64,
        /// The smallest.
        smallest: u64,
    },
    /// There are too many tables.
    #[error("the tables take more than {most:#x} bytes (--memory)")]
    TooLarge {
        /// Most bytes.
        most: u64,
    },
    /// This machine does not have as much memory as the tables may take.
    #[error("the tables need more memory than there is here: {bytes:#x} bytes cannot be had")]
    NoMemory {
        /// Bytes of the attempt.
        bytes: u64,
    },
    /// A result cannot be written.
    #[error("cannot write {name}: {cause}")]
    Write {
        /// The file.
        name: String,
        /// Why.
        cause: io::Error,
    },
    /// An ELF object cannot be made.
    #[error("cannot make an ELF object: {0}")]
    Elf(#[from] object::write::Error),
}

impl BuildError {
    /// What to do about it.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Header { .. } => Some("the first line has to be va,pa,len,prot"),
            Self::NoMemory { .. } => Some("map with larger pages, or less"),
            // Only tables with another half can have it.
            Self::Map { va, .. } if *va >> 63 != 0 => Some(
                "the upper half of the VA needs `--features SIGN_EXTEND` or UPPER_HALF (`genpt formats NAME` tells which there is)",
            ),
            Self::Options(cause) => cause.hint(),
            _ => None,
        }
    }
}
