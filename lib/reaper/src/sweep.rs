//! Repairs the faults in Redis that no other step finds: hints of jobs that are not in the line, leases of jobs that do not
//! run, and lists that disagree with their set. In a queue with workers, the next claim drops such hints. This step is for
//! queues without workers, and for damage.
//!
//! The step compares a queue with PostgreSQL every ten seconds while Redis has keys of the queue, and sooner when its numbers
//! disagree. If there are many hundred queues, some of them are compared every second, in turns. Only a fault that two checks
//! find, one tick apart, is repaired. The second check reads only the suspects. A wrong repair costs only a claim or a fill.

use crate::{
    error::Error,
    heads::Heads,
    leases::whole_seconds,
    note::Mend,
    step::{Needs, Ran, Step},
    tick::Tick,
};
use async_trait::async_trait;
use leasehold_core::{BATCH_MAX, Drift, Epoch, FailPoint, JobId, QueueName, State, pass};
use leasehold_line::{Fault, QueueHints, audit, hints_of, listed, rest_after};
use leasehold_ports::{Hint, JobStatus, Kinds, Lease, ReaperStore, Snapshot};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::Duration,
};
use tokio::time::Instant;

const EVERY: Duration = Duration::from_secs(10);
/// The time between two audits because of numbers that disagree: often the hints are only moving.
const SURPLUS_EVERY: Duration = Duration::from_secs(2);
/// The most queues that are compared in one tick. After this many, the next comparison comes after a pause.
const QUEUES_AT_ONCE: usize = 64;
const PAUSE_BETWEEN: Duration = Duration::from_secs(1);
/// The most runs that one sweep compares with Redis.
pub(crate) const RUNS_MAX: i64 = 10_000;

/// The step and its memory.
#[derive(Debug, Default)]
pub(crate) struct Sweeps {
    queues: BTreeMap<QueueName, Memory>,
    surplus: BTreeSet<QueueName>,
    /// The number of losses of Redis before the last run of this step.
    losses: u64,
    /// Redis was lost, and the queues that have runs have not been read since.
    lost: bool,
    /// Queues that had runs when Redis was lost, and that were not compared since.
    after_loss: BTreeSet<QueueName>,
    /// The last tick compared as many queues as one tick may. Until this time no other queue is compared.
    pauses_until: Option<Instant>,
    /// The duration of the last two reads of the leases. A lock may have delayed one of them.
    took: [Duration; 2],
    /// The last two reads of the leases took long. Until this time only suspects are compared.
    rests_until: Option<Instant>,
}

#[derive(Debug)]
struct Memory {
    audited: Instant,
    for_surplus: Option<Instant>,
    suspects: Suspects,
}

/// Possible faults of a queue, for a second check.
#[derive(Debug, Default)]
struct Suspects {
    faults: Vec<Fault>,
    /// The runs of these faults.
    runs: Vec<Lease>,
}

/// The part of a queue that is compared with PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    All,
    Suspects,
}

impl Sweeps {
    /// The queues that must be compared with PostgreSQL now.
    fn due(&mut self, heads: &Heads, now: Instant) -> BTreeMap<QueueName, Due> {
        for (queue, head) in heads.fresh() {
            let is_empty = head.leased + head.waiting_members == 0;
            if is_empty && self.queues.get(queue).is_some_and(|memory| memory.suspects.faults.is_empty()) {
                self.queues.remove(queue);
            }
        }
        let suspected = self.queues.iter().filter(|(_, memory)| !memory.suspects.faults.is_empty());
        let mut due: BTreeMap<QueueName, Due> =
            suspected.map(|(queue, _)| (queue.clone(), Due::Suspects)).take(QUEUES_AT_ONCE).collect();
        if self.rests_until.is_some_and(|until| now < until) || self.pauses_until.is_some_and(|until| now < until) {
            return due;
        }
        let held = heads.fresh().filter(|(_, head)| head.leased + head.waiting_members > 0).map(|(queue, _)| queue);
        let mut all: Vec<&QueueName> = held.filter(|queue| self.is_due(queue, now)).collect();
        // First the queues that were never compared, then the queues that were not compared for the longest time.
        all.sort_by_key(|queue| self.queues.get(*queue).map(|memory| memory.audited));
        all.truncate(QUEUES_AT_ONCE);
        if all.len() == QUEUES_AT_ONCE {
            self.pauses_until = Some(now + PAUSE_BETWEEN);
        }
        due.extend(all.into_iter().map(|queue| (queue.clone(), Due::All)));
        due
    }

    fn is_due(&self, queue: &QueueName, now: Instant) -> bool {
        let Some(memory) = self.queues.get(queue) else { return true };
        let since = |then: Instant| now.saturating_duration_since(then);
        let surplus =
            || self.surplus.contains(queue) && memory.for_surplus.is_none_or(|then| since(then) >= SURPLUS_EVERY);
        since(memory.audited) >= EVERY || surplus()
    }

    /// Removes and returns the suspects of a queue.
    fn take_suspects(&mut self, queue: &QueueName) -> Suspects {
        self.queues.get_mut(queue).map(|memory| std::mem::take(&mut memory.suspects)).unwrap_or_default()
    }

    /// Records a comparison of a whole queue.
    fn suspect(&mut self, queue: &QueueName, faults: Vec<Fault>, runs: &[Lease], surplus: bool, now: Instant) {
        let for_surplus =
            if surplus { Some(now) } else { self.queues.get(queue).and_then(|memory| memory.for_surplus) };
        let runs = runs.iter().filter(|run| faults.iter().any(|fault| fault.id() == run.id)).cloned().collect();
        let suspects = Suspects { faults, runs };
        self.queues.insert(queue.clone(), Memory { audited: now, for_surplus, suspects });
    }
}

#[async_trait]
impl Step for Sweeps {
    fn name(&self) -> &'static str {
        "sweep"
    }

    fn needs(&self) -> Needs {
        Needs::Redis
    }

    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error> {
        if self.losses != tick.losses.all {
            // Redis has lost all leases, and the keys of most queues.
            (self.losses, self.lost) = (tick.losses.all, true);
        }
        self.surplus.append(&mut tick.shared.exchange().surplus);
        sweep(tick, self).await?;
        Ok(Ran::Done)
    }
}

async fn sweep(tick: &Tick, sweeps: &mut Sweeps) -> Result<(), Error> {
    let now = Instant::now();
    let agreed = agree(tick).await;
    let mut due = sweeps.due(&tick.heads, now);
    let surplus = std::mem::take(&mut sweeps.surplus);
    let after_loss: Vec<QueueName> = sweeps.after_loss.iter().take(QUEUES_AT_ONCE).cloned().collect();
    let runs = if sweeps.lost || !after_loss.is_empty() || due.values().any(|due| *due == Due::All) {
        let began = Instant::now();
        let (scan_start, is_slow) = {
            let known = tick.shared.known();
            (known.leases.at, known.is_slow)
        };
        let runs = tick.store()?.leases(RUNS_MAX, scan_start).await?;
        sweeps.took = [began.elapsed(), sweeps.took[0]];
        let rest = rest_after(sweeps.took[0].min(sweeps.took[1]));
        sweeps.rests_until = is_slow.then(|| Instant::now() + rest);
        runs
    } else {
        Vec::new()
    };
    if std::mem::take(&mut sweeps.lost) {
        sweeps.after_loss = runs.iter().map(|run| run.queue.clone()).collect();
        due.extend(sweeps.after_loss.iter().take(QUEUES_AT_ONCE).map(|queue| (queue.clone(), Due::All)));
    }
    due.extend(after_loss.into_iter().map(|queue| (queue, Due::All)));
    for batch in due.into_iter().collect::<Vec<_>>().chunks(QUEUES_AT_ONCE) {
        sweep_some(tick, sweeps, batch, &surplus, &runs, now).await?;
    }
    agreed
}

async fn sweep_some(
    tick: &Tick,
    sweeps: &mut Sweeps,
    queues: &[(QueueName, Due)],
    surplus: &BTreeSet<QueueName>,
    runs: &[Lease],
    now: Instant,
) -> Result<(), Error> {
    let mut snapshots = Vec::with_capacity(queues.len());
    for (queue, due) in queues {
        let snapshot = tick.handoff()?.snapshot(queue).await?;
        let hints = hints_of(&snapshot);
        if *due == Due::All && is_unlisted(&snapshot, &hints) {
            tick.swept(tick.handoff()?.sweep(queue).await?);
        }
        snapshots.push((queue, *due, hints));
    }
    let compared = snapshots.iter().filter(|(_, due, _)| *due == Due::All);
    let ids: Vec<JobId> = compared.flat_map(|(_, _, hints)| hints.ids()).collect();
    let live = look_at(tick.store()?, &ids).await?;
    for (queue, due, hints) in snapshots {
        let suspects = sweeps.take_suspects(queue);
        let (again, runs) = match due {
            Due::Suspects => look_again(tick, queue, hints, suspects).await?,
            Due::All => {
                let runs: Vec<Lease> = runs.iter().filter(|run| run.queue == *queue).cloned().collect();
                let faults = audit(queue, &hints, &live, &runs, tick.settings.handoff_lease);
                let (again, new) = faults.into_iter().partition(|fault| suspects.faults.contains(fault));
                sweeps.suspect(queue, new, &runs, surplus.contains(queue), now);
                sweeps.after_loss.remove(queue);
                (again, runs)
            }
        };
        tick.counts.found(again.len() as u64);
        tick.counts.changed(again.len() as u64);
        again.iter().for_each(|fault| tick.counts.drifted(fault.kind(), 1));
        note(tick, &again, &runs).await?;
        if !again.is_empty() {
            pass(FailPoint::DriftRead);
        }
        mend(tick, queue, &again, &runs).await?;
        again.iter().for_each(|fault| tick.counts.repaired(fault.kind(), 1));
    }
    Ok(())
}

/// The suspects that are still wrong, and the runs among them that still run in PostgreSQL, with the rest of their leases.
async fn look_again(
    tick: &Tick,
    queue: &QueueName,
    mut hints: QueueHints,
    Suspects { faults, mut runs }: Suspects,
) -> Result<(Vec<Fault>, Vec<Lease>), Error> {
    let ids: HashSet<JobId> = faults.iter().map(|fault| fault.id()).collect();
    hints.waiting.retain(|id| ids.contains(id));
    hints.leased.retain(|(id, _)| ids.contains(id));
    let live = look_at(tick.store()?, &ids.into_iter().collect::<Vec<_>>()).await?;
    let still_runs = |run: &mut Lease| {
        let job = live.get(&run.id).filter(|job| job.state == State::Running);
        job.and_then(|job| job.lease_ms_left).map(|ms_left| run.lease_ms_left = ms_left).is_some()
    };
    runs.retain_mut(still_runs);
    let mut again = audit(queue, &hints, &live, &runs, tick.settings.handoff_lease);
    again.retain(|fault| faults.contains(fault));
    Ok((again, runs))
}

/// Whether a waiting hint is in no list. The lengths do not show this fault if another hint is in the lists twice.
fn is_unlisted(snapshot: &Snapshot, hints: &QueueHints) -> bool {
    let listed: HashSet<JobId> = listed(snapshot).collect();
    hints.waiting.iter().any(|id| !listed.contains(id))
}

/// Makes the lists and the set of a queue agree if their lengths differ. The script needs no data from PostgreSQL. Every fill
/// does the same for its queue, so this function is only for queues without a line.
async fn agree(tick: &Tick) -> Result<(), Error> {
    let handoff = tick.handoff()?;
    for (queue, head) in tick.heads.fresh() {
        if head.ready + head.claimed + head.aside != head.waiting_members {
            tick.swept(handoff.sweep(queue).await?);
        }
    }
    Ok(())
}

/// The status of the live jobs among `ids`.
pub(crate) async fn look_at(store: &dyn ReaperStore, ids: &[JobId]) -> Result<HashMap<JobId, JobStatus>, Error> {
    let mut live = HashMap::with_capacity(ids.len());
    for batch in ids.chunks(BATCH_MAX) {
        live.extend(store.look(batch, &Kinds::All).await?.into_iter().map(|job| (job.id, job)));
    }
    Ok(live)
}

/// Notes the repairs in the trails of live jobs, before the repairs are made: after a repair, the job may be claimed and
/// finished immediately.
async fn note(tick: &Tick, faults: &[Fault], runs: &[Lease]) -> Result<(), Error> {
    let mut mends = BTreeMap::<(Drift, Option<State>), Vec<(JobId, Option<Epoch>)>>::new();
    for fault in faults {
        let (state, epoch) = match *fault {
            // This job is not live, so it has no trail to write into.
            Fault::WaitsWithoutJob(_) => continue,
            Fault::WaitsOutOfLine(_, state) => (Some(state), None),
            Fault::LeasedWithoutRun(_) => (None, None),
            Fault::LeasedInLine(_) => (Some(State::Queued), None),
            Fault::RunsUnleased(id) => {
                (Some(State::Running), runs.iter().find(|run| run.id == id).map(|run| run.epoch))
            }
        };
        mends.entry((fault.kind(), state)).or_default().push((fault.id(), epoch));
    }
    for ((kind, state), jobs) in mends {
        let done = match kind {
            Drift::LeaseInLine => "given back",
            Drift::LeaseMissing => "leased again",
            _ => "forgotten",
        };
        tick.note_runs(&Mend { kind, done, state }, jobs, Duration::ZERO).await?;
    }
    Ok(())
}

async fn mend(tick: &Tick, queue: &QueueName, faults: &[Fault], runs: &[Lease]) -> Result<(), Error> {
    let handoff = tick.handoff()?;
    let (mut forget, mut back, mut hold) = (Vec::new(), Vec::new(), BTreeMap::<u64, Vec<JobId>>::new());
    for fault in faults {
        match *fault {
            Fault::WaitsWithoutJob(id) | Fault::WaitsOutOfLine(id, _) | Fault::LeasedWithoutRun(id) => forget.push(id),
            Fault::LeasedInLine(id) => back.push(Hint::unused(id)),
            Fault::RunsUnleased(id) => {
                if let Some(run) = runs.iter().find(|run| run.id == id) {
                    hold.entry(whole_seconds(run.lease_ms_left)).or_default().push(id);
                }
            }
        }
    }
    // Each of these calls scans the lists of the queue. Batches keep each call short, so that Redis never blocks for long.
    for batch in forget.chunks(BATCH_MAX) {
        let members: Vec<Vec<u8>> = batch.iter().map(|id| id.to_string().into_bytes()).collect();
        handoff.forget(queue, &members).await?;
    }
    if !back.is_empty() {
        handoff.release(queue, &back).await?;
    }
    for (seconds, ids) in hold {
        handoff.renew(&[(queue.clone(), ids)], Duration::from_secs(seconds)).await?;
    }
    Ok(())
}
