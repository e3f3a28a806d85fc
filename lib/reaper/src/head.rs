//! Keeps the head in Redis equal to the front of the line in PostgreSQL.
//!
//! One operation, a fill, repairs every damage to Redis: it reads the first ids of the line, and pushes the ids that Redis does
//! not have. Between two fills a worker may extend a head, which is cheaper but repairs nothing. This step chooses the lines to
//! compare and the kinds to fill. The statement orders the line, and the script bounds the head.

use crate::{
    error::Error,
    heads::WANTED,
    note::Mend,
    reads::{GLANCE, Reads, Seen},
    step::{Needs, Ran, Step},
    tick::{Losses, Tick},
};
use async_trait::async_trait;
use leasehold_core::{Drift, FailPoint, JobId, Kind, QueueName, State, pass};
use leasehold_line::{
    HeadReport, Surveys, Ttl, fill_from, front_of_line, hints_of, is_wanted, missing, report_of, share,
};
use leasehold_ports::{Front, HeadStats, Line, LineSummary, ReaperHead, Stretch, Swept};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};
use tokio::time::Instant;

/// How long a statement may be on its way. PostgreSQL counts back from the arrival of the statement, so without this margin a
/// job that was claimed at about the time of the last fill would count as a job that lost its hint.
const ON_THE_WAY: Duration = Duration::from_secs(2);

/// After this time the step begins no further batch of lines. The next ticks compare the other lines. So jobs that become due
/// do not wait behind this work.
const TIME_A_TICK: Duration = Duration::from_millis(150);
/// How long the first survey may take before the step reports that it cannot work. Only dead rows make it slower.
const FIRST_SURVEY: Duration = Duration::from_secs(10);
/// The most lines in one batch.
const LINES_AT_ONCE: usize = 64;
/// The most ids that the lines of one batch probably have.
const IDS_AT_ONCE: usize = 32_768;
/// The assumed number of ids of a line that was never read.
const IDS_UNKNOWN: usize = 64;

/// The step and its memory.
#[derive(Debug, Default)]
pub(crate) struct HeadStep {
    reads: Reads,
    losses: Losses,
    /// After a loss, until every line is marked as changed.
    all_changed: bool,
    /// Redis was found empty, and since then not every head has been filled.
    loss: Option<Loss>,
    /// Since when the step has waited for the first survey.
    waits_since: Option<Instant>,
}

/// A loss of Redis that is being repaired.
#[derive(Clone, Copy, Debug)]
struct Loss {
    /// This reaper had seen the same Redis before the loss. Otherwise Redis may be new, and the first fill of a new Redis is
    /// not reported.
    is_news: bool,
    /// Queues that got hints since the loss.
    refilled: u32,
}

#[async_trait]
impl Step for HeadStep {
    fn name(&self) -> &'static str {
        "head"
    }

    fn needs(&self) -> Needs {
        Needs::Both
    }

    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error> {
        self.learn_losses(tick);
        let missed = std::mem::take(&mut tick.shared.exchange().missed);
        missed.into_iter().for_each(|(queue, ids)| self.reads.miss(queue, ids));
        let mut surveys = tick.shared.surveys.lock().await;
        if std::mem::take(&mut self.all_changed) {
            surveys.all_changed();
        }
        let filled = fill(tick, &mut surveys, &mut self.reads).await;
        drop(surveys);
        tick.shared.exchange().unfinished = self.reads.wanted().take(WANTED).cloned().collect();
        if matches!(filled, Err(Error::NotSurveyed(_))) {
            let waits_since = *self.waits_since.get_or_insert_with(Instant::now);
            if waits_since.elapsed() < FIRST_SURVEY {
                return Ok(Ran::Waited);
            }
        }
        self.note_loss(tick, filled?);
        self.waits_since = None;
        Ok(Ran::Done)
    }
}

impl HeadStep {
    /// After a loss of Redis, the earlier reads of the heads are not valid any more.
    fn learn_losses(&mut self, tick: &Tick) {
        if self.losses.all == tick.losses.all {
            return;
        }
        let is_news = tick.losses.seen > self.losses.seen;
        (self.losses, self.all_changed) = (tick.losses, true);
        self.reads = Reads::default();
        let was_news = self.loss.is_some_and(|loss| loss.is_news);
        self.loss = Some(Loss { is_news: is_news || was_news, refilled: 0 });
        tick.counts.drifted(Drift::RedisLost, u64::from(is_news));
    }

    /// A loss is repaired when the head of every line has been filled after it. The log says so once.
    fn note_loss(&mut self, tick: &Tick, filled: u32) {
        let Some(loss) = &mut self.loss else { return };
        loss.refilled += filled;
        if self.reads.wanted().next().is_some() {
            return;
        }
        let Loss { is_news, refilled: queues } = *loss;
        self.loss = None;
        tick.counts.repaired(Drift::RedisLost, u64::from(is_news));
        if is_news && queues > 0 {
            tick.shared.watch.count_loss();
            tracing::warn!(queues, "Redis was empty; the heads are filled again");
        }
    }
}

/// Fills the heads of all lines in which something changed or whose heads changed, and of some other lines in turns. Clears the
/// overflow flags of lines that no longer exist. Tells the sweep which queues have more hints than jobs. Returns how many
/// queues got hints.
async fn fill(tick: &Tick, surveys: &mut Surveys, reads: &mut Reads) -> Result<u32, Error> {
    let is_slow = surveys.is_slow();
    let handoff = tick.handoff()?;
    let turns = choose(tick, surveys, reads)?;
    let began = Instant::now();
    let (mut reports, mut filled, mut failed) = (BTreeMap::new(), 0, None);
    let mut batch: Vec<QueueName> = turns.iter().cloned().collect();
    loop {
        let mut ids: usize = batch.iter().map(|queue| reads.length(queue).unwrap_or(IDS_UNKNOWN)).sum();
        while batch.len() < LINES_AT_ONCE && ids < IDS_AT_ONCE {
            let Some(queue) = reads.next_wanted() else { break };
            if !turns.contains(&queue) || !reports.contains_key(&queue) && !batch.contains(&queue) {
                ids += reads.length(&queue).unwrap_or(IDS_UNKNOWN);
                batch.push(queue);
            }
        }
        if batch.is_empty() {
            break;
        }
        reads.set_under_way(&batch);
        let fills = match compare(tick, surveys, reads, &batch, &turns).await {
            Ok(fills) => fills,
            // A queue with damaged keys must not prevent fills of the other queues.
            Err(_) if batch.len() > 1 => {
                let mut fills = Vec::with_capacity(batch.len());
                for queue in &batch {
                    match compare(tick, surveys, reads, std::slice::from_ref(queue), &turns).await {
                        Ok(one) => fills.extend(one),
                        Err(error) => {
                            reads.want(queue);
                            failed = Some(error);
                        }
                    }
                }
                fills
            }
            Err(error) => {
                failed = Some(error);
                break;
            }
        };
        let now = Instant::now();
        for Fill { queue, report, read_in_full, is_well, read } in fills {
            reads.leave_out(&queue, read.left_out);
            filled += u32::from(report.pushed > 0);
            if let Some(ids) = read_in_full {
                let head = tick.heads.fresh_of(&queue).filter(|_| is_well).cloned();
                reads.remember(&queue, ids, head, now);
            }
            if is_slow {
                surveys.moved(&queue, read.moved);
            }
            reports.insert(queue, report);
        }
        reads.set_under_way(&[]);
        batch.clear();
        if failed.is_some() || began.elapsed() >= TIME_A_TICK {
            break;
        }
    }
    let lines = surveys.lines()?;
    let mut without_line = Vec::new();
    for (queue, head) in tick.heads.fresh() {
        let is_gone = !lines.contains_key(queue);
        // A paused queue keeps the flag: only the first fill after the pause knows the length of the line.
        if head.overflow && !head.paused && is_gone {
            without_line.push(leasehold_ports::Fill {
                queue: queue.clone(),
                reading: None,
                hints: Vec::new(),
                more: false,
                to: None,
            });
        }
        let line = match reports.get(queue) {
            Some(report) => *report,
            None if is_gone => HeadReport::default(),
            None => continue,
        };
        if !line.more && head.ready + head.claimed > u64::from(line.read) {
            tick.shared.exchange().surplus.insert(queue.clone());
        }
    }
    handoff.fill_all(&without_line).await?;
    tick.counts.changed(without_line.len() as u64);
    if is_slow {
        for line in reports.keys().filter_map(|queue| lines.get(queue)) {
            share(handoff, &line.queue, &line.stretches, Ttl::Reaper).await?;
        }
    }
    failed.map_or(Ok(filled), Err)
}

/// Marks the lines that must be compared with their heads. Returns the lines whose turn it is in this tick: they are compared
/// even if nothing has changed.
fn choose(tick: &Tick, surveys: &mut Surveys, reads: &mut Reads) -> Result<BTreeSet<QueueName>, Error> {
    reads.want_broken_off();
    surveys.lines()?;
    let changed = surveys.take_changed();
    for queue in surveys.take_kinds_changed() {
        reads.forget(&queue);
    }
    let lines = surveys.lines()?;
    for queue in changed {
        if lines.get(&queue).is_none_or(|line| line.paused) {
            reads.forget(&queue);
        } else {
            reads.want(&queue);
        }
    }
    reads.want_left_out();
    let is_open = |queue: &QueueName| lines.get(queue).is_some_and(|line| !line.paused);
    for queue in tick.heads.empty().filter(|queue| is_open(queue)) {
        reads.want(queue);
    }
    for (queue, head) in tick.heads.fresh() {
        if is_open(queue) && !reads.is_well(queue, Some(head), None) {
            reads.want(queue);
        }
    }
    Ok(reads.next_in_turn(lines))
}

/// The result for the head of one line.
struct Fill {
    queue: QueueName,
    report: HeadReport,
    /// The ids of the line; `None` if a short read was enough.
    read_in_full: Option<Vec<JobId>>,
    /// There was nothing to repair.
    is_well: bool,
    read: ReadStretches,
}

/// The part of a line that was read.
#[derive(Default)]
struct ReadStretches {
    /// Where the stretches begin now.
    moved: Vec<Stretch>,
    /// Some stretches were not read: their kinds have no worker, or the aside lists of their kinds are full.
    left_out: bool,
}

/// Fills the heads of some lines, or finds that a fill is not needed. The lines in `turns` are compared in any case.
async fn compare(
    tick: &Tick,
    surveys: &Surveys,
    reads: &Reads,
    queues: &[QueueName],
    turns: &BTreeSet<QueueName>,
) -> Result<Vec<Fill>, Error> {
    let (store, handoff, head_max, now) = (tick.store()?, tick.handoff()?, tick.settings.head_max, Instant::now());
    let lines = surveys.lines()?;
    let lines: Vec<&LineSummary> =
        queues.iter().filter_map(|queue| lines.get(queue)).filter(|line| !line.paused).collect();
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<QueueName> = lines.iter().map(|line| line.queue.clone()).collect();
    let served = handoff.served_in(&names).await?;
    let mut fronts = Vec::with_capacity(lines.len());
    for (line, (served, full)) in lines.iter().zip(&served) {
        let head = tick.heads.get(&line.queue);
        let limit = if reads.known(&line.queue, head, head_max, now).is_some() {
            GLANCE
        } else if is_long(head) {
            // This line is read alone.
            continue;
        } else {
            head_max
        };
        let full: BTreeSet<Kind> = full.iter().cloned().collect();
        let wanted = line.stretches.iter().filter(|stretch| is_wanted(&stretch.kind, served, &full));
        fronts.push(Front { queue: line.queue.clone(), stretches: wanted.cloned().collect(), limit });
    }
    let readings = handoff.begin_readings(&names).await?;
    let mut fronts_read = store.lines(&fronts).await?.into_iter();
    let (mut done, mut to_fill, mut lost, mut stretches) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (line, reading) in lines.into_iter().zip(readings) {
        let (queue, head) = (line.queue.clone(), tick.heads.get(&line.queue));
        let known = reads.known(&queue, head, head_max, now);
        let first = if known.is_some() || !is_long(head) { fronts_read.next() } else { None };
        let first = first.map(|(front, moved)| {
            let left_out = moved.len() < line.stretches.len();
            (front, ReadStretches { moved, left_out })
        });
        if let (Some(known), Some((front, _))) = (known, &first)
            && glance_is_enough(handoff, &queue, head, front, known).await?
        {
            tick.counts.found(u64::from(GLANCE));
            let report = HeadReport { read: GLANCE, pushed: 0, held: GLANCE, more: true };
            let read = first.map(|(_, read)| read).unwrap_or_default();
            done.push(Fill { queue, report, read_in_full: None, is_well: true, read });
            continue;
        }
        let (front, read) = match first.filter(|_| known.is_none()) {
            Some(read) => read,
            None => read_long(tick, surveys, line, head_max).await?,
        };
        let length = u32::try_from(front.hints.len()).unwrap_or(u32::MAX);
        if !turns.contains(&queue) && reads.is_well(&queue, tick.heads.fresh_of(&queue), Some(&front.ids())) {
            tick.counts.found(u64::from(length));
            let report = HeadReport { read: length, pushed: 0, held: length, more: front.more };
            done.push(Fill { queue, report, read_in_full: Some(front.ids()), is_well: true, read });
            continue;
        }
        lost.push(match reads.seen(&queue) {
            Some(seen) => lost_hints(tick, line, head.cloned().unwrap_or_default(), &front, seen).await?,
            None => 0,
        });
        to_fill.push((queue, reading, front));
        stretches.push(read);
    }
    if !to_fill.is_empty() {
        pass(FailPoint::LineRead);
    }
    let fills: Vec<leasehold_ports::Fill> =
        to_fill.iter().map(|(queue, reading, front)| fill_from(queue, *reading, front)).collect();
    let filled = handoff.fill_all(&fills).await?;
    for ((((queue, _, front), filled), lost), read) in to_fill.into_iter().zip(filled).zip(lost).zip(stretches) {
        let report = report_of(&front, filled);
        tick.counts.repaired(Drift::HintMissing, lost);
        tick.swept(filled.swept);
        tick.counts.found(u64::from(report.read));
        tick.counts.changed(u64::from(report.pushed));
        // If no hint waits and the line is longer than its head, workers may be waiting for hints.
        let waits = tick.heads.get(&queue).is_some_and(|head| head.ready > 0);
        let is_well = report.pushed == 0 && filled.swept == Swept::default() && (waits || !report.more);
        done.push(Fill { queue, report, read_in_full: Some(front.ids()), is_well, read });
    }
    Ok(done)
}

/// Whether a line is longer than its head.
fn is_long(head: Option<&HeadStats>) -> bool {
    head.is_some_and(|head| head.overflow)
}

/// Reads a line that is longer than its head, after a new survey of this line, because the first job of a kind may have come
/// since the last survey. A fill without such a job would drop its hint, or later jobs would overtake the job.
async fn read_long(
    tick: &Tick,
    surveys: &Surveys,
    line: &LineSummary,
    head_max: u32,
) -> Result<(Line, ReadStretches), Error> {
    let (store, handoff, queue) = (tick.store()?, tick.handoff()?, &line.queue);
    let stretches = if surveys.is_slow() {
        line.stretches.clone()
    } else {
        let lines = store.survey(Some(queue)).await?.lines;
        lines.into_iter().next().map(|line| line.stretches).unwrap_or_default()
    };
    let (front, moved) = front_of_line(store, handoff, queue, &stretches, head_max).await?;
    let left_out = moved.len() < stretches.len();
    Ok((front, ReadStretches { moved, left_out }))
}

/// Whether the first ids of a long line show that its head needs no fill.
async fn glance_is_enough(
    handoff: &dyn ReaperHead,
    queue: &QueueName,
    head: Option<&HeadStats>,
    front: &Line,
    known: &HashSet<JobId>,
) -> Result<bool, Error> {
    if !front.more {
        return Ok(false);
    }
    // Workers may be waiting at an empty head, and no other process fills the head for them.
    let is_tended = head.is_some_and(|head| head.ready > 0) || handoff.tail(queue).await?.filled_to.is_some();
    if !is_tended {
        return Ok(false);
    }
    let held = handoff.compare(queue, &front.hints).await?;
    // A hint that was there a moment ago may just have been claimed.
    Ok(held.in_order && held.missing.iter().all(|id| known.contains(id)))
}

/// Counts the hints that Redis had after the last fill and has lost since, although their jobs have waited all the time. Notes
/// the loss in the trails of these jobs. The next fill pushes all missing hints.
///
/// The comparison reads all hints of the queue, so it is made only if the numbers say that hints are missing.
async fn lost_hints(tick: &Tick, line: &LineSummary, head: HeadStats, front: &Line, seen: &Seen) -> Result<u64, Error> {
    let ids = front.ids();
    let expected = ids.iter().filter(|id| seen.ids.contains(id)).count();
    let disagree = head.ready + head.claimed + head.aside != head.waiting_members;
    if expected == 0 || !(disagree || too_few(&head, ids.len(), expected)) {
        return Ok(0);
    }
    let handoff = tick.handoff()?;
    if disagree {
        // Redis counts a hint as waiting, although the hint is in no list: the sweep removes such hints first.
        tick.swept(handoff.sweep(&line.queue).await?);
    }
    let snapshot = handoff.snapshot(&line.queue).await?;
    let missing = missing(&ids, &hints_of(&snapshot), snapshot.overflow);
    let lost = missing.into_iter().filter(|id| seen.ids.contains(id)).map(|id| (id, None)).collect();
    let mend = Mend { kind: Drift::HintMissing, done: "pushed again", state: Some(State::Queued) };
    let lost = tick.note_runs(&mend, lost, seen.at.elapsed() + ON_THE_WAY).await? as u64;
    tick.counts.drifted(Drift::HintMissing, lost);
    Ok(lost)
}

/// Whether the numbers say that hints are missing. Redis should have all hints of a short line, and of a long line at least the
/// hints that it had before.
const fn too_few(head: &HeadStats, front: usize, expected: usize) -> bool {
    let waiting = head.waiting_members as usize;
    waiting < expected || (front <= GLANCE as usize && waiting < front)
}
