//! Claims of HTTP workers.
//!
//! Claims that wait are parked in one lane for each queue (`lane`), in order of arrival, without a connection to a store. The
//! lane takes hints as a worker does and claims for the waiting clients. The lane owns the claim, not the request: if the client
//! has disconnected, or if the answer could not be delivered, the run is released (`handover`). `delivery` notes in PostgreSQL
//! which answers were written, in case this process dies. `workers` has the known clients, and `announce` announces them in
//! Redis. `dispatcher` has the state that the lanes share, and `routes` has the request and its answer.

mod announce;
mod delivery;
mod dispatcher;
mod handover;
mod lane;
mod releases;
mod routes;
mod waiter;
mod workers;

pub(crate) use dispatcher::Dispatcher;
pub(crate) use handover::HandedOver;
pub(crate) use routes::{__path_claim, claim};
