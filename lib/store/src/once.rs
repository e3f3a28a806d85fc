//! enqueue_once: enqueues jobs in one transaction, all of them or none, and at most once for each Idempotency-Key.

use crate::{connect::Store, error::Error, row::millis};
use leasehold_core::NewJob;
use leasehold_ports::Enqueued;
use sqlx::{PgConnection, Row};
use std::time::Duration;

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
    /// [`Error::Invalid`] before anything is sent, or a statement failed; nothing is enqueued, unless the answer to the commit was
    /// lost. An id, a unique key, or the key of the request, that another transaction holds for longer than `lock_timeout`, is
    /// such a failure.
    pub async fn enqueue_once(&self, jobs: &[NewJob], key: Option<&OnceKey>) -> Result<Once, Error> {
        jobs.iter().try_for_each(NewJob::validate)?;
        let within = self.answers_within().max(self.lock_timeout + Duration::from_secs(1)) * 2;
        let (store, jobs, key) = (self.clone(), jobs.to_vec(), key.cloned());
        let enqueued = async move { store.enqueue_in_transaction(&jobs, key.as_ref()).await };
        self.to_its_end(DOING, within, enqueued).await
    }

    async fn enqueue_in_transaction(&self, jobs: &[NewJob], key: Option<&OnceKey>) -> Result<Once, Error> {
        let mut transaction = self.transactions.begin().await.map_err(Error::sql(DOING))?;
        let limit = format!("{}ms", millis(self.lock_timeout));
        sqlx::query(include_str!("../sql/lock_timeout.sql"))
            .bind(limit)
            .persistent(false)
            .execute(&mut *transaction)
            .await
            .map_err(Error::sql(DOING))?;
        if let Some(key) = key
            && let Some(answer) = take(&mut transaction, key).await?
        {
            transaction.rollback().await.map_err(Error::sql(DOING))?;
            return Ok(answer);
        }
        let answers = Self::enqueue_in(&mut transaction, jobs).await?;
        if let Some(key) = key {
            let text = serde_json::to_string(&answers)
                .map_err(|error| Error::sql(DOING)(sqlx::Error::Encode(error.into())))?;
            sqlx::query(include_str!("../sql/once_end.sql"))
                .bind(&key.key)
                .bind(text)
                .persistent(false)
                .execute(&mut *transaction)
                .await
                .map_err(Error::sql(DOING))?;
        }
        transaction.commit().await.map_err(Error::sql(DOING))?;
        Ok(Once::Done(answers))
    }
}

/// `None`: the key belongs to this transaction now.
async fn take(connection: &mut PgConnection, key: &OnceKey) -> Result<Option<Once>, Error> {
    let taken = sqlx::query(include_str!("../sql/once_begin.sql"))
        .bind(&key.key)
        .bind(key.fingerprint.as_slice())
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
        if row.try_get::<Vec<u8>, _>("fingerprint")? != key.fingerprint {
            return Ok(Once::OtherRequest);
        }
        let answer: String = row.try_get("answer")?;
        serde_json::from_str(&answer).map(Once::Already).map_err(|error| sqlx::Error::Decode(error.into()))
    };
    read().map(Some).map_err(Error::sql(DOING))
}
