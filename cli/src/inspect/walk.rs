//! `genpt walk`: one address, step by step.

use super::access::{Asked, Verdict, verdicts};
use super::rules::{Rule, Severity, see};
use super::source::Source;
use crate::decode::{Inherited, Item, Meaning, letters};
use crate::human;
use crate::number::Hex;
use generic_pt::field::{FieldInfo, FieldKind, ItemKind};
use generic_pt::lg2;
use serde::Serialize;
use std::fmt::{self, Write};

/// A walk to one address.
#[derive(Debug, Serialize)]
pub struct Walk {
    /// The address.
    pub va: Hex,
    /// The items on the way, from the top.
    pub steps: Vec<Step>,
    /// Where it goes, if it goes somewhere.
    pub page: Option<Page>,
    /// Whether the page permits what was asked for, each of r, w and x by itself.
    pub verdicts: Vec<Verdict>,
    /// Why it goes nowhere.
    pub stop: Option<Broken>,
    /// Rules that items on the way break, although they can be decoded.
    pub oddities: Vec<Broken>,
    /// Where the format is specified.
    pub specification: String,
}

/// An item on the way.
#[derive(Debug, Serialize)]
pub struct Step {
    /// Level of its table.
    pub level: u32,
    /// Index in it.
    pub index: u64,
    /// Physical address of the item.
    pub at: Hex,
    /// The item.
    pub raw: Hex,
    /// What it is.
    pub meaning: &'static str,
    /// Its fields.
    pub fields: Vec<Field>,
    /// The next table, or the page.
    pub leads_to: Option<Hex>,
}

/// A field of an item.
#[derive(Debug, Serialize)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub value: Hex,
    /// What it means.
    pub documentation: &'static str,
}

/// Where an address goes.
#[derive(Debug, Serialize)]
pub struct Page {
    /// The physical address.
    pub pa: Hex,
    /// Size of the page, as a power of two.
    pub size_lg2: u32,
    /// What the page and all pointers to it permit: of r, w and x those that the format stores.
    pub access: String,
    /// Fields that say something about the mapping, of the page and of the pointers on the way that say it for all below.
    pub attributes: Vec<String>,
}

/// A broken rule.
#[derive(Debug, Serialize)]
pub struct Broken {
    /// Its name.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Level of the item; none if no item is to blame.
    pub level: Option<u32>,
    /// In words.
    pub text: String,
    /// The section of the specification that states it; none if it is a rule of this tool.
    pub section: Option<String>,
}

impl Broken {
    fn new(source: &Source, rule: &Rule, level: Option<u32>) -> Self {
        Self { rule: rule.id(), severity: rule.severity(), level, text: rule.text(), section: source.section(rule) }
    }
}

/// Walks to `va`, and says whether the page permits what is asked for.
pub fn walk(source: &Source, va: u64, asked: Option<Asked>) -> Walk {
    let mut way = Vec::new();
    let mut walk = walk_along(source, va, &mut way);
    let way = walk.page.is_some().then_some(way.as_slice());
    walk.verdicts = asked.map_or(Vec::new(), |asked| verdicts(&*source.decoder, asked, way));
    walk
}

/// Walks to `va`, and notes the items on the way with their levels.
fn walk_along(source: &Source, va: u64, way: &mut Vec<(u32, Item)>) -> Walk {
    let shape = source.decoder.shape();
    let mut walk = Walk {
        va: Hex(va),
        steps: Vec::new(),
        page: None,
        verdicts: Vec::new(),
        stop: None,
        oddities: Vec::new(),
        specification: source.specification(),
    };
    if !shape.is_canonical(va) {
        let rule = Rule::NonCanonical {
            va_lg2: shape.va_lg2,
            is_sign_extended: shape.is_sign_extended(),
            could_be: shape.supported_names.contains(&"SIGN_EXTEND"),
        };
        walk.stop = Some(Broken::new(source, &rule, None));
        return walk;
    }
    let (mut table, mut inherited) = (source.root, Inherited::default());
    let mut level = shape.top_level();
    // The tables on the way, with their levels.
    let mut tables: Vec<(u64, u32)> = Vec::new();
    // At least one step down each time: it ends.
    loop {
        if let Some((pa, above)) = tables.iter().find(|(pa, _)| *pa == table) {
            let rule = Rule::Cycle { pa: *pa, level: *above };
            walk.oddities.push(Broken::new(source, &rule, way.last().map(|(pointer_level, _)| *pointer_level)));
        }
        tables.push((table, level));
        let index = shape.index(level, va);
        let at = table + (index << shape.item_bytes_lg2);
        let Some(item) = source.item_at(level, index, at) else {
            let rule = source.outside(level, table);
            walk.stop = Some(Broken::new(source, &rule, Some(level)));
            return walk;
        };
        walk.oddities.extend(source.oddities(level, &item).iter().map(|rule| Broken::new(source, rule, Some(level))));
        walk.steps.push(source.step(level, index, at, &item));
        way.push((level, item));
        let stop = match item.meaning {
            Meaning::Table => {
                inherited = source.decoder.inherit(level, item.raw, inherited);
                table = item.pa;
                source.skipped(level, va, &item).or_else(|| source.obstacle(&item))
            }
            Meaning::Leaf => {
                let attributes = source.decoder.attributes(level, &item, inherited);
                let item_lg2 = shape.levels[level as usize].item_lg2;
                walk.page = Some(Page {
                    pa: Hex(lg2::replace_low(item.pa, va, item_lg2)),
                    size_lg2: item.entry_lg2.into(),
                    access: letters(attributes.access, shape.permissions),
                    attributes: attributes.words(),
                });
                let note = source.not_accessed(level, item.raw);
                walk.oddities.extend(note.iter().map(|rule| Broken::new(source, rule, Some(level))));
                return walk;
            }
            Meaning::Empty => Some(Rule::NotPresent { is_clear: item.raw == shape.levels[level as usize].empty }),
            Meaning::Foreign => Some(source.foreign(level, item.raw)),
        };
        if let Some(rule) = stop {
            walk.stop = Some(Broken::new(source, &rule, Some(level)));
            return walk;
        }
        level = item.below.into();
    }
}

impl Source {
    /// The VA bits that a pointer skips, if `va` has some that are set.
    fn skipped(&self, level: u32, va: u64, pointer: &Item) -> Option<Rule> {
        let shape = self.decoder.shape();
        let (lo, end) = (shape.table_va_lg2(pointer.below.into()), shape.levels[level as usize].item_lg2);
        let is_set = lo < end && va & lg2::bit_range_mask(lo, end - 1) != 0;
        is_set.then(|| Rule::SkippedBits { below: pointer.below.into(), bits: [lo, end - 1] })
    }

    /// The item of `level` at a physical address, if it is in the image.
    fn item_at(&self, level: u32, index: u64, at: u64) -> Option<Item> {
        let mut buffer = Vec::new();
        let bytes = self.image.read(at, 1 << self.decoder.shape().item_bytes_lg2, &mut buffer)?;
        Some(self.decoder.item(level, index, self.decoder.shape().raw(bytes)))
    }

    fn step(&self, level: u32, index: u64, at: u64, item: &Item) -> Step {
        let shape = self.decoder.shape();
        // What is neither a pointer nor a page is shown as either.
        let kinds = match self.decoder.kind_of(level, item.raw) {
            Some(kind) => vec![kind],
            None if item.meaning == Meaning::Foreign => vec![ItemKind::Table, ItemKind::PlainLeaf],
            None => Vec::new(),
        };
        let applies = |info: &&FieldInfo| {
            info.scope.allows(shape.features) && kinds.iter().any(|kind| info.scope.contains(level, *kind))
        };
        let (meaning, leads_to) = match item.meaning {
            Meaning::Empty => ("empty", None),
            Meaning::Table => ("table", Some(Hex(item.pa))),
            Meaning::Leaf => ("page", Some(Hex(item.pa))),
            Meaning::Foreign => ("foreign", None),
        };
        Step {
            level,
            index,
            at: Hex(at),
            raw: Hex(item.raw),
            meaning,
            fields: shape
                .fields
                .iter()
                .filter(applies)
                .map(|info| Field { name: info.name, value: Hex(info.get(item.raw)), documentation: info.doc })
                .collect(),
            leads_to,
        }
    }

    /// Whether a field of this name holds an address.
    fn is_address(&self, name: &str) -> bool {
        let fields = self.decoder.shape().fields;
        fields.iter().any(|info| info.name == name && info.kind == FieldKind::Address)
    }
}

/// A walk in text.
pub fn text(source: &Source, walk: &Walk) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_walk(&mut out, source, walk);
    out
}

fn write_walk(out: &mut String, source: &Source, walk: &Walk) -> fmt::Result {
    let shape = source.decoder.shape();
    let digits = 2 << shape.item_bytes_lg2;
    let levels = human::count(shape.levels.len() as u64, "level");
    writeln!(out, "VA {:#x}: {}, {levels}, top at {:#x}", walk.va.0, shape.format, source.root)?;
    for step in &walk.steps {
        write!(out, "  level {}  item {:4} at {:#014x}  ", step.level, step.index, step.at.0)?;
        write!(out, "{:0digits$x}  {}", step.raw.0, step.meaning)?;
        match step.leads_to {
            Some(pa) => writeln!(out, " at {:#x}", pa.0)?,
            None => writeln!(out)?,
        }
        let fields: Vec<String> = step
            .fields
            .iter()
            .map(|field| match field.value.0 {
                value if source.is_address(field.name) || value > 9 => format!("{} {value:#x}", field.name),
                value => format!("{} {value}", field.name),
            })
            .collect();
        if !fields.is_empty() {
            writeln!(out, "           {}", fields.join("  "))?;
        }
    }
    if let Some(page) = &walk.page {
        let size = 1u64.checked_shl(page.size_lg2).map_or("16 EiB".to_owned(), human::bytes);
        write!(out, "PA {:#x}, in a page of {size}, {}", page.pa.0, page.access)?;
        writeln!(out, "{}{}", if page.attributes.is_empty() { "" } else { ", " }, page.attributes.join(" "))?;
    }
    for verdict in &walk.verdicts {
        writeln!(out, "{verdict}")?;
    }
    for broken in walk.stop.iter().chain(&walk.oddities) {
        let level = broken.level.map_or(String::new(), |level| format!("level {level}: "));
        writeln!(out, "{level}{} ({})", broken.text, broken.rule)?;
    }
    if walk.stop.is_some() || !walk.oddities.is_empty() {
        let broken =
            walk.stop.iter().chain(&walk.oddities).filter_map(|broken| Some((broken.rule, broken.section.as_deref()?)));
        for line in see(&walk.specification, broken) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}
