//! `GET /v1/events`.

use super::{
    attendant::event,
    hub::Watched,
    ring::{Event, Start},
    stream::Reader,
};
use crate::{
    api::Api,
    auth::Caller,
    errors::{ErrorBody, Problem, Result},
    extract::Query,
};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::Response,
};
use leasehold_core::Access;
use std::sync::Arc;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells nginx to pass events on without buffering.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Follow changes, as Server-Sent Events
///
/// `job`: a job has ended; for the job in the parameter `job`: anything has changed. `queue`: something in the queue has changed, at most once a second.
/// `resync`: events were lost, so read everything again. An event is a hint: read what it names. Each event has an id. With the header
/// `Last-Event-ID` the stream continues after this event.
#[utoipa::path(get, path = "/v1/events", tag = "jobs", operation_id = "events",
    params(("queue" = Option<String>, Query, description = "Only of this queue"),
           ("job" = Option<uuid::Uuid>, Query, description = "Only of this job; its state is the first event"),
           ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that the client received")),
    responses((status = 200, description = "Events until the client goes away or the server stops", content_type = "text/event-stream",
               body = String),
              (status = 404, description = "There is no such job", body = ErrorBody),
              (status = 422, description = "A parameter is not valid", body = ErrorBody),
              (status = "default", description = "Any other error", body = ErrorBody)))]
pub(crate) async fn events(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    mut query: Query,
) -> Result<Response> {
    let watched =
        Watched { queue: query.parsed("queue", "the name of a queue"), job: query.parsed("job", "the id of a job") };
    query.finish()?;
    if let Some(queue) = &watched.queue {
        caller.needs(Access::Read, queue.as_str())?;
    }
    let hub = Arc::clone(api.events());
    // The position is older than the state of the job, so no change is missed in between.
    let (now, news) = hub.ring.follow();
    let watching = hub.watch(&api, watched.clone());
    let mut first = Vec::new();
    let position = match headers.get(LAST_EVENT_ID).map(|id| hub.ring.start_after(id.to_str().unwrap_or_default())) {
        None => now,
        Some(Start::At(position)) => position,
        Some(Start::Unknown) => {
            first.push(Event::resync("unknown"));
            now
        }
        Some(Start::TooOld) => {
            first.push(Event::resync("too_old"));
            now
        }
    };
    if let Some(id) = watched.job {
        let job = api.store().jobs_now(&[id]).await?.pop();
        let job = job.ok_or_else(|| Problem::no_such("job", &id))?;
        caller.needs(Access::Read, &job.queue)?;
        first.push(event(&job));
    }
    let reader = Reader { api, hub, caller, watched, position, news, first, _watching: watching };
    let mut response = Response::new(Body::from_stream(reader.body()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}
