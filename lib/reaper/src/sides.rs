//! The sides of a tick: PostgreSQL, the survey, and Redis. The side of a store first checks whether the store answers, and
//! then starts the steps that begin with this store.
//!
//! The side of PostgreSQL never waits for Redis or for the survey. So neither can delay `expire` and `promote`.

use crate::{
    adopt::Adopt,
    batches::Batches,
    cancel::Cancel,
    children::Children,
    conditions::Condition,
    counts::Counts,
    deferred::DeferredSettles,
    error::Error,
    expire::{Expire, TellExpired},
    fair::Fair,
    fold_counts::FoldCounts,
    head::HeadStep,
    heads::Heads,
    lapse::Lapse,
    leases::Leases,
    limits::Limits,
    pauses::Pauses,
    promote::Promote,
    reorder::Reorder,
    report::{PATIENCE, StepReport, add},
    retain::Retain,
    roll_up::RollUp,
    schedules::Schedules,
    settings::Settings,
    shared::Shared,
    step::Slot,
    survey::Survey,
    sweep::Sweeps,
    tick::{Author, Losses, Tick},
    undelivered::Undelivered,
};
use chrono::{DateTime, Utc};
use leasehold_ports::{Class, ReaperHead, ReaperStore};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// How long the announcement of a reaper stays valid, at least.
const ANNOUNCED_FOR_AT_LEAST: Duration = Duration::from_secs(5);
/// For this time after a loss of Redis, each repair counts as part of the loss. Workers renew all hints within seconds.
const LOSS_LASTS: Duration = Duration::from_secs(15);
/// How long the steps of Redis wait for the survey of their tick. A survey that takes longer continues in parallel with
/// them.
pub(crate) const SURVEY_TIMEOUT: Duration = Duration::from_millis(250);

/// The last state of PostgreSQL.
#[derive(Clone, Debug)]
struct Answer {
    now: DateTime<Utc>,
    snapshot: Arc<str>,
    has_deferred: bool,
    has_ended_parents: bool,
    has_limited: bool,
    has_limit_changes: bool,
    has_fair: bool,
    has_reorders: bool,
    has_batches: bool,
    has_undelivered: bool,
    has_count_changes: bool,
}

/// The values that all sides use.
pub(crate) struct Around {
    pub(crate) store: Arc<dyn ReaperStore>,
    pub(crate) handoff: Arc<dyn ReaperHead>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) author: Author,
    postgres: Mutex<Option<Answer>>,
    redis_answers: AtomicBool,
}

impl Around {
    pub(crate) fn new(
        store: Arc<dyn ReaperStore>,
        handoff: Arc<dyn ReaperHead>,
        settings: Settings,
        shared: Arc<Shared>,
        author: Author,
    ) -> Self {
        let (postgres, redis_answers) = (Mutex::default(), AtomicBool::new(true));
        Self { store, handoff, settings: Arc::new(settings), shared, author, postgres, redis_answers }
    }

    fn answer(&self) -> Option<Answer> {
        self.postgres.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tick(&self, redis: &RedisLook) -> Tick {
        let answer = self.answer();
        Tick {
            store: answer.is_some().then(|| Arc::clone(&self.store)),
            handoff: self.redis_answers.load(Relaxed).then(|| Arc::clone(&self.handoff)),
            settings: Arc::clone(&self.settings),
            heads: Arc::clone(&redis.heads),
            began: answer.as_ref().map(|answer| answer.now),
            has_deferred: answer.as_ref().is_some_and(|answer| answer.has_deferred),
            has_ended_parents: answer.as_ref().is_some_and(|answer| answer.has_ended_parents),
            has_limited: answer.as_ref().is_some_and(|answer| answer.has_limited),
            has_limit_changes: answer.as_ref().is_some_and(|answer| answer.has_limit_changes),
            has_fair: answer.as_ref().is_some_and(|answer| answer.has_fair),
            has_reorders: answer.as_ref().is_some_and(|answer| answer.has_reorders),
            has_batches: answer.as_ref().is_some_and(|answer| answer.has_batches),
            has_undelivered: answer.as_ref().is_some_and(|answer| answer.has_undelivered),
            has_count_changes: answer.as_ref().is_some_and(|answer| answer.has_count_changes),
            snapshot: answer.map(|answer| answer.snapshot),
            is_moment: false,
            counts: Counts::new(self.shared.watch.clone()),
            shared: Arc::clone(&self.shared),
            by: self.author,
            quiet: redis.lost_at.is_some_and(|at| at.elapsed() < LOSS_LASTS),
            losses: redis.losses,
        }
    }
}

/// The steps that begin with PostgreSQL.
pub(crate) struct PostgresSide {
    pub(crate) slots: Vec<Slot>,
}

impl PostgresSide {
    pub(crate) fn new() -> Self {
        let slots = vec![
            Slot::new(DeferredSettles),
            Slot::new(Expire::default()),
            Slot::new(TellExpired),
            Slot::new(Undelivered),
            Slot::new(Lapse),
            Slot::new(Children),
            Slot::new(Limits::default()),
            Slot::new(Fair::default()),
            Slot::new(Batches),
            Slot::new(Cancel),
            Slot::new(Reorder::default()),
            Slot::new(Retain),
            Slot::new(FoldCounts),
            Slot::new(RollUp),
        ];
        Self { slots }
    }

    /// Reads the state of PostgreSQL, once in each tick, so that an unavailable server costs only one wait.
    pub(crate) async fn look(&self, around: &Around) {
        let answer = in_time(async { Ok(around.store.uptime().await?) }).await;
        // A server that does not answer says nothing about locks.
        let wrong = answer.as_ref().err();
        let (locked, unavailable): (Vec<&NoAnswer>, Vec<&NoAnswer>) = wrong.iter().partition(|wrong| wrong.is_locked);
        if unavailable.is_empty() {
            around.shared.log(Condition::Locked, locked.first().map(|wrong| wrong.why()));
        }
        around.shared.log(Condition::StoreUnavailable("PostgreSQL"), unavailable.first().map(|wrong| wrong.why()));
        let answer = match answer {
            Ok(seen) => {
                around.shared.expiry_guard().seen(Instant::now(), seen.up_for, seen.watched_ago);
                Some(Answer {
                    now: seen.now,
                    snapshot: seen.snapshot.into(),
                    has_deferred: seen.has_deferred,
                    has_ended_parents: seen.has_ended_parents,
                    has_limited: seen.has_limited,
                    has_limit_changes: seen.has_limit_changes,
                    has_fair: seen.has_fair,
                    has_reorders: seen.has_reorders,
                    has_batches: seen.has_batches,
                    has_undelivered: seen.has_undelivered,
                    has_count_changes: seen.has_count_changes,
                })
            }
            Err(_) => {
                around.shared.postgres_is_unavailable();
                None
            }
        };
        *around.postgres.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    /// Starts each step in its own task.
    pub(crate) async fn start(&mut self, around: &Around) {
        for slot in &mut self.slots {
            slot.start(around.tick(&RedisLook::default())).await;
        }
    }

    /// Runs the steps one by one, for a caller that waits for the reports.
    pub(crate) async fn run(&mut self, around: &Around, reports: &mut Vec<StepReport>) {
        run(&mut self.slots, around, &RedisLook::default(), reports).await;
    }
}

/// The jobs that become due. In a running reaper, this side has a separate loop, which does not wait for the tick.
pub(crate) struct DueSide {
    pub(crate) slot: Slot,
}

impl DueSide {
    pub(crate) fn new() -> Self {
        Self { slot: Slot::new(Promote::default()) }
    }

    /// Moves all due jobs, and returns when this is done.
    pub(crate) async fn run(&mut self, around: &Around) -> Option<StepReport> {
        around.shared.due().take();
        self.slot.run(around.tick(&RedisLook::default())).await
    }
}

/// The schedules. In a running reaper, this side has a separate loop, so a tick of a schedule is not late either.
pub(crate) struct FireSide {
    pub(crate) slot: Slot,
}

impl FireSide {
    pub(crate) fn new() -> Self {
        Self { slot: Slot::new(Schedules::default()) }
    }

    /// Fires all due schedules, and returns when this is done.
    pub(crate) async fn run(&mut self, around: &Around) -> Option<StepReport> {
        let is_moment = around.shared.next_fire().take_if_now();
        self.slot.run(Tick { is_moment, ..around.tick(&RedisLook::default()) }).await
    }
}

/// The survey. The steps of Redis wait for the survey for a moment. The survey never waits for the check of Redis.
pub(crate) struct SurveySide {
    pub(crate) slot: Slot,
}

impl SurveySide {
    pub(crate) fn new() -> Self {
        Self { slot: Slot::new(Survey::default()) }
    }

    /// Runs the survey to its end.
    pub(crate) async fn run(&mut self, around: &Around) -> Option<StepReport> {
        self.slot.run(around.tick(&RedisLook::default())).await
    }
}

/// The state of Redis, as this reaper knows it.
#[derive(Debug, Default)]
struct RedisLook {
    heads: Arc<Heads>,
    generation: Option<String>,
    losses: Losses,
    /// When this reaper found a Redis empty that it had seen before.
    lost_at: Option<Instant>,
}

/// The steps that begin with Redis.
pub(crate) struct RedisSide {
    pub(crate) slots: Vec<Slot>,
    redis: RedisLook,
}

impl RedisSide {
    pub(crate) fn new() -> Self {
        let slots = vec![
            Slot::new(Pauses),
            Slot::new(Adopt),
            Slot::new(Leases),
            Slot::new(HeadStep::default()),
            Slot::new(Sweeps::default()),
        ];
        Self { slots, redis: RedisLook::default() }
    }

    /// Whether each queue has had its turn.
    pub(crate) fn is_through(&self) -> bool {
        self.redis.heads.are_through()
    }

    /// Starts each step in its own task. Call this after the check of Redis.
    pub(crate) async fn start(&mut self, around: &Around) {
        for slot in &mut self.slots {
            slot.start(around.tick(&self.redis)).await;
        }
    }

    /// Runs the steps one by one, for a caller that waits for the reports.
    pub(crate) async fn run(&mut self, around: &Around, reports: &mut Vec<StepReport>) {
        run(&mut self.slots, around, &self.redis, reports).await;
    }

    /// Asks whether Redis answers and whether it was emptied, and reads the heads of some of the queues.
    pub(crate) async fn look(&mut self, around: &Around) {
        let answers = self.look_at_redis(around).await;
        around.redis_answers.store(answers, Relaxed);
        let heads = Arc::make_mut(&mut self.redis.heads);
        if !answers {
            heads.forget();
            return;
        }
        let looked = in_time(heads.look(&*around.handoff, around.shared.take_wanted())).await;
        around.shared.log(Condition::HeadsUnreadable, looked.as_ref().err().map(NoAnswer::why));
        if looked.is_err() {
            heads.forget();
        }
    }

    async fn look_at_redis(&mut self, around: &Around) -> bool {
        let announced_for = (around.settings.tick * 10).max(ANNOUNCED_FOR_AT_LEAST);
        let answer = in_time(async {
            let generation = around.handoff.generation().await?;
            around.handoff.announce_reaper(around.author.id, announced_for).await?;
            Ok(generation)
        })
        .await;
        around.shared.log(Condition::StoreUnavailable("Redis"), answer.as_ref().err().map(NoAnswer::why));
        let Ok((generation, made_now)) = answer else { return false };
        let redis = &mut self.redis;
        let was_seen = redis.generation.is_some();
        if made_now || redis.generation.as_ref().is_some_and(|known| *known != generation) {
            Arc::make_mut(&mut redis.heads).forget();
            redis.losses.all += 1;
            if was_seen {
                redis.losses.seen += 1;
                redis.lost_at = Some(Instant::now());
            }
        }
        redis.generation = Some(generation);
        true
    }
}

async fn run(slots: &mut [Slot], around: &Around, redis: &RedisLook, reports: &mut Vec<StepReport>) {
    for slot in slots {
        if let Some(report) = slot.run(around.tick(redis)).await {
            add(reports, report);
        }
    }
}

/// A store did not do what it was asked for.
struct NoAnswer {
    why: String,
    /// A lock of another transaction was the reason.
    is_locked: bool,
}

impl NoAnswer {
    fn why(&self) -> &str {
        &self.why
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, NoAnswer> {
    match timeout(PATIENCE, work).await {
        Ok(result) => result.map_err(|error| NoAnswer {
            is_locked: matches!(&error, Error::Store(error) if error.class == Class::Locked),
            why: error.to_string(),
        }),
        Err(_) => Err(NoAnswer { why: format!("no answer within {} s", PATIENCE.as_secs()), is_locked: false }),
    }
}
