//! The single harms, as scenarios put them together.

use crate::{
    dice::Dice,
    hands::DeathPoint,
    stage::{PATIENCE, Stage},
};
use anyhow::{Context as _, Result, ensure};
use leasehold_tests::{End, LogLine, Step, Way};
use nix::sys::signal::Signal;
use redis::aio::MultiplexedConnection;
use std::time::{Duration, Instant};
use tokio::task::block_in_place;
use uuid::Uuid;

const READY: &str = "leasehold:{default}:ready";
const CLAIMED: &str = "leasehold:{default}:claimed";
pub(crate) const LEASES: &str = "leasehold:{default}:leases";

/// A connection in use is ended by the server, or by the way to it.
const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                         WHERE datname = current_database() AND application_name LIKE 'leasehold%'
                         ORDER BY (state = 'active') DESC, md5(pid::text || $1) LIMIT 2";

impl Stage {
    /// Kills a worker; another is started.
    pub(crate) fn kill_a_worker(&mut self, dice: &mut Dice) -> Result<()> {
        let kill = self.members.kill_a_worker(dice)?;
        self.moments.kills.push(kill);
        Ok(())
    }

    /// Stops PostgreSQL: with a checkpoint, or as if it had crashed.
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

    /// Kills Redis. What it held is gone.
    pub(crate) fn kill_redis(&self) {
        block_in_place(|| self.stores.redis.server().kill());
    }

    /// `FLUSHALL`, so many times, with some seconds after each, from each of which recovery is measured.
    pub(crate) async fn flush_redis(&mut self, times: usize, dice: &mut Dice) -> Result<()> {
        let mut redis = self.connect_redis().await?;
        for _ in 0..times {
            self.pass(dice.millis(2000..3000)).await;
            self.blow();
            redis::cmd("FLUSHALL").exec_async(&mut redis).await?;
        }
        Ok(())
    }

    pub(crate) fn start_redis(&self) -> Result<()> {
        block_in_place(|| self.stores.redis.server().start_again()).context("starting Redis again")
    }

    /// Loses connections to PostgreSQL, in one of the ways there are.
    pub(crate) async fn lose_connections(&self, dice: &mut Dice) -> Result<()> {
        match dice.number(0..5) {
            0 => {
                let mut connection = self.connect_postgres().await?;
                let salt = dice.number(0..1000).to_string();
                sqlx::query(TERMINATE).bind(salt).execute(&mut connection).await?;
            }
            // Committed, and nobody is told.
            1 => self.to_postgres.lose_answers("enqueue: ", "INSERT 0 ", 1),
            2 => self.to_postgres.lose_answers("complete: ", "INSERT 0 ", 1),
            // Somewhere in a statement, or in an answer.
            3 => self.to_postgres.cut_after(End::Client, dice.number(0..6000)),
            _ => self.to_postgres.cut_after(End::Server, dice.number(0..6000)),
        }
        Ok(())
    }

    /// Damages what Redis holds, in one of the ways there are.
    pub(crate) async fn damage_redis(&self, redis: &mut MultiplexedConnection, dice: &mut Dice) -> Result<()> {
        let hints: Vec<String> = redis::cmd("LRANGE").arg(READY).arg(0).arg(200).query_async(redis).await?;
        let some = hints.get(dice.number(0..hints.len().max(1))).cloned().unwrap_or_default();
        let leased: Vec<String> = redis::cmd("ZRANGE").arg(LEASES).arg(0).arg(50).query_async(redis).await?;
        let lease = leased.get(dice.number(0..leased.len().max(1))).cloned().unwrap_or_default();
        let invented = Uuid::from_u128(dice.number(1..usize::MAX) as u128).to_string();
        let mut pipe = redis::pipe();
        match dice.number(0..10) {
            // Deleted, here, there, and in both.
            0 => pipe.cmd("LREM").arg(READY).arg(0).arg(&some),
            1 => pipe.cmd("ZREM").arg(LEASES).arg(&some).arg(&lease),
            2 => pipe.cmd("LPOP").arg(READY).arg(50).cmd("ZREM").arg(LEASES).arg(hints.get(..50).unwrap_or(&hints)),
            3 => pipe.cmd("DEL").arg(READY),
            4 => pipe.cmd("DEL").arg(LEASES),
            // Doubled, and put where they do not belong.
            5 => pipe.cmd("LPUSH").arg(READY).arg(&some).arg(&some).arg(&lease),
            6 => pipe.cmd("RPUSH").arg(CLAIMED).arg(&some).arg(&lease),
            // Invented.
            7 => pipe
                .cmd("LPUSH")
                .arg(READY)
                .arg(&invented)
                .arg("no id at all")
                .cmd("ZADD")
                .arg(LEASES)
                .arg(1)
                .arg(&invented),
            // Leases that ran out long ago, and that never will.
            8 => pipe.cmd("ZADD").arg(LEASES).arg("XX").arg(1).arg(&lease).arg(1).arg(&some),
            _ => pipe.cmd("ZADD").arg(LEASES).arg("XX").arg("4102444800000").arg(&lease).arg("inf").arg(&some),
        };
        // Some of these are refused when what they name is not there: then nothing is damaged this time.
        let _ = pipe.ignore().exec_async(redis).await;
        Ok(())
    }

    /// The way to Redis is like this for a while, and then open again.
    pub(crate) async fn redis_way(&mut self, way: Way, time: Duration) {
        self.to_redis.set(way);
        self.pass(time).await;
        self.to_redis.set(Way::Open);
    }

    /// A worker with full hands is frozen until others have run to their end what it holds, and at least for so long. Then
    /// it goes on. Whether one of its handlers came to its end after that: it may have been told in time that its lease is
    /// lost.
    pub(crate) async fn freeze_a_worker(&mut self, at_least: Duration, dice: &mut Dice) -> Result<bool> {
        let (pid, hands) = self.stop_one_at(DeathPoint::Handler, dice).await?;
        let begun = Instant::now();
        self.moments.frozen.push(pid);
        let mut postgres = self.connect_postgres().await?;
        loop {
            self.pass(Duration::from_millis(100)).await;
            let left: i64 = sqlx::query_scalar("SELECT count(*) FROM leasehold.job WHERE id = ANY ($1)")
                .bind(&hands.in_handler)
                .fetch_one(&mut postgres)
                .await?;
            if left == 0 && begun.elapsed() >= at_least {
                break;
            }
            ensure!(
                begun.elapsed() < PATIENCE,
                "{left} jobs of a frozen worker were not done by others in {PATIENCE:?}"
            );
        }
        self.members.signal(pid, Signal::SIGCONT);
        let thawed = Instant::now();
        loop {
            let late = |line: &&LogLine| line.pid == pid && hands.in_handler.contains(&line.id);
            let late: Vec<Step> = self.log().iter().filter(late).map(|line| line.step).collect();
            let begun = late.iter().filter(|step| **step == Step::Start).count();
            if late.len() >= begun * 2 {
                return Ok(late.contains(&Step::End));
            }
            ensure!(thawed.elapsed() < PATIENCE, "handlers of a thawed worker did not end in {PATIENCE:?}");
            self.pass(Duration::from_millis(50)).await;
        }
    }
}
