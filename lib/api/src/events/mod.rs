//! `GET /v1/events`: hints of what changed, as Server-Sent Events.
//!
//! One task of the server (`attendant`) finds what changed, for all clients together: 500 clients need as many connections to Redis and to
//! PostgreSQL as one client. The task writes into one ring of bounded length (`ring`). Each client (`stream`) has a position in the ring and no
//! buffer of its own, so a slow client costs no memory: it gets `resync` when the ring has gone on without it. `hub` knows what clients
//! watch. Nobody watches: nothing is asked.
//!
//! An event says that something has changed, and the client then asks for what it needs. Events can be lost only where a `resync` says so,
//! or for ends that no worker tells of (such as a cancel by SQL) when only their queue is watched.

mod attendant;
mod hub;
mod ring;
mod routes;
mod stream;

pub(crate) use hub::Hub;
pub(crate) use routes::{__path_events, events};
