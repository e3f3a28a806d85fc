//! Keeps the head in Redis like the front of the line in PostgreSQL.
//!
//! One operation puts right whatever happened to Redis: read the first ids of the line, push those that
//! Redis does not hold. Between two such fills a head may be extended, which puts nothing right and is cheaper.
//! It owns the choice of which kinds the head is filled with. It does not order
//! the line (the statement does) and does not bound the head (the script does).

use crate::{
    audit::{hints_of, missing},
    begins::{For, share, shared_in, stretches_of},
    drift::Drift,
    error::Error,
    note::Mend,
    reads::{GLANCE, Reads, Seen},
    surveys::{Surveys, move_on},
    sweep::Sweeps,
    tick::{Tick, all_of},
};
use leasehold_core::{FailPoint, JobId, Kind, QueueName, State, pass};
use leasehold_handoff::{Head, HeadStats, Served, Swept};
use leasehold_store::{Authority, Kinds, Line, LineSummary, Place, Stretch};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};
use tokio::time::Instant;

/// How long a statement may be on its way to PostgreSQL, which counts back from when it comes there. A job that was claimed
/// about when the head was filled last is not said to have lost its hint.
const ON_THE_WAY: Duration = Duration::from_secs(2);

/// How many heads' lengths of leased hints an extension passes over at most before it leaves it for another time.
const EXTENSIONS: u32 = 8;

/// What one fill found and changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HeadReport {
    /// Ids read from the front of the line.
    pub read: u32,
    /// Hints that Redis did not hold and holds now.
    pub pushed: u32,
    /// Hints that it held already.
    pub held: u32,
    /// Whether the line goes on behind what was read.
    pub more: bool,
}

/// Makes the head of `queue` match the front of its line: up to `head_max` ids, of the kinds that a
/// live worker serves and whose hints are not already set aside in number.
///
/// Safe to call at any time and by many at once: Redis refuses a hint that it holds, and PostgreSQL
/// a hint that is out of date.
///
/// # Errors
/// When a store does not answer. What was pushed before that is right and stays.
pub async fn fill_head(
    store: &dyn Authority,
    handoff: &dyn Head,
    queue: &QueueName,
    head_max: u32,
) -> Result<HeadReport, Error> {
    let (mut stretches, shared) = stretches_of(store, handoff, queue).await?;
    let (front, moved) = front_of_line(store, handoff, queue, &stretches, head_max).await?;
    let (report, _) = fill_with(handoff, queue, &front).await?;
    if shared {
        move_on(&mut stretches, moved);
        share(handoff, queue, &stretches, For::AsBefore).await?;
    }
    Ok(report)
}

/// Appends to a low head what follows in the line behind the place up to which it was filled: about half of what
/// [`fill_head`] costs, since nothing is read and sent that Redis holds. `None` if only that will do: the last fill is [some
/// time](leasehold_handoff::EXTEND_FOR) ago, or the head no longer reaches as far; the line ends there, which a fill alone
/// may say; or another has filled it meanwhile.
///
/// What it appends is a part of what a fill would push. It is as safe to call as a fill, at any time and by many at once.
///
/// # Errors
/// When a store does not answer. What was pushed before that is right and stays.
pub async fn extend_head(
    store: &dyn Authority,
    handoff: &dyn Head,
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
        let Ok(place) = from.parse::<Place>() else { return Ok(None) };
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

/// The step: every queue that has a line, and every head that says of a line which is gone that it overflows.
/// Tells `sweeps` where more hints wait than the line has jobs. Returns how many queues got hints.
pub(crate) async fn step(
    tick: &Tick<'_>,
    surveys: &mut Surveys,
    reads: &mut Reads,
    sweeps: &mut Sweeps,
) -> Result<u32, Error> {
    tick.store()?;
    let (lines, is_slow) = (surveys.lines()?, surveys.is_slow());
    let handoff = tick.handoff()?;
    reads.forget_all_but(lines);
    let now = Instant::now();
    let open = lines.iter().filter(|line| !line.paused);
    let fills = open.map(|line| {
        let head = tick.heads.iter().find(|(queue, _)| queue == &line.queue).map(|(_, head)| head);
        let known = reads.known(&line.queue, head, tick.settings.head_max, now);
        fill_line(tick, line, head, known, reads.seen(&line.queue))
    });
    let fills = all_of(fills).await?;
    let reports: BTreeMap<&QueueName, HeadReport> = fills.iter().map(|fill| (&fill.queue, fill.report)).collect();
    for (queue, head) in tick.heads {
        // A paused queue keeps the flag: it is the first fill after the pause that knows.
        if head.overflow && !head.paused && !lines.iter().any(|line| &line.queue == queue) {
            handoff.fill(queue, &[], false, None).await?;
            tick.counts.changed(1);
        }
        let line = reports.get(queue).copied().unwrap_or_default();
        if !line.more && head.ready + head.claimed > u64::from(line.read) {
            sweeps.surplus(queue);
        }
    }
    let filled = reports.values().map(|report| u32::from(report.pushed > 0)).sum();
    for Fill { queue, read_in_full, moved, .. } in fills {
        if let Some(ids) = read_in_full {
            reads.remember(&queue, ids, now);
        }
        surveys.moved(&queue, moved);
    }
    if is_slow {
        for line in surveys.lines()? {
            share(handoff, &line.queue, &line.stretches, For::WhileAReaperMayCome).await?;
        }
    }
    Ok(filled)
}

/// What became of the head of one line.
struct Fill {
    queue: QueueName,
    report: HeadReport,
    /// The ids that it was filled from; none where a glance was enough.
    read_in_full: Option<Vec<JobId>>,
    /// Where the stretches that were read begin by now.
    moved: Vec<Stretch>,
}

/// Fills the head of one line, or finds that it need not be.
async fn fill_line(
    tick: &Tick<'_>,
    line: &LineSummary,
    head: Option<&HeadStats>,
    known: Option<&HashSet<JobId>>,
    seen: Option<&Seen>,
) -> Result<Fill, Error> {
    let (store, handoff, queue) = (tick.store()?, tick.handoff()?, line.queue.clone());
    if let Some(known) = known {
        let (front, moved) = front_of_line(store, handoff, &queue, &line.stretches, GLANCE).await?;
        // An empty one may have workers waiting that nobody fills it for.
        let is_tended = head.is_some_and(|head| head.ready > 0) || handoff.tail(&queue).await?.filled_to.is_some();
        let is_known = front.ids.iter().all(|id| known.contains(id));
        if front.more && is_tended && (is_known || handoff.holds_all(&queue, &front.ids).await?) {
            tick.counts.found(u64::from(GLANCE));
            let report = HeadReport { read: GLANCE, pushed: 0, held: GLANCE, more: true };
            return Ok(Fill { queue, report, read_in_full: None, moved });
        }
    }
    let (front, moved) = front_of_line(store, handoff, &queue, &line.stretches, tick.settings.head_max).await?;
    let lost = match seen {
        Some(seen) => lost_hints(tick, line, head.cloned().unwrap_or_default(), &front, seen).await?,
        None => 0,
    };
    let (report, swept) = fill_with(handoff, &line.queue, &front).await?;
    tick.counts.repaired(Drift::HintMissing, lost);
    tick.swept(swept);
    tick.counts.found(u64::from(report.read));
    tick.counts.changed(u64::from(report.pushed));
    Ok(Fill { queue, report, read_in_full: Some(front.ids), moved })
}

/// Hints that Redis held after the last fill and lost since, although their jobs have waited all the time: noted in the
/// trails of those, and counted. The fill that follows pushes them again, with all else that is missing.
///
/// A comparison reads all hints of the queue, so it is made only where the numbers say that some are gone.
async fn lost_hints(
    tick: &Tick<'_>,
    line: &LineSummary,
    head: HeadStats,
    front: &Line,
    seen: &Seen,
) -> Result<u64, Error> {
    let expected = front.ids.iter().filter(|id| seen.ids.contains(id)).count();
    let disagree = head.ready + head.claimed + head.aside != head.waiting_members;
    if expected == 0 || !(disagree || too_few(&head, front.ids.len(), expected)) {
        return Ok(0);
    }
    let handoff = tick.handoff()?;
    if disagree {
        // What waits in no list only seems to be held.
        tick.swept(handoff.sweep(&line.queue).await?);
    }
    let snapshot = handoff.snapshot(&line.queue).await?;
    let missing = missing(&front.ids, &hints_of(&snapshot), snapshot.overflow);
    let lost = missing.into_iter().filter(|id| seen.ids.contains(id)).map(|id| (id, None)).collect();
    let mend = Mend { kind: Drift::HintMissing, done: "pushed again", state: Some(State::Queued) };
    let lost = tick.note_runs(&mend, lost, seen.at.elapsed() + ON_THE_WAY).await? as u64;
    tick.counts.drifted(Drift::HintMissing, lost);
    Ok(lost)
}

/// Whether Redis holds fewer hints than it should, as far as numbers tell: of a short line all, of a long one at least
/// those that it held before.
const fn too_few(head: &HeadStats, front: usize, expected: usize) -> bool {
    let waiting = head.waiting_members as usize;
    waiting < expected || (front <= GLANCE as usize && waiting < front)
}

/// What the head of a queue should hold first, given the stretches of its line; and where those that were read begin by now.
pub(crate) async fn front_of_line(
    store: &dyn Authority,
    handoff: &dyn Head,
    queue: &QueueName,
    stretches: &[Stretch],
    depth: u32,
) -> Result<(Line, Vec<Stretch>), Error> {
    let (served, full) = who_serves(handoff, queue).await?;
    let wanted: Vec<Stretch> =
        stretches.iter().filter(|stretch| is_wanted(&stretch.kind, &served, &full)).cloned().collect();
    if wanted.is_empty() {
        // Nothing that anybody could run: no need to read the line to know it.
        return Ok((Line::default(), wanted));
    }
    Ok(store.line(queue, &wanted, i64::from(depth)).await?)
}

async fn who_serves(handoff: &dyn Head, queue: &QueueName) -> Result<(Served, BTreeSet<Kind>), Error> {
    let served = handoff.served_kinds(queue).await?;
    let asides = handoff.asides(queue).await?;
    Ok((served, asides.into_iter().filter(|(_, _, full)| *full).map(|(kind, _, _)| kind).collect()))
}

async fn fill_with(handoff: &dyn Head, queue: &QueueName, front: &Line) -> Result<(HeadReport, Swept), Error> {
    pass(FailPoint::LineRead);
    let to = front.last.map(|place| place.to_string());
    let filled = handoff.fill(queue, &front.ids, front.more, to.as_deref()).await?;
    let read = u32::try_from(front.ids.len()).unwrap_or(u32::MAX);
    Ok((HeadReport { read, pushed: filled.pushed, held: filled.held, more: front.more }, filled.swept))
}

/// Whether the head is filled with jobs of this kind.
///
/// Kinds that nobody serves stay in the line, where they cost nothing. So do kinds of which as many hints
/// as are kept wait aside: one more would be taken, found foreign and forgotten, over and over. With no
/// worker known at all (none is up yet, or Redis has forgotten them) nothing is left out.
fn is_wanted(kind: &Kind, served: &Served, full: &BTreeSet<Kind>) -> bool {
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
