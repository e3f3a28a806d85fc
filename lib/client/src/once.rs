//! Enqueues jobs in one transaction, at most once for each Idempotency-Key.

use crate::{
    Client, Error, StoreError,
    client::{ATTEMPTS, FIRST_DELAY, may_have_been_written},
};
use leasehold_core::NewJob;
use leasehold_store::{Once, OnceKey};

impl Client {
    /// Enqueues jobs in one transaction: all of them or none. With a key, a request that is sent again gets the answer of the
    /// first one, for a day.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a job is invalid. When a connection is lost, the jobs are sent again under the same ids, a few times,
    /// and then the error is [`Error::OutcomeUnknown`]. Otherwise nothing was enqueued.
    pub async fn enqueue_once(&self, jobs: &[NewJob], key: Option<&OnceKey>) -> Result<Once, Error> {
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
            let (is_transient, is_locked) = (failed.is_transient(), failed.may_be_locked());
            let failed = leasehold_ports::Error::from(failed);
            unsure |= may_have_been_written(&failed);
            if !is_transient || is_locked || attempt >= ATTEMPTS {
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
