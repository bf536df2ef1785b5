//! What every command takes that says what tables are.

use super::Options;
use crate::args::format_names;
use crate::number;
use clap::Args;

/// What the tables are, but for where. What is not said here, a manifest or a specification says.
#[derive(Debug, Args)]
pub struct TableArgs {
    /// Format of the tables (`genpt formats` lists them) [default: that of the manifest, or of the specification]
    #[arg(short, long, value_name = "NAME", value_parser = format_names(), hide_possible_values = true)]
    pub format: Option<String>,

    /// VA bits of the tables [default: the usual ones of the format]
    #[arg(long, value_name = "N")]
    pub va_bits: Option<u32>,

    /// Output address bits [default: the most that the format has]
    #[arg(long, value_name = "N")]
    pub oa_bits: Option<u32>,

    /// Features of the tables beside those that the format forces (`genpt formats NAME` lists them); `''` for none [default: the usual
    /// ones]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub features: Option<Vec<String>>,

    /// A number of the format's own configuration, such as `top_level=4`
    #[arg(short, long = "set", value_name = "KEY=NUMBER", value_parser = number::setting)]
    pub settings: Vec<(String, u64)>,
}

impl TableArgs {
    /// What was said about the tables.
    pub fn options(&self) -> Options {
        Options {
            va_bits: self.va_bits,
            oa_bits: self.oa_bits,
            features: self
                .features
                .as_ref()
                .map(|names| names.iter().filter(|name| !name.is_empty()).cloned().collect()),
            settings: self.settings.clone(),
            ..Options::default()
        }
    }
}
