//! How many jobs ended in the minutes of the last day, and how long they waited and ran. A reaper adds the minutes up.

use crate::{connect::Store, error::Error};
use chrono::{DateTime, Utc};
use leasehold_core::QueueName;
use serde::Serialize;
use sqlx::{Row, postgres::PgRow};

/// The number of minutes for which the times of jobs are kept.
pub const MINUTES_KEPT: u32 = 24 * 60;
/// The buckets of leasehold.minute for each doubling of a time.
const BUCKETS_PER_DOUBLING: f64 = 8.0;

/// The jobs of a queue and kind that have ended in a time, and how long they waited and ran.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QueueTimes {
    /// The beginning of the minute; `None` if the minutes are shown together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minute: Option<DateTime<Utc>>,
    /// The queue.
    pub queue: String,
    /// The kind.
    pub kind: String,
    /// How many jobs have succeeded.
    pub succeeded: i64,
    /// How many jobs have died.
    pub dead: i64,
    /// How many jobs were cancelled.
    pub cancelled: i64,
    /// How long the jobs waited, in ms, from when they were due until their last attempt began. `None` if none of them has begun.
    pub wait_ms: Option<Quantiles>,
    /// How long their last attempts ran, in ms. `None` if none of them has begun.
    pub run_ms: Option<Quantiles>,
}

/// The middle and the end of a distribution. Each value is within 5 % of the true value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantiles {
    /// Half of the values are not greater than this.
    pub p50: f64,
    /// 95 of 100 values are not greater than this.
    pub p95: f64,
    /// 99 of 100 values are not greater than this.
    pub p99: f64,
}

impl Quantiles {
    /// From the number of values in each bucket, in the order of the buckets.
    fn of(buckets: &[i32], values: &[i64]) -> Option<Self> {
        let all: i64 = values.iter().sum();
        let at = |share: f64| {
            let mut left = share * all as f64;
            let mut buckets = buckets.iter().zip(values);
            let found = buckets.find(|(_, values)| {
                left -= **values as f64;
                left <= 0.0
            });
            // The middle of the bucket.
            found.map_or(0.0, |(nth, _)| ((f64::from(*nth) - 0.5) / BUCKETS_PER_DOUBLING).exp2())
        };
        // Three digits are more precise than the buckets.
        let round = |value: f64| match 2 - value.log10().floor() as i32 {
            digits @ 0.. => (value * 10_f64.powi(digits)).round() / 10_f64.powi(digits),
            digits => (value / 10_f64.powi(-digits)).round() * 10_f64.powi(-digits),
        };
        (all > 0).then(|| Self { p50: round(at(0.5)), p95: round(at(0.95)), p99: round(at(0.99)) })
    }
}

fn queue_times(row: &PgRow) -> Result<QueueTimes, sqlx::Error> {
    let quantiles = |buckets: &str, values: &str| -> Result<_, sqlx::Error> {
        Ok(Quantiles::of(&row.try_get::<Vec<i32>, _>(buckets)?, &row.try_get::<Vec<i64>, _>(values)?))
    };
    Ok(QueueTimes {
        minute: row.try_get("begins")?,
        queue: row.try_get("queue")?,
        kind: row.try_get("kind")?,
        succeeded: row.try_get("succeeded")?,
        dead: row.try_get("dead")?,
        cancelled: row.try_get("cancelled")?,
        wait_ms: quantiles("waits", "waited")?,
        run_ms: quantiles("runs", "ran")?,
    })
}

impl Store {
    /// Adds up minutes that have ended. Returns the number of rows that were written, one for each minute, queue and kind: 0 if
    /// no job has ended in a new minute, or if another process adds them up.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn roll_up_minutes(&self) -> Result<u64, Error> {
        let statement = sqlx::query_scalar(include_str!("../sql/roll_up_minutes.sql"));
        let added: Option<i64> =
            statement.fetch_one(&self.long_statements).await.map_err(Error::sql("adding up the last minutes"))?;
        Ok(added.and_then(|added| u64::try_from(added).ok()).unwrap_or_default())
    }

    /// The jobs that ended in the last `minutes` minutes that are added up, by queue and kind: for one queue or for all queues.
    /// `each`: a row for each minute.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn queue_times(
        &self,
        queue: Option<&QueueName>,
        minutes: u32,
        each: bool,
    ) -> Result<Vec<QueueTimes>, Error> {
        let statement = sqlx::query(include_str!("../sql/queue_times.sql"));
        let statement = statement.bind(queue.map(QueueName::as_str)).bind(i64::from(minutes)).bind(each);
        let rows = statement.try_map(|row| queue_times(&row)).fetch_all(&self.long_statements).await;
        rows.map_err(Error::sql("reading how long jobs waited and ran"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_found_in_the_buckets() {
        assert_eq!(Quantiles::of(&[], &[]), None);
        // 100 values in the bucket (8, 8.72].
        let one = Quantiles::of(&[25], &[100]).expect("values");
        assert_eq!((one.p50, one.p95, one.p99), (8.35, 8.35, 8.35));
        // 90 values of 1 ms or less, and 10 of about a second.
        let two = Quantiles::of(&[0, 80], &[90, 10]).expect("values");
        assert_eq!((two.p50, two.p95, two.p99), (0.958, 981.0, 981.0));
        let half = Quantiles::of(&[0, 80], &[5, 5]).expect("values");
        assert_eq!((half.p50, half.p95), (0.958, 981.0), "half of the values are up to the first one");
    }
}
