//! QEMU's `edu` device: DMA of a few bytes to and from any address.

use crate::qtest::Qtest;
use crate::ram::Ram;
use std::io;

/// Its slot: 4, function 0.
pub const REQUESTER: u64 = 4 << 3;
/// The argument that makes one.
pub const DEVICE: &str = "edu,addr=04.0,dma_mask=0xffffffffffffffff";

const ID: u32 = 0x0100_00ed;
const SOURCE: u64 = 0x80;
const DESTINATION: u64 = 0x88;
const COUNT: u64 = 0x90;
const COMMAND: u64 = 0x98;
/// The device's own memory, as it addresses it.
const BUFFER: u64 = 0x4_0000;
const FROM_RAM: u32 = 1;
const TO_RAM: u32 = 3;
/// Config space: BAR 0, and memory and DMA on.
const BAR_0: u64 = 0x10;
const COMMAND_REGISTER: u64 = 4;
const MEMORY_AND_DMA: u32 = 6;

/// The way into config space.
#[derive(Clone, Copy, Debug)]
pub enum Config {
    /// By the ports of PCs.
    Ports,
    /// In memory, from this address on.
    Memory(u64),
}

/// Eight bytes of memory that the device reaches by the same translation, to bring data in and out.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// Where the device sees it.
    pub iova: u64,
    /// Where it is.
    pub pa: u64,
}

/// The device.
#[derive(Debug)]
pub struct Edu {
    bar: u64,
    exchange: Exchange,
}

impl Edu {
    /// Sets it up, with its registers at `bar`.
    ///
    /// # Errors
    /// It is not there.
    pub fn new(qtest: &mut Qtest, config: Config, bar: u64, exchange: Exchange) -> io::Result<Self> {
        for (register, value) in [(BAR_0, bar as u32), (COMMAND_REGISTER, MEMORY_AND_DMA)] {
            match config {
                Config::Ports => {
                    qtest.out_u32(0xcf8, 1 << 31 | (REQUESTER as u32) << 8 | register as u32)?;
                    qtest.out_u32(0xcfc, value)?;
                }
                Config::Memory(at) => qtest.write_u32(at + (REQUESTER << 12) + register, value)?,
            }
        }
        match qtest.read_u32(bar)? {
            ID => Ok(Self { bar, exchange }),
            other => Err(io::Error::other(format!("no edu device, but {other:#x}"))),
        }
    }

    /// Where it sees the memory by which it brings data in and out.
    pub fn exchange_va(&self) -> u64 {
        self.exchange.iova
    }

    fn copy(&self, qtest: &mut Qtest, source: u64, destination: u64, bytes: u64, command: u32) -> io::Result<()> {
        qtest.write_u64(self.bar + SOURCE, source)?;
        qtest.write_u64(self.bar + DESTINATION, destination)?;
        qtest.write_u64(self.bar + COUNT, bytes)?;
        qtest.write_u32(self.bar + COMMAND, command)?;
        qtest.wait_u32(self.bar + COMMAND, |command| command & 1 == 0)
    }

    /// Reads up to eight bytes; those are zero of which the read is refused.
    ///
    /// # Errors
    /// The machine does not work.
    pub fn read(&self, qtest: &mut Qtest, ram: &Ram, iova: u64, bytes: u64) -> io::Result<u64> {
        self.copy(qtest, iova, BUFFER, bytes, FROM_RAM)?;
        // Neither what is read nor the device's memory behind it.
        let nothing = !ram.read_u64(self.exchange.pa)?;
        ram.write(self.exchange.pa, &nothing.to_le_bytes())?;
        self.copy(qtest, BUFFER, self.exchange.iova, 8, TO_RAM)?;
        let value = ram.read_u64(self.exchange.pa)?;
        if value == nothing {
            let Exchange { iova: from, pa } = self.exchange;
            return Err(io::Error::other(format!(
                "what the device read at {iova:#x} it cannot hand over: its write to {from:#x}, mapped to {pa:#x} for that, changed nothing"
            )));
        }
        Ok(value & u64::MAX >> (u64::BITS - 8 * bytes as u32))
    }

    /// Writes up to eight bytes, unless the write is refused, of which nothing is told.
    ///
    /// # Errors
    /// The machine does not work.
    pub fn write(&self, qtest: &mut Qtest, ram: &Ram, iova: u64, bytes: u64, value: u64) -> io::Result<()> {
        ram.write(self.exchange.pa, &value.to_le_bytes())?;
        self.copy(qtest, self.exchange.iova, BUFFER, 8, FROM_RAM)?;
        self.copy(qtest, BUFFER, iova, bytes, TO_RAM)
    }
}
