//! The parents of a job: the jobs that must end before it, and what their end means for it.

use crate::{id::JobId, names::Kind, state::State};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{fmt, str::FromStr};

/// What happens to a blocked job when one of its parents ends without success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ParentFailure {
    /// The job is cancelled.
    #[default]
    Cancel,
    /// The job waits until the parent is revived and succeeds.
    Hold,
    /// The job no longer waits for this parent.
    Run,
}

impl ParentFailure {
    /// All values.
    pub const ALL: [Self; 3] = [Self::Cancel, Self::Hold, Self::Run];

    /// The name used in SQL, JSON and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Hold => "hold",
            Self::Run => "run",
        }
    }

    /// Whether the child no longer waits for a parent that ended in this state.
    #[must_use]
    pub const fn is_met_by(self, ended: State) -> bool {
        matches!(ended, State::Succeeded) || matches!(self, Self::Run)
    }
}

impl fmt::Display for ParentFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ParentFailure {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|known| known.as_str() == text);
        known.ok_or_else(|| format!("{text:?} is not one of cancel, hold, run"))
    }
}

/// A parent of a job, live or finished.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Parent {
    /// The parent.
    pub id: JobId,
    /// Its kind; `None` after its row has left history.
    pub kind: Option<Kind>,
    /// Its state; `None` after its row has left history.
    pub state: Option<State>,
    /// Its result, if the parent has succeeded. `None` also for a result that was left out because the results of all parents
    /// together are too large.
    pub result: Option<Box<RawValue>>,
    /// The result was left out because the results of all parents together are too large.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_left_out: bool,
    /// Whether the job no longer waits for this parent.
    pub met: bool,
    /// What happens when the parent ends without success.
    pub on_parent_failure: ParentFailure,
}

impl Parent {
    /// A parent whose row has left history. [`Parent::with`] sets what is known of another one.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(id: JobId, on_parent_failure: ParentFailure, met: bool) -> Self {
        Self { id, kind: None, state: None, result: None, is_left_out: false, met, on_parent_failure }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_run_goes_on_after_a_failure() {
        for (policy, ended, met) in [
            (ParentFailure::Cancel, State::Succeeded, true),
            (ParentFailure::Hold, State::Dead, false),
            (ParentFailure::Cancel, State::Cancelled, false),
            (ParentFailure::Run, State::Dead, true),
        ] {
            assert_eq!(policy.is_met_by(ended), met, "{policy} {ended}");
            assert_eq!(policy.as_str().parse(), Ok(policy));
        }
    }
}
