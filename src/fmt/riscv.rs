//! What the RISC-V formats share beside their items: what leaves permit, and where the architecture says what.

use crate::feature::Access;
use crate::format::SpecRule;

/// Who uses a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// The first stage, which tells users from supervisors.
    First,
    /// The G-stage, which takes every access for a user's.
    Guest,
}

/// What a leaf with these permissions, and U, permits.
///
/// Supervisors read and write what is for users where SUM is set, and never execute it.
pub(super) const fn access(permissions: Access, is_for_users: bool, stage: Stage) -> Access {
    match (stage, is_for_users) {
        (Stage::First, false) => permissions,
        (Stage::First, true) => permissions.for_all().difference(Access::EXECUTE),
        (Stage::Guest, false) => Access::empty(),
        (Stage::Guest, true) => permissions.for_all(),
    }
}

/// A rule, and where the architecture says it.
type Section = (SpecRule, &'static str);

/// The sections for 32-bit items: those that do not speak of extensions for 64-bit items.
pub(super) const SECTIONS_32: &[Section] = &[
    (
        SpecRule::Canonical,
        "RISC-V privileged architecture, \"Addressing and memory protection\" of Sv32, Sv39, Sv48 and Sv57; \"Guest physical address translation\" of the G-stage",
    ),
    (
        SpecRule::Present,
        "RISC-V privileged architecture, \"Virtual address translation process\", the step about PTEs that are not valid or reserved",
    ),
    (
        SpecRule::Kinds,
        "RISC-V privileged architecture, \"Virtual address translation process\", the step that tells pointers and leaves apart",
    ),
    (
        SpecRule::Reserved,
        "RISC-V privileged architecture, \"Virtual address translation process\", the step about PTEs that are not valid or reserved",
    ),
    (
        SpecRule::Tables,
        "RISC-V privileged architecture, \"Virtual address translation process\", the step that reads a PTE (PMA and PMP)",
    ),
    (
        SpecRule::Pages,
        "RISC-V privileged architecture, \"Virtual address translation process\", the step about misaligned superpages",
    ),
    (
        SpecRule::Accessed,
        "RISC-V privileged architecture, \"Virtual address translation process\", the step about pte.a and pte.d; Svade and Svadu",
    ),
    (
        SpecRule::Dirty,
        "RISC-V privileged architecture, \"Virtual address translation process\", the step about pte.a and pte.d; Svade and Svadu",
    ),
];

/// Those that do.
const OF_64_BITS: &[Section] = &[
    (SpecRule::Contiguous, "RISC-V privileged architecture, \"Svnapot\" extension for NAPOT translation contiguity"),
    (SpecRule::Field("N"), "RISC-V privileged architecture, \"Svnapot\" extension for NAPOT translation contiguity"),
    (SpecRule::Field("PBMT"), "RISC-V privileged architecture, \"Svpbmt\" extension for page-based memory types"),
    (
        SpecRule::Field("RSW60T59B"),
        "RISC-V privileged architecture, \"Svrsw60t59b\" extension for PTE reserved-for-software bits 60-59",
    ),
];

/// The sections for 64-bit items: all of them.
pub(super) const SECTIONS_64: &[Section] = {
    const ALL: [Section; SECTIONS_32.len() + OF_64_BITS.len()] = {
        let mut all = [SECTIONS_32[0]; SECTIONS_32.len() + OF_64_BITS.len()];
        let mut n = 0;
        while n < all.len() {
            all[n] = if n < SECTIONS_32.len() { SECTIONS_32[n] } else { OF_64_BITS[n - SECTIONS_32.len()] };
            n += 1;
        }
        all
    };
    &ALL
};
