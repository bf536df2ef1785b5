//! What the commands about images take.

use super::access::Asked;
use crate::decode::{Options, TableArgs};
use crate::number::{AddressRange, Hex};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// What an image is. A manifest beside it (IMAGE.json, of `genpt build`) says all of this.
#[derive(Debug, Args)]
pub struct ImageArgs {
    /// What the tables are.
    #[command(flatten)]
    pub tables: TableArgs,

    /// Physical address of the top table [default: the manifest's, or CR3 in the notes of a QEMU dump]
    #[arg(short, long, value_name = "PA")]
    pub root: Option<Hex>,

    /// Physical address of the first byte of raw memory [default: the manifest's, or 0]
    #[arg(short, long, value_name = "PA")]
    pub base: Option<Hex>,

    /// Level of the top, where it can grow
    #[arg(long, value_name = "N")]
    pub top_level: Option<u32>,
}

impl ImageArgs {
    /// What was said about the tables.
    pub fn options(&self) -> Options {
        Options { top_level: self.top_level, ..self.tables.options() }
    }
}

/// Most items that are decoded, so that a hostile image ends.
#[derive(Debug, Args)]
pub struct LimitArgs {
    /// Most items to decode; what is behind them is not looked at, and the exit status says so
    #[arg(long, value_name = "ITEMS", default_value = "256M")]
    pub limit: Hex,
}

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Output {
    /// For people
    Text,
    /// One document
    Json,
    /// A line each, with a header
    Csv,
}

/// How to print what there is much of.
#[derive(Debug, Args)]
pub struct PrintArgs {
    /// How to print them
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,

    /// Print JSON: `--output json`
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

impl PrintArgs {
    /// How to print it.
    pub fn output(&self) -> Output {
        if self.json { Output::Json } else { self.output }
    }
}

/// How a document is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Document {
    /// For people
    Text,
    /// For programs
    Json,
}

/// How to print what is one document.
#[derive(Debug, Args)]
pub struct DocumentArgs {
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Document::Text)]
    output: Document,

    /// Print JSON: `--output json`
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

impl DocumentArgs {
    /// How to print it.
    pub fn output(&self) -> Document {
        if self.json { Document::Json } else { self.output }
    }
}

/// `genpt walk`.
#[derive(Debug, Args)]
pub struct WalkArgs {
    /// Image: raw memory, ELF core file, LiME dump, or output of `genpt build`
    #[arg(value_name = "IMAGE")]
    pub image: PathBuf,

    /// Addresses to translate
    #[arg(value_name = "VA", required = true)]
    pub va: Vec<Hex>,

    /// Also say whether privileged software may read, write or execute, and which bits on the way refuse it: letters of r, w and x;
    /// with u whether users may, where the tables tell that
    #[arg(short, long, value_name = "ACCESS")]
    pub access: Option<Asked>,

    /// How it is printed.
    #[command(flatten)]
    pub print: DocumentArgs,

    /// What the image is.
    #[command(flatten)]
    pub source: ImageArgs,
}

/// Which mappings are shown.
#[derive(Debug, Args)]
pub struct FilterArgs {
    /// Only what is mapped in this range: A..=B, A+LENGTH or an address
    #[arg(long, value_name = "RANGE")]
    pub va: Option<AddressRange>,

    /// Only what goes to this physical range: all VA of an address
    #[arg(long, value_name = "RANGE")]
    pub pa: Option<AddressRange>,

    /// Only what has these fields, or has not those with `!` before the name
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    pub has: Vec<String>,

    /// Fields that do not separate runs, and are not shown, such as accessed bits
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    pub ignore: Vec<String>,

    /// Shows and compares all fields of the pointers on the way, too, not only what they permit or forbid below
    #[arg(long)]
    pub pointers: bool,
}

/// `genpt dump`.
#[derive(Debug, Args)]
pub struct DumpArgs {
    /// Image: raw memory, ELF core file, LiME dump, or output of `genpt build`
    #[arg(value_name = "IMAGE")]
    pub image: PathBuf,

    /// Which mappings.
    #[command(flatten)]
    pub filter: FilterArgs,

    /// Only runs of at least so many bytes; the statistics have the pages of shorter ones, too
    #[arg(long, value_name = "SIZE", default_value = "0")]
    pub min: Hex,

    /// How they are printed.
    #[command(flatten)]
    pub print: PrintArgs,

    /// What the image is.
    #[command(flatten)]
    pub source: ImageArgs,

    /// How long.
    #[command(flatten)]
    pub limit: LimitArgs,
}

/// `genpt check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Image: raw memory, ELF core file, LiME dump, or output of `genpt build`
    #[arg(value_name = "IMAGE")]
    pub image: PathBuf,

    /// Most findings of one kind that are shown; all are counted
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub most: usize,

    /// How they are printed.
    #[command(flatten)]
    pub print: DocumentArgs,

    /// What the image is.
    #[command(flatten)]
    pub source: ImageArgs,

    /// How long.
    #[command(flatten)]
    pub limit: LimitArgs,
}

/// `genpt diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The image before
    #[arg(value_name = "A")]
    pub before: PathBuf,

    /// The image after
    #[arg(value_name = "B")]
    pub after: PathBuf,

    /// Physical address of the top table of B [default: that of --root, else what the manifest or the notes of B say]
    #[arg(long, value_name = "PA")]
    pub root_b: Option<Hex>,

    /// Which mappings.
    #[command(flatten)]
    pub filter: FilterArgs,

    /// How they are printed.
    #[command(flatten)]
    pub print: PrintArgs,

    /// What the images are.
    #[command(flatten)]
    pub source: ImageArgs,

    /// How long.
    #[command(flatten)]
    pub limit: LimitArgs,
}

/// What `--help` says at the end, for each command.
pub mod help {
    /// `genpt walk`.
    pub const WALK: &str = "\
Example:
  genpt walk dump.elf 0x7fffffffe000 --format x86_64 --features SIGN_EXTEND --access wu

Levels are counted from the lowest, which is 0, in all formats. Arm's manuals count from the top: their level is 3 minus this one \
(armv8_*, mali_lpae), or 2 minus this one (armv7s).

Exit status: 0 all addresses are mapped, and permit --access; 1 the image cannot be read; 2 wrong arguments; 4 an address is not \
mapped, or does not permit --access, or an item on the way has bits that it should not have; 5 an item on the way breaks a rule of \
the format, the table it points to is not in the image, or the table does not decode the address.";

    /// `genpt dump`.
    pub const DUMP: &str = "\
Examples:
  genpt dump tables.img --min 2M --has XD
  genpt dump memory.raw --base 0x80000000 --format riscv_64 --root 0x80001000 --output csv
  genpt dump tables.img --pa 0x1234567       every VA that goes there

Exit status: 0 done; 1 the image cannot be read; 2 wrong arguments; 5 there is more than --limit allows, or items whose tables \
cannot be looked at: with JSON and CSV standard error says which.";

    /// `genpt check`.
    pub const CHECK: &str = "\
Example:
  genpt check tables.img

dirty-read-only is found only where the tables track dirty pages: `genpt formats NAME` tells which formats do, with some of them a \
feature has to be on (SVADU in riscv_64). It is never found in x86_64, where a page that is dirty and read-only is legal: a shadow stack.

Exit status: 0 nothing, or notes only; 1 the image cannot be read; 2 wrong arguments; 4 warnings; 5 errors, or there is more \
than --limit allows.";

    /// `genpt diff`.
    pub const DIFF: &str = "\
Example:
  genpt diff before.elf after.elf --format x86_64 --features SIGN_EXTEND --ignore A,D

Exit status: 0 they map the same; 1 an image cannot be read; 2 wrong arguments; 3 they differ; 5 there is more than --limit \
allows, or items whose tables cannot be looked at.";
}
