//! What `genpt draw` takes.

use crate::human;
use crate::inspect::args::{ImageArgs, LimitArgs};
use crate::number::AddressRange;
use crate::status::{self, Failure};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `genpt draw`.
#[derive(Debug, Args)]
pub struct DrawArgs {
    /// Image: raw memory, ELF core file, LiME dump, or output of `genpt build`
    #[arg(value_name = "IMAGE")]
    pub image: PathBuf,

    /// Where to write the drawing
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,

    /// What to write [default: by the ending: .svg a picture, .html or none a page]
    #[arg(short, long, value_enum)]
    pub emit: Option<Emit>,

    /// What stands above it [default: the name of the image]
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,

    /// Only what is mapped in this range: A..=B, A+LENGTH or an address
    #[arg(long, value_name = "RANGE")]
    pub va: Option<AddressRange>,

    /// Only what goes to this physical range
    #[arg(long, value_name = "RANGE")]
    pub pa: Option<AddressRange>,

    /// Only what has these fields, or has not those with `!` before the name
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    pub has: Vec<String>,

    /// Fields that do not separate runs, and are not shown as attributes, such as accessed bits
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    pub ignore: Vec<String>,

    /// What the image is.
    #[command(flatten)]
    pub source: ImageArgs,

    /// How long.
    #[command(flatten)]
    pub limit: LimitArgs,
}

/// What is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Emit {
    /// A page to look around in
    Html,
    /// A picture, for printing and documents
    Svg,
}

impl DrawArgs {
    /// What is written, as asked for or by the ending of the name; without an ending a page.
    ///
    /// # Errors
    /// [`status::USAGE`] for an ending of something else.
    pub fn emit(&self) -> Result<Emit, Failure> {
        let ending = self.output.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        match (self.emit, ending.as_deref()) {
            (Some(emit), _) => Ok(emit),
            (None, Some("svg")) => Ok(Emit::Svg),
            (None, None | Some("html" | "htm")) => Ok(Emit::Html),
            (None, Some(_)) => {
                let name = human::file(&self.output);
                let hint = ".html is a page, .svg a picture; or say `--emit`";
                Err(Failure::new(status::USAGE, format!("{name}: no drawing has such an ending"), hint))
            }
        }
    }
}

/// What `--help` says at the end.
pub const HELP: &str = "\
Examples:
  genpt draw tables.img -o tables.html
  genpt draw memory.elf --format x86_64 --features SIGN_EXTEND --ignore A,D --va 0xffff800000000000..=0xffffffffffffffff -o kernel.svg

What `genpt check` finds stands out in the drawing, and is listed below it.

Exit status: 0 done; 1 the image cannot be read, or the drawing cannot be written; 2 wrong arguments; 5 there is more than \
--limit allows, and the drawing has what was looked at.";
