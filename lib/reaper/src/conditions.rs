//! What is wrong at the moment, so that the log speaks when that changes and is silent in between.

use std::collections::BTreeMap;

/// Conditions by name, with the reason each holds.
#[derive(Debug, Default)]
pub(crate) struct Conditions(BTreeMap<&'static str, String>);

/// What a reader of the log has to be told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Began,
    Ended,
    None,
}

impl Conditions {
    /// Takes note of how `what` is now, and says whether it was otherwise before. The reason may vary
    /// while the condition holds: that is no news.
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

    /// Notes it and writes the log line, if there is one to write.
    pub(crate) fn log(&mut self, what: &'static str, wrong: Option<&str>) {
        match self.note(what, wrong) {
            Change::Began => tracing::warn!(what, reason = wrong.unwrap_or_default(), "{what} is unavailable"),
            Change::Ended => tracing::info!(what, "{what}: well again"),
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
