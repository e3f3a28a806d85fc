//! A worker process of a measurement. It reports to its driver on standard output, one line each: `booted`; then, when
//! the driver says so, `ready`; `done <jobs>` every few milliseconds; and `delay <ms>` for jobs that carry a time.

use super::{Plan, kind, queue, wall_ms};
use crate::{context::Context, failure::Failure};
use leasehold::{Handler, Run, worker_settings};
use leasehold_client::Pair;
use leasehold_core::Outcome;
use leasehold_worker::{Handlers, Worker};
use std::{
    fmt::Write as _,
    io::Write as _,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// How often a worker reports: rarely enough to cost nothing, often enough for a clock.
const REPORT_EVERY: Duration = Duration::from_millis(10);

/// The work of the handler since the last report.
#[derive(Default)]
struct Seen {
    done: AtomicU64,
    delays: Mutex<Vec<f64>>,
}

/// Does nothing, and counts the job.
struct Noop(Arc<Seen>);

impl Handler for Noop {
    fn run(&self, run: Run) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        if let Ok(sent_ms) = run.job().payload.get().parse::<f64>() {
            self.0.delays.lock().unwrap_or_else(PoisonError::into_inner).push(wall_ms() - sent_ms);
        }
        self.0.done.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Outcome::Succeeded(None) })
    }
}

/// Works until standard input ends.
pub(crate) async fn work(plan: &Plan, context: &Context) -> Result<(), Failure> {
    let pair = Pair::connect(&plan.config, "leasehold worker").await.map_err(|error| context.failure(&error))?;
    pair.store.prepare().await.map_err(|error| context.store_failure(error))?;
    let seen = Arc::new(Seen::default());
    let mut handlers = Handlers::new();
    handlers.insert(kind()?, Arc::new(Noop(Arc::clone(&seen))));
    let settings = worker_settings(&plan.config, vec![(queue()?, plan.slots)]);
    let worker = Worker::new(pair.store.clone(), pair.handoff()?.clone(), settings, handlers);

    say("booted\n");
    if !line_came().await {
        return Ok(());
    }
    let stop = CancellationToken::new();
    let working = tokio::spawn(worker.run(stop.clone(), CancellationToken::new()));
    say("ready\n");
    thread::spawn(move || report(&seen));
    // The work ends when the driver closes its pipe, or dies.
    while line_came().await {}
    stop.cancel();
    working.await.map_err(|error| Failure::new(format!("the worker ended early: {error}")))?;
    Ok(())
}

/// Runs in its own thread, so that a busy runtime delays no report.
fn report(seen: &Seen) {
    loop {
        thread::sleep(REPORT_EVERY);
        let done = seen.done.swap(0, Ordering::Relaxed);
        if done == 0 {
            continue;
        }
        let mut text = String::new();
        for delay in std::mem::take(&mut *seen.delays.lock().unwrap_or_else(PoisonError::into_inner)) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "delay {delay:.3}");
        }
        let _ = writeln!(text, "done {done}");
        say(&text);
    }
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        // The driver has ended.
        std::process::exit(1);
    }
}

async fn line_came() -> bool {
    let read = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    matches!(read.await, Ok(Ok(count)) if count > 0)
}
