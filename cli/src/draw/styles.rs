//! Which colour a page has: one for each permission, each of the most frequent attributes, and each page size.

use super::cell::{Table, What};
use super::looks::{Look, LookId};
use crate::decode::letters;
use crate::human;
use generic_pt::Access;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Colours that there are of each kind; the last one is of all others.
const COLOURS: usize = 8;

/// A line of a legend.
pub struct Entry {
    /// The class that colours it.
    pub class: String,
    /// What it means.
    pub text: String,
}

/// Classes by look and by page size.
pub struct Styles {
    access: Vec<usize>,
    attributes: Vec<usize>,
    /// Page sizes as powers of two, ascending.
    sizes: Vec<u32>,
    shown: Vec<Shown>,
}

/// A look in words.
struct Shown {
    access: String,
    attributes: String,
    bytes: u64,
}

impl Styles {
    /// The colours of what is drawn.
    pub fn new(tables: &[Table], looks: &[Look], stored: Access) -> Self {
        let access = looks.iter().map(|look| usize::from(look.access.by_any().intersection(stored).bits())).collect();
        let mut by_bytes: Vec<usize> = (0..looks.len()).filter(|n| looks[*n].bytes > 0).collect();
        by_bytes.sort_by_key(|n| Reverse(looks[*n].bytes));
        let mut attributes = vec![COLOURS - 1; looks.len()];
        for (colour, n) in by_bytes.into_iter().take(COLOURS - 1).enumerate() {
            attributes[n] = colour;
        }
        let cells = tables.iter().flat_map(|table| &table.cells);
        let sizes: BTreeSet<u32> = cells
            .filter_map(|cell| if let What::Leaf { entry_lg2, .. } = cell.what { Some(entry_lg2) } else { None })
            .collect();
        let shown = looks.iter().map(|look| Shown {
            access: letters(look.access, stored),
            attributes: look.attributes.clone(),
            bytes: look.bytes,
        });
        let shown = shown.collect();
        Self { access, attributes, sizes: sizes.into_iter().collect(), shown }
    }

    /// The class of a look, by what it permits.
    pub fn access(&self, look: LookId) -> String {
        if look == LookId::TABLES { "tables".to_owned() } else { format!("a{}", self.access[look.0 as usize]) }
    }

    /// The class of a look, by its attributes.
    pub fn attributes(&self, look: LookId) -> String {
        if look == LookId::TABLES { "tables".to_owned() } else { format!("c{}", self.attributes[look.0 as usize]) }
    }

    /// A look in words: permissions, then attributes.
    pub fn words(&self, look: LookId) -> String {
        let shown = &self.shown[look.0 as usize];
        if look <= LookId::OTHER {
            return shown.attributes.clone();
        }
        format!("{} {}", shown.access, shown.attributes).trim_end().to_owned()
    }

    /// Page sizes as powers of two, ascending.
    pub fn sizes(&self) -> &[u32] {
        &self.sizes
    }

    /// The class of a page size: the larger the page, the higher its number.
    pub fn size(&self, entry_lg2: u32) -> String {
        let n = self.sizes.partition_point(|size| *size < entry_lg2);
        let highest = self.sizes.len().saturating_sub(1).max(1);
        format!("s{}", n * (COLOURS - 2) / highest)
    }

    /// The legend of permissions.
    pub fn access_legend(&self) -> Vec<Entry> {
        self.legend(|look| (self.access(look), self.shown[look.0 as usize].access.clone()))
    }

    /// The legend of attributes.
    pub fn attribute_legend(&self) -> Vec<Entry> {
        let last = format!("c{}", COLOURS - 1);
        self.legend(|look| {
            let class = self.attributes(look);
            let text = if class == last { "others".to_owned() } else { self.words(look) };
            (class, text)
        })
    }

    /// The legend of page sizes.
    pub fn size_legend(&self) -> Vec<Entry> {
        let entry = |size: &u32| Entry { class: self.size(*size), text: human::power(*size) };
        self.sizes.iter().map(entry).collect()
    }

    /// One line for each class, those with most bytes first.
    fn legend(&self, line: impl Fn(LookId) -> (String, String)) -> Vec<Entry> {
        let mut lines: Vec<(u64, String, String)> = Vec::new();
        for (n, shown) in self.shown.iter().enumerate().filter(|(_, shown)| shown.bytes > 0) {
            let (class, text) = line(LookId(n as u32));
            match lines.iter_mut().find(|(_, known, _)| *known == class) {
                Some((bytes, ..)) => *bytes = bytes.saturating_add(shown.bytes),
                None => lines.push((shown.bytes, class, text)),
            }
        }
        lines.sort_by_key(|(bytes, ..)| Reverse(*bytes));
        let entry = |(bytes, class, text)| Entry { class, text: format!("{text} · {}", human::bytes(bytes)) };
        lines.into_iter().map(entry).collect()
    }
}
