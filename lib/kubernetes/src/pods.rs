//! The pods of the own namespace that match a label selector, and their deletion costs.

use crate::{
    account::Account,
    connection::{ApiServer, Asked},
    error::Error,
};
use async_trait::async_trait;
use hyper::Method;
use leasehold_ports::{CostWritten, Pod, Pods, PodsError};
use serde::Deserialize;
use serde_json::json;

/// The pods of one page. So the API server holds and sends at most this number in one answer.
pub const PAGE: usize = 500;

/// Of each pod only the metadata is sent. With the rest, a list is ten times as long.
const METADATA_OF_MANY: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;q=0.5";
const METADATA_OF_ONE: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json;q=0.5";

/// The pods of the own namespace that match a label selector.
#[derive(Debug)]
pub struct PodsOfCluster {
    server: ApiServer,
    selector: String,
}

#[derive(Deserialize)]
struct List {
    metadata: Option<ListMetadata>,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct ListMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(rename = "deletionTimestamp")]
    deleted_at: Option<String>,
    annotations: Option<Annotations>,
}

#[derive(Deserialize)]
struct Annotations {
    #[serde(rename = "controller.kubernetes.io/pod-deletion-cost")]
    cost: Option<String>,
}

impl PodsOfCluster {
    /// The pods that match `selector`, such as `app=mail,tier!=test`.
    #[must_use]
    pub fn new(account: Account, selector: String) -> Self {
        Self { server: ApiServer::new(account), selector }
    }

    async fn list(&self) -> Result<Vec<Pod>, Error> {
        let base = self.path()?;
        let (mut pods, mut next) = (Vec::new(), None::<String>);
        loop {
            let asked = Asked {
                doing: "list pods",
                method: Method::GET,
                path: format!("{base}?{}", self.query(next.as_deref())),
                accept: METADATA_OF_MANY,
                body: None,
            };
            let body = self.server.ask(&asked).await?;
            let list: List = serde_json::from_slice(&body).map_err(|error| Error::Answer(error.to_string()))?;
            pods.extend(list.items.into_iter().map(pod));
            next = list.metadata.and_then(|metadata| metadata.next).filter(|next| !next.is_empty());
            if next.is_none() {
                return Ok(pods);
            }
        }
    }

    /// One page: the first one, or the one behind the last page.
    fn query(&self, next: Option<&str>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("labelSelector", &self.selector).append_pair("limit", &PAGE.to_string());
        if let Some(next) = next {
            query.append_pair("continue", next);
        }
        query.finish()
    }

    async fn write(&self, pod: &str, cost: i32) -> Result<CostWritten, Error> {
        let body = json!({"metadata": {"annotations": {
            "controller.kubernetes.io/pod-deletion-cost": cost.to_string(),
        }}});
        let asked = Asked {
            doing: "patch a pod",
            method: Method::PATCH,
            path: format!("{}/{pod}?fieldManager=leasehold", self.path()?),
            accept: METADATA_OF_ONE,
            body: Some(("application/merge-patch+json", body.to_string())),
        };
        match self.server.ask(&asked).await {
            Ok(_) => Ok(CostWritten::Written),
            Err(Error::Refused { status: 404, .. }) => Ok(CostWritten::Gone),
            Err(Error::Refused { status: 409, .. }) => Ok(CostWritten::Conflict),
            Err(error) => Err(error),
        }
    }

    fn path(&self) -> Result<String, Error> {
        // Outside of a pod, an error about the missing variable explains more than an error about the missing file.
        self.server.account.address()?;
        Ok(format!("/api/v1/namespaces/{}/pods", self.server.account.namespace()?))
    }
}

/// A cost that is no number was written by somebody else: it is replaced, like any other cost.
fn pod(item: Item) -> Pod {
    let Metadata { name, deleted_at, annotations } = item.metadata;
    let cost = annotations.and_then(|annotations| annotations.cost);
    Pod { name, cost: cost.map(|cost| cost.parse().ok()), is_ending: deleted_at.is_some() }
}

fn told(error: &Error) -> PodsError {
    PodsError { reason: error.to_string(), retry_after: error.retry_after(), is_throttled: error.is_throttled() }
}

#[async_trait]
impl Pods for PodsOfCluster {
    async fn pods(&self) -> Result<Vec<Pod>, PodsError> {
        self.list().await.map_err(|error| told(&error))
    }

    async fn write_cost(&self, pod: &str, cost: i32) -> Result<CostWritten, PodsError> {
        self.write(pod, cost).await.map_err(|error| told(&error))
    }
}
