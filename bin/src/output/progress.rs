//! Progress bars: on standard error, and only when it is a terminal.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::sync::OnceLock;

/// All bars of this process, so that the log can write around them.
pub(crate) fn bars() -> &'static MultiProgress {
    static BARS: OnceLock<MultiProgress> = OnceLock::new();
    BARS.get_or_init(MultiProgress::new)
}

/// A bar over `total` things.
pub(crate) fn bar(total: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{msg:>10} {wide_bar} {human_pos}/{human_len}  {per_sec:>10}  {eta:>4} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
    bars().add(ProgressBar::new(total).with_style(style))
}

/// A line that counts things whose number is not known yet.
pub(crate) fn counter() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>10} {human_pos}  {per_sec}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    bars().add(ProgressBar::no_length().with_style(style))
}

/// No bar: people type the input into the terminal where it would be.
pub(crate) fn hidden() -> ProgressBar {
    ProgressBar::hidden()
}
