//! Announces the HTTP workers of this server in Redis, as other workers announce themselves, and receives notices that some of
//! them were drained through another server.

use super::{dispatcher::Shared, workers::HOLDS_FOR};
use futures_util::future::join_all;
use leasehold_ports::{WorkerHead, WorkerRecord};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::sleep;

/// How often PostgreSQL is asked which workers are drained, while this server has workers.
const DRAINED_EVERY: Duration = Duration::from_secs(1);
/// How many workers are announced at the same time.
const ANNOUNCED_AT_ONCE: usize = 32;

/// The name of this server, for human readers.
pub(super) fn name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}:{}", host.trim(), std::process::id())
}

/// Announces the live workers, and withdraws dead workers. At the end it withdraws all of them.
pub(super) async fn announce(shared: Arc<Shared>, head: Arc<dyn WorkerHead>) {
    loop {
        let is_stopping = tokio::select! {
            biased;
            () = shared.stopping.cancelled() => true,
            () = shared.workers.news(), if !shared.redis.is_unavailable() => false,
            () = sleep(DRAINED_EVERY) => false,
        };
        if shared.redis.is_unavailable() {
            // All workers are announced when Redis is available again, and the current announcements expire.
            if is_stopping {
                return;
            }
            continue;
        }
        let (due, mut gone) = shared.workers.due(&shared.name);
        let claiming: Vec<WorkerRecord> =
            due.iter().filter(|(_, claims)| *claims).map(|(one, _)| one.clone()).collect();
        let due: Vec<WorkerRecord> = due.into_iter().map(|(one, _)| one).collect();
        if is_stopping {
            gone = shared.workers.all(&shared.name);
        } else {
            tell_each(&due, |record| async { head.announce(record, HOLDS_FOR).await }).await;
            tell_each(&that_differ(&claiming), |record| async { head.note_served(record).await }).await;
        }
        tell_each(&gone, |record| async { head.withdraw(record).await }).await;
        if is_stopping {
            return;
        }
    }
}

/// One record for each set of queues and kinds: a thousand clients with the same set need only one record.
fn that_differ(records: &[WorkerRecord]) -> Vec<WorkerRecord> {
    let mut seen = BTreeSet::new();
    let is_new = |record: &&WorkerRecord| {
        let queues: Vec<_> = record.queues.iter().map(|(queue, _)| queue.clone()).collect();
        seen.insert((queues, record.kinds.clone()))
    };
    records.iter().filter(is_new).cloned().collect()
}

/// A failure needs no handling: the next call to Redis finds it too, and an announcement expires by itself.
async fn tell_each<'a, T>(records: &'a [WorkerRecord], tell: impl Fn(&'a WorkerRecord) -> T)
where
    T: Future<Output = std::result::Result<(), leasehold_ports::Error>>,
{
    for some in records.chunks(ANNOUNCED_AT_ONCE) {
        for told in join_all(some.iter().map(&tell)).await {
            if let Err(error) = told {
                tracing::debug!(%error, "an HTTP worker was not announced");
            }
        }
    }
}

/// Finds out which workers were drained through another server.
pub(super) async fn hear_drains(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            biased;
            () = shared.stopping.cancelled() => return,
            () = sleep(DRAINED_EVERY) => {}
        }
        let workers = shared.workers.not_drained();
        if !workers.is_empty()
            && let Err(error) = shared.learn_drained(&workers).await
        {
            tracing::debug!(?error, "it is not known which workers are drained");
        }
    }
}
