//! A running `leasehold dev` and all its processes.

use leasehold_tests::{eventually, leasehold_program, private_folder};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// The timeout of each wait: a first start creates a database, and this machine may be busy.
pub(crate) const WITHIN: Duration = Duration::from_secs(60);

/// The folder of a `dev`, and the program.
pub(crate) struct DevFolder {
    folder: TempDir,
    program: PathBuf,
}

impl DevFolder {
    pub(crate) async fn new() -> Self {
        let program = tokio::task::spawn_blocking(leasehold_program).await.expect("the program");
        Self { folder: private_folder(), program }
    }

    /// The file that `dev` writes while it runs.
    pub(crate) fn settings_file(&self) -> PathBuf {
        self.folder.path().join("data/leasehold.toml")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The program with arguments, without the settings of this process's environment.
    pub(crate) fn leasehold(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").args(arguments);
        command.stdin(Stdio::null()).current_dir(self.folder.path());
        command
    }

    pub(crate) fn dev(&self, more: &[&str]) -> Command {
        let mut command = self.leasehold(&["dev", "--data-dir", "data"]);
        command.args(more);
        command
    }

    /// Starts a `dev` and waits until other commands can use it.
    pub(crate) async fn up(&self, more: &[&str]) -> Running {
        let log = fs::File::create(self.folder.path().join("log")).expect("a log");
        let mut child = self.dev(more).stderr(log).spawn().expect("leasehold dev");
        let file = self.settings_file();
        eventually("dev is up", WITHIN, || async {
            match fs::read_to_string(&file) {
                Ok(_) if self.log().contains("leasehold dev is up") => Ok(()),
                _ => Err(self.log()),
            }
        })
        .await;
        assert!(child.try_wait().expect("the state of dev").is_none(), "{}", self.log());
        Running { child, log: self.folder.path().join("log") }
    }

    /// Runs a command against the running `dev`. Returns its output.
    pub(crate) fn ask(&self, arguments: &[&str]) -> String {
        let mut command = self.leasehold(&["--config", "data/leasehold.toml"]);
        let output = command.args(arguments).output().expect("leasehold");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    }
}

/// A running `dev`.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// The process ids of all its descendants.
    pub(crate) fn descendants(&self) -> Vec<i32> {
        descendants(self.pid())
    }

    /// Its children whose command line contains this word.
    pub(crate) fn children_with(&self, word: &str) -> Vec<i32> {
        children(self.pid()).into_iter().filter(|pid| command_line(*pid).contains(word)).collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// Waits for the end of `dev` and of all these processes.
    pub(crate) async fn ends(mut self, descendants: &[i32]) -> ExitStatus {
        let status = eventually("dev has ended", WITHIN, || {
            let ended = self.child.try_wait().expect("the state of dev");
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            async move { ended.ok_or(log) }
        })
        .await;
        eventually("all of its processes have ended", WITHIN, || async {
            let left: Vec<_> = descendants.iter().filter(|pid| lives(**pid)).map(|pid| command_line(*pid)).collect();
            if left.is_empty() { Ok(()) } else { Err(left) }
        })
        .await;
        status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("a signal");
}

pub(crate) fn command_line(pid: i32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ")
}

/// Whether the process runs and is not a zombie. Not every machine's init process reaps zombies.
fn lives(pid: i32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != "Z")
}

pub(crate) fn descendants(pid: i32) -> Vec<i32> {
    children(pid).into_iter().flat_map(|child| [vec![child], descendants(child)].concat()).collect()
}

fn children(parent: i32) -> Vec<i32> {
    let entries = fs::read_dir(Path::new("/proc")).expect("/proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|(_, its_parent)| its_parent == parent)).collect()
}

fn stat(pid: i32) -> Option<(String, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}
