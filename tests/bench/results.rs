//! Results: every run, and the machine that it ran on.

use crate::machine::Machine;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{fs, path::Path};

/// All results of one question.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    /// The name of the question.
    pub(crate) name: String,
    /// The command line that asked it.
    pub(crate) command: String,
    pub(crate) machine: Machine,
    pub(crate) runs: Vec<Run>,
}

/// One run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    /// The subject: `leasehold`, `floor`, …
    pub(crate) subject: String,
    /// The setting: `drain`, `32 processes`, …
    pub(crate) setting: String,
    /// The figures, as the program printed them.
    pub(crate) line: Value,
    /// The share of the machine that other processes used during the run.
    pub(crate) others: f64,
    pub(crate) disturbed: bool,
}

/// The median of some figures, and their range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    pub(crate) runs: usize,
}

impl Results {
    pub(crate) fn new(name: &str, machine: Machine) -> Self {
        // Without the path of the program, as a person would type the command.
        let words: Vec<String> = std::env::args().skip(1).collect();
        Self { name: name.to_owned(), command: format!("bench {}", words.join(" ")), machine, runs: Vec::new() }
    }

    /// Saves the results in a file with the name of the question.
    pub(crate) fn save(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let path = folder.join(format!("{}.json", self.name));
        fs::write(&path, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| format!("writing {}", path.display()))
    }

    /// Loads the results of this question, if there are any.
    pub(crate) fn load(folder: &Path, name: &str) -> Result<Option<Self>> {
        let path = folder.join(format!("{name}.json"));
        let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
        serde_json::from_str(&text).map(Some).with_context(|| format!("reading {}", path.display()))
    }

    /// The spread of a figure over all runs of a subject in a setting; `/` separates levels.
    pub(crate) fn spread(&self, subject: &str, setting: &str, figure: &str) -> Option<Spread> {
        let runs = self.runs.iter().filter(|run| run.subject == subject && run.setting == setting);
        Spread::of(runs.filter_map(|run| run.figure(figure)).collect())
    }

    /// All settings, in order of their first run.
    pub(crate) fn settings(&self) -> Vec<&str> {
        let mut settings: Vec<&str> = Vec::new();
        for run in &self.runs {
            if !settings.contains(&run.setting.as_str()) {
                settings.push(&run.setting);
            }
        }
        settings
    }
}

impl Run {
    /// A figure; `/` separates levels.
    pub(crate) fn figure(&self, name: &str) -> Option<f64> {
        self.line.pointer(&format!("/{name}"))?.as_f64()
    }
}

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (least, most, runs) = (*values.first()?, *values.last()?, values.len());
        let median = (values[(runs - 1) / 2] + values[runs / 2]) / 2.0;
        Some(Self { median, least, most, runs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle() {
        let spread = |values: &[f64]| Spread::of(values.to_vec());
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0, 1.0, 100.0]), Some(Spread { median: 3.0, least: 1.0, most: 100.0, runs: 3 }));
        assert_eq!(spread(&[1.0, 2.0]).map(|spread| spread.median), Some(1.5));
    }
}
