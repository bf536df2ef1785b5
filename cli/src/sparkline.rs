//! A curve in one line of text.

/// From nothing to all.
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The most of each of at most `columns` groups of values, as blocks from 0 to the most of all. Only 0 is blank.
///
/// ```text
/// [0, 1, 4, 8] in 4 columns → " ▁▄█"
/// ```
pub fn sparkline(values: &[u64], columns: usize) -> String {
    let most = values.iter().copied().max().unwrap_or(0);
    let columns = columns.min(values.len());
    let block = |column: usize| {
        let (begin, end) = (column * values.len() / columns, (column + 1) * values.len() / columns);
        let value = values[begin..end].iter().copied().max().unwrap_or(0);
        // At most 8: the value is not above the most of all.
        let height = (u128::from(value) * 8).div_ceil(u128::from(most.max(1)));
        BLOCKS[usize::try_from(height).unwrap_or(0)]
    };
    (0..columns).map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_nothing_to_all() {
        assert_eq!(sparkline(&[0, 1, 4, 8], 4), " ▁▄█");
        assert_eq!(sparkline(&[0, 1, 4, 8], 2), "▁█");
        assert_eq!(sparkline(&[7, 0, u64::MAX], 9), "▁ █");
        assert_eq!((sparkline(&[0, 0], 2), sparkline(&[], 5)), ("  ".into(), String::new()));
        assert_eq!(sparkline(&[3; 1000], 40).chars().count(), 40);
    }
}
