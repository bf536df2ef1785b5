//! What can go wrong when a trace is replayed, or operations are measured, told so that the user can act.

use crate::setup::setup_help;
use crate::status::Hinted;
use generic_pt::Error;
use thiserror::Error as ThisError;

/// A format into which a trace cannot be replayed, or whose operations cannot be measured.
#[derive(Debug, ThisError)]
pub enum ReplayError {
    /// No table of the format can be made as asked.
    #[error("{format}: no table can be made with {va_bits} VA bits: {cause}")]
    Setup {
        /// The format.
        format: &'static str,
        /// The VA bits.
        va_bits: u32,
        /// Why.
        cause: generic_pt::Error,
    },
    /// The table does not translate as the trace says.
    #[error("{format}, line {line}: the table differs from the trace: {difference}")]
    Differs {
        /// The format.
        format: &'static str,
        /// The line after which it was found; the last one for the check at the end.
        line: u64,
        /// Where, and how.
        difference: String,
    },
    /// Operations on a table did not do what they should.
    #[error("{format}, {va_bits} VA bits: {found}")]
    Operation {
        /// The format.
        format: &'static str,
        /// The VA bits.
        va_bits: u32,
        /// What they did.
        found: String,
    },
}

impl Hinted for ReplayError {
    fn hint(&self) -> String {
        match self {
            Self::Setup { cause: Error::OutOfMemory { .. }, .. } => {
                "each domain has a table: `--table-memory` of `genpt replay` allows more".to_owned()
            }
            Self::Setup { format, cause, .. } => setup_help(format, cause),
            Self::Differs { .. } => "that is a fault of genpt: please report it with the trace".to_owned(),
            Self::Operation { .. } => "that is a fault of genpt: please report it with the command".to_owned(),
        }
    }
}
