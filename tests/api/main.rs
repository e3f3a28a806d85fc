//! What processes report about themselves over HTTP, on real stores.

mod member;
mod reaper;
mod worker;
