//! Turns input lines into jobs. The id of a job is computed from the batch, the line, and how often the same line came
//! before. So the same batch always means the same jobs, no matter who runs it and when.

use crate::{failure::Failure, lines::Lines};
use chrono::{DateTime, TimeDelta, Utc};
use leasehold::{Kind, NewJob, QueueName};
use leasehold_client::check_batch_name;
use leasehold_core::JobId;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};
use std::{collections::HashMap, time::Duration};
use uuid::{Builder, Uuid};

/// The kind of jobs that carry their command.
pub(crate) const KIND: &str = "command";

/// In the arguments of the command, this text stands for the input line, as in `xargs -I {}`.
const LINE: &str = "{}";

/// The payload of such a job.
#[derive(Serialize)]
struct Payload {
    argv: Vec<String>,
}

/// A batch of lines. Each line becomes a job.
pub(crate) struct Plan {
    lines: Vec<String>,
    ids: Vec<JobId>,
    command: Vec<String>,
    queue: QueueName,
    kind: Kind,
    max_attempts: i32,
    timeout: Option<Duration>,
    /// The batch that the jobs belong to. A name that is too long for a batch still makes the ids of the jobs.
    batch: Option<String>,
    /// Whether the batch may have been run before.
    known: bool,
}

/// The values that all jobs of a batch share.
pub(crate) struct Common {
    /// The name of the batch; `None` makes a new name.
    pub(crate) batch: Option<String>,
    pub(crate) command: Vec<String>,
    pub(crate) queue: QueueName,
    pub(crate) max_attempts: i32,
    pub(crate) timeout: Option<Duration>,
}

impl Plan {
    /// Reads all lines first, so that a bad line is found before anything is enqueued. Also returns the name of the
    /// batch.
    pub(crate) fn read(mut input: Lines, common: Common) -> Result<(Self, String), Failure> {
        let known = common.batch.is_some();
        let batch = common.batch.unwrap_or_else(|| Uuid::new_v4().simple().to_string());
        let mut plan = Self {
            lines: Vec::new(),
            ids: Vec::new(),
            command: common.command,
            queue: common.queue,
            kind: KIND.parse().map_err(|error| Failure::new(format!("{KIND} {error}")))?,
            max_attempts: common.max_attempts,
            timeout: common.timeout,
            batch: check_batch_name(&batch).is_ok().then(|| batch.clone()),
            known,
        };
        let mut seen: HashMap<Uuid, u64> = HashMap::new();
        while let Some((number, line)) = input.next()? {
            let occurrence = seen.entry(id(&batch, &line, 0)).and_modify(|times| *times += 1).or_default();
            plan.ids.push(JobId(id(&batch, &line, *occurrence)));
            plan.lines.push(line);
            let job = plan.job(plan.lines.len() - 1)?;
            job.validate().map_err(|error| Failure::usage(error.to_string()).at_line(number))?;
        }
        Ok((plan, batch))
    }

    /// The number of jobs.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The ids of the jobs, in the order of the lines.
    pub(crate) fn ids(&self) -> &[JobId] {
        &self.ids
    }

    /// The queue of the jobs.
    pub(crate) fn queue(&self) -> &QueueName {
        &self.queue
    }

    /// The name of the batch, if the jobs are in one.
    pub(crate) fn batch(&self) -> Option<&str> {
        self.batch.as_deref()
    }

    /// Whether the batch may have been run before.
    pub(crate) fn known(&self) -> bool {
        self.known
    }

    /// A line; `nth` counts from 0.
    pub(crate) fn line(&self, nth: usize) -> &str {
        &self.lines[nth]
    }

    /// The job of a line.
    pub(crate) fn job(&self, nth: usize) -> Result<NewJob, Failure> {
        let mut job = NewJob::new(self.kind.clone(), self.payload(nth)?);
        job.id = self.ids[nth];
        job.id_may_exist = self.known;
        job.queue = self.queue.clone();
        job.max_attempts = self.max_attempts;
        job.timeout = self.timeout;
        job.batch.clone_from(&self.batch);
        Ok(job)
    }

    /// The job of an input line, if it is enqueued at this time. The jobs have the order of their input lines. So they begin
    /// in the order of the input, and behind all jobs that waited before.
    pub(crate) fn job_at(&self, nth: usize, now: DateTime<Utc>) -> Result<NewJob, Failure> {
        let behind = TimeDelta::microseconds(i64::try_from(self.len() - nth).unwrap_or(i64::MAX));
        Ok(self.job(nth)?.with(|job| job.run_at = now.checked_sub_signed(behind)))
    }

    /// The payload of a line's job.
    pub(crate) fn payload(&self, nth: usize) -> Result<Box<RawValue>, Failure> {
        let argv = with_line(&self.command, &self.lines[nth]);
        to_raw_value(&Payload { argv }).map_err(|error| Failure::new(error.to_string()))
    }
}

/// The command with the line in place of each `{}`, or with the line at its end if there is no `{}`.
fn with_line(command: &[String], line: &str) -> Vec<String> {
    let mut argv: Vec<String> = command.iter().map(|word| word.replace(LINE, line)).collect();
    if !command.iter().any(|word| word.contains(LINE)) {
        argv.push(line.to_owned());
    }
    argv
}

/// A UUID of version 8, which is for applications. The lengths keep the parts apart.
fn id(batch: &str, line: &str, occurrence: u64) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(b"leasehold each 1");
    hash.update((batch.len() as u64).to_le_bytes());
    hash.update(batch);
    hash.update(occurrence.to_le_bytes());
    hash.update(line);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_from_batch_line_and_occurrence() {
        let all = [id("b", "x", 0), id("b", "x", 1), id("b", "y", 0), id("c", "x", 0), id("bx", "", 0)];
        for (nth, one) in all.iter().enumerate() {
            assert!(all[nth + 1..].iter().all(|other| other != one));
        }
        // The ids must never change: a batch that was begun last year must still be the same batch.
        assert_eq!(id("b", "x", 0).to_string(), "ede030b9-d987-806d-979e-847250b646d8");
    }

    #[test]
    fn the_line_takes_the_place_of_the_braces_or_the_end() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(with_line(&words(&["cp", "{}", "{}.bak"]), "a b"), words(&["cp", "a b", "a b.bak"]));
        assert_eq!(with_line(&words(&["wc", "-l"]), "{}"), words(&["wc", "-l", "{}"]));
    }
}
