//! A worker with many queues. With one blocking connection for each queue, a worker with ten thousand queues would use all
//! connections of Redis. And while Redis is unavailable, each queue would send a statement to PostgreSQL every second.
//!
//! Such a worker waits for the bells of hundreds of queues on one connection. If Redis is unavailable, one statement a second says
//! which of its queues have jobs. Only a few of its queues use a store at the same time.

use crate::{jitter::Waits, worker_state::WorkerState};
use leasehold_core::QueueName;
use leasehold_ports::BlockingTake;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, Semaphore, SemaphorePermit},
    task::JoinSet,
    time::{Instant, sleep},
};

/// A worker with more queues than this shares connections between them. With a separate connection for each queue, a hint arrives
/// a little faster.
const FEW: usize = 32;
/// How many queues share one connection. A command that waits for them has 10 KB.
const QUEUES_OF_A_CONNECTION: usize = 256;
/// How many queues talk to a store at the same time: as many as there are connections in a usual pool.
const AT_ONCE: usize = 16;
/// How long one wait is. Then the connection checks for hints whose bell went to another worker that has died.
const BELL_WAIT: Duration = Duration::from_secs(2);
/// How long a connection collects queues that begin to wait, before it asks for their bells too.
const COLLECTS_FOR: Duration = Duration::from_millis(1);
/// While Redis is unavailable: the pause between two statements that ask which queues have jobs.
const LINE_PAUSE: Duration = Duration::from_secs(1);

/// The state that the loops of many queues share.
pub(crate) struct ManyQueues {
    groups: Vec<Group>,
    group_of: HashMap<QueueName, usize>,
    turns: Semaphore,
}

/// The queues of one connection.
#[derive(Default)]
struct Group {
    queues: Vec<QueueName>,
    /// The queues whose loops wait for hints.
    waiting: Mutex<BTreeSet<QueueName>>,
    /// Another queue waits now.
    joined: Notify,
}

impl ManyQueues {
    /// `None`: there are only a few queues.
    pub(crate) fn of(queues: &[QueueName]) -> Option<Self> {
        if queues.len() <= FEW {
            return None;
        }
        let chunks = queues.chunks(QUEUES_OF_A_CONNECTION);
        let groups = chunks.map(|queues| Group { queues: queues.to_vec(), ..Group::default() }).collect();
        let group_of = queues.iter().enumerate().map(|(nth, queue)| (queue.clone(), nth / QUEUES_OF_A_CONNECTION));
        Some(Self { groups, group_of: group_of.collect(), turns: Semaphore::new(AT_ONCE) })
    }

    /// The loop of this queue waits for hints from now on. It is woken once, at the first bell.
    pub(crate) fn wait(&self, queue: &QueueName) {
        let group = &self.groups[self.group_of[queue]];
        if group.waiting().insert(queue.clone()) {
            group.joined.notify_one();
        }
    }

    /// Delays the calls of other queues while this value exists.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.turns.acquire().await.ok()
    }
}

impl Group {
    fn waiting(&self) -> MutexGuard<'_, BTreeSet<QueueName>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the loops of these queues.
    fn wake(&self, state: &WorkerState, queues: &[QueueName]) {
        let mut waiting = self.waiting();
        for queue in queues {
            waiting.remove(queue);
            state.wakeups[queue].notify_one();
        }
    }
}

/// Wakes the loops of queues that have hints, until the worker stops.
pub(crate) async fn listen(state: Arc<WorkerState>) {
    let Some(many) = &state.many_queues else { return };
    let mut listeners = JoinSet::new();
    for nth in 0..many.groups.len() {
        listeners.spawn(listen_for(Arc::clone(&state), nth));
    }
    listeners.spawn(watch_the_line(Arc::clone(&state)));
    while listeners.join_next().await.is_some() {}
}

/// The connection of one group.
async fn listen_for(state: Arc<WorkerState>, nth: usize) {
    let Some(group) = state.many_queues.as_ref().and_then(|many| many.groups.get(nth)) else { return };
    let mut taker: Option<Box<dyn BlockingTake>> = None;
    let mut waits = Waits::new(50, 1000);
    let mut look_at = Instant::now() + BELL_WAIT;
    while !state.stopping.is_cancelled() {
        let queues: Vec<QueueName> = group.waiting().iter().cloned().collect();
        if queues.is_empty() {
            tokio::select! {
                biased;
                () = state.stopping.cancelled() => {}
                () = group.joined.notified() => {}
            }
            continue;
        }
        if state.redis.is_unavailable() {
            tokio::select! {
                biased;
                () = state.stopping.cancelled() => {}
                () = state.redis.until_back() => {}
            }
            continue;
        }
        if look_at <= Instant::now() {
            look_at = Instant::now() + BELL_WAIT;
            match state.handoff.with_hints(&queues).await {
                Ok(found) => group.wake(&state, &found),
                Err(error) => state.redis.failed(&error),
            }
            continue;
        }
        let wait = match taker.take() {
            Some(taker) => Ok(taker),
            None => state.handoff.taker(&queues[0]).await,
        };
        let ended = match wait {
            Ok(connection) => wait_for_bell(&state, group, connection, queues).await,
            Err(error) => Err(error.to_string()),
        };
        match ended {
            Ok((connection, rung)) => {
                waits.reset();
                taker = Some(connection);
                group.wake(&state, rung.as_slice());
            }
            Err(error) => {
                tracing::debug!(error, "a wait for the bells of queues failed");
                tokio::select! {
                    biased;
                    () = state.stopping.cancelled() => {}
                    () = sleep(waits.next(&state.jitter)) => {}
                }
            }
        }
    }
}

/// Waits until a bell rings, or until another queue waits. The wait always runs to its end, in a separate task: the server may
/// hand out the bell at the last moment.
async fn wait_for_bell(
    state: &WorkerState,
    group: &Group,
    mut taker: Box<dyn BlockingTake>,
    queues: Vec<QueueName>,
) -> Result<(Box<dyn BlockingTake>, Option<QueueName>), String> {
    let unblock = taker.unblock();
    let mut wait = tokio::spawn(async move {
        let rung = taker.any_bell(&queues, BELL_WAIT).await;
        (taker, rung)
    });
    let ended = tokio::select! {
        biased;
        ended = &mut wait => ended,
        () = async {
            tokio::select! {
                biased;
                () = state.stopping.cancelled() => {}
                () = group.joined.notified() => sleep(COLLECTS_FOR).await,
            }
            if let Err(error) = unblock.wake().await {
                tracing::debug!(%error, "a wait for the bells of queues was not woken");
            }
            std::future::pending().await
        } => unreachable!("the future above never ends"),
    };
    match ended {
        Ok((taker, Ok(rung))) => Ok((taker, rung)),
        Ok((_, Err(error))) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// While Redis is unavailable, asks PostgreSQL which queues have jobs. While PostgreSQL is unavailable, asks whether it is
/// available again.
async fn watch_the_line(state: Arc<WorkerState>) {
    let Some(many) = &state.many_queues else { return };
    while !state.stopping.is_cancelled() {
        tokio::select! {
            biased;
            () = state.stopping.cancelled() => return,
            () = state.redis.until_unavailable() => {}
            () = state.postgres.until_unavailable() => {}
        }
        if state.postgres.is_unavailable() {
            match state.store.ping().await {
                Ok(()) => state.postgres.answered(),
                Err(error) => state.postgres.failed(&error),
            }
        } else {
            for group in &many.groups {
                match state.store.queues_in_line(&group.queues).await {
                    Ok(found) => group.wake(&state, &found),
                    Err(error) => {
                        state.postgres.failed(&error);
                        break;
                    }
                }
            }
        }
        tokio::select! {
            biased;
            () = state.stopping.cancelled() => return,
            () = sleep(LINE_PAUSE) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues(count: usize) -> Vec<QueueName> {
        (0..count).map(|nth| format!("q{nth}").parse().expect("a name")).collect()
    }

    #[test]
    fn only_many_queues_share_connections() {
        assert!(ManyQueues::of(&queues(FEW)).is_none());
        let many = ManyQueues::of(&queues(1000)).expect("many");
        assert_eq!(many.groups.iter().map(|group| group.queues.len()).collect::<Vec<_>>(), [256, 256, 256, 232]);
        assert!(queues(1000).iter().all(|queue| many.groups[many.group_of[queue]].queues.contains(queue)));
    }
}
