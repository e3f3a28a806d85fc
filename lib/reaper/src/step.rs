//! What a step is, and how a step runs in a separate task.
//!
//! Each step owns its memory. If a step is still running when the next tick begins, the tick does not start it again, but
//! starts all other steps. So a step that hangs delays no other step.

use crate::{counts::measured, error::Error, report::StepReport, tick::Tick};
use async_trait::async_trait;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

/// The stores without which a step cannot do anything. A step that can do a part of its work with one store needs only this
/// store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    Postgres,
    Redis,
    Both,
}

/// Whether the run of a step gets a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    /// The step did its work.
    Done,
    /// The step only read, because its work has to wait.
    Waited,
    /// The step did not even read: a condition in the log neither begins nor ends.
    NotNow,
}

/// When a step runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Period {
    EveryTick,
    /// After a run that succeeded, and sooner after a run that failed.
    After {
        success: Duration,
        failure: Duration,
    },
}

/// One reconciler. Its only input is the state of the stores, and it can run twice, at any time, in any number of reapers.
#[async_trait]
pub(crate) trait Step: Send + Sync {
    /// The name in reports, metrics and logs.
    fn name(&self) -> &'static str;

    /// The stores that the step needs.
    fn needs(&self) -> Needs;

    /// When the step runs.
    fn period(&self) -> Period {
        Period::EveryTick
    }

    /// How long after the start of a reaper the step first runs. Each statement is prepared when it first runs. So a step that
    /// is not urgent starts after the first second.
    fn first_after(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether this tick has work for the step. A step that is not wanted does not run and makes no report.
    fn is_wanted(&self, _tick: &Tick) -> bool {
        true
    }

    /// Does the work once. The counts of the tick have the findings and changes, also when the step fails half-way.
    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error>;
}

type Ended = (Box<dyn Step>, Option<StepReport>);

/// A step and its task.
pub(crate) struct Slot {
    idle: Option<Box<dyn Step>>,
    at_work: Option<AbortOnDropHandle<Ended>>,
    due: Option<Instant>,
    has_run: bool,
}

impl Slot {
    pub(crate) fn new(step: impl Step + 'static) -> Self {
        let due = (!step.first_after().is_zero()).then(|| Instant::now() + step.first_after());
        Self { idle: Some(Box::new(step)), at_work: None, due, has_run: false }
    }

    /// Starts the step in its own task, unless it is still running, not due, or not wanted.
    pub(crate) async fn start(&mut self, tick: Tick) {
        if self.at_work.as_ref().is_some_and(AbortOnDropHandle::is_finished) {
            self.end().await;
        }
        if self.due.is_some_and(|due| Instant::now() < due) {
            return;
        }
        if let Some(step) = self.idle.take_if(|step| step.is_wanted(&tick)) {
            self.has_run = true;
            self.at_work = Some(AbortOnDropHandle::new(tokio::spawn(once(step, tick))));
        }
    }

    /// Waits for the end of the task, if the step is running.
    pub(crate) async fn end(&mut self) -> Option<StepReport> {
        let (step, report) = match self.at_work.as_mut()?.await {
            Ok(ended) => ended,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is shutting down: no step runs again.
            Err(_) => {
                self.at_work = None;
                return None;
            }
        };
        self.at_work = None;
        if let Period::After { success, failure } = step.period() {
            let failed = report.as_ref().is_some_and(|report| report.error.is_some());
            self.due = Some(Instant::now() + if failed { failure } else { success });
        }
        self.idle = Some(step);
        report
    }

    /// Runs the step now, to its end.
    pub(crate) async fn run(&mut self, tick: Tick) -> Option<StepReport> {
        self.end().await;
        if !self.has_run {
            self.due = None;
        }
        self.start(tick).await;
        self.end().await
    }
}

/// Waits for all running steps, for a limited time. A step that hangs is abandoned together with its slot.
pub(crate) async fn end_all<'a>(slots: impl Iterator<Item = &'a mut Slot>, time: Duration) {
    let all = async {
        for slot in slots {
            slot.end().await;
        }
    };
    if timeout(time, all).await.is_err() {
        tracing::warn!("a step did not end in time; it is given up");
    }
}

async fn once(mut step: Box<dyn Step>, tick: Tick) -> Ended {
    let (name, needs, mut ran, mut is_transient) = (step.name(), step.needs(), Ran::Done, false);
    let work = async {
        require(&tick, needs)?;
        ran = step.run(&tick).await.inspect_err(|error| is_transient = error.is_transient())?;
        Ok(())
    };
    let report = measured(&tick.counts, name, work).await;
    if ran != Ran::NotNow || report.error.is_some() {
        tick.log(&report, is_transient);
    }
    let is_told = ran == Ran::Done || report.error.is_some();
    (step, is_told.then_some(report))
}

/// Fails if a store that a step needs is unavailable.
fn require(tick: &Tick, needs: Needs) -> Result<(), Error> {
    if needs != Needs::Redis {
        tick.store()?;
    }
    if needs != Needs::Postgres {
        tick.handoff()?;
    }
    Ok(())
}
