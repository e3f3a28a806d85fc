//! The processes: a server with the scaler, a reaper, and as many workers as the autoscaler wants. A worker is started as a pod is, and
//! stopped by TERM, with its own time to drain.

use anyhow::{Context as _, Result, ensure};
use leasehold_tests::{Stores, keda::free_address};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The queue, and the slots of one worker.
pub(crate) const QUEUE: &str = "work";
pub(crate) const SLOTS: u32 = 4;
/// How long a worker may drain: the grace of a pod.
const GRACE: Duration = Duration::from_secs(45);

/// The fleet. A drop kills all processes.
pub(crate) struct Fleet {
    program: PathBuf,
    /// The seconds of one job, for its command.
    job: f64,
    environment: Vec<(&'static str, String)>,
    pub(crate) keda: String,
    pub(crate) http: String,
    others: Vec<Child>,
    workers: Vec<Child>,
    draining: Vec<(Child, Instant)>,
}

impl Fleet {
    /// Starts everything but workers.
    pub(crate) fn start(program: &Path, stores: &Stores, job: f64) -> Result<Self> {
        let (http, keda) = (free_address(), free_address());
        let environment = vec![
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("LEASEHOLD_DATABASE_URL", stores.database.url.clone()),
            ("LEASEHOLD_REDIS_URL", stores.redis.url.clone()),
        ];
        let program = program.to_owned();
        let mut fleet =
            Self { program, job, environment, keda, http, others: vec![], workers: vec![], draining: vec![] };
        let listen = [fleet.http.clone(), fleet.keda.clone()];
        fleet.others.push(fleet.process(&["api", "--listen", &listen[0], "--keda-listen", &listen[1]])?);
        fleet.others.push(fleet.process(&["reaper"])?);
        Ok(fleet)
    }

    fn process(&self, arguments: &[&str]) -> Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(arguments).env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().context("starting a process")
    }

    /// The number of workers that do not drain.
    pub(crate) fn replicas(&self) -> u32 {
        u32::try_from(self.workers.len()).unwrap_or(u32::MAX)
    }

    /// Starts or stops workers until there are so many. The newest end first, as pods do.
    pub(crate) fn scale_to(&mut self, replicas: u32) -> Result<()> {
        while self.replicas() < replicas {
            let (queue, command) = (format!("{QUEUE}={SLOTS}"), format!("k=sleep {}", self.job));
            let worker = self.process(&["worker", "--queue", &queue, "--exec", &command])?;
            self.workers.push(worker);
        }
        while self.replicas() > replicas {
            let Some(worker) = self.workers.pop() else { break };
            kill(Pid::from_raw(worker.id().cast_signed()), Signal::SIGTERM).context("TERM")?;
            self.draining.push((worker, Instant::now()));
        }
        Ok(())
    }

    /// Checks the processes: no worker ends by itself, and draining workers end successfully and in time.
    pub(crate) fn check(&mut self) -> Result<()> {
        for process in self.workers.iter_mut().chain(&mut self.others) {
            ensure!(process.try_wait()?.is_none(), "a process has ended by itself");
        }
        let mut left = Vec::new();
        for (mut worker, since) in std::mem::take(&mut self.draining) {
            match worker.try_wait()? {
                Some(status) => ensure!(status.success(), "a worker has drained and ended with {status}"),
                None => {
                    ensure!(since.elapsed() < GRACE, "a worker drains for more than {GRACE:?}");
                    left.push((worker, since));
                }
            }
        }
        self.draining = left;
        Ok(())
    }

    /// Whether workers still drain.
    pub(crate) fn drains(&self) -> bool {
        !self.draining.is_empty()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let draining = self.draining.iter_mut().map(|(worker, _)| worker);
        for process in self.workers.iter_mut().chain(draining).chain(&mut self.others) {
            // The process may have ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
