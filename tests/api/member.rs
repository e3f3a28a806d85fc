//! Starts the program as a worker, a reaper or an HTTP server that listens, and sends one request.

use leasehold_tests::{Stores, eventually, leasehold_program};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The time limit for every wait, on a machine that may be busy.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A process that listens on a port.
pub(crate) struct Member {
    process: Child,
    address: String,
    log: Arc<Mutex<String>>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The state of one store in the answer of `/readyz`.
    pub(crate) fn store(&self, name: &str) -> Value {
        let stores = self.json()["stores"].as_array().cloned().unwrap_or_default();
        stores.into_iter().find(|store| store["store"] == name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }
}

impl Member {
    /// Runs the program with these arguments on these stores, on a free port, and waits until it listens.
    pub(crate) fn start(stores: &Stores, database_url: &str, arguments: &[&str]) -> Self {
        Self::start_with(stores, database_url, arguments, &[])
    }

    /// The same with more settings.
    pub(crate) fn start_with(
        stores: &Stores,
        database_url: &str,
        arguments: &[&str],
        settings: &[(&str, &str)],
    ) -> Self {
        Self::start_at(stores, database_url, arguments, "127.0.0.1:0", settings)
    }

    /// The same on this address.
    pub(crate) fn start_at(
        stores: &Stores,
        database_url: &str,
        arguments: &[&str],
        listen: &str,
        settings: &[(&str, &str)],
    ) -> Self {
        let mut command = Command::new(leasehold_program());
        command.args(arguments).args(["--listen", listen]).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("LEASEHOLD_DATABASE_URL", database_url).env("LEASEHOLD_REDIS_URL", &stores.redis.url);
        command.env("LEASEHOLD_LOG__FORMAT", "json").env("LEASEHOLD_DATABASE__ACQUIRE_TIMEOUT_MS", "1000");
        command.envs(settings.iter().copied());
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("starting the program");
        let mut log = BufReader::new(process.stderr.take().expect("its log"));
        let mut seen = String::new();
        let address = loop {
            let from = seen.len();
            assert!(log.read_line(&mut seen).expect("reading its log") > 0, "it ended: {seen}");
            let line: Value = serde_json::from_str(&seen[from..]).unwrap_or_default();
            if let Some(address) = line["address"].as_str() {
                break address.to_owned();
            }
        };
        // Read its output, so that the process does not block on a full pipe.
        let kept = Arc::new(Mutex::new(seen));
        let keeps = Arc::clone(&kept);
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                keeps.lock().expect("the log").push_str(&format!("{line}\n"));
            }
        });
        Self { process, address, log: kept }
    }

    /// What the process has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    /// Where the process listens.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Kills the process.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("KILL");
        self.process.wait().expect("its end");
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let asked = async {
            let mut stream = TcpStream::connect(&self.address).await?;
            let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        let answer = tokio::time::timeout(SOON, asked).await.expect("an answer in time").expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Answer { status, body: body.to_owned() }
    }

    /// Asks again and again until the answer is the expected one.
    pub(crate) async fn until(&self, path: &str, what: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        eventually(what, SOON, || async {
            let answer = self.get(path).await;
            if wanted(&answer) { Ok(answer) } else { Err(answer) }
        })
        .await
    }

    /// The samples of `/metrics`, by name with labels.
    pub(crate) async fn metrics(&self) -> BTreeMap<String, f64> {
        samples(&self.get("/metrics").await.body)
    }

    /// Tells the process to stop, and does not wait.
    pub(crate) fn terminate(&self) {
        let pid = nix::unistd::Pid::from_raw(self.process.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("TERM");
    }

    /// Stops the process gracefully. Returns whether it ended with success.
    pub(crate) fn stop(mut self) -> bool {
        self.terminate();
        self.process.wait().expect("its end").success()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
            (name.to_owned(), value.parse().unwrap_or_else(|error| panic!("{line}: {error}")))
        })
        .collect()
}
