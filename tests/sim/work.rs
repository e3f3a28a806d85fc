//! The jobs of a run. Each job has its own behaviour, which is the same in every run of a seed.

use crate::{
    dice::Dice,
    process::{Process, Surroundings},
};
use leasehold_core::{Fence, JobId, NewJob, Outcome};
use leasehold_tests::MemoryStore;
use leasehold_worker::{Handler, Run, StopReason};
use serde_json::value::RawValue;
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use uuid::Uuid;

/// The error of a handler that was told to stop. This error must never count as a failure of the handler.
pub(crate) const TOLD_TO_STOP: &str = "told to stop";

/// The behaviour of a job when it runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Behaviour {
    Succeeds,
    /// Reports its progress, and succeeds with a follow-on job.
    Follows,
    /// Fails in its first attempts.
    Fails(i32),
    AlwaysFails,
    Panics,
    Hopeless,
    /// Snoozes in its first runs, for this time.
    Snoozes(i32, Duration),
    /// Continues although it is told to stop.
    Deaf,
    /// Kills its worker.
    Poison,
}

/// The work of one job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    pub(crate) takes: Duration,
    pub(crate) behaviour: Behaviour,
}

impl Work {
    pub(crate) fn thrown(dice: &Dice) -> Self {
        let takes = match dice.below(10) {
            0..4 => Duration::ZERO,
            4..7 => dice.ms(1..50),
            7..9 => dice.ms(50..800),
            _ => dice.ms(800..3000),
        };
        let behaviour = match dice.below(40) {
            0..20 => Behaviour::Succeeds,
            20..24 => Behaviour::Follows,
            24..28 => Behaviour::Fails(1 + dice.index(3) as i32),
            28 => Behaviour::AlwaysFails,
            29..31 => Behaviour::Panics,
            31 => Behaviour::Hopeless,
            32..35 => Behaviour::Snoozes(1 + dice.index(3) as i32, dice.ms(0..1500)),
            35..39 => Behaviour::Deaf,
            _ => Behaviour::Poison,
        };
        Self { takes, behaviour }
    }
}

/// The work of all jobs, and the reports of their handlers.
#[derive(Debug, Default)]
pub(crate) struct Book {
    works: Mutex<BTreeMap<JobId, Work>>,
    /// Each start of a handler.
    begun: Mutex<Vec<Fence>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Book {
    pub(crate) fn enter(&self, id: JobId, work: Work) {
        lock(&self.works).insert(id, work);
    }

    pub(crate) fn work(&self, id: JobId) -> Work {
        // A job of a schedule and a follow-on job have no entry: no client has made them.
        lock(&self.works).get(&id).copied().unwrap_or(Work { takes: Duration::ZERO, behaviour: Behaviour::Succeeds })
    }

    /// The jobs from whose success another job follows.
    pub(crate) fn followed(&self) -> BTreeSet<JobId> {
        let follows = |work: &Work| matches!(work.behaviour, Behaviour::Follows);
        lock(&self.works).iter().filter(|(_, work)| follows(work)).map(|(id, _)| *id).collect()
    }

    pub(crate) fn begun(&self) -> Vec<Fence> {
        lock(&self.begun).clone()
    }
}

/// Runs the jobs in one worker process.
pub(crate) struct Doer {
    pub(crate) process: Arc<Process>,
    pub(crate) book: Arc<Book>,
    pub(crate) around: Arc<Surroundings>,
    /// For checks from outside.
    pub(crate) store: MemoryStore,
    pub(crate) lease: Duration,
}

impl Handler for Doer {
    fn run(&self, run: Run) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        Box::pin(async move {
            let (fence, begun) = (run.fence(), Instant::now());
            let outcome = self.work(run).await;
            self.holds_its_lease(fence, begun);
            outcome
        })
    }

    fn stop_timeout(&self) -> Duration {
        Duration::from_millis(300)
    }
}

impl Doer {
    /// Checks that the worker still holds the lease at the end of the run, if the worker had no fault since before the run.
    fn holds_its_lease(&self, fence: Fence, begun: Instant) {
        let is_its = self.store.rows().live.get(&fence.id).is_some_and(|row| row.life.fence() == Some(fence));
        let was_well = self.process.was_well_since(begun.checked_sub(self.lease).unwrap_or(begun));
        if was_well && !is_its {
            let name = short(fence.id);
            self.around.trace.wrong(format!("{name}: run {} lost its lease, and nothing was wrong", fence.epoch));
        }
    }

    async fn work(&self, run: Run) -> Outcome {
        self.process.awake().await;
        let fence = run.fence();
        lock(&self.book.begun).push(fence);
        let Work { takes, behaviour } = self.book.work(fence.id);
        let name = short(fence.id);
        self.around
            .trace
            .line(&self.process.name, &format_args!("runs {name} ({}): {behaviour:?} {takes:?}", fence.epoch));
        let (attempt, epoch) = (run.job().attempt, fence.epoch);
        match behaviour {
            Behaviour::Poison => {
                self.process.sleep(takes / 4).await;
                self.around.trace.count("a job killed its worker");
                self.process.kill();
                std::future::pending().await
            }
            Behaviour::Deaf => self.process.sleep(takes).await,
            _ => {
                if matches!(behaviour, Behaviour::Follows) {
                    run.progress(0.5, "in the middle").expect("a part");
                }
                if let Some(told) = self.sleep_unless_told(&run, takes).await {
                    self.around.trace.count(format!("a handler was told: {told:?}"));
                    return Outcome::Failed(TOLD_TO_STOP.to_owned());
                }
            }
        }
        if matches!(behaviour, Behaviour::Follows) {
            run.then(follow_on(&run));
        }
        match behaviour {
            Behaviour::Fails(times) if attempt <= times => Outcome::Failed(format!("attempt {attempt}")),
            Behaviour::AlwaysFails => Outcome::Failed("as ever".to_owned()),
            // Unlike `panic!`, this writes nothing to the log.
            Behaviour::Panics if attempt == 1 => std::panic::resume_unwind(Box::new("in the handler")),
            Behaviour::Hopeless => Outcome::Hopeless("never".to_owned()),
            Behaviour::Snoozes(times, delay) if epoch <= times => Outcome::Snoozed(Some(delay), None),
            _ => Outcome::Succeeded(RawValue::from_string(epoch.to_string()).ok()),
        }
    }

    async fn sleep_unless_told(&self, run: &Run, takes: Duration) -> Option<StopReason> {
        let told = tokio::select! {
            biased;
            told = run.cancelled() => Some(told),
            () = self.process.sleep(takes) => None,
        };
        self.process.awake().await;
        told
    }
}

/// The bits of an id above which the id of a follow-on job has the epoch of the run that it follows from.
const EPOCH_BITS: u32 = 96;

/// The job that follows from a run. Each run has its own.
fn follow_on(run: &Run) -> NewJob {
    let job = run.job();
    let payload = RawValue::from_string("{}".to_owned()).expect("JSON");
    let id = follow_on_id(run.fence());
    NewJob { id, queue: job.queue.clone(), ..NewJob::new(job.kind.clone(), payload) }
}

pub(crate) fn follow_on_id(fence: Fence) -> JobId {
    let epoch = u128::from(fence.epoch.unsigned_abs()) << EPOCH_BITS;
    JobId(Uuid::from_u128(fence.id.0.as_u128() | epoch))
}

/// An id for people: the number of the job.
pub(crate) fn short(id: JobId) -> String {
    format!("job {}", (id.0.as_u128() >> 64) & 0xffff)
}
