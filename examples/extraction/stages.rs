//! The stages: extract, then summarize, then tell the webhook. Each stage writes its rows, its end and its next stage in one
//! transaction. So no process can die between them.

use leasehold::{Config, Done, Job, JobError, Run, WorkerBuilder};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use std::time::Duration;

/// The queue of all stages.
pub(crate) const QUEUE: &str = "extraction";
/// How long the model may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(120);

/// The settings of a fleet for these stages: a lease lasts as long as a run may take, and a minute more. So a worker that freezes
/// during a whole run keeps its job, and the model is not paid for a second time.
#[must_use]
pub(crate) fn with_lease(mut config: Config) -> Config {
    config.worker.lease_ms = u64::try_from((TIMEOUT + Duration::from_secs(60)).as_millis()).unwrap_or(u64::MAX);
    config
}

/// The queues and kinds that a worker of these stages serves.
pub(crate) fn serve(worker: WorkerBuilder, pool: PgPool, model: Model) -> WorkerBuilder {
    let worker = worker.state(pool).state(model);
    worker.register::<Extract>().register::<Summarize>().register::<Notify>().queue(QUEUE, 8)
}

/// Stands for the model that costs money.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Model {
    /// How long an answer takes.
    pub(crate) takes: Duration,
    /// Refuses the first attempt of each job.
    pub(crate) refuses_first: bool,
}

impl Model {
    async fn ask<T>(self, run: &Run, answer: T) -> Result<T, JobError> {
        run.progress(0.1, "the model is asked")?;
        tokio::select! {
            reason = run.cancelled() => return Err(JobError::failed(format!("stopped: {reason:?}"))),
            () = tokio::time::sleep(self.takes) => {}
        }
        match run.job().attempt {
            1 if self.refuses_first => Err(JobError::failed("the model is busy")),
            _ => Ok(answer),
        }
    }
}

/// How a stage has ended.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ended {
    /// The stage has written its rows, and the next stage follows.
    Written,
    /// Somebody cancelled the document first, so the stage has written nothing.
    AfterCancel,
}

/// The first stage: the fields of a document.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Extract {
    pub(crate) document: i64,
}

impl Job for Extract {
    const KIND: &'static str = "extraction/extract";
    const QUEUE: &'static str = QUEUE;
    const TIMEOUT: Option<Duration> = Some(TIMEOUT);
    type Output = Done<Ended>;

    async fn run(self, run: &Run) -> Result<Done<Ended>, JobError> {
        let (pool, model): (&PgPool, &Model) = (run.state()?, run.state()?);
        let body: String = sqlx::query_scalar("SELECT body FROM extraction.document WHERE id = $1")
            .bind(self.document)
            .fetch_one(pool)
            .await?;
        let fields = body.split_whitespace().filter(|word| word.contains('=')).map(str::to_owned).collect();
        let fields: Vec<String> = model.ask(run, fields).await?;
        let mut transaction = pool.begin().await?;
        let written = sqlx::query(
            "UPDATE extraction.document SET state = 'extracted', fields = $2 WHERE id = $1 AND state = 'submitted'",
        )
        .bind(self.document)
        .bind(&fields)
        .execute(&mut *transaction)
        .await?;
        let done = match written.rows_affected() {
            0 => Done::with(Ended::AfterCancel),
            _ => Done::with(Ended::Written).then(Summarize { document: self.document }),
        };
        let done = done.complete_in(run, &mut transaction).await?;
        transaction.commit().await?;
        Ok(done)
    }
}

/// The second stage: a summary of the fields.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Summarize {
    pub(crate) document: i64,
}

impl Job for Summarize {
    const KIND: &'static str = "extraction/summarize";
    const QUEUE: &'static str = QUEUE;
    const TIMEOUT: Option<Duration> = Some(TIMEOUT);
    type Output = Done<Ended>;

    async fn run(self, run: &Run) -> Result<Done<Ended>, JobError> {
        let (pool, model): (&PgPool, &Model) = (run.state()?, run.state()?);
        let fields: Vec<String> = sqlx::query_scalar("SELECT fields FROM extraction.document WHERE id = $1")
            .bind(self.document)
            .fetch_one(pool)
            .await?;
        let summary = model.ask(run, format!("{} fields: {}", fields.len(), fields.join(", "))).await?;
        let mut transaction = pool.begin().await?;
        // Decides between this finish and a cancel: one of the two conditional updates finds the row.
        let written = sqlx::query(
            "UPDATE extraction.document SET state = 'done', summary = $2 WHERE id = $1 AND state = 'extracted'",
        )
        .bind(self.document)
        .bind(&summary)
        .execute(&mut *transaction)
        .await?;
        let done = match written.rows_affected() {
            0 => Done::with(Ended::AfterCancel),
            _ => Done::with(Ended::Written).then(Notify { document: self.document, event: Event::Done }),
        };
        let done = done.complete_in(run, &mut transaction).await?;
        transaction.commit().await?;
        Ok(done)
    }
}

/// The message of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    Done,
    Cancelled,
}

/// Tells the webhook. Execution is at least once, so the receiver gets the id of the job, and ignores an id that it knows.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Notify {
    pub(crate) document: i64,
    pub(crate) event: Event,
}

impl Job for Notify {
    const KIND: &'static str = "extraction/notify";
    const QUEUE: &'static str = QUEUE;
    const MAX_ATTEMPTS: i32 = 20;
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(10));
    type Output = ();

    /// The table stands for the receiver. A real program sends a request with the id of the job as its idempotency key.
    async fn run(self, run: &Run) -> Result<(), JobError> {
        let event = if self.event == Event::Done { "done" } else { "cancelled" };
        sqlx::query("INSERT INTO extraction.webhook (job, document, event) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
            .bind(run.fence().id.0)
            .bind(self.document)
            .bind(event)
            .execute(run.state::<PgPool>()?)
            .await?;
        Ok(())
    }
}
