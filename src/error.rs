//! What can go wrong, with what a caller needs to act: what was asked, what was found, where, and what would be valid.

use crate::feature::{Features, Prot};
use core::fmt;
use core::ops::RangeInclusive;

/// The reason an operation refused or stopped.
///
/// Every variant has the errno that Linux gives for it: [`Error::errno`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Error {
    /// A field of the configuration has a value that this format cannot work with.
    Config {
        /// The field.
        field: &'static str,
        /// The value found.
        found: u64,
        /// The valid values, in words.
        valid: &'static str,
        /// The errno: some formats call a top level they do not have *not supported*.
        errno: Errno,
    },
    /// A field of the configuration is a number outside of its range.
    ConfigRange {
        /// The field.
        field: &'static str,
        /// The value found.
        found: u32,
        /// The lowest valid value.
        lowest: u32,
        /// The highest valid value.
        highest: u32,
        /// The errno.
        errno: Errno,
    },
    /// Features that do not go together, or that need something that is not there.
    FeatureRule {
        /// The features asked for.
        asked: Features,
        /// The rule, in words.
        rule: &'static str,
        /// Names of the format's own features.
        own_names: &'static [(&'static str, Features)],
    },
    /// A feature was asked for that the format does not have, or one that it forces was not asked for.
    Features {
        /// The features asked for.
        asked: Features,
        /// Those the format supports.
        supported: Features,
        /// Those that must be asked for.
        forced: Features,
        /// Names of the format's own features.
        own_names: &'static [(&'static str, Features)],
    },
    /// The operation is not offered by the format, for example dirty tracking without a dirty bit.
    NotOffered {
        /// The operation.
        operation: &'static str,
        /// The format.
        format: &'static str,
    },
    /// The protection cannot be stored by the format, or allows no access at all.
    Protection {
        /// The protection asked for.
        prot: Prot,
        /// What would be valid, in words.
        valid: &'static str,
        /// The errno: EINVAL or EOPNOTSUPP.
        errno: Errno,
    },
    /// A length of zero.
    ZeroLength {
        /// The VA given with it.
        va: u64,
    },
    /// The range runs past the last address that 64 bits can name.
    Overflow {
        /// Start of the range.
        va: u64,
        /// Its length in bytes.
        len: u64,
    },
    /// The VA range is not (wholly) in the table, or not in the view that was asked.
    VaRange {
        /// Start of the range asked for.
        va: u64,
        /// Its last byte.
        last: u64,
        /// First valid VA: of the table (of its lower half with sign extension), or of the view.
        valid_first: u64,
        /// Last VA of it.
        valid_last: u64,
        /// With sign extension: the first VA of the upper half, which ends at the last 64-bit address.
        upper_first: Option<u64>,
    },
    /// The physical range is not (wholly) below the table's output address limit.
    PaRange {
        /// Start of the physical range asked for.
        paddr: u64,
        /// Its length in bytes.
        len: u64,
        /// Valid addresses have this many bits.
        max_oa_lg2: u32,
    },
    /// No permitted page size fits the alignment of VA, physical address and length.
    Alignment {
        /// Start of the VA range.
        va: u64,
        /// Start of the physical range.
        paddr: u64,
        /// Length in bytes.
        len: u64,
        /// The permitted page sizes, one bit each.
        page_sizes: u64,
    },
    /// Something is mapped here already.
    InUse {
        /// VA of what is in the way: of a leaf, or of a table in which there are leaves.
        va: u64,
        /// Level of the item there.
        level: u32,
    },
    /// No table page could be had.
    OutOfMemory {
        /// The level of the table that was wanted.
        level: u32,
        /// VA that it was wanted for.
        va: u64,
        /// Its size as a power of two.
        size_lg2: u32,
        /// Its physical address had to be below `2^n`; 64 or more is anywhere.
        pa_lg2: u32,
    },
    /// Nothing is mapped here.
    NotMapped {
        /// The VA asked for.
        va: u64,
    },
    /// The item changed while it was being changed.
    Raced {
        /// VA of the entry.
        va: u64,
        /// Its level.
        level: u32,
    },
    /// An item here is none that the format can have written: somebody else wrote into the table. It was not followed.
    Foreign {
        /// VA of the item.
        va: u64,
        /// Its level.
        level: u32,
        /// What it holds, in CPU byte order.
        raw: u64,
    },
    /// A table cannot be split into views at an address in the middle of a leaf.
    Straddled {
        /// VA of the leaf.
        va: u64,
        /// Its level.
        level: u32,
        /// The address at which it would be cut.
        boundary: u64,
    },
    /// The format does not read a leaf that it made as a leaf: its description is wrong. Nothing was written.
    LeafNotRead {
        /// VA of the leaf.
        va: u64,
        /// Its level.
        level: u32,
    },
    /// The memory gave a table page whose physical address the format cannot store in an item.
    TableAddress {
        /// The physical address.
        pa: u64,
        /// Level of the table.
        level: u32,
    },
}

/// The Linux error numbers that errors correspond to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
#[repr(i32)]
pub enum Errno {
    /// No such entry.
    ENOENT = 2,
    /// Input/output error: here, a table that somebody else wrote into.
    EIO = 5,
    /// No such device or address: here, no page size fits.
    ENXIO = 6,
    /// Try again.
    EAGAIN = 11,
    /// Out of memory.
    ENOMEM = 12,
    /// Invalid argument.
    EINVAL = 22,
    /// Result too large: outside the table or the output addresses.
    ERANGE = 34,
    /// Value too large: the range overflows.
    EOVERFLOW = 75,
    /// Operation not supported.
    EOPNOTSUPP = 95,
    /// Address already in use.
    EADDRINUSE = 98,
}

impl Errno {
    /// The name as in `errno.h`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ENOENT => "ENOENT",
            Self::EIO => "EIO",
            Self::ENXIO => "ENXIO",
            Self::EAGAIN => "EAGAIN",
            Self::ENOMEM => "ENOMEM",
            Self::EINVAL => "EINVAL",
            Self::ERANGE => "ERANGE",
            Self::EOVERFLOW => "EOVERFLOW",
            Self::EOPNOTSUPP => "EOPNOTSUPP",
            Self::EADDRINUSE => "EADDRINUSE",
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Error {
    /// Refuses a number of the configuration that is not in its range: for the `init` of formats.
    ///
    /// # Errors
    /// [`Error::ConfigRange`] with `errno`.
    pub const fn check_range(
        field: &'static str,
        found: u32,
        range: RangeInclusive<u32>,
        errno: Errno,
    ) -> Result<(), Self> {
        let (lowest, highest) = (*range.start(), *range.end());
        if lowest <= found && found <= highest {
            Ok(())
        } else {
            Err(Self::ConfigRange { field, found, lowest, highest, errno })
        }
    }

    /// Refuses a mask of the configuration that is neither zero nor one bit of `field_mask`: for the `init` of formats.
    ///
    /// # Errors
    /// [`Error::Config`], EINVAL, with `valid` in words.
    pub const fn check_one_bit(
        field: &'static str,
        found: u64,
        field_mask: u64,
        valid: &'static str,
    ) -> Result<(), Self> {
        if found == 0 || (found.is_power_of_two() && found & !field_mask == 0) {
            Ok(())
        } else {
            Err(Self::Config { field, found, valid, errno: Errno::EINVAL })
        }
    }

    /// The errno that Linux gives for this.
    pub const fn errno(&self) -> Errno {
        match self {
            Self::Config { errno, .. } | Self::ConfigRange { errno, .. } | Self::Protection { errno, .. } => *errno,
            Self::Features { .. } | Self::NotOffered { .. } => Errno::EOPNOTSUPP,
            Self::ZeroLength { .. } | Self::LeafNotRead { .. } | Self::FeatureRule { .. } | Self::Straddled { .. } => {
                Errno::EINVAL
            }
            Self::Overflow { .. } => Errno::EOVERFLOW,
            Self::VaRange { .. } | Self::PaRange { .. } | Self::TableAddress { .. } => Errno::ERANGE,
            Self::Alignment { .. } => Errno::ENXIO,
            Self::InUse { .. } => Errno::EADDRINUSE,
            Self::OutOfMemory { .. } => Errno::ENOMEM,
            Self::NotMapped { .. } => Errno::ENOENT,
            Self::Raced { .. } => Errno::EAGAIN,
            Self::Foreign { .. } => Errno::EIO,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Config { field, found, valid, .. } => {
                // Masks and addresses are read in hexadecimal digits.
                let digits = if found < 1 << 16 { format_args!("{found}") } else { format_args!("{found:#x}") };
                write!(f, "configuration: `{field}` is {digits}, valid: {valid}")
            }
            Self::FeatureRule { asked, rule, own_names } => {
                write!(f, "features {}: {rule}", asked.named(own_names))
            }
            Self::Features { asked, supported, forced, own_names } => {
                let named = |features: Features| features.named(own_names);
                let extra = asked.difference(supported);
                let missing = forced.difference(asked);
                write!(f, "features {}: ", named(asked))?;
                if !extra.is_empty() {
                    write!(f, "{} not supported (supported: {})", named(extra), named(supported))?;
                }
                if !missing.is_empty() {
                    let join = if extra.is_empty() { "" } else { "; " };
                    write!(f, "{join}{} must be asked for", named(missing))?;
                }
                Ok(())
            }
            Self::ConfigRange { field, found, lowest, highest, .. } => {
                write!(f, "configuration: `{field}` is {found}, valid: {lowest} to {highest}")
            }
            Self::Straddled { va, level, boundary } => {
                write!(
                    f,
                    "{boundary:#018x} is inside of the level {level} leaf at VA {va:#018x}: views cannot share it"
                )
            }
            Self::LeafNotRead { va, level } => {
                write!(f, "the format does not read its own leaf of level {level} at VA {va:#018x} as a leaf")
            }
            Self::NotOffered { operation, format } => write!(f, "{operation} is not offered by the format {format}"),
            Self::Protection { prot, valid, .. } => write!(f, "protection {prot:?} cannot be stored, valid: {valid}"),
            Self::ZeroLength { va } => write!(f, "length 0 at VA {va:#018x}, valid: 1 or more"),
            Self::Overflow { va, len } => {
                write!(f, "VA {va:#018x} + length {len:#x} runs past the last 64-bit address")
            }
            Self::VaRange { va, last, valid_first, valid_last, upper_first } => {
                write!(f, "VA {va:#018x}..={last:#018x} is outside of what is valid here: ")?;
                write!(f, "{valid_first:#018x}..={valid_last:#018x}")?;
                upper_first.map_or(Ok(()), |first| write!(f, " and {first:#018x}..={:#018x}", u64::MAX))
            }
            Self::PaRange { paddr, len, max_oa_lg2 } => write!(
                f,
                "physical address {paddr:#018x} + length {len:#x} does not fit into {max_oa_lg2} output address bits"
            ),
            Self::Alignment { va, paddr, len, page_sizes } => {
                write!(f, "no page size fits VA {va:#018x}, physical address {paddr:#018x}, length {len:#x}; ")?;
                match page_sizes & page_sizes.wrapping_neg() {
                    0 => f.write_str("no size is permitted"),
                    smallest => write!(
                        f,
                        "valid: multiples of {smallest:#x}, the smallest of the permitted sizes (bitmap {page_sizes:#x})"
                    ),
                }
            }
            Self::InUse { va, level } => {
                write!(f, "VA {va:#018x} is in use: the item of level {level} there is, or leads to, a leaf")
            }
            Self::OutOfMemory { level, va, size_lg2, pa_lg2 } => {
                write!(f, "no memory for a level {level} table of 2^{size_lg2} bytes for VA {va:#018x}")?;
                if pa_lg2 < u64::BITS { write!(f, ", below physical address 2^{pa_lg2}") } else { Ok(()) }
            }
            Self::NotMapped { va } => write!(f, "nothing is mapped at VA {va:#018x}"),
            Self::Raced { va, level } => {
                write!(f, "the level {level} item of VA {va:#018x} changed meanwhile, try again")
            }
            Self::Foreign { va, level, raw } => {
                write!(f, "the level {level} item of VA {va:#018x} is {raw:#x}, which the format never writes there")
            }
            Self::TableAddress { pa, level } => {
                write!(f, "an item cannot point to a level {level} table at physical address {pa:#x}")
            }
        }
    }
}

impl core::error::Error for Error {}

/// A map that did not finish: why, and how far it came.
///
/// What was mapped before the error stays mapped; unmapping [`mapped`](Self::mapped) bytes from the start undoes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapError {
    /// Why it stopped.
    pub error: Error,
    /// Bytes mapped before it stopped, from the start of the range.
    pub mapped: u64,
    /// The VA at which it stopped: the start of the range plus `mapped`.
    pub va: u64,
}

impl MapError {
    /// The errno of [`MapError::error`].
    pub const fn errno(&self) -> Errno {
        self.error.errno()
    }
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (mapped {:#x} bytes, stopped at VA {:#018x})", self.error, self.mapped, self.va)
    }
}

// The message has that of `error` in it, so there is no `source` that would say it again.
impl core::error::Error for MapError {}
