//! The conformance suite of the store, on a real PostgreSQL: one file a verb. Each says that it works, that a stale
//! fence and an illegal state change nothing, and that two at once leave one winner.

mod fixture;
mod smoke;
