//! The reaper: config, loop, and the order of the steps. It has no rules of its own about jobs.

use crate::{
    adopt, cancel,
    conditions::Conditions,
    deferred,
    error::Error,
    expire,
    expiry_guard::ExpiryGuard,
    head,
    heads::{Heads, WANTED},
    leases,
    locked::Locked,
    note::Author,
    pauses, promote,
    reads::Reads,
    report::{Counts, PATIENCE, StepReport, measured},
    retain,
    settings::Settings,
    sweep::{self, Sweeps},
    tick::Tick,
    watch::Watch,
};
use leasehold_core::{Drift, JobId, QueueName};
use leasehold_line::Surveys;
use leasehold_ports::{LineChanges, ReaperHead, ReaperStore, Uptime};
use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long other programs may believe that a reaper is alive which has not said so again.
const ANNOUNCED_FOR_AT_LEAST: Duration = Duration::from_secs(5);
/// After Redis was lost: for so long, what is put right is part of that. Workers renew all of their hints within seconds.
const LOSS_LASTS: Duration = Duration::from_secs(15);
/// Enough for a hundred thousand queues.
const TICKS_OF_A_ROUND: u32 = 200;
/// A tick that takes longer looks once more for what is due.
const PROMOTE_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The reaper.
pub struct Reaper {
    author: Author,
    store: Arc<dyn ReaperStore>,
    handoff: Arc<dyn ReaperHead>,
    settings: Settings,
    expiry_guard: ExpiryGuard,
    conditions: Conditions,
    retention: retain::Due,
    surveys: Surveys,
    locked: Locked,
    heads: Heads,
    /// Queues that were paused or resumed in Redis since their heads were looked at.
    flagged: BTreeSet<QueueName>,
    reads: Reads,
    sweeps: Sweeps,
    generation: Option<String>,
    /// Redis was found empty, and no head step has got through since.
    loss_is_open: bool,
    /// The same, and this reaper had seen it filled before.
    loss_was_seen: bool,
    /// Queues that got hints since then.
    refilled: u32,
    lost_at: Option<Instant>,
    watch: Watch,
}

impl Reaper {
    /// A reaper; any number may run at once.
    #[must_use]
    pub fn new(
        store: impl Into<Arc<dyn ReaperStore>>,
        handoff: impl Into<Arc<dyn ReaperHead>>,
        settings: Settings,
    ) -> Self {
        Self {
            author: Author { id: Uuid::now_v7(), name: "a reaper" },
            expiry_guard: ExpiryGuard::new(settings.lease),
            conditions: Conditions::default(),
            retention: retain::Due::default(),
            surveys: Surveys::default(),
            locked: Locked::default(),
            heads: Heads::default(),
            flagged: BTreeSet::new(),
            reads: Reads::default(),
            sweeps: Sweeps::default(),
            generation: None,
            loss_is_open: false,
            loss_was_seen: false,
            refilled: 0,
            lost_at: None,
            watch: Watch::new(settings.tick),
            store: store.into(),
            handoff: handoff.into(),
            settings,
        }
    }

    /// How often this reaper found Redis emptied.
    #[must_use]
    pub fn redis_losses(&self) -> u64 {
        self.watch.totals().redis_losses
    }

    /// A view of what it does, for while it runs.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// Signs repairs as doctor, who has found these missing in the heads of their queues.
    pub(crate) fn for_doctor(mut self, missing: impl IntoIterator<Item = (QueueName, HashSet<JobId>)>) -> Self {
        self.author.name = "doctor";
        missing.into_iter().for_each(|(queue, ids)| self.reads.miss(queue, ids));
        self
    }

    /// Whether each queue has had its turn, and each line in which something changed was compared with its head. Where there
    /// are many, that takes more than one tick.
    #[must_use]
    fn is_through(&self) -> bool {
        self.heads.are_through() && self.reads.wanted().next().is_none()
    }

    /// Whether it waits for workers to renew their leases, after what may have been an outage of PostgreSQL, before it expires
    /// any.
    #[must_use]
    pub(crate) fn waits_to_expire(&self) -> bool {
        !self.expiry_guard.is_away() && !self.expiry_guard.may_expire(Instant::now())
    }

    /// Ticks until `stop`. Ticks keep to their grid: one that takes longer than the interval makes the next
    /// ones fall out, not pile up.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(self.settings.tick.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.tick().await;
        }
        if let Ok(Err(error)) = timeout(Duration::from_secs(1), self.handoff.withdraw_reaper(self.author.id)).await {
            tracing::debug!(%error, "could not withdraw; the announcement ends by itself");
        }
    }

    /// Ticks until each queue has had its turn, and answers what all of that found and changed. On a system where something
    /// changes all the time it ends after a while all the same.
    pub async fn round(&mut self) -> Vec<StepReport> {
        let mut reports = self.tick().await;
        for _ in 1..TICKS_OF_A_ROUND {
            if self.is_through() || reports.iter().any(|report| report.error.is_some()) {
                break;
            }
            self.tick().await.into_iter().for_each(|report| add(&mut reports, report));
        }
        reports
    }

    /// All steps once. An error of one stops no other.
    pub async fn tick(&mut self) -> Vec<StepReport> {
        self.watch.beat();
        let started = Instant::now();
        let seen = self.look_at_postgres().await;
        let has_deferred = seen.as_ref().is_some_and(|seen| seen.has_deferred);
        let (began, snapshot) = seen.map(|seen| (seen.now, seen.snapshot)).unzip();
        let store_is_there = !self.expiry_guard.is_away();
        let (handoff_is_there, lost) = self.look_at_redis().await;
        let is_news = lost && self.loss_was_seen;
        if lost {
            self.heads.forget();
            self.reads = Reads::default();
            self.sweeps.lose_all();
            (self.loss_is_open, self.refilled) = (true, 0);
        }
        if is_news {
            self.lost_at = Some(Instant::now());
        }
        let mut reports = Vec::with_capacity(10);
        let first_counts = Counts::new(self.watch.clone());
        if store_is_there {
            let store: Arc<dyn LineChanges> = self.store.clone();
            let look = async { Ok(self.surveys.look(&store, snapshot.as_deref()).await?) };
            reports.push(measured(&first_counts, "survey", look).await);
            self.conditions.log("dead rows", self.surveys.complaint().as_deref());
        }
        if lost {
            self.surveys.all_changed();
        }
        if handoff_is_there {
            self.look_at_heads().await;
        } else {
            self.heads.forget();
        }
        let tick = Tick {
            store: store_is_there.then_some(&*self.store),
            handoff: handoff_is_there.then_some(&*self.handoff),
            settings: &self.settings,
            heads: &self.heads,
            began,
            counts: Counts::new(self.watch.clone()),
            by: self.author,
            quiet: self.lost_at.is_some_and(|at| at.elapsed() < LOSS_LASTS),
        };

        let (counts, sweeps, mut refilled, loss_was_seen) = (&tick.counts, &mut self.sweeps, 0, self.loss_was_seen);
        let surveys = &mut self.surveys;
        if has_deferred {
            reports.push(measured(counts, "deferred", deferred::step(&tick)).await);
        }
        self.expiry_guard.about_to_look(Instant::now());
        let may_expire = self.expiry_guard.may_expire(Instant::now());
        if store_is_there {
            let mut look = expire::Look::HeldUp;
            let expire = async {
                look = match may_expire {
                    true => expire::step(&tick, surveys, &mut self.locked).await?,
                    false => expire::look(&tick, surveys).await?,
                };
                Ok(())
            };
            let report = measured(counts, "expire", expire).await;
            match look {
                expire::Look::Free => self.expiry_guard.looked(Instant::now()),
                expire::Look::HeldUp => self.expiry_guard.held_up(Instant::now()),
            }
            if may_expire || report.error.is_some() {
                reports.push(report);
            }
        }
        reports.push(measured(counts, "promote", promote::step(&tick, surveys)).await);
        reports.push(measured(counts, "cancel", cancel::step(&tick)).await);
        reports.push(measured(counts, "pauses", pauses::step(&tick, surveys, &mut self.flagged)).await);
        reports.push(measured(counts, "adopt", adopt::step(&tick)).await);
        reports.push(measured(counts, "leases", leases::step(&tick)).await);
        let head = async {
            tick.counts.drifted(Drift::RedisLost, u64::from(is_news));
            refilled = head::step(&tick, surveys, &mut self.reads, sweeps).await?;
            let is_whole = self.reads.wanted().next().is_none();
            tick.counts.repaired(Drift::RedisLost, u64::from(loss_was_seen && is_whole));
            Ok(())
        };
        reports.push(measured(counts, "head", head).await);
        reports.push(measured(counts, "sweep", sweep::step(&tick, surveys, sweeps)).await);
        if store_is_there && self.retention.is_now(Instant::now()) {
            let report = measured(counts, "retain", retain::step(&tick)).await;
            self.retention.done(Instant::now(), report.error.is_none());
            reports.push(report);
        }
        if started.elapsed() >= PROMOTE_AGAIN_AFTER {
            // What became due meanwhile must not wait for the next tick too.
            add(&mut reports, measured(counts, "promote", promote::step(&tick, surveys)).await);
        }
        self.refilled += refilled;
        self.note_loss(&reports);
        self.log(&reports, store_is_there && handoff_is_there);
        reports
    }

    /// What PostgreSQL says of itself, if it answers. Asked once a tick, so that a server that is away costs one wait.
    async fn look_at_postgres(&mut self) -> Option<Uptime> {
        let answer = in_time(async { Ok(self.store.uptime().await?) }).await;
        self.conditions.log("PostgreSQL", answer.as_ref().err().map(String::as_str));
        match answer {
            Ok(seen) => {
                self.expiry_guard.seen(Instant::now(), seen.up_for, seen.watched_ago);
                if self.expiry_guard.has_to_say(Instant::now()) {
                    let kept = in_time(async { Ok(self.store.keep_watch().await?) }).await;
                    self.conditions.log("watch", kept.as_ref().err().map(String::as_str));
                }
                Some(seen)
            }
            Err(_) => {
                self.expiry_guard.missed();
                self.surveys.forget();
                None
            }
        }
    }

    /// Whether Redis answers, and whether it has been emptied since this reaper or anybody saw it last.
    async fn look_at_redis(&mut self) -> (bool, bool) {
        let announced_for = (self.settings.tick * 10).max(ANNOUNCED_FOR_AT_LEAST);
        let answer = in_time(async {
            let generation = self.handoff.generation().await?;
            self.handoff.announce_reaper(self.author.id, announced_for).await?;
            Ok(generation)
        })
        .await;
        self.conditions.log("Redis", answer.as_ref().err().map(String::as_str));
        let Ok((generation, made_now)) = answer else { return (false, false) };
        let known = self.generation.as_ref();
        let changed = known.is_some_and(|known| *known != generation);
        self.loss_was_seen |= known.is_some() && (made_now || changed);
        self.generation = Some(generation);
        (true, made_now || changed)
    }

    /// Redis is whole again when the head of every line was filled after the loss. That is what a person should read of, once.
    /// A Redis that was empty when this reaper first saw it may as well be new: filled all the same, and no news.
    fn note_loss(&mut self, reports: &[StepReport]) {
        if !self.loss_is_open {
            return;
        }
        let is_whole = self.reads.wanted().next().is_none();
        let filled = reports.iter().any(|report| report.step == "head" && report.error.is_none()) && is_whole;
        self.loss_is_open = !filled;
        let queues = self.refilled;
        if filled && std::mem::take(&mut self.loss_was_seen) && queues > 0 {
            self.watch.count_loss();
            tracing::warn!(queues, "Redis came back empty; {queues} queues refilled");
        }
    }

    /// Looks at some of the queues that Redis has keys of. Without this the steps that need it find nothing to do.
    async fn look_at_heads(&mut self) {
        let flagged = std::mem::take(&mut self.flagged);
        let wanted = flagged.iter().chain(self.reads.wanted()).chain(self.surveys.changed());
        let wanted = wanted.take(WANTED).cloned().collect();
        let looked = in_time(self.heads.look(&*self.handoff, wanted)).await;
        self.conditions.log("heads", looked.as_ref().err().map(String::as_str));
        if looked.is_err() {
            self.heads.forget();
        }
    }

    /// One line when a step begins to fail and one when it works again; none for what a store that is away explains.
    fn log(&mut self, reports: &[StepReport], both_are_there: bool) {
        for report in reports {
            if both_are_there || report.error.is_none() {
                self.conditions.log(report.step, report.error.as_deref());
            }
            tracing::trace!(
                step = report.step,
                found = report.found,
                changed = report.changed,
                took_ms = report.took_ms,
                "step"
            );
        }
    }
}

/// What a step has found again belongs to what it found before.
fn add(reports: &mut Vec<StepReport>, report: StepReport) {
    match reports.iter_mut().find(|earlier| earlier.step == report.step) {
        Some(earlier) => earlier.add(report),
        None => reports.push(report),
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, String> {
    match timeout(PATIENCE, work).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reaper_can_be_spawned() {
        fn spawnable(_: impl Future + Send + 'static) {}
        let _ = |reaper: Reaper, stop| spawnable(reaper.run(stop));
    }
}
