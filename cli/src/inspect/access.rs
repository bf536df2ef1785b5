//! Whether a page may be read, written or executed, and if not, which bits on the way to it say so.
//!
//! Nothing is known of any format: fields are changed one by one, or a few at once, until what was refused is permitted.

use super::walk::Field;
use crate::decode::{Decoder, Inherited, Item, fewest_changes};
use crate::describe::plain;
use crate::number::Hex;
use generic_pt::Access;
use generic_pt::field::FieldInfo;
use serde::Serialize;

/// Fields that are changed at once at most: R, W and U of a page of RISC-V that supervisors execute, and users ask to write.
const MOST_FIELDS: usize = 3;

/// Kinds of access that are asked for: letters of r, w and x; with u those of users, else those of privileged software.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked {
    /// What is to be done.
    access: Access,
    /// By whom.
    by: By,
}

/// Who is to do it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum By {
    Privileged,
    Users,
}

/// The letters.
const LETTERS: [(char, Access); 3] = [('r', Access::READ), ('w', Access::WRITE), ('x', Access::EXECUTE)];

impl Asked {
    /// Whether it is for users.
    pub fn is_of_user(self) -> bool {
        self.by == By::Users
    }

    /// What is asked for, each by itself.
    fn each(self) -> impl Iterator<Item = (String, Access)> {
        let asked = LETTERS.into_iter().filter(move |(_, one)| self.access.contains(*one));
        asked.map(move |(letter, one)| match self.by {
            By::Privileged => (letter.to_string(), one),
            By::Users => (format!("{letter}u"), one.for_users()),
        })
    }
}

impl std::str::FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let by = if text.contains('u') { By::Users } else { By::Privileged };
        let of = |letter| LETTERS.iter().find(|(known, _)| *known == letter).map(|(_, access)| *access);
        let letters = text.chars().filter(|letter| *letter != 'u');
        let access = letters.map(of).try_fold(Access::empty(), |all, one| Some(all | one?));
        match access.filter(|access| !access.is_empty()) {
            Some(access) => Ok(Self { access, by }),
            None => {
                Err("expected letters of r (read), w (write) and x (execute), and u if users are to do it".to_owned())
            }
        }
    }
}

/// Whether what was asked for is permitted.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// One of r, w and x; with u if it is for users.
    pub access: String,
    /// Whether it is.
    pub is_permitted: bool,
    /// Whether some item of such tables could forbid it.
    pub can_be_forbidden: bool,
    /// The format, for who asks why.
    #[serde(skip)]
    format: &'static str,
    /// The items that refuse it, from the top; none if nothing is mapped.
    pub refusals: Vec<Refusal>,
}

/// An item that refuses an access.
#[derive(Debug, Serialize)]
pub struct Refusal {
    /// Its level.
    pub level: u32,
    /// Which change would permit it.
    pub lifted_by: LiftedBy,
    /// The fields to be changed, with what they hold; none if it takes more than two.
    pub fields: Vec<Field>,
}

/// Which changes of fields permit what an item refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LiftedBy {
    /// That of any of the fields.
    Any,
    /// That of all of them together.
    All,
}

/// The verdicts on a page, with the items on the way to it: level and item, from the top. Without a page none is permitted.
pub fn verdicts(decoder: &dyn Decoder, asked: Asked, way: Option<&[(u32, Item)]>) -> Vec<Verdict> {
    let shape = decoder.shape();
    let verdict = |(access, wanted): (String, Access)| {
        let refusals = way
            .and_then(|way| way.split_last())
            .map(|(page, pointers)| Question { decoder, page: *page, wanted }.refusals(pointers));
        Verdict {
            access,
            is_permitted: refusals.as_ref().is_some_and(Vec::is_empty),
            can_be_forbidden: shape.permissions.contains(wanted.by_any()),
            format: shape.format,
            refusals: refusals.unwrap_or_default(),
        }
    };
    asked.each().map(verdict).collect()
}

/// A page, and an access to it.
struct Question<'a> {
    decoder: &'a dyn Decoder,
    page: (u32, Item),
    wanted: Access,
}

impl Question<'_> {
    fn refusals(&self, pointers: &[(u32, Item)]) -> Vec<Refusal> {
        let (level, page) = self.page;
        let all = pointers
            .iter()
            .fold(Inherited::default(), |all, (level, pointer)| self.decoder.inherit(*level, pointer.raw, all));
        if self.permits(page.raw, all) {
            return Vec::new();
        }
        let mut found = Vec::new();
        // A page that permits it: each pointer is judged by what it makes of that.
        let mut open = page.raw;
        let mut of_page = None;
        if !self.permits(page.raw, Inherited::default()) {
            let (refusal, changed) = self.lift(level, &page, |raw| self.permits(raw, Inherited::default()));
            open = changed.unwrap_or(page.raw);
            of_page = Some(refusal);
        }
        let mut above = Inherited::default();
        for (level, pointer) in pointers.iter().filter(|_| self.permits(open, Inherited::default())) {
            let with = |raw| self.decoder.inherit(*level, raw, above);
            if self.permits(open, with(pointer.raw)) {
                above = with(pointer.raw);
            } else {
                found.push(self.lift(*level, pointer, |raw| self.permits(open, with(raw))).0);
            }
        }
        found.extend(of_page);
        found
    }

    /// Whether a page of these bits permits it, where this holds above.
    fn permits(&self, raw: u64, above: Inherited) -> bool {
        let (level, page) = self.page;
        let item = self.decoder.item(level, page.index.into(), raw);
        self.decoder.attributes(level, &item, above).access.contains(self.wanted)
    }

    /// Changes of an item for which `permits` holds: of one field, else of as few as there can be; and the item with one of these.
    fn lift(&self, level: u32, item: &Item, permits: impl Fn(u64) -> bool) -> (Refusal, Option<u64>) {
        let found = fewest_changes(self.decoder, level, item, MOST_FIELDS, permits);
        // Those of one field are alternatives.
        let lifted_by =
            if matches!(&found[..], [first, ..] if first.fields.len() == 1) { LiftedBy::Any } else { LiftedBy::All };
        let field =
            |info: &&FieldInfo| Field { name: info.name, value: Hex(info.get(item.raw)), documentation: info.doc };
        let fields = found.iter().flat_map(|change| &change.fields).map(field).collect();
        (Refusal { level, lifted_by, fields }, found.first().map(|change| change.raw))
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_permitted && !self.can_be_forbidden {
            return write!(f, "{} is permitted: items of {} cannot forbid it", self.access, self.format);
        }
        if self.is_permitted {
            return write!(f, "{} is permitted", self.access);
        }
        if self.refusals.is_empty() {
            return write!(f, "{} is not permitted: there is no page", self.access);
        }
        let refusals: Vec<String> = self.refusals.iter().map(ToString::to_string).collect();
        write!(f, "{} is not permitted: {}", self.access, refusals.join(", "))
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { level, lifted_by, fields } = self;
        let words =
            |field: &Field| format!("{} = {:#x} ({})", field.name, field.value.0, plain(field.documentation).trim());
        let words: Vec<String> = fields.iter().map(words).collect();
        match (lifted_by, words.as_slice()) {
            (_, []) => write!(f, "the item of level {level} refuses it by more than {MOST_FIELDS} fields"),
            (LiftedBy::Any, words) => write!(f, "at level {level} by {}", words.join(" or ")),
            (LiftedBy::All, words) => write!(f, "at level {level} by {}", words.join(" and ")),
        }
    }
}
