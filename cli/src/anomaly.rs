//! What is odd in a trace, or in how a table took it.

use serde::Serialize;

/// What kind of oddity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A map over bytes that are live. It is not applied: a table refuses it with EADDRINUSE.
    DoubleMap,
    /// An unmap of bytes that are not live, where the trace shows that nothing was mapped.
    UnmapOfNothing,
    /// The traced table removed more or less than it was asked for.
    UnmapSizeInTrace,
    /// This table removed more or less than the traced one.
    UnmapSizeInTable,
    /// This table refused a map: address or page size do not fit.
    Refused,
}

impl Kind {
    /// All kinds, in the order of reports.
    pub const ALL: [Self; 5] =
        [Self::DoubleMap, Self::UnmapOfNothing, Self::UnmapSizeInTrace, Self::UnmapSizeInTable, Self::Refused];

    /// What it is called in a report.
    pub fn label(self) -> &'static str {
        match self {
            Self::DoubleMap => "double map (not applied)",
            Self::UnmapOfNothing => "unmap of nothing",
            Self::UnmapSizeInTrace => "traced unmap removed more/less",
            Self::UnmapSizeInTable => "this unmap removed more/less",
            Self::Refused => "refused maps",
        }
    }

    /// Whether it depends on the format, not on the trace alone.
    pub fn is_of_format(self) -> bool {
        matches!(self, Self::UnmapSizeInTable | Self::Refused)
    }
}

/// One oddity.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Anomaly {
    /// What kind.
    pub kind: Kind,
    /// Line number in the trace, from 1.
    pub line: u64,
    /// Where and why, in words.
    pub text: String,
}

impl Anomaly {
    /// An oddity at a line.
    pub fn new(kind: Kind, line: u64, text: String) -> Self {
        Self { kind, line, text }
    }
}
