//! The physical floor: the minimum that any queue must write if it keeps jobs and finished jobs in PostgreSQL.
//!
//! Each job is inserted, claimed and finished by primary key, with three durable commits for each batch. There is no
//! order, no lease, no second index and no search: ids go from the producer to the consumer through memory. A queue's
//! speed as a part of the floor, measured in the same minute on the same server, tells more than its jobs per second.

use crate::error::Error;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sqlx::{
    ConnectOptions as _, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{
    str::FromStr as _,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{Mutex, mpsc};

/// Jobs in a batch, and in-flight batches of the producer: the same as in measurements of queues.
const BATCH: u64 = 500;
const IN_FLIGHT: usize = 4;
/// A payload as small as the payload of jobs that do nothing.
const PAYLOAD: &str = "null";

/// The floor on one server.
#[derive(Debug)]
pub struct Floor {
    pool: PgPool,
    consumers: usize,
}

type Ids = Vec<i64>;

impl Floor {
    /// Creates the floor's table in a separate schema. `consumers`: the number of connections that claim and finish.
    ///
    /// # Errors
    /// PostgreSQL does not answer or refuses.
    pub async fn open(database_url: &str, consumers: usize) -> Result<Self, Error> {
        let doing = "connecting to PostgreSQL for the floor";
        let options = PgConnectOptions::from_str(database_url).map_err(Error::postgres(doing))?;
        let options = options.application_name("leasehold bench").disable_statement_logging();
        let connections = IN_FLIGHT + consumers;
        // Opens all connections now, so that no connection is opened during the measurement.
        let pool = PgPoolOptions::new()
            .max_connections(connections as u32)
            .min_connections(connections as u32)
            .test_before_acquire(false)
            .connect_with(options)
            .await
            .map_err(Error::postgres(doing))?;
        let floor = Self { pool, consumers };
        floor.make().await?;
        Ok(floor)
    }

    /// Inserts all jobs, then claims and finishes them. Returns both rates, in jobs per second.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn drain(&self, jobs: u64) -> Result<(f64, f64), Error> {
        self.make().await?;
        let (to, from) = mpsc::unbounded_channel();
        let begun = Instant::now();
        self.produce(jobs, to).await?;
        let enqueue_per_s = rate(jobs, begun);
        let begun = Instant::now();
        self.consume(from).await?;
        Ok((enqueue_per_s, rate(jobs, begun)))
    }

    /// Inserts, claims and finishes at the same time. Returns the rate, in jobs per second.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn flow(&self, jobs: u64) -> Result<f64, Error> {
        self.make().await?;
        let (to, from) = mpsc::unbounded_channel();
        let begun = Instant::now();
        tokio::try_join!(self.produce(jobs, to), self.consume(from))?;
        Ok(rate(jobs, begun))
    }

    /// One job after the other, with `gap` between them. Returns how long insert and claim took together, in ms,
    /// sorted.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn latency(&self, jobs: u64, gap: Duration) -> Result<Vec<f64>, Error> {
        self.make().await?;
        let mut delays_ms = Vec::new();
        for _ in 0..jobs {
            let begun = Instant::now();
            let ids = self.insert(1).await?;
            self.claim(&ids).await?;
            delays_ms.push(begun.elapsed().as_secs_f64() * 1e3);
            self.finish(&ids).await?;
            tokio::time::sleep(gap).await;
        }
        delays_ms.sort_by(f64::total_cmp);
        Ok(delays_ms)
    }

    /// Drops the floor's schema.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn close(self) -> Result<(), Error> {
        let dropped = sqlx::query(include_str!("../sql/floor_drop.sql")).execute(&self.pool).await;
        self.pool.close().await;
        dropped.map(drop).map_err(Error::postgres("dropping the table of the floor"))
    }

    async fn make(&self) -> Result<(), Error> {
        let made = sqlx::raw_sql(include_str!("../sql/floor_make.sql")).execute(&self.pool).await;
        made.map(drop).map_err(Error::postgres("making the table of the floor"))
    }

    async fn produce(&self, jobs: u64, to: mpsc::UnboundedSender<Ids>) -> Result<(), Error> {
        let batches = (0..jobs).step_by(BATCH as usize).map(|first| Ok(BATCH.min(jobs - first)));
        let to = &to;
        let sending = stream::iter(batches).try_for_each_concurrent(IN_FLIGHT, |count| async move {
            // The receiver ends only after it has failed, and its error is reported.
            let _ = to.send(self.insert(count).await?);
            Ok(())
        });
        sending.await
    }

    async fn consume(&self, from: mpsc::UnboundedReceiver<Ids>) -> Result<(), Error> {
        let from = Arc::new(Mutex::new(from));
        let consumers = (0..self.consumers).map(|_| {
            let from = Arc::clone(&from);
            async move {
                loop {
                    let batch = from.lock().await.recv().await;
                    let Some(ids) = batch else { return Ok::<_, Error>(()) };
                    self.claim(&ids).await?;
                    // A queue would run the handlers here.
                    self.finish(&ids).await?;
                }
            }
        });
        let mut consuming = stream::iter(consumers).buffer_unordered(self.consumers.max(1));
        while let Some(consumed) = consuming.next().await {
            consumed?;
        }
        Ok(())
    }

    async fn insert(&self, count: u64) -> Result<Ids, Error> {
        let payloads = vec![PAYLOAD; count as usize];
        let insert = sqlx::query_scalar(include_str!("../sql/floor_insert.sql")).bind(payloads);
        insert.fetch_all(&self.pool).await.map_err(Error::postgres("inserting rows of the floor"))
    }

    async fn claim(&self, ids: &[i64]) -> Result<(), Error> {
        let claimed = sqlx::query(include_str!("../sql/floor_claim.sql")).bind(ids).execute(&self.pool).await;
        claimed.map(drop).map_err(Error::postgres("claiming rows of the floor"))
    }

    async fn finish(&self, ids: &[i64]) -> Result<(), Error> {
        let finished = sqlx::query(include_str!("../sql/floor_finish.sql")).bind(ids).execute(&self.pool).await;
        finished.map(drop).map_err(Error::postgres("finishing rows of the floor"))
    }
}

fn rate(jobs: u64, since: Instant) -> f64 {
    jobs as f64 / since.elapsed().as_secs_f64()
}
