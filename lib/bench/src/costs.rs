//! The cost of a job: the resources that were used during a measurement, divided by the number of jobs.

use crate::memory::RedisMemory;
use serde::{Deserialize, Serialize};
use std::ops::AddAssign;

/// The resources that were used between two readings. `None`: this CPU time cannot be seen from here.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// Bytes of write-ahead log.
    pub wal_bytes: u64,
    /// CPU seconds of PostgreSQL, all its processes.
    pub postgres_cpu_s: Option<f64>,
    /// CPU seconds of Redis.
    pub redis_cpu_s: Option<f64>,
    /// CPU seconds of the process that enqueues and measures.
    pub driver_cpu_s: Option<f64>,
    /// CPU seconds of the worker processes.
    pub workers_cpu_s: Option<f64>,
}

impl AddAssign for Spent {
    fn add_assign(&mut self, more: Self) {
        self.wal_bytes += more.wal_bytes;
        for (sum, more) in [
            (&mut self.postgres_cpu_s, more.postgres_cpu_s),
            (&mut self.redis_cpu_s, more.redis_cpu_s),
            (&mut self.driver_cpu_s, more.driver_cpu_s),
            (&mut self.workers_cpu_s, more.workers_cpu_s),
        ] {
            *sum = match (*sum, more) {
                (Some(sum), Some(more)) => Some(sum + more),
                (one, other) => one.or(other),
            };
        }
    }
}

/// The cost of a job. CPU in µs for each job, which equals ms for each thousand jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Transactions of PostgreSQL, including the transactions of connections, reapers and meters.
    pub transactions_per_job: f64,
    /// Bytes of write-ahead log.
    pub wal_bytes_per_job: f64,
    /// CPU of all processes of PostgreSQL; `None` when it runs on another machine.
    pub postgres_cpu_us_per_job: Option<f64>,
    /// CPU of Redis, on any machine.
    pub redis_cpu_us_per_job: Option<f64>,
    /// CPU of the process that enqueues.
    pub driver_cpu_us_per_job: Option<f64>,
    /// CPU of the worker processes.
    pub workers_cpu_us_per_job: Option<f64>,
    /// Memory of Redis before the measurement, and its peak.
    pub redis_memory: Option<RedisMemory>,
    /// The peak memory of any worker process, in bytes.
    pub worker_memory_peak_bytes: Option<u64>,
}

impl Costs {
    /// Divides the used resources by the number of jobs. Memory is not divided.
    #[must_use]
    pub fn per_job(spent: &Spent, transactions: u64, jobs: u64) -> Self {
        let jobs = jobs.max(1) as f64;
        let us = |seconds: Option<f64>| seconds.map(|seconds| seconds * 1e6 / jobs);
        Self {
            transactions_per_job: transactions as f64 / jobs,
            wal_bytes_per_job: spent.wal_bytes as f64 / jobs,
            postgres_cpu_us_per_job: us(spent.postgres_cpu_s),
            redis_cpu_us_per_job: us(spent.redis_cpu_s),
            driver_cpu_us_per_job: us(spent.driver_cpu_s),
            workers_cpu_us_per_job: us(spent.workers_cpu_s),
            redis_memory: None,
            worker_memory_peak_bytes: None,
        }
    }

    /// CPU of both servers in µs for each job; `None` when one of them cannot be seen.
    #[must_use]
    pub fn servers_cpu_us_per_job(&self) -> Option<f64> {
        Some(self.postgres_cpu_us_per_job? + self.redis_cpu_us_per_job?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_add_up_and_are_divided_by_the_jobs() {
        let enqueue = Spent {
            wal_bytes: 600_000,
            postgres_cpu_s: Some(0.02),
            redis_cpu_s: Some(0.01),
            driver_cpu_s: Some(0.03),
            workers_cpu_s: None,
        };
        let drain = Spent { wal_bytes: 400_000, workers_cpu_s: Some(0.04), ..enqueue };
        let mut spent = Spent::default();
        spent += enqueue;
        spent += drain;
        let costs = Costs::per_job(&spent, 30, 1000);
        assert_eq!((costs.transactions_per_job, costs.wal_bytes_per_job), (0.03, 1000.0));
        let cpu = [
            costs.postgres_cpu_us_per_job,
            costs.redis_cpu_us_per_job,
            costs.driver_cpu_us_per_job,
            costs.workers_cpu_us_per_job,
        ];
        assert_eq!(cpu.map(|cost| cost.map(f64::round)), [40.0, 20.0, 60.0, 40.0].map(Some));
        assert_eq!(costs.servers_cpu_us_per_job().map(f64::round), Some(60.0));
    }

    #[test]
    fn an_unknown_cost_is_not_zero() {
        let costs = Costs::per_job(&Spent::default(), 0, 0);
        assert_eq!((costs.postgres_cpu_us_per_job, costs.servers_cpu_us_per_job()), (None, None));
        assert_eq!(costs.wal_bytes_per_job, 0.0);
    }
}
