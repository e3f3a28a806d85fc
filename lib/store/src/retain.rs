//! retain: creates partitions of history ahead of time and drops old ones. Several processes may run it at once.

use crate::{connect::Store, error::Error};
use chrono::NaiveDate;
use leasehold_ports::Retained;
use std::time::Duration;

const DOING: &str = "retaining finished jobs";
/// Deletes from the default partition: how many rows in one statement, and how many statements in one step.
const DELETE_ROWS: i64 = 5_000;
const DELETE_ROUNDS: u32 = 20;
/// A thousand years. Beyond it, times exceed the range of PostgreSQL.
const KEEP_MAX_S: i64 = 1_000 * 365 * 86_400;

impl Store {
    /// Creates partitions for the coming days and drops partitions older than `keep`. What fails now because other
    /// sessions use the table is left for the next step.
    ///
    /// # Errors
    /// A statement failed. Work that was done before stays done.
    pub async fn retain(&self, keep: Duration) -> Result<Retained, Error> {
        let keep_s = i64::try_from(keep.as_secs()).unwrap_or(i64::MAX).min(KEEP_MAX_S);
        let mut done = Retained::default();
        self.make_partitions(keep_s, &mut done).await.map_err(Error::sql(DOING))?;
        self.drop_partitions(keep_s, &mut done).await.map_err(Error::sql(DOING))?;
        self.delete_old_rows(keep_s, &mut done).await.map_err(Error::sql(DOING))?;
        self.delete_old_edges(keep_s, &mut done).await.map_err(Error::sql(DOING))?;
        Ok(done)
    }

    async fn make_partitions(&self, keep_s: i64, done: &mut Retained) -> Result<(), sqlx::Error> {
        let days = sqlx::query_scalar(include_str!("../sql/retain_days.sql")).bind(keep_s);
        let days: Vec<NaiveDate> = days.fetch_all(&self.long_statements).await?;
        for day in days {
            let make = sqlx::query_as(include_str!("../sql/retain_make.sql")).bind(day);
            let (answer, moved): (String, i64) = make.fetch_one(&self.long_statements).await?;
            if answer == "made" {
                done.partitions_made += 1;
                done.rows_moved += u64::try_from(moved).unwrap_or_default();
            }
        }
        Ok(())
    }

    async fn drop_partitions(&self, keep_s: i64, done: &mut Retained) -> Result<(), sqlx::Error> {
        loop {
            let drop = sqlx::query_scalar(include_str!("../sql/retain_drop.sql")).bind(keep_s);
            let dropped: Option<String> = drop.fetch_one(&self.long_statements).await?;
            match dropped {
                Some(_) => done.partitions_dropped += 1,
                None => return Ok(()),
            }
        }
    }

    async fn delete_old_edges(&self, keep_s: i64, done: &mut Retained) -> Result<(), sqlx::Error> {
        for _ in 0..DELETE_ROUNDS {
            let delete = sqlx::query_as(include_str!("../sql/retain_edges.sql")).bind(keep_s).bind(DELETE_ROWS);
            let (edges, children): (i64, i64) = delete.fetch_one(&self.long_statements).await?;
            done.edges_deleted += u64::try_from(edges).unwrap_or_default();
            if children < DELETE_ROWS {
                break;
            }
        }
        Ok(())
    }

    async fn delete_old_rows(&self, keep_s: i64, done: &mut Retained) -> Result<(), sqlx::Error> {
        for _ in 0..DELETE_ROUNDS {
            let delete = sqlx::query_scalar(include_str!("../sql/retain_delete.sql")).bind(keep_s).bind(DELETE_ROWS);
            let deleted: i64 = delete.fetch_one(&self.long_statements).await?;
            done.rows_deleted += u64::try_from(deleted).unwrap_or_default();
            if deleted < DELETE_ROWS {
                break;
            }
        }
        Ok(())
    }
}
