//! **Fault**: all faults, at random and at the same time: workers killed and frozen, reapers killed, Redis flushed,
//! damaged, killed, stalled, half-open and unreachable, PostgreSQL stopped in both ways, connections lost.
//! **Window**: `MINUTES`. A fault every 0.1 to 1.5 s; some last for seconds.
//! **Heal**: all faults end.
//! **Must hold**: the invariants. The rate is reported but not judged.
//! **Converges within**: 10 s.
//! **Not covered**: faults that last longer than a few seconds.

use crate::{
    dice::Dice,
    plan::{Plan, Shape},
    stage::Stage,
};
use anyhow::Result;
use leasehold_tests::LinkState;
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

pub(crate) const PLAN: Plan =
    Plan { shape: Shape { reapers: 2, max_crashes: 1000, ..Shape::USUAL }, recovers_within_s: 10.0, ..Plan::USUAL };

/// A fault with a duration, and the action that ends it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lasting {
    RedisLink,
    RedisServer,
    Postgres,
    Frozen(u32),
}

/// The faults that last at the moment, and their ends.
type Open = Vec<(Instant, Lasting)>;

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("all faults at random");
    let (begun, window) = (Instant::now(), stage.window);
    let mut open = Open::new();
    let mut minute = 0;
    while begun.elapsed() < window {
        stage.pass(dice.millis(100..1500)).await;
        let now = Instant::now();
        for (_, over) in open.extract_if(.., |(until, _)| *until <= now).collect::<Vec<_>>() {
            end(stage, over)?;
        }
        harm(stage, dice, &mut open).await?;
        if begun.elapsed().as_secs() / 60 > minute {
            minute += 1;
            let accepted = stage.load.ledger().accepted.len();
            stage.progress.note(&format!("{minute} min: {accepted} accepted, {} workers killed", stage.moments.kills.len()));
        }
    }
    for (_, over) in open {
        end(stage, over)?;
    }
    stage.heals();
    Ok(())
}

fn end(stage: &Stage, over: Lasting) -> Result<()> {
    match over {
        Lasting::RedisLink => stage.to_redis.set(LinkState::Open),
        Lasting::RedisServer => stage.start_redis()?,
        Lasting::Postgres => stage.start_postgres()?,
        Lasting::Frozen(pid) => stage.members.signal(pid, Signal::SIGCONT),
    }
    Ok(())
}

/// Injects one more fault. A fault that is already active is not injected again.
async fn harm(stage: &mut Stage, dice: &mut Dice, open: &mut Open) -> Result<()> {
    let lasts = |open: &Open, what: Lasting| open.iter().any(|(_, lasting)| *lasting == what);
    let (postgres_is_away, redis_is_away) = (lasts(open, Lasting::Postgres), lasts(open, Lasting::RedisServer));
    let until = Instant::now() + dice.millis(300..6000);
    match dice.number(0..12) {
        0 | 1 => stage.kill_a_worker(dice)?,
        2 => {
            let pid = stage.members.workers[dice.number(0..stage.members.workers.len())].pid();
            let frozen = open.iter().filter(|(_, lasting)| matches!(lasting, Lasting::Frozen(_))).count();
            if frozen == 0 {
                open.push((until, Lasting::Frozen(pid)));
                stage.moments.frozen.push(pid);
                stage.members.signal(pid, Signal::SIGSTOP);
            }
        }
        3 => {
            drop(dice.one_of(&mut stage.members.reapers));
            stage.members.start_reaper()?;
        }
        4 if !redis_is_away => {
            let mut redis = stage.connect_redis().await?;
            redis::cmd("FLUSHALL").exec_async(&mut redis).await?;
        }
        5 | 6 if !redis_is_away => {
            let mut redis = stage.connect_redis().await?;
            stage.damage_redis(&mut redis, dice).await?;
        }
        7 if !redis_is_away => {
            stage.kill_redis();
            open.push((until, Lasting::RedisServer));
        }
        8 if !lasts(open, Lasting::RedisLink) => {
            let state = [LinkState::Shut, LinkState::Stalled, LinkState::Silent, LinkState::Slow(Duration::from_millis(50))][dice.number(0..4)];
            stage.to_redis.set(state);
            open.push((until, Lasting::RedisLink));
        }
        9 if !postgres_is_away => {
            stage.stop_postgres(dice.percent(50));
            open.push((until, Lasting::Postgres));
        }
        _ if !postgres_is_away => stage.lose_connections(dice).await?,
        _ => {}
    }
    Ok(())
}
