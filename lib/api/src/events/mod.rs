//! `GET /v1/events`: hints of what changed, as Server-Sent Events.
//!
//! One task of the server (`attendant`) finds what changed, for all clients together: 500 clients need as many connections to Redis and to
//! PostgreSQL as one client. The task writes into one ring of bounded length (`ring`). Each client (`stream`) has only a position
//! in the ring and no buffer, so a slow client costs no memory: it gets `resync` when the ring has overwritten its position.
//! `hub` has the queues and jobs that clients watch. While no client watches, the task sends no queries.
//!
//! An event says that something has changed, and the client then requests the data that it needs. Events can be lost in two cases
//! only: a `resync` reports the loss; or no worker publishes the end (such as a cancel by SQL), and only its queue is watched.

mod attendant;
mod hub;
mod ring;
mod routes;
mod stream;

pub(crate) use hub::Hub;
pub(crate) use routes::{__path_events, events};
