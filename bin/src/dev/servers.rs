//! The servers of `dev`: the servers that the settings name, and private servers for the rest.

use crate::failure::Failure;
use leasehold::Config;
use leasehold_servers::{Error, Folder, Postgres, PostgresOptions, Programs, Redis, RedisOptions};
use std::{
    convert::Infallible,
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

/// The interval between two checks whether the private servers still run.
const LOOK: Duration = Duration::from_millis(500);
/// The pause after the first restart of a server. It doubles with each further one, up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// After this time without a restart, the next death of a server is the first one again.
const OLD: Duration = Duration::from_secs(120);
/// Connections for people and for tools that are no part of the fleet, such as `leasehold each`.
const CONNECTIONS_TO_SPARE: usize = 60;

/// The private servers. A server whose URL is set is not started.
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
        let (mut of_postgres, mut of_redis) = (Restarts::default(), Restarts::default());
        loop {
            tokio::time::sleep(LOOK).await;
            if let Some(postgres) = &self.postgres
                && of_postgres.may_begin()
                && let Some(status) = postgres.exited()
            {
                tracing::warn!(%status, log_tail = %one_line(&postgres.log_tail()), "PostgreSQL has died; starting PostgreSQL again");
                let postgres = postgres.clone();
                of_postgres.tell("PostgreSQL", tokio::task::spawn_blocking(move || postgres.start_again()).await);
            }
            if let Some(redis) = &self.redis
                && of_redis.may_begin()
                && let Some(status) = redis.exited()
            {
                tracing::warn!(%status, log_tail = %one_line(&redis.log_tail()), "Redis has died; starting Redis again");
                let redis = redis.clone();
                of_redis.tell("Redis", tokio::task::spawn_blocking(move || redis.start_again()).await);
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

/// The restarts of one server. A server that dies again soon, or that does not start, is started after growing pauses.
#[derive(Default)]
struct Restarts {
    pause: Duration,
    last: Option<Instant>,
}

impl Restarts {
    /// Whether the pause after the last start has ended.
    fn may_begin(&self) -> bool {
        self.last.is_none_or(|last| last.elapsed() >= self.pause)
    }

    /// Says how a start ended, and how long the next one has to wait if it is needed soon.
    fn tell(&mut self, server: &'static str, started: Result<Result<(), Error>, tokio::task::JoinError>) {
        let is_old = self.last.is_none_or(|last| last.elapsed() >= OLD);
        self.pause = if is_old { PAUSE_FIRST } else { (self.pause * 2).min(PAUSE_MAX) };
        self.last = Some(Instant::now());
        let next_try = humantime::format_duration(self.pause);
        match started {
            Ok(Ok(())) => tracing::info!("{server} runs again"),
            Ok(Err(error)) => {
                tracing::error!(error = %one_line(&error.to_string()), %next_try, "{server} does not start");
            }
            Err(error) => tracing::error!(%error, %next_try, "starting {server} again"),
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_does_not_start_is_started_after_growing_pauses() {
        let mut restarts = Restarts::default();
        assert!(restarts.may_begin(), "a server that has died is started at once");
        let mut pauses = Vec::new();
        for _ in 0..8 {
            restarts.tell("Redis", Ok(Ok(())));
            assert!(!restarts.may_begin());
            pauses.push(restarts.pause.as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        restarts.last = Instant::now().checked_sub(OLD);
        assert!(restarts.may_begin());
        restarts.tell("Redis", Ok(Ok(())));
        assert_eq!(restarts.pause, PAUSE_FIRST, "it ran for a while");
    }
}
