//! Asks PostgreSQL all the time how many runs each limit key has. A run counts until its row says that it has ended, also when its
//! lease is over.

use anyhow::{Result, ensure};
use sqlx::{Connection as _, PgConnection};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinHandle;

/// How long to wait for a server that does not answer.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// The most runs of each key that are allowed at any time.
pub(crate) type Limits = BTreeMap<String, i64>;

pub(crate) struct LimitWatch {
    is_over: Arc<AtomicBool>,
    task: JoinHandle<Result<Seen>>,
}

/// What a watch has seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// The number of answers.
    pub(crate) reads: u64,
    /// The answers in which some key had as many runs as its limit allows.
    pub(crate) full: u64,
}

impl LimitWatch {
    /// `url`: of the server itself, not of a proxy. The server may be restarted meanwhile.
    pub(crate) fn start(url: String, limits: Limits) -> Self {
        let is_over = Arc::<AtomicBool>::default();
        let ends = Arc::clone(&is_over);
        let task = tokio::spawn(async move {
            let (mut connection, mut seen) = (None, Seen::default());
            while !ends.load(Ordering::Relaxed) {
                let Ok(runs) = ask(&url, &mut connection).await else {
                    connection = None;
                    tokio::time::sleep(AGAIN_AFTER).await;
                    continue;
                };
                let exceeded = exceeded(&runs, &limits);
                ensure!(exceeded.is_empty(), "too many runs: {exceeded:?}");
                seen.reads += 1;
                seen.full += u64::from(limits.iter().any(|(key, limit)| runs.get(key) == Some(limit)));
            }
            Ok(seen)
        });
        Self { is_over, task }
    }

    /// Ends the watch. Fails if some key had too many runs.
    pub(crate) async fn end(self) -> Result<Seen> {
        self.is_over.store(true, Ordering::Relaxed);
        let seen = self.task.await??;
        ensure!(seen.reads > 50 && seen.full > 0, "too little was seen, this proves nothing: {seen:?}");
        Ok(seen)
    }
}

async fn ask(url: &str, connection: &mut Option<PgConnection>) -> Result<Limits, sqlx::Error> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(PgConnection::connect(url).await?),
    };
    runs(connection).await
}

/// The number of runs of each key.
pub(crate) async fn runs(postgres: &mut PgConnection) -> Result<Limits, sqlx::Error> {
    let query = "SELECT k.key, count(*) FROM leasehold.job j CROSS JOIN LATERAL unnest(j.limit_keys) k(key)
                 WHERE j.state = 'running' GROUP BY 1";
    let rows: Vec<(String, i64)> = sqlx::query_as(query).fetch_all(postgres).await?;
    Ok(rows.into_iter().collect())
}

/// The keys that have more runs than their limit.
pub(crate) fn exceeded(runs: &Limits, limits: &Limits) -> Limits {
    let over = runs.iter().filter(|(key, runs)| limits.get(*key).is_some_and(|limit| *runs > limit));
    over.map(|(key, runs)| (key.clone(), *runs)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_runs_than_the_limit_are_found() {
        let of = |pairs: &[(&str, i64)]| pairs.iter().map(|(key, runs)| ((*key).to_owned(), *runs)).collect::<Limits>();
        let limits = of(&[("a", 3), ("b", 1)]);
        assert_eq!(exceeded(&of(&[("a", 4), ("b", 1), ("without a limit", 9)]), &limits), of(&[("a", 4)]));
        assert!(exceeded(&of(&[("a", 3)]), &limits).is_empty());
    }
}
