//! settle: ends runs, and gives the reason if there was no such run. Also has the ends that stopping workers leave
//! for a reaper.

use crate::{
    broken::Broken,
    journal::Change,
    rows::{Row, Rows, later},
};
use chrono::TimeDelta;
use leasehold_core::{
    Ending, Event, Fence, FinishedRun, JobId, Lifecycle, NewJob, Progress, ProgressNote, Report, ReportedNote, Settle,
    Settled, State, Success, Verb, WorkerId,
};
use leasehold_ports::{Deferred, SettledRuns};
use std::collections::BTreeSet;

impl Rows {
    pub(crate) fn defer(&mut self, ends: &[Deferred]) {
        self.deferred.extend(ends.iter().map(|end| (end.run.fence, end.clone())));
    }

    pub(crate) fn deferred(&self, limit: i64) -> Vec<Deferred> {
        self.deferred.values().take(usize::try_from(limit).unwrap_or_default()).cloned().collect()
    }

    pub(crate) fn deferred_done(&mut self, runs: &[Fence]) {
        self.deferred.retain(|fence, _| !runs.contains(fence));
    }

    pub(crate) fn settle(&mut self, worker: WorkerId, runs: &[FinishedRun]) -> SettledRuns {
        self.unblocked.clear();
        let mut answers = vec![Settled::LeaseLost; runs.len()];
        let keys_of = |run: &FinishedRun| self.live.get(&run.fence.id).map(|row| row.job.limit_keys.clone());
        let freed: Vec<String> = runs.iter().filter_map(keys_of).flatten().collect();
        let mut unclear = Vec::new();
        for ending in Ending::ALL {
            let mut done: BTreeSet<Fence> = BTreeSet::new();
            for (nth, FinishedRun { fence, settle }) in runs.iter().enumerate() {
                let event = ending.event(*fence);
                if fence.worker != worker || settle.ending() != ending {
                    continue;
                }
                // The same run twice in one batch is one change, and both get the answer.
                if done.contains(fence) || !self.is_locked(fence.id) && self.end(*fence, event, settle) {
                    done.insert(*fence);
                    answers[nth] = Settled::Done;
                } else {
                    unclear.push((nth, ending));
                }
            }
        }
        for (nth, ending) in unclear {
            answers[nth] = self.look_again(runs[nth].fence, ending);
        }
        for (run, answer) in runs.iter().zip(&answers) {
            let verb = run.settle.ending().verb();
            self.log(Change::Settled { fence: run.fence, verb, answer: *answer });
        }
        let mut unblocked = self.take_unblocked();
        if !freed.is_empty() {
            unblocked.extend(self.freed_by(&freed));
        }
        SettledRuns { answers, unblocked }
    }

    /// Ends a run that has follow-on jobs. If one of them cannot be enqueued, the run is dead.
    fn end_then(&mut self, fence: Fence, event: Event, success: &Success) -> bool {
        if self.live.get(&fence.id).is_none_or(|row| row.life.fence() != Some(fence)) {
            if self.is_broken(Broken::FollowOnIgnoresTheFence) {
                drop(self.enqueue(&success.then));
            }
            return false;
        }
        if let Some(error) = self.refusal_of(&success.then) {
            let error = format!("its result or a follow-on job cannot be stored: {error}");
            return self.end(fence, Ending::Bury.event(fence), &Settle::Bury { error });
        }
        if !self.end(fence, event, &Settle::Complete(success.result.clone())) {
            return false;
        }
        if self.is_broken(Broken::FollowOnIsForgotten) {
            return true;
        }
        let told = std::mem::take(&mut self.unblocked);
        let answers = self.enqueue(&success.then).unwrap_or_default();
        self.unblocked = told;
        for answer in answers.iter().filter(|answer| answer.inserted || answer.replaced) {
            let in_line = |row: &&Row| row.life.state == State::Queued && self.has_room(row);
            if let Some(row) = self.live.get(&answer.id).filter(in_line) {
                self.unblocked.push(row.waiting());
            }
        }
        true
    }

    /// Why these jobs cannot be enqueued.
    fn refusal_of(&self, jobs: &[NewJob]) -> Option<String> {
        let unknown = |id: &&JobId| {
            let is_of_this_call = jobs.iter().any(|job| job.id == **id);
            !is_of_this_call && !self.live.contains_key(*id) && !self.history.contains_key(*id)
        };
        let invalid = jobs.iter().find_map(|job| job.validate().err()).map(|error| error.to_string());
        invalid.or_else(|| {
            let unknown = jobs.iter().flat_map(|job| &job.depends_on).find(unknown);
            unknown.map(|id| format!("depends_on names {id}, and no job has this id"))
        })
    }

    fn end(&mut self, fence: Fence, event: Event, settle: &Settle) -> bool {
        if let Settle::CompleteThen(success) = settle {
            return self.end_then(fence, event, success);
        }
        if self.is_broken(Broken::SettleIsAnsweredUnwritten) && matches!(settle, Settle::Complete(_)) {
            let stands = self.live.get(&fence.id).is_some_and(|row| row.life.fence() == Some(fence));
            // Only the first run of each job is affected, or no job would ever end.
            if stands && fence.epoch == 1 {
                return true;
            }
        }
        let write = |row: &mut Row, now| match settle {
            Settle::Complete(result) => row.result.clone_from(result),
            Settle::Retry { delay, error } => {
                row.last_error = Some(cleared(error));
                row.run_at = later(now, *delay);
                row.limit_retries();
                row.note(now, Verb::Retry, Some(fence.worker), Some(cleared(error)));
            }
            Settle::Snooze { delay, reason } => {
                row.run_at = later(now, *delay);
                row.note(now, Verb::Snooze, Some(fence.worker), reason.as_deref().map(cleared));
            }
            Settle::Release => row.note(now, Verb::Release, Some(fence.worker), None),
            Settle::Bury { error } => row.last_error = Some(cleared(error)),
            Settle::CompleteThen(_) | Settle::Cancel => {}
        };
        if self.is_broken(Broken::ReleaseKeepsTheAttempt) && matches!(settle, Settle::Release) {
            let Some(before) = self.live.get(&fence.id).map(|row| row.life) else { return false };
            if before.fence() == Some(fence) && !before.cancel_wanted && before.attempt < before.max_attempts {
                let after = Lifecycle { state: State::Queued, worker: None, ..before };
                self.write(fence.id, event, after, None, write);
                return true;
            }
        }
        if self.is_broken(Broken::SettleIgnoresTheFence)
            && let Some(current) = self.live.get(&fence.id).and_then(|row| row.life.fence())
            && current != fence
        {
            let Ok(after) = self.live[&fence.id].life.apply(settle.ending().event(current)) else { return false };
            self.write(fence.id, event, after, None, write);
            return true;
        }
        self.happen(fence.id, event, None, write).is_ok()
    }

    pub(crate) fn report(&mut self, worker: WorkerId, reports: &[Report]) {
        let now = self.clock.now();
        for report in reports.iter().filter(|report| report.fence.worker == worker) {
            if self.is_locked(report.fence.id) {
                continue;
            }
            let Some(row) = self.live.get_mut(&report.fence.id).filter(|row| row.life.fence() == Some(report.fence))
            else {
                continue;
            };
            let note = |note: &ReportedNote| {
                let at = now - TimeDelta::from_std(note.age).unwrap_or_default();
                ProgressNote::new(note.nth, at, note.note.clone())
            };
            let notes = report.notes.iter().map(note).collect();
            row.progress = Some(Progress::new(report.fence.epoch, report.done, now, notes));
        }
    }

    /// Why the first statement found no row.
    fn look_again(&self, fence: Fence, ending: Ending) -> Settled {
        let of_this_run = |row: &Row, verb: &str, by: Option<WorkerId>| {
            row.trail
                .iter()
                .any(|entry| entry.verb == verb && entry.epoch == fence.epoch && (by.is_none() || entry.worker == by))
        };
        let (live, ended) = (self.live.get(&fence.id), self.history.get(&fence.id));
        let already = match ending.final_state() {
            Some(state) => ended.is_some_and(|row| {
                row.life.epoch == fence.epoch
                    && row.ended_by == Some(fence.worker)
                    && row.life.state == state
                    && !of_this_run(row, Verb::Expire.as_str(), None)
            }),
            None => live.or(ended).is_some_and(|row| of_this_run(row, ending.as_str(), Some(fence.worker))),
        };
        let wanted = live.is_some_and(|row| row.life.fence() == Some(fence) && row.life.cancel_wanted);
        // The guards of the verbs, for a run that holds its lease.
        let may_be_written = live.filter(|row| row.life.fence() == Some(fence)).is_some_and(|row| match ending {
            Ending::Cancel => wanted,
            Ending::Retry => row.life.attempt < row.life.max_attempts,
            _ => true,
        });
        match (already, wanted && ending.final_state().is_none()) {
            (true, _) => Settled::Already,
            (false, true) => Settled::CancelWanted,
            (false, false) if self.is_locked(fence.id) && may_be_written => Settled::Locked,
            (false, false) => Settled::LeaseLost,
        }
    }
}

/// A text in PostgreSQL cannot hold NUL.
fn cleared(text: impl AsRef<str>) -> String {
    text.as_ref().replace('\0', "\u{FFFD}")
}
