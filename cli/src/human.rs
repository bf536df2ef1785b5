//! Numbers and names for people.

use std::ops::RangeInclusive;
use std::path::Path;

/// Units of bytes, each 1024 of the one before.
const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Bytes in the largest unit that leaves at least 1, with two digits behind the point unless it is exact.
///
/// ```text
/// 4096 → "4 KiB"    4386816 → "4.18 MiB"
/// ```
pub fn bytes(bytes: u64) -> String {
    let unit = (bytes.checked_ilog2().unwrap_or(0) / 10) as usize;
    let shift = 10 * unit;
    if bytes & ((1u64 << shift) - 1) == 0 {
        return format!("{} {}", bytes >> shift, UNITS[unit]);
    }
    let number = bytes as f64 / (1u64 << shift) as f64;
    match UNITS.get(unit + 1) {
        // With two digits it would be 1024.00.
        Some(next) if number >= 1023.995 => format!("{:.2} {next}", number / 1024.0),
        _ => format!("{number:.2} {}", UNITS[unit]),
    }
}

/// Bytes that are a power of two, up to 2^64.
pub fn power(bytes_lg2: u32) -> String {
    1u64.checked_shl(bytes_lg2).map_or("16 EiB".to_owned(), bytes)
}

/// A number with its noun, in the plural unless it is 1.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Characters that are not seen, and can hide what is there or change the order of others: Unicode's category Cf, and the separators
/// of lines and paragraphs.
const INVISIBLE: [RangeInclusive<char>; 20] = [
    '\u{ad}'..='\u{ad}',
    '\u{600}'..='\u{605}',
    '\u{61c}'..='\u{61c}',
    '\u{6dd}'..='\u{6dd}',
    '\u{70f}'..='\u{70f}',
    '\u{890}'..='\u{891}',
    '\u{8e2}'..='\u{8e2}',
    '\u{180e}'..='\u{180e}',
    '\u{200b}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    // With one that is not assigned yet.
    '\u{2060}'..='\u{206f}',
    '\u{feff}'..='\u{feff}',
    '\u{fff9}'..='\u{fffb}',
    '\u{110bd}'..='\u{110bd}',
    '\u{110cd}'..='\u{110cd}',
    '\u{13430}'..='\u{1343f}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0001}'..='\u{e0001}',
    '\u{e0020}'..='\u{e007f}',
];

/// Text of others, such as a file's name, as it may go to a terminal: on one line, with an escape for each character that
/// could disturb it or change the order of others.
pub fn printable(text: &str) -> String {
    let disturbs = |char: char| {
        let is_format = || INVISIBLE.iter().any(|range| range.contains(&char));
        char.is_control() && char != '\t' || !char.is_ascii() && is_format()
    };
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        if disturbs(char) { shown.extend(char.escape_default()) } else { shown.push(char) }
    }
    shown
}

/// The name of a file, printable.
pub fn file(path: &Path) -> String {
    printable(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_disturb_a_terminal() {
        assert_eq!(printable("a\u{1b}[31m\nhint: \u{9b}\u{202e}é\t"), "a\\u{1b}[31m\\nhint: \\u{9b}\\u{202e}é\t");
    }

    /// Only the characters that change the order of others had an escape.
    #[test]
    fn what_is_not_seen_has_an_escape() {
        for char in
            ['\u{ad}', '\u{61c}', '\u{200b}', '\u{200f}', '\u{2028}', '\u{202a}', '\u{2060}', '\u{2069}', '\u{feff}']
        {
            assert_eq!(printable(&format!("a{char}b")), format!("a{}b", char.escape_unicode()));
        }
        for text in ["Grüße", "日本", "a b", "\u{2010}\u{2027}\u{202f}\u{2070}"] {
            assert_eq!(printable(text), text);
        }
    }

    #[test]
    fn units() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(4096), "4 KiB");
        assert_eq!(bytes(4_386_816), "4.18 MiB");
        assert_eq!(bytes(1 << 63), "8 EiB");
        assert_eq!((power(12), power(64)), ("4 KiB".into(), "16 EiB".into()));
        assert_eq!(bytes(u64::MAX), "16.00 EiB");
        // It was 1024.00 of the unit below.
        assert_eq!((bytes((1 << 30) - 4096), bytes((1 << 20) - 8192)), ("1.00 GiB".into(), "1016 KiB".into()));
        assert_eq!((bytes((1 << 20) - 5), bytes((1 << 20) - 6)), ("1.00 MiB".into(), "1023.99 KiB".into()));
        assert_eq!((count(1, "map"), count(0, "map")), ("1 map".into(), "0 maps".into()));
    }
}
