//! Programs that run beside a test: stopped with it, and asked to stop by it.

use crate::fixture::{Ran, Scene};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    io::Read,
    process::{Child, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// A program that runs beside the test.
pub(crate) struct Beside {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

impl Beside {
    /// Starts `leasehold` with these arguments and variables on the stores of the scene.
    pub(crate) fn start(scene: &Scene, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = scene.command(args);
        command.envs(variables.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("starting the program");
        let stdout = child.stdout.take().map(drain);
        let stderr = child.stderr.take().map(drain);
        Self { child, stdout, stderr }
    }

    /// A worker that runs the commands of `each` on the queue `q`, and a reaper.
    pub(crate) fn fleet(scene: &Scene) -> [Self; 2] {
        let quick = [("LEASEHOLD_WORKER__BACKOFF_BASE_MS", "100"), ("LEASEHOLD_WORKER__LEASE_MS", "5000")];
        let worker = Self::start(scene, &["worker", "--queue", "q=4", "--commands"], &quick);
        [worker, Self::start(scene, &["reaper"], &quick)]
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")), signal).expect("sending a signal");
    }

    /// Asks it to stop and waits for it.
    pub(crate) fn stop(self) -> Ran {
        self.signal(Signal::SIGTERM);
        self.ended(Duration::from_secs(30))
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self, within: Duration) -> Ran {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("asking how it is") {
                break status;
            }
            assert!(begun.elapsed() < within, "it still runs after {within:?}");
            std::thread::sleep(Duration::from_millis(10));
        };
        let text = |reader: &mut Option<JoinHandle<String>>| {
            reader.take().map(|reader| reader.join().expect("its output")).unwrap_or_default()
        };
        let (stdout, stderr) = (text(&mut self.stdout), text(&mut self.stderr));
        Ran { code: status.code().unwrap_or(-1), stdout, stderr }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn drain(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
