//! The numbers of each head in Redis, as far as this reaper knows them.
//!
//! In each tick the reaper reads the heads with known changes, and a few hundred of the other heads in turns. So it reads few
//! queues in every tick, and each of thousands of queues every few seconds. Steps act only on heads that were read in this
//! tick.

use crate::{by_queue::all_of, error::Error};
use leasehold_core::QueueName;
use leasehold_ports::{HeadStats, ReaperHead};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The most queues that are read in one tick because it is their turn.
const IN_TURN: usize = 500;
/// The most queues that are read in one tick because something changed. The next ticks read the other queues.
pub(crate) const WANTED: usize = 500;

/// The heads of all queues.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heads {
    known: BTreeMap<QueueName, HeadStats>,
    /// The number of known queues that are paused.
    paused: usize,
    /// The queues that have not had their turn in this round yet.
    in_turn: VecDeque<QueueName>,
    /// The queues that were read in this tick and have keys.
    fresh: BTreeSet<QueueName>,
    /// The queues that were read in this tick and have no keys.
    empty: BTreeSet<QueueName>,
}

impl Heads {
    /// Reads the heads of the `wanted` queues, of queues with hints to adopt or leases that have run out, and of queues whose
    /// turn it is.
    pub(crate) async fn look(&mut self, handoff: &dyn ReaperHead, wanted: BTreeSet<QueueName>) -> Result<(), Error> {
        let restless = self.fresh().filter(|(_, head)| head.claimed + head.overdue > 0);
        let mut names: BTreeSet<QueueName> = restless.map(|(queue, _)| queue.clone()).collect();
        self.fresh.clear();
        self.empty.clear();
        names.extend(wanted.into_iter().take(WANTED));
        if self.in_turn.is_empty() {
            let noted = handoff.noted_queues().await?;
            let listed: BTreeSet<&QueueName> = noted.iter().collect();
            self.known.retain(|queue, _| listed.contains(queue));
            self.paused = self.known.values().filter(|head| head.paused).count();
            self.in_turn = noted.into();
        }
        let turns = IN_TURN.min(self.in_turn.len());
        let in_turn: BTreeSet<QueueName> = self.in_turn.drain(..turns).collect();
        names.extend(in_turn.iter().cloned());
        let names: Vec<QueueName> = names.into_iter().collect();
        let heads = look_at(handoff, &names).await?;
        let mut unused = Vec::new();
        for (queue, head) in names.into_iter().zip(heads) {
            match head {
                Some(head) => {
                    self.paused += usize::from(head.paused);
                    let before = self.known.insert(queue.clone(), head);
                    self.paused -= usize::from(before.is_some_and(|head| head.paused));
                    self.fresh.insert(queue);
                }
                None => {
                    self.paused -= usize::from(self.known.remove(&queue).is_some_and(|head| head.paused));
                    if in_turn.contains(&queue) {
                        unused.push(queue.clone());
                    }
                    self.empty.insert(queue);
                }
            }
        }
        handoff.unnote(&unused).await?;
        Ok(())
    }

    /// Whether every queue has had its turn in this round.
    pub(crate) fn are_through(&self) -> bool {
        self.in_turn.is_empty()
    }

    /// Redis was emptied or did not answer: nothing is known.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The queues that were read in this tick and have keys.
    pub(crate) fn fresh(&self) -> impl Iterator<Item = (&QueueName, &HeadStats)> {
        self.fresh.iter().filter_map(|queue| Some((queue, self.known.get(queue)?)))
    }

    /// The number of queues that are known to be paused.
    pub(crate) const fn paused(&self) -> usize {
        self.paused
    }

    /// The queues that were read in this tick and have no keys.
    pub(crate) fn empty(&self) -> impl Iterator<Item = &QueueName> {
        self.empty.iter()
    }

    /// The head of a queue, if it was read in this tick and has keys.
    pub(crate) fn fresh_of(&self, queue: &QueueName) -> Option<&HeadStats> {
        self.known.get(queue).filter(|_| self.fresh.contains(queue))
    }

    /// The head of a queue at the last read, if it had keys.
    pub(crate) fn get(&self, queue: &QueueName) -> Option<&HeadStats> {
        self.known.get(queue)
    }

    /// Heads that were read in this tick.
    #[cfg(test)]
    pub(crate) fn of(heads: impl IntoIterator<Item = (QueueName, HeadStats)>) -> Self {
        let known: BTreeMap<QueueName, HeadStats> = heads.into_iter().collect();
        let paused = known.values().filter(|head| head.paused).count();
        Self { fresh: known.keys().cloned().collect(), known, paused, ..Self::default() }
    }
}

/// Reads all queues in one call. If the call fails, reads each queue alone: a queue with damaged keys must not hide the
/// others.
async fn look_at(handoff: &dyn ReaperHead, queues: &[QueueName]) -> Result<Vec<Option<HeadStats>>, Error> {
    match handoff.look(queues).await {
        Ok(heads) => Ok(heads),
        Err(_) if queues.len() > 1 => {
            let one = |queue: QueueName| async move {
                let head = handoff.look(std::slice::from_ref(&queue)).await;
                Ok((queue, head.map(|head| head.into_iter().next().flatten())))
            };
            let heads = all_of(queues.iter().cloned().map(one)).await?;
            let mut first_error = None;
            let mut found = BTreeMap::new();
            for (queue, head) in heads {
                match head {
                    Ok(head) => drop(found.insert(queue, head)),
                    Err(error) => first_error = Some(error),
                }
            }
            match first_error {
                Some(error) if found.is_empty() => Err(error.into()),
                _ => Ok(queues.iter().map(|queue| found.get(queue).cloned().flatten()).collect()),
            }
        }
        Err(error) => Err(error.into()),
    }
}
