//! Waiting for jobs by polling. All waits of a client share their statements, so a thousand waits cost what one wait costs.
//! There is no `LISTEN`: `LISTEN` does not work through a pooler in transaction mode.

use crate::{Error, StoreError};
use leasehold_core::JobId;
use leasehold_ports::{ClientStore, Finished};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::oneshot, time::Instant};

/// The delay after the first look. It doubles while nothing finishes, up to [`SLOWEST`].
const FIRST: Duration = Duration::from_millis(10);
/// The longest delay between two looks: a wait ends at most this long after its job.
const SLOWEST: Duration = Duration::from_millis(500);
/// Ids in one statement.
const IDS_MAX: usize = 5_000;
/// How long errors of PostgreSQL count as an outage that ends by itself.
const PATIENCE: Duration = Duration::from_secs(10);

type Answer = Result<Finished, StoreError>;

#[derive(Clone)]
pub(crate) struct Waiter {
    store: Arc<dyn ClientStore>,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    // In order, so that a simulation is the same in each run.
    by_id: BTreeMap<JobId, Vec<oneshot::Sender<Answer>>>,
    /// A task polls for these ids.
    attended: bool,
    /// A new wait began since the last look.
    news: bool,
}

impl Waiter {
    pub(crate) fn new(store: Arc<dyn ClientStore>) -> Self {
        Self { store, waiting: Arc::default() }
    }

    /// Ready when the job has reached its end.
    pub(crate) async fn wait(&self, id: JobId) -> Result<Finished, Error> {
        let (tell, told) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.by_id.entry(id).or_default().push(tell);
            waiting.news = true;
            if !std::mem::replace(&mut waiting.attended, true) {
                tokio::spawn(look_until_done(Arc::clone(&self.store), Arc::clone(&self.waiting)));
            }
        }
        match told.await {
            Ok(Ok(finished)) => Ok(finished),
            Ok(Err(error)) => Err(Error::Store(error)),
            Err(_) => Err(Error::Worker("the program is shutting down")),
        }
    }
}

/// Polls for all ids that are waited for, until no wait is left.
async fn look_until_done(store: Arc<dyn ClientStore>, waiting: Arc<Mutex<Waiting>>) {
    let mut delay = FIRST;
    let mut failing_since = None;
    loop {
        let ids: Vec<JobId> = {
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.by_id.retain(|_, tells| {
                tells.retain(|tell| !tell.is_closed());
                !tells.is_empty()
            });
            if waiting.by_id.is_empty() {
                waiting.attended = false;
                return;
            }
            if std::mem::take(&mut waiting.news) {
                delay = FIRST;
            }
            waiting.by_id.keys().copied().collect()
        };
        for ids in ids.chunks(IDS_MAX) {
            match store.finished(ids).await {
                Ok(finished) => {
                    failing_since = None;
                    if !finished.is_empty() {
                        delay = FIRST;
                    }
                    let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
                    for job in finished {
                        for tell in waiting.by_id.remove(&job.id).unwrap_or_default() {
                            let _ = tell.send(Ok(job.clone()));
                        }
                    }
                }
                Err(error) => {
                    let since = *failing_since.get_or_insert_with(Instant::now);
                    if !error.is_transient() || since.elapsed() > PATIENCE {
                        let error = StoreError::from(error);
                        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
                        for tell in std::mem::take(&mut waiting.by_id).into_values().flatten() {
                            let _ = tell.send(Err(error.clone()));
                        }
                    }
                }
            }
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(SLOWEST);
    }
}
