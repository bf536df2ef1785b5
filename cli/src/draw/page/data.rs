//! What the page knows: the drawing as JSON, with addresses as hexadecimal text, since a script's numbers have 53 bits.

use crate::describe::plain;
use crate::draw::cell::{Cell, Table, What};
use crate::draw::extents::{Extent, Mix};
use crate::draw::layout::{GAP_WIDTH, Strip, extent_width};
use crate::draw::looks::LookId;
use crate::draw::{Drawing, words_of};
use crate::human;
use crate::inspect::check::Finding;
use crate::inspect::dump::{pa_digits, va_digits};
use crate::inspect::scan::Blocked;
use crate::number::Hex;
use generic_pt::field::{FieldInfo, FieldKind};
use generic_pt::lg2;
use serde::Serialize;
use std::collections::BTreeMap;

/// Most combinations of fields that are told apart; cells with others tell their first item only.
const MOST_FORMS: usize = 1 << 11;

/// The whole drawing.
#[derive(Serialize)]
pub struct Data<'a> {
    va_digits: usize,
    pa_digits: usize,
    item_bytes: u64,
    va_lg2: u32,
    /// What is above the VA bits, where the highest of them is 0, and where it is 1.
    above_va: [Hex; 2],
    levels: Vec<Level>,
    looks: Vec<LookData>,
    /// Class of a page size, by its power of two.
    sizes: BTreeMap<u32, String>,
    /// What each field is for.
    fields: BTreeMap<&'static str, String>,
    /// Fields with values, of which many cells have the same.
    forms: Vec<Vec<(&'static str, Hex)>>,
    tables: Vec<TableData>,
    findings: &'a [Finding],
    va: Vec<ExtentData>,
    pa: Vec<ExtentData>,
    table_memory: Vec<[Hex; 2]>,
    gap_width: u32,
    /// VA, physical address, and bytes less 1.
    links: Vec<[Hex; 3]>,
    dropped_links: u64,
}

#[derive(Serialize)]
struct Level {
    item_lg2: u32,
    items_lg2: u32,
    tables: u64,
}

#[derive(Serialize)]
struct LookData {
    words: String,
    access: String,
    attributes: String,
}

#[derive(Serialize)]
struct TableData {
    level: u32,
    pa: Hex,
    va: Hex,
    above: Option<u32>,
    slot: u32,
    width: u32,
    tables: u64,
    bytes: Hex,
    mark: u8,
    findings: Vec<u32>,
    cells: Vec<CellData>,
}

/// A cell in as few characters as can be.
#[derive(Serialize)]
struct CellData {
    /// Index of the first item.
    i: u32,
    /// Items, if more than one.
    #[serde(skip_serializing_if = "is_one")]
    n: u32,
    /// Width.
    w: u32,
    /// What it is.
    k: &'static str,
    /// The first item.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pa: Option<Hex>,
    /// The highest physical address, if it is not where a single run ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Hex>,
    /// Runs of physical memory, if more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    look: Option<u32>,
    /// Size of a page, as a power of two.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u32>,
    /// The table that it leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<u32>,
    /// Tables and bytes below that are not drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    below: Option<(u64, Hex)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    form: Option<usize>,
    /// The worst finding here and below: 2 a warning, 3 an error.
    #[serde(skip_serializing_if = "is_zero")]
    mark: u8,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<u32>,
}

#[derive(Serialize)]
struct ExtentData {
    first: Hex,
    last: Hex,
    look: u32,
    uses: u32,
    used: String,
    is_mixed: bool,
    w: u32,
}

fn is_one(number: &u32) -> bool {
    *number == 1
}

fn is_zero(number: &u8) -> bool {
    *number == 0
}

impl<'a> Data<'a> {
    /// What is known of a drawing.
    pub fn new(drawing: &'a Drawing<'_>) -> Self {
        let shape = drawing.source.decoder.shape();
        let high_bits = !lg2::low_mask(shape.va_lg2);
        let of_top = |bit: u64| {
            if shape.is_sign_extended() { bit * high_bits } else { shape.va_prefix & high_bits }
        };
        let mut forms = Forms::new(drawing);
        let tables =
            drawing.tables.iter().zip(&drawing.strips).map(|(table, strip)| forms.table(table, strip)).collect();
        let looks = 0..drawing.looks.len() as u32;
        Self {
            va_digits: va_digits(shape),
            pa_digits: pa_digits(shape),
            item_bytes: 1 << shape.item_bytes_lg2,
            va_lg2: shape.va_lg2,
            above_va: [Hex(of_top(0)), Hex(of_top(1))],
            levels: shape
                .levels
                .iter()
                .zip(&drawing.level_tables)
                .map(|(level, tables)| Level { item_lg2: level.item_lg2, items_lg2: level.items_lg2, tables: *tables })
                .collect(),
            looks: looks.map(|id| forms.look(id)).collect(),
            sizes: forms.sizes(),
            fields: shape.fields.iter().map(|info| (info.name, plain(info.doc))).collect(),
            forms: forms.forms,
            tables,
            findings: &drawing.report.findings,
            va: drawing.maps.va.iter().map(extent).collect(),
            pa: drawing.maps.pa.iter().map(extent).collect(),
            table_memory: drawing.maps.tables.iter().map(|extent| [Hex(extent.first), Hex(extent.last)]).collect(),
            gap_width: GAP_WIDTH,
            links: drawing.maps.links.iter().map(|link| [Hex(link.va), Hex(link.pa), Hex(link.len_minus_1)]).collect(),
            dropped_links: drawing.maps.dropped_links,
        }
    }
}

fn extent(extent: &Extent) -> ExtentData {
    ExtentData {
        first: Hex(extent.first),
        last: Hex(extent.last),
        look: extent.look.0,
        uses: extent.uses,
        used: human::bytes(extent.used_bytes),
        is_mixed: extent.mix == Mix::Mixed,
        w: extent_width(extent),
    }
}

/// Cells with the fields of their first items, each combination once.
struct Forms<'a> {
    drawing: &'a Drawing<'a>,
    ids: BTreeMap<Vec<(&'static str, Hex)>, usize>,
    forms: Vec<Vec<(&'static str, Hex)>>,
}

impl<'a> Forms<'a> {
    fn new(drawing: &'a Drawing<'_>) -> Self {
        Self { drawing, ids: BTreeMap::new(), forms: Vec::new() }
    }

    fn look(&self, id: u32) -> LookData {
        let (styles, look) = (&self.drawing.styles, LookId(id));
        LookData { words: styles.words(look), access: styles.access(look), attributes: styles.attributes(look) }
    }

    fn sizes(&self) -> BTreeMap<u32, String> {
        let styles = &self.drawing.styles;
        styles.sizes().iter().map(|size| (*size, styles.size(*size))).collect()
    }

    fn table(&mut self, table: &Table, strip: &Strip) -> TableData {
        let cells = table.cells.iter().zip(&strip.widths).map(|(cell, width)| self.cell(table, cell, *width)).collect();
        TableData {
            level: table.at.level,
            pa: Hex(table.at.pa),
            va: Hex(table.at.va),
            above: table.above.map(|above| above.0),
            slot: table.slot,
            width: strip.width,
            tables: table.below.tables,
            bytes: Hex(table.below.bytes),
            mark: table.worst.map_or(0, |worst| worst as u8 + 1),
            findings: table.findings.clone(),
            cells,
        }
    }

    fn cell(&mut self, table: &Table, cell: &Cell, width: u32) -> CellData {
        let has_pa = matches!(cell.what, What::Leaf { .. } | What::Table(_) | What::Shared(_) | What::Blocked(_));
        let mut data = CellData {
            i: cell.first,
            n: cell.items,
            w: width,
            k: "",
            raw: cell.raw.map(Hex),
            pa: cell.raw.filter(|_| has_pa).map(|_| Hex(cell.pa)),
            last: None,
            runs: None,
            look: None,
            size: None,
            to: None,
            below: None,
            why: None,
            form: cell.raw.and_then(|raw| self.form(table, cell, raw)),
            mark: cell.worst.map_or(0, |worst| worst as u8 + 1),
            findings: cell.findings.clone(),
        };
        data.k = match cell.what {
            What::Empty => "empty",
            What::Unseen => "unseen",
            What::LeftOut => "other",
            What::Leaf { look, entry_lg2, pa_runs, pa_last, .. } => {
                data.look = Some(look.0);
                data.size = Some(entry_lg2);
                if pa_runs > 1 {
                    data.runs = Some(pa_runs);
                    data.last = Some(Hex(pa_last));
                }
                "leaf"
            }
            What::Table(to) => {
                data.to = Some(to.0);
                "table"
            }
            What::Shared(to) => {
                data.to = Some(to.0);
                "shared"
            }
            What::Folded(below) => {
                data.below = Some((below.tables, Hex(below.bytes)));
                "folded"
            }
            What::Blocked(blocked) => {
                data.why = Some(words_of(blocked));
                "blocked"
            }
        };
        data
    }

    /// The fields of the first item that are no address.
    fn form(&mut self, table: &Table, cell: &Cell, raw: u64) -> Option<usize> {
        let decoder = &self.drawing.source.decoder;
        let shape = decoder.shape();
        let item = decoder.item(table.at.level, cell.first.into(), raw);
        if matches!(cell.what, What::Blocked(Blocked::Foreign)) {
            return None;
        }
        let kind = shape.kind(table.at.level, &item);
        let applies = |info: &&FieldInfo| {
            info.kind == FieldKind::Attribute
                && info.scope.allows(shape.features)
                && info.scope.contains(table.at.level, kind)
        };
        let fields: Vec<_> = shape.fields.iter().filter(applies).map(|info| (info.name, Hex(info.get(raw)))).collect();
        let known = self.ids.get(&fields).copied();
        if known.is_some() || self.forms.len() >= MOST_FORMS {
            return known;
        }
        let id = self.forms.len();
        self.ids.insert(fields.clone(), id);
        self.forms.push(fields);
        Some(id)
    }
}
