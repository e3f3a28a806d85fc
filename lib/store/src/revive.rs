//! revive: an operator gives finished jobs another chance.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, uuids, word},
};
use leasehold_core::{BATCH_MAX, JobId, QueueName};
use sqlx::{Row, postgres::PgRow};

const DOING: &str = "reviving jobs";
/// How often a unique key that was taken in the very same moment is looked at again.
const TRIES: u32 = 3;

/// The answer to one revive.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct Revived {
    pub id: JobId,
    pub queue: QueueName,
    pub priority: i16,
}

impl Store {
    /// Finished jobs back to the line with a new budget; scheduled ones at once. Others are not in the answer.
    ///
    /// # Errors
    /// [`Error::UniqueKeyTaken`] when a live job has the unique key of one of them: of its batch of `BATCH_MAX`, none
    /// was revived. Or that a statement failed.
    pub async fn revive(&self, ids: &[JobId]) -> Result<Vec<Revived>, Error> {
        let mut answers = Vec::with_capacity(ids.len());
        for batch in ids.chunks(BATCH_MAX) {
            let mut tried = 1;
            let rows = loop {
                let statement = sqlx::query(include_str!("../sql/revive.sql")).bind(uuids(batch));
                match statement.try_map(|row| decode(&row)).fetch_all(&self.bounded).await.map_err(Error::sql(DOING)) {
                    // unique_violation: the key was taken between the look and the insert.
                    Err(error) if error.code().as_deref() == Some("23505") && tried < TRIES => tried += 1,
                    rows => break rows?,
                }
            };
            for (id, revived) in rows {
                answers.push(revived.ok_or(Error::UniqueKeyTaken(id))?);
            }
        }
        Ok(answers)
    }
}

/// A row without a queue is a job whose key is taken.
fn decode(row: &PgRow) -> Result<(JobId, Option<Revived>), sqlx::Error> {
    let id = job_id(row, "id")?;
    if row.try_get::<Option<&str>, _>("queue")?.is_none() {
        return Ok((id, None));
    }
    Ok((id, Some(Revived { id, queue: word(row, "queue")?, priority: row.try_get("priority")? })))
}
