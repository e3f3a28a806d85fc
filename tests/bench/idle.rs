//! The cost of an idle fleet: CPU, memory, and statements to PostgreSQL.

use crate::{
    arguments::{Arguments, Idle},
    lab::Lab,
    results::{Results, Run},
};
use anyhow::{Context as _, Result, ensure};
use leasehold_bench::{cpu_s, memory_now_bytes};
use leasehold_tests::eventually;
use serde_json::json;
use sqlx::PgConnection;
use std::{
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::process::Child;

/// How long workers may take to start and to become idle.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// For how many seconds an idle worker has sent no statement. The cost of starting is not part of the cost of idling.
const IDLE_AFTER_S: f64 = 3.0;

const ANNOUNCED: &str =
    "SELECT count(DISTINCT client_port) FROM pg_stat_activity WHERE application_name = 'leasehold worker'";
const LATEST: &str = "SELECT count(*) FROM pg_stat_activity
                      WHERE application_name = 'leasehold worker' AND query_start > clock_timestamp() - $1 * interval '1 second'";

pub(crate) async fn measure(arguments: &Arguments, size: &Idle) -> Result<Results> {
    let mut lab = Lab::open("idle", arguments).await?;
    lab.servers.fresh().await?;
    let migrated = lab.leasehold().args(["migrate", "up"]).stdout(Stdio::null()).status().await;
    ensure!(migrated.context("making the schema")?.success(), "leasehold migrate failed");
    let mut postgres = lab.servers.connect().await?;
    let workers: Vec<Child> = (0..size.procs).map(|_| start(&lab)).collect::<Result<_>>()?;
    until_connected(&mut postgres, size.procs).await;
    until_idle(&mut postgres).await;

    let pids: Vec<u32> = workers.iter().filter_map(Child::id).collect();
    let cpu = || pids.iter().filter_map(|pid| cpu_s(*pid)).sum::<f64>();
    let (begun, before) = (Instant::now(), cpu());
    tokio::time::sleep(Duration::from_secs(size.seconds)).await;
    let (seconds, spent) = (begun.elapsed().as_secs_f64(), cpu() - before);
    let statements: i64 = sqlx::query_scalar(LATEST).bind(seconds).fetch_one(&mut postgres).await?;
    let memory = pids.iter().filter_map(|pid| memory_now_bytes(*pid)).max();
    ensure!(pids.len() == size.procs as usize && memory.is_some(), "a worker has ended");
    let line = json!({
        "seconds": size.seconds,
        "percent_of_a_core": spent / seconds * 100.0,
        "memory_bytes": memory,
        "connections_with_statements": statements,
    });
    lab.results.runs.push(Run::of("leasehold", &size.procs.to_string(), line, 0.0, false));
    Ok(lab.results)
}

fn start(lab: &Lab) -> Result<Child> {
    let mut worker = lab.leasehold();
    worker.args(["worker", "--queue", "bench=50", "--exec", "*=/bin/true"]);
    worker.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("starting a worker")
}

async fn until_connected(postgres: &mut PgConnection, workers: u32) {
    eventually("all workers are connected", START_TIMEOUT, async || {
        let connected: i64 =
            sqlx::query_scalar(ANNOUNCED).fetch_one(&mut *postgres).await.map_err(|error| error.to_string())?;
        if connected >= i64::from(workers) { Ok(()) } else { Err(format!("{connected} of {workers}")) }
    })
    .await;
}

async fn until_idle(postgres: &mut PgConnection) {
    eventually("no worker sends a statement", START_TIMEOUT, async || {
        match sqlx::query_scalar::<_, i64>(LATEST).bind(IDLE_AFTER_S).fetch_one(&mut *postgres).await {
            Ok(0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}
