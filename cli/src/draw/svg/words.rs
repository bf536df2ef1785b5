//! What a cell of a picture is, in words.

use super::Picture;
use crate::draw::cell::{Cell, Table, What};
use crate::draw::{more, words_of};
use crate::human;
use crate::inspect::dump::va_digits;
use generic_pt::lg2;

impl Picture<'_> {
    /// What a cell is: for the pointer, and labels, the longest first.
    pub fn words(&self, table: &Table, cell: &Cell) -> (String, Vec<String>) {
        let (shape, level) = (self.shape(), table.at.level);
        let digits = va_digits(shape);
        let first = shape.va_at(level, table.at.va, cell.first);
        let last_item = shape.va_at(level, table.at.va, cell.first + (cell.items - 1));
        let last = last_item | lg2::low_mask(shape.levels[level as usize].item_lg2.min(shape.va_lg2));
        let len = human::bytes((last - first).saturating_add(1));
        let (what, labels) = match cell.what {
            What::Empty => (format!("hole of {len}"), vec![len]),
            What::LeftOut => ("left out".to_owned(), Vec::new()),
            What::Unseen => ("not looked at".to_owned(), vec!["not looked at".to_owned()]),
            What::Leaf { look, entry_lg2, pa_runs, .. } => {
                let size = human::power(entry_lg2);
                let pages =
                    (u64::from(cell.items) >> (entry_lg2.saturating_sub(shape.levels[level as usize].item_lg2))).max(1);
                let look = self.drawing.styles.words(look);
                let runs = if pa_runs > 1 {
                    format!("{pa_runs} runs of PA from {:#x}", cell.pa)
                } else {
                    format!("PA {:#x}", cell.pa)
                };
                let times = if pages > 1 { format!("{pages} × {size}") } else { size };
                let shortest = (pages > 1).then(|| format!("{pages}×"));
                let labels = [format!("{times} · {look}"), times.clone()].into_iter().chain(shortest).collect();
                (format!("{times}, {look}, {runs}"), labels)
            }
            What::Table(id) => {
                let below = self.drawing.tables[id.index()].below;
                let (tables, bytes) = (human::count(below.tables, "table"), human::bytes(below.bytes));
                let label = format!("[{}] {first:0digits$x}", cell.first);
                let labels = vec![format!("{label} · {bytes}"), label, format!("[{}]", cell.first)];
                (format!("table at {:#x}: {tables}, {bytes} mapped", cell.pa), labels)
            }
            What::Shared(_) => (format!("table at {:#x}, shared: drawn elsewhere", cell.pa), vec!["shared".to_owned()]),
            What::Folded(below) => {
                let (tables, bytes) = (more(below.tables, "table"), human::bytes(below.bytes));
                (format!("{tables}, {bytes} mapped"), vec![tables])
            }
            What::Blocked(blocked) => (words_of(blocked).to_owned(), vec!["!".to_owned()]),
        };
        let items = if cell.items > 1 {
            format!("items {}..={}", cell.first, cell.first + (cell.items - 1))
        } else {
            format!("item {}", cell.first)
        };
        let mut title = format!("level {level}, {items}: {what}\nVA {first:0digits$x}..={last:0digits$x}");
        for finding in &cell.findings {
            let finding = &self.drawing.report.findings[*finding as usize];
            title += &format!("\n{} ({})", finding.text, finding.rule);
        }
        (title, labels)
    }
}
