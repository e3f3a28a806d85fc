//! A process of the fleet that dies at a given point between two writes: see `tests/mortal`.

use crate::{eventually, stores::Stores};
use leasehold_core::FailPoint;
use nix::sys::signal::Signal;
use std::{
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A running process. A drop kills it.
#[derive(Debug)]
pub struct Mortal(Child);

impl Mortal {
    /// Starts a process with a role. Its leases are short, so that a test need not wait for long.
    ///
    /// `program`: `env!("CARGO_BIN_EXE_mortal")`, which cargo sets only for tests.
    ///
    /// # Panics
    /// The process does not start.
    #[must_use]
    pub fn start(program: &str, role: &[&str], stores: &Stores, folder: &Path, dies_at: Option<FailPoint>) -> Self {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LEASEHOLD_")) {
            command.env_remove(name);
        }
        command
            .args(role)
            .current_dir(folder)
            .env("LEASEHOLD_DATABASE_URL", &stores.database.url)
            .env("LEASEHOLD_REDIS_URL", &stores.redis.url)
            .env("LEASEHOLD_WORKER__LEASE_MS", "1000")
            .env("LEASEHOLD_WORKER__GRACE_MS", "100")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if let Some(point) = dies_at {
            let name = serde_json::to_value(point).expect("a name");
            command.arg("--dies-at").arg(name.as_str().expect("a name"));
        }
        Self(command.spawn().expect("starting a process"))
    }

    /// The process id.
    ///
    /// # Panics
    /// Never: process ids are small.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("a pid")
    }

    /// SIGKILL, as a machine that loses its power.
    ///
    /// # Panics
    /// The signal cannot be sent.
    pub fn kill(mut self) {
        self.0.kill().expect("SIGKILL");
        self.0.wait().expect("its end");
    }

    /// Waits until the process has died at its fail point.
    ///
    /// # Panics
    /// The process continues, or it ended in another way.
    pub async fn dead(mut self) {
        let status = eventually("the process has died at its fail point", TIMEOUT, async || {
            self.0.try_wait().expect("waiting for a process").ok_or("the process runs")
        })
        .await;
        assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "the process must die at its fail point: {status}");
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
