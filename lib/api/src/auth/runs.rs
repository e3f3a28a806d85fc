//! Runs of jobs whose queues the caller may not serve.

use super::caller::Caller;
use crate::{
    api::Api,
    errors::{Problem, Result},
};
use leasehold_core::{Access, Fence, JobId};
use std::collections::HashMap;

/// The runs that the caller may not renew or end, each with the error. A token for all queues costs no statement. A job that is not live
/// has no run, so nothing about it can be changed.
pub(crate) async fn denied_runs(api: &Api, caller: &Caller, runs: &[Fence]) -> Result<HashMap<JobId, Problem>> {
    if !caller.is_limited(Access::Work) {
        return Ok(HashMap::new());
    }
    let ids: Vec<JobId> = runs.iter().map(|fence| fence.id).collect();
    let facts = api.store().run_facts(&ids).await?;
    let denied = facts
        .into_iter()
        .filter_map(|(id, facts)| caller.needs(Access::Work, facts.queue.as_str()).err().map(|problem| (id, problem)));
    Ok(denied.collect())
}
