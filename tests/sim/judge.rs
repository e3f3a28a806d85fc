//! Judges a run by the journal, the rows and the reports of the handlers. The judge does not trust the store.

use crate::{
    fleet::{Fleet, Stopped},
    work::{TOLD_TO_STOP, follow_on_id, short},
    world::{BEAT, BEAT_PAYLOAD},
};
use chrono::{DateTime, Utc};
use leasehold_core::{Event, Fence, JobId, Kind, Lifecycle, ParentFailure, QueueName, Settled, State, Verb};
use leasehold_tests::{Change, Entry, Rows};
use std::collections::{BTreeMap, BTreeSet};

/// The state of a job while its history is read.
#[derive(Debug)]
struct Story {
    life: Lifecycle,
    queue: QueueName,
    kind: Kind,
    unique_key: Option<String>,
    lease_until: Option<DateTime<Utc>>,
    /// Runs that ended with a result.
    results: Vec<Fence>,
    /// Each claim's fence.
    claims: BTreeSet<Fence>,
    expired: i16,
    cancel_answered: bool,
}

/// Reads a journal.
#[derive(Debug, Default)]
struct Reader {
    stories: BTreeMap<JobId, Story>,
    paused: BTreeSet<QueueName>,
    paused_kinds: BTreeSet<(QueueName, Kind)>,
    /// The parents of each job, and what happens when one of them fails.
    parents: BTreeMap<JobId, (Vec<JobId>, ParentFailure)>,
    /// The limit keys of each job, and how many runs each key allows.
    limit_keys: BTreeMap<JobId, Vec<String>>,
    limits: BTreeMap<String, usize>,
    accepted: BTreeSet<Fence>,
    wrong: Vec<String>,
    seen: BTreeMap<String, u64>,
}

/// The errors of a run, and the events that it showed.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) wrong: Vec<String>,
    pub(crate) seen: BTreeMap<String, u64>,
}

/// Judges a run that has ended.
pub(crate) fn judge(
    fleet: &Fleet,
    acknowledged: &BTreeSet<JobId>,
    begun: &[Fence],
    followed: &BTreeSet<JobId>,
) -> Verdict {
    let rows = fleet.store.rows();
    let mut reader = Reader::default();
    for (id, row) in rows.live.iter().chain(&rows.history).filter(|(_, row)| !row.job.depends_on.is_empty()) {
        reader.parents.insert(*id, (row.job.depends_on.clone(), row.job.on_parent_failure));
    }
    for (id, row) in rows.live.iter().chain(&rows.history).filter(|(_, row)| !row.job.limit_keys.is_empty()) {
        reader.limit_keys.insert(*id, row.job.limit_keys.clone());
        for key in &row.job.limit_keys {
            let most = rows.limits.of(key).and_then(|limit| limit.running);
            reader.limits.extend(most.map(|most| (key.clone(), most)));
        }
    }
    for entry in &rows.journal {
        reader.read(entry);
    }
    reader.ends(&rows, acknowledged);
    reader.ticks(&rows);
    reader.follow_on(&rows, begun, followed);
    reader.runs(begun);
    for stopped in fleet.stopped().iter() {
        reader.stop(stopped);
    }
    let Reader { wrong, seen, .. } = reader;
    Verdict { wrong, seen }
}

impl Reader {
    fn wrong(&mut self, what: String) {
        self.wrong.push(what);
    }

    fn saw(&mut self, what: impl Into<String>) {
        *self.seen.entry(what.into()).or_default() += 1;
    }

    fn read(&mut self, entry: &Entry) {
        match &entry.change {
            Change::Enqueued { job, queue, kind, unique_key } => {
                self.enqueued(*job, queue, kind, unique_key.as_ref());
            }
            Change::Moved { event, before, after, lease } => {
                self.moved(entry.at, *event, before, after);
                let story = self.stories.get_mut(&before.id);
                if let (Some(lease), Some(story)) = (lease, story) {
                    story.lease_until = chrono::TimeDelta::from_std(*lease).ok().map(|lease| entry.at + lease);
                }
            }
            Change::Settled { fence, verb, answer } => self.settled(*fence, *verb, *answer),
            Change::CancelAnswered { id } => {
                if let Some(story) = self.stories.get_mut(id) {
                    story.cancel_answered = true;
                }
            }
            Change::Paused { queue } => drop(self.paused.insert(queue.clone())),
            Change::Resumed { queue } => drop(self.paused.remove(queue)),
            Change::KindPaused { queue, kind } => drop(self.paused_kinds.insert((queue.clone(), kind.clone()))),
            Change::KindResumed { queue, kind } => drop(self.paused_kinds.remove(&(queue.clone(), kind.clone()))),
        }
    }

    fn enqueued(&mut self, job: Lifecycle, queue: &QueueName, kind: &Kind, unique_key: Option<&String>) {
        let is_live = |story: &&Story| !story.life.state.is_final();
        let twin = unique_key
            .and_then(|key| self.stories.values().filter(is_live).find(|story| story.unique_key.as_ref() == Some(key)));
        if let Some(twin) = twin.map(|story| story.life.id) {
            self.wrong(format!("{} and {} are live with one unique key", short(job.id), short(twin)));
        }
        let story = Story {
            life: job,
            queue: queue.clone(),
            kind: kind.clone(),
            unique_key: unique_key.cloned(),
            lease_until: None,
            results: Vec::new(),
            claims: BTreeSet::new(),
            expired: 0,
            cancel_answered: false,
        };
        if self.stories.insert(job.id, story).is_some() {
            self.wrong(format!("{} was made twice", short(job.id)));
        }
    }

    fn moved(&mut self, at: DateTime<Utc>, event: Event, before: &Lifecycle, after: &Lifecycle) {
        let name = short(before.id);
        let open_parent = if matches!(event, Event::Claim(_)) { self.open_parent(before.id) } else { None };
        let Some(story) = self.stories.get_mut(&before.id) else {
            return self.wrong(format!("{name} was never made and had a {:?}", event.verb()));
        };
        let (verb, mut wrong) = (event.verb(), Vec::new());
        if story.life != *before {
            wrong.push(format!("{name} was {:?} before {verb:?}, not {before:?}", story.life));
        }
        if before.apply(event) != Ok(*after) {
            wrong.push(format!("{name}: {event:?} made {after:?} of {before:?}, which is no transition"));
        }
        if after.attempt > after.max_attempts || after.crashes > after.max_crashes {
            wrong.push(format!("{name} is past its limits: {after:?}"));
        }
        let lease_stands = story.lease_until.is_some_and(|until| at < until) && before.state == State::Running;
        let was_late = !lease_stands && before.state == State::Running;
        match event {
            Event::Claim(worker) => {
                story.claims.insert(Fence { id: before.id, epoch: after.epoch, worker });
                if lease_stands {
                    wrong.push(format!("{name} was claimed while a lease on it stood"));
                }
                if self.paused.contains(&story.queue) {
                    wrong.push(format!("{name} was claimed of a paused queue"));
                }
                if self.paused_kinds.contains(&(story.queue.clone(), story.kind.clone())) {
                    wrong.push(format!("{name} was claimed although its kind was paused"));
                }
                if let Some(parent) = open_parent {
                    wrong.push(format!("{name} was claimed before its parent {} had ended", short(parent)));
                }
                if story.cancel_answered {
                    wrong.push(format!("{name} was claimed after its cancel was answered"));
                }
            }
            Event::Expire => {
                story.expired += 1;
                if lease_stands {
                    wrong.push(format!("{name}: a lease that stood was expired"));
                }
                if story.expired > before.max_crashes {
                    wrong.push(format!("{name} crashed more often than it may"));
                }
            }
            Event::Complete(fence) => story.results.push(fence),
            _ => {}
        }
        if story.results.len() > 1 {
            wrong.push(format!("{name} has more than one result"));
        }
        story.life = *after;
        if before.state != after.state {
            let late = if was_late && verb == Verb::Complete { "late " } else { "" };
            self.saw(format!("{late}{verb:?}: {} to {}", before.state, after.state));
        }
        self.wrong.extend(wrong);
        if matches!(event, Event::Claim(_)) {
            self.limited(before.id);
        }
    }

    /// No limit key has more runs than its limit.
    fn limited(&mut self, id: JobId) {
        for key in self.limit_keys.get(&id).cloned().unwrap_or_default() {
            let runs = |other: &&Story| {
                let has_key = self.limit_keys.get(&other.life.id).is_some_and(|keys| keys.contains(&key));
                other.life.state == State::Running && has_key
            };
            let runs = self.stories.values().filter(runs).count();
            match self.limits.get(&key) {
                Some(most) if runs > *most => self.wrong(format!("{runs} runs have the limit key {key}, of {most}")),
                Some(most) if runs == *most => self.saw("a limit key was full"),
                _ => {}
            }
        }
    }

    /// A parent whose end so far does not let this job start.
    fn open_parent(&self, id: JobId) -> Option<JobId> {
        let (parents, policy) = self.parents.get(&id)?;
        let is_met = |parent: &JobId| {
            let state = self.stories.get(parent).map(|story| story.life.state);
            state.is_some_and(|state| state.is_final() && policy.is_met_by(state))
        };
        parents.iter().copied().find(|parent| !is_met(parent))
    }

    fn settled(&mut self, fence: Fence, verb: Verb, answer: Settled) {
        self.saw(format!("{verb:?} was answered {answer:?}"));
        if verb != Verb::Complete || !matches!(answer, Settled::Done | Settled::Already) {
            return;
        }
        self.accepted.insert(fence);
        if self.stories.get(&fence.id).is_none_or(|story| story.results != [fence]) {
            self.wrong(format!("{}: a worker was told that its result is written, and it is not", short(fence.id)));
        }
    }

    /// Every acknowledged job has exactly one end, and its result is from the accepted run.
    fn ends(&mut self, rows: &Rows, acknowledged: &BTreeSet<JobId>) {
        for id in acknowledged {
            match (rows.live.get(id), rows.history.get(id)) {
                (None, Some(_)) => {}
                (Some(row), None) => self.wrong(format!("{} is still {}", short(*id), row.life.state)),
                (None, None) => self.wrong(format!("{} was accepted and is lost", short(*id))),
                (Some(_), Some(_)) => self.wrong(format!("{} is live and finished", short(*id))),
            }
        }
        for (id, row) in rows.live.iter().chain(&rows.history) {
            let notes = row.trail.iter().filter_map(|entry| entry.note.as_deref());
            if row.last_error.as_deref().into_iter().chain(notes).any(|text| text == TOLD_TO_STOP) {
                self.wrong(format!("{}: that it was told to stop was counted as its failure", short(*id)));
            }
        }
        for (id, row) in &rows.history {
            let result = row.result.as_deref().and_then(|result| result.get().parse().ok());
            let accepted = self.stories.get(id).and_then(|story| story.results.first()).map(|fence| fence.epoch);
            if result != accepted {
                self.wrong(format!("{}: the result is of run {result:?}, accepted was {accepted:?}", short(*id)));
            }
        }
    }

    /// Each tick of the schedule made one job, and no tick is missing.
    fn ticks(&mut self, rows: &Rows) {
        let ticks: Vec<DateTime<Utc>> = rows.schedule_ticks.keys().map(|(_, tick)| *tick).collect();
        for pair in ticks.windows(2).filter(|pair| (pair[1] - pair[0]).to_std() != Ok(BEAT)) {
            self.wrong(format!("after the tick at {} came the one at {}", pair[0], pair[1]));
        }
        let mut jobs: BTreeMap<Option<DateTime<Utc>>, usize> = ticks.iter().map(|tick| (Some(*tick), 0)).collect();
        for row in rows.live.values().chain(rows.history.values()) {
            if row.job.payload.get() == BEAT_PAYLOAD {
                *jobs.entry(row.job.run_at).or_default() += 1;
            }
        }
        for (tick, count) in jobs.into_iter().filter(|(_, count)| *count != 1) {
            self.wrong(format!("the tick at {tick:?} made {count} jobs"));
        }
        if ticks.len() > 1 {
            self.saw("ticks of a schedule made their jobs");
        }
    }

    /// A run has a follow-on job if and only if its result was accepted. Progress belongs to a run that has begun.
    fn follow_on(&mut self, rows: &Rows, begun: &[Fence], followed: &BTreeSet<JobId>) {
        for fence in begun.iter().filter(|fence| followed.contains(&fence.id)) {
            let name = short(fence.id);
            let exists = self.stories.contains_key(&follow_on_id(*fence));
            let is_accepted = self.stories.get(&fence.id).is_some_and(|story| story.results == [*fence]);
            match (is_accepted, exists) {
                (true, true) => self.saw("a follow-on job was made"),
                (true, false) => {
                    self.wrong(format!("{name}: the job that follows from run {} is missing", fence.epoch))
                }
                (false, true) => {
                    self.wrong(format!(
                        "{name}: a job follows from run {}, whose result was not accepted",
                        fence.epoch
                    ));
                }
                (false, false) => self.saw("a run without an accepted result made no follow-on job"),
            }
        }
        for (id, row) in rows.live.iter().chain(&rows.history) {
            let Some(progress) = &row.progress else { continue };
            self.saw("a run reported its progress");
            if !begun.iter().any(|fence| fence.id == *id && fence.epoch == progress.epoch) {
                self.wrong(format!("{}: progress of run {}, which never began", short(*id), progress.epoch));
            }
        }
    }

    /// A handler runs only jobs that its worker has claimed, and each claim once.
    fn runs(&mut self, begun: &[Fence]) {
        let mut seen = BTreeSet::new();
        for fence in begun {
            if !seen.insert(fence) {
                self.wrong(format!("{}: run {} was begun twice", short(fence.id), fence.epoch));
            }
            if !self.stories.get(&fence.id).is_some_and(|story| story.claims.contains(fence)) {
                self.wrong(format!("{}: run {} was never claimed", short(fence.id), fence.epoch));
            }
        }
        for fence in std::mem::take(&mut self.accepted).iter().filter(|fence| !seen.contains(fence)) {
            self.wrong(format!("{}: a result of run {}, which never ran", short(fence.id), fence.epoch));
        }
    }

    /// A graceful stop without other faults spends no attempt and leaves no run behind.
    fn stop(&mut self, stopped: &Stopped) {
        self.saw("a worker stopped");
        if stopped.tally.stale_writes_refused > 0 {
            self.saw("a worker's late result was refused");
        }
        if !stopped.was_well {
            return;
        }
        self.saw("a worker stopped with nothing wrong");
        if stopped.tally.released > 0 {
            self.saw("a worker stopped with nothing wrong and gave runs back");
        }
        if stopped.left_running > 0 {
            self.wrong(format!("{} stopped and left {} runs behind", stopped.name, stopped.left_running));
        }
    }
}
