//! Telling Redis, when it is there. Everything here only makes things quicker: a job that Redis was not told
//! of is found by the next fill of the head, so nothing here may fail a call, or hold it up for long.

use leasehold_core::{JobId, QueueName};
use leasehold_handoff::{Handoff, Notice, Settings};
use std::{
    future::Future,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long one call may wait for Redis. A healthy one answers within a few milliseconds.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long Redis is left alone after it failed: then one call tries again.
const REST: Duration = Duration::from_secs(1);

/// Redis as a client uses it.
pub(crate) struct Hints {
    settings: Settings,
    state: Mutex<State>,
}

struct State {
    handoff: Option<Handoff>,
    resting_until: Option<Instant>,
}

impl Hints {
    /// Connects if Redis is there. What no waiting can help (an unfit server, a refused password, a URL that is
    /// none) is an error; a server that is away is not.
    pub(crate) async fn connect(settings: Settings) -> Result<Self, leasehold_handoff::Error> {
        use leasehold_handoff::Error;
        let handoff = match Handoff::connect(&settings).await {
            Ok(handoff) => Some(handoff),
            Err(error @ (Error::Url(_) | Error::Unfit(_))) => return Err(error),
            Err(error) if crate::diagnosis::refuses_login(&error) => return Err(error),
            Err(error) => {
                tracing::warn!("Redis is away; jobs are accepted, and handed out more slowly: {error}");
                None
            }
        };
        let resting_until = handoff.is_none().then(|| Instant::now() + REST);
        Ok(Self { settings, state: Mutex::new(State { handoff, resting_until }) })
    }

    /// Hints for jobs that were just put into the line, in order.
    pub(crate) async fn push(&self, queue: &QueueName, ids: &[JobId], front: bool) -> bool {
        self.tell("push", async |handoff: &Handoff| handoff.push(queue, ids, front).await.map(drop)).await
    }

    /// Forgets hints of jobs that were cancelled.
    pub(crate) async fn ack(&self, queue: &QueueName, ids: &[JobId]) -> bool {
        let hints = [(queue.clone(), ids.to_vec())];
        self.tell("ack", async |handoff: &Handoff| handoff.ack(&hints).await).await
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
        let Some(known) = self.turn() else { return false };
        let connected = async {
            match known {
                Some(handoff) => Ok(handoff),
                None => Handoff::connect(&self.settings).await,
            }
        };
        let told = within(PATIENCE, async {
            let handoff = connected.await?;
            tell(&handoff).await?;
            Ok(handoff)
        });
        match told.await {
            Ok(handoff) => {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                *state = State { handoff: Some(handoff), resting_until: None };
                true
            }
            Err(reason) => {
                tracing::debug!(what, reason, "Redis was not told");
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.resting_until = Some(Instant::now() + REST);
                false
            }
        }
    }

    /// Whether this call may try, and with which connection. After a failure only one call at a time tries.
    fn turn(&self) -> Option<Option<Handoff>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match state.resting_until {
            Some(until) if now < until => return None,
            Some(_) => state.resting_until = Some(now + REST),
            None => {}
        }
        Some(state.handoff.clone())
    }
}

async fn within<T>(
    patience: Duration,
    what: impl Future<Output = Result<T, leasehold_handoff::Error>>,
) -> Result<T, String> {
    match tokio::time::timeout(patience, what).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} ms", patience.as_millis())),
    }
}
