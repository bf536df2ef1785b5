//! `genpt formats`: what the formats are, from their descriptions.

use crate::human;
use crate::style::{self, styled};
use crate::table::feature_names;
use generic_pt::Features;
use generic_pt::field::{FieldInfo, FieldKind, ItemKind, Scope};
use generic_pt::format::{Common, Endian, Groups, SpecRule, item_size_lg2, items_lg2};
use generic_pt::iommu::TableConfig;
use generic_pt::item::Item;
use generic_pt::settings::{SettingInfo, Settings};
use serde::Serialize;
use std::fmt::{self, Write};

/// A format, as its description has it.
#[derive(Debug, Serialize)]
pub struct FormatInfo {
    /// Its name, as in `generic_pt::fmt`.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// What its description says: specification, section, hardware, limits.
    pub documentation: &'static str,
    /// Bits of an item.
    pub item_bits: u32,
    /// Whether the highest byte of an item comes first in memory.
    pub big_endian: bool,
    /// Levels of the smallest and the largest table.
    pub levels: (u32, u32),
    /// Most VA bits.
    pub va_bits: u32,
    /// Most OA bits.
    pub oa_bits: u32,
    /// Sizes of pages, in bytes; a configuration can have fewer.
    pub page_sizes: Vec<u64>,
    /// Whether writes of devices can be found out; with some formats a feature has to be on.
    pub dirty_tracking: bool,
    /// Each level of tables, the lowest first.
    pub tables: Vec<LevelInfo>,
    /// Features.
    pub features: Vec<FeatureInfo>,
    /// What a configuration of the format's own says.
    pub configuration: Vec<NumberInfo>,
    /// What a driver tells the hardware of a table.
    pub hardware_info: Vec<NumberInfo>,
    /// Bit fields of an item.
    pub fields: Vec<BitField>,
    /// Sections of the specification that state rules; where there are none, the documentation names the specification.
    pub sections: Vec<SectionInfo>,
}

/// A section of the specification.
#[derive(Debug, Serialize)]
pub struct SectionInfo {
    /// What it states.
    pub states: String,
    /// Which one it is.
    pub section: &'static str,
}

/// The tables of a level.
#[derive(Debug, Serialize)]
pub struct LevelInfo {
    /// The level; 0 is the lowest.
    pub level: u32,
    /// Items of a table that is not the top.
    pub items: u64,
    /// Bytes of VA that an item covers.
    pub item_covers: u64,
    /// Whether items can be pages.
    pub has_leaves: bool,
}

/// A feature.
#[derive(Debug, Serialize)]
pub struct FeatureInfo {
    /// Its name.
    pub name: &'static str,
    /// What the format's description says of a feature of its own.
    pub documentation: Option<&'static str>,
    /// Whether every table has it.
    pub forced: bool,
}

/// A number of a configuration, or for the hardware.
#[derive(Debug, Serialize)]
pub struct NumberInfo {
    /// Its name.
    pub name: &'static str,
    /// What the description says of it.
    pub documentation: &'static str,
}

/// A bit field.
#[derive(Debug, Serialize)]
pub struct BitField {
    /// Its name.
    pub name: &'static str,
    /// Its bits, as in manuals: the highest and the lowest, pieces in the order of the description.
    pub bits: String,
    /// The same as a mask, in hexadecimal digits.
    pub mask: String,
    /// Of an address, the bits that each piece holds; else nothing.
    pub address_bits: Vec<String>,
    /// What it means.
    pub documentation: &'static str,
    /// Which items have it; empty if all have.
    pub items: String,
}

/// What the description of the format says; `about` and the configuration are the tool's.
pub fn describe<F: Groups>(about: &'static str, config: F::Config) -> FormatInfo {
    let geometry = F::GEOMETRY;
    // A table with everything, and one with nothing: some features add page sizes, some exclude others.
    let sizes = [F::SUPPORTED, F::FORCED].into_iter().fold(0, |sizes, features| {
        let (hw_max_vasz_lg2, hw_max_oasz_lg2) = (geometry.max_va_lg2, geometry.max_oa_lg2);
        let table = TableConfig { features, hw_max_vasz_lg2, hw_max_oasz_lg2, format: config };
        let (max_va_lg2, max_oa_lg2) = (hw_max_vasz_lg2, hw_max_oasz_lg2);
        let common = Common::<F> { features, max_va_lg2, max_oa_lg2, config: F::settle(&table) };
        (0..=F::MAX_TOP_LEVEL).fold(sizes, |sizes, level| sizes | F::possible_sizes(&common, level))
    });
    let own_doc = |name: &str| {
        let at = F::OWN_FEATURES.iter().position(|(own, _)| *own == name)?;
        F::OWN_FEATURE_DOCS.get(at).copied()
    };
    let forced = feature_names::<F>(F::FORCED);
    FormatInfo {
        name: F::NAME,
        about,
        documentation: F::DOC,
        item_bits: F::Item::BITS,
        big_endian: F::QUIRKS.endian == Endian::Big,
        levels: (F::MIN_TOP_LEVEL + 1, F::MAX_TOP_LEVEL + 1),
        va_bits: geometry.max_va_lg2,
        oa_bits: geometry.max_oa_lg2,
        page_sizes: (0..u64::BITS).map(|bit| 1 << bit).filter(|size| sizes & size != 0).collect(),
        dirty_tracking: F::HAS_DIRTY,
        tables: (0..=F::MAX_TOP_LEVEL)
            .map(|level| LevelInfo {
                level,
                items: 1 << items_lg2::<F>(level),
                item_covers: 1 << item_size_lg2::<F>(level),
                has_leaves: geometry.leaf_levels.contains(&level),
            })
            .collect(),
        features: feature_names::<F>(F::SUPPORTED)
            .into_iter()
            .map(|name| FeatureInfo { name, documentation: own_doc(name), forced: forced.contains(&name) })
            .collect(),
        configuration: numbers::<F::Config>(),
        hardware_info: numbers::<F::HwInfo>(),
        fields: F::FIELDS.iter().map(|field| bit_field::<F>(field)).collect(),
        sections: F::SECTIONS.iter().map(|(rule, section)| SectionInfo { states: stated(*rule), section }).collect(),
    }
}

/// What a rule is about, in words.
fn stated(rule: SpecRule) -> String {
    let words = match rule {
        SpecRule::Canonical => "which VA there are",
        SpecRule::Present => "when an item is present",
        SpecRule::Kinds => "what pointers and pages are",
        SpecRule::Reserved => "reserved bits and values",
        SpecRule::Levels => "to which level a pointer leads",
        SpecRule::Tables => "where tables are",
        SpecRule::Pages => "how pages are aligned",
        SpecRule::Width => "how wide addresses are",
        SpecRule::Accessed => "how use is noted",
        SpecRule::Dirty => "how writes are noted",
        SpecRule::Contiguous => "how several items are one page",
        SpecRule::Field(name) => return format!("the field {name}"),
    };
    words.to_owned()
}

fn numbers<S: Settings>() -> Vec<NumberInfo> {
    S::FIELDS.iter().map(|SettingInfo { name, doc }| NumberInfo { name, documentation: doc }).collect()
}

fn bit_field<F: Groups>(field: &'static FieldInfo) -> BitField {
    let mut bits = String::new();
    let mut mask = 0;
    for piece in field.pieces {
        mask |= (u64::MAX >> (u64::BITS - 1 - (piece.hi - piece.lo))) << piece.lo;
        let separator = if bits.is_empty() { "" } else { ", " };
        bits += separator;
        bits += &if piece.hi == piece.lo { piece.lo.to_string() } else { format!("{}:{}", piece.hi, piece.lo) };
    }
    let is_address = matches!(field.kind, FieldKind::Address);
    BitField {
        name: field.name,
        bits,
        mask: format!("{mask:#x}"),
        address_bits: field
            .pieces
            .iter()
            .filter(|_| is_address)
            .map(|piece| format!("{}:{}", piece.value_lo + (piece.hi - piece.lo), piece.value_lo))
            .collect(),
        documentation: field.doc,
        items: items_with::<F>(&field.scope),
    }
}

/// Which items have a field, in words.
fn items_with<F: Groups>(scope: &Scope) -> String {
    let mut words = Vec::new();
    let (lowest, highest) = (scope.lowest_level, scope.highest_level.min(F::MAX_TOP_LEVEL));
    if lowest == highest {
        words.push(format!("level {lowest}"));
    } else if lowest > 0 || highest < F::MAX_TOP_LEVEL {
        words.push(format!("levels {lowest} to {highest}"));
    }
    let has = |kind| scope.contains(lowest, kind);
    match (has(ItemKind::Table), has(ItemKind::PlainLeaf), has(ItemKind::ContiguousLeaf)) {
        (true, false, false) => words.push("table pointers".to_owned()),
        (false, true, true) => words.push("leaves".to_owned()),
        (false, true, false) => words.push("leaves of one item".to_owned()),
        (false, false, true) => words.push("leaves of several items".to_owned()),
        _ => {}
    }
    for (word, features) in [("with", scope.with), ("without", scope.without)] {
        if features != Features::empty() {
            words.push(format!("{word} {}", features.named(F::OWN_FEATURES)));
        }
    }
    words.join(", ")
}

/// Powers of two, with runs of three or more as their ends.
fn sizes(sizes: &[u64]) -> String {
    let mut parts = Vec::new();
    let mut rest = sizes;
    while let Some(first) = rest.first() {
        let run = rest.iter().zip(0..).take_while(|(size, n)| **size == first << n).count();
        let (run, behind) = rest.split_at(if run > 2 { run } else { 1 });
        parts.push(match run {
            [first, .., last] => format!("{} to {}", human::bytes(*first), human::bytes(*last)),
            _ => human::bytes(*first),
        });
        rest = behind;
    }
    parts.join(", ")
}

/// All formats, a line each.
pub fn list(formats: &[FormatInfo]) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_list(&mut out, formats);
    out
}

fn write_list(out: &mut String, formats: &[FormatInfo]) -> fmt::Result {
    let column =
        |text: &dyn Fn(&FormatInfo) -> String| formats.iter().map(|format| text(format).len()).max().unwrap_or(0);
    let levels = |format: &FormatInfo| range(format.levels);
    let bits = |format: &FormatInfo| format!("{} / {}", format.va_bits, format.oa_bits);
    let pages = |format: &FormatInfo| sizes(&format.page_sizes);
    let name_width = column(&|format| format.name.to_owned()).max("format".len());
    let level_width = column(&levels).max("levels".len());
    let bit_width = column(&bits).max("VA / OA".len());
    let page_width = column(&pages).max("pages".len());
    let heading = format!(
        "{:name_width$}  {:level_width$}  {:bit_width$}  {:page_width$}  what it is",
        "format", "levels", "VA / OA", "pages"
    );
    writeln!(out, "{}", styled(style::HEADING, heading))?;
    for format in formats {
        let name = styled(style::NAME, format!("{:name_width$}", format.name));
        let (levels, bits, pages) = (levels(format), bits(format), pages(format));
        writeln!(out, "{name}  {levels:level_width$}  {bits:bit_width$}  {pages:page_width$}  {}", format.about)?;
    }
    write!(out, "\n`genpt formats NAME` shows the bits, the features and what the description says.")
}

fn range((lowest, highest): (u32, u32)) -> String {
    if lowest == highest { lowest.to_string() } else { format!("{lowest} to {highest}") }
}

/// One format in full.
pub fn page(format: &FormatInfo) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_page(&mut out, format);
    out
}

/// Columns of text.
const WIDTH: usize = 100;
/// Columns before the text of a field or a feature.
const INDENT: usize = 4;

fn write_page(out: &mut String, format: &FormatInfo) -> fmt::Result {
    writeln!(out, "{}: {}\n", styled(style::NAME, format.name), format.about)?;
    for paragraph in paragraphs(&plain(format.documentation)) {
        write_text(out, 0, &paragraph)?;
        writeln!(out)?;
    }
    let endian = if format.big_endian { "big endian" } else { "little endian" };
    writeln!(out, "items           {} bits, {endian}", format.item_bits)?;
    writeln!(out, "levels          {}", range(format.levels))?;
    writeln!(out, "VA bits         {}", format.va_bits)?;
    writeln!(out, "OA bits         {}", format.oa_bits)?;
    writeln!(out, "pages           {}", sizes(&format.page_sizes))?;
    writeln!(out, "dirty tracking  {}", if format.dirty_tracking { "yes" } else { "no" })?;
    writeln!(out, "\n{}", styled(style::HEADING, "Tables"))?;
    for LevelInfo { level, items, item_covers, has_leaves } in &format.tables {
        let bytes = human::bytes(items * u64::from(format.item_bits) / 8);
        let leaves = if *has_leaves { "" } else { "; no pages" };
        writeln!(out, "  level {level}  {items} items of {}, in {bytes}{leaves}", human::bytes(*item_covers))?;
    }
    writeln!(out, "\n{} (* has to be asked for: `FORCED`)", styled(style::HEADING, "Features"))?;
    for feature in &format.features {
        writeln!(out, "  {}{}", feature.name, if feature.forced { " *" } else { "" })?;
        if let Some(text) = feature.documentation {
            write_text(out, INDENT, &plain(text))?;
        }
    }
    for (title, numbers) in [("Configuration", &format.configuration), ("For the hardware", &format.hardware_info)] {
        if !numbers.is_empty() {
            writeln!(out, "\n{}", styled(style::HEADING, title))?;
        }
        for NumberInfo { name, documentation } in numbers {
            writeln!(out, "  {name}")?;
            write_text(out, INDENT, &plain(documentation))?;
        }
    }
    writeln!(out, "\n{}", styled(style::HEADING, "Bits of an item"))?;
    for field in &format.fields {
        write!(out, "  {:9} {}", field.bits, field.name)?;
        if !field.address_bits.is_empty() {
            write!(out, "  = address {}", field.address_bits.join(", "))?;
        }
        let items = if field.items.is_empty() { String::new() } else { format!("  [{}]", field.items) };
        writeln!(out, "{items}")?;
        write_text(out, 12, &plain(field.documentation))?;
    }
    if !format.sections.is_empty() {
        writeln!(out, "\n{}", styled(style::HEADING, "Sections of the specification"))?;
    }
    // Rules of the same section stand together.
    let mut done: Vec<&str> = Vec::new();
    for SectionInfo { section, .. } in &format.sections {
        if done.contains(section) {
            continue;
        }
        done.push(section);
        let of_it = format.sections.iter().filter(|other| other.section == *section);
        let states: Vec<&str> = of_it.map(|other| other.states.as_str()).collect();
        write_text(out, 2, section)?;
        write_text(out, INDENT, &states.join("; "))?;
    }
    Ok(())
}

/// Markdown as it is read: links are their text, escapes are gone, headings have no marks.
pub fn plain(markdown: &str) -> String {
    let mut text = String::with_capacity(markdown.len());
    let mut rest = markdown;
    while let Some(at) = rest.find(['\\', ']', '[', '#']) {
        let (before, from) = rest.split_at(at);
        text += before;
        let mut chars = from.chars();
        let mark = chars.next();
        rest = chars.as_str();
        let at_start_of_line = text.trim_end_matches(' ').chars().next_back().is_none_or(|last| last == '\n');
        match mark {
            Some('\\') => text.extend(chars.next()),
            Some('#') if at_start_of_line => {
                rest = rest.trim_start_matches(['#', ' ']);
                continue;
            }
            // The target of a link, but no other parentheses.
            Some(']') => {
                rest = rest.strip_prefix('(').and_then(|target| target.split_once(')')).map_or(rest, |it| it.1)
            }
            Some('[') => {}
            mark => text.extend(mark),
        }
        if mark == Some('\\') {
            rest = chars.as_str();
        }
    }
    text + rest
}

/// The paragraphs of a text, each on one line; items of lists and rows of tables are paragraphs.
fn paragraphs(markdown: &str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    // What a link means is said elsewhere in the text.
    let is_link_target = |line: &&str| line.split_once("`: ").is_some_and(|(_, target)| target.starts_with("crate::"));
    for line in markdown.lines().map(str::trim).filter(|line| !is_link_target(line)) {
        if line.is_empty() || line.starts_with("* ") || line.starts_with("| ") {
            paragraphs.push(String::new());
        }
        if let Some(paragraph) = paragraphs.last_mut().filter(|_| !line.is_empty()) {
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(line);
        }
    }
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs
}

/// A text in lines of at most [`WIDTH`], behind `indent` blanks.
fn write_text(out: &mut String, indent: usize, text: &str) -> fmt::Result {
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            writeln!(out)?;
            column = 0;
        }
        if column == 0 {
            write!(out, "{:indent$}{word}", "")?;
            column = indent + length;
        } else {
            write!(out, " {word}")?;
            column += 1 + length;
        }
    }
    if column > 0 { writeln!(out) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_sizes() {
        assert_eq!(sizes(&[]), "");
        assert_eq!(sizes(&[1 << 12, 1 << 13]), "4 KiB, 8 KiB");
        assert_eq!(sizes(&[1 << 12, 1 << 13, 1 << 14, 1 << 30]), "4 KiB to 16 KiB, 1 GiB");
    }

    #[test]
    fn text_is_wrapped() {
        let mut out = String::new();
        write_text(&mut out, 4, &"word ".repeat(30)).expect("a string");
        assert!(out.lines().count() == 2 && out.lines().all(|line| line.starts_with("    w") && line.len() <= WIDTH));
        assert_eq!(plain("# A\n[`B`](c::B) of [d] (e) \\[1\\] #1"), "A\n`B` of d (e) [1] #1");
        assert_eq!(paragraphs("a\nb\n\n* c\n* d\n  e"), ["a b", "* c", "* d e"]);
    }
}
