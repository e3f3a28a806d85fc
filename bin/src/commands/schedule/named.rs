//! Shared by the actions: the schedule of a name, and the failure of a name that no schedule has.

use crate::{
    context::Context,
    failure::Failure,
    output::{self, schedules},
};
use leasehold::{Client, ScheduleName};
use std::process::ExitCode;

/// Shows a schedule as it is now.
pub(super) async fn shown(client: &Client, name: &ScheduleName, context: &Context) -> Result<ExitCode, Failure> {
    let schedule = client.schedule(name).await.map_err(|error| context.failure(&error))?;
    let shown = schedules::Shown::of(schedule.ok_or_else(|| no_such(name))?);
    output::either(context.json, &shown, || schedules::card(&shown))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn no_such(name: &ScheduleName) -> Failure {
    Failure::new(format!("there is no schedule {name}; `leasehold schedule list` shows all"))
}
