//! The span around a call that enqueues, and the trace context that its jobs store.

use crate::Error;
use leasehold_core::NewJob;
use leasehold_ports::Enqueued;
use leasehold_store::Once;
use leasehold_telemetry::traces::{SendSpan, is_on};
use tracing::Instrument;

/// A call that enqueues, in its span.
pub struct Sending {
    jobs: Vec<NewJob>,
    span: SendSpan,
}

/// An answer to jobs that were enqueued.
pub trait Answers {
    /// The id in the answer to the first job.
    fn first_id(&self) -> Option<String>;
}

impl Answers for Vec<Enqueued> {
    fn first_id(&self) -> Option<String> {
        self.first().map(|answer| answer.id.to_string())
    }
}

impl Answers for Once {
    fn first_id(&self) -> Option<String> {
        match self {
            Self::Done(answers) | Self::Already(answers) => answers.first_id(),
            Self::OtherRequest => None,
        }
    }
}

impl Sending {
    /// Begins the span, if traces are on. If the span is sampled, its jobs belong to its trace, except for jobs that already
    /// belong to another trace.
    #[must_use]
    pub fn begin(jobs: &[NewJob]) -> Option<Box<Self>> {
        // A plain call reads one flag.
        if !is_on() {
            return None;
        }
        let queue = jobs.first().map(|job| &job.queue);
        let queue = queue.filter(|queue| jobs.iter().all(|job| job.queue == **queue));
        let given = jobs.iter().filter_map(|job| job.traceparent.as_deref());
        let span = SendSpan::begin(queue.map(|queue| queue.as_str()), jobs.len(), given)?;
        let mut jobs = jobs.to_vec();
        if let Some(traceparent) = span.traceparent() {
            let others = jobs.iter_mut().filter(|job| job.traceparent.is_none());
            others.for_each(|job| job.traceparent = Some(traceparent.to_owned()));
        }
        // In a box, because it would make the task of every call larger.
        Some(Box::new(Self { jobs, span }))
    }

    /// Makes the call in the span.
    ///
    /// # Errors
    /// The errors of the call.
    pub async fn run<'j, T: Answers, F>(&'j self, call: impl FnOnce(&'j [NewJob]) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let answer = call(&self.jobs).instrument(self.span.span().clone()).await;
        let is_one = self.jobs.len() == 1;
        self.span.end(match &answer {
            Ok(answers) => Ok(answers.first_id().filter(|_| is_one)),
            Err(error) => Err(kind_of(error)),
        });
        answer
    }
}

/// The kind of an error, without its text.
const fn kind_of(error: &Error) -> &'static str {
    match error {
        Error::Locked(_) => "locked",
        Error::OutcomeUnknown { .. } => "outcome_unknown",
        Error::Store(_) => "store",
        _ => "_OTHER",
    }
}
