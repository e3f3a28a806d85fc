//! The vocabulary of Leasehold, without side effects: what a job is, which transitions a job can make, who may cause
//! them, and the limits that every part of Leasehold respects.
//!
//! This crate uses no clock, socket, executor or store. Each store writes these rules in its own language, and tests
//! compare the stores with this crate.

mod backoff;
mod bulk;
mod claimability;
mod demand;
mod distribution;
mod drift;
mod duration_text;
mod fail_point;
mod graph;
mod id;
mod job;
mod json;
mod limits;
mod names;
mod outcome;
mod parent;
mod place;
mod progress;
mod retry;
mod schedule;
mod scope;
mod settle;
mod shell;
mod state;
mod transitions;
mod unique;
mod validate;
mod with;

pub use backoff::{Backoff, Strategy};
pub use bulk::{BulkAction, BulkCount, BulkFilter, InvalidBulk};
pub use claimability::Claimability;
pub use demand::{Demand, TARGET_PERCENT, suggested_replicas};
pub use distribution::{Distribution, Reading};
pub use drift::{Drift, Drifted};
#[cfg(feature = "fail-points")]
pub use fail_point::on_fail_points;
pub use fail_point::{FailPoint, pass};
pub use graph::{Graph, GraphEdge, GraphJob, InvalidGraph, NamedJob, cycle_of, resolve as resolve_graph, run_order};
pub use id::{Epoch, Fence, InvalidId, JobId, WorkerId};
pub use job::{ClaimedJob, Encryption, JobRecord, NewJob, TrailEntry};
pub use json::json_problem;
pub use limits::*;
pub use names::{InvalidName, Kind, QueueName, ScheduleName, WEBHOOK_QUEUE};
pub use outcome::{Outcome, Tries};
pub use parent::{Parent, ParentFailure};
pub use place::Place;
pub use progress::{InvalidProgress, Progress, ProgressNote, Report, ReportedNote, Told};
pub use retry::Retry;
pub use schedule::{InvalidMissed, Missed, NewSchedule, Timing};
pub use scope::{Access, InvalidScope, Scope, Scopes};
pub use settle::{Ending, FinishedRun, Settle, Settled, Success, check_following};
pub use shell::shell_word;
pub use state::{Event, Lifecycle, Refusal, State, Verb};
pub use transitions::Transitions;
pub use unique::{OnConflict, Unique, UniqueRule, UniqueWhile};
pub use validate::{FieldError, InvalidJob, RESERVED, is_reserved, is_traceparent};
