//! The caller of a request, and the rights of the caller.

use crate::{
    api::Api,
    errors::{Code, Detail, DetailCode, Problem, Result},
};
use axum::{extract::FromRequestParts, http::request::Parts};
use leasehold_core::{Access, NewJob, Scopes};
use leasehold_store::AuditNote;
use serde_json::Value;
use std::sync::Arc;

/// The pointer of an error about the token.
const HEADER: &str = "/headers/authorization";

/// Who sends a request.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// Any client of a server on a loopback address, while there are no tokens.
    Anyone,
    /// The holder of a token.
    Token(Arc<Token>),
}

/// A token that was checked.
#[derive(Debug)]
pub(crate) struct Token {
    pub(super) id: String,
    pub(super) scopes: Scopes,
}

fn scope(access: Access, queue: Option<&str>) -> String {
    match (access.needed_in(queue), queue) {
        (access @ Access::Admin, _) | (access, None) => access.as_str().to_owned(),
        (access, Some(queue)) => format!("{}:{queue}", access.as_str()),
    }
}

fn lacks(pointer: &str, scopes: &str) -> Problem {
    let message = format!("the token lacks the scope {scopes}");
    Problem {
        details: vec![Detail::new(pointer, DetailCode::Refused, message.clone())],
        ..Problem::new(Code::Forbidden, message)
    }
}

impl Caller {
    fn has(&self, access: Access, queue: Option<&str>) -> bool {
        match self {
            Self::Anyone => true,
            Self::Token(token) => token.scopes.allow(access, queue),
        }
    }

    /// Whether this access is limited to some queues, so that the queue of a job must be known.
    pub(crate) fn is_limited(&self, access: Access) -> bool {
        !self.has(access, None)
    }

    /// Refuses unless this access to the queue is allowed.
    pub(crate) fn needs(&self, access: Access, queue: &str) -> Result<()> {
        if self.has(access, Some(queue)) { Ok(()) } else { Err(lacks(HEADER, &scope(access, Some(queue)))) }
    }

    /// Refuses unless this access to all queues is allowed.
    pub(crate) fn needs_all(&self, access: Access) -> Result<()> {
        if self.has(access, None) { Ok(()) } else { Err(lacks(HEADER, &scope(access, None))) }
    }

    /// Refuses unless this access to some queue is allowed.
    pub(super) fn needs_some(&self, access: Access) -> Result<()> {
        match self {
            Self::Token(token) if !token.scopes.allow_some(access) => Err(lacks(HEADER, &scope(access, None))),
            _ => Ok(()),
        }
    }

    /// Refuses unless the caller may enqueue each of these jobs. Every job that is refused is named: `pointer` says where the job is.
    pub(crate) fn needs_enqueue<'a>(
        &self,
        jobs: impl IntoIterator<Item = &'a NewJob>,
        pointer: impl Fn(usize) -> String,
    ) -> Result<()> {
        let mut bad = Vec::new();
        for (nth, job) in jobs.into_iter().enumerate() {
            if !self.has(Access::Enqueue, Some(job.queue.as_str())) {
                let problem =
                    lacks(&format!("{}/queue", pointer(nth)), &scope(Access::Enqueue, Some(job.queue.as_str())));
                bad.extend(problem.details);
            }
        }
        let message = match bad.as_slice() {
            [] => return Ok(()),
            [one] => one.message.clone(),
            several => format!("the token lacks scopes for {} jobs", several.len()),
        };
        Err(Problem { details: bad, ..Problem::new(Code::Forbidden, message) })
    }

    /// The name in the audit.
    pub(crate) fn actor(&self) -> String {
        match self {
            Self::Anyone => "http".to_owned(),
            Self::Token(token) => format!("token:{}", token.id),
        }
    }

    /// Notes in the audit the change that the caller will make. If that fails, nothing may be changed.
    pub(crate) async fn note(&self, api: &Api, action: &str, target: &str, detail: Value) -> Result<()> {
        let actor = self.actor();
        Ok(api.store().note_audit(&AuditNote { actor: Some(&actor), action, target, detail }).await?)
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self> {
        let caller = parts.extensions.get::<Self>().cloned();
        // Without the layer, every request is refused.
        caller.ok_or_else(|| Problem::internal(&"a request has no caller"))
    }
}
