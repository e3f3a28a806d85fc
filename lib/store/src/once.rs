//! enqueue_once: enqueues jobs in one transaction, all of them or none, and at most once for each Idempotency-Key.

use crate::{
    connect::Store,
    error::Error,
    held::HeldUp,
    locked::{BATCH_LOCK_TIMEOUT, Lockable, Tries, retry_locked},
    locked_out::{Holder, Locked, LockedOut},
};
use async_trait::async_trait;
use leasehold_core::NewJob;
use leasehold_encryption::Encrypted;
use leasehold_ports::Enqueued;
use sqlx::{PgConnection, Row};
use std::time::{Duration, Instant};

const DOING: &str = "enqueueing jobs in one transaction";

/// The Idempotency-Key of a request.
#[derive(Clone, Debug)]
pub struct OnceKey {
    /// The key.
    pub key: String,
    /// The SHA-256 of the request: another request with the same key is refused.
    pub fingerprint: [u8; 32],
}

/// The answer to a request that may have been sent before.
#[derive(Clone, Debug)]
pub enum Once {
    /// This call has enqueued the jobs.
    Done(Vec<Enqueued>),
    /// An earlier request has enqueued the jobs, and this is its answer.
    Already(Vec<Enqueued>),
    /// Another request has this key. Nothing was changed.
    OtherRequest,
}

impl Store {
    /// Enqueues jobs in one transaction. With a key, the answer is remembered in the same transaction, and a request that is sent
    /// again, or at the same time, gets the same answer.
    ///
    /// # Errors
    /// [`Error::Invalid`] before anything is sent. [`Error::Locked`] if another transaction holds an id, a unique key, a parent, or
    /// the key of the request for longer than `lock_timeout`. Or a statement failed. Nothing is enqueued, unless the answer to
    /// the commit was lost.
    pub async fn enqueue_once(&self, jobs: &[NewJob], key: Option<&OnceKey>) -> Result<Once, Error> {
        jobs.iter().try_for_each(NewJob::validate)?;
        match self.enqueue_encrypted_once(self.encrypted(jobs).await?.into_owned(), key).await {
            Err(error) if self.learns_of_a_queue(&error) => {
                self.enqueue_encrypted_once(self.encrypted(jobs).await?.into_owned(), key).await
            }
            answer => answer,
        }
    }

    /// The jobs must be in the form for PostgreSQL: encrypted, if their queues ask for it.
    async fn enqueue_encrypted_once(&self, jobs: Vec<NewJob>, key: Option<&OnceKey>) -> Result<Once, Error> {
        let within = self.answers_within().max(self.lock_timeout + Duration::from_secs(1)) * 2;
        let (store, key) = (self.clone(), key.cloned());
        let enqueued = async move {
            let request = Request { store: &store, jobs: &jobs, key: key.as_ref() };
            let tries = retry_locked(&store, &request, 1, Instant::now()).await?;
            match tries.done.into_iter().next() {
                Some((_, answer)) => Ok(answer),
                None => Err(request.locked(tries.held.into_iter().find_map(|(_, by)| by)).await?),
            }
        };
        self.to_its_end(DOING, within, enqueued).await
    }
}

/// The jobs of a request, and its key.
struct Request<'a> {
    store: &'a Store,
    jobs: &'a [NewJob],
    key: Option<&'a OnceKey>,
}

#[async_trait]
impl Lockable for Request<'_> {
    type Answer = Once;

    async fn each(&self, left: Vec<usize>) -> Result<Tries<Once>, Error> {
        let mut transaction = self.store.transactions.begin().await.map_err(Error::sql(DOING))?;
        let limit = sqlx::query(include_str!("../sql/lock_timeout.sql")).bind(BATCH_LOCK_TIMEOUT).persistent(false);
        limit.execute(&mut *transaction).await.map_err(Error::sql(DOING))?;
        let answer = self.one(&mut transaction, 0).await;
        match answer {
            Ok(answer) => {
                transaction.commit().await.map_err(Error::sql(DOING))?;
                Ok(Tries { done: answer.map(|answer| (0, answer)).into_iter().collect(), held: Vec::new() })
            }
            Err(error) => {
                transaction.rollback().await.map_err(Error::sql(DOING))?;
                if error.is_locked() { Ok(Tries { done: Vec::new(), held: left }) } else { Err(error) }
            }
        }
    }

    async fn one(&self, connection: &mut PgConnection, _: usize) -> Result<Option<Once>, Error> {
        if let Some(key) = self.key
            && let Some(answer) = take(connection, key, &fingerprints(self.store, key, self.jobs)).await?
        {
            return Ok(Some(answer));
        }
        let answers = Store::enqueue_encrypted_in(connection, self.jobs).await?;
        if let Some(key) = self.key {
            let text = serde_json::to_string(&answers)
                .map_err(|error| Error::sql(DOING)(sqlx::Error::Encode(error.into())))?;
            let end = sqlx::query(include_str!("../sql/once_end.sql")).bind(&key.key).bind(text).persistent(false);
            end.execute(connection).await.map_err(Error::sql(DOING))?;
        }
        Ok(Some(Once::Done(answers)))
    }
}

impl Request<'_> {
    /// The error that names the locked jobs and keys. `by`: the session that the last try waited for.
    async fn locked(&self, by: Option<Holder>) -> Result<Error, Error> {
        let all: Vec<usize> = (0..self.jobs.len()).collect();
        let mut held: Vec<(usize, HeldUp)> = self.store.held_up(self.jobs, &all).await?.into_iter().collect();
        held.retain(|(_, up)| up.is_itself());
        if held.is_empty() {
            let what = self.key.map_or_else(
                || "something that the jobs need".to_owned(),
                |key| format!("the Idempotency-Key {:?}", key.key),
            );
            held.push((0, HeldUp::itself(what)));
        }
        // The try waited for the first one.
        let first = held.iter().map(|(_, up)| up).min_by_key(|up| up.rank()).map(HeldUp::describe);
        let tell = |(nth, up): (usize, HeldUp)| {
            let what = up.describe();
            let by = by.clone().filter(|_| Some(&what) == first.as_ref());
            Locked { nth, what, by }
        };
        let held = held.into_iter().map(tell).collect();
        Ok(Error::Locked(Box::new(LockedOut { doing: DOING, held, accepted: Vec::new() })))
    }
}

/// The fingerprints of the request, first the fingerprint that is written. A request with encrypted payloads gets a keyed
/// fingerprint: with a plain digest, a reader of the table could test guesses of the request. The other fingerprints belong to
/// earlier keys and to the time before there were keys. A request without encrypted payloads has the same fingerprint in every
/// process, even if the processes have different keys.
fn fingerprints(store: &Store, key: &OnceKey, jobs: &[NewJob]) -> Vec<[u8; 32]> {
    let mut all = store.keys().fingerprints(&key.fingerprint);
    let is_encrypted = jobs.iter().any(|job| Encrypted::is(job.payload.get()));
    all.insert(if is_encrypted { all.len() } else { 0 }, key.fingerprint);
    all
}

/// `None`: the key belongs to this transaction now.
async fn take(connection: &mut PgConnection, key: &OnceKey, fingerprints: &[[u8; 32]]) -> Result<Option<Once>, Error> {
    let taken = sqlx::query(include_str!("../sql/once_begin.sql"))
        .bind(&key.key)
        .bind(fingerprints.first().map(<[u8; 32]>::as_slice))
        .persistent(false)
        .fetch_optional(&mut *connection)
        .await
        .map_err(Error::sql(DOING))?;
    if taken.is_some() {
        return Ok(None);
    }
    let row = sqlx::query(include_str!("../sql/once_answer.sql"))
        .bind(&key.key)
        .persistent(false)
        .fetch_one(connection)
        .await
        .map_err(Error::sql(DOING))?;
    let read = || -> Result<Once, sqlx::Error> {
        let found = row.try_get::<Vec<u8>, _>("fingerprint")?;
        if !fingerprints.iter().any(|fingerprint| found == fingerprint) {
            return Ok(Once::OtherRequest);
        }
        let answer: String = row.try_get("answer")?;
        serde_json::from_str(&answer).map(Once::Already).map_err(|error| sqlx::Error::Decode(error.into()))
    };
    read().map(Some).map_err(Error::sql(DOING))
}
