//! `genpt check`: everything that is odd about the tables of an image.
//!
//! Each table is looked at once for each level at which it is used, however many pointers lead to it, so a hostile image ends
//! early: the pairs of table and level are remembered, which are no more than the items that may be decoded. What was met
//! before is not decoded again, and counts for nothing.

mod dirty;
mod reached;

pub use super::rules::Severity;

use super::rules::{Rule, see};
use super::scan::{Blocked, Event, ItemAt, Scan, TableAt};
use super::source::{Source, told_differently};
use crate::decode::{Item, Meaning, Shape};
use crate::human;
use crate::number::{AddressRange, Hex};
use dirty::Dirty;
use generic_pt::lg2;
use reached::Met;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// Something odd.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The rule's name.
    pub rule: &'static str,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// In words.
    pub text: String,
    /// The section of the specification that states the rule; none if it is one of this tool.
    pub section: Option<String>,
}

/// What lies at the place of a finding.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum About {
    /// An item of a table.
    Item,
    /// A whole table.
    Table,
    /// Memory that is in no table.
    Memory,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Place {
    /// What lies there.
    pub about: About,
    /// Level of the table; none of memory, and of what is about all tables.
    pub level: Option<u32>,
    /// Physical address of the item, of the table, or of the memory.
    pub at: Hex,
    /// The first VA that it is about, if there is one.
    pub va: Option<Hex>,
}

impl Place {
    /// The top table, for what is about all there is.
    pub fn of_top(source: &Source) -> Self {
        Self { about: About::Table, level: None, at: Hex(source.root), va: None }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let about = match self.about {
            About::Item => "item",
            About::Table => "table",
            About::Memory => "memory",
        };
        if let Some(level) = self.level {
            write!(f, "level {level}, ")?;
        }
        write!(f, "{about} at {}", self.at)?;
        self.va.map_or(Ok(()), |va| write!(f, ", VA {va}"))
    }
}

/// What a check found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Findings, at most so many of each rule.
    pub findings: Vec<Finding>,
    /// How many there are of each rule.
    pub counts: BTreeMap<&'static str, u64>,
    /// The worst of all.
    pub worst: Option<Severity>,
    /// Tables that were looked at.
    pub tables: u64,
    /// Items in them that are not empty.
    pub items: u64,
    /// Where the format is specified.
    pub specification: String,
}

impl Report {
    /// Where to read on about the findings.
    pub fn see(&self) -> Vec<String> {
        let sections = self.findings.iter().filter_map(|finding| Some((finding.rule, finding.section.as_deref()?)));
        see(&self.specification, sections)
    }
}

/// A check on its way.
struct Check<'a> {
    source: &'a Source,
    report: Report,
    most: usize,
    /// Tables that were met, by physical address.
    seen: HashMap<u64, Met>,
    /// Pages that were written, but may not be.
    dirty: Dirty,
}

/// Checks an image. Of each rule `most` findings are listed.
pub fn check(source: &Source, most: usize, most_items: u64) -> Report {
    let report = Report {
        findings: Vec::new(),
        counts: BTreeMap::new(),
        worst: None,
        tables: 0,
        items: 0,
        specification: source.specification(),
    };
    let mut check = Check { source, report, most, seen: HashMap::new(), dirty: Dirty::default() };
    let mut scan = Scan::new(source, AddressRange::ALL, most_items);
    while let Some(event) = scan.next() {
        match event {
            Event::Enter(at) => {
                let ancestor = scan.path().find(|above| above.pa == at.pa).copied();
                if !check.is_new(&at, ancestor.as_ref()) {
                    scan.pass_over();
                }
            }
            Event::Table(at, stale) => check.table(&at, &scan, stale),
            Event::Blocked(at, blocked) => check.blocked(&at, blocked),
            Event::Leaf(_) => scan.skip_leaves(),
            Event::Limit(_) => {
                let text =
                    "as many items as --limit allows were decoded; what is behind them was not checked".to_owned();
                let place = Place::of_top(source);
                check.find_at(Severity::Error, "limit", place, text);
            }
        }
    }
    check.dirty_read_only();
    check.overlapping();
    check.unreachable(scan.left());
    if let Some(pa) = source.image.difference() {
        let place = Place { about: About::Memory, level: None, at: Hex(pa), va: None };
        check.find_at(Severity::Warning, "told-twice", place, told_differently(pa));
    }
    check.report
}

impl Check<'_> {
    fn shape(&self) -> &Shape {
        self.source.decoder.shape()
    }

    /// Something odd about a table.
    fn find(&mut self, severity: Severity, rule: &'static str, table: &TableAt, text: String) {
        let place = Place { about: About::Table, level: Some(table.level), at: Hex(table.pa), va: Some(Hex(table.va)) };
        self.find_at(severity, rule, place, text);
    }

    fn find_at(&mut self, severity: Severity, rule: &'static str, place: Place, text: String) {
        self.add(severity, rule, || Finding { severity, rule, place, text, section: None });
    }

    fn add(&mut self, severity: Severity, rule: &'static str, finding: impl FnOnce() -> Finding) {
        let count = self.report.counts.entry(rule).or_default();
        *count += 1;
        self.report.worst = self.report.worst.max(Some(severity));
        if *count <= self.most as u64 {
            self.report.findings.push(finding());
        }
    }

    /// Counts findings that are not listed.
    fn count(&mut self, rule: &Rule, more: u64) {
        if more > 0 {
            *self.report.counts.entry(rule.id()).or_default() += more;
        }
    }

    /// An item breaks a rule of the specification.
    fn find_item(&mut self, table: &TableAt, item: &Item, rule: &Rule) {
        let (source, shape) = (self.source, self.source.decoder.shape());
        let at = table.pa + (u64::from(item.index) << shape.item_bytes_lg2);
        let va = shape.va_at(table.level, table.va, item.index);
        self.add(rule.severity(), rule.id(), || Finding {
            severity: rule.severity(),
            rule: rule.id(),
            place: Place { about: About::Item, level: Some(table.level), at: Hex(at), va: Some(Hex(va)) },
            text: format!("{}; the item is {:#x}", rule.text(), item.raw),
            section: source.section(rule),
        });
    }

    /// Whether the table is to be looked at: it is no ancestor of itself, and was not looked at before. What is behind a cycle was
    /// looked at on the way there; that it is at other levels, too, follows from the cycle and is not told.
    fn is_new(&mut self, at: &TableAt, ancestor: Option<&TableAt>) -> bool {
        if let Some(above) = ancestor {
            let rule = Rule::Cycle { pa: at.pa, level: above.level };
            // Hardware follows, so a walk only notes it; in the tables as a whole it is hardly meant.
            self.find(Severity::Error, rule.id(), at, rule.text());
            return false;
        }
        let met = self.seen.entry(at.pa).or_insert(Met { levels: 0, shared: 0, va: at.va });
        let (before, bit) = (met.levels, 1u8 << at.level);
        met.levels |= bit;
        met.shared |= before & bit;
        if before & bit != 0 {
            let text = "several pointers lead to the table: what one of them maps, the others do".to_owned();
            self.find(Severity::Warning, "shared-table", at, text);
        } else if before != 0 {
            let text = "the table is used at several levels".to_owned();
            self.find(Severity::Error, "level-mix", at, text);
        }
        before & bit == 0
    }

    /// Looks at all items of a table.
    fn table(&mut self, at: &TableAt, scan: &Scan<'_>, stale: u64) {
        let items = scan.items();
        self.report.tables += 1;
        self.report.items += items.len() as u64;
        if items.is_empty() && at.level < self.shape().top_level() {
            let text = "the table is empty: it maps nothing".to_owned();
            self.find(Severity::Note, "empty-table", at, text);
        }
        if stale > 0 {
            let text = format!("{} empty, but not clear", human::count(stale, "item"));
            self.find(Severity::Note, "not-clear", at, text);
        }
        let level = &self.shape().levels[at.level as usize];
        let (masks, item_lg2) = (level.masks, level.item_lg2);
        let tracks_dirty = items.iter().any(|item| self.source.decoder.is_dirty(at.level, item).is_some());
        for (n, item) in items.iter().enumerate() {
            let is_contiguous = u32::from(item.entry_lg2) > item_lg2;
            let of_kind = match item.meaning {
                Meaning::Table => masks[0],
                _ if is_contiguous => masks[2],
                _ => masks[1],
            };
            // Most items have nothing of all this; which rule it is, is worked out for those that do.
            if item.raw & of_kind.unnamed != 0 {
                for rule in self.source.oddities(at.level, item) {
                    self.find_item(at, item, &rule);
                }
            }
            if is_contiguous && item.meaning == Meaning::Leaf {
                self.contiguous(at, items, n, item_lg2);
            }
        }
        if tracks_dirty {
            self.dirty(at, scan);
        }
    }

    /// Whether the entry that an item belongs to is whole; told at the first of its items that there is.
    fn contiguous(&mut self, at: &TableAt, items: &[Item], n: usize, item_lg2: u32) {
        let item = &items[n];
        let count_lg2 = u32::from(item.entry_lg2) - item_lg2;
        let is_same = |other: &Item| lg2::same_block(other.index.into(), item.index.into(), count_lg2);
        let is_told = |before: &Item| before.meaning == Meaning::Leaf && before.entry_lg2 == item.entry_lg2;
        // What is between them may be no item of this entry.
        if items[..n].iter().rev().take_while(|before| is_same(before)).any(is_told) {
            return;
        }
        // Hardware notes in one item of several that they were used, and that they were written; bits for software it ignores.
        let mask = !self.shape().masks(at.level, item).address;
        let key = |item: &Item| self.source.decoder.unmarked(at.level, item.raw) & mask;
        let fits = |other: &Item| {
            let alike = other.raw & mask == item.raw & mask || key(other) == key(item);
            other.entry_lg2 == item.entry_lg2 && alike && self.source.decoder.continues(at.level, item, other)
        };
        let found = items[n..].iter().take_while(|other| is_same(other)).filter(|other| fits(other)).count() as u64;
        let expected = 1 << count_lg2;
        if found != expected {
            self.find_item(at, item, &Rule::Contiguous { expected, found });
        }
    }

    fn blocked(&mut self, at: &ItemAt, blocked: Blocked) {
        let level = at.table.level;
        let rule = match blocked {
            Blocked::Foreign => Some(self.source.foreign(level, at.item.raw)),
            Blocked::Outside | Blocked::Misaligned => self.source.obstacle(&at.item),
        };
        if let Some(rule) = rule {
            self.find_item(&at.table, &at.item, &rule);
        }
    }
}

/// A report in text.
pub fn text(source: &Source, report: &Report) -> String {
    let shape = source.decoder.shape();
    let mut out = format!("{}: {}\n", source.image.name, shape.format);
    let mut findings: Vec<&Finding> = report.findings.iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    for finding in findings {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let Finding { rule, place, text, .. } = finding;
        out += &format!("{severity}: {place}: {text} ({rule})\n");
    }
    for (rule, count) in &report.counts {
        let shown = report.findings.iter().filter(|finding| finding.rule == *rule).count() as u64;
        if shown < *count {
            out += &format!("  {} more of {rule}\n", count - shown);
        }
    }
    let total: u64 = report.counts.values().sum();
    let (tables, items) = (human::count(report.tables, "table"), human::count(report.items, "item"));
    out += &format!("{tables}, {items}: {}\n", human::count(total, "finding"));
    if report.worst.is_some_and(|worst| worst > Severity::Note) {
        for line in report.see() {
            out += &line;
            out.push('\n');
        }
    }
    out
}
