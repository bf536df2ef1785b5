//! What pages say beside their addresses: what they permit, and their attributes. Each combination is one look.

use crate::decode::{Attributes, Inherited};
use crate::inspect::runs::Needed;
use crate::inspect::scan::ItemAt;
use crate::inspect::source::Source;
use generic_pt::Access;
use std::collections::HashMap;

/// A combination that was seen; the first two are not of pages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LookId(pub u32);

impl LookId {
    /// Memory of tables.
    pub const TABLES: Self = Self(0);
    /// Combinations of which there are too many.
    pub const OTHER: Self = Self(1);
}

/// A combination.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Look {
    /// What the page and the pointers on the way permit.
    pub access: Access,
    /// The attributes, in words.
    pub attributes: String,
    /// Bytes that look so.
    pub bytes: u64,
}

/// Most combinations that are told apart.
const MOST_LOOKS: usize = 1 << 8;
/// Most kinds of items whose look is worked out.
const MOST_KNOWN: usize = 1 << 14;

/// All combinations of an image.
pub struct Looks<'a> {
    source: &'a Source,
    /// Fields that pages need to have.
    needed: Vec<Needed>,
    /// Fields that make no difference.
    ignored: Vec<usize>,
    looks: Vec<Look>,
    ids: HashMap<(Access, String), LookId>,
    /// Of items with this level, bits beside the address, and access on the way; none if they lack a field.
    known: HashMap<(u32, u64, Inherited), Option<LookId>>,
    last: Option<((u32, u64, Inherited), Option<LookId>)>,
}

impl<'a> Looks<'a> {
    /// No combination yet.
    pub fn new(source: &'a Source, needed: Vec<Needed>, ignored: Vec<usize>) -> Self {
        let named = |name: &str| Look { access: Access::empty(), attributes: name.to_owned(), bytes: 0 };
        let looks = vec![named("tables"), named("other attributes")];
        Self { source, needed, ignored, looks, ids: HashMap::new(), known: HashMap::new(), last: None }
    }

    /// The look of a leaf; none if it lacks a field that is needed.
    pub fn of(&mut self, at: &ItemAt) -> Option<LookId> {
        let (level, inherited) = (at.table.level, at.table.inherited);
        let key = (level, at.item.raw & !self.source.decoder.shape().masks(level, &at.item).address, inherited);
        if let Some((last, id)) = self.last
            && last == key
        {
            return id;
        }
        let id = match self.known.get(&key) {
            Some(id) => *id,
            // No image that is meant to be one has so many; fields are not taken apart for ever.
            None => {
                let mut attributes = self.source.decoder.attributes(level, &at.item, inherited);
                let says = self.source.says(at, &attributes, &self.needed);
                // No image that is meant to be one has so many kinds.
                if self.known.len() >= MOST_KNOWN {
                    return says.then_some(LookId::OTHER);
                }
                attributes.fields.retain(|value| !self.ignored.contains(&value.field));
                let id = says.then(|| self.id(&attributes));
                self.known.insert(key, id);
                id
            }
        };
        self.last = Some((key, id));
        id
    }

    fn id(&mut self, attributes: &Attributes) -> LookId {
        let key = (attributes.access, attributes.to_string());
        if let Some(id) = self.ids.get(&key) {
            return *id;
        }
        if self.looks.len() >= MOST_LOOKS {
            return LookId::OTHER;
        }
        let id = LookId(self.looks.len() as u32);
        self.looks.push(Look { access: key.0, attributes: key.1.clone(), bytes: 0 });
        self.ids.insert(key, id);
        id
    }

    /// Counts bytes that look so.
    pub fn count(&mut self, id: LookId, bytes: u64) {
        let look = &mut self.looks[id.0 as usize];
        look.bytes = look.bytes.saturating_add(bytes);
    }

    /// The combinations, by their numbers.
    pub fn finish(self) -> Vec<Look> {
        self.looks
    }
}
