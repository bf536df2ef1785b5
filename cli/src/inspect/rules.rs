//! The rules that items can break, in the terms of the format.

use super::source::Source;
use crate::decode::{Item, LevelSkip, Meaning, Nearest, Refusal};
use crate::describe::plain;
use crate::image::CutOff;
use generic_pt::field::FieldInfo;
use generic_pt::format::SpecRule;
use generic_pt::lg2;
use serde::Serialize;
use std::collections::BTreeMap;

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Wastes memory, or is merely worth knowing.
    Note,
    /// Legal, but hardly meant; or legal for some hardware only.
    Warning,
    /// Hardware faults, or goes where nobody meant it to.
    Error,
}

/// A rule that is broken, or why there is no translation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rule {
    /// The VA is none that the top decodes.
    NonCanonical {
        /// VA bits that it decodes.
        va_lg2: u32,
        /// Whether the highest is extended.
        is_sign_extended: bool,
        /// Whether the format has sign extension as a feature that is off.
        could_be: bool,
    },
    /// The item is empty.
    NotPresent {
        /// Whether it holds something all the same.
        is_clear: bool,
    },
    /// The format does not know the item.
    Foreign {
        /// What it would be with one field changed.
        nearest: Vec<String>,
    },
    /// Fields hold values for which hardware faults.
    ReservedValue {
        /// The fields, and bits that no field has.
        fields: Vec<Blamed>,
        /// Features of the format, each of which would make it valid.
        features: Vec<String>,
    },
    /// VA bits are set that a pointer skips.
    SkippedBits {
        /// Level of the table that it leads to.
        below: u32,
        /// The lowest and the highest of those bits.
        bits: [u32; 2],
    },
    /// Flags of a page are clear for which hardware may fault.
    NotAccessed {
        /// The flags' fields.
        fields: Vec<Blamed>,
    },
    /// The item would be known if it did not say that it is one of another level.
    LevelSkip(LevelSkip),
    /// The table is not in the image.
    Outside {
        /// Its physical address.
        pa: u64,
        /// Its size.
        bytes: u64,
        /// Whether there is more memory than the file has.
        cut_off: Option<CutOff>,
    },
    /// The table is not aligned.
    TableMisaligned {
        /// Its physical address.
        pa: u64,
        /// What it has to be aligned to.
        bytes: u64,
    },
    /// The table is already on the way there: hardware follows, and takes it for one of each of these levels.
    Cycle {
        /// Its physical address.
        pa: u64,
        /// The level at which it is on the way.
        level: u32,
    },
    /// Bits are set that no field has.
    Unnamed {
        /// The bits.
        bits: u64,
    },
    /// Bits of the page's address are set that are below its size.
    PageMisaligned {
        /// The bits of the item.
        bits: u64,
        /// Size of the page.
        bytes: u64,
    },
    /// The page's address is wider than the table's limit.
    TooWide {
        /// The address.
        pa: u64,
        /// The limit.
        oa_lg2: u32,
    },
    /// The items of an entry of several do not agree.
    Contiguous {
        /// How many there are to be.
        expected: u64,
        /// How many agree.
        found: u64,
    },
    /// The page was written, but may not be.
    DirtyReadOnly,
}

/// A field to blame, or bits that no field has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Blamed {
    /// The field's name.
    pub name: Option<&'static str>,
    /// It with its value and what it means.
    pub text: String,
}

fn texts(fields: &[Blamed]) -> String {
    fields.iter().map(|field| field.text.as_str()).collect::<Vec<_>>().join("; ")
}

impl Rule {
    /// A name for programs.
    pub const fn id(&self) -> &'static str {
        match self {
            Self::NonCanonical { .. } => "non-canonical",
            Self::NotPresent { .. } => "not-present",
            Self::Foreign { .. } => "foreign",
            Self::ReservedValue { .. } => "reserved-value",
            Self::LevelSkip(_) | Self::SkippedBits { .. } => "level-skip",
            Self::NotAccessed { .. } => "not-accessed",
            Self::Outside { .. } => "outside",
            Self::TableMisaligned { .. } => "table-misaligned",
            Self::Cycle { .. } => "cycle",
            Self::Unnamed { .. } => "reserved-bits",
            Self::PageMisaligned { .. } => "page-misaligned",
            Self::TooWide { .. } => "address-too-wide",
            Self::Contiguous { .. } => "contiguous",
            Self::DirtyReadOnly => "dirty-read-only",
        }
    }

    /// How bad it is that an item breaks it.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::NotPresent { .. } | Self::NotAccessed { .. } | Self::Cycle { .. } => Severity::Note,
            // What one hardware reserves, another uses.
            Self::Unnamed { .. } | Self::DirtyReadOnly => Severity::Warning,
            _ => Severity::Error,
        }
    }

    /// What of the specification it breaks; nothing if it is a rule of this tool.
    const fn spec(&self) -> Option<SpecRule> {
        Some(match self {
            // That a table is not in the file says nothing about the tables.
            Self::Cycle { .. } | Self::Outside { .. } => return None,
            Self::NonCanonical { .. } => SpecRule::Canonical,
            Self::NotPresent { .. } => SpecRule::Present,
            Self::Foreign { .. } => SpecRule::Kinds,
            Self::ReservedValue { .. } | Self::Unnamed { .. } => SpecRule::Reserved,
            Self::LevelSkip(_) | Self::SkippedBits { .. } => SpecRule::Levels,
            Self::NotAccessed { .. } => SpecRule::Accessed,
            Self::TableMisaligned { .. } => SpecRule::Tables,
            Self::PageMisaligned { .. } => SpecRule::Pages,
            Self::TooWide { .. } => SpecRule::Width,
            Self::Contiguous { .. } => SpecRule::Contiguous,
            Self::DirtyReadOnly => SpecRule::Dirty,
        })
    }

    /// Fields whose values are what is wrong.
    fn fields(&self) -> Vec<&'static str> {
        match self {
            Self::ReservedValue { fields, .. } | Self::NotAccessed { fields } => {
                fields.iter().filter_map(|field| field.name).collect()
            }
            Self::LevelSkip(skip) => vec![skip.field],
            _ => Vec::new(),
        }
    }

    /// In words.
    pub fn text(&self) -> String {
        match self {
            Self::NonCanonical { va_lg2, is_sign_extended: true, .. } => {
                format!("the VA is not canonical: the bits from {va_lg2} on have to be copies of bit {}", va_lg2 - 1)
            }
            Self::NonCanonical { va_lg2, could_be, .. } => {
                let hint = if *could_be { "; with `--features SIGN_EXTEND` there is an upper half" } else { "" };
                format!(
                    "the VA is outside of the table: it decodes {va_lg2} bits, and the bits above are not those of its addresses{hint}"
                )
            }
            Self::NotPresent { is_clear: true } => "nothing is mapped: the item is empty".to_owned(),
            Self::NotPresent { is_clear: false } => {
                "nothing is mapped: the item is not present; what else it holds is software's".to_owned()
            }
            Self::Foreign { nearest } if nearest.is_empty() => {
                "the item is neither a pointer to a table nor a page of this level, as the format has them".to_owned()
            }
            Self::Foreign { nearest } => format!(
                "the item is neither a pointer to a table nor a page of this level, as the format has them; {}",
                nearest.join("; ")
            ),
            Self::ReservedValue { fields, features } => {
                let hint = match features.as_slice() {
                    [] => String::new(),
                    names => format!("; it is valid with `--features {}`", names.join("` or `--features ")),
                };
                format!("hardware faults on this value: {}{hint}", texts(fields))
            }
            Self::SkippedBits { below, bits: [lo, hi] } => format!(
                "level skip: the pointer leads to a table of level {below}, so the VA bits {lo} to {hi}, which no table on the way \
                 decodes, have to be zero"
            ),
            Self::NotAccessed { fields } => format!(
                "the page is not marked as used, or as written where it may be: hardware that does not set the flag by itself \
                 faults then: {}",
                texts(fields)
            ),
            Self::LevelSkip(LevelSkip { level, field, documentation, found, expected, of_level }) => {
                let whose = match of_level {
                    Some(other) => format!("as in pointers of level {other}"),
                    None => "as in no pointer, and the item is no page of this level".to_owned(),
                };
                let here = match expected {
                    Some(expected) => format!("a pointer of level {level} has {expected:#x}"),
                    None => format!("there are no pointers at level {level}"),
                };
                format!("level skip: {field} is {found:#x}, {whose}; {here} ({field}: {documentation})")
            }
            Self::Outside { pa, bytes, cut_off } => {
                let hint = cut_off.map_or(String::new(), |cut_off| format!("; {}", cut_off.words()));
                format!("the table at {pa:#x}, {bytes:#x} bytes, is not in the image{hint}")
            }
            Self::TableMisaligned { pa, bytes } => format!("the table at {pa:#x} is not aligned to {bytes:#x} bytes"),
            Self::Cycle { pa, level } => {
                format!("the table at {pa:#x} is also one of level {level} on the way to itself: a cycle")
            }
            Self::Unnamed { bits } => {
                format!("reserved bits: {bits:#x} is set, which is in no field of such an item, nor for software")
            }
            Self::PageMisaligned { bits, bytes } => {
                format!("the address of the page is not aligned: {bits:#x} is set below its {bytes:#x} bytes")
            }
            Self::TooWide { pa, oa_lg2 } => format!("the address {pa:#x} has more than the table's {oa_lg2} bits"),
            Self::Contiguous { expected, found } => {
                let agree = if *found == 1 { "agrees" } else { "agree" };
                format!("an entry of {expected} items is not whole: {found} of them {agree}")
            }
            Self::DirtyReadOnly => "the page is dirty, and may not be written".to_owned(),
        }
    }
}

impl Source {
    /// What is wrong with an item that is no obstacle to decoding it.
    pub fn oddities(&self, level: u32, item: &Item) -> Vec<Rule> {
        let shape = self.decoder.shape();
        let mut rules = Vec::new();
        if !matches!(item.meaning, Meaning::Leaf | Meaning::Table) {
            return rules;
        }
        let masks = shape.masks(level, item);
        if item.raw & masks.unnamed != 0 {
            rules.push(Rule::Unnamed { bits: item.raw & masks.unnamed });
        }
        rules
    }

    /// Why an item of `level` is neither a pointer nor a page.
    pub fn foreign(&self, level: u32, raw: u64) -> Rule {
        match self.decoder.refusal(level, raw) {
            Some(Refusal::Value { bits, features }) => {
                Rule::ReservedValue { fields: self.fields_with(level, raw, bits), features }
            }
            Some(Refusal::Misaligned { bits, size_lg2 }) => Rule::PageMisaligned { bits, bytes: lg2::pow2(size_lg2) },
            Some(Refusal::TooWide { pa }) => Rule::TooWide { pa, oa_lg2: self.decoder.shape().oa_lg2 },
            None => match self.decoder.level_skip(level, raw) {
                Some(skip) => Rule::LevelSkip(skip),
                None => Rule::Foreign { nearest: self.nearest(level, raw) },
            },
        }
    }

    /// Changes of an item after which it breaks no rule: only such are worth proposing.
    fn nearest(&self, level: u32, raw: u64) -> Vec<String> {
        let breaks_none = |near: &Nearest| {
            let item = self.decoder.item(level, 0, near.raw);
            let leads_on = item.meaning != Meaning::Table || self.obstacle(&item).is_none();
            leads_on && self.oddities(level, &item).is_empty()
        };
        let found = self.decoder.nearest(level, raw);
        found.into_iter().filter(breaks_none).map(|near| near.text).collect()
    }

    /// Flags of a leaf that are clear, for which hardware may fault.
    pub fn not_accessed(&self, level: u32, raw: u64) -> Option<Rule> {
        let flags = self.decoder.faulting_flags(level, raw);
        (flags != 0).then(|| Rule::NotAccessed { fields: self.fields_with(level, raw, flags) })
    }

    /// The fields that have some of these bits in an item, each with its value and what it means.
    fn fields_with(&self, level: u32, raw: u64, bits: u64) -> Vec<Blamed> {
        let (shape, kind) = (self.decoder.shape(), self.decoder.kind_of(level, raw));
        let has = |info: &&FieldInfo| {
            let is_there = kind.is_some_and(|kind| info.scope.contains(level, kind));
            is_there && info.scope.allows(shape.features) && info.mask() & bits != 0
        };
        let words = |info: &FieldInfo| Blamed {
            name: Some(info.name),
            text: format!("{} = {:#x} ({})", info.name, info.get(raw), plain(info.doc).trim()),
        };
        let mut fields: Vec<Blamed> = shape.fields.iter().filter(has).map(words).collect();
        let named = shape.fields.iter().filter(has).fold(0, |all, info| all | info.mask());
        if bits & !named != 0 {
            fields.push(Blamed { name: None, text: format!("the bits {:#x}, which no field has", bits & !named) });
        }
        fields
    }

    /// Why the table that a pointer leads to cannot be read.
    pub fn obstacle(&self, item: &Item) -> Option<Rule> {
        let shape = self.decoder.shape();
        let below = u32::from(item.below);
        let align_lg2 = shape.levels[below as usize].align_lg2;
        if !lg2::is_aligned(item.pa, align_lg2) {
            return Some(Rule::TableMisaligned { pa: item.pa, bytes: 1 << align_lg2 });
        }
        (!self.image.has(item.pa, shape.table_bytes(below))).then(|| self.outside(below, item.pa))
    }

    /// A table of `level` is not in the image.
    pub fn outside(&self, level: u32, pa: u64) -> Rule {
        let bytes = self.decoder.shape().table_bytes(level);
        Rule::Outside { pa, bytes, cut_off: self.image.cut_off }
    }

    /// The sections that state a rule: those about the fields that are to blame, else that about the rule, else what the format
    /// as a whole names. None if the rule is one of this tool, which no specification states.
    pub fn section(&self, rule: &Rule) -> Option<String> {
        let stated = rule.spec()?;
        let sections = self.decoder.shape().sections;
        let of = |what: SpecRule| sections.iter().find(|(stated, _)| *stated == what).map(|(_, section)| *section);
        let mut found: Vec<&str> = rule.fields().into_iter().filter_map(|name| of(SpecRule::Field(name))).collect();
        if found.is_empty() {
            found.extend(of(stated));
        }
        found.dedup();
        Some(if found.is_empty() { self.specification() } else { found.join("; ") })
    }

    /// The first paragraph of the format's documentation, on one line: it names the specification and its sections.
    pub fn specification(&self) -> String {
        let documentation = self.decoder.shape().documentation;
        let paragraph = documentation.lines().map(str::trim).take_while(|line| !line.is_empty());
        plain(&paragraph.collect::<Vec<_>>().join(" "))
    }
}

/// Where to read on: for each section other than the whole specification a line that says for which rules, then that.
pub fn see<'a>(specification: &str, broken: impl Iterator<Item = (&'static str, &'a str)>) -> Vec<String> {
    let mut rules_of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (rule, section) in broken.filter(|(_, section)| *section != specification) {
        let rules = rules_of.entry(section).or_default();
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    let lines = rules_of.iter().map(|(section, rules)| format!("See for {}: {section}", rules.join(", ")));
    lines.chain([format!("See: {specification}")]).collect()
}
