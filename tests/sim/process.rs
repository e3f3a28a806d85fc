//! A process. It can be killed and frozen at any moment, also in the middle of a call.
//!
//! The tasks of a killed process are not dropped: they wait for ever at their next call to the outside. For other processes
//! this looks like a dead process, and no destructor runs, as in a dead process. A frozen process waits until it thaws.

use crate::{
    dice::Dice,
    trace::Trace,
    weather::{Server, Weather},
};
use async_trait::async_trait;
use leasehold_tests::{Link, Lost};
use std::{
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};

/// The default timeout of the settings, for both stores.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// The state that all processes of a run share.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) dice: Dice,
    pub(crate) trace: Trace,
    pub(crate) weather: Weather,
}

/// One process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: String,
    around: Arc<Surroundings>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    is_dead: bool,
    /// The servers know that the connections are closed.
    is_gone: bool,
    frozen_until: Option<Instant>,
    /// The time of the last fault of this process or of one of its calls.
    hurt_at: Option<Instant>,
}

impl Process {
    pub(crate) fn start(name: String, around: &Arc<Surroundings>) -> Arc<Self> {
        Arc::new(Self { name, around: Arc::clone(around), state: Mutex::default(), changed: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Chance decides whether the connections are closed immediately: a machine that loses power closes none.
    pub(crate) fn kill(&self) {
        let is_gone = self.around.dice.chance(0.5);
        let mut state = self.state();
        (state.is_dead, state.is_gone) = (true, is_gone);
        drop(state);
        self.around.trace.line(&self.name, &"is killed");
        self.changed.notify_waiters();
    }

    pub(crate) fn freeze(&self, time: Duration) {
        self.around.trace.line(&self.name, &format_args!("is frozen for {time:?}"));
        let mut state = self.state();
        (state.frozen_until, state.hurt_at) = (Some(Instant::now() + time), Some(Instant::now() + time));
        drop(state);
        self.changed.notify_waiters();
    }

    pub(crate) fn thaw(&self) {
        if self.state().frozen_until.take().is_some() {
            self.is_hurt();
        }
        self.changed.notify_waiters();
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.state().is_dead
    }

    /// A freeze counts as a fault until it ends.
    fn is_hurt(&self) {
        let mut state = self.state();
        state.hurt_at = state.hurt_at.max(Some(Instant::now()));
    }

    /// Whether the process had no fault since `since`.
    pub(crate) fn was_well_since(&self, since: Instant) -> bool {
        let state = *self.state();
        !state.is_dead && state.hurt_at.is_none_or(|at| at < since)
    }

    /// Ready while the process runs; never when it is dead.
    pub(crate) async fn awake(&self) {
        loop {
            let changed = self.changed.notified();
            let State { is_dead, frozen_until, .. } = *self.state();
            match frozen_until.filter(|until| *until > Instant::now()) {
                _ if is_dead => pending().await,
                None => return,
                Some(until) => tokio::select! {
                    biased;
                    () = changed => {}
                    () = sleep_until(until) => {}
                },
            }
        }
    }

    /// Sleeps as this process: a killed or frozen process does not wake up.
    pub(crate) async fn sleep(&self, time: Duration) {
        sleep(time).await;
        self.awake().await;
    }
}

/// The connection between one process and one store.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) process: Arc<Process>,
    pub(crate) place: Server,
}

impl Wire {
    async fn takes_its_time(&self) {
        let around = &self.process.around;
        let time = around.dice.ms(0..around.weather.at(self.place).latency_ms + 1);
        if !time.is_zero() {
            sleep(time).await;
        }
    }

    fn lost(&self, verb: &str, how: &str) -> Lost {
        self.process.is_hurt();
        self.process.around.trace.line(&self.process.name, &format_args!("{verb}: {how}"));
        self.process.around.trace.count(format!("{:?}: {how}", self.place));
        Lost
    }
}

#[async_trait]
impl Link for Wire {
    async fn there(&self, verb: &'static str) -> Result<(), Lost> {
        let around = &self.process.around;
        self.process.awake().await;
        self.takes_its_time().await;
        // A process was killed while its request was in flight. The request arrives, or it does not.
        if self.process.is_dead() {
            if around.dice.chance(0.5) {
                pending::<()>().await;
            }
            around.trace.count(format!("{:?}: done for one who died meanwhile", self.place));
        }
        let condition = around.weather.at(self.place);
        if condition.is_away() {
            return Err(self.lost(verb, "refused"));
        }
        let stalls_for = condition.stalls_for();
        if !stalls_for.is_zero() {
            // A caller that waits for no answer counts too: a stopping worker gives up results that it cannot write in time.
            self.process.is_hurt();
            sleep(stalls_for.min(ANSWERS_WITHIN)).await;
            self.process.awake().await;
            if stalls_for > ANSWERS_WITHIN {
                return Err(self.lost(verb, "no answer in time"));
            }
        }
        if around.dice.chance(condition.loss) {
            return Err(self.lost(verb, "the request was lost"));
        }
        around.trace.line(&self.process.name, &verb);
        let redis_is_away = around.weather.at(Server::Redis).is_away();
        if verb == "claim_line" && redis_is_away {
            around.trace.count("a claim from the line while Redis was away");
        }
        Ok(())
    }

    async fn back(&self, verb: &'static str) -> Result<(), Lost> {
        let around = &self.process.around;
        self.takes_its_time().await;
        self.process.awake().await;
        let condition = around.weather.at(self.place);
        if condition.is_away() || around.dice.chance(condition.loss) {
            around.trace.count(format!("{verb}: its answer was lost"));
            return Err(self.lost(verb, "the answer was lost"));
        }
        Ok(())
    }

    async fn cut(&self) -> Lost {
        self.process.around.weather.cut().await;
        self.process.awake().await;
        self.lost("take", "the connection was cut")
    }

    fn is_gone(&self) -> bool {
        self.process.state().is_gone
    }

    fn hears(&self) -> bool {
        !self.process.is_dead() && !self.process.around.weather.at(self.place).is_away()
    }
}
