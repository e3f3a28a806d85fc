//! Where the live jobs begin, as far as this reaper knows.
//!
//! A survey finds out, and walks over all that is dead for it. Where PostgreSQL may clear that away it takes next to nothing,
//! and is made at every tick. Where it may not, since a transaction stays open, each survey takes longer than the one before:
//! then it goes on beside the ticks, takes a fiftieth of the time, and in between what is read says how far things moved.

use crate::error::Error;
use chrono::{DateTime, TimeDelta, Utc};
use leasehold_core::QueueName;
use leasehold_store::{Authority, LineSummary, Stretch, Survey};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

/// A survey that takes no longer costs no more than the ticks do.
const QUICK: Duration = Duration::from_millis(10);
/// Of what takes longer: so many times as long nothing is surveyed.
const RESTS: u32 = 50;
/// After that, things that came before what was known to be the first of them are found at last.
const REST_AT_MOST: Duration = Duration::from_secs(300);
/// So long a tick waits for a survey, if it knows of an earlier one; and if it does not.
const WAIT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// A transaction that began so long ago may still put something in at the time when it began.
const COMMITS_WITHIN: TimeDelta = TimeDelta::milliseconds(250);
/// From here on a person should know why things slow down.
const WORTH_A_WORD: Duration = Duration::from_secs(2);

/// How long after a survey the next one is made. Zero: at once, what it found need not be remembered.
pub(crate) fn rest_after(took: Duration) -> Duration {
    (took.saturating_sub(QUICK) * RESTS).min(REST_AT_MOST)
}

/// The surveys of one reaper.
#[derive(Default)]
pub(crate) struct Surveys {
    known: Option<Survey>,
    under_way: Option<AbortOnDropHandle<Result<Survey, leasehold_store::Error>>>,
    /// How long the last one took, and the one before: only two that took long tell of dead rows, one may have been held up.
    took: [Duration; 2],
    rests_until: Option<Instant>,
}

impl Surveys {
    /// Looks again, if it is time. What was known stays known until there is an answer.
    pub(crate) async fn look(&mut self, store: &Arc<dyn Authority>) -> Result<(), Error> {
        let now = Instant::now();
        if self.under_way.is_none() && self.rests_until.is_none_or(|until| now >= until) {
            let store = Arc::clone(store);
            self.under_way = Some(AbortOnDropHandle::new(tokio::spawn(async move { store.survey(None).await })));
        }
        if let Some(survey) = &mut self.under_way {
            let wait = if self.known.is_some() { WAIT.0 } else { WAIT.1 };
            if let Ok(ended) = timeout(wait, survey).await {
                self.under_way = None;
                self.learn(ended.map_err(|_| Error::NotSurveyed)??);
            }
        }
        if self.is_slow() {
            let paused: BTreeSet<QueueName> = store.paused().await?.into_iter().collect();
            self.lines_mut().for_each(|line| line.paused = paused.contains(&line.queue));
        }
        Ok(())
    }

    fn learn(&mut self, mut survey: Survey) {
        self.took = [survey.took, self.took[0]];
        self.rests_until = Some(Instant::now() + rest_after(self.took[0].min(self.took[1])));
        if let (true, Some(known)) = (self.is_slow(), self.known.take()) {
            remember(&mut survey, known);
        }
        self.known = Some(survey);
    }

    /// PostgreSQL was away, and may be another server with another clock now.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Whether what is known is from a while ago, and has to be moved on by whoever reads on from it.
    pub(crate) fn is_slow(&self) -> bool {
        self.took[0] > QUICK
    }

    /// What a person should know of it.
    pub(crate) fn complaint(&self) -> Option<String> {
        let took = self.took[0].min(self.took[1]);
        (took >= WORTH_A_WORD).then(|| {
            format!(
                "to find the first live jobs took {:.1} s: PostgreSQL keeps dead rows; look for a transaction that is open \
                 since long, a prepared one, or a replication slot that nobody reads",
                took.as_secs_f64()
            )
        })
    }

    /// The lines as they are known.
    pub(crate) fn lines(&self) -> Result<&[LineSummary], Error> {
        self.known.as_ref().map(|survey| &*survey.lines).ok_or(Error::NotSurveyed)
    }

    fn lines_mut(&mut self) -> impl Iterator<Item = &mut LineSummary> {
        self.known.iter_mut().flat_map(|survey| &mut survey.lines)
    }

    /// Some stretches of a line begin there by now.
    pub(crate) fn moved(&mut self, queue: &QueueName, stretches: Vec<Stretch>) {
        if let Some(line) = self.lines_mut().find(|line| &line.queue == queue) {
            move_on(&mut line.stretches, stretches);
        }
    }

    /// No lease ends before.
    pub(crate) fn leases_begin(&self) -> Option<DateTime<Utc>> {
        self.known.as_ref()?.leases_begin
    }

    /// Nothing is due before.
    pub(crate) fn schedule_begins(&self) -> Option<DateTime<Utc>> {
        self.known.as_ref()?.schedule_begins
    }

    /// All leases that had run out at that time are ended.
    pub(crate) fn expired_until(&mut self, time: DateTime<Utc>) {
        if let Some(survey) = &mut self.known {
            survey.leases_begin = Some(time - COMMITS_WITHIN);
        }
    }

    /// All that was due at that time is in the line.
    pub(crate) fn promoted_until(&mut self, time: DateTime<Utc>) {
        if let Some(survey) = &mut self.known {
            survey.schedule_begins = Some(time - COMMITS_WITHIN);
        }
    }
}

/// Some of `stretches` begin elsewhere by now.
pub(crate) fn move_on(stretches: &mut [Stretch], moved: Vec<Stretch>) {
    for Stretch { kind, priority, begins } in moved {
        if let Some(stretch) = stretches.iter_mut().find(|one| one.kind == kind && one.priority == priority) {
            stretch.begins = begins;
        }
    }
}

/// What a survey did not find, because it had no job just then, is read on from where it was known to begin.
fn remember(survey: &mut Survey, known: Survey) {
    for line in known.lines {
        let Some(found) = survey.lines.iter_mut().find(|found| found.queue == line.queue) else {
            survey.lines.push(line);
            continue;
        };
        for stretch in line.stretches {
            if !found.stretches.iter().any(|one| one.kind == stretch.kind && one.priority == stretch.priority) {
                found.stretches.push(stretch);
            }
        }
        found.stretches.sort_by(|a, b| a.kind.cmp(&b.kind).then(b.priority.cmp(&a.priority)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(second: i64) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(second, 0)
    }

    fn stretch(kind: &str, priority: i16, begins: i64) -> Stretch {
        Stretch { kind: kind.parse().expect("a kind"), priority, begins: time(begins) }
    }

    fn survey(took: Duration, lines: &[(&str, &[Stretch])]) -> Survey {
        let line = |(queue, stretches): &(&str, &[Stretch])| LineSummary {
            queue: queue.parse().expect("a name"),
            paused: false,
            stretches: stretches.to_vec(),
        };
        let lines = lines.iter().map(line).collect();
        Survey { at: time(9).expect("a time"), lines, leases_begin: time(9), schedule_begins: time(9), took }
    }

    #[test]
    fn the_longer_a_survey_takes_the_longer_is_the_rest() {
        assert_eq!(rest_after(Duration::from_millis(9)), Duration::ZERO);
        assert_eq!(rest_after(Duration::from_millis(110)), Duration::from_secs(5));
        assert_eq!(rest_after(Duration::from_secs(3600)), REST_AT_MOST);
    }

    #[test]
    fn one_that_was_held_up_is_made_again_at_once() {
        let mut surveys = Surveys::default();
        for (seconds, rests) in [(0, false), (9, false), (0, false), (9, false), (9, true), (0, false)] {
            surveys.learn(survey(Duration::from_secs(seconds), &[]));
            assert_eq!(surveys.rests_until.is_some_and(|until| until > Instant::now()), rests, "{seconds} s");
        }
    }

    #[test]
    fn what_is_known_of_a_stretch_outlives_a_slow_survey_that_found_it_empty() {
        let queue: QueueName = "q".parse().expect("a name");
        let mut surveys = Surveys::default();
        let slow = Duration::from_secs(1);
        let r = [stretch("a", 0, 1)];
        surveys.learn(survey(slow, &[("q", &[stretch("a", 0, 1), stretch("b", 5, 2)]), ("r", &r)]));
        surveys.moved(&queue, vec![stretch("b", 5, 7), stretch("other", 0, 3)]);
        surveys.learn(survey(slow, &[("q", &[stretch("a", 0, 3), stretch("b", 0, 4)])]));
        let q = [stretch("a", 0, 3), stretch("b", 5, 7), stretch("b", 0, 4)];
        assert_eq!(surveys.lines().expect("known"), survey(slow, &[("q", &q), ("r", &r)]).lines);
        assert!(surveys.rests_until.is_some_and(|until| until > Instant::now() + slow));
        let quick = survey(QUICK, &[("q", &[stretch("a", 0, 4)])]);
        surveys.learn(quick.clone());
        assert_eq!(surveys.lines().expect("known"), quick.lines);
    }
}
