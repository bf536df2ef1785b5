//! Figures over time, in bounded memory: however long a trace is, at most [`MOST`] samples of it are kept.

use serde::Serialize;
use serde::ser::{Error, Serializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Most samples of a trace: more than a screen has columns for.
pub const MOST: usize = 512;

/// How a trace is divided: each sample stands for as many events as the others, the last for what is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sampling {
    events: usize,
    every: usize,
}

impl Sampling {
    /// Of a trace with so many events.
    pub fn of(events: usize) -> Self {
        Self { events, every: events.div_ceil(MOST).max(1) }
    }

    /// Number of samples.
    pub fn count(self) -> usize {
        self.events.div_ceil(self.every)
    }

    /// Events of a sample.
    pub fn every(self) -> usize {
        self.every
    }

    /// Index of the first event that is not in sample `index` any more.
    pub fn end(self, index: usize) -> usize {
        (index + 1).saturating_mul(self.every).min(self.events)
    }

    /// Number of samples that end at event `event` or before it.
    pub fn ended_by(self, event: usize) -> usize {
        if event < self.events { event / self.every } else { self.count() }
    }

    /// The sample of an event.
    pub fn sample_of(self, event: usize) -> usize {
        event / self.every
    }
}

/// What a trace has over time, whatever the format.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct TraceSamples {
    /// Events of a sample.
    pub every_events: usize,
    /// Line of the last event of each sample.
    #[serde(serialize_with = "in_one_line")]
    pub lines: Vec<u64>,
    /// Most bytes that were mapped at once during each sample.
    #[serde(serialize_with = "in_one_line")]
    pub live_bytes: Vec<u64>,
    /// Index of the event after which that was reached first.
    #[serde(skip)]
    pub events: Vec<usize>,
}

impl TraceSamples {
    /// Notes an event of a sample, which is the latest or the one after it: its line, and the bytes that are live after it.
    pub fn note(&mut self, sample: usize, event: usize, line: u64, live_bytes: u64) {
        if sample == self.lines.len() {
            self.lines.push(line);
            self.live_bytes.push(live_bytes);
            self.events.push(event);
        }
        if let Some(last_line) = self.lines.last_mut() {
            *last_line = line;
        }
        if let (Some(most), Some(at)) = (self.live_bytes.last_mut(), self.events.last_mut())
            && live_bytes > *most
        {
            (*most, *at) = (live_bytes, event);
        }
    }
}

/// What the tables of a format are over time.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct TableSamples {
    /// Most table pages during each sample.
    #[serde(serialize_with = "in_one_line")]
    pub table_pages: Vec<u64>,
    /// Most bytes of them.
    #[serde(serialize_with = "in_one_line")]
    pub table_bytes: Vec<u64>,
    /// Leaves when most bytes were mapped during each sample, by their size in bytes; sizes that never occur are left out.
    #[serde(serialize_with = "each_in_one_line")]
    pub leaves: BTreeMap<u64, Vec<u64>>,
}

/// Many numbers that would else take a line each.
fn in_one_line<S: Serializer>(numbers: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
    line::<S::Error>(numbers)?.serialize(serializer)
}

fn each_in_one_line<S: Serializer>(lists: &BTreeMap<u64, Vec<u64>>, serializer: S) -> Result<S::Ok, S::Error> {
    let lines = lists.iter().map(|(key, numbers)| Ok((key, line::<S::Error>(numbers)?)));
    serializer.collect_map(lines.collect::<Result<Vec<_>, _>>()?)
}

fn line<E: Error>(numbers: &[u64]) -> Result<Box<RawValue>, E> {
    serde_json::value::to_raw_value(numbers).map_err(E::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_in_one_sample() {
        for events in [0, 1, 2, MOST - 1, MOST, MOST + 1, 3 * MOST - 1, 1_000_003] {
            let sampling = Sampling::of(events);
            assert!(sampling.count() <= MOST, "{events}");
            assert_eq!(sampling.count() == 0, events == 0);
            let mut begin = 0;
            for index in 0..sampling.count() {
                let end = sampling.end(index);
                assert_eq!((sampling.ended_by(end - 1), sampling.ended_by(end)), (index, index + 1), "{events}");
                assert!(end > begin, "{events}: sample {index} is not empty");
                assert_eq!((sampling.sample_of(begin), sampling.sample_of(end - 1)), (index, index));
                begin = end;
            }
            assert_eq!(begin, events);
        }
    }
}
