//! What processes say of themselves over HTTP, on real stores.

mod member;
mod reaper;
mod worker;
