//! Batches, for people and as JSON.

use super::human;
use leasehold::Batch;
use serde_json::{Value, json};

/// A batch with its totals.
pub(crate) fn json(batch: &Batch) -> Value {
    let mut value = serde_json::to_value(batch).unwrap_or_default();
    value["total"] = json!(batch.total());
    value["ended"] = json!(batch.ended());
    value
}

fn number(count: i64) -> String {
    human::grouped(u64::try_from(count).unwrap_or_default())
}

/// How the jobs ended, in one line.
pub(crate) fn ends(batch: &Batch) -> String {
    format!(
        "{}  {} succeeded  {} dead  {} cancelled",
        batch.name,
        number(batch.succeeded),
        number(batch.dead),
        number(batch.cancelled)
    )
}

fn progress(batch: &Batch) -> String {
    let percent = if batch.total() == 0 { 0 } else { batch.ended() * 100 / batch.total() };
    format!(
        "{} of {} have ended ({percent} %)",
        number(batch.ended()),
        human::count(u64::try_from(batch.total()).unwrap_or_default(), "job", "jobs")
    )
}

fn condition(batch: &Batch) -> &'static str {
    match (batch.sealed_at, batch.completed_at) {
        (_, Some(_)) => "complete",
        (Some(_), None) => "sealed",
        (None, None) => "open",
    }
}

/// All fields of one batch.
pub(crate) fn card(batch: &Batch) -> String {
    let mut lines =
        vec![("batch", batch.name.clone()), ("condition", condition(batch).to_owned()), ("progress", progress(batch))];
    let states = [
        ("blocked", batch.blocked),
        ("scheduled", batch.scheduled),
        ("queued", batch.queued),
        ("running", batch.running),
        ("succeeded", batch.succeeded),
        ("dead", batch.dead),
        ("cancelled", batch.cancelled),
    ];
    lines.extend(states.into_iter().filter(|(_, count)| *count > 0).map(|(state, count)| (state, number(count))));
    lines.push(("created", human::time(batch.created_at)));
    lines.extend(batch.sealed_at.map(|time| ("sealed", human::time(time))));
    lines.extend(batch.completed_at.map(|time| ("completed", human::time(time))));
    let callbacks = [
        ("on success", &batch.on_success, batch.success_job),
        ("on complete", &batch.on_complete, batch.complete_job),
        ("on death", &batch.on_death, batch.death_job),
    ];
    for (name, kind, job) in callbacks {
        let made = job.map_or_else(String::new, |id| format!(": job {id}"));
        lines.extend(kind.as_ref().map(|kind| (name, format!("{kind} in {}{made}", batch.callback_queue))));
    }
    lines.into_iter().map(|(name, value)| format!("{name:<12}  {value}\n")).collect()
}

/// A table.
pub(crate) fn list(batches: &[Batch]) -> String {
    human::table(
        ["batch", "condition", "jobs>", "live>", "succeeded>", "dead>", "cancelled>", "age>"],
        batches.iter().map(|batch| {
            [
                batch.name.clone(),
                condition(batch).to_owned(),
                number(batch.total()),
                number(batch.live()),
                number(batch.succeeded),
                number(batch.dead),
                number(batch.cancelled),
                human::age(batch.created_at),
            ]
        }),
    )
}
