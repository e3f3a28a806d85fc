//! One server process and its children: start, wait until ready, signal, and stop within a timeout.

use crate::{error::Error, keeper};
use nix::{
    sys::{
        signal::{Signal, kill},
        statvfs::statvfs,
    },
    unistd::Pid,
};
use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How often a process is checked. Servers start in tens of milliseconds.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);
/// How many lines of the log an error shows.
const LAST_LINES: usize = 12;
/// A log larger than this is truncated at the next start.
const LOG_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// A server process. Its output goes to a log file.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    child: Mutex<Child>,
    log: Log,
}

/// A log file, and the offset at which this start begins.
#[derive(Clone, Debug)]
struct Log {
    path: PathBuf,
    from: u64,
}

impl Process {
    /// Starts `command` and waits up to `within` until `ready` returns true. On every failure the error holds the last
    /// lines of the server's log, and no process is left running.
    pub(crate) fn start(
        name: &'static str,
        mut command: Command,
        log: &Path,
        within: Duration,
        ready: impl Fn(Pid) -> bool,
    ) -> Result<Self, Error> {
        let (output, log) = Log::open(log)?;
        let errors = output.try_clone().map_err(Error::file("opening", &log.path))?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child =
            keeper::spawn(command).map_err(|source| Error::Run { doing: format!("starting {name}"), source })?;
        let pid = Pid::from_raw(child.id().cast_signed());
        let process = Self { pid, child: Mutex::new(child), log };
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = process.exited() {
                return Err(process.failed(format!("starting {name}"), status));
            }
            if ready(pid) {
                return Ok(process);
            }
            if Instant::now() > deadline {
                process.kill_all();
                return Err(process.failed(format!("starting {name}"), format!("not ready within {within:?}")));
            }
            thread::sleep(CHECK_INTERVAL);
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// How the process ended, if it has ended.
    pub(crate) fn exited(&self) -> Option<String> {
        match self.child().try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(status.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Sends `signal` and waits for the end. Kills all processes that still run after `within`. Returns whether the
    /// process ended by itself.
    pub(crate) fn stop(&self, signal: Signal, within: Duration) -> bool {
        self.thaw();
        self.signal(signal);
        let gone = self.gone(within);
        if !gone {
            self.kill_all();
        }
        gone
    }

    /// Kills the process and all its children, like a power failure.
    pub(crate) fn kill_all(&self) {
        // Stopped while its children are listed, so that it starts no new children in between.
        self.signal(Signal::SIGSTOP);
        let children = if self.exited().is_none() { children_of(self.pid) } else { Vec::new() };
        self.signal(Signal::SIGKILL);
        for child in &children {
            let _ = kill(*child, Signal::SIGKILL);
        }
        self.gone(Duration::from_secs(10));
        let deadline = Instant::now() + Duration::from_secs(10);
        while children.iter().any(|child| lives(*child)) && Instant::now() < deadline {
            thread::sleep(CHECK_INTERVAL);
        }
    }

    /// Freezes the process and all its children.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        for child in children_of(self.pid) {
            let _ = kill(child, Signal::SIGSTOP);
        }
    }

    /// Ends a freeze.
    pub(crate) fn thaw(&self) {
        if self.exited().is_none() {
            for child in children_of(self.pid) {
                let _ = kill(child, Signal::SIGCONT);
            }
            self.signal(Signal::SIGCONT);
        }
    }

    pub(crate) fn failed(&self, doing: String, why: String) -> Error {
        let why = match self.log.path.parent() {
            Some(folder) if disk_full(folder) => format!("{why}; the disk that holds {} is full", folder.display()),
            _ => why,
        };
        Error::Failed { doing, why, log_tail: self.log_tail() }
    }

    /// The last lines of the process's log.
    pub(crate) fn log_tail(&self) -> String {
        let mut text = Vec::new();
        let _ = File::open(&self.log.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.log.from))?;
            file.read_to_end(&mut text)
        });
        let text = last_lines(&String::from_utf8_lossy(&text));
        if text.is_empty() { format!("  ({} is empty)", self.log.path.display()) } else { text }
    }

    fn gone(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        while self.exited().is_none() {
            if Instant::now() > deadline {
                return false;
            }
            thread::sleep(CHECK_INTERVAL);
        }
        true
    }

    /// After the process was waited for, its process id may belong to another process.
    fn signal(&self, signal: Signal) {
        let mut child = self.child();
        if matches!(child.try_wait(), Ok(None)) {
            // Cannot fail: it is our child, and it was not waited for yet.
            let _ = kill(self.pid, signal);
        }
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn open(path: &Path) -> Result<(File, Self), Error> {
        let long = fs::metadata(path).is_ok_and(|meta| meta.len() > LOG_MAX_BYTES);
        if long {
            let _ = fs::remove_file(path);
        }
        let opened = OpenOptions::new().create(true).append(true).open(path);
        let file = opened.map_err(Error::file("opening", path))?;
        let from = file.metadata().map_or(0, |meta| meta.len());
        Ok((file, Self { path: path.to_owned(), from }))
    }
}

/// The last lines of a text, indented.
pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let shown = &lines[lines.len().saturating_sub(LAST_LINES)..];
    shown.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// The children of a process. Children of PostgreSQL start their own sessions, so a process group would not contain
/// them.
fn children_of(parent: Pid) -> Vec<Pid> {
    parents().into_iter().filter(|(_, its_parent)| *its_parent == parent).map(|(pid, _)| pid).collect()
}

/// Every process and its parent.
fn parents() -> HashMap<Pid, Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()).map(Pid::from_raw);
    processes.filter_map(|pid| Some((pid, state_and_parent(pid)?.1))).collect()
}

/// Whether a process runs and is not a zombie.
fn lives(pid: Pid) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| state != "Z" && state != "X")
}

fn state_and_parent(pid: Pid) -> Option<(String, Pid)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold any character; state and parent follow the last parenthesis.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.to_owned();
    Some((state, Pid::from_raw(fields.next()?.parse().ok()?)))
}

/// Whether less than a megabyte is available to ordinary users.
pub(crate) fn disk_full(folder: &Path) -> bool {
    statvfs(folder).is_ok_and(|disk| disk.blocks_available().saturating_mul(disk.fragment_size()) < 1024 * 1024)
}
