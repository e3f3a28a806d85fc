//! `leasehold queue set` and `leasehold queue show`: the settings of a queue.

use crate::{
    context::Context,
    failure::Failure,
    output::{self, human},
    signals, times,
};
use leasehold::QueueName;
use leasehold_store::{FairWeight, QueueChange, QueueSettings, STRICT_PRIORITY_STEP};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Set what one point of priority is worth in a queue, where its dead jobs go, how long its finished jobs are kept, whether fair keys
/// share it, and whether its payloads are encrypted
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The name of the queue
    queue: QueueName,
    /// How much waiting time one point of priority is worth, such as 30m [default: 1h]. With 0s, priorities have no effect; with
    /// strict, a higher priority always comes first. Waiting jobs are moved. If the command is stopped, a reaper moves the rest;
    /// so it does with jobs that other transactions have locked or not committed yet
    #[arg(long, value_name = "TIME|strict", allow_hyphen_values = true, value_parser = priority_step)]
    priority_step: Option<Duration>,
    /// The dead-letter queue: it gets a job for each job that dies in this queue. Or none. A dead letter that dies makes no other one
    #[arg(long, value_name = "QUEUE|none", value_parser = queue_or_none)]
    dead_letter: Option<QueueOrNone>,
    /// For how many days finished jobs are kept. With default, the setting history.keep_days says so
    #[arg(long, value_name = "N|default", value_parser = days_or_default)]
    keep_days: Option<DaysOrDefault>,
    /// Whether fair keys share the queue fairly [default: on]. With off, fair keys are only labels. Waiting jobs are moved. If the
    /// command is stopped, a reaper moves the rest
    #[arg(long, value_name = "on|off", value_parser = on_or_off)]
    fair: Option<bool>,
    /// Whether payloads must be encrypted. Results are then encrypted too (see the setting encryption.keys). Waiting jobs and
    /// schedules stay as they are
    #[arg(long, value_name = "on|off", value_parser = on_or_off)]
    encrypted: Option<bool>,
}

#[derive(Clone, Debug)]
struct QueueOrNone(Option<QueueName>);

#[derive(Clone, Copy, Debug)]
struct DaysOrDefault(Option<u16>);

fn queue_or_none(text: &str) -> Result<QueueOrNone, String> {
    if text == "none" {
        return Ok(QueueOrNone(None));
    }
    text.parse().map(|queue| QueueOrNone(Some(queue))).map_err(|error: leasehold::InvalidName| error.to_string())
}

/// The limit of the table.
const KEEP_DAYS_MAX: u16 = 36_500;

fn days_or_default(text: &str) -> Result<DaysOrDefault, String> {
    if text == "default" {
        return Ok(DaysOrDefault(None));
    }
    let days = text.parse().ok().filter(|days| (1..=KEEP_DAYS_MAX).contains(days));
    days.map(|days| DaysOrDefault(Some(days)))
        .ok_or_else(|| format!("must be a number of days from 1 to {KEEP_DAYS_MAX}, or default"))
}

fn priority_step(text: &str) -> Result<Duration, String> {
    let step = if text == "strict" { STRICT_PRIORITY_STEP } else { times::duration(text)? };
    if step > STRICT_PRIORITY_STEP { Err("is more than 60 years, which is strict".to_owned()) } else { Ok(step) }
}

pub(super) async fn set(args: Args, context: &Context) -> Result<(), Failure> {
    let Args { queue, priority_step, dead_letter, keep_days, fair, encrypted } = args;
    let change = QueueChange {
        dead_letter: dead_letter.map(|queue| queue.0),
        keep_days: keep_days.map(|days| days.0),
        ..QueueChange::default()
    };
    if priority_step.is_none() && fair.is_none() && encrypted.is_none() && change == QueueChange::default() {
        return Err(Failure::usage(
            "nothing to set: give --priority-step, --dead-letter, --keep-days, --fair or --encrypted",
        ));
    }
    if change.dead_letter == Some(Some(queue.clone())) {
        return Err(Failure::usage(format!("--dead-letter must name another queue than {queue}")));
    }
    let client = context.client().await?;
    let detail = json!({
        "dead_letter": change.dead_letter, "keep_days": change.keep_days, "fair": fair, "encrypted": encrypted,
        "priority_step_ms": priority_step.map(|step| u64::try_from(step.as_millis()).unwrap_or(u64::MAX)),
    });
    context.audit(client.store(), "queue.set", queue.as_str(), detail).await?;
    let mut answer = Map::from_iter([("queue".to_owned(), json!(queue))]);
    let mut said = Vec::new();
    if change != QueueChange::default() {
        client.store().set_queue(&queue, &change).await.map_err(|error| context.store_failure(error))?;
    }
    if let Some(letters) = change.dead_letter {
        said.push(match &letters {
            Some(letters) => format!("each job that dies in {queue} makes a job in {letters}"),
            None => format!("jobs that die in {queue} make no other job"),
        });
        answer.insert("dead_letter".to_owned(), json!(letters));
    }
    if let Some(days) = change.keep_days {
        said.push(match days {
            Some(days) => format!("finished jobs of {queue} are kept {}", days_text(days)),
            None => format!("finished jobs of {queue} are kept as long as history.keep_days says"),
        });
        answer.insert("keep_days".to_owned(), json!(days));
    }
    if let Some(step) = priority_step {
        let stop = signals::listen()?;
        let moved = tokio::select! {
            moved = client.set_priority_step(&queue, step) => moved.map_err(|error| context.failure(&error))?,
            () = stop.soon.cancelled() => {
                return Err(Failure::new("stopped before every waiting job had its new position; a reaper moves the rest"));
            }
        };
        let step_ms = u64::try_from(step.as_millis()).unwrap_or(u64::MAX);
        answer.insert("priority_step_ms".to_owned(), json!(step_ms));
        answer.insert("moved".to_owned(), json!(moved));
        let moved = human::count(moved, "waiting job", "waiting jobs");
        said.push(format!("in {queue} {}; moved {moved}", worth(step)));
    }
    if let Some(fair) = fair {
        let stop = signals::listen()?;
        let moved = tokio::select! {
            moved = client.set_fair(&queue, fair) => moved.map_err(|error| context.failure(&error))?,
            () = stop.soon.cancelled() => {
                return Err(Failure::new("stopped before every waiting job was moved; a reaper moves the rest"));
            }
        };
        answer.insert("fair".to_owned(), json!(fair));
        let step = answer.get("moved").and_then(Value::as_u64).unwrap_or_default();
        answer.insert("moved".to_owned(), json!(step + moved));
        let moved = human::count(moved, "waiting job", "waiting jobs");
        said.push(format!("in {queue} {}; moved {moved}", shared(fair)));
    }
    if let Some(encrypted) = encrypted {
        let set = client.store().set_queue_encrypted(&queue, encrypted).await;
        set.map_err(|error| context.store_failure(error))?;
        answer.insert("encrypted".to_owned(), json!(encrypted));
        said.push(format!("{queue} {}", payloads(encrypted)));
    }
    output::either(context.json, &Value::Object(answer), || said.join("\n"))
}

pub(super) async fn show(queue: &QueueName, context: &Context) -> Result<(), Failure> {
    let store = context.store().await?;
    let settings = store.queue_settings(queue).await.map_err(|error| context.store_failure(error))?;
    let weights = store.fair_weights(queue).await.map_err(|error| context.store_failure(error))?;
    let mut answer = json!(settings);
    answer["weights"] =
        weights.iter().map(|set| (set.fair_key.clone(), json!(set.weight))).collect::<Map<_, _>>().into();
    answer["queue"] = json!(queue);
    output::either(context.json, &answer, || card(queue, &settings, &weights))
}

fn card(queue: &QueueName, settings: &QueueSettings, weights: &[FairWeight]) -> String {
    let step = settings.priority_step_ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
    let days = settings.keep_days.and_then(|days| u16::try_from(days).ok());
    let lines = [
        ("queue", queue.to_string()),
        ("paused", if settings.paused { "yes" } else { "no" }.to_owned()),
        (
            "paused kinds",
            if settings.paused_kinds.is_empty() { "none".to_owned() } else { settings.paused_kinds.join(", ") },
        ),
        (
            "paused keys",
            if settings.paused_fair_keys.is_empty() { "none".to_owned() } else { settings.paused_fair_keys.join(", ") },
        ),
        ("priority", worth(step.unwrap_or(Duration::from_secs(3600)))),
        ("dead letters", settings.dead_letter.clone().unwrap_or_else(|| "none".to_owned())),
        (
            "finished jobs",
            days.map_or_else(
                || "kept as history.keep_days says".to_owned(),
                |days| format!("kept {}", days_text(days)),
            ),
        ),
        ("fair keys", weighted(settings.fair, weights)),
        ("encryption", payloads(settings.encrypted).to_owned()),
    ];
    lines.map(|(name, value)| format!("{name:<13}  {value}\n")).concat()
}

fn worth(step: Duration) -> String {
    match step {
        STRICT_PRIORITY_STEP => "a higher priority always comes first".to_owned(),
        step => format!("a point of priority is worth {} of waiting", humantime::format_duration(step)),
    }
}

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("must be on or off".to_owned()),
    }
}

fn payloads(encrypted: bool) -> &'static str {
    if encrypted { "takes encrypted payloads only" } else { "takes payloads as they are" }
}

fn shared(fair: bool) -> &'static str {
    if fair { "fair keys share the queue" } else { "fair keys are only labels" }
}

fn weighted(fair: bool, weights: &[FairWeight]) -> String {
    let set: Vec<String> =
        weights.iter().map(|set| format!("{} has the weight {}", set.fair_key, set.weight)).collect();
    if set.is_empty() { shared(fair).to_owned() } else { format!("{}; {}", shared(fair), set.join(", ")) }
}

fn days_text(days: u16) -> String {
    human::count(u64::from(days), "day", "days")
}
