//! Processes that may export spans, with their logs.

use crate::collector::SOON;
use leasehold_tests::{Stores, eventually, leasehold_program};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A process with its log. It ends with this value.
pub(crate) struct Process {
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
}

/// The program, with settings for these stores and more settings.
pub(crate) fn command(program: &Path, stores: &Stores, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("LEASEHOLD_DATABASE_URL", &stores.database.url).env("LEASEHOLD_REDIS_URL", &stores.redis.url);
    command.env("LEASEHOLD_LOG__FORMAT", "json").env("LEASEHOLD_WORKER__BACKOFF_BASE_MS", "1");
    command.envs(settings.iter().copied()).current_dir("/").stdin(Stdio::null());
    command
}

impl Process {
    /// Runs `leasehold` with these arguments.
    pub(crate) fn leasehold(stores: &Stores, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let mut command = command(&leasehold_program(), stores, settings);
        command.args(arguments);
        Self::start(command)
    }

    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starting the program");
        let (log, lines) = (Arc::<Mutex<Vec<Value>>>::default(), child.stderr.take().expect("its log"));
        let written = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                written.lock().expect("the log").push(serde_json::from_str(&line).unwrap_or(Value::String(line)));
            }
        });
        Self { child, log }
    }

    pub(crate) fn log(&self) -> Vec<Value> {
        self.log.lock().expect("the log").clone()
    }

    /// The lines that are warnings or errors.
    pub(crate) fn warnings(&self) -> Vec<Value> {
        self.log()
            .into_iter()
            .filter(|line| !matches!(line["level"].as_str(), Some("INFO" | "DEBUG" | "TRACE")))
            .collect()
    }

    /// Where the process listens.
    pub(crate) async fn address(&self) -> String {
        eventually("its address", SOON, || async {
            let log = self.log();
            let address = log.iter().find_map(|line| line["address"].as_str().map(str::to_owned));
            address.ok_or(log)
        })
        .await
    }

    /// Kills the process.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("KILL");
        self.child.wait().expect("its end");
    }

    /// Stops the process. Returns how long that took.
    pub(crate) fn stop(&mut self) -> Duration {
        let begun = Instant::now();
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM).expect("TERM");
        assert!(self.child.wait().expect("its end").success(), "{:?}", self.log());
        begun.elapsed()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `leasehold` to its end.
pub(crate) fn run(stores: &Stores, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut command = command(&leasehold_program(), stores, settings);
    let output = command.args(arguments).output().expect("running the program");
    assert!(output.status.success(), "{output:?}");
    output
}

/// Enqueues a job by the command line. Returns its id.
pub(crate) fn enqueue(stores: &Stores, arguments: &[&str], settings: &[(&str, &str)]) -> String {
    let arguments: Vec<&str> = ["enqueue"].iter().chain(arguments).copied().collect();
    String::from_utf8(run(stores, &arguments, settings).stdout).expect("UTF-8").trim().to_owned()
}

/// Sends a request. Returns the status and the body of the answer.
pub(crate) async fn request(address: &str, head: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let text = format!(
        "{head} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: \
         {length}\r\n{headers}\r\n{body}"
    );
    let sent = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(text.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(SOON, sent).await.expect("an answer in time").expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}

/// Posts JSON. Returns the id in the answer.
pub(crate) async fn post_job(address: &str, headers: &[(&str, &str)], body: &Value) -> String {
    let (status, answer) = request(address, "POST /v1/jobs", headers, &body.to_string()).await;
    assert_eq!(status, 201, "{answer}");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    answer["id"].as_str().expect("an id").to_owned()
}

/// Waits until a job has ended. Returns the row of the view.
pub(crate) async fn ended(stores: &Stores, id: &str) -> Value {
    let show = ["--json", "job", "wait", id, "--timeout", "30s"];
    let mut command = command(&leasehold_program(), stores, &[]);
    let output = command.args(show).output().expect("running the program");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}
