//! PostgreSQL, the authority: every job is a row here, and every transition is one conditional statement.
//!
//! Each statement is a file in `sql/`. The function that runs a statement is in the Rust file of the same name. Each
//! call is one statement that commits by itself (behind a pooler, in a transaction of its own), so a caller that stops
//! waiting leaves no transaction open. This crate knows nothing of Redis.

mod authority;
mod bounded;
mod cancel;
mod cancel_wanted;
mod claim;
mod claim_line;
mod connect;
mod deferred;
mod enqueue;
mod error;
mod expire;
mod explain;
mod fingerprint;
mod finished;
mod held;
mod job;
mod jobs;
mod leases;
mod line;
mod line_after;
mod locked;
mod locks;
mod look;
mod migrate;
mod note_repairs;
mod pause;
mod pool;
mod position;
mod prepare;
mod priority_step;
mod promote;
mod purge;
mod renew;
mod retain;
mod revive;
mod row;
mod schedules;
mod servers;
mod settle;
mod statement;
mod statement_timeout;
mod stats;
mod survey;
mod unblock;
mod uptime;
mod url;
mod violations;

pub use connect::{Pooler, Settings, Store};
pub use error::Error;
pub use explain::JobMoment;
pub use finished::Finished;
pub use jobs::JobFilter;
pub use leasehold_ports::{
    CancelWanted, Cancelled, Deferred, DueSchedule, DueSchedules, Enqueued, Expired, Expiry, Fingerprint, Fingerprints,
    Fire, FireOutcome, Front, InvalidLinePosition, JobStatus, Kinds, Lease, Line, LinePosition, LineSummary, Renewed,
    Repair, Retained, Revived, Slice, Stretch, Survey, TickJob, Uptime, Violation, Waiting,
};
pub use locked::{Holder, Locked, LockedOut};
pub use migrate::{Function, MIGRATION_PATIENCE, Migration, Schema};
pub use priority_step::STRICT_PRIORITY_STEP;
pub use schedules::{Schedule, ScheduleChange};
pub use stats::QueueStats;
pub use violations::CHECKS;
