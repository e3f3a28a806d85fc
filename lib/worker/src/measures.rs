//! How long jobs waited and ran, by queue, and how long claims and writes of results took.
//!
//! The start delay is what an operator promises: how long after its due time a job begins. The store says how long the job had been due
//! at the claim, without the time that its queue was paused; the worker adds the time that the claimed job waits for a slot. Jobs
//! with limit keys or parents have no start delay, because they wait for other jobs. Jobs that a worker gave back or lost have no
//! start delay either.

use leasehold_core::{Distribution, QueueName, Reading};
use std::{collections::HashMap, time::Duration};

/// Delays are promised between a few milliseconds and minutes.
const START_DELAY_BOUNDS_S: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0];
/// Jobs take from milliseconds to hours.
const RUN_BOUNDS_S: &[f64] = &[0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0];
/// A healthy PostgreSQL answers within milliseconds; a call has a timeout of some seconds.
const CALL_BOUNDS_S: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0];
/// A batch has up to [`leasehold_core::BATCH_MAX`] jobs.
const BATCH_BOUNDS: &[f64] = &[0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// What a worker has measured since its start.
#[derive(Debug)]
pub(crate) struct Measures {
    by_queue: HashMap<QueueName, OfQueue>,
    pub(crate) claims: Calls,
    pub(crate) settles: Calls,
}

#[derive(Debug)]
struct OfQueue {
    start_delay_s: Distribution,
    run_s: Distribution,
}

/// Answered calls of one kind.
#[derive(Debug)]
pub(crate) struct Calls {
    took_s: Distribution,
    jobs: Distribution,
}

/// What a worker has measured about one queue.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueReading {
    /// From the due time of a job to the start of its handler, in seconds.
    pub start_delay_s: Reading,
    /// From the start of a handler to its end, in seconds.
    pub run_s: Reading,
}

/// What a worker has measured about calls of one kind to PostgreSQL.
#[derive(Clone, Debug, PartialEq)]
pub struct CallReading {
    /// From the call to the answer, in seconds.
    pub took_s: Reading,
    /// The number of jobs of a call.
    pub jobs: Reading,
}

impl Measures {
    pub(crate) fn new<'a>(queues: impl IntoIterator<Item = &'a QueueName>) -> Self {
        let of_queue = || OfQueue {
            start_delay_s: Distribution::new(START_DELAY_BOUNDS_S),
            run_s: Distribution::new(RUN_BOUNDS_S),
        };
        Self {
            by_queue: queues.into_iter().map(|queue| (queue.clone(), of_queue())).collect(),
            claims: Calls::new(),
            settles: Calls::new(),
        }
    }

    /// A handler begins. `due_for`: how long its job has been due; `None`: this job counts for no promise.
    pub(crate) fn began(&self, queue: &QueueName, due_for: Option<Duration>) {
        if let (Some(of), Some(due_for)) = (self.by_queue.get(queue), due_for) {
            of.start_delay_s.add(due_for.as_secs_f64());
        }
    }

    /// A handler has ended.
    pub(crate) fn ran(&self, queue: &QueueName, took: Duration) {
        if let Some(of) = self.by_queue.get(queue) {
            of.run_s.add(took.as_secs_f64());
        }
    }

    pub(crate) fn of_queue(&self, queue: &QueueName) -> Option<QueueReading> {
        let of = self.by_queue.get(queue)?;
        Some(QueueReading { start_delay_s: of.start_delay_s.read(), run_s: of.run_s.read() })
    }
}

impl Calls {
    fn new() -> Self {
        Self { took_s: Distribution::new(CALL_BOUNDS_S), jobs: Distribution::new(BATCH_BOUNDS) }
    }

    /// A call with this many jobs was answered.
    pub(crate) fn answered(&self, took: Duration, jobs: usize) {
        self.took_s.add(took.as_secs_f64());
        self.jobs.add(u32::try_from(jobs).unwrap_or(u32::MAX).into());
    }

    pub(crate) fn read(&self) -> CallReading {
        CallReading { took_s: self.took_s.read(), jobs: self.jobs.read() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_jobs_with_a_promise_have_a_start_delay_and_every_run_a_duration() {
        let (mail, other): (QueueName, QueueName) = ("mail".parse().expect("a name"), "other".parse().expect("a name"));
        let measures = Measures::new([&mail]);
        measures.began(&mail, Some(Duration::from_millis(300)));
        measures.began(&mail, None);
        measures.ran(&mail, Duration::from_secs(2));
        measures.ran(&mail, Duration::from_secs(4));
        // A job that was moved to another queue after its claim.
        measures.began(&other, Some(Duration::ZERO));
        let read = measures.of_queue(&mail).expect("a queue of this worker");
        assert_eq!((read.start_delay_s.count(), read.run_s.count(), read.run_s.sum), (1, 2, 6.0));
        assert_eq!(read.start_delay_s.counts[6], (0.5, 1));
        assert_eq!(measures.of_queue(&other), None);
    }
}
