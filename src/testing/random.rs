//! Random numbers for tests: tiny, seeded, repeatable.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::string::String;

/// The environment variable that repeats a run: the seed that a failure printed.
pub const SEED_VARIABLE: &str = "GENERIC_PT_SEED";

/// A repeatable source of random numbers (SplitMix64).
///
/// ```
/// use generic_pt::testing::Rng;
/// let (mut a, mut b) = (Rng::new(7), Rng::new(7));
/// assert_eq!(a.next_u64(), b.next_u64());
/// assert!(a.below(10) < 10 && a.bits(3) < 8);
/// ```
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The sequence of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`; 0 for a limit of 0.
    pub const fn below(&mut self, limit: u64) -> u64 {
        let value = self.next_u64();
        // The high half of the product: no division, and as even as 64 bits allow.
        ((value as u128 * limit as u128) >> 64) as u64
    }

    /// A number below `2^n`.
    pub const fn bits(&mut self, n: u32) -> u64 {
        self.next_u64() & crate::lg2::low_mask(n)
    }

    /// Yes or no.
    pub const fn coin(&mut self) -> bool {
        self.next_u64() >> 63 == 1
    }
}

/// The seed of this run: from [`SEED_VARIABLE`] (decimal, or hexadecimal with `0x`), else a new one.
///
/// # Panics
/// If the variable is set to something else: a run that was to be repeated must not silently be another one.
pub fn seed() -> u64 {
    match std::env::var(SEED_VARIABLE) {
        Ok(text) => parse_seed(&text).unwrap_or_else(|| panic!("{SEED_VARIABLE} is `{text}`, valid: a 64-bit number")),
        Err(_) => RandomState::new().build_hasher().finish(),
    }
}

fn parse_seed(text: &str) -> Option<u64> {
    let digits: String = text.trim().replace('_', "");
    match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    }
}

/// The sequence of the test `name`, whichever other tests run.
pub(super) fn for_test(seed: u64, name: &str) -> Rng {
    // FNV-1a: the same in every build, which the standard hasher is not.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    Rng::new(seed ^ hash)
}
