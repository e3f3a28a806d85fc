//! One run: a world is made from a seed, gets faults for a while, heals, drains, and is judged.

use crate::{
    client::Clients,
    dice::Dice,
    director::Director,
    fleet::{Fleet, Role, Times},
    judge::judge,
    process::Surroundings,
    trace::Trace,
    weather::Weather,
    work::{Book, short},
};
use leasehold_core::{JobId, Kind, MISSED_MAX, Missed, NewJob, NewSchedule, QueueName, State, Timing};
use leasehold_tests::{Broken, Clock, KeyLimit, MemoryHead, MemoryStore, Score, position_of};
use serde_json::value::RawValue;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Every job must be finished within this time after the last fault. The bound is twice the longest time in a thousand
/// runs. That run had a few jobs that kill their workers. Such jobs are claimed one at a time, ten seconds apart.
const DRAINS_WITHIN: Duration = Duration::from_secs(90);
/// Both stores must agree within this time after that. The slowest repair is a sweep, which runs every ten seconds.
const AGREES_WITHIN: Duration = Duration::from_secs(15);
/// The part of the runs in which PostgreSQL must keep dead rows, so that a survey takes long.
const DEAD_ROWS: f64 = 0.2;
/// The time between two ticks of the schedule.
pub(crate) const BEAT: Duration = Duration::from_secs(1);
/// The payload of its jobs.
pub(crate) const BEAT_PAYLOAD: &str = "\"beat\"";
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) wrong: Vec<String>,
    pub(crate) seen: BTreeMap<String, u64>,
    pub(crate) lines: Vec<String>,
}

/// The order to make a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) seed: u64,
    pub(crate) broken: Option<Broken>,
    pub(crate) keeps_lines: bool,
}

/// Runs one seed, in virtual time.
pub(crate) fn run(order: Order) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread");
    let outcome = runtime.block_on(async { World::make(order).live().await });
    runtime.shutdown_background();
    outcome
}

struct World {
    director: Director,
    clients: Arc<Clients>,
    around: Arc<Surroundings>,
    wrong: Vec<String>,
}

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a name")
}

impl World {
    fn make(order: Order) -> Self {
        let dice = Dice::new(order.seed);
        let clock = Clock::start();
        let queues: Vec<QueueName> = ["a", "b"].map(name).to_vec();
        let kinds: Vec<Kind> = ["x", "y", "z"].map(name).to_vec();
        let times = Times {
            lease: dice.ms(1000..2500),
            tick: dice.ms(150..500),
            grace: dice.ms(100..3000),
            head_max: 4 + u32::try_from(dice.below(28)).unwrap_or_default(),
        };
        let dead_rows = if dice.chance(DEAD_ROWS) { dice.ms(50..400) } else { Duration::ZERO };
        let store = MemoryStore::new(clock.clone(), order.broken).with_dead_rows(dead_rows);
        let head = MemoryHead::new(clock, times.head_max, order.broken);
        {
            let mut rows = store.rows();
            let first = rows.now() + BEAT;
            rows.set_schedule(&beat(&queues[0], &kinds[0]), first);
            rows.set_limit("limit *", KeyLimit { running: Some(1), rate: None });
            rows.set_limit("limit of all", KeyLimit { running: Some(2), rate: None });
        }
        let trace = Trace::start(order.keeps_lines);
        if !dead_rows.is_zero() {
            trace.count("PostgreSQL kept dead rows");
        }
        let around = Arc::new(Surroundings { dice, trace, weather: Weather::fine() });
        let book = Arc::new(Book::default());
        let mut fleet = Fleet {
            around: Arc::clone(&around),
            book: Arc::clone(&book),
            store: store.clone(),
            head: head.clone(),
            times,
            members: Vec::new(),
            stopped: Arc::default(),
            started: 0,
        };
        fleet.start_reaper();
        // One worker serves everything, and some workers do not.
        fleet.start_worker(&Role { queues: queues.iter().map(|queue| (queue.clone(), 2)).collect(), kinds: None });
        for _ in 0..1 + around.dice.index(3) {
            fleet.start_worker(&role(&around.dice, &queues, &kinds));
        }
        let clients = Arc::new(Clients {
            around: Arc::clone(&around),
            book,
            store,
            head,
            queues,
            idle: name("idle"),
            kinds,
            acknowledged: std::sync::Mutex::default(),
            ids: std::sync::atomic::AtomicU64::new(1),
        });
        Self { director: Director::new(fleet), clients, around, wrong: Vec::new() }
    }

    async fn live(mut self) -> Outcome {
        let dice = &self.around.dice;
        let harm_until = Instant::now() + dice.ms(2000..9000);
        let (client_busy, director_busy) = (dice.pick(&[200, 500, 1000]), dice.pick(&[300, 600, 1500]));
        let clients: Vec<_> =
            (0..2).map(|nth| tokio::spawn(self.clients.program(nth).run(harm_until, client_busy))).collect();
        self.director.run(harm_until, director_busy).await;
        self.director.heal();
        for client in clients {
            if client.await.is_err() {
                self.wrong.push("a client panicked".to_owned());
            }
        }
        self.clients.program(9).resume_all().await;
        self.until("done with its missed ticks", AGREES_WITHIN, Self::ticks_are_due).await;
        self.director.fleet.store.rows().remove_schedules();
        self.drain().await;
        self.judge()
    }

    /// Waits until `is_wrong` finds nothing wrong. After the time limit, records what is still wrong.
    async fn until(&mut self, what: &str, within: Duration, is_wrong: impl Fn(&Self) -> Option<String>) {
        let end = Instant::now() + within;
        let mut last = is_wrong(self);
        while last.is_some() && Instant::now() < end {
            sleep(LOOK_EVERY).await;
            // Jobs continue to kill their workers, so workers must be started again.
            self.director.heal();
            last = is_wrong(self);
        }
        if let Some(last) = last {
            self.wrong.push(format!("not {what} within {} s: {last}", within.as_secs()));
        }
    }

    async fn drain(&mut self) {
        self.until("drained", DRAINS_WITHIN, Self::still_live).await;
        self.until("agreed about the queue that nobody serves", AGREES_WITHIN, Self::disagrees_about_idle).await;
        let idle = &self.clients.idle;
        let rest: Vec<JobId> = {
            let rows = self.director.fleet.store.rows();
            rows.live.values().filter(|row| row.job.queue == *idle).map(|row| row.life.id).collect()
        };
        self.clients.program(10).cancel(&rest).await;
        self.until("rid of all hints", AGREES_WITHIN, Self::holds_hints).await;
    }

    /// The schedule has ticks that no reaper has fired.
    fn ticks_are_due(&self) -> Option<String> {
        let rows = self.director.fleet.store.rows();
        let due = rows.schedules.values().filter_map(|row| row.next_at).find(|next_at| *next_at <= rows.now());
        due.map(|next_at| format!("the tick at {next_at} is not fired"))
    }

    /// The jobs of served queues that are not finished.
    fn still_live(&self) -> Option<String> {
        let rows = self.director.fleet.store.rows();
        let live: Vec<String> = rows
            .live
            .values()
            .filter(|row| row.job.queue != self.clients.idle)
            .map(|row| format!("{} is {}", short(row.life.id), row.life.state))
            .collect();
        (!live.is_empty()).then(|| live.join(", "))
    }

    /// The difference, if Redis does not hold exactly the front of the line of the queue that no worker serves.
    fn disagrees_about_idle(&self) -> Option<String> {
        let head_max = self.director.fleet.times.head_max as usize;
        let line: Vec<(i64, JobId)> = {
            let rows = self.director.fleet.store.rows();
            let waits =
                |row: &&leasehold_tests::Row| row.job.queue == self.clients.idle && row.life.state == State::Queued;
            let mut line: Vec<_> = rows.live.values().filter(waits).map(|row| (row.line_at(), row.life.id)).collect();
            line.sort();
            line.into_iter().map(|(at, id)| (position_of(at), id)).collect()
        };
        let keys = self.director.fleet.head.keys().queues.remove(&self.clients.idle).unwrap_or_default();
        let front: BTreeSet<JobId> = line.iter().take(head_max).map(|(_, id)| *id).collect();
        // Jobs at the same position may be in either order.
        let in_order =
            line.iter().zip(&keys.ready).all(|((at, _), id)| keys.leases.get(id) == Some(&Score::Waits(*at)));
        let ready: BTreeSet<JobId> = keys.ready.iter().copied().collect();
        let known: BTreeSet<JobId> = keys.leases.keys().copied().collect();
        let agrees = ready == front
            && keys.ready.len() == ready.len()
            && in_order
            && known == front
            && keys.leases.values().all(|score| matches!(score, Score::Waits(_)))
            && keys.overflow.is_some() == (line.len() > head_max)
            && keys.claimed.is_empty();
        (!agrees).then(|| {
            let (ready, known) = (ready.len(), known.len());
            let more = keys.overflow.is_some();
            format!(
                "{} in line, {ready} ready, {known} known, in order {in_order}, head of {head_max}, overflow {more}, noted {}; {keys:?}",
                line.len(),
                self.director.fleet.head.keys().noted.contains(&self.clients.idle)
            )
        })
    }

    fn holds_hints(&self) -> Option<String> {
        let queues = self.director.fleet.head.keys().queues;
        let held = |queue: &leasehold_tests::QueueKeys| {
            queue.ready.len() + queue.claimed.len() + queue.leases.len() + queue.aside.len()
        };
        let full: Vec<String> = queues
            .iter()
            .filter(|(_, keys)| held(keys) > 0 || keys.paused)
            .map(|(name, keys)| format!("{name}: {keys:?}"))
            .collect();
        (!full.is_empty()).then(|| full.join("; "))
    }

    fn judge(self) -> Outcome {
        let begun = self.clients.book.begun();
        let verdict = judge(&self.director.fleet, &self.clients.acknowledged(), &begun, &self.clients.book.followed());
        let mut wrong = self.wrong;
        wrong.extend(verdict.wrong);
        wrong.extend(self.around.trace.wrongs());
        let mut seen = verdict.seen;
        seen.extend(self.around.trace.counts());
        for (what, count) in self.director.fleet.head.counts() {
            seen.insert(what.to_owned(), count);
        }
        self.around.trace.line("judge", &format_args!("{wrong:?}"));
        Outcome { wrong, seen, lines: self.around.trace.lines() }
    }
}

/// A schedule with a tick each second. No tick may be skipped.
fn beat(queue: &QueueName, kind: &Kind) -> NewSchedule {
    let payload = RawValue::from_string(BEAT_PAYLOAD.to_owned()).expect("JSON");
    NewSchedule {
        name: name("beat"),
        timing: Timing::Every(BEAT),
        missed: Missed::All(MISSED_MAX),
        job: NewJob { queue: queue.clone(), ..NewJob::new(kind.clone(), payload) },
    }
}

fn role(dice: &Dice, queues: &[QueueName], kinds: &[Kind]) -> Role {
    let mut queues = queues.to_vec();
    if dice.chance(0.5) {
        queues.remove(dice.index(queues.len()));
    }
    let queues = queues.into_iter().map(|queue| (queue, 1 + dice.index(4) as u32)).collect();
    let kinds = dice.chance(0.6).then(|| {
        let first = dice.index(kinds.len());
        kinds[first..(first + 1 + dice.index(2)).min(kinds.len())].to_vec()
    });
    Role { queues, kinds }
}
