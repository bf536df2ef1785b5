//! Protections that permit reading without saying so.

use super::letters::numbers;
use super::spec::{Mapping, Spec};
use crate::decode::{Decoder, Inherited, leaf};
use generic_pt::Access;
use generic_pt::format::{Common, Groups};
use std::fmt;

/// Mappings without `r` that can be read all the same: the format stores no writing without reading.
#[derive(Debug)]
pub struct ReadAnyway {
    format: &'static str,
    /// Which they are, from 1.
    mappings: Vec<usize>,
}

impl fmt::Display for ReadAnyway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, mappings } = self;
        write!(f, "without `r` they can be read all the same: pages of {format} that can be written can be ")?;
        write!(f, "({})", numbers(mappings))
    }
}

/// The mappings without `r` whose pages permit reading.
pub fn read_anyway<F: Groups>(common: &Common<F>, decoder: &dyn Decoder, spec: &Spec) -> Option<ReadAnyway> {
    let level = *F::GEOMETRY.leaf_levels.start();
    let is_readable = |mapping: &Mapping| {
        let page = leaf::<F>(common, level, mapping.prot.prot()).map(|raw| decoder.item(level, 0, raw));
        let access = page.map(|item| decoder.attributes(level, &item, Inherited::default()).access);
        access.is_some_and(|access| access.by_any().contains(Access::READ))
    };
    let numbered = spec.map.iter().zip(1..).filter(|(mapping, _)| !mapping.prot.has('r') && is_readable(mapping));
    let mappings: Vec<usize> = numbered.map(|(_, number)| number).collect();
    (!mappings.is_empty()).then_some(ReadAnyway { format: F::NAME, mappings })
}
