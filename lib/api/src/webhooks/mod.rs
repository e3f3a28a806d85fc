//! Webhooks: messages to other systems about ended jobs.
//!
//! A delivery is a job of the queue `leasehold.webhooks`, which the end of another job has made in its own transaction (the SQL
//! function `webhook_ended`). `keeper` runs a worker for this queue and keeps everything in order. `delivery` is one run.
//! `endpoints` and `deliveries` are the paths, and `words` has their bodies.

mod deliveries;
mod delivery;
mod endpoints;
mod keeper;
mod words;

pub(crate) use deliveries::{__path_deliveries, __path_replay, __path_test, deliveries, replay, test};
pub(crate) use endpoints::{
    __path_change, __path_list, __path_make, __path_remove, __path_rotate, __path_show, change, list, make, remove,
    rotate, show,
};
pub use keeper::{WebhookSettings, Webhooks};
