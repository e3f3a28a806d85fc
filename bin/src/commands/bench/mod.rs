//! `leasehold bench`: the real client, real worker processes, real paths, default durability.
//!
//! The driver enqueues and keeps the clock; each worker process is this program again, with the hidden `--member`.

mod driver;
mod member;
mod workers;

use crate::{context::Context, failure::Failure, output};
use leasehold::{Config, Kind, QueueName};
use serde::Serialize;
use std::{
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The queue that is measured.
const QUEUE: &str = "bench";
/// The kind of its jobs, which do nothing.
const KIND: &str = "noop";

/// Measure throughput or latency on an empty database and an empty Redis
///
/// Takes the stores from PG_URL and REDIS_URL, or else from the settings; MODE, N, PROCS, CONC and GAP_MS stand for
/// flags that are not given. Prints one JSON line.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  leasehold bench --mode drain --n 100000
  leasehold bench --mode flow --procs 4 --conc 25
  leasehold bench --mode latency --n 300 --gap-ms 15")]
pub(crate) struct Args {
    /// drain: empty a full queue; flow: enqueue and work at once; latency: one job at a time
    #[arg(long, env = "MODE", default_value = "drain")]
    mode: Mode,
    /// How many jobs
    #[arg(long, env = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    n: u64,
    /// Worker processes
    #[arg(long, env = "PROCS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000))]
    procs: u32,
    /// Slots of each worker process
    #[arg(long, env = "CONC", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    conc: u32,
    /// In latency: ms between the end of one enqueue and the next
    #[arg(long, env = "GAP_MS", default_value_t = 15)]
    gap_ms: u64,
    /// Be a worker process of a driver
    #[arg(long, hide = true)]
    member: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// How fast a full queue is emptied.
    Drain,
    /// How fast jobs go through while they are enqueued.
    Flow,
    /// How long from the enqueue call to the handler.
    Latency,
}

/// One measurement.
pub(crate) struct Plan {
    mode: Mode,
    jobs: u64,
    procs: u32,
    slots: u32,
    gap: Duration,
    config: Config,
}

/// The line that is printed.
#[derive(Debug, Serialize)]
struct Line {
    peer: &'static str,
    version: &'static str,
    mode: Mode,
    n: u64,
    procs: u32,
    conc: u32,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Figures {
    Drain { enqueue_per_s: f64, drain_per_s: f64, before_ready: u64 },
    Flow { flow_per_s: f64 },
    Latency { seen: usize, p50_ms: f64, p95_ms: f64, p99_ms: f64 },
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let mut config = context.config.clone();
    for (variable, url) in [("PG_URL", &mut config.database.url), ("REDIS_URL", &mut config.redis.url)] {
        if let Ok(value) = std::env::var(variable) {
            *url = Some(value.into());
        }
    }
    let plan = Plan {
        mode: args.mode,
        jobs: args.n,
        procs: args.procs,
        slots: args.conc,
        gap: Duration::from_millis(args.gap_ms),
        config,
    };
    if args.member {
        member::work(&plan, context).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let figures = driver::measure(&plan, context).await?;
    let line = Line {
        peer: "leasehold",
        version: env!("CARGO_PKG_VERSION"),
        mode: plan.mode,
        n: plan.jobs,
        procs: plan.procs,
        conc: plan.slots,
        figures,
    };
    output::json_lines(&[line])?;
    Ok(ExitCode::SUCCESS)
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
