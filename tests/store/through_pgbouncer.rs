//! The conformance suite of the store once more, through PgBouncer in transaction mode. What is not of the store but of
//! the database (constraints, functions), and plans, which follow from settings that are checked here, are left to `main.rs`.

mod bury;
mod cancel;
mod cancel_run;
mod claim;
mod claim_line;
mod complete;
mod enqueue;
mod expire;
mod fixture;
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
const POOLER: leasehold_store::Pooler = leasehold_store::Pooler::Transaction;
