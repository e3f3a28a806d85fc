//! All paths, and their description.

use crate::{
    answer::ok,
    api::Api,
    auth::{describe, require},
    claim, events, fleet, groups,
    guard::guard,
    jobs,
    observe::observe,
    operations, queues, rules, runs, scale, times, vitals, webhooks,
};
use axum::{Router, middleware, routing::get};
use leasehold_telemetry::Vitals;
use std::sync::Arc;
use utoipa::{OpenApi, openapi};
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::SwaggerUi;

/// The description of the interface, without its paths.
#[derive(OpenApi)]
#[openapi(
    info(title = "Leasehold", description = "A job queue on PostgreSQL and Redis. Every error has one form: see `ErrorBody`."),
    tags(
        (name = "jobs", description = "Enqueue jobs, look at them, change them"),
        (name = "workers", description = "Work on jobs, in any language"),
        (name = "queues", description = "Look at queues and change them"),
        (name = "webhooks", description = "Tell other systems of ends of jobs"),
    )
)]
struct Description;

/// The routes of the interface, each with its description.
fn described() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(jobs::enqueue, jobs::list))
        .routes(routes!(jobs::show))
        .routes(routes!(jobs::wait))
        .routes(routes!(jobs::cancel))
        .routes(routes!(jobs::retry))
        .routes(routes!(jobs::priority))
        .routes(routes!(jobs::explain))
        .routes(routes!(events::events))
        .routes(routes!(operations::bulk))
        .routes(routes!(operations::list))
        .routes(routes!(operations::show))
        .routes(routes!(operations::cancel))
        .routes(routes!(claim::claim))
        .routes(routes!(runs::renew))
        .routes(routes!(runs::progress))
        .routes(routes!(runs::complete))
        .routes(routes!(runs::fail))
        .routes(routes!(runs::snooze))
        .routes(routes!(runs::release))
        .routes(routes!(runs::renew_all))
        .routes(routes!(runs::settle_all))
        .routes(routes!(queues::list))
        .routes(routes!(queues::set))
        .routes(routes!(queues::pause))
        .routes(routes!(queues::resume))
        .routes(routes!(queues::purge))
        .routes(routes!(queues::weights, queues::set_weight))
        .routes(routes!(scale::scale))
        .routes(routes!(times::times))
        .routes(routes!(queues::stats))
        .routes(routes!(fleet::workers))
        .routes(routes!(fleet::drain))
        .routes(routes!(groups::submit))
        .routes(routes!(groups::graph))
        .routes(routes!(groups::batches))
        .routes(routes!(groups::batch))
        .routes(routes!(groups::wait_batch))
        .routes(routes!(groups::seal))
        .routes(routes!(groups::cancel_batch))
        .routes(routes!(rules::limits))
        .routes(routes!(rules::limit, rules::set_limit, rules::remove_limit))
        .routes(routes!(rules::schedules))
        .routes(routes!(rules::schedule, rules::set_schedule, rules::remove_schedule))
        .routes(routes!(rules::pause_schedule))
        .routes(routes!(rules::resume_schedule))
        .routes(routes!(rules::run_schedule))
        .routes(routes!(webhooks::list, webhooks::make))
        .routes(routes!(webhooks::show, webhooks::change, webhooks::remove))
        .routes(routes!(webhooks::rotate))
        .routes(routes!(webhooks::test))
        .routes(routes!(webhooks::deliveries))
        .routes(routes!(webhooks::replay))
}

/// The description of the interface in the form of OpenAPI 3.1.
#[must_use]
pub fn description() -> openapi::OpenApi {
    let mut description = described().into_openapi();
    env!("CARGO_PKG_VERSION").clone_into(&mut description.info.version);
    description.info.license = None;
    description.info.contact = None;
    describe(&mut description);
    description
}

/// Every path that the server answers.
pub(crate) fn router(api: Api, vitals: Vitals) -> Router {
    let (router, _) = described().split_for_parts();
    let (description, auth) = (Arc::new(description()), api.auth().clone());
    router
        .route("/v1/openapi.json", get(move || async move { ok(&*description) }))
        .with_state(api)
        .merge(vitals::router(vitals))
        .merge(SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/v1/openapi.json")))
        .layer(middleware::from_fn_with_state(auth.clone(), require))
        .layer(middleware::from_fn_with_state(auth, guard))
        .layer(middleware::from_fn(observe))
}
