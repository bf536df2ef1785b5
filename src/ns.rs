//! Name mangling: which names the expansion of a format has. The only place that knows the patterns.
//!
//! | what | name for `amdv1` |
//! | --- | --- |
//! | an operation | `pt_iommu_amdv1_map_range` |
//! | one level of a hot walker | `amdv1_map_range_l2` |
//! | the table type | `PtIommuAmdv1` |

/// The mangled name of an operation: `ns!(amdv1, init)` is `pt_iommu_amdv1_init`.
///
/// ```
/// use generic_pt::fmt::amdv1::*;
/// use generic_pt::{Domain, HeapMemory, NoHardware, ns};
/// let domain = Domain::new(HeapMemory, NoHardware);
/// let config = generic_pt::TableConfig {
///     features: FORCED, hw_max_vasz_lg2: 48, hw_max_oasz_lg2: 48, format: Config { starting_level: 3, encryption_mask: 0 },
/// };
/// let table = ns!(amdv1, init)(&domain, &config).unwrap();
/// assert_eq!(ns!(amdv1, iova_to_phys)(&table, 0x1000), None);
/// ```
#[macro_export]
macro_rules! ns {
    ($format:ident, $operation:ident) => {
        $crate::__private::paste! { [<pt_iommu_ $format _ $operation>] }
    };
}

/// The mangled operations of a format, in its module, where `Format`, `Config` and `HwInfo` are.
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_operations {
    ($name:ident) => {
        $crate::__private::paste! {
            #[doc = $crate::__private::concat!(
                "A table of the format `", $crate::__private::stringify!($name),
                "`: [`PtIommu`]($crate::PtIommu) of its [`Format`].",
            )]
            pub type [<PtIommu $name:camel>]<H> = $crate::PtIommu<Format, H>;

            $crate::__pt_operations! { @functions $name [<PtIommu $name:camel>] }
        }
    };
    (@functions $name:ident $Table:ident) => {
        $crate::__private::paste! {
            $crate::__pt_frame! {
                /// Makes an empty table: [`PtIommu::new`]($crate::PtIommu::new).
                ///
                /// # Errors
                /// As the method.
                pub fn [<pt_iommu_ $name _init>]<H: $crate::Host>(
                    host: H,
                    config: &$crate::TableConfig<Config>,
                ) -> $crate::__private::Result<$Table<H>, $crate::Error> {
                    $crate::__pt_mark! { $name }
                    $crate::PtIommu::new(host, config)
                }
            }

            $crate::__pt_frame! {
                /// Maps `len` bytes from `iova` to physical memory from `paddr`: [`PtIommu::map_range`]($crate::PtIommu::map_range).
                ///
                /// # Errors
                /// As the method.
                pub fn [<pt_iommu_ $name _map_range>]<H: $crate::Host>(
                    table: &mut $Table<H>,
                    iova: u64,
                    paddr: u64,
                    len: u64,
                    prot: $crate::Prot,
                ) -> $crate::__private::Result<(), $crate::MapError> {
                    $crate::__pt_mark! { $name }
                    table.map_range(iova, paddr, len, prot)
                }
            }

            $crate::__pt_frame! {
                /// Maps a scatter list into one range from `iova` and returns the bytes mapped:
                /// [`PtIommu::map_sg`]($crate::PtIommu::map_sg).
                ///
                /// # Errors
                /// As the method.
                pub fn [<pt_iommu_ $name _map_sg>]<H: $crate::Host>(
                    table: &mut $Table<H>,
                    iova: u64,
                    segments: &[$crate::Segment],
                    prot: $crate::Prot,
                ) -> $crate::__private::Result<u64, $crate::MapError> {
                    table.map_sg(iova, segments, prot)
                }
            }

            $crate::__pt_frame! {
                /// Removes every leaf in the range and returns the bytes removed: [`PtIommu::unmap_range`]($crate::PtIommu::unmap_range).
                pub fn [<pt_iommu_ $name _unmap_range>]<H: $crate::Host>(
                    table: &mut $Table<H>,
                    iova: u64,
                    len: u64,
                    gather: &mut $crate::Gather<Format, H>,
                ) -> u64 {
                    $crate::__pt_mark! { $name }
                    table.unmap_range(iova, len, gather)
                }
            }

            $crate::__pt_frame! {
                /// Removes every leaf in the range, shows what it removes, and returns the bytes removed:
                /// [`PtIommu::unmap_range_with`]($crate::PtIommu::unmap_range_with).
                pub fn [<pt_iommu_ $name _unmap_range_with>]<H: $crate::Host>(
                    table: &mut $Table<H>,
                    iova: u64,
                    len: u64,
                    gather: &mut $crate::Gather<Format, H>,
                    visit: impl $crate::__private::FnMut($crate::Run),
                ) -> u64 {
                    table.unmap_range_with(iova, len, gather, visit)
                }
            }

            $crate::__pt_frame! {
                /// What is mapped in the range, as maximal runs: [`PtIommu::translate_range`]($crate::PtIommu::translate_range).
                ///
                /// # Errors
                /// As the method.
                pub fn [<pt_iommu_ $name _translate_range>]<H: $crate::Host>(
                    table: &$Table<H>,
                    iova: u64,
                    len: u64,
                ) -> $crate::__private::Result<$crate::Runs<'_, Format, H>, $crate::Error> {
                    table.translate_range(iova, len)
                }
            }

            $crate::__pt_frame! {
                /// A cursor, for pages one by one: [`PtIommu::cursor`]($crate::PtIommu::cursor).
                pub fn [<pt_iommu_ $name _cursor>]<H: $crate::Host>(
                    table: &mut $Table<H>,
                ) -> $crate::Cursor<'_, Format, H> {
                    table.cursor()
                }
            }

            $crate::__pt_frame! {
                /// The whole table as a view, to be split for several threads: [`PtIommu::view`]($crate::PtIommu::view).
                pub fn [<pt_iommu_ $name _view>]<H: $crate::Host>(
                    table: &mut $Table<H>,
                ) -> $crate::View<'_, Format, H> {
                    $crate::__pt_mark! { $name }
                    table.view()
                }
            }

            $crate::__pt_frame! {
                /// The exact physical address of `iova`: [`PtIommu::iova_to_phys`]($crate::PtIommu::iova_to_phys).
                pub fn [<pt_iommu_ $name _iova_to_phys>]<H: $crate::Host>(
                    table: &$Table<H>,
                    iova: u64,
                ) -> $crate::__private::Option<u64> {
                    $crate::__pt_mark! { $name }
                    table.iova_to_phys(iova)
                }
            }

            $crate::__pt_frame! {
                /// Reports, and with `Clear` makes clean, every dirty entry that touches the range:
                /// [`PtIommu::read_and_clear_dirty`]($crate::PtIommu::read_and_clear_dirty).
                ///
                /// # Errors
                /// As the method.
                pub fn [<pt_iommu_ $name _read_and_clear_dirty>]<H: $crate::Host>(
                    table: &mut $Table<H>,
                    iova: u64,
                    len: u64,
                    mode: $crate::DirtyMode,
                    gather: &mut $crate::Gather<Format, H>,
                    report: impl $crate::__private::FnMut($crate::VaRange),
                ) -> $crate::__private::Result<(), $crate::Error> {
                    $crate::__pt_mark! { $name }
                    table.read_and_clear_dirty(iova, len, mode, gather, report)
                }
            }

            $crate::__pt_frame! {
                /// Marks the item that translates `iova` dirty, for tests: [`PtIommu::set_dirty`]($crate::PtIommu::set_dirty).
                ///
                /// # Errors
                /// As the method.
                pub fn [<pt_iommu_ $name _set_dirty>]<H: $crate::Host>(
                    table: &$Table<H>,
                    iova: u64,
                ) -> $crate::__private::Result<(), $crate::Error> {
                    $crate::__pt_mark! { $name }
                    table.set_dirty(iova)
                }
            }

            $crate::__pt_frame! {
                /// An empty gather for the table's domain: [`PtIommu::gather`]($crate::PtIommu::gather).
                pub fn [<pt_iommu_ $name _gather>]<H: $crate::Host>(
                    table: &$Table<H>,
                    mode: $crate::GatherMode,
                ) -> $crate::Gather<Format, H> {
                    $crate::__pt_mark! { $name }
                    table.gather(mode)
                }
            }

            $crate::__pt_frame! {
                /// Invalidates what was gathered, then frees unlinked tables: [`Gather::sync`]($crate::Gather::sync).
                pub fn [<pt_iommu_ $name _sync>]<H: $crate::Host>(gather: &mut $crate::Gather<Format, H>) {
                    $crate::__pt_mark! { $name }
                    gather.sync();
                }
            }

            $crate::__pt_frame! {
                /// What the table offers: [`PtIommu::info`]($crate::PtIommu::info).
                pub fn [<pt_iommu_ $name _get_info>]<H: $crate::Host>(table: &$Table<H>) -> $crate::Info {
                    $crate::__pt_mark! { $name }
                    table.info()
                }
            }

            $crate::__pt_frame! {
                /// What a driver writes into its device or context entry: [`PtIommu::hw_info`]($crate::PtIommu::hw_info).
                pub fn [<pt_iommu_ $name _hw_info>]<H: $crate::Host>(table: &$Table<H>) -> HwInfo {
                    $crate::__pt_mark! { $name }
                    table.hw_info()
                }
            }

            $crate::__pt_frame! {
                /// Frees every table, mapped or not: [`PtIommu::deinit`]($crate::PtIommu::deinit).
                pub fn [<pt_iommu_ $name _deinit>]<H: $crate::Host>(table: $Table<H>) {
                    $crate::__pt_mark! { $name }
                    // Dropped in place, which is all that `deinit` does: handed on it would be copied.
                    let _ = &table;
                }
            }
        }
    };
}

/// A function that stays a frame of its own with the feature `frames`, for backtraces, profiles and symbol tables.
#[cfg(feature = "frames")]
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_frame {
    ($($function:tt)*) => { #[inline(never)] $($function)* };
}

/// A function that the compiler may inline.
#[cfg(not(feature = "frames"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_frame {
    ($($function:tt)*) => { #[inline] $($function)* };
}

/// Tells functions of the same code apart, so that they are not joined into one: each looks at its own name.
#[cfg(feature = "frames")]
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_mark {
    ($name:ident) => {
        $crate::__private::black_box($crate::__private::stringify!($name));
    };
}

/// Functions of the same code may become one.
#[cfg(not(feature = "frames"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_mark {
    ($name:ident) => {};
}

/// The hot walkers of a format: one function for each level, each calling the one below directly.
///
/// With the feature `frames` each stays a frame of its own; else the compiler joins them as it likes.
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_walkers {
    ($name:ident) => {
        // Level and the level below; level 0 never descends.
        $crate::__pt_walkers! { @level $name 5 4 }
        $crate::__pt_walkers! { @level $name 4 3 }
        $crate::__pt_walkers! { @level $name 3 2 }
        $crate::__pt_walkers! { @level $name 2 1 }
        $crate::__pt_walkers! { @level $name 1 0 }
        $crate::__pt_walkers! { @level $name 0 0 }

        impl $crate::iommu::Walkers for Format {
            #[inline(always)]
            fn map<H: $crate::Host>(
                table: &$crate::iommu::level::Table<'_, Self>,
                cx: &mut $crate::iommu::level::MapCx<'_, Self, H, $crate::iommu::level::OneRun>,
            ) -> $crate::__private::Result<(), $crate::iommu::level::Stop> {
                $crate::__pt_walkers! { @call $name map_range table (table.of_level(), cx) }
            }
            #[inline(always)]
            fn map_sg<H: $crate::Host, S: $crate::iommu::level::Runs>(
                table: &$crate::iommu::level::Table<'_, Self>,
                cx: &mut $crate::iommu::level::MapCx<'_, Self, H, S>,
            ) -> $crate::__private::Result<(), $crate::iommu::level::Stop> {
                $crate::__pt_walkers! { @call $name map_sg table (table.of_level(), cx) }
            }
            #[inline(always)]
            fn unmap<H: $crate::Host, C: $crate::iommu::level::Coherence>(
                table: &$crate::iommu::level::Table<'_, Self>,
                cx: &mut $crate::iommu::level::UnmapCx<'_, Self, H>,
            ) -> $crate::iommu::level::Outcome {
                $crate::__pt_walkers! { @call $name unmap_range table ::<H, C>(table.of_level(), cx) }
            }
            $crate::__pt_walkers! { @seek $name translate iova_to_phys }
            $crate::__pt_walkers! { @seek $name cursor cursor }
            $crate::__pt_walkers! { @seek $name map_page map_page }
            $crate::__pt_walkers! { @seek $name unmap_page unmap_page }
            #[inline(always)]
            fn dirty<H: $crate::Host, R: $crate::__private::FnMut($crate::VaRange)>(
                table: &$crate::iommu::level::Table<'_, Self>,
                cx: &mut $crate::iommu::level::DirtyCx<'_, Self, H, R>,
                range: $crate::VaRange,
            ) -> $crate::__private::Result<(), $crate::Error> {
                $crate::__pt_walkers! { @call $name read_and_clear_dirty table (table.of_level(), cx, range) }
            }
        }
    };
    // A walk to one VA, from a top of a level that is a constant. Levels that cannot be the top are never compiled.
    (@seek $name:ident $function:ident $operation:ident) => {
        #[inline(always)]
        fn $function<H: $crate::Host, S: $crate::iommu::level::Seek<Self>, const TOP: $crate::__private::u32>(
            tree: &$crate::iommu::level::Tree<Self, H>,
            top: $crate::iommu::level::TopPtr,
            va: $crate::__private::u64,
            seek: S,
        ) -> $crate::__private::Option<S::Out> {
            $crate::__private::seq!(LEVEL in 1..=5 {
                $crate::__private::paste! {
                    match TOP {
                        #(
                            LEVEL if LEVEL <= <Format as $crate::format::Description>::MAX_TOP_LEVEL
                                && LEVEL >= <Format as $crate::format::Description>::MIN_TOP_LEVEL =>
                            {
                                let (table, walk) = $crate::iommu::level::enter::<_, _, _, LEVEL>(tree, top, va, seek)?;
                                $crate::__private::Option::Some([<$name _ $operation _l LEVEL>](&table, walk))
                            }
                        )*
                        0 if <Format as $crate::format::Description>::MIN_TOP_LEVEL == 0 => {
                            let (table, walk) = $crate::iommu::level::enter::<_, _, _, 0>(tree, top, va, seek)?;
                            $crate::__private::Option::Some([<$name _ $operation _l0>](&table, walk))
                        }
                        _ => $crate::__private::Option::None,
                    }
                }
            })
        }
    };
    // A call of the walker of the table's level. Levels that the format does not have are never compiled.
    (@call $name:ident $operation:ident $table:ident $($call:tt)*) => {
        $crate::__private::seq!(LEVEL in 1..=5 {
            $crate::__private::paste! {
                match $crate::iommu::level::level_of($table) {
                    #(
                        LEVEL if LEVEL <= <Format as $crate::format::Description>::MAX_TOP_LEVEL =>
                            [<$name _ $operation _l LEVEL>] $($call)*,
                    )*
                    _ => [<$name _ $operation _l0>] $($call)*,
                }
            }
        })
    };
    (@level $name:ident $level:literal $below:literal) => {
        $crate::__private::paste! {
            $crate::__pt_frame! {
                fn [<$name _map_range_l $level>]<H: $crate::Host>(
                    table: $crate::iommu::level::TableOf<'_, Format, $level>,
                    cx: &mut $crate::iommu::level::MapCx<'_, Format, H, $crate::iommu::level::OneRun>,
                ) -> $crate::__private::Result<(), $crate::iommu::level::Stop> {
                    $crate::__pt_mark! { $name }
                    $crate::iommu::level::map_level(table, cx, |lower, cx| {
                        [<$name _map_range_l $below>](lower.of_level(), cx)
                    })
                }
            }
            $crate::__pt_frame! {
                fn [<$name _map_sg_l $level>]<H: $crate::Host, S: $crate::iommu::level::Runs>(
                    table: $crate::iommu::level::TableOf<'_, Format, $level>,
                    cx: &mut $crate::iommu::level::MapCx<'_, Format, H, S>,
                ) -> $crate::__private::Result<(), $crate::iommu::level::Stop> {
                    $crate::__pt_mark! { $name }
                    $crate::iommu::level::map_level(table, cx, |lower, cx| [<$name _map_sg_l $below>](lower.of_level(), cx))
                }
            }
            $crate::__pt_frame! {
                fn [<$name _unmap_range_l $level>]<H: $crate::Host, C: $crate::iommu::level::Coherence>(
                    table: $crate::iommu::level::TableOf<'_, Format, $level>,
                    cx: &mut $crate::iommu::level::UnmapCx<'_, Format, H>,
                ) -> $crate::iommu::level::Outcome {
                    $crate::__pt_mark! { $name }
                    $crate::iommu::level::unmap_level::<Format, H, C, $level>(
                        table,
                        cx,
                        |lower, cx| [<$name _unmap_range_l $below>]::<H, C>(lower.of_level(), cx),
                        |lower, cx| $crate::iommu::level::unmap_leaves::<Format, H, $below>(lower.of_level(), cx),
                    )
                }
            }
            $crate::__pt_walkers! { @step [<$name _iova_to_phys_l $level>] [<$name _iova_to_phys_l $below>] $level }
            $crate::__pt_walkers! { @step [<$name _cursor_l $level>] [<$name _cursor_l $below>] $level }
            $crate::__pt_walkers! { @step [<$name _map_page_l $level>] [<$name _map_page_l $below>] $level }
            $crate::__pt_walkers! { @step [<$name _unmap_page_l $level>] [<$name _unmap_page_l $below>] $level }
            $crate::__pt_frame! {
                fn [<$name _read_and_clear_dirty_l $level>]<H: $crate::Host, R: $crate::__private::FnMut($crate::VaRange)>(
                    table: $crate::iommu::level::TableOf<'_, Format, $level>,
                    cx: &mut $crate::iommu::level::DirtyCx<'_, Format, H, R>,
                    range: $crate::VaRange,
                ) -> $crate::__private::Result<(), $crate::Error> {
                    $crate::__pt_mark! { $name }
                    $crate::iommu::level::dirty_level(table, cx, range, |lower, cx, range| {
                        [<$name _read_and_clear_dirty_l $below>](lower.of_level(), cx, range)
                    })
                }
            }
        }
    };
    // One step of a walk to one VA.
    (@step $step:ident $below:ident $level:literal) => {
        $crate::__pt_step! {
            fn $step<M: $crate::memory::TableMemory, S: $crate::iommu::level::Seek<Format>>(
                table: &$crate::iommu::level::Table<'_, Format>,
                walk: $crate::iommu::level::Seeking<'_, Format, M, S>,
            ) -> S::Out {
                $crate::__pt_mark! { $step }
                match $crate::iommu::level::seek_level::<Format, M, S, $level>(table, walk) {
                    $crate::iommu::level::Step::Down(lower, walk) => $below(&lower, walk),
                    $crate::iommu::level::Step::Arrived(out) => out,
                }
            }
        }
    };
}

/// A step of a walk to one VA: a frame of its own with the feature `frames`, else joined with the steps below.
#[cfg(feature = "frames")]
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_step {
    ($($function:tt)*) => { #[inline(never)] $($function)* };
}

/// A step of a walk to one VA: a frame of its own with the feature `frames`, else joined with the steps below.
#[cfg(not(feature = "frames"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __pt_step {
    ($($function:tt)*) => { #[inline(always)] $($function)* };
}
