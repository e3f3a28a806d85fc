//! The API server of Kubernetes, from within a pod: lists pods by a label selector, and writes their deletion costs. It uses no
//! other resource.
//!
//! - `account` reads what Kubernetes gives each pod: where the API server is, its authority, the namespace and the token.
//! - `connection` sends requests over one connection at a time.
//! - `pods` lists pods and writes their deletion costs: the port [`Pods`](leasehold_ports::Pods).
//!
//! This crate does not decide the cost of a pod: `lib/reaper/src/pods.rs` does.

mod account;
mod connection;
mod error;
mod pods;

pub use account::{Account, FOLDER};
pub use connection::{ANSWERED_WITHIN, CONNECTION_AGE_MAX};
pub use error::Error;
pub use pods::{PAGE, PodsOfCluster};
