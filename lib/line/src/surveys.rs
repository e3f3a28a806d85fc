//! Where the lines begin, as far as this reaper knows, and which lines have changed.
//!
//! A survey finds out where each line begins. For this, it must walk over all dead rows. While PostgreSQL can remove
//! dead rows, the lines of all queues are surveyed once. From then on, whenever any transaction has ended, the lines
//! are compared slice by slice with their last state (`slices.rs`), and only changed slices are surveyed again. While a
//! transaction stays open, PostgreSQL cannot remove dead rows, and each survey takes longer than the one before. Then
//! surveys run in parallel with the ticks, for at most a fiftieth of the time. Between two surveys, each read of a
//! line reports how far its start has moved, and every line counts as changed.

use crate::{
    error::Error,
    slices::{CHANGED_A_TICK, JOBS, SliceLook, Slices},
};
use chrono::{DateTime, TimeDelta, Utc};
use leasehold_core::{Kind, QueueName};
use leasehold_ports::{Fingerprint, Fingerprints, LineChanges, LineSummary, Slice, Stretch, Survey};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

/// A survey that takes no longer than this is quick: it costs no more than a tick.
const QUICK: Duration = Duration::from_millis(10);
/// Added to [`QUICK`] for each row that was found: several times the time for a row on an idle machine.
const QUICK_FOR_EACH: Duration = Duration::from_micros(50);
/// The same for each job that is compared.
const QUICK_FOR_EACH_JOB: Duration = Duration::from_micros(5);
/// The pause after a survey that is not quick, as a multiple of its time above [`QUICK`].
const RESTS: u32 = 50;
/// The longest pause. A job before the known start of its line is found after this time at the latest.
const REST_AT_MOST: Duration = Duration::from_secs(300);
/// Survey timeout of a tick: with, and without, the result of an earlier survey.
const WAIT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// A transaction that is open for this long may still commit a job with the time at which the transaction began.
const COMMITS_WITHIN: TimeDelta = TimeDelta::milliseconds(250);
/// A survey that takes this long is logged: an operator should know why the fleet becomes slow.
const WORTH_A_WORD: Duration = Duration::from_secs(2);

/// The pause between a survey and the next one. Zero: the next survey may run immediately, and the result need not be
/// cached.
#[must_use]
pub fn rest_after(took: Duration) -> Duration {
    (took.saturating_sub(QUICK) * RESTS).min(REST_AT_MOST)
}

/// How much longer a survey took than it takes without dead rows.
fn delay(took: Duration, things: usize, each: Duration) -> Duration {
    took.saturating_sub(each * u32::try_from(things).unwrap_or(u32::MAX))
}

/// The surveys of one reaper.
#[derive(Debug, Default)]
pub struct Surveys {
    lines: Option<BTreeMap<QueueName, LineSummary>>,
    leases_scan_start: Option<DateTime<Utc>>,
    schedule_scan_start: Option<DateTime<Utc>>,
    /// Empty while surveys are slow.
    slices: Slices,
    paused: BTreeSet<QueueName>,
    paused_kinds: BTreeSet<(QueueName, Kind)>,
    /// Queues in which kinds were paused or resumed since the last call that took this set.
    kinds_changed: BTreeSet<QueueName>,
    /// The snapshot at which the pauses were read.
    paused_seen: Option<Fingerprint>,
    /// Queues whose lines or pauses may have changed since the last call that took this set.
    changed: BTreeSet<QueueName>,
    under_way: Option<AbortOnDropHandle<Result<Survey, leasehold_ports::Error>>>,
    /// By how much the last two surveys took longer than without dead rows. One slow survey may be chance; two slow
    /// surveys in a row mean dead rows.
    took: [Duration; 2],
    rests_until: Option<Instant>,
}

impl Surveys {
    /// Surveys again if something may have changed and the pause has ended. The earlier result stays valid until there
    /// is a new one. `snapshot` says which transactions had ended at the start.
    ///
    /// # Errors
    /// PostgreSQL does not answer, or the first survey is still in progress.
    pub async fn look(&mut self, store: &Arc<dyn LineChanges>, snapshot: Option<&str>) -> Result<(), Error> {
        match snapshot {
            Some(snapshot) if !self.slices.is_empty() => self.look_by_slices(&**store, snapshot).await,
            _ => self.look_at_all(store).await,
        }
    }

    async fn look_by_slices(&mut self, store: &dyn LineChanges, snapshot: &str) -> Result<(), Error> {
        if self.slices.are_verified(snapshot) {
            return Ok(());
        }
        let (range, asked) = self.slices.next(snapshot);
        let Fingerprints { slices: seen, paused, leases_scan_start, schedule_scan_start, took } =
            store.fingerprint(&asked, JOBS).await?;
        (self.leases_scan_start, self.schedule_scan_start) = (leases_scan_start, schedule_scan_start);
        let jobs = seen.iter().map(|seen| usize::try_from(seen.count).unwrap_or_default()).sum();
        self.took = [delay(delay(took, seen.len(), QUICK_FOR_EACH), jobs, QUICK_FOR_EACH_JOB), self.took[0]];
        if self.took.iter().all(|took| *took > QUICK) {
            // There are dead rows: the next survey covers all lines and runs in parallel with the ticks.
            self.slices = Slices::default();
        }
        if self.paused_seen != Some(paused) {
            self.learn_pauses(store).await?;
            self.paused_seen = Some(paused);
        }
        if self.slices.is_empty() {
            return Ok(());
        }
        let changed = range.clone().zip(seen).filter(|(nth, seen)| self.slices.has_changed(*nth, *seen));
        let changed: Vec<(usize, Fingerprint)> = changed.take(CHANGED_A_TICK).collect();
        let end = match changed.last() {
            Some((last, _)) if changed.len() == CHANGED_A_TICK => last + 1,
            _ => range.end,
        };
        let looked = if changed.is_empty() {
            Vec::new()
        } else {
            let slices: Vec<Slice> = changed.iter().map(|(nth, _)| asked[nth - range.start].clone()).collect();
            let lines = store.survey_slices(&slices).await?;
            changed.into_iter().zip(lines).map(|((nth, seen), lines)| SliceLook { nth, seen, lines }).collect()
        };
        self.learn_slices(looked, end);
        Ok(())
    }

    fn learn_slices(&mut self, looked: Vec<SliceLook>, end: usize) {
        let before = self.slices.learn(&looked, end);
        self.slices.end_round();
        let lines = self.lines.get_or_insert_default();
        for queue in before {
            lines.remove(&queue);
            self.changed.insert(queue);
        }
        for line in looked.into_iter().flat_map(|looked| looked.lines) {
            self.changed.insert(line.queue.clone());
            lines.insert(line.queue.clone(), line);
        }
    }

    async fn look_at_all(&mut self, store: &Arc<dyn LineChanges>) -> Result<(), Error> {
        let now = Instant::now();
        if self.under_way.is_none() && self.rests_until.is_none_or(|until| now >= until) {
            let store = Arc::clone(store);
            self.under_way = Some(AbortOnDropHandle::new(tokio::spawn(async move { store.survey(None).await })));
        }
        if let Some(survey) = &mut self.under_way {
            let wait = if self.lines.is_some() { WAIT.0 } else { WAIT.1 };
            if let Ok(ended) = timeout(wait, survey).await {
                self.under_way = None;
                self.learn(ended.map_err(|_| Error::NotSurveyed)??);
            }
        }
        self.learn_pauses(&**store).await?;
        self.paused_seen = None;
        self.all_changed();
        Ok(())
    }

    fn learn(&mut self, survey: Survey) {
        let stretches = survey.lines.iter().map(|line| line.stretches.len()).sum();
        let took = delay(survey.took, stretches, QUICK_FOR_EACH);
        self.took = [took, self.took[0]];
        self.rests_until = Some(Instant::now() + rest_after(took.min(self.took[1])));
        self.slices = if self.is_slow() { Slices::default() } else { Slices::of(&survey.lines) };
        (self.leases_scan_start, self.schedule_scan_start) = (survey.leases_scan_start, survey.schedule_scan_start);
        let known = self.lines.take();
        let mut lines: BTreeMap<QueueName, LineSummary> =
            survey.lines.into_iter().map(|line| (line.queue.clone(), line)).collect();
        if let (true, Some(known)) = (self.is_slow(), known) {
            remember(&mut lines, known);
        }
        self.lines = Some(lines);
    }

    async fn learn_pauses(&mut self, store: &dyn LineChanges) -> Result<(), Error> {
        let paused: BTreeSet<QueueName> = store.paused().await?.into_iter().collect();
        let paused_kinds: BTreeSet<(QueueName, Kind)> = store.paused_kinds(None).await?.into_iter().collect();
        for (queue, _) in self.paused_kinds.symmetric_difference(&paused_kinds) {
            self.changed.insert(queue.clone());
            self.kinds_changed.insert(queue.clone());
        }
        self.paused_kinds = paused_kinds;
        for queue in self.paused.symmetric_difference(&paused) {
            self.changed.insert(queue.clone());
        }
        for line in self.lines.iter_mut().flat_map(BTreeMap::values_mut) {
            line.paused = paused.contains(&line.queue);
        }
        self.paused = paused;
        Ok(())
    }

    /// Every line must be compared with its head.
    pub fn all_changed(&mut self) {
        self.changed.extend(self.lines.iter().flat_map(BTreeMap::keys).cloned());
    }

    /// The queues in which something may have changed.
    #[must_use]
    pub const fn changed(&self) -> &BTreeSet<QueueName> {
        &self.changed
    }

    /// The same set, once: it is empty afterwards.
    #[must_use]
    pub fn take_changed(&mut self) -> BTreeSet<QueueName> {
        std::mem::take(&mut self.changed)
    }

    /// Takes the queues in which kinds were paused or resumed: the set is empty afterwards. Redis may lack hints of
    /// these kinds, because workers forget the hints that a pause refuses.
    #[must_use]
    pub fn take_kinds_changed(&mut self) -> BTreeSet<QueueName> {
        std::mem::take(&mut self.kinds_changed)
    }

    /// The paused queues.
    #[must_use]
    pub const fn paused(&self) -> &BTreeSet<QueueName> {
        &self.paused
    }

    /// PostgreSQL was unavailable. It may now be another server with another clock.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Whether the known scan starts are old, so that each reader must report how far they have moved.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        self.took[0] > QUICK && self.slices.is_empty()
    }

    /// The message for an operator about slow surveys, if there is one.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let took = self.took[0].min(self.took[1]);
        (took >= WORTH_A_WORD).then(|| {
            format!(
                "finding the first live jobs took {:.1} s, because PostgreSQL keeps dead rows: search for a transaction that \
                 has been open for long, a prepared transaction, or a replication slot without a reader",
                took.as_secs_f64()
            )
        })
    }

    /// The known lines.
    ///
    /// # Errors
    /// The first survey is still in progress.
    pub fn lines(&self) -> Result<&BTreeMap<QueueName, LineSummary>, Error> {
        self.lines.as_ref().ok_or(Error::NotSurveyed)
    }

    /// Stores the current scan starts of some stretches of a line.
    pub fn moved(&mut self, queue: &QueueName, stretches: Vec<Stretch>) {
        if let Some(line) = self.lines.as_mut().and_then(|lines| lines.get_mut(queue)) {
            move_on(&mut line.stretches, stretches);
        }
    }

    /// No lease ends before this time.
    #[must_use]
    pub const fn leases_scan_start(&self) -> Option<DateTime<Utc>> {
        self.leases_scan_start
    }

    /// No scheduled job is due before this time.
    #[must_use]
    pub const fn schedule_scan_start(&self) -> Option<DateTime<Utc>> {
        self.schedule_scan_start
    }

    /// All leases that had run out at this time are ended.
    pub fn expired_until(&mut self, time: DateTime<Utc>) {
        if self.lines.is_some() {
            self.leases_scan_start = Some(time - COMMITS_WITHIN);
        }
    }

    /// All jobs that were due at this time are in the line.
    pub fn promoted_until(&mut self, time: DateTime<Utc>) {
        if self.lines.is_some() {
            self.schedule_scan_start = Some(time - COMMITS_WITHIN);
        }
    }
}

/// Some of `stretches` have new scan starts.
pub(crate) fn move_on(stretches: &mut [Stretch], moved: Vec<Stretch>) {
    for Stretch { kind, scan_start } in moved {
        if let Some(stretch) = stretches.iter_mut().find(|one| one.kind == kind) {
            stretch.scan_start = scan_start;
        }
    }
}

/// A stretch that the survey did not find, because it had no job at that time, keeps its earlier scan start.
fn remember(lines: &mut BTreeMap<QueueName, LineSummary>, known: BTreeMap<QueueName, LineSummary>) {
    for (queue, line) in known {
        let Some(found) = lines.get_mut(&queue) else {
            lines.insert(queue, line);
            continue;
        };
        for stretch in line.stretches {
            if !found.stretches.iter().any(|one| one.kind == stretch.kind) {
                found.stretches.push(stretch);
            }
        }
        found.stretches.sort_by(|a, b| a.kind.cmp(&b.kind));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(second: i64) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(second, 0)
    }

    fn stretch(kind: &str, start: i64) -> Stretch {
        Stretch { kind: kind.parse().expect("a kind"), scan_start: time(start) }
    }

    fn survey(took: Duration, lines: &[(&str, &[Stretch])]) -> Survey {
        let line = |(queue, stretches): &(&str, &[Stretch])| LineSummary {
            queue: queue.parse().expect("a name"),
            paused: false,
            stretches: stretches.to_vec(),
        };
        let lines = lines.iter().map(line).collect();
        Survey { at: time(9).expect("a time"), lines, leases_scan_start: time(9), schedule_scan_start: time(9), took }
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
        let r = [stretch("a", 1)];
        surveys.learn(survey(slow, &[("q", &[stretch("a", 1), stretch("b", 2)]), ("r", &r)]));
        surveys.moved(&queue, vec![stretch("b", 7), stretch("other", 3)]);
        surveys.learn(survey(slow, &[("q", &[stretch("a", 3)])]));
        let q = [stretch("a", 3), stretch("b", 7)];
        let known = |surveys: &Surveys| surveys.lines().expect("known").values().cloned().collect::<Vec<_>>();
        assert_eq!(known(&surveys), survey(slow, &[("q", &q), ("r", &r)]).lines);
        assert!(surveys.rests_until.is_some_and(|until| until > Instant::now() + slow));
        let quick = survey(QUICK, &[("q", &[stretch("a", 4)])]);
        surveys.learn(quick.clone());
        assert_eq!(known(&surveys), quick.lines);
    }
}
