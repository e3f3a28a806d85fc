//! operation_new, operations, operation_take, operation_counted, operation_end, operation_cancel and operation_trim: bulk
//! changes that a server executes in the background. `operation_pages` has the code for one page.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, millis, time, time_if_any, word},
};
use chrono::{DateTime, Utc};
use leasehold_core::{BulkAction, JobId, Place, QueueName, WorkerId};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::{Row, postgres::PgRow};
use std::time::Duration;
use uuid::Uuid;

const DOING: &str = "changing an operation";
const READING: &str = "reading operations";
/// The most operations that are open at the same time. Each may be a million jobs.
const OPEN_MAX: i64 = 100;

/// An operation, as users see it.
#[derive(Clone, Debug, Serialize)]
pub struct Operation {
    /// The id.
    pub id: Uuid,
    /// What is done to each job: `cancel`, `retry`, `priority` or `move`.
    pub action: String,
    /// The new priority.
    pub priority: Option<i16>,
    /// The new queue.
    pub to: Option<String>,
    /// The conditions.
    pub filter: Box<RawValue>,
    /// The sender of the request.
    pub actor: String,
    /// `waiting`, `running`, `done`, `cancelled` or `failed`.
    pub state: String,
    /// How many jobs the filter chose when the work began.
    pub total: Option<i64>,
    /// Jobs that were cancelled, revived, or have their new place.
    pub changed: i64,
    /// Running jobs whose workers were told to stop.
    pub told_to_stop: i64,
    /// Jobs that stay as they are, because a live job has their unique key.
    pub unique_key_taken: i64,
    /// Jobs that other sessions have locked. They are tried again at the end.
    pub locked: i32,
    /// Why the operation has failed.
    pub reason: Option<String>,
    /// When somebody asked to stop it.
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When a server began it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// An operation to make.
#[derive(Clone, Debug)]
pub struct NewOperation<'a> {
    /// What is done to each job.
    pub action: &'a BulkAction,
    /// The conditions, as JSON.
    pub filter: String,
    /// The sender of the request.
    pub actor: &'a str,
    /// The position at which the work begins, as JSON.
    pub cursor: String,
}

/// Which server works on an operation. Every write about the work names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperationFence {
    /// The operation.
    pub id: Uuid,
    /// The server.
    pub worker: WorkerId,
    /// How many servers have begun the operation.
    pub epoch: i32,
}

/// An operation that a server has taken.
#[derive(Clone, Debug)]
pub struct TakenOperation {
    /// The fence of all writes.
    pub fence: OperationFence,
    /// What is done to each job.
    pub action: BulkAction,
    /// The conditions, as JSON.
    pub filter: String,
    /// The cursor of the work, as JSON.
    pub cursor: String,
    /// Jobs behind the cursor that other sessions had locked.
    pub locked: Vec<JobId>,
    /// Whether the jobs are counted.
    pub is_counted: bool,
}

impl Store {
    /// Makes an operation. `None`: too many operations are open.
    ///
    /// # Errors
    /// A value is not valid, or the statement failed.
    pub async fn new_operation(&self, new: &NewOperation<'_>) -> Result<Option<Uuid>, Error> {
        let place = match new.action {
            BulkAction::Place(place) => Some(place),
            BulkAction::Cancel | BulkAction::Retry => None,
        };
        let statement = sqlx::query_scalar(include_str!("../sql/operation_new.sql"))
            .bind(new.action.verb())
            .bind(place.and_then(Place::priority))
            .bind(place.and_then(Place::queue).map(QueueName::as_str))
            .bind(&new.filter)
            .bind(new.actor)
            .bind(&new.cursor)
            .bind(OPEN_MAX);
        statement.fetch_optional(&self.bounded).await.map_err(Error::sql("making an operation"))
    }

    /// The newest operations, or one operation.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn operations(&self, id: Option<Uuid>, limit: i64) -> Result<Vec<Operation>, Error> {
        let statement = sqlx::query(include_str!("../sql/operations.sql")).bind(id).bind(limit);
        let rows = statement.try_map(|row| operation(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql(READING))
    }

    /// Takes the oldest operation that no server works on.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn take_operation(&self, server: WorkerId, lease: Duration) -> Result<Option<TakenOperation>, Error> {
        let statement = sqlx::query(include_str!("../sql/operation_take.sql")).bind(server.0).bind(millis(lease));
        let taken = statement.try_map(|row| taken(&row, server)).fetch_optional(&self.bounded).await;
        taken.map_err(Error::sql("taking an operation"))
    }

    /// Notes how many jobs an operation will change. Returns whether this server still has the operation.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn count_operation(&self, of: OperationFence, total: u64, lease: Duration) -> Result<bool, Error> {
        let statement = sqlx::query(include_str!("../sql/operation_counted.sql"))
            .bind(of.id)
            .bind(of.worker.0)
            .bind(of.epoch)
            .bind(i64::try_from(total).unwrap_or(i64::MAX))
            .bind(millis(lease));
        Ok(statement.fetch_optional(&self.bounded).await.map_err(Error::sql(DOING))?.is_some())
    }

    /// Ends an operation in this state; or, with `waiting`, gives it back. Returns whether this server still had the operation.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn end_operation(&self, of: OperationFence, state: &str, reason: Option<&str>) -> Result<bool, Error> {
        let statement = sqlx::query(include_str!("../sql/operation_end.sql"))
            .bind(of.id)
            .bind(of.worker.0)
            .bind(of.epoch)
            .bind(state)
            .bind(reason);
        Ok(statement.fetch_optional(&self.bounded).await.map_err(Error::sql(DOING))?.is_some())
    }

    /// Ends an operation, or asks its server to stop. Returns whether an operation with this id exists and has not ended.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn cancel_operation(&self, id: Uuid) -> Result<bool, Error> {
        let statement = sqlx::query(include_str!("../sql/operation_cancel.sql")).bind(id);
        Ok(statement.fetch_optional(&self.bounded).await.map_err(Error::sql(DOING))?.is_some())
    }

    /// Deletes old operations. Returns their number.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn trim_operations(&self, limit: i64) -> Result<i64, Error> {
        let statement = sqlx::query_scalar(include_str!("../sql/operation_trim.sql")).bind(limit);
        statement.fetch_one(&self.bounded).await.map_err(Error::sql("forgetting old operations"))
    }
}

fn operation(row: &PgRow) -> Result<Operation, sqlx::Error> {
    let filter: String = row.try_get("filter")?;
    Ok(Operation {
        id: row.try_get("id")?,
        action: row.try_get("action")?,
        priority: row.try_get("priority")?,
        to: row.try_get("to_queue")?,
        filter: RawValue::from_string(filter).map_err(|error| sqlx::Error::Decode(error.into()))?,
        actor: row.try_get("actor")?,
        state: row.try_get("state")?,
        total: row.try_get("total")?,
        changed: row.try_get("changed")?,
        told_to_stop: row.try_get("told_to_stop")?,
        unique_key_taken: row.try_get("unique_key_taken")?,
        locked: row.try_get("locked")?,
        reason: row.try_get("reason")?,
        cancel_requested_at: time_if_any(row, "cancel_requested_at")?,
        created_at: time(row, "created_at")?,
        started_at: time_if_any(row, "started_at")?,
        finished_at: time_if_any(row, "finished_at")?,
    })
}

fn taken(row: &PgRow, worker: WorkerId) -> Result<TakenOperation, sqlx::Error> {
    let refused = |text: String| sqlx::Error::Decode(text.into());
    let priority: Option<i16> = row.try_get("priority")?;
    let action = match (row.try_get::<&str, _>("action")?, priority) {
        ("cancel", _) => BulkAction::Cancel,
        ("retry", _) => BulkAction::Retry,
        ("priority", Some(priority)) => BulkAction::Place(Place::Priority(priority)),
        ("move", _) => BulkAction::Place(Place::Queue(word(row, "to_queue")?)),
        (other, _) => return Err(refused(format!("an operation has the unknown action {other:?}"))),
    };
    Ok(TakenOperation {
        fence: OperationFence { id: job_id(row, "id")?.0, worker, epoch: row.try_get("epoch")? },
        action,
        filter: row.try_get("filter")?,
        cursor: row.try_get("cursor")?,
        locked: row.try_get::<Vec<Uuid>, _>("locked")?.into_iter().map(JobId).collect(),
        is_counted: row.try_get::<Option<i64>, _>("total")?.is_some(),
    })
}
