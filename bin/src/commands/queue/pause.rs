//! `leasehold queue pause` and `leasehold queue resume`: for a queue, or for one kind or one fair key in it.

use crate::{
    context::Context,
    failure::Failure,
    output::{self, human},
};
use leasehold::{Kind, QueueName};
use serde_json::json;

pub(super) async fn pause(queue: &QueueName, kind: Option<&Kind>, context: &Context) -> Result<(), Failure> {
    let client = context.client().await?;
    context.audit(client.store(), "queue.pause", queue.as_str(), json!({ "kind": kind })).await?;
    let changed = match kind {
        None => client.pause(queue).await,
        Some(kind) => client.pause_kind(queue, kind).await,
    };
    let changed = changed.map_err(|error| context.failure(&error))?;
    let mut answer = json!({ "queue": queue, "paused": true, "changed": changed });
    if let Some(kind) = kind {
        answer["kind"] = json!(kind);
    }
    output::either(context.json, &answer, || match (kind, changed) {
        (None, true) => format!("{queue} is paused; `leasehold queue resume {queue}` ends the pause"),
        (None, false) => format!("{queue} was already paused"),
        (Some(kind), true) => format!(
            "the kind {kind} is paused in {queue}; `leasehold queue resume {queue} --kind {kind}` ends the pause"
        ),
        (Some(kind), false) => format!("the kind {kind} was already paused in {queue}"),
    })
}

pub(super) async fn resume(queue: &QueueName, kind: Option<&Kind>, context: &Context) -> Result<(), Failure> {
    let client = context.client().await?;
    context.audit(client.store(), "queue.resume", queue.as_str(), json!({ "kind": kind })).await?;
    let changed = match kind {
        None => client.resume(queue).await,
        Some(kind) => client.resume_kind(queue, kind).await,
    };
    let changed = changed.map_err(|error| context.failure(&error))?;
    let settings = client.store().queue_settings(queue).await.map_err(|error| context.store_failure(error))?;
    let (still_paused, kinds) = (settings.paused, settings.paused_kinds);
    let mut answer = json!({ "queue": queue, "paused": false, "changed": changed });
    match kind {
        None => answer["paused_kinds"] = json!(kinds),
        Some(kind) => (answer["kind"], answer["queue_paused"]) = (json!(kind), json!(still_paused)),
    }
    output::either(context.json, &answer, || match (kind, changed) {
        (None, changed) => {
            let said = if changed { format!("{queue} is resumed") } else { format!("{queue} was not paused") };
            said + &remaining(queue, &kinds)
        }
        (Some(kind), changed) => {
            let said = if changed { "is resumed" } else { "was not paused" };
            let whole = format!("; the whole queue is still paused: `leasehold queue resume {queue}` ends the pause");
            format!("the kind {kind} {said} in {queue}{}", if still_paused { &whole } else { "" })
        }
    })
}

pub(super) async fn pause_fair_key(queue: &QueueName, key: &str, context: &Context) -> Result<(), Failure> {
    let client = context.client().await?;
    context.audit(client.store(), "queue.pause", queue.as_str(), json!({ "fair_key": key })).await?;
    let changed = client.pause_fair_key(queue, key).await.map_err(|error| context.failure_of_arguments(&error))?;
    output::either(
        context.json,
        &json!({ "queue": queue, "fair_key": key, "paused": true, "changed": changed }),
        || {
            if changed {
                format!(
                    "the fair key {key:?} is paused in {queue}; `leasehold queue resume {queue} --fair-key {key}` ends the pause"
                )
            } else {
                format!("the fair key {key:?} was already paused in {queue}")
            }
        },
    )
}

pub(super) async fn resume_fair_key(queue: &QueueName, key: &str, context: &Context) -> Result<(), Failure> {
    let client = context.client().await?;
    context.audit(client.store(), "queue.resume", queue.as_str(), json!({ "fair_key": key })).await?;
    let changed = client.resume_fair_key(queue, key).await.map_err(|error| context.failure(&error))?;
    output::either(
        context.json,
        &json!({ "queue": queue, "fair_key": key, "paused": false, "changed": changed }),
        || {
            let said = if changed { "is resumed" } else { "was not paused" };
            format!("the fair key {key:?} {said} in {queue}")
        },
    )
}

/// The kinds that stay paused when a queue is resumed.
fn remaining(queue: &QueueName, kinds: &[String]) -> String {
    let Some(first) = kinds.first() else { return String::new() };
    let (count, names) = (human::count(kinds.len() as u64, "kind is", "kinds are"), kinds.join(", "));
    format!("; {count} still paused in it: {names}; `leasehold queue resume {queue} --kind {first}` ends a pause")
}
