//! IOMMUs, with a device behind them that does DMA.

pub mod amd;
pub mod blocks;
pub mod board;
pub mod queue;
pub mod record;
pub mod riscv;
pub mod smmu;
pub mod vtd;

use crate::walker::Access;
use generic_pt::Prot;

/// What second stages and host tables permit: READ and WRITE, each by itself.
fn permits_each(prot: Prot, access: Access) -> bool {
    match access {
        Access::Read => prot.contains(Prot::READ),
        Access::Write => prot.contains(Prot::WRITE),
        Access::Execute => false,
    }
}
