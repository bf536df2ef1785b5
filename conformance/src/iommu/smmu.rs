//! Arm's SMMUv3, stage 1 or stage 2 (IHI 0070, 4 to 6).

use super::blocks::blocks;
use super::board::{ARM, Board};
use super::permits_each;
use super::queue::Queue;
use super::record::{Record, with_record};
use crate::arm::{Registers, Stage};
use crate::edu;
use crate::known::Fault;
use crate::ram::Ram;
use crate::vm;
use crate::walker::{Access, Outcome, Privilege, Reach, Reason, Reasons, Request, Told, Walker, Widths};
use generic_pt::{Invalidation, Prot};
use std::io;
use std::path::Path;

const REGISTERS: u64 = 0x0905_0000;
const CONTROL: u64 = REGISTERS + 0x20;
const CONTROL_ACK: u64 = REGISTERS + 0x24;
const STREAMS_BASE: u64 = REGISTERS + 0x80;
const STREAMS_CONFIG: u64 = REGISTERS + 0x88;
const COMMANDS_BASE: u64 = REGISTERS + 0x90;
const COMMANDS_PRODUCED: u64 = REGISTERS + 0x98;
const COMMANDS_CONSUMED: u64 = REGISTERS + 0x9c;
const EVENTS_BASE: u64 = REGISTERS + 0xa0;
const EVENTS_PRODUCED: u64 = REGISTERS + 0x1_00a8;
const EVENTS_CONSUMED: u64 = REGISTERS + 0x1_00ac;

/// Control: command queue, event queue, translation.
const COMMANDS_ON: u32 = 1 << 3;
const EVENTS_ON: u32 = 1 << 2;
const TRANSLATE: u32 = 1;

/// Streams, and entries of the queues, as powers of two.
const STREAMS_LG2: u32 = 8;
const QUEUE_LG2: u32 = 8;

const STREAMS: u64 = ARM.structures_pa;
const CONTEXT: u64 = STREAMS + 0x4000;
const COMMANDS: u64 = STREAMS + 0x5000;
const EVENTS: u64 = STREAMS + 0x6000;

const ASID: u64 = 1;
const VMID: u64 = 1;

/// Commands: the first word.
const CONFIGURE_ALL: u64 = 0x04;
const FORGET_ASID: u64 = 0x11 | VMID << 32 | ASID << 48;
const FORGET_VA: u64 = 0x12 | VMID << 32 | ASID << 48;
const FORGET_VMID: u64 = 0x28 | VMID << 32;
const FORGET_IPA: u64 = 0x2a | VMID << 32;
const SYNC: u64 = 0x46;
/// Of the second word of an event: RnW.
const OF_READ: u64 = 1 << 35;
/// Of its features: commands of ranges.
const FEATURES_3: u64 = REGISTERS + 0x0c;
const RANGES: u32 = 1 << 10;
/// Bits of its physical addresses, and of the addresses that stage 2 begins with.
const OUTPUT_BITS: u32 = 44;
/// So many granules, as a power of two, are the largest range of one command.
const LARGEST_SCALE: u32 = 31;

/// Address bits that the model of QEMU 7.2 takes from devices.
const NARROW_BITS: u32 = 48;

/// Which addresses of devices get to the model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Space {
    /// All.
    Whole,
    /// Those of [`NARROW_BITS`].
    Narrow,
}

/// The SMMU of an AArch64 machine.
#[derive(Debug)]
pub struct Smmu<'r> {
    board: Board<'r>,
    stage: Stage,
    space: Space,
    granule_lg2: u32,
    commands: Queue,
}

impl<'r> Smmu<'r> {
    /// An SMMU with a table; it has 44 PA bits.
    ///
    /// # Errors
    /// The machine does not work.
    pub fn new(program: &Path, stage: Stage, registers: Registers, ram: &'r Ram) -> io::Result<Self> {
        let Registers { ttb, tcr, mair } = registers;
        // The granule's code, in that half.
        let granule_lg2 = match (stage, if stage == Stage::Upper { tcr >> 30 & 3 } else { tcr >> 14 & 3 }) {
            (Stage::Upper, 1) | (Stage::Lower | Stage::Second, 2) => 14,
            (Stage::Upper, 3) | (Stage::Lower | Stage::Second, 1) => 16,
            _ => 12,
        };
        let first_va = if stage == Stage::Upper { !(u64::MAX >> (tcr >> 16 & 0x3f)) } else { 0 };
        let second: &[&str] = if stage == Stage::Second { &["-global", "arm-smmuv3.stage=2"] } else { &[] };
        let board = Board::new(program, &ARM, &[&["-cpu", "max"], second].concat(), first_va, ram)?;
        let space = if vm::major(program)? < 10 { Space::Narrow } else { Space::Whole };
        let mut smmu = Self { board, stage, space, granule_lg2, commands: Queue::new(COMMANDS, 1 << QUEUE_LG2, 16) };
        ram.write_u64s(STREAMS + 64 * edu::REQUESTER, &stream_entry(stage, ttb, tcr)?)?;
        // The same table in both halves: one of them is switched off.
        ram.write_u64s(CONTEXT, &[if stage == Stage::Second { 0 } else { context(tcr)? }, ttb, ttb, mair])?;
        let qtest = &mut smmu.board.qtest;
        qtest.write_u64(STREAMS_BASE, STREAMS)?;
        qtest.write_u32(STREAMS_CONFIG, STREAMS_LG2)?;
        qtest.write_u64(COMMANDS_BASE, COMMANDS | u64::from(QUEUE_LG2))?;
        qtest.write_u64(EVENTS_BASE, EVENTS | u64::from(QUEUE_LG2))?;
        if qtest.read_u32(FEATURES_3)? & RANGES == 0 {
            return Err(io::Error::other("this SMMU has no commands of ranges (IDR3.RIL)"));
        }
        smmu.control(COMMANDS_ON | EVENTS_ON)?;
        // What is kept of earlier is forgotten before it translates.
        smmu.command(CONFIGURE_ALL, 31)?;
        smmu.invalidate(&Invalidation::EVERYTHING)?;
        smmu.control(COMMANDS_ON | EVENTS_ON | TRANSLATE)?;
        Ok(smmu)
    }

    fn control(&mut self, control: u32) -> io::Result<()> {
        let qtest = &mut self.board.qtest;
        qtest.write_u32(CONTROL, control)?;
        qtest.wait_u32(CONTROL_ACK, |ack| ack == control)
    }

    /// The last fault since this was asked last.
    fn take_fault(&mut self) -> io::Result<Option<Record>> {
        let qtest = &mut self.board.qtest;
        let (produced, consumed) = (qtest.read_u32(EVENTS_PRODUCED)?, qtest.read_u32(EVENTS_CONSUMED)?);
        if produced == consumed {
            return Ok(None);
        }
        qtest.write_u32(EVENTS_CONSUMED, produced)?;
        let last = u64::from(produced.wrapping_sub(1)) % (1 << QUEUE_LG2);
        let event = EVENTS + 32 * last;
        let [what, how, va] = [0, 8, 16].map(|offset| self.board.ram.read_u64(event + offset));
        let (what, va) = (what?, va?);
        let access = if how? & OF_READ == 0 { Access::Write } else { Access::Read };
        let reasons: Reasons = match what & 0xff {
            // F_TRANSLATION, F_PERMISSION.
            0x10 => &[Reason::NotMapped, Reason::OutOfRange],
            0x13 => &[Reason::NotPermitted],
            // F_ADDR_SIZE, which is due of addresses beyond those of stage 2 (3.4).
            0x11 => &[Reason::OutOfRange],
            other => return Err(io::Error::other(format!("event {other:#x}"))),
        };
        Ok(Some(Record { reasons, access: Some(access), device: what >> 32, va, multiple: 1 }))
    }

    fn command(&mut self, first: u64, second: u64) -> io::Result<()> {
        self.commands.put(self.board.ram, [first, second])?;
        let produced = self.produced();
        self.board.qtest.write_u32(COMMANDS_PRODUCED, produced)
    }

    /// Of the next command: an index with one bit that wraps.
    fn produced(&self) -> u32 {
        (self.commands.given() % (2 << QUEUE_LG2)) as u32
    }
}

/// That no bit is set but these, which have a place: another one would be lost.
fn only(tcr: u64, bits: u64) -> io::Result<()> {
    match tcr & !bits {
        0 => Ok(()),
        others => Err(io::Error::other(format!("the library tells TCR {tcr:#x}: {others:#x} has no place in an SMMU"))),
    }
}

/// Words of a stream table entry.
fn stream_entry(stage: Stage, ttb: u64, tcr: u64) -> io::Result<[u64; 4]> {
    const VALID: u64 = 1;
    const STAGE_1: u64 = 5 << 1;
    const STAGE_2: u64 = 6 << 1;
    const AARCH64: u64 = 1 << 51;
    const RECORD_FAULTS: u64 = 1 << 58;
    /// T0SZ, SL0, IRGN0, ORGN0, SH0, TG0, PS; and of VTCR_EL2 a bit that is always set.
    const IN_PLACE: u64 = 0x7_ffff;
    const RES1: u64 = 1 << 31;
    if stage == Stage::Second {
        only(tcr, IN_PLACE | RES1)?;
        Ok([VALID | STAGE_2, 0, VMID | (tcr & IN_PLACE) << 32 | AARCH64 | RECORD_FAULTS, ttb])
    } else {
        Ok([VALID | STAGE_1 | CONTEXT, 0, VMID, 0])
    }
}

/// The first word of a context descriptor, from TCR_EL1.
fn context(tcr: u64) -> io::Result<u64> {
    // What is in place: T0SZ, IR0, OR0, SH0; T1SZ, IR1, OR1, SH1; IPS.
    const IN_PLACE: u64 = 0x3f | 0x3f << 8 | 0x3f << 16 | 0x3f << 24 | 7 << 32;
    only(tcr, IN_PLACE | 3 << 14 | 3 << 30 | 1 << 7 | 1 << 23)?;
    let in_place = tcr & IN_PLACE;
    // TG0 and TG1, EPD0 and EPD1.
    let moved = (tcr >> 14 & 3) << 6 | (tcr >> 30 & 3) << 22 | (tcr >> 7 & 1) << 14 | (tcr >> 23 & 1) << 30;
    const VALID: u64 = 1 << 31;
    const AARCH64: u64 = 1 << 41;
    // Faults are recorded, and abort; the ASID is not shared.
    const FAULTS: u64 = 0b11 << 45;
    const ASID_SET: u64 = 1 << 47;
    Ok(in_place | moved | VALID | AARCH64 | FAULTS | ASID_SET | ASID << 48)
}

impl Walker for Smmu<'_> {
    fn reaches(&self, va: u64, pa: Option<u64>) -> Reach {
        self.board.reaches(va, pa)
    }
    fn widths(&self) -> Widths {
        Widths::Any
    }
    fn sees(&self, prot: Prot) -> bool {
        self.permits(prot, Access::Read, Privilege::Supervisor)
    }
    fn access(&mut self, request: &Request) -> io::Result<Outcome> {
        self.take_fault()?;
        let outcome = self.board.access(request)?;
        with_record(request, outcome, self.take_fault()?, edu::REQUESTER)
    }
    fn reasons_told(&self, last_va: u64) -> Told {
        if self.stage == Stage::Second && last_va >> OUTPUT_BITS != 0 {
            Told::Faulty(Fault::NoEventBeyondIpa)
        } else if self.space == Space::Narrow && last_va >> NARROW_BITS != 0 {
            Told::Faulty(Fault::NarrowSpace)
        } else {
            Told::Always
        }
    }
    fn permits(&self, prot: Prot, access: Access, _: Privilege) -> bool {
        match self.stage {
            Stage::Second => permits_each(prot, access),
            // What can be written can be read.
            Stage::Lower | Stage::Upper => access == Access::Read || prot.contains(Prot::WRITE),
        }
    }
    fn invalidate(&mut self, what: &Invalidation) -> io::Result<()> {
        let (of_range, of_all) =
            if self.stage == Stage::Second { (FORGET_IPA, FORGET_VMID) } else { (FORGET_VA, FORGET_ASID) };
        let granule_lg2 = self.granule_lg2;
        if blocks(what.va, what.last).all(|(_, lg2)| lg2 - granule_lg2 <= LARGEST_SCALE) {
            // 1 for 4 KiB, 2 for 16 KiB, 3 for 64 KiB.
            let granule = u64::from((granule_lg2 - 10) / 2) << 10;
            let leaves_only = u64::from(what.unlinked_tables == 0);
            // Arm's level 3 is level 0; 0 if it is not known.
            let level = match what.leaf_levels.bits() {
                bits if leaves_only == 1 && bits.count_ones() == 1 => 3u64.saturating_sub(bits.trailing_zeros().into()),
                _ => 0,
            };
            for (va, lg2) in blocks(what.va, what.last) {
                let scale = u64::from(lg2 - granule_lg2);
                // A range of one granule without a level is reserved: it is no range (IHI 0070, 4.4.1.1).
                let of_granules = if scale == 0 && level == 0 { 0 } else { granule | level << 8 };
                self.command(of_range | scale << 20, va | of_granules | leaves_only)?;
            }
        } else {
            self.command(of_all, 0)?;
        }
        self.command(SYNC, 0)?;
        let produced = self.produced();
        self.board.qtest.wait_u32(COMMANDS_CONSUMED, |consumed| consumed == produced)
    }
}
