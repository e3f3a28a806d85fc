//! Fills the head in Redis from the front of the line in PostgreSQL.
//!
//! One operation repairs every possible damage of Redis: it reads the first ids of the line, and pushes the ids that
//! Redis does not hold. Between two fills, a head may be extended (`extend.rs`), which costs less but repairs nothing.
//! This file owns the choice of kinds for a head. The statement owns the order of the line, the script owns the maximum
//! of the head.

use crate::{
    scan_starts::{Ttl, share, stretches_of},
    surveys::move_on,
};
use leasehold_core::{FailPoint, Kind, QueueName, pass};
use leasehold_ports::{Error, Fill, FillHead, Filled, Line, ReadLine, Served, Stretch};
use serde::Serialize;
use std::collections::BTreeSet;

/// The result of one fill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HeadReport {
    /// Ids that were read from the front of the line.
    pub read: u32,
    /// Hints that the fill put into Redis.
    pub pushed: u32,
    /// Hints that Redis already held.
    pub held: u32,
    /// Whether the line continues behind the ids that were read.
    pub more: bool,
}

/// Makes the head of `queue` match the front of its line: up to `head_max` ids, of the kinds that a live worker serves
/// and whose aside lists are not full.
///
/// Safe to call at any time, and by many processes at the same time: Redis refuses a hint that it already holds, and
/// PostgreSQL refuses a hint that is out of date.
///
/// # Errors
/// A store does not answer. Hints that were pushed before that are right and stay.
pub async fn fill_head(
    store: &dyn ReadLine,
    handoff: &dyn FillHead,
    queue: &QueueName,
    head_max: u32,
) -> Result<HeadReport, Error> {
    // The reading begins before the survey. After the survey, the first job of a kind may come, and its hint may come
    // before the fill.
    let reading = begin_reading(handoff, queue).await?;
    let (mut stretches, shared) = stretches_of(store, handoff, queue).await?;
    let (front, moved) = front_of_line(store, handoff, queue, &stretches, head_max).await?;
    pass(FailPoint::LineRead);
    let filled = handoff.fill_all(&[fill_from(queue, reading, &front)]).await?.pop().unwrap_or_default();
    let report = report_of(&front, filled);
    if shared {
        move_on(&mut stretches, moved);
        share(handoff, queue, &stretches, Ttl::Keep).await?;
    }
    Ok(report)
}

/// The ids that the head of a queue should hold first, from the stretches of its line, and the current scan starts of
/// the stretches that were read.
///
/// # Errors
/// A store does not answer.
pub async fn front_of_line(
    store: &dyn ReadLine,
    handoff: &dyn FillHead,
    queue: &QueueName,
    stretches: &[Stretch],
    depth: u32,
) -> Result<(Line, Vec<Stretch>), Error> {
    let (served, full) = who_serves(handoff, queue).await?;
    let wanted: Vec<Stretch> =
        stretches.iter().filter(|stretch| is_wanted(&stretch.kind, &served, &full)).cloned().collect();
    if wanted.is_empty() {
        // No worker could run a job of this line, so the line need not be read.
        return Ok((Line::default(), wanted));
    }
    store.line(queue, &wanted, i64::from(depth)).await
}

/// The served kinds of a queue, and the kinds whose aside lists are full.
pub(crate) async fn who_serves(handoff: &dyn FillHead, queue: &QueueName) -> Result<(Served, BTreeSet<Kind>), Error> {
    let served = handoff.served_kinds(queue).await?;
    let asides = handoff.asides(queue).await?;
    Ok((served, asides.into_iter().filter(|(_, _, full)| *full).map(|(kind, _, _)| kind).collect()))
}

/// Begins to read the line of one queue.
pub(crate) async fn begin_reading(handoff: &dyn FillHead, queue: &QueueName) -> Result<u64, Error> {
    Ok(handoff.begin_readings(std::slice::from_ref(queue)).await?.pop().unwrap_or_default())
}

/// The fill of a queue's head with a front that was read in this reading.
#[must_use]
pub fn fill_from(queue: &QueueName, reading: u64, front: &Line) -> Fill {
    let to = front.last.map(|place| place.to_string());
    Fill { queue: queue.clone(), reading: Some(reading), hints: front.hints.clone(), more: front.more, to }
}

/// The result of a fill from this front.
#[must_use]
pub fn report_of(front: &Line, filled: Filled) -> HeadReport {
    let read = u32::try_from(front.hints.len()).unwrap_or(u32::MAX);
    HeadReport { read, pushed: filled.pushed, held: filled.held, more: front.more }
}

/// Whether jobs of this kind belong in the head.
///
/// Kinds that no worker serves stay in the line, where they cost nothing. Kinds whose aside lists are full do not
/// belong there either: each further hint would be taken, refused as foreign and deleted, again and again. If no worker
/// is known (none has started yet, or Redis lost its data), no kind is left out.
#[must_use]
pub fn is_wanted(kind: &Kind, served: &Served, full: &BTreeSet<Kind>) -> bool {
    let is_served = match served {
        Served::Unknown | Served::Every => true,
        Served::Only(served) => served.contains(kind),
    };
    is_served && !full.contains(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(names: &[&str]) -> Vec<Kind> {
        names.iter().map(|name| name.parse().expect("a kind")).collect()
    }

    fn wanted(served: &Served, full: &[&str]) -> Vec<Kind> {
        let full: BTreeSet<Kind> = kinds(full).into_iter().collect();
        kinds(&["a", "b", "c"]).into_iter().filter(|kind| is_wanted(kind, served, &full)).collect()
    }

    #[test]
    fn with_no_worker_known_nothing_is_left_out() {
        assert_eq!(wanted(&Served::Unknown, &[]), kinds(&["a", "b", "c"]));
    }

    #[test]
    fn kinds_nobody_serves_stay_in_the_line() {
        assert_eq!(wanted(&Served::Only(kinds(&["a", "c", "x"])), &[]), kinds(&["a", "c"]));
    }

    #[test]
    fn kinds_with_a_full_aside_list_stay_in_the_line() {
        assert_eq!(wanted(&Served::Every, &["b"]), kinds(&["a", "c"]));
        assert_eq!(wanted(&Served::Only(kinds(&["a", "b"])), &["b"]), kinds(&["a"]));
    }
}
