//! Ends the commands of a worker that is killed. A worker that gets KILL cannot end its commands. A small shell
//! (`guard.sh`) waits on a pipe and ends them instead. Each process has one such shell, started with the first command.
//!
//! Why not `PR_SET_PDEATHSIG`: this signal is sent when the *thread* that started the command ends, and the children of
//! the command do not inherit it.
//!
//! This works only on Linux, where `/proc` shows which processes belong to a run. On other systems this module does
//! nothing.

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Write as _},
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

const SCRIPT: &str = include_str!("guard.sh");
/// The limit of unsent bytes. A shell with this many unread bytes has stopped reading. Another shell replaces it.
const UNSENT_MAX_BYTES: usize = 64 * 1024;

static GUARD: Mutex<Guard> = Mutex::new(Guard { shell: None, runs: BTreeMap::new(), unsent: Vec::new() });

struct Guard {
    shell: Option<Shell>,
    /// Running commands by slot. A slot is a small number, which the shell can use in the name of a variable.
    runs: BTreeMap<u32, Told>,
    /// Lines that did not fit into the pipe yet.
    unsent: Vec<u8>,
}

struct Shell {
    process: Child,
    pipe: ChildStdin,
}

/// What the shell knows about a command.
struct Told {
    name: String,
    group: Option<i32>,
}

/// A command that ends together with this process. Dropped when no process of the command is left.
#[derive(Debug)]
pub(crate) struct Guarded {
    slot: Option<u32>,
}

impl Guarded {
    /// Call this before the command starts. The command must have `LEASEHOLD_RUN=name` in its environment.
    ///
    /// # Errors
    /// The shell that ends commands cannot be started.
    pub(crate) fn begin(name: String) -> io::Result<Self> {
        if !cfg!(target_os = "linux") {
            return Ok(Self::none());
        }
        let mut guard = lock();
        guard.ensure_shell()?;
        let slot = guard.free_slot();
        let line = format!("run {slot} {name}\n");
        guard.runs.insert(slot, Told { name, group: None });
        guard.say(&line);
        Ok(Self { slot: Some(slot) })
    }

    /// For a command that keeps running when this process is killed.
    pub(crate) const fn none() -> Self {
        Self { slot: None }
    }

    /// The command leads this process group.
    pub(crate) fn leads(&self, group: i32) {
        if let Some(slot) = self.slot {
            let mut guard = lock();
            if let Some(told) = guard.runs.get_mut(&slot) {
                told.group = Some(group);
            }
            guard.say(&format!("group {slot} {group}\n"));
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            let mut guard = lock();
            guard.runs.remove(&slot);
            guard.say(&format!("over {slot}\n"));
        }
    }
}

fn lock() -> MutexGuard<'static, Guard> {
    GUARD.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Guard {
    fn free_slot(&self) -> u32 {
        (0..).zip(self.runs.keys()).find_map(|(free, used)| (free != *used).then_some(free)).unwrap_or_else(|| {
            // All slots up to the last slot are in use.
            self.runs.last_key_value().map_or(0, |(last, _)| last + 1)
        })
    }

    fn ensure_shell(&mut self) -> io::Result<()> {
        if self.shell.is_none() {
            self.shell = Some(Shell::start()?);
            self.unsent = told_anew(&self.runs).into_bytes();
        }
        Ok(())
    }

    /// Sends without waiting: a shell that does not read must not block any command.
    fn say(&mut self, line: &str) {
        self.unsent.extend_from_slice(line.as_bytes());
        if self.send().is_ok() && self.unsent.len() <= UNSENT_MAX_BYTES {
            return;
        }
        // Somebody ended or stopped the shell. A new shell is told about all running commands. If no shell can be
        // started now, the next command tries again.
        if let Some(mut lost) = self.shell.take() {
            let _ = lost.process.kill();
            let _ = lost.process.wait();
        }
        if let Err(error) = self.ensure_shell().and_then(|()| self.send()) {
            tracing::debug!(%error, "the shell that ends commands could not be started again");
        }
    }

    fn send(&mut self) -> io::Result<()> {
        let Some(shell) = &mut self.shell else { return Ok(()) };
        while !self.unsent.is_empty() {
            match shell.pipe.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// All running commands, as lines for a new shell.
fn told_anew(runs: &BTreeMap<u32, Told>) -> String {
    let mut lines = String::new();
    for (slot, Told { name, group }) in runs {
        // Writing to a String does not fail.
        let _ = writeln!(lines, "run {slot} {name}");
        if let Some(group) = group {
            let _ = writeln!(lines, "group {slot} {group}");
        }
    }
    lines
}

impl Shell {
    /// The shell has its own process group, so a signal to the group of the worker does not end it. The shell inherits
    /// neither the environment of the worker, which may hold passwords, nor the folder of the worker, which may be
    /// unmounted.
    fn start() -> io::Result<Self> {
        let mut process = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "leasehold-guard"])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let pipe = process.stdin.take().ok_or(Errno::EPIPE)?;
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self { process, pipe })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_slot_is_taken() {
        let told = || Told { name: "1.x".to_owned(), group: Some(7) };
        let mut guard = Guard { shell: None, runs: BTreeMap::new(), unsent: Vec::new() };
        for expected in [0, 1, 2] {
            assert_eq!(guard.free_slot(), expected);
            guard.runs.insert(expected, told());
        }
        guard.runs.remove(&1);
        assert_eq!(guard.free_slot(), 1);
        guard.runs.remove(&0);
        assert_eq!(guard.free_slot(), 0);
        assert_eq!(told_anew(&guard.runs), "run 2 1.x\ngroup 2 7\n");
    }
}
