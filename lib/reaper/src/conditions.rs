//! The conditions that hold now. The log says when a condition begins and when it ends, and nothing in between.

use std::collections::BTreeMap;

/// Something that an operator wants to know about while it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Condition {
    /// A store does not answer, or takes no writes.
    StoreUnavailable(&'static str),
    /// PostgreSQL answers, and another transaction has locked a table of the reaper.
    Locked,
    /// A step fails.
    StepFails(&'static str),
    /// The heads in Redis cannot be read.
    HeadsUnreadable,
    /// PostgreSQL does not take the note that leases may expire.
    WatchNotKept,
    /// Surveys take long because PostgreSQL keeps dead rows.
    SlowSurveys,
}

impl Condition {
    /// The field `what` of the log lines.
    const fn name(self) -> &'static str {
        match self {
            Self::StoreUnavailable(name) | Self::StepFails(name) => name,
            Self::Locked => "locks",
            Self::HeadsUnreadable => "heads",
            Self::WatchNotKept => "watch",
            Self::SlowSurveys => "dead rows",
        }
    }

    /// What the log says when the condition begins, and when it ends.
    fn texts(self) -> [String; 2] {
        match self {
            Self::StoreUnavailable(store) => [format!("{store} is unavailable"), format!("{store} is available again")],
            Self::Locked => [
                "PostgreSQL answers, but another transaction has locked a table: the reaper waits".to_owned(),
                "the lock is gone: the reaper works again".to_owned(),
            ],
            Self::StepFails(step) => [format!("the step {step} fails"), format!("the step {step} works again")],
            Self::HeadsUnreadable => {
                ["the heads in Redis cannot be read".to_owned(), "the heads in Redis can be read again".to_owned()]
            }
            Self::WatchNotKept => [
                "PostgreSQL does not record that leases may expire; a reaper that starts now waits for one lease"
                    .to_owned(),
                "PostgreSQL records again that leases may expire".to_owned(),
            ],
            Self::SlowSurveys => {
                ["surveys of the lines are slow".to_owned(), "surveys of the lines are fast again".to_owned()]
            }
        }
    }
}

/// The conditions that hold, each with its reason.
#[derive(Debug, Default)]
pub(crate) struct Conditions(BTreeMap<Condition, String>);

/// The change that the log reports.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Began,
    Ended,
    None,
}

impl Conditions {
    /// Notes whether the condition holds now, and returns what changed. A new reason for a condition that already holds is
    /// not reported.
    pub(crate) fn note(&mut self, what: Condition, wrong: Option<&str>) -> Change {
        match (self.0.contains_key(&what), wrong) {
            (false, Some(reason)) => {
                self.0.insert(what, reason.to_owned());
                Change::Began
            }
            (true, None) => {
                self.0.remove(&what);
                Change::Ended
            }
            _ => Change::None,
        }
    }

    /// Whether the condition holds.
    #[cfg(test)]
    pub(crate) fn holds(&self, what: Condition) -> bool {
        self.0.contains_key(&what)
    }

    /// Notes the condition, and writes a log line if it began or ended.
    pub(crate) fn log(&mut self, what: Condition, wrong: Option<&str>) {
        match (self.note(what, wrong), what.texts()) {
            (Change::Began, [begins, _]) => {
                tracing::warn!(what = what.name(), reason = wrong.unwrap_or_default(), "{begins}")
            }
            (Change::Ended, [_, ends]) => tracing::info!(what = what.name(), "{ends}"),
            (Change::None, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_is_news() {
        let (mut conditions, postgres) = (Conditions::default(), Condition::StoreUnavailable("PostgreSQL"));
        assert_eq!(conditions.note(postgres, None), Change::None);
        assert_eq!(conditions.note(postgres, Some("refused")), Change::Began);
        assert_eq!(conditions.note(postgres, Some("timed out")), Change::None);
        assert_eq!(conditions.note(postgres, None), Change::Ended);
    }
}
