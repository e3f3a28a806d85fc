//! One run: a load that rises and falls, the models of KEDA and of the autoscaler on a clock that runs faster, and real workers on the
//! real signal.

use crate::{
    fleet::{Fleet, QUEUE, SLOTS},
    hpa::{self, Hpa, Policy, Rules, Seconds, Select, Unit},
    keda::{self, ScaledObject},
};
use anyhow::{Context as _, Result, ensure};
use leasehold_tests::{
    Stores,
    keda::{Keda, Reference, trigger},
};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection, Row as _};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    time::sleep,
};

/// The time between two looks at the clock, of the wall.
const STEP: Duration = Duration::from_millis(50);
/// The autoscaler looks every 15 s, as in Kubernetes.
const ROUND: Seconds = 15.0;

/// What is run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How many seconds of the models one second of the wall is.
    pub(crate) speed: f64,
    /// The wall seconds of one job.
    pub(crate) job: f64,
    /// Until when, in seconds of the models, how many jobs come per wall second.
    pub(crate) load: Vec<(Seconds, f64)>,
    pub(crate) polling: Seconds,
    pub(crate) object: ScaledObject,
    pub(crate) hpa: Hpa,
    /// The run fails if it takes longer.
    pub(crate) within: Duration,
}

/// What was seen at one moment, on the clock of the models.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Seconds,
    pub(crate) demand: f64,
    pub(crate) replicas: u32,
    /// For how many wall seconds the oldest waiting job has been due.
    pub(crate) oldest: f64,
}

/// The result of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) samples: Vec<Sample>,
    pub(crate) jobs: u64,
    pub(crate) succeeded: i64,
    /// Attempts after the first one of a job, and crashes.
    pub(crate) burned: i64,
    pub(crate) crashes: i64,
    /// From the commit of the first job to the start of the first worker, on the wall.
    pub(crate) first_worker: Duration,
    pub(crate) last_replicas: u32,
}

impl Outcome {
    /// How many workers were started in all. If this is more than the highest number that ran at the same time, some were stopped
    /// too early.
    pub(crate) fn starts(&self) -> u32 {
        self.samples.windows(2).map(|two| two[1].replicas.saturating_sub(two[0].replicas)).sum()
    }

    pub(crate) fn most_replicas(&self) -> u32 {
        self.samples.iter().map(|sample| sample.replicas).max().unwrap_or(0)
    }
}

/// The rules of the manifests in `k8s/overlays/keda`, with other windows for a short run.
pub(crate) fn rules(window: Seconds, down: u32, period: Seconds) -> (Rules, Rules) {
    let policy = |unit, value, period| Policy { unit, value, period };
    let up = vec![policy(Unit::Percent, 100, 15.0), policy(Unit::Pods, 4, 15.0)];
    let up = Rules { window: 0.0, policies: up, select: Select::Max };
    (up, Rules { window, policies: vec![policy(Unit::Percent, down, period)], select: Select::Max })
}

/// The autoscaler of a pool whose workers have [`SLOTS`] slots.
pub(crate) fn autoscaler(max: u32, (up, down): (Rules, Rules)) -> Hpa {
    Hpa { min: 1, max, target: f64::from(SLOTS) * 0.9, tolerance: 0.1, up, down }
}

fn of_queue() -> Reference {
    trigger(&[("queue", QUEUE), ("slotsPerReplica", &SLOTS.to_string())])
}

/// Runs the plan with this program, on separate stores.
pub(crate) async fn run(program: &Path, plan: &Plan) -> Result<Outcome> {
    let stores = Stores::start().await;
    let mut fleet = Fleet::start(program, &stores, plan.job)?;
    let client = connect(&mut fleet).await?;
    let mut database = stores.database.connect().await;
    let mut told = listen(client.clone());
    let mut outcome = Outcome::default();
    let (mut hpa, mut keda) = (hpa::Memory::default(), keda::Memory::default());
    let (mut next_round, mut next_poll, mut owed) = (ROUND, 0.0, 0.0);
    let (mut first_job, mut replicas) = (None, 0);
    let load_ends = plan.load.last().map_or(0.0, |(until, _)| *until);
    let begun = Instant::now();
    let mut last = begun;
    loop {
        sleep(STEP).await;
        ensure!(
            begun.elapsed() < plan.within,
            "the run is not over after {:?}: {:?}",
            plan.within,
            outcome.samples.last()
        );
        let now = begun.elapsed().as_secs_f64() * plan.speed;
        let rate = plan.load.iter().find(|(until, _)| now < *until).map_or(0.0, |(_, rate)| *rate);
        owed += rate * last.elapsed().as_secs_f64();
        last = Instant::now();
        if owed >= 1.0 {
            enqueue(&mut database, owed as i32).await?;
            outcome.jobs += owed as u64;
            owed = owed.fract();
            first_job.get_or_insert_with(Instant::now);
        }
        // KEDA hears of the first job over the stream, and looks by itself too.
        while let Ok(active) = told.try_recv() {
            replicas = plan.object.look(&mut keda, now, replicas, Some(active));
        }
        if now >= next_poll {
            next_poll = now + plan.polling;
            let active = client.is_active(of_queue()).await.ok();
            replicas = plan.object.look(&mut keda, now, replicas, active);
        }
        if now >= next_round {
            next_round = now + ROUND;
            let metric = client.demand(of_queue()).await.ok();
            replicas = plan.hpa.round(&mut hpa, now, replicas, metric);
        }
        if replicas > 0 && outcome.first_worker.is_zero() {
            outcome.first_worker = first_job.map_or(Duration::ZERO, |at: Instant| at.elapsed());
        }
        fleet.scale_to(replicas)?;
        fleet.check()?;
        let scale = scale(&fleet.http).await?;
        let number = |name: &str| scale[name].as_f64().unwrap_or(0.0);
        outcome.samples.push(Sample { at: now, demand: number("demand"), replicas, oldest: number("oldest_s") });
        let is_over = now > load_ends && number("demand") + number("draining") == 0.0;
        if is_over && replicas == plan.object.min && !fleet.drains() {
            break;
        }
    }
    outcome.last_replicas = fleet.replicas();
    let counts = "SELECT count(*) FILTER (WHERE state = 'succeeded') AS succeeded, sum(attempt - 1)::bigint AS burned,
                         sum(crashes)::bigint AS crashes FROM leasehold.jobs";
    let row = sqlx::query(counts).fetch_one(&mut database).await?;
    (outcome.succeeded, outcome.burned, outcome.crashes) =
        (row.try_get("succeeded")?, row.try_get("burned")?, row.try_get("crashes")?);
    database.close().await?;
    Ok(outcome)
}

/// Waits until the scaler answers.
async fn connect(fleet: &mut Fleet) -> Result<Keda> {
    for _ in 0..600 {
        fleet.check()?;
        if TcpStream::connect(&fleet.keda).await.is_ok() && TcpStream::connect(&fleet.http).await.is_ok() {
            return Ok(Keda::connect(&fleet.keda).await);
        }
        sleep(STEP).await;
    }
    anyhow::bail!("the scaler does not listen")
}

/// The messages of `StreamIsActive`, as KEDA hears them.
fn listen(client: Keda) -> mpsc::UnboundedReceiver<bool> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while !sender.is_closed() {
            if let Ok(mut stream) = client.stream(of_queue()).await {
                while let Ok(Some(message)) = stream.message().await {
                    let _ = sender.send(message.result);
                }
            }
            sleep(STEP).await;
        }
    });
    receiver
}

async fn enqueue(database: &mut PgConnection, count: i32) -> Result<()> {
    let statement = "SELECT leasehold.enqueue('k', '{}', queue => $1) FROM generate_series(1, $2)";
    sqlx::query(statement).bind(QUEUE).bind(count).execute(database).await.context("enqueueing")?;
    Ok(())
}

/// The answer of `GET /v1/queues/{queue}/scale`.
async fn scale(address: &str) -> Result<Value> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /v1/queues/{QUEUE}/scale HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (_, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no answer: {answer:?}"))?;
    serde_json::from_str(body).with_context(|| body.to_owned())
}
