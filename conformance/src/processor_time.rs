//! Time of processors that a run takes. It depends less on who else uses the machine than the time by the clock.

use std::fs;
use std::io;
use std::time::Duration;

/// Ticks in a second: of every Linux, as programs see it.
const TICKS_OF_SECOND: u64 = 100;
/// Fields of `/proc/self/stat` behind the name, from which the four times are: of this process in user and kernel mode, and of
/// its children that it waited for.
const FIRST_TIME: usize = 11;

/// Of this process and of those that it started and waited for.
///
/// # Errors
/// The system does not tell.
pub fn of_all() -> io::Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    parse(&stat).ok_or_else(|| io::Error::other(format!("no times in {stat:?}")))
}

/// What is wrong with a run that took so much and may take `most`, as a sentence: also that it is not known.
pub fn fault(time: &io::Result<Duration>, most: Duration) -> Option<String> {
    let most_seconds = most.as_secs();
    match time {
        Ok(time) if *time <= most => None,
        Ok(time) => Some(format!("it took {} s of processors, and may take {most_seconds} s", time.as_secs())),
        Err(error) => Some(format!("what it took of processors, at most {most_seconds} s, is not known: {error}")),
    }
}

fn parse(stat: &str) -> Option<Duration> {
    // The name can hold blanks and parentheses.
    let (_, fields) = stat.rsplit_once(')')?;
    let times: Vec<u64> =
        fields.split_whitespace().skip(FIRST_TIME).take(4).map_while(|time| time.parse().ok()).collect();
    (times.len() == 4).then(|| Duration::from_millis(times.iter().sum::<u64>() * 1000 / TICKS_OF_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system that does not tell was taken for one that took no time.
    #[test]
    fn a_time_that_is_not_known_is_a_fault() {
        let most = Duration::from_secs(600);
        assert_eq!(fault(&Ok(most), most), None);
        let of_longer = fault(&Ok(Duration::from_secs(601)), most);
        assert_eq!(of_longer.as_deref(), Some("it took 601 s of processors, and may take 600 s"));
        let of_none = fault(&Err(io::Error::other("no /proc")), most);
        assert_eq!(of_none.as_deref(), Some("what it took of processors, at most 600 s, is not known: no /proc"));
    }

    #[test]
    fn times_of_the_process_and_its_children_are_added() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4 100 0 0 0 150 50 1000 25 20 0 3 0 1 2 3";
        assert_eq!(parse(stat), Some(Duration::from_millis(12_250)));
        assert_eq!(parse("7 (a) S 1 2"), None);
    }
}
