//! A stub of the API server of Kubernetes: lists of pods, and merge patches of single pods, over TLS with its own certificate
//! authority.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use leasehold_kubernetes::Account;
use leasehold_tests::private_folder;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    fs,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub(crate) const NAMESPACE: &str = "fleet";
const COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// Fewer than a client may ask for, so that a few pods are several pages.
const PAGE_MAX: usize = 2;

/// How the server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Serves,
    /// With this status, and this `Retry-After`.
    Refuses(u16, Option<u64>),
    Hangs,
    /// Accepts no new connections, and closes the open ones.
    Closes,
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    /// The token without its prefix.
    pub(crate) token: String,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) status: u16,
}

struct State {
    mode: Mode,
    tokens: BTreeSet<String>,
    pods: BTreeMap<String, Value>,
    /// Patches of these pods are refused with this status; for 409 once.
    refused: BTreeMap<String, u16>,
    seen: Vec<Seen>,
    connections: usize,
}

/// The server. It ends with the test.
pub(crate) struct ApiServer {
    state: Arc<Mutex<State>>,
    pub(crate) address: SocketAddr,
    authority: String,
    folder: TempDir,
}

impl ApiServer {
    pub(crate) async fn start() -> Self {
        let (acceptor, authority) = certificate();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let state = State {
            mode: Mode::Serves,
            tokens: BTreeSet::new(),
            pods: BTreeMap::new(),
            refused: BTreeMap::new(),
            seen: Vec::new(),
            connections: 0,
        };
        let state = Arc::new(Mutex::new(state));
        let served = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if served.lock().expect("the state").mode == Mode::Closes {
                    continue;
                }
                served.lock().expect("the state").connections += 1;
                let (acceptor, served) = (acceptor.clone(), Arc::clone(&served));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| answer(Arc::clone(&served), request));
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { state, address, authority, folder: private_folder() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the state")
    }

    /// A service account with its own token, as a pod has it.
    pub(crate) fn account(&self, name: &str) -> Account {
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("ca.crt"), &self.authority).expect("written");
        fs::write(folder.join("namespace"), NAMESPACE).expect("written");
        let account = Account { host: Some(self.address.ip().to_string()), port: Some(self.address.port()), folder };
        self.rotate(&account, None, name);
        account
    }

    /// Writes a new token into an account. The old one is not valid any more.
    pub(crate) fn rotate(&self, account: &Account, old: Option<&str>, new: &str) {
        let mut state = self.state();
        if let Some(old) = old {
            state.tokens.remove(old);
        }
        state.tokens.insert(new.to_owned());
        // With a line break at the end, as editors and shells write it.
        fs::write(account.folder.join("token"), format!("{new}\n")).expect("written");
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.state().mode = mode;
    }

    /// Patches of this pod are refused with this status; with 409 only the next one.
    pub(crate) fn refuse_patches_of(&self, pod: &str, status: u16) {
        self.state().refused.insert(pod.to_owned(), status);
    }

    /// Adds a pod with the label `app` and, if it has one, its cost.
    pub(crate) fn add(&self, name: &str, app: &str, cost: Option<&str>) {
        let mut pod = json!({
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": app}, "annotations": {"of": "its own"}},
            "spec": {"containers": [{"name": "worker", "image": "mail:1"}]},
        });
        if let Some(cost) = cost {
            pod["metadata"]["annotations"][COST] = json!(cost);
        }
        self.state().pods.insert(name.to_owned(), pod);
    }

    /// The pod is being deleted.
    pub(crate) fn end(&self, name: &str) {
        self.state().pods.get_mut(name).expect("a pod")["metadata"]["deletionTimestamp"] =
            json!("2026-01-01T00:00:00Z");
    }

    pub(crate) fn pod(&self, name: &str) -> Value {
        self.state().pods[name].clone()
    }

    /// The costs of all pods that have one.
    pub(crate) fn costs(&self) -> BTreeMap<String, String> {
        let state = self.state();
        let cost = |pod: &Value| Some(pod["metadata"]["annotations"][COST].as_str()?.to_owned());
        state.pods.iter().filter_map(|(name, pod)| Some((name.clone(), cost(pod)?))).collect()
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// The first pages of lists so far: rounds of reapers.
    pub(crate) fn rounds(&self) -> usize {
        self.seen().iter().filter(|seen| seen.method == Method::GET && !seen.query.contains_key("continue")).count()
    }

    /// The pods that were patched so far, in order.
    pub(crate) fn patched(&self) -> Vec<String> {
        let patches = self.seen().into_iter().filter(|seen| seen.method == Method::PATCH && seen.status == 200);
        patches.map(|seen| seen.path.rsplit('/').next().expect("a name").to_owned()).collect()
    }

    pub(crate) fn connections(&self) -> usize {
        self.state().connections
    }
}

fn certificate() -> (TlsAcceptor, String) {
    let (of_authority, key) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&of_authority).expect("a certificate").pem();
    let issuer = Issuer::new(params, of_authority);
    let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    let own = own.signed_by(&key, &issuer).expect("a certificate").pem();
    let chain = vec![CertificateDer::from_pem_slice(own.as_bytes()).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("a key");
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    (TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).expect("the certificate"))), authority)
}

async fn answer(state: Arc<Mutex<State>>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let header =
        |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let query = head.uri.query().unwrap_or_default();
    let mut seen = Seen {
        at: Instant::now(),
        token: header("authorization").strip_prefix("Bearer ").unwrap_or_default().to_owned(),
        method: head.method,
        path: head.uri.path().to_owned(),
        query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        status: 0,
    };
    let (status, retry_after, body) = {
        let mut state = state.lock().expect("the state");
        let (status, retry_after, body) = state.respond(&seen, &header("accept"), &header("content-type"), &body);
        seen.status = status;
        state.seen.push(seen);
        (status, retry_after, body)
    };
    if status == 0 {
        return std::future::pending().await;
    }
    let mut response = Response::builder().status(status).header("content-type", "application/json");
    if let Some(seconds) = retry_after {
        response = response.header("retry-after", seconds);
    }
    if status == 503 {
        response = response.header("connection", "close");
    }
    Ok(response.body(Full::new(body.to_string().into())).expect("a response"))
}

/// A refusal as the API server words it.
fn refusal(status: u16, message: &str) -> (u16, Option<u64>, Value) {
    (status, None, json!({"kind": "Status", "status": "Failure", "code": status, "message": message}))
}

impl State {
    /// Status 0: no answer.
    fn respond(&mut self, seen: &Seen, accept: &str, kind: &str, body: &[u8]) -> (u16, Option<u64>, Value) {
        match &self.mode {
            Mode::Serves => {}
            Mode::Refuses(status, retry_after) => {
                let (status, _, body) = refusal(*status, "pods is forbidden: told to refuse");
                return (status, *retry_after, body);
            }
            Mode::Hangs => return (0, None, Value::Null),
            Mode::Closes => return refusal(503, "the server ends"),
        }
        if !self.tokens.contains(&seen.token) {
            return refusal(401, "Unauthorized");
        }
        let base = format!("/api/v1/namespaces/{NAMESPACE}/pods");
        match (&seen.method, seen.path.strip_prefix(&base)) {
            (&Method::GET, Some("")) => self.list(seen, accept),
            (&Method::PATCH, Some(path)) => self.patch(path.trim_start_matches('/'), kind, body),
            _ => refusal(404, "the server could not find the requested resource"),
        }
    }

    fn list(&self, seen: &Seen, accept: &str) -> (u16, Option<u64>, Value) {
        let limit: usize = seen.query["limit"].parse().expect("a limit");
        let selector = &seen.query["labelSelector"];
        let has = |pod: &Value| {
            selector.split(',').all(|term| {
                let (label, value) = term.split_once('=').expect("a term");
                pod["metadata"]["labels"][label] == value
            })
        };
        let after = seen.query.get("continue").cloned().unwrap_or_default();
        let found: Vec<&Value> = self
            .pods
            .range(after.clone()..)
            .filter(|(name, _)| **name > after)
            .map(|(_, pod)| pod)
            .filter(|pod| has(pod))
            .collect();
        let page = &found[..found.len().min(limit).min(PAGE_MAX)];
        let is_short = accept.contains("as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");
        let items: Vec<Value> = page
            .iter()
            .map(|pod| if is_short { json!({"metadata": pod["metadata"]}) } else { (*pod).clone() })
            .collect();
        let mut metadata = json!({"resourceVersion": "7"});
        if page.len() < found.len() {
            metadata["continue"] = page.last().expect("a pod")["metadata"]["name"].clone();
        }
        let kind = if is_short { "PartialObjectMetadataList" } else { "PodList" };
        (200, None, json!({"kind": kind, "metadata": metadata, "items": items}))
    }

    fn patch(&mut self, name: &str, kind: &str, body: &[u8]) -> (u16, Option<u64>, Value) {
        if kind != "application/merge-patch+json" {
            return refusal(415, "the body of the request was in an unknown format");
        }
        match self.refused.get(name) {
            Some(409) => {
                self.refused.remove(name);
                return refusal(409, "the object has been modified");
            }
            Some(status) => return refusal(*status, "told to refuse"),
            None => {}
        }
        let Some(pod) = self.pods.get_mut(name) else { return refusal(404, "pods not found") };
        merge(pod, &serde_json::from_slice(body).expect("JSON"));
        (200, None, json!({"kind": "PartialObjectMetadata", "metadata": pod["metadata"]}))
    }
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            target.as_object_mut().expect("an object").remove(name);
        } else {
            merge(&mut target[name.as_str()], value);
        }
    }
}
