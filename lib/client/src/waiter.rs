//! Waits for the ends of jobs. Workers publish the ids of ended jobs in Redis, and a wait that receives the id of its job reads
//! the job immediately. A message can be lost, so each wait also polls. All waits of a client share one subscription and their
//! statements: a thousand waits cost as much as one wait. There is no `LISTEN`: `LISTEN` does not work through a pooler in
//! transaction mode.

use crate::{Error, StoreError, hints::HintSender};
use leasehold_core::JobId;
use leasehold_ports::{AWAITED_FOR, ClientStore, Finished};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{Instant, sleep_until},
};

/// The delay after the first read. It doubles while no job finishes, up to [`SLOWEST`].
const FIRST: Duration = Duration::from_millis(10);
/// The longest delay between two reads: without Redis, a wait ends at most this long after its job.
const SLOWEST: Duration = Duration::from_millis(500);
/// Ids in one statement.
const IDS_MAX: usize = 5_000;
/// How long errors of PostgreSQL count as an outage that ends by itself.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause before the client notifies workers again that it waits. It doubles up to a third of [`AWAITED_FOR`]: a worker that
/// has just started may have missed the first notice.
const SAY_FIRST: Duration = Duration::from_millis(100);
/// How long the subscription stays after the last wait. A program that waits for one job after another keeps one subscription.
const LINGER: Duration = Duration::from_secs(5);

type Answer = Result<Finished, StoreError>;

#[derive(Clone)]
pub(crate) struct Waiter {
    store: Arc<dyn ClientStore>,
    hints: Option<Arc<HintSender>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// A wait began.
    news: Notify,
}

#[derive(Default)]
struct Waiting {
    // In order, so that a simulation is the same in each run.
    by_id: BTreeMap<JobId, Vec<oneshot::Sender<Answer>>>,
    /// A task polls for these ids.
    attended: bool,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ids that somebody waits for.
    fn ids(&self) -> Vec<JobId> {
        let mut waiting = self.waiting();
        waiting.by_id.retain(|_, tells| {
            tells.retain(|tell| !tell.is_closed());
            !tells.is_empty()
        });
        waiting.by_id.keys().copied().collect()
    }

    /// The ids among these that somebody waits for.
    fn awaited(&self, ids: &[JobId]) -> Vec<JobId> {
        let waiting = self.waiting();
        ids.iter().copied().filter(|id| waiting.by_id.contains_key(id)).collect()
    }

    /// Whether the task that polls may end. Afterwards the next wait starts another one.
    fn leave(&self) -> bool {
        let mut waiting = self.waiting();
        waiting.attended = !waiting.by_id.is_empty();
        !waiting.attended
    }
}

impl Waiter {
    pub(crate) fn new(store: Arc<dyn ClientStore>, hints: Option<Arc<HintSender>>) -> Self {
        Self { store, hints, shared: Arc::default() }
    }

    /// Ready when the job has reached its end.
    pub(crate) async fn wait(&self, id: JobId) -> Result<Finished, Error> {
        let (tell, told) = oneshot::channel();
        {
            let mut waiting = self.shared.waiting();
            waiting.by_id.entry(id).or_default().push(tell);
            if !std::mem::replace(&mut waiting.attended, true) {
                let attendant = Attendant {
                    store: Arc::clone(&self.store),
                    hints: self.hints.clone(),
                    shared: Arc::clone(&self.shared),
                    failing_since: None,
                };
                tokio::spawn(attendant.attend());
            }
        }
        self.shared.news.notify_one();
        match told.await {
            Ok(Ok(finished)) => Ok(finished),
            Ok(Err(error)) => Err(Error::Store(error)),
            Err(_) => Err(Error::Worker("the program is shutting down")),
        }
    }
}

/// Polls for all awaited ids, until no wait is left.
struct Attendant {
    store: Arc<dyn ClientStore>,
    hints: Option<Arc<HintSender>>,
    shared: Arc<Shared>,
    failing_since: Option<Instant>,
}

impl Attendant {
    async fn attend(mut self) {
        let mut ends = self.hints.as_ref().map(|hints| hints.listen_to_ends());
        let mut delay = FIRST;
        let mut look_at = Instant::now();
        let (mut say_again_at, mut say_pause) = (Instant::now(), SAY_FIRST);
        loop {
            let ids = self.shared.ids();
            if ids.is_empty() {
                tokio::select! {
                    biased;
                    () = self.shared.news.notified() => {}
                    () = sleep_until(Instant::now() + LINGER) => if self.shared.leave() { return },
                }
                look_at = Instant::now();
                continue;
            }
            if let Some(hints) = self.hints.as_ref().filter(|_| Instant::now() >= say_again_at) {
                say_again_at = Instant::now() + say_pause;
                say_pause = (say_pause * 2).min(AWAITED_FOR / 3);
                let hints = Arc::clone(hints);
                // A slow Redis must not delay the reads.
                tokio::spawn(async move { hints.say_awaited().await });
            }
            if Instant::now() >= look_at {
                if self.look(&ids).await {
                    delay = FIRST;
                }
                look_at = Instant::now() + delay;
                delay = (delay * 2).min(SLOWEST);
            }
            tokio::select! {
                biased;
                ended = next(&mut ends) => {
                    let awaited = self.shared.awaited(&ended);
                    if !awaited.is_empty() {
                        self.look(&awaited).await;
                    }
                }
                () = self.shared.news.notified() => {
                    delay = FIRST;
                    look_at = look_at.min(Instant::now() + FIRST);
                }
                () = sleep_until(look_at.min(say_again_at.max(Instant::now() + FIRST))) => {}
            }
        }
    }

    /// Notifies waits whose jobs have ended. Returns whether there was one.
    async fn look(&mut self, ids: &[JobId]) -> bool {
        let mut found = false;
        for ids in ids.chunks(IDS_MAX) {
            match self.store.finished(ids).await {
                Ok(finished) => {
                    self.failing_since = None;
                    found |= !finished.is_empty();
                    let mut waiting = self.shared.waiting();
                    for job in finished {
                        for tell in waiting.by_id.remove(&job.id).unwrap_or_default() {
                            let _ = tell.send(Ok(job.clone()));
                        }
                    }
                }
                Err(error) => {
                    let since = *self.failing_since.get_or_insert_with(Instant::now);
                    if !error.is_transient() || since.elapsed() > PATIENCE {
                        let error = StoreError::from(error);
                        let mut waiting = self.shared.waiting();
                        for tell in std::mem::take(&mut waiting.by_id).into_values().flatten() {
                            let _ = tell.send(Err(error.clone()));
                        }
                    }
                }
            }
        }
        found
    }
}

/// The next message about ended jobs. Never ready without Redis.
async fn next(ends: &mut Option<mpsc::Receiver<Vec<JobId>>>) -> Vec<JobId> {
    if let Some(receiver) = ends {
        if let Some(ended) = receiver.recv().await {
            return ended;
        }
        *ends = None;
    }
    std::future::pending().await
}
