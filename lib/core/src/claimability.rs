//! Whether a job may be claimed, and why not: the rules of a claim as a closed set.

use crate::state::State;
use std::str::FromStr;

/// Whether a worker may claim a job. PostgreSQL has the same rules in `sql/parts/claimable.sql` and `sql/look.sql`; a
/// test of the store compares both. If a claim did not get a claimable job, another transaction has locked the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Claimability {
    /// The job may be claimed.
    Claimable,
    /// The job may be claimed. Its lease has run out before, so a worker runs only a few such jobs at the same time.
    Crashed,
    /// The job may be claimed. One more crash ends the job, so a worker runs only one such job at a time.
    InDanger,
    /// The queue of the job is paused, or its kind is paused there.
    Paused,
    /// The time in which the job may begin has passed. A reaper ends the job.
    Overdue,
    /// The worker has no handler for the kind of the job.
    Foreign,
    /// Another job with the same unique key has begun, and of these jobs only one may run.
    KeyHeld,
    /// The job is in the line and has limit keys. A claim takes it if each key has room and a token.
    Limited,
    /// A limit key of the job has no room. The job waits behind the line.
    KeyFull,
    /// The job waits behind the line, in the lane of its fair key.
    Parked,
    /// The job is not in the line: it is blocked, scheduled or running.
    NotQueued,
    /// The job has ended, or there is no such job.
    Finished,
}

impl Claimability {
    /// All values.
    pub const ALL: [Self; 12] = [
        Self::Claimable,
        Self::Crashed,
        Self::InDanger,
        Self::Paused,
        Self::Overdue,
        Self::Foreign,
        Self::KeyHeld,
        Self::Limited,
        Self::KeyFull,
        Self::Parked,
        Self::NotQueued,
        Self::Finished,
    ];

    /// Applies the rules to one job and one worker.
    #[must_use]
    pub const fn of(state: State, is_paused: bool, is_served: bool, crashes: i16, max_crashes: i16) -> Self {
        match state {
            State::Succeeded | State::Dead | State::Cancelled => Self::Finished,
            State::Blocked | State::Scheduled | State::Running => Self::NotQueued,
            State::Queued if is_paused => Self::Paused,
            State::Queued if !is_served => Self::Foreign,
            State::Queued if crashes == 0 => Self::Claimable,
            State::Queued if crashes + 1 >= max_crashes => Self::InDanger,
            State::Queued => Self::Crashed,
        }
    }

    /// The same for a job whose time may have passed, or whose unique key another job may hold in its second place.
    #[must_use]
    pub const fn but(self, is_overdue: bool, is_key_held: bool) -> Self {
        match self {
            Self::Claimable | Self::Crashed | Self::InDanger | Self::Foreign if is_overdue => Self::Overdue,
            Self::Claimable | Self::Crashed | Self::InDanger if is_key_held => Self::KeyHeld,
            other => other,
        }
    }

    /// The same for a job with limit keys.
    #[must_use]
    pub const fn limited(self, has_limit_keys: bool, has_room: bool) -> Self {
        match self {
            Self::Claimable | Self::Crashed | Self::InDanger if has_limit_keys && !has_room => Self::KeyFull,
            Self::Claimable | Self::Crashed | Self::InDanger if has_limit_keys => Self::Limited,
            other => other,
        }
    }

    /// Whether a claim may take the job, unless another transaction has locked the job.
    #[must_use]
    pub const fn may_be_claimed(self) -> bool {
        matches!(self, Self::Claimable | Self::Crashed | Self::InDanger | Self::Limited)
    }

    /// The name used in SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claimable => "claimable",
            Self::Crashed => "crashed",
            Self::InDanger => "in_danger",
            Self::Paused => "paused",
            Self::Overdue => "overdue",
            Self::Foreign => "foreign",
            Self::KeyHeld => "key_held",
            Self::Limited => "limited",
            Self::KeyFull => "key_full",
            Self::Parked => "parked",
            Self::NotQueued => "not_queued",
            Self::Finished => "finished",
        }
    }
}

impl FromStr for Claimability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|one| one.as_str() == text);
        named.ok_or_else(|| format!("{text:?} does not say whether a job may be claimed"))
    }
}
