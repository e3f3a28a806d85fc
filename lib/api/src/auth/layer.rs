//! Around every request: finds the caller, and refuses requests for which the caller lacks the scope.

use super::{
    caller::Caller,
    known::Auth,
    routes::{Needs, needs},
};
use crate::errors::{Code, Problem, Result};
use axum::{
    RequestExt,
    extract::{MatchedPath, RawPathParams, Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use leasehold_core::Access;
use std::time::Duration;
use tokio::time::Instant;

/// A request that only reads and takes longer is checked again before its answer is sent. For a request that changes something
/// this would be too late.
const LONG: Duration = Duration::from_secs(1);

/// Answers 401 without a valid token, 403 if the token lacks the scope, and 429 if it has sent too many requests.
pub(crate) async fn require(State(auth): State<Auth>, mut request: Request, next: Next) -> Response {
    let needed = match request.extensions().get::<MatchedPath>() {
        Some(path) => needs(request.method().as_str(), path.as_str()),
        // No route has this path: 404.
        None => Needs::Nothing,
    };
    if needed == Needs::Nothing {
        return next.run(request).await;
    }
    let caller = match admit(&auth, &mut request, needed).await {
        Ok(caller) => caller,
        Err(refused) => return *refused,
    };
    request.extensions_mut().insert(caller.clone());
    let (begun, reads) = (Instant::now(), request.method().is_safe());
    let response = next.run(request).await;
    if reads
        && !needed.is_met_by_old_tokens()
        && begun.elapsed() > LONG
        && let Err(problem) = auth.check_again(&caller).await
    {
        return problem.into_response();
    }
    response
}

async fn admit(auth: &Auth, request: &mut Request, needed: Needs) -> std::result::Result<Caller, Box<Response>> {
    let refused = |problem: Problem| Box::new(problem.into_response());
    let given = authorization(request.headers()).map_err(refused)?;
    let caller = auth.caller(given.as_deref(), needed.is_met_by_old_tokens()).await.map_err(refused)?;
    if let Caller::Token(token) = &caller {
        if let Some(wait) = auth.rates().count(&token.id) {
            return Err(Box::new(too_many(wait)));
        }
        auth.usage().note(&token.id);
    }
    let allowed = match needed {
        Needs::Nothing => Ok(()),
        Needs::All(access) => caller.needs_all(access),
        Needs::Vitals => caller.needs_all(Access::Read),
        Needs::Each(access) => caller.needs_some(access),
        Needs::Path(access) => match queue_of(request).await {
            Some(queue) => caller.needs(access, &queue),
            None => caller.needs_all(access),
        },
    };
    allowed.map_err(|problem| Box::new(problem.into_response()))?;
    Ok(caller)
}

/// The header `Authorization`, if the request has one.
fn authorization(headers: &HeaderMap) -> Result<Option<String>> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        // Bytes that are no text are no token.
        (Some(one), None) => Ok(Some(one.to_str().unwrap_or_default().to_owned())),
        (Some(_), Some(_)) => Err(Problem::new(Code::Unauthorized, "the header Authorization is given twice")),
    }
}

/// The queue of the path, decoded as the handler decodes it.
async fn queue_of(request: &mut Request) -> Option<String> {
    let parameters: RawPathParams = request.extract_parts().await.ok()?;
    let queue = parameters.iter().find(|(name, _)| *name == "queue");
    queue.map(|(_, queue)| queue.to_owned())
}

fn too_many(wait: Duration) -> Response {
    let mut response =
        Problem::new(Code::TooManyRequests, "the token has sent too many requests; api.rate_per_token is the limit")
            .into_response();
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    response
}
