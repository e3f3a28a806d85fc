//! Tests of everything that processes serve over HTTP, on real stores: their reports about themselves, and the interface of
//! `leasehold api`.

mod broken;
mod claims;
mod description;
mod encryption;
mod events;
mod fields;
mod fleet;
mod http;
mod job_webhooks;
mod jobs;
mod keda;
mod kinds;
mod lists;
mod member;
mod nul;
mod operations;
mod progress;
mod queues;
mod reaper;
mod receiver;
mod scale;
mod scopes;
mod server;
mod settles;
mod tls;
mod tokens;
mod traces;
mod webhooks;
mod worker;
