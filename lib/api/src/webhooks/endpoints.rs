//! `/v1/webhooks`: make, change, read and remove webhooks.

use super::words::{
    A_URL, NewWebhookWords, Rotated, Rotation, WebhookChanges, WebhookList, WebhookView, WebhookWithSecret, check_url,
    kinds, overlap, queue, secret, states,
};
use crate::{
    answer::{json, ok},
    api::Api,
    auth::Caller,
    errors::{Code, ErrorBody, Problem, Result},
    extract::{Body, OptionalBody, Segment},
    rules::Removed,
};
use axum::{extract::State, http::StatusCode, response::Response};
use leasehold_client::{NewWebhook, Webhook, WebhookChange, WebhookMade};
use leasehold_core::{Kind, State as JobState};
use serde_json::json as object;
use uuid::Uuid;

pub(super) fn no_webhook(id: &Kind) -> Problem {
    Problem::no_such("webhook", id)
}

/// The webhook of this id.
pub(super) async fn existing(api: &Api, id: &Kind) -> Result<Webhook> {
    api.client().webhook(id).await?.ok_or_else(|| no_webhook(id))
}

/// List all webhooks, with their health
#[utoipa::path(get, path = "/v1/webhooks", tag = "webhooks", operation_id = "list_webhooks",
    responses((status = 200, description = "The webhooks", body = WebhookList),
              (status = "default", description = "Any error", body = ErrorBody)))]
pub(crate) async fn list(State(api): State<Api>) -> Result<Response> {
    Ok(ok(&WebhookList { webhooks: api.client().webhooks().await? }))
}

/// Make a webhook: from now on, each end of a job that fits makes a delivery. The answer has the secret, which is shown only once
#[utoipa::path(post, path = "/v1/webhooks", tag = "webhooks", operation_id = "make_webhook", request_body = NewWebhookWords,
    responses((status = 201, description = "The webhook and its secret", body = WebhookWithSecret),
              (status = 409, description = "There is a webhook of this id, or there are as many as there may be", body = ErrorBody),
              (status = 422, description = "A field is not valid", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn make(State(api): State<Api>, caller: Caller, Body(mut fields): Body) -> Result<Response> {
    let id: Option<Kind> = fields.parsed("id", "an id");
    let url: Option<String> = fields.required("url", A_URL);
    check_url(&mut fields, &api, url.as_ref());
    let queue = queue(&mut fields).unwrap_or_else(|| "*".to_owned());
    let kinds = kinds(&mut fields).unwrap_or_default();
    let states = states(&mut fields);
    let secret = secret(&mut fields).reveal();
    fields.finish()?;
    let states = states.unwrap_or_else(|| vec![JobState::Succeeded, JobState::Dead, JobState::Cancelled]);
    let id = match id {
        Some(id) => id,
        None => format!("wh_{}", Uuid::now_v7().simple()).parse().map_err(|error| Problem::internal(&error))?,
    };
    let new = NewWebhook { id: id.clone(), url: url.unwrap_or_default(), queue, kinds, states, secret: secret.clone() };
    let detail = object!({ "url": new.url, "queue": new.queue, "kinds": new.kinds, "states": new.states });
    caller.note(&api, "webhook.set", id.as_str(), detail).await?;
    match api.client().make_webhook(&new).await? {
        WebhookMade::Made => {
            Ok(json(StatusCode::CREATED, &WebhookWithSecret { webhook: existing(&api, &id).await?, secret }))
        }
        WebhookMade::Exists => {
            Err(Problem::new(Code::Conflict, format!("there is a webhook {id}; nothing was changed")))
        }
        WebhookMade::Full => Err(Problem::new(Code::Conflict, "there are as many webhooks as there may be: 1000")),
    }
}

/// Show a webhook, with its health
#[utoipa::path(get, path = "/v1/webhooks/{id}", tag = "webhooks", operation_id = "show_webhook", params(("id" = String, Path)),
    responses((status = 200, description = "The webhook", body = WebhookView),
              (status = 404, description = "There is no such webhook", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn show(State(api): State<Api>, Segment(id): Segment<Kind>) -> Result<Response> {
    Ok(ok(&existing(&api, &id).await?))
}

/// Change a webhook, or disable or enable it
#[utoipa::path(patch, path = "/v1/webhooks/{id}", tag = "webhooks", operation_id = "change_webhook", params(("id" = String, Path)),
    request_body = WebhookChanges,
    responses((status = 200, description = "The webhook", body = WebhookView),
              (status = 404, description = "There is no such webhook", body = ErrorBody),
              (status = 422, description = "A field is not valid", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn change(
    State(api): State<Api>,
    caller: Caller,
    Segment(id): Segment<Kind>,
    Body(mut fields): Body,
) -> Result<Response> {
    let url: Option<String> = fields.value("url", A_URL);
    check_url(&mut fields, &api, url.as_ref());
    let change = WebhookChange {
        url,
        queue: queue(&mut fields),
        kinds: kinds(&mut fields),
        states: states(&mut fields),
        enabled: fields.value("enabled", "true or false"),
    };
    fields.finish()?;
    let detail = object!({
        "url": change.url, "queue": change.queue, "kinds": change.kinds, "states": change.states, "enabled": change.enabled,
    });
    caller.note(&api, "webhook.set", id.as_str(), detail).await?;
    if !api.client().change_webhook(&id, &change).await? {
        return Err(no_webhook(&id));
    }
    Ok(ok(&existing(&api, &id).await?))
}

/// Remove a webhook, and cancel its deliveries that have not ended
#[utoipa::path(delete, path = "/v1/webhooks/{id}", tag = "webhooks", operation_id = "remove_webhook", params(("id" = String, Path)),
    responses((status = 200, description = "There is no such webhook any more", body = Removed),
              (status = 404, description = "There is no such webhook", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn remove(State(api): State<Api>, caller: Caller, Segment(id): Segment<Kind>) -> Result<Response> {
    caller.note(&api, "webhook.remove", id.as_str(), object!({})).await?;
    match api.client().remove_webhook(&id).await? {
        true => Ok(ok(&Removed { removed: true })),
        false => Err(no_webhook(&id)),
    }
}

/// Give a webhook a new secret; for a while, both secrets sign. The answer has the secret, which is shown only once
#[utoipa::path(post, path = "/v1/webhooks/{id}/rotate", tag = "webhooks", operation_id = "rotate_webhook",
    params(("id" = String, Path)), request_body = Rotation,
    responses((status = 200, description = "The new secret", body = Rotated),
              (status = 404, description = "There is no such webhook", body = ErrorBody),
              (status = 422, description = "A field is not valid", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn rotate(
    State(api): State<Api>,
    caller: Caller,
    Segment(id): Segment<Kind>,
    OptionalBody(mut fields): OptionalBody,
) -> Result<Response> {
    let overlap = overlap(&mut fields, &api);
    let secret = secret(&mut fields).reveal();
    fields.finish()?;
    let detail = object!({ "overlap_s": overlap.as_secs() });
    caller.note(&api, "webhook.rotate", id.as_str(), detail).await?;
    match api.client().rotate_webhook(&id, &secret, overlap).await? {
        Some(previous_secret_until) => Ok(ok(&Rotated { secret, previous_secret_until })),
        None => Err(no_webhook(&id)),
    }
}
