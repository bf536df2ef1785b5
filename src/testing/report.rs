//! How a test ends, and how it says what it found.

use core::fmt::Debug;
use std::format;
use std::string::String;

/// Why a test ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// It does not apply to this configuration, for this reason.
    Skipped(String),
    /// It found this.
    Failed(String),
}

/// How a test ended.
pub(super) type TestResult = Result<(), Stop>;

/// A value in a message: hexadecimal, in one line.
pub(super) fn show(value: &impl Debug) -> String {
    let lines = format!("{value:#x?}");
    let words: std::vec::Vec<&str> = lines.split_whitespace().collect();
    words.join(" ").replace("( ", "(").replace(", )", ")").replace("[ ", "[").replace(", ]", "]").replace(", }", " }")
}

/// Ends the test as failed with a message, unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::testing::report::Stop::Failed(std::format!($($message)+)));
        }
    };
}

/// Ends the test as failed, with what was looked at, unless the values are the same.
macro_rules! ensure_eq {
    ($got:expr, $expected:expr, $($what:tt)+) => {
        match ($got, $expected) {
            (got, expected) => $crate::testing::report::ensure!(
                got == expected,
                "{}: expected {}, got {}",
                std::format_args!($($what)+),
                $crate::testing::report::show(&expected),
                $crate::testing::report::show(&got)
            ),
        }
    };
}

/// Ends the test as not applicable, with the reason.
macro_rules! skip {
    ($($reason:tt)+) => {
        return Err($crate::testing::report::Stop::Skipped(std::format!($($reason)+)))
    };
}

pub(super) use {ensure, ensure_eq, skip};
