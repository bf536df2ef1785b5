//! What can go wrong with an image, told so that the user can act.

use crate::image::Contents;
use std::io;
use thiserror::Error;

/// An error of the library, with the options that the user knows for the fields of the configuration.
pub fn as_options(cause: &generic_pt::Error) -> String {
    let text = cause.to_string();
    text.replace("`hw_max_vasz_lg2`", "`--va-bits`").replace("`hw_max_oasz_lg2`", "`--oa-bits`")
}

/// An image, or options for it, that cannot be used.
#[derive(Debug, Error)]
pub enum InspectError {
    /// The file cannot be opened.
    #[error("cannot open the image {name}: {cause}")]
    Open {
        /// The file.
        name: String,
        /// Why.
        cause: io::Error,
    },
    /// The container is not understood.
    #[error("{name}: {what}")]
    Damaged {
        /// The file.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// What `genpt build` wrote for a compiler.
    #[error(
        "{name}: {} for a compiler, no image of memory: build with `--emit raw` or `--emit elf`",
        match contents { Contents::Asm => "assembler", _ => "C" }
    )]
    Source {
        /// The file.
        name: String,
        /// What it is.
        contents: Contents,
    },
    /// The manifest is not understood.
    #[error("{name}: no manifest of `genpt build`: {cause}")]
    Manifest {
        /// The file.
        name: String,
        /// Why.
        cause: serde_json::Error,
    },
    /// Nothing says what format the tables have.
    #[error("{name}: say `--format`: there is no manifest {name}.json that tells it (formats: `genpt formats`)")]
    NoFormat {
        /// The image.
        name: String,
    },
    /// Nothing says where the top table is.
    #[error(
        "{name}: say `--root`, the physical address of the top table: neither a manifest nor a note in the image tells it"
    )]
    NoRoot {
        /// The image.
        name: String,
    },
    /// The manifest is about tables of another format.
    #[error(
        "{name}: its manifest is about {manifest}, not {format}: say `--root`, the physical address of the top table, too"
    )]
    ManifestOfOthers {
        /// The image.
        name: String,
        /// The format asked for.
        format: &'static str,
        /// That of the manifest.
        manifest: String,
    },
    /// The only root in a core file is that of tables of another format.
    #[error(
        "{name}: say `--root`, the physical address of the top table: CR3 in its notes is no root of {format} tables"
    )]
    RootOfOthers {
        /// The image.
        name: String,
        /// The format.
        format: &'static str,
    },
    /// The CPUs in a core file use several tables.
    #[error("{name}: its CPUs use several tables: say one of them with `--root`: {roots}")]
    ManyRoots {
        /// The image.
        name: String,
        /// Their addresses.
        roots: String,
    },
    /// The top table is not in the image.
    #[error("{name}: the top table at {root:#x}, {bytes:#x} bytes, is not in the image, which has {segments}")]
    RootOutside {
        /// The image.
        name: String,
        /// Where it should be.
        root: u64,
        /// Its size.
        bytes: u64,
        /// Memory of the image.
        segments: String,
        /// What to do.
        hint: &'static str,
    },
    /// The top table is where hardware cannot be pointed to.
    #[error("the top table at {root:#x} is not aligned to {bytes:#x} bytes")]
    RootMisaligned {
        /// Where it should be.
        root: u64,
        /// The alignment.
        bytes: u64,
    },
    /// A feature that the format does not have.
    #[error("{format} has no feature `{name}`; it has {valid}")]
    Feature {
        /// The format.
        format: &'static str,
        /// What was asked for.
        name: String,
        /// What it has.
        valid: String,
    },
    /// A configuration key that the format does not have.
    #[error("{format} has no setting `{key}`; it has {valid}")]
    Setting {
        /// The format.
        format: &'static str,
        /// What was asked for.
        key: String,
        /// What it has.
        valid: String,
    },
    /// A number that does not fit into a setting.
    #[error("{format}, setting `{key}`: {cause}")]
    Value {
        /// The format.
        format: &'static str,
        /// The setting.
        key: String,
        /// Why.
        cause: generic_pt::settings::SettingError,
    },
    /// No table can be like this.
    #[error("no {format} table can be like this: {}", as_options(cause))]
    Config {
        /// The format.
        format: &'static str,
        /// Why.
        cause: generic_pt::Error,
    },
    /// A field that the format does not have.
    #[error("{format} has no field `{name}`; it has {valid}")]
    Field {
        /// The format.
        format: &'static str,
        /// What was asked for.
        name: String,
        /// What it has.
        valid: String,
    },
    /// Tables that do not tell users from others.
    #[error("{format} tables like this do not tell what users may do: ask for r, w and x without u")]
    NoUsers {
        /// The format.
        format: &'static str,
    },
}

impl InspectError {
    /// What to do about it.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::RootOutside { hint, .. } => Some(hint),
            _ => None,
        }
    }
}
