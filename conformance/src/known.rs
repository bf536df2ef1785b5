//! What is known to be wrong with the models: each fault with the rows that it is about.

use crate::matrix::Row;

/// A fault of a model, which the suite avoids or undoes. docs/conformance.md has the evidence.
#[derive(Debug)]
pub struct KnownFault {
    /// By which a row names it.
    pub letter: char,
    /// What is wrong, and what is done about it.
    pub what: &'static str,
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

/// All of them.
pub const KNOWN_FAULTS: &[KnownFault] = &[
    KnownFault {
        letter: 'a',
        what: "ends when AT meets a permission fault of stage 2; refused data accesses are not tried, fetches are",
        is_of: |row| is_qemu(row, "qemu-system-aarch64") && major(row) >= 10 && row.config.starts_with("stage 2"),
    },
    KnownFault {
        letter: 'b',
        what: "its debugger translates by a read; pages without read permission are found by AT",
        is_of: |row| is_qemu(row, "qemu-system-aarch64") && row.config.starts_with("stage 2"),
    },
    KnownFault {
        letter: 'c',
        what: "sets A in PDPTEs, where the bit is reserved; the walker clears it after each access",
        is_of: |row| row.format == "x86_pae",
    },
    KnownFault {
        letter: 'd',
        what: "refuses guest physical addresses with the highest bit set; they are not tried",
        is_of: |row| is_g_stage_of_cpu(row) && major(row) < 10,
    },
    KnownFault {
        letter: 'e',
        what: "HLVX does not do as specified; fetches are those of a guest",
        is_of: is_g_stage_of_cpu,
    },
    KnownFault {
        letter: 'f',
        what: "its cache drops address bits from 56 on; it is made to forget around accesses there",
        is_of: |row| row.config.starts_with("IOMMU, Sv57"),
    },
    KnownFault {
        letter: 'g',
        what: "drops address bits beyond the mode; such addresses are not tried",
        is_of: |row| row.format == "amdv1",
    },
    KnownFault {
        letter: 'h',
        what: "forgets the whole domain at a page-selective invalidation; fewer stale accesses are seen",
        is_of: |row| row.format == "amdv1" && row.config.ends_with("no gaps"),
    },
    KnownFault {
        letter: 'i',
        what: "no IOVA in 0xfee0_0000 to 0xfeef_ffff, as in hardware: interrupts",
        is_of: |row| row.format == "amdv1" || row.format == "vtdss" || row.config.starts_with("VT-d"),
    },
    KnownFault {
        letter: 'j',
        what: "records no faults of tables; refusals are judged by what was moved",
        is_of: |row| row.format == "amdv1",
    },
];
