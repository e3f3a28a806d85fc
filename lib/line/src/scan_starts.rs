//! The scan start of a line, shared with other processes through Redis while surveys are slow.
//!
//! A process that fills a head must know where the line of the queue begins. This file owns the text in Redis, and how
//! long other processes use the text. Surveys (`surveys.rs`) make the content, and each read of the line updates it.

use crate::surveys::rest_after;
use leasehold_core::QueueName;
use leasehold_ports::{Error, FillHead, ReadLine, Stretch, Tail};
use std::time::Duration;

/// A line with more stretches is not shared, because its text would be longer than 50 KB. Each process that fills such
/// a head surveys the line.
const SHARED_AT_MOST: usize = 500;

/// How long other processes use the shared scan start.
#[derive(Clone, Copy, Debug)]
pub enum Ttl {
    /// The new scan start is valid for as long as the earlier one.
    Keep,
    /// For a reaper, which shares at every tick: if it dies, the text is needed until another reaper shares.
    Reaper,
    /// For a worker: it does not know whether its survey was slow only by chance.
    Worker(Duration),
}

impl Ttl {
    fn time(self) -> Option<Duration> {
        match self {
            Self::Keep => None,
            Self::Reaper => Some(Duration::from_secs(30)),
            Self::Worker(time) => Some(time.min(Duration::from_secs(5))),
        }
    }
}

/// The scan start of a queue's line, shared by another process or from a survey, and whether other processes use the
/// same one.
pub(crate) async fn stretches_of(
    store: &dyn ReadLine,
    handoff: &dyn FillHead,
    queue: &QueueName,
) -> Result<(Vec<Stretch>, bool), Error> {
    if let Some(known) = shared_in(&handoff.tail(queue).await?) {
        return Ok((known, true));
    }
    let survey = store.survey(Some(queue)).await?;
    let stretches = survey.lines.into_iter().next().map(|line| line.stretches).unwrap_or_default();
    let rest = rest_after(survey.took);
    if !rest.is_zero() {
        share(handoff, queue, &stretches, Ttl::Worker(rest)).await?;
    }
    Ok((stretches, !rest.is_zero()))
}

/// Shares the scan start of a queue's line with other processes.
///
/// # Errors
/// Redis does not answer. Other processes then survey the line themselves.
pub async fn share(handoff: &dyn FillHead, queue: &QueueName, stretches: &[Stretch], ttl: Ttl) -> Result<(), Error> {
    match serde_json::to_string(stretches) {
        Ok(text) if stretches.len() <= SHARED_AT_MOST => Ok(handoff.keep_scan_start(queue, &text, ttl.time()).await?),
        _ => Ok(()),
    }
}

/// The shared scan start of a line, if there is one.
pub(crate) fn shared_in(tail: &Tail) -> Option<Vec<Stretch>> {
    serde_json::from_str(tail.scan_start.as_deref()?).ok()
}
