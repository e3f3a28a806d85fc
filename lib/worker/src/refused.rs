//! What becomes of hints that PostgreSQL did not confirm: one look tells why, and each reason has its place.

use crate::{claim::Queue, hints::give_back};
use leasehold_core::{JobId, Kind, State};
use leasehold_store::Looked;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::sleep;

/// How long a hint is kept back whose job somebody else had locked: long enough for a claim or a cancel to be over, and
/// that a job which stays locked is not asked for all the time.
const LOCKED_FOR: Duration = Duration::from_millis(100);

/// Where refused hints go.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sorted {
    /// Finished, held elsewhere, waiting for a time, paused, or of no job: nothing is lost by forgetting them.
    forget: Vec<JobId>,
    /// Jobs of the line that another worker has a handler for.
    aside: BTreeMap<Kind, Vec<JobId>>,
    /// Jobs of the line that this worker could run: somebody had them locked.
    locked: Vec<JobId>,
}

impl Queue {
    /// Finds out about refused hints and puts each where it belongs.
    pub(crate) async fn sort_refused(&self, refused: Vec<JobId>) {
        if refused.is_empty() {
            return;
        }
        let member = &self.member;
        let looked = match member.store.look(&refused).await {
            Ok(looked) => looked,
            Err(error) => {
                member.postgres.failed(&error);
                return give_back(member, &self.name, &refused).await;
            }
        };
        let Sorted { forget, aside, locked } = sort(refused, looked, |kind| member.handlers.serves(kind));
        if !forget.is_empty()
            && let Err(error) = member.handoff.ack(&[(self.name.clone(), forget)]).await
        {
            member.redis.failed(&error);
        }
        for (kind, ids) in aside {
            if let Err(error) = member.handoff.set_aside(&self.name, &kind, &ids).await {
                member.redis.failed(&error);
            }
        }
        if !locked.is_empty() {
            self.give_back_later(locked);
        }
    }

    /// After a moment, and at once when the worker stops.
    fn give_back_later(&self, ids: Vec<JobId>) {
        let (member, queue) = (Arc::clone(&self.member), self.name.clone());
        self.member.errands.spawn(async move {
            tokio::select! {
                biased;
                () = sleep(LOCKED_FOR) => {}
                () = member.stopping.cancelled() => {}
            }
            give_back(&member, &queue, &ids).await;
        });
    }
}

fn sort(refused: Vec<JobId>, looked: Vec<Looked>, serves: impl Fn(&Kind) -> bool) -> Sorted {
    let mut sorted = Sorted::default();
    let mut in_line: BTreeMap<JobId, Looked> =
        looked.into_iter().filter(|job| job.state == State::Queued && !job.paused).map(|job| (job.id, job)).collect();
    for id in refused {
        match in_line.remove(&id) {
            None => sorted.forget.push(id),
            Some(job) if serves(&job.kind) => sorted.locked.push(id),
            Some(job) => sorted.aside.entry(job.kind).or_default().push(id),
        }
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_place() {
        let [gone, running, paused, foreign, locked] = std::array::from_fn(|_| JobId::new());
        let (mine, other): (Kind, Kind) = ("mine".parse().expect("a kind"), "other".parse().expect("a kind"));
        let look =
            |id, state, kind: &Kind, paused| Looked { id, state, kind: kind.clone(), paused, lease_ms_left: None };
        let looked = vec![
            look(running, State::Running, &mine, false),
            look(paused, State::Queued, &mine, true),
            look(foreign, State::Queued, &other, false),
            look(locked, State::Queued, &mine, false),
        ];
        let sorted = sort(vec![gone, running, paused, foreign, locked, locked], looked, |kind| *kind == mine);
        assert_eq!(sorted.forget, [gone, running, paused, locked], "a hint that comes twice is kept once");
        assert_eq!(sorted.aside, BTreeMap::from([(other, vec![foreign])]));
        assert_eq!(sorted.locked, [locked]);
    }
}
