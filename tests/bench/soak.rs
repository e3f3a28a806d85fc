//! Whether a fleet that works for an hour stays as it is: memory, descriptors, dead rows, sizes, delays.
//!
//! The load is light and mixed, as of an ordinary service: jobs that start now, scheduled jobs, and commands that fail at their
//! first attempt. Each minute is one run of the results. The table compares the first quarter of the time with the last one.

use crate::{
    arguments::{Arguments, Soak},
    lab::Lab,
    results::{Results, Run},
};
use anyhow::{Context as _, Result, ensure};
use leasehold::{Client, Config, NewJob};
use leasehold_bench::memory_now_bytes;
use leasehold_tests::{Probe, eventually};
use serde_json::{Map, Value, json, value::RawValue};
use sqlx::PgConnection;
use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::{
    process::{Child, Command},
    time::{MissedTickBehavior, interval},
};

pub(crate) const FIRST: &str = "first quarter";
pub(crate) const BETWEEN: &str = "between";
pub(crate) const LAST: &str = "last quarter";

/// Jobs are enqueued so often, so that the load is even.
const BATCHES_PER_SECOND: u64 = 10;
/// One job of this many is scheduled, and one is a command.
const ONE_OF: u64 = 20;
const SCHEDULED_FOR: Duration = Duration::from_secs(5);
const JOB_MS: u64 = 5;
const COMMANDS: &str = "commands";
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// The fleet is measured after this time: caches are full, and each statement is prepared.
const WARM_UP: Duration = Duration::from_secs(30);

/// The figures of the database. `$1` is the length of the last stretch of time, in seconds.
const FIGURES: &str = "SELECT json_build_object(
    'jobs_per_s', count(*) / $1::float8,
    'start_p50_ms', 1000 * percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM h.started_at - h.run_at)::float8),
    'start_p99_ms', 1000 * percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM h.started_at - h.run_at)::float8),
    'dead_rows', (SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = 'leasehold.job'::regclass),
    'vacuums', (SELECT autovacuum_count FROM pg_stat_user_tables WHERE relid = 'leasehold.job'::regclass),
    'job_bytes', pg_total_relation_size('leasehold.job'),
    'history_bytes', (SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'leasehold.history'::regclass),
    'history_rows', (SELECT count(*) FROM leasehold.history),
    'other_bytes', (SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c
                    WHERE c.relnamespace = 'leasehold'::regnamespace AND c.relkind = 'r' AND c.oid <> 'leasehold.job'::regclass
                      AND NOT c.relispartition),
    'connections', (SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'leasehold%'))::text
  FROM leasehold.history h
  WHERE h.finished_at > clock_timestamp() - $1::float8 * interval '1 second'";

/// The processes of the fleet, by the name in the figures.
struct Fleet(Vec<(&'static str, Child)>);

impl Fleet {
    async fn start(lab: &Lab) -> Result<Self> {
        let folder = lab.servers.folder();
        let log = |name: &str| -> Result<Stdio> { Ok(fs::File::create(folder.join(format!("{name}.log")))?.into()) };
        let mut fleet = Self(Vec::new());
        let mut start = |name: &'static str, mut command: Command, arguments: &[&str]| -> Result<()> {
            command.args(arguments).stdout(Stdio::null()).stderr(log(name)?);
            fleet.0.push((name, command.spawn().with_context(|| format!("starting {name}"))?));
            Ok(())
        };
        start("reaper", lab.leasehold(), &["reaper"])?;
        start("api", lab.leasehold(), &["api", "--listen", "127.0.0.1:0"])?;
        start("rust_worker", lab.program_beside("probe_worker")?, &["bench", "50"])?;
        // A command that fails at its first attempt.
        let flaky = r#"*=test "$LEASEHOLD_ATTEMPT" -gt 1"#;
        let queue = format!("{COMMANDS}=4");
        start(
            "command_worker",
            lab.leasehold(),
            &["worker", "--queue", &queue, "--exec", flaky, "--retry", "*=fixed:1s"],
        )?;
        Ok(fleet)
    }

    /// Memory and open descriptors of each process. Fails if a process has ended.
    fn figures(&self) -> Result<Map<String, Value>> {
        let mut figures = Map::new();
        for (name, child) in &self.0 {
            let pid = child.id().with_context(|| format!("{name} has ended"))?;
            let memory = memory_now_bytes(pid).with_context(|| format!("{name} has ended"))?;
            let descriptors =
                fs::read_dir(format!("/proc/{pid}/fd")).with_context(|| format!("{name} has ended"))?.count();
            figures.insert(format!("{name}_bytes"), json!(memory));
            figures.insert(format!("{name}_descriptors"), json!(descriptors));
        }
        Ok(figures)
    }
}

pub(crate) async fn measure(arguments: &Arguments, size: &Soak) -> Result<Results> {
    let mut lab = Lab::open("soak", arguments).await?;
    lab.servers.fresh().await?;
    let migrated = lab.leasehold().args(["migrate", "up"]).stdout(Stdio::null()).status().await;
    ensure!(migrated.context("making the schema")?.success(), "leasehold migrate failed");
    let fleet = Fleet::start(&lab).await?;
    let client = Client::connect(&Config::new(&lab.servers.database_url(), &lab.servers.redis_url())).await?;
    let load =
        Load { client, log: lab.servers.folder().join("probes.log"), each: (size.rate / BATCHES_PER_SECOND).max(1) };
    let mut postgres = lab.servers.connect().await?;

    let (load, minutes) = (load.run(), size.minutes);
    let observed = async {
        tokio::time::sleep(WARM_UP).await;
        let mut runs = Vec::new();
        for minute in 0..minutes {
            let begun = Instant::now();
            tokio::time::sleep(Duration::from_secs(60)).await;
            let setting = match minute * 4 / minutes {
                0 => FIRST,
                3.. => LAST,
                _ => BETWEEN,
            };
            let mut line = fleet.figures()?;
            line.extend(figures(&mut postgres, begun.elapsed()).await?);
            line.insert("redis_bytes".to_owned(), json!(lab.servers.redis_memory().await?));
            eprintln!("minute {}: {}", minute + 1, Value::Object(line.clone()));
            runs.push(Run::of("leasehold", setting, Value::Object(line), 0.0, false));
        }
        Ok::<_, anyhow::Error>(runs)
    };
    let enqueued = tokio::select! {
        runs = observed => { lab.results.runs = runs?; true }
        failed = load => { failed?; false }
    };
    ensure!(enqueued, "the load ended before the time was over");
    until_nothing_waits(&mut postgres).await;
    Ok(lab.results)
}

/// The jobs of a running soak.
struct Load {
    client: Client,
    log: std::path::PathBuf,
    /// The jobs of one batch.
    each: u64,
}

impl Load {
    /// Enqueues until it is dropped, or a call fails.
    async fn run(self) -> Result<()> {
        let mut ticks = interval(Duration::from_millis(1_000 / BATCHES_PER_SECOND));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut nth = 0;
        loop {
            ticks.tick().await;
            let jobs: Vec<NewJob> = (nth..nth + self.each).map(|nth| self.job(nth)).collect::<Result<_>>()?;
            self.client.enqueue_many(&jobs).await?;
            nth += self.each;
        }
    }

    fn job(&self, nth: u64) -> Result<NewJob> {
        if nth.is_multiple_of(ONE_OF) {
            let mut job = NewJob::new("flaky".parse()?, RawValue::from_string("null".to_owned())?);
            job.queue = COMMANDS.parse()?;
            return Ok(job);
        }
        let probe = Probe { log: self.log.clone(), ms: JOB_MS, is_poison: false };
        let job = self.client.enqueue(probe).queue("bench");
        Ok(if nth % ONE_OF == 1 { job.delay(SCHEDULED_FOR) } else { job }.build()?)
    }
}

async fn figures(postgres: &mut PgConnection, last: Duration) -> Result<Map<String, Value>> {
    let text: String = sqlx::query_scalar(FIGURES).bind(last.as_secs_f64()).fetch_one(postgres).await?;
    Ok(serde_json::from_str(&text)?)
}

/// Everything that was enqueued ends: a soak in which jobs are left over is no success.
async fn until_nothing_waits(postgres: &mut PgConnection) {
    eventually("all jobs have ended", START_TIMEOUT, async || {
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM leasehold.job")
            .fetch_one(&mut *postgres)
            .await
            .map_err(|error| error.to_string())?;
        if left == 0 { Ok(()) } else { Err(format!("{left} jobs")) }
    })
    .await;
}
