//! Writes to standard output. A closed pipe ends the command without a message (see `Failure`).

use super::progress;
use crate::failure::Failure;
use serde::Serialize;
use std::{
    borrow::Cow,
    io::{self, Write},
};

/// Writes these bytes.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

/// Writes a text with exactly one line break at its end; nothing for an empty text.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    let text = text.trim_end_matches('\n');
    if text.is_empty() { Ok(()) } else { line(text) }
}

/// The text with control characters written out. An error or a payload of a job may contain control characters that
/// change a terminal.
fn visible(text: &str) -> Cow<'_, str> {
    let changes_terminal = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(changes_terminal) {
        return Cow::Borrowed(text);
    }
    let escaped = |c: char| if changes_terminal(c) { c.escape_unicode().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(escaped).collect())
}

/// Writes one line.
pub(crate) fn line(line: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", visible(line))?;
    Ok(out.flush()?)
}

/// Writes a remark for people to standard error.
pub(crate) fn note(text: &str) {
    progress::bars().suspend(|| {
        // Standard error may be closed. Then the remark is lost.
        let _ = writeln!(io::stderr(), "{}", visible(text));
    });
}

/// Writes a value as indented JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    line(&serde_json::to_string_pretty(value).map_err(|error| Failure::new(error.to_string()))?)
}

/// Writes values as JSON, one per line.
pub(crate) fn json_lines<T: Serialize>(values: &[T]) -> Result<(), Failure> {
    let mut out = Vec::new();
    for value in values {
        serde_json::to_writer(&mut out, value).map_err(|error| Failure::new(error.to_string()))?;
        out.push(b'\n');
    }
    bytes(&out)
}

/// Writes JSON if `as_json`, else text.
pub(crate) fn either(as_json: bool, value: &impl Serialize, as_text: impl FnOnce() -> String) -> Result<(), Failure> {
    if as_json { json(value) } else { text(&as_text()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(visible("a\tb\nc"), "a\tb\nc");
        assert_eq!(visible("red \u{1b}[31m, bell \u{7}, line\r"), "red \\u{1b}[31m, bell \\u{7}, line\\u{d}");
    }
}
