//! Operations in small numbers, which shrink well, and how they become arguments that collide: few places, all sizes,
//! boundaries of tables and of the address space.

use super::model::{Model, Params, low};
use generic_pt::Prot;
use proptest::prelude::*;

/// A VA: an anchor, moved by a few units of a size.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub anchor: u8,
    pub unit: u8,
    pub units: i8,
    /// Mostly 0: bytes by which it is misaligned.
    pub skew: u8,
}

/// A length: some units of a size, and some of a second.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    pub unit: u8,
    pub units: u8,
    pub more_unit: u8,
    pub more: u8,
    pub skew: u8,
}

/// An output address: a pattern, aligned to the VA up to some size.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub pattern: u8,
    pub agree: u8,
}

#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// `fail`: so many allocations succeed.
    Map {
        at: Place,
        len: Length,
        to: Output,
        prot: u8,
        fail: Option<u8>,
    },
    /// A scatter list of up to three runs; those longer than `cut` bytes are two segments.
    MapSg {
        at: Place,
        runs: [(Length, Output); 3],
        cut: u16,
        prot: u8,
        fail: Option<u8>,
    },
    Unmap {
        at: Place,
        len: Length,
        gather: u8,
    },
    /// From a leaf that is there, over `part`: 0 one granule, 1 its size, 2 and more its size and some.
    UnmapLeaf {
        pick: u16,
        part: u8,
        gather: u8,
    },
    /// Empties the block of a larger page around a leaf, one leaf at a time, then maps the larger page.
    Rebuild {
        pick: u16,
        higher: u8,
        gather: u8,
    },
    /// Fills a block of an item of a level above 0 with pages that are smaller, or empties it whole: tables come and go.
    Block {
        at: Place,
        level: u8,
        gather: Option<u8>,
    },
    Translate {
        at: Place,
    },
    TranslateRange {
        at: Place,
        len: Length,
    },
    Sync {
        gather: u8,
    },
    SyncAll {
        gather: u8,
    },
    Take {
        gather: u8,
    },
    FreeTaken,
    Dirty {
        at: Place,
        len: Length,
        clear: bool,
        gather: u8,
    },
    SetDirty {
        pick: u16,
        granules: u16,
    },
    DeviceWrite {
        pick: u16,
        granules: u16,
    },
    /// Marks one item of a leaf dirty, scans from another part of it, and then all of it.
    DirtyLeaf {
        pick: u16,
        granules: u16,
        from: u16,
        by_device: bool,
        gather: u8,
    },
    Narrow {
        sizes: u8,
    },
}

fn place() -> impl Strategy<Value = Place> {
    let skew = prop_oneof![24 => Just(0u8), 1 => Just(8u8), 1 => Just(255u8)];
    (0..12u8, 0..8u8, -3..4i8, skew).prop_map(|(anchor, unit, units, skew)| Place { anchor, unit, units, skew })
}

fn length() -> impl Strategy<Value = Length> {
    let skew = prop_oneof![40 => Just(0u8), 1 => Just(8u8)];
    let more = prop_oneof![3 => Just(0u8), 1 => 1..4u8];
    (0..8u8, 0..7u8, 0..8u8, more, skew).prop_map(|(unit, units, more_unit, more, skew)| Length {
        unit,
        units,
        more_unit,
        more,
        skew,
    })
}

fn output() -> impl Strategy<Value = Output> {
    (0..6u8, 0..10u8).prop_map(|(pattern, agree)| Output { pattern, agree })
}

fn prot() -> impl Strategy<Value = u8> {
    prop_oneof![12 => Just(3u8), 3 => Just(1u8 | 4), 2 => Just(2u8), 6 => 0..32u8]
}

/// Any operation.
pub fn op() -> impl Strategy<Value = Op> {
    let gather = 0..3u8;
    let fail = prop_oneof![9 => Just(None), 1 => (0..5u8).prop_map(Some)];
    prop_oneof![
        4 => (place(), [(length(), output()), (length(), output()), (length(), output())], any::<u16>(), prot(), fail.clone())
            .prop_map(|(at, runs, cut, prot, fail)| Op::MapSg { at, runs, cut, prot, fail }),
        12 => (place(), length(), output(), prot(), fail)
            .prop_map(|(at, len, to, prot, fail)| Op::Map { at, len, to, prot, fail }),
        5 => (place(), length(), gather.clone()).prop_map(|(at, len, gather)| Op::Unmap { at, len, gather }),
        6 => (any::<u16>(), 0..6u8, gather.clone())
            .prop_map(|(pick, part, gather)| Op::UnmapLeaf { pick, part, gather }),
        3 => (any::<u16>(), 1..4u8, gather.clone())
            .prop_map(|(pick, higher, gather)| Op::Rebuild { pick, higher, gather }),
        4 => (place(), 1..4u8, proptest::option::of(gather.clone()))
            .prop_map(|(at, level, gather)| Op::Block { at, level, gather }),
        1 => place().prop_map(|at| Op::Translate { at }),
        2 => (place(), length()).prop_map(|(at, len)| Op::TranslateRange { at, len }),
        2 => gather.clone().prop_map(|gather| Op::Sync { gather }),
        1 => gather.clone().prop_map(|gather| Op::SyncAll { gather }),
        1 => gather.clone().prop_map(|gather| Op::Take { gather }),
        1 => Just(Op::FreeTaken),
        3 => (any::<u16>(), any::<u16>(), any::<u16>(), any::<bool>(), gather.clone()).prop_map(
            |(pick, granules, from, by_device, gather)| Op::DirtyLeaf { pick, granules, from, by_device, gather }
        ),
        3 => (place(), length(), any::<bool>(), gather)
            .prop_map(|(at, len, clear, gather)| Op::Dirty { at, len, clear, gather }),
        2 => (any::<u16>(), any::<u16>()).prop_map(|(pick, granules)| Op::SetDirty { pick, granules }),
        3 => (any::<u16>(), any::<u16>()).prop_map(|(pick, granules)| Op::DeviceWrite { pick, granules }),
        1 => (0..6u8).prop_map(|sizes| Op::Narrow { sizes }),
    ]
}

/// All sizes worth using: the format's page sizes, and what items of each level cover.
fn units(params: &Params) -> Vec<u32> {
    let pages = params.all_sizes();
    let items = (0..=params.format.shape().max_level).map(|level| params.item_lg2(level));
    let mut units: Vec<u32> = items.filter(|lg2| *lg2 < params.max_va).collect();
    let sizes: Vec<u32> = (0..64).filter(|size| pages >> size & 1 != 0 && !units.contains(size)).collect();
    // Of many contiguous sizes a few.
    units.extend(sizes.iter().step_by((sizes.len() / 5).max(1)));
    units.sort_unstable();
    units
}

fn unit(params: &Params, pick: u8, limit: usize) -> u32 {
    let units = units(params);
    units[usize::from(pick) % units.len().min(limit)]
}

impl Place {
    pub fn va(&self, params: &Params) -> u64 {
        let item = |level: u32| 1u64.checked_shl(params.item_lg2(level)).unwrap_or(0);
        let end = if params.max_va >= 64 { 0 } else { 1u64 << params.max_va };
        let anchor = match self.anchor {
            0..=2 => item(1) * 3,
            3 => 0,
            // The end of the space, or the far edge of the canonical hole ...
            4 if params.sign => !low(params.max_va - 1),
            4 => end,
            // ... and the near one.
            5 if params.sign => 1 << (params.max_va - 1),
            5 => end.wrapping_sub(item(1)),
            6 => item(2) * 5,
            7 => item(3.min(params.format.shape().max_level)),
            8 if params.sign => params.real(params.index_space(end.wrapping_sub(item(2)))),
            8 => end.wrapping_sub(item(2)),
            // Where a growing top has to grow.
            9 => item(params.start_level + 1),
            10 => item(2).wrapping_sub(item(1)),
            _ => item(1) * 4,
        };
        let moved = (self.units as i64 as u64).wrapping_mul(1 << unit(params, self.unit, 8));
        anchor.wrapping_add(moved).wrapping_add(self.skew.into()).wrapping_add(params.first(params.max_va))
    }
}

impl Length {
    pub fn bytes(&self, params: &Params) -> u64 {
        let bytes = |pick, units: u8| u64::from(units).wrapping_mul(1 << unit(params, pick, 8));
        bytes(self.unit, self.units).wrapping_add(bytes(self.more_unit, self.more)).wrapping_add(self.skew.into())
    }
}

impl Output {
    pub fn address(&self, params: &Params, va: u64, len: u64) -> u64 {
        let limit = low(params.max_oa);
        let pattern = match self.pattern {
            0 => 0,
            1 => limit,
            2 => limit.wrapping_sub(len).wrapping_add(1),
            3 => 0x0003_1415_9265_3589,
            _ => 0x74a7_1445_dead_beef,
        };
        // Mostly aligned alike as far as pages go.
        let sizes = params.all_sizes();
        let agree = match self.agree {
            0 => sizes.trailing_zeros(),
            pick @ 1..4 => unit(params, pick, 4),
            9 => 0,
            _ => sizes.ilog2(),
        };
        (pattern & limit & !low(agree) | va & low(agree) & limit) & !params.format.encryption_mask()
    }
}

pub fn protection(bits: u8) -> Prot {
    Prot::from_bits_truncate(bits)
}

/// `len`, or less of it: at most so many leaves.
pub fn at_most(model: &Model, va: u64, oa: u64, len: u64, leaves: u64) -> u64 {
    let smallest = model.sizes.trailing_zeros();
    let aligned = (va | oa).trailing_zeros();
    let usable = model.sizes & low(aligned + 1);
    let size = if usable == 0 { smallest } else { usable.ilog2() };
    if size < 64 && len >> size > leaves { leaves << size } else { len }
}

/// The page sizes that a map may use from now on.
pub fn narrowed(params: &Params, pick: u8) -> u64 {
    let sizes = params.all_sizes();
    match pick {
        // Without the smallest; only the smallest; every second; none.
        0 => sizes & (sizes - 1),
        1 => 1 << sizes.trailing_zeros(),
        2 => sizes & 0x5555_5555_5555_5555,
        3 => 0,
        _ => u64::MAX,
    }
}
