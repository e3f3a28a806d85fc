//! The calls of a reaper.

use crate::{
    broken::Broken,
    rows::{Row, Rows, later},
};
use chrono::{DateTime, TimeDelta, Utc};
use leasehold_core::{Event, JobId, Kind, Lifecycle, QueueName, State, Verb, WorkerId};
use leasehold_ports::{
    CancelWanted, Expired, Expiry, Fingerprint, Fingerprints, Front, Hint, JobStatus, Kinds, Lapsed, Lease, Line,
    LinePosition, LineSummary, Promoted, Repair, Retained, Share, Slice, Stretch, Survey, Uptime, Waiting,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

impl Rows {
    pub(crate) fn expire_except(
        &mut self,
        limit: i64,
        since: Option<DateTime<Utc>>,
        spared: &[JobId],
        soon: Duration,
    ) -> Expiry {
        let expired = self.expire(limit, since, spared);
        Expiry { expired, locked: self.locked_and_about_to_run_out(soon) }
    }

    /// Ends runs whose leases have run out, except runs of the spared jobs.
    pub fn expire(&mut self, limit: i64, since: Option<DateTime<Utc>>, spared: &[JobId]) -> Vec<Expired> {
        let now = self.clock.now();
        let ran_out = |until: &DateTime<Utc>| *until < now && since.is_none_or(|since| *until >= since);
        let mut lapsed: Vec<(DateTime<Utc>, JobId)> = self
            .live
            .values()
            .filter(|row| !spared.contains(&row.life.id) && !self.is_locked(row.life.id))
            // The workers of these runs have left results to write.
            .filter(|row| row.life.fence().is_none_or(|fence| !self.deferred.contains_key(&fence)))
            .filter_map(|row| row.lease_until.filter(ran_out).map(|until| (until, row.life.id)))
            .collect();
        lapsed.sort();
        lapsed.truncate(usize::try_from(limit).unwrap_or_default());
        lapsed.into_iter().filter_map(|(_, id)| self.expire_one(id)).collect()
    }

    /// Runs whose leases have run out or are about to, and whose rows other transactions have locked.
    fn locked_and_about_to_run_out(&self, soon: Duration) -> Vec<JobId> {
        let until = later(self.clock.now(), soon);
        let runs_out = |row: &&Row| row.lease_until.is_some_and(|lease| lease < until);
        self.live.values().filter(runs_out).map(|row| row.life.id).filter(|id| self.is_locked(*id)).collect()
    }

    fn expire_one(&mut self, id: JobId) -> Option<Expired> {
        let row = self.live.get(&id)?;
        let (before, queue, line_at) = (row.life, row.job.queue.clone(), row.line_at());
        let worker = before.worker?;
        let mut after = before.apply(Event::Expire).ok()?;
        let mut out_of_time = false;
        if let Some(row) = self.live.get_mut(&id) {
            row.limit_retries();
            out_of_time =
                row.retry_until.is_some_and(|until| until <= self.clock.now()) && after.state == State::Queued;
        }
        if out_of_time {
            after = after.apply(Event::GiveUp).ok()?;
        }
        if self.is_broken(Broken::ExpireCountsNoCrash) && !before.cancel_wanted {
            after = Lifecycle { state: State::Queued, worker: None, attempt: before.attempt - 1, ..before };
        }
        self.write(id, Event::Expire, after, None, |row, now| {
            row.note(now, Verb::Expire, Some(worker), None);
            if after.state == State::Dead && after.crashes >= after.max_crashes {
                row.last_error = Some(format!("its lease ran out {} times, as often as is allowed", after.crashes));
            } else if out_of_time {
                row.last_error = Some("its lease ran out, and its time for retries is over".to_owned());
            } else if after.state == State::Dead {
                row.last_error = Some("its lease ran out in its last attempt".to_owned());
            }
        });
        let line_at = (after.state == State::Queued).then_some(line_at);
        Some(Expired { id, queue, line_at, worker, epoch: before.epoch, state: after.state })
    }

    /// As [`leasehold_ports::DueJobs::promote`].
    pub fn promote(&mut self, limit: i64, since: Option<DateTime<Utc>>) -> Promoted {
        if self.is_broken(Broken::NothingIsPromoted) {
            return Promoted::default();
        }
        let is_in_time = |row: &Row| since.is_none_or(|since| row.run_at >= since);
        let promoted = self.promote_some(limit, is_in_time);
        let now = self.clock.now();
        let later = self.live.values().filter(|row| row.life.state == State::Scheduled && row.run_at > now);
        let next_in = later.map(|row| row.run_at).min().and_then(|next| (next - now).to_std().ok());
        Promoted { next_in: next_in.filter(|next_in| *next_in < Duration::from_secs(60)), ..promoted }
    }

    /// As [`leasehold_ports::DueJobs::promote_share`].
    pub fn promote_share(&mut self, limit: i64, after: Option<&QueueName>, queues: i64) -> Share {
        if self.is_broken(Broken::NothingIsPromoted) {
            return Share::default();
        }
        let names: BTreeSet<QueueName> = self
            .live
            .values()
            .filter(|row| row.life.state == State::Scheduled && after.is_none_or(|after| row.job.queue > *after))
            .map(|row| row.job.queue.clone())
            .collect();
        let names: Vec<QueueName> = names.into_iter().take(usize::try_from(queues).unwrap_or_default()).collect();
        let mut share = Share { queues: names.len() as i64, last: names.last().cloned(), ..Share::default() };
        for name in names {
            let promoted = self.promote_some(limit, |row| row.job.queue == name);
            share.promoted.jobs.extend(promoted.jobs);
            share.promoted.lateness.extend(promoted.lateness);
        }
        share
    }

    /// Moves the first due jobs of this kind into the line.
    fn promote_some(&mut self, limit: i64, is_wanted: impl Fn(&Row) -> bool) -> Promoted {
        let now = self.clock.now();
        let is_due = |row: &&Row| {
            row.life.state == State::Scheduled && row.run_at <= now && is_wanted(row) && !self.is_locked(row.life.id)
        };
        let mut due: Vec<(DateTime<Utc>, JobId)> =
            self.live.values().filter(is_due).map(|row| (row.run_at, row.life.id)).collect();
        due.sort();
        due.truncate(usize::try_from(limit).unwrap_or_default());
        let mut promoted = Promoted::default();
        for (run_at, id) in due {
            if let Some(job) = self.put_in_line(id, Event::Promote) {
                promoted.jobs.push(job);
                promoted.lateness.push((now - run_at).to_std().unwrap_or_default());
            }
        }
        promoted
    }

    /// As [`leasehold_ports::DueJobs::release_undelivered`]: there are no claims over HTTP in memory.
    pub const fn release_undelivered(&mut self, _limit: i64) -> Vec<Waiting> {
        Vec::new()
    }

    /// As [`leasehold_ports::DueJobs::lapse`].
    pub fn lapse(&mut self, limit: i64) -> Vec<Lapsed> {
        let now = self.clock.now();
        let is_overdue = |row: &&Row| {
            let waits = row.life.state != State::Running && !self.is_locked(row.life.id);
            waits && row.begins_until().is_some_and(|until| until <= now)
        };
        let mut overdue: Vec<_> =
            self.live.values().filter(is_overdue).map(|row| (row.begins_until(), row.life.id)).collect();
        overdue.sort();
        overdue.truncate(usize::try_from(limit).unwrap_or_default());
        overdue.into_iter().filter_map(|(_, id)| self.lapse_one(id, now)).collect()
    }

    fn lapse_one(&mut self, id: JobId, now: DateTime<Utc>) -> Option<Lapsed> {
        let row = self.live.get(&id)?;
        let queue = row.job.queue.clone();
        let told = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M:%S UTC").to_string();
        let (event, verb, reason) = match (row.expires_at.filter(|at| *at <= now), row.retry_until) {
            (Some(at), _) => {
                let what = match row.life.epoch {
                    0 => "it expired: it had not begun by",
                    _ => "it expired before its next attempt, at",
                };
                (Event::Cancel, Verb::Cancel, format!("{what} {}", told(at)))
            }
            (None, until) => {
                (Event::GiveUp, Verb::Bury, format!("its time for retries is over since {}", told(until?)))
            }
        };
        let end = |row: &mut Row, now| {
            row.last_error = Some(match &row.last_error {
                Some(error) => format!("{reason}; the last error: {error}"),
                None => reason.clone(),
            });
            row.note(now, verb, None, Some(reason));
        };
        self.happen(id, event, None, end).ok()?;
        Some(Lapsed { id, queue, state: self.history.get(&id)?.life.state })
    }

    /// As [`leasehold_ports::DueJobs::end_batches`]. A batch in memory cannot be sealed, so no callback is ever due.
    pub fn end_batches(&self, _limit: i64) -> Vec<Waiting> {
        Vec::new()
    }

    /// The counterpart of `Store::unblock`.
    pub fn unblock(&mut self, ids: &[JobId]) -> Vec<Waiting> {
        let ids: BTreeSet<JobId> = ids.iter().copied().collect();
        ids.into_iter().filter_map(|id| self.put_in_line(id, Event::Unblock)).collect()
    }

    fn put_in_line(&mut self, id: JobId, event: Event) -> Option<Waiting> {
        self.happen(id, event, None, |row, now| row.run_at = row.run_at.min(now)).ok()?;
        let row = self.live.get(&id)?;
        Some(Waiting { is_in_line: self.has_room(row), ..row.waiting() })
    }

    pub(crate) fn cancel_wanted(&self, limit: i64) -> Vec<CancelWanted> {
        let wanted = self.live.values().filter(|row| row.life.cancel_wanted).filter_map(|row| {
            let fence = row.life.fence()?;
            Some(CancelWanted { id: fence.id, queue: row.job.queue.clone(), worker: fence.worker, epoch: fence.epoch })
        });
        wanted.take(usize::try_from(limit).unwrap_or_default()).collect()
    }

    pub(crate) fn look(&self, ids: &[JobId], kinds: &Kinds) -> Vec<JobStatus> {
        let ids: BTreeSet<&JobId> = ids.iter().collect();
        let live = ids.into_iter().filter_map(|id| self.live.get(id));
        live.map(|row| JobStatus {
            id: row.life.id,
            state: row.life.state,
            queue: row.job.queue.clone(),
            kind: row.job.kind.clone(),
            line_at: row.line_at(),
            claimability: self.claimability(row, self.is_paused(row), kinds),
            lease_ms_left: row.lease_until.map(|until| self.ms_until(until)),
            token_in: self.token_in(row),
        })
        .collect()
    }

    pub(crate) fn note_repairs(&mut self, repair: &Repair) -> Vec<JobId> {
        let now = self.clock.now();
        let waits_since = now - TimeDelta::from_std(repair.unclaimed_for).unwrap_or(TimeDelta::MAX);
        let mut noted = Vec::new();
        for (id, epoch) in &repair.jobs {
            let Some(row) = self.live.get_mut(id) else { continue };
            let fits = epoch.is_none_or(|epoch| epoch == row.life.epoch)
                && repair.state.is_none_or(|state| state == row.life.state)
                && row.started_at.is_none_or(|started| started <= waits_since);
            if !fits {
                continue;
            }
            let said = row.trail.last().is_some_and(|last| {
                last.verb == "repair" && last.epoch == row.life.epoch && last.note.as_deref() == Some(&*repair.note)
            });
            if !said {
                row.enter(now, "repair".to_owned(), Some(WorkerId(repair.by)), Some(repair.note.clone()));
            }
            noted.push(*id);
        }
        noted
    }

    pub(crate) fn ping(&self) {}

    pub(crate) fn paused(&self) -> Vec<QueueName> {
        self.paused.iter().cloned().collect()
    }

    pub(crate) fn paused_kinds(&self, queue: Option<&QueueName>) -> Vec<(QueueName, Kind)> {
        let asked = |(of, _): &&(QueueName, Kind)| queue.is_none_or(|queue| queue == of);
        self.paused_kinds.iter().filter(asked).cloned().collect()
    }

    pub(crate) fn uptime(&self) -> Uptime {
        let now = self.clock.now();
        Uptime {
            now,
            up_for: Duration::from_millis(u64::try_from(self.clock.ms() - self.up_since_ms).unwrap_or_default()),
            snapshot: format!("{}:{}:{}", self.journal.len(), self.schedule_changes, self.limit_changes),
            has_deferred: !self.deferred.is_empty(),
            has_ended_parents: false,
            has_limited: false,
            has_limit_changes: false,
            has_fair: false,
            has_reorders: false,
            has_batches: false,
            has_undelivered: false,
            has_count_changes: false,
            watched_ago: self.watched_at.map(|at| (now - at).to_std().unwrap_or_default()),
        }
    }

    pub(crate) fn keep_watch(&mut self) {
        self.watched_at = Some(self.clock.now());
    }

    /// History is kept: the judge of the simulation needs the whole history.
    pub(crate) fn retain(&self, _keep: Duration) -> Retained {
        Retained::default()
    }

    /// No test asks this store for numbers of jobs.
    #[expect(clippy::unused_self, reason = "the table of verbs calls a method")]
    pub(crate) fn fold_counts(&self) -> u64 {
        0
    }

    /// No test asks this store how long jobs waited.
    #[expect(clippy::unused_self, reason = "the table of verbs calls a method")]
    pub(crate) fn roll_up_minutes(&self) -> u64 {
        0
    }

    #[expect(clippy::unused_self, reason = "the table of verbs calls a method")]
    pub(crate) fn recount(&self) -> bool {
        true
    }

    pub(crate) fn held(&self, worker: WorkerId) -> Vec<Lease> {
        let runs = self.live.values().filter(|row| row.life.worker == Some(worker));
        runs.filter_map(|row| self.lease_of(row)).collect()
    }

    fn lease_of(&self, row: &Row) -> Option<Lease> {
        let fence = row.life.fence()?;
        Some(Lease {
            id: fence.id,
            queue: row.job.queue.clone(),
            worker: fence.worker,
            epoch: fence.epoch,
            lease_ms_left: self.ms_until(row.lease_until?),
        })
    }

    pub(crate) fn leases(&self, limit: i64, since: Option<DateTime<Utc>>) -> Vec<Lease> {
        let ends_later = |row: &&Row| since.is_none_or(|since| row.lease_until.is_some_and(|until| until >= since));
        let mut leases: Vec<Lease> =
            self.live.values().filter(ends_later).filter_map(|row| self.lease_of(row)).collect();
        leases.sort_by_key(|lease| (lease.lease_ms_left, lease.id));
        leases.truncate(usize::try_from(limit).unwrap_or_default());
        leases
    }

    fn ms_until(&self, time: DateTime<Utc>) -> i64 {
        (time - self.clock.now()).num_milliseconds()
    }

    pub(crate) fn survey(&self, queue: Option<&QueueName>) -> Survey {
        /// The scan start of each stretch of a line.
        type Begins<'a> = BTreeMap<&'a Kind, DateTime<Utc>>;
        let mut lines: BTreeMap<&QueueName, Begins<'_>> = BTreeMap::new();
        let asked_of = |row: &&Row| queue.is_none_or(|queue| *queue == row.job.queue);
        for row in self.live.values().filter(|row| row.life.state == State::Queued).filter(asked_of) {
            let stretches = lines.entry(&row.job.queue).or_default();
            let first = stretches.entry(&row.job.kind).or_insert_with(|| row.line_at());
            *first = row.line_at().min(*first);
        }
        let stretch = |(kind, first): (&Kind, DateTime<Utc>)| Stretch {
            kind: kind.clone(),
            scan_start: Some(self.scan_start(Some(first))),
        };
        let summary = |(queue, stretches): (&QueueName, Begins<'_>)| LineSummary {
            queue: queue.clone(),
            paused: self.paused.contains(queue),
            stretches: stretches.into_iter().map(stretch).collect(),
        };
        let lines = lines.into_iter().map(summary).collect();
        let first_lease = self.live.values().filter_map(|row| row.lease_until).min();
        let scheduled = self.live.values().filter(|row| row.life.state == State::Scheduled);
        let first_due = scheduled.map(|row| row.run_at).min();
        let (leases_scan_start, schedule_scan_start) = match queue {
            None => (Some(self.scan_start(first_lease)), Some(self.scan_start(first_due))),
            Some(_) => (None, None),
        };
        Survey { at: self.clock.now(), lines, leases_scan_start, schedule_scan_start, took: self.dead_rows }
    }

    /// The jobs in the line of a slice.
    fn line_in(&self, slice: &Slice) -> impl Iterator<Item = &Row> {
        let is_in = |queue: &QueueName| {
            slice.after.as_ref().is_none_or(|after| queue > after)
                && slice.until.as_ref().is_none_or(|until| queue <= until)
        };
        self.live.values().filter(move |row| row.life.state == State::Queued && is_in(&row.job.queue))
    }

    pub(crate) fn fingerprint(&self, slices: &[Slice], limit: i64) -> Fingerprints {
        let slice = |slice: &Slice| {
            let mut line: Vec<&Row> = self.line_in(slice).collect();
            line.sort_by_key(|row| (&row.job.queue, &row.job.kind, row.place()));
            line.truncate(usize::try_from(limit).unwrap_or_default().saturating_add(1));
            let of_job = |row: &Row| hash((row.life.id, row.line_at()));
            fingerprint_of(line.into_iter().map(of_job))
        };
        let first_lease = self.live.values().filter_map(|row| row.lease_until).min();
        let scheduled = self.live.values().filter(|row| row.life.state == State::Scheduled);
        let first_due = scheduled.map(|row| row.run_at).min();
        Fingerprints {
            slices: slices.iter().map(slice).collect(),
            paused: fingerprint_of(self.paused.iter().map(hash).chain(self.paused_kinds.iter().map(hash))),
            leases_scan_start: Some(self.scan_start(first_lease)),
            schedule_scan_start: Some(self.scan_start(first_due)),
            took: self.dead_rows,
        }
    }

    pub(crate) fn survey_slices(&self, slices: &[Slice]) -> Vec<Vec<LineSummary>> {
        slices.iter().map(|slice| self.survey_slice(slice)).collect()
    }

    fn survey_slice(&self, slice: &Slice) -> Vec<LineSummary> {
        let queues: BTreeSet<&QueueName> = self.line_in(slice).map(|row| &row.job.queue).collect();
        queues.into_iter().flat_map(|queue| self.survey(Some(queue)).lines).collect()
    }

    fn scan_start(&self, first: Option<DateTime<Utc>>) -> DateTime<Utc> {
        let latest = self.clock.now() - TimeDelta::milliseconds(250);
        first.map_or(latest, |first| first.min(latest))
    }

    pub(crate) fn lines(&self, fronts: &[Front]) -> Vec<(Line, Vec<Stretch>)> {
        let line = |front: &Front| self.line(&front.queue, &front.stretches, i64::from(front.limit));
        fronts.iter().map(line).collect()
    }

    pub(crate) fn line(&self, queue: &QueueName, stretches: &[Stretch], limit: i64) -> (Line, Vec<Stretch>) {
        let within = |row: &Row, stretch: &Stretch| {
            row.job.kind == stretch.kind && stretch.scan_start.is_none_or(|start| row.line_at() >= start)
        };
        let mut line = self.line_of(queue, &Kinds::All);
        line.retain(|row| stretches.iter().any(|stretch| within(row, stretch)));
        let moved = |stretch: &Stretch| {
            let first = line.iter().filter(|row| within(row, stretch)).map(|row| row.line_at()).min();
            Stretch { scan_start: Some(self.scan_start(first)), ..stretch.clone() }
        };
        let moved = stretches.iter().map(moved).collect();
        line.retain(|row| !self.is_kind_paused(row));
        (first_of(&line, limit), moved)
    }

    pub(crate) fn line_after(&self, queue: &QueueName, kinds: &Kinds, after: &LinePosition, limit: i64) -> Line {
        let mut line = self.line_of(queue, kinds);
        line.retain(|row| !self.is_kind_paused(row));
        let place = (after.line_at, after.id);
        first_of(&line[line.partition_point(|row| row.place() <= place)..], limit)
    }
}

fn hash(thing: impl Hash) -> i64 {
    let mut hasher = DefaultHasher::new();
    thing.hash(&mut hasher);
    hasher.finish().cast_signed()
}

fn fingerprint_of(hashes: impl Iterator<Item = i64>) -> Fingerprint {
    hashes.fold(Fingerprint::default(), |seen, hash| Fingerprint { count: seen.count + 1, hash: seen.hash ^ hash })
}

fn first_of(line: &[&Row], limit: i64) -> Line {
    let kept = &line[..line.len().min(usize::try_from(limit).unwrap_or_default())];
    let place = |row: &&Row| LinePosition { line_at: row.line_at(), id: row.life.id };
    let hints = kept.iter().map(|row| Hint::at(row.life.id, row.line_at())).collect();
    Line { more: line.len() > kept.len(), hints, last: kept.last().map(place) }
}
