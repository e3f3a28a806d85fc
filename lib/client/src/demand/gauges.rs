//! The demand of all queues, for `/metrics`.

use crate::{Client, Pair};
use leasehold_core::QueueName;
use leasehold_telemetry::Demands;

/// The maximum number of queues whose demand is shown: each of them is counted at every scrape. The busiest queues come first.
const QUEUES_MAX: usize = 200;

impl Pair {
    /// The demand of each queue that has jobs or settings, and of each queue that a live worker serves: an autoscaler must see the demand
    /// 0 of a queue whose last job has ended.
    #[must_use]
    pub fn demands(&self) -> Demands {
        let (client, store) = (Client::new(self.clone()), self.store.clone());
        Demands::new(move || {
            let (client, store) = (client.clone(), store.clone());
            Box::pin(async move {
                let mut served = client.served_queues().await.map_err(|error| error.to_string())?;
                let stats = store.stats().await.map_err(|error| error.to_string())?;
                let mut queues: Vec<(i64, QueueName)> = Vec::with_capacity(stats.len() + served.len());
                for of in stats {
                    let Ok(queue) = of.queue.parse() else { continue };
                    served.remove(&queue);
                    queues.push((of.queued.saturating_add(of.running), queue));
                }
                queues.extend(served.into_iter().map(|queue| (0, queue)));
                queues.sort_by(|left, right| right.0.cmp(&left.0).then_with(|| left.1.cmp(&right.1)));
                queues.truncate(QUEUES_MAX);
                let queues: Vec<QueueName> = queues.into_iter().map(|(_, queue)| queue).collect();
                let demands = client.demand(&queues).await.map_err(|error| error.to_string())?;
                Ok(demands.into_iter().map(|demand| (demand.queue, demand.demand)).collect())
            })
        })
    }
}
