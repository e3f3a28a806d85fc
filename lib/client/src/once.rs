//! Enqueues jobs in one transaction, at most once for each Idempotency-Key.

use crate::{
    Client, Error, StoreError,
    client::{ATTEMPTS, FIRST_DELAY, is_locked, may_have_been_written},
    traces::Sending,
};
use leasehold_core::NewJob;
use leasehold_store::{Once, OnceKey};

impl Client {
    /// Enqueues jobs in one transaction: all of them or none. With a key, a request that is sent again gets the answer of the
    /// first request, for a day.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a job is invalid. [`Error::Locked`] if open transactions of other sessions hold an id, a key, a
    /// batch or a parent of the jobs for longer than `database.lock_timeout_ms`. When a connection is lost, the jobs are sent
    /// again under the same ids, a few times, and then the error is [`Error::OutcomeUnknown`]. Otherwise nothing was enqueued.
    pub async fn enqueue_once(&self, jobs: &[NewJob], key: Option<&OnceKey>) -> Result<Once, Error> {
        match Sending::begin(jobs) {
            None => self.enqueue_together(jobs, key).await,
            // In a box, because it would make the task of every other call larger.
            Some(sending) => Box::pin(sending.run(|jobs| self.enqueue_together(jobs, key))).await,
        }
    }

    async fn enqueue_together(&self, jobs: &[NewJob], key: Option<&OnceKey>) -> Result<Once, Error> {
        let store = self.postgres()?;
        let mut jobs = jobs.to_vec();
        let (mut delay, mut unsure) = (FIRST_DELAY, false);
        for attempt in 1.. {
            let failed = match store.enqueue_once(&jobs, key).await {
                Ok(answer) => {
                    if let Once::Done(answers) = &answer {
                        self.tell_of(jobs.iter().zip(answers), attempt > 1).await;
                    }
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let may_be_locked = failed.may_be_locked();
            let failed = leasehold_ports::Error::from(failed);
            unsure |= may_have_been_written(&failed);
            if !failed.is_transient() || may_be_locked || is_locked(&failed) || attempt >= ATTEMPTS {
                return Err(if unsure {
                    let ids = jobs.iter().map(|job| job.id).collect();
                    Error::OutcomeUnknown { ids, source: StoreError::from(failed) }
                } else {
                    failed.into()
                });
            }
            jobs.iter_mut().for_each(|job| job.id_may_exist = true);
            tokio::time::sleep(delay).await;
            delay *= 2;
        }
        Ok(Once::Done(Vec::new()))
    }
}
