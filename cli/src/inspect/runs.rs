//! What is mapped, as merged runs: leaves that continue each other in VA and in physical address, with the same attributes.

use super::InspectError;
use super::args::FilterArgs;
use super::error::FieldOf;
use super::scan::{Blocked, Event, ItemAt, MOST_KINDS, Scan};
use super::seen::Seen;
use super::source::Source;
use crate::decode::{Attributes, Inherited, Item, PointerFields, Shape};
use crate::number::AddressRange;
use generic_pt::field::FieldKind;
use generic_pt::lg2;
use std::collections::HashMap;
use std::rc::Rc;

/// A run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    /// Its VA.
    pub va: AddressRange,
    /// Physical address of its first byte.
    pub pa: u64,
    /// Sizes of its pages, one bit each.
    pub sizes: u64,
    /// Its fields, and what they and those of the pointers on the way permit.
    pub attributes: Rc<Attributes>,
}

impl Run {
    /// Bytes; `u64::MAX` for all 2^64.
    pub const fn len(&self) -> u64 {
        (self.va.last - self.va.first).saturating_add(1)
    }

    /// Whether `next` goes on where this one ends.
    #[inline]
    fn is_continued_by(&self, next: &Self) -> bool {
        self.va.last.checked_add(1) == Some(next.va.first)
            && self.pa.checked_add(self.len()) == Some(next.pa)
            && (Rc::ptr_eq(&self.attributes, &next.attributes) || self.attributes == next.attributes)
    }

    /// The part from `first` on.
    pub fn from(&self, first: u64) -> Self {
        let pa = self.pa.wrapping_add(first - self.va.first);
        Self { va: AddressRange { first, last: self.va.last }, pa, ..self.clone() }
    }

    /// The part up to `last`.
    pub fn up_to(&self, last: u64) -> Self {
        Self { va: AddressRange { first: self.va.first, last }, ..self.clone() }
    }
}

/// Which leaves belong to the runs.
#[derive(Clone, Debug)]
pub struct Filter {
    va: AddressRange,
    pa: AddressRange,
    has: Vec<Needed>,
    ignore: Vec<usize>,
    way: Way,
}

/// Whether the fields of pointers separate runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// Only by what they say about leaves.
    Combined,
    /// All of them.
    Shown,
}

impl Filter {
    /// The filter that the arguments say.
    ///
    /// # Errors
    /// [`InspectError::Field`] and [`InspectError::NotOfPages`].
    pub fn new(args: &FilterArgs, shape: &Shape) -> Result<Self, InspectError> {
        Ok(Self {
            va: args.va.unwrap_or(AddressRange::ALL),
            pa: args.pa.unwrap_or(AddressRange::ALL),
            has: Needed::all(shape, &args.has)?,
            ignore: ignored(shape, &args.ignore)?,
            way: if args.pointers { Way::Shown } else { Way::Combined },
        })
    }
}

/// What a leaf has to say in a field, to be shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Needed {
    /// Which of the format's fields.
    pub field: usize,
    /// Whether it is to be there.
    pub wanted: Wanted,
}

/// Whether a field is to be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// The leaf has it, and it is not zero.
    Set,
    /// It is zero, or the leaf has none.
    Clear,
}

impl Needed {
    /// What names of fields ask for: with `!` before them that the field is not there.
    ///
    /// # Errors
    /// [`InspectError::Field`] and [`InspectError::NotOfPages`].
    pub fn all(shape: &Shape, names: &[String]) -> Result<Vec<Self>, InspectError> {
        let needed = |name: &String| {
            let (name, wanted) =
                name.strip_prefix('!').map_or((name.as_str(), Wanted::Set), |name| (name, Wanted::Clear));
            let field = fields_named(shape, name)?;
            let info = &shape.fields[field];
            let whose = if info.kind == FieldKind::Address {
                FieldOf::Address
            } else if shape.is_of_pages(info) {
                return Ok(Self { field, wanted });
            } else {
                FieldOf::Pointers
            };
            Err(InspectError::NotOfPages { name: info.name.to_owned(), whose })
        };
        names.iter().map(needed).collect()
    }
}

/// Fields that make no difference.
///
/// # Errors
/// [`InspectError::Field`], and [`InspectError::NotOfPages`] for an address: pages differ by it in any case.
pub fn ignored(shape: &Shape, names: &[String]) -> Result<Vec<usize>, InspectError> {
    let field = |name: &String| {
        let field = fields_named(shape, name)?;
        let info = &shape.fields[field];
        if info.kind == FieldKind::Address {
            return Err(InspectError::NotOfPages { name: info.name.to_owned(), whose: FieldOf::Address });
        }
        Ok(field)
    };
    names.iter().map(field).collect()
}

/// The field of a name.
///
/// # Errors
/// [`InspectError::Field`].
fn fields_named(shape: &Shape, name: &str) -> Result<usize, InspectError> {
    let found = shape.fields.iter().position(|field| field.name.eq_ignore_ascii_case(name));
    found.ok_or_else(|| InspectError::Field { format: shape.format, name: name.to_owned(), valid: shape.field_names() })
}

/// What leaves of one kind say.
#[derive(Clone)]
struct Known {
    level: u32,
    key: u64,
    inherited: Inherited,
    attributes: Rc<Attributes>,
    passes: bool,
}

/// The runs of an image, in VA order.
pub struct Runs<'a> {
    scan: Scan<'a>,
    source: &'a Source,
    filter: Filter,
    last: Option<Known>,
    /// The table that the last leaf was in, as level and VA, and the pointers on the way there, if these are shown.
    way: Option<((u32, u64), Vec<PointerFields>)>,
    known: HashMap<(u32, u64, Inherited), Known>,
    open: Option<Run>,
    /// VA of which is not known what it maps, behind the run that was told last.
    unknown: Option<AddressRange>,
    /// From where on nothing is told, as the limit was reached.
    end: Option<u64>,
    /// What was seen until now.
    pub seen: Seen,
}

impl<'a> Runs<'a> {
    /// The runs of what passes a filter.
    pub fn new(source: &'a Source, filter: Filter, most_items: u64) -> Self {
        let scan = Scan::new(source, filter.va, most_items);
        Self {
            scan,
            source,
            filter,
            last: None,
            way: None,
            known: HashMap::new(),
            open: None,
            unknown: None,
            end: None,
            seen: Seen::default(),
        }
    }

    /// Notes the pointers on the way to a leaf. What leaves of a kind say is known for one way only.
    fn follow(&mut self, at: &ItemAt) {
        let table = (at.table.level, at.table.va);
        if self.way.as_ref().is_some_and(|(known, _)| *known == table) {
            return;
        }
        let (decoder, ignore) = (&self.source.decoder, &self.filter.ignore);
        let fields_of = |(level, pointer): (u32, &Item)| {
            let mut fields = decoder.attributes(level, pointer, Inherited::default()).fields;
            fields.retain(|value| !ignore.contains(&value.field));
            PointerFields { level, fields }
        };
        let way: Vec<PointerFields> = self.scan.pointers().map(fields_of).collect();
        if self.way.as_ref().is_none_or(|(_, known)| *known != way) {
            self.known.clear();
            self.last = None;
        }
        self.way = Some((table, way));
    }

    /// What a leaf says beside its address.
    #[inline]
    fn known(&mut self, at: &ItemAt) -> &Known {
        let (level, inherited) = (at.table.level, at.table.inherited);
        let key = at.item.raw & !self.source.decoder.shape().masks(level, &at.item).address;
        let is_last =
            self.last.as_ref().is_some_and(|last| (last.level, last.key, last.inherited) == (level, key, inherited));
        if !is_last {
            let known = match self.known.get(&(level, key, inherited)) {
                Some(known) => known.clone(),
                None => self.learn(at, key),
            };
            self.last = Some(known);
        }
        self.last.as_ref().expect("it was just set")
    }

    fn learn(&mut self, at: &ItemAt, key: u64) -> Known {
        let (level, inherited) = (at.table.level, at.table.inherited);
        let mut attributes = self.source.decoder.attributes(level, &at.item, inherited);
        let passes = self.source.says(at, &attributes, &self.filter.has);
        attributes.fields.retain(|value| !self.filter.ignore.contains(&value.field));
        attributes.way = self.way.as_ref().map_or_else(Vec::new, |(_, way)| way.clone());
        let known = Known { level, key, inherited, attributes: Rc::new(attributes), passes };
        if self.known.len() < MOST_KINDS {
            self.known.insert((level, key, inherited), known.clone());
        }
        known
    }

    /// Adds the leaves behind the one that a run is made of, as far as they continue it: a short cut, where no range cuts any.
    #[inline]
    fn extend(&mut self, run: &mut Run, at: &ItemAt) {
        let shape = self.source.decoder.shape();
        let item_lg2 = shape.levels[at.table.level as usize].item_lg2;
        let is_cut = (self.filter.va, self.filter.pa) != (AddressRange::ALL, AddressRange::ALL);
        if is_cut || u32::from(at.item.entry_lg2) != item_lg2 {
            return;
        }
        let more = self.scan.take_continued(&at.item, shape.masks(at.table.level, &at.item).address, item_lg2);
        if more > 0 {
            run.va.last += lg2::shl(more, item_lg2);
            self.seen.pages.add_more(at.item.entry_lg2, more);
        }
    }

    /// The run of one item, cut to the filter.
    #[inline]
    fn run_of(&mut self, at: &ItemAt) -> Option<Run> {
        let shape = self.source.decoder.shape();
        let bytes_minus_1 = lg2::low_mask(shape.levels[at.table.level as usize].item_lg2.min(shape.va_lg2));
        let (filter_va, filter_pa) = (self.filter.va, self.filter.pa);
        if self.filter.way == Way::Shown {
            self.follow(at);
        }
        let known = self.known(at);
        if !known.passes {
            return None;
        }
        let attributes = Rc::clone(&known.attributes);
        let (va, pa) = (at.va, at.item.pa);
        let pa_last = pa.saturating_add(bytes_minus_1);
        // How much of it both ranges leave, counted from its first byte.
        let skip = filter_va.first.saturating_sub(va).max(filter_pa.first.saturating_sub(pa));
        let last = bytes_minus_1
            .min(filter_va.last.saturating_sub(va))
            .min(filter_pa.last.saturating_sub(pa))
            .min(pa_last - pa);
        if skip > last || pa > filter_pa.last || va > filter_va.last {
            return None;
        }
        self.seen.pages.add(va, at.item.entry_lg2);
        let va = AddressRange { first: va + skip, last: va + last };
        Some(Run { va, pa: pa + skip, sizes: lg2::pow2(at.item.entry_lg2.into()), attributes })
    }
}

/// A stretch of VA, as a scan finds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stretch {
    /// It is mapped.
    Mapped(Run),
    /// An item leads nowhere that could be looked at: nothing is known of it.
    Unknown(AddressRange),
}

impl Stretch {
    /// Its VA.
    pub const fn va(&self) -> AddressRange {
        match self {
            Self::Mapped(run) => run.va,
            Self::Unknown(va) => *va,
        }
    }

    /// The part from `first` on.
    pub fn from(&self, first: u64) -> Self {
        match self {
            Self::Mapped(run) => Self::Mapped(run.from(first)),
            Self::Unknown(va) => Self::Unknown(AddressRange { first, last: va.last }),
        }
    }

    /// The part up to `last`.
    pub fn up_to(&self, last: u64) -> Self {
        match self {
            Self::Mapped(run) => Self::Mapped(run.up_to(last)),
            Self::Unknown(va) => Self::Unknown(AddressRange { first: va.first, last }),
        }
    }
}

impl Runs<'_> {
    /// The next stretch of VA that is mapped or not known, in VA order.
    pub fn next_stretch(&mut self) -> Option<Stretch> {
        if let Some(unknown) = self.unknown.take() {
            return Some(Stretch::Unknown(unknown));
        }
        let run = self.next_run(Blocking::Tells);
        // What is not known comes behind the run that it ended.
        run.map(Stretch::Mapped).or_else(|| self.unknown.take().map(Stretch::Unknown))
    }

    /// From where on nothing is told, if there is more than the limit allows to look at.
    pub const fn end(&self) -> Option<u64> {
        self.end
    }

    /// An item leads nowhere: counts it, and notes what it covers.
    fn block(&mut self, at: &ItemAt, blocked: Blocked) {
        match blocked {
            Blocked::Foreign => self.seen.foreign += 1,
            Blocked::Outside => self.seen.outside += 1,
            Blocked::Misaligned => self.seen.misaligned += 1,
        }
        let shape = self.source.decoder.shape();
        let last = at.va | lg2::low_mask(shape.levels[at.table.level as usize].item_lg2.min(shape.va_lg2));
        self.unknown = Some(AddressRange { first: at.va, last });
    }

    fn next_run(&mut self, blocking: Blocking) -> Option<Run> {
        while let Some(event) = self.scan.next() {
            match event {
                Event::Leaf(at) => {
                    let Some(mut next) = self.run_of(&at) else { continue };
                    self.extend(&mut next, &at);
                    match &mut self.open {
                        Some(open) if open.is_continued_by(&next) => {
                            open.va.last = next.va.last;
                            open.sizes |= next.sizes;
                        }
                        open => {
                            if let Some(done) = open.replace(next) {
                                return Some(done);
                            }
                        }
                    }
                }
                Event::Enter(at) => self.seen.cycles += u64::from(self.scan.path().any(|above| above.pa == at.pa)),
                Event::Table(at, _) => *self.seen.tables.entry(at.level).or_default() += 1,
                Event::Blocked(at, blocked) => {
                    self.block(&at, blocked);
                    if blocking == Blocking::Tells {
                        return self.open.take();
                    }
                }
                Event::Limit(va) => {
                    self.seen.is_limit_reached = true;
                    self.end = Some(va);
                }
            }
        }
        self.open.take()
    }
}

/// What an item that leads nowhere does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Blocking {
    /// It ends the search for the next run: what it covers is told.
    Tells,
    /// It is counted.
    Counts,
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        self.next_run(Blocking::Counts)
    }
}
