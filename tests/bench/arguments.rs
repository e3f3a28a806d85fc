//! What can be asked.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Measure Leasehold on private servers, beside the physical floor of the same servers
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// Where results are kept
    #[arg(long, global = true, default_value = "target/bench", value_name = "FOLDER")]
    pub(crate) out: PathBuf,
    /// How long to wait, before each run, for others to leave the machine alone; 0 also takes disturbed runs as they are
    #[arg(long, global = true, default_value_t = 30, value_name = "SECONDS")]
    pub(crate) quiet_within: u64,
    #[command(subcommand)]
    pub(crate) question: Question,
}

/// One question.
#[derive(Debug, Subcommand)]
pub(crate) enum Question {
    /// Drain, flow, a fleet of small processes and latency, beside the floor
    Short(Short),
    /// Throughput and PostgreSQL's cost of a job against the number of processes, with Redis and without
    Growth(Growth),
    /// What a claim costs PostgreSQL against the number of claimers, by id and by SKIP LOCKED, without workers around it
    Claimers(Claimers),
    /// Whether the end of a long line is drained as fast as its beginning
    Backlog(Backlog),
    /// Whether finished jobs in history slow anything down
    History(History),
    /// Whether a transaction that stays open slows anything down
    Pinned(Pinned),
    /// `leasehold each` beside `xargs`, with real processes
    Exec(Exec),
    /// What a fleet costs that has nothing to do
    Idle(Idle),
    /// What CI asks: whether throughput, latency and costs are still what they were, as ratios to the floor
    Guard(Guard),
    /// Other queues, by a script that measures them
    Peers(Peers),
    /// Put all results into a document, between its marks
    Write {
        /// The document
        document: PathBuf,
        /// Also draw plots, into this folder
        #[arg(long, value_name = "FOLDER")]
        plots: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Short {
    /// Jobs of a run; the floor does twice as many
    #[arg(long, default_value_t = 100_000)]
    pub(crate) n: u64,
    /// Jobs of a run for latency
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
    /// Numbers of processes
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16,32,64")]
    pub(crate) procs: Vec<u32>,
    /// Slots of each
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
    /// Jobs of a claim
    #[arg(long, default_value_t = 10)]
    pub(crate) batch: usize,
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
    /// How long each of the two runs goes on
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
    /// Commands at once
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
    /// A program that measures queues by the contract in docs/performance.md
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) script: Option<PathBuf>,
    #[arg(long, default_value_t = 100_000)]
    pub(crate) n: u64,
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Further arguments of the script
    #[arg(last = true)]
    pub(crate) more: Vec<String>,
}
