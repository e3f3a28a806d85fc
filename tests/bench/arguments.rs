//! Command-line arguments.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Measures Leasehold on private servers, and the physical floor of the same servers
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// Folder for the results
    #[arg(long, global = true, default_value = "target/bench", value_name = "FOLDER")]
    pub(crate) out: PathBuf,
    /// How long to wait, before each run, until no other process uses the machine; 0 also accepts disturbed runs
    #[arg(long, global = true, default_value_t = 30, value_name = "SECONDS")]
    pub(crate) quiet_within: u64,
    #[command(subcommand)]
    pub(crate) question: Question,
}

/// One question, which a set of runs answers.
#[derive(Debug, Subcommand)]
pub(crate) enum Question {
    /// Drain, flow, a fleet of small processes, and latency, compared with the floor
    Short(Short),
    /// Throughput and PostgreSQL's cost of a job by number of processes, with and without Redis
    Growth(Growth),
    /// PostgreSQL's cost of a claim by number of claimers, by id and by SKIP LOCKED, without workers
    Claimers(Claimers),
    /// Jobs with limit keys, and plain jobs beside them
    Limits(Limits),
    /// Whether the end of a long line drains as fast as its beginning
    Backlog(Backlog),
    /// Whether finished jobs in history slow anything down
    History(History),
    /// Whether a transaction that stays open slows anything down
    Pinned(Pinned),
    /// `leasehold each` compared with `xargs`, with real processes
    Exec(Exec),
    /// The cost of an idle fleet
    Idle(Idle),
    /// Whether a fleet that works for an hour stays as it is
    Soak(Soak),
    /// Throughput and latency over HTTP, and many clients at once
    Http(Http),
    /// For CI: whether throughput, latency and costs are unchanged, as ratios to the floor
    Guard(Guard),
    /// Other queues, measured by a given script
    Peers(Peers),
    /// Write all results into a document, between its marks
    Write {
        /// The document
        document: PathBuf,
        /// Also draw plots into this folder
        #[arg(long, value_name = "FOLDER")]
        plots: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Short {
    /// Jobs of a run; the floor runs twice as many
    #[arg(long, default_value_t = 100_000)]
    pub(crate) n: u64,
    /// Jobs of a latency run
    #[arg(long, default_value_t = 300)]
    pub(crate) latency_n: u64,
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Growth {
    /// Jobs of a run
    #[arg(long, default_value_t = 40_000)]
    pub(crate) n: u64,
    /// Numbers of worker processes
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16,32,64")]
    pub(crate) procs: Vec<u32>,
    /// Slots of each process
    #[arg(long, default_value_t = 4)]
    pub(crate) conc: u32,
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Claimers {
    /// Jobs of a run
    #[arg(long, default_value_t = 40_000)]
    pub(crate) n: u64,
    /// Numbers of claimers
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16,32,64")]
    pub(crate) claimers: Vec<u32>,
    /// Jobs of one claim
    #[arg(long, default_value_t = 10)]
    pub(crate) batch: usize,
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Limits {
    /// Jobs with limit keys of a run
    #[arg(long, default_value_t = 40_000)]
    pub(crate) n: usize,
    /// Plain jobs of a run
    #[arg(long, default_value_t = 400_000)]
    pub(crate) plain: usize,
    /// Claimers of jobs with limit keys
    #[arg(long, default_value_t = 64)]
    pub(crate) claimers: u32,
    /// The longest time of a run
    #[arg(long, default_value_t = 15)]
    pub(crate) seconds: u64,
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Backlog {
    /// Jobs in the line
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) n: u64,
    #[arg(long, default_value_t = 1)]
    pub(crate) rounds: usize,
}

#[derive(Debug, Args)]
pub(crate) struct History {
    /// Finished jobs in history
    #[arg(long, default_value_t = 10_000_000)]
    pub(crate) finished: u64,
    /// Jobs of a run
    #[arg(long, default_value_t = 100_000)]
    pub(crate) n: u64,
    /// Runs before history is filled, and runs after
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Pinned {
    /// Duration of each of the two runs
    #[arg(long, default_value_t = 600)]
    pub(crate) seconds: u64,
    #[arg(long, default_value_t = 1)]
    pub(crate) rounds: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// Lines of input
    #[arg(long, default_value_t = 20_000)]
    pub(crate) n: u64,
    /// Number of concurrent commands
    #[arg(long, default_value_t = 4)]
    pub(crate) parallel: u32,
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Idle {
    /// Worker processes
    #[arg(long, default_value_t = 16)]
    pub(crate) procs: u32,
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Soak {
    /// The time, in minutes
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(4..=10_080))]
    pub(crate) minutes: u64,
    /// Jobs per second
    #[arg(long, default_value_t = 200)]
    pub(crate) rate: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Http {
    /// Jobs of a throughput run
    #[arg(long, default_value_t = 40_000)]
    pub(crate) n: usize,
    /// Jobs of one request, up to 500
    #[arg(long, default_value_t = 100)]
    pub(crate) batch: usize,
    /// Jobs of a latency run
    #[arg(long, default_value_t = 300)]
    pub(crate) latency_n: u64,
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Clients that wait for jobs, in the run with many clients
    #[arg(long, default_value_t = 2_000)]
    pub(crate) waiting: usize,
    /// Clients that enqueue a job each second
    #[arg(long, default_value_t = 500)]
    pub(crate) enqueuing: usize,
    /// How long they enqueue
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Guard {
    /// Jobs of a run
    #[arg(long, default_value_t = 8_000)]
    pub(crate) n: u64,
    #[arg(long, default_value_t = 100)]
    pub(crate) latency_n: u64,
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Peers {
    /// A program that measures queues as docs/performance.md specifies
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) script: Option<PathBuf>,
    #[arg(long, default_value_t = 100_000)]
    pub(crate) n: u64,
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// More arguments for the script
    #[arg(last = true)]
    pub(crate) more: Vec<String>,
}
