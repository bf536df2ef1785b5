//! What a table is, as the user says it: names and numbers, to a format's configuration.

use crate::formats::Shape;
use crate::image::{Cpu, Manifest};
use crate::inspect::InspectError;
use crate::table::feature_names;
use generic_pt::Features;
use generic_pt::format::{Description, TableConfig};
use generic_pt::settings::Settings;

/// What was said about a table; what was not is the usual of the format.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// VA bits.
    pub va_bits: Option<u32>,
    /// Output address bits.
    pub oa_bits: Option<u32>,
    /// Features beside those that the format forces; `None` for the usual ones.
    pub features: Option<Vec<String>>,
    /// Fields of the format's own configuration; for arrays with an index, as in `key[1]`.
    pub settings: Vec<(String, u64)>,
    /// Level of the top, if it has grown.
    pub top_level: Option<u32>,
    /// Whose tables they are, where features are not said.
    pub user: User,
}

/// Who walks tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum User {
    /// Not said.
    #[default]
    Any,
    /// A CPU: there is an upper half, if the format can have one.
    Cpu,
}

impl Options {
    /// What a manifest says.
    pub fn of(manifest: &Manifest) -> Self {
        let one = |(key, values): (&String, &Vec<crate::number::Hex>)| {
            let many = values.len() > 1;
            let name = move |n: usize, key: &str| if many { format!("{key}[{n}]") } else { key.to_owned() };
            values.iter().enumerate().map(|(n, value)| (name(n, key), value.0)).collect::<Vec<_>>()
        };
        Self {
            va_bits: Some(manifest.va_bits),
            oa_bits: Some(manifest.oa_bits),
            features: Some(manifest.features.clone()),
            settings: manifest.config.iter().flat_map(one).collect(),
            top_level: Some(manifest.top_level),
            user: User::Any,
        }
    }

    /// What the state of a CPU says of the tables that it uses.
    pub fn of_cpu(cpu: Cpu) -> Self {
        Self { va_bits: cpu.va_bits, user: User::Cpu, ..Self::default() }
    }

    /// These, and where they say nothing the others.
    pub fn or(self, other: Self) -> Self {
        let mut settings = other.settings;
        // Later ones win.
        settings.extend(self.settings);
        Self {
            va_bits: self.va_bits.or(other.va_bits),
            oa_bits: self.oa_bits.or(other.oa_bits),
            features: self.features.or(other.features),
            settings,
            top_level: self.top_level.or(other.top_level),
            user: if self.user == User::Any { other.user } else { self.user },
        }
    }
}

/// The configuration that the options say.
///
/// # Errors
/// [`InspectError::Feature`], [`InspectError::Setting`] and [`InspectError::Value`].
pub fn table_config<F: Description>(
    shape: &Shape<F::Config>,
    options: &Options,
) -> Result<TableConfig<F::Config>, InspectError> {
    let mut features = F::FORCED;
    match &options.features {
        None if options.user == User::Cpu => features |= shape.features | (Features::SIGN_EXTEND & F::SUPPORTED),
        None => features |= shape.features,
        Some(names) => {
            for name in names {
                features |= feature::<F>(name)?;
            }
        }
    }
    let va_bits = shape.choose_va_bits(options.va_bits, 0);
    let mut format = (shape.config)(va_bits);
    for (key, value) in &options.settings {
        set::<F>(&mut format, key, *value)?;
    }
    let oa_bits = options.oa_bits.unwrap_or(F::GEOMETRY.max_oa_lg2);
    Ok(TableConfig { features, hw_max_vasz_lg2: va_bits, hw_max_oasz_lg2: oa_bits, format })
}

/// A feature by its name.
fn feature<F: Description>(name: &str) -> Result<Features, InspectError> {
    let all = Features::COMMON_NAMES.iter().chain(F::OWN_FEATURES);
    let supported = |feature: &Features| F::SUPPORTED.contains(*feature) || *feature == Features::FULL_VA;
    let found = all.filter(|(_, feature)| supported(feature)).find(|(known, _)| known.eq_ignore_ascii_case(name));
    // That a table spans all 64 bits is found out, not asked for.
    found.map(|(_, feature)| *feature & F::SUPPORTED).ok_or_else(|| InspectError::Feature {
        format: F::NAME,
        name: name.to_owned(),
        valid: or_nothing(feature_names::<F>(F::SUPPORTED).join(", ")),
    })
}

/// Sets one field of the format's own configuration.
fn set<F: Description>(config: &mut F::Config, key: &str, value: u64) -> Result<(), InspectError> {
    let (name, n) = match key.strip_suffix(']').and_then(|key| key.split_once('[')) {
        Some((name, n)) => (name, n.parse().ok()),
        None => (key, Some(0)),
    };
    let fields = F::Config::FIELDS;
    let at = fields.iter().position(|field| field.name == name);
    let field = at.and_then(|at| config.setting_mut(at));
    let (Some(field), Some(n)) = (field, n) else {
        let valid = or_nothing(fields.iter().map(|field| field.name).collect::<Vec<_>>().join(", "));
        return Err(InspectError::Setting { format: F::NAME, key: key.to_owned(), valid });
    };
    field.set(n, value).map_err(|cause| InspectError::Value { format: F::NAME, key: key.to_owned(), cause })
}

fn or_nothing(list: String) -> String {
    if list.is_empty() { "none".to_owned() } else { list }
}
