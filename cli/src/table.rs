//! Making tables for a replay, and looking at them.

use crate::formats::Shape;
use crate::intervals::Span;
use crate::model::{Model, Placed};
use crate::replay_error::ReplayError;
use generic_pt::format::{Description, Groups, Kind, item_size_lg2};
use generic_pt::iommu::Walkers;
use generic_pt::walk::{ItemView, TableView};
use generic_pt::{Features, Host, Prot, PtIommu, TableConfig};
use std::collections::BTreeMap;

/// The protection of every map: the events do not name any.
pub const PROT: Prot = Prot::READ.union(Prot::WRITE).union(Prot::CACHE);

/// Bytes from one address that is checked to the next: the page size of the traced machines.
const STEP: u64 = 4096;
/// Most addresses that are checked after one event; in a larger range they are further apart.
const MOST_CHECKED: u64 = 1 << 20;

/// Makes an empty table.
///
/// # Errors
/// [`ReplayError::Setup`].
pub fn make<F: Walkers, H: Host>(
    host: H,
    shape: &Shape<F::Config>,
    va_bits: u32,
    flush: Features,
) -> Result<PtIommu<F, H>, ReplayError> {
    let config = TableConfig {
        features: F::FORCED | shape.features | (flush & F::SUPPORTED),
        hw_max_vasz_lg2: va_bits,
        hw_max_oasz_lg2: F::GEOMETRY.max_oa_lg2,
        format: (shape.config)(va_bits),
    };
    PtIommu::new(host, &config).map_err(|cause| ReplayError::Setup { format: shape.name, va_bits, cause })
}

/// Leaves by size: bytes of VA to their number.
pub type Leaves = BTreeMap<u64, u64>;

/// A run of VA, and where its first byte goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    span: Span,
    paddr: u64,
}

impl Run {
    /// Whether `next` goes on where this one ends, in VA and in physical address.
    fn is_continued_by(&self, next: &Self) -> bool {
        self.span.touches(next.span) && self.paddr.checked_add(self.span.len()) == Some(next.paddr)
    }
}

/// What a table has to translate, by its model: runs in address order, none of which continues the one before.
pub fn expected_runs(model: &Model) -> Vec<Run> {
    let in_table = model.pieces().filter(|(_, piece)| piece.placed == Placed::InTable);
    joined(in_table.map(|(span, piece)| Run { span, paddr: piece.paddr })).collect()
}

/// Counts the leaves of a table and compares all it translates with what is expected.
///
/// # Errors
/// The first difference, in words.
pub fn inspect<F: Walkers, H: Host>(table: &PtIommu<F, H>, expected: &[Run]) -> Result<Leaves, String> {
    let mut found = Found::default();
    table.visit_items(|view, item| found.take(view, item));
    found.compare(expected)
}

/// The same of a table that is not used any more, and frees it: its tables are read once for both.
///
/// # Errors
/// The first difference, in words.
pub fn inspect_last<F: Walkers, H: Host>(table: PtIommu<F, H>, expected: &[Run]) -> Result<Leaves, String> {
    let mut found = Found::default();
    table.free_with(|view, item| found.take(view, item));
    found.compare(expected)
}

/// What is in a table.
struct Found {
    /// Leaves, by the logarithm of their size.
    leaves: [u64; u64::BITS as usize],
    runs: Vec<Run>,
}

impl Default for Found {
    fn default() -> Self {
        Self { leaves: [0; u64::BITS as usize], runs: Vec::new() }
    }
}

impl Found {
    /// Takes an item, and those behind it that continue it. How many those are.
    fn take<F: Groups>(&mut self, view: &TableView<'_, F>, item: &ItemView) -> usize {
        if item.kind != Kind::Leaf {
            return 0;
        }
        // Mostly none: a page for each map. But a large map has many small pages.
        let more = view.followers(item.index);
        let item_bytes = 1u64.checked_shl(item_size_lg2::<F>(view.level())).unwrap_or(0);
        let span = Span::new(item.va, item_bytes.wrapping_mul(1 + more as u64));
        debug_assert!(span.is_some(), "no leaves are of all 2^64 bytes, or go on behind the last address");
        let Some(span) = span else { return more };
        if let Some(of_size) = self.leaves.get_mut(item.entry_size_lg2 as usize) {
            // The first item of a leaf stands for it.
            let leaf = |va: u64| va.checked_shr(item.entry_size_lg2).unwrap_or(0);
            let is_first = item.va.trailing_zeros() >= item.entry_size_lg2;
            *of_size += leaf(span.last) - leaf(span.first) + u64::from(is_first);
        }
        let run = Run { span, paddr: item.oa };
        match self.runs.last_mut() {
            Some(before) if before.is_continued_by(&run) => before.span.last = span.last,
            _ => self.runs.push(run),
        }
        more
    }

    fn compare(self, expected: &[Run]) -> Result<Leaves, String> {
        compare(self.runs.into_iter(), expected.iter().copied())?;
        let each = (0..).zip(self.leaves).filter(|(_, count)| *count > 0);
        Ok(each.map(|(size_lg2, count): (u32, u64)| (1 << size_lg2, count)).collect())
    }
}

/// Joins runs that continue each other.
fn joined(runs: impl Iterator<Item = Run>) -> impl Iterator<Item = Run> {
    let mut runs = runs.peekable();
    std::iter::from_fn(move || {
        let mut run = runs.next()?;
        while let Some(next) = runs.next_if(|next| run.is_continued_by(next)) {
            run.span.last = next.span.last;
        }
        Some(run)
    })
}

fn compare(mut found: impl Iterator<Item = Run>, mut expected: impl Iterator<Item = Run>) -> Result<(), String> {
    let describe = |run: Option<Run>| match run {
        Some(Run { span, paddr }) => format!("IOVA {:#018x}..={:#018x} to {paddr:#018x}", span.first, span.last),
        None => "nothing more".to_owned(),
    };
    loop {
        let (found, expected) = (found.next(), expected.next());
        if found != expected {
            return Err(format!("it maps {}, the trace {}", describe(found), describe(expected)));
        }
        if found.is_none() {
            return Ok(());
        }
    }
}

/// Compares translations page by page in `span`, and of one page on each side of it. (Above 4 GiB not of every page.)
///
/// # Errors
/// The first difference, in words.
pub fn check_span<F: Walkers, H: Host>(table: &PtIommu<F, H>, model: &Model, span: Span) -> Result<(), String> {
    let step = STEP.max(span.len() / MOST_CHECKED);
    let last = span.last.saturating_add(STEP);
    let mut iova = span.first.saturating_sub(STEP);
    loop {
        let (found, expected) = (table.iova_to_phys(iova), model.translate(iova));
        if found != expected {
            let show = |pa: Option<u64>| pa.map_or("nothing".to_owned(), |pa| format!("{pa:#018x}"));
            return Err(format!("IOVA {iova:#018x} goes to {}, in the trace to {}", show(found), show(expected)));
        }
        match iova.checked_add(step) {
            Some(next) if next <= last => iova = next,
            _ => return Ok(()),
        }
    }
}

/// The names of the features of a table, common ones and the format's own.
pub fn feature_names<F: Description>(features: Features) -> Vec<&'static str> {
    let all = Features::COMMON_NAMES.iter().chain(F::OWN_FEATURES);
    all.filter(|(_, feature)| features.contains(*feature)).map(|(name, _)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{Event, Op, Start};
    use generic_pt::fmt::{armv8_4k, vtdss};
    use generic_pt::{Domain, GatherMode, HeapMemory, NoHardware};

    const SHAPE: Shape<vtdss::Config> = Shape {
        name: "vtdss",
        about: "",
        va_bits: &[48],
        features: Features::empty(),
        config: |_| vtdss::Config { top_level: 3 },
    };

    /// Leaves that follow each other are counted together: up to where one goes elsewhere, and over ends of tables.
    #[test]
    fn runs_of_leaves_are_counted() {
        let domain = Domain::new(HeapMemory, NoHardware);
        let mut table = make::<vtdss::Format, _>(&domain, &SHAPE, 48, Features::empty()).unwrap();
        let mut model = Model::new(Start::Empty);
        let mut map = |first: u64, paddr: u64, pages: u64| {
            let span = Span::new(first, pages << 12).unwrap();
            model.apply(&Event { line: 1, domain: 0, op: Op::Map { span, paddr } });
            table.map_range(first, paddr, pages << 12, PROT).unwrap();
        };
        // Two ends of tables in one run, single pages before and behind, and a hole of one page.
        map(0x1000, 0x10_3000, 1);
        map(0x2000, 0x20_5000, 1100);
        map(0x2000 + (1100 << 12), 0x70_1000, 1);
        map(0x2000 + (1102 << 12), 0x20_5000 + (1102 << 12), 7);
        map(0x4000_0000, 0x8000_0000, 0x400);
        assert_eq!(inspect(&table, &expected_runs(&model)), Ok(Leaves::from([(0x1000, 1109), (0x20_0000, 2)])));
    }

    /// Leaves of several items that hold an address each were counted one item at a time.
    #[test]
    fn contiguous_leaves_are_counted_once() {
        let shape = Shape {
            name: "armv8_4k",
            about: "",
            va_bits: &[48],
            features: Features::empty(),
            config: |_| armv8_4k::Config::default(),
        };
        let domain = Domain::new(HeapMemory, NoHardware);
        let mut table = make::<armv8_4k::Format, _>(&domain, &shape, 48, Features::empty()).unwrap();
        let mut model = Model::new(Start::Empty);
        // Pages, two leaves of 64 KiB, a page; and one of 32 MiB behind leaves of 2 MiB.
        for (first, paddr, pages) in [(0xd000, 0x8000_d000, 3 + 32 + 1), (0x8180_0000, 0x4180_0000, 4 * 512 + 16 * 512)]
        {
            let span = Span::new(first, pages << 12).unwrap();
            model.apply(&Event { line: 1, domain: 0, op: Op::Map { span, paddr } });
            table.map_range(first, paddr, pages << 12, PROT).unwrap();
        }
        let leaves = Leaves::from([(0x1000, 4), (0x1_0000, 2), (0x20_0000, 4), (0x200_0000, 1)]);
        assert_eq!(inspect(&table, &expected_runs(&model)), Ok(leaves.clone()));
        assert_eq!(inspect_last(table, &expected_runs(&model)), Ok(leaves));
    }

    #[test]
    fn differences_are_found() {
        let domain = Domain::new(HeapMemory, NoHardware);
        let mut table = make::<vtdss::Format, _>(&domain, &SHAPE, 48, Features::empty()).unwrap();
        let mut model = Model::new(Start::Empty);
        let span = Span { first: 0x20_0000, last: 0x5f_efff };
        model.apply(&Event { line: 1, domain: 0, op: Op::Map { span, paddr: 0x4000_0000 } });
        let equal = |table: &PtIommu<vtdss::Format, _>| {
            let whole = inspect(table, &expected_runs(&model));
            assert_eq!(whole.is_ok(), check_span(table, &model, span).is_ok());
            whole
        };
        assert!(equal(&table).unwrap_err().contains("nothing more"));
        table.map_range(span.first, 0x4000_0000, span.len(), PROT).unwrap();
        assert_eq!(equal(&table), Ok(Leaves::from([(0x1000, 511), (0x20_0000, 1)])));
        let mut gather = table.gather(GatherMode::Immediate);
        assert_eq!(table.unmap_range(0x5f_e000, 0x1000, &mut gather), 0x1000);
        gather.sync();
        assert!(equal(&table).is_err());
        table.map_range(0x5f_e000, 0x9000, 0x1000, PROT).unwrap();
        assert!(equal(&table).is_err());
        table.unmap_range(0x5f_e000, 0x1000, &mut gather);
        table.map_range(0x5f_e000, 0x403f_e000, 0x2000, PROT).unwrap();
        gather.sync();
        assert!(equal(&table).is_err());
    }
}
