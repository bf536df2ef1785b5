//! What `genpt check` found, by where it is drawn.

use crate::inspect::check::{About, Finding, Severity};
use std::collections::HashMap;

/// Findings by level and physical address of the table, or of the item.
#[derive(Debug, Default)]
pub struct Marks {
    tables: HashMap<(u32, u64), Vec<u32>>,
    items: HashMap<(u32, u64), Vec<u32>>,
    severities: Vec<Severity>,
    rules: Vec<&'static str>,
}

impl Marks {
    /// The marks of some findings, which are known by their index from here on.
    pub fn new(findings: &[Finding]) -> Self {
        let mut marks = Self::default();
        for (n, finding) in findings.iter().enumerate() {
            let of = if finding.place.about == About::Item { &mut marks.items } else { &mut marks.tables };
            if let Some(level) = finding.place.level {
                of.entry((level, finding.place.at.0)).or_default().push(n as u32);
            }
            marks.severities.push(finding.severity);
            marks.rules.push(finding.rule);
        }
        marks
    }

    /// Findings about a table.
    pub fn of_table(&self, level: u32, pa: u64) -> &[u32] {
        self.tables.get(&(level, pa)).map_or(&[], Vec::as_slice)
    }

    /// Findings about an item.
    pub fn of_item(&self, level: u32, pa: u64) -> &[u32] {
        self.items.get(&(level, pa)).map_or(&[], Vec::as_slice)
    }

    /// The worst of some findings.
    pub fn worst(&self, findings: &[u32]) -> Option<Severity> {
        findings.iter().filter_map(|n| self.severities.get(*n as usize)).max().copied()
    }

    /// Whether two lists tell of the same rules.
    pub fn are_alike(&self, some: &[u32], others: &[u32]) -> bool {
        let mut rules = [some, others].map(|list| list.iter().map(|n| self.rules[*n as usize]).collect::<Vec<_>>());
        rules.iter_mut().for_each(|rules| {
            rules.sort_unstable();
            rules.dedup();
        });
        rules[0] == rules[1]
    }
}
