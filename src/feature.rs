//! Features of a table, protections of a mapping, and what an item permits.

use core::fmt;

bitflags::bitflags! {
    /// What a table does: common features, and from bit [`FIRST_OWN_BIT`](Features::FIRST_OWN_BIT) on those of its format.
    ///
    /// A format says which it supports (others compile to nothing) and which it forces (always on, and to be asked for).
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Features: u32 {
        /// The hardware walker does not snoop CPU caches: every write that must become visible is flushed, exactly.
        const DMA_INCOHERENT      = 1 << 0;
        /// The table spans all 64 bits of VA. Set by init when it does.
        const FULL_VA             = 1 << 1;
        /// The top level may grow during map.
        const DYNAMIC_TOP         = 1 << 2;
        /// The highest decoded bit extends upwards: a lower half from 0, an upper half that ends at the last byte.
        const SIGN_EXTEND         = 1 << 3;
        /// Invalidation by one range per operation; gaps may be covered if that saves operations.
        const FLUSH_RANGE         = 1 << 4;
        /// Invalidation never covers VA that did not change: a disjoint addition first syncs what is gathered.
        const FLUSH_RANGE_NO_GAPS = 1 << 5;
        /// The gather records at which levels leaves and tables were removed.
        const DETAILED_GATHER     = 1 << 6;
        // A format's own features have names in its module.
        const _ = !0;
    }
}

impl Features {
    /// The first bit that a format's own features use.
    pub const FIRST_OWN_BIT: u32 = 16;

    /// The names of the common features, in the order of their bits.
    pub const COMMON_NAMES: &'static [(&'static str, Self)] = &[
        ("DMA_INCOHERENT", Self::DMA_INCOHERENT),
        ("FULL_VA", Self::FULL_VA),
        ("DYNAMIC_TOP", Self::DYNAMIC_TOP),
        ("SIGN_EXTEND", Self::SIGN_EXTEND),
        ("FLUSH_RANGE", Self::FLUSH_RANGE),
        ("FLUSH_RANGE_NO_GAPS", Self::FLUSH_RANGE_NO_GAPS),
        ("DETAILED_GATHER", Self::DETAILED_GATHER),
    ];

    /// The `n`-th own feature of a format, 0 to 15.
    ///
    /// # Panics
    /// At compile time, in the description of a format with more than 16 features of its own.
    pub const fn own(n: u32) -> Self {
        assert!(n < 16, "a format has at most 16 features of its own");
        Self::from_bits_retain(1 << (Self::FIRST_OWN_BIT + n))
    }
}

impl Features {
    /// All features of a list with names, such as [`OWN_FEATURES`](crate::format::Description::OWN_FEATURES).
    pub const fn all_of(named: &[(&str, Self)]) -> Self {
        let mut all = Self::empty();
        let mut n = 0;
        while n < named.len() {
            all = all.union(named[n].1);
            n += 1;
        }
        all
    }

    /// The features by name, with the names of a format's own ([`OWN_FEATURES`](crate::format::Description::OWN_FEATURES)).
    pub fn named<'a>(self, own: &'a [(&'a str, Self)]) -> impl fmt::Display + use<'a> {
        Named { features: self, own }
    }
}

struct Named<'a> {
    features: Features,
    own: &'a [(&'a str, Features)],
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.features;
        let mut separator = "";
        for (name, feature) in Features::COMMON_NAMES.iter().chain(self.own) {
            if rest.contains(*feature) {
                write!(f, "{separator}{name}")?;
                separator = " | ";
                rest.remove(*feature);
            }
        }
        if !rest.is_empty() || separator.is_empty() {
            write!(f, "{separator}{:#x}", rest.bits())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.named(&[]))
    }
}

bitflags::bitflags! {
    /// What a device may do through a mapping, and what kind of memory it is.
    ///
    /// A format stores what its items have bits for. READ and WRITE always count; a format that cannot store some other
    /// flag ignores it, and its documentation says so. **NOEXEC in particular is ignored by `amdv1`, `x86_64` and `vtdss`.**
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
    pub struct Prot: u8 {
        /// The device may read.
        const READ   = 1 << 0;
        /// The device may write.
        const WRITE  = 1 << 1;
        /// Cacheable, coherent memory.
        const CACHE  = 1 << 2;
        /// The device may not execute, where the format can say so.
        const NOEXEC = 1 << 3;
        /// Device registers instead of RAM.
        const MMIO   = 1 << 4;
    }
}

bitflags::bitflags! {
    /// What may be done with the memory behind a leaf, by privileged software and by users.
    ///
    /// What a format has no bits for is permitted. Where the state of a CPU takes away more (SMAP and SMEP of x86, PAN of Arm, SUM
    /// of RISC-V clear), that is not counted; nor is what some state gives in spite of the bits (MXR of RISC-V, CR0.WP of x86 clear).
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
    pub struct Access: u8 {
        /// Reading, by the privileged.
        const READ         = 1 << 0;
        /// Writing, by the privileged.
        const WRITE        = 1 << 1;
        /// Fetching instructions, by the privileged.
        const EXECUTE      = 1 << 2;
        /// Reading, by users.
        const USER_READ    = 1 << 3;
        /// Writing, by users.
        const USER_WRITE   = 1 << 4;
        /// Fetching instructions, by users.
        const USER_EXECUTE = 1 << 5;
    }
}

impl Access {
    /// Everything that the privileged may be permitted.
    const PRIVILEGED: Self = Self::READ.union(Self::WRITE).union(Self::EXECUTE);

    /// `self` if `on`, else nothing.
    #[must_use]
    pub const fn when(self, on: bool) -> Self {
        if on { self } else { Self::empty() }
    }

    /// What the privileged may do.
    #[must_use]
    pub const fn by_privileged(self) -> Self {
        self.intersection(Self::PRIVILEGED)
    }

    /// What users may do: as [`READ`](Self::READ), [`WRITE`](Self::WRITE) and [`EXECUTE`](Self::EXECUTE).
    #[must_use]
    pub const fn by_users(self) -> Self {
        Self::from_bits_truncate(self.bits() >> 3).by_privileged()
    }

    /// What some privilege may do: as [`READ`](Self::READ), [`WRITE`](Self::WRITE) and [`EXECUTE`](Self::EXECUTE).
    #[must_use]
    pub const fn by_any(self) -> Self {
        self.by_privileged().union(self.by_users())
    }

    /// That users may do what `self` says of the privileged.
    #[must_use]
    pub const fn for_users(self) -> Self {
        Self::from_bits_truncate(self.by_privileged().bits() << 3)
    }

    /// That both may do what `self` says of the privileged: for formats and stages that do not tell one from the other.
    #[must_use]
    pub const fn for_all(self) -> Self {
        self.by_privileged().union(self.for_users())
    }
}
