//! A progress bar with the time that is left: on a terminal, and only if it takes long.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// What is done sooner shows no bar.
const PATIENCE: Duration = Duration::from_millis(500);

/// How far something is. The bar goes to standard error, and disappears at the end.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    begin: Instant,
    is_shown: Cell<bool>,
}

impl Progress {
    /// Something that takes `total` steps, each as long as the others.
    pub fn of_steps(what: &str, total: u64) -> Self {
        Self::new(what, Some(total), "{msg} [{bar:30}] {percent:>3} %, {eta} left")
    }

    /// Something that is read; `total` is not known of a pipe.
    pub fn of_bytes(what: &str, total: Option<u64>) -> Self {
        let known = "{msg} [{bar:30}] {binary_bytes} of {binary_total_bytes}, {eta} left";
        let template = if total.is_some() { known } else { "{msg}: {binary_bytes}" };
        Self::new(what, total, template)
    }

    fn new(what: &str, total: Option<u64>, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what.to_owned());
        Self { bar, begin: Instant::now(), is_shown: Cell::new(false) }
    }

    /// Notes that so many steps more are done.
    pub fn advance(&self, steps: u64) {
        self.bar.inc(steps);
        self.show_if_slow();
    }

    /// Notes how far it is in all.
    pub fn set(&self, position: u64) {
        self.bar.set_position(position);
        self.show_if_slow();
    }

    fn show_if_slow(&self) {
        if !self.is_shown.get() && self.begin.elapsed() > PATIENCE {
            self.is_shown.set(true);
            // Draws nothing where that is no terminal.
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
