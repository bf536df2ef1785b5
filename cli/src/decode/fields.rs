//! Fields of an item by name, and what they permit.

use std::fmt;

/// What an access may do: read, write, execute.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Access(pub u8);

impl Access {
    /// Read.
    pub const READ: Self = Self(1);
    /// Write.
    pub const WRITE: Self = Self(2);
    /// Execute.
    pub const EXECUTE: Self = Self(4);
    /// All three.
    pub const ALL: Self = Self(7);

    /// What both permit.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether all of `other` is permitted.
    pub const fn permits(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With those alone that the format stores; the others are not shown.
    pub fn shown(self, stored: Self) -> String {
        [(Self::READ, 'r'), (Self::WRITE, 'w'), (Self::EXECUTE, 'x')]
            .into_iter()
            .filter(|(one, _)| stored.permits(*one))
            .map(|(one, letter)| if self.permits(one) { letter } else { '-' })
            .collect()
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
}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.value == 1 { f.write_str(self.name) } else { write!(f, "{}={:#x}", self.name, self.value) }
    }
}

/// What a leaf or a pointer says beside its address.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Attributes {
    /// Fields that are not zero and say something about the mapping, not that it is one or how large.
    pub fields: Vec<FieldValue>,
    /// What it permits.
    pub access: Access,
}

impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, field) in self.fields.iter().enumerate() {
            write!(f, "{}{field}", if n > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}
