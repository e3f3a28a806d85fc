//! The worker processes of a measurement, from the view of their driver.

use super::Plan;
use crate::failure::Failure;
use secrecy::ExposeSecret as _;
use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, Command},
    sync::mpsc,
    time::{Instant, timeout_at},
};

/// How long worker processes may take to start.
const BOOTS_WITHIN: Duration = Duration::from_secs(60);

/// A report of a worker process.
enum Told {
    Booted,
    Ready,
    Done(u64),
    Delay(f64),
    Gone,
}

/// All worker processes. They end when this value is dropped.
pub(crate) struct Workers {
    children: Vec<(Child, ChildStdin)>,
    told: mpsc::UnboundedReceiver<Told>,
    /// The number of handlers that have run. The enqueues read this number to stay within their limit.
    done: Arc<AtomicU64>,
    /// The same number at each time that it grew.
    progress: Vec<(Instant, u64)>,
    /// The time from enqueue call to handler, in ms, of jobs that carry a time.
    pub(crate) delays_ms: Vec<f64>,
}

impl Workers {
    /// Starts all processes and waits until each of them is connected.
    pub(crate) async fn start(plan: &Plan) -> Result<Self, Failure> {
        let (tell, told) = mpsc::unbounded_channel();
        let mut children = Vec::new();
        for _ in 0..plan.procs {
            children.push(start_one(plan, tell.clone())?);
        }
        let (done, progress, delays_ms) = (Arc::default(), Vec::new(), Vec::new());
        let mut workers = Self { children, told, done, progress, delays_ms };
        workers.wait_for_all(|told| matches!(told, Told::Booted)).await?;
        Ok(workers)
    }

    /// Tells all processes to begin, and waits until all have begun.
    pub(crate) async fn begin(&mut self) -> Result<(), Failure> {
        for (_, input) in &mut self.children {
            input.write_all(b"\n").await.map_err(|error| Failure::new(format!("a worker process is gone: {error}")))?;
        }
        self.wait_for_all(|told| matches!(told, Told::Ready)).await
    }

    /// The number of handlers that have run.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// The number of handlers that have run, as a stream of changes.
    pub(crate) fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.done)
    }

    /// How many handlers had run at which time since then.
    pub(crate) fn progress_since(&self, begun: Instant) -> Vec<(Duration, u64)> {
        let from = self.progress.partition_point(|(at, _)| *at < begun);
        let before = from.checked_sub(1).map_or(0, |nth| self.progress[nth].1);
        self.progress[from..].iter().map(|(at, done)| (*at - begun, done - before)).collect()
    }

    /// The process ids.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.children.iter().filter_map(|(child, _)| child.id()).collect()
    }

    /// Waits for the next report of any worker.
    pub(crate) async fn hear(&mut self) -> Result<(), Failure> {
        let told = self.told.recv().await.ok_or_else(gone)?;
        self.note(told)
    }

    /// Kills all processes: no work is left that a grace would save.
    pub(crate) async fn end(self) {
        for (mut child, _) in self.children {
            // A process that has already ended needs no kill.
            let _ = child.kill().await;
        }
    }

    /// Waits until `wanted` handlers have run, or until `until`. Returns whether the handlers have run.
    pub(crate) async fn wait_until_done(&mut self, wanted: u64, until: Instant) -> Result<bool, Failure> {
        while self.done() < wanted {
            match timeout_at(until, self.told.recv()).await {
                Ok(Some(told)) => self.note(told)?,
                Ok(None) => return Err(gone()),
                Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    async fn wait_for_all(&mut self, is_it: impl Fn(&Told) -> bool) -> Result<(), Failure> {
        let until = Instant::now() + BOOTS_WITHIN;
        let mut missing = self.children.len();
        while missing > 0 {
            let told = timeout_at(until, self.told.recv()).await;
            let told = told.map_err(|_| Failure::new("the worker processes did not start in time"))?;
            let told = told.ok_or_else(gone)?;
            if is_it(&told) {
                missing -= 1;
            }
            self.note(told)?;
        }
        Ok(())
    }

    fn note(&mut self, told: Told) -> Result<(), Failure> {
        match told {
            Told::Booted | Told::Ready => {}
            Told::Done(jobs) => {
                let done = self.done.fetch_add(jobs, Ordering::Relaxed) + jobs;
                self.progress.push((Instant::now(), done));
            }
            Told::Delay(ms) => self.delays_ms.push(ms),
            Told::Gone => return Err(gone()),
        }
        Ok(())
    }
}

fn gone() -> Failure {
    Failure::new("a worker process ended before the measurement did; its log is above")
}

fn start_one(plan: &Plan, tell: mpsc::UnboundedSender<Told>) -> Result<(Child, ChildStdin), Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("a worker process cannot be started: {error}"));
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    command.args(["bench", "--member", "--conc", &plan.slots.to_string()]);
    for (name, url) in [("PG_URL", &plan.config.database.url), ("REDIS_URL", &plan.config.redis.url)] {
        if let Some(url) = url {
            command.env(name, url.expose_secret());
        }
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().map_err(failed)?;
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Failure::new("a worker process has no pipes"));
    };
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let told = match line.split_once(' ') {
                None if line == "booted" => Told::Booted,
                None if line == "ready" => Told::Ready,
                Some(("done", jobs)) => Told::Done(jobs.parse().unwrap_or(0)),
                Some(("delay", ms)) => Told::Delay(ms.parse().unwrap_or(f64::NAN)),
                _ => continue,
            };
            if tell.send(told).is_err() {
                return;
            }
        }
        let _ = tell.send(Told::Gone);
    });
    Ok((child, input))
}
