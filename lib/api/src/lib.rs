//! HTTP. Serves `/healthz`, `/readyz` and `/metrics` of workers and reapers, and, with the feature `v1`, the interface of
//! `leasehold api` for clients and workers in any language.
//!
//! - `listen` binds an address and serves the paths of `vitals`, whose answers `lib/telemetry` makes.
//! - `server` accepts the connections of `leasehold api` and bounds what each may use; `connection` is one of them.
//! - `routes` has all paths. `jobs`, `groups` (graphs and batches), `queues` and `rules` (limits and schedules) are for
//!   clients. `claim` and `runs` are for workers. `api` is what all requests share.
//! - `guard` refuses web pages of other sites.
//! - `extract` and `fields` read requests, so that an error names every bad field. `errors` has the one form of errors.
//!
//! Nothing here decides about jobs: every verb is that of `lib/client` or of the stores.

#[cfg(feature = "v1")]
mod answer;
#[cfg(feature = "v1")]
mod api;
#[cfg(feature = "v1")]
mod claim;
#[cfg(feature = "v1")]
mod connection;
mod error;
#[cfg(feature = "v1")]
mod errors;
#[cfg(feature = "v1")]
mod extract;
#[cfg(feature = "v1")]
mod fields;
#[cfg(feature = "v1")]
mod groups;
#[cfg(feature = "v1")]
mod guard;
#[cfg(feature = "v1")]
mod jobs;
#[cfg(feature = "v1")]
mod limits;
mod listen;
#[cfg(feature = "v1")]
mod observe;
#[cfg(feature = "v1")]
mod queues;
#[cfg(feature = "v1")]
mod routes;
#[cfg(feature = "v1")]
mod rules;
#[cfg(feature = "v1")]
mod runs;
#[cfg(feature = "v1")]
mod server;
#[cfg(feature = "v1")]
mod turns;
mod vitals;

#[cfg(feature = "v1")]
pub use api::{Api, ReadDuration, ReadJob, ReadNode, Settings};
pub use error::Error;
pub use listen::{Listener, Served};
#[cfg(feature = "v1")]
pub use routes::description;
#[cfg(feature = "v1")]
pub use server::{Server, StartError};
