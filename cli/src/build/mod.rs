//! `genpt build`: tables from a list of mappings, for firmware and hypervisors.

pub mod args;
mod error;
mod files;
mod implied;
mod letters;
mod narrow;
mod output;
mod reach;
mod refusal;
mod spec;
mod tables;

pub use error::BuildError;
pub use tables::{Built, Plan, build};

use crate::formats::FORMATS;
use crate::human;
use crate::image::{Contents, Manifest};
use crate::same_file::is_same_file;
use crate::status::{self, Failure};
use crate::style::{self, styled};
use args::BuildArgs;
use files::{behind_links, write_both};
use spec::Spec;
use std::io::{self, Write};
use std::path::Path;

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        let code = match error {
            BuildError::Read { .. } | BuildError::Write { .. } | BuildError::Elf(_) => status::INPUT,
            _ => status::USAGE,
        };
        Self::of(code, &error)
    }
}

/// `genpt build`.
///
/// # Errors
/// An exit status and a message.
pub fn run(args: &BuildArgs) -> Result<u8, Failure> {
    let spec = Spec::read(&args.spec)?;
    let name = args.tables.format.as_deref().or(spec.format.as_deref()).ok_or(BuildError::NoFormat)?;
    let row = FORMATS.iter().find(|row| row.name == name);
    let row = row.ok_or_else(|| BuildError::Format { name: name.to_owned() })?;
    let base = args.base.or(spec.base).unwrap_or_default().0;
    let options = args.tables.options().or(spec.options());
    let mut built = (row.build)(&Plan { spec: &spec, options, base, most_bytes: args.memory.0 })?;
    let contents = args.emit.unwrap_or_else(|| contents_of(&args.output));
    let bytes = match contents {
        Contents::Raw => built.bytes.clone(),
        Contents::Elf => output::object(&built, &args.symbol, args.arch.unwrap_or(row.arch))?,
        Contents::C => output::c(&built, &args.symbol).into_bytes(),
        Contents::Asm => output::assembler(&built, &args.symbol).into_bytes(),
    };
    let manifest_path = Manifest::path_of(&args.output);
    for path in [&args.output, &manifest_path] {
        if is_same_file(path, &args.spec) {
            return Err(BuildError::Overwrites { name: human::file(path), what: "the specification" }.into());
        }
    }
    if is_same_file(&args.output, &manifest_path) {
        return Err(BuildError::Overwrites { name: human::file(&manifest_path), what: "the image" }.into());
    }
    // What the user keeps under the manifest's name is not for us to overwrite.
    if manifest_path.exists() && !Manifest::beside(&args.output).is_ok_and(|manifest| manifest.is_some()) {
        return Err(BuildError::NoManifest { name: human::file(&manifest_path) }.into());
    }
    let place = behind_links(&args.output);
    if is_manifest(&place) {
        let name = human::file(&args.output);
        return Err(BuildError::Overwrites { name, what: "the manifest of another image" }.into());
    }
    // It would lie beside the manifest of other tables.
    let other = Manifest::path_of(&place);
    if other.exists() && !is_same_file(&other, &manifest_path) {
        let name = human::file(&args.output);
        return Err(BuildError::Overwrites { name, what: "a link to an image with a manifest of its own" }.into());
    }
    built.manifest.contents = contents;
    let manifest = status::json(&built.manifest)?;
    write_both(&args.output, &bytes, &manifest_path, (manifest + "\n").as_bytes())?;
    let warnings = built.ignored.iter().map(ToString::to_string);
    for warning in warnings.chain(built.read_anyway.iter().map(ToString::to_string)) {
        // Nobody is left to hear of it if standard error is closed.
        let _ = writeln!(anstream::stderr(), "{} {warning}", styled(style::ODD, "warning:"));
    }
    status::written(io::stdout().write_all(text(&built).as_bytes()))?;
    Ok(status::OK)
}

/// Whether a file is the manifest of the image whose name it has without `.json`.
fn is_manifest(path: &Path) -> bool {
    let is_named_so = path.extension().is_some_and(|ending| ending == "json");
    is_named_so && Manifest::beside(&path.with_extension("")).is_ok_and(|manifest| manifest.is_some())
}

/// What a file of this name is to be.
fn contents_of(path: &Path) -> Contents {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("o") => Contents::Elf,
        Some("c" | "h") => Contents::C,
        Some("s" | "S") => Contents::Asm,
        _ => Contents::Raw,
    }
}

/// What was built, in text: where it is, and what to program.
fn text(built: &Built) -> String {
    let Manifest { format, base, bytes, root, top_level, registers, .. } = &built.manifest;
    let size = human::bytes(bytes.0);
    let mut out = format!("{format}: {size} of tables at {base}, top of level {top_level} at {root}\n");
    for register in registers {
        let values = register.values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let meaning = register.documentation.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        out += &format!("  {} = {values}  {meaning}\n", register.name);
    }
    out
}
