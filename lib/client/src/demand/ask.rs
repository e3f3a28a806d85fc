//! Asks both stores for the demand of queues.

use super::facts::Facts;
use crate::{Client, Error};
use leasehold_core::{Demand, QueueName, WorkerId};
use std::collections::BTreeSet;

impl Client {
    /// How many slots each of these queues could use now, in the order of the queues. A queue that was never used has the demand 0.
    ///
    /// # Errors
    /// A store fails. Without the answers of both stores the demand is not known: PostgreSQL has the jobs, and Redis knows which workers
    /// stop and which kinds are served. A client without `redis.url` asks PostgreSQL only.
    pub async fn demand(&self, queues: &[QueueName]) -> Result<Vec<Demand>, Error> {
        let (mut workers, mut served) = (Vec::new(), Vec::with_capacity(queues.len()));
        if let Some(head) = &self.head {
            workers = head.workers().await?;
            for queue in queues {
                served.push(head.last_served(queue).await?);
            }
        }
        served.resize_with(queues.len(), Vec::new);
        let facts: Vec<Facts<'_>> = queues
            .iter()
            .zip(&served)
            .map(|(queue, last_served)| Facts { queue, workers: &workers, last_served })
            .collect();
        let questions: Vec<_> = facts.iter().map(Facts::question).collect();
        let draining: Vec<WorkerId> = workers.iter().filter(|worker| worker.draining).map(|worker| worker.id).collect();
        let loads = self.store.queue_loads(&questions, &draining).await?;
        Ok(facts.iter().zip(loads).map(|(facts, load)| facts.demand(load)).collect())
    }

    /// The queues that live workers serve. Empty without `redis.url`.
    ///
    /// # Errors
    /// Redis fails.
    pub async fn served_queues(&self) -> Result<BTreeSet<QueueName>, Error> {
        let Some(head) = &self.head else { return Ok(BTreeSet::new()) };
        let workers = head.workers().await?;
        Ok(workers.into_iter().flat_map(|worker| worker.queues).map(|(queue, _)| queue).collect())
    }
}
