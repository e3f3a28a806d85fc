//! Actions of an operator on many jobs in one call, and the filter that chooses the jobs.

use crate::{
    names::{Kind, QueueName},
    place::Place,
    state::State,
    validate::InvalidJob,
};
use serde::Serialize;
use std::time::Duration;

/// The action on each job that a filter chooses. A later version may have more actions. The crate never returns an action, so users
/// have no reason to match on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BulkAction {
    /// Waiting jobs end. The workers of running jobs are told to stop.
    Cancel,
    /// Finished jobs return to the line with all their attempts; scheduled jobs become due immediately.
    Retry,
    /// Waiting jobs get another priority or another queue.
    Place(Place),
}

/// Which jobs to choose. All conditions must hold. `None` and an empty list mean: any. A later version may have more conditions.
///
/// ```
/// # use leasehold_core::BulkFilter;
/// let timed_out = BulkFilter::default().kind("resize".parse()?).error_like("timeout");
/// assert_eq!(timed_out.error_like.as_deref(), Some("timeout"));
/// # Ok::<(), leasehold_core::InvalidName>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(not(feature = "struct-literals"), non_exhaustive)]
pub struct BulkFilter {
    /// Jobs of this queue.
    pub queue: Option<QueueName>,
    /// Jobs of this kind.
    pub kind: Option<Kind>,
    /// Jobs in one of these states. Empty: the states that [`BulkAction::default_states`] names.
    pub states: Vec<State>,
    /// Jobs that were enqueued at least this long ago.
    pub older_than: Option<Duration>,
    /// Jobs whose last error contains this text, in upper or lower case. `%` stands for any text, `_` for any character.
    pub error_like: Option<String>,
    /// Jobs of this batch.
    pub batch: Option<String>,
}

/// Why a filter cannot be used. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBulk {
    /// A filter without any condition would choose every job. This is hardly ever intended.
    #[error("the filter has no condition; it would choose every job")]
    NoCondition,
    /// Every error contains an empty text.
    #[error("the text to look for in errors is empty; it would choose every job with an error")]
    NoText,
    /// The action does nothing to jobs in this state.
    #[error("state is {state}; {verb} by filter takes jobs that are {}", names(.allowed))]
    State {
        /// The state in the filter.
        state: State,
        /// The verb of the action.
        verb: &'static str,
        /// The states that the action takes.
        allowed: &'static [State],
    },
    /// The action itself is out of its limits.
    #[error(transparent)]
    Action(#[from] InvalidJob),
}

fn names(states: &[State]) -> String {
    let names: Vec<&str> = states.iter().map(|state| state.as_str()).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

impl BulkAction {
    /// The name of the action, as a command.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Retry => "retry",
            Self::Place(Place::Priority(_)) => "priority",
            Self::Place(Place::Queue(_)) => "move",
        }
    }

    /// The states of the jobs that the action can change.
    #[must_use]
    pub const fn allowed_states(&self) -> &'static [State] {
        match self {
            Self::Cancel => &[State::Blocked, State::Scheduled, State::Queued, State::Running],
            Self::Retry => &[State::Dead, State::Cancelled, State::Scheduled],
            Self::Place(_) => &[State::Blocked, State::Scheduled, State::Queued],
        }
    }

    /// The states that a filter without states chooses. A retry chooses dead jobs only: a job that was cancelled on purpose
    /// must not run again by accident.
    #[must_use]
    pub const fn default_states(&self) -> &'static [State] {
        match self {
            Self::Retry => &[State::Dead],
            _ => self.allowed_states(),
        }
    }
}

impl BulkFilter {
    /// Only jobs of this queue.
    #[must_use]
    pub fn queue(self, queue: QueueName) -> Self {
        Self { queue: Some(queue), ..self }
    }

    /// Only jobs of this kind.
    #[must_use]
    pub fn kind(self, kind: Kind) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// Only jobs in one of these states.
    #[must_use]
    pub fn states(self, states: impl IntoIterator<Item = State>) -> Self {
        Self { states: states.into_iter().collect(), ..self }
    }

    /// Only jobs that were enqueued at least this long ago.
    #[must_use]
    pub fn older_than(self, age: Duration) -> Self {
        Self { older_than: Some(age), ..self }
    }

    /// Only jobs whose last error contains this text: see the field.
    #[must_use]
    pub fn error_like(self, text: impl Into<String>) -> Self {
        Self { error_like: Some(text.into()), ..self }
    }

    /// Only jobs of this batch.
    #[must_use]
    pub fn batch(self, name: impl Into<String>) -> Self {
        Self { batch: Some(name.into()), ..self }
    }

    /// The states that this filter chooses for an action, each once.
    ///
    /// # Errors
    /// The filter has no condition, it names a state that the action cannot change, or the action is out of its limits.
    pub fn states_for(&self, action: &BulkAction) -> Result<Vec<State>, InvalidBulk> {
        if *self == Self::default() {
            return Err(InvalidBulk::NoCondition);
        }
        if self.error_like.as_ref().is_some_and(String::is_empty) {
            return Err(InvalidBulk::NoText);
        }
        if let BulkAction::Place(place) = action {
            place.validate()?;
        }
        let allowed = action.allowed_states();
        if let Some(&state) = self.states.iter().find(|state| !allowed.contains(state)) {
            return Err(InvalidBulk::State { state, verb: action.verb(), allowed });
        }
        let given = if self.states.is_empty() { action.default_states() } else { &self.states };
        Ok(allowed.iter().copied().filter(|state| given.contains(state)).collect())
    }
}

/// How many jobs of one queue, kind and state a filter chooses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "columns")]
#[non_exhaustive]
pub struct BulkCount {
    pub queue: String,
    pub kind: String,
    pub state: State,
    pub count: u64,
}

impl BulkCount {
    /// A count, for the store.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(queue: String, kind: String, state: State, count: u64) -> Self {
        Self { queue, kind, state, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_needs_a_condition_and_states_that_fit() {
        let cancel = BulkAction::Cancel;
        assert_eq!(BulkFilter::default().states_for(&cancel), Err(InvalidBulk::NoCondition));
        let no_text = BulkFilter { error_like: Some(String::new()), ..BulkFilter::default() };
        assert_eq!(no_text.states_for(&cancel), Err(InvalidBulk::NoText));
        let of = |states: &[State]| BulkFilter { states: states.to_vec(), ..BulkFilter::default() };
        let error = of(&[State::Dead]).states_for(&cancel).expect_err("dead jobs have ended");
        assert_eq!(
            error.to_string(),
            "state is dead; cancel by filter takes jobs that are blocked, scheduled, queued or running"
        );
        assert_eq!(of(&[State::Queued, State::Queued]).states_for(&cancel), Ok(vec![State::Queued]));
        let slow = BulkFilter { kind: Some("slow".parse().expect("a kind")), ..BulkFilter::default() };
        assert_eq!(slow.states_for(&BulkAction::Retry), Ok(vec![State::Dead]), "retry chooses dead jobs");
        let high = BulkAction::Place(Place::Priority(101));
        assert!(matches!(slow.states_for(&high), Err(InvalidBulk::Action(_))));
    }
}
