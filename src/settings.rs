//! The numbers in a format's `Config` and `HwInfo`, by name: for tools that set the one and show the other.
//!
//! The expansion implements [`Settings`] for both from the description, so a tool needs no code of its own for a format.
//!
//! ```
//! use generic_pt::fmt::amdv1::Config;
//! use generic_pt::settings::{Setting, Settings};
//! let mut config = Config::default();
//! let at = Config::FIELDS.iter().position(|field| field.name == "starting_level").unwrap();
//! config.setting_mut(at).unwrap().set(0, 2).unwrap();
//! assert_eq!(config.starting_level, 2);
//! ```

use core::fmt;

/// A field that holds numbers: one, or those of an array. For a type of your own, such as an enum, you can implement it.
pub trait Setting {
    /// How many numbers it holds.
    fn count(&self) -> usize;
    /// Number `n`, from 0; `None` if there are not so many.
    fn get(&self, n: usize) -> Option<u64>;
    /// Sets number `n`, from 0.
    ///
    /// # Errors
    /// [`SettingError`]; then nothing has changed.
    fn set(&mut self, n: usize, value: u64) -> Result<(), SettingError>;
}

/// Why a number cannot be set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SettingError {
    /// The field does not hold so many.
    Count {
        /// How many it holds.
        count: usize,
    },
    /// The number does not fit.
    TooLarge {
        /// The number asked for.
        value: u64,
        /// The largest that fits.
        max: u64,
    },
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { count } => write!(f, "it holds {count} of them"),
            Self::TooLarge { value, max } => write!(f, "{value:#x} does not fit, 0 to {max:#x} do"),
        }
    }
}

impl core::error::Error for SettingError {}

/// A field's name, and what the description says of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SettingInfo {
    /// Its name.
    pub name: &'static str,
    /// Its documentation, as Markdown.
    pub doc: &'static str,
}

/// A struct whose fields are numbers; implemented by the expansion for `Config` and `HwInfo`.
pub trait Settings: Copy {
    /// The fields, in the order of the description. A struct without names for its fields has none.
    const FIELDS: &'static [SettingInfo];

    /// Field `n` of [`FIELDS`](Self::FIELDS); `None` if there are not so many, or if its type is no [`Setting`].
    fn setting_mut(&mut self, n: usize) -> Option<&mut dyn Setting>;
}

/// Nothing to set.
impl Settings for () {
    const FIELDS: &'static [SettingInfo] = &[];

    fn setting_mut(&mut self, _: usize) -> Option<&mut dyn Setting> {
        None
    }
}

/// A field of some type, for expansions: the method `setting` of [`IsSetting`] if that type is a [`Setting`], else that of
/// [`IsOther`], which needs a reference more.
#[doc(hidden)]
#[derive(Debug)]
pub struct Probe<'a, T>(pub &'a mut T);

#[doc(hidden)]
pub trait IsSetting<'a> {
    /// The field.
    fn setting(self) -> Option<&'a mut dyn Setting>;
}

impl<'a, T: Setting> IsSetting<'a> for Probe<'a, T> {
    fn setting(self) -> Option<&'a mut dyn Setting> {
        Some(self.0)
    }
}

#[doc(hidden)]
pub trait IsOther<'a> {
    /// Nothing.
    fn setting(self) -> Option<&'a mut dyn Setting>;
}

impl<'a, T> IsOther<'a> for &Probe<'a, T> {
    fn setting(self) -> Option<&'a mut dyn Setting> {
        None
    }
}

macro_rules! impl_setting {
    ($($int:ty),*) => {$(
        impl Setting for $int {
            fn count(&self) -> usize {
                1
            }
            fn get(&self, n: usize) -> Option<u64> {
                (n == 0).then_some(*self as u64)
            }
            fn set(&mut self, n: usize, value: u64) -> Result<(), SettingError> {
                if n > 0 {
                    return Err(SettingError::Count { count: 1 });
                }
                let max = Self::MAX as u64;
                *self = Self::try_from(value).map_err(|_| SettingError::TooLarge { value, max })?;
                Ok(())
            }
        }
    )*};
}

impl_setting!(u8, u16, u32, u64, usize);

impl Setting for bool {
    fn count(&self) -> usize {
        1
    }
    fn get(&self, n: usize) -> Option<u64> {
        (n == 0).then_some((*self).into())
    }
    fn set(&mut self, n: usize, value: u64) -> Result<(), SettingError> {
        match (n, value) {
            (0, 0 | 1) => *self = value == 1,
            (0, _) => return Err(SettingError::TooLarge { value, max: 1 }),
            _ => return Err(SettingError::Count { count: 1 }),
        }
        Ok(())
    }
}

impl<T: Setting, const N: usize> Setting for [T; N] {
    fn count(&self) -> usize {
        self.iter().map(Setting::count).sum()
    }
    fn get(&self, mut n: usize) -> Option<u64> {
        for setting in self {
            match n.checked_sub(setting.count()) {
                Some(rest) => n = rest,
                None => return setting.get(n),
            }
        }
        None
    }
    fn set(&mut self, mut n: usize, value: u64) -> Result<(), SettingError> {
        let count = self.count();
        for setting in self {
            match n.checked_sub(setting.count()) {
                Some(rest) => n = rest,
                None => return setting.set(n, value),
            }
        }
        Err(SettingError::Count { count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_fit_are_set() {
        let (mut byte, mut flag, mut pair) = (7u8, false, [[1u32, 2], [3, 4]]);
        assert_eq!((byte.set(0, 255), byte), (Ok(()), 255));
        assert_eq!((byte.set(0, 256), byte), (Err(SettingError::TooLarge { value: 256, max: 255 }), 255));
        assert_eq!((byte.set(1, 0), byte.get(1)), (Err(SettingError::Count { count: 1 }), None));
        assert_eq!((flag.set(0, 2), flag), (Err(SettingError::TooLarge { value: 2, max: 1 }), false));
        assert_eq!((flag.set(0, 1), flag), (Ok(()), true));
        assert_eq!((pair.set(2, 9), pair, pair.get(2)), (Ok(()), [[1, 2], [9, 4]], Some(9)));
        assert_eq!((pair.set(4, 9), pair.count()), (Err(SettingError::Count { count: 4 }), 4));
    }

    #[test]
    fn fields_that_are_no_numbers() {
        struct Other;
        assert!(Probe(&mut Other).setting().is_none());
        assert_eq!(Probe(&mut 5u8).setting().and_then(|setting| setting.get(0)), Some(5));
    }

    #[cfg(target_has_atomic = "64")]
    #[test]
    fn structs_of_descriptions() {
        // A struct of the description, one of a variant, and one without fields.
        use crate::fmt::{dart, riscv_64};
        let names: [&str; 3] = core::array::from_fn(|n| dart::HwInfo::FIELDS[n].name);
        assert_eq!(names, ["ttbr", "n_ttbrs", "n_levels"]);
        let mut info = riscv_64::HwInfo { ppn: 0x1234, fsc_iosatp_mode: 8 };
        assert_eq!(riscv_64::HwInfo::FIELDS[0].doc, "Physical page number of the top table.");
        assert_eq!(info.setting_mut(1).and_then(|mode| mode.get(0)), Some(8));
        assert!(info.setting_mut(2).is_none() && riscv_64::Config::FIELDS.is_empty());
    }
}
