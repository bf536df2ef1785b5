//! Colours of text on a terminal. They are always written; where none are wanted, they are taken out on the way.

use anstyle::{AnsiColor, Style};
use std::fmt::Display;

/// Names of things: a trace, a format.
pub const NAME: Style = Style::new().bold();
/// Headings of a group of rows.
pub const HEADING: Style = AnsiColor::Cyan.on_default().bold();
/// What explains the rest.
pub const NOTE: Style = Style::new().dimmed();
/// Curves.
pub const CURVE: Style = AnsiColor::Green.on_default();
/// What should not be there.
pub const ODD: Style = AnsiColor::Yellow.on_default().bold();
/// The word before an error.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// The word before a hint.
pub const HINT: Style = AnsiColor::Green.on_default().bold();

/// What was added.
pub const ADDED: Style = AnsiColor::Green.on_default().bold();

/// The style of a severity that a line begins with; none for other lines.
fn of_first(word: &str) -> Option<Style> {
    match word {
        "error:" => Some(ERROR),
        "warning:" => Some(ODD),
        "note:" => Some(NOTE),
        _ => None,
    }
}

/// Text in which the first word of lines is styled, if it is a severity.
pub fn first_words(text: &str) -> String {
    let line = |line: &str| match line.split_once(' ').and_then(|(word, rest)| Some((of_first(word)?, word, rest))) {
        Some((style, word, rest)) => format!("{} {rest}", styled(style, word)),
        None => line.to_owned(),
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// The text in a style; no marks around nothing.
pub fn styled(style: Style, text: impl Display) -> String {
    let text = text.to_string();
    if text.is_empty() { text } else { format!("{style}{text}{style:#}") }
}
