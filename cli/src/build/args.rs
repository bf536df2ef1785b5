//! What `genpt build` takes.

use crate::decode::TableArgs;
use crate::image::Contents;
use crate::number::Hex;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `genpt build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// What to map: TOML, JSON (.json) or CSV (.csv)
    #[arg(value_name = "SPEC")]
    pub spec: PathBuf,

    /// Where to write the tables; a manifest is written beside it, with .json behind the name
    #[arg(short, long, value_name = "IMAGE")]
    pub output: PathBuf,

    /// What to write [default: by the ending: .o an ELF object, .c and .h C, .s and .S assembler, else raw]
    #[arg(short, long, value_enum)]
    pub emit: Option<Contents>,

    /// Physical address of the tables [default: the specification's, or 0]
    #[arg(short, long, value_name = "PA")]
    pub base: Option<Hex>,

    /// Most memory that the tables may take
    #[arg(long, value_name = "SIZE", default_value = "1G")]
    pub memory: Hex,

    /// Name of the array, or of the symbol
    #[arg(long, value_name = "NAME", default_value = "page_tables", value_parser = identifier)]
    pub symbol: String,

    /// CPU of an ELF object [default: that of the format; of devices' tables on any CPU x86_64]
    #[arg(long, value_enum)]
    pub arch: Option<Arch>,

    /// What the tables are.
    #[command(flatten)]
    pub tables: TableArgs,
}

/// The CPU of an ELF object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Arch {
    /// x86, 64 bits
    #[value(name = "x86_64")]
    X86_64,
    /// x86, 32 bits
    I386,
    /// Arm, 64 bits
    Aarch64,
    /// Arm, 32 bits
    Arm,
    /// RISC-V, 64 bits
    Riscv64,
    /// RISC-V, 32 bits
    Riscv32,
    /// PowerPC, 64 bits, big endian
    Powerpc64,
    /// IBM Z
    S390x,
}

/// A name that C and assembler take.
fn identifier(text: &str) -> Result<String, String> {
    let starts = text.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_');
    if starts && text.chars().all(|char| char.is_ascii_alphanumeric() || char == '_') {
        Ok(text.to_owned())
    } else {
        Err("expected letters, digits and _, and no digit first".to_owned())
    }
}

/// What `--help` says at the end.
pub const HELP: &str = "\
Example, boot.toml:
  format = \"x86_64\"
  base = \"1M\"
  features = [\"SIGN_EXTEND\"]
  [[map]]
  va = \"0xffff800000000000\"
  pa = 0
  len = \"4G\"
  prot = \"rw\"

  genpt build boot.toml -o boot.img && genpt dump boot.img

The same as CSV has a header va,pa,len,prot; what the tables are is then said by options. A protection has the letters r, w and \
x, u for memory that is not cached, m for device registers, s for the supervisor alone, n for what nobody may execute. A letter that \
changes nothing in the format is told on standard error. A mapping can also have `pages`, the largest page to use.

Pages are for users, too, unless the protection has s: then a kernel with SMEP or SMAP, or without SUM, can use them as its own. \
Most formats take execution away without x; x86_64 does so with n alone (XD, for which EFER.NXE has to be set).

Exit status: 0 done; 1 something cannot be read or written; 2 the specification or the arguments are wrong.";
