//! Makes sure that no worker outlives `dev`, even if `dev` is killed.
//!
//! A death signal from the kernel, which the servers get, is either TERM or KILL. After TERM alone, a frozen worker, or
//! a worker in its grace, would live on. After KILL alone, the commands of a worker would live on. So a small shell
//! leads the process group of the fleet, waits for the end of this process, and ends the group in steps.

use crate::failure::Failure;
use std::process::Stdio;
use tokio::process::{Child, ChildStdin, Command};

const SCRIPT: &str = include_str!("undertaker.sh");

/// The shell that waits for the end of this process.
pub(super) struct Undertaker {
    shell: Child,
    group: i32,
    /// The kernel closes this pipe when this process ends.
    alive: ChildStdin,
}

impl Undertaker {
    pub(super) fn start() -> Result<Self, Failure> {
        let failed = |why: String| Failure::new(format!("starting /bin/sh, which watches over the workers: {why}"));
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "leasehold-undertaker"])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let alive = shell.stdin.take().ok_or_else(|| failed("the shell has no standard input".to_owned()))?;
        let id = shell.id().ok_or_else(|| failed("the shell ended at once".to_owned()))?;
        Ok(Self { shell, group: id.cast_signed(), alive })
    }

    /// The process group for the fleet.
    pub(super) fn group(&self) -> i32 {
        self.group
    }

    /// Ends the shell and every process that is left in the group.
    pub(super) async fn release(self) {
        let Self { mut shell, alive, .. } = self;
        drop(alive);
        // The id belongs to our shell until we wait for it. An error means that the shell has ended.
        let _ = shell.wait().await;
    }
}
