//! Numbers for people.

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

#[cfg(test)]
mod tests {
    use super::*;

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
