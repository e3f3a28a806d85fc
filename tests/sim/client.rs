//! Programs that use the real client. They enqueue until they know the outcome, wait, cancel, pause and resume. Some die in
//! the middle of an enqueue, and their next process sends the jobs again.

use crate::{
    dice::Dice,
    process::{Process, Surroundings, Wire},
    weather::Server,
    work::{Book, Work, short},
};
use leasehold_client::{Client, Enqueued, Error};
use leasehold_core::{JobId, Kind, NewJob, ParentFailure, QueueName};
use leasehold_tests::{MemoryHead, MemoryStore};
use serde_json::value::RawValue;
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// The pause of a program before it repeats a call that failed.
const PAUSE: Duration = Duration::from_millis(50);
/// The number of unique keys. It is small, so that jobs with the same key meet.
const KEYS: u64 = 4;
/// The number of limit keys, each with few slots.
const LIMIT_KEYS: u64 = 2;

/// The state that all clients of a run share.
#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) around: Arc<Surroundings>,
    pub(crate) book: Arc<Book>,
    pub(crate) store: MemoryStore,
    pub(crate) head: MemoryHead,
    /// The served queues, and then a queue that no worker serves.
    pub(crate) queues: Vec<QueueName>,
    pub(crate) idle: QueueName,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) acknowledged: Mutex<BTreeSet<JobId>>,
    pub(crate) ids: AtomicU64,
}

/// A program, and its current process.
pub(crate) struct Program {
    shared: Arc<Clients>,
    process: Arc<Process>,
    client: Client,
    /// A client of the same process without Redis. A program that writes plain SQL pushes no hints either.
    without_redis: Client,
    mine: Vec<JobId>,
}

impl Clients {
    pub(crate) fn program(self: &Arc<Self>, number: u32) -> Program {
        let (process, client, without_redis) = self.process(format!("client {number}"));
        Program { shared: Arc::clone(self), process, client, without_redis, mine: Vec::new() }
    }

    /// A process with its clients.
    fn process(&self, name: String) -> (Arc<Process>, Client, Client) {
        let process = Process::start(name, &self.around);
        let wire = |place| Arc::new(Wire { process: Arc::clone(&process), place });
        let (store, head) = (self.store.by(wire(Server::Postgres)), self.head.by(wire(Server::Redis)));
        let without_redis = Client::over(store.clone().into(), None);
        (process, Client::over(store.into(), Some(head.into())), without_redis)
    }

    pub(crate) fn acknowledged(&self) -> BTreeSet<JobId> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ids in the order in which they are made, as UUIDv7 are.
    fn new_id(&self) -> JobId {
        let number = self.ids.fetch_add(1, SeqCst);
        JobId(Uuid::from_u128(u128::from(number) << 64 | u128::from(self.around.dice.seed())))
    }

    fn new_job(&self, dice: &Dice) -> NewJob {
        let payload = RawValue::from_string("{}".to_owned()).expect("JSON");
        let mut job = NewJob::new(dice.pick(&self.kinds), payload);
        job.id = self.new_id();
        job.queue = if dice.chance(0.1) { self.idle.clone() } else { dice.pick(&self.queues) };
        self.book.enter(job.id, Work::thrown(dice));
        if job.queue == self.idle {
            return job;
        }
        job.priority = dice.pick(&[0, 0, 0, 0, 5, -5]);
        job.delay = dice.chance(0.1).then(|| dice.ms(0..3000));
        job.timeout = dice.chance(0.1).then(|| dice.ms(200..1500));
        job.max_attempts = 1 + dice.index(5) as i32;
        job.max_crashes = dice.pick(&[3, 3, 2, 4]);
        if dice.chance(0.2) {
            job.limit_keys = vec![format!("limit {}", dice.below(LIMIT_KEYS))];
            if dice.chance(0.3) {
                job.limit_keys.push("limit of all".to_owned());
            }
        }
        job.unique_key = dice.chance(0.1).then(|| format!("key {}", dice.below(KEYS)));
        job
    }
}

impl Program {
    /// Does random actions until `until`, and finishes the last action.
    pub(crate) async fn run(mut self, until: Instant, busy: u64) {
        let shared = Arc::clone(&self.shared);
        let dice = &shared.around.dice;
        let mut paused: Option<(QueueName, Option<Kind>)> = None;
        while Instant::now() < until {
            match dice.below(20) {
                0..13 => self.enqueue(1 + dice.index(6)).await,
                13 => self.wait_for_one().await,
                14..17 => self.cancel_one().await,
                17..19 => match paused.take() {
                    Some((queue, kind)) => self.set_paused(&queue, kind.as_ref(), false).await,
                    None => {
                        let queue = dice.pick(&shared.queues);
                        let kind = dice.chance(0.5).then(|| dice.pick(&shared.kinds));
                        self.set_paused(&queue, kind.as_ref(), true).await;
                        paused = Some((queue, kind));
                    }
                },
                _ => self.enqueue(20).await,
            }
            sleep(dice.ms(0..busy)).await;
        }
        if let Some((queue, kind)) = paused {
            self.set_paused(&queue, kind.as_ref(), false).await;
        }
    }

    /// With Redis or without.
    fn some_client(&self, without_redis: f64) -> Client {
        let client = if self.shared.around.dice.chance(without_redis) { &self.without_redis } else { &self.client };
        client.clone()
    }

    async fn enqueue(&mut self, count: usize) {
        let shared = Arc::clone(&self.shared);
        let (dice, trace) = (&shared.around.dice, &shared.around.trace);
        let mut jobs: Vec<NewJob> = (0..count).map(|_| shared.new_job(dice)).collect();
        jobs.iter_mut().for_each(|job| self.add_parents(job));
        let answers = loop {
            match self.enqueue_or_die(jobs.clone()).await {
                Some(Ok(answers)) => break answers,
                Some(Err(Error::OutcomeUnknown { .. })) => trace.count("the outcome of an enqueue was not known"),
                Some(Err(error)) => trace.wrong(format!("an enqueue failed: {error}")),
                None => trace.count("a client died in the middle of an enqueue"),
            }
            sleep(dice.ms(10..200)).await;
            // The jobs may be there: by their ids they are the same jobs.
            jobs.iter_mut().for_each(|job| job.id_may_exist = true);
        };
        for (job, answer) in jobs.iter().zip(&answers) {
            let what = if answer.inserted { "is accepted as" } else { "was there as" };
            trace.line(&self.process.name, &format_args!("{} {what} {}", short(job.id), short(answer.id)));
            if answer.id == job.id && !answer.inserted {
                trace.count("a job that was sent again was there");
            }
            shared.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).insert(answer.id);
            self.mine.push(answer.id);
        }
    }

    /// Lets some jobs depend on one or two jobs that this program has enqueued before. A job of the queue that no worker
    /// serves does not end before the end of the run, so no job depends on it.
    fn add_parents(&self, job: &mut NewJob) {
        let dice = &self.shared.around.dice;
        let may_wait = job.delay.is_none() && job.queue != self.shared.idle;
        if !may_wait || !dice.chance(0.15) {
            return;
        }
        for _ in 0..1 + dice.index(2) {
            let Some(parent) = self.newest() else { return };
            let is_served = {
                let rows = self.shared.store.rows();
                let row = rows.live.get(&parent).or(rows.history.get(&parent));
                row.is_some_and(|row| row.job.queue != self.shared.idle)
            };
            if is_served && !job.depends_on.contains(&parent) {
                job.depends_on.push(parent);
            }
        }
        job.on_parent_failure = dice.pick(&[ParentFailure::Cancel, ParentFailure::Run]);
    }

    /// Enqueues. `None`: the process died before it had the answer, and the program has another one now.
    async fn enqueue_or_die(&mut self, jobs: Vec<NewJob>) -> Option<Result<Vec<Enqueued>, Error>> {
        let shared = Arc::clone(&self.shared);
        let dice = &shared.around.dice;
        let client = self.some_client(0.2);
        // A separate task: like all tasks of a dead process, the call stops where it is.
        let mut call = tokio::spawn(async move { client.enqueue_many(&jobs).await });
        let dies = async {
            match dice.chance(0.1) {
                true => sleep(dice.ms(0..20)).await,
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = &mut call => return Some(answer.expect("no panic in a client")),
            () = dies => self.process.kill(),
        }
        (self.process, self.client, self.without_redis) = shared.process(self.process.name.clone());
        None
    }

    /// One of its newest jobs.
    fn newest(&self) -> Option<JobId> {
        let newest = self.mine.len().checked_sub(1)?;
        Some(self.mine[newest - self.shared.around.dice.index(self.mine.len().min(8))])
    }

    /// Waits for a job for a while. Returns the answer of the store.
    async fn wait_for_one(&self) {
        let Surroundings { dice, trace, .. } = &*self.shared.around;
        let Some(id) = self.newest() else { return };
        match self.client.wait_finished(id, dice.ms(0..2000)).await {
            Ok(finished) => {
                trace.count("a wait ended with its job");
                let rows = self.shared.store.rows();
                let end =
                    rows.history.get(&id).map(|row| (row.life.state, row.result.as_deref().map(|json| json.get())));
                if end != Some((finished.state, finished.result.as_deref().map(|json| json.get()))) {
                    trace.wrong(format!("{}: a wait ended with {finished:?}, and the store has {end:?}", short(id)));
                }
            }
            Err(Error::TimedOut(_)) => trace.count("a wait timed out"),
            Err(Error::Store(error)) => trace.line(&self.process.name, &format_args!("waits in vain: {error}")),
            Err(error) => trace.wrong(format!("{} was accepted, and a wait for it says: {error}", short(id))),
        }
    }

    async fn cancel_one(&self) {
        if let Some(id) = self.newest() {
            self.cancel(&[id]).await;
        }
    }

    pub(crate) async fn cancel(&self, ids: &[JobId]) {
        let client = self.some_client(0.3);
        let answers = loop {
            match client.cancel(ids).await {
                Ok(answers) => break answers,
                Err(_) => sleep(PAUSE).await,
            }
        };
        for answer in answers {
            self.shared.around.trace.line(&self.process.name, &format_args!("cancels {}", short(answer.id)));
            if answer.running.is_some() {
                self.shared.around.trace.count("a cancel of a running job");
            }
        }
    }

    pub(crate) async fn resume_all(&self) {
        for queue in &self.shared.queues {
            self.set_paused(queue, None, false).await;
            for kind in &self.shared.kinds {
                self.set_paused(queue, Some(kind), false).await;
            }
        }
    }

    /// Pauses or resumes a queue, or a kind in it.
    async fn set_paused(&self, queue: &QueueName, kind: Option<&Kind>, paused: bool) {
        let set = async || match (kind, paused) {
            (None, true) => self.client.pause(queue).await,
            (None, false) => self.client.resume(queue).await,
            (Some(kind), true) => self.client.pause_kind(queue, kind).await,
            (Some(kind), false) => self.client.resume_kind(queue, kind).await,
        };
        while set().await.is_err() {
            sleep(PAUSE).await;
        }
        let what = kind.map_or_else(|| queue.to_string(), |kind| format!("{kind} of {queue}"));
        self.shared.around.trace.line(&self.process.name, &format_args!("{what} paused: {paused}"));
        if kind.is_some() && paused {
            self.shared.around.trace.count("a pause of a kind");
        }
    }
}
