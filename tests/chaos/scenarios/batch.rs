//! **Fault**: batches get jobs over some time and are sealed, with a callback for each event. Workers are killed and frozen past
//! their lease, reapers are killed, and Redis is emptied. A job of some batches kills its worker; a job of others is cancelled.
//! **Window**: until twelve batches are sealed, one fault every 200 to 800 ms; then until the killed workers hold nothing any more.
//! **Heal**: no more faults.
//! **Must hold**: each callback is made once and has the right numbers. A wait for a batch ends, and its answer is right.
//! **Converges within**: the lease plus 4 s after each kill. Two workers can die at almost the same time, one of them by its job, and
//! a worker begins only a few crashed jobs at a time.
//! **Not covered**: a restart of PostgreSQL between two calls of a client that fills a batch.

use crate::{
    dice::Dice,
    held_jobs::DeathPoint,
    plan::{Plan, Recovery, Shape},
    stage::{STEP_TIMEOUT, Stage},
};
use anyhow::{Context as _, Result, ensure};
use leasehold::{BatchSeal, Client, Job as _, NewJob, Sealed};
use leasehold_tests::BatchCallback;
use std::time::Duration;
use tokio::task::JoinSet;

pub(crate) const PLAN: Plan = Plan {
    shape: Shape { reapers: 2, max_crashes: 50, ..Shape::USUAL },
    recovery: Recovery::Orphans,
    recovers_within_s: Shape::USUAL.lease_ms as f64 / 1000.0 + 4.0,
    dead: BATCHES / 3,
    ..Plan::USUAL
};

/// In a third of the batches all jobs succeed, in a third one job dies, and in a third one job is cancelled.
const BATCHES: usize = 12;
/// The calls that add jobs to a batch, and the plain jobs of each call.
const CALLS: usize = 3;
const JOBS: usize = 8;
/// A job that is cancelled is due long after the end of the run.
const NEVER: Duration = Duration::from_secs(3600);

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    stage.fault_begins("workers and reapers are killed and frozen, and Redis is emptied, while batches are filled and end");
    let mut waits = JoinSet::new();
    for nth in 0..BATCHES {
        let name = format!("batch-{nth}");
        for call in 0..CALLS {
            fill(stage, &name, call == 0 && nth % 3 == 1, call == 0 && nth % 3 == 2).await?;
            if call == 0 {
                waits.spawn(wait(stage.load.client().clone(), name.clone(), nth % 3));
            }
            if call == nth % CALLS {
                harm(stage, nth, dice).await?;
            }
        }
        seal(stage.load.client(), &name).await?;
    }
    stage.until_killed_workers_hold_nothing(STEP_TIMEOUT).await?;
    while let Some(waited) = waits.join_next().await {
        waited??;
    }
    stage.heals();
    Ok(())
}

async fn harm(stage: &mut Stage, nth: usize, dice: &mut Dice) -> Result<()> {
    stage.pass(dice.millis(200..800)).await;
    match nth % 5 {
        0 => drop(stage.freeze_a_worker(Duration::from_millis(stage.lease_ms() + 500), dice).await?),
        1 | 2 => stage.kill_at(DeathPoint::Anywhere, dice).await?,
        3 => {
            drop(dice.one_of(&mut stage.members.reapers));
            stage.members.start_reaper()?;
        }
        _ => {
            let mut redis = stage.connect_redis().await?;
            redis::cmd("FLUSHALL").exec_async(&mut redis).await?;
        }
    }
    Ok(())
}

/// Adds jobs to a batch: plain ones and, if told so, a job that kills its worker, or a job that is cancelled at once.
async fn fill(stage: &Stage, batch: &str, has_poison: bool, has_cancelled: bool) -> Result<()> {
    let (load, client) = (&stage.load, stage.load.client());
    let mut jobs = Vec::new();
    for nth in 0..JOBS {
        let job = client.enqueue(load.probe(60 + 10 * nth as u64)).batch(batch).build()?;
        jobs.push(NewJob { max_crashes: PLAN.shape.max_crashes, max_attempts: 52, ..job });
    }
    if has_poison {
        let job = client.enqueue(load.poisonous_probe()).batch(batch).build()?;
        load.ledger().poison.insert(job.id.0);
        jobs.push(NewJob { max_crashes: 1, ..job });
    }
    let mut cancelled = None;
    if has_cancelled {
        let job = client.enqueue(load.probe(0)).batch(batch).delay(NEVER).build()?;
        cancelled = Some(job.id);
        jobs.push(job);
    }
    let accepted = client.enqueue_many(&jobs).await.context("adding jobs to a batch")?;
    load.ledger().accepted.extend(accepted.iter().map(|answer| answer.id.0));
    if let Some(id) = cancelled {
        client.cancel(&[id]).await.context("cancelling a job of a batch")?;
        load.ledger().cancelled.insert(id.0);
    }
    Ok(())
}

/// Two clients seal the batch at the same time.
async fn seal(client: &Client, batch: &str) -> Result<()> {
    let kind = || Ok::<_, anyhow::Error>(Some(BatchCallback::KIND.parse()?));
    let seal = BatchSeal { on_success: kind()?, on_complete: kind()?, on_death: kind()?, ..BatchSeal::default() };
    let (one, other) = tokio::join!(client.seal_batch(batch, &seal), client.seal_batch(batch, &seal));
    let answers = (one.context("sealing a batch")?, other.context("sealing a batch")?);
    let is_once = matches!(answers, (Sealed::Now, Sealed::Already) | (Sealed::Already, Sealed::Now));
    ensure!(is_once, "two seals of {batch} were answered with {answers:?}");
    Ok(())
}

/// Waits until the batch is complete. Before its seal a batch counts as ended whenever none of its jobs is live.
async fn wait(client: Client, batch: String, sort: usize) -> Result<()> {
    let ended = loop {
        let ended = client.wait_batch(&batch, STEP_TIMEOUT).await.with_context(|| format!("waiting for {batch}"))?;
        let ended = ended.with_context(|| format!("{batch} does not exist"))?;
        if ended.completed_at.is_some() {
            break ended;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let (dead, cancelled) = (i64::from(sort == 1), i64::from(sort == 2));
    let found = (ended.succeeded, ended.dead, ended.cancelled);
    ensure!(found == ((CALLS * JOBS) as i64, dead, cancelled), "{batch} has the numbers {found:?}");
    let made = (ended.success_job.is_some(), ended.complete_job.is_some(), ended.death_job.is_some());
    ensure!(made == (sort == 0, true, sort == 1), "{batch} has the callbacks {made:?}");
    Ok(())
}
