//! Notes in PostgreSQL which answers were written. If this process dies before it has written an answer, a reaper immediately
//! gives the jobs of the answer back, so that they do not wait for the ends of their leases.
//!
//! Nothing here delays an answer, and one statement covers many answers.

use super::dispatcher::Shared;
use leasehold_core::Fence;
use leasehold_store::ANSWER_WITHIN;
use leasehold_worker::Waits;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

/// How often answers that take long get more time.
const LOOK: Duration = Duration::from_millis(500);
/// How long the server tries to note an answer in PostgreSQL. After this time, the worker has renewed the leases, or they have
/// run out.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most answers of one statement.
const AT_ONCE: usize = 256;

/// The answers that are being written.
#[derive(Debug)]
pub(crate) struct Deliveries {
    open: Mutex<HashMap<u64, (Instant, Vec<Fence>)>>,
    written: mpsc::UnboundedSender<Vec<Fence>>,
}

impl Deliveries {
    pub(crate) fn new(written: mpsc::UnboundedSender<Vec<Fence>>) -> Self {
        Self { open: Mutex::default(), written }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, (Instant, Vec<Fence>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer of this number will be written.
    pub(super) fn begin(&self, number: u64, runs: Vec<Fence>) {
        self.open().insert(number, (Instant::now(), runs));
    }

    /// The answer was written to its end.
    pub(super) fn written(&self, number: u64) {
        let Some((_, runs)) = self.open().remove(&number) else { return };
        if !runs.is_empty() {
            // Without a receiver the server has stopped.
            let _ = self.written.send(runs);
        }
    }

    /// The answer will not be written: its runs are released.
    pub(super) fn give_up(&self, number: u64) {
        self.open().remove(&number);
    }

    /// No answer follows.
    pub(super) fn end(&self) {
        let _ = self.written.send(Vec::new());
    }

    /// The runs of answers that take long.
    fn slow(&self) -> Vec<Fence> {
        let open = self.open();
        let slow = open.values().filter(|(since, _)| since.elapsed() >= LOOK / 2);
        slow.flat_map(|(_, runs)| runs).copied().collect()
    }
}

/// Tells PostgreSQL until an empty message comes.
pub(super) async fn tell_deliveries(shared: Arc<Shared>, written: mpsc::UnboundedReceiver<Vec<Fence>>) {
    tokio::select! {
        () = tell_written(&shared, written) => {}
        () = give_more_time(&shared) => {}
    }
}

/// Notes which answers were written, until an empty message comes. An answer that cannot be noted now is noted together with the
/// next answers. So a row that another session has locked does not delay other rows.
async fn tell_written(shared: &Shared, mut written: mpsc::UnboundedReceiver<Vec<Fence>>) {
    let (mut untold, mut batch): (Vec<(Instant, Fence)>, _) = (Vec::new(), Vec::new());
    let (mut waits, mut is_last) = (Waits::new(20, 1000), false);
    while !(is_last && untold.is_empty()) {
        let pause = if untold.is_empty() { PATIENCE } else { waits.next(&shared.jitter) };
        if is_last {
            sleep(pause).await;
        } else if timeout(pause, written.recv_many(&mut batch, AT_ONCE)).await.is_ok_and(|count| count == 0) {
            return;
        }
        is_last |= batch.iter().any(Vec::is_empty);
        let now = Instant::now();
        untold.extend(batch.drain(..).flatten().map(|run| (now, run)));
        if untold.is_empty() {
            continue;
        }
        let runs: Vec<Fence> = untold.iter().map(|(_, run)| *run).collect();
        let error = match shared.store.http_delivery(&runs, None).await {
            Ok(locked) => {
                untold.retain(|(_, run)| locked.contains(run));
                "their rows are locked".to_owned()
            }
            Err(error) => error.to_string(),
        };
        if untold.is_empty() {
            waits.reset();
        }
        let before = untold.len();
        untold.retain(|(since, _)| since.elapsed() < PATIENCE);
        if untold.len() < before {
            let runs = before - untold.len();
            tracing::warn!(error, runs, "PostgreSQL does not know that HTTP workers have got jobs");
        }
    }
}

/// Gives more time to answers that take long. This is a separate task: while a written answer cannot be noted in PostgreSQL, the
/// other answers still get their time.
async fn give_more_time(shared: &Shared) {
    loop {
        sleep(LOOK).await;
        let slow = shared.unconfirmed.deliveries.slow();
        if !slow.is_empty()
            && let Err(error) = shared.store.http_delivery(&slow, Some(ANSWER_WITHIN)).await
        {
            tracing::debug!(%error, "answers that take long got no more time");
        }
    }
}
