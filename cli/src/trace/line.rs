//! One line of an ftrace text, or of what `trace-cmd report` prints: what kind it is, and what it says.

use crate::intervals::Span;

/// A line, by its kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Line<'a> {
    /// Says nothing: blank, a line of a stack dump, or what `trace-cmd report` says beside the events.
    Nothing,
    /// A `#` line of the header.
    Header(&'a str),
    /// `##### CPU n buffer started ####`: before it, events of that CPU are missing.
    BufferStarted,
    /// `CPU:n [LOST m EVENTS]`, with trace-cmd `CPU:n [m EVENTS DROPPED]`: events are missing before it, as many as it says if it
    /// does.
    Lost(Option<u64>),
    /// An event.
    Event(EventLine<'a>),
}

/// `TASK-PID [CPU] FLAGS TIMESTAMP: NAME: ARGUMENTS`; trace-cmd mostly has no flags, and blanks before the arguments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventLine<'a> {
    /// Process that was running.
    pub pid: u32,
    /// Processor.
    pub cpu: u32,
    /// Name of the event.
    pub name: &'a str,
    /// The rest of the line.
    pub arguments: &'a str,
}

/// What was expected of a line, and what stands there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// The form that would be valid.
    pub expected: &'static str,
    /// What is wrong with this one.
    pub found: String,
}

/// The form of an event line.
const EVENT_FORM: &str = "`TASK-PID [CPU] FLAGS TIMESTAMP: EVENT: ARGUMENTS`";
/// The form of the arguments of a map event.
const MAP_FORM: &str =
    "`map: IOMMU: iova=0xSTART - 0xEND paddr=0xADDRESS size=BYTES`, with END = START + BYTES (exclusive)";
/// The form of the arguments of an unmap event.
const UNMAP_FORM: &str =
    "`unmap: IOMMU: iova=0xSTART - 0xEND size=BYTES unmapped_size=BYTES`, with END = START + size (exclusive)";
/// The form of a line that names the domain.
const DOMAIN_FORM: &str =
    "`d_map:` or `d_unmap:` with `domain=0xPOINTER iova=0xSTART size=0xBYTES`, or `device=NAME` instead of the domain";

impl<'a> Line<'a> {
    /// Finds out what a line is.
    ///
    /// # Errors
    /// [`Malformed`] if it has the form of no line of an ftrace text.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        let trimmed = text.trim();
        if trimmed.is_empty() || trimmed.starts_with("=> ") || is_report_header(trimmed) {
            return Ok(Self::Nothing);
        }
        if trimmed.starts_with("##### CPU ") && trimmed.contains("buffer started") {
            return Ok(Self::BufferStarted);
        }
        if text.starts_with('#') {
            return Ok(Self::Header(trimmed));
        }
        if let Some(lost) = parse_lost(trimmed) {
            return Ok(Self::Lost(lost));
        }
        EventLine::parse(trimmed).map(Self::Event)
    }
}

/// What `trace-cmd report` says beside the events: `cpus=2`, `version = 7`, `CPU 1 is empty`, `CPU:1 [SUBBUFFER START]`.
fn is_report_header(text: &str) -> bool {
    text.strip_prefix("cpus=").is_some_and(is_digits)
        || text.strip_prefix("version = ").is_some_and(is_digits)
        || text.strip_prefix("CPU ").and_then(|rest| rest.strip_suffix(" is empty")).is_some_and(is_digits)
        || text.strip_prefix("CPU:").and_then(|rest| rest.strip_suffix(" [SUBBUFFER START]")).is_some_and(is_digits)
}

/// `CPU:n [LOST m EVENTS]` or `CPU:n [m EVENTS DROPPED]`; without a number if the kernel does not know it.
fn parse_lost(text: &str) -> Option<Option<u64>> {
    let (cpu, rest) = text.strip_prefix("CPU:")?.split_once(' ')?;
    decimal::<u32>(cpu)?;
    let words = rest.trim().strip_prefix('[')?.strip_suffix(']')?;
    let of_kernel = words.strip_prefix("LOST").and_then(|rest| rest.strip_suffix("EVENTS"));
    let count = of_kernel.or_else(|| words.strip_suffix("EVENTS DROPPED"))?.trim();
    if count.is_empty() { Some(None) } else { decimal(count).map(Some) }
}

impl<'a> EventLine<'a> {
    /// Parses an event line. The task's name may hold anything, brackets too, so the first `[CPU]` with the right
    /// surroundings counts.
    fn parse(text: &'a str) -> Result<Self, Malformed> {
        let mut candidates = text.match_indices('[').filter_map(|(at, _)| Self::parse_at(text, at));
        candidates.next().ok_or_else(|| Malformed {
            expected: EVENT_FORM,
            found: "no `-PID [CPU]` followed by flags, a timestamp and `EVENT:`".into(),
        })
    }

    fn parse_at(text: &'a str, bracket: usize) -> Option<Self> {
        let (before, after) = (text.get(..bracket)?, text.get(bracket + 1..)?);
        let (cpu, rest) = after.split_once(']')?;
        let (flags, rest) = split_timestamp(rest.trim_start())?;
        if flags.contains(char::is_whitespace) {
            return None;
        }
        let (name, arguments) = split_name(rest.trim_start())?;
        Some(Self { pid: parse_pid(before)?, cpu: decimal(cpu.trim())?, name, arguments })
    }
}

/// Splits `FLAGS TIMESTAMP: REST` (or without flags) into the flags and the rest.
fn split_timestamp(text: &str) -> Option<(&str, &str)> {
    let (front, rest) = text.split_once(": ")?;
    let (flags, timestamp) = front.rsplit_once(char::is_whitespace).unwrap_or(("", front));
    let (seconds, fraction) = timestamp.split_once('.').unwrap_or((timestamp, "0"));
    (is_digits(seconds) && is_digits(fraction)).then_some((flags.trim(), rest))
}

/// Splits `NAME: ARGUMENTS`. Lines of function tracers have no colon: the whole is their arguments.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let (name, arguments) = match text.split_once(':') {
        Some((name, arguments)) if !name.contains(char::is_whitespace) => (name, arguments),
        _ => ("(no event name)", text),
    };
    (!name.is_empty()).then_some((name, arguments.trim()))
}

/// The PID of `TASK-PID` or `TASK-PID (TGID)`.
fn parse_pid(before: &str) -> Option<u32> {
    let text = before.trim_end();
    let text = match text.strip_suffix(')') {
        Some(inner) => {
            let (front, tgid) = inner.rsplit_once('(')?;
            tgid.trim().bytes().all(|byte| byte.is_ascii_digit() || byte == b'-').then(|| front.trim_end())?
        }
        None => text,
    };
    decimal(text.rsplit_once('-')?.1)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn decimal<T: std::str::FromStr>(text: &str) -> Option<T> {
    if is_digits(text) { text.parse().ok() } else { None }
}

/// What a domain is called in a trace: only good to tell domains apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner<'a> {
    /// Its address in the traced kernel.
    Domain(u64),
    /// A device that uses it.
    Device(&'a str),
}

impl<'a> Owner<'a> {
    /// The owner that a word `domain=0xPOINTER` or `device=NAME` names; `None` if it is another word.
    fn parse(word: &'a str) -> Option<Self> {
        if let Some(domain) = word.strip_prefix("domain=") {
            return hex(domain).or_else(|| decimal(domain)).map(Self::Domain);
        }
        word.strip_prefix("device=").filter(|name| !name.is_empty()).map(Self::Device)
    }
}

/// What a map or unmap event did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// Pages were mapped.
    Map {
        /// Where.
        span: Span,
        /// Physical address of the first byte.
        paddr: u64,
    },
    /// Pages were unmapped.
    Unmap {
        /// First address.
        iova: u64,
        /// Bytes that were asked for.
        asked: u64,
        /// Bytes that were removed.
        removed: u64,
    },
}

impl Op {
    /// Parses a `map` event's arguments; the owner is there if the line has a field more, which the events of some kernels have.
    ///
    /// # Errors
    /// [`Malformed`] if they have not the form, or contradict themselves.
    pub fn parse_map(arguments: &str) -> Result<(Self, Option<Owner<'_>>), Malformed> {
        let mut fields = Fields::new(arguments, MAP_FORM);
        let (iova, end) = fields.iova_range()?;
        let paddr = fields.hex("paddr=")?;
        let size = fields.dec("size=")?;
        let owner = fields.owner()?;
        fields.check_end(iova, size, end)?;
        let span = Span::new(iova, size).ok_or_else(|| fields.bad("a map of no bytes".into()))?;
        Ok((Self::Map { span, paddr }, owner))
    }

    /// Parses an `unmap` event's arguments, as those of a `map` event.
    ///
    /// # Errors
    /// [`Malformed`] if they have not the form, or contradict themselves.
    pub fn parse_unmap(arguments: &str) -> Result<(Self, Option<Owner<'_>>), Malformed> {
        let mut fields = Fields::new(arguments, UNMAP_FORM);
        let (iova, end) = fields.iova_range()?;
        let asked = fields.dec("size=")?;
        let removed = fields.dec("unmapped_size=")?;
        let owner = fields.owner()?;
        fields.check_end(iova, asked, end)?;
        if removed > 0 && Span::new(iova, removed).is_none() {
            return Err(fields.bad(format!("unmapped_size={removed} runs past the last 64-bit address")));
        }
        Ok((Self::Unmap { iova, asked, removed }, owner))
    }

    /// First address.
    pub fn iova(&self) -> u64 {
        match *self {
            Self::Map { span, .. } => span.first,
            Self::Unmap { iova, .. } => iova,
        }
    }

    /// Bytes mapped, or asked to be unmapped.
    pub fn size(&self) -> u64 {
        match *self {
            Self::Map { span, .. } => span.len(),
            Self::Unmap { asked, .. } => asked,
        }
    }
}

/// A line that says which domain a map or unmap belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DomainLine<'a> {
    /// The domain.
    pub owner: Owner<'a>,
    /// First address of the map or unmap.
    pub iova: u64,
    /// Its size in bytes.
    pub size: u64,
}

impl<'a> DomainLine<'a> {
    /// Parses the arguments of `d_map` or `d_unmap`; other fields in it do not matter.
    ///
    /// # Errors
    /// [`Malformed`] if a field is missing.
    pub fn parse(arguments: &'a str) -> Result<Self, Malformed> {
        let fields = Fields::new(arguments, DOMAIN_FORM);
        let owner = arguments.split_whitespace().find_map(Owner::parse);
        let owner = owner.ok_or_else(|| fields.bad("no `domain=` with a number, and no `device=`".into()))?;
        let field = |key: &str| {
            let word = arguments.split_whitespace().find_map(|word| word.strip_prefix(key));
            let Some(word) = word else { return Err(fields.bad(format!("no `{key}`"))) };
            hex(word).or_else(|| decimal(word)).ok_or_else(|| fields.bad(format!("`{key}{word}` is not a number")))
        };
        Ok(Self { owner, iova: field("iova=")?, size: field("size=")? })
    }
}

/// Takes the fields of an event one after the other.
struct Fields<'a> {
    words: std::str::SplitWhitespace<'a>,
    form: &'static str,
}

impl<'a> Fields<'a> {
    fn new(arguments: &'a str, form: &'static str) -> Self {
        Self { words: arguments.split_whitespace(), form }
    }

    fn bad(&self, found: String) -> Malformed {
        Malformed { expected: self.form, found }
    }

    fn field(&mut self, key: &str) -> Result<&'a str, Malformed> {
        match self.words.next() {
            Some(word) => word.strip_prefix(key).ok_or_else(|| self.bad(format!("`{word}` where `{key}` should be"))),
            None => Err(self.bad(format!("the line ends where `{key}` should be"))),
        }
    }

    fn hex(&mut self, key: &str) -> Result<u64, Malformed> {
        let word = self.field(key)?;
        hex(word).ok_or_else(|| self.bad(format!("`{key}{word}`: not a 64-bit hexadecimal number with 0x")))
    }

    fn dec(&mut self, key: &str) -> Result<u64, Malformed> {
        let word = self.field(key)?;
        decimal(word).ok_or_else(|| self.bad(format!("`{key}{word}`: not a 64-bit decimal number")))
    }

    fn iova_range(&mut self) -> Result<(u64, u64), Malformed> {
        self.field("IOMMU:")?;
        let iova = self.hex("iova=")?;
        self.field("-")?;
        Ok((iova, self.hex("")?))
    }

    /// The end of the line, with or without an owner before it.
    fn owner(&mut self) -> Result<Option<Owner<'a>>, Malformed> {
        let Some(word) = self.words.next() else { return Ok(None) };
        let owner = Owner::parse(word);
        match if owner.is_some() { self.words.next() } else { Some(word) } {
            Some(word) => Err(self.bad(format!("`{word}` after the last field"))),
            None => Ok(owner),
        }
    }

    /// The end is exclusive; after the last byte of the address space it is 0.
    fn check_end(&self, iova: u64, size: u64, end: u64) -> Result<(), Malformed> {
        let right = iova.wrapping_add(size);
        if end != right {
            return Err(self.bad(format!("the end is {end:#x}, but start + size is {right:#x}")));
        }
        if size > 0 && Span::new(iova, size).is_none() {
            return Err(self.bad(format!("size={size} runs past the last 64-bit address")));
        }
        Ok(())
    }
}

fn hex(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x")?;
    let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if valid { u64::from_str_radix(digits, 16).ok() } else { None }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
