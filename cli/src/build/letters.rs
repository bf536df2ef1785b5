//! Letters of protections that say nothing in a format.

use super::narrow::{Narrowing, narrowed_bits};
use super::spec::{LETTERS, Spec, prot_of};
use crate::decode::{Decoder, leaf};
use generic_pt::Prot;
use generic_pt::format::{Common, Groups};
use std::fmt;

/// A letter that some mappings have, and that changes no leaf of the format.
#[derive(Debug)]
pub struct IgnoredLetter {
    letter: char,
    format: &'static str,
    /// Mappings that have it, from 1.
    mappings: Vec<usize>,
}

/// Most mappings that are named.
const SHOWN: usize = 5;

impl fmt::Display for IgnoredLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { letter, format, mappings } = self;
        write!(f, "`{letter}` has no effect: pages of {format} are the same without it ({})", numbers(mappings))
    }
}

/// Some mappings by their numbers, in words: `mappings 1, 2`.
pub fn numbers(mappings: &[usize]) -> String {
    let shown: Vec<String> = mappings.iter().take(SHOWN).map(ToString::to_string).collect();
    let (plural, more) = (if mappings.len() > 1 { "s" } else { "" }, mappings.len().saturating_sub(SHOWN));
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("mapping{plural} {}{more}", shown.join(", "))
}

/// The letters of the mappings that are ignored in a table like this.
pub fn ignored_letters<F: Groups>(common: &Common<F>, decoder: &dyn Decoder, spec: &Spec) -> Vec<IgnoredLetter> {
    let with = |letter: char| {
        let numbered = spec.map.iter().enumerate().filter(|(_, mapping)| mapping.prot.has(letter));
        numbered.map(|(index, _)| index + 1).collect::<Vec<_>>()
    };
    let asked = LETTERS.map(|letter| IgnoredLetter { letter, format: F::NAME, mappings: with(letter) });
    asked
        .into_iter()
        .filter(|asked| !asked.mappings.is_empty() && !has_effect::<F>(common, decoder, asked.letter))
        .collect()
}

/// Whether a letter changes a leaf of some level, beside whatever other letters. (So `r` is not ignored where what is written can
/// be read anyway: it makes what is not written.)
fn has_effect<F: Groups>(common: &Common<F>, decoder: &dyn Decoder, letter: char) -> bool {
    if let Some((_, narrowing)) = Narrowing::ALL.iter().find(|(one, _)| *one == letter) {
        let page = leaf::<F>(common, 0, Prot::READ | Prot::WRITE | Prot::CACHE | Prot::NOEXEC);
        let item = page.map(|raw| decoder.item(0, 0, raw));
        return item.is_some_and(|item| narrowed_bits(decoder, 0, &item, &[*narrowing]) != 0);
    }
    let others: Vec<char> = LETTERS.into_iter().filter(|other| *other != letter).collect();
    let leaves = |prot: Prot| -> Vec<Option<u64>> {
        // Without both no format maps.
        let is_mapped = prot.intersects(Prot::READ | Prot::WRITE);
        let levels = F::GEOMETRY.leaf_levels;
        levels.map(|level| if is_mapped { leaf::<F>(common, level, prot) } else { None }).collect()
    };
    (0..1u32 << others.len()).any(|chosen| {
        let beside = || others.iter().enumerate().filter(|(n, _)| chosen >> n & 1 != 0).map(|(_, other)| *other);
        leaves(prot_of(beside())) != leaves(prot_of(beside().chain([letter])))
    })
}
