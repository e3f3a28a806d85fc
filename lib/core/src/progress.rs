//! The progress that a run reports while it runs: how far it is, and short notes.

use crate::{
    id::{Epoch, Fence},
    limits::{NOTE_MAX_BYTES, NOTES_MAX},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, time::Duration};

/// The progress of the last run of a job, as a reader sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Progress {
    /// The run.
    pub epoch: Epoch,
    /// From 0 to 1; `None` if the run has not said.
    pub done: Option<f64>,
    /// When this was written, by the database's clock.
    pub at: DateTime<Utc>,
    /// The latest notes, the oldest first.
    pub notes: Vec<ProgressNote>,
}

impl Progress {
    /// The progress of a run, for the stores.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(epoch: Epoch, done: Option<f64>, at: DateTime<Utc>, notes: Vec<ProgressNote>) -> Self {
        Self { epoch, done, at, notes }
    }
}

/// A note of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProgressNote {
    /// Counts the notes of the run; 1 is the first.
    pub nth: u64,
    /// The time, by the database's clock.
    pub at: DateTime<Utc>,
    /// The text.
    pub note: String,
}

impl ProgressNote {
    /// A note of a run, for the stores.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(nth: u64, at: DateTime<Utc>, note: String) -> Self {
        Self { nth, at, note }
    }
}

/// The progress of a run, to be written. It replaces the earlier value.
#[derive(Clone, Debug)]
pub struct Report {
    /// The fence of the run.
    pub fence: Fence,
    /// From 0 to 1.
    pub done: Option<f64>,
    /// The latest notes, the oldest first.
    pub notes: Vec<ReportedNote>,
}

/// A note, to be written.
#[derive(Clone, Debug, Serialize)]
pub struct ReportedNote {
    /// Counts the notes of the run; 1 is the first.
    pub nth: u64,
    /// How old the note is.
    pub age: Duration,
    /// The text.
    pub note: String,
}

/// The progress that a run has reported so far. Keeps the latest [`NOTES_MAX`] notes.
#[derive(Clone, Debug)]
pub struct Told<Moment> {
    done: Option<f64>,
    count: u64,
    notes: VecDeque<(u64, Moment, String)>,
}

impl<Moment> Default for Told<Moment> {
    fn default() -> Self {
        Self { done: None, count: 0, notes: VecDeque::new() }
    }
}

/// A run cannot be done to this part.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("progress must be a number from 0 to 1, not {0}")]
pub struct InvalidProgress(pub f64);

impl<Moment: Copy> Told<Moment> {
    /// The run is done to this part.
    ///
    /// # Errors
    /// The part is not from 0 to 1. In this case nothing was reported.
    pub fn progress(&mut self, done: f64) -> Result<(), InvalidProgress> {
        if !(0.0..=1.0).contains(&done) {
            return Err(InvalidProgress(done));
        }
        self.done = Some(done);
        Ok(())
    }

    /// Adds a note, clipped to [`NOTE_MAX_BYTES`]. An empty note is ignored.
    pub fn note(&mut self, now: Moment, note: &str) {
        if note.is_empty() {
            return;
        }
        let end = (0..=NOTE_MAX_BYTES.min(note.len())).rev().find(|&at| note.is_char_boundary(at)).unwrap_or(0);
        self.count += 1;
        // PostgreSQL cannot store NUL.
        self.notes.push_back((self.count, now, note[..end].replace('\0', "\u{FFFD}")));
        if self.notes.len() > NOTES_MAX {
            self.notes.pop_front();
        }
    }

    /// The report of the run.
    pub fn report(&self, fence: Fence, age: impl Fn(Moment) -> Duration) -> Report {
        let note =
            |(nth, at, note): &(u64, Moment, String)| ReportedNote { nth: *nth, age: age(*at), note: note.clone() };
        Report { fence, done: self.done, notes: self.notes.iter().map(note).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{JobId, WorkerId};

    #[test]
    fn the_latest_notes_are_kept_and_clipped() {
        let mut told = Told::default();
        for nth in 0..NOTES_MAX as u64 + 3 {
            told.note(nth, &format!("note {nth}"));
        }
        told.note(100, "");
        told.note(100, &format!("a\0{}", "é".repeat(NOTE_MAX_BYTES)));
        let fence = Fence { id: JobId::new(), epoch: 1, worker: WorkerId::new() };
        let report = |told: &Told<u64>| told.report(fence, |at| Duration::from_secs(100 - at));
        assert_eq!(report(&told).done, None);
        told.progress(1.0).expect("a part");
        for refused in [f64::NAN, 7.0, -1.0, 1.000_001, f64::INFINITY] {
            let error = told.progress(refused).expect_err("no part").to_string();
            assert_eq!(error, format!("progress must be a number from 0 to 1, not {refused}"));
        }
        let report = report(&told);
        assert_eq!((report.done, report.notes.len()), (Some(1.0), NOTES_MAX));
        let (first, last) = (&report.notes[0], &report.notes[NOTES_MAX - 1]);
        assert_eq!((first.nth, first.note.as_str(), first.age.as_secs()), (5, "note 4", 96));
        assert!(last.note.starts_with("a\u{FFFD}é") && last.note.len() <= NOTE_MAX_BYTES + 2, "{}", last.note.len());
    }
}
