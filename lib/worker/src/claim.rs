//! Hints into jobs: the claim in PostgreSQL that decides, and the start of what it granted.

use crate::{attempt::attempt, member::Member, places::Places, run::Run, unclear::find_out};
use leasehold_core::{ClaimedJob, FailPoint, JobId, QueueName, pass};
use std::{collections::HashSet, sync::Arc};
use tokio::time::Instant;

/// One queue of a worker, with its places.
pub(crate) struct Queue {
    pub(crate) member: Arc<Member>,
    pub(crate) name: QueueName,
    /// Only the loop of this queue takes any, so the number of free ones only grows while that does something else.
    pub(crate) places: Arc<Places>,
}

/// What a claim came to.
pub(crate) enum Claimed {
    /// PostgreSQL has decided: so many jobs were started, and these hints are none.
    Decided { started: usize, refused: Vec<JobId> },
    /// It did not answer.
    Unanswered,
}

impl Queue {
    /// Claims and starts what these hints stand for.
    pub(crate) async fn claim(&self, ids: &[JobId]) -> Claimed {
        if ids.is_empty() {
            return Claimed::Decided { started: 0, refused: Vec::new() };
        }
        let member = &self.member;
        let claimed =
            self.claim_by(ids, member.store.claim(member.id, ids, &member.kinds, member.settings.lease)).await;
        if let Claimed::Decided { refused, .. } = &claimed {
            member.counters.hints_refused.add(refused.len());
        }
        claimed
    }

    /// The same for hints that were parked, up to `limit` jobs.
    pub(crate) async fn claim_parked(&self, ids: &[JobId], limit: usize) -> Claimed {
        let member = &self.member;
        let claim = member.store.claim_careful(member.id, ids, &member.kinds, limit, member.settings.lease);
        self.claim_by(ids, claim).await
    }

    async fn claim_by(
        &self,
        ids: &[JobId],
        claim: impl Future<Output = Result<Vec<ClaimedJob>, leasehold_store::Error>>,
    ) -> Claimed {
        let member = &self.member;
        let _claiming = member.unclear.claiming().await;
        let sent_at = Instant::now();
        match claim.await {
            Ok(jobs) => {
                member.postgres.answered();
                let refused = refused(ids, &jobs);
                let started = jobs.len();
                self.forget_strays(&jobs);
                self.start(jobs, sent_at);
                Claimed::Decided { started, refused }
            }
            Err(error) => {
                member.postgres.failed(&error);
                find_out(member);
                Claimed::Unanswered
            }
        }
    }

    /// Claims and starts what is first in the line, without asking Redis. Which jobs; `None`: PostgreSQL did not answer.
    /// Jobs that have crashed before only `with_crashed`.
    pub(crate) async fn claim_line(&self, limit: usize, with_crashed: bool) -> Option<Vec<JobId>> {
        let member = &self.member;
        let _claiming = member.unclear.claiming().await;
        let sent_at = Instant::now();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (kinds, lease) = (&member.kinds, member.settings.lease);
        match member.store.claim_line(member.id, &self.name, kinds, limit, lease, with_crashed).await {
            Ok(jobs) => {
                member.postgres.answered();
                let started = jobs.iter().map(|job| job.fence.id).collect();
                self.start(jobs, sent_at);
                Some(started)
            }
            Err(error) => {
                member.postgres.failed(&error);
                find_out(member);
                None
            }
        }
    }

    /// Somebody put the hint of a job into another queue's head. The job runs all the same, but its end is told to the
    /// queue that it is of.
    fn forget_strays(&self, jobs: &[ClaimedJob]) {
        let strays: Vec<JobId> = jobs.iter().filter(|job| job.queue != self.name).map(|job| job.fence.id).collect();
        if !strays.is_empty() {
            let (member, queue) = (Arc::clone(&self.member), self.name.clone());
            self.member.errands.spawn(async move {
                if let Err(error) = member.handoff.ack(&[(queue, strays)]).await {
                    member.redis.failed(&error);
                }
            });
        }
    }

    /// The hints of jobs that were claimed without them may wait in the head: others need not find out that they are stale.
    pub(crate) fn forget_unused(&self, ids: &[JobId]) {
        let members: Vec<Vec<u8>> = ids.iter().map(|id| id.to_string().into_bytes()).collect();
        let (member, queue) = (Arc::clone(&self.member), self.name.clone());
        self.member.errands.spawn(async move {
            if let Err(error) = member.handoff.forget(&queue, &members).await {
                member.redis.failed(&error);
            }
        });
    }

    fn start(&self, jobs: Vec<ClaimedJob>, sent_at: Instant) {
        if !jobs.is_empty() {
            pass(FailPoint::JobsClaimed);
        }
        let member = &self.member;
        member.counters.claimed.add(jobs.len());
        let runs: Vec<Run> = jobs.into_iter().map(Run::new).collect();
        member.runs.insert(&runs, sent_at);
        for run in runs {
            member.attempts.spawn(attempt(Arc::clone(member), run, self.places.take()));
        }
    }
}

fn refused(ids: &[JobId], jobs: &[ClaimedJob]) -> Vec<JobId> {
    if jobs.len() == ids.len() {
        return Vec::new();
    }
    let claimed: HashSet<JobId> = jobs.iter().map(|job| job.fence.id).collect();
    ids.iter().copied().filter(|id| !claimed.contains(id)).collect()
}
