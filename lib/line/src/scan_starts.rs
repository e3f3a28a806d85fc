//! Where a line begins, told to other processes through Redis while a survey takes long.
//!
//! Whoever fills a head has to know where its line begins. This file owns the text in Redis and how long others go by it.
//! The content is made by surveys (`surveys.rs`), and each look at the line moves it on.

use crate::surveys::rest_after;
use leasehold_core::QueueName;
use leasehold_ports::{Error, FillHead, ReadLine, Stretch, Tail};
use std::time::Duration;

/// A line of more stretches is not shared, since its text would be longer than 50 KB: whoever fills the head surveys the line.
const SHARED_AT_MOST: usize = 500;

/// How long others go by what is shared.
#[derive(Clone, Copy, Debug)]
pub enum Ttl {
    /// As long as they go by what was shared before.
    Keep,
    /// A reaper shares at every tick: until another reaper is at work.
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

/// Where the line of a queue begins: as shared by others, or as a survey says. And whether others go by the same.
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

/// Tells others where the line of a queue begins.
///
/// # Errors
/// That Redis does not answer. Others survey the line themselves then.
pub async fn share(handoff: &dyn FillHead, queue: &QueueName, stretches: &[Stretch], ttl: Ttl) -> Result<(), Error> {
    match serde_json::to_string(stretches) {
        Ok(text) if stretches.len() <= SHARED_AT_MOST => Ok(handoff.keep_scan_start(queue, &text, ttl.time()).await?),
        _ => Ok(()),
    }
}

/// Where the line begins, if somebody shared that.
pub(crate) fn shared_in(tail: &Tail) -> Option<Vec<Stretch>> {
    serde_json::from_str(tail.scan_start.as_deref()?).ok()
}
