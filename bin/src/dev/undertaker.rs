//! What makes sure that no worker outlives `dev`, not even one that is killed.
//!
//! A death signal from the kernel (as the servers get one) would be a single TERM or a KILL. A TERM leaves a
//! worker that is frozen or waits out its grace; a KILL leaves the commands that it runs. So a small shell
//! leads the process group of the whole fleet, waits for the end of this process, and ends the group in steps.

use crate::failure::Failure;
use std::process::Stdio;
use tokio::process::{Child, ChildStdin, Command};

const SCRIPT: &str = include_str!("undertaker.sh");

/// The shell that waits for our end.
pub(super) struct Undertaker {
    shell: Child,
    group: i32,
    /// Closed by the kernel when this process ends.
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
        let alive = shell.stdin.take().ok_or_else(|| failed("it has no standard input".to_owned()))?;
        let id = shell.id().ok_or_else(|| failed("it ended at once".to_owned()))?;
        Ok(Self { shell, group: id.cast_signed(), alive })
    }

    /// The process group that the fleet belongs in.
    pub(super) fn group(&self) -> i32 {
        self.group
    }

    /// Lets it go, and with it whatever may be left.
    pub(super) async fn release(self) {
        let Self { mut shell, alive, .. } = self;
        drop(alive);
        // Ours until it is waited for; an error means that it is gone.
        let _ = shell.wait().await;
    }
}
