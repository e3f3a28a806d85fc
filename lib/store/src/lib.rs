//! PostgreSQL, the authority: every job is a row in PostgreSQL, and every transition is one conditional statement.
//!
//! Each statement is a file in `sql/`. One Rust file runs the statement: the file of the same name, or the file of its subject,
//! whose first line names the statements. `read` has the reads for clients and operators, and `queue` has the operator's
//! actions on a whole queue.
//!
//! Each call is one statement that commits by itself (behind a pooler, in a separate transaction), so a caller that stops
//! waiting leaves no transaction open. This crate does not use Redis.

mod audit;
mod authority;
mod batches;
mod bounded;
mod bulk;
mod cancel;
mod change;
mod claim;
mod connect;
mod counts;
mod dead_errors;
mod deferred;
mod election;
mod encrypted_queues;
mod encryption;
mod enqueue;
mod error;
mod expire;
mod explained;
mod fair;
mod fair_runs;
mod following;
mod graphs;
mod held;
mod http_claims;
mod job_words;
mod leases;
mod limited_runs;
mod limits;
mod line;
mod loads;
mod locked;
mod locked_out;
mod migrate;
mod minutes;
mod note_repairs;
mod once;
mod operation_pages;
mod operations;
mod place;
mod pool;
mod prepare;
mod priority_step;
mod promote;
mod queue;
mod queue_settings;
mod read;
mod recent;
mod refused;
mod renew;
mod report;
mod retain;
mod revive;
mod row;
mod schedules;
mod servers;
mod settle;
mod settle_statement;
mod statement;
mod statement_timeout;
mod survey;
mod table_locks;
mod together;
mod tokens;
mod transactions;
mod uptime;
mod url;
mod violations;
mod webhook_log;
mod webhooks;

pub use audit::{AuditNote, AuditRecord};
pub use batches::{Batch, BatchMoment, BatchSeal, Sealed};
pub use bulk::{Choice, Page, just_before};
pub use connect::{LOCK_TIMEOUT, Pooler, Settings, Store};
pub use dead_errors::{DeadFilter, ErrorGroup, ErrorGroups};
pub use election::ElectionByPostgres;
pub use encrypted_queues::KeyUse;
pub use error::Error;
pub use fair::{FAIR_WINDOW, FairWeight};
pub use http_claims::{ANSWER_WITHIN, HttpClaim, HttpRun, RunFacts};
pub use leasehold_ports::{
    Admitted, CancelWanted, Cancelled, Deferred, DueSchedule, DueSchedules, Enqueued, Expired, Expiry, Fingerprint,
    Fingerprints, Finished, Fire, FireOutcome, Front, HeldLimit, InvalidLinePosition, JobMoment, JobStatus, Kinds,
    Lease, Line, LinePosition, LineSummary, Placed, Renewed, Repair, Retained, Revived, STRICT_PRIORITY_STEP, Slice,
    Stretch, Survey, TickJob, Uptime, Violation, Waiting,
};
pub use limits::{KeyLimit, LimitRecord};
pub use locked_out::{Holder, Locked, LockedOut};
pub use migrate::{Function, MIGRATION_PATIENCE, Migration, Schema};
pub use minutes::{MINUTES_KEPT, Quantiles, QueueTimes};
pub use once::{Once, OnceKey};
pub use operation_pages::{OperationPage, PageDone, PageEnd, PageOutcome, PageWork};
pub use operations::{NewOperation, Operation, OperationFence, TakenOperation};
pub use pool::PoolUsage;
pub use queue_settings::{DeadLetter, QueueChange, QueueSettings};
pub use read::{JobFilter, JobNow, QueueStats};
pub use report::HttpReported;
pub use revive::Revival;
pub use schedules::{Schedule, ScheduleChange};
pub use settle_statement::Unstorable;
pub use tokens::{TokenHash, TokenRecord, TokenRow, UsableToken, UsableTokens};
pub use violations::CHECKS;
pub use webhook_log::{AttemptNote, Replayable, WebhookAttempt};
pub use webhooks::{NewWebhook, Webhook, WebhookChange, WebhookMade, WebhookTarget, WebhookTrigger, WebhooksWanted};
