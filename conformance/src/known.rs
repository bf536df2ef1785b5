//! What is known to be wrong with the models: each fault with the rows that it is about.
//!
//! Rows that have a fault are declared; whether a run came across it is counted where it is avoided or undone.

use crate::matrix::Row;
use std::fmt;
use std::ops::{AddAssign, Index};

/// A fault of a model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The debugger does not see pages without read permission.
    DebuggerReads,
    /// A is set where it is reserved.
    AccessedPdptes,
    /// Guest physical addresses are sign-extended.
    GuestSign,
    /// HLVX is no fetch.
    Hlvx,
    /// The cache drops address bits.
    CacheAliases,
    /// Address bits beyond the mode are dropped.
    BeyondMode,
    /// More is forgotten than was asked for.
    ForgetsDomain,
    /// Interrupts have a part of the space.
    Interrupts,
    /// Faults are not recorded.
    NoRecords,
    /// Faults of what is cached are not recorded.
    CachedWithoutRecord,
    /// Addresses that are not canonical are translated.
    NotCanonical,
    /// Addresses beyond those of stage 2 are refused without an event.
    NoEventBeyondIpa,
    /// Addresses beyond 48 bits do not get to the SMMU.
    NarrowSpace,
    /// Leaves that are not present translate.
    PresentIgnored,
    /// The cause of a refusal is that of a guest's page.
    CauseOfGuest,
    /// Clean pages are read-only to fetches.
    CleanIsReadOnly,
    /// Reasons are those of legacy mode.
    LegacyCodes,
}

/// How often each fault was come across.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Met([u64; KNOWN_FAULTS.len()]);

impl Met {
    /// Once more.
    pub fn count(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    /// What was counted, which begins anew.
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

impl Index<Fault> for Met {
    type Output = u64;

    fn index(&self, fault: Fault) -> &u64 {
        &self.0[fault as usize]
    }
}

impl AddAssign for Met {
    fn add_assign(&mut self, more: Self) {
        for (count, more) in self.0.iter_mut().zip(more.0) {
            *count += more;
        }
    }
}

impl fmt::Debug for Met {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(KNOWN_FAULTS.iter().map(|known| (known.letter, self[known.fault]))).finish()
    }
}

/// How it shows that a model still has a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown {
    /// By accesses that are tried anyway: they tell whether they came across it.
    ByTheWay,
    /// By asking for it, as it is avoided otherwise.
    OnPurpose,
    /// Not at all: hardware does the same.
    AsHardware,
    /// By accesses that are tried anyway, on some computers: no row has to come across it.
    OnSomeComputers,
}

/// A fault of a model, which the suite avoids or undoes. docs/conformance.md has the evidence.
#[derive(Debug)]
pub struct KnownFault {
    /// Which one.
    pub fault: Fault,
    /// By which a row names it.
    pub letter: char,
    /// What is wrong, and what is done about it.
    pub what: &'static str,
    /// How it shows that the model still has it.
    pub shown: Shown,
    is_of: fn(&Row) -> bool,
}

impl KnownFault {
    /// Whether the row's model has it.
    pub fn is_of(&self, row: &Row) -> bool {
        (self.is_of)(row)
    }
}

/// Whether the walker is a version of QEMU's program.
fn is_qemu(row: &Row, program: &str) -> bool {
    row.walker.split(' ').next().is_some_and(|name| name == program)
}

/// The major version of QEMU; 0 for other walkers.
fn major(row: &Row) -> u32 {
    let version = row.walker.split(' ').nth(1).unwrap_or("");
    version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
}

fn is_g_stage_of_cpu(row: &Row) -> bool {
    row.format.ends_with("_g") && !row.config.starts_with("IOMMU")
}

/// All of them, in the order of [`Fault`].
pub const KNOWN_FAULTS: &[KnownFault] = &[
    KnownFault {
        fault: Fault::DebuggerReads,
        letter: 'b',
        what: "its debugger translates by a read; pages without read permission are found by stores",
        shown: Shown::ByTheWay,
        is_of: |row| is_qemu(row, "qemu-system-aarch64") && row.config.starts_with("stage 2"),
    },
    KnownFault {
        fault: Fault::AccessedPdptes,
        letter: 'c',
        what: "sets A in PDPTEs, where the bit is reserved; the walker clears it after each access",
        shown: Shown::ByTheWay,
        is_of: |row| row.format == "x86_pae",
    },
    KnownFault {
        fault: Fault::GuestSign,
        letter: 'd',
        what: "refuses guest physical addresses with the highest bit set; they are not tried",
        shown: Shown::OnPurpose,
        is_of: |row| row.format == "riscv_64_g" && is_g_stage_of_cpu(row) && major(row) < 10,
    },
    KnownFault {
        fault: Fault::Hlvx,
        letter: 'e',
        what: "HLVX does not do as specified; fetches are those of a guest",
        shown: Shown::OnPurpose,
        is_of: is_g_stage_of_cpu,
    },
    KnownFault {
        fault: Fault::CacheAliases,
        letter: 'f',
        what: "its cache drops address bits from 56 on; a page is forgotten before one is asked for that is the same to it",
        shown: Shown::OnPurpose,
        is_of: |row| row.format.starts_with("riscv_64") && row.config.starts_with("IOMMU, Sv57"),
    },
    KnownFault {
        fault: Fault::BeyondMode,
        letter: 'g',
        what: "drops address bits beyond the mode; such addresses are not tried",
        shown: Shown::OnPurpose,
        is_of: |row| row.format == "amdv1",
    },
    KnownFault {
        fault: Fault::ForgetsDomain,
        letter: 'h',
        what: "forgets the whole domain at a page-selective invalidation; fewer stale accesses are seen",
        shown: Shown::ByTheWay,
        is_of: |row| row.format == "amdv1" && row.config.ends_with("no gaps"),
    },
    KnownFault {
        fault: Fault::Interrupts,
        letter: 'i',
        what: "no IOVA in 0xfee0_0000 to 0xfeef_ffff, as in hardware: interrupts",
        shown: Shown::AsHardware,
        is_of: |row| row.format == "amdv1" || row.format == "vtdss" || row.config.starts_with("VT-d"),
    },
    KnownFault {
        fault: Fault::NoRecords,
        letter: 'j',
        what: "records no faults of tables; refusals are judged by what was moved",
        shown: Shown::ByTheWay,
        is_of: |row| row.format == "amdv1",
    },
    KnownFault {
        fault: Fault::CachedWithoutRecord,
        letter: 'k',
        what: "records no refusals that its cache gives; it forgets the address, and has to record the next one",
        shown: Shown::ByTheWay,
        is_of: |row| {
            row.format == "vtdss"
                || ["VT-d", "IOMMU", "SMMU, stage 2"].iter().any(|model| row.config.starts_with(model))
        },
    },
    KnownFault {
        fault: Fault::NotCanonical,
        letter: 'l',
        what: "translates addresses that are not canonical; reads tell of them",
        shown: Shown::OnSomeComputers,
        is_of: |row| row.walker.starts_with("KVM"),
    },
    KnownFault {
        fault: Fault::NoEventBeyondIpa,
        letter: 'm',
        what: "records no event of addresses beyond 44 bits in stage 2; refusals are judged by what was moved",
        shown: Shown::ByTheWay,
        is_of: |row| row.config.starts_with("SMMU, stage 2"),
    },
    KnownFault {
        fault: Fault::NarrowSpace,
        letter: 'n',
        what: "records no event of addresses beyond 48 bits; refusals are judged by what was moved",
        shown: Shown::ByTheWay,
        is_of: |row| row.config.starts_with("SMMU, stage 1") && major(row) < 10,
    },
    KnownFault {
        fault: Fault::PresentIgnored,
        letter: 'o',
        what: "translates by leaves without PR; the vectors show that the library sets it",
        shown: Shown::OnPurpose,
        is_of: |row| row.format == "amdv1" && major(row) < 11,
    },
    KnownFault {
        fault: Fault::CauseOfGuest,
        letter: 'p',
        what: "refuses addresses beyond those of Sv32 with the causes of guest page faults, which are taken for the others",
        shown: Shown::ByTheWay,
        is_of: |row| row.format == "riscv_32" && row.config.starts_with("IOMMU"),
    },
    KnownFault {
        fault: Fault::CleanIsReadOnly,
        letter: 'q',
        what: "lets EL1 execute pages that EL0 may write until they were written; judged so while they are clean",
        shown: Shown::ByTheWay,
        is_of: |row| {
            row.walker.starts_with("qemu-system-aarch64")
                && row.config.starts_with("stage 1")
                && row.config.ends_with("dirty")
        },
    },
    KnownFault {
        fault: Fault::LegacyCodes,
        letter: 'r',
        what: "tells the reasons of scalable second stages by the codes of legacy mode, which are taken for them",
        shown: Shown::ByTheWay,
        is_of: |row| row.format == "vtdss" && row.config.starts_with("scalable"),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_in_their_order() {
        for (n, known) in KNOWN_FAULTS.iter().enumerate() {
            assert_eq!(known.fault as usize, n, "{known:?}");
        }
    }
}
