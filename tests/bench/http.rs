//! What `leasehold api` costs, compared with the Rust client and worker: throughput in batches, the latency of a claim, and many
//! clients at once.

use crate::{
    arguments::{Arguments, Http},
    crowd,
    http_client::{Client, Server},
    lab::{Lab, RunSpec},
    machine::{Watch, until_quiet},
    results::{Results, Run},
};
use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use leasehold_bench::{cpu_s, quantile, tree_cpu_s};
use serde_json::{Value, json};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

const QUEUE: &str = "bench";
/// Clients that enqueue or work at the same time.
const CLIENTS: usize = 8;
/// How long a claim waits when others have the last jobs. The clock has stopped then.
const LAST_CLAIM_MS: u64 = 200;
/// The runs, by the names of their settings.
pub(crate) const ENQUEUE: &str = "enqueue";
pub(crate) const WORK: &str = "claim and settle";
pub(crate) const CLAIM: &str = "claim of a job that waits";
pub(crate) const HAND_OVER: &str = "enqueue until a waiting claim has the job";
pub(crate) const CROWD: &str = "crowd";
/// The same way of a job as `HAND_OVER`, by the Rust client and worker.
pub(crate) const RUST: &str = "Rust";

pub(crate) async fn measure(arguments: &Arguments, size: &Http) -> Result<Results> {
    let mut lab = Lab::open("http", arguments).await?;
    let quiet_within = Duration::from_secs(arguments.quiet_within);
    for _ in 0..size.rounds {
        let (first, server, watch) = fresh(&lab, quiet_within).await?;
        throughput(&mut lab, &server, size).await?;
        latency(&mut lab, &server, size).await?;
        end(&mut lab, first, server, watch).await?;
        lab.bench(RUST, HAND_OVER, &RunSpec::new("latency", size.latency_n).processes(2, 50)).await?;
    }
    let (first, server, watch) = fresh(&lab, quiet_within).await?;
    let line = crowd::run(&lab, &server, size).await?;
    keep(&mut lab, CROWD, line);
    end(&mut lab, first, server, watch).await?;
    Ok(lab.results)
}

/// The place of the next run, a server on an empty database, and what other processes do from now on.
async fn fresh(lab: &Lab, quiet_within: Duration) -> Result<(usize, Server, Watch)> {
    lab.servers.fresh().await?;
    let server = Server::start(lab).await?;
    until_quiet(quiet_within).await;
    Ok((lab.results.runs.len(), server, Watch::begin(&lab.servers)))
}

/// Ends the server, and notes at its runs what other processes did.
async fn end(lab: &mut Lab, first: usize, server: Server, watch: Watch) -> Result<()> {
    server.stop().await?;
    let others = watch.end(&lab.servers);
    eprintln!("other processes used {:.0} %", others.share * 100.0);
    for run in &mut lab.results.runs[first..] {
        (run.others, run.disturbed) = (others.share, others.disturbed);
    }
    Ok(())
}

fn keep(lab: &mut Lab, setting: &str, line: Value) {
    eprintln!("HTTP, {setting}: {line}");
    lab.results.runs.push(Run::of("HTTP", setting, line, 0.0, false));
}

/// CPU seconds of the server, and of PostgreSQL.
fn cpu(lab: &Lab, server: &Server) -> [f64; 2] {
    [cpu_s(server.pid()), tree_cpu_s(lab.servers.pids()[0])].map(Option::unwrap_or_default)
}

/// Enqueues all jobs, then claims and settles all of them, in batches.
async fn throughput(lab: &mut Lab, server: &Server, size: &Http) -> Result<()> {
    let mut clients = try_join_all((0..CLIENTS).map(|_| server.client())).await?;
    let share = size.n / CLIENTS / size.batch.max(1) * size.batch;
    ensure!(share > 0, "--n must be at least {CLIENTS} times --batch");
    let all = share * CLIENTS;
    let batch = json!({ "jobs": vec![json!({ "kind": "noop", "queue": QUEUE, "payload": null }); size.batch] });
    let enqueues = async |client: &mut Client| {
        for _ in 0..share / size.batch {
            client.post("/v1/jobs", &batch).await?;
        }
        anyhow::Ok(())
    };
    let (begun, before) = (Instant::now(), cpu(lab, server));
    try_join_all(clients.iter_mut().map(enqueues)).await?;
    let line = rate(lab, server, all, begun.elapsed(), before);
    keep(lab, ENQUEUE, line);

    let done = AtomicUsize::new(0);
    let works = async |client: &mut Client| {
        let mut last = Instant::now();
        while done.load(Ordering::Relaxed) < all {
            let jobs = client.claim(QUEUE, size.batch, LAST_CLAIM_MS).await?;
            if !jobs.is_empty() {
                client.settle(&jobs).await?;
                done.fetch_add(jobs.len(), Ordering::Relaxed);
                last = Instant::now();
            }
        }
        anyhow::Ok(last)
    };
    let (begun, before) = (Instant::now(), cpu(lab, server));
    let ends = try_join_all(clients.iter_mut().map(works)).await?;
    let last = ends.into_iter().max().unwrap_or(begun);
    let line = rate(lab, server, all, last.duration_since(begun), before);
    keep(lab, WORK, line);
    Ok(())
}

fn rate(lab: &Lab, server: &Server, jobs: usize, took: Duration, before: [f64; 2]) -> Value {
    let (seconds, after) = (took.as_secs_f64(), cpu(lab, server));
    let per_job = |nth: usize| (after[nth] - before[nth]) * 1e6 / jobs as f64;
    json!({ "jobs": jobs, "jobs_per_s": jobs as f64 / seconds, "server_cpu_us_per_job": per_job(0), "postgres_cpu_us_per_job": per_job(1) })
}

/// One job at a time: the claim of a job that waits, and the time from the call of enqueue until a claim that waits has the job.
async fn latency(lab: &mut Lab, server: &Server, size: &Http) -> Result<()> {
    let (mut client, mut worker) = (server.client().await?, server.client().await?);
    let job = json!({ "kind": "noop", "queue": QUEUE, "payload": null });
    let waiting = json!({ "jobs": vec![job.clone(); 1000] });
    for _ in 0..size.latency_n.div_ceil(1000) {
        client.post("/v1/jobs", &waiting).await?;
    }
    let mut claims_ms = Vec::new();
    for _ in 0..size.latency_n {
        let begun = Instant::now();
        let jobs = worker.claim(QUEUE, 1, 20_000).await?;
        claims_ms.push(begun.elapsed().as_secs_f64() * 1e3);
        ensure!(jobs.len() == 1, "a job waits, and a claim got {}", jobs.len());
        worker.settle(&jobs).await?;
    }
    keep(lab, CLAIM, quantiles(claims_ms));
    loop {
        let rest = worker.claim(QUEUE, 500, 0).await?;
        if rest.is_empty() {
            break;
        }
        worker.settle(&rest).await?;
    }
    let mut waits_ms = Vec::new();
    for _ in 0..size.latency_n {
        let claim = async {
            let jobs = worker.claim(QUEUE, 1, 20_000).await?;
            let had = Instant::now();
            ensure!(jobs.len() == 1, "a claim that waits got {} jobs", jobs.len());
            worker.settle(&jobs).await?;
            anyhow::Ok(had)
        };
        let enqueue = async {
            // The pause of the latency run of `leasehold bench`: so the claim waits when the job comes.
            tokio::time::sleep(Duration::from_millis(15)).await;
            let begun = Instant::now();
            client.post("/v1/jobs", &job).await?;
            anyhow::Ok(begun)
        };
        let (had, begun) = tokio::try_join!(claim, enqueue)?;
        waits_ms.push(had.duration_since(begun).as_secs_f64() * 1e3);
    }
    keep(lab, HAND_OVER, quantiles(waits_ms));
    Ok(())
}

/// The usual quantiles.
pub(crate) fn quantiles(mut values_ms: Vec<f64>) -> Value {
    values_ms.sort_by(f64::total_cmp);
    let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|part| quantile(&values_ms, part));
    json!({ "n": values_ms.len(), "p50_ms": p50, "p95_ms": p95, "p99_ms": p99 })
}
