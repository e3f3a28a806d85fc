//! Single faults, from which scenarios are built.

use crate::{
    dice::Dice,
    held_jobs::{DeathPoint, LEASES},
    stage::{STEP_TIMEOUT, Stage},
};
use anyhow::{Context as _, Result, ensure};
use leasehold_tests::{End, LinkState, LogLine, Step};
use nix::sys::signal::Signal;
use redis::aio::MultiplexedConnection;
use std::time::{Duration, Instant};
use tokio::task::block_in_place;
use uuid::Uuid;

const READY: &str = "leasehold:{default}:ready";
const CLAIMED: &str = "leasehold:{default}:claimed";

/// Ends two connections of the fleet at the server. Connections that run a statement come first.
const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                         WHERE datname = current_database() AND application_name LIKE 'leasehold%'
                         ORDER BY (state = 'active') DESC, md5(pid::text || $1) LIMIT 2";

impl Stage {
    /// Kills a worker and starts another one.
    pub(crate) fn kill_a_worker(&mut self, dice: &mut Dice) -> Result<()> {
        let kill = self.members.kill_a_worker(dice)?;
        self.moments.kills.push(kill);
        Ok(())
    }

    /// Stops PostgreSQL: with a checkpoint, or as in a crash.
    pub(crate) fn stop_postgres(&self, immediately: bool) {
        let (server, begun) = (self.stores.database.server(), Instant::now());
        block_in_place(|| if immediately { server.stop_immediately() } else { server.stop() });
        self.progress.phase(&format!("PostgreSQL stopped, which took {:.1} s", begun.elapsed().as_secs_f64()));
    }

    pub(crate) fn start_postgres(&self) -> Result<()> {
        let begun = Instant::now();
        block_in_place(|| self.stores.database.server().start_again()).context("starting PostgreSQL again")?;
        self.progress.phase(&format!("PostgreSQL started, which took {:.1} s", begun.elapsed().as_secs_f64()));
        Ok(())
    }

    /// Kills Redis. Its data is lost.
    pub(crate) fn kill_redis(&self) {
        block_in_place(|| self.stores.redis.server().kill());
    }

    /// Runs `FLUSHALL` several times, a few seconds apart. Recovery is measured from each flush.
    pub(crate) async fn flush_redis(&mut self, times: usize, dice: &mut Dice) -> Result<()> {
        let mut redis = self.connect_redis().await?;
        for _ in 0..times {
            self.pass(dice.millis(2000..3000)).await;
            self.injection();
            redis::cmd("FLUSHALL").exec_async(&mut redis).await?;
        }
        Ok(())
    }

    pub(crate) fn start_redis(&self) -> Result<()> {
        block_in_place(|| self.stores.redis.server().start_again()).context("starting Redis again")
    }

    /// Loses connections to PostgreSQL in a random way.
    pub(crate) async fn lose_connections(&self, dice: &mut Dice) -> Result<()> {
        match dice.number(0..5) {
            0 => {
                let mut connection = self.connect_postgres().await?;
                let salt = dice.number(0..1000).to_string();
                sqlx::query(TERMINATE).bind(salt).execute(&mut connection).await?;
            }
            // The statement is committed, but the answer is lost.
            1 => self.to_postgres.lose_answers("enqueue: ", "INSERT 0 ", 1),
            2 => self.to_postgres.lose_answers("complete: ", "SELECT ", 1),
            // The connection is cut in the middle of a statement or of an answer.
            3 => self.to_postgres.cut_after(End::Client, dice.number(0..6000)),
            _ => self.to_postgres.cut_after(End::Server, dice.number(0..6000)),
        }
        Ok(())
    }

    /// Damages the data in Redis in a random way.
    pub(crate) async fn damage_redis(&self, redis: &mut MultiplexedConnection, dice: &mut Dice) -> Result<()> {
        let hints: Vec<String> = redis::cmd("LRANGE").arg(READY).arg(0).arg(200).query_async(redis).await?;
        let some = hints.get(dice.number(0..hints.len().max(1))).cloned().unwrap_or_default();
        let leased: Vec<String> = redis::cmd("ZRANGE").arg(LEASES).arg(0).arg(50).query_async(redis).await?;
        let lease = leased.get(dice.number(0..leased.len().max(1))).cloned().unwrap_or_default();
        let invented = Uuid::from_u128(dice.number(1..usize::MAX) as u128).to_string();
        let mut pipe = redis::pipe();
        match dice.number(0..10) {
            // Deletes ids from `ready`, from the leases, or from both.
            0 => pipe.cmd("LREM").arg(READY).arg(0).arg(&some),
            1 => pipe.cmd("ZREM").arg(LEASES).arg(&some).arg(&lease),
            2 => pipe.cmd("LPOP").arg(READY).arg(50).cmd("ZREM").arg(LEASES).arg(hints.get(..50).unwrap_or(&hints)),
            3 => pipe.cmd("DEL").arg(READY),
            4 => pipe.cmd("DEL").arg(LEASES),
            // Duplicates ids, and puts ids where they do not belong.
            5 => pipe.cmd("LPUSH").arg(READY).arg(&some).arg(&some).arg(&lease),
            6 => pipe.cmd("RPUSH").arg(CLAIMED).arg(&some).arg(&lease),
            // Invents ids.
            7 => pipe
                .cmd("LPUSH")
                .arg(READY)
                .arg(&invented)
                .arg("no id at all")
                .cmd("ZADD")
                .arg(LEASES)
                .arg(1)
                .arg(&invented),
            // Leases that ran out long ago, and leases that never run out.
            8 => pipe.cmd("ZADD").arg(LEASES).arg("XX").arg(1).arg(&lease).arg(1).arg(&some),
            _ => pipe.cmd("ZADD").arg(LEASES).arg("XX").arg("4102444800000").arg(&lease).arg("inf").arg(&some),
        };
        // Redis refuses some of these commands when the named member is missing; then nothing is damaged this time.
        let _ = pipe.ignore().exec_async(redis).await;
        Ok(())
    }

    /// Puts the link to Redis into this state for a while, then opens it again.
    pub(crate) async fn redis_link(&mut self, state: LinkState, time: Duration) {
        self.to_redis.set(state);
        self.pass(time).await;
        self.to_redis.set(LinkState::Open);
    }

    /// Freezes a worker that runs handlers until other workers have finished its jobs, and at least for this long. Then
    /// the worker continues. Returns whether one of its handlers ran to its end after that. No handler does if all
    /// learn in time that their lease is lost.
    pub(crate) async fn freeze_a_worker(&mut self, at_least: Duration, dice: &mut Dice) -> Result<bool> {
        let (pid, held) = self.stop_one_at(DeathPoint::Handler, dice).await?;
        let begun = Instant::now();
        self.moments.frozen.push(pid);
        let mut postgres = self.connect_postgres().await?;
        loop {
            self.pass(Duration::from_millis(100)).await;
            let left: i64 = sqlx::query_scalar("SELECT count(*) FROM leasehold.job WHERE id = ANY ($1)")
                .bind(&held.in_handler)
                .fetch_one(&mut postgres)
                .await?;
            if left == 0 && begun.elapsed() >= at_least {
                break;
            }
            ensure!(
                begun.elapsed() < STEP_TIMEOUT,
                "{left} jobs of a frozen worker were not finished by other workers within {STEP_TIMEOUT:?}"
            );
        }
        self.members.signal(pid, Signal::SIGCONT);
        let thawed = Instant::now();
        loop {
            let late = |line: &&LogLine| line.pid == pid && held.in_handler.contains(&line.id);
            let late: Vec<Step> = self.log().iter().filter(late).map(|line| line.step).collect();
            let begun = late.iter().filter(|step| **step == Step::Start).count();
            if late.len() >= begun * 2 {
                return Ok(late.contains(&Step::End));
            }
            ensure!(thawed.elapsed() < STEP_TIMEOUT, "handlers of a thawed worker did not end within {STEP_TIMEOUT:?}");
            self.pass(Duration::from_millis(50)).await;
        }
    }
}
