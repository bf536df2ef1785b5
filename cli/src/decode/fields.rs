//! Fields of an item by name, and what they permit.

use generic_pt::Access;
use generic_pt::field::{FieldInfo, ItemKind};
use generic_pt::format::{Common, Groups};
use std::fmt;

/// The fields that items of this level and kind have.
pub fn fields_of<F: Groups>(
    common: &Common<F>,
    level: u32,
    kind: ItemKind,
) -> impl Iterator<Item = &'static FieldInfo> {
    let features = common.features;
    F::FIELDS.iter().filter(move |info| info.scope.allows(features) && info.scope.contains(level, kind))
}

/// What some privilege is permitted as `rwx`, with those letters alone that the format stores.
pub fn letters(access: Access, stored: Access) -> String {
    let access = access.by_any();
    [(Access::READ, 'r'), (Access::WRITE, 'w'), (Access::EXECUTE, 'x')]
        .into_iter()
        .filter(|(one, _)| stored.contains(*one))
        .map(|(one, letter)| if access.contains(one) { letter } else { '-' })
        .collect()
}

/// What the pointers on the way say about a leaf, as bits of the leaf.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Inherited {
    /// Bits that count as set.
    pub set: u64,
    /// Bits that count as clear.
    pub clear: u64,
    /// What they say in fields that leaves do not have, as bits of pointers, of all levels together.
    pub limits: u64,
    /// What no leaf below permits because of them.
    pub denied: Access,
}

impl Inherited {
    /// Both.
    pub const fn and(self, other: Self) -> Self {
        Self {
            set: self.set | other.set,
            clear: self.clear | other.clear,
            limits: self.limits | other.limits,
            denied: self.denied.union(other.denied),
        }
    }

    /// A leaf as hardware takes it.
    pub const fn applied(self, raw: u64) -> u64 {
        (raw | self.set) & !self.clear
    }
}

/// A field of an item.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FieldValue {
    /// Its name.
    pub name: &'static str,
    /// Which one of the format's it is.
    pub field: usize,
    /// What it holds.
    pub value: u64,
    /// How many bits it has.
    pub width: u32,
}

impl FieldValue {
    /// The field of the format with this index, and its value.
    pub fn new(field: usize, info: &FieldInfo, value: u64) -> Self {
        Self { name: info.name, field, value, width: info.mask().count_ones() }
    }
}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A flag that is set is its name.
        if self.width == 1 { f.write_str(self.name) } else { write!(f, "{}={:#x}", self.name, self.value) }
    }
}

/// What a leaf or a pointer says beside its address.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Attributes {
    /// Fields that are not zero and say something about the mapping, not that it is one or how large.
    pub fields: Vec<FieldValue>,
    /// What it permits.
    pub access: Access,
    /// Fields of the pointers on the way, the highest first, where these are asked for.
    pub way: Vec<PointerFields>,
}

/// The fields of a pointer on the way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PointerFields {
    /// Level of the pointer.
    pub level: u32,
    /// Its fields that are not zero.
    pub fields: Vec<FieldValue>,
}

impl Attributes {
    /// Each field, and what each pointer says, in words.
    pub fn words(&self) -> Vec<String> {
        self.fields.iter().map(ToString::to_string).chain(self.way.iter().map(ToString::to_string)).collect()
    }
}

impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(" "))
    }
}

impl fmt::Display for PointerFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<String> = self.fields.iter().map(ToString::to_string).collect();
        write!(f, "level{}[{}]", self.level, fields.join(" "))
    }
}
