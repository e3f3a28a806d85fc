//! Limits of keys: which jobs have room, and which come into the line when a run has ended.
//!
//! PostgreSQL keeps slots, and moves jobs without room behind the line. Here the runs are counted, and a job without room is not in
//! the line. The difference cannot be seen from outside.

use crate::{
    broken::Broken,
    rows::{Row, Rows, later},
};
use chrono::{DateTime, Utc};
use leasehold_core::{JobId, QueueName, State};
use leasehold_ports::{Admitted, HeldLimit, Kinds, Waiting};
use std::{collections::BTreeMap, time::Duration};

/// The limit of a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyLimit {
    /// The most runs at the same time; `None`: any number.
    pub running: Option<usize>,
    /// Starts per second, and the most starts at one moment; `None`: any number.
    pub rate: Option<(f64, u32)>,
}

/// The limits, and the token buckets of keys with a rate.
#[derive(Debug, Default)]
pub struct Limits {
    /// By key, or by pattern, which ends in `*`.
    pub set: BTreeMap<String, KeyLimit>,
    /// When the bucket of each key is full again.
    full_at: BTreeMap<String, DateTime<Utc>>,
}

impl Limits {
    /// The limit that is set for exactly this key, or else the limit of the longest pattern that matches.
    #[must_use]
    pub fn of(&self, key: &str) -> Option<KeyLimit> {
        let fits = |pattern: &&String| pattern.strip_suffix('*').is_some_and(|begins| key.starts_with(begins));
        let pattern = || self.set.keys().filter(fits).max_by_key(|pattern| pattern.len());
        self.set.get(key).or_else(|| self.set.get(pattern()?)).copied()
    }

    fn has_token(&self, key: &str, now: DateTime<Utc>) -> bool {
        let Some((rate, burst)) = self.of(key).and_then(|limit| limit.rate) else { return true };
        let missing = self.full_at.get(key).map_or(0.0, |full| (*full - now).num_milliseconds().max(0) as f64 / 1000.0);
        f64::from(burst) - missing * rate + 0.001 >= 1.0
    }

    /// How many jobs of the key have a token; `None`: any number.
    fn tokens(&self, key: &str, now: DateTime<Utc>) -> Option<u64> {
        let (rate, burst) = self.of(key)?.rate?;
        let missing = self.full_at.get(key).map_or(0.0, |full| (*full - now).num_milliseconds().max(0) as f64 / 1000.0);
        Some((f64::from(burst) - missing * rate + 0.001).floor().max(0.0) as u64)
    }

    /// How long until the key has a token.
    fn token_in_ms(&self, key: &str, now: DateTime<Utc>) -> i64 {
        let Some((rate, burst)) = self.of(key).and_then(|limit| limit.rate) else { return 0 };
        let missing_ms = self.full_at.get(key).map_or(0.0, |full| (*full - now).num_milliseconds() as f64);
        (missing_ms - f64::from(burst - 1) / rate * 1000.0).ceil().max(0.0) as i64
    }

    /// A run of the key starts.
    pub(crate) fn take_token(&mut self, key: &str, now: DateTime<Utc>) {
        if let Some((rate, _)) = self.of(key).and_then(|limit| limit.rate) {
            let full = self.full_at.get(key).copied().unwrap_or(now).max(now);
            self.full_at.insert(key.to_owned(), later(full, Duration::from_secs_f64(1.0 / rate)));
        }
    }
}

impl Rows {
    /// Sets the limit of a key or of a pattern.
    pub fn set_limit(&mut self, key: &str, limit: KeyLimit) {
        self.limits.set.insert(key.to_owned(), limit);
        self.limit_changes += 1;
    }

    /// Ends the limit of a key or of a pattern.
    pub fn remove_limit(&mut self, key: &str) -> bool {
        self.limit_changes += 1;
        self.limits.set.remove(key).is_some()
    }

    /// How many runs have this key.
    #[must_use]
    pub fn runs_of_key(&self, key: &str) -> usize {
        let runs = |row: &&Row| row.life.state == State::Running && row.job.limit_keys.iter().any(|own| own == key);
        self.live.values().filter(runs).count()
    }

    /// Whether each limit key of the job has a free slot.
    pub(crate) fn has_room(&self, row: &Row) -> bool {
        self.is_broken(Broken::LimitsAreIgnored)
            || row.job.limit_keys.iter().all(|key| {
                let most = self.limits.of(key).and_then(|limit| limit.running);
                most.is_none_or(|most| self.runs_of_key(key) < most)
            })
    }

    /// How many more jobs of the key may start now; `None`: any number.
    pub(crate) fn key_room(&self, key: &str) -> Option<u64> {
        let most = self.limits.of(key).and_then(|limit| limit.running);
        let slots = most.map(|most| most.saturating_sub(self.runs_of_key(key)) as u64);
        let tokens = self.limits.tokens(key, self.clock.now());
        slots.into_iter().chain(tokens).min()
    }

    /// How long until the last token comes that the job needs; `None`: no limit key of the job has a rate.
    pub(crate) fn token_in(&self, row: &Row) -> Option<Duration> {
        let (now, keys) = (self.clock.now(), row.job.limit_keys.iter());
        let with_rate = keys.filter(|key| self.limits.of(key).is_some_and(|limit| limit.rate.is_some()));
        let ms = with_rate.map(|key| self.limits.token_in_ms(key, now)).max()?;
        Some(Duration::from_millis(u64::try_from(ms).unwrap_or_default()))
    }

    /// How long until a job at the front of the line gets a token that it waits for.
    pub(crate) fn next_token(&self, queue: &QueueName, kinds: &Kinds) -> Option<Duration> {
        let line = self.line_of(queue, kinds).into_iter();
        line.filter_map(|row| self.token_in(row)).filter(|token_in| !token_in.is_zero()).min()
    }

    /// Whether each limit key of the job has a free slot and a token, so that a run may start now.
    pub(crate) fn may_start(&self, id: JobId) -> bool {
        let now = self.clock.now();
        self.live.get(&id).is_some_and(|row| {
            self.has_room(row) && row.job.limit_keys.iter().all(|key| self.limits.has_token(key, now))
        })
    }

    /// The jobs that have room now and share a limit key with these runs, which have ended: of each key the first.
    pub(crate) fn freed_by(&self, keys: &[String]) -> Vec<Waiting> {
        let shares =
            |row: &&Row| row.life.state == State::Queued && row.job.limit_keys.iter().any(|key| keys.contains(key));
        let mut waiting: Vec<&Row> = self.live.values().filter(shares).filter(|row| self.has_room(row)).collect();
        waiting.sort_by_key(|row| row.place());
        let mut of_key: BTreeMap<&str, usize> = BTreeMap::new();
        waiting.retain(|row| {
            let first = row.job.limit_keys.iter().find(|key| keys.contains(key)).map_or("", String::as_str);
            let count = of_key.entry(first).or_default();
            *count += 1;
            *count == 1
        });
        waiting.into_iter().map(Row::waiting).collect()
    }

    /// The current effect of the limits of these keys.
    pub(crate) fn held_limits(&self, keys: &[String]) -> Vec<HeldLimit> {
        let held = keys.iter().filter_map(|key| {
            let limit = self.limits.of(key)?;
            let runs = |row: &&Row| row.life.state == State::Running && row.job.limit_keys.contains(key);
            let holders: Vec<JobId> = self.live.values().filter(runs).map(|row| row.life.id).collect();
            Some(HeldLimit {
                key: key.clone(),
                running: limit.running.and_then(|most| i32::try_from(most).ok()),
                running_now: i64::try_from(holders.len()).unwrap_or(i64::MAX),
                holders: holders.into_iter().take(10).collect(),
                token_in_ms: limit.rate.map(|_| self.limits.token_in_ms(key, self.clock.now())),
                locked_by: None,
            })
        });
        held.collect()
    }

    /// In memory, a limit is in force as soon as it is set.
    pub(crate) fn apply_limits(&self) -> bool {
        true
    }

    /// In memory, no job has to be moved: the line contains each job that has room.
    pub(crate) fn admit_next(&self, _after: &str, _keys: i32, _limit: i32) -> Admitted {
        Admitted::default()
    }

    /// The same.
    pub(crate) fn admit_tokens(&self, _limit: i32) -> Vec<Waiting> {
        Vec::new()
    }

    /// In memory a fair key is only a label, as in a queue with the setting `fair` off: no job is ever parked.
    pub(crate) fn admit_fair(&self, _queue: &QueueName, _keys: &[String]) -> Vec<Waiting> {
        Vec::new()
    }

    /// The same.
    pub(crate) fn admit_fair_next(&self, _after: &str, _queues: i32) -> Admitted {
        Admitted::default()
    }
}
