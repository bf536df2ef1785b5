//! What is to be built: a list of mappings, and what the tables are.

use super::BuildError;
use super::narrow::Narrowing;
use crate::decode::Options;
use crate::human;
use crate::number::Hex;
use crate::regular_file::no_directory;
use generic_pt::Prot;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A specification, as a TOML or JSON file has it; a CSV file has the mappings only.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a specification with `map`")]
pub struct Spec {
    /// Format.
    pub format: Option<String>,
    /// Physical address of the first byte of the tables.
    pub base: Option<Hex>,
    /// VA bits.
    pub va_bits: Option<u32>,
    /// Output address bits.
    pub oa_bits: Option<u32>,
    /// Features beside those that the format forces.
    pub features: Option<Vec<String>>,
    /// The format's own configuration.
    #[serde(default)]
    pub config: BTreeMap<String, Hex>,
    /// What to map, in this order.
    #[serde(default)]
    pub map: Vec<Mapping>,
}

/// A range to map.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping with `va`, `pa` and `len`")]
pub struct Mapping {
    /// Its first VA.
    pub va: Hex,
    /// Where that goes.
    pub pa: Hex,
    /// Bytes.
    #[serde(alias = "size")]
    pub len: Hex,
    /// What it permits.
    #[serde(default)]
    pub prot: Permission,
    /// The largest page to use; by default what fits.
    #[serde(default)]
    pub pages: Option<Hex>,
}

/// A protection in letters: r, w and x; u for memory that is not cached; m for device registers; s for what users may not use; n for
/// what nobody may execute. By default `rw`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Permission(BTreeSet<char>);

/// The letters of a protection.
pub const LETTERS: [char; 7] = ['r', 'w', 'x', 'u', 'm', 's', 'n'];

impl Permission {
    /// Whether it has a letter.
    pub fn has(&self, letter: char) -> bool {
        self.0.contains(&letter)
    }

    /// All of its letters, as `rw`.
    pub fn letters(&self) -> String {
        LETTERS.into_iter().filter(|letter| self.has(*letter)).collect()
    }

    /// What the pages are not to permit, which the library's protections do not say.
    pub fn narrowings(&self) -> Vec<Narrowing> {
        Narrowing::ALL.into_iter().filter(|(letter, _)| self.has(*letter)).map(|(_, narrowing)| narrowing).collect()
    }

    /// What the library maps with.
    pub fn prot(&self) -> Prot {
        prot_of(self.0.iter().copied())
    }
}

/// The protection that letters say; those that there are not say nothing.
pub fn prot_of(letters: impl Iterator<Item = char>) -> Prot {
    letters.fold(Prot::CACHE | Prot::NOEXEC, |prot, letter| match letter {
        'r' => prot | Prot::READ,
        'w' => prot | Prot::WRITE,
        'x' => prot - Prot::NOEXEC,
        'u' => prot - Prot::CACHE,
        'm' => (prot | Prot::MMIO) - Prot::CACHE,
        _ => prot,
    })
}

impl Default for Permission {
    fn default() -> Self {
        Self(BTreeSet::from(['r', 'w']))
    }
}

impl TryFrom<String> for Permission {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let letters: BTreeSet<char> = text.chars().filter(|letter| *letter != '-').collect();
        if !letters.iter().all(|letter| LETTERS.contains(letter)) {
            return Err(format!(
                "`{text}`: a protection has the letters r, w, x, u (not cached), m (device), s (supervisor) and n (never \
                 executed)"
            ));
        }
        if letters.contains(&'x') && letters.contains(&'n') {
            return Err(format!("`{text}`: x is to be executed, n never is"));
        }
        Ok(Self(letters))
    }
}

impl Spec {
    /// Reads a specification: by the name's ending JSON, CSV, or else TOML.
    ///
    /// # Errors
    /// [`BuildError::Read`] and [`BuildError::Syntax`].
    pub fn read(path: &Path) -> Result<Self, BuildError> {
        let name = human::file(path);
        let kind = std::fs::metadata(path).and_then(|facts| no_directory(facts.file_type()));
        let text = kind.and_then(|()| std::fs::read_to_string(path));
        let text = text.map_err(|cause| BuildError::Read { name: name.clone(), cause })?;
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        let parsed = match ending.as_str() {
            "json" => serde_json::from_str(&text).map_err(|error| error.to_string()),
            "csv" => {
                check_header(&text).map_err(|what| BuildError::Header { name: name.clone(), what })?;
                Self::of_csv(&text)
            }
            _ => toml::from_str(&text).map_err(|error| on_one_line(&error)),
        };
        parsed.map_err(|what| BuildError::Syntax { name, what })
    }

    fn of_csv(text: &str) -> Result<Self, String> {
        let mut rows = csv_reader(text);
        let map = rows.deserialize().collect::<Result<_, _>>().map_err(|error| in_words(&error))?;
        Ok(Self { map, ..Self::default() })
    }

    /// What it says about the tables.
    pub fn options(&self) -> Options {
        Options {
            va_bits: self.va_bits,
            oa_bits: self.oa_bits,
            features: self.features.clone(),
            settings: self.config.iter().map(|(key, value)| (key.clone(), value.0)).collect(),
            ..Options::default()
        }
    }
}

/// Whether a CSV file begins with names of columns: without them its first mapping would be taken for such.
///
/// # Errors
/// What is there instead.
fn check_header(text: &str) -> Result<(), String> {
    let mut rows = csv_reader(text);
    let header = rows.headers().map_err(|error| in_words(&error))?;
    if header.is_empty() {
        return Err("it is empty".to_owned());
    }
    match header.iter().find(|name| !COLUMNS.contains(name)) {
        Some(name) => Err(format!("`{name}` is no name of a column")),
        None => Ok(()),
    }
}

/// Columns that a CSV file can have.
pub const COLUMNS: [&str; 6] = ["va", "pa", "len", "size", "prot", "pages"];

fn csv_reader(text: &str) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().trim(csv::Trim::All).comment(Some(b'#')).from_reader(text.as_bytes())
}

/// Where an error of CSV is, and what is wrong there.
fn in_words(error: &csv::Error) -> String {
    let line = error.position().map_or(String::new(), |position| format!("line {}: ", position.line()));
    match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => format!("{line}{}", err.kind()),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{line}it has {}, the first line {expected_len}", human::count(*len, "column"))
        }
        _ => format!("{line}{error}"),
    }
}

/// Where an error of TOML is, and what is wrong there; not the lines around it.
fn on_one_line(error: &toml::de::Error) -> String {
    let text = error.to_string();
    let place = text.lines().next().unwrap_or_default();
    let what = error.message().lines().collect::<Vec<_>>().join(", ");
    if place == what { what } else { format!("{place}: {what}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_csv() {
        let spec = Spec::of_csv("va, pa, len, prot\n# RAM\n0x1000, 4096, 4K, rx\n2M,0,2M,m\n").unwrap();
        let prots: Vec<Prot> = spec.map.iter().map(|mapping| mapping.prot.prot()).collect();
        assert_eq!(prots, [Prot::READ | Prot::CACHE, Prot::MMIO | Prot::NOEXEC]);
        assert_eq!((spec.map[0].pa, spec.map[1].va, spec.map[1].len), (Hex(0x1000), Hex(2 << 20), Hex(2 << 20)));
        assert!(Spec::of_csv("va,pa,len,prot\n0,0,4K,q\n").unwrap_err().contains("r, w, x"));
        assert!(Spec::of_csv("va,pa\n0,0\n").unwrap_err().contains("len"));
    }
}
