//! `leasehold dev` as a user starts it, `leasehold each` that uses it, and the faults that are injected.

use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sqlx::{Connection as _, PgConnection, Row as _};
use std::{
    collections::BTreeSet,
    fs::{self, File, Permissions},
    io::{BufRead, BufReader, Write as _},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The timeout for each phase of the fleet: much longer than needed on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(180);
/// The command for one file: prints its SHA-256 and its number of lines on one line.
const COUNT: &str = r#"set -e; sum=$(sha256sum <"$1"); lines=$(wc -l <"$1"); echo "${sum%% *} $lines""#;

/// Counts of rows at the end.
#[derive(Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) succeeded: usize,
    pub(crate) runs: usize,
    pub(crate) leases_lost: usize,
}

/// What is known after everything has stopped.
pub(crate) struct Stopped {
    /// Every process that belonged to the fleet.
    pub(crate) pids: BTreeSet<i32>,
    /// Results that came after the lease was lost. The workers count these themselves and report them when they stop.
    pub(crate) stale_writes_refused: u64,
    /// Runs whose workers noticed that the lease was lost: at a renewal, or when a result was refused. Counted in the same way.
    pub(crate) losses_noticed: u64,
}

/// A running `leasehold dev`.
pub(crate) struct Fleet {
    leasehold: PathBuf,
    folder: tempfile::TempDir,
    dev: Child,
    runtime: tokio::runtime::Runtime,
    database: PgConnection,
    pids: BTreeSet<i32>,
}

/// Whether this process is a command of a run, and has not ended.
fn is_command(pid: i32) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(b"LEASEHOLD_RUN="))
}

/// Whether a signal has stopped this process.
fn is_stopped(pid: i32) -> bool {
    // The state follows the name, which is in parentheses and may have spaces.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
}

impl Fleet {
    /// Starts the fleet in a separate folder and on separate ports, and waits until it is ready.
    pub(crate) fn start(workers: usize, lease_ms: u64) -> Result<Self> {
        let leasehold = beside_this_program("leasehold")?;
        // In /tmp, because PostgreSQL's user can enter it wherever the checkout is.
        let folder = tempfile::Builder::new()
            .prefix("leasehold-run-")
            .permissions(Permissions::from_mode(0o711))
            .tempdir_in("/tmp")?;
        let log = File::create(folder.path().join("dev.log"))?;
        let mut dev = without_settings(Command::new(&leasehold))
            .args(["dev", "--workers", &workers.to_string(), "--data-dir"])
            .arg(folder.path().join("data"))
            .env("LEASEHOLD_WORKER__LEASE_MS", lease_ms.to_string())
            .stdin(Stdio::null())
            .stderr(log)
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", leasehold.display()))?;
        let settings = folder.path().join("data/leasehold.toml");
        let begun = Instant::now();
        let url = loop {
            if let Some(url) = fs::read_to_string(&settings).ok().and_then(|text| database_url(&text)) {
                break url;
            }
            if let Some(status) = dev.try_wait()? {
                bail!("leasehold dev ended with {status}:\n{}", tail(folder.path()));
            }
            ensure!(begun.elapsed() < TIMEOUT, "leasehold dev did not start:\n{}", tail(folder.path()));
            thread::sleep(Duration::from_millis(50));
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let database = runtime.block_on(PgConnection::connect(&url)).context("connecting to the fleet's database")?;
        let mut fleet = Self { leasehold, folder, dev, runtime, database, pids: BTreeSet::new() };
        fleet.until("all workers are up", |fleet| Ok(fleet.workers()?.len() == workers))?;
        Ok(fleet)
    }

    /// Starts `leasehold each` for the paths.
    pub(crate) fn each(&self, paths: &[PathBuf]) -> Result<Each> {
        let mut input = tempfile::tempfile()?;
        for path in paths {
            writeln!(input, "{}", path.display())?;
        }
        std::io::Seek::rewind(&mut input)?;
        let mut child = without_settings(Command::new(&self.leasehold))
            .arg("--config")
            .arg(self.folder.path().join("data/leasehold.toml"))
            .args([
                "each", "--queue", "default", "--batch", "main-job", "--from", "-", "--", "sh", "-c", COUNT, "count",
                "{}",
            ])
            .stdin(input)
            .stdout(Stdio::piped())
            .spawn()
            .context("starting leasehold each")?;
        let stdout = child.stdout.take().context("no standard output")?;
        // A thread reads the output, so that a full pipe never blocks the process.
        let reader = thread::spawn(move || BufReader::new(stdout).lines().collect::<std::io::Result<Vec<_>>>());
        Ok(Each { child, reader: Some(reader) })
    }

    /// Waits until this many jobs have succeeded.
    pub(crate) fn wait_until_finished(&mut self, wanted: usize, each: &mut Each) -> Result<()> {
        self.until("enough jobs are finished", |fleet| {
            if let Some(status) = each.child.try_wait()? {
                ensure!(status.success(), "leasehold each ended with {status}");
            }
            Ok(fleet.counts()?.succeeded >= wanted)
        })
    }

    /// Kills a worker while it runs jobs; `dev` replaces it.
    pub(crate) fn kill_a_busy_worker(&mut self) -> Result<i32> {
        let pid = self.freeze_a_busy_worker()?;
        kill(Pid::from_raw(pid), Signal::SIGKILL)?;
        Ok(pid)
    }

    /// Freezes a worker while it runs jobs. A worker is frozen, inspected, and thawed again if it held no job.
    pub(crate) fn freeze_a_busy_worker(&mut self) -> Result<i32> {
        let begun = Instant::now();
        loop {
            for pid in self.workers()? {
                kill(Pid::from_raw(pid), Signal::SIGSTOP)?;
                // On a busy machine a signal takes a moment to arrive.
                while !is_stopped(pid) {
                    ensure!(begun.elapsed() < TIMEOUT, "worker {pid} cannot be stopped");
                    thread::sleep(Duration::from_millis(1));
                }
                // The worker's commands continue in their own process groups. A command shows that the worker holds a lease: the
                // frozen worker cannot end its run. The shell that ends the commands of a killed worker shows nothing.
                if children_of(pid).into_iter().any(is_command) {
                    return Ok(pid);
                }
                kill(Pid::from_raw(pid), Signal::SIGCONT)?;
            }
            ensure!(begun.elapsed() < TIMEOUT, "found no busy worker");
        }
    }

    /// Waits until more leases than before were lost. A frozen worker must stay frozen until then.
    pub(crate) fn wait_until_leases_lost_pass(&mut self, before: usize, frozen: Option<i32>) -> Result<()> {
        let waited = self.until("the killed or frozen worker has lost its leases", |fleet| {
            if let Some(pid) = frozen {
                ensure!(
                    is_stopped(pid),
                    "worker {pid} does not stay frozen: another process has continued or ended it"
                );
            }
            Ok(fleet.counts()?.leases_lost > before)
        });
        waited.with_context(|| format!("running jobs: {}", self.running().unwrap_or_else(|error| error.to_string())))
    }

    /// The running jobs, for the text of an error: worker, seconds until the lease ends, and whether another session has locked the row.
    fn running(&mut self) -> Result<String> {
        let running = "SELECT coalesce(string_agg(format('%s of worker %s, lease ends in %s s%s', j.id, j.worker,
                           round(extract(epoch FROM j.lease_expires_at - clock_timestamp())),
                           CASE WHEN u.id IS NULL THEN ', its row is locked' END), '; '), 'none')
                       FROM leasehold.job j
                       LEFT JOIN (SELECT id FROM leasehold.job WHERE state = 'running' FOR UPDATE SKIP LOCKED) u USING (id)
                       WHERE j.state = 'running'";
        Ok(self.runtime.block_on(sqlx::query_scalar(running).fetch_one(&mut self.database))?)
    }

    /// Waits until all leases of the killed worker are lost. They do not all end at the same time, and one that ends later must not
    /// be taken for a lease of the next worker that gets a fault.
    pub(crate) fn wait_until_no_run_is_left(&mut self) -> Result<()> {
        let left =
            "SELECT count(*) FROM leasehold.job WHERE state = 'running' AND started_at < now() - interval '1 second'";
        self.until("the runs of the killed worker have ended", |fleet| {
            let left: i64 = fleet.runtime.block_on(sqlx::query_scalar(left).fetch_one(&mut fleet.database))?;
            Ok(left == 0)
        })
    }

    /// Lets a frozen worker continue.
    pub(crate) fn thaw(&self, pid: i32) -> Result<()> {
        Ok(kill(Pid::from_raw(pid), Signal::SIGCONT)?)
    }

    /// The current counts of rows.
    pub(crate) fn counts(&mut self) -> Result<Counts> {
        let row = self.runtime.block_on(
            sqlx::query(
                "SELECT count(*) FILTER (WHERE state = 'succeeded'), coalesce(sum(epoch), 0)::bigint,
                        coalesce(sum((SELECT count(*) FROM jsonb_array_elements(trail) t WHERE t ->> 'verb' = 'expire')), 0)::bigint
                 FROM leasehold.jobs",
            )
            .fetch_one(&mut self.database),
        )?;
        let count = |nth: usize| -> Result<usize> { Ok(usize::try_from(row.try_get::<i64, _>(nth)?)?) };
        Ok(Counts { succeeded: count(0)?, runs: count(1)?, leases_lost: count(2)? })
    }

    /// Stops the fleet like Ctrl-C.
    pub(crate) fn stop(mut self) -> Result<Stopped> {
        self.note_processes();
        kill(Pid::from_raw(i32::try_from(self.dev.id())?), Signal::SIGINT)?;
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.dev.try_wait()? {
                break status;
            }
            ensure!(begun.elapsed() < TIMEOUT, "leasehold dev did not stop:\n{}", tail(self.folder.path()));
            thread::sleep(Duration::from_millis(50));
        };
        ensure!(status.success(), "leasehold dev ended with {status}:\n{}", tail(self.folder.path()));
        let log = fs::read_to_string(self.folder.path().join("dev.log"))?;
        Ok(Stopped {
            pids: std::mem::take(&mut self.pids),
            stale_writes_refused: sum_of("stale_writes_refused=", &log),
            losses_noticed: sum_of("leases_lost=", &log),
        })
    }

    fn workers(&mut self) -> Result<Vec<i32>> {
        self.note_processes();
        let dev = i32::try_from(self.dev.id())?;
        Ok(descendants_of(dev).into_iter().filter(|&pid| is_worker(pid)).collect())
    }

    fn note_processes(&mut self) {
        if let Ok(dev) = i32::try_from(self.dev.id()) {
            self.pids.extend(descendants_of(dev));
            self.pids.insert(dev);
        }
    }

    fn until(&mut self, what: &str, mut so: impl FnMut(&mut Self) -> Result<bool>) -> Result<()> {
        let begun = Instant::now();
        while !so(self)? {
            ensure!(begun.elapsed() < TIMEOUT, "waited {TIMEOUT:?} until {what}:\n{}", tail(self.folder.path()));
            if let Some(status) = self.dev.try_wait()? {
                bail!("leasehold dev ended with {status}:\n{}", tail(self.folder.path()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Fleet {
    /// However the run ends, no process continues: the processes that `dev` started end with `dev`.
    fn drop(&mut self) {
        if matches!(self.dev.try_wait(), Ok(None)) {
            let _ = self.dev.kill();
            let _ = self.dev.wait();
        }
    }
}

/// A running `leasehold each`.
pub(crate) struct Each {
    child: Child,
    reader: Option<thread::JoinHandle<std::io::Result<Vec<String>>>>,
}

impl Each {
    /// Waits for the end of `each`. Returns the printed lines.
    pub(crate) fn finish(mut self) -> Result<Vec<String>> {
        let status = self.child.wait()?;
        let reader = self.reader.take().context("read twice")?;
        let lines = reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
        ensure!(status.success(), "leasehold each ended with {status}");
        Ok(lines)
    }
}

impl Drop for Each {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Whether all of these processes have ended.
pub(crate) fn nothing_runs(pids: &BTreeSet<i32>) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        if pids.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            return true;
        }
        thread::sleep(Duration::from_millis(50));
    }
    false
}

/// Settings in the environment of the calling shell must not change the fleet.
fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LEASEHOLD_")) {
        command.env_remove(name);
    }
    command
}

fn beside_this_program(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(path.exists(), "{} is not built; `make run` builds it", path.display());
    Ok(path)
}

fn database_url(settings: &str) -> Option<String> {
    let mut section = "";
    for line in settings.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if section == "[database]"
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == "url"
        {
            return Some(value.trim().trim_matches('"').to_owned());
        }
    }
    None
}

fn children_of(pid: i32) -> Vec<i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| text.split_whitespace().filter_map(|child| child.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn descendants_of(pid: i32) -> Vec<i32> {
    let children = children_of(pid);
    let mut all = children.clone();
    for child in children {
        all.extend(descendants_of(child));
    }
    all
}

fn is_worker(pid: i32) -> bool {
    let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let mut words = line.split(|&byte| byte == 0);
    let program = words.next().unwrap_or_default();
    program.ends_with(b"leasehold") && words.any(|word| word == b"worker")
}

fn sum_of(field: &str, log: &str) -> u64 {
    log.split(field)
        .skip(1)
        .filter_map(|rest| rest.split(|character: char| !character.is_ascii_digit()).next()?.parse::<u64>().ok())
        .sum()
}

fn tail(folder: &Path) -> String {
    let log = fs::read_to_string(folder.join("dev.log")).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
