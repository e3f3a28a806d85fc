//! Asks the stores for the demand of queues. Any number of calls share one question at a time, so the port cannot be used to load
//! PostgreSQL.

use crate::api::Api;
use leasehold_core::{Demand, QueueName};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::Instant};
use tonic::Status;

/// How long an answer is reused.
const HOLDS_FOR: Duration = Duration::from_millis(250);

/// The demand of all queues of a trigger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signal {
    /// The slots that the queues could use.
    pub(super) demand: u64,
    /// Whether at least one worker is needed.
    pub(super) active: bool,
}

impl FromIterator<Demand> for Signal {
    fn from_iter<T: IntoIterator<Item = Demand>>(demands: T) -> Self {
        demands.into_iter().fold(Self::default(), |all, one| Self {
            demand: all.demand.saturating_add(one.demand),
            active: all.active || one.is_active(),
        })
    }
}

/// Caches the last answers for a moment. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Signals {
    api: Api,
    /// Locked during a question.
    known: Arc<Mutex<HashMap<QueueName, (Instant, Demand)>>>,
}

impl Signals {
    pub(super) fn new(api: Api) -> Self {
        Self { api, known: Arc::default() }
    }

    /// The demand of these queues, at most a quarter of a second old.
    pub(super) async fn of(&self, queues: &[QueueName]) -> Result<Signal, Status> {
        let mut known = self.known.lock().await;
        let now = Instant::now();
        known.retain(|_, (at, _)| now - *at < HOLDS_FOR);
        let missing: Vec<QueueName> = queues.iter().filter(|queue| !known.contains_key(*queue)).cloned().collect();
        if !missing.is_empty() {
            let answer = self.api.client().demand(&missing).await.map_err(|error| {
                tracing::debug!(%error, "the demand of queues is not known");
                Status::unavailable("a store is unavailable, so the demand is not known")
            })?;
            let answered = Instant::now();
            known.extend(missing.into_iter().zip(answer).map(|(queue, demand)| (queue, (answered, demand))));
        }
        Ok(queues.iter().filter_map(|queue| known.get(queue)).map(|(_, demand)| demand.clone()).collect())
    }
}
