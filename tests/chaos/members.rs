//! The processes of the fleet: start, faults and replacement.

use crate::{dice::Dice, moments::Kill, plan::Shape, process::Process};
use anyhow::{Context as _, Result, ensure};
use leasehold_tests::WrongClock;
use nix::sys::signal::Signal;
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long a worker may take to stop after SIGTERM: its jobs are short, and the stores may have just come back.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// How often to look for processes that ended by themselves.
const REPLACE_INTERVAL: Duration = Duration::from_millis(300);

/// What a worker reports when it stops.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
pub(crate) struct Tally {
    pub(crate) stale_writes_refused: u64,
}

/// Workers and reapers.
pub(crate) struct Members {
    pub(crate) workers: Vec<Process>,
    pub(crate) reapers: Vec<Process>,
    /// Reports of the workers that stopped correctly.
    pub(crate) tallies: Vec<Tally>,
    /// Workers that did not stop correctly.
    pub(crate) ended_badly: Vec<String>,
    replaced_at: Option<Instant>,
    environment: Vec<(&'static str, OsString)>,
    shape: Shape,
    folder: PathBuf,
    started: usize,
}

impl Members {
    pub(crate) fn new(shape: Shape, folder: &Path, database_url: String, redis_url: String) -> Self {
        let environment = vec![
            ("LEASEHOLD_DATABASE_URL", database_url.into()),
            ("LEASEHOLD_REDIS_URL", redis_url.into()),
            ("LEASEHOLD_WORKER__LEASE_MS", shape.lease_ms.to_string().into()),
            ("LEASEHOLD_HEAD__MAX", shape.head_max.to_string().into()),
            ("LEASEHOLD_DATABASE__MAX_CONNECTIONS", shape.connections().to_string().into()),
        ];
        Self {
            workers: Vec::new(),
            reapers: Vec::new(),
            tallies: Vec::new(),
            ended_badly: Vec::new(),
            replaced_at: None,
            environment,
            shape,
            folder: folder.to_owned(),
            started: 0,
        }
    }

    pub(crate) fn start_worker(&mut self) -> Result<()> {
        let worker = self.start("probe_worker", &["default", &self.shape.slots.to_string()], &[])?;
        self.workers.push(worker);
        Ok(())
    }

    /// Starts a worker with a wrong wall clock. Returns its process id.
    pub(crate) fn start_worker_by(&mut self, clock: &WrongClock) -> Result<u32> {
        let slots = self.shape.slots.to_string();
        let worker = self.start("probe_worker", &["default", &slots], &clock.environment())?;
        let pid = worker.pid();
        self.workers.push(worker);
        Ok(pid)
    }

    pub(crate) fn start_reaper(&mut self) -> Result<()> {
        let reaper = self.start("leasehold", &["reaper"], &[])?;
        self.reapers.push(reaper);
        Ok(())
    }

    fn start(&mut self, program: &str, arguments: &[&str], further: &[(&'static str, OsString)]) -> Result<Process> {
        let path = std::env::current_exe()?.with_file_name(program);
        ensure!(path.exists(), "{} is not built; `make chaos` builds it", path.display());
        self.start_other(&path, arguments, further)
    }

    /// Starts a program in the environment of the fleet. The program is no member of the fleet.
    pub(crate) fn start_other(
        &mut self,
        path: &Path,
        arguments: &[&str],
        further: &[(&'static str, OsString)],
    ) -> Result<Process> {
        self.started += 1;
        let program = path.file_name().context("the name of a program")?.to_string_lossy();
        let name = format!("{program}-{}", self.started);
        let environment = [&self.environment, further].concat();
        Process::start(path, arguments, &environment, &self.folder, &name)
    }

    /// Kills a worker and starts another one, as a process supervisor does.
    pub(crate) fn kill_a_worker(&mut self, dice: &mut Dice) -> Result<Kill> {
        ensure!(!self.workers.is_empty(), "no worker to kill");
        let kill = Kill::of(self.workers[dice.number(0..self.workers.len())].pid());
        self.kill(kill.pid)?;
        Ok(kill)
    }

    /// Kills this worker and starts another one.
    pub(crate) fn kill(&mut self, pid: u32) -> Result<()> {
        let nth = self.workers.iter().position(|worker| worker.pid() == pid).context("the worker to kill")?;
        let mut victim = self.workers.swap_remove(nth);
        victim.signal(Signal::SIGKILL);
        let _ = victim.ended();
        self.start_worker()
    }

    /// Sends a signal to this worker, if it still runs.
    pub(crate) fn signal(&self, pid: u32, signal: Signal) {
        self.workers.iter().filter(|worker| worker.pid() == pid).for_each(|worker| worker.signal(signal));
    }

    /// Replaces processes that ended by themselves, as a process supervisor does, but not in a tight loop. Returns
    /// which workers were replaced.
    pub(crate) fn replace_ended(&mut self) -> Result<Vec<Kill>> {
        let mut ended = Vec::new();
        if self.replaced_at.is_some_and(|at| at.elapsed() < REPLACE_INTERVAL) {
            return Ok(ended);
        }
        self.replaced_at = Some(Instant::now());
        for nth in (0..self.workers.len()).rev() {
            if self.workers[nth].ended().is_some() {
                ended.push(Kill::of(self.workers[nth].pid()));
                self.workers.swap_remove(nth);
                self.start_worker()?;
            }
        }
        for nth in (0..self.reapers.len()).rev() {
            if self.reapers[nth].ended().is_some() {
                self.reapers.swap_remove(nth);
                self.start_reaper()?;
            }
        }
        Ok(ended)
    }

    /// Stops the first worker, as a deploy does.
    pub(crate) async fn end_first(&mut self) -> Result<()> {
        ensure!(!self.workers.is_empty(), "no worker to stop");
        let worker = self.workers.remove(0);
        self.end(worker).await;
        Ok(())
    }

    /// Stops all workers, as a deploy does.
    pub(crate) async fn end_workers(&mut self) {
        let workers = std::mem::take(&mut self.workers);
        workers.iter().for_each(|worker| worker.signal(Signal::SIGTERM));
        for worker in workers {
            self.end(worker).await;
        }
    }

    async fn end(&mut self, mut worker: Process) {
        worker.signal(Signal::SIGTERM);
        let ended = worker.wait(STOP_TIMEOUT).await;
        match serde_json::from_str(worker.output().trim()) {
            Ok(tally) if ended => self.tallies.push(tally),
            _ => self.ended_badly.push(format!("worker {} ended with {:?}", worker.pid(), worker.ended())),
        }
    }
}
