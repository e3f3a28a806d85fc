//! Telling Redis, when it is there. Everything here only makes things quicker: a job that Redis was not told
//! of is found by the next fill of the head, so nothing here may fail a call, or hold it up for long.

use leasehold_core::{JobId, QueueName};
use leasehold_handoff::{Handoff, Notice, Settings};
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long one call may wait for Redis. A healthy one answers within a few milliseconds.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long Redis is left alone after it failed: then one call tries again.
const REST: Duration = Duration::from_secs(1);

/// Redis as a client uses it.
pub(crate) struct HintSender {
    handoff: Handoff,
    resting_until: Mutex<Option<Instant>>,
}

/// Redis, connected to now or, if it is away or cannot be used, when it can.
///
/// # Errors
/// A URL that is none. Anything else that is wrong with Redis is no reason to stop: all work goes on without it.
pub async fn handoff_or_later(settings: &Settings) -> Result<Handoff, leasehold_handoff::Error> {
    let handoff = Handoff::connect_lazily(settings)?;
    if let Err(error) = handoff.check().await {
        tracing::warn!("Redis cannot be used; the work goes on without it: {error}");
    }
    Ok(handoff)
}

impl HintSender {
    pub(crate) async fn connect(settings: &Settings) -> Result<Self, leasehold_handoff::Error> {
        Ok(Self { handoff: handoff_or_later(settings).await?, resting_until: Mutex::default() })
    }

    /// HintSender for jobs that were just put into the line, in order.
    pub(crate) async fn push(&self, queue: &QueueName, ids: &[JobId], front: bool) -> bool {
        self.tell("push", async |handoff: &Handoff| handoff.push(queue, ids, front).await.map(drop)).await
    }

    /// Forgets hints of jobs that were cancelled, wherever they lie: in the head they would keep out others.
    pub(crate) async fn forget(&self, queue: &QueueName, ids: &[JobId]) -> bool {
        let members: Vec<Vec<u8>> = ids.iter().map(|id| id.to_string().into_bytes()).collect();
        self.tell("forget", async |handoff: &Handoff| handoff.forget(queue, &members).await).await
    }

    /// Tells workers.
    pub(crate) async fn notify(&self, notices: &[Notice]) -> bool {
        self.tell("notify", async |handoff: &Handoff| handoff.notify(notices).await).await
    }

    /// Takes the hints of a queue away, or lets them in again.
    pub(crate) async fn set_paused(&self, queue: &QueueName, paused: bool) -> bool {
        let tell = async |handoff: &Handoff| {
            if paused { handoff.pause(queue).await } else { handoff.resume(queue).await }
        };
        self.tell("pause", tell).await
    }

    /// Whether Redis was told.
    async fn tell<F>(&self, what: &'static str, tell: F) -> bool
    where
        F: AsyncFnOnce(&Handoff) -> Result<(), leasehold_handoff::Error>,
    {
        if !self.may_try() {
            return false;
        }
        let told = match tokio::time::timeout(PATIENCE, tell(&self.handoff)).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {} ms", PATIENCE.as_millis())),
        };
        if let Err(reason) = &told {
            tracing::debug!(what, reason, "Redis was not told");
        }
        let rest = told.is_err().then(|| Instant::now() + REST);
        *self.resting_until.lock().unwrap_or_else(PoisonError::into_inner) = rest;
        told.is_ok()
    }

    /// Whether this call may try. After a failure only one call at a time does.
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
