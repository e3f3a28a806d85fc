//! The load: a client that enqueues without a pause and remembers every answer.

use crate::{dice::Dice, plan::Shape};
use leasehold::{Client, Error, JobId, Missed, NewJob, NewSchedule, ParentFailure, Timing};
use leasehold_core::MISSED_MAX;
use leasehold_tests::Probe;
use serde_json::value::to_raw_value;
use sqlx::{Connection as _, PgConnection};
use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The maximum number of jobs in a call. Small, so that many calls are in flight when a fault happens. Large for a long
/// line, which would otherwise never become long.
const BATCH: usize = 60;
const BIG_BATCH: usize = 500;
/// The length from which a line counts as long.
const LONG_LINE: usize = 5_000;
/// The number of unique keys. A few jobs have a key. There are so few keys that most of these jobs find a live job with
/// the same key and are not inserted.
const KEYS: usize = 12;
/// The number of limit keys of clusters.
pub(crate) const CLUSTERS: usize = 3;
/// The number of fair keys.
pub(crate) const TENANTS: usize = 5;
/// The minimum of jobs in a call, even when the line is long enough.
const BATCH_MIN: usize = 2;
const PAUSE: Duration = Duration::from_millis(40);
/// Counting a long line takes time: at most one part in so many of one core.
const COUNTING_SHARE: u32 = 10;
/// How long a call with an unknown outcome is repeated after the load was stopped.
const RESEND_TIMEOUT: Duration = Duration::from_secs(60);

/// The answers that the client got for each job.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// Accepted jobs.
    pub(crate) accepted: BTreeSet<Uuid>,
    /// Jobs that were not accepted, as the error said.
    pub(crate) refused: BTreeSet<Uuid>,
    /// Jobs whose outcome stayed unknown until the end.
    pub(crate) unknown: BTreeSet<Uuid>,
    /// Accepted jobs that kill their worker.
    pub(crate) poison: BTreeSet<Uuid>,
    /// Accepted jobs that the client cancelled afterwards.
    pub(crate) cancelled: BTreeSet<Uuid>,
    /// The number of failed calls.
    pub(crate) failed_calls: u64,
    /// The latest failure.
    pub(crate) last_failure: Option<String>,
}

/// A running client.
pub(crate) struct Load {
    ledger: Arc<Mutex<Ledger>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    client: Client,
    log: PathBuf,
    /// The length of the line at the last count.
    length: Arc<AtomicUsize>,
    pauses: Arc<AtomicBool>,
}

struct Loader {
    client: Client,
    shape: Shape,
    log: PathBuf,
    dice: Dice,
    ledger: Arc<Mutex<Ledger>>,
    stop: CancellationToken,
    line: Line,
    /// The jobs of the last call, as parents for the jobs of the next one.
    earlier: Vec<JobId>,
    length: Arc<AtomicUsize>,
    pauses: Arc<AtomicBool>,
}

/// Counts the line. Connects directly and not through the proxies, because the count only controls the load.
struct Line {
    url: String,
    connection: Option<PgConnection>,
}

impl Load {
    pub(crate) fn start(client: Client, url: &str, shape: Shape, log: PathBuf, seed: u64) -> Self {
        let (ledger, stop) = (Arc::<Mutex<Ledger>>::default(), CancellationToken::new());
        let (length, pauses) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let loader = Loader {
            client: client.clone(),
            shape,
            log: log.clone(),
            dice: Dice::of(seed ^ 0x10ad),
            ledger: Arc::clone(&ledger),
            stop: stop.clone(),
            line: Line { url: url.to_owned(), connection: None },
            earlier: Vec::new(),
            length: Arc::clone(&length),
            pauses: Arc::clone(&pauses),
        };
        Self { ledger, stop, task: tokio::spawn(loader.run()), client, log, length, pauses }
    }

    /// Stops enqueueing until the end of the run. A new job would bring its own hint, and hide that hints of other jobs are
    /// missing.
    pub(crate) fn pause(&self) {
        self.pauses.store(true, Ordering::Release);
    }

    /// The client, for jobs beside the load.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// A job that runs for `ms`.
    pub(crate) fn probe(&self, ms: u64) -> Probe {
        Probe { log: self.log.clone(), ms, is_poison: false }
    }

    /// A job that kills every worker that runs it.
    pub(crate) fn poisonous_probe(&self) -> Probe {
        Probe { is_poison: true, ..self.probe(0) }
    }

    /// The length of the line at the last count.
    pub(crate) fn length(&self) -> usize {
        self.length.load(Ordering::Acquire)
    }

    /// The ledger so far.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enqueues a job that kills every worker that runs it.
    pub(crate) async fn poison(&self) -> Result<Uuid, Error> {
        let id = self.client.enqueue(self.poisonous_probe()).send().await?.get().0;
        let mut ledger = self.ledger();
        ledger.accepted.insert(id);
        ledger.poison.insert(id);
        Ok(id)
    }

    /// Enqueues a job at the front of the line that runs for `ms`.
    pub(crate) async fn long(&self, ms: u64) -> Result<Uuid, Error> {
        let id = self.client.enqueue(self.probe(ms)).priority(100).send().await?.get().0;
        self.ledger().accepted.insert(id);
        Ok(id)
    }

    /// Sets a schedule with a short job in every second. No tick is left out.
    pub(crate) async fn every_second(&self, name: &str) -> anyhow::Result<()> {
        let schedule = NewSchedule {
            name: name.parse()?,
            timing: Timing::Every(Duration::from_secs(1)),
            missed: Missed::All(MISSED_MAX),
            job: self.client.enqueue(self.probe(10)).build()?,
        };
        Ok(self.client.set_schedule(&schedule).await?)
    }

    /// Stops the load. Returns the complete ledger.
    pub(crate) async fn stop(&mut self) -> Ledger {
        self.stop.cancel();
        let _ = (&mut self.task).await;
        self.ledger().clone()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Loader {
    async fn run(mut self) {
        let mut counted = Counted::default();
        while !self.stop.is_cancelled() {
            if self.pauses.load(Ordering::Acquire) {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            if counted.is_due() {
                let begun = Instant::now();
                counted.length = self.line.length().await;
                counted.took(begun.elapsed());
                self.length.store(counted.length.unwrap_or(0), Ordering::Release);
            }
            let most = if self.shape.backlog >= LONG_LINE { BIG_BATCH } else { BATCH };
            let missing = counted.length.map_or(most, |length| self.shape.backlog.saturating_sub(length));
            let jobs = self.jobs(missing.clamp(BATCH_MIN, most));
            counted.length = counted.length.map(|length| length + jobs.len());
            self.send(jobs).await;
            if missing <= BATCH_MIN {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    fn jobs(&mut self, count: usize) -> Vec<NewJob> {
        let mut jobs: Vec<NewJob> = (0..count).map(|_| self.job()).collect();
        if self.shape.dependent_percent > 0 {
            self.add_parents(&mut jobs);
        }
        jobs
    }

    /// Lets some jobs depend on jobs of this call and of the last one. A job with a unique key may be another job, so it is
    /// no parent within its call.
    fn add_parents(&mut self, jobs: &mut [NewJob]) {
        let mut parents = self.earlier.clone();
        for job in jobs {
            if job.delay.is_none() && !parents.is_empty() && self.dice.percent(self.shape.dependent_percent) {
                for _ in 0..self.dice.number(1..4) {
                    let parent = parents[self.dice.number(0..parents.len())];
                    if !job.depends_on.contains(&parent) {
                        job.depends_on.push(parent);
                    }
                }
                let policies = [ParentFailure::Cancel, ParentFailure::Run];
                job.on_parent_failure = policies[self.dice.number(0..2)];
            }
            if job.unique_key.is_none() {
                parents.push(job.id);
            }
        }
    }

    /// Most jobs are plain. A few go to the front, a few are delayed, a few have a unique key.
    fn job(&mut self) -> NewJob {
        let (from, to) = self.shape.job_ms;
        let ms = u64::try_from(self.dice.millis(from..to).as_millis()).unwrap_or(to);
        let probe = Probe { log: self.log.clone(), ms, is_poison: false };
        let payload = to_raw_value(&probe).expect("a probe as JSON");
        let mut job = NewJob::new("probe".parse().expect("a kind"), payload);
        job.max_crashes = self.shape.max_crashes;
        job.max_attempts = i32::from(self.shape.max_crashes) + 2;
        job.unique_key = self.dice.percent(4).then(|| format!("key {}", self.dice.number(0..KEYS)));
        if self.dice.percent(self.shape.limited_percent) {
            job.limit_keys = vec![format!("cluster-{}", self.dice.number(0..CLUSTERS)), "clusters".to_owned()];
        }
        if self.shape.fair_percent > 0 && self.dice.percent(self.shape.fair_percent) {
            job.fair_key = Some(format!("tenant-{}", self.dice.number(0..TENANTS)));
        }
        job.priority = i16::from(self.dice.percent(5));
        job.delay = self.dice.percent(5).then(|| self.dice.millis(200..1500));
        job
    }

    /// Sends jobs like a careful client: jobs that may or may not have been accepted are sent again under the same ids
    /// until the outcome is known.
    async fn send(&mut self, mut jobs: Vec<NewJob>) {
        let mut is_unsure = false;
        let mut stopped_at = None;
        loop {
            let answer = self.client.enqueue_many(&jobs).await;
            let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
            let error = match answer {
                Ok(answers) => {
                    self.earlier = answers.iter().map(|answer| answer.id).collect();
                    return ledger.accepted.extend(answers.iter().map(|answer| answer.id.0));
                }
                Err(error) => error,
            };
            ledger.failed_calls += 1;
            ledger.last_failure = Some(error.to_string());
            is_unsure |= matches!(error, Error::OutcomeUnknown { .. });
            if !is_unsure {
                return ledger.refused.extend(jobs.iter().map(|job| job.id.0));
            }
            if self.stop.is_cancelled() && stopped_at.get_or_insert_with(Instant::now).elapsed() > RESEND_TIMEOUT {
                return ledger.unknown.extend(jobs.iter().map(|job| job.id.0));
            }
            drop(ledger);
            jobs.iter_mut().for_each(|job| job.id_may_exist = true);
        }
    }
}

/// The last count of the line, and when the next count is due.
#[derive(Debug, Default)]
struct Counted {
    length: Option<usize>,
    next: Option<Instant>,
}

impl Counted {
    fn is_due(&self) -> bool {
        self.length.is_none() || self.next.is_none_or(|next| Instant::now() >= next)
    }

    fn took(&mut self, time: Duration) {
        self.next = Some(Instant::now() + time * COUNTING_SHARE);
    }
}

impl Line {
    /// The number of live jobs; `None` when PostgreSQL does not answer.
    async fn length(&mut self) -> Option<usize> {
        let asking = async {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => PgConnection::connect(&self.url).await?,
            };
            let count: i64 =
                sqlx::query_scalar("SELECT count(*) FROM leasehold.job").fetch_one(&mut connection).await?;
            self.connection = Some(connection);
            Ok::<_, sqlx::Error>(usize::try_from(count).unwrap_or(0))
        };
        timeout(Duration::from_secs(1), asking).await.ok()?.ok()
    }
}
