//! Wrong arguments, told as all errors are: one line for the error, and one for what helps.

use crate::args::Cli;
use crate::human::printable;
use crate::status::{self, Failure};
use anstream::ColorChoice;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, Parser};

/// Colours as the arguments ask for them, whatever else is wrong with these: errors are told so, too.
pub fn set_color(words: &[String]) {
    let mut options = words.iter().take_while(|word| *word != "--");
    while let Some(word) = options.next() {
        let value = if word == "--color" { options.next().map(String::as_str) } else { word.strip_prefix("--color=") };
        match value {
            Some("always") => ColorChoice::Always.write_global(),
            Some("never") => ColorChoice::Never.write_global(),
            Some("auto") => ColorChoice::Auto.write_global(),
            _ => {}
        }
    }
}

/// What clap says of an error: its text, whose lines are all its own.
struct Said {
    what: String,
    /// A similar name, or what to write instead.
    tip: Option<String>,
    usage: Option<String>,
}

impl Said {
    /// Arguments are in the text, so it is that of the same arguments with escapes for ends of lines and the like: no argument can
    /// begin a line, or a paragraph. If those would be understood, only the kind of the error is told.
    fn of(error: &clap::Error, words: &[String]) -> Self {
        let escaped = std::iter::once("genpt".to_owned()).chain(words.iter().map(|word| printable(word)));
        match Cli::try_parse_from(escaped) {
            Err(same) if same.kind() == error.kind() => Self::of_text(&same.render().to_string()),
            _ => Self { what: error.kind().to_string(), tip: None, usage: None },
        }
    }

    fn of_text(text: &str) -> Self {
        let trimmed = |part: &str| part.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut paragraphs = text.split("\n\n");
        let what = trimmed(paragraphs.next().unwrap_or_default());
        let rest: Vec<&str> = paragraphs.flat_map(str::lines).map(str::trim).collect();
        let begun = |word: &str| rest.iter().find_map(|line| line.strip_prefix(word)).map(trimmed);
        let what = what.strip_prefix("error: ").unwrap_or(&what).to_owned();
        // To take an option that there is none of for a value is what nobody wants.
        let tip = begun("tip: ").filter(|tip| !tip.starts_with("to pass "));
        Self { what, tip, usage: begun("Usage: ") }
    }
}

/// An error of the arguments as others are told: what is wrong on one line, and what helps on another. That is a similar name, or
/// what the argument is, or how the command is used. `words` are the arguments.
pub fn usage_failure(error: &clap::Error, words: &[String]) -> Failure {
    let Said { what, tip, usage } = Said::of(error, words);
    let mut all = Cli::command();
    // Only what is built has names for its arguments.
    all.build();
    // `genpt help NAME` is about a name, not about `help`.
    let subcommand = words.iter().find_map(|word| all.find_subcommand(word)).filter(|found| found.get_name() != "help");
    let help = match subcommand {
        Some(subcommand) => format!("`genpt {} --help`", subcommand.get_name()),
        None => "`genpt --help`".to_owned(),
    };
    let commands = || {
        let names: Vec<&str> = all.get_subcommands().map(Command::get_name).collect();
        Some(format!("commands: {}; {help} tells more", names.join(", ")))
            .filter(|_| error.kind() == ErrorKind::InvalidSubcommand)
    };
    let usage = || Some(format!("used as `{}`; {help} tells more", usage?));
    let meaning = || {
        let (argument, about) = argument_of(error, subcommand?)?;
        Some(format!("{argument} is: {about}; {help} tells more"))
    };
    let negative = || {
        let blamed = blamed(error).filter(|_| error.kind() == ErrorKind::UnknownArgument);
        let blamed = blamed.filter(|word| is_negative(word))?;
        // Clap names the first digit alone, as if each were an option.
        let at = words.iter().position(|word| word.starts_with(blamed))?;
        if !is_negative(&words[at]) {
            return Some(format!("a file of this name is `./{}`; {help} tells more", printable(&words[at])));
        }
        let before = at.checked_sub(1).and_then(|before| option_of(&words[before], subcommand?));
        let about = before.map_or(String::new(), |(option, about)| format!("; {option} is: {about}"));
        Some(format!("no number here is negative: 0 or more is valid{about}; {help} tells more"))
    };
    let hint = negative().or(tip).or_else(commands).or_else(usage).or_else(meaning);
    Failure::new(status::USAGE, what, hint.unwrap_or_else(|| format!("{help} tells what there is")))
}

/// Whether a word is a negative number, which clap takes for an option: with a prefix or a unit, too.
fn is_negative(word: &str) -> bool {
    let digits = |rest: &str| rest.starts_with(|char: char| char.is_ascii_digit());
    word.strip_prefix('-').is_some_and(|rest| digits(rest) && rest.chars().all(|char| char.is_ascii_alphanumeric()))
}

/// The option of this name, and the first line of its help.
fn option_of(word: &str, command: &Command) -> Option<(String, String)> {
    let is_it = |argument: &&clap::Arg| {
        let long = argument.get_long().is_some_and(|long| word == format!("--{long}"));
        long || argument.get_short().is_some_and(|short| word == format!("-{short}"))
    };
    let argument = command.get_arguments().find(is_it)?;
    Some((argument.to_string(), argument.get_help()?.to_string()))
}

/// The argument that an error is about, as clap shows it.
fn blamed(error: &clap::Error) -> Option<&str> {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else { return None };
    Some(shown)
}

/// The argument that an error is about, and the first line of its help.
fn argument_of(error: &clap::Error, command: &Command) -> Option<(String, String)> {
    let shown = blamed(error)?;
    let argument = command.get_arguments().find(|argument| argument.to_string() == shown)?;
    Some((shown.to_owned(), argument.get_help()?.to_string()))
}
