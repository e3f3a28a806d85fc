//! Changes all jobs that a filter chooses, one page after another. Each page is a separate short transaction. So the work can
//! stop after any page, and continue later.

use crate::{Client, Error};
use chrono::{DateTime, TimeDelta, Utc};
use leasehold_core::{BulkAction, BulkCount, BulkFilter, JobId, QueueName, State};
use leasehold_ports::{Cancelled, Hint, Notice, Revived};
use leasehold_store::{Choice, Page, Store, just_before};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How many jobs one statement reads: some milliseconds of work.
pub(crate) const PAGE: i64 = 1_000;
/// The same, while the filter chooses few jobs: a table of a million jobs is read in a hundred statements. If the filter then
/// chooses all jobs of a page, one statement changes 10,000 jobs, in about a second.
const PAGE_MAX: i64 = 10_000;
/// At the end, the jobs that were locked are tried again. If no job becomes free within this time, the change gives up. And
/// the pause between two tries.
pub(crate) const LOCKED_FOR: Duration = Duration::from_secs(5);
pub(crate) const LOCKED_PAUSE: Duration = Duration::from_millis(100);

/// The progress of a bulk change. A stored cursor lets the change continue later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkCursor {
    /// Only jobs that were enqueued at this time or before are changed. So new jobs cannot make the work endless.
    pub(crate) until: DateTime<Utc>,
    /// The part of the work: live jobs first, then finished jobs of one state after another.
    part: usize,
    /// The last job that was read.
    pub(crate) after: Option<JobId>,
    /// When this job was enqueued, if it has finished.
    pub(crate) after_at: Option<DateTime<Utc>>,
}

/// A change of all jobs that a filter chooses.
#[derive(Clone, Debug)]
pub struct Bulk {
    pub(crate) action: BulkAction,
    pub(crate) filter: BulkFilter,
    pub(crate) states: Vec<State>,
    pub(crate) cursor: BulkCursor,
    /// Jobs to revive that were found behind the cursor.
    found: Vec<JobId>,
    /// The next cursor, for the time when these jobs are revived.
    next: Option<BulkCursor>,
    /// Jobs that other sessions had locked.
    pub(crate) locked: Vec<JobId>,
    pub(crate) locked_since: Option<Instant>,
    step_max: usize,
    /// How many jobs the next statement reads.
    page: i64,
}

/// The result of one step of a bulk change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BulkStep {
    /// Jobs that were cancelled, revived, or have their new place.
    pub changed: u64,
    /// Running jobs whose workers were told to stop.
    pub told_to_stop: u64,
    /// Finished jobs that stay as they are, because a live job has their unique key.
    pub unique_key_taken: u64,
}

/// Where to search for jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Live,
    Finished(State),
}

impl Bulk {
    /// At most this many jobs are changed in one step of a retry.
    #[must_use]
    pub fn with_step_max(mut self, step_max: usize) -> Self {
        self.step_max = step_max.max(1);
        self
    }

    /// The cursor of the change. Some work behind the cursor may already be done; to do it again changes nothing.
    #[must_use]
    pub const fn cursor(&self) -> &BulkCursor {
        &self.cursor
    }

    /// The jobs that other sessions have locked since the change came to them. They were not changed.
    #[must_use]
    pub fn locked(&self) -> &[JobId] {
        &self.locked
    }

    pub(crate) fn part(&self) -> Option<Part> {
        let is_live = self.states.iter().any(|state| !state.is_final());
        let finished = self.states.iter().filter(|state| state.is_final()).map(|state| Part::Finished(*state));
        is_live.then_some(Part::Live).into_iter().chain(finished).nth(self.cursor.part)
    }

    fn choice(&self, states: &'static [State]) -> Choice<'_> {
        Choice { filter: &self.filter, states, until: self.cursor.until }
    }

    fn all(&self) -> Choice<'_> {
        Choice { filter: &self.filter, states: &self.states, until: self.cursor.until }
    }

    /// The cursor after a page.
    pub(crate) fn after(&self, last: Option<(Option<DateTime<Utc>>, JobId)>) -> BulkCursor {
        match last {
            Some((after_at, id)) => BulkCursor { after: Some(id), after_at, ..self.cursor.clone() },
            None => self.next_part(),
        }
    }

    fn next_part(&self) -> BulkCursor {
        BulkCursor { part: self.cursor.part + 1, after: None, after_at: None, ..self.cursor.clone() }
    }
}

/// How many jobs the next statement reads, after a statement that read `page` jobs and chose some of them.
fn next_page(page: i64, chosen: u64) -> i64 {
    let is_rare = i64::try_from(chosen).is_ok_and(|chosen| chosen <= page / 20);
    if is_rare { (page * 2).min(PAGE_MAX) } else { PAGE }
}

impl Client {
    pub(crate) fn bulk_store(&self) -> Result<&Store, Error> {
        Ok(&self.pair().ok_or(Error::NoBulk)?.store)
    }

    /// Begins a change of all jobs that a filter chooses and that have been enqueued up to now. [`Client::bulk_step`] does
    /// the work.
    ///
    /// # Errors
    /// [`Error::Bulk`] if the filter cannot be used, or PostgreSQL fails.
    pub async fn bulk(&self, action: BulkAction, filter: BulkFilter) -> Result<Bulk, Error> {
        let states = filter.states_for(&action)?;
        let now = self.bulk_store()?.uptime().await?.now;
        let older_than = filter.older_than.and_then(|age| TimeDelta::from_std(age).ok()).unwrap_or_default();
        let until = now.checked_sub_signed(older_than).unwrap_or(DateTime::UNIX_EPOCH);
        let cursor = BulkCursor { until, part: 0, after: None, after_at: None };
        Ok(Bulk {
            action,
            filter,
            states,
            cursor,
            found: Vec::new(),
            next: None,
            locked: Vec::new(),
            locked_since: None,
            step_max: usize::try_from(PAGE).unwrap_or(usize::MAX),
            page: PAGE,
        })
    }

    /// Continues a change from a stored cursor.
    ///
    /// # Errors
    /// [`Error::Bulk`] if the filter cannot be used, or PostgreSQL fails.
    pub async fn resume_bulk(&self, action: BulkAction, filter: BulkFilter, cursor: BulkCursor) -> Result<Bulk, Error> {
        Ok(Bulk { cursor, ..self.bulk(action, filter).await? })
    }

    /// How many jobs a change would affect, by queue, kind and state. Changes nothing.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn bulk_counts(&self, bulk: &Bulk) -> Result<Vec<BulkCount>, Error> {
        Ok(self.bulk_store()?.bulk_count(&bulk.all()).await?)
    }

    /// Does the next part of a change: one page. `None`: the change is complete, except for [`Bulk::locked`].
    ///
    /// # Errors
    /// PostgreSQL fails. The earlier steps are done. The call can be repeated.
    pub async fn bulk_step(&self, bulk: &mut Bulk) -> Result<Option<BulkStep>, Error> {
        if !bulk.found.is_empty() {
            return self.revive_found(bulk).await.map(Some);
        }
        let Some(part) = bulk.part() else { return self.try_locked(bulk).await };
        let after = bulk.cursor.after;
        match (&bulk.action, part) {
            (BulkAction::Retry, part) => {
                let store = self.bulk_store()?;
                let page = match part {
                    Part::Live => store.bulk_find(&bulk.choice(&[State::Scheduled]), after, PAGE).await?,
                    Part::Finished(state) => {
                        let choice =
                            bulk.choice(if state == State::Dead { &[State::Dead] } else { &[State::Cancelled] });
                        store.bulk_find_finished(&choice, (bulk.cursor.after_at, after), PAGE).await?
                    }
                };
                let next = bulk.after(page.last);
                if page.done.is_empty() {
                    bulk.cursor = next;
                } else {
                    (bulk.found, bulk.next) = (page.done, Some(next));
                }
                Ok(Some(BulkStep::default()))
            }
            (_, Part::Live) => {
                let (step, page) = self.change_page(bulk, after, bulk.page).await?;
                let chosen = step.changed + step.told_to_stop + page.locked.len() as u64;
                bulk.page = next_page(bulk.page, chosen);
                bulk.locked.extend(page.locked);
                bulk.cursor = bulk.after(page.last);
                Ok(Some(step))
            }
            (_, Part::Finished(_)) => {
                bulk.cursor = bulk.next_part();
                Ok(Some(BulkStep::default()))
            }
        }
    }

    /// Changes the jobs of one page of the live table, and tells Redis.
    async fn change_page(&self, bulk: &Bulk, after: Option<JobId>, limit: i64) -> Result<(BulkStep, Page<()>), Error> {
        let store = self.bulk_store()?;
        let count = |jobs: usize| u64::try_from(jobs).unwrap_or(u64::MAX);
        match &bulk.action {
            BulkAction::Place(place) => {
                let Page { done, locked, last } = store.bulk_place(&bulk.all(), place, after, limit).await?;
                self.tell_of_places(&done).await;
                let step = BulkStep { changed: count(done.len()), ..BulkStep::default() };
                Ok((step, Page { done: Vec::new(), locked, last }))
            }
            BulkAction::Cancel | BulkAction::Retry => {
                let Page { done, locked, last } = store.bulk_cancel(&bulk.all(), after, limit).await?;
                self.tell_of_cancels(&done).await;
                let running = done.iter().filter(|job| job.running.is_some()).count();
                let step = BulkStep {
                    changed: count(done.len() - running),
                    told_to_stop: count(running),
                    ..BulkStep::default()
                };
                Ok((step, Page { done: Vec::new(), locked, last }))
            }
        }
    }

    /// Revives some of the jobs that were found.
    async fn revive_found(&self, bulk: &mut Bulk) -> Result<BulkStep, Error> {
        let batch: Vec<JobId> = bulk.found.iter().take(bulk.step_max).copied().collect();
        let done = self.bulk_store()?.revive_free(&batch).await?;
        bulk.found.drain(..batch.len());
        if bulk.found.is_empty()
            && let Some(next) = bulk.next.take()
        {
            bulk.cursor = next;
        }
        self.tell_of_revived(&done.revived).await;
        bulk.locked.extend(done.locked);
        let count = |jobs: usize| u64::try_from(jobs).unwrap_or(u64::MAX);
        let (changed, unique_key_taken) = (count(done.revived.len()), count(done.taken.len()));
        Ok(BulkStep { changed, unique_key_taken, ..BulkStep::default() })
    }

    /// Tries the jobs again that other sessions had locked.
    async fn try_locked(&self, bulk: &mut Bulk) -> Result<Option<BulkStep>, Error> {
        let since = *bulk.locked_since.get_or_insert_with(Instant::now);
        if bulk.locked.is_empty() || since.elapsed() >= LOCKED_FOR {
            return Ok(None);
        }
        tokio::time::sleep(LOCKED_PAUSE).await;
        let tried = std::mem::take(&mut bulk.locked);
        if bulk.action == BulkAction::Retry {
            let next = bulk.cursor.clone();
            (bulk.found, bulk.next) = (tried, Some(next));
            return Ok(Some(BulkStep::default()));
        }
        let mut all = BulkStep::default();
        let count = tried.len();
        for (nth, id) in tried.iter().enumerate() {
            match self.change_page(bulk, Some(just_before(*id)), 1).await {
                Ok((step, page)) => {
                    all.changed += step.changed;
                    all.told_to_stop += step.told_to_stop;
                    bulk.locked.extend(page.locked);
                }
                Err(error) => {
                    bulk.locked.extend(&tried[nth..]);
                    return Err(error);
                }
            }
        }
        if bulk.locked.len() < count {
            // The other sessions make progress.
            bulk.locked_since = None;
        }
        Ok(Some(all))
    }

    pub(crate) async fn tell_of_cancels(&self, cancelled: &[Cancelled]) {
        let Some(hints) = &self.hints else { return };
        let mut ended: BTreeMap<&QueueName, Vec<JobId>> = BTreeMap::new();
        let mut notices = Vec::new();
        for job in cancelled {
            match job.running {
                Some((worker, epoch)) => notices.push(Notice::Cancel { id: job.id, epoch, worker }),
                None => ended.entry(&job.queue).or_default().push(job.id),
            }
        }
        if !notices.is_empty() {
            hints.notify(&notices).await;
        }
        let ids: Vec<JobId> = ended.values().flatten().copied().collect();
        if !ids.is_empty() {
            hints.tell_ends(&ids).await;
        }
        for (queue, ids) in ended {
            hints.forget(queue, &ids).await;
        }
    }

    pub(crate) async fn tell_of_revived(&self, revived: &[Revived]) {
        let Some(hints) = &self.hints else { return };
        let mut by_queue: BTreeMap<&QueueName, Vec<Hint>> = BTreeMap::new();
        for job in revived {
            by_queue.entry(&job.queue).or_default().push(Hint::at(job.id, job.line_at));
        }
        for (queue, new) in by_queue {
            hints.push(queue, &new).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_look_at_more_jobs_while_few_are_chosen() {
        let mut page = PAGE;
        for _ in 0..10 {
            page = next_page(page, 33);
        }
        assert_eq!(page, PAGE_MAX);
        assert_eq!(next_page(page, 5_000), PAGE);
    }

    #[test]
    fn live_jobs_come_first_and_then_each_final_state() {
        let mut bulk = Bulk {
            action: BulkAction::Retry,
            filter: BulkFilter::default(),
            states: vec![State::Dead, State::Cancelled, State::Scheduled],
            cursor: BulkCursor { until: DateTime::UNIX_EPOCH, part: 0, after: None, after_at: None },
            found: Vec::new(),
            next: None,
            locked: Vec::new(),
            locked_since: None,
            step_max: 1,
            page: PAGE,
        };
        let mut parts = Vec::new();
        while let Some(part) = bulk.part() {
            parts.push(part);
            bulk.cursor = bulk.after(None);
        }
        assert_eq!(parts, [Part::Live, Part::Finished(State::Dead), Part::Finished(State::Cancelled)]);
        let id = JobId::new();
        bulk.cursor = bulk.after(Some((Some(DateTime::UNIX_EPOCH), id)));
        let stored = serde_json::to_string(bulk.cursor()).expect("JSON");
        assert_eq!(serde_json::from_str::<BulkCursor>(&stored).expect("a cursor"), bulk.cursor);
    }
}
