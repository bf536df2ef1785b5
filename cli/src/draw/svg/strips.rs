//! The tables of a picture: each a strip of blocks, below the item that points to it.

use super::{Picture, ROW, STRIP};
use crate::draw::cell::{Cell, Table, TableId, What};
use crate::draw::{Drawing, mark};
use crate::inspect::check::Severity;
use std::fmt::{self, Write};

/// What is narrower than this is drawn together, and shows no table below it.
const NARROW: f64 = 1.5;

/// Cells that are drawn together.
struct Column<'a> {
    /// The one that matters most.
    cell: &'a Cell,
    x: f64,
    runs: u64,
}

impl<'a> Column<'a> {
    fn add(&mut self, cell: &'a Cell) {
        self.runs += 1;
        if strength(cell) > strength(self.cell) {
            self.cell = cell;
        }
    }
}

/// Which of several cells is shown where there is room for one.
fn strength(cell: &Cell) -> (Option<Severity>, u32) {
    let kind = match cell.what {
        What::Empty => 0,
        What::Unseen | What::LeftOut => 1,
        What::Folded(_) => 2,
        What::Shared(_) => 3,
        What::Table(_) => 4,
        What::Leaf { .. } => 5,
        What::Blocked(_) => 6,
    };
    (cell.worst, kind)
}

impl Picture<'_> {
    /// A table and those below it.
    pub fn table(&mut self, id: TableId, x: f64, width: f64, y: f64) -> fmt::Result {
        self.tables += 1;
        let drawing = self.drawing;
        let (table, strip) = (&drawing.tables[id.index()], &drawing.strips[id.index()]);
        let unit = width / f64::from(strip.width.max(1));
        let mut cell_x = x;
        let mut column: Option<Column<'_>> = None;
        let mut marks = Vec::new();
        for (cell, cell_width) in table.cells.iter().zip(&strip.widths) {
            let cell_width = unit * f64::from(*cell_width);
            if cell_width < NARROW {
                let column_now = column.get_or_insert(Column { cell, x: cell_x, runs: 0 });
                column_now.add(cell);
                if cell_x + cell_width - column_now.x >= NARROW {
                    self.column(table, &mut column, cell_x + cell_width, y)?;
                }
            } else {
                self.column(table, &mut column, cell_x, y)?;
                let (title, labels) = self.words(table, cell);
                self.block(&class(drawing, cell), cell_x, y, cell_width, &title, &labels)?;
            }
            match cell.what {
                What::Table(below) if cell_width >= NARROW => self.table(below, cell_x, cell_width, y + ROW)?,
                _ => {}
            }
            if let Some(mark) = cell.worst.and_then(mark) {
                marks.push((mark, cell_x, cell_width, cell.findings.is_empty()));
            }
            cell_x += cell_width;
        }
        self.column(table, &mut column, x + width, y)?;
        // Over all cells, so that neighbours do not cover them.
        for (mark, x, width, is_below) in marks {
            let middle = x + width / 2.0;
            if !is_below {
                let (x, width) = (middle - width.max(4.0) / 2.0, width.max(4.0));
                writeln!(
                    self.out,
                    "<rect class=\"mark-{mark}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{STRIP}\"/>"
                )?;
            }
            // A flag leads from the top to what is marked below.
            let flag_y = y + STRIP;
            writeln!(self.out, "<path class=\"flag-{mark}\" d=\"M{middle:.1},{flag_y:.1}l-5,9h10z\"/>")?;
        }
        if let Some(mark) = drawing.table_mark(table) {
            writeln!(
                self.out,
                "<rect class=\"mark-{mark}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{}\"/>",
                x - 1.0,
                y - 1.0,
                width.max(3.0) + 2.0,
                STRIP + 2.0
            )?;
        }
        Ok(())
    }

    /// Cells that are too narrow to be seen, as the one of them that matters most.
    fn column(&mut self, table: &Table, column: &mut Option<Column<'_>>, end: f64, y: f64) -> fmt::Result {
        let Some(Column { cell, x, runs }) = column.take() else { return Ok(()) };
        let (mut title, _) = self.words(table, cell);
        if runs > 1 {
            title = format!("{runs} runs of items, among them\n{title}");
        }
        self.block(&class(self.drawing, cell), x, y, end - x, &title, &[])
    }
}

/// The class of a cell.
fn class(drawing: &Drawing<'_>, cell: &Cell) -> String {
    match cell.what {
        What::Empty => "empty".to_owned(),
        What::Unseen => "unseen".to_owned(),
        What::LeftOut => "other".to_owned(),
        What::Leaf { look, .. } => drawing.styles.access(look),
        What::Table(_) => "table".to_owned(),
        What::Shared(_) => "shared".to_owned(),
        What::Folded(_) => "folded".to_owned(),
        What::Blocked(_) => "blocked".to_owned(),
    }
}

impl Drawing<'_> {
    /// The class of the worst finding about a table as a whole.
    fn table_mark(&self, table: &Table) -> Option<&'static str> {
        let severities = table.findings.iter().map(|n| self.report.findings[*n as usize].severity);
        severities.max().and_then(mark)
    }
}
