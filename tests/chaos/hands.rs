//! What a worker that was stopped in its tracks has in its hands: told from outside, by both stores and the handlers' log.
//!
//! A kill at a moment of chance may hit a worker that holds nothing, and shows nothing then. So a victim is stopped first
//! (STOP), looked at, and killed only where it is wanted dead; otherwise it goes on, and is stopped again a little later.

use crate::{
    dice::Dice,
    harm::LEASES,
    moments::{Kill, now_ms},
    stage::Stage,
};
use anyhow::{Result, bail};
use leasehold_tests::{Step, Way};
use nix::sys::signal::Signal;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// How long it may take to stop a worker at the wanted place. Each try takes a tenth of a second.
const FOUND_WITHIN: Duration = Duration::from_secs(60);
/// What was sent before the stop must have arrived before one looks.
const ARRIVED_AFTER: Duration = Duration::from_millis(60);
/// An answer of PostgreSQL is so long on its way while a place is looked for: as on a real network, and so that there is
/// a moment at which a claim or a settle is done and its worker does not know.
const SLOW: Duration = Duration::from_millis(20);

/// Where in a job's life its worker dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeathPoint {
    /// Claimed in PostgreSQL, no handler has begun.
    Claim,
    /// In the handler.
    Handler,
    /// The handler has ended, its result is not written.
    Settle,
    /// The result is written, the hint still leased in Redis.
    Ack,
    /// Anywhere, as long as a job is running in PostgreSQL.
    Anywhere,
}

/// Jobs in the hands of a worker, by where they are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hands {
    pub(crate) claimed: Vec<Uuid>,
    pub(crate) in_handler: Vec<Uuid>,
    pub(crate) ended: Vec<Uuid>,
    pub(crate) settled: Vec<Uuid>,
}

impl Hands {
    fn at(&self, place: DeathPoint) -> bool {
        match place {
            DeathPoint::Claim => !self.claimed.is_empty(),
            DeathPoint::Handler => !self.in_handler.is_empty(),
            DeathPoint::Settle => !self.ended.is_empty(),
            DeathPoint::Ack => !self.settled.is_empty(),
            DeathPoint::Anywhere => !self.claimed.is_empty() || !self.in_handler.is_empty() || !self.ended.is_empty(),
        }
    }

    fn told(&self) -> String {
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
    /// Stops workers until one is at this place, and leaves it stopped.
    pub(crate) async fn stop_one_at(&mut self, place: DeathPoint, dice: &mut Dice) -> Result<(u32, Hands)> {
        if place != DeathPoint::Anywhere {
            self.to_postgres.set(Way::Slow(SLOW));
        }
        let found = self.seek(place, dice).await;
        self.to_postgres.set(Way::Open);
        found
    }

    async fn seek(&mut self, place: DeathPoint, dice: &mut Dice) -> Result<(u32, Hands)> {
        let begun = Instant::now();
        while begun.elapsed() < FOUND_WITHIN {
            let victim = dice.number(0..self.members.workers.len());
            let pid = self.members.workers[victim].pid();
            self.members.workers[victim].signal(Signal::SIGSTOP);
            tokio::time::sleep(ARRIVED_AFTER).await;
            let hands = self.hands_of(pid).await?;
            if hands.at(place) {
                self.progress.phase(&format!("a worker is stopped with {}", hands.told()));
                return Ok((pid, hands));
            }
            self.members.signal(pid, Signal::SIGCONT);
            self.pass(dice.millis(5..80)).await;
        }
        bail!("within {FOUND_WITHIN:?} no worker was stopped at {place:?}")
    }

    /// Kills a worker at this place; another is started.
    pub(crate) async fn kill_at(&mut self, place: DeathPoint, dice: &mut Dice) -> Result<()> {
        let (pid, hands) = self.stop_one_at(place, dice).await?;
        let at_ms = now_ms();
        self.members.kill(pid)?;
        let hints = if place == DeathPoint::Ack { hands.settled } else { Vec::new() };
        self.moments.kills.push(Kill { pid, at_ms, hints, hints_gone_ms: None });
        Ok(())
    }

    async fn hands_of(&mut self, pid: u32) -> Result<Hands> {
        let mut hands = Hands::default();
        let log = self.log();
        let Some(worker) = log.iter().rev().find(|line| line.pid == pid).map(|line| line.worker) else {
            return Ok(hands);
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
                (false, _) => hands.claimed.push(id),
                (true, false) => hands.in_handler.push(id),
                (true, true) => hands.ended.push(id),
            }
        }
        let mut redis = self.connect_redis().await?;
        let leased: Vec<String> =
            redis::cmd("ZRANGE").arg(LEASES).arg("(0").arg("(inf").arg("BYSCORE").query_async(&mut redis).await?;
        let leased: Vec<Uuid> = leased.iter().filter_map(|id| id.parse().ok()).collect();
        hands.settled = sqlx::query_scalar("SELECT id FROM leasehold.history WHERE id = ANY ($1) AND worker = $2")
            .bind(leased)
            .bind(worker)
            .fetch_all(&mut postgres)
            .await?;
        Ok(hands)
    }

    /// Waits until nothing is left of what killed workers held: no lease, and no hint of a job that is finished. The load
    /// goes on meanwhile.
    pub(crate) async fn until_all_taken_over(&mut self, within: Duration) -> Result<()> {
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
                bail!("{held} jobs and {hints} hints of killed workers are left after {within:?}");
            }
            self.pass(Duration::from_millis(50)).await;
        }
    }
}
