//! Reads the meters of both servers and of the processes of a measurement. A reading is two short statements, made
//! before and after a measurement and never during one.

use crate::{
    costs::Spent,
    error::Error,
    memory,
    process::{cpu_s, parent_of, tree_cpu_s},
};
use redis::aio::MultiplexedConnection;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, postgres::PgConnectOptions};
use std::{str::FromStr as _, time::Duration};
use tokio::time::{Instant, sleep};

/// How long to wait until the last connections have closed.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The meters of both servers.
#[derive(Debug)]
pub struct Meter {
    postgres: PgConnection,
    /// The postmaster process of PostgreSQL, if it runs on this machine.
    postmaster: Option<u32>,
    redis: Option<MultiplexedConnection>,
}

/// The values of the meters at one time.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    wal_bytes: i64,
    postgres_cpu_s: Option<f64>,
    redis_cpu_s: Option<f64>,
    driver_cpu_s: Option<f64>,
    workers_cpu_s: Option<f64>,
}

impl Meter {
    /// Opens connections for the meters. Without Redis its CPU is left out.
    ///
    /// # Errors
    /// A server does not answer.
    pub async fn open(database_url: &str, redis_url: Option<&str>) -> Result<Self, Error> {
        let doing = "connecting to PostgreSQL for its meters";
        let options = PgConnectOptions::from_str(database_url).map_err(Error::postgres(doing))?;
        let options = options.application_name("leasehold bench").disable_statement_logging();
        let mut postgres = options.connect().await.map_err(Error::postgres(doing))?;
        let backend: i32 = sqlx::query_scalar(include_str!("../sql/backend.sql"))
            .fetch_one(&mut postgres)
            .await
            .map_err(reading_meters)?;
        // A process id from another machine may be any process here, but hardly one with the name `postgres`.
        let postmaster = u32::try_from(backend).ok().and_then(|backend| parent_of(backend, "postgres"));
        let redis = match redis_url {
            Some(url) => Some(memory::connect(url).await?),
            None => None,
        };
        Ok(Self { postgres, postmaster, redis })
    }

    /// Reads the meters. `workers`: the worker processes.
    ///
    /// # Errors
    /// A server does not answer.
    pub async fn read(&mut self, workers: &[u32]) -> Result<Reading, Error> {
        let wal = sqlx::query_scalar(include_str!("../sql/wal.sql"));
        let wal_bytes = wal.fetch_one(&mut self.postgres).await.map_err(reading_meters)?;
        let redis_cpu_s = match &mut self.redis {
            Some(redis) => Some(redis_cpu_s(redis).await?),
            None => None,
        };
        Ok(Reading {
            wal_bytes,
            postgres_cpu_s: self.postmaster.and_then(tree_cpu_s),
            redis_cpu_s,
            driver_cpu_s: cpu_s(std::process::id()),
            workers_cpu_s: if workers.is_empty() { None } else { workers.iter().map(|pid| cpu_s(*pid)).sum() },
        })
    }

    /// The number of transactions in this database so far. A backend reports its transactions when it ends, otherwise
    /// up to ten seconds late. So this waits, up to a timeout, until no other connection is left.
    ///
    /// # Errors
    /// PostgreSQL does not answer.
    pub async fn transactions(&mut self) -> Result<u64, Error> {
        let until = Instant::now() + DISCONNECT_TIMEOUT;
        loop {
            let asked = sqlx::query_as(include_str!("../sql/transactions.sql"));
            let (transactions, others): (i64, i64) =
                asked.fetch_one(&mut self.postgres).await.map_err(reading_meters)?;
            if others == 0 || Instant::now() > until {
                return Ok(transactions.max(0) as u64);
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Closes the connection to PostgreSQL.
    pub async fn close(self) {
        // All readings are done, so a connection that failed to close is closed as well.
        let _ = self.postgres.close().await;
    }
}

impl Reading {
    /// The resources that were used since an earlier reading.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Spent {
        let more = |now: Option<f64>, before: Option<f64>| Some((now? - before?).max(0.0));
        Spent {
            wal_bytes: (self.wal_bytes - earlier.wal_bytes).max(0) as u64,
            postgres_cpu_s: more(self.postgres_cpu_s, earlier.postgres_cpu_s),
            redis_cpu_s: more(self.redis_cpu_s, earlier.redis_cpu_s),
            driver_cpu_s: more(self.driver_cpu_s, earlier.driver_cpu_s),
            workers_cpu_s: more(self.workers_cpu_s, earlier.workers_cpu_s),
        }
    }
}

async fn redis_cpu_s(redis: &mut MultiplexedConnection) -> Result<f64, Error> {
    let names = ["used_cpu_sys", "used_cpu_user", "used_cpu_sys_children", "used_cpu_user_children"];
    Ok(memory::info(redis, "cpu", names).await?.iter().sum())
}

fn reading_meters(source: sqlx::Error) -> Error {
    Error::Postgres { doing: "reading the meters of PostgreSQL", source }
}
