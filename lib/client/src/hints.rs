//! Sends hints and notices to Redis while Redis answers. Everything here only makes jobs start sooner: the next fill of the
//! head finds a job without a hint. So an error here must not fail a call, and must not delay a call for long.

use leasehold_core::{JobId, QueueName};
use leasehold_ports::{ClientHead, Error, Hint, Notice};
use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

/// How long one call may wait for Redis. A healthy Redis answers within a few milliseconds.
const PATIENCE: Duration = Duration::from_millis(250);
/// The pause after a failure of Redis. After the pause one call tries again.
const REST: Duration = Duration::from_secs(1);

/// The calls of a client to Redis.
pub(crate) struct HintSender {
    head: Arc<dyn ClientHead>,
    resting_until: Mutex<Option<Instant>>,
}

impl HintSender {
    pub(crate) fn new(head: Arc<dyn ClientHead>) -> Self {
        Self { head, resting_until: Mutex::default() }
    }

    /// Pushes hints for jobs that have just come into the line.
    pub(crate) async fn push(&self, queue: &QueueName, pushed: &[Hint]) -> bool {
        self.tell("push", self.head.push(queue, pushed)).await
    }

    /// Moves the hints of jobs that have another position in the line.
    pub(crate) async fn place(&self, queue: &QueueName, moved: &[Hint]) -> bool {
        self.tell("place", self.head.place(queue, moved)).await
    }

    /// Removes the hints of cancelled jobs: in the head they would use the room of other hints.
    pub(crate) async fn forget(&self, queue: &QueueName, ids: &[JobId]) -> bool {
        let members: Vec<Vec<u8>> = ids.iter().map(|id| id.to_string().into_bytes()).collect();
        self.tell("forget", self.head.forget(queue, &members)).await
    }

    /// Tells workers that a client waits for jobs.
    pub(crate) async fn say_awaited(&self) -> bool {
        self.notify(&[Notice::Awaited]).await
    }

    /// Receives the ids of ended jobs.
    pub(crate) fn listen_to_ends(&self) -> mpsc::Receiver<Vec<JobId>> {
        self.head.listen_to_ends()
    }

    /// Tells waiting clients of jobs that this client has ended.
    pub(crate) async fn tell_ends(&self, ids: &[JobId]) -> bool {
        self.tell("tell_ends", self.head.tell_ends(ids)).await
    }

    /// Sends notices to workers.
    pub(crate) async fn notify(&self, notices: &[Notice]) -> bool {
        self.tell("notify", self.head.notify(notices)).await
    }

    /// Removes the waiting hints of a queue: the order of its line has changed.
    pub(crate) async fn clear(&self, queue: &QueueName) -> bool {
        self.tell("clear", self.head.clear(queue)).await
    }

    /// Blocks the hints of a queue, or allows them again.
    pub(crate) async fn set_paused(&self, queue: &QueueName, paused: bool) -> bool {
        self.tell("pause", if paused { self.head.pause(queue) } else { self.head.resume(queue) }).await
    }

    /// Makes a call to Redis, with a time limit. Whether the call succeeded.
    async fn tell<T>(&self, what: &'static str, call: impl Future<Output = Result<T, Error>>) -> bool {
        if !self.may_try() {
            return false;
        }
        let told = match tokio::time::timeout(PATIENCE, call).await {
            Ok(answer) => answer.map(drop).map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {} ms", PATIENCE.as_millis())),
        };
        if let Err(reason) = &told {
            tracing::debug!(what, reason, "the call to Redis failed");
        }
        let rest = told.is_err().then(|| Instant::now() + REST);
        *self.resting_until.lock().unwrap_or_else(PoisonError::into_inner) = rest;
        told.is_ok()
    }

    /// Whether this call may try Redis. After a failure only one call at a time may try.
    fn may_try(&self) -> bool {
        let mut resting_until = self.resting_until.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match *resting_until {
            Some(until) if now < until => return false,
            Some(_) => *resting_until = Some(now + REST),
            None => {}
        }
        true
    }
}
