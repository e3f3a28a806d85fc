//! The conformance suite of the store, on a real PostgreSQL: one file a verb. Each says that it works, that a stale
//! fence and an illegal state change nothing, and that two at once leave one winner.

mod bury;
mod cancel;
mod cancel_run;
mod checks;
mod claim;
mod claim_line;
mod complete;
mod connect;
mod enqueue;
mod expire;
mod failover;
mod fixture;
mod functions;
mod life;
mod lifecycle;
mod limits;
mod line;
mod locked_out;
mod look;
mod migrate;
mod migrate_functions;
mod note_repairs;
mod old_schema;
mod pause;
mod plans;
mod promote;
mod purge;
mod reading;
mod release;
mod renew;
mod retain;
mod retry;
mod revive;
mod server;
mod sessions;
mod snooze;
mod statement_limits;
mod stats;
mod subject;
mod unblock;
mod violations;

/// What stands between the store and the server in this suite.
const POOLER: leasehold_store::Pooler = leasehold_store::Pooler::None;
