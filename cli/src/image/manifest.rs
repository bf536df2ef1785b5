//! The manifest beside an image that `genpt build` made: what the tables in it are.

use crate::human;
use crate::inspect::InspectError;
use crate::number::Hex;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What an image of `genpt build` is: enough to walk it without any option.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object as `genpt build` writes it")]
pub struct Manifest {
    /// Format.
    pub format: String,
    /// VA bits of the table.
    pub va_bits: u32,
    /// Output address bits of the table.
    pub oa_bits: u32,
    /// Features, common ones and the format's own.
    pub features: Vec<String>,
    /// The format's own configuration.
    pub config: BTreeMap<String, Vec<Hex>>,
    /// What the file beside it has.
    pub contents: Contents,
    /// Physical address of the image's first byte.
    pub base: Hex,
    /// Bytes of the image.
    pub bytes: Hex,
    /// Physical address of the top table.
    pub root: Hex,
    /// Level of the top table.
    pub top_level: u32,
    /// What a driver tells the hardware.
    pub registers: Vec<Register>,
}

/// What `genpt build` wrote.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Contents {
    /// The bytes
    Raw,
    /// An ELF object with a section .page_tables, to be linked at the base address
    Elf,
    /// A C array
    C,
    /// Assembler: .quad or .long
    Asm,
}

/// A number of what a driver tells the hardware.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// Its name in the format's `HwInfo`.
    pub name: String,
    /// Its values; one, but for arrays.
    pub values: Vec<Hex>,
    /// What the format's description says of it.
    pub documentation: String,
}

/// Most bytes of a manifest; that of any format has a few kilobytes.
const MOST_BYTES: u64 = 1 << 20;

impl Manifest {
    /// Where the manifest of an image is: the image's name with `.json` behind it.
    pub fn path_of(image: &Path) -> PathBuf {
        let mut name = OsString::from(image);
        name.push(".json");
        name.into()
    }

    /// The manifest of an image; `None` if there is none.
    ///
    /// # Errors
    /// [`InspectError::Manifest`] if it is none of `genpt build`.
    pub fn beside(image: &Path) -> Result<Option<Self>, InspectError> {
        let path = Self::path_of(image);
        let name = human::file(&path);
        let text = match std::fs::metadata(&path) {
            Ok(file) if file.is_file() && file.len() > MOST_BYTES => {
                let cause = serde::de::Error::custom(format!("it has more than {MOST_BYTES:#x} bytes"));
                return Err(InspectError::Manifest { name, cause });
            }
            Ok(file) if file.is_file() => {
                std::fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            }
            _ => return Ok(None),
        };
        let text = text.map_err(|cause| InspectError::Open { name: name.clone(), cause })?;
        serde_json::from_str(&text).map(Some).map_err(|cause| InspectError::Manifest { name, cause })
    }
}
