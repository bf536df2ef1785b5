//! What can go wrong with an image, told so that the user can act.

use crate::image::{Contents, Packing};
use crate::setup::setup_help;
use crate::status::Hinted;
use std::io;
use thiserror::Error;

/// An error of the library, with the options that the user knows for the fields of the configuration.
pub fn as_options(cause: &generic_pt::Error) -> String {
    let text = cause.to_string();
    text.replace("`hw_max_vasz_lg2`", "`--va-bits`").replace("`hw_max_oasz_lg2`", "`--oa-bits`")
}

/// What a field is that pages are not told apart by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldOf {
    /// It holds their address.
    Address,
    /// Only pointers to tables have it, and it says nothing of what is below.
    Pointers,
}

impl FieldOf {
    const fn words(self) -> &'static str {
        match self {
            Self::Address => "it is their address",
            Self::Pointers => "only pointers to tables have it",
        }
    }
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
    /// What is in the image cannot be read.
    #[error("{name}: the memory at {pa:#x} cannot be read: {cause}")]
    Unreadable {
        /// The file.
        name: String,
        /// Where.
        pa: u64,
        /// Why.
        cause: String,
    },
    /// Its memory does not lie in it as it is, and nothing says that it is memory all the same.
    #[error("{name}: {packing}")]
    Packed {
        /// The file.
        name: String,
        /// How.
        packing: Packing,
    },
    /// What `genpt build` wrote for a compiler.
    #[error(
        "{name}: {} for a compiler, no image of memory",
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
    /// The manifest is about tables of a format that there is not.
    #[error("{name}: its manifest names the format {format}, which there is not")]
    ManifestFormat {
        /// The image.
        name: String,
        /// The format.
        format: String,
    },
    /// Nothing says what format the tables have.
    #[error("{name}: nothing tells the format of its tables: there is no manifest {name}.json")]
    NoFormat {
        /// The image.
        name: String,
    },
    /// Nothing says where the top table is.
    #[error("{name}: neither a manifest nor a note in the image tells where the top table is")]
    NoRoot {
        /// The image.
        name: String,
    },
    /// The manifest is about tables of another format.
    #[error("{name}: its manifest is about {manifest}, not {format}")]
    ManifestOfOthers {
        /// The image.
        name: String,
        /// The format asked for.
        format: &'static str,
        /// That of the manifest.
        manifest: String,
    },
    /// The only root in a core file is that of tables of another format.
    #[error("{name}: CR3 in its notes is no root of {format} tables")]
    RootOfOthers {
        /// The image.
        name: String,
        /// The format.
        format: &'static str,
    },
    /// The CPUs in a core file use several tables.
    #[error("{name}: its CPUs use several tables")]
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
    #[error("{format} has no feature `{name}`")]
    Feature {
        /// The format.
        format: &'static str,
        /// What was asked for.
        name: String,
        /// What it has.
        valid: String,
    },
    /// A configuration key that the format does not have.
    #[error("{format} has no setting `{key}`")]
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
    /// The top of the table cannot be of this level.
    #[error("this {format} table has no top of level {level}")]
    TopLevel {
        /// The format.
        format: &'static str,
        /// What was asked for.
        level: u32,
        /// Why, with the levels that are valid.
        cause: generic_pt::Error,
    },
    /// A field that the format does not have.
    #[error("{format} has no field `{name}`")]
    Field {
        /// The format.
        format: &'static str,
        /// What was asked for.
        name: String,
        /// What it has.
        valid: String,
    },
    /// A field by which pages cannot be chosen.
    #[error("pages cannot be chosen by `{name}`: {}", whose.words())]
    NotOfPages {
        /// What was asked for.
        name: String,
        /// Why.
        whose: FieldOf,
    },
    /// Tables that do not tell users from others.
    #[error("{format} tables like this do not tell what users may do")]
    NoUsers {
        /// The format.
        format: &'static str,
    },
}

/// What to do if nothing tells the root.
const ROOT_HELP: &str =
    "say `--root PA`, the physical address of the top table (on a CPU its register has it: CR3, TTBR0, SATP)";

impl Hinted for InspectError {
    fn hint(&self) -> String {
        let text = match self {
            Self::Open { .. } => {
                "an image is a file: raw memory, an ELF core file, a LiME dump, or what `genpt build` writes"
            }
            Self::Damaged { .. } => {
                "record it anew; other files that can be read are raw memory, ELF core files and LiME dumps"
            }
            Self::Unreadable { .. } => {
                "what was printed before it is not all there is: copy the file, and look at that"
            }
            Self::Packed { name, packing } => return packing.help(name),
            Self::Source { .. } => "build with `--emit raw` or `--emit elf`",
            Self::Manifest { .. } => "build the image anew, or take that file away and say `--format` and `--root`",
            Self::ManifestFormat { .. } => "say `--format NAME` and `--root PA` (formats: `genpt formats`)",
            Self::NoFormat { .. } => "say `--format NAME` (formats: `genpt formats`)",
            Self::NoRoot { .. } | Self::RootOfOthers { .. } => ROOT_HELP,
            Self::ManifestOfOthers { manifest, .. } => {
                return format!(
                    "say `--root PA`, too, the physical address of the top table; or `--format {manifest}`"
                );
            }
            Self::ManyRoots { roots, .. } => return format!("say one of them with `--root`: {roots}"),
            Self::RootOutside { hint, .. } => hint,
            Self::RootMisaligned { bytes, .. } => {
                return format!("`--root` is the physical address of the top table, a multiple of {bytes:#x}");
            }
            Self::Feature { format, valid, .. } => {
                return format!("it has {valid}; `genpt formats {format}` tells what they are");
            }
            Self::Setting { format, valid, .. } => {
                return format!("it has {valid}; `genpt formats {format}` tells what they are");
            }
            Self::Value { format, .. } => {
                return format!("`genpt formats {format}` tells what its configuration takes");
            }
            Self::Config { format, cause } => return setup_help(format, cause),
            Self::TopLevel { cause: generic_pt::Error::ConfigRange { lowest, highest, .. }, .. }
                if lowest < highest =>
            {
                return format!("valid for `--top-level` is {lowest} to {highest}");
            }
            Self::TopLevel { cause: generic_pt::Error::ConfigRange { lowest, .. }, .. } => {
                return format!("its top does not grow, and is of level {lowest}: leave out `--top-level`");
            }
            Self::TopLevel { cause, .. } => return cause.to_string(),
            Self::Field { format, valid, .. } => {
                return format!("it has {valid}; `genpt formats {format}` tells what they are");
            }
            Self::NotOfPages { whose: FieldOf::Address, .. } => "`--pa` chooses by address",
            Self::NotOfPages { whose: FieldOf::Pointers, .. } => {
                "`genpt dump --pointers` shows what pointers say, `genpt formats` what each field is of"
            }
            Self::NoUsers { .. } => "ask for r, w and x without u",
        };
        text.to_owned()
    }
}
