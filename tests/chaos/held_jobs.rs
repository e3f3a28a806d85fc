//! The jobs that a stopped worker holds, found from outside: from both stores and from the handlers' log.
//!
//! A kill at a random time may hit a worker that holds nothing, and then it tests nothing. So the victim is stopped
//! first (SIGSTOP) and inspected. It is killed only if it holds a job at the wanted point; otherwise it continues and
//! is stopped again a little later.

use crate::{
    dice::Dice,
    moments::{Kill, now_ms},
    stage::Stage,
};
use anyhow::{Result, bail};
use leasehold_tests::{LinkState, Step};
use nix::sys::signal::Signal;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// The set of waiting and leased hints.
pub(crate) const LEASES: &str = "leasehold:{default}:leases";
/// How long to search for a worker at the wanted point. Each attempt takes a tenth of a second.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(60);
/// The time between the stop and the inspection of the worker: everything that it sent before must have arrived by
/// then.
const INSPECT_DELAY: Duration = Duration::from_millis(60);
/// The delay of PostgreSQL's answers during the search. It is as large as in a real network, and it creates a time in
/// which a claim or a settle is committed but its worker does not know yet.
const ANSWER_DELAY: Duration = Duration::from_millis(20);

/// The point in a job's life at which its worker dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeathPoint {
    /// The job is claimed in PostgreSQL; no handler has started.
    Claim,
    /// The handler is running.
    Handler,
    /// The handler has ended; its result is not written.
    Settle,
    /// The result is written; the hint is still leased in Redis.
    Ack,
    /// Any point at which a job is running in PostgreSQL.
    Anywhere,
}

/// The jobs that a worker holds, by their point.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeldJobs {
    pub(crate) claimed: Vec<Uuid>,
    pub(crate) in_handler: Vec<Uuid>,
    pub(crate) ended: Vec<Uuid>,
    pub(crate) settled: Vec<Uuid>,
}

impl HeldJobs {
    fn at(&self, place: DeathPoint) -> bool {
        match place {
            DeathPoint::Claim => !self.claimed.is_empty(),
            DeathPoint::Handler => !self.in_handler.is_empty(),
            DeathPoint::Settle => !self.ended.is_empty(),
            DeathPoint::Ack => !self.settled.is_empty(),
            DeathPoint::Anywhere => !self.claimed.is_empty() || !self.in_handler.is_empty() || !self.ended.is_empty(),
        }
    }

    fn describe(&self) -> String {
        format!(
            "{} claimed, {} in handlers, {} ended, {} settled and not acked",
            self.claimed.len(),
            self.in_handler.len(),
            self.ended.len(),
            self.settled.len()
        )
    }
}

impl Stage {
    /// Stops workers until one holds a job at this point. Leaves this worker stopped.
    pub(crate) async fn stop_one_at(&mut self, place: DeathPoint, dice: &mut Dice) -> Result<(u32, HeldJobs)> {
        if place != DeathPoint::Anywhere {
            self.to_postgres.set(LinkState::Slow(ANSWER_DELAY));
        }
        let found = self.find_one_at(place, dice).await;
        self.to_postgres.set(LinkState::Open);
        found
    }

    async fn find_one_at(&mut self, place: DeathPoint, dice: &mut Dice) -> Result<(u32, HeldJobs)> {
        let begun = Instant::now();
        while begun.elapsed() < SEARCH_TIMEOUT {
            let victim = dice.number(0..self.members.workers.len());
            let pid = self.members.workers[victim].pid();
            self.members.workers[victim].signal(Signal::SIGSTOP);
            tokio::time::sleep(INSPECT_DELAY).await;
            let held = self.held_jobs_of(pid).await?;
            if held.at(place) {
                self.progress.phase(&format!("stopped a worker that holds {}", held.describe()));
                return Ok((pid, held));
            }
            self.members.signal(pid, Signal::SIGCONT);
            self.pass(dice.millis(5..80)).await;
        }
        bail!("within {SEARCH_TIMEOUT:?} no worker was stopped at {place:?}")
    }

    /// Kills a worker that holds a job at this point, and starts another worker.
    pub(crate) async fn kill_at(&mut self, place: DeathPoint, dice: &mut Dice) -> Result<()> {
        let (pid, held) = self.stop_one_at(place, dice).await?;
        let at_ms = now_ms();
        self.members.kill(pid)?;
        let hints = if place == DeathPoint::Ack { held.settled } else { Vec::new() };
        self.moments.kills.push(Kill { pid, at_ms, hints, hints_gone_ms: None });
        Ok(())
    }

    async fn held_jobs_of(&mut self, pid: u32) -> Result<HeldJobs> {
        let mut held = HeldJobs::default();
        let log = self.log();
        let Some(worker) = log.iter().rev().find(|line| line.pid == pid).map(|line| line.worker) else {
            return Ok(held);
        };
        let of_it = log.iter().filter(|line| line.pid == pid);
        let seen: BTreeSet<(Uuid, i32, Step)> = of_it.map(|line| (line.id, line.epoch, line.step)).collect();
        let mut postgres = self.connect_postgres().await?;
        let running: Vec<(Uuid, i32)> = sqlx::query_as("SELECT id, epoch FROM leasehold.job WHERE worker = $1")
            .bind(worker)
            .fetch_all(&mut postgres)
            .await?;
        for (id, epoch) in running {
            let saw = |step| seen.contains(&(id, epoch, step));
            match (saw(Step::Start), saw(Step::End)) {
                (false, _) => held.claimed.push(id),
                (true, false) => held.in_handler.push(id),
                (true, true) => held.ended.push(id),
            }
        }
        let mut redis = self.connect_redis().await?;
        let leased: Vec<String> =
            redis::cmd("ZRANGE").arg(LEASES).arg("(0").arg("(inf").arg("BYSCORE").query_async(&mut redis).await?;
        let leased: Vec<Uuid> = leased.iter().filter_map(|id| id.parse().ok()).collect();
        held.settled = sqlx::query_scalar("SELECT id FROM leasehold.history WHERE id = ANY ($1) AND worker = $2")
            .bind(leased)
            .bind(worker)
            .fetch_all(&mut postgres)
            .await?;
        Ok(held)
    }

    /// Waits until killed workers hold nothing any more: no lease, and no hint of a finished job. The load continues.
    pub(crate) async fn until_killed_workers_hold_nothing(&mut self, within: Duration) -> Result<()> {
        let (mut postgres, mut redis) = (self.connect_postgres().await?, self.connect_redis().await?);
        let begun = Instant::now();
        loop {
            let pids: BTreeSet<u32> = self.moments.kills.iter().map(|kill| kill.pid).collect();
            let killed: BTreeSet<Uuid> =
                self.log().iter().filter(|line| pids.contains(&line.pid)).map(|line| line.worker).collect();
            let held: i64 = sqlx::query_scalar("SELECT count(*) FROM leasehold.job WHERE worker = ANY ($1)")
                .bind(killed.into_iter().collect::<Vec<_>>())
                .fetch_one(&mut postgres)
                .await?;
            let mut hints = 0;
            for kill in self.moments.kills.iter_mut().filter(|kill| kill.hints_gone_ms.is_none()) {
                let mut left = 0;
                for id in &kill.hints {
                    let score: Option<f64> =
                        redis::cmd("ZSCORE").arg(LEASES).arg(id.to_string()).query_async(&mut redis).await?;
                    left += usize::from(score.is_some());
                }
                if left == 0 && !kill.hints.is_empty() {
                    kill.hints_gone_ms = Some(now_ms());
                }
                hints += left;
            }
            if held == 0 && hints == 0 {
                return Ok(());
            }
            if begun.elapsed() > within {
                bail!("killed workers still hold {held} jobs and {hints} hints after {within:?}");
            }
            self.pass(Duration::from_millis(50)).await;
        }
    }
}
