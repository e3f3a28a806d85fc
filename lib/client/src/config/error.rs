//! Why settings cannot be used, in one line that names the setting.

use super::settings::{FILE, SETTINGS, Setting};
use std::path::PathBuf;

/// Why the settings cannot be used. One line that names the setting; never shows a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file that was named cannot be read.
    #[error("cannot read the settings in {path}: {reason}")]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// There is no setting of this name.
    #[error("{name} is no setting{origin}{hint}")]
    Unknown {
        /// The name as it was written.
        name: String,
        /// Where it was written, as the end of a sentence.
        origin: String,
        /// The setting that may have been meant, or the place of the list of settings.
        hint: String,
    },
    /// A value that the setting cannot have.
    #[error("{key} {problem}{origin}")]
    Impossible {
        /// The setting.
        key: String,
        /// What is wrong with it.
        problem: String,
        /// Where it was set, as the end of a sentence.
        origin: String,
    },
    /// A required setting without a default has no value.
    #[error("{key} is not set; set {variable}, or `{key}` in {FILE}, or start `leasehold dev`")]
    Missing {
        /// The setting.
        key: &'static str,
        /// The environment variable that sets it.
        variable: String,
    },
}

impl ConfigError {
    /// The error for a required setting without a value.
    #[must_use]
    pub fn missing(key: &'static str) -> Self {
        let variable = Setting::find(key).map(Setting::variable).unwrap_or_default();
        Self::Missing { key, variable }
    }
}

pub(super) fn impossible(setting: &Setting, problem: &str, origin: &str) -> ConfigError {
    ConfigError::Impossible { key: setting.key.to_owned(), problem: problem.to_owned(), origin: origin.to_owned() }
}

pub(super) fn unknown(name: &str, key: &str, origin: &str, shown: impl Fn(&Setting) -> String) -> ConfigError {
    let near =
        SETTINGS.iter().map(|setting| (distance(key, setting.key), setting)).min_by_key(|(distance, _)| *distance);
    let hint = match near {
        Some((distance, setting)) if distance <= 4 => format!("; is {} meant?", shown(setting)),
        _ => "; `leasehold config` lists all".to_owned(),
    };
    ConfigError::Unknown { name: name.to_owned(), origin: origin.to_owned(), hint }
}

/// How many characters to add, drop or change to get from one text to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (nth, left) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = nth + 1;
        for (at, right) in to.iter().enumerate() {
            let kept = diagonal + usize::from(left != *right);
            diagonal = row[at + 1];
            row[at + 1] = kept.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}
