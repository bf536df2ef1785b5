//! The test interface of a machine: its buses, from outside of it.

use crate::vm::unanswered;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A machine's buses.
#[derive(Debug)]
pub struct Qtest {
    channel: BufReader<UnixStream>,
}

impl Qtest {
    /// Talks over `channel`.
    pub fn new(channel: UnixStream) -> Self {
        Self { channel: BufReader::new(channel) }
    }

    fn ask(&mut self, command: &str) -> io::Result<u64> {
        self.exchange(command).map_err(|error| unanswered(error, command, self.channel.get_ref()))
    }

    fn exchange(&mut self, command: &str) -> io::Result<u64> {
        writeln!(self.channel.get_mut(), "{command}")?;
        let mut line = String::new();
        loop {
            line.clear();
            if self.channel.read_line(&mut line)? == 0 {
                return Err(io::Error::other("the machine has ended"));
            }
            let answer = line.trim();
            if answer.starts_with("IRQ") {
                continue;
            }
            let value = match answer.strip_prefix("OK").map(str::trim) {
                Some("") => Some(0),
                Some(digits) => u64::from_str_radix(digits.trim_start_matches("0x"), 16).ok(),
                None => None,
            };
            return value.ok_or_else(|| io::Error::other(format!("{command}: {answer}")));
        }
    }

    /// Writes four bytes to an I/O port.
    ///
    /// # Errors
    /// The machine does not work.
    pub fn out_u32(&mut self, port: u16, value: u32) -> io::Result<()> {
        self.ask(&format!("outl {port:#x} {value:#x}")).map(drop)
    }

    /// Writes four bytes.
    ///
    /// # Errors
    /// The machine does not work.
    pub fn write_u32(&mut self, pa: u64, value: u32) -> io::Result<()> {
        self.ask(&format!("writel {pa:#x} {value:#x}")).map(drop)
    }

    /// Writes eight bytes.
    ///
    /// # Errors
    /// The machine does not work.
    pub fn write_u64(&mut self, pa: u64, value: u64) -> io::Result<()> {
        self.ask(&format!("writeq {pa:#x} {value:#x}")).map(drop)
    }

    /// Reads four bytes.
    ///
    /// # Errors
    /// The machine does not work.
    pub fn read_u32(&mut self, pa: u64) -> io::Result<u32> {
        self.ask(&format!("readl {pa:#x}")).map(|value| value as u32)
    }

    /// Reads eight bytes.
    ///
    /// # Errors
    /// The machine does not work.
    pub fn read_u64(&mut self, pa: u64) -> io::Result<u64> {
        self.ask(&format!("readq {pa:#x}"))
    }

    /// Waits until `is_so` of the four bytes at `pa`.
    ///
    /// # Errors
    /// It never is, or the machine does not work.
    pub fn wait_u32(&mut self, pa: u64, is_so: impl Fn(u32) -> bool) -> io::Result<()> {
        // Of a machine that shares its processor with others, too.
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            if is_so(self.read_u32(pa)?) {
                return Ok(());
            }
            // Asking all the time would keep the machine from going on.
            std::thread::sleep(Duration::from_micros(100));
        }
        Err(io::Error::other(format!("the register at {pa:#x} stays {:#x}", self.read_u32(pa)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_hangs_is_an_error_that_says_so() -> io::Result<()> {
        let (ours, _hung) = UnixStream::pair()?;
        ours.set_read_timeout(Some(Duration::from_millis(200)))?;
        let error = Qtest::new(ours).read_u32(0x10).err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(error, "the machine did not answer \"readl 0x10\" within 200ms");
        Ok(())
    }
}
