//! Progress bars: on standard error, and only if it is a terminal.

use indicatif::{MultiProgress, ProgressBar, ProgressFinish, ProgressState, ProgressStyle};
use std::{fmt, sync::OnceLock, time::Duration};

const EVERY_SECOND: Duration = Duration::from_secs(1);

/// All bars of this process, so that the log can be printed without breaking them.
pub(crate) fn bars() -> &'static MultiProgress {
    static BARS: OnceLock<MultiProgress> = OnceLock::new();
    BARS.get_or_init(MultiProgress::new)
}

fn rate(state: &ProgressState, out: &mut dyn fmt::Write) {
    // An error while drawing must not fail the command.
    let _ = write!(out, "{:.0}/s", state.per_sec());
}

/// A bar for `total` items.
pub(crate) fn bar(total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>10} {wide_bar} {human_pos}/{human_len}  {rate}  {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    bars().add(ProgressBar::new(total).with_style(style.with_key("rate", rate)))
}

/// A counter for a number of items that is not known in advance.
pub(crate) fn counter() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>10} {human_pos}  {rate}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    bars().add(ProgressBar::no_length().with_style(style.with_key("rate", rate)))
}

/// What the command does, and for how long it has done it. It counts by itself until it is dropped.
pub(crate) fn clock(doing: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg}, {elapsed}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    let clock = bars().add(ProgressBar::no_length().with_style(style).with_message(doing));
    clock.enable_steady_tick(EVERY_SECOND);
    clock.with_finish(ProgressFinish::AndClear)
}

/// No bar: the user types the input into the same terminal.
pub(crate) fn hidden() -> ProgressBar {
    ProgressBar::hidden()
}
