//! The servers of `dev`: the servers that the settings name, and private servers for the rest.

use crate::failure::Failure;
use leasehold::Config;
use leasehold_servers::{Error, Folder, Postgres, PostgresOptions, Programs, Redis, RedisOptions};
use std::{convert::Infallible, io::Write, sync::Arc, time::Duration};

/// The interval between two checks whether the private servers still run.
const LOOK: Duration = Duration::from_millis(500);
/// Connections for people and tools beside the fleet, such as `leasehold each`.
const CONNECTIONS_TO_SPARE: usize = 60;

/// The private servers. There is none of a kind whose URL is set.
pub(super) struct Servers {
    pub(super) postgres: Option<Arc<Postgres>>,
    pub(super) redis: Option<Arc<Redis>>,
}

impl Servers {
    /// Starts a private server for each URL that is not set.
    pub(super) async fn start(config: &Config, folder: &Folder, workers: usize) -> Result<Self, Failure> {
        let needs = (config.database.url.is_none(), config.redis.url.is_none());
        // The connections of the workers, of the reaper and of this process.
        let connections = (workers + 2) * config.database.max_connections as usize + CONNECTIONS_TO_SPARE;
        let folder = folder.clone();
        let starting = tokio::task::spawn_blocking(move || start(needs, &folder, connections));
        starting.await.map_err(|error| Failure::new(format!("starting the servers: {error}")))?.map_err(failure)
    }

    /// Puts their URLs into the settings.
    pub(super) fn fill_in(&self, config: &mut Config) {
        if let Some(postgres) = &self.postgres {
            config.database.url = Some(postgres.url(postgres.database()).into());
        }
        if let Some(redis) = &self.redis {
            config.redis.url = Some(redis.url().into());
        }
    }

    /// Restarts a private server that has died, on the same port. The fleet outlasts the gap.
    pub(super) async fn keep(&self) -> Infallible {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Some(postgres) = &self.postgres
                && let Some(status) = postgres.exited()
            {
                tracing::warn!(%status, log_tail = %one_line(&postgres.log_tail()), "PostgreSQL has died; starting PostgreSQL again");
                let postgres = postgres.clone();
                tell(tokio::task::spawn_blocking(move || postgres.start_again()).await);
            }
            if let Some(redis) = &self.redis
                && let Some(status) = redis.exited()
            {
                tracing::warn!(%status, log_tail = %one_line(&redis.log_tail()), "Redis has died; starting Redis again");
                let redis = redis.clone();
                tell(tokio::task::spawn_blocking(move || redis.start_again()).await);
            }
        }
    }

    /// Stops the private servers. The data stay.
    pub(super) async fn stop(self, at_once: bool) {
        let stopping = tokio::task::spawn_blocking(move || {
            if let Some(redis) = &self.redis {
                redis.stop();
            }
            if let Some(postgres) = &self.postgres {
                if at_once { postgres.stop_immediately() } else { postgres.stop() }
            }
        });
        if let Err(error) = stopping.await {
            tracing::error!(%error, "stopping the servers");
        }
    }
}

fn start((postgres, redis): (bool, bool), folder: &Folder, connections: usize) -> Result<Servers, Error> {
    let programs = Programs::find();
    programs.require(postgres, redis)?;
    let max_connections = u32::try_from(connections).unwrap_or(u32::MAX);
    let options = PostgresOptions { max_connections, ..PostgresOptions::default() };
    let postgres = postgres.then(|| Postgres::start(&programs, folder, options)).transpose()?;
    let redis = redis.then(|| Redis::start(&programs, folder, RedisOptions::default())).transpose()?;
    Ok(Servers { postgres: postgres.map(Arc::new), redis: redis.map(Arc::new) })
}

/// One line that says what is wrong, after the last log lines of the server.
pub(super) fn failure(error: Error) -> Failure {
    match error {
        Error::Failed { doing, why, log_tail } => {
            // If the log lines cannot be written, the failure itself is still reported.
            let _ = writeln!(std::io::stderr(), "{log_tail}");
            Failure::new(format!("{doing} failed: {why}; the end of its log is above"))
        }
        Error::Missing { .. } => Failure::new(format!(
            "{error}, or use servers that run elsewhere: set LEASEHOLD_DATABASE_URL and LEASEHOLD_REDIS_URL"
        )),
        Error::Closed { .. } => Failure::new(format!("{error}, for example --data-dir /var/tmp/leasehold")),
        Error::InUse { .. } => Failure::new(format!("{error} (--data-dir)")),
        error => Failure::new(error.to_string()),
    }
}

fn tell(started: Result<Result<(), Error>, tokio::task::JoinError>) {
    match started {
        Ok(Ok(())) => tracing::info!("the server runs again"),
        Ok(Err(error)) => tracing::error!(error = %one_line(&error.to_string()), "the server does not start"),
        Err(error) => tracing::error!(%error, "starting the server again"),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
