//! The conformance suite of the store, run through PgBouncer in transaction mode. `main.rs` alone tests what belongs to
//! the database (constraints, functions), and plans, which depend on settings that this suite checks.

mod batches;
mod bulk;
mod bury;
mod cancel;
mod cancel_run;
mod claim;
mod claim_line;
mod client_reads;
mod complete;
mod dead_letter;
mod enqueue;
mod expire;
mod fixture;
mod following;
mod graph_rows;
mod graphs;
mod keep_days;
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
mod pgbouncer;
mod place;
mod priority_step;
mod promote;
mod purge;
mod reading;
mod release;
mod renew;
mod report;
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
mod unique;
mod unique_races;
mod violations;
mod words;

/// The pooler between the store and the server in this suite.
const POOLER: leasehold_store::Pooler = leasehold_store::Pooler::Transaction;
