//! The machine of a measurement, and other processes that use it.

use crate::servers::Servers;
use anyhow::Result;
use leasehold_bench::{machine_busy_s, reaped_cpu_s, tree_cpu_s};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    thread::available_parallelism,
    time::{Duration, Instant},
};

/// A run is disturbed if other processes used more than this part of the machine, and more than this many CPU seconds:
/// the kernel's own disk writes count as other processes.
const OTHERS_MAX: f64 = 0.12;
const OTHERS_MAX_S: f64 = 1.0;
const SAMPLE_INTERVAL: Duration = Duration::from_millis(500);

/// The machine of a measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpus: usize,
    pub(crate) cpu: String,
    pub(crate) memory_gb: f64,
    pub(crate) system: String,
    pub(crate) postgres: String,
    pub(crate) redis: String,
    pub(crate) leasehold: String,
    /// `release` or `debug`.
    pub(crate) profile: String,
    /// The median time of a small durable write.
    pub(crate) sync_ms: f64,
    pub(crate) measured_on: String,
}

impl Machine {
    pub(crate) async fn look(servers: &Servers) -> Result<Self> {
        let [postgres, redis] = servers.versions().await?;
        let of = |file: &str, key: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let found = text.lines().filter_map(|line| line.split_once([':', '=']));
            let mut found = found.filter(|(name, _)| name.trim() == key);
            found.next().map(|(_, value)| value.trim().trim_matches('"').to_owned()).unwrap_or_default()
        };
        let memory_kb: f64 = of("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0.0);
        Ok(Self {
            cpus: available_parallelism()?.get(),
            cpu: of("/proc/cpuinfo", "model name"),
            memory_gb: memory_kb / 1e6,
            system: of("/etc/os-release", "PRETTY_NAME"),
            postgres,
            redis,
            leasehold: env!("CARGO_PKG_VERSION").to_owned(),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
            sync_ms: sync_ms(servers.folder())?,
            measured_on: chrono::Utc::now().format("%Y-%m-%d").to_string(),
        })
    }
}

/// The median time of small durable writes, next to the databases.
fn sync_ms(folder: &Path) -> Result<f64> {
    let mut file = File::create(folder.join("sync"))?;
    let mut times = Vec::new();
    for _ in 0..51 {
        let begun = Instant::now();
        file.write_all(&[0; 8192])?;
        file.sync_data()?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// Measures how much of the machine other processes use during a run. Start it before the run, and end it after the
/// run's processes have ended.
pub(crate) struct Watch {
    begun: Instant,
    machine_s: Option<f64>,
    own_cpu_s: f64,
}

/// What other processes did during a run.
pub(crate) struct Others {
    /// Their share of the machine.
    pub(crate) share: f64,
    /// Whether this share is too large.
    pub(crate) disturbed: bool,
}

impl Watch {
    pub(crate) fn begin(servers: &Servers) -> Self {
        Self { begun: Instant::now(), machine_s: machine_busy_s(), own_cpu_s: own_cpu_s(servers) }
    }

    pub(crate) fn end(self, servers: &Servers) -> Others {
        let capacity_s = self.begun.elapsed().as_secs_f64() * cpus();
        let busy_s = machine_busy_s().zip(self.machine_s).map_or(0.0, |(now, before)| now - before);
        let others_s = (busy_s - (own_cpu_s(servers) - self.own_cpu_s)).max(0.0);
        let share = others_s / capacity_s;
        Others { share, disturbed: share > OTHERS_MAX && others_s > OTHERS_MAX_S }
    }
}

/// Waits until other processes leave the machine idle, or until the time is over.
pub(crate) async fn until_quiet(within: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < within {
        let (busy_s, from) = (machine_busy_s(), Instant::now());
        tokio::time::sleep(SAMPLE_INTERVAL).await;
        let Some((now, before)) = machine_busy_s().zip(busy_s) else { return };
        if (now - before) / (from.elapsed().as_secs_f64() * cpus()) < OTHERS_MAX {
            return;
        }
    }
}

/// CPU seconds of the servers, of this process, and of its ended children.
fn own_cpu_s(servers: &Servers) -> f64 {
    let servers: f64 = servers.pids().into_iter().filter_map(tree_cpu_s).sum();
    servers + leasehold_bench::cpu_s(std::process::id()).unwrap_or(0.0) + reaped_cpu_s().unwrap_or(0.0)
}

fn cpus() -> f64 {
    available_parallelism().map_or(1.0, |cpus| cpus.get() as f64)
}
