//! The results of a replay, as `--json` prints them.

use crate::anomaly::Anomalies;
use crate::counting::TablePages;
use crate::human;
use crate::policies::PolicyCounts;
use crate::samples::{TableSamples, TraceSamples};
use crate::summary::{Scope, Summary};
use crate::table::Leaves;
use crate::timing::ReplayTimes;
use crate::trace::{Start, Trace};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// Bytes of a page where live pages are counted, whatever the page sizes of a format.
pub const PAGE_BYTES: u64 = 4096;

/// All about one trace.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The trace.
    pub trace: TraceReport,
    /// By the name of the format.
    #[serde(serialize_with = "by_name")]
    pub formats: Vec<FormatReport>,
    /// Formats that could not be set up as asked: name and reason.
    pub not_replayed: BTreeMap<String, String>,
}

/// The text of a trace.
#[derive(Debug, Serialize)]
pub struct TraceReport {
    /// Where it came from.
    pub name: String,
    /// Lines in it.
    pub lines: u64,
    /// Whether it begins with nothing mapped, or in the middle.
    pub begins: &'static str,
    /// If it begins in the middle: the first line from which on no event is missing.
    pub complete_from_line: Option<u64>,
    /// If the text shows that events are missing: the line before which they are, whatever `--start` says.
    pub events_missing_before_line: Option<u64>,
    /// Events that the kernel says are lost.
    pub lost_events: u64,
    /// Events of other kinds, by name.
    pub other_events: BTreeMap<String, u64>,
    /// Lines that were not understood and skipped.
    pub malformed_lines: u64,
    /// Domain lines without event.
    pub unpaired_domain_lines: u64,
    /// Events without domain line, if the trace has any.
    pub events_without_domain: u64,
    /// Names of the domains.
    pub domains: Vec<String>,
    /// What was live over time.
    pub samples: TraceSamples,
}

impl TraceReport {
    /// About `trace`.
    pub fn new(trace: &Trace, summary: &Summary) -> Self {
        let (begins, complete_from_line) = match trace.start {
            Start::Empty => ("empty", None),
            Start::Middle { complete_from } => ("middle", Some(complete_from)),
        };
        Self {
            name: trace.name.clone(),
            lines: trace.lines,
            begins,
            complete_from_line,
            events_missing_before_line: trace.complete_from,
            lost_events: trace.lost_events,
            other_events: trace.other_events.clone(),
            malformed_lines: trace.malformed,
            unpaired_domain_lines: trace.unpaired_domain_lines,
            events_without_domain: trace.events_without_domain,
            domains: trace.domains.clone(),
            samples: summary.samples.clone(),
        }
    }
}

/// What a domain, or all together, had mapped. Pages are of 4 KiB.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct LiveReport {
    /// Map and unmap events.
    pub events: u64,
    /// Map events.
    pub maps: u64,
    /// Unmap events.
    pub unmaps: u64,
    /// Bytes mapped when most were.
    pub peak_live_bytes: u64,
    /// The same in pages.
    pub peak_live_pages: u64,
    /// Map events that were live then.
    pub maps_at_peak: u64,
    /// Most map events that were live at once, which may be at another time.
    pub peak_live_maps: u64,
    /// Line after which that was reached first.
    pub peak_line: u64,
    /// Bytes mapped at the end.
    pub end_live_bytes: u64,
    /// The same in pages.
    pub end_live_pages: u64,
    /// Map events that are live at the end.
    pub end_live_maps: u64,
    /// Unmaps of what was mapped before the trace began (or whose map is missing in it).
    pub unmaps_before_trace: u64,
    /// Bytes of them.
    pub bytes_before_trace: u64,
    /// Maps over what is live only because its unmap is missing.
    pub maps_over_lost_unmaps: u64,
}

impl LiveReport {
    /// How many events there were: `3 events: 2 maps, 1 unmap`.
    pub fn events_in_words(&self) -> String {
        let [events, maps, unmaps] = [(self.events, "event"), (self.maps, "map"), (self.unmaps, "unmap")]
            .map(|(number, noun)| human::count(number, noun));
        format!("{events}: {maps}, {unmaps}")
    }

    /// About `scope` of `trace`.
    pub fn new(scope: &Scope, trace: &Trace) -> Self {
        Self {
            events: scope.maps + scope.unmaps,
            maps: scope.maps,
            unmaps: scope.unmaps,
            peak_live_bytes: scope.peak.bytes,
            peak_live_pages: scope.peak.bytes.div_ceil(PAGE_BYTES),
            maps_at_peak: scope.peak.maps,
            peak_live_maps: scope.most_maps,
            peak_line: trace.events.get(scope.peak_event).map_or(0, |event| event.line),
            end_live_bytes: scope.end.bytes,
            end_live_pages: scope.end.bytes.div_ceil(PAGE_BYTES),
            end_live_maps: scope.end.maps,
            unmaps_before_trace: scope.counts.unmaps_before_trace,
            bytes_before_trace: scope.counts.bytes_before_trace,
            maps_over_lost_unmaps: scope.counts.maps_over_lost_unmaps,
        }
    }
}

/// A trace in one format.
#[derive(Debug, Serialize)]
pub struct FormatReport {
    /// Name of the format.
    pub format: &'static str,
    /// What it is.
    pub about: &'static str,
    /// VA bits of the tables.
    pub va_bits: u32,
    /// Output address bits.
    pub oa_bits: u32,
    /// Levels in use at the end, of the domain with most.
    pub levels: u32,
    /// Features in force.
    pub features: Vec<&'static str>,
    /// Page sizes in bytes.
    pub page_sizes: Vec<u64>,
    /// What was live.
    #[serde(flatten)]
    pub live: LiveReport,
    /// Most table pages there ever were, the tops too.
    pub peak_table_pages: u64,
    /// Bytes of them.
    pub peak_table_bytes: u64,
    /// Leaves at the live peak: size in bytes to number.
    pub leaves: Leaves,
    /// Leaves at the end.
    pub end_leaves: Leaves,
    /// Its tables over time.
    pub samples: TableSamples,
    /// What each policy invalidates.
    pub invalidations: PolicyCounts,
    /// Wall-clock time of an operation on this machine, ns.
    pub time_ns: ReplayTimes,
    /// Bytes of maps that the format refused.
    pub refused_bytes: u64,
    /// What is odd: how much of each kind, and the first of each.
    #[serde(flatten)]
    pub anomalies: Anomalies,
    /// Domain by domain.
    pub domains: Vec<DomainReport>,
}

impl FormatReport {
    /// What is known without replaying.
    pub fn new(format: &'static str, about: &'static str, va_bits: u32, trace: &Trace, summary: &Summary) -> Self {
        Self {
            format,
            about,
            va_bits,
            oa_bits: 0,
            levels: 0,
            features: Vec::new(),
            page_sizes: Vec::new(),
            live: LiveReport::new(&summary.total, trace),
            peak_table_pages: 0,
            peak_table_bytes: 0,
            leaves: Leaves::new(),
            end_leaves: Leaves::new(),
            samples: TableSamples::default(),
            invalidations: PolicyCounts::default(),
            time_ns: ReplayTimes::default(),
            refused_bytes: 0,
            anomalies: summary.anomalies.clone(),
            domains: Vec::new(),
        }
    }

    /// Sets the most table pages.
    pub fn set_tables(&mut self, tables: TablePages) {
        self.peak_table_pages = tables.pages;
        self.peak_table_bytes = tables.bytes;
    }
}

/// One domain in one format.
#[derive(Debug, Serialize)]
pub struct DomainReport {
    /// Its name.
    pub name: String,
    /// What was live.
    #[serde(flatten)]
    pub live: LiveReport,
    /// Most table pages there ever were, the top too.
    pub peak_table_pages: u64,
    /// Bytes of them.
    pub peak_table_bytes: u64,
    /// Leaves at the live peak of the domain: size in bytes to number.
    pub leaves: Leaves,
}

impl DomainReport {
    /// About a domain.
    pub fn new(name: &str, live: LiveReport, tables: TablePages, leaves: Leaves) -> Self {
        Self { name: name.to_owned(), live, peak_table_pages: tables.pages, peak_table_bytes: tables.bytes, leaves }
    }
}

fn by_name<S: Serializer>(formats: &[FormatReport], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(formats.iter().map(|report| (report.format, report)))
}
