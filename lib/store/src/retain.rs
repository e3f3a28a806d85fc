//! retain: creates partitions of history ahead of time and drops old ones. Several processes may run it at the same time.

use crate::{connect::Store, error::Error};
use chrono::NaiveDate;
use leasehold_ports::Retained;
use std::time::Duration;
use uuid::Uuid;

const DOING: &str = "retaining finished jobs";
/// Deletes from the default partition: how many rows in one statement, and how many statements in one step.
const DELETE_ROWS: i64 = 5_000;
const DELETE_ROUNDS: u32 = 20;
/// The most pages of `DELETE_ROWS` rows that one step reads to delete the jobs of queues with a retention setting.
const TRIM_PAGES: u32 = 400;
/// The limit keys of one statement, which holds their locks.
const LIMIT_KEYS: i32 = 100;
/// A thousand years. Beyond it, times exceed the range of PostgreSQL.
const KEEP_MAX_S: i64 = 1_000 * 365 * 86_400;

impl Store {
    /// Creates partitions for the coming days, drops partitions older than `keep`, and deletes the finished jobs of queues that
    /// have a retention setting. Work that fails now because other
    /// sessions use the table is left for the next step.
    ///
    /// # Errors
    /// A statement failed. Earlier work of the call stays.
    pub async fn retain(&self, keep: Duration) -> Result<Retained, Error> {
        let keep_s = i64::try_from(keep.as_secs()).unwrap_or(i64::MAX).min(KEEP_MAX_S);
        let mut done = Retained::default();
        let longest_s = self.longest(keep_s).await.map_err(Error::sql(DOING))?;
        self.make_partitions(longest_s, &mut done).await.map_err(Error::sql(DOING))?;
        self.drop_partitions(longest_s, &mut done).await.map_err(Error::sql(DOING))?;
        self.delete_old_rows(keep_s, &mut done).await.map_err(Error::sql(DOING))?;
        self.trim(keep_s, longest_s, &mut done).await.map_err(Error::sql(DOING))?;
        self.delete_old_letters(longest_s).await.map_err(Error::sql(DOING))?;
        self.delete_old_job_webhooks(longest_s).await.map_err(Error::sql(DOING))?;
        self.end_periods().await.map_err(Error::sql(DOING))?;
        self.delete_old_edges(keep_s, &mut done).await.map_err(Error::sql(DOING))?;
        self.trim_limits().await.map_err(Error::sql(DOING))?;
        self.trim_fair().await.map_err(Error::sql(DOING))?;
        self.delete_old_batches(&mut done).await.map_err(Error::sql(DOING))?;
        self.forget_http().await.map_err(Error::sql(DOING))?;
        self.trim_audit().await.map_err(Error::sql(DOING))?;
        Ok(done)
    }

    /// Deletes the unused slots and buckets of limit keys, key by key.
    async fn trim_limits(&self) -> Result<(), sqlx::Error> {
        let mut after = Some(String::new());
        while let Some(key) = after {
            let statement = sqlx::query_scalar(include_str!("../sql/trim_limits.sql")).bind(key).bind(LIMIT_KEYS);
            after = statement.fetch_one(&self.long_statements).await?;
        }
        Ok(())
    }

    /// The longest retention that a queue or the fleet asks for.
    async fn longest(&self, keep_s: i64) -> Result<i64, sqlx::Error> {
        let longest = sqlx::query_scalar(include_str!("../sql/retain_longest.sql")).bind(keep_s);
        longest.fetch_one(&self.long_statements).await
    }

    /// Deletes the finished jobs of queues that are kept for a shorter time than their partition. The most pages in one step;
    /// the next step continues.
    async fn trim(&self, keep_s: i64, longest_s: i64, done: &mut Retained) -> Result<(), sqlx::Error> {
        let due = sqlx::query_as(include_str!("../sql/retain_due.sql")).bind(keep_s);
        let due: Vec<(String, NaiveDate)> = due.fetch_all(&self.long_statements).await?;
        let mut pages = 0;
        for (queue, day) in due {
            // A partition that must be dropped. The next step drops it.
            if queue.is_empty() && longest_s <= keep_s {
                continue;
            }
            let mut after = Uuid::nil();
            loop {
                if pages >= TRIM_PAGES {
                    return Ok(());
                }
                pages += 1;
                let page = sqlx::query_as(include_str!("../sql/retain_trim.sql"));
                let page = page.bind(&queue).bind(day).bind(after).bind(DELETE_ROWS);
                let (last, deleted): (Option<Uuid>, i64) = page.fetch_one(&self.long_statements).await?;
                done.rows_deleted += u64::try_from(deleted).unwrap_or_default();
                let Some(last) = last else { break };
                after = last;
            }
            let remember = sqlx::query(include_str!("../sql/retain_trimmed.sql")).bind(&queue).bind(day);
            remember.execute(&self.long_statements).await?;
        }
        Ok(())
    }

    async fn delete_old_letters(&self, longest_s: i64) -> Result<(), sqlx::Error> {
        for _ in 0..DELETE_ROUNDS {
            let delete =
                sqlx::query_scalar(include_str!("../sql/retain_letters.sql")).bind(longest_s).bind(DELETE_ROWS);
            let deleted: i64 = delete.fetch_one(&self.long_statements).await?;
            if deleted < DELETE_ROWS {
                break;
            }
        }
        Ok(())
    }

    async fn delete_old_job_webhooks(&self, longest_s: i64) -> Result<(), sqlx::Error> {
        for _ in 0..DELETE_ROUNDS {
            let delete = sqlx::query_scalar(include_str!("../sql/retain_job_webhooks.sql"));
            let deleted: i64 = delete.bind(longest_s).bind(DELETE_ROWS).fetch_one(&self.long_statements).await?;
            if deleted < DELETE_ROWS {
                break;
            }
        }
        Ok(())
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

    /// Deletes rows that the HTTP interface does not need any more.
    async fn forget_http(&self) -> Result<(), sqlx::Error> {
        for _ in 0..DELETE_ROUNDS {
            let delete = sqlx::query_scalar(include_str!("../sql/retain_http.sql")).bind(DELETE_ROWS);
            let deleted: i64 = delete.fetch_one(&self.long_statements).await?;
            if deleted < DELETE_ROWS {
                break;
            }
        }
        Ok(())
    }

    /// Deletes old rows of the audit.
    async fn trim_audit(&self) -> Result<(), sqlx::Error> {
        for _ in 0..DELETE_ROUNDS {
            let delete = sqlx::query_scalar(include_str!("../sql/trim_audit.sql")).bind(DELETE_ROWS);
            let deleted: i64 = delete.fetch_one(&self.long_statements).await?;
            if deleted < DELETE_ROWS {
                break;
            }
        }
        Ok(())
    }

    /// Deletes batches whose jobs have all left history.
    async fn delete_old_batches(&self, done: &mut Retained) -> Result<(), sqlx::Error> {
        for _ in 0..DELETE_ROUNDS {
            let delete = sqlx::query_scalar(include_str!("../sql/retain_batches.sql")).bind(DELETE_ROWS);
            let deleted: i64 = delete.fetch_one(&self.long_statements).await?;
            done.batches_deleted += u64::try_from(deleted).unwrap_or_default();
            if deleted < DELETE_ROWS {
                break;
            }
        }
        Ok(())
    }

    /// Deletes unique keys whose period has ended.
    async fn end_periods(&self) -> Result<(), sqlx::Error> {
        for _ in 0..DELETE_ROUNDS {
            let ended = sqlx::query(include_str!("../sql/end_periods.sql")).bind(DELETE_ROWS);
            if (ended.fetch_all(&self.long_statements).await?.len() as i64) < DELETE_ROWS {
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
