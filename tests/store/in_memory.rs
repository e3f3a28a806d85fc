//! The conformance suite of the store on the one that simulations hold in memory, so that it cannot drift from PostgreSQL:
//! the same files, a verb each. Left out is what only a server has (`server.rs`: locks held over time, transactions of
//! others, values that it cannot store; constraints, functions, plans, migrations, connections) and what no simulation
//! calls (stats, purge, retention, reading for people, doctor's checks).

mod bury;
mod cancel;
mod cancel_run;
mod claim;
mod claim_line;
mod complete;
mod enqueue;
mod expire;
mod fixture;
mod lifecycle;
mod line;
mod look;
mod note_repairs;
mod pause;
mod promote;
mod release;
mod renew;
mod retry;
mod revive;
mod snooze;
#[path = "subject_in_memory.rs"]
mod subject;
mod unblock;
