//! An image with what its tables are: where every inspection begins.

use super::InspectError;
use super::args::ImageArgs;
use super::runs::{Needed, Wanted};
use super::scan::ItemAt;
use crate::decode::{Attributes, Decoder, Options};
use crate::formats::{FORMATS, FormatRow, Register};
use crate::human::printable;
use crate::image::{Cpu, Image, Place};
use crate::number::Hex;
use crate::style::{self, styled};
use generic_pt::lg2;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// Tables in an image.
pub struct Source {
    /// The image.
    pub image: Image,
    /// How its tables are read.
    pub decoder: Box<dyn Decoder>,
    /// Physical address of the top table.
    pub root: u64,
}

impl Source {
    /// Opens an image; what the arguments do not say comes from its manifest or its notes.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn open(path: &Path, args: &ImageArgs) -> Result<Self, InspectError> {
        Self::open_at(path, args, None)
    }

    /// The same with another root, if one is given.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn open_at(path: &Path, args: &ImageArgs, root: Option<Hex>) -> Result<Self, InspectError> {
        let mut image = Image::open(path, args.base.map(|base| base.0))?;
        let is_rooted = root.or(args.root).is_some() || !image.cpus.is_empty();
        match image.no_manifest.take() {
            // Nobody is left to hear of it if standard error is closed.
            Some(error) if args.tables.format.is_some() && is_rooted => {
                let text = printable(&error.to_string());
                let _ = writeln!(anstream::stderr(), "{} {text}; it is not used", styled(style::ODD, "warning:"));
            }
            Some(error) => return Err(error),
            None => {}
        }
        let name = || image.name.clone();
        let manifest = image.manifest.as_ref();
        let format = args.tables.format.as_deref().or(manifest.map(|manifest| manifest.format.as_str()));
        let format = format.ok_or_else(|| InspectError::NoFormat { name: name() })?;
        let Some(row) = FORMATS.iter().find(|row| row.name == format) else {
            return Err(InspectError::ManifestFormat { name: name(), format: format.to_owned() });
        };
        // A manifest is about its own format only.
        let manifest = manifest.filter(|manifest| manifest.format == row.name);
        let said = args.options().or(manifest.map(Options::of).unwrap_or_default());
        let (root, options) = match root.or(args.root).or(manifest.map(|manifest| manifest.root)) {
            Some(Hex(root)) => (root, said),
            None => {
                if let Some(other) = image.manifest.as_ref().filter(|_| image.cpus.is_empty()) {
                    let (name, manifest) = (name(), other.format.clone());
                    return Err(InspectError::ManifestOfOthers { name, format: row.name, manifest });
                }
                let (root, cpu) = one_root(&image, row)?;
                (root, said.or(Options::of_cpu(cpu)))
            }
        };
        let decoder = (row.decoder)(&options)?;
        let source = Self { image, decoder, root };
        source.check_root()?;
        source.warn_of_cut();
        Ok(source)
    }

    /// Whether a leaf, with what the pointers on the way say, says all that is needed: by its attributes, which are also fields of
    /// these pointers; by those of its own fields that are none, as they say what it is.
    pub fn says(&self, at: &ItemAt, attributes: &Attributes, needed: &[Needed]) -> bool {
        let shape = self.decoder.shape();
        let (level, raw) = (at.table.level, at.table.inherited.applied(at.item.raw));
        needed.iter().all(|needed| {
            let info = &shape.fields[needed.field];
            let applies = info.scope.allows(shape.features) && info.scope.contains(level, shape.kind(level, &at.item));
            let is_attribute = attributes.fields.iter().any(|value| value.field == needed.field);
            (is_attribute || applies && info.get(raw) != 0) == (needed.wanted == Wanted::Set)
        })
    }

    /// Says that the file is cut off, also if all tables are in what is left: a mapping may lead behind it, and whoever looks at
    /// the file believes it to be whole.
    fn warn_of_cut(&self) {
        if let Some(cut_off) = self.image.cut_off {
            let text = format!("{}: {}", self.image.name, cut_off.words());
            // Nobody is left to hear of it if standard error is closed.
            let _ = writeln!(anstream::stderr(), "{} {text}", styled(style::ODD, "warning:"));
        }
    }

    /// That the results of the image count: all that was looked at could be read. Of memory that the file tells differently at two
    /// places standard error says so.
    ///
    /// # Errors
    /// [`InspectError::Unreadable`].
    pub fn conclude(&self) -> Result<(), InspectError> {
        self.image.readable()?;
        if let Some(pa) = self.image.difference() {
            let text = format!("{}: {}", self.image.name, told_differently(pa));
            // Nobody is left to hear of it if standard error is closed.
            let _ = writeln!(anstream::stderr(), "{} {text}", styled(style::ODD, "warning:"));
        }
        Ok(())
    }

    fn check_root(&self) -> Result<(), InspectError> {
        let shape = self.decoder.shape();
        let (root, level) = (self.root, shape.top_level());
        let align_lg2 = shape.levels[level as usize].align_lg2;
        if !lg2::is_aligned(root, align_lg2) {
            return Err(InspectError::RootMisaligned { root, bytes: 1 << align_lg2 });
        }
        let bytes = shape.table_bytes(level);
        if !self.image.has(root, bytes) {
            let name = self.image.name.clone();
            let hint = match (self.image.cut_off, self.image.place) {
                (Some(cut_off), _) => cut_off.words(),
                (None, Place::Assumed) => "raw memory begins at 0 unless `--base` says where",
                (None, Place::Said) => "`--root` is a physical address",
            };
            return Err(InspectError::RootOutside { name, root, bytes, segments: segments(&self.image), hint });
        }
        Ok(())
    }
}

/// Most roots that a message names.
const SHOWN_ROOTS: usize = 8;

/// Of memory at an address that the file tells twice.
pub fn told_differently(pa: u64) -> String {
    format!("the file tells the memory at {pa:#x} twice, and differently: the segment that begins first counts")
}

/// The root that all CPUs in the notes use, as the format's top pointer can hold it, and one of these CPUs.
fn one_root(image: &Image, row: &FormatRow) -> Result<(u64, Cpu), InspectError> {
    let name = image.name.clone();
    let roots: BTreeMap<u64, Cpu> = image.cpus.iter().map(|cpu| (cpu.cr3 & row.top_pa_mask, *cpu)).collect();
    let first = roots.iter().next().ok_or_else(|| InspectError::NoRoot { name: name.clone() })?;
    if !row.roots.contains(&Register::Cr3) {
        return Err(InspectError::RootOfOthers { name, format: row.name });
    }
    if roots.len() > 1 {
        let shown = roots.keys().take(SHOWN_ROOTS).map(|root| format!("{root:#x}")).collect::<Vec<_>>().join(", ");
        let more = roots.len().saturating_sub(SHOWN_ROOTS);
        let roots = if more > 0 { format!("{shown} and {more} more") } else { shown };
        return Err(InspectError::ManyRoots { name, roots });
    }
    Ok((*first.0, *first.1))
}

/// Most segments that a message names.
const SHOWN_SEGMENTS: usize = 4;

/// The memory of an image, in words.
fn segments(image: &Image) -> String {
    let all = image.segments();
    let shown = all.iter().take(SHOWN_SEGMENTS).map(|segment| format!("{:#x}..={:#x}", segment.pa, segment.last()));
    let more = all.len().saturating_sub(SHOWN_SEGMENTS);
    let tail = (more > 0).then(|| format!("{more} more"));
    shown.chain(tail).collect::<Vec<_>>().join(", ")
}
