//! Batches: groups of jobs by name. Reads, waits for, seals and cancels them.

use crate::{Client, Error};
use leasehold_core::{BATCH_MAX, FieldError, InvalidJob, JobId};
use leasehold_store::{Batch, BatchSeal, Locked, LockedOut, Sealed, Store};
use std::time::Duration;
use tokio::time::Instant;

/// The pause before the second read of a wait. The pause doubles with each read, up to [`LOOK_MAX`].
const LOOK_MIN: Duration = Duration::from_millis(20);
const LOOK_MAX: Duration = Duration::from_millis(500);

/// The result of the cancel of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CancelledBatch {
    /// Jobs that are cancelled.
    pub cancelled: u64,
    /// Running jobs whose workers are told to stop.
    pub stopping: u64,
    /// Jobs that stay as they are, because open transactions of other sessions hold them.
    pub locked: Vec<Locked>,
}

impl Client {
    fn batch_store(&self) -> Result<&Store, Error> {
        Ok(&self.pair().ok_or(Error::NoBatches)?.store)
    }

    /// One batch with the number of its jobs by state; `None` if there is no such batch.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn batch(&self, name: &str) -> Result<Option<Batch>, Error> {
        Ok(self.batch_store()?.batches(Some(name), 1).await?.pop())
    }

    /// The newest batches.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn batches(&self, limit: i64) -> Result<Vec<Batch>, Error> {
        Ok(self.batch_store()?.batches(None, limit).await?)
    }

    /// Waits until no job of the batch is live, and, if the batch is sealed, until its callbacks are enqueued. `None` if there
    /// is no such batch.
    ///
    /// # Errors
    /// [`Error::BatchTimedOut`], or PostgreSQL fails.
    pub async fn wait_batch(&self, name: &str, timeout: Duration) -> Result<Option<Batch>, Error> {
        let begun = Instant::now();
        let mut pause = LOOK_MIN;
        loop {
            match self.batch_store()?.batch_moment(name).await? {
                None => return Ok(None),
                Some(moment) if !moment.has_live && !moment.is_awaited => return self.batch(name).await,
                Some(_) => {}
            }
            let left = timeout.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(Error::BatchTimedOut(name.to_owned()));
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(LOOK_MAX);
        }
    }

    /// Seals a batch: from now on no job can be added. Reapers enqueue the callbacks, each once: when the first job is dead,
    /// when all jobs have ended, and when all have succeeded.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn seal_batch(&self, name: &str, seal: &BatchSeal) -> Result<Sealed, Error> {
        Ok(self.batch_store()?.seal_batch(name, seal).await?)
    }

    /// Cancels the live jobs of a batch, as [`Client::cancel`] does. Returns how many jobs this call has cancelled, and how
    /// many running jobs were told to stop.
    ///
    /// # Errors
    /// [`Error::Locked`] if open transactions of other sessions hold some of the jobs; all others are cancelled. Or PostgreSQL
    /// fails; the jobs before are cancelled.
    pub async fn cancel_batch(&self, name: &str) -> Result<(u64, u64), Error> {
        let CancelledBatch { cancelled, stopping, locked: held } = self.cancel_free_of_batch(name).await?;
        if held.is_empty() {
            return Ok((cancelled, stopping));
        }
        let doing = "cancelling the jobs of a batch";
        Err(Error::Locked(Box::new(LockedOut::new(doing, held, Vec::new()))))
    }

    /// The same, but a job that stays locked is not an error.
    ///
    /// # Errors
    /// PostgreSQL fails. The jobs before are cancelled.
    pub async fn cancel_free_of_batch(&self, name: &str) -> Result<CancelledBatch, Error> {
        let limit = i64::try_from(BATCH_MAX).unwrap_or(i64::MAX);
        let mut done = CancelledBatch::default();
        let mut after: Option<JobId> = None;
        // If one transaction holds jobs of several pages, the call waits for it only once.
        let mut since = None;
        loop {
            let store = self.batch_store()?;
            let page = store.batch_live(name, after, limit).await?;
            let Some(last) = page.last().copied() else { return Ok(done) };
            let begun = std::time::Instant::now();
            let (mut answers, locked) = store.cancel_free(&page, since).await?;
            answers.retain(|answer| answer.changed);
            self.tell_of_cancels(&answers).await;
            let running = answers.iter().filter(|answer| answer.running.is_some()).count() as u64;
            done.stopping += running;
            done.cancelled += answers.len() as u64 - running;
            if !locked.is_empty() {
                since = since.or(Some(begun));
            }
            done.locked.extend(locked);
            after = Some(last);
        }
    }
}

/// Refuses an invalid name of a batch.
///
/// # Errors
/// What is wrong with the name.
pub fn check_batch_name(name: &str) -> Result<(), InvalidJob> {
    let problem = match name.len() {
        0 => "is empty".to_owned(),
        1..=BATCH_NAME_MAX_BYTES if name.contains('\0') => "has a NUL byte".to_owned(),
        1..=BATCH_NAME_MAX_BYTES => return Ok(()),
        bytes => format!("is {bytes} bytes long; at most {BATCH_NAME_MAX_BYTES} are allowed"),
    };
    Err(InvalidJob(vec![FieldError::new("batch", problem)]))
}

/// The longest name of a batch, in bytes.
const BATCH_NAME_MAX_BYTES: usize = leasehold_core::KEY_MAX_BYTES;
