//! One process of the fleet. It is restarted until it is asked to stop.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};
use tokio::{
    process::{Child, Command},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

/// The pause before a dead process is restarted. The pause doubles each time the process dies young.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// A process that lived this long did not die young.
const OLD: Duration = Duration::from_secs(30);
/// How long a worker may take to end its commands after a second signal.
const HURRY: Duration = Duration::from_secs(8);
/// The exit code of a process that was called wrongly: a restart cannot help.
const USAGE: i32 = 2;

/// How to run a process.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// The name for messages.
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    /// Variables to add to the inherited environment. Not arguments: the values hold passwords.
    pub(super) environment: Vec<(String, String)>,
    /// Variables to remove from the inherited environment before.
    pub(super) unset: Vec<String>,
    pub(super) group: i32,
    /// How long the process may take to stop.
    pub(super) patience: Duration,
}

impl Member {
    /// Runs it, again and again, until `stop`; then waits for its end, which `now` hastens. A name sent to
    /// `failed` is that of a member that cannot run at all.
    pub(super) async fn keep(self, stop: CancellationToken, now: CancellationToken, failed: mpsc::Sender<String>) {
        let mut pause = PAUSE_FIRST;
        while !stop.is_cancelled() {
            let begun = Instant::now();
            match self.spawn() {
                Ok(mut child) => {
                    tokio::select! {
                        status = child.wait() => self.mourn(status, &failed).await,
                        () = stop.cancelled() => return self.stop(child, &now).await,
                    }
                }
                Err(error) => tracing::error!(member = self.name, %error, "cannot be started"),
            }
            pause = if begun.elapsed() >= OLD { PAUSE_FIRST } else { (pause * 2).min(PAUSE_MAX) };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    fn spawn(&self) -> std::io::Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        for name in &self.unset {
            command.env_remove(name);
        }
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        // What it prints is not our data; its log goes where ours goes.
        command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(self.group);
        command.spawn()
    }

    async fn mourn(&self, status: std::io::Result<ExitStatus>, failed: &mpsc::Sender<String>) {
        match status {
            Ok(status) if status.code() == Some(USAGE) => {
                // Nobody listens any more when another member has failed before.
                let _ = failed.send(self.name.clone()).await;
            }
            Ok(status) => tracing::warn!(member = self.name, %status, "has ended; starting another in its place"),
            Err(error) => tracing::error!(member = self.name, %error, "cannot be waited for"),
        }
    }

    async fn stop(&self, mut child: Child, now: &CancellationToken) {
        signal(&child, Signal::SIGTERM);
        // A frozen one cannot hear it.
        signal(&child, Signal::SIGCONT);
        tokio::select! {
            _ = child.wait() => return,
            () = tokio::time::sleep(self.patience) => {}
            () = now.cancelled() => {
                signal(&child, Signal::SIGTERM);
                if tokio::time::timeout(HURRY, child.wait()).await.is_ok() {
                    return;
                }
            }
        }
        tracing::warn!(member = self.name, "does not stop; killed");
        // Gone already is as good.
        let _ = child.kill().await;
    }
}

/// The process id cannot belong to another process: the child has not been waited for.
fn signal(child: &Child, signal: Signal) {
    if let Some(id) = child.id() {
        let _ = kill(Pid::from_raw(id.cast_signed()), signal);
    }
}
