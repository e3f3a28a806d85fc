//! The blocking wait of one queue, for a hint or for the bell. The wait always runs to its end, in a separate task:
//! the server may move a hint at the last moment, and then a receiver must exist.

use leasehold_core::{JobId, QueueName};
use leasehold_ports::{BlockingTake, Error, WakeTake, WorkerHead};
use std::{sync::Arc, time::Duration};
use tokio::{task::JoinHandle, time::timeout};

/// How long one take blocks. Between two takes, a claim searches for hints for which no take is woken: hints set
/// aside whose notice was lost.
const BLOCKS_FOR: Duration = Duration::from_secs(5);
/// How long one wait for the bell is. The last worker that got the bell may have died before it rang for the next
/// worker.
const BELL_WAIT: Duration = Duration::from_secs(1);

/// The blocking wait of one queue.
pub struct Take {
    handoff: Arc<dyn WorkerHead>,
    queue: QueueName,
    taker: Option<Box<dyn BlockingTake>>,
    under_way: Option<UnderWay>,
}

/// The goal of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// A hint.
    Hint,
    /// The bell: another process says that there are hints.
    Bell,
}

/// A taker, and what it took.
type TakenBy = (Box<dyn BlockingTake>, Result<Option<JobId>, Error>);

struct UnderWay {
    task: JoinHandle<TakenBy>,
    unblock: Arc<dyn WakeTake>,
}

/// How a wait ended.
pub enum Took {
    /// A hint, which is in `claimed` now.
    Hint(JobId),
    /// No hint came. The head may hold hints all the same: the bell may have rung.
    Nothing,
    /// The connection is closed; the next wait gets another connection.
    Failed(String),
}

impl Take {
    /// No wait is in progress.
    pub fn new(handoff: Arc<dyn WorkerHead>, queue: QueueName) -> Self {
        Self { handoff, queue, taker: None, under_way: None }
    }

    /// Starts a wait, unless a wait is in progress.
    pub async fn start(&mut self, awaited: Awaited) -> Result<(), Error> {
        if self.under_way.is_some() {
            return Ok(());
        }
        let mut taker = match self.taker.take() {
            Some(taker) => taker,
            None => self.handoff.taker(&self.queue).await?,
        };
        let unblock = taker.unblock();
        let task = tokio::spawn(async move {
            let took = match awaited {
                Awaited::Hint => taker.take(BLOCKS_FOR).await,
                Awaited::Bell => taker.bell(BELL_WAIT).await.map(|_| None),
            };
            (taker, took)
        });
        self.under_way = Some(UnderWay { task, unblock });
        Ok(())
    }

    /// Ready when the take has ended; never ready when no take is in progress. The future can be dropped at any time:
    /// the take continues.
    pub async fn ended(&mut self) -> Took {
        let Some(under_way) = &mut self.under_way else { return std::future::pending().await };
        let ended = (&mut under_way.task).await;
        self.under_way = None;
        match ended {
            Ok((taker, Ok(hint))) => {
                self.taker = Some(taker);
                hint.map_or(Took::Nothing, Took::Hint)
            }
            Ok((_, Err(error))) => Took::Failed(error.to_string()),
            Err(error) => Took::Failed(error.to_string()),
        }
    }

    /// How the take ended; `None` if it still runs.
    pub async fn ended_already(&mut self) -> Option<Took> {
        if self.under_way.as_ref()?.task.is_finished() { Some(self.ended().await) } else { None }
    }

    /// Wakes the take and waits for its end, for at most `patience`.
    pub async fn cut_short(&mut self, patience: Duration) -> Option<Took> {
        let unblock = Arc::clone(&self.under_way.as_ref()?.unblock);
        let wake = async {
            if let Err(error) = unblock.wake().await {
                tracing::debug!(%error, "a take was not woken");
            }
        };
        timeout(patience, async { tokio::join!(self.ended(), wake).0 }).await.ok()
    }
}
