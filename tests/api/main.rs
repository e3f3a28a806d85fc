//! What processes serve over HTTP, on real stores: what they report about themselves, and the interface of `leasehold api`.

mod broken;
mod claims;
mod http;
mod jobs;
mod member;
mod queues;
mod reaper;
mod server;
mod worker;
