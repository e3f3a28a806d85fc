//! Says in Redis that this worker lives and what it serves. As the one call that is made whatever else goes on, it is
//! also the probe for a Redis that was away.

use crate::{wait::Waits, worker_state::WorkerState};
use chrono::{SecondsFormat, Utc};
use leasehold_ports::WorkerRecord;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(3);
/// An announcement outlasts two that went wrong.
const HOLDS_FOR: Duration = Duration::from_secs(10);

/// Announces until `done`, then takes it back.
pub(crate) async fn announce(state: Arc<WorkerState>, done: CancellationToken) {
    let mut record = record(&state);
    let mut waits = Waits::new(100, 2000);
    loop {
        record.running = u32::try_from(state.runs.len()).unwrap_or(u32::MAX);
        let was_away = state.redis.is_away();
        // A server may take the announcement and refuse what comes next. It is not back before it can do everything.
        let answer = match was_away {
            true => state.handoff.check().await,
            false => Ok(()),
        };
        let answer = match answer {
            Ok(()) => state.handoff.announce(&record, HOLDS_FOR).await,
            unfit => unfit,
        };
        let wait = match answer {
            Ok(()) => {
                state.redis.answered();
                // Only when it held: a Redis that answers this and fails at the next claim is asked less and less often.
                if !was_away {
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
            () = async { state.redis.until_away().await; sleep(waits.next(&state.jitter)).await } => {}
            () = sleep(wait), if !wait.is_zero() => {}
        }
    }
    if !state.redis.is_away()
        && let Err(error) = state.handoff.withdraw(&record).await
    {
        tracing::debug!(%error, "the announcement was not taken back; it runs out by itself");
    }
}

fn record(state: &WorkerState) -> WorkerRecord {
    WorkerRecord {
        id: state.id,
        // For people to read only: nothing is decided by it.
        host: std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
        queues: state.settings.queues.clone(),
        kinds: state.named_kinds().map(<[_]>::to_vec),
        running: 0,
    }
}
