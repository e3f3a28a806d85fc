//! Tells Kubernetes which pods to delete first when it reduces the number of workers: first pods whose workers are idle, then
//! pods with the youngest runs. Kubernetes reads this from an annotation of each pod, its deletion cost.
//!
//! One reaper of the fleet does this; PostgreSQL elects it. The step only reads the announcements that workers make anyway, and
//! writes the costs that differ. Nothing else depends on this step: without the step, Kubernetes chooses by the age of the pods.

use crate::{
    error::Error,
    step::{Needs, Period, Ran, Step},
    tick::Tick,
};
use async_trait::async_trait;
use leasehold_ports::{CostWritten, Election, Pod, Pods, PodsError, WorkerRecord};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The cost of a pod whose worker is busy.
const BUSY: i32 = 10;
/// Younger runs do not count: announcements and rounds are seconds apart, and pods with short jobs would change their cost all the
/// time.
const YOUNG_S: u64 = 16;
/// Older runs than this do not increase the cost: 34 years. The cost of a pod must fit 32 bits.
const OLDEST_S: u64 = 1 << 30;
/// The most pods of one round whose cost is written. The next round continues from there.
const WRITES_OF_A_ROUND: usize = 50;
/// How often an elected reaper checks during its writes whether it is still elected.
const ELECTION_CHECKED_EVERY: Duration = Duration::from_secs(1);
/// After failures in a row, the wait doubles up to this time.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// What the step needs: see [`Reaper::with_pods`](crate::Reaper::with_pods).
#[derive(Clone, Debug)]
pub struct PodCosts {
    /// The pods of workers.
    pub pods: Arc<dyn Pods>,
    /// Elects the reaper that writes.
    pub election: Arc<dyn Election>,
    /// The time between two rounds. Another reaper takes over within this time.
    pub every: Duration,
}

/// The step.
#[derive(Debug)]
pub(crate) struct PodsStep {
    of: PodCosts,
    is_elected: bool,
    /// The last pod whose cost was written.
    after: String,
    failures: u32,
    /// No request before this time.
    not_before: Option<Instant>,
}

impl PodsStep {
    pub(crate) const fn new(of: PodCosts) -> Self {
        Self { of, is_elected: false, after: String::new(), failures: 0, not_before: None }
    }

    async fn stand(&mut self) -> Result<bool, Error> {
        let was_elected = std::mem::replace(&mut self.is_elected, false);
        self.is_elected = self.of.election.stand().await?;
        match (was_elected, self.is_elected) {
            (false, true) => tracing::info!("this reaper writes the deletion costs of pods"),
            (true, false) => tracing::info!("this reaper does not write the deletion costs of pods any more"),
            _ => {}
        }
        Ok(self.is_elected)
    }

    /// Reads all pods, and writes the costs that differ.
    async fn round(&mut self, tick: &Tick) -> Result<(), Error> {
        let began = Instant::now();
        let mut confirmed_at = began;
        // First the workers: a pod that is not in the older list is new, and has no worker yet.
        let workers = tick.handoff()?.workers().await?;
        let pods = self.of.pods.pods().await?;
        tick.counts.found(pods.len() as u64);
        let changes = changes(&pods, &workers);
        for (pod, cost) in in_turn(&changes, &self.after) {
            if began.elapsed() >= self.of.every {
                break;
            }
            if confirmed_at.elapsed() >= ELECTION_CHECKED_EVERY {
                confirmed_at = Instant::now();
                if !self.stand().await? {
                    break;
                }
            }
            pod.clone_into(&mut self.after);
            // A pod that no longer exists needs no cost. If somebody else has changed the pod, the next round tries again.
            if self.of.pods.write_cost(pod, cost).await? == CostWritten::Written {
                tick.counts.changed(1);
            }
        }
        Ok(())
    }

    /// Notes a failure of the API server. Another reaper may reach the server. But if the server is overloaded, no other reaper
    /// should try.
    async fn failed(&mut self, error: &PodsError) {
        let wait = wait(self.of.every, self.failures, error.retry_after);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(Instant::now() + wait);
        if !error.is_throttled {
            self.is_elected = false;
            self.of.election.resign().await;
        }
    }
}

#[async_trait]
impl Step for PodsStep {
    fn name(&self) -> &'static str {
        "pods"
    }

    fn needs(&self) -> Needs {
        Needs::Both
    }

    fn period(&self) -> Period {
        Period::After { success: self.of.every, failure: self.of.every }
    }

    fn is_wanted(&self, tick: &Tick) -> bool {
        tick.store.is_some() && tick.handoff.is_some()
    }

    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error> {
        let waits = self.not_before.is_some_and(|time| Instant::now() < time);
        let has_resigned = waits && !self.is_elected;
        if has_resigned || !self.stand().await? || waits {
            return Ok(Ran::NotNow);
        }
        let done = self.round(tick).await;
        match &done {
            Err(Error::Pods(error)) => self.failed(error).await,
            Err(_) => {}
            Ok(()) => (self.failures, self.not_before) = (0, None),
        }
        done.map(|()| Ran::Done)
    }
}

/// The time until the next request, after some failures in a row.
fn wait(every: Duration, failures: u32, retry_after: Option<Duration>) -> Duration {
    let doubled = every.saturating_mul(2_u32.saturating_pow(failures.saturating_add(1)));
    doubled.max(retry_after.unwrap_or_default()).min(WAIT_MAX.max(every))
}

/// The cost of a pod whose workers run something, by the age of the oldest run: 10, and from 16 s on the largest power of two that is
/// not larger than the age in seconds.
fn cost_of(oldest_s: u64) -> i32 {
    let steps = oldest_s.min(OLDEST_S).checked_ilog2().unwrap_or_default();
    let age = if oldest_s < YOUNG_S { 0 } else { 1 << steps };
    BUSY + age
}

/// The pods whose cost must be written, in the order of their names. A pod without a living worker keeps its cost: its worker starts,
/// or Redis was emptied and workers announce themselves again.
fn changes<'a>(pods: &'a [Pod], workers: &[WorkerRecord]) -> Vec<(&'a str, i32)> {
    let mut costs = BTreeMap::<&str, i32>::new();
    // The host of a worker that claims over HTTP is not known. A host may have several workers.
    for worker in workers.iter().filter(|worker| worker.http.is_none()) {
        let cost = if worker.running == 0 { 0 } else { cost_of(worker.oldest_run_s.unwrap_or_default()) };
        let known = costs.entry(&worker.host).or_default();
        *known = cost.max(*known);
    }
    let differs = |pod: &Pod, cost: i32| pod.cost.unwrap_or(Some(0)) != Some(cost);
    let living = pods.iter().filter(|pod| !pod.is_ending);
    let mut changes: Vec<(&str, i32)> = living
        .filter_map(|pod| {
            Some((pod.name.as_str(), *costs.get(pod.name.as_str())?)).filter(|(_, cost)| differs(pod, *cost))
        })
        .collect();
    changes.sort_unstable();
    changes
}

/// The changes of one round, first the pods after the last pod. So each pod has its turn, even if many pods change all the time.
fn in_turn<'a>(changes: &'a [(&'a str, i32)], after: &str) -> impl Iterator<Item = (&'a str, i32)> + use<'a> {
    let (before, behind) = changes.split_at(changes.partition_point(|(pod, _)| *pod <= after));
    behind.iter().chain(before).copied().take(WRITES_OF_A_ROUND)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_core::WorkerId;

    const S: Duration = Duration::from_secs(1);

    fn worker(host: &str, running: u32, oldest_run_s: Option<u64>) -> WorkerRecord {
        WorkerRecord {
            id: WorkerId::new(),
            host: host.to_owned(),
            pid: 1,
            version: String::new(),
            started_at: String::new(),
            queues: Vec::new(),
            kinds: None,
            running,
            oldest_run_s,
            draining: false,
            http: None,
        }
    }

    fn pod(name: &str, cost: Option<Option<i32>>) -> Pod {
        Pod { name: name.to_owned(), cost, is_ending: false }
    }

    #[test]
    fn the_cost_follows_the_age_of_the_oldest_run_in_powers_of_two() {
        let of = |ages: &[u64]| ages.iter().map(|age| cost_of(*age)).collect::<Vec<_>>();
        assert_eq!(of(&[0, 1, 15, 16, 31, 32, 63, 64, 3600]), [10, 10, 10, 26, 26, 42, 42, 74, 2058]);
        assert_eq!(of(&[OLDEST_S - 1, OLDEST_S, u64::MAX]), [(1 << 29) + 10, (1 << 30) + 10, (1 << 30) + 10]);
    }

    #[test]
    fn only_costs_that_differ_are_written() {
        let workers = [
            worker("idle", 0, None),
            worker("busy", 2, Some(40)),
            worker("older", 1, None),
            worker("elsewhere", 3, Some(1)),
        ];
        let look = |pods: &[Pod]| {
            changes(pods, &workers).into_iter().map(|(pod, cost)| (pod.to_owned(), cost)).collect::<BTreeMap<_, _>>()
        };
        let one = |name: &str, cost: i32| BTreeMap::from([(name.to_owned(), cost)]);
        assert_eq!(
            look(&[pod("idle", None), pod("idle", Some(Some(0))), pod("busy", Some(Some(42)))]),
            BTreeMap::new()
        );
        assert_eq!(look(&[pod("idle", Some(Some(10)))]), one("idle", 0));
        assert_eq!(look(&[pod("idle", Some(None))]), one("idle", 0), "a cost that is no number");
        assert_eq!(look(&[pod("busy", None)]), one("busy", 42));
        assert_eq!(look(&[pod("older", None)]), one("older", 10), "a worker of an earlier version");
        assert_eq!(look(&[pod("unknown", Some(Some(74)))]), BTreeMap::new(), "its worker starts");
        let ending = Pod { is_ending: true, ..pod("busy", None) };
        assert_eq!(look(&[ending]), BTreeMap::new());
    }

    #[test]
    fn the_busiest_worker_of_a_pod_counts_and_workers_over_http_do_not() {
        let http = leasehold_ports::HttpWorker { server: "api:1".to_owned(), last_claim_at: String::new(), waiting: 0 };
        let workers = [
            worker("a", 1, Some(100)),
            worker("a", 0, None),
            worker("a", 1, Some(20)),
            WorkerRecord { http: Some(http), ..worker("b", 1, None) },
        ];
        assert_eq!(changes(&[pod("a", None), pod("b", None)], &workers), [("a", 74)]);
    }

    #[test]
    fn each_pod_has_its_turn() {
        let names: Vec<String> = (100..220).map(|number| format!("pod-{number}")).collect();
        let changes: Vec<(&str, i32)> = names.iter().map(|name| (name.as_str(), 10)).collect();
        let (mut after, mut written) = (String::new(), Vec::new());
        for _ in 0..3 {
            let round: Vec<&str> = in_turn(&changes, &after).map(|(pod, _)| pod).collect();
            assert_eq!(round.len(), WRITES_OF_A_ROUND);
            (*round.last().expect("a pod")).clone_into(&mut after);
            written.extend(round);
        }
        assert_eq!(written[..120], names, "the whole list, and then again from its start");
        assert_eq!(written[120..], names[..30]);
    }

    #[test]
    fn waits_double_up_to_a_bound_and_are_never_shorter_than_asked() {
        let waits: Vec<u64> = (0..7).map(|failures| wait(S * 10, failures, None).as_secs()).collect();
        assert_eq!(waits, [20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(wait(S * 10, u32::MAX, None), WAIT_MAX);
        assert_eq!(wait(S * 10, 0, Some(S * 60)), S * 60);
        assert_eq!(wait(S * 10, 0, Some(S * 100_000)), WAIT_MAX);
        assert_eq!(wait(S * 10, 3, Some(S)), S * 160);
    }
}
