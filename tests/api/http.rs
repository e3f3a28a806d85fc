//! Sends one request over a separate connection, byte by byte: the tests must see what a client sees.

use crate::member::SOON;
use leasehold_tests::Stores;
use serde_json::Value;
use std::collections::BTreeMap;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::member::Member;

/// An answer with its headers.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of an error, after a check of its form.
    pub(crate) fn code(&self) -> String {
        let json = self.json();
        assert_eq!(self.headers.get("content-type").map(String::as_str), Some("application/json"), "{self:?}");
        assert!(json["error"]["message"].is_string(), "{self:?}");
        json["error"]["code"].as_str().unwrap_or_else(|| panic!("no code in {self:?}")).to_owned()
    }

    /// The pointers of the fields that an error names.
    pub(crate) fn pointers(&self) -> Vec<String> {
        let details = self.json()["error"]["details"].as_array().cloned().unwrap_or_default();
        let pointer = |detail: &Value| detail["pointer"].as_str().expect("a pointer").to_owned();
        details.iter().map(pointer).collect()
    }
}

/// A `leasehold api` on these stores, with a reaper beside it.
pub(crate) struct Served {
    pub(crate) api: Member,
    _reaper: Member,
}

impl Served {
    pub(crate) fn start(stores: &Stores) -> Self {
        let reaper = Member::start(stores, &stores.database.url, &["reaper"]);
        Self { api: Member::start(stores, &stores.database.url, &["api"]), _reaper: reaper }
    }

    /// Of a server and a reaper that run.
    pub(crate) fn of(api: Member, reaper: Member) -> Self {
        Self { api, _reaper: reaper }
    }

    /// The same; the server has more settings.
    pub(crate) fn start_with(stores: &Stores, settings: &[(&str, &str)]) -> Self {
        let reaper = Member::start(stores, &stores.database.url, &["reaper"]);
        Self { api: Member::start_with(stores, &stores.database.url, &["api"], settings), _reaper: reaper }
    }

    /// The same; the server reaches PostgreSQL through a pooler in transaction mode.
    pub(crate) async fn start_through_pooler(stores: &Stores) -> Self {
        let reaper = Member::start(stores, &stores.database.url, &["reaper"]);
        let url = stores.database.url_through_pgbouncer().await;
        let pooler = [("LEASEHOLD_DATABASE__POOLER", "transaction")];
        Self { api: Member::start_with(stores, &url, &["api"], &pooler), _reaper: reaper }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        send(self.api.address(), &request("GET", path, &[], "")).await
    }

    pub(crate) async fn with(&self, method: &str, path: &str, body: &Value) -> Reply {
        let json = [("content-type", "application/json")];
        send(self.api.address(), &request(method, path, &json, &body.to_string())).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.post_text(path, &body.to_string()).await
    }

    pub(crate) async fn post_text(&self, path: &str, body: &str) -> Reply {
        send(self.api.address(), &request("POST", path, &[("content-type", "application/json")], body)).await
    }

    /// Enqueues a job of this kind. Returns its id.
    pub(crate) async fn enqueue(&self, kind: &str) -> String {
        let reply = self.post("/v1/jobs", &serde_json::json!({ "kind": kind })).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.json()["id"].as_str().expect("an id").to_owned()
    }
}

/// The bytes of a request on a connection that ends with the answer.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}

/// Sends the request and reads the answer.
pub(crate) async fn send(address: &str, request: &str) -> Reply {
    let sent = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        std::io::Result::Ok(bytes)
    };
    let bytes = tokio::time::timeout(SOON, sent).await.expect("an answer in time").expect("an answer");
    parse(&bytes)
}

pub(crate) fn parse(bytes: &[u8]) -> Reply {
    let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
    let header = |line: &str| {
        let (name, value) = line.split_once(':').expect("a header");
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    Reply { status, headers: lines.map(header).collect(), text: body.to_owned() }
}
