//! The state machine as a table, generated from [`Lifecycle::apply`]. So the tables in documents cannot differ from the
//! code.

use crate::{
    id::{JobId, WorkerId},
    state::{Event, Lifecycle, State, Verb},
};
use std::{collections::BTreeSet, fmt};

/// Every transition, in the order of a job's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transitions(BTreeSet<(State, Verb, State)>);

impl Transitions {
    /// Tries every event on a job in every state, with attempts and crashes left and used up, and with and without a
    /// cancel request. A renewal and a cancel request leave a running job running, so they are no transitions.
    #[must_use]
    pub fn all() -> Self {
        let worker = WorkerId::new();
        let mut all = BTreeSet::new();
        for state in State::ALL {
            for (crashes, cancel_wanted) in [(0, false), (2, false), (0, true)] {
                let job = Lifecycle {
                    epoch: 1,
                    attempt: 1,
                    crashes,
                    cancel_wanted,
                    worker: Some(worker),
                    ..Lifecycle::new(JobId::new(), state, 3, 3)
                };
                for event in events(&job, worker) {
                    if let Ok(after) = job.apply(event)
                        && after.state != state
                    {
                        all.insert((state, event.verb(), after.state));
                    }
                }
            }
        }
        Self(all)
    }

    /// The transitions as `(from, verb, to)`.
    pub fn iter(&self) -> impl Iterator<Item = &(State, Verb, State)> {
        self.0.iter()
    }
}

fn events(job: &Lifecycle, worker: WorkerId) -> Vec<Event> {
    let mut events =
        vec![Event::Promote, Event::Unblock, Event::Claim(worker), Event::Expire, Event::Cancel, Event::Revive];
    events.extend([Event::GiveUp, Event::Replace { is_due: true }, Event::Replace { is_due: false }]);
    if let Some(fence) = job.fence() {
        let fenced =
            [Event::Complete, Event::Retry, Event::Snooze, Event::Release, Event::Bury, Event::CancelRun, Event::Renew];
        events.extend(fenced.map(|event| event(fence)));
    }
    events
}

impl fmt::Display for Transitions {
    /// One line for each pair of states: from, the verbs, to.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pairs: Vec<((State, State), Vec<&str>)> = Vec::new();
        for (from, verb, to) in &self.0 {
            let verb = verb.as_str();
            match pairs.iter_mut().find(|(pair, _)| *pair == (*from, *to)) {
                Some((_, verbs)) => verbs.push(verb),
                None => pairs.push(((*from, *to), vec![verb])),
            }
        }
        pairs.sort_by_key(|(pair, _)| *pair);
        let enqueued = (String::new(), "enqueue".to_owned(), "blocked, scheduled or queued".to_owned());
        let rest = pairs.into_iter().map(|((from, to), verbs)| (from.to_string(), verbs.join(", "), to.to_string()));
        for (from, verbs, to) in std::iter::once(enqueued).chain(rest) {
            writeln!(f, "{from:>9} ── {verbs} ─▶ {to}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_a_final_state_but_a_revive() {
        let all = Transitions::all();
        assert!(all.iter().filter(|(from, ..)| from.is_final()).all(|(_, verb, _)| *verb == Verb::Revive));
        assert!(all.iter().any(|transition| *transition == (State::Running, Verb::Expire, State::Dead)));
        assert!(all.iter().any(|transition| *transition == (State::Running, Verb::Expire, State::Cancelled)));
    }
}
