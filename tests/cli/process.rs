//! Programs that run during a test. The test can ask them to stop, and they end with the test.

use crate::fixture::{Ran, Scene};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    io::Read,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// A program that runs during the test.
pub(crate) struct Background {
    child: Child,
    stdout: Output,
    stderr: Output,
}

/// The output of a program so far. It is read continuously, so that no pipe fills up.
struct Output {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Output {
    fn of(mut from: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut piece) {
                into.lock().expect("no panic").extend_from_slice(&piece[..count]);
            }
        });
        Self { text, reader: Some(reader) }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().expect("no panic")).into_owned()
    }

    fn whole(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader of the output");
        }
        self.so_far()
    }
}

impl Background {
    /// Starts `leasehold` with these arguments and environment variables on the stores of the scene.
    pub(crate) fn start(scene: &Scene, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = scene.command(args);
        command.envs(variables.iter().copied());
        Self::spawn(command)
    }

    /// Starts any command.
    pub(crate) fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("starting the program");
        let stdout = Output::of(child.stdout.take().expect("the standard output"));
        let stderr = Output::of(child.stderr.take().expect("standard error"));
        Self { child, stdout, stderr }
    }

    /// A worker that runs the commands of `each` for the queue `q`, and a reaper.
    pub(crate) fn fleet(scene: &Scene) -> [Self; 2] {
        let quick = [("LEASEHOLD_WORKER__BACKOFF_BASE_MS", "100"), ("LEASEHOLD_WORKER__LEASE_MS", "5000")];
        let worker = Self::start(scene, &["worker", "--queue", "q=4", "--commands"], &quick);
        [worker, Self::start(scene, &["reaper"], &quick)]
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the program has written to standard error so far.
    pub(crate) fn said(&self) -> String {
        self.stderr.so_far()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")), signal).expect("sending a signal");
    }

    /// Waits until standard error contains these words.
    pub(crate) async fn says(&self, words: &str) {
        leasehold_tests::eventually(words, Duration::from_secs(20), async || {
            let said = self.stderr.so_far();
            if said.contains(words) { Ok(()) } else { Err(said) }
        })
        .await;
    }

    /// Waits until standard output contains this many complete lines.
    pub(crate) async fn prints(&self, lines: usize) {
        leasehold_tests::eventually("lines on standard output", Duration::from_secs(20), async || {
            let printed = self.stdout.so_far();
            if printed.matches('\n').count() >= lines { Ok(()) } else { Err(printed) }
        })
        .await;
    }

    /// Sends the signal again and again until the program ends. A signal too many does no harm, and a signal that comes
    /// too early has no effect.
    pub(crate) fn signalled_to_its_end(mut self, signal: Signal, within: Duration) -> Ran {
        let begun = Instant::now();
        while self.child.try_wait().expect("asking for the exit status").is_none() {
            assert!(begun.elapsed() < within, "the program still runs after {within:?}");
            self.signal(signal);
            std::thread::sleep(Duration::from_millis(50));
        }
        self.ended(within)
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn stop(self) -> Ran {
        self.signal(Signal::SIGTERM);
        self.ended(Duration::from_secs(30))
    }

    /// Waits for the end of the program.
    pub(crate) fn ended(mut self, within: Duration) -> Ran {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("asking for the exit status") {
                break status;
            }
            assert!(begun.elapsed() < within, "the program still runs after {within:?}");
            std::thread::sleep(Duration::from_millis(10));
        };
        let (stdout, stderr) = (self.stdout.whole(), self.stderr.whole());
        Ran { code: status.code().unwrap_or(-1), stdout, stderr }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
