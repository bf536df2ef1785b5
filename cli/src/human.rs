//! Numbers and names for people.

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
        format!("{} {}", bytes >> shift, UNITS[unit])
    } else {
        format!("{:.2} {}", bytes as f64 / (1u64 << shift) as f64, UNITS[unit])
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

/// Text of others, such as a file's name, as it may go to a terminal: on one line, with an escape for each character that
/// could disturb it or change the order of others.
pub fn printable(text: &str) -> String {
    let disturbs = |char: char| {
        char.is_control() && char != '\t' || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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

    #[test]
    fn units() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(4096), "4 KiB");
        assert_eq!(bytes(4_386_816), "4.18 MiB");
        assert_eq!(bytes(1 << 63), "8 EiB");
        assert_eq!((power(12), power(64)), ("4 KiB".into(), "16 EiB".into()));
        assert_eq!(bytes(u64::MAX), "16.00 EiB");
        assert_eq!((count(1, "map"), count(0, "map")), ("1 map".into(), "0 maps".into()));
    }
}
