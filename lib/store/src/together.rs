//! Enqueues a group of jobs, some of which depend on others, in one statement.
//!
//! If open transactions of other sessions hold some of the jobs, or their parents, the statement is sent again and again for
//! `lock_timeout`, as for other jobs: see [`crate::locked`]. After that time, the error names the held jobs and keys, and the
//! session that holds them.

use crate::{
    connect::Store,
    error::Error,
    graphs::{DOING, Others, enqueued, nodes, statement},
    held::{HeldUp, what_of},
    locked::{BATCH_LOCK_TIMEOUT, Lockable, OBSERVED_LOCK_TIMEOUT, RETRY_INTERVAL, Tries},
    locked_out::{HOLDERS_MAX, Holder, Locked},
};
use async_trait::async_trait;
use leasehold_core::{JobId, NewJob};
use leasehold_ports::Enqueued;
use sqlx::PgConnection;
use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};
use tokio::time::sleep;

/// How many times the statement is sent when the server rolls it back because of a conflict.
const TRIES: u32 = 5;

/// The answers so far.
struct Together<'a> {
    store: &'a Store,
    jobs: &'a [NewJob],
    answers: Vec<Option<Enqueued>>,
    left: Vec<usize>,
}

impl Store {
    /// Enqueues jobs with different ids. Answers have the order of `jobs`; `None` for a job that a lock delays.
    ///
    /// # Errors
    /// The statement failed. [`Error::InPart`] if jobs were enqueued before that.
    pub(crate) async fn enqueue_together(
        &self,
        jobs: &[NewJob],
        others: Others,
    ) -> Result<(Vec<Option<Enqueued>>, Vec<Locked>), Error> {
        let begun = Instant::now();
        let left: Vec<usize> = (0..jobs.len()).collect();
        let mut work = Together { store: self, jobs, answers: vec![None; jobs.len()], left };
        let mut is_first = true;
        while !work.send(work.left.clone()).await? {
            if is_first {
                is_first = false;
                // The statement has waited for longer than `lock_timeout` already.
                if let Some(table) = self.table_locks().await.into_iter().next() {
                    let held = (0..jobs.len()).map(|nth| Locked { nth, ..table.clone() }).collect();
                    return Ok((work.answers, held));
                }
            }
            if others == Others::Enqueued {
                let held = self.held_up(jobs, &work.left).await.map_err(|error| work.in_part(error))?;
                work.send_free(&held).await?;
            }
            if begun.elapsed() >= self.lock_timeout {
                let held = work.name_held(others).await?;
                return Ok((work.answers, held));
            }
            sleep(RETRY_INTERVAL).await;
        }
        Ok((work.answers, Vec::new()))
    }

    async fn send_graph(&self, jobs: impl Iterator<Item = &NewJob>) -> Result<Vec<Enqueued>, Error> {
        let nodes = nodes(jobs)?;
        let mut tried = 1;
        loop {
            let rows = statement(&nodes, Some(BATCH_LOCK_TIMEOUT)).fetch_all(&self.long_statements).await;
            match rows.map_err(Error::sql(DOING)) {
                Err(error) if error.is_rolled_back() && tried < TRIES => tried += 1,
                rows => return enqueued(&rows?),
            }
        }
    }
}

impl Together<'_> {
    /// Enqueues these jobs. `false`: some of them are held, and nothing was written.
    async fn send(&mut self, nths: Vec<usize>) -> Result<bool, Error> {
        let sent = self.store.send_graph(nths.iter().map(|&nth| &self.jobs[nth])).await;
        match sent {
            Ok(answers) => self.take(&nths, answers),
            Err(error) if error.may_be_row_lock() => return Ok(false),
            Err(error) => return Err(self.in_part(error)),
        }
        Ok(true)
    }

    /// Enqueues the remaining jobs, except those that a lock delays.
    async fn send_free(&mut self, held: &BTreeMap<usize, HeldUp>) -> Result<(), Error> {
        let free: Vec<usize> = self.left.iter().filter(|nth| !held.contains_key(nth)).copied().collect();
        if !free.is_empty() && free.len() < self.left.len() {
            self.send(free).await?;
        }
        Ok(())
    }

    fn take(&mut self, nths: &[usize], answers: Vec<Enqueued>) {
        for (&nth, answer) in nths.iter().zip(answers) {
            self.answers[nth] = Some(answer);
        }
        let answers = &self.answers;
        self.left.retain(|&nth| answers[nth].is_none());
    }

    fn in_part(&self, error: Error) -> Error {
        Error::in_part(&self.answers, error)
    }

    /// Tries once more, and finds out which locks delay the remaining jobs.
    async fn name_held(&mut self, others: Others) -> Result<Vec<Locked>, Error> {
        let by = self.observe(self.left.clone()).await?;
        let mut held = match self.left.is_empty() {
            true => return Ok(Vec::new()),
            false => self.store.held_up(self.jobs, &self.left).await.map_err(|error| self.in_part(error))?,
        };
        if held.is_empty() {
            held = self.left.iter().map(|&nth| (nth, HeldUp::itself(what_of(&self.jobs[nth])))).collect();
        }
        let mut firsts: Vec<(usize, HeldUp)> = held.iter().map(|(&nth, up)| (nth, up.clone())).collect();
        firsts.retain(|(_, up)| up.is_itself());
        firsts.sort_by(|(_, one), (_, other)| one.rank().cmp(&other.rank()));
        firsts.dedup_by(|(_, one), (_, other)| one.what == other.what);
        // The statement waited for the first one.
        let mut holders: HashMap<String, Option<Holder>> = HashMap::new();
        for (place, (nth, up)) in firsts.into_iter().enumerate() {
            let by = match others {
                _ if place == 0 => by.clone(),
                Others::Enqueued if place < HOLDERS_MAX && !self.waits_for_left(nth) => self.observe(vec![nth]).await?,
                _ => None,
            };
            holders.insert(up.what, by);
        }
        if others == Others::Enqueued {
            self.send_free(&held).await?;
        }
        let tell = |(&nth, up): (&usize, &HeldUp)| Locked {
            nth,
            what: up.describe(),
            by: holders.get(&up.what).cloned().flatten(),
        };
        Ok(held.iter().filter(|(nth, _)| self.left.contains(nth)).map(tell).collect())
    }

    fn waits_for_left(&self, nth: usize) -> bool {
        let is_left = |id: &JobId| self.left.iter().any(|&nth| self.jobs[nth].id == *id);
        self.jobs[nth].depends_on.iter().any(is_left)
    }

    /// Sends these jobs once more, and answers which session the statement waits for.
    async fn observe(&mut self, nths: Vec<usize>) -> Result<Option<Holder>, Error> {
        let observed = Observed(nodes(nths.iter().map(|&nth| &self.jobs[nth]))?);
        match self.store.try_and_find_holder(&observed, 0).await {
            (Ok(answers), _) => {
                self.take(&nths, answers.unwrap_or_default());
                Ok(None)
            }
            (Err(error), holder) if error.may_be_row_lock() || error.is_rolled_back() => Ok(holder),
            (Err(error), _) => Err(self.in_part(error)),
        }
    }
}

/// One statement.
struct Observed(String);

#[async_trait]
impl Lockable for Observed {
    type Answer = Vec<Enqueued>;

    async fn each(&self, left: Vec<usize>) -> Result<Tries<Vec<Enqueued>>, Error> {
        Ok(Tries { done: Vec::new(), held: left })
    }

    async fn one(&self, connection: &mut PgConnection, _: usize) -> Result<Option<Vec<Enqueued>>, Error> {
        let statement = statement(&self.0, Some(OBSERVED_LOCK_TIMEOUT)).persistent(false);
        enqueued(&statement.fetch_all(connection).await.map_err(Error::sql(DOING))?).map(Some)
    }
}
