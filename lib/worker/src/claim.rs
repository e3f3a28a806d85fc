//! Turns hints into jobs: the claim in PostgreSQL, which decides, and the start of the claimed jobs.

use crate::{
    attempt::attempt, capacity::Capacity, run::Run, unanswered::reconcile_unanswered, worker_state::WorkerState,
};
use leasehold_core::{ClaimedJob, FailPoint, JobId, QueueName, pass};
use std::{collections::HashSet, sync::Arc};
use tokio::time::Instant;

/// One queue of a worker, with its capacity.
pub(crate) struct Queue {
    pub(crate) state: Arc<WorkerState>,
    pub(crate) name: QueueName,
    /// Only the loop of this queue takes reservations. So the free capacity can only grow while the loop does other work.
    pub(crate) capacity: Arc<Capacity>,
}

/// The result of a claim.
pub(crate) enum Claimed {
    /// PostgreSQL has decided: this many jobs were started, and these hints were refused.
    Decided { started: usize, refused: Vec<JobId> },
    /// PostgreSQL did not answer.
    Unanswered,
}

impl Queue {
    /// Claims and starts the jobs of these hints.
    pub(crate) async fn claim(&self, ids: &[JobId]) -> Claimed {
        if ids.is_empty() {
            return Claimed::Decided { started: 0, refused: Vec::new() };
        }
        let state = &self.state;
        let claimed =
            self.claim_by(ids, state.store.claim(state.id, &self.name, ids, &state.kinds, state.settings.lease)).await;
        if let Claimed::Decided { refused, .. } = &claimed {
            state.counters.hints_refused.add(refused.len());
        }
        claimed
    }

    /// The same for parked hints, up to `limit` jobs.
    pub(crate) async fn claim_parked(&self, ids: &[JobId], limit: usize) -> Claimed {
        let state = &self.state;
        let claim = state.store.claim_careful(state.id, &self.name, ids, &state.kinds, limit, state.settings.lease);
        self.claim_by(ids, claim).await
    }

    async fn claim_by(
        &self,
        ids: &[JobId],
        claim: impl Future<Output = Result<Vec<ClaimedJob>, leasehold_ports::Error>>,
    ) -> Claimed {
        let state = &self.state;
        let _turn = state.turn().await;
        let _claiming = state.unanswered.claiming().await;
        let sent_at = Instant::now();
        match claim.await {
            Ok(jobs) => {
                state.postgres.answered();
                self.capacity.claimed_within(sent_at.elapsed());
                state.measures.claims.answered(sent_at.elapsed(), jobs.len());
                let refused = refused(ids, &jobs);
                let started = jobs.len();
                self.start(jobs, sent_at);
                Claimed::Decided { started, refused }
            }
            Err(error) => {
                state.postgres.failed(&error);
                reconcile_unanswered(state);
                Claimed::Unanswered
            }
        }
    }

    /// Claims and starts the first jobs of the line, without Redis. Returns the ids of these jobs, or `None` if
    /// PostgreSQL did not answer. Jobs that have crashed before are claimed only if `with_crashed` is set.
    pub(crate) async fn claim_line(&self, limit: usize, with_crashed: bool) -> Option<Vec<JobId>> {
        let state = &self.state;
        let _turn = state.turn().await;
        let _claiming = state.unanswered.claiming().await;
        let sent_at = Instant::now();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (kinds, lease) = (&state.kinds, state.settings.lease);
        match state.store.claim_line(state.id, &self.name, kinds, limit, lease, with_crashed).await {
            Ok(jobs) => {
                state.postgres.answered();
                state.measures.claims.answered(sent_at.elapsed(), jobs.len());
                let started = jobs.iter().map(|job| job.fence.id).collect();
                self.start(jobs, sent_at);
                Some(started)
            }
            Err(error) => {
                state.postgres.failed(&error);
                reconcile_unanswered(state);
                None
            }
        }
    }

    /// The head may still hold hints of jobs that were claimed from the line. Removing these hints now saves other
    /// workers a refused claim.
    pub(crate) fn forget_unused(&self, ids: &[JobId]) {
        let members: Vec<Vec<u8>> = ids.iter().map(|id| id.to_string().into_bytes()).collect();
        let (state, queue) = (Arc::clone(&self.state), self.name.clone());
        self.state.background.spawn(async move {
            if let Err(error) = state.handoff.forget(&queue, &members).await {
                state.redis.failed(&error);
            }
        });
    }

    fn start(&self, jobs: Vec<ClaimedJob>, sent_at: Instant) {
        if !jobs.is_empty() {
            pass(FailPoint::JobsClaimed);
        }
        let state = &self.state;
        state.counters.claimed.add(jobs.len());
        let runs: Vec<Run> = jobs.into_iter().map(|job| run_of(state, job)).collect();
        state.runs.insert(&runs, sent_at);
        let is_ordered = self.capacity.is_ordered(runs.len());
        for run in runs {
            let reservation = self.capacity.take();
            // The jobs are in the order of the line, and tasks may begin in any order. In a large batch each run takes a moment
            // only, and the order of turns would cost each of them one more switch of tasks.
            let slot = is_ordered.then(|| reservation.slot());
            state.attempts.spawn(attempt(Arc::clone(state), run, reservation, slot));
        }
    }
}

fn run_of(state: &WorkerState, job: ClaimedJob) -> Run {
    Run::of_worker(Arc::clone(&state.store) as _, Arc::clone(&state.reports), job)
}

fn refused(ids: &[JobId], jobs: &[ClaimedJob]) -> Vec<JobId> {
    if jobs.len() == ids.len() {
        return Vec::new();
    }
    let claimed: HashSet<JobId> = jobs.iter().map(|job| job.fence.id).collect();
    ids.iter().copied().filter(|id| !claimed.contains(id)).collect()
}
