//! The conditions that hold now. The log says when a condition begins and when it ends, and nothing in between.

use std::collections::BTreeMap;

/// The conditions that hold, by name, each with its reason.
#[derive(Debug, Default)]
pub(crate) struct Conditions(BTreeMap<&'static str, String>);

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
    pub(crate) fn note(&mut self, what: &'static str, wrong: Option<&str>) -> Change {
        match (self.0.contains_key(what), wrong) {
            (false, Some(reason)) => {
                self.0.insert(what, reason.to_owned());
                Change::Began
            }
            (true, None) => {
                self.0.remove(what);
                Change::Ended
            }
            _ => Change::None,
        }
    }

    /// Notes the condition, and writes a log line if it began or ended.
    pub(crate) fn log(&mut self, what: &'static str, wrong: Option<&str>) {
        match self.note(what, wrong) {
            Change::Began => tracing::warn!(what, reason = wrong.unwrap_or_default(), "{what} is unavailable"),
            Change::Ended => tracing::info!(what, "{what} is available again"),
            Change::None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_is_news() {
        let mut conditions = Conditions::default();
        assert_eq!(conditions.note("PostgreSQL", None), Change::None);
        assert_eq!(conditions.note("PostgreSQL", Some("refused")), Change::Began);
        assert_eq!(conditions.note("PostgreSQL", Some("timed out")), Change::None);
        assert_eq!(conditions.note("PostgreSQL", None), Change::Ended);
    }
}
