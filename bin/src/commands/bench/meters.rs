//! The costs of a measurement. They are read before and after the measurement, never while the clock runs.

use super::{Plan, workers::Workers};
use crate::{
    failure::Failure,
    output::{self, human},
};
use leasehold_bench::{Costs, Error, Meter, Reading, RedisMemoryWatch, Spent};

/// The meters of a measurement, if costs are wanted; otherwise nothing is asked.
pub(crate) struct Meters(Option<Running>);

struct Running {
    meter: Meter,
    memory: Option<RedisMemoryWatch>,
    transactions: u64,
    begun: Option<Reading>,
    spent: Spent,
    worker_memory_peak_bytes: Option<u64>,
}

impl Meters {
    /// Connects to both servers, before any other process does. Redis is left out if it is not measured.
    pub(crate) async fn open(plan: &Plan, redis_url: Option<&str>) -> Result<Self, Failure> {
        if !plan.metered {
            return Ok(Self(None));
        }
        let mut meter = Meter::open(plan.database_url()?, redis_url).await.map_err(failed)?;
        let transactions = meter.transactions().await.map_err(failed)?;
        let memory = match redis_url {
            Some(url) => Some(RedisMemoryWatch::start(url).await.map_err(failed)?),
            None => None,
        };
        let (begun, spent, worker_memory_peak_bytes) = (None, Spent::default(), None);
        Ok(Self(Some(Running { meter, memory, transactions, begun, spent, worker_memory_peak_bytes })))
    }

    /// Starts the meters.
    pub(crate) async fn begin(&mut self, workers: &[u32]) -> Result<(), Failure> {
        if let Some(running) = &mut self.0 {
            running.begun = Some(running.meter.read(workers).await.map_err(failed)?);
        }
        Ok(())
    }

    /// Stops the meters.
    pub(crate) async fn end(&mut self, workers: &[u32]) -> Result<(), Failure> {
        if let Some(running) = &mut self.0
            && let Some(begun) = running.begun.take()
        {
            running.spent += running.meter.read(workers).await.map_err(failed)?.since(&begun);
            let peak = workers.iter().filter_map(|pid| leasehold_bench::memory_peak_bytes(*pid)).max();
            running.worker_memory_peak_bytes = running.worker_memory_peak_bytes.max(peak);
        }
        Ok(())
    }

    /// The costs per job. Call this when all other processes have closed their connections.
    pub(crate) async fn costs(self, jobs: u64) -> Result<Option<Costs>, Failure> {
        let Some(mut running) = self.0 else { return Ok(None) };
        let transactions = running.meter.transactions().await.map_err(failed)?.saturating_sub(running.transactions);
        running.meter.close().await;
        let redis_memory = match running.memory {
            Some(memory) => memory.finish().await.map_err(failed)?,
            None => None,
        };
        let worker_memory_peak_bytes = running.worker_memory_peak_bytes;
        let costs = Costs::per_job(&running.spent, transactions, jobs);
        Ok(Some(Costs { redis_memory, worker_memory_peak_bytes, ..costs }))
    }
}

/// Starts to count the CPU of these workers.
pub(crate) async fn begin(meters: &mut Meters, workers: &Workers) -> Result<(), Failure> {
    meters.begin(&workers.pids()).await
}

/// Stops to count the CPU of these workers.
pub(crate) async fn end(meters: &mut Meters, workers: &Workers) -> Result<(), Failure> {
    meters.end(&workers.pids()).await
}

/// The costs, for people.
pub(crate) fn table(costs: &Costs) -> String {
    let megabytes = |bytes: u64| format!("{:.1}", bytes as f64 / 1e6);
    let mut rows = vec![
        ["transactions".to_owned(), format!("{:.4}", costs.transactions_per_job), "a job".to_owned()],
        ["write-ahead log".into(), human::grouped(costs.wal_bytes_per_job.round() as u64), "bytes a job".into()],
    ];
    // Servers that are missing, or that run on another machine, have no CPU figure.
    let mut unseen = Vec::new();
    for (whose, cost) in [
        ("CPU of PostgreSQL", costs.postgres_cpu_us_per_job),
        ("CPU of Redis", costs.redis_cpu_us_per_job),
        ("CPU of the driver", costs.driver_cpu_us_per_job),
        ("CPU of the workers", costs.workers_cpu_us_per_job),
    ] {
        match cost {
            Some(cost) => rows.push([whose.to_owned(), format!("{cost:.1}"), "ms for 1,000 jobs".to_owned()]),
            None => unseen.push(whose),
        }
    }
    if let Some(memory) = costs.redis_memory {
        let before = format!("MB at most; {} MB before", megabytes(memory.before_bytes));
        rows.push(["memory of Redis".into(), megabytes(memory.peak_bytes), before]);
    }
    if let Some(bytes) = costs.worker_memory_peak_bytes {
        rows.push(["memory of a worker".into(), megabytes(bytes), "MB at most".into()]);
    }
    let table = output::table(["cost", "figure>", ""], rows);
    let unseen = if unseen.is_empty() { String::new() } else { format!(" Not measured: {}.", unseen.join(", ")) };
    format!("{}\nTransactions include the start of the processes; all other figures do not.{unseen}", table.trim_end())
}

pub(crate) fn failed(error: Error) -> Failure {
    Failure::new(error.to_string())
}
