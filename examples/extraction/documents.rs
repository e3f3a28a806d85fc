//! The documents: the program's own table, and the two calls of its API. Each call is one transaction.

use crate::stages::{Event, Extract, Notify};
use leasehold::{Client, JobId};
use sqlx::types::Uuid;
use sqlx::{Executor, PgPool};
use std::error::Error;

/// The tables of the program. `document.job` is the job of the first stage.
const SCHEMA: &str = "
    CREATE SCHEMA IF NOT EXISTS extraction;
    CREATE TABLE IF NOT EXISTS extraction.document (
        id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        key     text NOT NULL UNIQUE,
        body    text NOT NULL,
        state   text NOT NULL DEFAULT 'submitted' CHECK (state IN ('submitted', 'extracted', 'done', 'cancelled')),
        job     uuid NOT NULL,
        fields  text[],
        summary text
    );
    CREATE TABLE IF NOT EXISTS extraction.webhook (
        job      uuid PRIMARY KEY,
        document bigint NOT NULL,
        event    text NOT NULL
    );
";

/// Makes the tables. May be called again.
pub(crate) async fn make_tables(pool: &PgPool) -> Result<(), sqlx::Error> {
    pool.execute(SCHEMA).await.map(drop)
}

/// Accepts a document. The idempotency key names the document: the same key again, also at the same moment, is the same
/// document. The row and the job of the first stage are one transaction, so no document is without its job.
pub(crate) async fn submit(
    client: &Client,
    pool: &PgPool,
    key: &str,
    body: &str,
) -> Result<i64, Box<dyn Error + Send + Sync>> {
    let job = JobId::new();
    let mut transaction = pool.begin().await?;
    // A second submit with this key waits here until the first one has committed, and then inserts nothing.
    let inserted: Option<i64> = sqlx::query_scalar(
        "INSERT INTO extraction.document (key, body, job) VALUES ($1, $2, $3) ON CONFLICT (key) DO NOTHING RETURNING id",
    )
    .bind(key)
    .bind(body)
    .bind(job.0)
    .fetch_optional(&mut *transaction)
    .await?;
    let document = match inserted {
        Some(document) => {
            client.enqueue(Extract { document }).id(job).send_in(&mut transaction).await?;
            document
        }
        None => {
            let existing = sqlx::query_scalar("SELECT id FROM extraction.document WHERE key = $1").bind(key);
            existing.fetch_one(&mut *transaction).await?
        }
    };
    transaction.commit().await?;
    Ok(document)
}

/// Cancels a document. Returns whether this call won: the document had neither been finished nor cancelled before. Only the
/// winner enqueues the webhook, in the same transaction.
pub(crate) async fn cancel(
    client: &Client,
    pool: &PgPool,
    document: i64,
) -> Result<bool, Box<dyn Error + Send + Sync>> {
    let mut transaction = pool.begin().await?;
    let job: Option<Uuid> = sqlx::query_scalar(
        "UPDATE extraction.document SET state = 'cancelled' WHERE id = $1 AND state IN ('submitted', 'extracted') RETURNING job",
    )
    .bind(document)
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(job) = job else { return Ok(false) };
    client.enqueue(Notify { document, event: Event::Cancelled }).send_in(&mut transaction).await?;
    transaction.commit().await?;
    // The jobs need not continue. If this call is lost, the stages read the state of the document and stop.
    client.cancel(&[JobId(job)]).await?;
    Ok(true)
}
