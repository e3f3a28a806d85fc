//! The numbers of queues.

use super::{human, table};
use leasehold_core::Demand;
use leasehold_handoff::HeadStats;
use leasehold_store::{Quantiles, QueueStats, QueueTimes};
use serde::Serialize;
use std::time::Duration;

fn number(count: i64) -> String {
    human::grouped(u64::try_from(count).unwrap_or(0))
}

fn oldest(stats: &QueueStats) -> String {
    stats.oldest_s.map_or_else(|| "-".to_owned(), human::duration)
}

fn name(stats: &QueueStats) -> String {
    let mut notes: Vec<String> = Vec::new();
    if stats.paused {
        notes.push("paused".to_owned());
    }
    for (what, names) in [("kinds", &stats.paused_kinds), ("fair keys", &stats.paused_fair_keys)] {
        if !names.is_empty() {
            notes.push(format!("paused {what}: {}", names.join(", ")));
        }
    }
    if stats.encrypted {
        notes.push("encrypted".to_owned());
    }
    if notes.is_empty() { stats.queue.clone() } else { format!("{} ({})", stats.queue, notes.join("; ")) }
}

/// One line for each queue.
pub(crate) fn list(queues: &[QueueStats]) -> String {
    if queues.is_empty() {
        return "no queue has jobs, and nothing is paused".to_owned();
    }
    table(
        ["queue", "queued>", "running>", "scheduled>", "blocked>", "oldest>"],
        queues.iter().map(|stats| {
            let [queued, running, scheduled, blocked] =
                [stats.queued, stats.running, stats.scheduled, stats.blocked].map(number);
            [name(stats), queued, running, scheduled, blocked, oldest(stats)]
        }),
    )
}

/// One line for each queue and kind, or for each of their minutes.
pub(crate) fn times(all: &[QueueTimes], over: Duration) -> String {
    if all.is_empty() {
        return format!("no job has ended in the last {}", human::duration(over.as_secs_f64()));
    }
    let quantiles = |of: Option<Quantiles>| {
        of.map_or_else(
            || [0; 3].map(|_| "-".to_owned()),
            |of| [of.p50, of.p95, of.p99].map(|ms| human::duration(ms / 1000.0)),
        )
    };
    table(
        [
            "time",
            "queue",
            "kind",
            "succeeded>",
            "dead>",
            "cancelled>",
            "wait p50>",
            "p95>",
            "p99>",
            "run p50>",
            "p95>",
            "p99>",
        ],
        all.iter().map(|times| {
            let [wait_p50, wait_p95, wait_p99] = quantiles(times.wait_ms);
            let [run_p50, run_p95, run_p99] = quantiles(times.run_ms);
            [
                times.minute.map_or_else(|| format!("last {}", human::duration(over.as_secs_f64())), human::time),
                times.queue.clone(),
                times.kind.clone(),
                number(times.succeeded),
                number(times.dead),
                number(times.cancelled),
                wait_p50,
                wait_p95,
                wait_p99,
                run_p50,
                run_p95,
                run_p99,
            ]
        }),
    )
}

/// What both stores know about the queues.
#[derive(Debug, Serialize)]
pub(crate) struct Stats {
    /// Counted in PostgreSQL.
    pub(crate) postgres: Vec<QueueStats>,
    /// The heads and the workers in Redis.
    pub(crate) redis: Option<Heads>,
    /// Why Redis is unavailable.
    pub(crate) redis_error: Option<String>,
}

/// The heads and the workers in Redis.
#[derive(Debug, Serialize)]
pub(crate) struct Heads {
    /// The number of live workers.
    pub(crate) workers: u64,
    pub(crate) queues: Vec<Head>,
}

/// The head of one queue.
#[derive(Debug, Serialize)]
pub(crate) struct Head {
    pub(crate) queue: String,
    #[serde(flatten)]
    pub(crate) stats: HeadStats,
}

/// Queues and heads, each labelled with its store.
pub(crate) fn stats(stats: &Stats) -> String {
    let mut out = String::from("PostgreSQL: jobs\n");
    if stats.postgres.is_empty() {
        out.push_str("no queue has jobs, and nothing is paused\n");
    } else {
        out.push_str(&jobs(&stats.postgres));
    }
    if let Some(problem) = &stats.redis_error {
        out.push_str(&format!("\nRedis is unavailable: {problem}\n"));
    }
    if let Some(heads) = &stats.redis {
        let workers = human::count(heads.workers, "live worker", "live workers");
        out.push_str(&format!("\nRedis: hints of the next jobs; {workers}\n"));
        out.push_str(&if heads.queues.is_empty() { "no hints\n".to_owned() } else { hints(&heads.queues) });
    }
    out
}

fn jobs(queues: &[QueueStats]) -> String {
    let headings = [
        "queue",
        "queued>",
        "running>",
        "scheduled>",
        "blocked>",
        "oldest>",
        "done/min>",
        "dead/min>",
        "cancelled/min>",
    ];
    table(
        headings,
        queues.iter().map(|stats| {
            [
                name(stats),
                number(stats.queued),
                number(stats.running),
                number(stats.scheduled),
                number(stats.blocked),
                oldest(stats),
                number(stats.succeeded_last_minute),
                number(stats.dead_last_minute),
                number(stats.cancelled_last_minute),
            ]
        }),
    )
}

fn hints(heads: &[Head]) -> String {
    table(
        ["queue", "ready>", "claimed>", "leased>", "aside>", ""],
        heads.iter().map(|head| {
            let marks = [
                (head.stats.paused, "paused"),
                (head.stats.overflow && !head.stats.paused, "the line is longer than the head"),
            ];
            let marks: Vec<_> = marks.iter().filter(|(set, _)| *set).map(|(_, mark)| *mark).collect();
            [
                head.queue.clone(),
                human::grouped(head.stats.ready),
                human::grouped(head.stats.claimed),
                human::grouped(head.stats.leased),
                human::grouped(head.stats.aside),
                marks.join(", "),
            ]
        }),
    )
}

/// The demand of a queue.
#[derive(Debug, Serialize)]
pub(crate) struct Scale {
    #[serde(flatten)]
    pub(crate) demand: Demand,
    pub(crate) suggested_replicas: Option<u64>,
}

/// One line for each number.
pub(crate) fn scale(scale: &Scale) -> String {
    let Demand { demand, waiting, running, draining, workers, slots, oldest_s, drain_s, .. } = &scale.demand;
    let seconds = |seconds: &Option<f64>| seconds.map_or_else(|| "-".to_owned(), human::duration);
    let replicas = scale.suggested_replicas;
    let rows = [
        ("queue", scale.demand.queue.clone(), ""),
        ("demand", human::grouped(*demand), "slots that the queue could use now"),
        ("waiting", human::grouped(*waiting), "jobs that could start now"),
        ("running", human::grouped(*running), "runs on workers that are not draining"),
        ("draining", human::grouped(*draining), "runs on workers that are draining"),
        ("workers", human::grouped(*workers), "live workers that are not draining"),
        ("slots", human::grouped(*slots), "slots of these workers for this queue"),
        ("oldest", seconds(oldest_s), "how long the oldest waiting job has been due"),
        ("drained in", seconds(drain_s), "at the rate of the last minute"),
        (
            "replicas",
            replicas.map_or_else(|| "-".to_owned(), human::grouped),
            match replicas {
                Some(_) => "workers that meet the demand with nine tenths of their slots",
                None => "no worker lives; say with --slots-per-replica how many slots one has",
            },
        ),
    ];
    table(["", "now>", ""], rows.map(|(name, value, about)| [name.to_owned(), value, about.to_owned()]))
}
