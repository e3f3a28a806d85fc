//! Schedules: as a list, and one schedule with its next ticks.

use super::{human, table};
use chrono::{DateTime, Utc};
use leasehold::Schedule;
use leasehold_client::upcoming;
use serde::Serialize;

/// How many ticks are shown.
const TICKS_SHOWN: usize = 5;

/// A schedule and its next ticks.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    #[serde(flatten)]
    schedule: Schedule,
    /// None while the schedule is paused.
    next: Vec<DateTime<Utc>>,
    /// Why the next ticks are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
}

impl Shown {
    pub(crate) fn of(schedule: Schedule) -> Self {
        match upcoming(&schedule, TICKS_SHOWN) {
            Ok(next) => Self { schedule, next, unreadable: None },
            Err(error) => Self { schedule, next: Vec::new(), unreadable: Some(error.to_string()) },
        }
    }
}

/// When a schedule fires, as a user wrote it.
fn timing(schedule: &Schedule) -> String {
    match (&schedule.cron, schedule.every_ms) {
        (Some(cron), _) => format!("{cron} ({})", schedule.timezone.as_deref().unwrap_or("UTC")),
        (None, ms) => format!("every {}", interval(ms.unwrap_or_default())),
    }
}

/// An interval as the flag takes it.
fn interval(ms: i64) -> String {
    let interval = std::time::Duration::from_millis(u64::try_from(ms).unwrap_or_default());
    humantime::format_duration(interval).to_string().replace(' ', "")
}

fn next(schedule: &Schedule) -> String {
    schedule.next_at.map_or_else(|| "paused".to_owned(), human::from_now)
}

/// One line for each schedule.
pub(crate) fn list(schedules: &[Schedule]) -> String {
    if schedules.is_empty() {
        return "no schedules".to_owned();
    }
    table(
        ["name", "when", "missed", "kind", "queue", "next", "last", ""],
        schedules.iter().map(|schedule| {
            [
                schedule.name.to_string(),
                timing(schedule),
                schedule.missed.to_string(),
                schedule.kind.to_string(),
                schedule.queue.to_string(),
                next(schedule),
                schedule.last_tick.map_or_else(|| "-".to_owned(), human::from_now),
                schedule.last_error.clone().unwrap_or_default(),
            ]
        }),
    )
}

/// All fields of one schedule.
pub(crate) fn card(shown: &Shown) -> String {
    let schedule = &shown.schedule;
    let mut lines: Vec<(&str, String)> = vec![
        ("name", schedule.name.to_string()),
        ("when", timing(schedule)),
        ("missed", schedule.missed.to_string()),
        ("kind", schedule.kind.to_string()),
        ("queue", schedule.queue.to_string()),
        ("payload", schedule.payload.get().to_owned()),
        ("priority", schedule.priority.to_string()),
        ("attempts", schedule.max_attempts.to_string()),
    ];
    let mut put = |name: &'static str, value: Option<String>| lines.extend(value.map(|value| (name, value)));
    put("timeout", schedule.timeout_ms.map(|ms| human::duration(f64::from(ms) / 1000.0)));
    put("unique key", schedule.unique_key.clone());
    put("limit keys", schedule.limit_keys.as_ref().map(|keys| keys.join(", ")));
    put("batch", schedule.batch.clone());
    put("fair key", schedule.fair_key.clone());
    put("webhook", schedule.webhook.clone());
    put("retry", schedule.retry.and_then(|retry| serde_json::to_string(&retry).ok()));
    put("expires in", schedule.expires_in_ms.map(|ms| human::duration(ms as f64 / 1000.0)));
    put("unique", schedule.unique.as_ref().and_then(|unique| serde_json::to_string(unique).ok()));
    put("changed", Some(human::time(schedule.changed_at)));
    put("paused", schedule.paused_at.map(human::time));
    put("last tick", schedule.last_tick.map(human::time));
    put("last job", schedule.last_job.map(|job| job.to_string()));
    put("last error", schedule.last_error.clone());
    for (nth, tick) in shown.next.iter().enumerate() {
        put(if nth == 0 { "next" } else { "" }, Some(human::time(*tick)));
    }
    put("next", shown.unreadable.clone());
    lines.into_iter().map(|(name, value)| format!("{name:<12}  {value}\n")).collect()
}
