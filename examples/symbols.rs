//! Uses every operation of every format once: the binary whose symbols `tests/symbols.rs` looks at.
//!
//! It is built, not run: tables of some formats cannot lie where the heap is.

use generic_pt::fmt::{
    amdv1, amdv1_mock, armv7s, armv8_4k, armv8_16k, armv8_64k, dart, dart_16k, dart_v2, ept, mali_lpae, ppc64_radix,
    ppc64_radix_64k, riscv_32, riscv_32_g, riscv_64, riscv_64_g, rockchip_v2, s390, vtdss, x86_64, x86_pae,
};
use generic_pt::{DirtyMode, Domain, Features, GatherMode, HeapMemory, NoHardware, Prot, Segment, TableConfig};
use std::hint::black_box;

/// All mangled operations of one format, on a table that maps, translates and unmaps one page.
macro_rules! exercise {
    ($format:ident, $va_lg2:expr, $features:expr, $config:expr) => {{
        use generic_pt::ns;
        use $format::*;
        let domain = Domain::new(HeapMemory, NoHardware);
        let config = TableConfig {
            features: black_box($features),
            hw_max_vasz_lg2: black_box($va_lg2),
            hw_max_oasz_lg2: black_box(GEOMETRY.max_oa_lg2.min(48)),
            format: $config,
        };
        let mut table = ns!($format, init)(&domain, &config).expect("a valid configuration");
        let (iova, paddr, len) = black_box((0x20_0000, 0x4000_0000, 0x40_0000));
        ns!($format, map_range)(&mut table, iova, paddr, len, Prot::READ | Prot::WRITE).expect("a free range");
        assert_eq!(ns!($format, iova_to_phys)(&table, black_box(iova + 0x1234)), Some(paddr + 0x1234));
        let runs = ns!($format, translate_range)(&table, black_box(iova), len).expect("a valid range");
        assert_eq!(runs.map(|run| run.len).sum::<u64>(), len);
        assert_eq!(ns!($format, cursor)(&mut table).iova_to_phys(black_box(iova + 0x1234)), Some(paddr + 0x1234));
        assert_eq!(ns!($format, view)(&mut table).iova_to_phys(black_box(iova + 0x1234)), Some(paddr + 0x1234));
        black_box(ns!($format, set_dirty)(&table, iova)).ok();
        let mut gather = ns!($format, gather)(&table, black_box(GatherMode::Immediate));
        let report = |range| {
            black_box(range);
        };
        let dirty =
            ns!($format, read_and_clear_dirty)(&mut table, iova, len, black_box(DirtyMode::Clear), &mut gather, report);
        black_box(dirty).ok();
        assert_eq!(ns!($format, unmap_range)(&mut table, iova, len, &mut gather), len);
        ns!($format, map_range)(&mut table, iova, paddr, len, Prot::READ | Prot::WRITE).expect("a free range");
        let visit = |run| {
            black_box(run);
        };
        assert_eq!(ns!($format, unmap_range_with)(&mut table, iova, len, &mut gather, visit), len);
        ns!($format, sync)(&mut gather);
        let list = black_box([Segment { paddr, len: 0x1_0000 }, Segment { paddr: 0, len: 0x1_0000 }]);
        assert_eq!(ns!($format, map_sg)(&mut table, iova, &list, Prot::READ | Prot::WRITE), Ok(0x2_0000));
        black_box(ns!($format, get_info)(&table));
        black_box(ns!($format, hw_info)(&table));
        ns!($format, deinit)(table);
    }};
}

fn main() {
    exercise!(amdv1, 64, FORCED | Features::FLUSH_RANGE, Config { starting_level: 2, encryption_mask: 0 });
    exercise!(amdv1_mock, 56, FORCED, Config { starting_level: 4, encryption_mask: 0 });
    exercise!(x86_64, 48, FORCED | Features::FLUSH_RANGE, Config { top_level: 3, encryption_mask: 0 });
    exercise!(vtdss, 48, FORCED | Features::FLUSH_RANGE, Config { top_level: 3 });
    exercise!(ept, 48, ACCESSED_DIRTY | SUPPRESS_VE, Config { top_level: 3 });
    exercise!(x86_pae, 32, EXECUTE_DISABLE, Config {});
    exercise!(ppc64_radix, 52, RC_UPDATES, Config { quadrant: 0 });
    exercise!(ppc64_radix_64k, 52, RC_UPDATES, Config { quadrant: 0 });
    exercise!(rockchip_v2, 32, Features::FLUSH_RANGE, Config {});
    exercise!(s390, 64, Features::FULL_VA, Config { top_level: 4 });
    exercise!(riscv_64, 48, FORCED | Features::FLUSH_RANGE, Config {});
    exercise!(riscv_64_g, 50, FORCED | SVADU, Config {});
    exercise!(armv7s, 32, FORCED | Features::FLUSH_RANGE, Config {});
    exercise!(mali_lpae, 48, FORCED | Features::FLUSH_RANGE, Config {});
    exercise!(dart_v2, 36, FORCED | Features::FLUSH_RANGE, Config {});
    exercise!(dart_16k, 36, FORCED | Features::FLUSH_RANGE, Config {});
    exercise!(dart, 32, FORCED | Features::FLUSH_RANGE, Config {});
    exercise!(armv8_4k, 48, Features::FLUSH_RANGE | DIRTY_TRACKING, Config {});
    exercise!(armv8_16k, 48, STAGE_2 | DIRTY_TRACKING, Config {});
    exercise!(armv8_64k, 48, STAGE_2 | LPA | DIRTY_TRACKING, Config {});
    exercise!(riscv_32, 32, FORCED | Features::FLUSH_RANGE, Config {});
    exercise!(riscv_32_g, 34, FORCED | SVADU, Config {});
}
