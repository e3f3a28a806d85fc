//! Jobs begin in the order of their line, whatever comes into the line meanwhile.

use crate::fleet::{Fleet, TIMEOUT};
use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use leasehold::{Client, NewJob};
use leasehold_tests::{Probe, eventually};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use sqlx::PgConnection;
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};
use uuid::Uuid;

const JOBS: usize = 20_000;
/// A job may overtake another that came into the line less than this ago.
const LEEWAY: TimeDelta = TimeDelta::milliseconds(50);
/// While a worker has taken the hint of a job and claims it, the rest of the fleet begins at most this many jobs. On a quiet machine
/// that is half a second: a claim is one statement, but the worker or the server may get no processor for a while. A count and not a
/// time, because a slow machine begins fewer jobs too. A job that the head does not have waits for the next fill, which is longer.
const BEGUN_WHILE_CLAIMING: usize = 400;
/// A worker that the machine stops for a second holds the hints that it has taken, at most one for a slot. More late jobs than these
/// mean that the line is not in order.
const HELD_BY_ONE_WORKER: usize = SLOTS as usize;
const WORKERS: usize = 8;
const SLOTS: u32 = 10;
/// Longer than the prefetch window times the number of slots: then a worker prefetches nothing, and a job that begins was chosen just
/// now.
const RUN_MS: u64 = 110;

/// When the client was told that a job is in the line.
type Entered = HashMap<Uuid, DateTime<Utc>>;

/// 20,000 jobs of random priorities come in batches of random sizes from four clients, while a fleet runs them. The line gets
/// longer than the head, so that hints are pushed, pushed out, filled in and extended all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_job_begins_before_one_that_should_come_first() {
    let mut fleet = Fleet::start(Duration::from_secs(30)).await;
    fleet.start_probe_workers(WORKERS, SLOTS).await;
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let clients: [StdRng; 4] = std::array::from_fn(|_| StdRng::seed_from_u64(random.random()));
    let probe = fleet.probe(RUN_MS);
    let client = &fleet.client;
    let [a, b, c, d] = clients.map(|random| enqueue(client, &probe, random));
    let entered = tokio::join!(a, b, c, d);
    let entered: Entered = [entered.0, entered.1, entered.2, entered.3].into_iter().flatten().collect();
    assert_eq!(entered.len(), JOBS);
    fleet.wait_until_succeeded(i64::try_from(JOBS).expect("a count")).await;
    let overtaken = overtaken(&mut fleet.stores.database.connect().await, &entered).await;
    let late: BTreeSet<Uuid> = overtaken.iter().map(|(id, _)| *id).collect();
    assert!(
        late.len() <= HELD_BY_ONE_WORKER,
        "{} jobs were overtaken, such as {:?}",
        late.len(),
        &overtaken[..overtaken.len().min(5)]
    );
}

/// The line is longer than the head, Redis holds hints in the old order, and no reaper runs. Only the hints that workers had taken
/// before, at most one for a slot, begin in the old order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_priority_step_is_obeyed_at_once() {
    let mut fleet = Fleet::start(Duration::from_secs(30)).await;
    let queue = leasehold::QueueName::default();
    fleet.client.set_priority_step(&queue, Duration::ZERO).await.expect("one order for all priorities");
    let probe = fleet.probe(RUN_MS);
    let job = |nth: i16| {
        let probe = Probe { log: probe.log.clone(), ..probe };
        fleet.client.enqueue(probe).priority(if nth % 2 == 0 { -1 } else { 1 }).build().expect("a job")
    };
    let jobs: Vec<NewJob> = (0..6_000).map(job).collect();
    for jobs in jobs.chunks(1_000) {
        fleet.client.enqueue_many(jobs).await.expect("enqueueing");
    }
    fleet.start_probe_workers(2, SLOTS).await;
    let mut database = fleet.stores.database.connect().await;
    begun_since(&mut database, DateTime::UNIX_EPOCH, 100).await;
    fleet.reaper = None;
    fleet.client.set_priority_step(&queue, Duration::from_secs(60)).await.expect("a new order");
    let [low, high] = begun_since(&mut database, Utc::now(), 300).await;
    let in_hand = i64::from(2 * SLOTS);
    assert!(low <= in_hand, "{low} jobs of priority -1 began after the answer, and {high} of priority 1");
}

/// Waits until this many jobs have begun since a moment. Returns how many of them have the priorities -1 and 1.
async fn begun_since(database: &mut PgConnection, moment: DateTime<Utc>, count: i64) -> [i64; 2] {
    let begun = "SELECT count(*) FILTER (WHERE priority = -1), count(*) FILTER (WHERE priority = 1)
                 FROM leasehold.jobs WHERE started_at > $1";
    eventually("enough jobs have begun", TIMEOUT, async || {
        let (low, high): (i64, i64) =
            sqlx::query_as(begun).bind(moment).fetch_one(&mut *database).await.expect("counting");
        if low + high >= count { Ok([low, high]) } else { Err([low, high]) }
    })
    .await
}

async fn enqueue(client: &Client, probe: &Probe, mut random: StdRng) -> Entered {
    let mut entered = Entered::new();
    while entered.len() < JOBS / 4 {
        let count = random.random_range(1..=60).min(JOBS / 4 - entered.len());
        let job = |priority| {
            let probe = Probe { log: probe.log.clone(), ..*probe };
            client.enqueue(probe).priority(priority).build().expect("a job")
        };
        let jobs: Vec<NewJob> = (0..count).map(|_| job(random.random_range(-100..=100))).collect();
        let answers = client.enqueue_many(&jobs).await.expect("enqueueing");
        let now = Utc::now();
        entered.extend(answers.into_iter().map(|answer| (answer.id.0, now)));
    }
    entered
}

/// Jobs that waited for longer than [`LEEWAY`] before the moment when one began that should come later, and while
/// [`BEGUN_WHILE_CLAIMING`] jobs began after it: the job, and by how much later that one should have come.
async fn overtaken(database: &mut PgConnection, entered: &Entered) -> Vec<(Uuid, TimeDelta)> {
    type Began = (Uuid, DateTime<Utc>, DateTime<Utc>);
    let began: Vec<Began> = sqlx::query_as(
        "SELECT id, run_at - priority * interval '1 hour', started_at FROM leasehold.history ORDER BY started_at",
    )
    .fetch_all(database)
    .await
    .expect("reading the jobs");
    let mut moments: Vec<(DateTime<Utc>, Moment)> = Vec::new();
    let starts: Vec<DateTime<Utc>> = began.iter().map(|(_, _, started_at)| *started_at).collect();
    for (nth, (id, line_at, started_at)) in began.into_iter().enumerate() {
        // Redis orders by 0.1 ms.
        let line_at = line_at.duration_trunc(TimeDelta::microseconds(100)).expect("a time");
        let position = (line_at, id);
        moments.push((started_at, Moment::Begins(position)));
        let (waits_from, waits_until) = (entered[&id] + LEEWAY, starts[nth.saturating_sub(BEGUN_WHILE_CLAIMING)]);
        if waits_from < waits_until {
            moments.push((waits_from, Moment::Waits(position)));
            moments.push((waits_until, Moment::IsNext(position)));
        }
    }
    moments.sort();
    let (mut waiting, mut overtaken) = (BTreeSet::new(), Vec::new());
    for (_, moment) in moments {
        match moment {
            Moment::Waits(position) => drop(waiting.insert(position)),
            Moment::IsNext(position) => drop(waiting.remove(&position)),
            Moment::Begins((line_at, _)) => {
                let first = waiting.first().filter(|(first, _)| *first < line_at);
                overtaken.extend(first.map(|(first, id)| (*id, line_at - *first)));
            }
        }
    }
    overtaken
}

/// A position in the line.
type Position = (DateTime<Utc>, Uuid);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    /// A worker may have taken the hint of the job, and is starting it.
    IsNext(Position),
    /// The job begins.
    Begins(Position),
    /// The job has waited for the leeway.
    Waits(Position),
}
