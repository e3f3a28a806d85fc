//! The conformance suite of the store, run on the in-memory store of the simulation, so that it cannot drift from
//! PostgreSQL. The same files are compiled, one for each verb. Left out is everything that only a server has
//! (`server.rs`: locks held over time, other sessions' transactions, values that cannot be stored; constraints,
//! functions, plans, migrations, connections) and everything that no simulation calls (stats, retention, reading for
//! operators, doctor's checks).

mod bury;
mod cancel;
mod cancel_run;
mod claim;
mod claim_line;
mod client_reads;
mod complete;
mod enqueue;
mod expire;
mod fixture;
mod following;
mod graph_races;
mod graphs;
mod lifecycle;
mod line;
mod loads;
mod look;
mod note_repairs;
mod pause;
mod place;
mod priority_step;
mod promote;
mod purge;
mod release;
mod renew;
mod report;
mod retry;
mod revive;
mod schedules;
mod snooze;
#[path = "subject_in_memory.rs"]
mod subject;
mod unblock;
mod unique;
mod words;
