//! Claims of HTTP workers.
//!
//! Claims that wait are parked in one lane for each queue (`lane`), in order of arrival, with no connection of their own. The lane
//! takes hints as a worker does and claims for the clients that wait. The lane owns the claim, not the request: if the client has
//! gone, or if the answer could not be delivered, the run is released (`handover`). PostgreSQL is told which answers were written, in case
//! this process dies (`delivery`). `workers` knows the clients. `announce` tells about them. `dispatcher` has what the lanes share, `routes` the
//! request and its answer.

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
