//! The reaper: the loops that start the steps. It has no rules about jobs.

use crate::{
    expiry_guard::ExpiryGuard,
    pods::{PodCosts, PodsStep},
    report::{StepReport, add},
    settings::Settings,
    shared::Shared,
    sides::{Around, DueSide, FireSide, PostgresSide, RedisSide, SURVEY_TIMEOUT, SurveySide},
    step::{Slot, end_all},
    tick::Author,
    watch::Watch,
};
use leasehold_core::{JobId, QueueName};
use leasehold_ports::{Notice, ReaperHead, ReaperStore};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Enough for a hundred thousand queues.
const TICKS_OF_A_ROUND: u32 = 200;
/// How long a stopping reaper waits for running steps.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The reaper.
pub struct Reaper {
    around: Around,
    postgres: PostgresSide,
    due: DueSide,
    fire: FireSide,
    survey: SurveySide,
    redis: RedisSide,
}

impl Reaper {
    /// A reaper. Any number of reapers may run at the same time.
    #[must_use]
    pub fn new(
        store: impl Into<Arc<dyn ReaperStore>>,
        handoff: impl Into<Arc<dyn ReaperHead>>,
        settings: Settings,
    ) -> Self {
        let shared = Arc::new(Shared::new(Watch::new(settings.tick), ExpiryGuard::new(settings.lease)));
        let author = Author { id: Uuid::now_v7(), name: "a reaper" };
        let around = Around::new(store.into(), handoff.into(), settings, shared, author);
        Self {
            around,
            postgres: PostgresSide::new(),
            due: DueSide::new(),
            fire: FireSide::new(),
            survey: SurveySide::new(),
            redis: RedisSide::new(),
        }
    }

    /// Makes this reaper a candidate in the election of the reaper that writes the deletion costs of pods.
    #[must_use]
    pub fn with_pods(mut self, costs: PodCosts) -> Self {
        self.redis.slots.push(Slot::new(PodsStep::new(costs)));
        self
    }

    /// How often this reaper found Redis emptied.
    #[must_use]
    pub fn redis_losses(&self) -> u64 {
        self.around.shared.watch.totals().redis_losses
    }

    /// A view of the running reaper.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.around.shared.watch.clone()
    }

    /// The repairs of this reaper name doctor, which has found these hints missing.
    pub(crate) fn for_doctor(mut self, missing: impl IntoIterator<Item = (QueueName, HashSet<JobId>)>) -> Self {
        self.around.author.name = "doctor";
        self.around.shared.exchange().missed.extend(missing);
        self
    }

    /// Whether each queue has had its turn, and each line in which something changed was compared with its head. With many
    /// queues, this takes more than one tick.
    #[must_use]
    fn is_through(&self) -> bool {
        self.redis.is_through() && self.around.shared.exchange().unfinished.is_empty()
    }

    /// Whether the reaper expires no lease now, because workers must renew their leases after a possible outage of PostgreSQL.
    #[must_use]
    pub(crate) fn waits_to_expire(&self) -> bool {
        let guard = self.around.shared.expiry_guard();
        !guard.is_away() && !guard.may_expire(Instant::now())
    }

    /// Ticks until `stop`. A tick starts each step in its own task. A step that is still running from an earlier tick is not
    /// started again, so a slow step delays no other step.
    pub async fn run(self, stop: CancellationToken) {
        let Self { around, mut postgres, mut due, mut fire, mut survey, mut redis } = self;
        let [begun, to_promote, to_fire, to_survey, surveyed] = std::array::from_fn(|_| Notify::new());
        let postgres_loop = async {
            let mut ticks = interval(around.settings.tick.max(Duration::from_millis(1)));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            while stop.run_until_cancelled(ticks.tick()).await.is_some() {
                around.shared.watch.beat();
                postgres.look(&around).await;
                to_promote.notify_one();
                to_fire.notify_one();
                to_survey.notify_one();
                begun.notify_one();
                postgres.start(&around).await;
            }
        };
        let due_loop = async {
            let mut notices = around.handoff.listen();
            let mut is_heard = true;
            loop {
                let next = around.shared.due().at();
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    () = to_promote.notified() => {}
                    () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
                    notice = notices.recv(), if is_heard => {
                        match notice {
                            Some(Notice::Due { in_ms }) => around.shared.due().hear(Duration::from_millis(in_ms)),
                            Some(_) => {}
                            None => is_heard = false,
                        }
                        continue;
                    }
                }
                due.run(&around).await;
            }
        };
        let fire_loop = async {
            loop {
                let next = around.shared.next_fire().at();
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    () = to_fire.notified() => {}
                    () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
                }
                fire.run(&around).await;
            }
        };
        let survey_loop = async {
            while stop.run_until_cancelled(to_survey.notified()).await.is_some() {
                let _ = stop.run_until_cancelled(survey.run(&around)).await;
                surveyed.notify_one();
            }
        };
        let redis_loop = async {
            while stop.run_until_cancelled(begun.notified()).await.is_some() {
                // A survey that takes longer continues in parallel with the steps of Redis.
                let _ = timeout(SURVEY_TIMEOUT, surveyed.notified()).await;
                redis.look(&around).await;
                redis.start(&around).await;
            }
        };
        tokio::join!(biased; postgres_loop, due_loop, fire_loop, survey_loop, redis_loop);
        end_all(postgres.slots.iter_mut().chain(&mut redis.slots), STOP_TIMEOUT).await;
        let withdrawn = timeout(Duration::from_secs(1), around.handoff.withdraw_reaper(around.author.id)).await;
        if let Ok(Err(error)) = withdrawn {
            tracing::debug!(%error, "could not withdraw the announcement of this reaper; it ends by itself");
        }
    }

    /// Ticks until each queue has had its turn, and returns the reports. On a system in which something changes all the time,
    /// the round ends after a limited number of ticks.
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

    /// Runs all steps once, one by one, and returns their reports. An error of one step does not stop the others.
    pub async fn tick(&mut self) -> Vec<StepReport> {
        let Self { around, postgres, due, fire, survey, redis } = self;
        let mut reports = Vec::new();
        around.shared.watch.beat();
        postgres.look(around).await;
        reports.extend(survey.run(around).await);
        redis.look(around).await;
        reports.extend(due.run(around).await);
        reports.extend(fire.run(around).await);
        postgres.run(around, &mut reports).await;
        redis.run(around, &mut reports).await;
        reports
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
