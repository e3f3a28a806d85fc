//! `leasehold bench`: measures with the real client, real worker processes, real paths, and default durability.
//!
//! The driver enqueues and keeps the clock. Each worker process is this program again, with the hidden flag `--member`.

mod driver;
mod enqueues;
mod figures;
mod floor;
mod member;
mod meters;
mod pace;
mod workers;

use crate::{context::Context, failure::Failure, numbers, output};
use figures::Line;
use leasehold::{Config, Kind, QueueName};
use serde::Serialize;
use std::{
    io::{IsTerminal as _, stderr},
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The queue that is measured.
const QUEUE: &str = "bench";
/// The kind of the jobs, which do nothing.
const KIND: &str = "noop";
/// No server listens at this address. So Redis is unavailable for the workers.
const NO_REDIS: &str = "redis://127.0.0.1:1/";

/// Measure throughput or latency on an empty database and an empty Redis
///
/// Connects to PG_URL and REDIS_URL, or else to the servers of the settings. MODE, N, PROCS, CONC and GAP_MS are used
/// for flags that are not given. Prints one JSON line. On a terminal, or with --costs, prints a table to standard
/// error: transactions, write-ahead log and CPU for each job, and memory.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold bench --mode drain --n 100000 --costs
  leasehold bench --mode drain --n 100000 --procs 32 --conc 4
  leasehold bench --mode flow --seconds 60
  leasehold bench --mode latency --n 300 --gap-ms 15
  leasehold bench --mode floor --n 200000")]
pub(crate) struct Args {
    /// What to measure
    #[arg(long, env = "MODE", default_value = "drain")]
    mode: Mode,
    /// The number of jobs
    #[arg(long, env = "N", default_value_t = 20_000, value_parser = numbers::within::<u64>(1..=100_000_000))]
    n: u64,
    /// For flow: run for this long instead of for N jobs, with at most 10,000 jobs waiting; the JSON line shows the rates of
    /// ten parts of this time
    #[arg(long, value_parser = numbers::within::<u64>(1..=86_400))]
    seconds: Option<u64>,
    /// The number of worker processes
    #[arg(long, env = "PROCS", default_value_t = 2, value_parser = numbers::within::<u32>(1..=1000))]
    procs: u32,
    /// The number of slots of each worker process
    #[arg(long, env = "CONC", default_value_t = 50, value_parser = numbers::within::<u32>(1..=10_000))]
    conc: u32,
    /// For latency and floor: the time in ms between the end of one enqueue and the next enqueue
    #[arg(long, env = "GAP_MS", default_value_t = 15, value_parser = numbers::within::<u64>(0..=3_600_000))]
    gap_ms: u64,
    /// Give the workers no Redis: they claim from the line in PostgreSQL, as they do while Redis is unavailable
    #[arg(long)]
    without_redis: bool,
    /// Give the jobs of drain and flow this number of fair keys, in turns; 0: none
    #[arg(long, default_value_t = 0, value_parser = numbers::within::<u64>(0..=1_000_000))]
    fair_keys: u64,
    /// Add the costs to the JSON line, and always print their table to standard error
    #[arg(long)]
    costs: bool,
    /// Be a worker process of a driver
    #[arg(long, hide = true)]
    member: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// How fast the workers empty a full queue
    Drain,
    /// How fast jobs run while other jobs are enqueued
    Flow,
    /// The time from the enqueue call to the handler, one job at a time
    Latency,
    /// No queue: the least work that a queue must do in this PostgreSQL, by drain, flow and latency
    Floor,
}

/// One measurement.
pub(crate) struct Plan {
    mode: Mode,
    jobs: u64,
    time: Option<Duration>,
    procs: u32,
    slots: u32,
    gap: Duration,
    /// The number of fair keys of the jobs.
    fair_keys: u64,
    /// Whether costs are measured.
    metered: bool,
    config: Config,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let mut config = context.config.clone();
    for (variable, url) in [("PG_URL", &mut config.database.url), ("REDIS_URL", &mut config.redis.url)] {
        if let Ok(value) = std::env::var(variable) {
            *url = Some(value.into());
        }
    }
    if args.without_redis {
        config.redis.url = Some(NO_REDIS.into());
    }
    if args.seconds.is_some() && args.mode != Mode::Flow {
        return Err(Failure::usage("--seconds works only with --mode flow; the other modes measure N jobs"));
    }
    let plan = Plan {
        mode: args.mode,
        jobs: args.n,
        time: args.seconds.map(Duration::from_secs),
        procs: args.procs,
        slots: args.conc,
        gap: Duration::from_millis(args.gap_ms),
        fair_keys: args.fair_keys,
        metered: args.costs || stderr().is_terminal(),
        config,
    };
    if args.member {
        member::work(&plan, context).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let (figures, costs) = match plan.mode {
        Mode::Floor => floor::measure(&plan).await?,
        _ => driver::measure(&plan, context).await?,
    };
    let line = Line::new(&plan, figures, costs.filter(|_| args.costs));
    output::json_lines(&[line])?;
    if let Some(costs) = costs {
        output::note(&meters::table(&costs));
    }
    Ok(ExitCode::SUCCESS)
}

impl Plan {
    fn database_url(&self) -> Result<&str, Failure> {
        url(self.config.database.url.as_ref())
    }

    fn redis_url(&self) -> Result<&str, Failure> {
        url(self.config.redis.url.as_ref())
    }
}

fn url(url: Option<&secrecy::SecretString>) -> Result<&str, Failure> {
    use secrecy::ExposeSecret as _;
    let missing = || Failure::usage("bench needs PG_URL and REDIS_URL, or database.url and redis.url");
    Ok(url.ok_or_else(missing)?.expose_secret())
}

fn queue() -> Result<QueueName, Failure> {
    QUEUE.parse().map_err(|error| Failure::new(format!("{QUEUE} {error}")))
}

fn kind() -> Result<Kind, Failure> {
    KIND.parse().map_err(|error| Failure::new(format!("{KIND} {error}")))
}

/// The wall clock in ms, which is the same in all processes of one machine.
fn wall_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1e3
}
