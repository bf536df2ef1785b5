//! A format defined outside of the library, and used: `cargo run --example own_format`.
//!
//! The description is in `format.rs`; `tests/own_format.rs` proves it by the generic suite.

mod format;

use format::pocket::{Config, UNCACHED_PAGES, pt_iommu_pocket_init};
use generic_pt::memory::Arena;
use generic_pt::{Domain, Features, GatherMode, NoHardware, Prot, TableConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The device's items are narrow, so its tables come from a block whose physical address we know.
    let mut block = vec![0_u8; 64 << 10];
    let domain = Domain::new(Arena::new(&mut block, 0x1_2340_0000)?, NoHardware);
    let features = Features::FLUSH_RANGE | UNCACHED_PAGES;
    let config = TableConfig { features, hw_max_vasz_lg2: 32, hw_max_oasz_lg2: 34, format: Config {} };
    let mut table = pt_iommu_pocket_init(&domain, &config)?;
    println!("the register: {:x?}", table.hw_info());

    // 4 KiB pages up to the first 4 MiB boundary, then one of 4 MiB; and a page at the very end, only for reading.
    table.map_range(0x7f_e000, 0x3_007f_e000, 0x40_2000, Prot::READ | Prot::WRITE | Prot::CACHE)?;
    table.map_range(0xffff_f000, 0x9000, 0x1000, Prot::READ)?;
    println!("{table:?}");
    for va in [0x7f_e123, 0xab_cdef, 0xffff_ffff, 0x1000] {
        println!("{va:#010x} translates to {:x?}", table.iova_to_phys(va));
    }

    let mut gather = table.gather(GatherMode::Immediate);
    let removed = table.unmap_range(0x7f_e000, 0x40_2000, &mut gather);
    println!("removed {removed:#x} bytes, to be invalidated: {gather:x?}");
    gather.sync();
    println!("{table:?}");
    Ok(())
}
