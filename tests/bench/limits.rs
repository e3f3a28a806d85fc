//! The speed of jobs with limit keys, and of plain jobs beside them. 64 claimers want jobs of a key that allows ten runs, or of
//! ten thousand keys that allow two runs each. Other claimers take plain jobs at the same time.
//!
//! The statements are the worker's statements, and there are no worker processes. A run ends immediately. So a key is as busy as
//! it can be: each start waits for the end of another run of its key.

use crate::{
    arguments::{Arguments, Limits},
    lab::Lab,
    machine::{Watch, until_quiet},
    results::{Results, Run},
};
use anyhow::Result;
use futures_util::future::try_join_all;
use leasehold::{JobId, Kind, NewJob, QueueName, Store};
use leasehold_core::{FinishedRun, Settle, WorkerId};
use leasehold_store::{KeyLimit, Kinds};
use serde_json::{Value, json, value::RawValue};
use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

const LEASE: Duration = Duration::from_secs(60);
const EMPTY_WAIT: Duration = Duration::from_millis(1);
/// Claimers of plain jobs, and the jobs of one of their claims.
const PLAIN_CLAIMERS: u32 = 8;
const PLAIN_BATCH: usize = 10;

/// The jobs with limit keys of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    None,
    /// One key that allows ten runs.
    OneKey,
    /// Ten thousand keys that allow two runs each.
    ManyKeys,
}

/// Each run: its name, its jobs with limit keys, and whether it has plain jobs.
const RUNS: [(&str, Case, bool); 5] = [
    ("plain jobs alone", Case::None, true),
    ("one key at limit 10", Case::OneKey, false),
    ("10,000 keys at limit 2", Case::ManyKeys, false),
    ("plain jobs beside one key", Case::OneKey, true),
    ("plain jobs beside 10,000 keys", Case::ManyKeys, true),
];

/// The jobs of one kind that can be claimed, and how many have ended.
struct Jobs {
    queue: QueueName,
    kinds: Kinds,
    hints: Mutex<VecDeque<JobId>>,
    all: usize,
    done: AtomicUsize,
}

pub(crate) async fn measure(arguments: &Arguments, size: &Limits) -> Result<Results> {
    let mut lab = Lab::open("limits", arguments).await?;
    for _ in 0..size.rounds {
        for (name, case, has_plain) in RUNS {
            lab.servers.fresh().await?;
            until_quiet(Duration::from_secs(arguments.quiet_within)).await;
            let watch = Watch::begin(&lab.servers);
            let line = run(&lab, size, case, has_plain).await?;
            let others = watch.end(&lab.servers);
            eprintln!("{name}: {line}; others used {:.0} %", others.share * 100.0);
            lab.results.runs.push(Run::of("leasehold", name, line, others.share, others.disturbed));
        }
    }
    Ok(lab.results)
}

async fn run(lab: &Lab, size: &Limits, case: Case, has_plain: bool) -> Result<Value> {
    let store = lab.connect_claimer().await?;
    store.migrate().await?;
    let limit = |running| KeyLimit { running: Some(running), ..KeyLimit::default() };
    store.set_limit("one", &limit(10)).await?;
    store.set_limit("many-*", &limit(2)).await?;
    let limited = Jobs::enqueue(&store, "limited", if case == Case::None { 0 } else { size.n }, case).await?;
    let plain = Jobs::enqueue(&store, "plain", if has_plain { size.plain } else { 0 }, Case::None).await?;
    let stores = try_join_all((0..size.claimers + PLAIN_CLAIMERS).map(|_| lab.connect_claimer())).await?;
    try_join_all(stores.iter().map(Store::ping)).await?;
    let (of_limited, of_plain) = stores.split_at(size.claimers as usize);
    let begun = Instant::now();
    let until = begun + Duration::from_secs(size.seconds);
    let limited_part = async {
        try_join_all(of_limited.iter().map(|store| limited.work(store, 1, until))).await?;
        anyhow::Ok(begun.elapsed())
    };
    let plain_part = async {
        try_join_all(of_plain.iter().map(|store| plain.work(store, PLAIN_BATCH, until))).await?;
        anyhow::Ok(begun.elapsed())
    };
    let (took_limited, took_plain) = tokio::try_join!(limited_part, plain_part)?;
    for store in &stores {
        store.close().await;
    }
    let rate =
        |jobs: &Jobs, took: Duration| (jobs.all > 0).then(|| jobs.done.load(Relaxed) as f64 / took.as_secs_f64());
    Ok(json!({ "limited_per_s": rate(&limited, took_limited), "plain_per_s": rate(&plain, took_plain) }))
}

impl Jobs {
    async fn enqueue(store: &Store, name: &str, count: usize, case: Case) -> Result<Self> {
        let (queue, kind): (QueueName, Kind) = (name.parse()?, name.parse()?);
        let keys = |nth: usize| match case {
            Case::None => Vec::new(),
            Case::OneKey => vec!["one".to_owned()],
            Case::ManyKeys => vec![format!("many-{}", nth % 10_000)],
        };
        let job = |nth| {
            let payload = RawValue::from_string("null".into())?;
            Ok(NewJob { queue: queue.clone(), limit_keys: keys(nth), ..NewJob::new(kind.clone(), payload) })
        };
        let new = (0..count).map(job).collect::<Result<Vec<_>>>()?;
        let in_line = store.enqueue(&new).await?.into_iter().filter(|job| job.line_at.is_some());
        let hints = Mutex::new(in_line.map(|job| job.id).collect());
        Ok(Self { queue, kinds: Kinds::Only(vec![kind]), hints, all: count, done: AtomicUsize::new(0) })
    }

    /// Claims and completes jobs until all are done or the time is over.
    async fn work(&self, store: &Store, batch: usize, until: Instant) -> Result<()> {
        let worker = WorkerId(uuid::Uuid::now_v7());
        let mut is_new = true;
        while self.done.load(Relaxed) < self.all && Instant::now() < until {
            let ids = self.next(batch);
            if ids.is_empty() {
                tokio::time::sleep(EMPTY_WAIT).await;
                continue;
            }
            if std::mem::take(&mut is_new) {
                store.look(&ids, &self.kinds).await?;
            }
            let claimed = store.claim(worker, &self.queue, &ids, &self.kinds, LEASE).await?;
            let refused: Vec<JobId> =
                ids.into_iter().filter(|id| claimed.iter().all(|job| job.fence.id != *id)).collect();
            if !claimed.is_empty() {
                let ends: Vec<FinishedRun> = claimed
                    .iter()
                    .map(|job| FinishedRun { fence: job.fence, settle: Settle::Complete(None) })
                    .collect();
                let settled = store.settle(worker, &ends).await?;
                self.done.fetch_add(claimed.len(), Relaxed);
                self.hints().extend(settled.unblocked.iter().map(|job| job.id));
            }
            // Another claim used the lock of the key, or has taken its last slot.
            for job in store.look(&refused, &self.kinds).await? {
                if job.claimability.may_be_claimed() {
                    self.hints().push_back(job.id);
                }
            }
        }
        Ok(())
    }

    fn hints(&self) -> std::sync::MutexGuard<'_, VecDeque<JobId>> {
        self.hints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, batch: usize) -> Vec<JobId> {
        let mut hints = self.hints();
        let count = batch.min(hints.len());
        hints.drain(..count).collect()
    }
}
