//! The debugger interface of a machine: the remote protocol of gdb.

use crate::vm::unanswered;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

/// A machine's registers, and its monitor.
#[derive(Debug)]
pub struct Gdb {
    channel: UnixStream,
    buffer: Vec<u8>,
    registers: BTreeMap<String, Register>,
}

#[derive(Clone, Copy, Debug)]
struct Register {
    number: usize,
    bytes: usize,
}

fn bad<T>(what: impl Into<String>) -> io::Result<T> {
    Err(io::Error::other(what.into()))
}

impl Gdb {
    /// Connects, and learns the numbers of the registers.
    ///
    /// # Errors
    /// The machine does not answer as it should.
    pub fn new(channel: UnixStream) -> io::Result<Self> {
        let mut gdb = Self { channel, buffer: Vec::new(), registers: BTreeMap::new() };
        gdb.ask("qSupported:xmlRegisters=i386")?;
        let mut next = 0;
        gdb.read_registers("target.xml", &mut next)?;
        Ok(gdb)
    }

    /// Sends a packet and gives the answer.
    ///
    /// # Errors
    /// There is none, or it is malformed.
    pub fn ask(&mut self, packet: &str) -> io::Result<String> {
        let answer = self.send(packet).and_then(|()| self.receive());
        answer.map_err(|error| unanswered(error, packet, &self.channel))
    }

    fn send(&mut self, packet: &str) -> io::Result<()> {
        let sum = packet.bytes().fold(0u8, u8::wrapping_add);
        write!(self.channel, "${packet}#{sum:02x}")
    }

    fn byte(&mut self) -> io::Result<u8> {
        if self.buffer.is_empty() {
            let mut chunk = [0; 4096];
            let count = self.channel.read(&mut chunk)?;
            if count == 0 {
                return bad("the machine has ended");
            }
            self.buffer.extend(chunk[..count].iter().rev());
        }
        self.buffer.pop().map_or_else(|| bad("nothing was read"), Ok)
    }

    fn receive(&mut self) -> io::Result<String> {
        while self.byte()? != b'$' {}
        let mut answer = Vec::new();
        loop {
            match self.byte()? {
                b'#' => break,
                // Escaped.
                b'}' => answer.push(self.byte()? ^ 0x20),
                byte => answer.push(byte),
            }
        }
        let _checksum = (self.byte()?, self.byte()?);
        self.channel.write_all(b"+")?;
        String::from_utf8(answer).or_else(|_| bad("an answer that is no text"))
    }

    /// Reads a description of registers; those of files that it includes count on.
    fn read_registers(&mut self, file: &str, next: &mut usize) -> io::Result<()> {
        let mut text = String::new();
        loop {
            let part = self.ask(&format!("qXfer:features:read:{file}:{:x},ffb", text.len()))?;
            match part.split_at_checked(1) {
                Some(("m", more)) => text += more,
                Some(("l", rest)) => {
                    text += rest;
                    break;
                }
                _ => return bad(format!("{file}: {part:?}")),
            }
        }
        for tag in tags(&text) {
            let attribute = |name: &str| {
                let (_, value) = tag.split_once(&format!(" {name}=\""))?;
                value.split('"').next()
            };
            if tag.starts_with("xi:include")
                && let Some(included) = attribute("href")
            {
                self.read_registers(included, next)?;
            }
            if tag.starts_with("reg ")
                && let (Some(name), Some(bits)) = (attribute("name"), attribute("bitsize"))
            {
                if let Some(number) = attribute("regnum") {
                    *next = number.parse().or_else(|_| bad(format!("register number {number}")))?;
                }
                let bits: usize = bits.parse().or_else(|_| bad(format!("{name} of {bits} bits")))?;
                self.registers.insert(name.to_owned(), Register { number: *next, bytes: bits.div_ceil(8) });
                *next += 1;
            }
        }
        Ok(())
    }

    fn register(&self, name: &str) -> io::Result<Register> {
        self.registers.get(name).copied().map_or_else(|| bad(format!("no register {name}")), Ok)
    }

    /// Sets a register.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be set.
    pub fn set(&mut self, name: &str, value: u64) -> io::Result<()> {
        let Register { number, bytes } = self.register(name)?;
        let digits: String =
            (0..bytes).map(|n| format!("{:02x}", value.checked_shr(8 * n as u32).unwrap_or(0) as u8)).collect();
        match self.ask(&format!("P{number:x}={digits}"))?.as_str() {
            "OK" => Ok(()),
            answer => bad(format!("{name} = {value:#x}: {answer}")),
        }
    }

    /// The value of a register.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn get(&mut self, name: &str) -> io::Result<u64> {
        let Register { number, bytes } = self.register(name)?;
        let answer = self.ask(&format!("p{number:x}"))?;
        let digits = answer.as_bytes();
        if digits.len() != 2 * bytes {
            return bad(format!("{name}: {answer}"));
        }
        digits.chunks(2).take(8).enumerate().try_fold(0, |value, (n, pair)| {
            let byte = std::str::from_utf8(pair).ok().and_then(|pair| u64::from_str_radix(pair, 16).ok());
            byte.map_or_else(|| bad(format!("{name}: {answer}")), |byte| Ok(value | byte << (8 * n)))
        })
    }

    /// Executes one instruction.
    ///
    /// # Errors
    /// The machine does not stop behind it.
    pub fn step(&mut self) -> io::Result<()> {
        match self.ask("s")? {
            answer if answer.starts_with(['T', 'S']) => Ok(()),
            answer => bad(format!("step: {answer}")),
        }
    }

    /// Executes so many instructions of four bytes from `at` on, one behind the other.
    ///
    /// # Errors
    /// The machine went elsewhere.
    pub fn run(&mut self, at: u64, instructions: usize) -> io::Result<()> {
        self.set("pc", at)?;
        for _ in 0..instructions {
            self.step()?;
        }
        match self.get("pc")? {
            pc if pc == at + 4 * instructions as u64 => Ok(()),
            pc => bad(format!("{instructions} instructions from {at:#x} ended at {pc:#x}")),
        }
    }

    /// A command of the monitor, and what it prints.
    ///
    /// # Errors
    /// It is not known.
    pub fn monitor(&mut self, command: &str) -> io::Result<String> {
        let digits: String = command.bytes().map(|byte| format!("{byte:02x}")).collect();
        let mut text = String::new();
        let mut answer = self.ask(&format!("qRcmd,{digits}"))?;
        while answer != "OK" {
            let Some(part) = answer.strip_prefix('O') else { return bad(format!("{command}: {answer}")) };
            for pair in part.as_bytes().chunks(2) {
                let byte = std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
                text.push(byte.map_or('?', char::from));
            }
            answer = self.receive()?;
        }
        Ok(text)
    }

    /// The physical address that the machine finds for a virtual one, by the walk of its debugger.
    ///
    /// # Errors
    /// The monitor answers something else.
    pub fn physical(&mut self, va: u64) -> io::Result<Option<u64>> {
        let answer = self.monitor(&format!("gva2gpa {va:#x}"))?;
        let answer = answer.trim();
        if answer == "Unmapped" {
            return Ok(None);
        }
        let digits = answer.strip_prefix("gpa: ").map(|digits| digits.strip_prefix("0x").unwrap_or(digits));
        match digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
            Some(pa) => Ok(Some(pa)),
            None => bad(format!("gva2gpa {va:#x}: {answer}")),
        }
    }
}

/// What is between `<` and `>` in a description, without comments.
fn tags(xml: &str) -> Vec<String> {
    let mut tags = Vec::new();
    let mut rest = xml;
    while let Some((_, behind)) = rest.split_once('<') {
        let end = if behind.starts_with("!--") { "-->" } else { ">" };
        let Some((tag, after)) = behind.split_once(end) else { break };
        if end == ">" {
            tags.push(tag.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        rest = after;
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_hangs_is_an_error_that_says_so() -> io::Result<()> {
        let (ours, _hung) = UnixStream::pair()?;
        ours.set_read_timeout(Some(std::time::Duration::from_millis(200)))?;
        let error = Gdb::new(ours).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.starts_with("the machine did not answer \"") && error.ends_with("\" within 200ms"), "{error}");
        Ok(())
    }

    #[test]
    fn comments_hold_no_tags() {
        let xml = "<a><!-- <reg name=\"x\"/> --><reg\n  name=\"y\" bitsize=\"64\"/></a>";
        assert_eq!(tags(xml), ["a", "reg name=\"y\" bitsize=\"64\"/", "/a"]);
    }
}
