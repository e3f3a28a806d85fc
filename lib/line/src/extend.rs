//! Extends a low head: appends what follows in the line behind the place up to which the head was filled.

use crate::{
    fill::{HeadReport, who_serves},
    scan_starts::shared_in,
};
use leasehold_core::{FailPoint, Kind, QueueName, pass};
use leasehold_ports::{Error, FillHead, Kinds, Line, LinePosition, ReadLine, Served};
use std::collections::BTreeSet;

/// An extension passes over this many lengths of a head at most whose hints are leased; what comes behind them is left for
/// another time.
const EXTENSIONS: u32 = 8;

/// Appends to a low head what follows in the line behind the place up to which it was filled: about half of what
/// [`fill_head`](crate::fill_head) costs, since nothing is read and sent that Redis holds. `None` if only that will do: the last fill is [some
/// time](leasehold_ports::EXTEND_FOR) ago, or the head no longer reaches as far; the line ends there, which a fill alone
/// may say; or another has filled it meanwhile.
///
/// What it appends is a part of what a fill would push. It is as safe to call as a fill, at any time and by many at once.
///
/// # Errors
/// When a store does not answer. What was pushed before that is right and stays.
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
        // To find out which kinds there are would take a survey.
        (_, Some(stretches)) => {
            let kinds: BTreeSet<Kind> = stretches.into_iter().map(|stretch| stretch.kind).collect();
            Kinds::Only(kinds.into_iter().filter(|kind| !full.contains(kind)).collect())
        }
        _ if full.is_empty() => Kinds::All,
        _ => return Ok(None),
    };
    // A fleet may have leased more than a head's length, which a fill that found some of the first missing has set it back to.
    for _ in 0..EXTENSIONS {
        let Ok(place) = from.parse::<LinePosition>() else { return Ok(None) };
        let behind = store.line_after(queue, &kinds, &place, i64::from(room)).await?;
        // At its end, whether the line is longer than what Redis holds only a fill can say. What is there before the end is
        // brought all the same: a fill sees no further than the length of a head, which may be full of jobs that wait for
        // somebody's lock.
        let Line { ids, last: Some(to), .. } = behind else { return Ok(None) };
        pass(FailPoint::LineRead);
        let to = to.to_string();
        let extended = handoff.extend(queue, &from, &to, &ids).await?;
        if extended.changed {
            return Ok(None);
        }
        report.read += u32::try_from(ids.len()).unwrap_or(u32::MAX);
        report.pushed += extended.pushed;
        report.held += extended.held;
        if report.pushed > 0 {
            break;
        }
        from = to;
    }
    Ok(Some(report))
}
