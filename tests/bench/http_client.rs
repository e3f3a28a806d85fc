//! `leasehold api` as a child process, and one client of it: a connection that stays open, with one request at a time.

use crate::lab::Lab;
use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
    process::Child,
};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

/// A server and a reaper, as in a small fleet.
pub(crate) struct Server {
    api: Child,
    reaper: Child,
    address: String,
}

impl Server {
    /// Makes the schema, starts both processes, and waits until the server listens.
    pub(crate) async fn start(lab: &Lab) -> Result<Self> {
        let migrated = lab.leasehold().args(["migrate", "up"]).stdout(Stdio::null()).status().await;
        ensure!(migrated.context("making the schema")?.success(), "leasehold migrate failed");
        let mut reaper = lab.leasehold();
        reaper.arg("reaper").stdout(Stdio::null()).stderr(Stdio::null());
        let mut api = lab.leasehold();
        api.args(["api", "--listen", "127.0.0.1:0"]).env("LEASEHOLD_LOG__FORMAT", "json");
        // The default of the server, not the default of one of many workers.
        api.env_remove("LEASEHOLD_DATABASE__MAX_CONNECTIONS").stdout(Stdio::null()).stderr(Stdio::piped());
        let mut api = api.spawn().context("starting leasehold api")?;
        let mut log = BufReader::new(api.stderr.take().context("the log of leasehold api")?).lines();
        let address = loop {
            let line = log.next_line().await?.context("leasehold api has ended")?;
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(address) = line["address"].as_str() {
                break address.to_owned();
            }
        };
        // Read to its end, so that the server does not wait for a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Ok(Self { api, reaper: reaper.spawn().context("starting a reaper")?, address })
    }

    /// Ends both processes, and waits for their ends: only then the kernel tells their CPU time.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.api.kill().await?;
        Ok(self.reaper.kill().await?)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.api.id().unwrap_or_default()
    }

    pub(crate) async fn client(&self) -> Result<Client> {
        let stream = TcpStream::connect(&self.address).await.context("connecting to leasehold api")?;
        stream.set_nodelay(true)?;
        let (requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = AbortOnDropHandle::new(tokio::spawn(async move {
            // An error is the answer to the request.
            let _ = connection.await;
        }));
        Ok(Client { requests, _connection: connection, host: self.address.clone(), worker: Uuid::now_v7() })
    }
}

/// A client that is a worker too.
pub(crate) struct Client {
    requests: http1::SendRequest<Full<Bytes>>,
    _connection: AbortOnDropHandle<()>,
    host: String,
    worker: Uuid,
}

impl Client {
    /// The answer to a request, which must succeed.
    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Result<Value> {
        let request = Request::post(path).header("host", &self.host).header("content-type", "application/json");
        let request = request.body(Full::new(Bytes::from(body.to_string())))?;
        self.requests.ready().await?;
        let answer = self.requests.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            bail!("POST {path}: {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(serde_json::from_slice(&body)?)
    }

    /// A sample of `/metrics`, by its name.
    pub(crate) async fn sample(&mut self, name: &str) -> Result<f64> {
        let request = Request::get("/metrics").header("host", &self.host).body(Full::new(Bytes::new()))?;
        self.requests.ready().await?;
        let answer = self.requests.send_request(request).await?.into_body().collect().await?.to_bytes();
        let text = String::from_utf8_lossy(&answer);
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.with_context(|| format!("{name} is not among the metrics"))
    }

    /// Claims up to so many jobs.
    pub(crate) async fn claim(&mut self, queue: &str, max: usize, wait_ms: u64) -> Result<Vec<Value>> {
        let claim = json!({ "worker": self.worker, "max": max, "wait_ms": wait_ms });
        let mut answer = self.post(&format!("/v1/queues/{queue}/claim"), &claim).await?;
        match answer["jobs"].take() {
            Value::Array(jobs) => Ok(jobs),
            other => bail!("a claim was answered with {other}"),
        }
    }

    /// Completes these jobs in one request.
    pub(crate) async fn settle(&mut self, jobs: &[Value]) -> Result<()> {
        let end = |job: &Value| json!({ "id": job["id"], "epoch": job["epoch"], "outcome": "complete" });
        let ends: Vec<Value> = jobs.iter().map(end).collect();
        let answer = self.post("/v1/jobs/settle", &json!({ "worker": self.worker, "runs": ends })).await?;
        let written = answer["runs"].as_array().into_iter().flatten().filter(|run| run["state"] == "succeeded").count();
        ensure!(written == jobs.len(), "{written} of {} jobs were settled: {answer}", jobs.len());
        Ok(())
    }
}
