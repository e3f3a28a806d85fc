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
mod fingerprint;
mod finished;
mod held;
mod job;
mod jobs;
mod leases;
mod line;
mod line_after;
mod line_position;
mod locked;
mod locks;
mod look;
mod migrate;
mod note_repairs;
mod pause;
mod pool;
mod position;
mod prepare;
mod promote;
mod purge;
mod renew;
mod retain;
mod revive;
mod row;
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

pub use authority::Authority;
pub use cancel::Cancelled;
pub use cancel_wanted::CancelWanted;
pub use claim::Kinds;
pub use connect::{Pooler, Settings, Store};
pub use deferred::Deferred;
pub use enqueue::Enqueued;
pub use error::Error;
pub use expire::{Expired, Expiry};
pub use fingerprint::{Fingerprint, Fingerprints, Slice};
pub use finished::Finished;
pub use jobs::JobFilter;
pub use leases::Lease;
pub use line::{Front, Line};
pub use line_position::{InvalidLinePosition, LinePosition};
pub use locked::{Holder, Locked, LockedOut};
pub use look::JobStatus;
pub use migrate::{Function, MIGRATION_PATIENCE, Migration, Schema};
pub use note_repairs::Repair;
pub use promote::Waiting;
pub use renew::Renewed;
pub use retain::Retained;
pub use revive::Revived;
pub use stats::QueueStats;
pub use survey::{LineSummary, Stretch, Survey};
pub use uptime::Uptime;
pub use violations::{CHECKS, Violation};
