//! Extends a low head: appends the ids that follow in the line behind the position up to which the head was filled.

use crate::{
    fill::{HeadReport, begin_reading, who_serves},
    scan_starts::shared_in,
};
use leasehold_core::{FailPoint, Kind, QueueName, pass};
use leasehold_ports::{Error, FillHead, Kinds, Line, LinePosition, ReadLine, Served};
use std::collections::BTreeSet;

/// An extension reads at most this many lengths of a head whose hints are leased. The ids behind them are left for
/// later.
const EXTENSIONS: u32 = 8;

/// Appends to a low head the ids that follow in the line behind the position up to which the head was filled. This
/// costs about half of [`fill_head`](crate::fill_head), because ids that Redis holds are neither read nor sent. `None`
/// means that a fill is needed: the last fill was [too long](leasehold_ports::EXTEND_FOR) ago; or the head no longer
/// reaches that position; or the line ends there, which only a fill may record; or another process has filled the head
/// at the same time.
///
/// An extension pushes a part of the hints that a fill would push. It is as safe as a fill: at any time, and by many
/// processes at the same time.
///
/// # Errors
/// A store does not answer. Hints that were pushed before that are right and stay.
pub async fn extend_head(
    store: &dyn ReadLine,
    handoff: &dyn FillHead,
    queue: &QueueName,
    head_max: u32,
) -> Result<Option<HeadReport>, Error> {
    let tail = handoff.tail(queue).await?;
    let Some(mut from) = tail.filled_to.clone() else { return Ok(None) };
    let mut report = HeadReport { more: true, ..HeadReport::default() };
    let room = head_max.saturating_sub(tail.ready);
    if room == 0 {
        return Ok(Some(report));
    }
    let (served, full) = who_serves(handoff, queue).await?;
    let kinds = match (served, shared_in(&tail)) {
        (Served::Only(served), _) => Kinds::Only(served.into_iter().filter(|kind| !full.contains(kind)).collect()),
        // Only a survey could find out which kinds the line has.
        (_, Some(stretches)) => {
            let kinds: BTreeSet<Kind> = stretches.into_iter().map(|stretch| stretch.kind).collect();
            Kinds::Only(kinds.into_iter().filter(|kind| !full.contains(kind)).collect())
        }
        _ if full.is_empty() => Kinds::All,
        _ => return Ok(None),
    };
    let reading = begin_reading(handoff, queue).await?;
    // The fleet may have leased more than a head's length of hints. A fill that found some of the first ids missing may
    // have moved the position back to there.
    for _ in 0..EXTENSIONS {
        let Ok(place) = from.parse::<LinePosition>() else { return Ok(None) };
        let behind = store.line_after(queue, &kinds, &place, i64::from(room)).await?;
        // At the end of the line, only a fill can say whether the line is longer than what Redis holds. The ids before
        // the end are appended all the same: a fill sees only one length of a head, which may be full of jobs that wait
        // for locks.
        let Line { hints, last: Some(to), .. } = behind else { return Ok(None) };
        pass(FailPoint::LineRead);
        let to = to.to_string();
        let extended = handoff.extend(queue, reading, &from, &to, &hints).await?;
        if extended.changed {
            return Ok(None);
        }
        report.read += u32::try_from(hints.len()).unwrap_or(u32::MAX);
        report.pushed += extended.pushed;
        report.held += extended.held;
        if report.pushed > 0 {
            break;
        }
        from = to;
    }
    Ok(Some(report))
}
