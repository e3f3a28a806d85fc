//! Receives notices from Redis. Notices only save time: without them, the worker learns the same facts later, in
//! another way.

use crate::{run::StopReason, worker_state::WorkerState};
use leasehold_core::Fence;
use leasehold_ports::Notice;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Listens until `done`.
pub(crate) async fn hear(state: Arc<WorkerState>, done: CancellationToken) {
    let mut notices = state.handoff.listen();
    loop {
        let notice = tokio::select! {
            biased;
            () = done.cancelled() => return,
            notice = notices.recv() => notice,
        };
        match notice {
            Some(Notice::Cancel { id, epoch, worker }) => {
                state.runs.tell(Fence { id, epoch, worker }, StopReason::Cancelled);
            }
            Some(Notice::Aside { queue, kind }) => {
                if let Some(poke) = state.wakeups.get(&queue).filter(|_| state.handlers.serves(&kind)) {
                    // `Notify` keeps one wake-up for a loop that is busy now.
                    poke.notify_one();
                }
            }
            Some(Notice::Awaited) => state.awaited.note(),
            // For reapers.
            Some(Notice::Due { .. }) => {}
            None => return,
        }
    }
}
