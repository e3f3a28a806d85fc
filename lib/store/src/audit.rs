//! The audit: the log of manual changes, with the person and the change. Rows are added and never changed;
//! `trim_audit` deletes old rows.

use crate::{
    connect::Store,
    error::Error,
    row::{millis, time},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{Row, postgres::PgRow, types::Json};
use std::time::Duration;

/// A change that a person will make now.
#[derive(Clone, Debug)]
pub struct AuditNote<'a> {
    /// The actor: `token:ID` or `http`; `None`: the command line, as the user of the database.
    pub actor: Option<&'a str>,
    /// The action, such as `queue.pause`.
    pub action: &'a str,
    /// The target: a queue, a limit …
    pub target: &'a str,
    /// The rest of the request. Never a payload.
    pub detail: Value,
}

/// A row of the audit.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "columns")]
pub struct AuditRecord {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub actor: String,
    pub action: String,
    pub target: String,
    pub detail: Value,
    /// The user of the database who has written the row.
    pub db_user: String,
}

impl Store {
    /// Notes a change. The caller makes the change afterwards: so no change is missing in the audit.
    ///
    /// # Errors
    /// The statement failed. Then the caller must not make the change.
    pub async fn note_audit(&self, note: &AuditNote<'_>) -> Result<(), Error> {
        let statement = sqlx::query(include_str!("../sql/audit_note.sql"))
            .bind(note.actor)
            .bind(note.action)
            .bind(note.target)
            .bind(Json(&note.detail));
        statement.execute(&self.bounded).await.map(drop).map_err(Error::sql("writing the audit"))
    }

    /// The audit, the newest first.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn audit(&self, since: Option<Duration>, limit: i64) -> Result<Vec<AuditRecord>, Error> {
        let statement = sqlx::query(include_str!("../sql/audit.sql")).bind(since.map(millis)).bind(limit);
        let statement = statement.try_map(|row: PgRow| {
            Ok(AuditRecord {
                id: row.try_get("id")?,
                at: time(&row, "at")?,
                actor: row.try_get("actor")?,
                action: row.try_get("action")?,
                target: row.try_get("target")?,
                detail: row.try_get::<Json<Value>, _>("detail")?.0,
                db_user: row.try_get("db_user")?,
            })
        });
        statement.fetch_all(&self.long_statements).await.map_err(Error::sql("reading the audit"))
    }
}
