//! Announces in Redis that this worker lives and which queues and kinds it serves. The worker makes this call in every state,
//! so the call also finds out when Redis is available again.

use crate::{jitter::Waits, worker_state::WorkerState};
use chrono::{SecondsFormat, Utc};
use leasehold_ports::WorkerRecord;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(3);
/// An announcement stays valid if the next two announcements fail.
const HOLDS_FOR: Duration = Duration::from_secs(10);
/// How often a worker notes in Redis which kinds it serves. `explain` uses this later to say why a job waits.
const REMEMBERED_EVERY: Duration = Duration::from_secs(30);

/// Announces until `done`, then withdraws the announcement.
pub(crate) async fn announce(state: Arc<WorkerState>, done: CancellationToken) {
    let mut record = record(&state);
    let mut waits = Waits::new(100, 2000);
    let mut remembered: Option<Instant> = None;
    loop {
        record.running = u32::try_from(state.runs.len()).unwrap_or(u32::MAX);
        record.oldest_run_s = state.runs.oldest(Instant::now()).map(|age| age.as_secs());
        record.draining = state.stopping.is_cancelled();
        let was_unavailable = state.redis.is_unavailable();
        // A server may accept the announcement and refuse the next call. Redis counts as available only when all calls
        // work.
        let answer = match was_unavailable {
            true => state.handoff.check().await,
            false => Ok(()),
        };
        let answer = match answer {
            Ok(()) => state.handoff.announce(&record, HOLDS_FOR).await,
            unfit => unfit,
        };
        if answer.is_ok() && remembered.is_none_or(|at| at.elapsed() >= REMEMBERED_EVERY) {
            note_served(&state, &record).await;
            remembered = Some(Instant::now());
        }
        let wait = match answer {
            Ok(()) => {
                state.redis.answered();
                // Reset the pause only if Redis stayed available. A Redis that answers this call and fails at the next
                // claim is asked less and less often.
                if !was_unavailable {
                    waits.reset();
                }
                EVERY
            }
            Err(error) => {
                state.redis.failed(&error);
                Duration::ZERO
            }
        };
        tokio::select! {
            biased;
            () = done.cancelled() => break,
            // An autoscaler must not count the slots of a worker that stops.
            () = state.stopping.cancelled(), if !record.draining => {}
            () = async { state.redis.until_unavailable().await; sleep(waits.next(&state.jitter)).await } => {}
            () = sleep(wait), if !wait.is_zero() => {}
        }
    }
    if !state.redis.is_unavailable() {
        note_served(&state, &record).await;
    }
    if !state.redis.is_unavailable()
        && let Err(error) = state.handoff.withdraw(&record).await
    {
        tracing::debug!(%error, "the announcement was not withdrawn; it expires by itself");
    }
}

/// A failure is found by the next announcement.
async fn note_served(state: &WorkerState, record: &WorkerRecord) {
    if let Err(error) = state.handoff.note_served(record).await {
        tracing::debug!(%error, "it is not remembered which kinds this worker serves");
    }
}

fn record(state: &WorkerState) -> WorkerRecord {
    WorkerRecord {
        id: state.id,
        // In Kubernetes the host name is the name of the pod, by which a reaper finds the pod. The other values are for human
        // readers.
        host: std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
        queues: state.settings.queues.clone(),
        kinds: state.named_kinds().map(<[_]>::to_vec),
        running: 0,
        oldest_run_s: None,
        draining: false,
        http: None,
    }
}
