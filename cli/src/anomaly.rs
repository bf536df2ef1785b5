//! What is odd in a trace, or in how a table took it.

use serde::{Serialize, Serializer};

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

/// Oddities of each kind that are kept with their texts; a trace can have one on each of millions of lines.
pub const MOST_TOLD: u64 = 1000;

/// Oddities: all are counted, and the first of each kind are kept.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Anomalies {
    /// Number of each kind.
    #[serde(rename = "anomaly_counts", serialize_with = "by_kind")]
    counts: [u64; Kind::ALL.len()],
    /// The first [`MOST_TOLD`] of each kind, in line order.
    #[serde(rename = "anomalies")]
    first: Vec<Anomaly>,
    /// Unmaps of nothing, of what was never mapped in the trace: it may have begun in the middle.
    #[serde(skip)]
    pub never_mapped: u64,
}

impl Anomalies {
    /// Adds an oddity behind those that there are; its text is made only if it is kept.
    pub fn add(&mut self, kind: Kind, line: u64, text: impl FnOnce() -> String) {
        let count = &mut self.counts[kind as usize];
        *count += 1;
        if *count <= MOST_TOLD {
            self.first.push(Anomaly { kind, line, text: text() });
        }
    }

    /// Adds those of others, on whatever lines.
    pub fn merge(&mut self, others: &Self) {
        for (count, more) in self.counts.iter_mut().zip(others.counts) {
            *count += more;
        }
        self.never_mapped += others.never_mapped;
        self.first.extend_from_slice(&others.first);
        self.first.sort_by_key(|anomaly| anomaly.line);
        let mut kept = [0; Kind::ALL.len()];
        self.first.retain(|anomaly| {
            let kept = &mut kept[anomaly.kind as usize];
            *kept += 1;
            *kept <= MOST_TOLD
        });
    }

    /// How many there are of a kind.
    pub fn count(&self, kind: Kind) -> u64 {
        self.counts[kind as usize]
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The first of each kind, in line order.
    pub fn first(&self) -> &[Anomaly] {
        &self.first
    }
}

fn by_kind<S: Serializer>(counts: &[u64; Kind::ALL.len()], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(Kind::ALL.iter().map(|kind| (kind, counts[*kind as usize])))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of two domains are as those of one: of each kind the first, whichever came first.
    #[test]
    fn the_first_of_each_kind_are_kept() {
        let mut domains = [Anomalies::default(), Anomalies::default()];
        for line in 0..4 * MOST_TOLD {
            domains[line as usize % 2].add(Kind::DoubleMap, line, || line.to_string());
        }
        domains[1].add(Kind::Refused, 7, || "7".to_owned());
        let mut all = Anomalies::default();
        domains.iter().for_each(|domain| all.merge(domain));
        assert_eq!((all.count(Kind::DoubleMap), all.count(Kind::Refused), all.total()), (4000, 1, 4001));
        let lines = |kind| all.first().iter().filter(move |anomaly| anomaly.kind == kind).map(|anomaly| anomaly.line);
        assert!(lines(Kind::DoubleMap).eq(0..MOST_TOLD) && lines(Kind::Refused).eq([7]));
        assert!(all.first().is_sorted_by_key(|anomaly| anomaly.line));
    }
}
