//! **Fault**: the example `clusters` runs beside the load. Its workers are killed and frozen past their lease, the reaper is killed,
//! Redis is emptied, and PostgreSQL is restarted without a shutdown. Schedulers submit graphs, change priorities, and pause and
//! resume a cluster.
//! **Window**: 12 s, one fault every 300 to 900 ms.
//! **Heal**: no more faults.
//! **Must hold**: no cluster ever runs more computations than its limit. Each graph is there as a whole, each computation succeeds
//! once, and none began before its parents had ended.
//! **Converges within**: 5 s for the load; the computations are finished within 90 s.
//! **Not covered**: cycles; `tests/clusters` covers them.

use crate::{
    crew::{Crew, Part},
    dice::Dice,
    insist::insist,
    limit_watch::LimitWatch,
    plan::{Plan, Shape},
    scheduler::{Order, Scheduler},
    stage::{STEP_TIMEOUT, Stage},
};
use anyhow::{Result, ensure};
use leasehold::{JobId, QueueName};
use sqlx::PgConnection;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const PLAN: Plan =
    Plan { shape: Shape { workers: 1, backlog: 200, max_crashes: 50, ..Shape::USUAL }, ..Plan::USUAL };

const WINDOW: Duration = Duration::from_secs(12);
const WORKERS: usize = 3;
/// The clusters, and how many computations each one runs at the same time.
const CLUSTERS: [(&str, i32); 3] = [("large", 4), ("middle", 3), ("small", 2)];
const SCHEDULERS: usize = 2;
/// The computations of each graph, and the name of the one that is submitted afterwards and depends on the last of them.
const NODES: usize = 5;
const ARCHIVE: &str = "archive";
const PAUSE: Duration = Duration::from_millis(400);
/// How many graphs must have been submitted. With fewer, the run proves nothing.
const GRAPHS_MIN: usize = 20;

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    let scheduler = Scheduler::new(stage.load.client().clone());
    for (cluster, running) in CLUSTERS {
        scheduler.set_cluster(cluster, running).await?;
    }
    let mut crew = Crew::default();
    for _ in 0..WORKERS {
        crew.start(Part::built("mortal", &["clusters", "6", "large", "middle", "small"])?, stage)?;
    }
    let limits = CLUSTERS.iter().map(|(cluster, running)| (format!("cluster:{cluster}"), i64::from(*running)));
    let watch = LimitWatch::start(stage.stores.database.url.clone(), limits.collect());
    let (stop, mut schedulers) = (CancellationToken::new(), JoinSet::new());
    for nth in 0..SCHEDULERS {
        schedulers.spawn(schedule(nth, scheduler.clone(), stop.clone()));
    }
    stage.fault_begins("the processes of the example `clusters` are killed and frozen");
    crew.harm(WINDOW, 300..900, stage, dice).await?;
    stage.heals();
    stop.cancel();
    let mut submitted = Vec::new();
    while let Some(ids) = schedulers.join_next().await {
        submitted.extend(ids??);
    }
    let mut postgres = stage.connect_postgres().await?;
    let begun = Instant::now();
    loop {
        crew.pass(Duration::from_millis(200), stage).await?;
        let live = "SELECT count(*) FROM leasehold.job WHERE kind = 'clusters/computation'";
        let left: i64 = sqlx::query_scalar(live).fetch_one(&mut postgres).await?;
        if left == 0 {
            break;
        }
        ensure!(begun.elapsed() < STEP_TIMEOUT, "{left} computations are not finished");
    }
    watch.end().await?;
    judge(&submitted, &mut postgres).await
}

/// Judges the computations after their ends. A graph whose submit got no answer may be there twice, each time as a whole.
async fn judge(submitted: &[JobId], postgres: &mut PgConnection) -> Result<()> {
    let ids: Vec<Uuid> = submitted.iter().map(|id| id.0).collect();
    let counts = "SELECT count(*), count(*) FILTER (WHERE id = ANY ($1)),
                         count(*) FILTER (WHERE state = 'succeeded' AND result #>> '{}' = payload ->> 'name'),
                         count(*) FILTER (WHERE payload ->> 'name' LIKE '%/' || $2)
                  FROM leasehold.jobs WHERE kind = 'clusters/computation'";
    let counts = sqlx::query_as(counts).bind(&ids).bind(ARCHIVE);
    let (all, are_submitted, succeeded, archives): (i64, i64, i64, i64) = counts.fetch_one(&mut *postgres).await?;
    ensure!(ids.len() >= (NODES + 1) * GRAPHS_MIN, "{} computations: this run proves nothing", ids.len());
    ensure!(usize::try_from(are_submitted) == Ok(ids.len()), "{} were accepted, {are_submitted} exist", ids.len());
    ensure!(succeeded == all, "{succeeded} of {all} computations have succeeded with their own result");
    let in_graphs = all - archives;
    ensure!(in_graphs % NODES as i64 == 0, "{in_graphs} computations are no whole graphs");
    let early = "SELECT count(*) FROM leasehold.edge e JOIN leasehold.jobs c ON c.id = e.child
                 JOIN leasehold.jobs p ON p.id = e.parent WHERE c.started_at < p.finished_at";
    let early: i64 = sqlx::query_scalar(early).fetch_one(postgres).await?;
    ensure!(early == 0, "{early} computations began before their parents had ended");
    Ok(())
}

/// Submits graphs until the test stops it. Returns the accepted computations.
async fn schedule(nth: usize, scheduler: Scheduler, stop: CancellationToken) -> Result<Vec<JobId>> {
    let paused: QueueName = CLUSTERS[nth].0.parse()?;
    let (mut accepted, mut round) = (Vec::new(), 0_usize);
    while !stop.is_cancelled() {
        let names = ["mesh", "flow", "heat", "stress", "report"].map(|name| format!("{nth}/{round}/{name}"));
        let [mesh, flow, heat, stress, report] = names.each_ref().map(String::as_str);
        let order = |name, place: usize, after| {
            let cluster = CLUSTERS[(round + place) % CLUSTERS.len()].0;
            Order { cluster, name, takes_ms: 40, priority: 0, after }
        };
        let (roots, middle) = ([mesh], [flow, heat, stress]);
        let graph = [
            order(mesh, 0, &[]),
            order(flow, 1, &roots),
            order(heat, 1, &roots),
            order(stress, 2, &roots),
            order(report, 0, &middle),
        ];
        let ids = insist("submitting a graph", || scheduler.submit_all(&graph)).await?;
        let (last, priority) = (ids[NODES - 1], i16::try_from(round % 50)?);
        insist("changing a priority", || scheduler.set_priority(last, priority)).await?;
        accepted.extend(ids);
        let archive = format!("{nth}/{round}/{ARCHIVE}");
        let (order, after) = (order(&archive, 2, &[]), [last]);
        accepted.push(insist("submitting one more", || scheduler.submit(&order, &after)).await?);
        if round.is_multiple_of(4) {
            insist("pausing a cluster", || scheduler.pause(&paused)).await?;
            tokio::time::sleep(PAUSE).await;
            insist("resuming a cluster", || scheduler.resume(&paused)).await?;
        }
        round += 1;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(accepted)
}
