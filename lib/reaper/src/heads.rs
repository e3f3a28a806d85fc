//! What Redis holds of each queue, in numbers, as far as this reaper knows.
//!
//! In a tick it looks at the queues that something is known to have happened to, and at some hundred others, in turns: so
//! each queue is looked at in every tick where there are few, and every few seconds where there are thousands. Steps act upon
//! what was looked at in this tick.

use crate::{error::Error, tick::all_of};
use leasehold_core::QueueName;
use leasehold_ports::{HeadStats, ReaperHead};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Queues that are looked at in one tick since it is their turn.
const IN_TURN: usize = 500;
/// The same since something is known to have happened to them. Those that are left stay known as that.
pub(crate) const WANTED: usize = 500;

/// The heads of all queues.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heads {
    known: BTreeMap<QueueName, HeadStats>,
    /// How many of them are paused.
    paused: usize,
    /// Those whose turn comes in this round.
    in_turn: VecDeque<QueueName>,
    fresh: BTreeSet<QueueName>,
    /// Those that were looked at in this tick and have no keys.
    empty: BTreeSet<QueueName>,
}

impl Heads {
    /// Looks at those that are `wanted`, at those with something left to do, and at those whose turn it is.
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

    /// Whether all of them have had their turn in this round.
    pub(crate) fn are_through(&self) -> bool {
        self.in_turn.is_empty()
    }

    /// Redis was lost, or could not be asked.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The queues that were looked at in this tick and have keys.
    pub(crate) fn fresh(&self) -> impl Iterator<Item = (&QueueName, &HeadStats)> {
        self.fresh.iter().filter_map(|queue| Some((queue, self.known.get(queue)?)))
    }

    /// How many queues are paused, as far as is known.
    pub(crate) const fn paused(&self) -> usize {
        self.paused
    }

    /// The queues that were looked at in this tick and have no keys.
    pub(crate) fn empty(&self) -> impl Iterator<Item = &QueueName> {
        self.empty.iter()
    }

    /// A queue, if it was looked at in this tick and has keys.
    pub(crate) fn fresh_of(&self, queue: &QueueName) -> Option<&HeadStats> {
        self.known.get(queue).filter(|_| self.fresh.contains(queue))
    }

    /// A queue as it was when it was last looked at, if it had keys.
    pub(crate) fn get(&self, queue: &QueueName) -> Option<&HeadStats> {
        self.known.get(queue)
    }

    /// Heads that were looked at in this tick.
    #[cfg(test)]
    pub(crate) fn of(heads: impl IntoIterator<Item = (QueueName, HeadStats)>) -> Self {
        let known: BTreeMap<QueueName, HeadStats> = heads.into_iter().collect();
        let paused = known.values().filter(|head| head.paused).count();
        Self { fresh: known.keys().cloned().collect(), known, paused, ..Self::default() }
    }
}

/// All of them in one go. If that fails, one by one: a queue whose keys are damaged must not hide the others.
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
