//! The answer for each id, from the commands that change the place of jobs.

use super::ids::{finish, no_such_job};
use crate::{context::Context, failure::Failure, output};
use leasehold::{JobId, Placed, State};
use serde_json::json;
use std::process::ExitCode;

/// Prints one line for each id. `place` describes the new place of a changed job.
pub(super) fn print(ids: &[JobId], answers: &[Placed], place: &str, context: &Context) -> Result<ExitCode, Failure> {
    let mut failed = false;
    let mut missing = Vec::new();
    for id in ids {
        let Some(answer) = answers.iter().find(|answer| answer.id == *id) else {
            missing.push(no_such_job(*id));
            continue;
        };
        let waits = !answer.state.is_final() && answer.state != State::Running;
        failed |= !waits;
        if context.json {
            let line = json!({ "id": id, "queue": answer.queue, "state": answer.state, "changed": answer.changed });
            output::json_lines(&[line])?;
            continue;
        }
        let said = match answer.state {
            _ if answer.changed => place.to_owned(),
            State::Running => "unchanged: the job is running".to_owned(),
            state if state.is_final() => format!("unchanged: the job had already finished ({state})"),
            _ => format!("unchanged: {place} already"),
        };
        output::line(&format!("{id}  {said}"))?;
    }
    finish(missing, failed)
}
