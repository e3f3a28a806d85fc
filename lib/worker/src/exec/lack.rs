//! Finds out what this worker lacks to run any command: file descriptors, processes, memory, a shell, a folder. Such a
//! lack is not the fault of the job, so it must not cost the job an attempt.
//!
//! A missing folder counts only after a command has failed: a command that succeeds without the folder did not need it.

use crate::exec::environment::PassedEnv;
use nix::{
    errno::Errno,
    sys::statvfs::statvfs,
    unistd::{AccessFlags, access},
};
use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicU64, Ordering},
};
use tokio::process::Command;

/// File descriptors of the worker that each running command uses: four pipes, and one to wait for the end of the
/// command.
const DESCRIPTORS_PER_COMMAND: u64 = 5;
/// File descriptors that the worker needs for itself: connections to both stores (18 with default settings, and one
/// more for each queue), the listener, the logs, and a few while a command starts.
const DESCRIPTORS_LEFT: u64 = 40;
/// A disk with less free space than this counts as full.
const ROOM_MIN_BYTES: u128 = 64 * 1024;

static COMMANDS: AtomicU64 = AtomicU64::new(0);

/// The file descriptors of one command. They are free again when this value is dropped.
#[derive(Debug)]
pub(crate) struct Descriptors;

impl Descriptors {
    /// Reserves the file descriptors of one more command.
    ///
    /// # Errors
    /// Too few are left. Commands that used the last descriptors would cut the worker off from its stores.
    pub(crate) fn take() -> Result<Self, String> {
        let commands = COMMANDS.fetch_add(1, Ordering::AcqRel);
        let taken = Self;
        match descriptors_max() {
            // One command is always tried.
            Some(max) if commands > 0 && (commands + 1) * DESCRIPTORS_PER_COMMAND + DESCRIPTORS_LEFT > max => {
                Err(format!("file descriptors: the limit of this process is {max} (`ulimit -n`)"))
            }
            _ => Ok(taken),
        }
    }
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        COMMANDS.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The limit of this process, where `unsafe` code is not needed to read it: on Linux. The limit can be changed from
/// outside, so it is read again when it seems to be reached.
fn descriptors_max() -> Option<u64> {
    static KNOWN: AtomicU64 = AtomicU64::new(0);
    let known = KNOWN.load(Ordering::Relaxed);
    let commands = COMMANDS.load(Ordering::Relaxed);
    if known >= commands * DESCRIPTORS_PER_COMMAND + DESCRIPTORS_LEFT {
        return Some(known);
    }
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let max = line.split_whitespace().next()?.parse().ok()?;
    KNOWN.store(max, Ordering::Relaxed);
    Some(max)
}

/// Whether the error is about the machine or the limits of this process, and not about the program to start.
pub(crate) fn is_lack(error: &io::Error) -> bool {
    let number = error.raw_os_error().map(Errno::from_raw);
    matches!(number, Some(Errno::EMFILE | Errno::ENFILE | Errno::EAGAIN | Errno::ENOMEM | Errno::ENOSPC))
}

/// The folders that commands expect, in their state when the worker was started.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// Whether commands could write to the working folder. Many workers run in a read-only folder.
    working_writable: bool,
    temp: PathBuf,
    /// Whether commands could write to the folder for temporary files, or a user set `TMPDIR`, which says that commands
    /// should be able to.
    temp_wanted: bool,
}

impl Surroundings {
    /// The present state.
    pub(crate) fn note() -> Self {
        let temp = env::temp_dir();
        Self {
            working_writable: unwritable(Path::new(".")).is_none(),
            temp_wanted: env::var_os("TMPDIR").is_some_and(|folder| !folder.is_empty()) || unwritable(&temp).is_none(),
            temp,
        }
    }

    /// What is missing now.
    pub(crate) fn lack(&self) -> Option<String> {
        if let Err(error) = env::current_dir() {
            return Some(format!("the working folder: {error}"));
        }
        if self.working_writable
            && let Some(why) = unwritable(Path::new("."))
        {
            return Some(format!("a writable working folder: {why}"));
        }
        if self.temp_wanted
            && let Some(why) = unwritable(&self.temp)
        {
            let folder = self.temp.display();
            return Some(format!("a writable folder for temporary files: {folder}: {why}"));
        }
        None
    }
}

/// Why the folder is not writable; `None` if writing works.
fn unwritable(folder: &Path) -> Option<String> {
    match fs::metadata(folder) {
        Err(error) => return Some(error.to_string()),
        Ok(found) if !found.is_dir() => return Some("not a folder".to_owned()),
        Ok(_) => {}
    }
    if let Err(error) = access(folder, AccessFlags::W_OK | AccessFlags::X_OK) {
        return Some(error.desc().to_owned());
    }
    let disk = statvfs(folder).ok()?;
    let room_bytes = u128::from(disk.blocks_available()) * u128::from(disk.fragment_size());
    // Some file systems in memory report no blocks and have no limit.
    (disk.blocks() > 0 && room_bytes < ROOM_MIN_BYTES).then(|| "its disk is full".to_owned())
}

/// What the worker lacks if there is no program `sh` that it may run.
pub(crate) fn shell_lack() -> Option<String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .map(|folder| folder.join("sh"))
        .any(|sh| fs::metadata(&sh).is_ok_and(|found| found.is_file()) && access(&sh, AccessFlags::X_OK).is_ok());
    (!found).then(|| "a shell: no program sh in PATH may be run".to_owned())
}

/// What the worker lacks, judged from the exit code (or the signal) and the error text of a shell: a process for the
/// command, or the resources to run a shell at all. Only messages of the shell itself begin with its name.
pub(crate) async fn lack_of_shell(code: Option<i32>, stderr: &str) -> Option<String> {
    let last = stderr.lines().next_back().unwrap_or_default();
    if last.starts_with("sh: ") && last.to_ascii_lowercase().contains("fork") {
        return Some(format!("processes: {last}"));
    }
    if code.is_some_and(|code| code != 126 && code != 127) {
        return None;
    }
    // The shell could not run its command, or was killed. Mostly this is the fault of the command.
    let mut shell = Command::new("sh");
    PassedEnv::None.withheld().iter().for_each(|name| {
        shell.env_remove(name);
    });
    shell.args(["-c", ":"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match shell.status().await {
        Ok(status) if status.success() => None,
        Ok(status) => Some(format!("a shell: sh ended with {status}")),
        Err(error) => Some(format!("a shell: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_missed_when_it_is_gone() {
        let surroundings =
            |temp: &str| Surroundings { working_writable: false, temp: PathBuf::from(temp), temp_wanted: true };
        assert_eq!(surroundings("/tmp").lack(), None);
        let lack = surroundings("/no/such/folder").lack().expect("it is gone");
        assert!(lack.contains("/no/such/folder: No such file"), "{lack}");
        assert!(surroundings("/etc/passwd").lack().is_some_and(|lack| lack.contains("not a folder")));
    }

    #[tokio::test]
    async fn a_shell_that_works_is_not_blamed() {
        assert_eq!(lack_of_shell(Some(127), "sh: 1: no-such-program: not found").await, None);
        assert_eq!(lack_of_shell(Some(2), "my-program: cannot fork").await, None);
        for said in ["sh: 1: Cannot fork", "sh: fork: retry: Resource temporarily unavailable", "a\nsh: can't fork: x"]
        {
            assert!(lack_of_shell(Some(2), said).await.is_some(), "{said}");
        }
        assert_eq!(lack_of_shell(None, "").await, None);
        assert_eq!(shell_lack(), None);
    }

    #[test]
    fn what_a_machine_lacks_is_told_from_what_a_program_is() {
        for lack in [Errno::EMFILE, Errno::ENFILE, Errno::EAGAIN, Errno::ENOMEM] {
            assert!(is_lack(&lack.into()), "{lack}");
        }
        for fault in [Errno::ENOENT, Errno::EACCES, Errno::ENOEXEC, Errno::E2BIG] {
            assert!(!is_lack(&fault.into()), "{fault}");
        }
    }
}
