//! What can go wrong when tables are built, told so that the user can act.

use super::refusal::Refusal;
use super::spec::COLUMNS;
use crate::human;
use crate::inspect::{InspectError, as_options};
use crate::setup::setup_help;
use crate::status::Hinted;
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
    #[error("{name} is no manifest of `genpt build`, and would be overwritten")]
    NoManifest {
        /// The file.
        name: String,
    },
    /// A file to be written is another one that is read or written.
    #[error("{name} is {what}")]
    Overwrites {
        /// The file.
        name: String,
        /// Which one that is.
        what: &'static str,
    },
    /// Nothing says what format the tables are to have.
    #[error("nothing tells the format of the tables")]
    NoFormat,
    /// The specification names no format that there is.
    #[error("there is no format `{name}`")]
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
    #[error("the tables cannot be at {base:#x}: it is no multiple of {align}")]
    BaseMisaligned {
        /// The base asked for.
        base: u64,
        /// What it has to be a multiple of, in bytes.
        align: u64,
    },
    /// Items cannot hold the addresses of tables that begin at this address.
    #[error("the tables cannot be at {base:#x}: {}", too_high(*base, *beyond))]
    BaseTooHigh {
        /// The base asked for.
        base: u64,
        /// An address that is too high.
        beyond: u64,
    },
    /// A mapping is refused.
    #[error("mapping {number} (VA {va:#x}, PA {pa:#x}, {len:#x} bytes): {}", refusal.what)]
    Map {
        /// Which one it is, from 1.
        number: usize,
        /// Its first VA.
        va: u64,
        /// Where that goes.
        pa: u64,
        /// Bytes.
        len: u64,
        /// Why, as the library has it.
        cause: MapError,
        /// Why, as the user has it.
        refusal: Box<Refusal>,
    },
    /// The largest page asked for is smaller than any.
    #[error("mapping {number}: no page is of {} or less", human::bytes(*bytes))]
    Pages {
        /// Which one it is, from 1.
        number: usize,
        /// Asked for.
        bytes: u64,
        /// The smallest.
        smallest: u64,
    },
    /// There are too many tables.
    #[error("the tables take more than the {} of `--memory`", human::bytes(*most))]
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

/// Why tables that begin at `base` cannot be there, if no item can hold `beyond`: where they begin can be higher than that already.
fn too_high(base: u64, beyond: u64) -> String {
    if beyond <= base {
        format!("no item or register can point to {beyond:#x} or above")
    } else {
        format!("they would go on to {beyond:#x}, where no item or register can point")
    }
}

/// Whether what is wrong with a specification is a key that it has, or lacks.
fn names_a_key(what: &str) -> bool {
    ["unknown", "missing", "duplicate"].iter().any(|how| what.contains(&format!("{how} field `")))
}

impl Hinted for BuildError {
    fn hint(&self) -> String {
        let text = match self {
            Self::Read { .. } => {
                "the first argument is the specification, a file of text; `genpt build --help` has an example"
            }
            // What else is wrong says itself what is valid.
            Self::Syntax { what, .. } if !names_a_key(what) => "`genpt build --help` has an example of a specification",
            Self::Syntax { .. } => {
                "a specification has `format`, `base`, `va_bits`, `oa_bits`, `features`, `config`, and `map` with `va`, `pa`, \
                 `len` (or `size`), `prot`, `pages`; `genpt build --help` has an example"
            }
            Self::Header { .. } => {
                return format!("the first line has to be va,pa,len,prot (columns: {})", COLUMNS.join(", "));
            }
            Self::NoManifest { .. } | Self::Overwrites { .. } => "write somewhere else with `-o`",
            Self::NoFormat => "say `--format NAME`, or `format` in the specification (formats: `genpt formats`)",
            Self::Format { .. } => "`genpt formats` lists those that there are",
            Self::Options(cause) => return cause.hint(),
            Self::Table { format, cause } => return setup_help(format, cause),
            Self::Base(_) => "a smaller `--base` is valid",
            Self::BaseTooHigh { base, beyond } if beyond <= base => "a smaller `--base` is valid",
            Self::BaseTooHigh { .. } => "a smaller `--base` is valid; larger pages, or less to map, need fewer tables",
            Self::BaseMisaligned { align, .. } => return format!("`--base` has to be a multiple of {align}"),
            Self::Map { refusal, .. } => &refusal.hint,
            Self::Pages { smallest, .. } => {
                return format!("the smallest page is of {}: let `pages` be that, or more", human::bytes(*smallest));
            }
            Self::TooLarge { .. } => "give `--memory` more, map with larger pages, or less",
            Self::NoMemory { .. } => "map with larger pages, or less",
            Self::Write { .. } => "name a file that can be written with `-o`, in a directory that there is",
            Self::Elf(_) => "`--emit raw` writes the bytes alone",
        };
        text.to_owned()
    }
}
