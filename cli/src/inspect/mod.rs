//! The commands that look at tables in images: `walk`, `dump`, `check` and `diff`.

pub mod access;
pub mod args;
pub mod check;
mod diff;
pub mod dump;
mod error;
mod rules;
pub mod runs;
pub mod scan;
mod seen;
pub mod source;
mod walk;

pub use error::{InspectError, as_options};

use crate::decode::Users;
use crate::status::{self, Failure};
use crate::style::{self, styled};
use anstream::{AutoStream, ColorChoice};
use args::{CheckArgs, DiffArgs, Document, DumpArgs, Output, WalkArgs};
use diff::Verdict;
use rules::Severity;
use source::Source;
use std::io::{self, BufWriter, Write};
use walk::Walk;

impl From<InspectError> for Failure {
    fn from(error: InspectError) -> Self {
        let code = match error {
            InspectError::Open { .. }
            | InspectError::Damaged { .. }
            | InspectError::Unreadable { .. }
            | InspectError::Packed { .. }
            | InspectError::Manifest { .. }
            | InspectError::Source { .. } => status::INPUT,
            _ => status::USAGE,
        };
        Self::of(code, &error)
    }
}

/// Standard output, in large pieces.
fn out() -> BufWriter<io::StdoutLock<'static>> {
    BufWriter::new(io::stdout().lock())
}

/// `genpt walk`. The exit status says whether all addresses are mapped, and permit what was asked for.
///
/// # Errors
/// An exit status and a message.
pub fn walk(args: &WalkArgs) -> Result<u8, Failure> {
    let source = Source::open(&args.image, &args.source)?;
    let shape = source.decoder.shape();
    if args.access.is_some_and(access::Asked::is_of_user) && shape.users == Users::AsAll {
        return Err(InspectError::NoUsers { format: shape.format }.into());
    }
    let walks: Vec<Walk> = args.va.iter().map(|va| walk::walk(&source, va.0, args.access)).collect();
    source.conclude()?;
    let text = if args.print.output() == Document::Json {
        status::json(&walks)? + "\n"
    } else {
        walks.iter().map(|walk| coloured(&source, walk)).collect::<Vec<_>>().join("\n")
    };
    let shown = if args.print.output() == Document::Json {
        io::stdout().lock().write_all(text.as_bytes())
    } else {
        anstream::stdout().lock().write_all(text.as_bytes())
    };
    status::shown(shown)?;
    // What is merely worth knowing of a page that is mapped changes nothing.
    let oddities =
        |walk: &Walk| walk.oddities.iter().map(|broken| broken.severity).filter(|one| *one > Severity::Note).max();
    let of_walk = |walk: &Walk| walk.stop.as_ref().map(|broken| broken.severity).max(oddities(walk));
    let is_refused = walks.iter().flat_map(|walk| &walk.verdicts).any(|verdict| !verdict.is_permitted);
    let refused = is_refused.then_some(Severity::Warning);
    Ok(match walks.iter().filter_map(of_walk).chain(refused).max() {
        None => status::OK,
        Some(Severity::Note | Severity::Warning) => status::WARNING,
        Some(Severity::Error) => status::ERROR,
    })
}

/// A walk in text, with colours where it says what is wrong.
fn coloured(source: &Source, walk: &Walk) -> String {
    walk.stop.iter().chain(&walk.oddities).fold(walk::text(source, walk), |text, broken| {
        let style = if broken.severity == Severity::Error { style::ERROR } else { style::ODD };
        let words = format!("{} ({})", broken.text, broken.rule);
        text.replace(&format!("{words}\n"), &format!("{}\n", styled(style, &words)))
    })
}

/// Says on standard error what is not in the results, where these have no place for it.
fn warn_of_missing(missing: impl IntoIterator<Item = String>) {
    let mut stderr = anstream::stderr();
    for what in missing {
        // Nobody is left to hear of it if standard error is closed.
        let _ = writeln!(stderr, "{} {what}", styled(style::ODD, "warning:"));
    }
}

/// `genpt dump`.
///
/// # Errors
/// An exit status and a message.
pub fn dump(args: &DumpArgs) -> Result<u8, Failure> {
    let source = Source::open(&args.image, &args.source)?;
    let mut out = out();
    let seen = status::written(dump::dump(&source, args, &mut out)?)?;
    status::written(out.flush())?;
    source.conclude()?;
    let missing = seen.missing();
    let is_whole = missing.is_empty();
    if args.print.output() != Output::Text {
        warn_of_missing(missing);
    }
    Ok(if is_whole { status::OK } else { status::ERROR })
}

/// `genpt check`. The exit status says how bad it is.
///
/// # Errors
/// An exit status and a message.
pub fn check(args: &CheckArgs) -> Result<u8, Failure> {
    let source = Source::open(&args.image, &args.source)?;
    let report = check::check(&source, args.most, args.limit.limit.0);
    source.image.readable()?;
    let text = if args.print.output() == Document::Json {
        status::json(&report)? + "\n"
    } else {
        check::text(&source, &report)
    };
    let shown = if args.print.output() == Document::Json {
        io::stdout().lock().write_all(text.as_bytes())
    } else {
        anstream::stdout().lock().write_all(style::first_words(&text).as_bytes())
    };
    status::shown(shown)?;
    Ok(match report.worst {
        None | Some(Severity::Note) => status::OK,
        Some(Severity::Warning) => status::WARNING,
        Some(Severity::Error) => status::ERROR,
    })
}

/// Says of images of different formats that they are: then the same field is another one.
fn warn_of_formats(before: &Source, after: &Source) {
    let [first, second] = [before, after].map(|source| source.decoder.shape().format);
    if first != second {
        let (before, after) = (&before.image.name, &after.image.name);
        let text = format!("{before} is {first}, {after} is {second}: fields of different formats are told as changes");
        // Nobody is left to hear of it if standard error is closed.
        let _ = writeln!(anstream::stderr(), "{} {text}", styled(style::ODD, "warning:"));
    }
}

/// `genpt diff`. The exit status says whether something changed.
///
/// # Errors
/// An exit status and a message.
pub fn diff(args: &DiffArgs) -> Result<u8, Failure> {
    let before = Source::open(&args.before, &args.source)?;
    let after = Source::open_at(&args.after, &args.source, args.root_b)?;
    warn_of_formats(&before, &after);
    let shown = if args.print.output() == Output::Text {
        // Colours are taken out where none are wanted, before and not behind the buffer: else each is a write of its own.
        let out: Box<dyn io::Write> = Box::new(out());
        let mut out = match AutoStream::choice(&io::stdout()) {
            ColorChoice::Never => AutoStream::never(out),
            _ => AutoStream::always_ansi(out),
        };
        diff::diff(&before, &after, args, &mut out)?.and_then(|verdict| out.flush().map(|()| verdict))
    } else {
        let mut out = out();
        diff::diff(&before, &after, args, &mut out)?.and_then(|verdict| out.flush().map(|()| verdict))
    };
    let verdict = match shown {
        // Nobody reads on: they differ, or there would be less to read.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Verdict::Different,
        shown => status::written(shown)?,
    };
    for source in [&before, &after] {
        source.conclude()?;
    }
    Ok(match verdict {
        Verdict::Same => status::OK,
        Verdict::Different => status::DIFFERS,
        Verdict::Cut(missing) => {
            if args.print.output() != Output::Text {
                warn_of_missing(missing);
            }
            status::ERROR
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;
    use std::path::Path;

    /// What a command of `genpt` is told of an image with a top at 0.
    fn command(words: &[&str], image: &Path) -> Command {
        let image = image.display().to_string();
        let tables = ["-f", "x86_64", "-r", "0"];
        Cli::try_parse_from([&["genpt"], words, &[&image], &tables].concat()).unwrap().command
    }

    /// A top that points to a table, which the file loses when it is open.
    fn with_half_a_file(test: impl FnOnce(&Path, &dyn Fn())) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut bytes = vec![0; 0x2000];
        bytes[..2].copy_from_slice(&[0x27, 0x10]);
        std::fs::write(file.path(), bytes).unwrap();
        test(file.path(), &|| file.as_file().set_len(0x1000).unwrap());
    }

    /// What a table that cannot be read maps was told as nothing, and the end of the output said that this is all.
    #[test]
    fn bug_an_image_that_cannot_be_read_had_nothing_in_it() {
        for (output, begin) in [("text", ""), ("json", "{\"format\": \"x86_64\", \"runs\": ["), ("csv", "va,")] {
            with_half_a_file(|path, cut| {
                let Command::Dump(args) = command(&["dump", "--output", output], path) else { panic!() };
                let source = Source::open(&args.image, &args.source).unwrap();
                cut();
                let mut out = Vec::new();
                dump::dump(&source, &args, &mut out).unwrap().unwrap();
                let text = String::from_utf8(out).unwrap();
                assert!(text.starts_with(begin) && !text.contains("0 runs") && !text.contains("statistics"), "{text}");
                assert!(matches!(source.conclude(), Err(InspectError::Unreadable { pa: 0x1000, .. })));
            });
        }
        with_half_a_file(|path, cut| {
            let Command::Check(args) = command(&["check"], path) else { panic!() };
            let source = Source::open(&args.image, &args.source).unwrap();
            cut();
            let report = check::check(&source, args.most, args.limit.limit.0);
            assert_eq!((report.tables, source.image.readable().is_err()), (1, true));
        });
        with_half_a_file(|path, cut| {
            let other = path.display().to_string();
            let Command::Diff(args) = command(&["diff", &other], path) else { panic!() };
            let [before, after] = [&args.before, &args.after].map(|image| Source::open(image, &args.source).unwrap());
            cut();
            let mut out = Vec::new();
            diff::diff(&before, &after, &args, &mut out).unwrap().unwrap();
            assert_eq!((out.as_slice(), before.conclude().is_err()), (b"".as_slice(), true));
        });
    }
}
