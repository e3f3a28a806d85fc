//! Clients: they enqueue each job until the enqueue is acknowledged, and they cancel, pause and resume.

use crate::{
    dice::Dice,
    process::{Process, Surroundings, Wire},
    weather::Server,
    work::{Book, Work, short},
};
use leasehold_core::{JobId, Kind, NewJob, QueueName, State};
use leasehold_ports::{Hint, Notice};
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
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

/// The timeout of Redis for a client. A client can do without Redis.
const PATIENCE: Duration = Duration::from_millis(250);
/// The number of unique keys. It is small, so that jobs with the same key meet.
const KEYS: u64 = 4;

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

/// One client process.
pub(crate) struct Client {
    shared: Arc<Clients>,
    process: Arc<Process>,
    store: MemoryStore,
    head: MemoryHead,
    mine: Vec<JobId>,
}

impl Clients {
    pub(crate) fn client(self: &Arc<Self>, number: u32) -> Client {
        let process = Process::start(format!("client {number}"), &self.around);
        let wire = |place| Arc::new(Wire { process: Arc::clone(&process), place });
        let (store, head) = (self.store.by(wire(Server::Postgres)), self.head.by(wire(Server::Redis)));
        Client { shared: Arc::clone(self), process, store, head, mine: Vec::new() }
    }

    pub(crate) fn acknowledged(&self) -> BTreeSet<JobId> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ids in the order of their creation, like UUIDv7.
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
        job.unique_key = dice.chance(0.1).then(|| format!("key {}", dice.below(KEYS)));
        job
    }
}

impl Client {
    /// Does random actions until `until`, and finishes the last action.
    pub(crate) async fn run(mut self, until: Instant, busy: u64) {
        let shared = Arc::clone(&self.shared);
        let dice = &shared.around.dice;
        let mut paused = None;
        while Instant::now() < until {
            match dice.below(20) {
                0..14 => self.enqueue(1 + dice.index(6)).await,
                14..17 => self.cancel_one().await,
                17..19 => match paused.take() {
                    Some(queue) => self.set_paused(&queue, false).await,
                    None => {
                        let queue = dice.pick(&shared.queues);
                        self.set_paused(&queue, true).await;
                        paused = Some(queue);
                    }
                },
                _ => self.enqueue(20).await,
            }
            sleep(dice.ms(0..busy)).await;
        }
        if let Some(queue) = paused {
            self.set_paused(&queue, false).await;
        }
    }

    async fn enqueue(&mut self, count: usize) {
        let shared = Arc::clone(&self.shared);
        let dice = &shared.around.dice;
        let mut jobs: Vec<NewJob> = (0..count).map(|_| shared.new_job(dice)).collect();
        let answers = loop {
            match self.store.enqueue(&jobs).await {
                Ok(answers) => break answers,
                // The result is unknown. The jobs are sent again with the same ids, so they are the same jobs.
                Err(_) => {
                    sleep(dice.ms(10..200)).await;
                    jobs.iter_mut().for_each(|job| job.id_may_exist = true);
                }
            }
        };
        for (job, answer) in jobs.iter().zip(&answers) {
            let what = if answer.inserted { "is accepted as" } else { "was there as" };
            shared
                .around
                .trace
                .line(&self.process.name, &format_args!("{} {what} {}", short(job.id), short(answer.id)));
            shared.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).insert(answer.id);
            self.mine.push(answer.id);
        }
        // A client that dies here pushes no hints, and neither does plain SQL.
        if dice.chance(0.2) {
            return;
        }
        for (job, answer) in jobs.iter().zip(&answers).filter(|(_, answer)| answer.state == State::Queued) {
            let _ =
                timeout(PATIENCE, self.head.push(&job.queue, &[Hint { id: answer.id, line_at: answer.line_at }])).await;
        }
    }

    async fn cancel_one(&mut self) {
        let dice = &self.shared.around.dice;
        if self.mine.is_empty() {
            return;
        }
        let newest = self.mine.len() - 1 - dice.index(self.mine.len().min(8));
        let id = self.mine[newest];
        self.cancel(&[id]).await;
    }

    pub(crate) async fn cancel(&mut self, ids: &[JobId]) {
        let answers = loop {
            match self.store.cancel(ids).await {
                Ok(answers) => break answers,
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        };
        for answer in answers {
            self.shared.around.trace.line(&self.process.name, &format_args!("cancels {}", short(answer.id)));
            if let Some((worker, epoch)) = answer.running {
                self.shared.around.trace.count("a cancel of a running job");
                if self.shared.around.dice.chance(0.7) {
                    let notice = Notice::Cancel { id: answer.id, epoch, worker };
                    let _ = timeout(PATIENCE, self.head.notify(&[notice])).await;
                }
            } else if answer.changed && self.shared.around.dice.chance(0.5) {
                let member = answer.id.to_string().into_bytes();
                let _ = timeout(PATIENCE, self.head.forget(&answer.queue, &[member])).await;
            }
        }
    }

    pub(crate) async fn resume_all(&self) {
        for queue in &self.shared.queues {
            self.set_paused(queue, false).await;
        }
    }

    async fn set_paused(&self, queue: &QueueName, paused: bool) {
        let set = async || if paused { self.store.pause(queue).await } else { self.store.resume(queue).await };
        while set().await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
        self.shared.around.trace.line(&self.process.name, &format_args!("{queue} paused: {paused}"));
        let tell = async { if paused { self.head.pause(queue).await } else { self.head.resume(queue).await } };
        let _ = timeout(PATIENCE, tell).await;
    }
}
