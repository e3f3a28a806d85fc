//! HTTP. Serves `/healthz`, `/readyz` and `/metrics` of workers and reapers, and, with the feature `v1`, the interface of
//! `leasehold api` for clients and workers in any language.
//!
//! - `listen` binds an address and serves the paths of `vitals`, whose answers `lib/telemetry` makes.
//! - `server` accepts the connections of `leasehold api` and bounds what each may use; `connection` is one of them. `tls` has its
//!   certificate.
//! - `routes` has all paths. `jobs`, `groups` (graphs and batches), `queues` and `rules` (limits and schedules) are for
//!   clients. `claim` and `runs` are for workers. `webhooks` sends messages about ended jobs to other systems. `operations`
//!   changes all jobs of a filter. `events` reports changes to clients. `times` says how long jobs waited and ran. `scale` is for
//!   autoscalers, and `keda` for KEDA, over gRPC. `api` is the state that all requests share.
//! - `auth` checks tokens and scopes. `guard` refuses web pages of other sites while there are no tokens.
//! - `extract` and `fields` read requests, so that an error names every bad field. `errors` has the one form of errors.
//!
//! This crate does not decide about jobs: `lib/client` and the stores have all the verbs.

#[cfg(feature = "v1")]
mod answer;
#[cfg(feature = "v1")]
mod api;
#[cfg(feature = "v1")]
mod auth;
#[cfg(feature = "v1")]
mod claim;
#[cfg(feature = "v1")]
mod connection;
mod error;
#[cfg(feature = "v1")]
mod errors;
#[cfg(feature = "v1")]
mod events;
#[cfg(feature = "v1")]
mod extract;
#[cfg(feature = "v1")]
mod fields;
#[cfg(feature = "v1")]
mod fleet;
#[cfg(feature = "v1")]
mod groups;
#[cfg(feature = "v1")]
mod guard;
#[cfg(feature = "v1")]
mod jobs;
#[cfg(feature = "v1")]
mod keda;
#[cfg(feature = "v1")]
mod limits;
mod listen;
#[cfg(feature = "v1")]
mod measures;
#[cfg(feature = "v1")]
mod observe;
#[cfg(feature = "v1")]
mod operations;
#[cfg(feature = "v1")]
mod queues;
#[cfg(feature = "v1")]
mod routes;
#[cfg(feature = "v1")]
mod rules;
#[cfg(feature = "v1")]
mod runs;
#[cfg(feature = "v1")]
mod scale;
#[cfg(feature = "v1")]
mod server;
#[cfg(feature = "v1")]
mod times;
#[cfg(feature = "v1")]
mod tls;
#[cfg(feature = "v1")]
mod turns;
mod vitals;
#[cfg(feature = "v1")]
mod webhooks;

#[cfg(feature = "v1")]
pub use api::{Api, ReadDuration, ReadJob, ReadNode, Settings};
#[cfg(feature = "v1")]
pub use auth::Auth;
pub use error::Error;
#[cfg(feature = "v1")]
pub use keda::KedaServer;
pub use listen::{Listener, Served};
#[cfg(feature = "v1")]
pub use measures::Measures;
#[cfg(feature = "v1")]
pub use operations::Operations;
#[cfg(feature = "v1")]
pub use routes::description;
#[cfg(feature = "v1")]
pub use server::{Server, StartError};
#[cfg(feature = "v1")]
pub use tls::{Tls, TlsError};
#[cfg(feature = "v1")]
pub use webhooks::{WebhookSettings, Webhooks};
