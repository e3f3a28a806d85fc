//! One process of the fleet.

use anyhow::{Context as _, Result};
use leasehold_servers::{Programs, spawn};
use leasehold_tests::forget_clock_of;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

/// A process that ends with this process. A drop kills it.
pub(crate) struct Process {
    child: Child,
    /// The file with its standard output.
    output: PathBuf,
}

impl Process {
    /// Starts a program of the fleet. Its output goes to files of this name in `folder`.
    pub(crate) fn start(
        program: &Path,
        arguments: &[&str],
        environment: &[(&'static str, OsString)],
        folder: &Path,
        name: &str,
    ) -> Result<Self> {
        let mut command = Programs::find().tied(program)?;
        for (variable, _) in std::env::vars_os().filter(|(variable, _)| is_setting(variable)) {
            command.env_remove(variable);
        }
        let output = folder.join(format!("{name}.out"));
        command
            .args(arguments)
            .envs(environment.iter().map(|(variable, value)| (variable, value)))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(File::create(&output)?)
            .stderr(File::create(folder.join(format!("{name}.log")))?);
        let child = spawn(command).with_context(|| format!("starting {}", program.display()))?;
        Ok(Self { child, output })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // The process may have ended. A process that was not waited for keeps its process id.
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), signal);
    }

    /// How the process ended, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for the end of the process. Returns whether it ended in time and with success.
    pub(crate) async fn wait(&mut self, within: Duration) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < within {
            if let Some(status) = self.ended() {
                return status.success();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    /// The standard output of the process.
    pub(crate) fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }
}

/// Settings in the environment of the calling shell must not change the fleet.
fn is_setting(variable: &OsStr) -> bool {
    variable.to_string_lossy().starts_with("LEASEHOLD_")
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        forget_clock_of(self.pid());
    }
}
