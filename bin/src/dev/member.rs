//! One process of the fleet. It is restarted until it is told to stop.

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

/// The pause before a dead process is restarted. The pause doubles each time the process dies soon after its start.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// A process that lived this long did not die soon after its start.
const OLD: Duration = Duration::from_secs(30);
/// How long a worker may take to end its commands after a second signal.
const HURRY: Duration = Duration::from_secs(8);
/// The exit code of a process with wrong arguments: a restart cannot help.
const USAGE: i32 = 2;

/// How to run a process.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// The name in messages.
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    /// Variables to add to the inherited environment. Not arguments: the values hold passwords.
    pub(super) environment: Vec<(String, String)>,
    /// Variables to remove from the inherited environment first.
    pub(super) unset: Vec<String>,
    pub(super) group: i32,
    /// How long the process may take to stop.
    pub(super) patience: Duration,
}

impl Member {
    /// Runs the process again and again until `stop`. Then waits for its end; `now` shortens the wait. Sends the name
    /// of a process that cannot run at all to `failed`.
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
        // The output of the process is no data of ours; its log goes to our log.
        command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(self.group);
        command.spawn()
    }

    async fn mourn(&self, status: std::io::Result<ExitStatus>, failed: &mpsc::Sender<String>) {
        match status {
            Ok(status) if status.code() == Some(USAGE) => {
                // The receiver has ended if another process has failed before.
                let _ = failed.send(self.name.clone()).await;
            }
            Ok(status) => tracing::warn!(%status, "{} has ended; starting it again", self.name),
            Err(error) => tracing::error!(member = self.name, %error, "waiting for its end failed"),
        }
    }

    async fn stop(&self, mut child: Child, now: &CancellationToken) {
        signal(&child, Signal::SIGTERM);
        // A frozen process cannot react to the signal.
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
        // A process that has already ended needs no kill.
        let _ = child.kill().await;
    }
}

/// The process id cannot belong to another process: the child has not been waited for.
fn signal(child: &Child, signal: Signal) {
    if let Some(id) = child.id() {
        let _ = kill(Pid::from_raw(id.cast_signed()), signal);
    }
}
