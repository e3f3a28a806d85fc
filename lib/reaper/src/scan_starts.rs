//! Where a line scan_start, told to others through Redis while it takes long to find out.
//!
//! Whoever fills a head has to know it. It owns the text that stands there and how long others go by it; what is in it is
//! the surveys' (`surveys.rs`) and moved on by each look.

use crate::{error::Error, surveys::rest_after};
use leasehold_core::QueueName;
use leasehold_handoff::{Head, Tail};
use leasehold_store::{Authority, Stretch};
use std::time::Duration;

/// A line of more stretches is not shared, which would be more than some 50 KB: each who fills its head surveys it.
const SHARED_AT_MOST: usize = 500;

/// How long others go by what is shared.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ttl {
    /// As long as by what they have.
    Keep,
    /// A reaper shares at every tick: as long as it takes until another one is at work.
    Reaper,
    /// A worker cannot tell whether its survey was only held up.
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

/// Where the line of a queue scan_start: as others have found out and keep up to date, or as a survey says. And whether others go
/// by it too.
pub(crate) async fn stretches_of(
    store: &dyn Authority,
    handoff: &dyn Head,
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

/// Tells others where the line of a queue scan_start.
pub(crate) async fn share(handoff: &dyn Head, queue: &QueueName, stretches: &[Stretch], ttl: Ttl) -> Result<(), Error> {
    match serde_json::to_string(stretches) {
        Ok(text) if stretches.len() <= SHARED_AT_MOST => Ok(handoff.keep_scan_start(queue, &text, ttl.time()).await?),
        _ => Ok(()),
    }
}

/// What somebody told of where the line scan_start.
pub(crate) fn shared_in(tail: &Tail) -> Option<Vec<Stretch>> {
    serde_json::from_str(tail.scan_start.as_deref()?).ok()
}
