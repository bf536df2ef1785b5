//! Numbers as people write them: addresses, sizes and ranges.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// What a number may look like.
const VALID: &str =
    "digits, 0x and hexadecimal digits, or a number with K, M, G, T, P or E (or KiB and so on) for powers of 1024";

/// A number: decimal, hexadecimal with `0x`, and with a unit: `4096`, `0x1000`, `4K`, `4KiB`.
///
/// # Errors
/// What was found, and what is valid.
pub fn parse(text: &str) -> Result<u64, String> {
    let wrong = || {
        let is_hex = text.contains(|char: char| char.is_ascii_alphabetic()) && u64::from_str_radix(text, 16).is_ok();
        let meant = if is_hex { format!(" (hexadecimal is 0x{text})") } else { String::new() };
        format!("`{text}` is no number{meant}: expected {VALID}")
    };
    let plain = text.trim().replace('_', "");
    if let Some(digits) = plain.strip_prefix("0x").or(plain.strip_prefix("0X")) {
        if digits.starts_with('+') {
            return Err(wrong());
        }
        return u64::from_str_radix(digits, 16).map_err(|_| wrong());
    }
    let end = plain.find(|char: char| !char.is_ascii_digit()).unwrap_or(plain.len());
    let (digits, unit) = plain.split_at(end);
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let unit = unit.trim();
    let unit = unit.strip_suffix("iB").or(unit.strip_suffix('B')).unwrap_or(unit);
    let power = match unit.to_ascii_uppercase().as_str() {
        "" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        "P" => 5,
        "E" => 6,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << (10 * power)).ok_or_else(|| format!("`{text}` does not fit into 64 bits"))
}

/// A number that is shown and stored in hexadecimal, and read in any form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Hex(pub u64);

impl Hex {
    /// Adds at least so many digits, without `0x`, to a line: faster than formatting, for outputs of very many lines.
    pub fn push(self, digits: usize, line: &mut Vec<u8>) {
        let needed = (u64::BITS - self.0.leading_zeros()).div_ceil(4) as usize;
        let all: [u8; 16] = std::array::from_fn(|n| b"0123456789abcdef"[(self.0 >> (60 - 4 * n) & 0xf) as usize]);
        line.extend_from_slice(&all[16 - needed.max(digits).min(16)..]);
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl FromStr for Hex {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).map(Self)
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Hex;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a number: {VALID}")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Hex, E> {
                Ok(Hex(number))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Hex, E> {
                u64::try_from(number).map(Hex).map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Hex, E> {
                parse(text).map(Hex).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A closed range of addresses, `A..=B`, or `A+LEN`, or one address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressRange {
    /// First byte.
    pub first: u64,
    /// Last byte, inclusive.
    pub last: u64,
}

impl FromStr for AddressRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let range = if let Some((first, last)) = text.split_once("..=") {
            Self { first: parse(first)?, last: parse(last)? }
        } else if let Some((Ok(first), Ok(end))) = text.split_once("..").map(|(first, end)| (parse(first), parse(end)))
        {
            let wrong =
                if first > end { "ends before it begins" } else { "does not say whether its end belongs to it" };
            return Err(format!("`{text}` {wrong}; ranges are A..=B or A+LENGTH"));
        } else if let Some((first, len)) = text.split_once('+') {
            let (first, len) = (parse(first)?, parse(len)?);
            let last = len.checked_sub(1).and_then(|len| first.checked_add(len));
            Self { first, last: last.ok_or_else(|| format!("`{text}` has no byte, or runs past 64 bits"))? }
        } else {
            let first = parse(text).map_err(|wrong| format!("{wrong}; ranges are A..=B or A+LENGTH"))?;
            Self { first, last: first }
        };
        if range.first > range.last {
            return Err(format!("`{text}` ends before it begins"));
        }
        Ok(range)
    }
}

impl AddressRange {
    /// All addresses.
    pub const ALL: Self = Self { first: 0, last: u64::MAX };

    /// Whether they have a byte in common.
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// `KEY=NUMBER`.
///
/// # Errors
/// What was found, and what is valid.
pub fn setting(text: &str) -> Result<(String, u64), String> {
    let (key, number) = text.split_once('=').ok_or_else(|| format!("`{text}`: expected KEY=NUMBER"))?;
    Ok((key.trim().to_owned(), parse(number)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units() {
        assert_eq!((parse("4096"), parse("0x1_000"), parse("4K")), (Ok(4096), Ok(4096), Ok(4096)));
        assert_eq!(
            (parse("2MiB"), parse("3 GiB"), parse("1b")),
            (Ok(2 << 20), Ok(3 << 30), Err(parse("1b").unwrap_err()))
        );
        assert!(parse("ffff8000").unwrap_err().contains("no number (hexadecimal is 0xffff8000)"));
        assert!(parse("16E").unwrap_err().contains("64 bits") && parse("0x+1").is_err() && parse("").is_err());
    }

    #[test]
    fn ranges_are_closed() {
        let range = |text: &str| text.parse::<AddressRange>();
        assert_eq!(range("0x1000..=0x1fff"), Ok(AddressRange { first: 0x1000, last: 0x1fff }));
        assert_eq!(range("4K+4K"), range("0x1000..=0x1fff"));
        assert_eq!(range("0xffffffffffffffff+1"), Ok(AddressRange { first: u64::MAX, last: u64::MAX }));
        assert!(range("2..=1").unwrap_err().contains("before") && range("1+0").is_err());
        assert!(range("2..1").unwrap_err().contains("ends before it begins; ranges are A..=B"));
        assert!(range("1..2").unwrap_err().contains("whether its end belongs to it; ranges are A..=B"));
        assert!(range("1..x").unwrap_err().contains("no number"));
    }
}
