//! The conformance suite of the store, on a real PostgreSQL: one file for each verb. Each file tests that the verb
//! works, that a stale fence and an illegal state change nothing, and that of two concurrent calls one wins.

mod bury;
mod cancel;
mod cancel_run;
mod checks;
mod claim;
mod claim_line;
mod client_reads;
mod complete;
mod connect;
mod enqueue;
mod expire;
mod failover;
mod fixture;
mod functions;
mod graph_rows;
mod graphs;
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
mod priority_step;
mod promote;
mod purge;
mod reading;
mod release;
mod renew;
mod retain;
mod retry;
mod revive;
mod schedule_rows;
mod schedules;
mod server;
mod sessions;
mod snooze;
mod statement_limits;
mod stats;
mod subject;
mod unblock;
mod violations;

/// The pooler between the store and the server in this suite.
const POOLER: leasehold_store::Pooler = leasehold_store::Pooler::None;
