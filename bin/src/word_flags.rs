//! The flags for the fields `retry`, `expires_at` and `unique` of a job, for all commands that describe a job.

use crate::times;
use chrono::{DateTime, Utc};
use leasehold::{NewJob, OnConflict, Retry, Strategy, Unique, UniqueWhile};
use std::time::Duration;

/// How a job is tried again, and how it is unique. `leasehold enqueue` and `leasehold schedule set` have these flags.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct WordFlags {
    /// How the delay before the next attempt grows: exponential (with jitter), linear or fixed [default: as the worker says]
    #[arg(long, value_name = "STRATEGY", value_parser = strategy)]
    retry: Option<Strategy>,
    /// The delay after the first attempt, such as 1s [default: as the worker says]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = times::duration)]
    retry_base: Option<Duration>,
    /// The longest delay between two attempts, such as 1h [default: as the worker says]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = times::duration)]
    retry_cap: Option<Duration>,
    /// Begin no attempt later than this, such as 2d, counted from the start of the first attempt that was spent; the job is
    /// then dead, even if it has attempts left
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = times::duration)]
    retry_for: Option<Duration>,
    /// Cancel the job if it has not begun within this time, such as 10m
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = times::duration)]
    expires_in: Option<Duration>,
    /// Until when the job has its unique key: until it begins (queued), or until it has finished (live)
    #[arg(long, value_name = "queued|live")]
    unique_while: Option<UniqueWhile>,
    /// If the unique key is held: make no new job (skip), give the waiting job all fields of the new one (replace), or have
    /// one job run and the last one wait (keep_last)
    #[arg(long, value_name = "skip|replace|keep_last")]
    unique_on_conflict: Option<OnConflict>,
    /// Hold the unique key until this time at least, also when the job has finished
    #[arg(long, value_name = "TIME", value_parser = times::time, conflicts_with = "unique_for")]
    unique_until: Option<DateTime<Utc>>,
    /// Hold the unique key for this time at least, such as 1h, also when the job has finished
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = times::duration)]
    unique_for: Option<Duration>,
    /// Make the unique key from the kind and these fields of the payload, separated by commas
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', conflicts_with = "unique_payload")]
    unique_fields: Vec<String>,
    /// Make the unique key from the kind and the whole payload
    #[arg(long)]
    unique_payload: bool,
    /// The longest time for which replacements can delay the waiting job, such as 5m, counted from its first enqueue
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = times::duration)]
    unique_longest_wait: Option<Duration>,
}

/// Reads a strategy, and says where its delays go.
fn strategy(text: &str) -> Result<Strategy, String> {
    match text.split_once(':') {
        Some((name, times)) if name.parse::<Strategy>().is_ok() => Err(format!(
            "a strategy takes no times here: write --retry {name} --retry-base {}",
            times.split(':').next().unwrap_or_default()
        )),
        _ => text.parse(),
    }
}

impl WordFlags {
    /// The first flag about a unique key, if no flag says how the key is made.
    pub(crate) fn unique_flag_without_fields(&self) -> Option<&'static str> {
        if !self.unique_fields.is_empty() || self.unique_payload {
            return None;
        }
        let given = [
            (self.unique_while.is_some(), "--unique-while"),
            (self.unique_on_conflict.is_some(), "--unique-on-conflict"),
            (self.unique_until.is_some(), "--unique-until"),
            (self.unique_for.is_some(), "--unique-for"),
            (self.unique_longest_wait.is_some(), "--unique-longest-wait"),
        ];
        given.into_iter().find(|(is_given, _)| *is_given).map(|(_, flag)| flag)
    }

    /// Sets these fields of the job.
    pub(crate) fn give_to(&self, job: &mut NewJob) {
        job.retry = self.retry();
        job.expires_in = self.expires_in;
        job.unique = self.unique();
    }

    fn retry(&self) -> Option<Retry> {
        let given = Retry::default().with(|retry| {
            (retry.strategy, retry.base) = (self.retry, self.retry_base);
            (retry.cap, retry.for_time) = (self.retry_cap, self.retry_for);
        });
        (given != Retry::default()).then_some(given)
    }

    fn unique(&self) -> Option<Unique> {
        let given = Unique::default().with(|unique| {
            unique.while_state = self.unique_while.unwrap_or_default();
            unique.on_conflict = self.unique_on_conflict.unwrap_or_default();
            (unique.until, unique.for_time) = (self.unique_until, self.unique_for);
            (unique.fields, unique.payload) = (self.unique_fields.clone(), self.unique_payload);
            unique.longest_wait = self.unique_longest_wait;
        });
        let is_given = self.unique_while.is_some() || self.unique_on_conflict.is_some() || given != Unique::default();
        is_given.then_some(given)
    }
}
