//! Recovers from a lack (see `shortage`): pauses claims, then uses more and more slots while no run meets the lack again.

use crate::worker_state::WorkerState;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// The first pause of claims after a lack. The pause doubles while the lack lasts, up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long no run must meet the lack before more slots are used.
const STEP: Duration = Duration::from_secs(3);

/// A run ended because this worker lacks something. Starts the recovery, if none is in progress.
pub(crate) fn begin(state: &Arc<WorkerState>, what: &str) {
    if state.shortage.begin(what) {
        tracing::warn!(
            "this worker lacks {what}; it releases jobs without spending an attempt, and takes fewer jobs at once"
        );
        tokio::spawn(recover(Arc::clone(state)));
    }
}

/// Tries again after each pause, with more and more slots, until all slots are used.
async fn recover(state: Arc<WorkerState>) {
    let stopping = state.stopping.clone();
    let _ = stopping.run_until_cancelled(pauses_and_steps(&state)).await;
}

async fn pauses_and_steps(state: &WorkerState) {
    let shortage = &state.shortage;
    let mut pause = PAUSE_FIRST;
    loop {
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
        if let Some(what) = state.handlers.lack() {
            shortage.still(what);
            continue;
        }
        shortage.end_pause();
        loop {
            state.capacity.iter().for_each(|(_, capacity)| capacity.look_again());
            tokio::select! {
                biased;
                () = shortage.again.notified() => break,
                () = sleep(STEP) => {}
            }
            pause = PAUSE_FIRST;
            if shortage.grow() {
                state.capacity.iter().for_each(|(_, capacity)| capacity.look_again());
                tracing::info!("this worker has everything that it needs again, and takes as many jobs as before");
                return;
            }
        }
    }
}
